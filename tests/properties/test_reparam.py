"""Algorithm 1: properties, worked examples, and the cases that break published code."""

import copy
import itertools
import math
from dataclasses import replace
from fractions import Fraction
from functools import partial

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from scipy.stats import chi2, chisquare

from minidsr.parameters import Sparse
from minidsr.proof.cases import (
    all_patterns,
    cases,
    deltas,
    distinct_patterns,
    networks,
    seeds,
    small_cases,
    sparse_tensors,
    thresholds,
)
from minidsr.proof.invariants import (
    RULES,
    order_does_not_matter,
    same_seed_same_result,
    violations,
)
from minidsr.proof.sharing import fair_shares
from minidsr.reparam import (
    LARGEST_H,
    SMALLEST_H,
    adjust_pruning_threshold,
    apportion,
    grow_back,
    prune_by_threshold,
    reallocate,
)

generators = seeds.map(np.random.default_rng)
any_H = thresholds() | st.sampled_from([0.0, 1e-45, math.inf])


def tensor(size, values, positions=None):
    values = np.array(values, np.float32)
    positions = range(len(values)) if positions is None else positions
    return Sparse((size,), np.array(positions, np.int32), values)


def active(W):
    return set(W.index.tolist())


# --- reallocate, whole


@given(cases())
def test_every_invariant_holds(case):
    assert violations(case.run()) == []


@given(cases(), st.sampled_from(["room", "pruned"]))
def test_other_growth_rules_differ_in_the_shares_only(case, growth):
    r = case.run(partial(reallocate, growth=growth))
    assert violations(r, rules=RULES[f"dsr-{growth}"]) == []
    paper = case.run()
    assert (r.report.next_H, r.report.pruned) == (paper.report.next_H, paper.report.pruned)
    if growth == "pruned":
        assert r.report.grown == r.report.pruned
        return
    k, _, g = r.counts()
    free = [c.room for c in r.changes]
    weights = [a + b for a, b in zip(k, free, strict=True)]
    first = fair_shares(min(sum(k), sum(free)), weights, free)
    again = fair_shares(max(sum(k) - sum(free), 0), weights, k)
    assert all(abs(n - a - b) < 1 for n, a, b in zip(g, first, again, strict=True))


@given(cases(), st.data())
def test_what_is_protected_stays(case, data):
    """Every invariant holds, of H and shares too; and protected weights are as they were."""
    protected = [data.draw(st.sets(st.sampled_from(W.index.tolist()))) if len(W.index) else set()
                 for W in case.tensors]
    tensors = [copy.deepcopy(W) for W in case.tensors]
    for W, positions in zip(tensors, protected, strict=True):
        W.protected = sorted(positions)
    r = replace(case, tensors=tensors).run()
    assert violations(r) == []
    for W, (_, after), positions in zip(case.tensors, r.sparse, protected, strict=True):
        where = dict(zip(after.index.tolist(), after.value, strict=True))
        for position, value in zip(W.index.tolist(), W.value, strict=True):
            if position in positions:
                assert where[position].tobytes() == value.tobytes()
    if not any(protected):
        paper = case.run()
        assert r.report == paper.report
        assert not list(same_seed_same_result(r, paper))


@given(cases())
def test_with_all_protected_nothing_moves(case):
    for W in (tensors := [copy.deepcopy(W) for W in case.tensors]):
        W.protected = W.index
    r = replace(case, tensors=tensors).run()
    assert r.report.K == 0
    assert [b.index.tolist() for _, b in r.sparse] == [a.index.tolist() for a, _ in r.sparse]


@pytest.mark.parametrize("protected", [[4], [-1], [0.5], [[1]]])
def test_positions_that_are_none_are_refused(protected):
    W = tensor(4, [1, 2])
    W.protected = protected
    with pytest.raises(ValueError, match="protected must be w"):
        prune_by_threshold(W, 1.5)
    assert W.index.tolist() == [0, 1]


def test_an_unknown_growth_rule_changes_nothing():
    W = Sparse((4,), np.array([0, 1]), np.array([0.1, 5.0]))
    with pytest.raises(ValueError, match="choose one of: survivors, pruned, room"):
        reallocate([W], 1.0, 1, 0.1, np.random.default_rng(0), growth="loss")
    assert W.value.tolist() == [0.1, 5.0]


PARTS = 4  # of the longest, which processes share


@pytest.mark.exhaustive
@pytest.mark.parametrize(("tensors", "patterns", "count", "part", "of"), [
    pytest.param(1, all_patterns(), 120 - 4, 0, 1, id="one tensor"),
    pytest.param(2, all_patterns(), 120**2 - 4**2, 0, 1, id="two tensors"),
    *(pytest.param(3, distinct_patterns(), 34**3 - 4**3, part, PARTS,
                   id=f"three tensors, up to order, part {part}") for part in range(PARTS))])
def test_every_invariant_holds_in_every_small_case(tensors, patterns, count, part, of):
    """All tensors of one to four positions, each free, below H, or not below H.

    34 of the 120 patterns differ in more than their order. A case without any free number is none:
    of each number of tensors, the 4 ** tensors empty ones.
    """
    cases = 0
    for case in itertools.islice(small_cases(tensors, patterns), part, None, of):
        assert violations(case.run()) == [], str(case)
        cases += 1
    assert cases == count // of and not count % of


@given(cases())
def test_the_same_with_sets(case):
    """The main invariants once more, by sets and loops: invariants.py does not judge itself."""
    tensors = [copy.deepcopy(W) for W in case.tensors]
    next_H, report = reallocate(tensors, case.H, case.N_p, case.delta,
                                np.random.default_rng(case.seed), keep_one=case.keep_one)
    assert sum(W.value.size for W in tensors) == sum(W.value.size for W in case.tensors)
    assert report.K == sum(report.pruned) == sum(report.grown)
    assert (report.H, report.next_H, report.N_p) == (case.H, next_H, case.N_p)
    assert (report.delta, report.keep_one) == (case.delta, case.keep_one)
    room = sum(W.size - W.value.size for W in case.tensors)
    for W, old, k, g, m in zip(tensors, case.tensors, report.pruned, report.grown, report.active,
                               strict=True):
        assert m == W.value.size == old.value.size - k + g <= W.size
        large = np.abs(old.value) >= np.float32(case.H)
        survivors = set(old.index[large].tolist())
        if case.keep_one and old.value.size and not survivors:
            survivors = {int(old.index[np.argmax(np.abs(old.value))])}
        assert survivors <= active(W)
        assert k == old.value.size - len(survivors)
        where = {position: i for i, position in enumerate(old.index.tolist())}
        for position, value, velocity in zip(W.index.tolist(), W.value, W.velocity, strict=True):
            if position in survivors:
                i = where[position]
                assert value.tobytes() == old.value[i].tobytes()
                assert velocity.tobytes() == old.velocity[i].tobytes()
            else:
                assert value.tobytes() == velocity.tobytes() == np.float32(0).tobytes()
                if report.K <= room:  # then no just-pruned position is grown again
                    assert position not in where


@given(cases(), st.randoms(use_true_random=False))
def test_same_seed_same_result_and_in_any_order_of_tensors(case, random):
    order = list(range(len(case.tensors)))
    random.shuffle(order)
    one = case.run()
    assert list(same_seed_same_result(one, case.run())) == []
    assert list(order_does_not_matter(one, case.run(order=order))) == []


@given(cases(), st.integers(-20, 20), seeds)
def test_scaling_by_a_power_of_two_and_signs_change_no_position(case, power, seed):
    """Pruning compares magnitudes with H, and does nothing else with them."""
    assume(SMALLEST_H <= case.H * 2.0**power <= LARGEST_H)
    magnitudes = [abs(v) for W in case.tensors for v in W.value.tolist() if v]
    assume(all(SMALLEST_H <= v * 2.0**p <= LARGEST_H for v in magnitudes for p in (0, power)))
    other = copy.deepcopy(case)
    for W in other.tensors:
        signs = np.random.default_rng(seed).choice([-1, 1], W.value.size)
        W.value *= (signs * 2.0**power).astype(np.float32)
    one, scaled = case.run(), replace(other, H=case.H * 2.0**power).run()
    for a, b in zip(one.after, scaled.after, strict=True):
        assert a.index.tolist() == b.index.tolist()
    assert one.report.pruned == scaled.report.pruned


@given(networks(), st.integers(0, 2**32 - 1))
def test_below_all_weights_nothing_changes(tensors, seed):
    """H is the smallest magnitude, and the comparison is strict."""
    H = min(abs(v) for W in tensors for v in W.value.tolist())
    assume(SMALLEST_H <= H <= LARGEST_H)
    before = copy.deepcopy(tensors)
    _, report = reallocate(tensors, H, 1, 0.1, np.random.default_rng(seed))
    assert report.K == 0
    for W, old in zip(tensors, before, strict=True):
        assert W.index.tobytes() == old.index.tobytes()
        assert W.value.tobytes() == old.value.tobytes()
        assert W.velocity.tobytes() == old.velocity.tobytes()


@pytest.mark.parametrize("arguments", [
    {"H": 0.0}, {"H": -1.0}, {"H": math.inf}, {"H": math.nan}, {"H": 2.0**-127}, {"H": 2.0**128},
    {"N_p": 0}, {"N_p": -1}, {"N_p": 4}, {"delta": -0.1}, {"delta": 1.0}, {"delta": math.nan}])
def test_arguments_out_of_range_change_nothing(arguments):
    W = tensor(10, [1, 2, 3])
    with pytest.raises(ValueError, match="must be in"):
        reallocate([W], **{"H": 2.5, "N_p": 1, "delta": 0.1, "rng": np.random.default_rng(0)}
                   | arguments)
    assert W.value.tolist() == [1, 2, 3]


@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf])
def test_a_weight_that_is_not_finite_changes_nothing(bad):
    W, V = tensor(10, [0.1, 2, 3]), tensor(10, [1, bad])
    with pytest.raises(ValueError, match="tensor 1 .* not finite"):
        reallocate([W, V], 1.0, 1, 0.1, np.random.default_rng(0))
    assert W.value.size == 3


def test_worked_example():
    """Three tensors by hand. H = 1 prunes 1, 2 and 3 weights; 4, 2 and 1 survive, so K = 6 is
    shared as 24/7, 12/7, 6/7 = 3.43, 1.71, 0.86: floors 3, 1, 0, and the two largest remainders,
    0.86 and 0.71, make it 3, 2, 1."""
    tensors = [tensor(12, [5, -4, 3, 2, 0.5]), tensor(12, [1, -2, 0.9, -0.1]),
               tensor(12, [7, 0, -0.3, 0.2])]
    next_H, report = reallocate(tensors, 1.0, 10, 0.1, np.random.default_rng(0))
    assert (report.pruned, report.grown, report.active) == ([1, 2, 3], [3, 2, 1], [7, 4, 2])
    assert report.K == 6
    assert next_H == 2.0  # 6 < 0.9 * 10


# --- the cases that break the authors' code


@pytest.mark.slow
def test_rounding_never_drifts():
    """24 equal tensors, a few pruned weights in all: rounding each share up would grow too many."""
    rng = np.random.default_rng(0)
    for _ in range(200):
        tensors = [tensor(50, np.r_[np.full(8, 1.0), rng.choice([0.0, 1.0], 2)])
                   for _ in range(24)]
        reallocate(tensors, 0.5, 10, 0.1, rng)
        assert sum(W.value.size for W in tensors) == 240


def test_all_tensors_full_ends_and_conserves():
    """Only just-pruned positions are free: an endless loop in the authors' code."""
    tensors = [tensor(6, [0, 0, 1, 1, 1, 1]), tensor(4, [0, 1, 1, 1])]
    _, report = reallocate(tensors, 0.5, 3, 0.1, np.random.default_rng(0))
    assert report.active == [6, 4]
    assert report.pruned == report.grown == [2, 1]


def test_what_a_full_tensor_refuses_goes_to_the_others():
    """A full tensor with most survivors, and a small one with room: endless, too."""
    full = tensor(900, np.r_[np.zeros(3), np.ones(897)])
    other = tensor(100, np.ones(20))
    _, report = reallocate([full, other], 0.5, 3, 0.1, np.random.default_rng(0))
    assert report.grown == [0, 3]


def test_an_empty_tensor_stays_empty_and_harms_nobody():
    tensors = [tensor(10, []), tensor(10, [0, 1, 1])]
    _, report = reallocate(tensors, 0.5, 1, 0.1, np.random.default_rng(0))
    assert report.active == [0, 3]


def test_without_keep_one_all_may_go_and_come_back():
    """No survivor anywhere: the room decides."""
    tensors = [tensor(30, [0, 0]), tensor(12, [0, 0])]
    _, report = reallocate(tensors, 0.5, 4, 0.1, np.random.default_rng(0), keep_one=False)
    assert report.pruned == [2, 2]
    assert report.grown == [3, 1]  # 28 : 10 of 4 is 2.95 : 1.05


def test_unless_told_otherwise_the_largest_stays():
    W = tensor(10, [0.1, -0.3])
    _, report = reallocate([W], 0.5, 1, 0.1, np.random.default_rng(0))
    assert report.keep_one
    assert report.pruned == [1]
    assert np.float32(-0.3) in W.value


def test_no_momentum_is_left_behind():
    """A weight that goes and comes back at the same place starts from rest."""
    W = tensor(3, [0, 1, 1])
    W.velocity[:] = 9
    reallocate([W], 0.5, 1, 0.1, np.random.default_rng(0))
    assert W.index.tolist() == [0, 1, 2]
    assert W.velocity.tolist() == [0, 9, 9]


@pytest.mark.parametrize("H", [1e-3, SMALLEST_H, LARGEST_H])
@pytest.mark.parametrize(("K", "end"), [(0, LARGEST_H), (10**6, SMALLEST_H)])
def test_thresholds_stay_within_float32(H, K, end):
    """Doubled or halved for ever, H stays H0 times a power of two, and comes to the last one."""
    last = H
    for _ in range(400):
        last = adjust_pruning_threshold(last, K, 1000, 0.1)
    assert SMALLEST_H <= last <= LARGEST_H
    assert 0.5 < last / end < 2
    assert math.frexp(last)[0] == math.frexp(H)[0]


# --- the verbs


@given(sparse_tensors(), any_H)
def test_pruning_is_strict(W, H):
    old, kept = copy.deepcopy(W), np.abs(W.value) >= np.float32(H)
    assert prune_by_threshold(W, H, keep_one=False) == (~kept).sum()
    for name in ("index", "value", "velocity"):
        assert getattr(W, name).tobytes() == getattr(old, name)[kept].tobytes()
    assert prune_by_threshold(W, H, keep_one=False) == 0


@given(sparse_tensors(), any_H, any_H)
def test_a_higher_threshold_prunes_more(W, H, other):
    V = copy.deepcopy(W)
    prune_by_threshold(W, min(H, other), keep_one=False)
    prune_by_threshold(V, max(H, other), keep_one=False)
    assert active(V) <= active(W)


@given(sparse_tensors(), any_H)
def test_keep_one_changes_only_what_would_be_left_empty(W, H):
    V, old = copy.deepcopy(W), copy.deepcopy(W)
    k = prune_by_threshold(W, H, keep_one=False)
    kept = prune_by_threshold(V, H)
    if W.value.size or not old.value.size:
        assert (active(V), kept) == (active(W), k)
    else:
        assert V.index.tolist() == [old.index[np.argmax(np.abs(old.value))]]
        assert kept == k - 1


def test_a_weight_equal_to_the_threshold_stays():
    W = tensor(4, [0.5, -0.5, 0.49, -0.0])
    assert prune_by_threshold(W, 0.5) == 2
    assert W.value.tolist() == [0.5, -0.5]


def test_keep_one_keeps_the_largest_and_the_first_of_equals():
    W = tensor(9, [0.1, -0.3, 0.3, 0.2], positions=[1, 4, 6, 8])
    assert prune_by_threshold(W, 1.0) == 3
    assert W.index.tolist() == [4]


@pytest.mark.parametrize(("K", "expected"), [
    (89, 2.0), (90, 1.0), (100, 1.0), (110, 1.0), (111, 0.5), (0, 2.0)])
def test_threshold_rule_at_its_bounds(K, expected):
    assert adjust_pruning_threshold(1.0, K, 100, 0.1) == expected


@pytest.mark.parametrize("delta", [0.1, 0.3, 0.7, 0.9])
def test_the_bounds_are_exact(delta):
    """(1 - 0.7) * 10 is 3.0000000000000004 in floating point: 3 would be below it."""
    low, high = (10 - round(10 * delta)), (10 + round(10 * delta))
    assert adjust_pruning_threshold(1.0, low, 10, delta) == 1.0
    assert adjust_pruning_threshold(1.0, high, 10, delta) == 1.0
    assert adjust_pruning_threshold(1.0, low - 1, 10, delta) == 2.0
    assert adjust_pruning_threshold(1.0, high + 1, 10, delta) == 0.5


@given(thresholds(), st.integers(0, 100), st.integers(0, 100), st.integers(1, 100), deltas())
def test_the_more_are_pruned_the_lower_the_next_threshold(H, K, more, N_p, delta):
    low, high = (adjust_pruning_threshold(H, k, N_p, delta) for k in (K, K + more))
    assert high <= low
    assert low in (H / 2, H, 2 * H)


shares = st.lists(st.tuples(st.integers(0, 50), st.integers(0, 30)), min_size=1, max_size=6)


@given(shares, st.data())
def test_apportion(pairs, data):
    weights, room = zip(*pairs, strict=True)
    K = data.draw(st.integers(0, sum(room)))
    given_ = apportion(K, weights, room)
    assert sum(given_) == K
    assert all(0 <= g <= r for g, r in zip(given_, room, strict=True))
    assert all(isinstance(g, int) for g in given_)
    if not any(weights):
        return
    quotas = [Fraction(K * w, sum(weights)) for w in weights]
    if all(q <= r for q, r in zip(quotas, room, strict=True)):
        assert all(abs(g - q) < 1 for g, q in zip(given_, quotas, strict=True))
    for a, b in itertools.permutations(range(len(pairs)), 2):
        if given_[a] < room[a]:  # a has room left, so b got no more in proportion: water-filling
            assert weights[a] * (given_[b] - 1) <= weights[b] * (given_[a] + 1)
        if weights[a] == 0 < min(given_[a], weights[b]):
            assert given_[b] == room[b]  # no weight, no share, unless those with weight are full


def test_apportion_refuses_more_than_the_room():
    with pytest.raises(ValueError, match="room for 3"):
        apportion(4, [1, 1], [1, 2])


@given(sparse_tensors(), st.data(), generators)
def test_grow_back(W, data, rng):
    """Exactly n, none of them active; avoided ones only when all others are taken."""
    old = active(W)
    free = sorted(set(range(W.size)) - old)
    avoid = data.draw(st.sets(st.integers(0, W.size - 1))) if W.size else set()
    n = data.draw(st.integers(0, len(free)))
    grow_back(W, n, rng, avoid=np.array(sorted(avoid), np.int32))
    grown = active(W) - old
    assert len(grown) == n
    assert old <= active(W)
    if grown & avoid:
        assert set(free) - avoid <= grown


def test_grow_back_refuses_more_than_is_free():
    with pytest.raises(ValueError, match="only 1 positions are free"):
        grow_back(tensor(3, [1, 1]), 2, np.random.default_rng(0))


# Growth is uniform: chi-square tests with fixed seeds. With other seeds, and all being right, each
# would fail once in 1,000 times.


def test_growth_is_uniform_over_the_free_positions():
    """3 of 17 free positions, 4,000 times."""
    counts, rng = np.zeros(20), np.random.default_rng(7)
    for _ in range(4000):
        W = tensor(20, [1, 1, 1], positions=[0, 9, 13])
        grow_back(W, 3, rng)
        counts[W.index] += 1
    free = np.delete(counts, [0, 9, 13])
    # Draws without replacement vary less than independent ones, by the factor 14/16.
    statistic = chisquare(free).statistic * 16 / 14
    assert chi2.sf(statistic, 16) > 1e-3


@pytest.mark.slow
@pytest.mark.parametrize("n", [1, 2, 3, 4])
def test_every_set_of_positions_is_grown_alike(n):
    """n of 5 free positions: each of the sets, 3,000 times in all."""
    counts = dict.fromkeys(itertools.combinations([0, 2, 3, 5, 6], n), 0)
    rng = np.random.default_rng(n)
    for _ in range(3000):
        W = tensor(7, [1, 1], positions=[1, 4])
        grow_back(W, n, rng)
        counts[tuple(sorted(active(W) - {1, 4}))] += 1
    assert chisquare(list(counts.values())).pvalue > 1e-3


def test_avoided_positions_are_drawn_uniformly_when_nothing_else_is_free():
    """Positions 0 and 5 are free, 1 to 4 to be avoided: 4 grow, so 2 of the avoided ones."""
    counts = dict.fromkeys(itertools.combinations([1, 2, 3, 4], 2), 0)
    rng = np.random.default_rng(1)
    for _ in range(3000):
        W = tensor(7, [1], positions=[6])
        grow_back(W, 4, rng, avoid=[1, 2, 3, 4])
        assert {0, 5, 6} <= active(W)
        counts[tuple(sorted(active(W) - {0, 5, 6}))] += 1
    assert chisquare(list(counts.values())).pvalue > 1e-3


@pytest.mark.slow
def test_a_reallocation_grows_uniformly_and_independently_in_each_tensor():
    """Each of two tensors grows one weight in 4 free positions: 16 pairs, alike."""
    counts, rng = np.zeros((4, 4)), np.random.default_rng(3)
    for _ in range(4000):
        tensors = [tensor(6, [1, 0], positions=[0, 3]), tensor(6, [0, 1], positions=[2, 5])]
        old = [active(W) for W in tensors]
        reallocate(tensors, 0.5, 2, 0.1, rng)
        place = [sorted(set(range(6)) - o).index((active(W) - o).pop())
                 for W, o in zip(tensors, old, strict=True)]
        counts[tuple(place)] += 1
    assert chisquare(counts.reshape(-1)).pvalue > 1e-3
