"""Some cases of each fuzzing campaign; fuzz.py runs thousands."""

import fuzz
import pytest


@pytest.mark.parametrize("kind", fuzz.KINDS)
def test_files_are_refused_or_mean_what_they_meant(kind):
    outcomes, faults = fuzz.campaign(kind, 40, seed=0)
    assert not faults
    assert outcomes["refused"]
