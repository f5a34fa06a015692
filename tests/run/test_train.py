"""Training: deterministic, resumable at any moment, and it stops where numbers break."""

import dataclasses
import json
import signal
import sys

import numpy as np
import pytest
from tiny import with_moves, write_cifar10

from minidsr.fast import parallel
from minidsr.methods import METHODS
from minidsr.methods.base import Dynamic
from minidsr.run import directory, report
from minidsr.run.config import Config
from minidsr.run.evaluate import evaluate
from minidsr.run.history import History
from minidsr.run.train import Interrupted, Trainer, TrainingError, train

pytestmark = pytest.mark.slow  # nearly each trains a network


@pytest.fixture(scope="module")
def tiny(tmp_path_factory):
    """A config that trains a small residual network in half a second."""
    folder = write_cifar10(tmp_path_factory.mktemp("data"))
    return Config(data="cifar10", data_dir=str(folder), model="wrn-10-0.25", batch=10, epochs=2,
                  lr=0.02, periods=(2, 3, 4, 5), checkpoint_seconds=1e9, device="cpu", threads=1)


def bytes_of(run):
    return (run / "checkpoint.npz").read_bytes()


@pytest.mark.parametrize("method", METHODS)
def test_learns_and_keeps_its_budget(tiny, method):
    history = train(dataclasses.replace(with_moves(tiny, method), lr=0.1, epochs=4))
    assert report.budget(history) == METHODS[method].budget_rule
    assert history.epochs[-1]["train_loss"] < 0.9 * history.epochs[0]["train_loss"]
    assert bool(history.reallocations) == issubclass(METHODS[method], Dynamic)


@pytest.mark.parametrize("method", METHODS)
def test_same_seed_same_bytes_whatever_the_threads(tiny, tmp_path, method, monkeypatch):
    monkeypatch.setattr(parallel, "CHUNK_IMAGES", 3)  # else a batch of ten is one chunk
    config = dataclasses.replace(with_moves(tiny, method), epochs=1)
    for name, threads in (("a", 1), ("b", 3)):
        train(dataclasses.replace(config, threads=threads), out=tmp_path / name)
    assert bytes_of(tmp_path / "a") == bytes_of(tmp_path / "b")


def test_another_seed_another_result(tiny, tmp_path):
    for seed in (0, 1):
        train(dataclasses.replace(tiny, seed=seed), out=tmp_path / str(seed))
    assert bytes_of(tmp_path / "0") != bytes_of(tmp_path / "1")


def test_methods_start_from_equal_values_and_equal_structure(tiny):
    dense, static = (Trainer(tiny.for_method(m)).model for m in ("dense", "static"))
    for method in ("set", "snfs", "rigl", "itop", "deepr", "dsr"):
        model = Trainer(tiny.for_method(method)).model
        for name, layer in dense.sparsifiable_layers().items():
            a, b = (m.sparsifiable_layers()[name].weight for m in (static, model))
            assert (a.index == b.index).all()
            assert (a.value == b.value).all()
            assert (a.value == layer.weight.value.reshape(-1)[a.index]).all()


def test_dsr_that_stops_at_once_is_static(tiny, tmp_path):
    train(tiny.for_method("static"), out=tmp_path / "static")
    train(dataclasses.replace(tiny, stop_epoch=0), out=tmp_path / "dsr")
    a, b = (directory.load(tmp_path / m / "checkpoint.npz") for m in ("static", "dsr"))
    assert all((a[key] == b[key]).all() for key in a if key.startswith("model/"))


def test_images_set_apart_are_reported_each_epoch_and_test_images_at_the_end(tiny, tmp_path):
    config = dataclasses.replace(tiny, validation=20, train_images=50)
    history = train(config, out=tmp_path)
    assert [("validation_loss" in e, "test_loss" in e) for e in history.epochs] == [
        (True, False), (True, True)]
    trainer = Trainer(config)
    assert (trainer.steps_per_epoch, len(trainer.dataset.validation_y)) == (5, 20)
    trainer.load(tmp_path / "checkpoint.npz")
    for part in ("validation", "test"):
        loss, accuracy = evaluate(trainer.model, trainer.dataset, part)
        assert history.epochs[-1][f"{part}_loss"] == pytest.approx(loss)
        assert history.epochs[-1][f"{part}_accuracy"] == pytest.approx(accuracy)
    assert history.validation_accuracy == history.epochs[-1]["validation_accuracy"]
    assert History.load(tmp_path / "metrics.jsonl").records == history.records


def test_all_methods_of_a_seed_train_on_the_same_images(tiny):
    config = dataclasses.replace(tiny, validation=30, train_images=40)
    parts = [Trainer(c).dataset for c in (config, config.for_method("dense"),
                                          dataclasses.replace(config, seed=1))]
    a, b, c = ((d.train_x.tobytes(), d.validation_x.tobytes()) for d in parts)
    assert a == b != c


def test_a_sparse_checkpoint_is_stored_sparse(tiny, tmp_path):
    sizes, tiny = {}, dataclasses.replace(tiny, model="wrn-10-1")
    for method in ("dense", "dsr"):
        train(dataclasses.replace(tiny.for_method(method), epochs=1), out=tmp_path / method)
        sizes[method] = len(bytes_of(tmp_path / method))
    assert sizes["dsr"] < 0.3 * sizes["dense"]  # a tenth of the weights, with positions, and names


@pytest.mark.parametrize("method", METHODS)
def test_interrupted_at_any_step_and_resumed(tiny, tmp_path, monkeypatch, method):
    """SIGINT after steps 1, 10 (the end of an epoch) and 13, each resumed."""
    config = with_moves(tiny, method)
    train(config, out=tmp_path / "whole")
    step = Trainer.step

    def interrupting(self, x, y):
        result = step(self, x, y)
        if self.t in (1, 10, 13):
            signal.raise_signal(signal.SIGINT)
        return result

    monkeypatch.setattr(Trainer, "step", interrupting)
    for _ in range(3):
        with pytest.raises(Interrupted, match="SIGINT"):
            train(config, out=tmp_path / "parts", resume=True)
    history = train(config, out=tmp_path / "parts", resume=True)
    assert bytes_of(tmp_path / "whole") == bytes_of(tmp_path / "parts")
    whole = History.load(tmp_path / "whole" / "metrics.jsonl")
    for a, b in zip(whole.records, history.records, strict=True):
        assert a | {"images_per_s": 0} == b | {"images_per_s": 0}


def test_resuming_what_is_done_changes_nothing(tiny, tmp_path):
    train(tiny, out=tmp_path)
    before, history = bytes_of(tmp_path), (tmp_path / "metrics.jsonl").read_text()
    train(tiny, out=tmp_path, resume=True)
    assert bytes_of(tmp_path) == before
    assert (tmp_path / "metrics.jsonl").read_text() == history


def test_resume_takes_the_settings_of_the_run(tiny, tmp_path):
    """They must be given again, or nothing: what stands at its default is not left out."""
    train(tiny, out=tmp_path)
    assert train(out=tmp_path, resume=True).epochs[-1]["epoch"] == 2
    elsewhere = dataclasses.replace(tiny, engine="blocked", threads=2)
    assert train(elsewhere, out=tmp_path, resume=True).epochs[-1]["epoch"] == 2
    for epochs, todo in ((1, "leave that out"), (8, "train --resume --extend-epochs 8")):
        with pytest.raises(directory.CheckpointError,
                           match=f"was begun with epochs 2, not {epochs}; {todo}"):
            train(dataclasses.replace(tiny, epochs=epochs), out=tmp_path, resume=True)
    for arguments in ({}, {"out": tmp_path / "none", "resume": True}):
        with pytest.raises(directory.CheckpointError, match="run"):
            train(**arguments)
    assert not (tmp_path / "none").exists()


def test_a_checkpoint_of_another_model_is_refused(tiny, tmp_path):
    train(tiny, out=tmp_path)
    content = bytes_of(tmp_path)
    for change in ({"model": "small-cnn"}, {"method": "dense"}, {"method": "static"},
                   {"model": "wrn-10-2"}, {"sparsity": 0.5}):
        other = tiny.for_method(change.pop("method", "dsr"))
        trainer = Trainer(dataclasses.replace(other, **change))
        with pytest.raises(directory.CheckpointError, match="is of .*, not of") as error:
            trainer.load(tmp_path / "checkpoint.npz")
        assert "\n" not in str(error.value)
    assert bytes_of(tmp_path) == content


def test_records_name_what_happened(tiny, tmp_path):
    history = train(tiny, out=tmp_path)
    lines = (tmp_path / "metrics.jsonl").read_text().splitlines()
    assert [json.loads(line) for line in lines] == history.records
    for r in history.reallocations:
        assert r["K"] == sum(r["pruned"]) == sum(r["grown"])
    env = json.loads((tmp_path / "env.json").read_text())
    assert env["threads"] == 1
    assert env["versions"]["numpy"] == np.__version__


def test_a_weight_that_is_not_finite_is_named_with_its_step(tiny, monkeypatch):
    """At the next step, where the host waits anyway; not as the loss that comes of it."""
    trainer = Trainer(tiny.for_method("dense"))
    step = trainer.sgd.step

    def breaks():
        step()
        trainer.sgd.params[0].value[...] = np.inf

    monkeypatch.setattr(trainer.sgd, "step", breaks)
    first, second, *_ = trainer.batches()
    with np.errstate(all="ignore"):
        trainer.step(*first)
        with pytest.raises(TrainingError, match="not finite at epoch 1, step 1: first"):
            trainer.step(*second)


def test_a_loss_that_is_not_finite_stops_the_run(tiny, tmp_path):
    """With the epoch, the step and the layer; the checkpoint before it stays."""
    config = dataclasses.replace(tiny, lr=1e30, checkpoint_seconds=0.0)
    with pytest.raises(TrainingError, match=r"not finite at epoch 1, step \d+: ") as error:
        train(config, out=tmp_path)
    assert "\n" not in str(error.value)
    for key, array in directory.load(tmp_path / "checkpoint.npz").items():
        if key.startswith("model/"):
            assert np.isfinite(array).all()


@pytest.mark.parametrize("place", ["group2.block0.conv1.weight", "bn.bias"])
def test_a_weight_that_is_not_finite_is_named(tiny, place):
    trainer = Trainer(tiny)
    x, y = next(iter(trainer.batches()))
    trainer.model.named_params()[place].value.reshape(-1)[0] = np.inf
    with np.errstate(all="ignore"), pytest.raises(TrainingError, match=place):
        trainer.step(x, y)


def test_a_weight_that_breaks_at_a_reallocation_is_named(tiny):
    trainer = Trainer(dataclasses.replace(tiny, periods=(1,), period_milestones=()))
    x, y = next(iter(trainer.batches()))
    trainer.step(x, y)
    trainer.model.named_params()["group2.block0.conv1.weight"].velocity[3] = np.inf
    with pytest.raises(TrainingError, match="epoch 1, step 2: first group2.block0.conv1.weight"):
        trainer.step(x, y)


def test_metrics_without_a_checkpoint_are_not_cut(tiny, tmp_path):
    train(tiny, out=tmp_path)
    before = (tmp_path / "metrics.jsonl").read_text()
    (tmp_path / "checkpoint.npz").unlink()
    with pytest.raises(directory.CheckpointError, match="no checkpoint"):
        train(tiny, out=tmp_path, resume=True)
    assert (tmp_path / "metrics.jsonl").read_text() == before


def test_an_output_that_is_not_finite_is_named(tiny):
    trainer = Trainer(tiny)
    x, y = next(iter(trainer.batches()))
    trainer.model.named_params()["group2.block0.bn2.weight"].value[:] = 3e38
    trainer.model.named_params()["group2.block0.bn2.bias"].value[:] = 3e38
    with np.errstate(all="ignore"), \
            pytest.raises(TrainingError, match="the output of group2.block0.bn2"):
        trainer.step(x, y)
    assert "forward" not in vars(dict(trainer.model.walk())["group2.block0.bn2"])


def test_a_full_disk_stops_the_run_and_keeps_the_checkpoint(tiny, tmp_path, monkeypatch):
    calls, save = [], directory.save

    def failing(path, state):
        calls.append(path)
        if len(calls) == 2:
            raise OSError(28, "No space left on device")
        save(path, state)

    monkeypatch.setattr(directory, "save", failing)
    with pytest.raises(TrainingError, match="No space left on device.*--resume"):
        train(tiny, out=tmp_path)
    monkeypatch.undo()
    train(tiny, out=tmp_path, resume=True)
    train(tiny, out=tmp_path / "whole")
    assert bytes_of(tmp_path) == bytes_of(tmp_path / "whole")


def test_threads_are_released_after_a_failure(tiny):
    with pytest.raises(TrainingError):
        train(dataclasses.replace(tiny, lr=1e30))
    assert parallel._helpers.get() == (None, 0)
    assert not parallel._free.locked()


@pytest.mark.parametrize(("wrong", "said"), [
    ({"sparsity": 1.0}, r"sparsity must be in \[0, 1\)"), ({"sparsity": -0.1}, "sparsity"),
    ({"sparsity": float("nan")}, "sparsity"),
    ({"target_pruned": 0}, r"target_pruned must be in \[1, "),
    ({"tolerance": 1.0}, r"tolerance must be in \[0, 1\)"), ({"tolerance": -0.1}, "tolerance"),
    ({"threshold": 0.0}, "threshold must be in"), ({"threshold": -1.0}, "threshold"),
    ({"threshold": float("inf")}, "threshold"),
    ({"model": "vgg"}, "unknown model 'vgg'; choose one of: small-cnn, lenet-300-100, resnet50, "
     "wrn-D-W"),
    ({"model": "wrn-11-2"}, "depth must be 6n"), ({"model": "wrn-10-0"}, "without channels"),
    ({"method": "magic"}, "unknown method 'magic'; choose one of: dense, thin-dense, static"),
    ({"data": "svhn"},
     "unknown data 'svhn'; choose one of: synthetic, cifar10, cifar100, mnist"),
    ({"device": "tpu"}, "unknown device 'tpu'; did you mean gpu"),
    ({"epochs": 0}, "epochs"), ({"batch": 0}, "batch"), ({"lr": 0.0}, "lr"),
    ({"momentum": 1.0}, "momentum"), ({"periods": (0,), "period_milestones": ()}, "periods"),
    ({"seed": -1}, "seed"),
    ({"periods": (5, 6)}, "--periods has 2, so --period-milestones needs 1, .* not 3"),
    ({"stop_epoch": 9}, r"stop_epoch must be in \[0, 8\]"),
    ({"lr_milestones": (0.5, 0.4)}, "lr_milestones")])
def test_settings_out_of_range(wrong, said):
    with pytest.raises(ValueError, match=said):
        Config(**wrong)


def test_a_target_above_the_budget_is_refused(tiny):
    with pytest.raises(ValueError, match="N_p must be in 1"):
        Trainer(dataclasses.replace(tiny, target_pruned=10**6))


def test_a_line_every_so_many_steps(tiny, capsys):
    """Also where no bar is shown, as in a log file."""
    train(dataclasses.replace(tiny, epochs=1, log_every=4), progress=True)
    out, err = capsys.readouterr()
    lines = out.splitlines()
    assert [line.split(":")[0] for line in lines] == ["step 4/10", "step 8/10", "epoch 1/1"]
    assert "loss " in lines[0] and "free parameters" in lines[0]
    assert not err
    train(dataclasses.replace(tiny, epochs=1, log_every=4))
    assert capsys.readouterr() == ("", "")


def test_a_notebook_has_a_bar(tiny, capsys, monkeypatch):
    """Its outputs are no terminal, but somebody watches."""
    monkeypatch.setitem(sys.modules, "ipykernel", sys)
    train(dataclasses.replace(tiny, epochs=1), progress=True)
    assert "10/10" in capsys.readouterr().err


def test_commits_by_which_a_run_was_trained(tiny, tmp_path, monkeypatch):
    """Those before the last are kept, also where a run is resumed by one of them."""
    said = []
    for commit in ("a", "a", "b", "a", None):
        monkeypatch.setattr("minidsr.run.environment.commit", lambda path, commit=commit: commit)
        train(dataclasses.replace(tiny, epochs=1), out=tmp_path, resume=True)
        written = directory.read_environment(tmp_path)
        said.append((written["earlier_commits"], written["commit"]))
    assert said == [([], "a"), ([], "a"), (["a"], "b"), (["a", "b"], "a"), (["a", "b", "a"], None)]
    (tmp_path / "env.json").write_text("[1]")
    train(dataclasses.replace(tiny, epochs=1), out=tmp_path, resume=True)
    assert directory.read_environment(tmp_path)["earlier_commits"] == []
