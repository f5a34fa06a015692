"""What goes and what stays: the invariants of pruning, each broken by its own numbers."""

import math
from dataclasses import replace
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from observed import (
    NEW,
    TINY,
    any_free,
    edited,
    example,
    fruitful,
    names,
    near,
    pick,
    places,
    put,
    reason,
    seen,
    seldom,
    verdict,
    with_one,
    without,
)

from minidsr.proof.acted import acted
from minidsr.proof.cases import cases
from minidsr.proof.invariants import (
    judge,
    largest_kept,
    pruned_below_threshold,
    shares,
    threshold_rule,
)
from minidsr.reparam import SMALLEST_H

# --- pruned_below_threshold


@pytest.mark.parametrize(("how", "expected"), [
    ({"a": {7: None, 2: 0.5}, "K": 2, "pruned": [1, 1], "grown": [1, 1], "next_H": 2.0},
     ["pruned_below_threshold: a: 0.5 at position 2 stays, below H = 1"]),
    ({"b": {5: None, 6: NEW, 7: NEW}, "a": {1: None}, "K": 4, "pruned": [3, 1], "grown": [2, 2],
      "active": [3, 4], "next_H": 0.5},
     ["pruned_below_threshold: a: -4 at position 1 is pruned, not below H = 1"]),
    ({"b": {5: None, 1: 0.5, 2: None, 6: NEW}},
     ["pruned_below_threshold: b: 0.5 at position 1 stays, below H = 1",
      "pruned_below_threshold: b: -2 at position 2 is pruned, not below H = 1"])])
def test_what_breaks_pruned_below_threshold(how, expected):
    assert verdict(example(**how)) == expected


def test_a_protected_weight_stays_below_the_threshold():
    """It survives, also as a 0 at rest; that it is pruned is an error of its own."""
    before, stays = {0: 3, 1: 0.5, 2: NEW, 3: 0.25}, {0: 3, 1: 0.5, 2: NEW, 5: NEW}
    goes = {0: 3, 2: NEW, 5: NEW, 6: NEW}

    def protecting(after, index):
        r = seen((8, before, after), H=1.0, K=None)
        return replace(r, before=[replace(r.before[0], protected=np.array(index))])

    assert verdict(protecting(stays, [1, 2])) == []
    assert protecting(stays, [1, 2]).counts() == ([1], [3], [1])
    assert verdict(protecting(goes, [1, 2])) == [
        "pruned_below_threshold: a: 0.5 at position 1 is protected, and pruned by H = 1"]
    assert verdict(protecting(stays, [2])) == [
        "pruned_below_threshold: a: 0.5 at position 1 stays, below H = 1"]


@pytest.mark.parametrize(("H", "w", "dtype"), [
    (0.5, 0.5, np.float32), (0.5, -0.5, np.float32), (SMALLEST_H, SMALLEST_H, np.float32),
    (np.float32(0.1), 0.1, np.float32), (0.1, 0.1, np.float32),
    (0.1, 0.1, np.float64), (TINY, TINY, np.float32), (1, 1, np.float64)])
def test_a_weight_as_large_as_the_threshold_survives(H, w, dtype):
    w = dtype(w)
    smaller = np.nextafter(w, dtype(0))
    stays = seen((4, {0: 3, 1: w}, {0: 3, 1: w}), H=H, dtype=dtype)
    goes = seen((4, {0: 3, 1: w}, {0: 3, 2: NEW}), H=H, dtype=dtype)
    assert verdict(stays) == []
    assert verdict(goes) == [
        f"pruned_below_threshold: a: {w:g} at position 1 is pruned, not below H = {H:g}"]
    stays = seen((4, {0: 3, 1: smaller}, {0: 3, 1: smaller}), H=H, dtype=dtype)
    goes = seen((4, {0: 3, 1: smaller}, {0: 3, 2: NEW}), H=H, dtype=dtype)
    assert verdict(goes) == []
    if smaller:
        assert verdict(stays) == [
            f"pruned_below_threshold: a: {smaller:g} at position 1 stays, below H = {H:g}"]


def test_the_first_of_several_is_named():
    r = seen((9, {0: 3, 1: 0.25, 2: 0.5, 3: 2, 4: 4}, {0: 3, 1: 0.25, 2: 0.5, 7: NEW, 8: NEW}),
             H=1.0)
    assert verdict(r) == ["pruned_below_threshold: a: 0.25 at position 1 stays, below H = 1",
                          "pruned_below_threshold: a: 2 at position 3 is pruned, not below H = 1"]


def test_a_zero_that_was_to_go_is_taken_for_a_grown_one():
    """It cannot be told apart; its velocity tells, if it has one."""
    for w in (0.0, -0.0):
        r = seen((9, {0: 3, 1: w}, {0: 3, 1: w}), H=1.0)
        assert verdict(r) == [
            "grown_at_rest: a: position 1 is grown with velocity 2",
            "grown_elsewhere: a: position 1 was pruned and grown again, 7 others stayed free"]


def test_a_threshold_beyond_float32_is_above_all_weights():
    r = seen((3, {0: 3e38, 1: -1}, {0: 3e38, 2: NEW}), H=1e300, keep_one=True)
    assert verdict(r) == []
    assert acted("pruned_below_threshold", r) == 0


@pytest.mark.parametrize(("dtype", "H"), [(np.float16, 0.1), (np.float32, 0.7)])
def test_a_weight_that_is_the_threshold_but_for_rounding(dtype, H):
    """In its own type it is not below, in a wider one it is; programs compare in either."""
    w, less = dtype(H), np.nextafter(dtype(H), dtype(0))
    assert float(w) < H
    for after in ({0: w, 1: 3, 5: NEW}, {1: 3, 5: NEW, 6: NEW}):
        r = seen((9, {0: w, 1: 3, 2: less}, after), H=H, dtype=dtype)
        assert verdict(r) == []
        assert acted("pruned_below_threshold", r) == 1
    r = seen((9, {0: w, 1: 3, 2: less}, {0: w, 1: 3, 2: less}), H=H, dtype=dtype)
    assert names(r) == ["pruned_below_threshold"]
    r = seen((9, {0: w, 1: 3}, {0: less, 1: 3}), H=H, dtype=dtype)
    assert names(r) == ["survivors_keep_value"]


def test_a_zero_is_below_a_threshold_that_float16_takes_for_0():
    r = seen((1, {0: 0.0}, {0: 0.0}), H=1e-9, dtype=np.float16, velocity=False, keep_one=False)
    assert r.counts() == ([1], [0], [1])
    assert acted("pruned_below_threshold", r) == 0


@pytest.mark.parametrize("H", [0.5, 0.25, 1e5])
def test_how_many_weights_are_equal_to_the_threshold(H):
    """Beside float16, an H too large for it is equal to none."""
    r = seen((9, {0: 0.5, 1: -0.5, 2: 3, 3: 0.25}, {0: 0.5, 1: -0.5, 2: 3}), dtype=np.float16, H=H)
    assert acted("pruned_below_threshold", r) == {0.5: 2, 0.25: 1, 1e5: 0}[H]


@seldom
@given(fruitful(lambda r: places(r, lambda c: ~c.below & ~c.equal) and any_free(r)), st.data())
def test_one_more_is_pruned(case, data):
    """One that is above H goes, and one that is new comes in its place."""
    r = case.run()
    n, j = pick(data, places(r, lambda c: ~c.below & ~c.equal))
    to, i = pick(data, any_free(r))
    wrong = edited(r, n, **without(r.after[n], r.changes[n].at[j]))
    found = names(edited(wrong, to, **with_one(wrong.after[to], i)))
    assert {"pruned_below_threshold", "balance"} <= set(found)
    assert set(found) <= {"pruned_below_threshold", "balance", "shares", "overflow",
                          "grown_elsewhere", "threshold_rule"}


@pytest.mark.slow
@seldom
@given(fruitful(lambda r: any(c.new.any() and (~c.stays & ~c.equal & (c.magnitude > 0)).any()
                              for c in r.changes)), st.data())
def test_one_less_is_pruned(case, data):
    """One that is below H stays, and one that is new does not come."""
    r = case.run()
    small = places(r, lambda c: ~c.stays & ~c.equal & (c.magnitude > 0))
    n, j = pick(data, [(n, j) for n, j in small if r.changes[n].new.any()])
    c = r.changes[n]
    wrong = edited(r, n, **without(r.after[n], int(np.argmax(c.new))))
    found = names(edited(wrong, n, **with_one(
        wrong.after[n], c.before.index[j], c.before.value[j], c.before.velocity[j])))
    assert {"pruned_below_threshold", "balance"} <= set(found)
    assert set(found) <= {"pruned_below_threshold", "balance", "shares", "overflow",
                          "grown_elsewhere", "threshold_rule"}


def test_pruned_below_threshold_needs_the_threshold():
    assert reason(pruned_below_threshold, example(H=None)) == "H is not known"
    assert judge(pruned_below_threshold, seen((0, {}, {}), H=1.0)) == []


# --- largest_kept


@pytest.mark.parametrize(("keep_one", "after", "expected"), [
    (True, {2: -0.75}, []), (None, {2: -0.75}, []),
    (False, {2: -0.75}, ["pruned_below_threshold: a: -0.75 at position 2 stays, below H = 1"]),
    (True, {}, ["largest_kept: a: none is kept, and the largest is -0.75 at position 2"]),
    (None, {}, []), (False, {}, []),
    (True, {1: 0.5}, ["largest_kept: a: 0.5 at position 1 is kept, and the largest is "
                      "-0.75 at position 2"]),
    (None, {1: 0.5}, ["largest_kept: a: 0.5 at position 1 is kept, and the largest is "
                      "-0.75 at position 2"]),
    (False, {1: 0.5}, ["pruned_below_threshold: a: 0.5 at position 1 stays, below H = 1"]),
    (True, {1: 0.5, 2: -0.75},
     ["pruned_below_threshold: a: 0.5 at position 1 stays, below H = 1"]),
    (None, {1: 0.5, 2: -0.75},
     ["pruned_below_threshold: a: 0.5 at position 1 stays, below H = 1"])])
def test_where_all_are_below_the_threshold(keep_one, after, expected):
    """What is missing in `a` is grown in `b`, or in `a` where its survivors ask for it."""
    k, kept = 3 - len(after), len(after)
    fair = Fraction(k * kept, kept + 10)
    grown = dict.fromkeys(range(10, 10 + round(fair)), NEW)
    elsewhere = dict.fromkeys(range(10, 10 + k - round(fair)), NEW)
    ten = dict.fromkeys(range(10), 1.0)
    r = seen((20, {0: 0.0, 1: 0.5, 2: -0.75}, after | grown), (20, ten, ten | elsewhere),
             H=1.0, keep_one=keep_one)
    assert verdict(r) == expected


@pytest.mark.parametrize("kept", [{1: 0.5}, {2: -0.5}, {3: 0.5}])
def test_any_of_equals_may_be_kept(kept):
    r = seen((9, {1: 0.5, 2: -0.5, 3: 0.5}, kept | {7: NEW, 8: NEW}), H=1.0, keep_one=True)
    assert verdict(r) == []


@pytest.mark.parametrize("zero", [0.0, -0.0])
def test_one_of_the_zeros_is_kept(zero):
    r = seen((9, {1: zero, 2: zero}, {2: zero, 5: NEW}), H=SMALLEST_H, keep_one=True)
    assert verdict(r) == []
    r = seen((9, {1: zero, 2: zero}, {4: NEW, 5: NEW}), H=SMALLEST_H, keep_one=True)
    assert verdict(r) == [
        f"largest_kept: a: none is kept, and the largest is {zero:g} at position 1"]
    r = seen((2, {0: zero, 1: zero}, {0: zero, 1: NEW}), H=SMALLEST_H, keep_one=True)
    assert verdict(r) == []


def test_any_of_equal_zeros_may_be_kept_in_a_full_tensor():
    r = seen((2, {0: 0.0, 1: 0.0}, {0: NEW, 1: 0.0}), H=0.5, keep_one=True)
    assert verdict(r) == []


@pytest.mark.parametrize("said", [
    {"H": 0.5}, {"H": 0.5, "keep_one": None, "pruned": [1], "grown": [1]},
    {"pruned": [1], "grown": [1]}])
def test_a_zero_may_go_and_come_back(said):
    """Nobody says that one is kept. In a full tensor, the velocity tells."""
    assert verdict(seen((1, {0: (0.0, 3.0)}, {0: NEW}), **said)) == []


@pytest.mark.parametrize("velocity", [0.0, 3.0])
def test_what_is_said_decides_whether_a_zero_was_kept(velocity):
    """In a full tensor of zeros one looks like a weight that was pruned and has grown again."""
    before = {0: (0.0, velocity), 1: (0.0, velocity)}
    all_went = {"pruned": [2], "grown": [2]}
    assert verdict(seen((2, before, {0: NEW, 1: NEW}), H=0.5, **all_went)) == []
    one_stayed = {"pruned": [1], "grown": [1]}
    assert verdict(seen((2, before, {0: (0.0, velocity), 1: NEW}), H=0.5, **one_stayed)) == []


def test_nobody_knows_whether_a_zero_was_kept():
    """In a full tensor. Then there is nothing that K could be compared with."""
    r = seen((1, {0: (0.0, 0.0)}, {0: NEW}), H=0.5, next_H=0.5, N_p=1, delta=0.0)
    assert verdict(r) == []
    assert reason(threshold_rule, r) == reason(shares, r) == "keep_one is not known, and a 0 stays"
    for said, K in (({"keep_one": False}, 1), ({"keep_one": True}, 0), ({"pruned": [1]}, 1)):
        told = replace(r, report=replace(r.report, **said))  # N_p is 1, so K = 0 is too few
        assert bool(judge(threshold_rule, told)) == (K == 0)


def test_a_zero_that_must_be_kept_keeps_its_velocity():
    """Where it need not, another velocity means another weight."""
    for velocity in (0, 5):
        r = seen((1, {0: (0.0, 3)}, {0: (0.0, velocity)}), H=0.5, keep_one=True)
        assert verdict(r) == [
            f"survivors_keep_velocity: a: velocity 3 at position 0 becomes {velocity}"]
    r = seen((1, {0: (0.0, 3)}, {0: (0.0, 5)}), H=0.5)
    assert verdict(r) == ["grown_at_rest: a: position 0 is grown with velocity 5"]


def test_the_only_weight_is_kept():
    assert verdict(seen((1, {0: 0.5}, {0: 0.5}), H=1.0, keep_one=True)) == []
    assert verdict(seen((1, {0: 0.5}, {0: NEW}), H=1.0, keep_one=True)) == [
        "largest_kept: a: none is kept, and the largest is 0.5 at position 0"]
    assert verdict(seen((1, {0: 0.5}, {0: NEW}), H=1.0, keep_one=False)) == []


def test_each_tensor_wholly_below_is_looked_at():
    few = {1: 0.5, 2: 0.25}
    r = seen((9, few, {1: 0.5, 3: NEW}), (9, {0: 1}, {0: 1}), (9, few, {2: 0.25, 3: NEW}),
             (9, few, {4: NEW, 5: NEW}), H=1.0, keep_one=True)
    assert [str(v) for v in judge(largest_kept, r)] == [
        "largest_kept: c: 0.25 at position 2 is kept, and the largest is 0.5 at position 1",
        "largest_kept: d: none is kept, and the largest is 0.5 at position 1"]


@pytest.mark.parametrize("before", [{}, {0: 1}, {0: 1, 1: 0.5}])
def test_no_tensor_wholly_below(before):
    r = seen((9, before, before), (0, {}, {}), H=1.0)
    assert reason(largest_kept, r) == "no tensor was wholly below H"


def test_largest_kept_needs_the_threshold():
    assert reason(largest_kept, example(H=None)) == "H is not known"


# --- survivors_keep_value


@pytest.mark.parametrize(("how", "expected"), [
    ({"a": {0: math.nextafter(5, 9)}, "dtype": np.float64},
     ["survivors_keep_value: a: value 5 at position 0 becomes 5.0000000000000009"]),
    ({"a": {1: 4}}, ["survivors_keep_value: a: value -4 at position 1 becomes 4"]),
    ({"a": {0: 6, 1: 7}}, ["survivors_keep_value: a: value 5 at position 0 becomes 6; 2 of 2 "
                           "change, by up to 11"]),
    ({"a": {0: 6}, "b": {2: (0, 3)}},
     ["survivors_keep_value: a: value 5 at position 0 becomes 6",
      "survivors_keep_value: b: value -2 at position 2 becomes 0"])])
def test_what_breaks_survivors_keep_value(how, expected):
    assert verdict(example(**how)) == expected


def test_without_a_threshold_survivors_are_those_that_stay():
    r = seen((9, {0: 1, 1: 2, 2: 3}, {0: 1.5, 1: (2, 7), 5: NEW}))
    assert verdict(r) == ["survivors_keep_value: a: value 1 at position 0 becomes 1.5",
                          "survivors_keep_velocity: a: velocity 2 at position 1 becomes 7"]


@given(cases(), st.data())
def test_a_survivor_one_ulp_off(case, data):
    r = case.run()
    n, j = pick(data, places(r, lambda c: c.survives))
    c = r.changes[n]
    j, kept = c.at[j], j == c.keeper
    value = near(data, r.after[n].value[j])
    found = names(edited(r, n, value=put(r.after[n].value, j, value)))
    assume(np.isfinite(value))
    if not kept:
        assert found == ["survivors_keep_value"]
    elif not (r.before[n].value == 0).all():  # the one that is kept looks as if it were grown
        assert found and "survivors_keep_value" not in found
        assert "balance" in found


# --- survivors_keep_velocity


@pytest.mark.parametrize(("how", "expected"), [
    ({"a": {1: (-4, 9)}}, ["survivors_keep_velocity: a: velocity 2 at position 1 becomes 9"]),
    ({"a": {1: (-4, -2)}}, ["survivors_keep_velocity: a: velocity 2 at position 1 becomes -2"]),
    ({"b": {0: (1, 0)}}, ["survivors_keep_velocity: b: velocity 1 at position 0 becomes 0"]),
    ({"before": {0: (5, 0.0)}, "a": {0: (5, -0.0)}},
     ["survivors_keep_velocity: a: velocity 0 at position 0 becomes -0"])])
def test_what_breaks_survivors_keep_velocity(how, expected):
    assert verdict(example(**how)) == expected


def test_the_one_that_is_kept_keeps_its_velocity():
    r = seen((3, {0: 0.5, 1: 0.25}, {0: (0.5, 7), 2: NEW}), H=1.0, keep_one=True)
    assert verdict(r) == ["survivors_keep_velocity: a: velocity 1 at position 0 becomes 7"]


@given(cases(), st.data())
def test_a_velocity_one_ulp_off(case, data):
    r = case.run()
    n, j = pick(data, places(r, lambda c: c.survives))
    j = r.changes[n].at[j]
    velocity = near(data, r.after[n].velocity[j])
    assert names(edited(r, n, velocity=put(r.after[n].velocity, j, velocity))) == [
        "survivors_keep_velocity"]


@given(cases(), st.data())
def test_the_sign_of_a_survivors_zero(case, data):
    r = case.run()
    n, j = pick(data, places(r, lambda c: c.survives))
    before = list(r.before)
    before[n] = replace(before[n], velocity=put(before[n].velocity, j, 0.0))
    j = r.changes[n].at[j]
    held = edited(replace(r, before=before), n, velocity=put(r.after[n].velocity, j, 0.0))
    assert verdict(held) == []
    assert names(edited(held, n, velocity=put(held.after[n].velocity, j, -0.0))) == [
        "survivors_keep_velocity"]
