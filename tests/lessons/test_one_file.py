"""lessons/one_file.py computes what the package does, to the bit, and needs nothing of it."""

import ast
import copy
import gzip
import os
import re
import subprocess
import sys
from functools import partial
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from threadpoolctl import threadpool_limits

from lessons import one_file
from minidsr.fast.engine import use
from minidsr.nn import models
from minidsr.nn.layers import softmax_cross_entropy
from minidsr.nn.sgd import SGD
from minidsr.parameters import Sparse
from minidsr.proof.cases import seeds, sparse_tensors
from minidsr.reparam import adjust_pruning_threshold, apportion, reallocate
from minidsr.run.config import Config
from minidsr.schedules import SCHEDULES

FILE = Path(one_file.__file__)
STEPS = 105  # at the 100th nothing moves any more, at the 63rd the learning rate drops
BATCH, SIDE = 4, 20  # the last images are 2 x 2, and the last but one 5 x 5, of which 4 x 4 count


@pytest.fixture(autouse=True, scope="module")
def one_thread():
    """Products are small, and other tests run beside these."""
    with threadpool_limits(1):
        yield


class Package:
    """The package's training in float64, by the engine plain, with its defaults throughout."""

    def __init__(self):
        self.config = Config(epochs=1)
        self.model = use(models.build("small-cnn", image=(1, SIDE, SIDE), classes=10,
                                      rng=np.random.default_rng(1), dtype=np.float64), "plain")
        self.method = self.config.build_method(STEPS)
        self.method.setup(self.model, np.random.default_rng(2))
        self.sgd = SGD(self.model.params(), momentum=self.config.momentum,
                       nesterov=self.config.nesterov, weight_decay=self.config.weight_decay)

    def step(self, t, x, labels):
        """Returns the loss, and the Report of a reallocation or None."""
        loss, dlogits = softmax_cross_entropy(self.model.forward(x, train=True), labels)
        self.model.backward(dlogits)
        self.sgd.lr = SCHEDULES[self.config.lr_schedule](t, STEPS, self.config)
        return float(loss), self.method.step(t, self.sgd)

    def state(self):
        """{name: values}, {name: positions}: copies, for the one file."""
        values = {name: p.value.copy() for name, p in self.model.named_params().items()}
        for name in values:
            if name.startswith("bn"):
                values[name] = values[name].reshape(1, -1, 1, 1)
        return values, {name: p.index.copy() for name, p in self.model.named_params().items()
                        if isinstance(p, Sparse)}


class Watched(list):
    """Batches that note how values and structure are as each of them is asked for."""

    def watch(self, values, structure):
        self.values, self.structure, self.seen = values, structure, []

    def __iter__(self):
        for batch in super().__iter__():
            self.note()
            yield batch

    def note(self):
        self.seen.append(copy.deepcopy((self.values, self.structure)))


def in_order(values, structure):
    """The same with positions sorted, as the package has them."""
    order = {name: positions.argsort() for name, positions in structure.items()}
    return ({name: value[order[name]] if name in order else value
             for name, value in values.items()},
            {name: positions[order[name]] for name, positions in structure.items()})


@pytest.mark.slow
def test_it_trains_as_the_package_does(capsys):
    """From the same values, structure, batches and draws: every loss, weight and position of 105
    steps with nine reallocations is the same, bit for bit."""
    rng = np.random.default_rng(0)
    batches = Watched((rng.normal(size=(BATCH, 1, SIDE, SIDE)), rng.integers(0, 10, BATCH))
                      for _ in range(STEPS))
    package = Package()
    values, structure = package.state()
    batches.watch(values, structure)
    draws = partial(copy.deepcopy(package.method.rng).choice, replace=False, shuffle=False)
    losses = one_file.train(values, structure, batches, draws)
    batches.note()
    reports = []
    for t, (x, labels) in enumerate(list.__iter__(batches)):
        for ours, theirs in zip(package.state(), in_order(*batches.seen[t]), strict=True):
            assert ours.keys() == theirs.keys()
            for name in ours:
                assert np.array_equal(ours[name], theirs[name]), (t, name)
        loss, report = package.step(t, x, labels)
        assert loss == losses[t], t
        reports += [(t, report)] if report else []
    for ours, theirs in zip(package.state(), in_order(*batches.seen[STEPS]), strict=True):
        assert all(np.array_equal(ours[name], theirs[name]) for name in ours)
    free = package.model.free_parameters()
    said = capsys.readouterr().out.splitlines()
    for line, (t, report) in zip(said, reports, strict=True):
        assert line == (f"step {t}: loss {losses[t]:.2f}, K {report.K}, H {report.next_H}, "
                        f"{report.active} of {free} free parameters")
    assert len(reports) == 9 and all(report.K for _, report in reports)


@given(st.lists(sparse_tensors().filter(lambda W: W.value.size), min_size=1, max_size=4),
       st.sampled_from([0.5, 1.0, 1e-3]) | st.floats(1e-6, 10), st.integers(1, 60), seeds)
def test_it_reallocates_as_the_package_does(tensors, H, N_p, seed):
    """Full tensors, equal weights, zeros: one more tensor has room for all, as the file asks."""
    budget = sum(W.value.size for W in tensors)
    tensors.append(Sparse((2 * budget + 1,), np.array([budget]), np.float32([1])))
    names = [str(i) for i in range(len(tensors))]
    shapes, structure, values, velocity = (
        {name: np.copy(getattr(W, part)) for name, W in zip(names, tensors, strict=True)}
        for part in ("shape", "index", "value", "velocity"))
    draws = partial(np.random.default_rng(seed).choice, replace=False, shuffle=False)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(one_file, "SPARSE", shapes)
        next_H, K = one_file.reallocate(values, velocity, structure, H, min(N_p, budget), draws)
    expected, report = reallocate(tensors, H, min(N_p, budget), 0.1, np.random.default_rng(seed))
    assert (next_H, K) == (expected, report.K)
    for name, W in zip(names, tensors, strict=True):
        order = structure[name].argsort()
        assert np.array_equal(structure[name][order], W.index)
        assert np.array_equal(values[name][order], W.value)
        assert np.array_equal(velocity[name][order], W.velocity)


@pytest.mark.parametrize("N_p", [10, 20, 30, 70, 110, 190])
def test_it_adjusts_H_as_the_package_does(N_p, monkeypatch):
    """Where K just is what may be missed, too."""
    monkeypatch.setattr(one_file, "SPARSE", {"W": (1000,)})
    for K in {bound * N_p // 10 + off for bound in (9, 11) for off in (-1, 0, 1)}:
        values, velocity = {"W": np.repeat([0.0, 1.0], [K, 1])}, {"W": np.zeros(K + 1)}
        H, moved = one_file.reallocate(values, velocity, {"W": np.arange(K + 1)}, 0.5, N_p,
                                       lambda positions, n: positions[:n])
        assert (H, moved) == (adjust_pruning_threshold(0.5, K, N_p, 0.1), K)


@given(st.lists(st.tuples(st.integers(1, 40), st.integers(0, 40)), min_size=1, max_size=6),
       st.floats(0, 1))
def test_it_shares_as_the_package_does(tensors, share):
    survivors, room = ([tensor[i] for tensor in tensors] for i in (0, 1))
    K = int(share * sum(room))
    shares = one_file.shares(K, dict(enumerate(survivors)), dict(enumerate(room)))
    assert [shares[i] for i in range(len(room))] == apportion(K, survivors, room)


class Quiet:
    """A generator without noise."""

    def __init__(self):
        self.integers = np.random.default_rng(0).integers

    def normal(self, mean, deviation, shape):
        return np.zeros(shape)


def test_squares_and_crosses_are_drawn():
    images, labels = one_file.draw(200, Quiet())
    assert set(labels) == {0, 1}
    for image, label in zip(images[:, 0], labels, strict=True):
        rows, columns = np.nonzero(image)
        size = rows.max() - rows.min() + 1
        assert 5 <= size <= 14 and size == columns.max() - columns.min() + 1
        assert len(rows) == (2 * size - size % 2 if label else 4 * size - 4)


def write_mnist(folder, train, test):
    """The four files, images gzipped, labels not. An image is of one grey, its label grey // 25."""
    for part, n in (("train", train), ("t10k", test)):
        grey = np.random.default_rng(n).integers(0, 250, n).astype(np.uint8)
        images = bytes([0, 0, 8, 3]) + np.array([n, 28, 28], ">i4").tobytes()
        images += np.repeat(grey, 28 * 28).tobytes()
        labels = bytes([0, 0, 8, 1]) + np.array([n], ">i4").tobytes() + (grey // 25).tobytes()
        (folder / f"{part}-images-idx3-ubyte.gz").write_bytes(gzip.compress(images))
        (folder / f"{part}-labels-idx1-ubyte").write_bytes(labels)


@pytest.mark.parametrize("data", ["drawn", "mnist"])
def test_the_budget_that_it_prints_is_constant(data, monkeypatch, tmp_path, capsys):
    for name, number in {"BATCH": 4, "STEPS": 25, "TEST_IMAGES": 20}.items():
        monkeypatch.setattr(one_file, name, number)
    write_mnist(tmp_path, 300, 30)
    one_file.main(*[tmp_path] if data == "mnist" else [])
    *lines, last = capsys.readouterr().out.splitlines()
    assert [int(re.match(r"step (\d+):", line)[1]) for line in lines] == [10, 20]
    dense = 16 * 9 + 2 * (16 + 32 + 32 + 64 + 64) + 10 * 64 + 10
    for line in lines:
        counts, free = re.search(r" \[([\d, ]+)\] of (\d+) free parameters$", line).groups()
        assert sum(map(int, counts.split(", "))) + dense == int(free) == 6910 + dense
    assert re.match(r"loss \d+\.\d{3} over the last 50 steps, accuracy \d+\.\d % of 20$", last)


def test_it_reads_the_images_of_mnist_and_their_labels(tmp_path):
    write_mnist(tmp_path, 300, 30)
    images, labels = one_file.mnist(tmp_path, "train", 200)
    assert images.shape == (200, 1, 28, 28)
    assert np.array_equal(np.rint(images[:, 0, 9, 9] * 78.6 + 33.3) // 25, labels)


@pytest.mark.slow
def test_it_runs_as_a_script_by_itself(tmp_path):
    """-I: neither this folder nor what is set in the environment is looked at for modules."""
    write_mnist(tmp_path, 100, 10)
    done = subprocess.run([sys.executable, "-I", "-W", "error", FILE, tmp_path], cwd=tmp_path,
                          env={**os.environ, "OPENBLAS_NUM_THREADS": "1"},
                          capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith("loss ")


def test_it_is_short_and_imports_numpy_alone():
    text = FILE.read_text(encoding="utf-8")
    assert len(text.splitlines()) <= 250
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, (ast.Import, ast.ImportFrom)):
            for name in [node.module] if isinstance(node, ast.ImportFrom) else [
                    alias.name for alias in node.names]:
                assert name == "numpy" or name in sys.stdlib_module_names
