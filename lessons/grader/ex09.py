"""Relatives.

What SET drops, where RigL grows, how sparse momentum shares, what trainable masks learn by; and a
method of one's own.
"""

import math
from fractions import Fraction
from itertools import product

import numpy as np
from hypothesis import strategies as st

from lessons.solutions import ex09 as solved
from minidsr.proof.cases import VALUES, seeds
from minidsr.run.report import table

from .ex09_grow import rigl_grow
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

EXERCISES = [set_drop, rigl_grow, momentum_shares, threshold_pull, Mine]
