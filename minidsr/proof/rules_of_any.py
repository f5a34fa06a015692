"""What must hold whenever weights move, by whatever method: one small function each.

Letters and rules for writing them: invariants.py.
"""

import math

import numpy as np

from ..checks import counted
from .reallocation import NotCheckable

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
            yield f"{after.name}: {counted(m, 'free number')} in {counted(after.size, 'position')}"


def masked_are_zero(r):
    """Where no weight is free, the value is 0: masks are applied, also between reallocations.

    θ_i = 0 for each i outside A, and outside A'
    """
    stored = [(when, t) for when, t in r.moments() if t.masked is not None and len(t.masked)]
    if not stored:
        raise NotCheckable("values where no weight is free are not stored, or not recorded")
    for when, t in stored:
        wrong = np.flatnonzero(~(np.abs(t.masked) <= r.tolerance))
        if len(wrong):
            i = wrong[np.argmax(np.abs(t.masked[wrong]))]
            at = np.setdiff1d(np.arange(t.size), t.index)[i]
            yield (f"{t.name}: {len(wrong):,} of {len(t.masked):,} masked values are not 0 {when}, "
                   f"the largest is {t.masked[i]:g} at position {at}")


def budget(r):
    """The number of free numbers is conserved, exactly.

    Σ m' = Σ m
    """
    m = sum(len(before.index) for before, _ in r.sparse)
    m_after = sum(len(after.index) for _, after in r.sparse)
    if m != m_after:
        yield f"{counted(m, 'free number')} before, {m_after:,} after"


def balance(r):
    """What is said to be pruned and grown is what is seen.

    m' = m - k + g,  Σ k = K
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
    if K != sum(pruned):
        yield f"{sum(pruned)} said to be pruned in all, K is {K}"


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
                yield from _another(a.name, key, x, y, r.tolerance)


# --- of two reallocations in a row, `a` and then `b`


def nothing_moves_between(a, b):
    """Between two reallocations no position comes or goes.

    A of the next = A' of the last
    """
    for (_, last), (following, _) in zip(a.sparse, b.sparse, strict=True):
        if not np.array_equal(last.index, following.index):
            odd = np.setxor1d(last.index, following.index)
            yield f"{last.name}: differs at {counted(len(odd), 'position')}, such as {odd[0]}"


def _unequal(r, key):
    """Messages for the survivors whose value, or velocity, changes."""
    for c in r.changes:
        wrong = c.survives & ~c.keeps(key)
        if wrong.any():
            i = int(np.argmax(wrong))
            old, new = getattr(c.before, key), c.afterwards(key)
            one, other = _apart(old[i], new[i])
            again = (", or it was pruned, and grown again with a velocity"
                     if key == "value" and new[i] == 0 and r.report.H is None else "")
            yield (f"{c.name}: {key} {one} at position {c.before.index[i]} becomes {other}{again}"
                   + _severity(wrong, c.survives.sum(), new.astype(float) - old, "change"))
    r.need_certainty()


def _not_zero(r, key):
    """Messages for the grown weights whose value, or velocity, is not 0."""
    for c in r.changes:
        index, numbers = c.grown(key)
        wrong = ~(np.abs(numbers) <= r.tolerance)
        if wrong.any():
            i = int(np.argmax(wrong))
            yield (f"{c.name}: position {index[i]} is grown with {key} {numbers[i]:g}"
                   + _severity(wrong, len(wrong), numbers, "are not 0"))
    r.need_certainty()


def _another(name, key, x, y, tolerance):
    """A message where a dense array is not what it was."""
    if x.shape != y.shape:
        yield f"{name}: another {key} after: {len(x):,} entries become {len(y):,}"
        return
    with np.errstate(invalid="ignore", over="ignore"):
        wrong = ~((x == y) & (np.signbit(x) == np.signbit(y)) | np.isnan(x) & np.isnan(y))
        wrong &= ~(np.abs(x.astype(float) - y) <= tolerance) if tolerance else True
        if wrong.any():
            i = int(np.argmax(wrong))
            one, other = _apart(x[i], y[i])
            yield (f"{name}: another {key} after: {one} at position {i} becomes {other}"
                   + _severity(wrong, len(x), y.astype(float) - x, "change"))


def _apart(a, b):
    """Two numbers in words that differ, as they do."""
    words = [(f"{a:.{digits}g}", f"{b:.{digits}g}") for digits in (6, 9, 17)]
    return next((pair for pair in words if pair[0] != pair[1]), words[-1])


def _severity(wrong, count, size, what):
    """How many of so many are wrong, and how large it is, where it is more than the one shown."""
    if wrong.sum() == 1:
        return ""
    return f"; {wrong.sum():,} of {count:,} {what}, by up to {np.abs(size[wrong]).max():.3g}"


def _need_velocity(r):
    if any(t.velocity is None for pair in r.sparse for t in pair):
        raise NotCheckable("velocity is not known")
