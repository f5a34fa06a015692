"""Algorithm 1 with rules that are not the paper's: what an exam asks for, and its solution."""

from dataclasses import dataclass
from fractions import Fraction
from functools import partial

import numpy as np

SMALLEST_H, LARGEST_H = 2.0 ** -126, 2.0 ** 127


@dataclass(frozen=True)
class Rules:
    """What differs; by default the package's rules."""

    factor: int = 2  # by which H grows, or shrinks
    keep: int = 1  # weights that stay in a tensor, at least
    power: int = 1  # shares are proportional to this power of the survivors
    ties: str = "first"  # of equals these win: the first, or the last


def functions(rules):
    """{name: the function by these rules}."""
    return {f.__name__: partial(f, rules) for f in (prune, next_threshold, apportion, reallocate)}


def prune(rules, index, value, H):
    stays = np.abs(value) >= H
    if stays.sum() < rules.keep:
        order = ranked(np.abs(value).tolist(), rules.ties)
        stays[order[:rules.keep]] = True
    return index[stays], value[stays], int((~stays).sum())


def next_threshold(rules, H, K, N_p, delta):
    exact = Fraction(str(delta))
    new = H
    if K < (1 - exact) * N_p:
        new = H * rules.factor
    if K > (1 + exact) * N_p:
        new = H / rules.factor
    return new if SMALLEST_H <= new <= LARGEST_H else H


def apportion(rules, K, weights, room):
    g, weights = [0] * len(room), [w ** rules.power for w in weights]
    while K:
        left = [i for i in range(len(room)) if g[i] < room[i]]
        w = weights if any(weights[i] for i in left) else room
        exact = [Fraction(K * w[i], sum(w[j] for j in left)) for i in left]
        full = [i for i, share in zip(left, exact, strict=True) if share >= room[i]]
        if not full:
            for i, share in zip(left, exact, strict=True):
                g[i] = int(share)
            remainders = [share % 1 for share in exact]
            for i in ranked(remainders, rules.ties)[:K - sum(map(int, exact))]:
                g[left[i]] += 1
            break
        for i in full:
            g[i] = room[i]
            K -= room[i]
    return g


def reallocate(rules, tensors, H, N_p, delta, rng):
    before, k = [W.index for W in tensors], []
    for W in tensors:
        kept, _, gone = prune(rules, W.index, W.value, H)
        W.prune(~np.isin(W.index, kept))
        k.append(gone)
    l = [len(W.index) for W in tensors]
    room = [W.size - len(index) for W, index in zip(tensors, before, strict=True)]
    first = apportion(rules, min(sum(k), sum(room)), l, room)
    again = apportion(rules, sum(k) - sum(first), l, k)
    for W, index, n, more in zip(tensors, before, first, again, strict=True):
        lost = np.setdiff1d(index, W.index)
        free = np.setdiff1d(np.arange(W.size), index)
        W.grow(np.sort(np.concatenate([rng.choice(free, n, replace=False),
                                       rng.choice(lost, more, replace=False)])))
    g = [a + b for a, b in zip(first, again, strict=True)]
    return next_threshold(rules, H, sum(k), N_p, delta), k, g


def ranked(numbers, ties):
    """Which are largest, in order; of equals the first, or the last."""
    sign = 1 if ties == "first" else -1
    return sorted(range(len(numbers)), key=lambda i: (-numbers[i], sign * i))
