"""Every lesson has the form that all have, and its notebook is built from it.

`python -m lessons.build --check`, of .ci/run, executes them, and compares what they print.
"""

import ast
import base64
import io
import json
import re
import sys
from collections import Counter
from itertools import pairwise

import numpy as np
import pytest
from PIL import Image

from lessons import build
from lessons.grader import find

LESSONS = build.chosen()
HEADINGS = ["Question", "Predict", "Run", "Check", "Read the code", "Notice", "Exercises",
            "Open question", "Next"]
SECTIONS = re.compile(r"^# ## (.*)\n((?:(?!# ## ).*\n)*)", re.MULTILINE)

each = pytest.mark.parametrize("lesson", LESSONS, ids=lambda path: path.stem)


def text_of(lesson):
    return lesson.read_text(encoding="utf-8")


def notebook_of(lesson):
    return json.loads(text_of(build.notebook_of(lesson)))


def code_of(lesson):
    """The calls in a lesson, and what it imports."""
    tree = ast.parse(text_of(lesson))
    calls = [node for node in ast.walk(tree) if isinstance(node, ast.Call)]
    imports = {alias.name for node in ast.walk(tree) if isinstance(node, ast.Import)
               for alias in node.names}
    imports |= {f"{node.module}.{alias.name}" for node in ast.walk(tree)
                if isinstance(node, ast.ImportFrom) for alias in node.names}
    return calls, imports


def calls_of(lesson, name):
    return [call for call in code_of(lesson)[0] if getattr(call.func, "id", None) == name]


@each
def test_form(lesson):
    text = text_of(lesson)
    sections = SECTIONS.findall(text)
    assert [heading for heading, _ in sections] == HEADINGS
    title, header = re.match(r"# %% \[markdown\]\n# # (.*)\n#\n((?:# .+\n)+)", text).groups()
    assert title.startswith(f"{int(lesson.stem[:2])}. ")
    header = " ".join(re.sub("^# ", "", line) for line in header.splitlines())
    assert re.fullmatch(r"\*Needs .* Reading \d+ minutes, exercises \d+ minutes, estimated\. "
                        r"Runs \d+ seconds\.\*", header)
    said = dict(sections)
    assert 1 <= len(re.findall("^# - ", said["Notice"], re.MULTILINE)) <= 5
    assert f"python -m lessons.check {int(lesson.stem[:2])}`" in said["Exercises"]
    assert "estimated" in said["Exercises"] and "★" in said["Exercises"]
    assert len(text.splitlines()) <= 250
    assert calls_of(lesson, "predict") and "assert " in said["Check"]
    assert "inspect.getsource(" in said["Read the code"]


@each
def test_exercises_are_those_of_the_grader(lesson):
    """Each with its stars and minutes, and all of these are in the header."""
    text, number = text_of(lesson), str(int(lesson.stem[:2]))
    rows = re.findall(r"^# \| `(\w+)` \| (★+) \| (\d+) \|", text, re.MULTILINE)
    assert [(e.name, "★" * e.stars, str(e.minutes)) for e in find(number)] == rows
    minutes, = re.findall(r"exercises (\d+)\s+(?:# )?minutes", text)
    assert int(minutes) == sum(int(row[2]) for row in rows)


@each
def test_links_lead_somewhere(lesson):
    """From the notebook, which is what people read."""
    text = "".join("".join(cell["source"]) for cell in notebook_of(lesson)["cells"]
                   if cell["cell_type"] == "markdown")
    for target in re.findall(r"\]\(([^)#]+)[^)]*\)", text):
        assert (build.notebook_of(lesson).parent / target).exists(), target


@each
def test_imports(lesson):
    """The package, and what lessons share; no other lesson, and nothing of a learner's."""
    _, imports = code_of(lesson)
    assert {name for name in imports if name.startswith("lessons")} <= {
        "lessons.MINE", "lessons.RESULTS", "lessons.predict.predict", "lessons.show.show",
        "lessons.experiments.studies.STUDIES", "lessons.gallery",
        "lessons.grader.strict_cupy.counted", "lessons.grader.strict_cupy.in_the_place_of_cupy"}
    assert {name.partition(".")[0] for name in imports} <= {
        "minidsr", "lessons", "numpy", "matplotlib", "scipy", "hypothesis",
        *sys.stdlib_module_names}


@each
def test_notebook_is_that_of_the_source(lesson):
    """The same cells, and built since the last change; at most so large."""
    notebook, path = notebook_of(lesson), build.notebook_of(lesson)
    assert build.built_from(path) == build.digest(text_of(lesson)), "python -m lessons.build"
    assert path.stat().st_size <= build.BYTES
    cells = ["".join(cell["source"]) for cell in notebook["cells"]]
    kinds = [cell["cell_type"] for cell in notebook["cells"]]
    source = re.split(r"^# %%(?: |$)(.*)\n", text_of(lesson), flags=re.MULTILINE)[1:]
    assert kinds == ["markdown" if mark.startswith("[markdown]") else "code"
                     for mark in source[::2]]
    for kind, cell, text in zip(kinds, cells, source[1::2], strict=True):
        if kind == "markdown":
            text = re.sub("^# ?", "", text, flags=re.MULTILINE)
        assert cell.strip() == text.strip()


@each
def test_outputs(lesson):
    """Figures have words and show something, and are there once; nothing warns or fails."""
    outputs = [output for cell in notebook_of(lesson)["cells"]
               for output in cell.get("outputs", [])]
    assert {output.get("name") for output in outputs} <= {"stdout", None}
    assert {output["output_type"] for output in outputs} <= {"stream", "display_data"}
    pictures = [output for output in outputs if output["output_type"] == "display_data"]
    assert len(pictures) == len(calls_of(lesson, "show")) >= 1
    for picture in pictures:
        assert picture["data"].keys() == {"image/png", "text/plain"}
        assert len(picture["metadata"]["image/png"]["alt"].split()) > 10
        data = base64.b64decode("".join(picture["data"]["image/png"]))
        pixels = np.asarray(Image.open(io.BytesIO(data)).convert("L"))
        assert (pixels < 128).mean() > 0.002 and (pixels > 200).mean() > 0.2
    images = [tuple(picture["data"]["image/png"]) for picture in pictures]
    assert len(set(images)) == len(images)


def test_predictions_are_told_apart():
    """A name is of one prediction, made once and shown again later."""
    asked = Counter()
    for lesson in LESSONS:
        calls = calls_of(lesson, "predict")
        made = [call.args[0].value for call in calls if len(call.args) == 2]
        assert sorted(made) == sorted(call.args[0].value for call in calls if len(call.args) == 1)
        asked.update(made)
    assert set(asked.values()) == {1}


def test_there_are_lessons():
    numbers = [int(path.stem[:2]) for path in LESSONS]
    assert 7 in numbers and all(a < b for a, b in pairwise(numbers))
    assert {path.stem for path in LESSONS} == {
        path.stem for path in (build.FOLDER / "notebooks").glob("*.ipynb")}
