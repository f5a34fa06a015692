"""Algorithm 1 of Mostafa & Wang (ICML 2019), dynamic sparse reparameterization, and nothing else.

    W    one sparse tensor                   k  how many of its weights are pruned
    l    how many of its weights survive     K, L  the sums of k and of l over all tensors
    H    the pruning threshold, one for all  N_p  how many weights a reallocation should prune
    δ    how far K may stray from N_p before H changes

    1  prune in each tensor the weights with |w| < H:  k go, l survive
    2  K = Σ k,  L = Σ l
    3  next time, H is doubled if K < (1-δ) N_p, halved if K > (1+δ) N_p
    4  each tensor's share of K new weights is K * l / L, in whole numbers
    5  they lie at random positions that were free before pruning, and start at 0

Every tensor here is a parameters.Sparse. It stores its free numbers only, so the number of free
numbers is the length of an array and cannot be miscounted.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction

from numpy.random import Generator
from numpy.typing import ArrayLike

from . import checks, shapes
from .backend import get_xp
from .checks import LARGEST_H, SMALLEST_H
from .parameters import Sparse

GROWTHS = ("survivors", "pruned", "room")


@dataclass(frozen=True)
class Report:
    """What one reallocation was asked for, and what it did; None is what nobody knows.

    Lists have one entry a sparse tensor, in the caller's order.
    """

    H: float | None = None  # the threshold that was used
    next_H: float | None = None  # the one for the next time
    N_p: int | None = None  # how many it was meant to prune
    delta: float | None = None
    keep_one: bool | None = None
    K: int | None = None  # pruned in all; grown in all, too, unless the budget shrinks
    pruned: list[int] | None = None
    grown: list[int] | None = None
    active: list[int] | None = None  # free numbers afterwards


def reallocate(tensors: list[Sparse], H: float, N_p: int, delta: float, rng: Generator, *,
               keep_one: bool = True, growth: str = "survivors") -> tuple[float, Report]:
    """Algorithm 1: prune by one threshold everywhere, grow as many back where weights survived.

    tensors  list of Sparse, changed in place
    H        the threshold in use, a normal float32; N_p in 1..Σm and δ in [0, 1) set the next
    rng      numpy.random.Generator, draws the new positions
    growth   what shares are proportional to: survivors, the paper's; room, the opposite: the empty
             positions; or pruned: each tensor grows what it lost

    Returns (H for the next call, Report). Raises ValueError for arguments out of range or a weight
    that is not finite; then nothing has changed.

    New positions come from those that were free before pruning, and from the just-pruned ones only
    when those do not suffice. The number of free numbers is conserved always: after pruning, the
    free positions are the C free before and the K just pruned, and K <= C + K;
    apportion() hands out all of K whenever the room is at least K.
    """
    checks.check_arguments(tensors, H, N_p, delta, rng)
    checks.check_choice("growth", growth, GROWTHS)
    before = [W.index for W in tensors]
    k = [prune_by_threshold(W, H, keep_one=keep_one) for W in tensors]          # 1
    l = [W.value.size for W in tensors]
    K = sum(k)                                                                  # 2
    next_H = adjust_pruning_threshold(H, K, N_p, delta)                         # 3
    room = [W.size - len(index) for W, index in zip(tensors, before, strict=True)]
    g = shares(k, l, room, growth)                                              # 4
    for W, n, index in zip(tensors, g, before, strict=True):
        grow_back(W, n, rng, avoid=index)                                       # 5
    return next_H, Report(H, next_H, N_p, delta, keep_one, K, pruned=k, grown=g,
                          active=[W.value.size for W in tensors])


def prune_by_threshold(W: Sparse, H: float, *, keep_one: bool = True) -> int:
    """Remove the weights with |w| < H, strictly, but for W.protected; returns how many went.

    keep_one: where all would go, the largest survives (the first of equals), so that a tensor can
    come back. The paper has no such rule; its code keeps the first, whatever its size.

    >>> W = Sparse((9,), np.array([0, 3, 5, 8]), np.array([0.5, -2.0, 1.0, -0.1]))
    >>> prune_by_threshold(W, 1.0), W.index.tolist()
    (2, [3, 5])
    """
    checks.check_threshold(W, H)
    xp = get_xp(W.value)
    protected = shapes.positions("protected", xp.asarray(W.protected), W.size)
    magnitude = xp.abs(W.value)
    dead = (magnitude < H) & ~xp.isin(W.index, protected)
    if keep_one and len(dead) and bool(dead.all()):
        dead[xp.argmax(magnitude)] = False
    return W.prune(dead)


def adjust_pruning_threshold(H: float, K: int, N_p: int, delta: float) -> float:
    """2H if K < (1-δ) N_p, H/2 if K > (1+δ) N_p, else H. Within float32's normal range.

    δ counts as the decimal it is written as: K = 3 is (1 - 0.7) * 10, where floating point
    arithmetic would find it smaller.

    >>> [adjust_pruning_threshold(0.5, K, N_p=10, delta=0.1) for K in (8, 9, 11, 12)]
    [1.0, 0.5, 0.5, 0.25]
    """
    checks.check_numbers(H=H, K=K, N_p=N_p, delta=delta)
    exact = Fraction(str(delta))
    if K < (1 - exact) * N_p:
        return 2 * H if H <= LARGEST_H / 2 else H
    if K > (1 + exact) * N_p:
        return H / 2 if H >= 2 * SMALLEST_H else H
    return H


def shares(k, l, room, growth="survivors"):
    """How many weights each tensor grows, Σ k in all; `room` is what was free before pruning."""
    if growth == "pruned":
        return k
    weights = l if growth == "survivors" else [a + b for a, b in zip(room, k, strict=True)]
    g = apportion(min(sum(k), sum(room)), weights, room)
    again = apportion(sum(k) - sum(g), weights, k)  # all full: just-pruned positions are free too
    return [a + b for a, b in zip(g, again, strict=True)]


def apportion(K: int, weights: Sequence[float], room: Sequence[int]) -> list[int]:
    """Whole shares, proportional to `weights`, at most `room` each, with the sum K exactly.

    K <= sum(room), else ValueError. A tensor whose share exceeds its room is filled, and what it
    refuses is offered to the others by the same rule. Fractions are settled by largest remainder;
    of equal remainders the first tensor's wins. Where no tensor with room has a weight, room is
    the weight.

    >>> apportion(7, weights=[4, 2, 1], room=[3, 9, 9])
    [3, 3, 1]
    """
    checks.check_shares(K, weights, room)
    whole = [0] * len(room)
    while K:
        open_ = [i for i in range(len(room)) if whole[i] < room[i]]
        w = [Fraction(weights[i]) for i in open_]
        w = w if any(w) else [Fraction(room[i]) for i in open_]
        full = [i for i, w_i in zip(open_, w, strict=True) if K * w_i >= room[i] * sum(w)]
        if not full:
            for i, share in zip(open_, _largest_remainder(K, w), strict=True):
                whole[i] = share
            break
        for i in full:
            whole[i] = room[i]
            K -= room[i]
    return whole


def grow_back(W: Sparse, n: int, rng: Generator, avoid: ArrayLike = ()) -> None:
    """Free n positions of W, drawn uniformly, at value 0 and velocity 0.

    avoid: flat positions to be used only when nothing else is free. Raises ValueError where fewer
    than n are free.

    Ranks among the free positions are drawn on the host, and looked up where the index lives: the
    r-th free position is r plus the number of taken positions up to it. No mask is built.

    >>> W = Sparse((4,), np.array([0, 2]), np.array([5.0, 7.0]))
    >>> grow_back(W, 2, np.random.default_rng(0))
    >>> W.index.tolist(), W.value.tolist()
    ([0, 1, 2, 3], [5.0, 0.0, 7.0, 0.0])
    """
    checks.check_growth(W, n, rng)
    xp = get_xp(W.index)
    avoid = shapes.positions("avoid", xp.asarray(avoid), W.size)
    taken = xp.sort(xp.concatenate([W.index, avoid]))
    taken = taken[xp.flatnonzero(xp.diff(taken, prepend=-1))]    # each once; union1d would hash
    free = W.size - len(taken)
    ranks = xp.sort(xp.asarray(rng.choice(free, min(n, free), replace=False, shuffle=False)))
    before = taken - xp.arange(len(taken))           # how many are free below each taken position
    slots = ranks + xp.searchsorted(before, ranks, side="right")
    if n > free:
        spare = xp.setdiff1d(avoid, W.index)
        more = rng.choice(len(spare), n - free, replace=False, shuffle=False)
        slots = xp.concatenate([slots, spare[xp.asarray(more)]])
    W.grow(slots)


def _largest_remainder(K, weights):
    """Whole numbers with the sum K, each within 1 of its exact share of K."""
    quotas = [K * w / sum(weights) for w in weights]
    whole = [math.floor(q) for q in quotas]
    by_remainder = sorted(range(len(quotas)), key=lambda i: whole[i] - quotas[i])
    for i in by_remainder[:K - sum(whole)]:
        whole[i] += 1
    return whole
