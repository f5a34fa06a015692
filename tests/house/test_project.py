"""What the project says of itself is true: requirements, pages, their links, numbers and Python."""

import ast
import inspect
import json
import re
import runpy
import shlex
import shutil
import subprocess
import sys
import tarfile
import tomllib
import zipfile
from collections import Counter
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path
from statistics import fmean, median, stdev
from unittest.mock import patch

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from lessons import RESULTS
from lessons.experiments import findings, pages, speed, tables
from lessons.experiments.figures import DRAWN
from lessons.experiments.studies import STUDIES
from minidsr import build, load
from minidsr.__main__ import main
from minidsr.methods import METHODS
from minidsr.proof import invariants
from minidsr.reparam import reallocate
from minidsr.run import compare
from minidsr.run.compare import interval, interval_apart

ROOT = Path(__file__).parents[2]
sys.path.insert(0, str(ROOT / "tests" / "benchmarks"))
import state_memory  # noqa: E402

PAGES = [ROOT / "README.md", *sorted((ROOT / "lessons").glob("*.md"))] + sorted(
    page for folder in ("lessons/notes", "lessons/results", "lessons/gallery", "tests", ".github")
    for page in (ROOT / folder).rglob("*.md"))


def read(path):
    """The text of a file, by its path from the root, or from anywhere."""
    return (ROOT / path).read_text(encoding="utf-8")


BENCHMARKS = [record / "speed.md" for record in speed.RECORDS.values()]
README = read("README.md")


def blocks(text):
    """The blocks of Python on a page."""
    return re.findall(r"^```python\n(.*?)^```", text, re.DOTALL | re.MULTILINE)


def without_code(text):
    """A page without its blocks of code."""
    return re.sub(r"^```.*?^```", "", text, flags=re.DOTALL | re.MULTILINE)


def section(page, heading):
    """What stands below a heading of the second level, up to the next one."""
    return re.search(rf"^## {heading}\n(.*?)(?=^## |\Z)", page, re.DOTALL | re.MULTILINE)[1]


def slug(heading):
    """The anchor that GitHub makes of a heading."""
    words = re.sub(r"\[([^]]*)\]\([^)]*\)", r"\1", heading)
    return re.sub(r"[^\w\- ]", "", words.lower()).replace(" ", "-")


def anchors(text):
    """All anchors of a page; of equal headings the second has -1 at its end."""
    found, seen = set(), Counter()
    for heading in re.findall(r"^#+ (.+)$", without_code(text), re.MULTILINE):
        name = slug(heading)
        found.add(f"{name}-{seen[name]}" if seen[name] else name)
        seen[name] += 1
    return found


def test_requirements_are_those_of_the_package():
    project = tomllib.loads(read("pyproject.toml"))["project"]
    extras = project["optional-dependencies"]
    named = project["dependencies"] + extras["fast"] + extras["test"]
    lines = read("requirements.txt").splitlines()
    assert [line for line in lines if not line.startswith("#")] == named


@pytest.mark.slow
def test_what_is_packed(tmp_path):
    """The sdist is the whole project, from which the tests run; the wheel is the package alone."""
    if int(version("setuptools").split(".")[0]) < 77:
        pytest.skip("needs setuptools 77: pip install -U setuptools")
    folders = {name: [path for path in sorted((ROOT / name).rglob("*"))
                      if path.is_file() and not {"__pycache__", "mine"} & {*path.parts}]
               for name in ("minidsr", "lessons", "tests", ".binder", ".ci", ".devcontainer",
                            ".github")}
    alone = (".editorconfig", ".gitignore", ".pre-commit-config.yaml", "CITATION.cff", "LICENSE",
             "MANIFEST.in", "README.md", "pyproject.toml", "requirements.txt")
    for path in (*sum(folders.values(), []), *(ROOT / name for name in alone)):
        copy = tmp_path / "copy" / path.relative_to(ROOT)
        copy.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(path, copy)
    code = ("from setuptools import build_meta as build\n"
            "print(build.build_sdist('..'), build.build_wheel('..'))")
    done = subprocess.run([sys.executable, "-c", code], cwd=tmp_path / "copy", capture_output=True,
                          text=True, check=False)
    assert done.returncode == 0, done.stderr
    sdist, wheel = done.stdout.split()[-2:]
    with tarfile.open(tmp_path / sdist) as archive:
        packed = {m.name.partition("/")[2] for m in archive if m.isfile()}
    whole = {str(path.relative_to(ROOT)) for path in sum(folders.values(), [])} | {*alone}
    assert {name for name in packed - whole if "egg-info" not in name} <= {"PKG-INFO", "setup.cfg"}
    assert not whole - packed
    with zipfile.ZipFile(tmp_path / wheel) as archive:
        packed = {name for name in archive.namelist() if ".dist-info/" not in name}
    assert packed == {str(path.relative_to(ROOT)) for path in folders["minidsr"]}


def test_plain_cupy_is_asked_for_nowhere():
    text = read("pyproject.toml") + read("requirements.txt")
    assert not re.search(r"^\s*\"?cupy\b(?!-cuda)", text, re.MULTILINE)


def test_the_readme_is_short():
    assert len(README.splitlines()) <= 220


def test_the_readme_shows_reallocate_as_it_is():
    """But for its docstring."""
    source = inspect.getsource(reallocate)
    docstring = ast.parse(source).body[0].body[0]
    lines = source.splitlines(keepends=True)
    del lines[docstring.lineno - 1:docstring.end_lineno]
    shown, = (block for block in blocks(README) if block.startswith("def reallocate("))
    assert shown == "".join(lines)


def test_the_example_of_the_readme_runs(capsys):
    code, = (block for block in blocks(README) if "import Sparse, reallocate" in block)
    exec(code, {})
    assert "pruned=[1], grown=[1], active=[4]" in capsys.readouterr().out


def test_the_training_by_hand_runs():
    code, = (block for block in blocks(read("lessons/notes/methods.md")) if "sgd.lr" in block)
    names = {}
    exec(code, names)
    assert names["t"] == 1 and 1 < names["loss"] < 5


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::FutureWarning")  # PyTorch's own, of what it uses for ONNX
def test_a_trained_network_is_used_as_the_page_says(tmp_path, monkeypatch, shapes):
    """All of the page in one go, but for what needs a library that is not installed."""
    monkeypatch.chdir(tmp_path)
    shapes(550, 50)
    Image.fromarray(np.random.default_rng(0).integers(0, 256, (40, 60, 3), np.uint8)).save("a.png")
    names, page = {}, read("lessons/notes/use_a_run.md")
    for kind, code in re.findall(r"^```(python|sh)\n(.*?)^```", page, re.DOTALL | re.MULTILINE):
        absent = [library for library in ("torch", "onnx", "safetensors")
                  if re.search(rf"\b{library}\b", code) and not find_spec(library)]
        if kind == "sh":
            commands = [shlex.split(line, comments=True) for line in code.splitlines()]
            assert [main(words[3:]) for words in commands if ".safetensors" not in words[-1]
                    or not absent] == [0] * (len(commands) - len(absent))
        elif not absent:
            exec(code, names)
    assert names["trainer"].t == names["trainer"].total_steps
    assert load("runs/mine").history.records == names["history"].records


@pytest.mark.slow
def test_every_method_has_its_rows():
    """In the table of methods, with the memory of its training state; and in README."""
    page = read("lessons/notes/methods.md")
    rows = re.findall(r"^\| `([\w-]+)`[^|]*\|.*\| ([\d.]+)(?: \(([\d.]+)\))? \|$",
                      section(page, "What moves"), re.MULTILINE)
    assert [row[0] for row in rows] == list(METHODS)
    for method, memory, peak in rows:
        measured = [f"{numbers:.1f}" for numbers in state_memory.measure(method)]  # end, most
        assert measured == [memory, peak or memory], method
        assert f"`{method}`" in section(README, "Methods")


def test_every_option_has_its_row():
    """That is an option on the command line, and not the length of training."""
    page = read("lessons/notes/methods.md")
    for name in {name for method in METHODS.values() for name in method.options()}:
        flag = "--no-keep-one" if name == "keep_one" else f"--{name.replace('_', '-')}"
        assert re.search(rf"^\| .*`{flag}`.* \|", section(page, "Options"), re.MULTILINE), flag


def last_epoch(record):
    """What the last epoch of a record in lessons/results says."""
    lines = read(f"lessons/results/{record}").splitlines()
    return [entry for entry in map(json.loads, lines) if entry["kind"] == "epoch"][-1]


def test_table_of_shapes_is_that_of_the_records():
    rows = re.findall(r"^\| (.*) \| ([\d., ]+) \| ([\d.]+) ± ([\d.]+) \| ([\d.]+) \|$",
                      section(read("lessons/results/README.md"), "Drawn shapes, five seeds each"),
                      re.MULTILINE)
    assert len(rows) == 5
    for method, each, *said in rows:
        name = {"static, by ERK": "erk-static"}.get(method, method.lower())
        lasts = [last_epoch(f"shapes-small-cnn/{name}-0.95-{i}/metrics.jsonl") for i in range(5)]
        found = [last["test_accuracy"] for last in lasts]
        assert each.split(", ") == [f"{a:.2f}" for a in found]
        explored = fmean(last["explored"] for last in lasts)
        assert said == [f"{fmean(found):.2f}", f"{stdev(found):.2f}", f"{explored:.2f}"]


def test_table_of_masks_is_that_of_the_records():
    rows = re.findall(r"^\| ([\d.e-]+) \| ([\d., ]+) \| ([\d.]+) \| ([\d., ]+) \|$",
                      section(read("lessons/results/README.md"), "Drawn shapes, trainable masks"),
                      re.MULTILINE)
    assert len(rows) == 6
    for alpha, each, mean, accuracies in rows:
        lasts = [last_epoch(f"shapes-trainable-masks/dst-alpha_{alpha}-{i}/metrics.jsonl")
                 for i in range(3)]
        left = [100 * sum(last["active"]) / 69_120 for last in lasts]
        assert each.split(", ") == [f"{percent:.1f}" for percent in left]
        assert mean == f"{fmean(left):.1f}"
        assert accuracies.split(", ") == [f"{last['test_accuracy']:.2f}" for last in lasts]


def test_tables_of_experiments_are_those_of_the_records():
    texts = [path.read_text(encoding="utf-8") for path in pages.PAGES]
    found = [block for text in texts for block in pages.BLOCK.findall(text)]
    assert {name for _, what, name, _ in found if what == "table"} == set(STUDIES)
    assert all((pages.FIGURES / f"{name}_{what}.png").exists() for _, what, name, _ in found
               if what in DRAWN)
    assert [pages.page(path) for path in pages.PAGES] == texts


def test_the_short_table_of_speed_is_of_the_long_one(tmp_path):
    """By hand: PyTorch's fastest form is torch.compile here, though none has 1.00."""
    (tmp_path / "speed.md").write_text("""# Speed\n\nAMD, torch 2.13.0+cpu; and more.

## Whole networks, by turns.

`wrn-28-2`, batch 100, ms:

| contender | training step | × PyTorch | forward | × PyTorch | images/s, step |
| --- | --- | --- | --- | --- | --- |
| PyTorch, NCHW | 40.1 (39 to 50) | 0.90 | 9.9 (9 to 10) | 1.00 | 1 |
| PyTorch, torch.compile | 38.0 (30 to 60) | 0.98 | 9.8 (9 to 10) | 0.99 | 1 |
| plain, dense | 100 (90 to 110) | 0.38 | 30 (29 to 31) | 0.33 | 1 |
| blocked, dense | 50 (49 to 51) | 0.75 | 15 (14 to 16) | 0.60 | 1 |
| sparse, DSR 0.9 | 19 (18 to 20) | 2.01 | 5.1 (5 to 6) | 1.90 | 1 |
| sparse, DSR 0.99 | 9.5 (9 to 10) | 4.01 | 2.5 (2 to 3) | 3.90 | 1 |

`wrn-16-1`, batch 100, ms:

## A training step against sparsity.

The sparse engine takes as long as blocked at density 0.62, as PyTorch at density 0.25.

""", encoding="utf-8")
    table = speed.steps(tmp_path).splitlines()
    assert table[2] == "| PyTorch 2.13, dense, torch.compile | 38.0 | 0.98 | 9.8 | 0.99 |"
    assert table[-1].endswith(" | 19 | 2.01 | 5.1 | 1.90 |") and len(table) == 6
    assert speed.networks(tmp_path).endswith("`wrn-16-1`, batch 100, ms:")
    assert speed.describe(tmp_path).endswith("blocked at sparsity 0.38 and PyTorch at 0.75.")
    whole = (tmp_path / "speed.md").read_text(encoding="utf-8")
    (tmp_path / "speed.md").write_text(whole.replace("0.25.", "never."), encoding="utf-8")
    with pytest.raises(ValueError, match="no crossing"):
        speed.describe(tmp_path)


def test_parts_of_a_step_are_medians_of_the_profiles(tmp_path):
    """By hand: of three profiles; convolutions are of two kinds, and all parts make a step."""
    run = speed.by_kind({"profile": {"parts": [
        {"part": "a", "unit": "Conv", "ms": 1}, {"part": "b", "unit": "Conv", "ms": 2},
        {"part": "c", "unit": "NormConv", "ms": 4}, {"part": "loss", "unit": None, "ms": 8}]}})
    assert run == {"Conv": 3, "NormConv": 4, "loss": 8}
    runs = [run, run | {"Conv": 30}, run | {"Conv": 6}]
    (tmp_path / "profile.json").write_text(json.dumps(
        {"before": {"0.9": runs, "0.99": [run]}, "after": {"0.9": [run], "0.99": runs[1:2]}}))
    header, _, convolutions, *_, step = speed.parts(tmp_path).splitlines()
    assert header == "| ms | 0.9, before | 0.9, after | 0.99, before | 0.99, after |"
    assert convolutions.endswith(" | 10.0 | 7.0 | 7.0 | 34.0 |")
    assert step == "| a step | 18.0 | 15.0 | 15.0 | 42.0 |"


def test_numbers_in_the_note_on_speed_are_those_of_the_record():
    record = speed.RECORDS["speed-avx512"]
    found = json.loads((record / "speed.json").read_text(encoding="utf-8"))
    note = " ".join(read("lessons/notes/speed.md").split())
    mib = {name: f"{(peak - before) / 2**20:.0f}" for name, (before, peak) in (
        (key.removeprefix("memory/"), value) for key, value in found.items()
        if key.startswith("memory/"))}
    assert (f"PyTorch {mib['PyTorch, channels-last']} (channels-last) and {mib['PyTorch, NCHW']}, "
            f"`blocked` {mib['blocked, dense']}, `sparse` at sparsity 0.9 "
            f"{mib['sparse, DSR 0.9']}," in note)
    for model, digits in (("wrn-28-2", (".1f",) * 6), ("resnet50", (".0f",) * 5 + (".1f",))):
        held = [found[f"state/{model}/{case}"] for case in (
            "dense", "masks on dense", 0.5, 0.8, 0.9, 0.99)]
        cells = [f"{(h['arrays'] + h['indices']) / 2**20:{d}}"
                 for h, d in zip(held, digits, strict=True)]
        assert f"| `{model}` | {' | '.join(cells)} |" in note
    steps = [{name: float(cells[0].partition(" (")[0]) for name, cells in rows.items()}
             for rows in (speed.rows(record, "wrn-28-2") for record in speed.RECORDS.values())]
    with_avx512, with_avx2 = steps
    slower = [f"{with_avx2[name] / with_avx512[name]:.1f} times" for name in (
        "PyTorch, channels-last", "sparse, DSR 0.9")]
    assert (f"of PyTorch takes {slower[0]} as long as with AVX-512, sparse training at 0.9 "
            f"{slower[1]}:" in note)
    alone, together = found["networks/wrn-28-2"]["step"], found["sparsity"]
    ratios = [min(median(times) for name, times in of.items() if name.startswith("PyTorch"))
              / median(of[sparse]) for of, sparse in (
                  (alone, "sparse, DSR 0.9"), (together, "sparse 0.9"))]
    assert f"0.9 is {ratios[1]:.1f} times as fast as its own there, not {ratios[0]:.1f}." in note
    assert f"as in the figure, the last line is {ratios[1]:.1f}." in " ".join(README.split())
    once, large, batch = (median(found[name]) for name in (
        "reallocation/wrn-28-2", "reallocation/resnet50", "loading"))
    assert f"`reallocate` takes {1e3 * once:.0f} ms for `wrn-28-2`, {large:.2f} s" in note
    shares = [100 * batch / median(found[f"networks/{model}"]["step"]["sparse, DSR 0.99"])
              for model in ("wrn-28-2", "wrn-16-1")]
    assert (f"takes {1e3 * batch:.1f} ms to load and augment: {shares[0]:.1f} % of the fastest of "
            f"these steps, {shares[1]:.1f} % of" in note)


def test_readme_says_from_which_sparsity_on_sparse_is_faster():
    *_, torch = speed.crossings(speed.RECORDS["speed-avx512"])
    assert f"from a sparsity of about {torch:.2f} on" in " ".join(README.split())


def test_a_difference_of_an_experiment_is_that_of_equal_seeds():
    """By hand, of the runs as they are recorded: 82.40 - 77.20, and so on."""
    why = STUDIES["why"]
    assert np.allclose(why.differences("fresh-static-0.95"),
                       [5.2, -1.1, -8.6, -6.1, -3.4])
    mean, half = interval([5.2, -1.1, -8.6, -6.1, -3.4])
    assert f"| {mean:+.2f} ± {half:.2f} |" in tables.table(why)


def test_gains_that_lessons_tell_are_those_of_the_records():
    by_kind = {}
    for result in compare.read([RESULTS / "shapes-small-cnn"])[0]:
        kind, _, seed = result.path.name.rpartition("-")
        by_kind.setdefault(kind, {})[seed] = result.last["test_accuracy"]
    mean, half = interval([by_kind["dsr-0.95"][seed] - accuracy
                           for seed, accuracy in by_kind["static-0.95"].items()])
    for lesson, words in (
            ("00_see_it_move", f"gains {mean:.1f} points over weights that stay where they are, "
                               f"with an interval from {mean - half:.1f} to {mean + half:.1f}."),
            ("06_sparse_from_the_start", f"DSR gains {mean:.1f} points over uniform (95 %")):
        assert words in " ".join(read(f"lessons/{lesson}.py").replace("\n#", " ").split())
    mean, half = interval([-d for d in STUDIES["origin"].differences("static-0.95")])
    assert f"ended {mean:.1f} ± {half:.1f} points higher" in read(
        "lessons/11_why_does_it_work.py")


def test_a_difference_from_what_is_published_is_that_of_the_records():
    """By hand, of the runs as they are recorded, and of the published mean, deviation and n."""
    mnist = STUDIES["mnist"]
    each = [98.07, 98.30, 98.09]
    assert list(mnist.accuracies("dsr-0.98").values()) == each
    mean, half = interval_apart((fmean(each), stdev(each), 3), (98.14, 0.14, 5))
    assert (f"| 98.15 ± 0.13, n = 3 | 98.14 ± 0.14, n = 5 | {mean:+.2f} ± {half:.2f} |"
            in tables.published(mnist))


@given(st.floats(-3, 3), st.floats(0.01, 3), st.sampled_from([None, 0.5, 1]))
def test_a_finding_is_judged_by_its_whole_interval(mean, half, margin):
    """Against points of the interval: all as expected, none, or some; is 0 one of them?"""
    finding = findings.Finding("", "", margin, ())
    points = np.append(np.linspace(mean - half, mean + half, 101), 0.0)
    points = points[np.abs(points - mean) <= half]
    expected = points > 0 if margin is None else np.abs(points) < margin
    verdict = finding.verdict(findings.Measured("", (mean, half), 3))
    assert (verdict == findings.DOES_NOT) == (not expected.any())
    if margin is None:
        assert (verdict == findings.AGREES) == expected.all()
    else:
        assert (verdict == findings.AGREES) == (expected.all() and 0 in points)
        assert verdict != findings.DIFFERS or expected.any() and 0 not in points
        assert verdict != findings.CANNOT_TELL or not expected.all() and 0 in points


def test_newborns_that_are_spared_come_through():
    """And where none is spared, those that do not come through are among the pruned."""
    study = STUDIES["exploration"]
    for kind in study.rows:
        for run in study.lives(kind).values():
            assert (run["faced"] == run["survived"]) == kind.startswith("protected"), kind
            assert run["faced"] - run["survived"] <= run["died"].get("1", 0), kind
            assert run["faced"] <= run["grown"] and run["kept"] <= run["alive"] == 3454, kind


def test_the_authors_compressed_keeps_a_tenth_of_the_last_layer():
    with patch.dict(METHODS):
        runpy.run_path(str(RESULTS / "mnist/compressed.py"))
        method = METHODS["compressed"](epochs=39, steps_per_epoch=600, sparsity=0.99)
    rng = np.random.default_rng(0)
    method.setup(build("lenet-300-100", image=(1, 28, 28), classes=10, rng=rng), rng)
    assert method.final == [2272, 290, 100]  # 2,662 in all; 2,562 in proportion to 235,200 : 30,000


def test_every_invariant_has_its_row():
    page = read("tests/README.md")
    names = {i.__name__ for rules in invariants.RULES.values() for i in rules.all}
    assert len(names) >= 40
    for name in names:
        assert f"| `{name}` |" in section(page, "Properties"), name


def test_files_that_the_tests_page_names_are_there():
    table = section(read("tests/README.md"), "Properties")
    for path in re.findall(r"`([\w/]+\.py)`", table):
        assert any((ROOT / folder / path).exists() for folder in ("", "tests", "minidsr")), path


@pytest.mark.parametrize(("page", "link"), [
    (page, link) for page in PAGES
    for link in re.findall(r"\]\((?!https?:)([^)]+)\)", without_code(read(page)))],
    ids=lambda value: str(value.relative_to(ROOT)) if isinstance(value, Path) else value)
def test_links(page, link):
    path, _, anchor = link.partition("#")
    target = (page.parent / path).resolve() if path else page
    assert target.exists()
    assert target.is_relative_to(ROOT)
    if anchor:
        assert anchor in anchors(read(target))


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_long_pages_have_a_table_of_contents(page):
    """But README, which has three doors, and what a benchmark writes."""
    text = read(page)
    if len(text.splitlines()) <= 100 or page in (ROOT / "README.md", *BENCHMARKS):
        return
    for heading in re.findall(r"^## (.+)$", without_code(text), re.MULTILINE):
        assert f"](#{slug(heading)})" in text, heading


def test_anchors_are_those_of_github():
    text = "# Verify: ours, or yours\n\n## `a_b` [c](d)\n\n## Same\n## Same\n```sh\n# no\n```\n"
    assert anchors(text) == {"verify-ours-or-yours", "a_b-c", "same", "same-1"}


def test_version_is_said_once():
    import minidsr

    project = tomllib.loads(read("pyproject.toml"))["project"]
    assert project["version"] == minidsr.__version__
    assert f"version: {minidsr.__version__}" in read("CITATION.cff")
