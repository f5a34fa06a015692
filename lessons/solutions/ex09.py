"""Lesson 9, solved. The package has the first in methods/set.py, the second in
methods/magnitude.py."""

import math
from fractions import Fraction

import numpy as np


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
