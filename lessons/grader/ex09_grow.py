"""Lesson 9: rigl_grow."""

from itertools import combinations, product

import numpy as np
from hypothesis import strategies as st

from lessons.solutions import ex09 as solved
from minidsr.proof.cases import VALUES, seeds
from minidsr.run.report import table

from .exercise import Exercise, Plug

MANY = 16  # so many, or fewer, some of NumPy's ways to sort leave in order, others do not


def small():
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
def cases(draw):
    N, rng = draw(st.integers(1, 60)), np.random.default_rng(draw(seeds))
    score = np.abs(VALUES[draw(st.sampled_from(list(VALUES)))](rng, N)).astype(np.float32)
    index = np.sort(rng.choice(N, draw(st.integers(0, N)), replace=False))
    return score, index, draw(st.integers(0, N - len(index)))


def level(score, index, n):
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


def picture(g, score, index, n):
    rows = [[str(i), f"{s:g}", "yes" if i in index else "",
             "?" if not isinstance(g, list) else "grows" if i in g else ""]
            for i, s in enumerate(score)]
    said = "" if g is None else f"\n\nyours: {g}"
    return (f"grow n = {n}\n\n" + table(rows, ["position", "score", "has a weight", "yours"],
                                        left=(2, 3)) + said)


# --- mistakes


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
    small=small, cases=cases(),
    levels=("no two scores are equal", "some are equal", "a score of 0 must do, or none is asked",
            f"some are equal, of more than {MANY}"),
    level=level,
    properties=(n_positions, are_free, largest, first_of_equal_scores),
    picture=picture,
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
