"""Which mistakes the checker knows, exercise by exercise, for those who teach:

    python -m lessons.grader.mistakes > lessons/mistakes.md
"""

import inspect
import re
import sys
import textwrap

from .exercise import lessons

HEAD = """# Common mistakes

For those who teach: what goes wrong in each exercise, and what to ask whoever did it. Written by
`python -m lessons.grader.mistakes`, from the programs that the checker compares a wrong answer
with; a test compares this page with them.

The names are those of the column `mistake` in `grades.csv`: [the counts of your own
class](teaching.md#grading-a-class) say which are common; nobody has counted yet. Below each name
stands what a learner reads who makes it. Of wrong answers that do as none of these, the checker
shows the smallest case. One that you see twice can be added: [how](grader/__init__.py).
"""


def page():
    """The page, in Markdown."""
    found = lessons().values()
    headings = [f"Lesson {lesson.number}: {lesson.title}" for lesson in found]
    contents = " · ".join(f"[{lesson.number} {lesson.title}](#{_anchor(heading)})"
                          for lesson, heading in zip(found, headings, strict=True))
    parts = [HEAD, textwrap.fill(contents, 100, break_on_hyphens=False) + "\n"]
    for lesson, heading in zip(found, headings, strict=True):
        parts.append(f"## {heading}\n")
        for exercise in lesson.exercises:
            parts.append(f"### {exercise.number} {exercise.name}\n")
            parts.append("\n".join(map(_row, exercise.mistakes)) + "\n")
    return "\n".join(parts)


def _row(mistake):
    words = " ".join(inspect.getdoc(mistake).split()).replace("*", r"\*")
    return textwrap.fill(f"- `{mistake.__name__}`: {words}", 100, subsequent_indent="  ",
                         break_on_hyphens=False, break_long_words=False)


def _anchor(heading):
    """As GitHub makes it."""
    return re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-")


if __name__ == "__main__":
    sys.stdout.reconfigure(encoding="utf-8")
    sys.stdout.write(page())
