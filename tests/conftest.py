"""Profiles of hypothesis, and what several test files share.

dev   the default: few examples, new ones in each run
ci    in CI, by --hypothesis-profile=ci: the same examples in each run
deep  by hand, for hours; README.md says how, and what came out
"""

import functools
import os
import sys
from dataclasses import replace

os.environ["OPENBLAS_NUM_THREADS"] = "1"  # tests run side by side; before NumPy loads it

import numpy as np
import pytest
from hypothesis import settings

from minidsr import data
from minidsr.data import DATASETS, synthetic
from minidsr.methods import METHODS
from minidsr.nn.models import MODELS
from minidsr.schedules import SCHEDULES

os.environ.pop("COLUMNS", None)  # pytest-xdist says 80, and tables would fold

settings.register_profile("dev", max_examples=25, deadline=None, print_blob=True)
settings.register_profile("ci", max_examples=50, deadline=None, print_blob=True, derandomize=True)
settings.register_profile("deep", max_examples=100_000, deadline=None, print_blob=True)
settings.load_profile("dev")  # whatever the environment says; --hypothesis-profile=ci for others


draw = synthetic.draw


@functools.cache
@functools.wraps(draw)
def drawn():
    """The drawn shapes, once for all tests, as it takes half a second; nobody can write to them."""
    arrays = draw()
    for array in arrays:
        array.setflags(write=False)
    return arrays


synthetic.draw = drawn


@pytest.fixture
def rng():
    return np.random.default_rng(0)


@pytest.fixture
def shapes(monkeypatch):
    """shapes(train, test): every data set is so many of the drawn shapes from then on."""
    def few(train, test):
        whole = data.load("synthetic", "data")
        some = replace(whole, train_x=whole.train_x[:train], train_y=whole.train_y[:train],
                       test_x=whole.test_x[:test], test_y=whole.test_y[:test])
        monkeypatch.setattr("minidsr.data.load", lambda name, folder: some)
    return few


@pytest.fixture
def few_shapes(shapes):
    """Every data set is the drawn shapes, with 2,000 training images."""
    shapes(2000, 1000)


@pytest.fixture
def registries(monkeypatch, tmp_path):
    """What a test registers, and what it imports from tmp_path, is gone after it."""
    kept = [(registry, dict(registry)) for registry in (METHODS, MODELS, DATASETS, SCHEDULES)]
    monkeypatch.setattr(sys, "path", list(sys.path))
    yield
    for registry, before in kept:
        registry.clear()
        registry.update(before)
    for name, module in list(sys.modules.items()):
        if str(getattr(module, "__file__", None)).startswith(str(tmp_path)):
            del sys.modules[name]
