"""Relatives.

What SET drops, where RigL grows, how sparse momentum shares, what trainable masks learn by; and a
method of one's own.
"""

import math
from fractions import Fraction
from itertools import combinations, product

import numpy as np
from hypothesis import strategies as st

from lessons.solutions import ex09 as solved
from minidsr.proof.cases import VALUES, seeds
from minidsr.run.report import table

from .ex09_mine import Mine
from .ex09_momentum import momentum_shares
from .ex09_threshold import threshold_pull
from .exercise import Exercise, Plug
from .words import column

MANY = 16  # so many, or fewer, some of NumPy's ways to sort leave in order, others do not

# --- set_drop: (value, zeta) -> mask


def small_weights():
    """Up to 3 weights, every ζ that tells their numbers apart; some more, and some many."""
    for n in range(4):
        for value in product((1, -1, 2, -2, 0), repeat=n):
            yield from (_weights(value, zeta) for zeta in (0.5, 0.7, 1.0))
    for value in ((3, 1, 4, 2), (-3, -1, -4, -2), (3, -1, 2, -4, 1, -2), (2, -3, 1, 4, -1)):
        yield from (_weights(value, zeta) for zeta in (0.0, 0.3, 0.5, 0.7, 0.8))
    for value in (np.full(40, -1), np.tile([1, -2, 2, 1, -1], 8)):
        yield from (_weights(value, zeta) for zeta in (0.1, 0.5, 0.9))
    for n, zeta in ((50, 0.58), (90, 0.7), (100, 0.29)):
        yield _weights(np.arange(1, n + 1), zeta)
        yield _weights(-np.arange(1, n + 1), zeta)


def _weights(value, zeta):
    return np.array(value, np.float32), zeta


@st.composite
def weight_cases(draw):
    n, rng = draw(st.integers(1, 60) | st.sampled_from((50, 90))), np.random.default_rng(
        draw(seeds))
    value = VALUES[draw(st.sampled_from(list(VALUES)))](rng, n).astype(np.float32)
    return value, draw(st.integers(0, 100).map(lambda percent: percent / 100)
                       | st.sampled_from((0.58, 0.7)))


def parts(value):
    """{word: the positions of the weights of this sign}."""
    return {"positive, or 0": np.flatnonzero(value >= 0), "negative": np.flatnonzero(value < 0)}


def due(zeta, count):
    """How many of so many are to go."""
    return math.floor(Fraction(str(zeta)) * count)


def drop_level(value, zeta):
    groups = parts(value).values()
    if any(int(zeta * len(places)) != due(zeta, len(places)) for places in groups):
        return 4
    equal = any(len(set(value[places].tolist())) < len(places) for places in groups)
    if equal or not len(value) or not value.all():
        return 3 if len(value) > MANY else 2
    return int((value < 0).any() and (value > 0).any())


def one_flag_a_weight(g, value, zeta):
    """there is True or False for each weight"""
    return len(g) == len(value) and all(type(x) is bool for x in g)


def as_many_of_each_sign(g, value, zeta):
    """of each sign as many go as ζ says, rounded down; 0 counts as positive"""
    for word, places in parts(value).items():
        went = int(np.array(g, bool)[places].sum())
        if went != due(zeta, len(places)):
            return (f"{len(places)} are {word}: {due(zeta, len(places))} of them should go, with "
                    f"yours {went} do")
    return True


def nearest_zero(g, value, zeta):
    """of each sign those go that are nearest 0"""
    goes, size = np.array(g, bool), np.abs(value)
    return all(size[places][goes[places]].max(initial=0)
               <= size[places][~goes[places]].min(initial=np.inf)
               for places in parts(value).values())


def first_of_equals(g, value, zeta):
    """of equal weights the first go"""
    goes = np.array(g, bool)
    return not any(goes[j] and (~goes[:j] & (value[:j] == value[j])).any()
                   for j in range(len(value)))


def drop_picture(g, value, zeta):
    yours = column(g, len(value))
    rows = [[f"{w:g}", {True: "goes", False: "stays"}.get(x, str(x))]
            for w, x in zip(value, yours, strict=True)]
    counts = ", ".join(f"{due(zeta, len(places))} of {len(places)} {word}"
                       for word, places in parts(value).items())
    return (f"ζ = {zeta:g}; to go are {counts}\n\n" + table(rows, ["weight", "yours"], left=(1,)))


def _dropped(value, zeta, *, groups=None, size=np.abs, whole=due, kind="stable", last=False):
    """The mask in another way."""
    goes = np.zeros(len(value), bool)
    for places in parts(value).values() if groups is None else groups:
        n, order = whole(zeta, len(places)), np.argsort(size(value[places]), kind=kind)
        if last:
            order = len(places) - 1 - np.argsort(size(value[places])[::-1], kind=kind)
        goes[places[order[:n]]] = True
    return goes


def of_all(value, zeta):
    """The share ζ of all weights goes, whatever their signs. What if the negative ones are smaller
    than the positive ones: how many of them would be left after some time?"""
    return _dropped(value, zeta, groups=[np.arange(len(value))])


def in_floats(value, zeta):
    """0.58 * 50 falls short of 29 by a hair, and rounding down makes it 28. Print it. What is
    Fraction(str(0.58))?"""
    return _dropped(value, zeta, whole=lambda zeta, count: int(zeta * count))


def without_abs(value, zeta):
    """Of the negative weights the lowest go. Which of -3 and -1 is nearer to 0?"""
    return _dropped(value, zeta, size=lambda part: part)


def zero_is_negative(value, zeta):
    """A weight that is 0 is counted with the negative ones. Where does the docstring count it?"""
    return _dropped(value, zeta, groups=[np.flatnonzero(value > 0), np.flatnonzero(value <= 0)])


def zero_is_neither(value, zeta):
    """A weight that is 0 is of neither sign, so it stays for good. It is as small as can be: with
    which ones does the docstring count it?"""
    return _dropped(value, zeta, groups=[np.flatnonzero(value > 0), np.flatnonzero(value < 0)])


def last_of_equals(value, zeta):
    """Of equal weights the last go. In which direction do you look for the smallest?"""
    return _dropped(value, zeta, last=True)


def in_no_order(value, zeta):
    """Of equal weights some go, by chance. In which order does np.argsort leave equal numbers, if
    it is not told to be stable?"""
    return _dropped(value, zeta, kind="quicksort")


def what_stays(value, zeta):
    """The mask is that of the weights that stay. What is True to mean?"""
    return ~solved.set_drop(value, zeta)


def rounds_up(value, zeta):
    """ζ times how many there are is rounded up, or to the nearest. Which way does the docstring
    round?"""
    return _dropped(value, zeta, whole=lambda zeta, count: math.ceil(Fraction(str(zeta)) * count))


def as_prune_by_sign(f):
    def prune_by_sign(W, fraction):
        return W.prune(np.array(f(W.value.copy(), fraction), bool))
    return prune_by_sign


set_drop = Exercise(
    name="set_drop", stars=1, minutes=10,
    small=small_weights, cases=weight_cases(),
    levels=("all of one sign, no two equal", "both signs",
            "a weight is 0, two are equal, or none is there", f"the same, of more than {MANY}",
            "floating point misses a whole number"),
    level=drop_level,
    properties=(one_flag_a_weight, as_many_of_each_sign, nearest_zero, first_of_equals),
    picture=drop_picture,
    mistakes=(of_all, in_floats, without_abs, zero_is_negative, zero_is_neither, last_of_equals,
              in_no_order, what_stays, rounds_up),
    hints=(
        "Of 5, -4, 0.5, 3, 2 go 30 %, each sign by itself. How many of the four positive ones, and "
        "how many of the one negative?",
        "Twice the same: the places of one sign, by np.flatnonzero; their order by magnitude; the "
        "first few of that order are True in the mask.",
        "0 belongs to the positive ones. Rounding down is merciless to floats: fractions."
        "Fraction(str(zeta)) is exact. And np.argsort keeps equals in order only with "
        "kind='stable'."),
    plug=Plug(("minidsr.methods.set.prune_by_sign",), as_prune_by_sign, {"method": "set"}))


# --- rigl_grow: (score, index, n) -> positions


def small_scores():
    """Up to 3 positions, scores 0, 1 and 2, all that are taken; some more, and some many."""
    for N in range(1, 4):
        for score in product(range(3), repeat=N):
            yield from _choices(score, range(N + 1))
    yield from _choices((3, 1, 4, 2), range(3))
    for score in (np.full(40, 1), np.tile([1, 0, 2, 1, 2], 9)):
        for index in ((), range(0, 40, 3)):
            yield from (_scores(score, index, n) for n in (1, 9, 20))


def _choices(score, taken):
    for m in taken:
        for index in combinations(range(len(score)), m):
            yield from (_scores(score, index, n) for n in range(len(score) - m + 1))


def _scores(score, index, n):
    return np.array(score, np.float32), np.array(index, int), n


@st.composite
def score_cases(draw):
    N, rng = draw(st.integers(1, 60)), np.random.default_rng(draw(seeds))
    score = np.abs(VALUES[draw(st.sampled_from(list(VALUES)))](rng, N)).astype(np.float32)
    index = np.sort(rng.choice(N, draw(st.integers(0, N)), replace=False))
    return score, index, draw(st.integers(0, N - len(index)))


def score_level(score, index, n):
    free = np.delete(score, index)
    if not n or n > (free > 0).sum():
        return 2
    equal = len(set(free.tolist())) < len(free)
    return 3 if equal and len(score) > MANY else int(equal)


def n_positions(g, score, index, n):
    """there are n of the positions, each once, and sorted"""
    return (len(g) == n and all(type(i) is int for i in g) and g == sorted(set(g))
            and all(0 <= i < len(score) for i in g))


def are_free(g, score, index, n):
    """no weight grows where one is"""
    return not set(g) & set(index.tolist())


def largest(g, score, index, n):
    """no free position has a larger score than one that is taken"""
    rest = np.setdiff1d(np.arange(len(score)), [*index, *g])
    return not len(g) or not len(rest) or score[rest].max() <= score[g].min()


def first_of_equal_scores(g, score, index, n):
    """of equal scores the first position is taken"""
    rest = np.setdiff1d(np.arange(len(score)), [*index, *g])
    return not any((score[rest[rest < i]] == score[i]).any() for i in g)


def score_picture(g, score, index, n):
    rows = [[str(i), f"{s:g}", "yes" if i in index else "",
             "?" if not isinstance(g, list) else "grows" if i in g else ""]
            for i, s in enumerate(score)]
    said = "" if g is None else f"\n\nyours: {g}"
    return (f"grow n = {n}\n\n" + table(rows, ["position", "score", "has a weight", "yours"],
                                        left=(2, 3)) + said)


def where_weights_are(score, index, n):
    """The largest scores win, also where a weight is already. Which positions can be chosen?"""
    return np.sort(np.argsort(-score, kind="stable")[:n])


def sets_them_to_zero(score, index, n):
    """The score is set to 0 where a weight is. But 0 is a score that a free position may have:
    which of the two comes first?"""
    score = score.copy()
    score[index] = 0
    return where_weights_are(score, index, n)


def smallest(score, index, n):
    """The smallest scores win. Which end of the order is which?"""
    free = np.setdiff1d(np.arange(len(score)), index)
    return np.sort(free[np.argsort(score[free], kind="stable")[:n]])


def last_of_equal_scores(score, index, n):
    """Of equal scores the last position is taken: ascending order was cut from its end. Which way
    would you have to sort, so that the first ones come first?"""
    free = np.setdiff1d(np.arange(len(score)), index)
    return np.sort(free[np.argsort(score[free], kind="stable")[len(free) - n:]])


def in_any_order(score, index, n):
    """Of equal scores some are taken, by chance. In which order does np.argsort leave equal
    numbers, if it is not told to be stable?"""
    free = np.setdiff1d(np.arange(len(score)), index)
    return np.sort(free[np.argsort(-score[free])[:n]])


def among_the_free(score, index, n):
    """These are places in the list of free positions. Which positions of the tensor are they?"""
    free = np.setdiff1d(np.arange(len(score)), index)
    return np.sort(np.argsort(-score[free], kind="stable")[:n])


def all_of_none(score, index, n):
    """Nothing is to grow, and all does. What is order[-n:] for n = 0?"""
    return solved.rigl_grow(score, index, n) if n else np.delete(np.arange(len(score)), index)


def by_score(score, index, n):
    """These are the right positions, in the order of their scores. What does the docstring say of
    the order?"""
    free = np.setdiff1d(np.arange(len(score)), index)
    return free[np.argsort(-score[free], kind="stable")[:n]]


def as_grow_largest(f):
    def grow_largest(W, n, score):
        W.grow(np.array(f(score.reshape(-1).copy(), W.index.copy(), n), int))
    return grow_largest


rigl_grow = Exercise(
    name="rigl_grow", stars=2, minutes=10,
    small=small_scores, cases=score_cases(),
    levels=("no two scores are equal", "some are equal", "a score of 0 must do, or none is asked",
            f"some are equal, of more than {MANY}"),
    level=score_level,
    properties=(n_positions, are_free, largest, first_of_equal_scores),
    picture=score_picture,
    mistakes=(where_weights_are, sets_them_to_zero, smallest, last_of_equal_scores, in_any_order,
              among_the_free, all_of_none, by_score),
    hints=(
        "Scores 9, 2, 0, 5, 2, and weights at 0 and 3. Which positions may be chosen at all, and "
        "in which order would you choose them?",
        "np.setdiff1d makes the list of free positions. Order that list by its scores, the largest "
        "first, cut it, and sort what is left.",
        "Ordering by the negative score, with kind='stable', has the largest first and equals in "
        "their order. What comes out are places in the list of free positions."),
    plug=Plug(("minidsr.methods.rigl.grow_largest",), as_grow_largest, {"method": "rigl"}))

EXERCISES = [set_drop, rigl_grow, momentum_shares, threshold_pull, Mine]
