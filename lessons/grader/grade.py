"""A class: `python -m lessons.check grade DIR --out grades.csv` judges DIR/NAME/exNN.py.

Each submission runs in a sandbox, with a copy of the package without the answers (box.py), and
judge, table and the work of others stay outside. Ours and the stub are judged first, in the same
sandbox: where they do not come out right and empty, no one is graded.
"""

import csv
import random
import re
import shlex
import shutil
import sys
import time
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
from tyro.conf import Positional

from minidsr.checks import check_range
from minidsr.proof.remote import Answerless, Remote

from . import find, lessons
from .box import ROOT, pack
from .exam import find as dealt
from .judge import diagnose, first_failure
from .words import MARKS, code, say

COLUMNS = ("student", "exercise", "right", "fault", "case", "answer", "mistake", "seed")
UNDIAGNOSED = ("stub", "missing", "hangs", "dies", "garbled")
PATIENCE = 5  # times the time that a learner's call may take: thirty are graded on a busy machine
LONGER = 20  # times as long as ours an exercise may take in all, and a minute at least
MEMORY = 4_000_000_000  # bytes
LENGTH = 300  # characters of a case or an answer


def grade(folder: Positional[Path], only: Positional[str] = "", *, out: Path, sandbox: str = "",
          trusted: bool = False, resume: bool = False, seed: int | None = None,
          exam: int | None = None) -> int:
    """Grade a class: DIR/NAME/exNN.py, each submission in a sandbox, into a table.

    Args:
        folder: A folder for each student, with the files they handed in.
        only: A lesson (7) or an exercise (apportion). All that someone has handed in, if left out.
        out: The table to write, as CSV.
        sandbox: The command that starts Python in a container; {package} and {work} in it become
            the folders that it must be able to read. Without it, bubblewrap is used.
        trusted: Run without a sandbox: whoever wrote the files could do all that you can.
        resume: Go on with the table that is there, by its seed, where grading was broken off.
        seed: Of the random cases; drawn if left out, and written into the table.
        exam: Grade the exam with this seed: DIR/NAME/exam_SEED.py.
    """
    students = _students(folder)
    if exam is not None:
        exercises = dealt(exam, only)
    else:
        exercises = find(only) if only else _handed_in(students)
    for exercise in exercises:
        if exercise.lacks:
            say(f"{exercise.address} is left out: to judge it takes {exercise.lacks}")
    exercises = [exercise for exercise in exercises if not exercise.lacks]
    if not exercises:
        raise ValueError("there is nothing else to grade")
    start, done = _start(sandbox, trusted), _done(out, resume)
    if done and seed not in (None, int(done[0]["seed"])):
        raise ValueError(f"{out} was begun with seed {done[0]['seed']}")
    if seed is None:
        seed = int(done[0]["seed"]) if done else random.SystemRandom().randrange(2**32)
    check_range("seed", seed, 0, 2**32 - 1)
    with TemporaryDirectory() as boxes:
        limits = _check_ourselves(exercises, Path(boxes).resolve(), start, seed)
        if limits is None:
            return 1
        seen = {(row["student"], row["exercise"]) for row in done}
        work = [(s, e) for s in students for e in exercises if (s.name, e.address) not in seen]
        with _begun(out, done) as file:
            table = csv.DictWriter(file, COLUMNS, extrasaction="ignore")  # seconds are but said
            for i, (student, exercise) in enumerate(work, 1):
                row = judged(exercise, student, Path(boxes).resolve() / exercise.number, start,
                             seed, limits[exercise])
                table.writerow(row)
                file.flush()
                say(f"{i:>5} of {len(work)}  {MARKS['right' if row['right'] == '1' else 'wrong']} "
                    f"{row['student']}, {row['exercise']}: {row['fault'] or 'right'} "
                    f"({row['seconds']} s)")
    say(f"\n{out}: public properties, random cases by seed {seed}")
    return 0


def judged(exercise, work, box, start, seed, limit=float("inf")):
    """The row of the table for the file of this exercise in the folder `work`.

    start  (package, work) -> the words that start Python where it can read both folders
    limit  seconds that all of it may take
    """
    began, package = time.monotonic(), box / "package"
    row = {"student": work.name, "exercise": exercise.address, "right": "0", "fault": "",
           "seed": seed}
    if not (work / exercise.file).exists():
        return row | {"fault": "no file", "seconds": 0.0}
    with Remote(work / exercise.file, python=start(package, work), imports=package) as remote:
        function = _timed(partial(
            remote.call, exercise.name, seconds=PATIENCE * exercise.seconds,
            through=exercise.inside and (
                f"{exercise.inside.__module__}:{exercise.inside.__name__}")), began + limit)
        try:
            row |= {name: _short(str(x), package) for name, x in
                    _verdict(exercise, function, seed).items()}
        except Exception as error:  # of the judge: someone must look at it
            row |= {"right": "", "fault": "not judged", "answer": _short(repr(error), package)}
    return row | {"seconds": round(time.monotonic() - began, 1)}


def bubblewrap(package, work):
    """The words that start Python where it can read these folders and itself, and nothing else:
    neither files nor processes nor network."""
    libraries = Path(np.__file__).parents[1]
    seen = [Path(p) for p in ("/usr", "/lib", "/lib64", "/bin", "/etc/ld.so.cache",
                              "/etc/alternatives", sys.prefix, sys.base_prefix, libraries)]
    hidden = [path for path in {ROOT, *(Path(p).resolve() / "minidsr" for p in sys.path)}
              if path.is_dir() and any(map(path.is_relative_to, seen))]
    words = ["bwrap", "--unshare-all", "--die-with-parent", "--new-session", "--clearenv",
             "--size", str(MEMORY // 40), "--tmpfs", "/tmp", "--proc", "/proc", "--dev", "/dev"]
    for path in seen:
        words += ["--ro-bind-try", str(path), str(path)]
    for path in hidden:
        words += ["--tmpfs", str(path)]
    for path in (package, work):
        words += ["--ro-bind", str(path), str(path)]
    variables = {"PYTHONPATH": f"{package}:{libraries}", "PATH": "/usr/bin:/bin",
                 "HOME": "/tmp",  # CuPy, imported, makes a folder there
                 "OPENBLAS_NUM_THREADS": "1"}
    for name, value in variables.items():
        words += ["--setenv", name, value]
    limit = ["prlimit", f"--as={MEMORY}"] if shutil.which("prlimit") else []
    return [*limit, *words, "--chdir", str(work), sys.executable]


def _students(folder):
    if not folder.is_dir():
        raise ValueError(f"{folder} is no folder; it should have one for each student")
    found = [path.resolve() for path in sorted(folder.iterdir())
             if path.is_dir() and not path.name.startswith(".")]
    if not found:
        raise ValueError(f"{folder} has no folders; it should have one for each student")
    return found


def _handed_in(students):
    """The exercises of all files that someone has."""
    every = [exercise for lesson in lessons().values() for exercise in lesson.exercises]
    found = [e for e in every if any((student / e.file).exists() for student in students)]
    if not found:
        raise ValueError(f"no one has handed in an {every[0].file} or the like")
    return found


def _done(out, resume):
    """The whole rows of the table that is there."""
    if not out.exists():
        return []
    if not resume:
        raise ValueError(f"{out} is there already; --resume goes on with it")
    lines = out.read_text(encoding="utf-8").splitlines(keepends=True)  # no cell has two
    return [row for row in csv.DictReader(line for line in lines if line.endswith("\n"))
            if tuple(row) == COLUMNS and row["seed"]]


def _begun(out, done):
    """The table with these rows, open at its end."""
    new = out.with_name(f"{out.name}.new")
    with new.open("w", newline="", encoding="utf-8") as file:
        table = csv.DictWriter(file, COLUMNS)
        table.writeheader()
        table.writerows(done)
    new.replace(out)
    return out.open("a", newline="", encoding="utf-8")


def _start(sandbox, trusted):
    """What starts Python for a submission."""
    if sandbox:
        words = shlex.split(sandbox)
        return lambda package, work: [
            word.replace("{package}", str(package)).replace("{work}", str(work)) for word in words]
    if trusted:
        return lambda package, work: [sys.executable]
    if shutil.which("bwrap"):
        return bubblewrap
    raise ValueError("there is no sandbox for what others have written: install bubblewrap, name "
                     "a container by --sandbox, or say --trusted if you trust them all")


def _check_ourselves(exercises, boxes, start, seed):
    """{exercise: how long it may take}; None where ours is not right here, which is said."""
    limits = {}
    for exercise in exercises:
        box = boxes / exercise.number
        box.mkdir()
        pack(exercise, box)
        ours, stub = (judged(exercise, box / name, box, start, seed) for name in ("ours", "stub"))
        say(f"ours, {exercise.address}: {ours['fault'] or 'right'}, its stub: {stub['fault']} "
            f"({ours['seconds']} s)")
        if ours["right"] != "1" or stub["fault"] != "stub":
            wrong = ours if ours["right"] != "1" else stub
            say(f"{MARKS['wrong']} no one is graded: our own {exercise.address} must be right "
                f"here, and its stub empty. {wrong['answer']}", sys.stderr)
            return None
        limits[exercise] = max(LONGER * ours["seconds"], 60)
    return limits


def _timed(function, end):
    def call(*case):
        if time.monotonic() > end:
            raise Answerless("hangs", "all in all it takes too long")
        return function(*case)
    return call


def _verdict(exercise, function, seed):
    failure, _ = first_failure(exercise, function, seed=seed)
    if failure is None:
        return {"right": 1}
    mistake = None if failure.what in UNDIAGNOSED else diagnose(exercise, function, failure)
    return {"right": 0, "fault": failure.what, "case": ", ".join(map(code, failure.case)),
            "answer": code(failure.answer) if failure.answered else failure.words,
            "mistake": mistake.__name__ if mistake else ""}


def _short(text, package):
    """Text of a stranger in one line, the same each time, and no formula to a spreadsheet."""
    text = re.sub(" at 0x[0-9a-f]+", "", text.replace(str(package), "package"))
    text = re.sub(r"\s+", " ", text)
    text = text if len(text) <= LENGTH else f"{text[:LENGTH]} ..."
    formula = text[:1] in tuple("=+-@") and not re.fullmatch(r"[-+.\deinf]+", text)
    return f"'{text}" if formula else text
