"""Some kills of each method; kills.py makes hundreds."""

import os

import kills
import pytest

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="processes are forked")


@pytest.mark.slow
def test_a_run_that_is_killed_ends_as_any_other():
    counted, faults = kills.campaign(12, seed=0, most=1)
    assert not faults
    assert len({method for method, _, _ in counted}) >= 10  # some end before the kill


@pytest.mark.exhaustive
def test_killed_again_and_again():
    counted, faults = kills.campaign(48, seed=1)
    assert not faults
    assert counted.total() >= 100
