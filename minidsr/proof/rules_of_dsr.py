"""What must hold of Algorithm 1, beside rules_of_any.py: one small function each.

Letters and rules for writing them: invariants.py.
"""

import math
from collections import Counter
from fractions import Fraction
from itertools import combinations

import numpy as np

from ..checks import counted
from ..reparam import LARGEST_H, SMALLEST_H
from .reallocation import NotCheckable
from .sharing import fair_shares

# --- of one reallocation


def pruned_below_threshold(r):
    """The weights below the threshold are pruned, and no others.

    w is pruned  ⇔  |w| < H, strictly, but for the one of largest_kept, and those protected
    """
    H, = r.said("H")
    for c in r.changes:
        for wrong, what in ((c.spared, "stays, below"),
                            (c.pruned & c.protected, "is protected, and pruned by"),
                            (c.pruned & ~c.protected & ~c.below, "is pruned, not below")):
            if wrong.any():
                i = int(np.argmax(wrong))
                yield f"{c.name}: {c.weight(i)} {what} H = {H:g}"


def largest_kept(r):
    """Of a tensor wholly below the threshold, at most the largest stays.

    max |w| < H  ⇒  the one that stays is argmax |w|; with keep_one, one stays
    (the paper has no rule)
    """
    r.said("H")
    cases = [c for c in r.changes if c.m and c.below.all()]
    if not cases:
        raise NotCheckable("no tensor was wholly below H")
    for c in cases:
        largest = c.weight(int(np.argmax(c.magnitude)))
        if c.keeper is None:
            if r.report.keep_one:
                yield f"{c.name}: none is kept, and the largest is {largest}"
        elif c.magnitude[c.keeper] < c.magnitude.max():
            yield f"{c.name}: {c.weight(c.keeper)} is kept, and the largest is {largest}"


def grown_elsewhere(r):
    """Nothing grows where it was just pruned, while others are free.

    A position of A that is pruned and in A'  ⇒  every position outside A is in A'
    (Algorithm 1 draws from the positions that were free before pruning)
    """
    again = [(c, c.before.index[c.regrown]) for c in r.changes if c.regrown.any()]
    free = sum(c.room - int(c.new.sum()) for c in r.changes)
    for c, index in again if free else ():
        yield (f"{c.name}: position {index[0]} was pruned and grown again, "
               f"{counted(free, 'other')} stayed free")
    if not again:
        r.need_certainty()


def shares(r):
    """Each tensor grows its share, by survivors, to within one.

    | g - K l / L | < 1  where K l / L <= C in all tensors
    """
    k, l, g = r.counts()
    if _overflows(r.changes, k, l):
        raise NotCheckable("a share found no room, see overflow")
    K, L = sum(k), sum(l)
    for c, l_, g_ in zip(r.changes, l, g, strict=True):
        if L and not abs(g_ - Fraction(K * l_, L)) < 1:
            yield f"{c.name}: grew {g_}, its share of {K} is {K} * {l_} / {L} = {K * l_ / L:.2f}"


def overflow(r):
    """A share without room fills the tensor; the others take the rest.

    g within 1 of fair_shares(min(K, ΣC), l, C) + fair_shares(max(K - ΣC, 0), l, k)
    (the paper has no rule)
    """
    k, l, g = r.counts()
    if not _overflows(r.changes, k, l):
        raise NotCheckable("every share found room, see shares")
    why = "what finds no room goes to the others" if sum(l) else "none survives, so room decides"
    for c, g_, fair in zip(r.changes, g, expected_growth(r), strict=True):
        if not abs(g_ - fair) < 1:
            yield f"{c.name}: grew {g_}, its share of {sum(k)} is {float(fair):.2f}; {why}"


def threshold_rule(r):
    """The threshold doubles after too few pruned, halves after too many.

    H' = 2H if K < (1-δ) N_p,  H/2 if K > (1+δ) N_p,  else H; as far as float32 reaches
    """
    H, next_H, N_p, delta = r.said("H", "next_H", "N_p", "delta")
    H, next_H = float(H), float(next_H)  # NumPy's would warn where they overflow
    K = sum(r.counts()[0])
    low, high = ((1 + sign * Fraction(str(delta))) * Fraction(N_p) for sign in (-1, 1))
    factor = 2 if K < low else 0.5 if K > high else 1
    at_the_end = not SMALLEST_H <= factor * H <= LARGEST_H
    if next_H != factor * H and not (at_the_end and next_H == H):
        yield (f"H goes from {H:g} to {next_H:g}; K = {K} and {float(low):g} to {float(high):g} "
               f"ask for {factor * H:g}")


# --- of two reallocations in a row, `a` and then `b`


def threshold_between(a, b):
    """Between two reallocations the threshold stays.

    H of the next = H' of the last
    """
    (H,), (next_H,) = b.said("H"), a.said("next_H")
    if H != next_H:
        yield f"H was set to {next_H:g}, then {H:g} was used"


# --- of two runs from the same tensors


def same_seed_same_result(a, b):
    """With the same seed, the result is the same, bit for bit.

    (A', w', v', H') of the one = (A', w', v', H') of the other
    """
    if a.report != b.report:
        yield f"{a.report} and {b.report}"
    for x, y in zip(a.after, b.after, strict=True):
        for key in ("index", "value", "velocity"):
            one, other = getattr(x, key), getattr(y, key)
            if (one is None) != (other is None) or one is not None and (
                    one.shape != other.shape or one.tobytes() != other.tobytes()):
                yield f"{x.name}: another {key} from the same seed"


def order_does_not_matter(a, b):
    """Tensors in another order prune the same, and grow as many.

    A ∩ A' and g are permuted like the tensors, H' is the same; of equal remainders any may win
    """
    if a.report.next_H != b.report.next_H:
        yield f"next H is {a.report.next_H} and {b.report.next_H}"
    other = {c.name: (c, g) for c, g in zip(b.changes, b.counts()[2], strict=True)}
    up = Counter()  # by remainder: how many more are grown in the first order than in the other
    for c, g, fair in zip(a.changes, a.counts()[2], expected_growth(a), strict=True):
        d, h = other[c.name]
        gone, gone_too = c.before.index[c.pruned], d.before.index[d.pruned]
        if not np.array_equal(gone, gone_too):
            yield f"{c.name}: prunes {len(gone)} or {len(gone_too)}, by the order of tensors"
        up[fair % 1] += g - h
        if abs(g - h) > (1 if fair % 1 else 0):  # a fraction may be rounded either way
            yield f"{c.name}: grows {g} or {h}, by the order of tensors"
    for remainder, more in up.items():
        if more and remainder:
            yield f"shares with remainder {remainder} grow {more:+d}, by the order of tensors"


# --- of many runs, which differ in their seeds


def grown_uniformly(*runs):
    """With other seeds, weights grow anywhere: any choice of empty positions is as likely.

    P(A' \\ A) is the same for each, by a χ² test that accuses one right program in a million. Where
    a run grows what was just pruned, positions that are pruned count as empty
    """
    chosen = Counter(_grown_positions(r) for r in runs)
    (c, *_), g = runs[0].changes, len(next(iter(chosen)))
    again = any(r.changes[0].regrown.any() for r in runs)
    gone = c.pruned if again else np.zeros(c.m, bool)
    choices = math.comb(c.room + int(gone.sum()), g)
    due = len(runs) / choices
    if any(len(positions) != g for positions in chosen) or due < 5:
        raise NotCheckable("other rules are violated where this one is tried")
    square = sum((n - due) ** 2 for n in chosen.values()) / due + (choices - len(chosen)) * due
    if _chi_square_tail(square, choices - 1) < 1e-6:
        places = np.setdiff1d(np.arange(c.before.size), c.before.index[~gone]).tolist()
        odd = max(combinations(places, g), key=lambda choice: abs(chosen[choice] - due))
        what = (f"positions {', '.join(map(str, odd))} grow together" if g > 1 else
                f"position {odd[0]} grows")
        yield (f"{c.name}: {what} in {chosen[odd]:,} of {len(runs):,} runs with other seeds; "
               f"{due:.0f} are due")


def _grown_positions(r):
    """Where the first tensor grows, sorted."""
    return tuple(sorted(r.changes[0].grown("value")[0].tolist()))


def _chi_square_tail(x, freedom):
    """P(χ² >= x) with so many degrees of freedom: a finite sum, so no SciPy is needed."""
    y, half = x / 2, 1 if freedom % 2 == 0 else 0.5
    tail = math.exp(-y) if half == 1 else math.erfc(math.sqrt(y))
    while y and half < freedom / 2:
        tail += math.exp(half * math.log(y) - y - math.lgamma(half + 1))
        half += 1
    return tail


def expected_growth(r):
    """What each tensor should grow, not rounded: in free positions, then in just-pruned ones."""
    k, l, _ = r.counts()
    room = [c.room for c in r.changes]
    K, C = sum(k), sum(room)
    first, again = fair_shares(min(K, C), l, room), fair_shares(max(K - C, 0), l, k)
    return [a + b for a, b in zip(first, again, strict=True)]


def _overflows(changes, k, l):
    """Does some tensor lack room for its share? Then, or with no survivors, the paper is silent."""
    K, L = sum(k), sum(l)
    return (K > 0 and L == 0) or any(
        K * l_ > L * c.room for c, l_ in zip(changes, l, strict=True))
