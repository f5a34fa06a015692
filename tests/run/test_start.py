"""--structure-from: a run that starts from the structure of another one."""

import dataclasses
import shutil

import numpy as np
import pytest
from tiny import write_cifar10

from minidsr.nn.layers import Conv2d
from minidsr.run import directory, start
from minidsr.run.config import Config
from minidsr.run.directory import CheckpointError
from minidsr.run.train import Trainer, train

pytestmark = pytest.mark.slow  # nearly each trains a network


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("runs")


@pytest.fixture(scope="module")
def tiny(folder):
    return Config(data="cifar10", data_dir=str(write_cifar10(folder)), model="wrn-10-1", batch=10,
                  epochs=2, lr=0.02, periods=(2, 3, 4, 5), device="cpu", threads=1)


@pytest.fixture(scope="module")
def runs(folder, tiny):
    """{method: directory of a finished run, with seed 0}"""
    for method in ("dense", "static", "dsr", "hashed", "thin-dense"):
        train(tiny.for_method(method), out=folder / method)
    return {method: str(folder / method) for method in ("dense", "static", "dsr", "hashed",
                                                        "thin-dense")}


def model_of(run):
    state = directory.load(f"{run}/checkpoint.npz")
    return {key: array for key, array in state.items() if key.startswith("model/")}


def weights(model):
    return {name: layer.weight for name, layer in model.sparsifiable_layers().items()}


def test_the_original_values_are_the_default(tiny, runs):
    """Other data order and seed, but the other run's initial values, at its final positions."""
    config = dataclasses.replace(tiny.for_method("static"), structure_from=runs["dsr"], seed=5)
    model, final = Trainer(config).model, model_of(runs["dsr"])
    dense = Trainer(tiny.for_method("dense")).model
    for name, W in weights(model).items():
        index = final[f"model/{name}.weight.index"]
        assert (W.index == index).all()
        assert (W.value == weights(dense)[name].value.reshape(-1)[index]).all()
        assert not W.velocity.any()
    begun = weights(Trainer(tiny).model)
    assert any(not np.array_equal(W.index, begun[name].index)
               for name, W in weights(model).items())
    for name, p in model.named_params().items():
        if "bn" in name or name.startswith(("fc", "conv1")):
            assert (p.value == dense.named_params()[name].value).all(), name


NETWORKS = {"small-cnn": (3, 32, 32), "wrn-10-1": (3, 32, 32), "lenet-300-100": (1, 28, 28),
            "resnet50-0.25": (3, 224, 224)}


@pytest.mark.parametrize("name", NETWORKS)
def test_initial_values_at_pytorch_s_scale(name):
    """Of all convolutions; all else has the same bytes. Signs and ranks are the paper's."""
    paper, ours = (start.initial_model(Config(init=init, seed=3), name, NETWORKS[name], 10)
                   for init in ("paper", "pytorch"))
    drawn = []
    for (path, layer), (_, other) in zip(paper.walk(), ours.walk(), strict=True):
        for key in layer.parameters:
            a, b = (getattr(one, key).value for one in (layer, other))
            assert a.dtype == b.dtype == np.float32
            if not isinstance(layer, Conv2d):
                assert a.tobytes() == b.tobytes(), path
                continue
            _, C, k, _ = a.shape
            std = (1 / (3 * C * k * k)) ** 0.5
            np.testing.assert_allclose(b, a * (std / a.std()), rtol=0.2)
            assert (np.sign(a) == np.sign(b)).all()
            assert (np.diff(b.ravel()[np.argsort(a, None)]) >= 0).all()
            drawn.append((b / std).ravel())
    if drawn:
        assert np.concatenate(drawn).std() == pytest.approx(1, rel=0.02)


def test_original_values_are_at_the_other_run_s_scale(tiny, folder):
    """And the scale is part of a run's identity."""
    scaled = dataclasses.replace(tiny, init="pytorch", epochs=1)
    assert directory.identity(scaled) != directory.identity(dataclasses.replace(tiny, epochs=1))
    train(scaled, out=folder / "scaled")
    config = dataclasses.replace(tiny.for_method("static"), structure_from=str(folder / "scaled"))
    other = start.initial_model(scaled, "wrn-10-1", (3, 32, 32), 10)
    for name, W in weights(Trainer(config).model).items():
        assert (W.value == weights(other)[name].value.reshape(-1)[W.index]).all()


def test_random_values_are_fresh(tiny, runs):
    config = dataclasses.replace(tiny.for_method("static"), structure_from=runs["dsr"], seed=5,
                                 values="random")
    model = Trainer(config).model
    dense = Trainer(dataclasses.replace(tiny.for_method("dense"), seed=5)).model
    for name, W in weights(model).items():
        assert (W.index == model_of(runs["dsr"])[f"model/{name}.weight.index"]).all()
        assert (W.value == weights(dense)[name].value.reshape(-1)[W.index]).all()


def test_final_values_are_the_trained_ones(tiny, runs):
    config = dataclasses.replace(tiny.for_method("static"), structure_from=runs["dsr"],
                                 values="final")
    trainer, final = Trainer(config), model_of(runs["dsr"])
    for key, array in trainer.model.state().items():
        if key.endswith(".velocity"):
            assert not array.any()
        else:
            assert (array == final[f"model/{key}"]).all(), key
    assert trainer.t == 0


def test_static_from_itself_is_itself(tiny, runs, tmp_path):
    """The same seed and the original values on the structure it had: the same run again."""
    config = dataclasses.replace(tiny.for_method("static"), structure_from=runs["static"])
    train(config, out=tmp_path / "again")
    again, first = model_of(tmp_path / "again"), model_of(runs["static"])
    assert all((first[key] == again[key]).all() for key in first)


def test_dsr_from_a_static_run_starts_like_any_dsr(tiny, runs, tmp_path):
    """Static and DSR begin with the same structure, so with the structure from the one, the other
    does the same until it draws; here it never does, as it prunes nothing."""
    config = dataclasses.replace(tiny, threshold=2.0 ** -126)
    train(dataclasses.replace(config, structure_from=runs["static"]), out=tmp_path / "a")
    train(config, out=tmp_path / "b")
    a, b = model_of(tmp_path / "a"), model_of(tmp_path / "b")
    assert all((b[key] == a[key]).all() for key in b)


def test_gradual_goes_on_from_a_dense_run(tiny, runs):
    config = dataclasses.replace(tiny.for_method("gradual"), structure_from=runs["dense"],
                                 values="final")
    trainer, dense = Trainer(config), model_of(runs["dense"])
    for name, p in trainer.model.named_params().items():
        assert (p.theta() == dense[f"model/{name}.value"]).all()
    history = train(config)
    assert history.sparsity == pytest.approx(0.9, abs=0.001)


def test_deepr_takes_its_signs_from_the_values(tiny, runs):
    """None dies in the first step for having started with the wrong sign."""
    config = dataclasses.replace(tiny.for_method("deepr"), structure_from=runs["dsr"],
                                 values="final", lr=1e-12, temperature=0.0, alpha=0.0)
    trainer = Trainer(config)
    for W, s in zip(trainer.method.tensors, trainer.method.signs(), strict=True):
        assert (s * W.value >= 0).all()
        assert 0 < (s < 0).sum() < len(s)
    x, y = next(trainer.batches())
    trainer.step(x, y)
    assert sum(trainer.method.pruned) < 20  # those that were 0


def test_resumes_without_the_other_run(tiny, runs, tmp_path, monkeypatch):
    """All that is needed is in its own checkpoint."""
    config = dataclasses.replace(tiny, structure_from=runs["static"], seed=3)
    train(config, out=tmp_path / "whole")
    step = Trainer.step

    def failing(self, x, y):
        if self.t == 11:
            raise MemoryError
        return step(self, x, y)

    monkeypatch.setattr(Trainer, "step", failing)
    gone = dataclasses.replace(tiny, seed=3, structure_from=str(tmp_path / "moved"))
    (tmp_path / "moved").symlink_to(runs["static"])
    with pytest.raises(MemoryError):
        train(gone, out=tmp_path / "parts")
    monkeypatch.undo()
    (tmp_path / "moved").unlink()
    train(gone, out=tmp_path / "parts", resume=True)
    a, b = (directory.load(tmp_path / name / "checkpoint.npz") for name in ("whole", "parts"))
    assert all(np.array_equal(a[key], b[key]) for key in a if key not in ("method/rng", "run"))


@pytest.mark.parametrize(("change", "said"), [
    ({"structure_from": "nowhere"}, "nowhere: not a run directory"),
    ({"structure_from": "dsr", "model": "wrn-16-1"}, "is of wrn-10-1, not of wrn-16-1"),
    ({"structure_from": "dsr", "sparsity": 0.8}, "has 7,370 .* sparsity 0.8 begins with 14,7"),
    ({"structure_from": "dense"}, "has 73,728 sparsifiable weights, dsr with sparsity 0.9 begins"),
    ({"structure_from": "dsr", "values": "random"}, "begun with seed 0 too; choose another --seed"),
    ({"structure_from": "hashed"}, "no structure for this network .* 'group1.block0.conv1.weight"),
    ({"structure_from": "thin-dense"}, "no structure for this network .names differ")])
def test_what_does_not_fit_is_refused(tiny, runs, change, said):
    change = change | {"structure_from": runs.get(change["structure_from"], "nowhere")}
    with pytest.raises(ValueError, match=said) as error:
        Trainer(dataclasses.replace(tiny, **change))
    assert "\n" not in str(error.value)


def test_a_run_with_borrowed_values_has_no_original_ones(tiny, runs, tmp_path):
    config = dataclasses.replace(tiny, structure_from=runs["static"], values="final", epochs=1)
    train(config, out=tmp_path / "a")
    with pytest.raises(CheckpointError, match="did not start from initial values of its own"):
        Trainer(dataclasses.replace(tiny, structure_from=str(tmp_path / "a")))


def test_gradual_needs_all_positions(tiny, runs):
    with pytest.raises(CheckpointError, match="gradual with sparsity 0.9 begins with 73,728"):
        Trainer(dataclasses.replace(tiny.for_method("gradual"), structure_from=runs["dsr"]))


@pytest.mark.parametrize(("key", "array", "said"), [
    ("conv1.weight.value", np.zeros((16, 4, 3, 3), np.float32), "conv1.weight.value: float32 .16"),
    ("group1.block0.conv1.weight.index", np.array([5, 2304], np.int32), "conv1.weight: index"),
    ("bn.weight.index", np.array([5]), "names differ: 'bn.weight.index'"),
    ("extra.weight.value", np.zeros(3), "names differ: 'extra.weight.value'")])
def test_a_tensor_of_another_shape_is_refused(tiny, runs, tmp_path, key, array, said):
    state = directory.load(f"{runs['dsr']}/checkpoint.npz")
    directory.save(tmp_path / "checkpoint.npz", state | {f"model/{key}": array})
    shutil.copy(f"{runs['dsr']}/config.json", tmp_path)
    with pytest.raises(CheckpointError, match=said):
        Trainer(dataclasses.replace(tiny, structure_from=str(tmp_path)))
