"""All invariants together: what is right is called right. Two runs; check(); the lists."""

import math
from dataclasses import replace
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from observed import (
    DENSE,
    NEW,
    UNKNOWN,
    example,
    names,
    reason,
    seen,
    sharing,
    tensor,
    verdict,
    water_filling,
    with_dense,
)

from minidsr.parameters import Dense, Sparse
from minidsr.proof.cases import cases, seeds
from minidsr.proof.invariants import (
    OF_MANY_RUNS,
    OF_ONE_REALLOCATION,
    OF_TWO_IN_A_ROW,
    OF_TWO_RUNS,
    InvariantError,
    Violation,
    balance,
    budget,
    capacity,
    check,
    dense_unchanged,
    finite,
    grown_at_rest,
    grown_at_zero,
    grown_elsewhere,
    grown_uniformly,
    judge,
    largest_kept,
    nothing_moves_between,
    order_does_not_matter,
    overflow,
    positions,
    pruned_below_threshold,
    same_seed_same_result,
    shares,
    survivors_keep_value,
    survivors_keep_velocity,
    threshold_between,
    threshold_rule,
)
from minidsr.proof.reallocation import snapshot
from minidsr.proof.rules_of_dsr import expected_growth
from minidsr.reparam import LARGEST_H, SMALLEST_H, reallocate

# --- nothing that is right is called wrong


@pytest.mark.parametrize("how", [
    {}, {"velocity": False}, {"dtype": np.float64}, UNKNOWN, {**UNKNOWN, "H": 1.0},
    {**UNKNOWN, "pruned": [2, 1]}, {**UNKNOWN, "pruned": [2, 1], "grown": [2, 1]},
    {**UNKNOWN, "H": 1.0, "pruned": [2, 1], "grown": [2, 1]}, {"H": None},
    {"keep_one": None}, {"keep_one": False}, {"active": None}, {"K": None},
    {"H": np.float32(1), "next_H": np.float32(1)},
    {"a": {7: None}, "b": {7: NEW}, "grown": [1, 2], "active": [3, 4]},  # 1.5 to the other side
    {"a": {6: (0.0, -0.0), 7: (-0.0, 0.0)}}, {"a": {7: None, 9: NEW}}])
def test_what_holds(how):
    assert verdict(example(**how)) == []


@pytest.mark.parametrize("moment", ["before", "after"])
def test_all_else_is_checked_without_a_velocity(moment):
    for r, found in ((example(), []), (example(a={0: 6}), ["survivors_keep_value"])):
        lost = [replace(t, velocity=None) for t in getattr(r, moment)]
        assert names(replace(r, **{moment: lost})) == found


def legal(case, rng):
    """Algorithm 1 once more, one weight after the other, with chance wherever it leaves a choice:
    which of equals is kept, where remainders go, and where weights are grown."""
    tensors, H = case.tensors, np.float32(case.H)
    before = [dict(zip(W.index.tolist(), zip(W.value, W.velocity, strict=True), strict=True))
              for W in tensors]
    kept = []
    for numbers in before:
        live = {i: pair for i, pair in numbers.items() if abs(pair[0]) >= H}
        if case.keep_one and numbers and not live:
            largest = max(abs(w) for w, _ in numbers.values())
            equal = [i for i, (w, _) in numbers.items() if abs(w) == largest]
            i = rng.choice(equal) if largest else equal[0]
            live = {int(i): numbers[i]}
        kept.append(live)
    l = [len(live) for live in kept]
    k = [len(numbers) - m for numbers, m in zip(before, l, strict=True)]
    room = [W.size - len(numbers) for W, numbers in zip(tensors, before, strict=True)]
    rest = max(0, sum(k) - sum(room))
    g = [rounded(water_filling(K, l, slots), rng) for K, slots in
         ((sum(k) - rest, room), (rest, k))]
    after = []
    for W, numbers, live, *counts in zip(tensors, before, kept, *g, strict=True):
        free = [i for i in range(W.size) if i not in numbers]
        slots = [*rng.permutation(free)[:counts[0]],
                 *rng.permutation(sorted(set(numbers) - set(live)))[:counts[1]]]
        live = {**live, **{int(i): NEW for i in slots}}
        after.append({i: live[i] for i in sorted(live)})
    K, N_p, delta = sum(k), case.N_p, Fraction(str(case.delta))
    next_H = case.H * (2 if K < (1 - delta) * N_p else 0.5 if K > (1 + delta) * N_p else 1)
    grown = [a + b for a, b in zip(*g, strict=True)]
    if not SMALLEST_H <= next_H <= LARGEST_H:
        next_H = case.H
    return seen(*((W.size, *pair) for W, *pair in zip(tensors, before, after, strict=True)),
                H=case.H, next_H=next_H, N_p=case.N_p, delta=case.delta, keep_one=case.keep_one,
                K=K, pruned=k, grown=grown, active=[len(numbers) for numbers in after])


def rounded(fair, rng):
    """Each down or up to a whole number, so that the sum stays."""
    whole = [math.floor(share) for share in fair]
    broken = [i for i, share in enumerate(fair) if share % 1]
    for i in rng.permutation(broken)[:int(sum(fair)) - sum(whole)]:
        whole[i] += 1
    return whole


@given(cases())
def test_reallocate_never_violates(case):
    assert verdict(case.run()) == []


@given(cases(), seeds)
def test_no_legal_choice_violates(case, seed):
    assert verdict(legal(case, np.random.default_rng(seed))) == []


def zeros_may_return(r):
    """Where that may be, one must know H and keep_one to tell."""
    return any(c.regrown.any() for c in r.changes) and any(
        (t.value == 0).any() for t in r.before)


@given(cases(), seeds, st.sets(st.sampled_from(sorted(UNKNOWN))), st.booleans(), st.booleans())
def test_who_knows_less_finds_no_more(case, seed, unknown, velocity, ours):
    r = case.run() if ours else legal(case, np.random.default_rng(seed))
    assume(not zeros_may_return(r) or not unknown & {"H", "keep_one"})
    r = replace(r, report=replace(r.report, **dict.fromkeys(unknown)))
    if not velocity:
        r = replace(r, before=[replace(t, velocity=None) for t in r.before],
                    after=[replace(t, velocity=None) for t in r.after])
    assert verdict(r) == []


@given(cases(), seeds)
def test_reallocate_does_not_mind_the_order(case, seed):
    order = np.random.default_rng(seed).permutation(len(case.tensors)).tolist()
    one, other = case.run(), case.run(order=order)
    assert judge(same_seed_same_result, one, case.run()) == []
    assert judge(order_does_not_matter, one, other) == []
    assert [t.name for t in other.before] == [f"tensor {i}" for i in order]


# --- same_seed_same_result, of two runs


def test_the_same_result():
    a = with_dense(DENSE, DENSE)
    assert judge(same_seed_same_result, a, with_dense(DENSE, DENSE)) == []
    assert judge(same_seed_same_result, example(velocity=False), example(velocity=False)) == []


@pytest.mark.parametrize(("how", "keys"), [
    ({"a": {7: None, 8: NEW}}, ["index"]), ({"a": {8: NEW}}, ["index", "value", "velocity"]),
    ({"a": {0: 6}}, ["value"]), ({"a": {7: (-0.0, 0)}}, ["value"]),
    ({"a": {7: (0, 1)}}, ["velocity"])])
def test_another_result(how, keys):
    assert [str(v) for v in judge(same_seed_same_result, example(), example(**how))] == [
        f"same_seed_same_result: a: another {key} from the same seed" for key in keys]


def test_another_report():
    a, b = example(), example(next_H=2.0)
    assert judge(same_seed_same_result, a, b) == [
        Violation("same_seed_same_result", f"{a.report} and {b.report}")]


def test_a_velocity_in_one_run_only_is_another_result():
    one, other = example(), example(velocity=False)
    for a, b in ((one, other), (other, one)):
        assert [str(v) for v in judge(same_seed_same_result, a, b)] == [
            f"same_seed_same_result: {name}: another velocity from the same seed" for name in "ab"]


def test_another_shape_with_the_same_bytes():
    a = seen((1, [0], [0]), velocity=False)
    b = seen((1, [0], [0]), velocity=False)
    two = replace(b.after[0], value=np.zeros((1, 1), np.float32))
    assert len(judge(same_seed_same_result, a, replace(b, after=[two]))) == 1


def test_another_number_of_tensors_is_no_second_run():
    r = example()
    with pytest.raises(ValueError, match="zip"):
        judge(same_seed_same_result, r, seen((9, {}, {})))


# --- order_does_not_matter, of two runs


def reordered(r):
    """The tensors the other way round, under their names."""
    return replace(r, before=r.before[::-1], after=r.after[::-1])


def test_equal_remainders_go_anywhere():
    one, other = sharing((9, 1, 3, 2), (9, 1, 0, 1)), sharing((9, 1, 3, 1), (9, 1, 0, 2))
    assert judge(order_does_not_matter, one, reordered(other)) == []
    assert judge(order_does_not_matter, one, reordered(one)) == []
    one, other = sharing((9, 1, 1, 1), (9, 2, 1, 2), (9, 1, 1, 0)), sharing(
        (9, 1, 1, 0), (9, 2, 1, 2), (9, 1, 1, 1))
    assert judge(order_does_not_matter, one, reordered(other)) == []
    one, other = sharing((9, 3, 2, 2), (9, 1, 0, 0)), sharing((9, 3, 2, 1), (9, 1, 0, 1))
    assert expected_growth(one) == [Fraction(3, 2), Fraction(1, 2)]
    assert judge(order_does_not_matter, one, reordered(other)) == []


def test_unequal_remainders_do_not():
    one, other = sharing((9, 1, 1, 0), (9, 3, 0, 1)), sharing((9, 1, 1, 1), (9, 3, 0, 0))
    assert verdict(one) == verdict(other) == []
    assert [str(v) for v in judge(order_does_not_matter, one, reordered(other))] == [
        "order_does_not_matter: shares with remainder 1/4 grow -1, by the order of tensors",
        "order_does_not_matter: shares with remainder 3/4 grow +1, by the order of tensors"]


def test_a_share_off_by_more_is_seen_in_another_order():
    one, other = sharing((9, 2, 2, 1), (9, 2, 0, 1)), sharing((9, 2, 2, 2), (9, 2, 0, 0))
    assert [str(v) for v in judge(order_does_not_matter, other, reordered(one))] == [
        "order_does_not_matter: a: grows 2 or 1, by the order of tensors",
        "order_does_not_matter: b: grows 0 or 1, by the order of tensors"]


def test_a_fraction_is_rounded_by_one_at_most():
    one, other = sharing((9, 1, 1, 2), (9, 1, 0, 0)), sharing((9, 1, 1, 0), (9, 1, 0, 2))
    assert expected_growth(one) == [Fraction(1, 2)] * 2
    assert [str(v) for v in judge(order_does_not_matter, one, reordered(other))] == [
        "order_does_not_matter: a: grows 2 or 0, by the order of tensors",
        "order_does_not_matter: b: grows 0 or 2, by the order of tensors"]


def test_a_whole_share_is_named_once():
    one, other = sharing((9, 2, 1, 1)), sharing((9, 2, 1, 2))
    assert [str(v) for v in judge(order_does_not_matter, one, other)] == [
        "order_does_not_matter: a: grows 1 or 2, by the order of tensors"]


def test_order_of_pruning_and_of_the_threshold():
    one = example()
    assert [str(v) for v in judge(order_does_not_matter, one, reordered(example(next_H=2.0)))] == [
        "order_does_not_matter: next H is 1.0 and 2.0"]
    other = reordered(example(a={2: 0.5, 7: None}))
    assert "order_does_not_matter: a: prunes 2 or 1, by the order of tensors" in [
        str(v) for v in judge(order_does_not_matter, one, other)]
    assert "order_does_not_matter: a: prunes 1 or 2, by the order of tensors" in [
        str(v) for v in judge(order_does_not_matter, other, one)]


def test_another_one_of_equals_is_another_result():
    few = {1: 0.5, 2: 0.5}
    one, other = (seen((9, few, kept), (9, {0: 1}, {0: 1, 1: NEW}), H=1.0)
                  for kept in ({1: 0.5}, {2: 0.5}))
    assert [str(v) for v in judge(order_does_not_matter, one, reordered(other))] == [
        "order_does_not_matter: a: prunes 1 or 1, by the order of tensors"]


def test_order_needs_to_know_what_is_pruned():
    r = example(before={0: NEW}, a={0: NEW}, H=None, pruned=None)
    assert reason(order_does_not_matter, r, r) == "pruned is not known, and a 0 stays"


# --- check, and the lists


def test_check_of_parameters_at_hand():
    W, V = Sparse((5,), np.array([0, 1, 2], np.int32), np.array([1.0, 2, 0.25])), Dense(np.ones(2))
    named = {"weight": W, "bias": V}
    before = snapshot(named)
    _, report = reallocate([W], 0.5, 1, 0.1, np.random.default_rng(0))
    assert check(before, named, report) == check(before, named) == []
    V.value += 1
    assert check(before, named, report) == [
        Violation("dense_unchanged", "bias: another value after: 1 at position 0 becomes 2; 2 of 2 "
                  "change, by up to 1")]
    assert check(before, named, replace(report, K=5))[0] == Violation(
        "balance", "1 said to be pruned in all, K is 5")
    assert check(list(named.values()), list(named.values())) == []
    with pytest.raises(ValueError, match="another tensor"):
        check(before, {"weight": W, "other": V})


def test_a_violation_in_words():
    assert str(Violation("budget", "1 and 2")) == "budget: 1 and 2"
    assert issubclass(InvariantError, RuntimeError)


def test_every_invariant_is_in_one_list():
    """In the order in which they are told."""
    assert OF_ONE_REALLOCATION == (
        finite, positions, capacity, budget, balance, pruned_below_threshold, largest_kept,
        survivors_keep_value, survivors_keep_velocity, grown_at_zero, grown_at_rest,
        grown_elsewhere, shares, overflow, threshold_rule, dense_unchanged)
    assert OF_TWO_IN_A_ROW == (nothing_moves_between, threshold_between)
    assert OF_TWO_RUNS == (same_seed_same_result, order_does_not_matter)
    assert OF_MANY_RUNS == (grown_uniformly,)


@pytest.mark.parametrize("invariant", [grown_at_rest, survivors_keep_velocity])
@pytest.mark.parametrize("moment", ["before", "after"])
def test_velocity_is_needed_at_both_moments(invariant, moment):
    r = example(a={1: (-4, 9), 7: (0, 9)})
    lost = [replace(getattr(r, moment)[0], velocity=None), getattr(r, moment)[1]]
    assert reason(invariant, replace(r, **{moment: lost})) == "velocity is not known"


@pytest.mark.parametrize("invariant", [grown_at_rest, survivors_keep_velocity])
def test_no_velocity_of_dense_tensors_is_needed(invariant):
    dense = tensor("c", 2, [1, 2], velocity=False)
    assert judge(invariant, with_dense(dense, dense)) == []
