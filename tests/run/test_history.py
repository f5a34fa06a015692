"""Records: reporting changes nothing, and a checkpoint counts on what is there."""

import dataclasses
import io

import numpy as np
import pytest
from tiny import with_moves, write_cifar10
from tqdm import tqdm

from minidsr.methods import METHODS
from minidsr.run import directory, report
from minidsr.run.config import Config
from minidsr.run.history import History
from minidsr.run.progress import ProgressBar
from minidsr.run.small_training import same
from minidsr.run.train import Trainer, train


@pytest.fixture(scope="module")
def tiny(tmp_path_factory):
    """A config that trains a small network for six steps."""
    folder = write_cifar10(tmp_path_factory.mktemp("data"), images=10)
    return Config(data="cifar10", data_dir=str(folder), model="wrn-10-0.25", batch=20, epochs=2,
                  lr=0.02, periods=(1, 2), period_milestones=(0.5,), checkpoint_seconds=0.0,
                  device="cpu", threads=1)


def moving(config, method):
    """The same for another method, which changes its structure within six steps if it can."""
    config = with_moves(config, method)
    return dataclasses.replace(config, alpha=0.1) if method == "dst" else config


def reports(trainer, last):
    """All that tells of a Trainer; `last` is its last Report, or None."""
    history = History()
    yield lambda: history.add_setup(trainer)
    yield lambda: history.add_epoch(trainer, 1.0)
    if last:
        yield lambda: history.add_reallocation(trainer, last)
    yield lambda: (report.compare({"x": history}), report.by_tensor(history))
    yield lambda: (history.conserved, history.sparsity, history.H, history.test_accuracy)
    yield trainer.state
    yield trainer.so_far
    yield trainer.lr
    yield trainer.method.state
    yield trainer.method.explored.rate
    yield trainer.model.state
    yield trainer.model.free_parameters
    with tqdm(total=trainer.total_steps, file=io.StringIO()) as shown:
        bar = ProgressBar(shown, True)
        yield lambda: bar.step(trainer, history, 1.0)
        yield lambda: bar.epoch(history.epochs[-1], 2)


@pytest.mark.slow
@pytest.mark.parametrize("method", METHODS)
def test_reporting_changes_nothing(tiny, method):
    """After every other step every function of reporting is called, once or twice; or never."""
    config = moving(tiny, method)
    rng, states = np.random.default_rng(0), []
    for asked in (False, True):
        trainer, last = Trainer(config), None
        while trainer.t < trainer.total_steps:
            for x, y in trainer.batches():
                last = trainer.step(x, y) or last
                for call in reports(trainer, last) if asked and trainer.t % 2 else ():
                    for _ in range(rng.integers(1, 3)):
                        call()
            trainer.begin_epoch()
        states.append(trainer.state())
    assert same(*states)


@pytest.mark.slow
def test_records_are_safe_before_the_checkpoint_that_counts_on_them(tiny, tmp_path, monkeypatch):
    done, save, sync = [], directory.save, History.sync
    monkeypatch.setattr(History, "sync", lambda self: done.append("sync") or sync(self))
    monkeypatch.setattr(directory, "save",
                        lambda path, state: done.append(state["records"]) or save(path, state))
    history = train(tiny, out=tmp_path)
    assert done[::2] == ["sync"] * 7
    assert done[1::2] == sorted(done[1::2])
    assert done[1] == 1
    assert done[-1] == len(history.records)


@pytest.fixture
def run(tiny, tmp_path):
    train(tiny, out=tmp_path)
    return tmp_path


def test_what_a_checkpoint_does_not_count_on_is_dropped(tiny, run):
    before = (run / "metrics.jsonl").read_text()
    for more in ('{"kind": "epoch", "step": 6}\n', '{"kind": "ep', "\0" * 20):
        with open(run / "metrics.jsonl", "a") as file:
            file.write(more)
        train(tiny, out=run, resume=True)
        assert (run / "metrics.jsonl").read_text() == before


def test_fewer_records_than_the_checkpoint_counts_on(tiny, run):
    lines = (run / "metrics.jsonl").read_text().splitlines(keepends=True)
    for left in ("", "".join(lines[:-1]), "".join(lines)[:-9]):
        (run / "metrics.jsonl").write_text(left)
        files = {path.name: path.read_bytes() for path in run.iterdir()}
        with pytest.raises(directory.CheckpointError, match=rf"records, and .* {len(lines)}; put"):
            train(tiny, out=run, resume=True)
        assert {path.name: path.read_bytes() for path in run.iterdir()} == files


@pytest.mark.parametrize("method", ["dsr", "dst"])
def test_no_checkpoint_means_an_empty_history(tiny, tmp_path, method):
    """A kill after the first record, before the first checkpoint."""
    config = moving(tiny, method)
    train(config, out=tmp_path)
    whole = (tmp_path / "checkpoint.npz").read_bytes()
    setup = (tmp_path / "metrics.jsonl").read_text().splitlines(keepends=True)[0]
    (tmp_path / "checkpoint.npz").unlink()
    (tmp_path / "metrics.jsonl").write_text(setup)
    history = train(config, out=tmp_path, resume=True)
    assert (tmp_path / "checkpoint.npz").read_bytes() == whole
    assert history.records.count(history.setup) == 1


def test_replacing_syncs_the_file_then_its_folder(tmp_path, monkeypatch):
    done, fsync, replace = [], directory.os.fsync, directory.os.replace
    names = {tmp_path.stat().st_ino: "folder"}
    monkeypatch.setattr(directory.os, "fsync", lambda fd: done.append(
        names.get(directory.os.fstat(fd).st_ino, "file")) or fsync(fd))
    monkeypatch.setattr(directory.os, "replace",
                        lambda a, b: done.append("replace") or replace(a, b))
    directory.write_json(tmp_path / "a.json", {})
    assert done == ["file", "replace", "folder"]


def test_a_folder_that_cannot_be_synced_is_no_error(tmp_path, monkeypatch):
    """Windows opens no folder; other faults are not passed over."""
    real = directory.os.open

    def refusing(path, flags, *rest):
        if path == tmp_path:
            raise OSError(number, "no")
        return real(path, flags, *rest)

    monkeypatch.setattr(directory.os, "open", refusing)
    number = 13
    directory.write_json(tmp_path / "a.json", {})
    assert (tmp_path / "a.json").read_text() == "{}\n"
    number = 5
    with pytest.raises(OSError, match="no"):
        directory.write_json(tmp_path / "a.json", {})


def test_the_folders_of_a_new_run_are_synced(tmp_path, monkeypatch):
    done = []
    monkeypatch.setattr(directory, "sync_folder", done.append)
    with directory.claimed(tmp_path / "a" / "b", resume=False):
        assert done == [tmp_path / "a", tmp_path]
        (tmp_path / "a" / "b" / "config.json").write_text("{}")  # or the folder goes again
    done.clear()
    with directory.claimed(tmp_path / "a" / "b", resume=True):
        assert not done
