"""The invariant of many runs, grown_uniformly: where does one network grow, with other seeds?"""

from itertools import combinations, repeat

import pytest
from observed import NEW, reason, seen

from minidsr.proof.cases import growth_cases
from minidsr.proof.invariants import grown_uniformly, judge
from minidsr.proof.rules_of_dsr import _chi_square_tail
from minidsr.run.tally import Tally
from minidsr.run.verify import try_seeds

CHOICES = list(combinations(range(1, 8), 2))  # of seven empty positions; one is pruned at 0


def grown_at(*positions):
    """One run: of ten positions 0, 8 and 9 have a weight, and that at 0 is pruned."""
    return seen((10, {0: 0.5, 8: 2, 9: -2}, {**dict.fromkeys(positions, NEW), 8: 2, 9: -2}), H=1.0)


def times(count):
    """{positions: how often they grow together} as runs."""
    return [grown_at(*positions) for positions, n in count.items() for _ in range(n)]


def test_each_choice_as_often():
    assert len(CHOICES) == 21
    assert judge(grown_uniformly, *times(dict.fromkeys(CHOICES, 20))) == []


def test_always_the_same():
    assert [v.message for v in judge(grown_uniformly, *times({(2, 5): 420}))] == [
        "a: positions 2, 5 grow together in 420 of 420 runs with other seeds; 20 are due"]


def test_each_position_as_often_but_always_beside_another():
    """To look at positions one by one would not do."""
    ring = {tuple(sorted((i + 1, (i + 1) % 7 + 1))): 60 for i in range(7)}
    assert all(sum(n for pair, n in ring.items() if i in pair) == 120 for i in range(1, 8))
    assert "in 60 of 420 runs" in judge(grown_uniformly, *times(ring))[0].message


@pytest.mark.parametrize("more", [0, 1])
def test_how_far_from_even_is_too_far(more):
    """One choice 20 + x times, the others less: χ² is 64.5 and 68.2, the limit 65.4."""
    x = 35 + more
    count = dict.fromkeys(CHOICES, 20) | {CHOICES[4]: 20 + x}
    for i in range(x):
        count[[c for c in CHOICES if c != CHOICES[4]][i % 20]] -= 1
    assert bool(judge(grown_uniformly, *times(count))) == more


def test_what_never_grows():
    """Three choices of 21; the others come 23 or 24 times: χ² is 70.2, of which these make 60."""
    count = {choice: 23 + (i < 6) for i, choice in enumerate(CHOICES[3:])}
    assert sum(count.values()) == 420
    assert " in 0 of 420 " in judge(grown_uniformly, *times(count))[0].message


def test_tail_of_chi_square():
    stats = pytest.importorskip("scipy.stats", reason="SciPy is not installed")
    for x in (0.0, 3.5, 20.0, 68.0, 8400.0):
        for freedom in (1, 2, 3, 4, 20, 35):
            assert _chi_square_tail(x, freedom) == pytest.approx(stats.chi2.sf(x, freedom))


def test_what_is_just_pruned_may_grow_again():
    """As in SET: then there is one position more, and 28 choices."""
    again = list(combinations(range(8), 2))
    assert judge(grown_uniformly, *times(dict.fromkeys(again, 15))) == []
    assert [v.message for v in judge(grown_uniformly, *times({(0, 3): 420}))] == [
        "a: positions 0, 3 grow together in 420 of 420 runs with other seeds; 15 are due"]


def test_one_that_grows_alone():
    """Of seven positions the last has no turn."""
    count = {(i,): 70 for i in range(1, 7)}
    assert [v.message for v in judge(grown_uniformly, *times(count))] == [
        "a: position 7 grows in 0 of 420 runs with other seeds; 60 are due"]


def test_where_another_rule_is_broken_it_says_nothing():
    broken = "other rules are violated where this one is tried"
    assert reason(grown_uniformly, grown_at(1, 2), grown_at(1)) == broken
    assert reason(grown_uniformly, grown_at(1, 2), grown_at(0, 1)) == broken


def test_the_package():
    """By other seeds than those that `verify` tries."""
    runs = [case.run() for case in list(growth_cases(840))[420:]]
    assert judge(grown_uniformly, *runs) == []


def test_what_fails_there():
    """And nowhere else: for one network in 420."""
    def fails(*args, **options):
        raise ArithmeticError("here")

    tally = Tally()
    assert try_seeds(tally, lambda cases: zip(cases, repeat(fails))) == 0
    assert tally.violated == {"completes": 1} and "here" in str(tally)
