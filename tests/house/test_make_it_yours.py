"""The page lessons/notes/make_it_yours.md: every block of it runs, in order, in one folder."""

import re
import shlex
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from minidsr import data
from minidsr.__main__ import main
from minidsr.data import DATASETS
from minidsr.run import directory
from minidsr.run.history import History

PAGE = Path(__file__).parents[2] / "lessons" / "notes" / "make_it_yours.md"
BLOCKS = re.findall(r"^```(\w+)\n(.*?)^```", PAGE.read_text(encoding="utf-8"),
                    re.DOTALL | re.MULTILINE)


@pytest.mark.slow
def test_every_block_runs(registries, monkeypatch, tmp_path, capsys):
    """On 200 drawn shapes. A block that begins with the name of a file is that file."""
    whole = data.load("synthetic")
    few = replace(whole, train_x=whole.train_x[:200], train_y=whole.train_y[:200],
                  test_x=whole.test_x[:100], test_y=whole.test_y[:100])
    monkeypatch.setitem(DATASETS, "synthetic", lambda data_dir: few)
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    for language, block in BLOCKS:
        name = re.match(r"# (\w+\.py)\n", block)
        if name:
            Path(name[1]).write_text(block)
        elif language == "python":
            exec(block, {})
        else:
            for line in block.splitlines():
                command = shlex.split(line)
                assert command[:3] == ["python", "-m", "minidsr"]
                assert ended(command[3:]) == 0, line
    capsys.readouterr()
    runs = {path.name for path in Path("runs").iterdir()}
    assert runs == {"mine", "mynet", "stripes", "npz", "folder", "imagenet", "cosine", "triangle"}
    assert directory.read_config("runs/mine").options == {"share": 0.3}
    for run in runs:
        assert len(History.load(Path("runs", run, "metrics.jsonl")).epochs) == 2
    stripes, npz = (directory.load(Path("runs", name, "checkpoint.npz"))
                    for name in ("stripes", "npz"))  # the same images
    for name in stripes.keys() - {"run"}:
        np.testing.assert_array_equal(stripes[name], npz[name])


def ended(argv):
    """The exit code of a command; --help raises SystemExit."""
    try:
        return main(argv)
    except SystemExit as stop:
        return stop.code or 0
