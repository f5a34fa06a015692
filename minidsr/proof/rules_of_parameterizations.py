"""What must hold where nothing is reallocated: of trained thresholds, and of shared numbers.

Letters and rules for writing them: invariants.py.
"""

import numpy as np

from ..checks import counted
from .reallocation import NotCheckable


def masks_by_threshold(r):
    """The mask is where a weight is larger than the threshold of its row.

    θ_i is in use  ⇔  |W_i| > t
    """
    for when, t in r.moments():
        if t.index is None:
            continue
        if t.masked is None:
            raise NotCheckable("the values where the mask is 0 are not recorded")
        threshold = t.known("threshold")
        used, W = np.zeros(t.size, bool), np.zeros(t.size, t.value.dtype)
        used[t.index] = True
        W[used], W[~used] = t.value, t.masked
        wrong = (np.abs(W) > np.repeat(threshold, t.size // len(threshold))) != used
        if wrong.any():
            i = int(np.argmax(wrong))
            yield (f"{t.name}: {W[i]:g} at position {i} is {'' if used[i] else 'not '}in use "
                   f"{when}, its threshold is {threshold[i * len(threshold) // t.size]:g}; "
                   f"{wrong.sum():,} of {t.size:,} are wrong")


def ties_hold(r):
    """Positions that share a number have the same value, but for their sign.

    h(i) = h(j)  ⇒  ξ(i) θ_i = ξ(j) θ_j
    """
    for when, t in r.moments():
        if "bucket" not in t.recorded:
            continue
        value = t.value * t.recorded["sign"] if "sign" in t.recorded else np.abs(t.value)
        _, first, number = np.unique(t.recorded["bucket"], return_index=True, return_inverse=True)
        wrong = value != value[first][number]
        if wrong.any():
            i = int(np.argmax(wrong))
            j = int(first[number[i]])
            yield (f"{t.name}: {t.value[j]!s} at position {j} and {t.value[i]!s} at position {i} "
                   f"share a number {when}; {wrong.sum():,} of {t.size:,} differ so")
    _need_buckets(r)


def ties_are_balanced(r):
    """All numbers are used at as many positions, to within one.

    | {i: h(i) = j} | is N / m, rounded down or up
    """
    for when, t in r.moments():
        if "bucket" in t.recorded:
            uses = np.unique(t.recorded["bucket"], return_counts=True)[1]
            if uses.max() - uses.min() > 1:
                most = counted(uses.max(), "position")
                yield f"{t.name}: a number is used at {most}, another at {uses.min():,} {when}"
    _need_buckets(r)


def ties_stay(a, b):  # of two in a row
    """Positions share the same numbers, with the same signs, for good.

    h and ξ of the next = h and ξ of the last
    """
    _need_buckets(a)
    for last, following in zip(a.after, b.before, strict=True):
        for key in ("bucket", "sign"):
            one, other = (t.recorded.get(key) for t in (last, following))
            if one is not None and other is not None and not np.array_equal(one, other):
                where = counted((one != other).sum(), "position")
                yield f"{last.name}: has another {key} at {where}"


def _need_buckets(r):
    if not any("bucket" in t.recorded for t in r.before):
        raise NotCheckable("bucket is not recorded")
