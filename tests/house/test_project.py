"""What the project says of itself is true: requirements, line counts, the README's Python."""

import re
import sys
import tomllib
from pathlib import Path

import pytest

from minidsr.methods import METHODS

ROOT = Path(__file__).parents[2]
sys.path.insert(0, str(ROOT / "tests" / "benchmarks"))
import state_memory  # noqa: E402

README = (ROOT / "README.md").read_text()


def test_requirements_are_those_of_the_package():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    extras = project["optional-dependencies"]
    named = project["dependencies"] + extras["fast"] + extras["test"]
    lines = (ROOT / "requirements.txt").read_text().splitlines()
    assert [line for line in lines if not line.startswith("#")] == named


def test_plain_cupy_is_asked_for_nowhere():
    text = (ROOT / "pyproject.toml").read_text() + (ROOT / "requirements.txt").read_text()
    assert not re.search(r"^\s*\"?cupy\b(?!-cuda)", text, re.MULTILINE)


def test_line_counts_in_the_readme():
    rows = re.findall(r"^\| `(minidsr/[\w./]+)` \| (\d+) \|", README, re.MULTILINE)
    assert len(rows) >= 10
    for path, lines in rows:
        assert int(lines) == len((ROOT / path).read_text().splitlines()), path


def test_the_table_of_methods_in_the_readme():
    """Every method has a row, with its lines of code and the memory of its training state."""
    section = README[README.index("## Every method"):README.index("## From Python")]
    rows = re.findall(r"^\| `([\w-]+)`[^|]*\| (\d+) \|.*\| ([\d.]+)(?: \(([\d.]+)\))? \|$",
                      section, re.MULTILINE)
    assert [row[0] for row in rows] == list(METHODS)
    for method, lines, memory, peak in rows:
        name = "base" if method == "dense" else method.replace("-", "_")
        path = ROOT / "minidsr" / "methods" / f"{name}.py"
        assert int(lines) == len(path.read_text().splitlines()), method
        measured = [f"{numbers:.1f}" for numbers in state_memory.measure(method)]  # end, most
        assert measured == [memory, peak or memory], method


@pytest.mark.parametrize("path", re.findall(r"\]\((?!https?:)([^)#]+)\)", README))
def test_links_in_the_readme(path):
    assert (ROOT / path).exists()


def test_the_readme_s_algorithm_runs(capsys):
    blocks = re.findall(r"```python\n(.*?)```", README, re.DOTALL)
    code = next(block for block in blocks if "reallocate" in block)
    exec(code, {})
    assert "pruned=[1], grown=[1], active=[4]" in capsys.readouterr().out


def test_version_is_said_once():
    import minidsr

    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    assert project["version"] == minidsr.__version__
    assert f"version: {minidsr.__version__}" in (ROOT / "CITATION.cff").read_text()
