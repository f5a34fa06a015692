"""Sparse from the start.

What is kept, how many are left, who gets how many, and how wide a thin network is.
"""

import math
from fractions import Fraction
from itertools import product

import numpy as np
from hypothesis import strategies as st

from lessons.solutions import ex06 as solved
from minidsr.proof.cases import VALUES, seeds
from minidsr.run.report import table

from .ex06_erk import erk
from .ex06_nearest_width import nearest_width
from .exercise import Exercise, Plug

# --- keep_largest: (theta, m) -> positions

MANY = 16  # so many, or fewer, some of NumPy's ways to sort leave in order, others do not


def small_weights():
    """Up to 4 weights, every number of them kept; and some larger tensors of few magnitudes."""
    for n in range(5):
        for theta in product((0, 1, -1, 2, -2) if n < 4 else (1, -2), repeat=n):
            yield from ((np.array(theta, np.float32), m) for m in range(n + 1))
    for many in (np.full(40, -1), np.tile([1, -2, 2], 15)):
        yield from ((many.astype(np.float32), m) for m in (1, len(many) // 2, len(many) - 1))


@st.composite
def weight_cases(draw):
    n, rng = draw(st.integers(1, 60)), np.random.default_rng(draw(seeds))
    theta = VALUES[draw(st.sampled_from(list(VALUES)))](rng, n).astype(np.float32)
    return theta, draw(st.integers(0, n))


def weight_level(theta, m):
    if not m or not theta.all():
        return 2
    equal = len(set(np.abs(theta).tolist())) < len(theta)
    return 3 if equal and len(theta) > MANY else int(equal)


def m_positions(g, theta, m):
    """there are m of the positions, each once, and sorted"""
    return (len(g) == m and all(type(i) is int for i in g) and g == sorted(set(g))
            and all(0 <= i < len(theta) for i in g))


def largest(g, theta, m):
    """no weight that goes is larger in magnitude than one that stays"""
    gone = np.delete(np.abs(theta), g)
    return not len(gone) or not len(g) or gone.max() <= np.abs(theta)[g].min()


def first_of_equals(g, theta, m):
    """of weights that are equally large, no one stays while one before it goes"""
    size, stays = np.abs(theta), np.isin(np.arange(len(theta)), g)
    return not any(stays[j] and (~stays[:j] & (size[:j] == size[j])).any()
                   for j in range(len(theta)))


def weight_picture(g, theta, m):
    rows = [[str(i), f"{w:g}", "?" if not isinstance(g, list) else "stays" if i in g else "goes"]
            for i, w in enumerate(theta)]
    said = "" if g is None else f"\n\nyours: {g}"
    return f"keep m = {m}\n\n" + table(rows, ["position", "weight", "yours"], left=(2,)) + said


def without_abs(theta, m):
    """The largest numbers stay, and -3 goes before 1. Which of these two does more in a layer?"""
    return np.sort(np.argsort(-theta, kind="stable")[:m])


def last_of_equals(theta, m):
    """Of equal weights the last ones stay: ascending order was cut from its end. Which way would
    you have to sort, so that the first ones come first?"""
    order = np.argsort(np.abs(theta), kind="stable")
    return np.sort(order[len(theta) - m:])


def in_no_order(theta, m):
    """Of equal weights some stay, by chance. In which order does np.argsort leave equal numbers, if
    it is not told to be stable?"""
    return np.sort(np.argsort(-np.abs(theta))[:m])


def all_of_none(theta, m):
    """Nothing is to be kept, and all is. What is order[-m:] for m = 0?"""
    return solved.keep_largest(theta, m) if m else np.arange(len(theta))


def by_threshold(theta, m):
    """All stay that are as large as the m-th: with equal weights these can be more than m. Which of
    them are to stay?"""
    if not m:
        return np.arange(0)
    return np.flatnonzero(np.abs(theta) >= np.sort(np.abs(theta))[len(theta) - m])


def smallest(theta, m):
    """The smallest ones stay. Which end of the order is which?"""
    return np.sort(np.argsort(np.abs(theta), kind="stable")[:m])


def by_size(theta, m):
    """These are the right positions, in the order of their weights. What does the docstring say of
    the order?"""
    return np.argsort(-np.abs(theta), kind="stable")[:m]


def as_prune_smallest(f):
    def prune_smallest(W, n):
        keep = np.array(f(W.value.copy(), W.value.size - n), int)
        return W.prune(~np.isin(np.arange(W.value.size), keep))
    return prune_smallest


GRADUAL = {"method": "gradual", "threshold": None}

keep_largest = Exercise(
    name="keep_largest", stars=1, minutes=10,
    small=small_weights, cases=weight_cases(),
    levels=("all magnitudes differ", "some are equal", "some are 0, or none is kept",
            f"some are equal, of more than {MANY}"),
    level=weight_level,
    properties=(m_positions, largest, first_of_equals),
    picture=weight_picture,
    mistakes=(without_abs, last_of_equals, in_no_order, all_of_none, by_threshold, smallest,
              by_size),
    hints=(
        "Of 2, -3, 1, 3 two are to stay. Which, and where are they?",
        "np.argsort of what gives the largest magnitude first? Cut the order, and sort what is "
        "left: the answer is positions in order.",
        "Among equals the order of np.argsort is anything, unless kind='stable' is asked for. And "
        "it sorts ascending: turning the result around turns the equals around, too."),
    plug=Plug(("minidsr.methods.gradual.prune_smallest",), as_prune_smallest, GRADUAL))


# --- left: (t, end, N, m) -> int


def small_steps():
    for end in range(1, 5):
        for t, N in product(range(end + 2), range(1, 6)):
            yield from ((t, end, N, m) for m in range(N + 1))
    for end in range(5, 13):  # whole numbers, of which floats often miss one
        yield from ((t, end, 10 + end**3, 10) for t in range(end + 2))


@st.composite
def step_cases(draw):
    end, m = draw(st.integers(1, 1000)), draw(st.integers(0, 10**4))
    more = st.integers(0, 10**6) | st.integers(0, 10).map(lambda n: n * end**3)
    return draw(st.integers(0, 2 * end)), end, m + draw(more), m


def on_the_curve(t, end, N, m):
    return m + (N - m) * (1 - min(Fraction(t, end), 1)) ** 3


def step_level(t, end, N, m):
    if t > end:
        return 2
    exact = on_the_curve(t, end, N, m)
    if exact.denominator == 1:
        return 0 if m + int((N - m) * (1 - t / end) ** 3) == exact else 3
    return 1


def a_whole_number(g, t, end, N, m):
    """there is one whole number"""
    return type(g) is int


def begins_and_ends(g, t, end, N, m):
    """at step 0 all N are left, and from step `end` on m"""
    return (t > 0 or g == N) and (t < end or g == m)


def not_above(g, t, end, N, m):
    """no more are left than the formula says"""
    return g <= on_the_curve(t, end, N, m)


def one_more_is_above(g, t, end, N, m):
    """one more would be more than the formula says"""
    return g + 1 > on_the_curve(t, end, N, m)


def step_picture(g, t, end, N, m):
    exact = on_the_curve(t, end, N, m)
    decimal = "" if exact.denominator == 1 else f", {float(exact):,.10g}"
    return (f"N = {N:,} at first, m = {m:,} from step {end} on; at step {t}\n\n"
            f"by the formula  {exact}{decimal}\nyours           {'?' if g is None else g}")


def in_floats(t, end, N, m):
    """The formula is computed in floats, and falls short of a whole number by a hair. Print (1 -
    2/5)**3 * 125 - 27. What is Fraction(2, 5)?"""
    return m + int((N - m) * (1 - min(t / end, 1)) ** 3)


def goes_on(t, end, N, m):
    """After the last pruning it goes on falling. What becomes of 1 - t / end when t is larger than
    end?"""
    return int(m + (N - m) * (1 - Fraction(t, end)) ** 3)


def rounded(t, end, N, m):
    """The result is rounded to the nearest whole number. Which way does the docstring round?"""
    return round(on_the_curve(t, end, N, m))


def down_to_nothing(t, end, N, m):
    """All of N falls, to 0. What is left of it in the end?"""
    return math.floor(on_the_curve(t, end, N, 0))


def straight(t, end, N, m):
    """As many go at the end as at first. What does the third power do?"""
    return m + math.floor((N - m) * (1 - min(Fraction(t, end), 1)))


def slow_at_first(t, end, N, m):
    """It falls slowly at first: the third power is of t / end. Of what is it in the formula?"""
    return N - math.ceil((N - m) * min(Fraction(t, end), 1) ** 3)


def as_targets(f):
    def targets(method, t):
        return [f(t, method.t_end, W.size, m)
                for W, m in zip(method.tensors, method.final, strict=True)]
    return targets


left = Exercise(
    name="left", stars=2, minutes=10,
    small=small_steps, cases=step_cases(),
    levels=("the formula gives a whole number", "it gives no whole number", "after the last step",
            "floating point misses a whole number"),
    level=step_level,
    properties=(a_whole_number, begins_and_ends, not_above, one_more_is_above),
    picture=step_picture,
    mistakes=(in_floats, goes_on, rounded, down_to_nothing, straight, slow_at_first),
    hints=(
        "At step 0, at the last step, and after it: what should come out? And half way, what is "
        "left of N - m?",
        "The share of the way that is left, 1 - t / end, is never below 0. Its third power times "
        "N - m comes on top of m.",
        "Rounding down is merciless to floats: 728.9999999999999 becomes 728. "
        "fractions.Fraction(t, end) computes exactly, and math.floor takes what comes out."),
    plug=Plug(("minidsr.methods.gradual.Gradual.targets",), as_targets, GRADUAL))

EXERCISES = [keep_largest, left, erk, nearest_width]
