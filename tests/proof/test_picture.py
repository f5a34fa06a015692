"""A reallocation as text: no wider than a terminal, and nothing is left out without a word."""

import re

import numpy as np
import pytest
from hypothesis import given, settings

from minidsr import InvariantError, Sparse, reallocate
from minidsr.proof.cases import Case, cases
from minidsr.proof.picture import WIDTH, Example
from minidsr.proof.updates import Update
from minidsr.reparam import Report


@settings(max_examples=20)
@given(cases())
def test_what_is_in_use_is_drawn_or_counted(case):
    text = str(Example(case, case.run()))
    head, *tensors = re.split(r"\n(?=tensor \d)", text)
    assert len(tensors) == len(case.tensors) and "; next H = " in head
    for W, before, after, drawn in zip(case.tensors, *_moments(case), tensors, strict=True):
        first, *lines = drawn.splitlines()
        assert max(map(len, [first, *lines])) <= max(WIDTH, 45)  # 45: one position at least
        more = re.search(r"(\d+) more in use", drawn)
        used, places = before | after, set(map(int, re.findall(r"(?<=  )\d+", first)))
        assert len(used - places) == (int(more[1]) if more else 0)
        assert drawn.endswith(": empty") == (W.size > 8 and not used) or not W.size


def _moments(case):
    r = case.run()
    return [[set(t.index.tolist()) for t in tensors] for tensors in (r.before, r.after)]


def test_a_case_that_is_checked():
    """What keeps Algorithm 1 comes back; of what does not, rules and picture are raised."""
    W = Sparse((3,), np.array([0, 2], np.int32), np.array([1, 0.25], np.float32))
    case = Case([W], 0.5, 1, 0.1, 0)
    assert case.check(reallocate).report.K == 1

    def keeps_all(tensors, H, N_p, delta, rng, keep_one):
        return H, None

    with pytest.raises(InvariantError) as error:
        case.check(keeps_all)
    assert str(error.value) == """\
pruned_below_threshold: tensor 0: 0.25 at position 2 stays, below H = 0.5
threshold_rule: H goes from 0.5 to 0.5; K = 0 and 0.9 to 1.1 ask for 1
in H = 0.5, N_p = 1, delta = 0.1, seed 0, keep_one=True; next H = 0.5
tensor 0, 3 positions  0  1      2
               before  1  .   0.25
                after  1  .   0.25
                             stays"""


def test_two_runs_that_are_compared():
    """Each tensor under its own name."""
    tensors = [Sparse((size,), np.array([0], np.int32), np.array([2], np.float32))
               for size in (1, 2)]
    case = Case(tensors, 0.5, 1, 0.1, 0)
    other = ("the tensors in another order", case.run(order=[1, 0]))
    lines = str(Example(case, case.run(), other)).splitlines()
    assert [line for line in lines if not line.startswith(" ")] == [
        "H = 0.5, N_p = 1, delta = 0.1, seed 0, keep_one=True; next H = 1",
        "tensor 0, 1 position  0", "tensor 1, 2 positions  0  1",
        "the tensors in another order; next H = 1",
        "tensor 1, 2 positions  0  1", "tensor 0, 1 position  0"]


def test_what_a_method_grows_by_is_drawn():
    """The gradient of each position that is, also where no weight is."""
    W = Sparse((3,), np.array([1], np.int32), np.array([0.5], np.float32))
    case = Update([W], 0.5, 0, "gradient")
    (tensor,), gradient = case.run(lambda *args: (None, Report())).before, case._dense()[0][0]
    assert tensor.recorded["gradient"].tolist() == gradient.tolist()
    text = str(Example(case, case.run(lambda *args: (None, Report()))))
    assert text.splitlines()[0] == "fraction = 0.5, seed 0"
    row, = (line.split() for line in text.splitlines() if "gradient" in line)
    assert row == ["gradient", *(f"{g:g}" for g in gradient)]
