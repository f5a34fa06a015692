"""What the pages for learners and instructors say of the lessons is so, and adds up."""

import json
import re
import tomllib

import pytest

from lessons import build
from lessons.grader import lessons, mistakes

ROOT = build.FOLDER.parent
LESSONS = {int(path.name[:2]): path for path in build.chosen()}
EXERCISES = {exercise.number: exercise for lesson in lessons().values()
             for exercise in lesson.exercises}


def read(path):
    return (ROOT / path).read_text(encoding="utf-8")


def header(number):
    """(Minutes of reading, minutes of exercises, seconds) that a lesson says."""
    text = LESSONS[number].read_text(encoding="utf-8").replace("\n# ", " ")
    return tuple(map(int, re.search(r"Reading (\d+) minutes, exercises (\d+) minutes, estimated\. "
                                    r"Runs (\d+) seconds", text).groups()))


def rows(text, heading, end="##"):
    """The rows of the tables below a heading, without the head, as lists of cells."""
    part = re.search(rf"^{heading}\n(.*?)(?=^{end} |\Z)", text, re.DOTALL | re.MULTILINE)[1]
    tables = re.findall(r"^\|.*\n\|[-|]+\n((?:\|.*\n)+)", part, re.MULTILINE)
    return [[cell.strip() for cell in row.strip("|").split("|")]
            for table in tables for row in table.splitlines()]


def test_the_table_of_contents():
    """A row for each lesson, with the minutes and seconds that it says, and their sums."""
    found, page = {}, read("lessons/README.md")
    for name, _, _, minutes, runs in rows(page, "## The lessons, one by one"):
        number, script, notebook = re.match(
            r"\[(\d+) .*?\]\((.*?)\), \[with outputs\]\((.*?)\)", name).groups()
        assert build.FOLDER / script == LESSONS[int(number)]
        assert build.FOLDER / notebook == build.notebook_of(LESSONS[int(number)])
        found[int(number)] = tuple(map(int, re.findall(r"\d+", minutes + runs)))
    assert found == {number: header(number) for number in LESSONS}
    reading, exercises, seconds = map(sum, zip(*found.values(), strict=True))
    assert (f"Together {reading} minutes of reading, {exercises} of exercises, and {seconds} "
            "seconds of running.") in page


def test_common_mistakes_are_those_of_the_checker():
    assert read("lessons/mistakes.md") == mistakes.page(), (
        "python -m lessons.grader.mistakes > lessons/mistakes.md")


def test_each_lesson_has_questions():
    numbers = re.findall(r"^## (\d+) ", read("lessons/questions.md"), re.MULTILINE)
    assert numbers == [str(number) for number in range(13)]


# --- syllabi


def of_exercises(numbers):
    """Their minutes; None where a lesson is yet to come."""
    numbers = re.findall(r"\d+\.\d+", numbers)
    if any(int(number.partition(".")[0]) not in LESSONS for number in numbers):
        return None
    return sum(EXERCISES[number].minutes for number in numbers)


@pytest.mark.parametrize("name", ["Two hours", "A day", "A weekend"])
def test_minutes_of_a_syllabus(name):
    *parts, (what, total) = rows(read("lessons/teaching.md"), f"### {name}", "###?")
    assert what == "**sum**" and int(total.strip("*")) == sum(int(part[1]) for part in parts)
    for what, minutes in parts:
        if re.match("exercises? ", what):
            assert of_exercises(what) in (int(minutes), None), what
            for number, function in re.findall(r"(\d+\.\d+) `(\w+)`", what):
                assert EXERCISES[number].name == function
        elif what.startswith("lesson "):
            number = int(re.match(r"lesson (\d+)", what)[1])
            assert number not in LESSONS or header(number)[0] == int(minutes), what


def test_minutes_of_the_semester():
    """Each week has 90, and each exercise of its lessons is done in class or at home."""
    *weeks, last = rows(read("lessons/teaching.md"), "### A semester", "###?")
    taught = []
    for _, numbers, reading, here, in_class, talk, there, at_home in weeks:
        assert int(reading) + int(in_class) + int(talk) == 90
        numbers = [int(number) for number in numbers.split(", ")]
        taught += numbers
        if set(numbers) <= LESSONS.keys():
            assert int(reading) == sum(header(number)[0] for number in numbers)
            assert (of_exercises(here), of_exercises(there)) == (int(in_class), int(at_home))
            every = [number for number in EXERCISES if int(number.partition(".")[0]) in numbers]
            assert sorted(re.findall(r"\d+\.\d+", f"{here}, {there}")) == sorted(every)
    assert taught == list(range(12)) and last[-3] == "90"


# --- elsewhere


def test_what_codespaces_and_binder_take():
    """Is read by them, and has a Python that the package allows."""
    allowed = tomllib.loads(read("pyproject.toml"))["project"]["requires-python"]
    least = int(allowed.removeprefix(">=3."))
    image = json.loads(read(".devcontainer/devcontainer.json"))["image"]
    assert int(re.search(r"-3\.(\d+)-", image)[1]) >= least
    assert int(re.fullmatch(r"python-3\.(\d+)\n", read(".binder/runtime.txt"))[1]) >= least
    assert "-e ." in read(".binder/requirements.txt").splitlines()
