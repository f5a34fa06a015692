"""The checker names the faults of other methods' programs in a trace, and nothing else."""

from itertools import repeat

import numpy as np
import pytest

from lessons import gallery
from lessons.gallery import methods
from minidsr.parameters import Sparse
from minidsr.proof.adapter import GIVEN, adapted
from minidsr.proof.invariants import RULES, grown_uniformly
from minidsr.proof.trace import load
from minidsr.proof.updates import Update, as_update
from minidsr.run.tally import Tally
from minidsr.run.verify import try_case, try_seeds, verify_trace

PROGRAMS = methods.programs()
RUNS = {i.__name__ for i in RULES["dsr"].runs}  # which no trace can show
FUNCTIONS = {name: p for name, p in PROGRAMS.items()
             if p.BY_FUNCTION is not None and p.RULES in GIVEN and p.RULES != "dsr"}


def updates(method):
    """60 networks of two tensors, of which at most a third is in use. Some weights are equal; some
    tensors have positive ones alone."""
    rng = np.random.default_rng(0)
    for _ in range(60):
        fraction, seed = float(rng.choice([0.1, 0.3, 0.5])), int(rng.integers(2**32))
        yield as_update(Update([random_tensor(rng) for _ in range(2)], fraction, seed), method,
                        fraction)


def random_tensor(rng):
    size = int(rng.integers(20, 41))
    count = int(rng.integers(5, size // 3 + 1))
    index = np.sort(rng.choice(size, count, replace=False)).astype(np.int32)
    value = rng.normal(size=count).round(rng.integers(1, 3))
    value = np.abs(value) if rng.random() < 0.1 else value
    W = Sparse((size,), index, value.astype(np.float32))
    W.velocity = rng.normal(size=count).astype(np.float32)
    return W


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


@pytest.mark.parametrize("name", FUNCTIONS)
def test_the_checker_names_the_fault_of_a_function(name):
    program = FUNCTIONS[name]
    update, tally = adapted(program.on_sparse, method=program.RULES), Tally(RULES[program.RULES])
    for case in updates(program.RULES):
        try_case(tally, case, reallocate=update)
    if tally.held and grown_uniformly in tally.rules.runs:
        try_seeds(tally, lambda cases: zip(cases, repeat(update)),
                  lambda case: as_update(case, program.RULES))
    assert set(tally.violated) == set(program.BY_FUNCTION), str(tally)


def test_every_rule_is_broken_by_a_program():
    """And every row of the table has a right program, and one that breaks a rule of its own."""
    every = [*gallery.faults().values(), *PROGRAMS.values()]
    named = {i for program in every
             for i in program.VIOLATES + (getattr(program, "BY_FUNCTION", None) or ())}
    assert {i.__name__ for row in RULES.values() for i in row.all} == named - {"completes"}
    rows = set(RULES) - {None, "conserved"}
    assert {p.RULES for p in PROGRAMS.values() if not p.FAULT} == rows
    assert {p.RULES for p in PROGRAMS.values() if p.FAULT} == rows
