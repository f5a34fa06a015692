"""`train --trace`: what our own methods do, recorded as anyone's program records it."""

import dataclasses
import signal

import pytest
from tiny import with_moves, write_cifar10

from minidsr.__main__ import main
from minidsr.proof.recorder import Recorder
from minidsr.run import directory
from minidsr.run.config import Config
from minidsr.run.train import Interrupted, TrainingError, train

pytestmark = pytest.mark.slow  # each trains a network


@pytest.fixture(scope="module")
def tiny(tmp_path_factory):
    """A config that trains a small residual network, 20 steps, in less than a second."""
    folder = write_cifar10(tmp_path_factory.mktemp("data"))
    return Config(data="cifar10", data_dir=str(folder), model="wrn-10-0.25", batch=10, epochs=2,
                  lr=0.02, periods=(2, 3, 4, 5), checkpoint_seconds=1e9, device="cpu", threads=1,
                  engine="blocked")


def files_of(folder):
    return {path.name: path.read_bytes() for path in folder.iterdir() if path.is_file()}


def interrupted_after(monkeypatch, config, steps, **options):
    """Train until Ctrl-C comes in this step."""
    method = config.build_method(10).__class__
    step = method.step

    def interrupting(self, t, sgd):
        if t == steps:
            signal.raise_signal(signal.SIGINT)
        return step(self, t, sgd)

    monkeypatch.setattr(method, "step", interrupting)
    with pytest.raises(Interrupted):
        train(config, **options)
    monkeypatch.setattr(method, "step", step)


@pytest.mark.parametrize(("method", "recorded", "removed"), [("dsr", 5, 3), ("static", 2, 2)])
def test_it_changes_nothing_and_is_gone_on_with(method, recorded, removed, tiny, tmp_path,
                                                monkeypatch, capsys):
    """The run is the same as without a trace. So are both after a break: what was recorded after
    the checkpoint is removed, and recorded again."""
    config = with_moves(tiny, method)
    train(config, out=tmp_path / "a")
    train(config, out=tmp_path / "b", trace=tmp_path / "b trace")
    c = {"out": tmp_path / "c", "trace": tmp_path / "c trace"}
    interrupted_after(monkeypatch, config, 5, **c)
    checkpoint = (tmp_path / "c" / "checkpoint.npz").read_bytes()
    train(config, resume=True, **c)
    (tmp_path / "c" / "checkpoint.npz").write_bytes(checkpoint)
    capsys.readouterr()
    train(config, resume=True, **c)
    assert f"c trace: files of steps after the checkpoint are removed, {removed} in all" in (
        capsys.readouterr().err)
    assert len({(tmp_path / run / "checkpoint.npz").read_bytes() for run in "abc"}) == 1
    traces = [files_of(tmp_path / run) for run in ("b trace", "c trace")]
    assert [len(trace) for trace in traces] == [recorded] * 2
    assert method == "static" or traces[0] == traces[1]  # an epoch with a break begins at it


def test_it_is_judged_by_the_command_that_is_printed(tiny, tmp_path, capsys):
    flags = ["--data", "cifar10", "--data-dir", tiny.data_dir, "--model", tiny.model, "--batch",
             "10", "--device", "cpu", "--epochs", "1", "--out", str(tmp_path / "a")]
    assert main(["train", *flags, "--method", "set", "--variant", "magnitude", "--periods", "2",
                 "--period-milestones", "--trace", str(tmp_path / "t")]) == 0
    *_, said = capsys.readouterr().out.splitlines()
    assert said == f"trace: {tmp_path / 't'}   judge it: minidsr verify {tmp_path / 't'} " \
                   "--method set-magnitude"
    assert main(said.split("minidsr ")[1].split()) == 0
    assert "0 violated, 2 not checkable" in capsys.readouterr().out  # these need other runs


@pytest.mark.parametrize(("method", "said"), [
    ("dense", "^dense has no trace: none of its weights move, or are shared$"),
    ("dsr", "has a trace already; choose another folder")])
def test_refused(method, said, tiny, tmp_path):
    """Nothing is left of the run."""
    recorder = Recorder(tmp_path / "t", {"w": [1.0]}, {"w": [1]})
    with recorder.reallocation():
        pass
    with pytest.raises(ValueError, match=said):
        train(tiny.for_method(method), out=tmp_path / "a", trace=tmp_path / "t")
    assert {path.name for path in tmp_path.iterdir()} == {"t"}


def test_a_full_disk(tiny, tmp_path, monkeypatch):
    def full(self, entries):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Recorder, "_write", full)
    with pytest.raises(TrainingError, match=r"t \(No space left on device\); go on with --resume$"):
        train(dataclasses.replace(tiny, epochs=1), out=tmp_path / "a", trace=tmp_path / "t")
    assert directory.reached(tmp_path / "a")[0] == 0
