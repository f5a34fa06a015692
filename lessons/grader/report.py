"""What the commands of lessons/check.py do, and say."""

import inspect
import sys
import textwrap
import time
from contextlib import redirect_stderr, redirect_stdout
from functools import partial
from pathlib import Path

from minidsr.proof.remote import Answerless, Remote
from minidsr.proof.runner import Printed
from minidsr.run.report import table

from . import plug
from .judge import diagnose, first_failure, through
from .words import MARKS, call, picture, say

COMMAND = "python -m lessons.check"
BOARD = f"{COMMAND} board"
CLOSE = 1e-4  # that losses of a part of a network may differ from ours
TRIES = 3  # after so many wrong ones a hint is offered
WHAT_HAPPENED = {"hangs": "it does not end", "garbled": "does the file write to what it has not "
                 "opened?", "dies": "does it call exit, or use all memory?"}


def functions(exercises, remote, here):
    """{exercise: the learner's function as it is judged}, in its process or `here`; empty where the
    file does not load, which is said."""
    path = Path(remote.path)
    try:
        if not here:
            remote.start()
            return {exercise: partial(remote.call, exercise.name, through=_inside(exercise),
                                      seconds=exercise.seconds) for exercise in exercises}
        module = {"__name__": path.stem}
        exec(compile(path.read_bytes(), str(path), "exec"), module)
        return {exercise: _here(through(exercise, module.get(exercise.name, _missing)), remote)
                for exercise in exercises}
    except Answerless as error:
        say(f"{MARKS['wrong']} {shown(path)} cannot be loaded. {error}{place(error)}")
    except Exception as error:  # of the learner's, here
        say(f"{MARKS['wrong']} {shown(path)} cannot be loaded. {type(error).__name__}: {error}")
    return {}


def judged(exercise, function, work, remote):
    """Judge an exercise and say what came out; 0 if it is right, else 1."""
    name, start = exercise.name, time.perf_counter()
    if exercise.lacks:
        say(f"{MARKS['open']} {name}: cannot be judged here; it takes {exercise.lacks}\n")
        return 1
    failure, tried = first_failure(exercise, function)
    if failure is None:
        work.note(exercise, state="right")
        _say_right(exercise, tried, time.perf_counter() - start)
        return 0
    if failure.what in ("stub", "missing"):
        work.note(exercise, state="open")
        path = shown(work.folder / exercise.file)
        say(f"{MARKS['open']} {name}: " + (
            f"there is none in {path}. {COMMAND} {exercise.address} --reset puts its stub there.\n"
            if failure.what == "missing" else
            f"not written yet. It stands in {path}; the docstring says what it must do.\n"))
        return 1
    record = work.record(exercise)
    work.note(exercise, state="wrong", tries=record["tries"] + 1)
    _say_failure(exercise, failure, tried, work, remote.printed)
    if failure.what not in ("hangs", "dies", "garbled"):
        mistake = diagnose(exercise, function, failure)
        if mistake:
            _say_wrapped("A known mistake does the same. " + inspect.getdoc(mistake))
    hints = len(exercise.hints) - record["hints"]
    if record["tries"] + 1 >= TRIES and hints > 0:
        say(f"  Stuck? There {'is one hint' if hints == 1 else f'are {hints} hints'}"
            f"{' more' * (record['hints'] > 0)}: {COMMAND} {exercise.address} --hint\n")
    return 1


def hint(exercise, work):
    """Say the next hint; 0."""
    n = min(work.record(exercise)["hints"], len(exercise.hints) - 1)
    work.note(exercise, hints=n + 1)
    say(f"{exercise.name}, hint {n + 1} of {len(exercise.hints)}\n")
    _say_wrapped(exercise.hints[n])
    if n + 1 == len(exercise.hints):
        say(f"  That was the last. Ours: {COMMAND} {exercise.address} --solution --give-up\n")
    return 0


def solution(exercise, work, give_up):
    """Show our solution where the learner's is right, or with give_up; 0."""
    state = work.record(exercise)["state"]
    if state not in ("right", "shown") and not give_up:
        raise ValueError(f"{exercise.name} is not right yet; --hint helps, and --solution "
                         "--give-up shows ours all the same")
    if state != "right":
        work.note(exercise, state="shown")
    say(f"{inspect.getsource(exercise.solution)}\n"
        f"from {shown(Path(inspect.getsourcefile(exercise.solution)))}")
    return 0


def reset(exercise, work):
    """Begin anew; 0."""
    kept = work.reset(exercise)
    work.note(exercise, state="open", tries=0, hints=0)
    say(f"{exercise.name} is a stub again; your file as it was is {shown(kept)}")
    return 0


def diff(exercise, work):
    """Show what has changed in the stubs; 0."""
    say(work.changes(exercise.file) or "the exercise is as it was when you began; what you have "
        "written is not compared")
    return 0


def run(exercise, work):
    """Run the package with the learner's function; 0 if nothing is violated and it trains."""
    if exercise.plug is None:
        raise ValueError(f"{exercise.name} has no place in the package; " + (
            f"{BOARD} trains it" if exercise.method else "it is judged only"))
    path, _ = work.copy(exercise.file)
    with Remote(path) as remote:
        try:
            found = remote.call(exercise.name, exercise.number, through=f"{plug.__name__}:run",
                                seconds=plug.SECONDS)
        except Answerless as error:
            say(f"{MARKS['wrong']} {error}{place(error)}")
            return 1
    say_trainings = _say_steps if exercise.plug.steps else _say_trainings
    right = [_say_verdict(exercise, found["verify"]), say_trainings(exercise, found)]
    if all(right):
        return 0
    say(f"\n{MARKS['wrong']} {exercise.name} is not right yet; the smallest case that shows it: "
        f"{COMMAND} {exercise.address}")
    return 1


def course(lessons, work):
    """Say how far one is, and what is next; 0."""
    every = [exercise for lesson in lessons.values() for exercise in lesson.exercises]
    states = {exercise: work.record(exercise)["state"] for exercise in every}
    for lesson in lessons.values():
        left = sum(e.minutes for e in lesson.exercises if states[e] != "right")
        say(f"{lesson.number:>2}  {lesson.title}" + (f", {left} minutes left" if left else ""))
        for e in lesson.exercises:
            say(f"      {MARKS[states[e]]} {e.number:<5} {e.name:<24} {'★' * e.stars:<4} "
                f"{e.minutes:>3} min   {states[e]}")
    right = sum(state == "right" for state in states.values())
    say(f"\n{right} of {len(every)} exercises are right. Minutes are estimated.")
    following = next((e for e in every if states[e] in ("open", "wrong")), None)
    say(f"Next: {COMMAND} {following.address}" if following else
        "That was all of it. What is open stands at the end of each lesson.")
    return 0


def setup(work):
    """Say whether all is there that the course needs; 0."""
    from minidsr.run.bench import measure
    from minidsr.run.config import Config
    from minidsr.run.environment import environment

    found = environment()
    say(f"Python     {found['python']}, {found['system']}, {found['cores']} cores")
    say(f"libraries  {', '.join(f'{name} {v}' for name, v in found['versions'].items())}")
    steps = measure(Config(model="small-cnn", batch=50, engine="plain", device="cpu"), 20, False)
    say(f"training   20 steps of the small network take {1000 / steps['train_images_per_s']:.1f} s")
    work.folder.mkdir(parents=True, exist_ok=True)
    probe = work.folder / "probe.py"
    probe.write_text("def add(a, b):\n    return a + b\n", encoding="utf-8")
    try:
        with Remote(probe) as remote:
            remote.call("add", 1, 2)
    finally:
        probe.unlink()
    say(f"your work  {shown(work.folder)} can be written, and run in a process of its own")
    say(f"terminal   {sys.stdout.encoding}: {MARKS['right']} right, {MARKS['wrong']} wrong")
    say(f"All is there. Next: {COMMAND}")
    return 0


def shown(path):
    """A path as one would type it from here."""
    path = Path(path).resolve()
    return path.relative_to(Path.cwd()) if path.is_relative_to(Path.cwd()) else path


def place(error):
    """Where a learner's code has raised, as a line below what it says."""
    return f"\n  line {error.line}: {error.code}" if error.line else ""


def _say_right(exercise, tried, seconds):
    say(f"{MARKS['right']} {exercise.name}: right in {tried:,} cases, every small one among them "
        f"({seconds:.1f} s)\n")
    if exercise.plug:
        say(f"  The package with your function in it:  {COMMAND} {exercise.address} --run")
    if exercise.method:
        say(f"  Yours beside methods of the package:  {BOARD}")
    say(f"  Our solution, to compare:  {COMMAND} {exercise.address} --solution\n")


def _inside(exercise):
    return exercise.inside and f"{exercise.inside.__module__}:{exercise.inside.__name__}"


def _here(function, remote):
    """What is printed is kept where that of the other process would be."""
    def call(*case):
        printed = Printed()
        try:
            with redirect_stdout(printed), redirect_stderr(printed):
                return function(*case)
        finally:
            remote.printed = printed.text
    return call


def _missing(*case):
    raise Answerless("missing", "the function is not there")


def _say_failure(exercise, failure, tried, work, printed):
    words = WHAT_HAPPENED.get(failure.what)
    words = f"{failure.words}: {words}" if words else failure.words
    if failure.answered:
        words = f"this does not hold: {words}"
    count = "1 case is" if tried == 1 else f"{tried:,} cases are"
    before = f"{count} right, then " if tried else ""
    say(f"{MARKS['wrong']} {exercise.name}: {before}{words}")
    for more in (failure.detail, failure.where):
        if more:
            say(f"  {more}")
    say()
    at = exercise.level(*failure.case)
    for i, level in enumerate(exercise.levels):
        say(f"  {MARKS['right' if i < at else 'wrong' if i == at else 'open']} {level}")
    say("\n  The smallest case that shows it:\n")
    say(textwrap.indent(picture(exercise, failure), "    "))
    if printed:
        say(f"\n  It printed:\n\n{textwrap.indent(printed.rstrip(), '    ')}")
    code = call(exercise.name, failure.case)
    if code and not exercise.inside:
        imports = "import numpy as np; " * ("np." in code)
        say(f"\n  Try it, in {shown(work.folder)}:\n    python -c \"{imports}from "
            f"{exercise.file[:-3]} import *; print({code})\"")
    say()


def _say_wrapped(text):
    say(textwrap.fill(" ".join(text.split()), 92, initial_indent="  ", subsequent_indent="  "))
    say()


def _say_verdict(exercise, verdict):
    """What `verify` says; True if nothing is violated."""
    if verdict is None:
        return True
    mark = MARKS["wrong" if verdict["violated"] else "right"]
    say(f"{mark} minidsr verify, with your {exercise.name}: {verdict['summary']} "
        f"({verdict['tried']:,} reallocations, {verdict['calls']:,} calls of yours)")
    for rule, words, example in verdict["violated"]:
        say(f"\n  {words}\n    The rule: {rule}\n    in " + example.replace("\n", "\n       "))
    say()
    return not verdict["violated"]


def _say_trainings(exercise, found):
    """Both trainings in a table, and where theirs leaves ours; True if it came to its end."""
    ours, theirs = found["ours"], found["theirs"]
    if "raised" in theirs:
        say(f"{MARKS['wrong']} training, with your {exercise.name}: {theirs['raised']}")
        return False
    rows = [[name, f"{t['free'][0]:,}", f"{t['free'][-1]:,}", f"{len(t['active'])}",
             f"{t['loss']:.4f}", f"{t['accuracy']:.1f} %"]
            for name, t in (("ours", ours), ("yours", theirs))]
    say(table(rows, ["training", "free parameters", "at the end", "reallocations", "train loss",
                     "test accuracy"]))
    if theirs == ours:
        say(f"\nTo the last bit the same, by {found['calls']:,} calls of yours.")
    else:
        differ = [i for i, (a, b) in enumerate(zip(ours["active"], theirs["active"], strict=False))
                  if a != b]
        say(f"\nThe tensors hold other numbers of weights from reallocation {differ[0] + 1} on. "
            "Where positions,\nor batches, are drawn otherwise, that is chance; where not, ask why."
            if differ else "\nThe tensors hold as many weights as ours, each time; numbers differ.")
    return True


def _say_steps(exercise, found):
    """Losses of both trainings at some steps, and how long a step takes; True if they agree."""
    ours, theirs = found["ours"], found["theirs"]
    if "raised" in theirs:
        say(f"{MARKS['wrong']} training, with your {exercise.name}: {theirs['raised']}")
        return False
    last = len(ours["losses"])
    shown_steps = [1, last // 2, last]
    rows = [[name, *(f"{t['losses'][i - 1]:.4f}" for i in shown_steps),
             f"{1000 * t['seconds']:,.1f}"] for name, t in (("ours", ours), ("yours", theirs))]
    say(table(rows, ["training", *(f"loss, step {i}" for i in shown_steps), "ms a step"]))
    apart = [abs(a - b) for a, b in zip(ours["losses"], theirs["losses"], strict=True)]
    step = next((i for i, x in enumerate(apart, 1) if not x <= CLOSE), None)
    if step:
        say(f"\n{MARKS['wrong']} At step {step} the losses differ by {apart[step - 1]:.2g}; "
            f"{CLOSE:g} is allowed.")
        return False
    say(f"\n{MARKS['right']} The losses of {last} steps are ours, to within {max(apart):.1g}, by "
        f"{found['calls']:,} calls of yours.")
    return True
