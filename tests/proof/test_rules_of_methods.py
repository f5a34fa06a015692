"""The rules of each method: our own methods keep them, and each is broken by hand."""

from dataclasses import replace

import numpy as np
import pytest
from observed import NEW, reason, seen
from recorded import record
from training import CASES, MOVING

from minidsr.methods import METHODS
from minidsr.proof.invariants import RULED, RULES, check, judge, rules_of, violations
from minidsr.proof.rules_of_any import grown_at_zero, masked_are_zero, survivors_keep_value
from minidsr.proof.rules_of_dsr import grown_elsewhere
from minidsr.proof.rules_of_methods import (
    count_per_tensor,
    grown_by_gradient,
    grown_by_momentum,
    grown_elsewhere_in_tensor,
    nothing_grows,
    pruned_by_sign,
    same_share_pruned,
    same_share_pruned_by_sign,
    shares_by_momentum,
    shares_by_room,
    shrinks_by_the_cubic,
    shrinks_exponentially,
    signs_stay,
    smallest_pruned,
    smallest_pruned_by_sign,
    structure_stays,
)
from minidsr.proof.rules_of_parameterizations import (
    masks_by_threshold,
    ties_are_balanced,
    ties_hold,
    ties_stay,
)
from minidsr.run.verify import verify_trace

JUDGED = [case for case in CASES if case not in ("dense", "thin-dense")]
ONE_RUN = {i.__name__ for i in RULES["dsr"].runs}
RARE = {"largest_kept", "overflow"}  # what they are about does not occur in a training so short


# --- our own methods


@pytest.mark.parametrize("case", JUDGED)
def test_our_methods_keep_their_rules(case):
    """And where they reallocate, those of any method: all that can be checked is."""
    rules, found = record(case, 9)
    tally = verify_trace(found, method=rules)
    assert tally.held, str(tally)
    names = {i.__name__ for i in RULES[rules].all}
    assert names - tally.checked.keys() <= ONE_RUN | RARE, str(tally)
    if case in MOVING:
        assert verify_trace(found).held


@pytest.mark.parametrize(("case", "other", "named"), [
    ("set", "dsr", "grown_elsewhere"), ("set magnitude", "set", "same_share_pruned_by_sign"),
    ("set", "set-magnitude", "smallest_pruned"), ("itop", "static", "structure_stays"),
    ("dsr", "rigl", "count_per_tensor"), ("gradual", "conserved", "budget"),
    ("deepr", "itop", "smallest_pruned")])
def test_a_method_judged_by_the_rules_of_another(case, other, named):
    tally = verify_trace(record(case, 7)[1], method=other)
    assert named in tally.violated, str(tally)


def test_methods_name_their_rules():
    """Each row is named by a method, but those of any."""
    def rules(case):
        name, options = CASES[case]
        return METHODS[name](**options).rules

    named = {rules(case) for case in CASES} | {METHODS["dsr"](granularity="slice").rules}
    assert named == {*RULES} - {"conserved"}
    assert set(RULED) == {*RULES} - {None}


def test_a_method_without_rules_is_refused():
    with pytest.raises(ValueError, match="unknown method 'rigle'; did you mean rigl"):
        rules_of("rigle")
    with pytest.raises(ValueError, match="choose one of: conserved, dsr"):
        check([], [], method="")


def test_check_by_method():
    r = seen((9, {0: 1, 1: -2}, {0: 1, 5: NEW}), (9, {0: 3, 1: 4}, {0: 3, 1: 4}))
    assert check(r.before, r.after) == check(r.before, r.after, method="conserved") == []
    assert {v.invariant for v in check(r.before, r.after, method="rigl")} == {"smallest_pruned"}


# --- each broken by hand


def knowing(r, numbers=(), after=False, **recorded):
    """With numbers, and arrays of tensors: a={"gradient": [...]}; of `after`, too, if asked."""
    def more(tensors):
        return [replace(t, recorded={key: np.array(x) for key, x in
                                     recorded.get(t.name, {}).items()}) for t in tensors]

    return replace(r, before=more(r.before), after=more(r.after) if after else r.after,
                   numbers=dict(numbers))


def said(invariant, *runs):
    return [v.message for v in judge(invariant, *runs)]


def test_count_per_tensor():
    r = seen((9, {0: 1}, {0: 1, 1: NEW}), (9, {0: 1, 1: 2}, {1: 2}))
    assert said(count_per_tensor, r) == ["a: 1 free number before, 2 after",
                                         "b: 2 free numbers before, 1 after"]
    assert said(count_per_tensor, seen((9, {0: 1}, {5: NEW}), (3, [1, 2, 3], [1, 2, 3]))) == []


def test_structure_stays():
    r = seen((9, {0: 1, 2: 1}, {0: 4, 2: 5}), (9, {0: 1, 1: 2}, {1: 2, 3: NEW}))
    assert said(structure_stays, r) == ["b: differs at 2 positions, such as 0"]


@pytest.mark.parametrize(("after", "wrong"), [
    ({0: 1, 1: 2}, []), ({0: 1}, []), ({}, []),
    ({0: 1, 5: NEW}, ["a: grows at 1 position, such as 5"]),
    ({0: 1, 1: NEW}, ["a: grows at 1 position, such as 1"])])
def test_nothing_grows(after, wrong):
    assert said(nothing_grows, seen((9, {0: 1, 1: 2}, after))) == wrong


@pytest.mark.parametrize(("rule", "m", "progress", "wrong"), [
    (shrinks_by_the_cubic, 22, 0.5, False), (shrinks_by_the_cubic, 21, 0.5, False),
    (shrinks_by_the_cubic, 23, 0.5, True), (shrinks_by_the_cubic, 20, 0.5, True),
    (shrinks_by_the_cubic, 60, 0.0, False), (shrinks_by_the_cubic, 10, 1.0, False),
    (shrinks_exponentially, 31, 0.5, False), (shrinks_exponentially, 33, 0.5, True),
    (shrinks_exponentially, 10, 1.0, False), (shrinks_exponentially, 12, 1.0, True)])
def test_shrinking(rule, m, progress, wrong):
    """Of 100 positions 60 are free, and 10 in the end."""
    r = seen((100, dict.fromkeys(range(60), 1.0), dict.fromkeys(range(m), 1.0)))
    assert bool(said(rule, knowing(r, {"progress": progress, "final": [10]}))) == wrong
    assert reason(rule, r) == "progress is not recorded"


@pytest.mark.parametrize("end", [0, 1])
def test_shrinking_to_nothing(end):
    """By the same factor one gets to 1, not to 0, which is then a step."""
    for m, progress, wrong in ((10, 0.5, False), (13, 0.5, True), (end, 1.0, False),
                               (2, 1.0, end == 0)):
        r = seen((100, dict.fromkeys(range(60), 1.0), dict.fromkeys(range(m), 1.0)))
        r = knowing(r, {"progress": progress, "final": [end]})
        assert bool(said(shrinks_exponentially, r)) == wrong


def ranked(size, gone, kept, again=()):
    """Weights 1, 2, ... of which some go, others stay, and new ones come at the end; `again` go and
    come back."""
    before = {i: i + 1.0 for i in sorted([*gone, *kept, *again])}
    new = range(size - len(gone), size)
    return (size, before, {i: before[i] if i in kept else NEW for i in sorted(
        [*kept, *again, *new])})


def test_smallest_pruned():
    r = seen(ranked(20, [0, 1, 5], [2, 3, 4]), ranked(20, [0, 1], [2, 3]))
    assert said(smallest_pruned, r) == [
        "a: 6 at position 5 is pruned, 3 at position 2 is kept; 1 of 3 pruned are larger than that"]
    r = seen(ranked(20, [0], [1, 3], again=[2]))
    assert said(smallest_pruned, r) == [
        "a: 3 at position 2 is pruned, 2 at position 1 is kept; 1 of 2 pruned are larger than that"]
    assert reason(smallest_pruned, seen(ranked(9, [], [0, 1]))) == "nothing was pruned"


def test_smallest_pruned_takes_equals_and_zeros_as_they_are():
    """Of equals any may go; a 0 at rest that stays may have gone and come back."""
    r = seen((9, {0: 1, 1: -1, 2: 1}, {1: -1, 2: 1, 5: NEW}))
    assert said(smallest_pruned, r) == []
    r = seen((9, {0: NEW, 1: 2, 2: 3}, {0: NEW, 2: 3, 5: NEW}))
    assert said(smallest_pruned, r) == []
    r = seen((9, {0: (0, 5), 1: 2, 2: 3}, {0: (0, 5), 2: 3, 5: NEW}))
    assert len(said(smallest_pruned, r)) == 1


def test_smallest_pruned_by_sign():
    before = {0: 1, 1: 2, 2: -5, 3: -6}
    r = seen((9, before, {1: 2, 3: -6, 6: NEW, 7: NEW}))
    assert said(smallest_pruned_by_sign, r) == []
    assert len(said(smallest_pruned, r)) == 1
    r = seen((9, before, {1: 2, 2: -5, 6: NEW, 7: NEW}))
    assert said(smallest_pruned_by_sign, r) == [
        "a: -6 at position 3 is pruned, -5 at position 2 is kept; 1 of 1 pruned are larger than "
        "that"]


def test_same_share_pruned():
    def run(k, **said):
        return seen(ranked(40, range(k), range(k, 10)), ranked(90, range(6), range(6, 20)), **said)

    assert [bool(said(same_share_pruned, run(k))) for k in range(7)] == [
        True, True, False, False, False, True, True]
    assert said(same_share_pruned, run(6)) == ["a: 6 of 10 are pruned, b: 6 of 20 are pruned"]
    assert said(same_share_pruned, knowing(run(3), {"fraction": 0.3})) == []
    assert said(same_share_pruned, knowing(run(3), {"fraction": 0.25})) == []
    assert said(same_share_pruned, knowing(run(3), {"fraction": 0.2})) == [
        "b: 6 of 20 are pruned, the fraction is 0.2"]
    assert said(same_share_pruned, run(3, pruned=[9, 6])) != []  # what is said, decides
    assert reason(same_share_pruned, seen(ranked(9, [], [0, 1]))) == "nothing was pruned"


@pytest.mark.parametrize("rule", [same_share_pruned, same_share_pruned_by_sign])
def test_a_full_tensor_may_stay_as_it_is(rule):
    """Nothing could move in it: programs leave it out, or put back what they dropped."""
    weights = {i: float(i + 1) for i in range(9)}
    moves = ranked(20, range(5), range(5, 10))
    assert said(rule, seen(moves, (9, weights, weights))) == []
    assert said(rule, seen(moves, (9, weights, weights), pruned=[5, 0])) == []
    assert said(rule, seen(moves, (10, weights, weights))) != []
    assert said(rule, seen(moves, (9, weights, weights | {0: NEW}), pruned=[5, 1])) != []
    assert said(same_share_pruned, seen(moves, (9, weights, weights), pruned=[5, 9])) != []


def test_same_share_pruned_by_sign():
    """All positive weights die, as in a published SET."""
    weights = {i: float((i + 1) * (-1) ** i) for i in range(20)}
    new = dict.fromkeys(range(20, 30), NEW)
    negative = {i: w for i, w in weights.items() if w < 0}
    assert said(same_share_pruned_by_sign, seen((30, weights, negative | new))) == [
        "a, positive: 10 of 10 are pruned, a, negative: 0 of 10 are pruned"]
    kept = {i: w for i, w in weights.items() if i >= 10}
    assert said(same_share_pruned_by_sign, seen((30, weights, kept | new))) == []
    zeros = dict.fromkeys(range(30, 70), 0.0)  # these may stay, whatever the fraction
    r = seen((90, weights | zeros, kept | new | zeros))
    assert said(same_share_pruned_by_sign, knowing(r, {"fraction": 0.5})) == []


def test_pruned_by_sign():
    r = seen((6, {0: 1, 1: -2, 2: -3, 3: 4, 4: 0}, {0: 1, 1: -2, 4: 0, 5: NEW}))
    r = knowing(r, a={"sign": [1, 1, 1, 1, -1, 1]})
    assert said(pruned_by_sign, r) == [
        "a: -2 at position 1 has not the sign of its position, and stays",
        "a: 4 at position 3 has the sign of its position, and is pruned"]
    r = seen((4, {0: 1, 1: -2}, {0: 1, 1: NEW}))
    assert said(pruned_by_sign, knowing(r, a={"sign": [1, 1, 1, 1]})) == []
    assert reason(pruned_by_sign, r) == "sign is not recorded"
    r = seen((4, {0: 0.0, 1: -0.0}, {0: 0.0, 1: -0.0}))  # a 0 is on neither side
    assert said(pruned_by_sign, knowing(r, a={"sign": [1, -1, 1, 1]})) == []


@pytest.mark.parametrize(("rule", "key"), [
    (grown_by_gradient, "gradient"), (grown_by_momentum, "momentum")])
def test_grown_by_a_score(rule, key):
    """In positions 3 to 7, or where one was just pruned, the sign of the score does not count."""
    def run(after, score):
        r = seen((8, {0: 1, 1: 2, 2: 3}, after))
        return said(rule, knowing(r, a={key: score}))

    score = np.array([9, 9, 9, 0.5, -3, 2, 0.25, 3])
    assert run({2: 3, 4: NEW, 7: NEW}, score * [0, 0, 1, 1, 1, 1, 1, 1]) == []
    assert run({0: NEW, 1: NEW, 2: 3}, score) == []  # both had the largest, after they were pruned
    assert run({2: 3, 4: NEW, 5: NEW}, score * [0, 0, 1, 1, 1, 1, 1, 1]) == [
        f"a: position 5 is grown with |{key}| 2, position 7 with 3 is not; 1 of 2 grown have less "
        "than that"]
    assert "position 1, just pruned, with 9 is not" in run({0: 1, 2: 3, 4: NEW}, score)[0]
    r = seen((8, {0: 1, 1: 2}, {0: 1, 5: NEW}))
    assert reason(rule, r) == f"{key} is not recorded"
    assert reason(rule, seen((8, {0: 1}, {0: 1}))) == "nothing was grown"


def test_grown_elsewhere_in_tensor():
    r = seen((3, {0: 1, 1: 2}, {0: 1, 1: NEW}), (2, {0: 1, 1: 2}, {0: 1, 1: NEW}))
    assert said(grown_elsewhere_in_tensor, r) == [
        "a: position 1 was pruned and grown again, 1 other of it stayed free"]


def test_shares_by_room_and_by_momentum():
    """6 go of the first tensor; 14 and 4 positions are empty before, 20 and 4 after."""
    def run(g):
        kept = dict.fromkeys(range(10, 14), 1.0)
        old = dict.fromkeys(range(6), 0.1) | kept
        new = [0, 1, 2, 3, 4, 5, 6, 7, 8, 9][6:6 + g]
        a = kept | dict.fromkeys([*new, *range(14, 14 + g - len(new))], NEW)
        b = dict.fromkeys(range(4), 1.0)
        return seen((24, old, {i: a[i] for i in sorted(a)}),
                    (8, b, b | dict.fromkeys(range(4, 10 - g), NEW)), pruned=[6, 0])

    assert [g for g in range(2, 7) if not said(shares_by_room, run(g))] == [4, 5, 6]
    momentum = {"a": {"momentum": np.ones(24)}, "b": {"momentum": -2 * np.ones(8)}}
    assert [g for g in range(2, 7) if not said(shares_by_momentum, knowing(run(g), **momentum))
            ] == [2, 3]
    assert said(shares_by_momentum, knowing(run(4), **momentum))[0] == (
        "a: grew 4, its share of 6 is 2.00; mean |momentum| before was 1, 2")
    full = {**momentum, "b": {"momentum": -3 * np.ones(8)}}  # 4.5 are due, there is room for 4
    assert reason(shares_by_momentum, knowing(run(2), **full)) == (
        "a share found no room, and the paper is silent")
    nothing = {name: {"momentum": 0 * m["momentum"]} for name, m in momentum.items()}
    assert reason(shares_by_momentum, knowing(run(2), **nothing)).startswith("a share found no")
    assert reason(shares_by_momentum, run(3)) == "momentum is not recorded"


def test_masks_by_threshold():
    r = knowing(seen((4, {0: 1, 3: 2}, {0: 1, 3: -2})), after=True, a={"threshold": [0.5, 1.5]})
    before, after = r.before[0], r.after[0]
    right = replace(before, masked=np.array([0.5, -1.5]))
    assert said(masks_by_threshold, replace(r, before=[right], after=[
        replace(after, masked=np.array([-0.25, 1]))])) == []
    assert said(masks_by_threshold, replace(r, before=[right], after=[
        replace(after, masked=np.array([0.75, 1]))])) == [
        "a: 0.75 at position 1 is not in use after, its threshold is 0.5; 1 of 4 are wrong"]
    assert reason(masks_by_threshold, r) == "the values where the mask is 0 are not recorded"


def test_ties():
    def run(value, bucket, sign=None):
        r = seen((4, [1, -1, 3, 3], value))
        signs = {} if sign is None else {"sign": sign}
        return knowing(r, after=True, a={"bucket": bucket, **signs})

    assert said(ties_hold, run([2, -2, 3, 3], [0, 0, 1, 1])) == []
    assert said(ties_hold, run([2, -2, 3, 3], [0, 0, 1, 1], [1, -1, 1, 1])) == []
    assert said(ties_hold, run([2, 2, 3, 3], [0, 0, 1, 1], [1, -1, 1, 1])) == [
        "a: 2.0 at position 0 and 2.0 at position 1 share a number after; 1 of 4 differ so"]
    assert said(ties_hold, run([2, -2, 3, 4], [0, 0, 1, 1])) == [
        "a: 3.0 at position 2 and 4.0 at position 3 share a number after; 1 of 4 differ so"]
    one = run([2, 2, 3, 3], [0, 0, 1, 1])
    assert said(ties_stay, one, one) == []
    assert said(ties_stay, one, run([2, 2, 2, 3], [0, 0, 0, 1])) == [
        "a: has another bucket at 1 position"]
    assert said(ties_are_balanced, one) == []
    assert said(ties_are_balanced, run([2, 2, 2, 3], [0, 0, 0, 1])) == [
        f"a: a number is used at 3 positions, another at 1 {when}" for when in ("before", "after")]
    for rule in (ties_hold, ties_are_balanced):
        assert reason(rule, seen((4, [1, 1, 3, 3], [1, 1, 3, 3]))) == "bucket is not recorded"


def test_signs_stay():
    one, other = (knowing(seen((2, {0: 1}, {0: 1})), after=True, a={"sign": s})
                  for s in ([1, -1], [1, 1]))
    assert said(signs_stay, one, one) == []
    assert said(signs_stay, one, other) == ["a: has another sign at 1 position"]


def test_what_is_certain_is_said_beside_what_is_not():
    """In b nobody can tell what became of the weight; in a it is clear that one was grown."""
    r = seen((9, {0: 1, 1: 2}, {0: 1, 1: NEW}), (9, {0: 1}, {0: 7}))
    assert said(nothing_grows, r) == ["a: grows at 1 position, such as 1"]
    again = "a: position 1 was pruned and grown again, {} others {}stayed free"
    assert said(grown_elsewhere_in_tensor, r) == [again.format(7, "of it ")]
    assert said(grown_elsewhere, r) == [again.format(15, "")]
    known = replace(r, before=[replace(r.before[0], recorded={"sign": np.ones(9)}), r.before[1]])
    assert reason(pruned_by_sign, r) == "sign is not recorded"
    assert len(said(pruned_by_sign, known)) == 1


def test_masked_are_zero():
    r = seen((4, {0: 1, 2: 3}, {0: 1, 3: NEW}))
    assert reason(masked_are_zero, r) == (
        "values where no weight is free are not stored, or not recorded")
    before, after = (replace(t, masked=np.array(x)) for t, x in (
        (r.before[0], [0.0, -0.0]), (r.after[0], [-1.0, 3.0])))
    assert said(masked_are_zero, replace(r, before=[before])) == []
    assert said(masked_are_zero, replace(r, before=[before], after=[after])) == [
        "a: 2 of 2 masked values are not 0 after, the largest is 3 at position 2"]


# --- what nobody can tell


def staying(said=None, **after):
    """The weight at place 2 has another number afterwards, at rest; and what `after` says."""
    before = {0: (1, 1), 2: (0.01, 1), 5: (-1, 1), 7: (2, 1)}
    counts = {} if said is None else {"pruned": [said], "grown": [said]}
    return seen((10, before, before | {2: (0.3, 0)} | {int(i[1:]): x for i, x in after.items()}),
                **counts)


@pytest.mark.parametrize(("r", "wrong"), [
    (staying(1), {"grown_at_zero"}),                    # it was pruned and grown again
    (staying(0), {"survivors_keep_value", "survivors_keep_velocity"}),
    (staying(2), {"grown_at_zero", "balance"}),         # more than there may have been
    (staying(), set()),                                 # nobody can tell
    (staying(1, _5=(-2, 1)), set()),                    # one of two, nobody can tell which
    (staying(2, _5=(-2, 1)), {"grown_at_zero", "grown_at_rest"}),
    (staying(1, _9=NEW), {"grown_at_zero", "balance"}),
    (staying(_9=NEW), {"survivors_keep_value", "survivors_keep_velocity"}),
    (staying(_9=(0.5, 0)), {"grown_at_zero"}),          # others grow at any value, too
    (staying(_5=NEW), {"survivors_keep_value", "survivors_keep_velocity"})])
def test_another_number_without_a_threshold(r, wrong):
    """Counts settle it, or how others grow; else it is neither right nor wrong."""
    assert {v.invariant for v in violations(r, rules=RULES[None])} == wrong
    if not wrong:
        for rule in (survivors_keep_value, grown_at_zero, grown_elsewhere_in_tensor, nothing_grows):
            assert "may have been changed, or pruned and grown again" in reason(rule, r)


@pytest.mark.parametrize("tolerance", [0.0, 0.1])
def test_a_tolerance(tolerance):
    """For values and velocities, of survivors, grown, masked and dense weights."""
    r = seen((4, {0: (1, 1), 2: (3, 1)}, {0: (1.0625, 1.0625), 3: (0.0625, 0.0625)}),
             (2, [1, 2], [1.0625, 2]), pruned=[1], grown=[1])
    after = replace(r.after[0], masked=np.array([0.0625, 0]))
    r = replace(r, after=[after, r.after[1]], tolerance=tolerance)
    named = {v.invariant for v in violations(r, rules=RULES[None])}
    assert named == (set() if tolerance else {
        "survivors_keep_value", "survivors_keep_velocity", "grown_at_zero", "grown_at_rest",
        "masked_are_zero", "dense_unchanged"})
    again = replace(seen((4, {0: (1, 1)}, {0: (0.0625, 0)})), tolerance=tolerance)
    assert bool(again.changes[0].regrown[0]) == bool(tolerance)  # as if it were at 0
    assert len(check([r.before[1]], [r.after[1]], tolerance=0.01)) == 2
    assert check([r.before[1]], [r.after[1]], tolerance=0.1) == []
    assert verify_trace([r], tolerance=0.1).held
