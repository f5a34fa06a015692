"""The glossary: its names are in the package, and it has the terms of the lessons."""

import inspect
import re
from dataclasses import fields, is_dataclass
from pkgutil import resolve_name

import pytest

from lessons import build

PAGE = (build.FOLDER / "glossary.md").read_text(encoding="utf-8")
ROWS = [[cell.strip() for cell in line.strip("|").split("|")]
        for line in PAGE.splitlines() if re.match(r"\|(?! term |---)", line)]
LESSONS = {int(path.name[:2]): path for path in build.chosen()}
EMPHASISED = {  # in lessons, but no terms
    "6", "before", "equal", "large gradients", "more", "moved between tensors", "next time",
    "product", "read the code", "small weights", "strictly", "sum", "what a case may be",
    "whatever"}


def text_of(path):
    """The words of a lesson, on one line, without the cells of code."""
    cells = re.findall(r"^# %% \[markdown\]\n((?:#.*\n)+)", path.read_text(encoding="utf-8"),
                       re.MULTILINE)
    return " ".join(re.sub("^# ?", "", "\n".join(cells), flags=re.MULTILINE).split())


def terms_of(path):
    """What a lesson explains in a table of letters, or emphasises."""
    source = path.read_text(encoding="utf-8")
    tables = re.findall(r"^# \| (?:letter|word) \| meaning \|\n# \|---\|---\|\n((?:# \|.*\n)+)",
                        source, re.MULTILINE)
    letters = [cell for table in tables for cell in re.findall(r"^# \| (.*?) \|", table, re.M)]
    text = re.sub(r"`[^`]*`|\*Needs.*?\*", "", text_of(path))
    words = [m[2] for m in re.finditer(r"(?<![\w*])(\*\*?)(?! )([^*|]{1,40}?)\1(?!\w)", text)]
    return {term for cell in letters for term in re.split(", | and ", cell)} | {
        word for word in words if word.lower() not in EMPHASISED}


def stem(word):
    return word.lower().removesuffix("s") if len(word) > 2 else word


def exists(name):
    """Is there minidsr.NAME? of f(x) the argument, of a dataclass also a field."""
    path, _, argument = name.rstrip(")").partition("(")
    owner, _, last = path.rpartition(".")
    found = resolve_name(f"minidsr.{owner}")
    if is_dataclass(found) and last in {field.name for field in fields(found)}:
        return not argument
    part = getattr(found, last, None)
    return part is not None and (not argument or argument in inspect.signature(part).parameters)


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row[0])
def test_a_row(row):
    """The code is there, and each term is in the lessons that are named."""
    terms, meaning, code, _, numbers = row
    assert meaning
    names = re.findall("`([^`]+)`", code)
    assert (names or not code) and all(map(exists, names)), names
    for number in map(int, re.findall(r"\d+", numbers)):
        if number in LESSONS:
            text = text_of(LESSONS[number])
            for term in terms.split(", "):
                end = r"(?!\w)" if len(term) < 4 else ""  # a letter is a word by itself
                assert re.search(rf"(?<!\w){re.escape(term)}{end}", text, re.I), (term, number)


@pytest.mark.parametrize("number", LESSONS)
def test_terms_of_a_lesson(number):
    """Each stands in a row of the glossary that names the lesson."""
    there = {stem(term) for terms, *_, numbers in ROWS for term in terms.split(", ")
             if str(number) in numbers.split(", ")}
    missing = [term for term in terms_of(LESSONS[number]) if stem(term) not in there]
    assert not missing, "to lessons/glossary.md, or to EMPHASISED in this test"


@pytest.mark.parametrize("name", ["reparam.realocate", "reparam.reallocate(h)", "parameters.Spars",
                                  "reparam.Report.k", "reparam.Report.K(x)"])
def test_what_is_not_there_is_not_found(name):
    assert not exists(name)
