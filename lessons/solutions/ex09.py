"""Lesson 9, solved. The package has the first in methods/set.py, the second in
methods/magnitude.py, the next two within methods/snfs.py and dst.py; the last is one of many."""

import math
from fractions import Fraction

import numpy as np

from minidsr.methods.base import Dynamic
from minidsr.reparam import apportion, grow_back, shares


def set_drop(value, zeta):
    goes = np.zeros(len(value), bool)
    for places in (np.flatnonzero(value >= 0), np.flatnonzero(value < 0)):
        order = np.argsort(np.abs(value[places]), kind="stable")
        goes[places[order[:math.floor(Fraction(str(zeta)) * len(places))]]] = True
    return goes


def rigl_grow(score, index, n):
    free = np.setdiff1d(np.arange(len(score)), index)
    order = np.argsort(-score[free], kind="stable")
    return np.sort(free[order[:n]])


def momentum_shares(K, momentum, room):
    means = [float(np.abs(V).mean()) if len(V) else 0.0 for V in momentum]
    return apportion(K, means, room)


def threshold_pull(W, t, dtheta):
    excess = np.abs(W) - t[:, None]
    slope = _slope(np.abs(excess))
    dW = dtheta * ((excess > 0) + np.abs(W) * slope)
    return dW, -(dtheta * W * slope).sum(1)


def _slope(distance):
    return np.where(distance <= 0.4, 2 - 4 * distance, np.where(distance <= 1, 0.4, 0))


class Mine(Dynamic):
    """Algorithm 1 without a threshold: the smallest seventh of all weights goes, wherever they are.

    Tensors share what grows by their survivors.
    """

    def reallocate(self, t):
        before = [W.index for W in self.tensors]
        size = np.concatenate([np.abs(W.value) for W in self.tensors])
        goes = np.zeros(len(size), bool)
        goes[np.argsort(size, kind="stable")[:len(size) // 7]] = True
        parts = np.split(goes, np.cumsum([len(index) for index in before])[:-1])
        pruned = [W.prune(part) for W, part in zip(self.tensors, parts, strict=True)]
        room = [W.size - len(index) for W, index in zip(self.tensors, before, strict=True)]
        grown = shares(pruned, [len(W.value) for W in self.tensors], room)
        for W, n, index in zip(self.tensors, grown, before, strict=True):
            grow_back(W, n, self.rng, avoid=index)
        return self.report(pruned, grown)
