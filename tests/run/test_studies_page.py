"""The page about studies: its files are studies, and its lines work in a shell."""

import re
import shlex
import subprocess
from pathlib import Path

import pytest

from minidsr.run import command_line
from minidsr.run.study import plan

PAGE = (Path(__file__).parents[2] / "lessons/notes/studies.md").read_text(encoding="utf-8")
COUNTS = (3 * (1 + 2 * 2), 2 * 4 * 3, 3 * (1 + 1 + 1 + 3))  # runs of the page's studies


def blocks(kind):
    return re.findall(rf"^```{kind}\n(.*?)^```", PAGE, re.DOTALL | re.MULTILINE)


def test_each_file_is_a_study(tmp_path):
    path = tmp_path / "study.toml"
    for text, count in zip(blocks("toml"), COUNTS, strict=True):
        path.write_text(text)
        assert len(plan(tmp_path / "out", {}, path)) == count
    assert "stopped-dsr-0.9-stop_epoch_5-2" in [run.name for run in plan("out", {}, path)]


def test_each_line_is_one_of_ours():
    found = re.findall(r"(?:python -m minidsr |`)(sweep [^`>\n]+)", PAGE)
    assert len(found) > 5
    for line in found:
        command_line._check_words(shlex.split(line))


@pytest.mark.slow
def test_each_way_to_run_commands(tmp_path):
    """A line of commands.txt is run by each of the three ways, as it is."""
    pipe, = (block for block in blocks("sh") if "xargs" in block)
    (tmp_path / "runs.mk").write_text(blocks("make")[0])
    (tmp_path / "array.sh").write_text(blocks("bash")[0])
    (tmp_path / "commands.txt").write_text("".join(
        f"/usr/bin/touch 'folder/a run'-{i}\n" for i in range(3)))
    array = "for i in 1 2 3; do SLURM_ARRAY_TASK_ID=$i bash array.sh; done"
    for command in (pipe, "make -k -j 2 -f runs.mk", array):
        (tmp_path / "folder").mkdir()
        done = subprocess.run(command, shell=True, cwd=tmp_path, capture_output=True, text=True,
                              check=False)
        if done.returncode == 127:
            continue  # a machine without make or xargs
        assert done.returncode == 0, done.stderr
        names = {path.name for path in (tmp_path / "folder").iterdir()}
        assert names == {"a run-0", "a run-1", "a run-2"}
        for path in (tmp_path / "folder").iterdir():
            path.unlink()
        (tmp_path / "folder").rmdir()
