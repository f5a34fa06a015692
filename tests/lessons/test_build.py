"""What builds the notebooks, on a lesson of a few lines: it runs apart, differences are seen."""

import json
import re
import sys
from copy import deepcopy

import pytest

from lessons import build

pytest.importorskip("jupytext", reason='needs jupytext: pip install -e ".[lessons]"')
nbformat = pytest.importorskip("nbformat", reason='needs nbclient: pip install -e ".[lessons]"')
pytest.importorskip("nbclient", reason='needs nbclient: pip install -e ".[lessons]"')


@pytest.fixture(scope="module", autouse=True)
def no_notebook_afterwards():
    """Who starts kernels loads what a notebook has, and a training would show its bar."""
    yield
    sys.modules.pop("ipykernel", None)


LESSON = """# %% [markdown]
# # A lesson

# %%
import os
import socket
import sys
from matplotlib.figure import Figure
import lessons
from lessons.predict import predict
from lessons.show import show
predict("how many", ...)
print(os.listdir(), lessons.MINE.samefile("."), sys.executable == EXECUTABLE)
for ask in (socket.getaddrinfo, lambda *where: socket.socket().connect(where)):
    try:
        ask("localhost", 1)
    except OSError as error:
        print(error)

# %%
predict("how many", 3)
figure = Figure(figsize=(1, 1))
figure.subplots().plot([1, 2])
show(figure, "line", alt="A line from 1 to 2.")

# %% tags=["varies"]
print(id(figure))
"""


@pytest.fixture(scope="module")
def notebook():
    found, fault = build.executed(LESSON.replace("EXECUTABLE", repr(sys.executable)))
    assert fault is None
    return found


@pytest.fixture
def copy(notebook):
    return deepcopy(notebook)


@pytest.mark.slow
def test_a_lesson_runs_apart(notebook):
    """In an empty folder, with no predictions, offline, in this Python."""
    said, = notebook.cells[1].outputs
    assert said.text.splitlines() == ["how many: you have not predicted it", "[] True True",
                                      "a lesson runs offline", "a lesson runs offline"]


@pytest.mark.slow
def test_a_figure_is_there_once_and_in_words(notebook):
    said, figure, words = notebook.cells[2].outputs
    assert said.text == "how many: you said 3\n"
    assert figure.data.keys() == {"image/png", "text/plain"}
    assert figure.metadata == {"image/png": {"alt": "A line from 1 to 2."}}
    assert words.text == "A line from 1 to 2.\n"


@pytest.mark.slow
def test_nothing_tells_when_or_where(notebook, tmp_path):
    """What is written has cells and outputs, the digest of the source, and no more."""
    path = tmp_path / "notebooks" / "lesson.ipynb"
    assert build.write(notebook, path) == []
    assert build.built_from(path) == build.digest(LESSON.replace("EXECUTABLE",
                                                                 repr(sys.executable)))
    written = json.loads(path.read_text(encoding="utf-8"))
    assert [cell["metadata"] for cell in written["cells"]] == [{}, {}, {}, {"tags": ["varies"]}]
    assert [cell["id"] for cell in written["cells"]] == ["cell-0", "cell-1", "cell-2", "cell-3"]
    assert written["metadata"].keys() == {"kernelspec", "language_info", "lesson"}
    assert written["metadata"]["language_info"] == {"name": "python"}


@pytest.mark.slow
def test_differences_are_seen(notebook, copy):
    assert build.differences(copy, notebook) == []
    copy.cells[3].outputs[0].text = "another\n"  # it varies
    assert build.differences(copy, notebook) == []
    copy.cells[1].outputs[0].text = "online"
    copy.cells[2].source += "  # changed"
    copy.cells[3].outputs = []
    lines = build.differences(copy, notebook)
    assert [line.split(" was ")[0] for line in lines] == [
        "cell 1: its output", "cell 2: its text", "cell 3: its output"]
    assert "online" in lines[0]
    copy.cells.pop()
    assert build.differences(copy, notebook) == ["3 cells are committed, the lesson has 4"]


@pytest.mark.slow
def test_a_notebook_that_warns_or_is_large_is_not_written(copy, tmp_path):
    path = tmp_path / "lesson.ipynb"
    copy.cells[1].outputs[0].text = "x" * build.BYTES
    assert re.fullmatch("30.,... bytes, and 300,000 are allowed", *build.write(copy, path))
    copy.cells[1].outputs[0].name = "stderr"
    copy.cells[1].outputs[0].text = "beware"
    assert build.write(copy, path) == ["a cell warns: beware"]
    assert not path.exists()


@pytest.mark.slow
def test_a_lesson_that_fails_is_not_written(tmp_path):
    path = tmp_path / "lesson.ipynb"
    fault, = build.build("# %%\nassert 1 == 2, 'not so'\n", path)
    assert re.match(r"cell 0: .*AssertionError: not so", fault, re.DOTALL)
    assert not path.exists()


def test_texts_in_a_row_are_one():
    """And no others: a picture between them, or another stream, keeps them apart."""
    out, err = {"name": "stdout", "text": "a"}, {"name": "stderr", "text": "b"}
    picture = {"data": {}}
    cell = nbformat.from_dict({"outputs": [out, out, picture, out, err, err, out]})
    build._join_texts(cell)
    assert [output.get("text") for output in cell.outputs] == ["aa", None, "a", "bb", "a"]


def test_what_has_not_changed_is_left_alone(monkeypatch, tmp_path, capsys):
    """--check compares it all the same; lessons that are named are built in any case."""
    source, ran = tmp_path / "01_short.py", []

    def executed(text):
        ran.append(text)
        cell = nbformat.v4.new_code_cell(text, id="cell-0", outputs=[
            nbformat.v4.new_output("stream", text=text.upper())])
        return nbformat.v4.new_notebook(
            cells=[cell], metadata={"lesson": {"source": build.digest(text)}}), None

    def main(*names, **flags):
        ran.clear()
        with pytest.raises(SystemExit) as end:
            build.main(names, **flags)
        return end.value.code, len(ran), capsys.readouterr().out

    monkeypatch.setattr(build, "FOLDER", tmp_path)
    monkeypatch.setattr(build, "executed", executed)
    source.write_text("one")
    code, runs, said = main(check=True)
    assert (code, runs) == (1, 0) and "there is no notebook" in said
    assert main()[:2] == (0, 1)
    assert main() == (0, 0, "01_short: not changed\n")
    assert main("1")[:2] == main(check=True)[:2] == (0, 1)
    source.write_text("two")
    code, runs, said = main(check=True)
    assert (code, runs) == (1, 1) and "its output was ['ONE'], and is ['TWO']" in said
    assert main()[:2] == (0, 1)
    assert main(check=True)[:2] == (0, 1)


def test_lessons_are_named_by_their_numbers():
    path, = build.chosen(["7"])
    assert path.name == "07_algorithm_1.py"
    with pytest.raises(ValueError, match="there is no lesson 77; there are .*7"):
        build.chosen(["7", "77"])
