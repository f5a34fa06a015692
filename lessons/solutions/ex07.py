"""Lesson 7, solved. What the package has is imported from there."""

from fractions import Fraction

import numpy as np

from minidsr.reparam import LARGEST_H, SMALLEST_H, apportion


def prune(index, value, H, keep_one):
    dead = np.abs(value) < H
    if keep_one and len(dead) and dead.all():
        dead[np.argmax(np.abs(value))] = False
    return index[~dead], value[~dead], int(dead.sum())


def next_threshold(H, K, N_p, delta):
    exact = Fraction(str(delta))
    if K < (1 - exact) * N_p and 2 * H <= LARGEST_H:
        return 2 * H
    if K > (1 + exact) * N_p and H / 2 >= SMALLEST_H:
        return H / 2
    return H


def grow(index, size, n, avoid, rng):
    free = np.setdiff1d(np.arange(size), index)
    first = np.setdiff1d(free, avoid)
    chosen = rng.choice(first, min(n, len(first)), replace=False)
    again = rng.choice(np.setdiff1d(free, first), n - len(chosen), replace=False)
    return np.sort(np.concatenate([chosen, again]))


def reallocate(tensors, H, N_p, delta, rng, keep_one=True):
    before = [W.index for W in tensors]
    k = []
    for W in tensors:
        kept, _, gone = prune(W.index, W.value, H, keep_one)
        W.prune(~np.isin(W.index, kept))
        k.append(gone)
    l = [len(W.index) for W in tensors]
    room = [W.size - len(index) for W, index in zip(tensors, before, strict=True)]
    first = apportion(min(sum(k), sum(room)), l, room)
    again = apportion(sum(k) - sum(first), l, k)
    g = [a + b for a, b in zip(first, again, strict=True)]
    for W, n, index in zip(tensors, g, before, strict=True):
        W.grow(grow(W.index, W.size, n, index, rng))
    return next_threshold(H, sum(k), N_p, delta), k, g


__all__ = ["apportion", "grow", "next_threshold", "prune", "reallocate"]
