"""The checker names the faults of other methods' programs in a trace, and nothing else."""

import numpy as np
import pytest

from lessons import gallery
from lessons.gallery import methods
from minidsr.proof.invariants import RULES
from minidsr.proof.trace import load
from minidsr.run.verify import verify_trace

PROGRAMS = methods.programs()
# rules that no program of either gallery breaks; proof/test_invariants_*.py and
# proof/test_rules_of_methods.py break them by hand
BY_HAND = {"capacity", "threshold_between", "shares_by_room"}


@pytest.mark.parametrize("name", PROGRAMS)
def test_the_checker_names_the_fault(name, tmp_path):
    """Exactly what VIOLATES says: of a correct program nothing."""
    program = PROGRAMS[name]
    np.savez(tmp_path / "trace.npz", **program().trace())
    tally = verify_trace(load(tmp_path / "trace.npz"), method=program.RULES)
    assert set(tally.violated) == set(program.VIOLATES), str(tally)
    if not program.FAULT:
        assert tally.checked.keys() >= {i.__name__ for i in RULES[program.RULES].all}, str(tally)


def test_every_rule_is_broken_by_a_program():
    named = {i for fault in [*gallery.faults().values(), *PROGRAMS.values()]
             for i in fault.VIOLATES}
    rules = {i.__name__ for row in RULES.values() for i in row.all}
    assert rules - named == BY_HAND
    assert {p.RULES for p in PROGRAMS.values() if not p.FAULT} == {
        "set", "set-magnitude", "rigl", "snfs", "deepr", "gradual", "gradual-exponential", "static",
        "dst", "hashed", "hashed-balanced"}
