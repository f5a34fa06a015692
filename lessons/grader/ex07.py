"""Algorithm 1.

What is drawn, what must hold, how a case looks, and the typical mistakes.
"""

from fractions import Fraction
from itertools import product

import numpy as np
from hypothesis import strategies as st

from minidsr.checks import LARGEST_H, SMALLEST_H
from minidsr.proof.cases import deltas, sparse_tensors, thresholds
from minidsr.run.report import table

from .ex07_apportion import apportion
from .ex07_grow import grow
from .ex07_reallocate import reallocate
from .exercise import Exercise, Plug

# --- prune: (index, value, H, keep_one) -> (index, value, k)


def small_tensors():
    """Up to 3 weights: below H, just below, H, and above."""
    for n in range(4):
        for value in product([0.25, -0.375, 0.5, -1.0], repeat=n):
            for keep_one in (True, False):
                yield np.arange(1, 2 * n + 1, 2), np.array(value, np.float32), 0.5, keep_one


@st.composite
def prune_cases(draw):
    W = draw(sparse_tensors(20))
    H = thresholds() | st.sampled_from(np.abs(W.value).tolist() or [1.0])
    return W.index, W.value, float(np.float32(draw(H))), draw(st.booleans())


def prune_level(index, value, H, keep_one):
    below = np.abs(value) < H
    return 2 if below.all() else int((np.abs(value) == H).any())


def arrays_and_count(g, index, value, H, keep_one):
    """there are positions, as many weights, and a whole number"""
    stay, weights, k = g
    return len(stay) == len(weights) and all(type(i) is int for i in stay) and type(k) is int


def what_stays_is_as_before(g, index, value, H, keep_one):
    """what stays has its position and its weight, and the order is the same"""
    before = iter(zip(index.tolist(), value.tolist(), strict=True))
    return all(pair in before for pair in zip(g[0], g[1], strict=True))


def large_stay(g, index, value, H, keep_one):
    """no weight goes that is not below H"""
    return set(index[np.abs(value) >= H].tolist()) <= set(g[0])


def small_go(g, index, value, H, keep_one):
    """every weight below H goes, unless it is the one to keep"""
    below = index[np.abs(value) < H].tolist()
    kept = set(below) & set(g[0])
    if keep_one and below and len(below) == len(index):
        return kept == {int(index[np.argmax(np.abs(value))])} or (
            "all are below H; of these the largest stays, of equals the first")
    return not kept


def k_went(g, index, value, H, keep_one):
    """k is how many went"""
    return g[2] == len(index) - len(g[0])


def prune_picture(g, index, value, H, keep_one):
    stay = g[0] if isinstance(g, list) and len(g) == 3 else None
    rows = [[str(i), f"{v:g}", "yes" if abs(v) < H else "no",
             "?" if stay is None else "stays" if i in stay else "goes"]
            for i, v in zip(index.tolist(), value.tolist(), strict=True)]
    drawn = table(rows, ["position", "weight", "|w| < H", "yours"], left=(3,))
    said = "" if stay is None else f"\n\nyour k = {g[2]}"
    return f"H = {H:g}, keep_one={keep_one}\n\n{drawn if rows else 'the tensor is empty'}{said}"


def without_abs(index, value, H, keep_one):
    """What is -3 compared with H = 1, and what is its magnitude?"""
    return _pruned(index, value, value < H, keep_one)


def not_strict(index, value, H, keep_one):
    """A weight that equals H goes. The paper's < is strict: which ones stay?"""
    return _pruned(index, value, np.abs(value) <= H, keep_one)


def keeps_the_first(index, value, H, keep_one):
    """Of a tensor wholly below H the first weight stays, as in the paper's code. Which of them does
    most for what the layer computes?"""
    dead = np.abs(value) < H
    if keep_one and dead.all():
        dead[:1] = False
    return _pruned(index, value, dead, False)


def keeps_none(index, value, H, keep_one):
    """A tensor wholly below H loses all its weights, and no tensor without weights ever grows any.
    What does keep_one ask for?"""
    return _pruned(index, value, np.abs(value) < H, False)


def keeps_one_always(index, value, H, keep_one):
    """One weight stays of a tensor wholly below H, also when keep_one is False."""
    return _pruned(index, value, np.abs(value) < H, True)


def counts_what_stays(index, value, H, keep_one):
    """k is how many weights stay. It should be how many went."""
    index, value, k = _pruned(index, value, np.abs(value) < H, keep_one)
    return index, value, len(index)


def _pruned(index, value, dead, keep_one):
    if keep_one and len(dead) and dead.all():
        dead[np.argmax(np.abs(value))] = False
    return index[~dead], value[~dead], int(dead.sum())


def as_prune_by_threshold(f):
    def prune_by_threshold(W, H, *, keep_one=True):
        index, _, k = f(W.index.copy(), W.value.copy(), H, keep_one)
        W.prune(~np.isin(W.index, index))
        return int(k)
    return prune_by_threshold


prune = Exercise(
    name="prune", stars=1, minutes=10,
    small=small_tensors, cases=prune_cases(),
    levels=("some weights stay, and none equals H", "a weight equals H", "none reaches H"),
    level=prune_level,
    properties=(arrays_and_count, what_stays_is_as_before, large_stay, small_go, k_went),
    picture=prune_picture,
    mistakes=(without_abs, not_strict, keeps_the_first, keeps_none, keeps_one_always,
              counts_what_stays),
    hints=(
        "Which of 0.5, -2, 1, -0.1 are smaller than 1 in magnitude? NumPy answers that for a whole "
        "array at once.",
        "Make an array of True and False, `dead`. index[~dead] is what stays of index.",
        "If all are dead and keep_one is True, set one of them to False: np.argmax finds the first "
        "of the largest. Mind the tensor without weights: of nothing there is no largest."),
    plug=Plug(("minidsr.reparam.prune_by_threshold",), as_prune_by_threshold))


# --- next_threshold: (H, K, N_p, delta) -> H


def small_counts():
    for delta, N_p, K in product((0, 0.1, 0.3, 0.7), range(1, 13), range(26)):
        yield 1.0, K, N_p, delta
    for H, K in product((SMALLEST_H, 2 * SMALLEST_H, LARGEST_H / 2, LARGEST_H), (5, 10, 20)):
        yield H, K, 10, 0.1


@st.composite
def threshold_cases(draw):
    """K anywhere, or beside an edge of the band."""
    N_p, delta = draw(st.integers(1, 10**6)), draw(deltas())
    edge = round((1 + draw(st.sampled_from([-1, 1])) * delta) * N_p)
    K = st.integers(max(edge - 1, 0), edge + 1) | st.integers(0, 2 * N_p)
    return draw(thresholds()), draw(K), N_p, delta


def band(N_p, delta):
    return (1 - Fraction(str(delta))) * N_p, (1 + Fraction(str(delta))) * N_p


def factor(K, N_p, delta):
    """What H is to be multiplied with."""
    low, high = band(N_p, delta)
    return 2 if K < low else 0.5 if K > high else 1


def threshold_level(H, K, N_p, delta):
    if not SMALLEST_H <= factor(K, N_p, delta) * H <= LARGEST_H:
        return 2
    return int(K in band(N_p, delta))


def is_a_number(g, H, K, N_p, delta):
    """there is one number"""
    return type(g) in (int, float)


def doubles(g, H, K, N_p, delta):
    """H doubles where K < (1 - delta) N_p, and nowhere else"""
    return (g == 2 * H) == (factor(K, N_p, delta) == 2 and 2 * H <= LARGEST_H)


def halves(g, H, K, N_p, delta):
    """H is halved where K > (1 + delta) N_p, and nowhere else"""
    return (g == H / 2) == (factor(K, N_p, delta) == 0.5 and H / 2 >= SMALLEST_H)


def stays(g, H, K, N_p, delta):
    """H is kept where it is neither doubled nor halved"""
    return g in (2 * H, H / 2, H)


def threshold_picture(g, H, K, N_p, delta):
    low, high = band(N_p, delta)
    where = "below" if K < low else "above" if K > high else "within"
    yours = "" if g is None else f", yours for the next time: {g}"
    return (f"N_p = {N_p:,}, delta = {delta:g}: H stays from {float(low):.10g} to "
            f"{float(high):.10g}\nK = {K:,} is {where}\nH = {H:g}{yours}")


def floats(H, K, N_p, delta):
    """The edges are computed in floats. K = 3, N_p = 10, delta = 0.7: print (1 - 0.7) * 10, and
    compare it with 3. What does Fraction(str(0.7)) print?"""
    return _next(H, K, (1 - delta) * N_p, (1 + delta) * N_p)


def too_eager(H, K, N_p, delta):
    """H changes also where K lies on an edge. Are the paper's < and > strict?"""
    low, high = band(N_p, delta)
    return _next(H, K, low + Fraction(1, 10**30), high - Fraction(1, 10**30))


def swapped(H, K, N_p, delta):
    """H is halved where it should double. Too few were pruned: should the threshold be higher, or
    lower?"""
    low, high = band(N_p, delta)
    return _next(H, -K, -high, -low)


def without_end(H, K, N_p, delta):
    """H leaves the range where float32 is exact; in the end it is infinite, or 0. What does the
    docstring say of 2 ** 127 and 2 ** -126?"""
    return H * factor(K, N_p, delta)


def cut_off(H, K, N_p, delta):
    """Where it would leave the range, H becomes the end of the range. It should stay as it is."""
    return min(max(H * factor(K, N_p, delta), SMALLEST_H), LARGEST_H)


def _next(H, K, low, high):
    new = 2 * H if K < low else H / 2 if K > high else H
    return new if SMALLEST_H <= new <= LARGEST_H else H


next_threshold = Exercise(
    name="next_threshold", stars=1, minutes=10,
    small=small_counts, cases=threshold_cases(),
    levels=("K lies off the edges", "K lies on an edge", "H is at the end of its range"),
    level=threshold_level,
    properties=(is_a_number, doubles, halves, stays),
    picture=threshold_picture,
    mistakes=(floats, too_eager, swapped, without_end),
    hints=(
        "H = 1 pruned 6 weights, and 10 was the aim. Will a larger H prune more, or fewer?",
        "Three cases: K below the band, above it, within it. Only the first two change H, and only "
        "if the result lies in the range of the docstring.",
        "0.7 is no seven tenths in floating point. fractions.Fraction(str(delta)) is, and (1 - "
        "that) * N_p is exact."),
    plug=Plug(("minidsr.reparam.adjust_pruning_threshold",)))

EXERCISES = [prune, next_threshold, apportion, grow, reallocate]
