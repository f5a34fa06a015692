"""What the command says of every exercise, for those who write exercises to read:

    python -m lessons.grader.outputs > lessons/grader/outputs.md

of an empty answer, the first mistake, an endless answer, and a right one.
"""

import contextlib
import io
import re
import sys
import textwrap
from pathlib import Path
from tempfile import TemporaryDirectory

from lessons import check

from .exercise import lessons


def answers(exercise):
    """{kind: the text of a learner's file}."""
    mistake, right = exercise.mistakes[0], exercise.solution
    wrong, fine = ("from lessons.grader import lessons\nlessons()\n"
                   f"from {f.__module__} import {f.__name__} as {exercise.name}\n"
                   for f in (mistake, right))
    loop = "    while True:\n        pass\n"
    endless = f"def {exercise.name}(*case):\n{loop}"
    if exercise.method:
        endless = textwrap.indent(f"def reallocate(self, t):\n{loop}", "    ")
        endless = f"import minidsr\n\n\nclass {exercise.name}(minidsr.Dynamic):\n{endless}"
    return {"empty": None, f"wrong, {mistake.__name__}": wrong, "endless": endless, "right": fine}


def said(exercise, text):
    """What the command says of a file with this text, or of a fresh copy of the stub."""
    with TemporaryDirectory() as folder, contextlib.redirect_stdout(_Page()) as out:
        if text:
            (Path(folder) / exercise.file).write_text(text, encoding="utf-8")
        code = check.main([exercise.number, "--work", folder])
        words = out.getvalue().replace(str(Path(folder).resolve()), "lessons/mine")
    return re.sub(r"\(\d+\.\d s\)", "(... s)", words).rstrip() + f"\n\n(exit code {code})"


class _Page(io.StringIO):
    encoding = "utf-8"


def page():
    """The page, in Markdown."""
    parts = ["# What the checker says\n", "Written by `python -m lessons.grader.outputs`.\n"]
    for lesson in lessons().values():
        parts.append(f"## Lesson {lesson.number}: {lesson.title}\n")
        for exercise in lesson.exercises:
            parts.append(f"### {exercise.number} {exercise.name}\n")
            for kind, text in answers(exercise).items():
                parts.append(f"{kind.capitalize()}:\n\n```text\n{said(exercise, text)}\n```\n")
    return "\n".join(parts)


if __name__ == "__main__":
    sys.stdout.write(page())
