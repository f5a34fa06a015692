"""What is grown, where, and how many in each tensor: these invariants, each broken by hand."""

from dataclasses import replace
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy import inf, nan
from observed import (
    NEW,
    TINY,
    edited,
    example,
    free,
    fruitful,
    names,
    near,
    pick,
    places,
    put,
    reason,
    seen,
    seldom,
    sharing,
    verdict,
    water_filling,
    with_one,
    without,
)

from minidsr.proof.cases import cases
from minidsr.proof.invariants import (
    overflow,
    shares,
)
from minidsr.proof.rules_of_dsr import expected_growth
from minidsr.proof.sharing import fair_shares

NO_ROOM, DEAD = "what finds no room goes to the others", "none survives, so room decides"

# --- grown_at_zero


@pytest.mark.parametrize(("how", "expected"), [
    ({"a": {7: (0.5, 0)}}, ["grown_at_zero: a: position 7 is grown with value 0.5"]),
    ({"a": {7: (TINY, 0)}}, ["grown_at_zero: a: position 7 is grown with value 1.4013e-45"]),
    ({"a": {6: (0.5, 0), 7: (3, 0)}}, [
        "grown_at_zero: a: position 6 is grown with value 0.5; 2 of 2 are not 0, by up to 3"])])
def test_what_breaks_grown_at_zero(how, expected):
    assert verdict(example(**how)) == expected


@pytest.mark.parametrize("bad", [nan, inf])
def test_grown_numbers_that_are_not_finite_are_not_zero(bad):
    r = example(a={7: (bad, bad)})
    assert names(r) == ["finite", "finite", "grown_at_zero", "grown_at_rest"]
    assert verdict(r)[2] == f"grown_at_zero: a: position 7 is grown with value {bad}"


@given(cases(), st.data(), st.sampled_from(["value", "velocity"]))
def test_a_grown_weight_one_ulp_off(case, data, key):
    r = case.run()
    n, j = pick(data, places(r, lambda c: c.new))
    array = getattr(r.after[n], key)
    assert verdict(edited(r, n, **{key: put(array, j, -0.0)})) == []
    assert names(edited(r, n, **{key: put(array, j, near(data, 0))})) == [
        {"value": "grown_at_zero", "velocity": "grown_at_rest"}[key]]


# --- grown_at_rest


@pytest.mark.parametrize(("how", "expected"), [
    ({"b": {5: (0, -1)}}, ["grown_at_rest: b: position 5 is grown with velocity -1"]),
    ({"b": {5: (2, -1)}}, ["grown_at_zero: b: position 5 is grown with value 2",
                          "grown_at_rest: b: position 5 is grown with velocity -1"])])
def test_what_breaks_grown_at_rest(how, expected):
    assert verdict(example(**how)) == expected


def test_regrown_ones_start_at_rest_too():
    full = {0: 1, 1: 0.5, 2: 0.25}
    r = seen((3, full, {0: 1, 1: (0, 2), 2: (0.125, 0)}), H=0.75)
    assert verdict(r) == ["grown_at_zero: a: position 2 is grown with value 0.125",
                          "grown_at_rest: a: position 1 is grown with velocity 2"]
    r = seen((3, full, {0: 1, 1: (0, 2), 2: NEW}))  # nobody knows what is below
    assert verdict(r) == ["survivors_keep_value: a: value 0.5 at position 1 becomes 0, or it was "
                          "pruned, and grown again with a velocity"]
    r = seen((3, full, {0: (1, 0), 1: (0.5, 2), 2: NEW}))  # a velocity of 0 says nothing of that
    assert verdict(r) == ["survivors_keep_velocity: a: velocity 1 at position 0 becomes 0"]


# --- grown_elsewhere


@pytest.mark.parametrize(("how", "expected"), [
    ({"a": {7: None, 2: NEW}},
     ["grown_elsewhere: a: position 2 was pruned and grown again, 9 others stayed free"]),
    ({"a": {6: None, 7: None, 2: NEW, 3: NEW}, "b": {5: None, 1: NEW}},
     ["grown_elsewhere: a: position 2 was pruned and grown again, 11 others stayed free",
      "grown_elsewhere: b: position 1 was pruned and grown again, 11 others stayed free"])])
def test_what_breaks_grown_elsewhere(how, expected):
    assert verdict(example(**how)) == expected


def test_just_pruned_positions_serve_when_no_other_is_free():
    """a has no room, b has room for one; 3 are pruned."""
    a, b = {0: 1, 1: 0.5, 2: 0.5}, {0: 1, 1: 1, 2: 0.5}
    r = seen((3, a, {0: 1, 1: NEW}), (4, b, {0: 1, 1: 1, 2: NEW, 3: NEW}), H=0.75)
    assert verdict(r) == []
    r = seen((3, a, {0: 1, 1: NEW, 2: NEW}), (4, b, {0: 1, 1: 1, 2: NEW}), H=0.75)
    assert verdict(r) == [
        "grown_elsewhere: a: position 1 was pruned and grown again, 1 other stayed free",
        "grown_elsewhere: b: position 2 was pruned and grown again, 1 other stayed free",
        f"overflow: a: grew 2, its share of 3 is 1.00; {NO_ROOM}",
        f"overflow: b: grew 1, its share of 3 is 2.00; {NO_ROOM}"]


def test_growing_again_is_seen_without_a_threshold():
    r = seen((3, {0: 1, 1: 0.5}, {0: 1, 1: NEW}))
    assert verdict(r) == [
        "grown_elsewhere: a: position 1 was pruned and grown again, 1 other stayed free"]
    assert verdict(seen((2, {0: 1, 1: 0.5}, {0: 1, 1: NEW}))) == []


@seldom
@given(fruitful(lambda r: any(c.new.any() for c in r.changes)), st.data())
def test_grown_where_one_was_just_pruned(case, data):
    r = case.run()
    n, j = pick(data, [(n, j) for n, j in places(r, lambda c: c.new)
                       if not r.changes[n].stays.all()])
    c = r.changes[n]
    i = data.draw(st.sampled_from(c.before.index[~c.stays]))
    moved = edited(r, n, **without(r.after[n], j))
    found = names(edited(moved, n, **with_one(moved.after[n], i)))
    assert "grown_elsewhere" in found
    if c.magnitude.max() > 0 or not case.keep_one:
        assert set(found) == {"grown_elsewhere"}


# --- shares


@pytest.mark.parametrize(("how", "expected"), [
    ({"a": {6: None, 7: None}, "b": {6: NEW, 7: NEW}, "grown": [0, 3], "active": [2, 5]},
     ["shares: a: grew 0, its share of 3 is 3 * 2 / 4 = 1.50",
      "shares: b: grew 3, its share of 3 is 3 * 2 / 4 = 1.50"])])
def test_what_breaks_shares(how, expected):
    assert verdict(example(**how)) == expected


@pytest.mark.parametrize(("tensors", "wrong"), [
    ([(9, 2, 2, 2), (9, 2, 0, 0)], ["shares: a: grew 2, its share of 2 is 2 * 2 / 4 = 1.00",
                                    "shares: b: grew 0, its share of 2 is 2 * 2 / 4 = 1.00"]),
    ([(9, 1, 2, 2), (200, 99, 0, 0)], ["shares: a: grew 2, its share of 2 is 2 * 1 / 100 = 0.02",
                                       "shares: b: grew 0, its share of 2 is 2 * 99 / 100 = 1.98"]),
    ([(9, 0, 1, 1), (9, 2, 0, 0)], ["shares: a: grew 1, its share of 1 is 1 * 0 / 2 = 0.00",
                                    "shares: b: grew 0, its share of 1 is 1 * 2 / 2 = 1.00"]),
    ([(9, 1, 2, 2), (9, 3, 0, 0)], ["shares: a: grew 2, its share of 2 is 2 * 1 / 4 = 0.50",
                                    "shares: b: grew 0, its share of 2 is 2 * 3 / 4 = 1.50"]),
    ([(9, 3, 0, 2), (9, 3, 2, 0), (9, 0, 0, 0)],
     ["shares: a: grew 2, its share of 2 is 2 * 3 / 6 = 1.00",
      "shares: b: grew 0, its share of 2 is 2 * 3 / 6 = 1.00"])])
def test_shares_that_are_off_by_one_or_more(tensors, wrong):
    assert verdict(sharing(*tensors, keep_one=False)) == wrong


def test_one_share_alone_may_be_off():
    """4 of 4, where 3 are due; the others are off by less."""
    r = sharing((20, 6, 8, 5), (20, 5, 0, 1), (20, 5, 0, 2))
    assert verdict(r) == ["shares: a: grew 5, its share of 8 is 8 * 6 / 16 = 3.00",
                          "shares: b: grew 1, its share of 8 is 8 * 5 / 16 = 2.50"]


@pytest.mark.parametrize("tensors", [
    [(9, 1, 1, 1), (200, 99, 0, 0)], [(9, 1, 1, 0), (200, 99, 0, 1)],  # 0.01 and 0.99
    [(9, 1, 3, 2), (9, 1, 0, 1)], [(9, 1, 3, 1), (9, 1, 0, 2)],        # 1.5 and 1.5
    [(9, 2, 2, 1), (9, 2, 0, 1)], [(9, 3, 0, 0)], [(9, 0, 0, 0)], [(0, 0, 0, 0)],
    [(9, 0, 0, 0), (9, 2, 2, 2)],
    [(3, 2, 0, 1), (4, 2, 0, 1), (9, 0, 2, 0)],                        # room for just that
    [(2, 2, 0, 0), (9, 2, 0, 0)]])                                     # full, and nothing to share
def test_shares_to_within_one(tensors):
    r = sharing(*tensors, keep_one=False)
    assert verdict(r) == []
    assert reason(overflow, r) == "every share found room, see shares"


# --- overflow: where a share finds no room


@pytest.mark.parametrize("tensors", [
    [(3, 2, 1, 0), (8, 1, 1, 2)],                      # full: all goes to the other
    [(3, 2, 0, 1), (9, 2, 4, 3)],                      # room for 1, where 2 are due
    [(3, 2, 1, 0), (20, 1, 2, 2), (20, 1, 2, 3)],      # 2.5 each for those with room
    [(3, 2, 1, 0), (20, 1, 2, 3), (20, 1, 2, 2)],
    [(4, 1, 2, 1), (20, 1, 2, 3)],                     # room for 1, where half of 4 is due
    [(4, 1, 2, 1), (4, 1, 1, 2)],                      # room for just all
    [(3, 2, 1, 1), (2, 1, 1, 1)],                      # all full: just-pruned positions
    [(3, 1, 2, 1), (5, 2, 1, 2)],                      # room for two, the third is 1/3 and 2/3
    [(3, 1, 2, 0), (5, 2, 1, 3)],
    [(30, 0, 2, 3), (12, 0, 2, 1)],                    # no survivor: 2.95 and 1.05 by room
    [(30, 0, 2, 2), (12, 0, 2, 2)],
    [(1, 0, 1, 1)], [(3, 3, 0, 0), (9, 0, 2, 2)]])
def test_where_a_share_finds_no_room(tensors):
    r = sharing(*tensors, keep_one=False)
    assert verdict(r) == []
    assert reason(shares, r) == "a share found no room, see overflow"


@pytest.mark.parametrize(("tensors", "wrong"), [
    ([(3, 2, 1, 0), (20, 1, 2, 4), (20, 1, 2, 1)],
     [f"overflow: b: grew 4, its share of 5 is 2.50; {NO_ROOM}",
      f"overflow: c: grew 1, its share of 5 is 2.50; {NO_ROOM}"]),
    ([(3, 2, 0, 0), (20, 2, 4, 4)], [f"overflow: a: grew 0, its share of 4 is 1.00; {NO_ROOM}",
                                    f"overflow: b: grew 4, its share of 4 is 3.00; {NO_ROOM}"]),
    ([(30, 0, 2, 4), (12, 0, 2, 0)], [f"overflow: a: grew 4, its share of 4 is 2.95; {DEAD}",
                                      f"overflow: b: grew 0, its share of 4 is 1.05; {DEAD}"])])
def test_an_overflow_shared_otherwise(tensors, wrong):
    assert verdict(sharing(*tensors, keep_one=False)) == wrong


# --- shares or overflow, and what both are derived from


@pytest.mark.slow
@seldom
@given(fruitful(lambda r: len(r.changes) > 1 and any(c.new.any() for c in r.changes)), st.data())
def test_grown_in_another_tensor(case, data):
    """Named where a share is off by one or more, and only there."""
    r = case.run()
    n, j = pick(data, places(r, lambda c: c.new))
    to = pick(data, [i for i in range(len(r.after)) if i != n and free(r, i)])
    i = data.draw(st.sampled_from(free(r, to)))
    g = list(r.report.grown)
    g[n] -= 1
    g[to] += 1
    active = list(r.report.active)
    active[n] -= 1
    active[to] += 1
    moved = edited(edited(r, n, **without(r.after[n], j)), to, **with_one(r.after[to], i))
    moved = replace(moved, report=replace(r.report, grown=g, active=active))
    l = [a.m - k for a, k in zip(r.changes, r.report.pruned, strict=True)]
    room, K = [c.room for c in r.changes], r.report.K
    first = water_filling(min(K, sum(room)), l, room)
    again = water_filling(max(0, K - sum(room)), l, r.report.pruned)
    off = sum(abs(g_ - a - b) >= 1 for g_, a, b in zip(g, first, again, strict=True))
    found = [name for name in names(moved) if name != "grown_elsewhere"]
    assert len(found) == off
    assert set(found) <= {"shares"} or set(found) <= {"overflow"}


def test_sharing_needs_to_know_what_is_pruned():
    r = example(before={0: NEW}, a={0: NEW}, H=None, pruned=None)
    assert reason(shares, r) == reason(overflow, r) == "pruned is not known, and a 0 stays"
    r = example(a={6: None, 7: None}, b={6: NEW, 7: NEW}, H=None, grown=None)
    assert names(r) == ["shares", "shares"]  # what is said is enough


def test_expected_growth():
    r = sharing((3, 1, 2, 1), (5, 2, 1, 2))
    assert expected_growth(r) == [Fraction(1, 3), 2 + Fraction(2, 3)]
    r = sharing((30, 0, 2, 3), (12, 0, 2, 1), keep_one=False)
    assert expected_growth(r) == [Fraction(4 * 28, 38), Fraction(4 * 10, 38)]
    assert expected_growth(sharing((9, 3, 3, 3), (9, 3, 2, 2))) == [Fraction(5, 2)] * 2
    assert expected_growth(sharing((4, 1, 2, 1), (4, 1, 1, 2))) == [1, 2]


@pytest.mark.parametrize(("K", "weights", "room", "fair"), [
    (0, [], [], []), (0, [1, 2], [3, 3], [0, 0]), (0, [0], [0], [0]), (0, [0, 0], [1, 0], [0, 0]),
    (3, [1, 2], [9, 9], [1, 2]), (1, [1, 2], [9, 9], [Fraction(1, 3), Fraction(2, 3)]),
    (2, [1, 2], [0, 2], [0, 2]), (4, [1, 1], [1, 9], [1, 3]), (4, [1, 1], [9, 1], [3, 1]),
    (4, [1, 1], [2, 9], [2, 2]), (10, [1, 1], [1, 9], [1, 9]),
    (9, [4, 2, 1], [1, 4, 9], [1, 4, 4]),         # what the first refuses fills the second
    (9, [4, 2, 1], [9, 4, 1], [Fraction(16, 3), Fraction(8, 3), 1]),
    (3, [1, 0], [9, 9], [3, 0]), (3, [1, 0], [2, 9], [2, 1]), (3, [0, 1], [9, 0], [3, 0]),
    (6, [1, 0, 0], [2, 6, 2], [2, 3, 1]), (2, [0, 0], [3, 1], [Fraction(3, 2), Fraction(1, 2)]),
    (4, [0, 0], [3, 1], [3, 1]), (2, [1, 0], [2, 5], [2, 0])])
def test_fair_shares(K, weights, room, fair):
    found = fair_shares(K, weights, room)
    assert found == fair
    assert all(isinstance(share, Fraction) for share in found)


room_and_weight = st.lists(st.tuples(st.integers(0, 9), st.integers(0, 30)), max_size=6)


@given(room_and_weight, st.data())
def test_fair_shares_are_what_a_rising_level_gives(pairs, data):
    weights, room = zip(*pairs, strict=True) if pairs else ((), ())
    K = data.draw(st.integers(0, sum(room)))
    fair = fair_shares(K, weights, room)
    assert sum(fair) == K
    assert all(0 <= share <= r for share, r in zip(fair, room, strict=True))
    assert fair == water_filling(K, weights, room)
    if any(share for share, w in zip(fair, weights, strict=True) if not w):
        assert all(share == r for share, w, r in zip(fair, weights, room, strict=True) if w)
    for share, w, r in zip(fair, weights, room, strict=True):
        for other, v in zip(fair, weights, strict=True):
            assert share == r or not v or share * v >= other * w  # with room, nobody gets less
