"""Profiles of hypothesis, and what several test files share.

dev   the default: few examples, new ones in each run
ci    taken where CI is set: the same examples in each run
deep  by hand, for hours; README.md says how, and what came out
"""

import os

import numpy as np
import pytest
from hypothesis import settings

settings.register_profile("dev", max_examples=25, deadline=None, print_blob=True)
settings.register_profile("ci", max_examples=50, deadline=None, print_blob=True, derandomize=True)
settings.register_profile("deep", max_examples=100_000, deadline=None, print_blob=True)
settings.load_profile("ci" if os.environ.get("CI") else "dev")


@pytest.fixture
def rng():
    return np.random.default_rng(0)
