"""The checker names the faults of other methods' programs in a trace, and nothing else."""

import numpy as np
import pytest

from lessons import gallery
from lessons.gallery import methods
from minidsr.proof.invariants import RULES
from minidsr.proof.trace import load
from minidsr.run.verify import verify_trace

PROGRAMS = methods.programs()
RUNS = {i.__name__ for i in RULES["dsr"].runs}  # which no trace can show


@pytest.mark.parametrize("name", PROGRAMS)
def test_the_checker_names_the_fault(name, tmp_path):
    """Exactly what VIOLATES says: of a correct program nothing."""
    program = PROGRAMS[name]
    np.savez(tmp_path / "trace.npz", **program().trace())
    tally = verify_trace(load(tmp_path / "trace.npz"), method=program.RULES)
    assert set(tally.violated) == set(program.VIOLATES), str(tally)
    if not program.FAULT:
        rules = {i.__name__ for i in RULES[program.RULES].all}
        assert rules - tally.checked.keys() <= RUNS, str(tally)


def test_every_rule_is_broken_by_a_program():
    """And every row of the table has a right program, and one that breaks a rule of its own."""
    every = [*gallery.faults().values(), *PROGRAMS.values()]
    named = {i for program in every
             for i in program.VIOLATES + (getattr(program, "BY_FUNCTION", None) or ())}
    assert {i.__name__ for row in RULES.values() for i in row.all} == named - {"completes"}
    rows = set(RULES) - {None, "conserved"}
    assert {p.RULES for p in PROGRAMS.values() if not p.FAULT} == rows
    assert {p.RULES for p in PROGRAMS.values() if p.FAULT} == rows
