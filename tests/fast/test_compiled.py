"""minidsr.fast.compiled: the same bytes from the first run on, and a cache that stops nothing."""

import errno
import importlib.util
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from random import Random

import pytest

from minidsr.fast import engine

numba = pytest.importorskip("numba", reason="Numba is not installed")
compiled = pytest.importorskip("minidsr.fast.compiled", reason="Numba does not load")

pytestmark = pytest.mark.slow  # nearly each starts a process, or compiles

LOOPS = """
from minidsr.fast.compiled import jit

@jit
def double(x):
    return x + x
"""


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """Where compiled loops are kept."""
    monkeypatch.setattr(numba.config, "CACHE_DIR", str(tmp_path / "cache"))
    return tmp_path / "cache"


@pytest.fixture
def anew(tmp_path, monkeypatch, folder):
    """A function that returns double() as another process would have it, not yet compiled."""
    path = tmp_path / "loops.py"
    path.write_text(LOOPS)

    def load():
        monkeypatch.setattr(compiled, "_said", False)
        spec = importlib.util.spec_from_file_location("loops", path)
        module = importlib.util.module_from_spec(spec)
        monkeypatch.setitem(sys.modules, "loops", module)
        spec.loader.exec_module(module)
        return module.double

    return load


def loaded(double):
    """Does it work, and was it on disk?"""
    assert double(2.5) == 5
    return bool(double.stats.cache_hits)


def lines(capsys):
    return capsys.readouterr().err.splitlines()


def test_what_was_compiled_is_loaded(anew, capsys):
    assert not loaded(anew())
    assert loaded(anew())
    assert not lines(capsys)


def test_a_change_of_another_file_compiles_anew(anew, capsys, monkeypatch):
    """Whose function may be part of this one."""
    assert len(compiled._folder_stamp()) == len(list(Path(compiled.__file__).parent.glob("*.py")))
    loaded(anew())
    monkeypatch.setattr(compiled, "_folder_stamp", lambda: "changed")
    assert not loaded(anew())
    assert loaded(anew())
    assert not lines(capsys)


@pytest.mark.parametrize("kind", ["nbi", "nbc"])
@pytest.mark.parametrize("damage", [
    lambda old: b"", lambda old: old[:9], lambda old: old[:len(old) // 2], lambda old: old[:-1],
    lambda old: bytes(len(old)), lambda old: b"x" + old, lambda old: Random(0).randbytes(len(old)),
], ids=["empty", "few", "half", "short", "zeros", "shifted", "noise"])
def test_damaged_files_are_replaced(anew, folder, capsys, kind, damage):
    loaded(anew())
    path, = folder.rglob(f"*.{kind}")
    path.write_bytes(damage(path.read_bytes()))
    assert not loaded(anew())
    line, = lines(capsys)
    assert f"compiled loops cannot be read in {path.parent}" in line
    assert loaded(anew())
    assert not lines(capsys)


@pytest.mark.parametrize("part", range(1, 8))
def test_a_damaged_part_is_seen(anew, folder, capsys, part):
    """LLVM would end the process, or the loop would do something else."""
    loaded(anew())
    path, = folder.rglob("*.nbc")
    data = bytearray(path.read_bytes())
    data[len(data) * part // 8] ^= 4
    path.write_bytes(data)
    assert not loaded(anew())
    line, = lines(capsys)
    assert "checksum" in line
    assert loaded(anew())


def test_a_damage_is_named_once(anew, folder, capsys):
    anew()(1.0), anew()(1)
    path, = folder.rglob("*.nbi")
    path.write_bytes(b"")
    double = anew()
    double(1.0)
    path.write_bytes(b"")
    double(1)
    line, = lines(capsys)
    assert "EOFError: Ran out of input" in line


def test_what_is_of_other_types_is_not_taken(anew, folder, capsys):
    """Two processes that compile for other types at the same moment may use the same file name."""
    anew()(1), anew()(2.5)
    first, second = sorted(folder.rglob("*.nbc"))
    shutil.copy(first, second)
    assert not loaded(anew())
    assert "other types" in lines(capsys)[0]
    assert loaded(anew())


def test_files_may_vanish(anew, folder, capsys):
    loaded(anew())
    double = anew()
    next(folder.rglob("*.nbc")).unlink()
    assert not loaded(double)
    double = anew()
    shutil.rmtree(folder)
    assert not loaded(double)
    assert loaded(anew())
    assert not lines(capsys)


def test_a_full_disk_stops_nothing(anew, folder, capsys, monkeypatch):
    def full(*args):
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(os, "replace", full)
        assert not loaded(anew())
        line, = lines(capsys)
        assert "cannot be kept in" in line
        assert "No space left on device" in line
    assert not loaded(anew())
    for kind in "nbi", "nbc":
        path, = folder.rglob(f"*.{kind}")  # and nothing else: no half of a file
        path.write_bytes(b"")
        with monkeypatch.context() as patch:
            patch.setattr(os, "replace", full)
            assert not loaded(anew())
        line, = lines(capsys)
        assert "cannot be read in" in line
        assert not loaded(anew())
        assert loaded(anew())
        capsys.readouterr()


def test_without_a_folder_every_run_compiles(anew, capsys, monkeypatch):
    def refused(*args, **kwargs):
        raise PermissionError(errno.EACCES, "Permission denied")

    monkeypatch.setattr(tempfile, "TemporaryFile", refused)  # by which Numba finds a folder
    for _ in range(2):
        double = anew()
        line, = lines(capsys)
        assert "compiled loops cannot be kept" in line
        with compiled.announced():
            assert not loaded(double)
        assert lines(capsys) == ["compiling the fast loops: half a minute ..."]


def test_a_file_for_a_folder(anew, folder, capsys):
    """Numba goes on to the next place that it knows."""
    folder.write_text("a file")
    assert not loaded(anew())
    assert loaded(anew())
    assert not lines(capsys)


def test_what_does_not_compile_is_not_taken(monkeypatch):
    def fails():
        raise TypeError("no such\ninstruction")

    monkeypatch.setattr(engine, "_compile", fails)
    assert engine.choose_engine("auto", "cpu") not in ("auto", "sparse")
    assert engine.missed("auto", "cpu").endswith("(no such instruction)")
    with pytest.raises(ValueError, match="no such instruction"):
        engine.choose_engine("sparse", "cpu")


def test_a_numba_with_other_parts_inside(anew, capsys, monkeypatch):
    """The classes of its cache are not public: without them nothing is kept."""
    monkeypatch.setitem(sys.modules, "numba.core.caching", None)
    spec = importlib.util.spec_from_file_location("compiled", compiled.__file__)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    monkeypatch.setattr(compiled, "jit", module.jit)
    for _ in range(2):
        assert not loaded(anew())
    assert "cannot be kept" in lines(capsys)[0]


def test_two_processes_may_compile_at_once(tmp_path):
    (tmp_path / "loops.py").write_text(LOOPS)
    env = {"NUMBA_CACHE_DIR": str(tmp_path / "cache"),
           "PYTHONPATH": ":".join([str(tmp_path), *sys.path])}
    command = [sys.executable, "-c", "from loops import double; print(double(2.5), double(2))"]
    both = [subprocess.Popen(command, env=env, text=True, stdout=subprocess.PIPE,
                             stderr=subprocess.PIPE) for _ in range(2)]
    assert [process.communicate() for process in both] == [("5.0 4\n", "")] * 2


COMPUTE = """
import hashlib
import numpy as np
from numba.core import event
from minidsr.fast.engine import choose_engine, use
from minidsr.nn.base import Sequential
from minidsr.nn.layers import BatchNorm, Conv2d, ReLU
from minidsr.parameters import Sparse
from minidsr.run.config import Config
from minidsr.run.train import Trainer

choose_engine("auto", "cpu")  # compiles all
with event.install_recorder("numba:compile") as recorder:
    for model in ("small-cnn", "wrn-10-1", "lenet-300-100"):
        trainer = Trainer(Config(model=model, engine="sparse", epochs=1, batch=50, sparsity=0.9))
        x, y = next(trainer.batches())
        trainer.step(x, y)
        trainer.model.forward(x)
    rng = np.random.default_rng(0)
    for s in 1, 2:
        for joined in False, True:
            layers = {"norm": BatchNorm(8), "relu": ReLU()} if joined else {}
            conv = Conv2d(8, 8, 3, stride=s, pad=1, rng=rng)
            conv.weight = Sparse.random(conv.weight.value, 200, rng)
            model = use(Sequential(**layers, conv=conv, last=BatchNorm(8),
                                   end=ReLU()), "sparse")
            y = model.forward(rng.standard_normal((25, 8, 9, 9), np.float32), train=True)
            dx = model.backward(rng.standard_normal(y.shape, np.float32))
            for array in y, dx, *(p.grad for p in model.params()):
                print(hashlib.sha256(array.tobytes()).hexdigest())
print(len(recorder.buffer))
"""


def test_on_a_machine_that_has_nothing_compiled(tmp_path):
    """The first run says so, and compiles all when the engine is chosen, nothing in a step. It
    computes what later ones do: where all is loaded, or the callers of what is loaded compiled."""
    env = {"NUMBA_CACHE_DIR": str(tmp_path), "PYTHONPATH": ":".join(sys.path)}
    results = []
    for gone, said in ("", 1), ("", 0), ("sparse_conv._*ward-*", 1):
        for path in tmp_path.rglob(gone) if gone else []:
            path.unlink()
        done = subprocess.run([sys.executable, "-c", COMPUTE], env=env, check=True,
                              capture_output=True, text=True)
        assert done.stderr.count("compiling") == said
        *hashes, compiled_in_steps = done.stdout.split()
        assert compiled_in_steps == "0"
        results.append(hashes)
    assert len(results[0]) == len(set(results[0])) > 16
    assert results[0] == results[1] == results[2]
