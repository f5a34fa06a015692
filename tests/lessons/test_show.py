"""Figures and predictions of a lesson: where they are kept, and what is said of them."""

import json
import os
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from matplotlib.figure import Figure

import lessons
from lessons.predict import predict
from lessons.show import _in_notebook, show

PLAIN = st.recursive(st.integers(-2**60, 2**60) | st.floats(allow_nan=False, allow_infinity=False)
                     | st.text(), lambda plain: st.lists(plain, max_size=3), max_leaves=5)


@pytest.fixture(autouse=True)
def mine(monkeypatch, tmp_path):
    monkeypatch.setattr(lessons, "MINE", tmp_path / "a folder")
    return lessons.MINE


def test_a_figure_is_saved_and_said(mine, capsys):
    figure = Figure()
    figure.subplots().plot([1, 2])
    show(figure, "line", alt="""A line
        from 1 to 2.""")
    folder = mine / "figures"
    assert capsys.readouterr().out == f"figure: {folder / 'line.png'}\nA line from 1 to 2.\n"
    assert (folder / "line.alt.txt").read_text(encoding="utf-8") == "A line from 1 to 2.\n"
    assert {path.name for path in folder.iterdir()} == {"line.png", "line.svg", "line.alt.txt"}


@pytest.mark.parametrize("alt", ["", " \n"])
def test_a_figure_needs_words(alt, mine):
    with pytest.raises(ValueError, match="alt must say"):
        show(Figure(), "line", alt=alt)
    with pytest.raises(TypeError):
        show(Figure(), "line")
    assert not mine.exists()


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])  # it is made empty
@given(answers=st.dictionaries(st.text(), PLAIN, max_size=3))
def test_predictions_are_kept(answers, mine):
    mine.joinpath("predictions.json").unlink(missing_ok=True)
    for what, answer in answers.items():
        predict(what, answer)
    kept = json.loads((mine / "predictions.json").read_text("utf-8")) if answers else {}
    assert kept == answers


def test_a_prediction_is_shown_again(capsys, mine):
    predict("how many")
    predict("how many", ...)  # where the learner is yet to write one
    assert not mine.exists()
    predict("how many", 5, 3)
    predict("gains most", "conv3")
    predict("how many", ...)  # in a session after that
    assert capsys.readouterr().out.splitlines() == [
        "how many: you have not predicted it"] * 2 + [
        "how many: you said [5, 3]", "gains most: you said conv3", "how many: you said [5, 3]"]


@pytest.mark.parametrize("answer", [{1, 2}, float("nan"), object(), b"5"])
def test_what_is_no_prediction_is_refused(answer, mine):
    predict("how many", 5)
    with pytest.raises(ValueError, match="a prediction is a number or a text, or several"):
        predict("how many", answer)
    assert json.loads((mine / "predictions.json").read_text("utf-8")) == {"how many": 5}


@pytest.mark.parametrize("text", ["", "{", "[]"])
def test_a_damaged_file_is_named(text, mine):
    mine.mkdir()
    (mine / "predictions.json").write_text(text)
    with pytest.raises(ValueError, match=r"predictions\.json is damaged; delete it"):
        predict("how many", 5)


@pytest.mark.slow
def test_a_terminal_without_greek_is_no_hindrance(tmp_path):
    """The code that a lesson prints has letters that not every code page has."""
    done = subprocess.run(
        [sys.executable, "-c", "import lessons.show; print('δ, Σ m')"], cwd=tmp_path, check=True,
        capture_output=True, env=os.environ | {"PYTHONIOENCODING": "cp1252", "PYTHONPATH": str(
            Path(lessons.__file__).parents[1])})
    assert done.stdout.split() == [b"delta,", rb"\u03a3", b"m"]


@pytest.mark.parametrize(("shell", "there"), [
    (SimpleNamespace(kernel=None), True), (SimpleNamespace(), False), (None, False)])
def test_a_terminal_is_no_notebook(shell, there, monkeypatch):
    monkeypatch.setitem(sys.modules, "IPython", SimpleNamespace(get_ipython=lambda: shell))
    assert _in_notebook() is there
