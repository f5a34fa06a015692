"""What must hold whenever weights move: each invariant of Algorithm 1, one small function.

    A, A'  positions of a tensor's free numbers before and after   N    positions in all
    w, v   value and velocity of a free number (w', v' after)      m    free numbers, |A|
    k, l   how many of m are pruned, and survive                   g    how many are grown
    K, L   the sums of k and of l over all tensors                 C    free room, N - m
    H, H'  the threshold that was used, and the next               N_p, δ  as in reparam.py

An invariant takes a Reallocation, and yields a message for each tensor that breaks it. Its
docstring says what must hold, in words and in symbols. One that needs what is not known, or what
did not occur, raises NotCheckable. Nothing here calls what it judges: rules are derived a second
time.

check() is for code at hand; training calls violations(); trace.load() reads what others recorded.
"""

import math
from collections import Counter
from contextlib import suppress
from dataclasses import dataclass
from fractions import Fraction

import numpy as np

from ..reparam import LARGEST_H, SMALLEST_H, Report
from .reallocation import NotCheckable, Reallocation, snapshot


class InvariantError(RuntimeError):
    """A reallocation broke an invariant: the program is wrong."""


@dataclass(frozen=True)
class Violation:
    """An invariant by its name, and the numbers that break it."""

    invariant: str
    message: str

    def __str__(self):
        return f"{self.invariant}: {self.message}"


def check(before: list | dict, after: list | dict,
          report: Report | None = None) -> list[Violation]:
    """The violations of one reallocation, an empty list where all invariants hold.

    before, after  all tensors, Sparse and Dense, as a list or by name; `before` is a snapshot() or
                   a deep copy, as reallocation changes tensors in place
    report         reparam.Report; what it leaves out is not checked

    Raises ValueError where the tensors before and after are not the same ones, or the report is of
    another number of tensors.
    """
    return violations(Reallocation(snapshot(before), snapshot(after), report or Report()))


def violations(r, last=None, invariants=None):
    """All violations of a Reallocation, and of it and the `last` one before it.

    invariants: those of OF_ONE_REALLOCATION that apply (default: all of them, Algorithm 1's).
    """
    found = []
    for invariant in OF_ONE_REALLOCATION if invariants is None else invariants:
        with suppress(NotCheckable):
            found += judge(invariant, r)
    for invariant in OF_TWO_IN_A_ROW if last else ():
        with suppress(NotCheckable):
            found += judge(invariant, last, r)
    return found


def judge(invariant, *runs):
    """The violations of one invariant. Raises NotCheckable, which says why."""
    return [Violation(invariant.__name__, message) for message in invariant(*runs)]


# --- of one reallocation


def finite(r):
    """Every value and velocity is finite, and so is the threshold.

    |w| < ∞,  |v| < ∞,  0 < H < ∞
    """
    for when, t in r.moments():
        for key in ("value", "velocity"):
            array = getattr(t, key)
            if array is not None and not np.isfinite(array).all():
                i = int(np.argmin(np.isfinite(array)))
                yield f"{t.name}: {key} {array[i]} {when}, at place {i}"
    for name in ("H", "next_H"):
        H = getattr(r.report, name)
        if H is not None and not 0 < H < math.inf:
            yield f"{name} is {H}, not positive and finite"


def positions(r):
    """Positions are sorted, unique and in range, with one value each.

    0 <= A_1 < A_2 < ... < A_m < N
    """
    for when, t in r.moments():
        if t.wrong_positions():
            yield f"{t.name}: {t.wrong_positions()} {when}"


def capacity(r):
    """No tensor holds more free numbers than it has positions.

    m' <= N  (follows from `positions`, if these are known to be right)
    """
    claimed = r.report.active or [len(after.index) for _, after in r.sparse]
    for (_, after), m in zip(r.sparse, claimed, strict=True):
        m = max(m, len(after.index))
        if m > after.size:
            yield f"{after.name}: {m} free numbers in {after.size} positions"


def budget(r):
    """The number of free numbers is conserved, exactly.

    Σ m' = Σ m
    """
    m = sum(len(before.index) for before, _ in r.sparse)
    m_after = sum(len(after.index) for _, after in r.sparse)
    if m != m_after:
        yield f"{m:,} free numbers before, {m_after:,} after"


def balance(r):
    """What is said to be pruned and grown is what is seen, and as many.

    m' = m - k + g,  Σ k = Σ g = K
    """
    pruned, grown = r.said("pruned", "grown")
    active = r.report.active or [c.m_after for c in r.changes]
    for c, k, g, m in zip(r.changes, pruned, grown, active, strict=True):
        least, most = c.k_range
        if not m == c.m_after == c.m - k + g:
            yield f"{c.name}: {c.m} - {k} + {g} free numbers, said to be {m}, are {c.m_after}"
        elif not least <= k <= most:
            seen = least if least == most else f"{least} to {most}"
            yield f"{c.name}: {k} said to be pruned, {seen} are"
    K = sum(pruned) if r.report.K is None else r.report.K
    if not K == sum(pruned) == sum(grown):
        yield f"{sum(pruned)} pruned and {sum(grown)} grown in all, K is {K}"


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
                yield f"{c.name}: {_weight(c, i)} {what} H = {H:g}"


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
        largest = _weight(c, int(np.argmax(c.magnitude)))
        if c.keeper is None:
            if r.report.keep_one:
                yield f"{c.name}: none is kept, and the largest is {largest}"
        elif c.magnitude[c.keeper] < c.magnitude.max():
            yield f"{c.name}: {_weight(c, c.keeper)} is kept, and the largest is {largest}"


def survivors_keep_value(r):
    """A weight that survives keeps its value, bit for bit.

    w' = w
    """
    yield from _unequal(r, "value")


def survivors_keep_velocity(r):
    """A weight that survives keeps its velocity, bit for bit.

    v' = v
    """
    _need_velocity(r)
    yield from _unequal(r, "velocity")


def grown_at_zero(r):
    """A grown weight starts at value 0: the network computes the same.

    w' = 0
    """
    yield from _not_zero(r, "value")


def grown_at_rest(r):
    """A grown weight starts with velocity 0: no momentum is left over.

    v' = 0
    """
    _need_velocity(r)
    yield from _not_zero(r, "velocity")


def grown_elsewhere(r):
    """Nothing grows where it was just pruned, while others are free.

    A position of A that is pruned and in A'  ⇒  every position outside A is in A'
    (Algorithm 1 draws from the positions that were free before pruning)
    """
    again = [(c, c.before.index[c.regrown]) for c in r.changes if c.regrown.any()]
    free = sum(c.room - int(c.new.sum()) for c in r.changes)
    for c, index in again if free else ():
        yield f"{c.name}: position {index[0]} was pruned and grown again, {free:,} others stay free"


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
    for c, g_, fair in zip(r.changes, g, expected_growth(r), strict=True):
        if not abs(g_ - fair) < 1:
            yield f"{c.name}: grew {g_}, its share of {sum(k)} by room is {float(fair):.2f}"


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


def dense_unchanged(r):
    """Tensors that are not sparse do not change.

    w' = w, v' = v
    """
    dense = [(a, b) for a, b in zip(r.before, r.after, strict=True) if a.index is None]
    if not dense:
        raise NotCheckable("there is no dense tensor")
    for a, b in dense:
        for key in ("value", "velocity"):
            x, y = getattr(a, key), getattr(b, key)
            if x is not None and y is not None and x.tobytes() != y.tobytes():
                yield f"{a.name}: another {key} after"


# --- of two reallocations in a row, `a` and then `b`


def nothing_moves_between(a, b):
    """Between two reallocations no position comes or goes.

    A of the next = A' of the last
    """
    for (_, last), (following, _) in zip(a.sparse, b.sparse, strict=True):
        if not np.array_equal(last.index, following.index):
            odd = np.setxor1d(last.index, following.index)
            yield f"{last.name}: {len(odd)} positions differ, such as {odd[:1]}"


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


OF_ONE_REALLOCATION = (
    finite, positions, capacity, budget, balance, pruned_below_threshold, largest_kept,
    survivors_keep_value, survivors_keep_velocity, grown_at_zero, grown_at_rest, grown_elsewhere,
    shares, overflow, threshold_rule, dense_unchanged)
OF_ANY_METHOD = tuple(i for i in OF_ONE_REALLOCATION if i not in (
    # what is left holds for any method that conserves a budget, and grows at zero
    pruned_below_threshold, largest_kept, grown_elsewhere, shares, overflow, threshold_rule))
OF_TWO_IN_A_ROW = (nothing_moves_between, threshold_between)
OF_TWO_RUNS = (same_seed_same_result, order_does_not_matter)


def fair_shares(K, weights, room):
    """Exact shares of K as Fractions: in proportion to weights, none above its room.

    Tensors are filled in the order in which a rising level, room per weight, fills them. What is
    left when all with a weight are full goes to the others, in proportion to room. K <= Σ room.
    """
    shares, rest, total = [Fraction(0)] * len(room), K, sum(weights)
    weighted = [i for i, w in enumerate(weights) if w]
    for i in sorted(weighted, key=lambda i: Fraction(room[i], weights[i])):
        if rest * weights[i] < room[i] * total:
            shares[i] = Fraction(rest * weights[i], total)
        else:
            shares[i] = Fraction(room[i])
            rest, total = rest - room[i], total - weights[i]
    others = [i for i, w in enumerate(weights) if not w]
    if rest and not total:
        for i in others:
            shares[i] = Fraction(rest * room[i], sum(room[j] for j in others) or 1)
    return shares


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


def _weight(c, i):
    return f"{c.before.value[i]:g} at position {c.before.index[i]}"


def _unequal(r, key):
    """Messages for the survivors whose value, or velocity, changes."""
    for c in r.changes:
        wrong = c.survives & ~c.keeps(key)
        if wrong.any():
            i = int(np.argmax(wrong))
            yield (f"{c.name}: {key} {getattr(c.before, key)[i]:g} at position "
                   f"{c.before.index[i]} becomes {c.afterwards(key)[i]:g}")


def _not_zero(r, key):
    """Messages for the grown weights whose value, or velocity, is not 0."""
    for c in r.changes:
        index, numbers = c.grown(key)
        if numbers.any():
            i = int(np.argmax(numbers != 0))
            yield f"{c.name}: position {index[i]} is grown with {key} {numbers[i]:g}"


def _need_velocity(r):
    if any(t.velocity is None for pair in r.sparse for t in pair):
        raise NotCheckable("velocity is not known")
