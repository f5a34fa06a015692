"""Some cases of accusations.py, which runs thousands."""

import accusations
import pytest

from minidsr.proof.invariants import RULES

RUNS = {i.__name__ for i in RULES["dsr"].runs}


@pytest.mark.parametrize("row", accusations.ROWS)
def test_no_right_program_is_accused(row):
    checked, faults = accusations.campaign(row, 10, seed=0)
    assert not faults
    assert {i.__name__ for i in RULES[row].all} - checked.keys() <= RUNS
