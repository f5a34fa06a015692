"""The checker names the faults of published code, and nothing else; see gallery/__init__.py."""

from itertools import repeat
from pathlib import Path

import numpy as np
import pytest

from lessons import gallery
from lessons.gallery import masked, methods, page
from minidsr.parameters import Sparse
from minidsr.proof.cases import VALUES, Case, distinct_patterns, small_cases
from minidsr.proof.invariants import RULES
from minidsr.reparam import LARGEST_H, SMALLEST_H, reallocate
from minidsr.run.verify import Tally, try_case, try_seeds

WHOLE = {name: p for name, p in methods.programs().items()
         if p.RULES == "dsr" and p.BY_FUNCTION}
THRESHOLDS = [SMALLEST_H, 1e-4, 1e-3, 0.5, 1.0, 3.0, LARGEST_H]


def random_case(rng):
    """One to eight tensors of up to 40 positions, now and then all full.

    Not from hypothesis, so that they are the same for each of its versions.
    """
    full = rng.random() < 0.2
    tensors = [random_tensor(rng, full) for _ in range(rng.integers(1, 9))]
    budget = sum(W.value.size for W in tensors)
    if not budget:
        return random_case(rng)
    N_p = budget if rng.random() < 0.2 else int(rng.integers(1, budget + 1))
    return Case(tensors, float(rng.choice(THRESHOLDS)), N_p, float(rng.choice([0, 0.1, 0.3, 0.7])),
                int(rng.integers(2**32)), keep_one=bool(rng.random() < 0.8))


def equal_layers(rng):
    """24 small tensors alike, of which only a few weights go: all lies in the rounding."""
    tensors = [Sparse((9,), np.arange(4, dtype=np.int32), rng.normal(size=4).astype(np.float32))
               for _ in range(24)]
    return Case(tensors, 0.1, 8, 0.1, int(rng.integers(2**32)))


def random_tensor(rng, full):
    """Whole kernel slices; none, one, all or some of them in use. Half the values may be 0."""
    kernel = int(rng.choice([1, 1, 2, 3]))
    slices = int(rng.integers(1, 1 + 40 // kernel**2))
    some = rng.choice([0, 1, slices, *rng.integers(slices + 1, size=4)])
    slots = np.sort(rng.choice(slices, slices if full else some, replace=False))
    index = (slots[:, None] * kernel**2 + np.arange(kernel**2)).reshape(-1).astype(np.int32)
    value = VALUES[rng.choice(list(VALUES))](rng, len(index))
    value[rng.random(len(index)) < rng.choice([0, 0.5])] = 0
    W = Sparse((slices, kernel, kernel), index, value.astype(np.float32))
    W.velocity = rng.normal(size=len(index)).astype(np.float32)
    return W


def dying_layer(rng):
    """A tensor that would die and begins with a 0, beside one that lives; K is N_p just so."""
    dying, living = [0, 0.01, 0.02, 0.03], rng.uniform(0.5, 1, 8)
    tensors = [Sparse((20,), np.arange(len(v), dtype=np.int32), np.array(v, np.float32))
               for v in (dying, living)]
    for W in tensors:
        W.velocity = np.ones_like(W.value)
    return Case(tensors, 0.1, 3, 0, int(rng.integers(2**32)))


@pytest.fixture(scope="module")
def rng():
    """The seed is one with which so few networks show each invariant that a fault violates."""
    return np.random.default_rng(3)


@pytest.fixture(scope="module")
def cases(rng):
    """150 networks of one or two small tensors, some made to be difficult, and random ones."""
    small = [*small_cases(1, distinct_patterns(3)), *small_cases(2, distinct_patterns(2))]
    made = [make(rng) for make in (equal_layers, dying_layer) for _ in range(5)]
    return small + made + [random_case(rng) for _ in range(150 - len(small + made))]


@pytest.fixture(scope="module")
def more_cases(cases, rng):
    """213 further ones, all random."""
    return [random_case(rng) for _ in range(213)]


def violated(cases, implementation):
    """{invariant: how often it was violated}."""
    tally = Tally()
    for case in cases:
        try_case(tally, case, reallocate=implementation)
    try_seeds(tally, lambda cases: zip(cases, repeat(implementation)))
    return dict(tally.violated)


@pytest.mark.slow
@pytest.mark.parametrize("fault", gallery.faults().values(), ids=gallery.faults())
def test_the_checker_names_the_fault(cases, fault):
    assert set(violated(cases, fault.reallocate)) == set(fault.VIOLATES)


@pytest.mark.exhaustive
@pytest.mark.parametrize("fault", gallery.faults().values(), ids=gallery.faults())
def test_the_checker_names_nothing_else_in_more_networks(more_cases, fault):
    assert set(violated(more_cases, fault.reallocate)) <= set(fault.VIOLATES)


@pytest.mark.slow
@pytest.mark.parametrize("program", WHOLE.values(), ids=WHOLE)
def test_the_checker_names_the_fault_of_a_whole_program(cases, program):
    """What the published one does with momentum shows in a trace only: where all tensors are full,
    it grows nothing."""
    assert set(violated(cases, program.MASKED.on_sparse)) == set(program.BY_FUNCTION)


CORRECT = pytest.mark.parametrize(
    "correct", [masked.reallocate, reallocate], ids=["masked", "minidsr"])


@CORRECT
def test_the_checker_accepts_what_is_correct(cases, correct):
    assert violated(cases, correct) == {}


@pytest.mark.exhaustive
@CORRECT
def test_the_checker_accepts_what_is_correct_in_more_networks(more_cases, correct):
    assert violated(more_cases, correct) == {}


@pytest.mark.parametrize("fault", gallery.faults().values(), ids=gallery.faults())
def test_only_invariants_are_named(fault):
    names = [i.__name__ for i in RULES["dsr"].one + RULES["dsr"].runs] + ["completes"]
    assert len(fault.VIOLATES) == len(set(fault.VIOLATES)) > 0
    assert set(fault.VIOLATES) <= set(names)


def test_the_page_is_up_to_date():
    """But of the faults of Algorithm 1, two are recorded in traces, not all."""
    written = (Path(page.__file__).parent / "README.md").read_text(encoding="utf-8")
    lines = page.by_fault(page.rows({"rounds_up", "empty_layer", *methods.programs()}))
    assert set(lines.splitlines()) <= set(written.splitlines())
    assert all(f"(`{name}`)" in written for name in gallery.faults())
    assert all(f"\n| `{i.__name__}` |" in written for row in RULES.values() for i in row.all)
