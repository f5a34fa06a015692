"""Lesson 9, solved. The package has the first in methods/set.py, the second in
methods/magnitude.py, the others within methods/snfs.py and dst.py."""

import math
from fractions import Fraction

import numpy as np

from minidsr.reparam import apportion


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
