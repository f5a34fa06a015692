"""Sound tensors and true counts, before and after: these invariants, each broken by hand."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy import inf, nan
from observed import (
    DENSE,
    NEW,
    TINY,
    edited,
    example,
    free,
    names,
    near,
    pick,
    places,
    put,
    reason,
    seen,
    tensor,
    verdict,
    with_dense,
    with_one,
    without,
)

from minidsr.proof.cases import cases
from minidsr.proof.invariants import (
    Violation,
    balance,
    budget,
    capacity,
    dense_unchanged,
    finite,
    grown_at_rest,
    grown_at_zero,
    grown_elsewhere,
    judge,
    largest_kept,
    nothing_moves_between,
    overflow,
    positions,
    pruned_below_threshold,
    shares,
    survivors_keep_value,
    survivors_keep_velocity,
    threshold_rule,
)
from minidsr.reparam import Report

# --- finite


@pytest.mark.parametrize("bad", [nan, inf, -inf])
def test_numbers_that_are_not_finite(bad):
    r = example(before={1: (-4, bad)})
    assert [str(v) for v in judge(finite, r)] == [f"finite: a: velocity {bad} before, at place 1"]
    r = example(a={0: bad, 1: bad})
    assert [str(v) for v in judge(finite, r)] == [f"finite: a: value {bad} after, at place 0"]
    assert verdict(example(velocity=False, b={5: bad}))[0] == (
        f"finite: b: value {bad} after, at place 2")
    assert verdict(seen((2, [1, bad], [1, bad]), (3, {0: 1}, {0: 1}), velocity=False)) == [
        f"finite: a: value {bad} before, at place 1", f"finite: a: value {bad} after, at place 1"]


@pytest.mark.parametrize("name", ["H", "next_H"])
@pytest.mark.parametrize("H", [0, 0.0, -0.0, -1.0, inf, -inf, nan])
def test_thresholds_that_are_not_positive_and_finite(name, H):
    r = seen((3, {0: 1}, {0: 1}), **{name: H})
    assert [str(v) for v in judge(finite, r)] == [f"finite: {name} is {H}, not positive and finite"]


@pytest.mark.parametrize("H", [5e-324, TINY, 1.0, 1e308, np.float32(0.1), None])
def test_any_positive_threshold_is_finite(H):
    assert judge(finite, seen((3, {0: 3e38, 1: -TINY}, {0: -3e38}), H=H, next_H=H)) == []


def test_finite_looks_at_empty_tensors_too():
    assert judge(finite, seen((0, {}, {}), (0, [], []), (4, {}, {}))) == []


def test_a_nan_that_stays_is_named_once():
    r = seen((3, {0: nan}, {0: nan}), H=0.5)
    assert names(r) == ["finite", "finite"]


# --- positions (test_reallocation.py has all that may be wrong with them)


@given(cases(), st.data())
def test_two_positions_swapped(case, data):
    r = case.run()
    n = pick(data, [n for n, t in enumerate(r.after) if len(t.index) > 1])
    index = r.after[n].index.copy()
    i, j = data.draw(st.lists(st.sampled_from(range(len(index))), min_size=2, max_size=2,
                              unique=True))
    index[[i, j]] = index[[j, i]]
    assert names(edited(r, n, index=index)) == ["positions"]


@given(cases(), st.data())
def test_a_position_out_of_range_or_twice(case, data):
    r = case.run()
    n, j = pick(data, places(r, lambda c: np.ones(c.m_after, bool)))
    t = r.after[n]
    wrong = data.draw(st.sampled_from([-1, t.size, *np.delete(t.index, j)]))
    assert names(edited(r, n, index=put(t.index, j, wrong))) == ["positions"]


def test_wrong_positions_stop_all_that_needs_them():
    """Whatever else is wrong, one cannot say."""
    r = example(a={0: 9, 6: (1, 1)}, next_H=2.0)
    odd = replace(r.after[0], index=np.array([0, 7, 6, 1], np.int32))
    r = replace(r, after=[odd, r.after[1]])
    assert verdict(r) == ["positions: a: position 7 stands before 6 after"]
    for invariant in (balance, pruned_below_threshold, largest_kept, survivors_keep_value,
                      survivors_keep_velocity, grown_at_zero, grown_at_rest, grown_elsewhere,
                      shares, overflow, threshold_rule):
        assert reason(invariant, r) == "positions make no sense"


# --- capacity


@pytest.mark.parametrize(("how", "expected"), [
    ({"active": [11, 3]}, ["capacity: a: 11 free numbers in 10 positions",
                           "balance: a: 4 - 2 + 2 free numbers, said to be 11, are 4"])])
def test_what_breaks_capacity(how, expected):
    assert verdict(example(**how)) == expected


def test_more_free_numbers_than_positions():
    r = seen((3, {0: 1, 1: 1, 2: 1}, {0: 1, 1: 1, 2: 1}), (2, {0: 1}, {0: 1, 1: 1, 2: 1}))
    assert verdict(r) == ["positions: b: position 2 is not in 0..1 after",
                          "capacity: b: 3 free numbers in 2 positions",
                          "budget: 4 free numbers before, 6 after"]
    r = replace(r, report=Report(active=[3, 2]))  # what is seen counts, too
    assert judge(capacity, r) == [Violation("capacity", "b: 3 free numbers in 2 positions")]


@pytest.mark.parametrize("said", [{}, {"active": [2, 0]}, {"active": [1, 0]}])
def test_full_and_zero_size_tensors_hold(said):
    r = seen((2, {0: 1, 1: 1}, {0: 1, 1: 1}), (0, {}, {}), **said)
    assert judge(capacity, r) == judge(budget, r) == judge(positions, r) == []


# --- budget


@pytest.mark.parametrize(("how", "expected"), [
    ({"a": {7: None}}, ["budget: 7 free numbers before, 6 after",
                       "balance: a: 4 - 2 + 2 free numbers, said to be 4, are 3"]),
    ({"a": {8: NEW}}, ["budget: 7 free numbers before, 8 after",
                      "balance: a: 4 - 2 + 2 free numbers, said to be 4, are 5",
                      "shares: a: grew 3, its share of 3 is 3 * 2 / 4 = 1.50"])])
def test_what_breaks_budget(how, expected):
    assert verdict(example(**how)) == expected


def test_the_budget_is_that_of_all_tensors_together():
    r = seen((9, {0: 1}, {0: 1, 1: NEW}), (9, {0: 1, 1: 1}, {0: 1}), (3, [1, 1, 1], [1, 1, 1]))
    assert judge(budget, r) == []


def test_large_numbers_are_grouped():
    before = dict.fromkeys(range(1500), 1.0)
    r = seen((4000, before, before | {1500: NEW}), H=0.5)
    assert verdict(r) == ["budget: 1,500 free numbers before, 1,501 after",
                          "shares: a: grew 1, its share of 0 is 0 * 1500 / 1500 = 0.00"]
    r = seen((4000, before | {0: 0.25}, before | {0: NEW}), H=0.5)
    assert verdict(r) == ["grown_elsewhere: a: position 0 was pruned and grown again, 2,500 others "
                          "stayed free"]


@given(cases(), st.data())
def test_a_position_too_many(case, data):
    r = case.run()
    n = pick(data, [n for n in range(len(r.after)) if free(r, n)])
    i = data.draw(st.sampled_from(free(r, n)))
    found = names(edited(r, n, **with_one(r.after[n], i)))
    assert found[:2] == ["budget", "balance"]
    assert set(found) <= {"budget", "balance", "shares", "overflow"}


@given(cases(), st.data())
def test_a_position_too_few(case, data):
    r = case.run()
    n, j = pick(data, places(r, lambda c: np.ones(c.m_after, bool)))
    found = names(edited(r, n, **without(r.after[n], j)))
    assert found[:2] == ["budget", "balance"]
    if r.changes[n].new[j]:
        assert set(found) <= {"budget", "balance", "shares", "overflow", "grown_elsewhere"}


# --- balance


@pytest.mark.parametrize(("how", "expected"), [
    ({"K": 4}, ["balance: 3 said to be pruned in all, K is 4"]),
    ({"pruned": [1, 1]}, ["balance: a: 4 - 1 + 2 free numbers, said to be 4, are 4",
                          "balance: 2 said to be pruned in all, K is 3"]),
    ({"grown": [2, 2], "K": None},
     ["balance: b: 3 - 1 + 2 free numbers, said to be 3, are 3"]),
    ({"pruned": [3, 1], "grown": [3, 1], "K": None},
     ["balance: a: 3 said to be pruned, 2 are"]),
    ({"pruned": [2, 0], "grown": [2, 0], "K": 2},
     ["balance: b: 0 said to be pruned, 1 are"]),
    ({"active": [4, 2]}, ["balance: b: 3 - 1 + 1 free numbers, said to be 2, are 3"])])
def test_what_breaks_balance(how, expected):
    assert verdict(example(**how)) == expected


def test_balance_without_a_threshold_believes_what_is_possible():
    """What is gone was pruned; what is now 0 and at rest may have been pruned and grown again."""
    full = (3, {0: 1, 1: 0.5, 2: 0.25}, {0: 1, 1: NEW, 2: NEW})
    for k in (0, 1, 2):
        assert verdict(seen(full, pruned=[k], grown=[k])) == []
    assert verdict(seen(full, pruned=[3], grown=[3])) == [
        "balance: a: 3 said to be pruned, 0 to 2 are"]
    assert verdict(example(H=None, pruned=[1, 1], grown=[1, 1], K=2)) == [
        "balance: a: 1 said to be pruned, 2 are"]
    assert "balance: a: 3 said to be pruned, 2 are" in verdict(
        example(H=None, pruned=[3, 1], grown=[3, 1], K=4))
    assert verdict(example(H=None, pruned=[2, 2], K=4)) == [
        "balance: b: 3 - 2 + 1 free numbers, said to be 3, are 3"]


def test_balance_of_full_tensors_counts_what_is_grown_again():
    full = {0: 1, 1: 0.5, 2: 0.0}
    r = seen((3, full, {0: 1, 1: NEW, 2: NEW}), H=0.75, pruned=[2], grown=[2])
    assert verdict(r) == []
    assert verdict(replace(r, report=replace(r.report, pruned=[1], grown=[1]))) == [
        "balance: a: 1 said to be pruned, 2 are"]


@given(cases(), st.data())
def test_another_count_is_said(case, data):
    r = case.run()
    field = data.draw(st.sampled_from(["K", "pruned", "grown", "active"]))
    off = data.draw(st.sampled_from([-1, 1, 7]))
    count = getattr(r.report, field)
    if field == "K":
        count += off
    else:
        n = data.draw(st.sampled_from(range(len(count))))
        count = [c + off * (i == n) for i, c in enumerate(count)]
    found = names(replace(r, report=replace(r.report, **{field: count})))
    assert "balance" in found
    assert set(found) == {"balance"} or field == "active" and set(found) == {"balance", "capacity"}


@pytest.mark.parametrize("missing", ["pruned", "grown"])
def test_balance_needs_what_is_said(missing):
    assert reason(balance, example(**{missing: None})) == f"{missing} is not known"


# --- dense_unchanged


@pytest.mark.parametrize(("key", "numbers", "how"), [
    ("value", [1, 0.0, nan], "-0 at position 1 becomes 0"),
    ("value", [1, -0.0, 5], "nan at position 2 becomes 5"),
    ("value", [2, -0.0, nan], "1 at position 0 becomes 2"),
    ("value", [2, 4, nan], "1 at position 0 becomes 2; 2 of 3 change, by up to 4"),
    ("velocity", [2, 1, 0], "nan at position 2 becomes 0"),
    ("velocity", [2, 1], "3 entries become 2")])
def test_a_dense_tensor_that_changes(key, numbers, how):
    after = replace(DENSE, **{key: np.array(numbers, np.float32)})
    assert [str(v) for v in judge(dense_unchanged, with_dense(DENSE, after))] == [
        f"dense_unchanged: c: another {key} after: {how}"]


@given(cases(), st.data(), st.sampled_from(["value", "velocity"]))
def test_a_dense_tensor_one_ulp_off(case, data, key):
    r = case.run()
    dense = tensor("dense", 4, [1, -2, 0.0, 1e30])
    j = data.draw(st.sampled_from(range(4)))
    array = getattr(dense, key)
    off = data.draw(st.sampled_from([near(data, array[j]), -array[j]]))
    other = replace(dense, **{key: put(array, j, off)})
    r = replace(r, before=[*r.before, dense], after=[*r.after, dense])
    assert verdict(r) == []
    assert names(edited(r, -1, **{key: getattr(other, key)})) == ["dense_unchanged"]


def test_all_dense_tensors_are_looked_at():
    r = seen((1, [1], [2]), (2, {0: 1}, {0: 1}), (1, [1], [1]), (1, [3], [4]), velocity=False)
    assert verdict(r) == [
        "dense_unchanged: a: another value after: 1 at position 0 becomes 2",
        "dense_unchanged: d: another value after: 3 at position 0 becomes 4"]


def test_a_network_without_sparse_tensors_can_be_checked():
    r = seen((2, [1, 2], [1, 3]))
    assert verdict(r) == [
        "dense_unchanged: a: another value after: 2 at position 1 becomes 3",
        "dense_unchanged: a: another velocity after: 3 at position 1 becomes 4"]


def test_dense_tensors_stay():
    again = tensor("c", 3, [1, -0.0, nan])
    assert judge(dense_unchanged, with_dense(DENSE, again)) == []
    assert verdict(with_dense(tensor("c", 3, [1, 2, 3]), tensor("c", 3, [1, 2, 3]))) == []
    assert verdict(with_dense(tensor("c", 0, []), tensor("c", 0, []))) == []


@pytest.mark.parametrize("moment", ["before", "after"])
def test_a_dense_velocity_that_is_not_known(moment):
    lost = replace(DENSE, velocity=None)
    r = with_dense(lost, DENSE) if moment == "before" else with_dense(DENSE, lost)
    assert judge(dense_unchanged, r) == []
    other = replace(lost, value=np.zeros(3, np.float32))
    assert len(judge(dense_unchanged, with_dense(DENSE, other))) == 1


def test_no_dense_tensor():
    assert reason(dense_unchanged, example()) == "there is no dense tensor"


# --- nothing_moves_between, of two in a row


def row(*lists):
    """Reallocations in a row, in which nothing but positions counts."""
    return [seen(*((9, dict.fromkeys(p, 1.0), dict.fromkeys(q, 1.0))
                   for p, q in zip(one, other, strict=True)))
            for one, other in zip(lists[::2], lists[1::2], strict=True)]


def test_nothing_moves_between():
    a, b = row([[0], [5]], [[1, 3], [2]], [[1, 3], [2]], [[0], [1]])
    assert judge(nothing_moves_between, a, b) == []
    assert [str(v) for v in judge(nothing_moves_between, b, a)] == [
        "nothing_moves_between: b: differs at 2 positions, such as 1"]
    a, b = row([[0], [5]], [[1, 3], [2, 4]], [[1, 3, 7], [2]], [[0], [1]])
    assert [str(v) for v in judge(nothing_moves_between, a, b)] == [
        "nothing_moves_between: a: differs at 1 position, such as 7",
        "nothing_moves_between: b: differs at 1 position, such as 4"]
    with pytest.raises(ValueError, match="argument 2"):
        judge(nothing_moves_between, a, seen((9, {}, {})))


def test_nothing_moves_between_looks_at_sparse_tensors_only():
    a = seen((2, [1, 2], [1, 2]), (3, {0: 1}, {1: 1}))
    b = seen((2, [3, 4], [3, 4]), (3, {1: 7}, {1: 7}))
    assert judge(nothing_moves_between, a, b) == []
