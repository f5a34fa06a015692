"""Lesson 6, solved. The package has keep_largest in methods/magnitude.py, as prune_smallest, the
second in schedules.py, the third in density.py, the last in methods/thin_dense.py."""

import math
from fractions import Fraction

import numpy as np

from minidsr.reparam import apportion


def keep_largest(theta, m):
    order = np.argsort(-np.abs(theta), kind="stable")
    return np.sort(order[:m])


def left(t, end, N, m):
    rest = 1 - min(Fraction(t, end), 1)
    return m + math.floor((N - m) * rest ** 3)


def erk(shapes, total):
    sizes = [math.prod(shape) for shape in shapes]
    return apportion(total, [sum(shape) for shape in shapes], sizes)


def nearest_width(budget, count):
    widths = [i / 100 for i in range(1, 101)]
    return min(widths, key=lambda width: abs(count(width) - budget))
