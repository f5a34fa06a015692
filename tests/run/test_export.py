"""What `export` writes: the weights of a run as PyTorch takes them, and what they are of."""

import json
import sys

import fuzz
import numpy as np
import pytest
from tiny import write_cifar10

from minidsr.__main__ import main
from minidsr.fast.engine import use
from minidsr.nn import models
from minidsr.run.config import Config
from minidsr.run.load import load
from minidsr.run.small_training import same
from minidsr.run.train import Trainer, train
from minidsr.run.weights import export, load_state_dict, state_dict


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """A finished DSR run."""
    folder = write_cifar10(tmp_path_factory.mktemp("data"))
    config = Config(data="cifar10", data_dir=str(folder), model="small-cnn-0.1", batch=20, epochs=1,
                    lr=0.02, periods=(2,), period_milestones=(), device="cpu", threads=1,
                    engine="blocked")
    train(config, out=folder / "run")
    return folder / "run"


def from_npz(path):
    """(tensors, text)"""
    with np.load(path) as file:
        tensors = dict(file)
    return tensors, str(tensors.pop("minidsr"))


def from_safetensors(path):
    from safetensors import safe_open

    with safe_open(path, "np") as file:
        return {name: file.get_tensor(name) for name in file.keys()}, file.metadata()["minidsr"]


READERS = {".npz": from_npz, ".safetensors": from_safetensors}


@pytest.mark.parametrize("ending", READERS)
def test_a_file_has_the_tensors_and_what_they_are_of(run, tmp_path, ending, capsys):
    if ending == ".safetensors":
        pytest.importorskip("safetensors", reason="safetensors is not installed")
    out = tmp_path / "new" / f"a{ending}"
    assert main(["export", str(run), "--out", str(out)]) == 0
    assert capsys.readouterr().out == f"{run}: written to {out}\n"
    assert [path.name for path in out.parent.iterdir()] == [out.name]
    tensors, text = READERS[ending](out)
    trained = load(run, engine="plain")
    assert same(tensors, trained.state_dict())
    about, epoch = json.loads(text), trained.history.epochs[-1]
    assert {name: about.pop(name) for name in ("image", "classes", "mean", "std")} == {
        name: trained.data[name] for name in ("image", "classes", "mean", "std")}
    assert about == {"model": "small-cnn-0.1", "method": "dsr", "data": "cifar10", "step": 5,
                     "test_loss": epoch["test_loss"], "test_accuracy": epoch["test_accuracy"]}


def test_no_file_is_replaced(run, capsys):
    """By default it is beside the run, and written once."""
    assert main(["export", str(run)]) == 0
    assert same(from_npz(run / "weights.npz")[0], load(run, engine="plain").state_dict())
    capsys.readouterr()
    with fuzz.left_alone(run):
        assert main(["export", str(run)]) == 2
    out, err = capsys.readouterr()
    assert not out
    assert err.startswith(f"minidsr: {run / 'weights.npz'}: is there already") and err[-1] == "\n"
    assert err.count("\n") == 1


@pytest.mark.parametrize(("name", "said"), [
    ("a.pt", "unknown ending of a file '.pt'; choose one of: .npz, .safetensors"),
    ("a", "unknown ending of a file ''"),
    ("config.json/a.npz", "config.json is not a folder"),
    (".npz", "unknown ending of a file ''")])
def test_a_file_that_cannot_be_is_refused(run, name, said, capsys):
    with fuzz.left_alone(run):
        assert main(["export", str(run), "--out", str(run / name)]) == 2
    err = capsys.readouterr().err
    assert said in err and err.count("\n") == 1


def test_without_safetensors(run, tmp_path, monkeypatch, capsys):
    for name in ("safetensors", "safetensors.numpy"):
        monkeypatch.setitem(sys.modules, name, None)
    assert main(["export", str(run), "--out", str(tmp_path / "a" / "b.safetensors")]) == 2
    assert "pip install 'minidsr[safetensors]'" in capsys.readouterr().err
    assert not list(tmp_path.iterdir())


def test_an_accuracy_is_of_these_weights(run, tmp_path):
    """In the midst of an epoch there is none, though one is in the records."""
    trained = load(run, engine="plain")
    trained.step += 1
    export(trained, tmp_path / "a.npz")
    assert "test_accuracy" not in json.loads(from_npz(tmp_path / "a.npz")[1])


@pytest.mark.slow
@pytest.mark.parametrize(("name", "image"), [
    ("lenet-300-100-0.3", (1, 28, 28)), ("small-cnn-0.5", (3, 32, 32)), ("wrn-16-0.5", (3, 32, 32)),
    ("resnet50-0.1", (3, 64, 64))])
def test_pytorch_computes_the_same(name, image):
    """All keys matched, logits equal to 2e-6 of the largest by each engine; and back, all equal."""
    torch = pytest.importorskip("torch", reason="PyTorch is not installed")
    import pytorch_nets

    rng = np.random.default_rng(0)
    ours = models.build(name, image=image, classes=7, rng=rng)
    theirs = pytorch_nets.build(*models.parts(name), image=image, classes=7)
    x = rng.normal(size=(16, *image)).astype(np.float32)
    for _ in range(3):
        ours.forward(x, train=True)  # so that statistics are not those at the start
    for p in ours.params():
        if p.value.ndim == 1:  # bias, and weight of batch norm
            p.value += rng.normal(scale=0.1, size=p.shape).astype(np.float32)
    state = state_dict(ours)
    fit = theirs.load_state_dict({k: torch.from_numpy(v) for k, v in state.items()}, strict=True)
    assert not fit.missing_keys and not fit.unexpected_keys
    with torch.no_grad():
        expected = theirs.eval()(torch.from_numpy(x)).numpy()
    for engine in ("plain", "blocked"):
        difference = abs(use(ours, engine).forward(x) - expected).max()
        print(f"{name}, {engine}: {difference:.1e}, logits up to {abs(expected).max():.1f}")
        assert difference <= 2e-6 * abs(expected).max()
    assert abs(expected).max() > 0.1
    back = models.build(name, image=image, classes=7, rng=rng)
    load_state_dict(back, theirs.state_dict())
    assert same(state_dict(back), state)


def test_a_network_in_training_goes_too(run):
    """state_dict() is of any network, also of one that is in training."""
    trained = load(run, engine="plain")
    trainer = Trainer(trained.config)
    before = state_dict(trainer.model)
    for x, y in trainer.batches():
        trainer.step(x, y)
    assert not same(before, state_dict(trainer.model))
    assert same(state_dict(trainer.model), trained.state_dict())
