"""Check your exercises: `python -m lessons.check 7`, `python -m lessons.check apportion --hint`."""

import sys
import time
from functools import partial
from inspect import signature
from pathlib import Path

import tyro
from tyro.conf import FlagCreatePairsOff, Positional

from minidsr.checks import check_choice
from minidsr.proof.remote import Remote
from minidsr.run.output import delivered, outputs

from . import MINE
from .grader import find, lessons, report
from .grader.board import board
from .grader.exam import sit
from .grader.grade import grade
from .grader.words import say
from .grader.work import Work


def check(what: Positional[str] = "", *, watch: bool = False, hint: bool = False,
          run: bool = False, solution: bool = False, give_up: bool = False, reset: bool = False,
          diff: bool = False, setup: bool = False, here: bool = False, exam: int | None = None,
          work: Path = MINE) -> int:
    """Judge exercises of the course, or show how far you are. Exit code 1 unless all are right.

    Your work is in lessons/mine, which git ignores. Without arguments: the table of the course.
    `board` trains your method of lesson 9 beside others; `grade DIR` judges a class; `board --help`
    and `grade --help` say how.

    Args:
        what: A lesson (7), an exercise by number (7.3) or by name (apportion).
        watch: Judge again whenever the file is saved, until Ctrl-C.
        hint: Show the next hint.
        run: Put your function into the package: minidsr verify judges it, and a training
            runs: about half a minute.
        solution: Show our solution, when yours is right.
        give_up: With --solution, show it before. With --exam, show the cases that fail.
        reset: Begin the exercise anew; your file is kept beside it, as .1.bak, .2.bak, ...
        diff: Show what has changed in the exercise since you have begun it.
        setup: Say whether all is there that the course needs.
        here: Run your code in this process, without a time limit: where there are no others.
        exam: Deal the exam with this seed, or judge it: variants of lesson 7, levels only.
        work: Folder of your work.
    """
    if exam is not None:
        if watch or hint or run or solution or reset or diff or setup:
            raise ValueError("in an exam there are --here, --give-up and --work, and nothing else")
        return sit(exam, what, Work(work), here, give_up)
    if setup:
        return report.setup(Work(work))
    if not what and not (watch or hint or run or solution or reset or diff):
        return report.course(lessons(), Work(work))
    if not what:
        raise ValueError("name an exercise, such as apportion or 7.3, or a lesson")
    exercises, mine = find(what), Work(work)
    for asked, act in ((hint, report.hint), (reset, report.reset), (diff, report.diff),
                       (solution, partial(report.solution, give_up=give_up)), (run, report.run)):
        if asked:
            return act(_only(exercises, what), mine)
    if watch:
        return _watch(exercises, mine, here)
    return _judge(exercises, mine, here)


def main(argv=None):
    """Run the command line; returns the exit code."""
    argv = sys.argv[1:] if argv is None else argv
    command, name = check, "python -m lessons.check"
    for word, other in (("board", board), ("grade", grade)):
        if argv[:1] == [word]:
            command, name, argv = other, f"{name} {word}", argv[1:]
    with outputs():
        try:
            _check_flags(argv, command)
            return delivered(tyro.cli(command, prog=name, args=argv, config=(FlagCreatePairsOff,)))
        except (ValueError, OSError) as error:
            say(f"check: {error}", sys.stderr)
            return 2 if isinstance(error, ValueError) else 1
        except KeyboardInterrupt:
            return 130


def _check_flags(argv, command):
    """ValueError where a flag is not there."""
    known = [f"--{name.replace('_', '-')}" for name, parameter in
             signature(command).parameters.items() if parameter.kind == parameter.KEYWORD_ONLY]
    for word in argv:
        if word.startswith("--"):
            check_choice("flag", word.partition("=")[0], [*known, "--help"])


def _only(exercises, what):
    if len(exercises) > 1:
        raise ValueError(f"{what} is a lesson; name one exercise: "
                         f"{', '.join(exercise.address for exercise in exercises)}")
    return exercises[0]


def _judge(exercises, mine, here):
    """Judge and report each; 0 if all are right."""
    path, new = mine.copy(exercises[0].file)
    if new:
        say(f"{report.shown(path)} is new: yours to fill in\n")
    if mine.changes(path.name):
        say(f"The exercises have changed since: python -m lessons.check {exercises[0].address} "
            "--diff\n")
    with Remote(path) as remote:
        functions = report.functions(exercises, remote, here)
        return max((report.judged(exercise, function, mine, remote)
                    for exercise, function in functions.items()), default=1)


def _watch(exercises, mine, here):
    path, _ = mine.copy(exercises[0].file)
    seen = None
    while True:
        now = path.stat().st_mtime_ns if path.exists() else seen  # editors may replace it
        if now != seen:
            seen = now
            say(f"--- {time.strftime('%H:%M:%S')}, saving {report.shown(path)} judges again, "
                "Ctrl-C ends\n")
            _judge(exercises, mine, here)
        time.sleep(0.5)


if __name__ == "__main__":
    sys.exit(main())
