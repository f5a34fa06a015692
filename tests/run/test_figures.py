"""Figures are the same whatever the user has made of Matplotlib."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from minidsr.run import figures
from minidsr.run.history import History

pytestmark = pytest.mark.slow  # each draws all figures

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
image.cmap: magma
"""


def history():
    """Two tensors, two reallocations, an epoch."""
    found = History()
    said = {"free_parameters": 12, "explored": 0.25}
    found.add("setup", 0, tensors=[{"name": name, "size": 20, "active": 6} for name in "ab"],
              **said)
    for step, active in ((1, [5, 7]), (2, [4, 8])):
        found.add("reallocation", step, H=0.5 / step, K=3, N_p=4, active=active, **said)
    found.add("epoch", 3, epoch=1, test_accuracy=50.0, active=[4, 8], **said)
    return found


def drawn(folder):
    """{name: bytes} of all four figures."""
    found = {path.name: path.read_bytes() for path in figures.plot({"dsr": history()}, folder)}
    assert found.keys() == {"accuracy.png", "exploration.png", "sparsity-dsr.png",
                            "threshold-dsr.png"}
    assert found.keys() == {path.name for path in folder.iterdir()}
    return found


@pytest.fixture(scope="module")
def plain(tmp_path_factory):
    """The figures as they should be."""
    return drawn(tmp_path_factory.mktemp("figures"))


def test_a_style_of_ones_own_changes_nothing(plain, tmp_path):
    import matplotlib

    (tmp_path / "matplotlibrc").write_text(HOSTILE)
    with matplotlib.rc_context(fname=tmp_path / "matplotlibrc"):
        theirs = dict(matplotlib.rcParams)
        assert drawn(tmp_path / "hostile") == plain
        assert dict(matplotlib.rcParams) == theirs


def test_no_backend_is_needed(plain, tmp_path):
    """In a new process, in a folder with a matplotlibrc, where MPLBACKEND is a typing error."""
    import matplotlib

    (tmp_path / "matplotlibrc").write_text(HOSTILE)
    code = ("import sys; sys.path[:0] = sys.argv[1:]\n"
            "from pathlib import Path; from test_figures import drawn; drawn(Path('hostile'))")
    tests, fonts = Path(__file__).parent, matplotlib.get_configdir()
    done = subprocess.run([sys.executable, "-c", code, str(tests.parents[1]), str(tests)],
                          env=os.environ | {"MPLBACKEND": "no such", "MPLCONFIGDIR": fonts},
                          cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    for name, content in plain.items():
        assert (tmp_path / "hostile" / name).read_bytes() == content
