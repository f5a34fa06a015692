"""Profiles of hypothesis, and what several test files share.

dev   the default: few examples, new ones in each run
ci    in CI, by --hypothesis-profile=ci: the same examples in each run
deep  by hand, for hours; README.md says how, and what came out
"""

import sys
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import settings

from minidsr import data
from minidsr.data import DATASETS
from minidsr.methods import METHODS
from minidsr.nn.models import MODELS
from minidsr.schedules import SCHEDULES

settings.register_profile("dev", max_examples=25, deadline=None, print_blob=True)
settings.register_profile("ci", max_examples=50, deadline=None, print_blob=True, derandomize=True)
settings.register_profile("deep", max_examples=100_000, deadline=None, print_blob=True)
settings.load_profile("dev")  # whatever the environment says; --hypothesis-profile=ci for others


@pytest.fixture
def rng():
    return np.random.default_rng(0)


@pytest.fixture
def few_shapes(monkeypatch):
    """Every data set is the drawn shapes, with 2,000 training images."""
    whole = data.load("synthetic", "data")
    few = replace(whole, train_x=whole.train_x[:2000], train_y=whole.train_y[:2000])
    monkeypatch.setattr("minidsr.data.load", lambda name, folder: few)


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
