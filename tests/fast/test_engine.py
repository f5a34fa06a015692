"""minidsr.fast.engine: what can be had, what is said where not, when loops are compiled."""

import importlib.machinery
import signal
import sys
import types
from dataclasses import replace

import numpy as np
import pytest

from minidsr.__main__ import main
from minidsr.fast.engine import ENGINES, choose_engine, missed
from minidsr.run.config import Config
from minidsr.run.train import Interrupted, Trainer, train

TINY = Config(epochs=1, batch=50, sparsity=0.9)


@pytest.fixture
def without_numba(monkeypatch):
    monkeypatch.setitem(sys.modules, "numba", None)


def test_without_numba_blocks_do_everything(without_numba, capsys):
    assert choose_engine("auto", "cpu") == choose_engine("blocked", "cpu") == "blocked"
    line = missed("auto", "cpu")
    assert "minidsr[fast]" in line
    assert "\n" not in line
    assert missed("blocked", "cpu") is missed("auto", "gpu") is None
    with pytest.raises(ValueError, match="sparse: Numba is not installed"):
        choose_engine("sparse", "cpu")
    trainer = Trainer(TINY)
    x, y = next(trainer.batches())
    trainer.step(x, y)
    assert trainer.engine == "blocked"


@pytest.mark.slow
def test_without_numba_the_command_line_says_so_once(
        without_numba, shapes, tmp_path, capsys, monkeypatch):
    shapes(500, 50)
    monkeypatch.setattr("minidsr.run.figures.plot", lambda histories, out: [])
    assert main(["demo", "--epochs", "1", "--methods", "static", "dsr", "--sparsity", "0.99",
                 "--out", str(tmp_path)]) == 0
    assert capsys.readouterr().err.count("the sparse engine is off") == 1


def test_names():
    with pytest.raises(ValueError, match="auto, plain, blocked, sparse"):
        choose_engine("dense", "cpu")
    with pytest.raises(ValueError, match="auto, plain, blocked, sparse"):
        Config(engine="numba")
    assert Config().engine == ENGINES[0] == "auto"
    with pytest.raises(ValueError, match="engine im2col is called blocked now"):
        Config(engine="im2col")


def test_a_gpu_has_no_sparse_engine():
    assert choose_engine("auto", "gpu") == "blocked"
    with pytest.raises(ValueError, match="on a CPU"):
        choose_engine("sparse", "gpu")


def test_a_numba_that_does_not_load_is_none(monkeypatch):
    monkeypatch.setitem(sys.modules, "numba", types.ModuleType("numba"))  # found, and unusable
    for name in ("compiled", "norm_loops", "pool_loops", "sparse_conv"):
        monkeypatch.delitem(sys.modules, f"minidsr.fast.{name}", raising=False)
        monkeypatch.delattr(f"minidsr.fast.{name}", raising=False)
    sys.modules["numba"].__spec__ = importlib.machinery.ModuleSpec("numba", None)
    assert choose_engine("auto", "cpu") == "blocked"
    with pytest.raises(ValueError, match="Numba does not load"):
        choose_engine("sparse", "cpu")


@pytest.mark.slow
def test_a_run_may_go_on_with_another_engine(shapes, tmp_path, monkeypatch):
    pytest.importorskip("numba", reason="Numba is not installed")
    shapes(500, 100)
    run, step = replace(TINY, engine="blocked", epochs=2), Trainer.step

    def interrupted(self, x, y):
        if self.t == self.steps_per_epoch + 1:
            signal.raise_signal(signal.SIGINT)
        return step(self, x, y)

    monkeypatch.setattr(Trainer, "step", interrupted)
    with pytest.raises(Interrupted):
        train(run, out=tmp_path / "run")
    monkeypatch.setattr(Trainer, "step", step)
    history = train(replace(run, engine="sparse"), out=tmp_path / "run", resume=True)
    assert len(history.epochs) == 2
    assert '"engine": "sparse"' in (tmp_path / "run" / "env.json").read_text()


def test_the_dense_gradient_goes_when_it_is_not_needed():
    """RigL looks at it where it moves weights; the sparse engine never computes it."""
    pytest.importorskip("numba", reason="Numba is not installed")
    trainer = Trainer(replace(TINY.for_method("rigl"), engine="sparse", periods=(3,) * 4))
    held = []
    for (x, y), _ in zip(trainer.batches(), range(8), strict=False):
        trainer.step(x, y)
        held.append(any(W.dense_grad is not None for W in trainer.method.tensors))
    assert not any(held)


@pytest.mark.slow
def test_engines_agree_on_a_training(shapes):
    """To rounding: the same batches, the same structure, a few steps."""
    pytest.importorskip("numba", reason="Numba is not installed")
    shapes(500, 100)
    losses = {}
    for engine in ENGINES:  # plain is the specification
        trainer = Trainer(replace(TINY, engine=engine, batch=10, method="set", periods=(2,) * 4))
        losses[engine] = []
        for (x, y), _ in zip(trainer.batches(), range(5), strict=False):
            trainer.step(x, y)
            losses[engine].append(trainer.loss_sum / trainer.seen)
    for engine in ENGINES:
        np.testing.assert_allclose(losses[engine], losses["plain"], rtol=1e-3, err_msg=engine)
