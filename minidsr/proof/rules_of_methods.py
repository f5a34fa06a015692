"""What must hold of methods other than Algorithm 1: one small function each.

Letters and rules for writing them: invariants.py, whose table says which hold for which method. How
each method works: the file of its name in minidsr/methods.
"""

from fractions import Fraction

import numpy as np

from ..checks import counted
from .reallocation import NotCheckable
from .sharing import fair_shares

# --- how many


def count_per_tensor(r):
    """Each tensor keeps its number of free numbers.

    m' = m
    """
    for before, after in r.sparse:
        m, m_after = len(before.index), len(after.index)
        if m != m_after:
            yield f"{before.name}: {counted(m, 'free number')} before, {m_after:,} after"


def structure_stays(r):
    """No position comes or goes.

    A' = A
    """
    for before, after in r.sparse:
        if not np.array_equal(before.index, after.index):
            odd = np.setxor1d(before.index, after.index)
            yield f"{before.name}: differs at {counted(len(odd), 'position')}, such as {odd[0]}"


def nothing_grows(r):
    """What is pruned stays pruned, and nothing is grown.

    A' ⊆ A
    """
    for c in r.changes:
        index, _ = c.grown("value")
        if len(index):
            yield f"{c.name}: grows at {counted(len(index), 'position')}, such as {index[0]}"
    r.need_certainty()


def shrinks_by_the_cubic(r):
    """Each tensor shrinks along a cubic, to within one.

    m' = m_end + (N - m_end) (1 - p)³ where m is more;  p the progress, from 0 to 1
    """
    yield from _shrinks(r, lambda N, end, p: end + (N - end) * (1 - p) ** 3)


def shrinks_exponentially(r):
    """Each tensor shrinks by the same factor in the same time, to within one.

    m' = N (m_end / N)^p where m is more;  p the progress, from 0 to 1
    """
    yield from _shrinks(r, lambda N, end, p: N * (max(end, 1) / N) ** p if N and p < 1 else end)


def same_share_pruned(r):
    """Each tensor prunes the same share of its weights, to within one.

    There is an f with |k - f m| <= 1 in all tensors: the fraction, where it is recorded. A full
    tensor may stay as it is
    """
    k = r.report.pruned or [None] * len(r.changes)
    yield from _same_share(r, [
        (c.name, (c.m, c.m), c.k_range if n is None else (n, n))
        for c, n in zip(r.changes, k, strict=True) if n or not _stays_full(c)])


def same_share_pruned_by_sign(r):
    """Each tensor prunes the same share of each sign, to within one.

    There is an f with |k₊ - f m₊| <= 1 and |k₋ - f m₋| <= 1 in all tensors; a 0 counts as either.
    A full tensor may stay as it is
    """
    groups = []
    for c in r.changes:
        if _stays_full(c):
            continue
        zero, maybe = c.before.value == 0, c.stays & ~c.kept & ~c.pruned
        for word, sign in (("positive", c.before.value > 0), ("negative", c.before.value < 0)):
            groups.append((f"{c.name}, {word}", (int(sign.sum()), int((sign | zero).sum())),
                           (int((c.pruned & sign).sum()),
                            int(((c.pruned | maybe) & (sign | zero)).sum()))))
    yield from _same_share(r, groups)


# --- which


def smallest_pruned(r):
    """Each tensor prunes its smallest weights.

    max |w| pruned <= min |w| kept
    """
    yield from _smallest(r, lambda c: c.magnitude >= 0)


def smallest_pruned_by_sign(r):
    """Each tensor prunes the smallest of its positive weights, and of its negative ones.

    max |w| pruned <= min |w| kept, among w > 0 and among w < 0
    """
    yield from _smallest(r, lambda c: c.before.value > 0, lambda c: c.before.value < 0)


def pruned_by_sign(r):
    """Weights that have crossed to the other sign are pruned, and no others.

    w is pruned  ⇔  s w < 0;  s the sign of the position, which never changes
    """
    for c in r.changes:
        crossed = c.before.known("sign")[c.before.index] * c.before.value < 0
        for wrong, what in ((crossed & ~c.pruned, "has not the sign of its position, and stays"),
                            (~crossed & c.pruned, "has the sign of its position, and is pruned")):
            if wrong.any():
                yield f"{c.name}: {c.weight(int(np.argmax(wrong)))} {what}"


def grown_by_gradient(r):
    """Each tensor grows where the gradient is largest.

    min |dE/dθ| grown >= max |dE/dθ| at the positions that are left empty
    """
    yield from _grown_at_the_largest(r, "gradient")


def grown_by_momentum(r):
    """Each tensor grows where the momentum of the dense gradient is largest.

    min |V| grown >= max |V| at the positions that are left empty
    """
    yield from _grown_at_the_largest(r, "momentum")


def grown_elsewhere_in_tensor(r):
    """Nothing grows where it was just pruned, while others of its tensor are free.

    A position of A that is pruned and in A'  ⇒  every position of the tensor outside A is in A'
    """
    for c in r.changes:
        free = c.room - int(c.new.sum())
        if c.regrown.any() and free:
            yield (f"{c.name}: position {c.before.index[c.regrown][0]} was pruned and grown again, "
                   f"{counted(free, 'other')} of it stayed free")
    r.need_certainty()


# --- how tensors share


def shares_by_room(r):
    """Each tensor grows its share, by empty positions, to within one.

    g within 1 of fair_shares(min(K, ΣC), C + k, C) + fair_shares(max(K - ΣC, 0), C + k, k)
    """
    k, _, g = r.counts()
    room = [c.room for c in r.changes]
    weights, K, C = [a + b for a, b in zip(room, k, strict=True)], sum(k), sum(room)
    first, again = fair_shares(min(K, C), weights, room), fair_shares(max(K - C, 0), weights, k)
    yield from _shares(r, g, [a + b for a, b in zip(first, again, strict=True)])


def shares_by_momentum(r):
    """Each tensor grows its share, by the mean momentum at its weights before, to within one.

    g within 1 of K mean |V| / (the sum of these means);  mean |V| over A. Where a tensor has no
    room for that, the paper is silent
    """
    k, l, g = r.counts()
    weights = []
    for c in r.changes:
        V = np.abs(c.before.known("momentum")[c.before.index]).astype(float)
        weights.append(Fraction(float(V.mean())) if len(V) else Fraction(0))
    room = [c.before.size - survive for c, survive in zip(r.changes, l, strict=True)]
    K, mass = sum(k), sum(weights)
    if not mass or any(K * w > mass * n for w, n in zip(weights, room, strict=True)):
        raise NotCheckable("a share found no room, and the paper is silent")
    means = ", ".join(f"{float(w):.3g}" for w in weights)
    for message in _shares(r, g, [K * w / mass for w in weights]):
        yield f"{message}; mean |momentum| before was {means}"


# --- of two reallocations in a row, `a` and then `b`


def signs_stay(a, b):
    """A position keeps its sign for good.

    s of the next = s of the last
    """
    for (last, _), (following, _) in zip(a.sparse, b.sparse, strict=True):  # both before
        differ = last.known("sign") != following.known("sign")
        if differ.any():
            yield f"{last.name}: has another sign at {counted(differ.sum(), 'position')}"


# --- helpers


def _shrinks(r, law):
    p, final = r.known("progress", "final")
    for c, end in zip(r.changes, final, strict=True):
        due = min(c.m, law(c.before.size, end, p))
        if not abs(c.m_after - due) <= 1 + 1e-9 * c.before.size:
            yield (f"{c.name}: {counted(c.m, 'free number')} before, {c.m_after:,} after; at "
                   f"{p:.1%} of the way to {end:,} of {c.before.size:,} it is {due:,.2f}")


def _stays_full(c):
    """Was there no room to move to, and is nothing seen to have been pruned?"""
    return not c.room and not (c.pruned | c.doubtful).any()


def _same_share(r, groups):
    """Messages where no fraction, or not the recorded one, fits all groups.

    groups: (name, (least, most) that there are, (least, most) of these that are pruned)
    """
    groups = [(name, m, k) for name, m, k in groups if m[1]]
    if not any(k[1] for _, _, k in groups) and "fraction" not in r.numbers:
        raise NotCheckable("nothing was pruned")
    low = [max(Fraction(k[0] - 1, m[1]), Fraction(0)) for _, m, k in groups]
    high = [Fraction(k[1] + 1, m[0]) if m[0] else Fraction(1) for _, m, k in groups]

    def said(i):
        name, m, k = groups[i]
        return f"{name}: {k[0]:,} of {m[1]:,} are pruned"

    if "fraction" in r.numbers:
        f = Fraction(str(r.numbers["fraction"]))
        for i in range(len(groups)):
            if not low[i] <= f <= high[i]:
                yield f"{said(i)}, the fraction is {float(f):g}"
    elif max(low) > min(high):
        yield f"{said(low.index(max(low)))}, {said(high.index(min(high)))}"


def _smallest(r, *parts):
    """Messages for the tensors in which, of a part, one is pruned and a smaller one kept."""
    if not any(c.pruned.any() for c in r.changes):
        raise NotCheckable("nothing was pruned")
    r.need_certainty()
    for c in r.changes:
        for part in parts:
            gone, kept = (np.flatnonzero(x & part(c)) for x in (c.pruned, c.kept))
            if len(gone) and len(kept):
                i, j = gone[c.magnitude[gone].argmax()], kept[c.magnitude[kept].argmin()]
                if c.magnitude[i] > c.magnitude[j]:
                    count = int((c.magnitude[gone] > c.magnitude[j]).sum())
                    yield (f"{c.name}: {c.weight(i)} is pruned, {c.weight(j)} is kept; {count:,} "
                           f"of {len(gone):,} pruned are larger than that")


def _grown_at_the_largest(r, key):
    if not any(len(c.grown("value")[0]) for c in r.changes):
        raise NotCheckable("nothing was grown")
    for c in r.changes:
        score, (grown, _) = np.abs(c.before.known(key)), c.grown("value")
        empty = np.setdiff1d(np.arange(c.before.size), c.after.index)
        if len(grown) and len(empty):
            i, j = grown[score[grown].argmin()], empty[score[empty].argmax()]
            if score[i] < score[j]:
                count = int((score[grown] < score[j]).sum())
                fate = ", just pruned," if j in c.before.index else ""
                yield (f"{c.name}: position {i} is grown with |{key}| {score[i]:g}, position {j}"
                       f"{fate} with {score[j]:g} is not; {count:,} of {len(grown):,} grown have "
                       "less than that")


def _shares(r, g, fair):
    for c, n, share in zip(r.changes, g, fair, strict=True):
        if not abs(n - share) <= 1 + Fraction(1, 10**6) * max(1, share):
            yield f"{c.name}: grew {n}, its share of {sum(g)} is {float(share):.2f}"
