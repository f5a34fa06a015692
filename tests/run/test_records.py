"""The records of a study in one file: they read as the folder did, wherever they are."""

import shlex
import shutil
import subprocess
import tarfile
import tempfile
from pathlib import Path

import pytest
from studies import made, write

from minidsr.__main__ import main
from minidsr.run import compare, directory, records
from minidsr.run.directory import CheckpointError

RESULTS = Path(__file__).parents[2] / "lessons" / "results"


@pytest.fixture
def study(tmp_path):
    """The folder of two DSR runs, and of two from their structures, as after training."""
    folder = tmp_path / "runs" / "mine"
    for seed in (0, 1):
        source = write(made("dsr", seed), folder)
        write(made("static", seed, structure_from=str(source)), folder)
        (source / "checkpoint.old").write_bytes(b"much")
    return folder


def packed(folder, path):
    """As the docstring of records.py says."""
    line, = (line for line in records.__doc__.splitlines() if line.startswith("    tar "))
    words = {"NAME.tar.xz": str(path), "runs/NAME": str(folder)}
    subprocess.run([words.get(word, word) for word in shlex.split(line)], check=True)
    return path


@pytest.mark.skipif(not shutil.which("tar"), reason="there is no tar")
def test_what_is_packed_reads_as_the_folder_does(study, tmp_path):
    """Also its groups, for which other runs of it are looked at, when the folder is gone."""
    path = packed(study, tmp_path / "mine.tar.xz")
    with tarfile.open(path) as tar:
        assert not [name for name in tar.getnames() if "checkpoint" in name]
    folder, _ = compare.read([study])
    shutil.rmtree(study)
    found, lines = compare.read([path])
    assert not lines
    assert [r.path for r in found] == [path / r.path.name for r in folder]
    assert [(r.settings, r.history.records) for r in found] == [
        (r.settings, r.history.records) for r in folder]
    assert [g.seeds for g in compare.grouped(found)[0]] == [[0, 1], [0, 1]]


def test_a_study_that_was_moved_has_the_same_groups(study):
    moved = study.rename(study.parent / "elsewhere")
    groups, _ = compare.grouped(compare.read([moved])[0])
    assert [g.seeds for g in groups] == [[0, 1], [0, 1]]


def test_two_files_and_a_folder(study, tmp_path, capsys):
    """A line about a run says where it was packed; figures go to runs/figures."""
    unfinished = write(made(seed=2, path="unfinished", epochs=3), study)
    lines = (unfinished / directory.METRICS).read_text().splitlines(keepends=True)
    (unfinished / directory.METRICS).write_text("".join(lines[:-1]))
    one, two = (tmp_path / f"{name}.tar.xz" for name in "ab")
    for path, names in ((one, ["dsr-0", "unfinished"]), (two, ["static-0"])):
        with tarfile.open(path, "w:xz") as tar:
            for name in names:
                tar.add(study / name, f"deep/down/{name}")
    found, lines = compare.read([one, two, study / "dsr-1"])
    assert [r.path for r in found] == [one / "dsr-0", two / "static-0", study / "dsr-1"]
    assert lines == [f"{one / 'unfinished'}: not finished, 2 of 3 epochs"]
    assert main(["report", str(one)]) == 0
    assert f"{one / 'unfinished'}: not finished" in capsys.readouterr().out


def test_plot(study, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with tarfile.open("a.tar.xz", "w:xz") as tar:
        tar.add(study, "study")
    assert main(["plot", "a.tar.xz"]) == 0
    assert list(Path("runs/figures").glob("*.png"))


def test_what_is_no_such_file(study, tmp_path, monkeypatch):
    path, whole = tmp_path / "a.tar.xz", tmp_path / "b.tar.xz"
    with tarfile.open(whole, "w:xz") as tar:
        tar.add(study, "study")
    content = whole.read_bytes()
    for bad in (b"", b"x" * 100, content[:-200], content[:300]):
        path.write_bytes(bad)
        with pytest.raises(CheckpointError, match=r"a\.tar\.xz: no sound records of a study \("):
            compare.read([path])
    with tarfile.open(path, "w:xz") as tar:
        tar.add(study / "dsr-0" / "checkpoint.old", "dsr-0/checkpoint.npz")
    with pytest.raises(CheckpointError, match="no run is in it"):
        compare.read([path])
    monkeypatch.setattr(records, "LIMIT", 1000)
    with pytest.raises(CheckpointError, match="unpacks to more than 1,000 bytes"):
        compare.read([whole])


@pytest.mark.parametrize("name", ["../config.json", "config.json", "/abs/../config.json", "a/.."])
def test_nothing_is_written_beside_the_runs(name, study, tmp_path, monkeypatch):
    """Whatever members are called; and what was unpacked is gone afterwards."""
    path, place = tmp_path / "a.tar.xz", tmp_path / "temporary"
    place.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(place))
    with tarfile.open(path, "w:xz") as tar:
        tar.add(study, "study")
        tar.add(study / "dsr-0" / directory.CONFIG, name)
    with records.unpacked(path) as folder:
        files = [p for p in place.rglob("*") if p.is_file()]
        assert len(files) == 12 and {p.parent.parent for p in files} == {folder}
    assert not list(place.iterdir())


def test_all_records_are_small():
    assert sum(p.stat().st_size for p in RESULTS.rglob("*") if p.is_file()) < 3e6
