"""Figures are the same whatever the user has made of Matplotlib; they show what they say in words,
and their lines can be told apart."""

import os
import subprocess
import sys
from itertools import combinations
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from studies import made

from minidsr.methods import METHODS
from minidsr.run import compare, compare_figures, figures, style
from minidsr.run.history import History

HOSTILE = """\
text.usetex: True
backend: template
font.family: serif
font.size: 20
axes.grid: False
axes.facecolor: black
axes.prop_cycle: cycler(color=["red"])
axes.formatter.use_locale: True
figure.dpi: 30
figure.figsize: 1, 1
figure.constrained_layout.use: False
lines.linewidth: 9
savefig.dpi: 20
savefig.format: svg
savefig.bbox: tight
savefig.transparent: True
svg.fonttype: none
image.cmap: magma
"""
KINDS = ("png", "svg", "alt.txt")


def history():
    """Two tensors, two reallocations, an epoch."""
    found = History()
    said = {"free_parameters": 12, "explored": 0.25}
    found.add("setup", 0, tensors=[{"name": name, "size": 20, "active": 6} for name in "ab"],
              **said)
    for step, active in ((1, [5, 7]), (2, [4, 8])):
        found.add("reallocation", step, H=0.5 / step, K=2 + step, N_p=4, delta=0.1, active=active,
                  **said)
    found.add("epoch", 3, epoch=1, test_accuracy=50.0, active=[4, 8], **said)
    return found


def drawn(folder):
    """{name: bytes} of all four figures."""
    pngs = {path.name for path in figures.plot({"dsr": history()}, folder)}
    assert pngs == {"accuracy.png", "exploration.png", "sparsity-dsr.png", "threshold-dsr.png"}
    found = {path.name: path.read_bytes() for path in folder.iterdir()}
    assert found.keys() == {f"{Path(png).stem}.{kind}" for png in pngs for kind in KINDS}
    return found


@pytest.fixture(scope="module")
def plain(tmp_path_factory):
    """The figures as they should be."""
    return drawn(tmp_path_factory.mktemp("figures"))


# --- Matplotlib's settings


@pytest.mark.slow
def test_a_style_of_ones_own_changes_nothing(plain, tmp_path):
    import matplotlib

    (tmp_path / "matplotlibrc").write_text(HOSTILE)
    with matplotlib.rc_context(fname=tmp_path / "matplotlibrc"):
        theirs = dict(matplotlib.rcParams)
        assert drawn(tmp_path / "hostile") == plain
        assert dict(matplotlib.rcParams) == theirs


@pytest.mark.slow
def test_no_backend_is_needed(plain, tmp_path):
    """In a new process, in a folder with a matplotlibrc, where MPLBACKEND is a typing error."""
    import matplotlib

    (tmp_path / "matplotlibrc").write_text(HOSTILE)
    code = ("import sys; sys.path[:0] = sys.argv[1:]\n"
            "from pathlib import Path; from test_figures import drawn; drawn(Path('hostile'))")
    here, fonts = Path(__file__).parent, matplotlib.get_configdir()
    done = subprocess.run(
        [sys.executable, "-c", code, *map(str, (here.parents[1], here.parent, here))],
        env=os.environ | {"MPLBACKEND": "no such", "MPLCONFIGDIR": fonts},
        cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    for name, content in plain.items():
        assert (tmp_path / "hostile" / name).read_bytes() == content


# --- what a figure says in words


@pytest.mark.slow
def test_figures_of_a_run_in_words(plain):
    said = {name: content.decode() for name, content in plain.items() if name.endswith(".txt")}
    assert said["accuracy.alt.txt"] == (
        "Test accuracy by epoch. dsr, 12 free parameters: 50.0 % after epoch 1, 50.0 % after epoch "
        "1.\n")
    assert "dsr: from 0.25 to 0.25." in said["exploration.alt.txt"]
    assert "a: from 70.0 to 80.0. b: from 70.0 to 60.0." in said["sparsity-dsr.alt.txt"]
    assert "H begins at 0.5 and ends at 0.25. K goes from 3 to 4, at most 4; 1 times it is within "\
        "10 % of the target N_p = 4." in said["threshold-dsr.alt.txt"]


def test_what_is_watched():
    """Validation accuracy where there is one: then only the last epoch has a test accuracy."""
    run = made(accuracy=80.0).history
    assert figures.watched(run) == ("test", [40.0, 80.0])
    for epoch, accuracy in zip(run.epochs, (30.0, 70.0), strict=True):
        epoch["validation_accuracy"] = accuracy
    del run.epochs[0]["test_accuracy"]
    assert figures.watched(run) == ("validation", [30.0, 70.0])


@pytest.fixture(scope="module")
def compared(tmp_path_factory):
    """(folder, its figures' stems) of a study: methods, sparsities, stop epochs and two seeds, of
    which only the DSR runs are recorded."""
    runs = [made(method, seed, 60.0 + seed, sparsity=sparsity, free=free)
            for method in ("static", "set", "dsr") for seed in (0, 2)
            for sparsity, free in ((0.8, 200), (0.9, 100))]
    runs += [made("dense", 0, 70.0, free=1000)]
    runs += [made("dsr", seed, 50.0 + seed, stop_epoch=1) for seed in (0, 2)]
    folder = tmp_path_factory.mktemp("compared")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(compare.Result, "ages", property(
            lambda result: [(100, 0), (60, 45), (80, 40)] * (result.config.method == "dsr")))
        return folder, [p.stem for p in compare_figures.plot(compare.grouped(runs)[0], folder)]


@pytest.mark.slow
def test_figures_that_compare(compared):
    folder, names = compared
    assert names == ["accuracy", "budget", "layers", "density", "exploration", "threshold",
                     "between", "age", "stop"]
    assert {p.name for p in folder.iterdir()} == {f"{n}.{kind}" for n in names for kind in KINDS}


@pytest.mark.slow
@pytest.mark.parametrize(("name", "said"), [
    ("accuracy", "dsr, sparsity 0.8, stop epoch default: 61.0 % after epoch 2, the seeds from 60.0 "
     "to 62.0."),
    ("budget", "set, free parameters 200: 61.0 ± 12.7 %. "),
    ("budget", "dense, free parameters 1,000: 70.0 %. "),
    ("layers", "static, sparsity 0.8: conv1 10.0, conv2 10.0."),
    ("layers", "dsr, sparsity 0.8, stop epoch default: conv1 15.0, conv2 6.7."),
    ("density", "conv1 from 10.0 to 15.0, conv2 from 10.0 to 6.7."),
    ("exploration", "set, sparsity 0.9: from 20.0 to 30.0, at most 30.0."),
    ("threshold", "seed 2: H from 0.5 to 0.5, K from 100 to 60 of N_p = 100."),
    ("between", "set, sparsity 0.9: from 20.0 to 0.0, at most 20.0."),
    ("age", "the seeds, in %. dsr, sparsity 0.8, stop epoch default: from 75.0 to 50.0, at "
     "most 75.0."),
    ("stop", "dsr, stop epoch 1: 51.0 ± 12.7 %."), ("stop", "dsr, stop epoch 1.9: 61.0 ± 12.7 %.")])
def test_figures_that_compare_in_words(compared, name, said):
    """t is 12.71 for two seeds, whose means differ by 1 from each: ± 12.7."""
    assert said in (compared[0] / f"{name}.alt.txt").read_text()


@pytest.mark.slow
def test_no_figure_is_blank(compared):
    """A good share of the pixels is neither white nor the grey of grids."""
    from matplotlib.image import imread

    for name in compared[1]:
        picture = imread(compared[0] / f"{name}.png")[..., :3]
        assert 0.005 < (picture.min(2) < 0.6).mean() < 0.9, name


@pytest.mark.slow
def test_a_study_of_one_dense_run(tmp_path):
    paths = compare_figures.plot(compare.grouped([made("dense")])[0], tmp_path)
    assert [path.stem for path in paths] == ["accuracy", "budget"]


# --- how lines look


def test_every_method_has_its_look_in_every_figure():
    alone = {method: style.lines([method])[method] for method in METHODS}
    assert style.lines(reversed(METHODS)) == alone
    assert style.lines(["dsr, growth room"])["dsr, growth room"] == alone["dsr"]


@given(labels=st.lists(st.sampled_from([f"{method}{rest}" for method in (*METHODS, "mine", "yours")
                                        for rest in ("", ", a 1", ", a 2", ", a 3")]),
                       unique=True, max_size=20))
def test_no_two_lines_look_alike(labels):
    """Nor do two of one colour have the same dashes and marks; so they differ in grey."""
    looks = style.lines(labels)
    assert list(looks) == labels
    for a, b in combinations(looks.values(), 2):
        assert [a[k] for k in ("color", "linestyle", "marker")] != [
            b[k] for k in ("color", "linestyle", "marker")]


def test_our_methods_differ_in_mark():
    """Also without any colour; and the two compared most differ in dashes."""
    assert len({mark for _, _, mark in style.OWN.values()}) == len(METHODS)
    assert style.OWN.keys() == METHODS.keys()
    assert style.OWN["dsr"][1] != style.OWN["static"][1]


MACHADO = {  # Machado, Oliveira and Fernandes 2009, severity 1; of linear RGB
    "protan": [[0.152286, 1.052583, -0.204868], [0.114503, 0.786281, 0.099216],
               [-0.003882, -0.048116, 1.051998]],
    "deutan": [[0.367322, 0.860646, -0.227968], [0.280085, 0.672501, 0.047413],
               [-0.011820, 0.042940, 0.968881]],
    "tritan": [[1.255528, -0.076749, -0.178779], [-0.078411, 0.930809, 0.147602],
               [0.004733, 0.691367, 0.303900]]}


@pytest.mark.parametrize("kind", MACHADO)
def test_static_and_dsr_are_two_colours_to_everyone(kind):
    from matplotlib.colors import to_rgb

    seen = []
    for method in ("static", "dsr"):
        rgb = np.array(to_rgb(style.OWN[method][0]))
        linear = np.where(rgb <= 0.04045, rgb / 12.92, ((rgb + 0.055) / 1.055) ** 2.4)
        seen.append(np.clip(np.array(MACHADO[kind]) @ linear, 0, 1))
    assert np.abs(seen[0] - seen[1]).max() > 0.2


# --- labels at line ends


@given(heights=st.lists(st.floats(0, 1), min_size=1, max_size=12).map(sorted),
       gap=st.floats(0.01, 0.1))
def test_labels_do_not_overlap_and_stay_near(heights, gap):
    """In their order, a gap apart; none moves where all are apart; the mean stays."""
    moved = style.spread(heights, gap)
    assert all(b - a >= gap - 1e-9 for a, b in zip(moved, moved[1:], strict=False))
    assert np.mean(moved) == pytest.approx(np.mean(heights))
    if all(b - a > gap + 1e-9 for a, b in zip(heights, heights[1:], strict=False)):
        assert moved == pytest.approx(heights)


def test_a_label_stands_where_its_line_ends():
    from matplotlib.figure import Figure

    axes = Figure(figsize=(7, 4.2), layout="constrained").add_subplot()
    axes.set(xlim=(0, 10), ylim=(1, 1000), yscale="log")
    style.label_ends(axes, [("a", 10, 10.0, "black"), ("b", 5, 10.0, "#56B4E9")])
    (_, low), (_, high) = [text.get_position() for text in axes.texts]
    assert [text.get_text() for text in axes.texts] == ["a", "b"]
    assert (low + high) / 2 == pytest.approx(1 / 3) and 0.04 < high - low < 0.08
