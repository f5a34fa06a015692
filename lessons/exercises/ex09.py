"""Lesson 9, relatives: four functions and a method to write.

`python -m lessons.check 9` judges your copy of this file, in lessons/mine.
"""

import numpy as np  # noqa: F401


def set_drop(value, zeta):
    """Which weights of a tensor SET drops.

    value  (m,) the weights, float32
    zeta   ζ, the share of its weights that a tensor drops, a decimal number from 0 to 1

    Of the n₊ weights that are positive, or 0, the smallest ζ n₊ go, and of the n₋ negative ones the
    ζ n₋ that are nearest 0: both rounded down, exactly, also where floating point numbers miss a
    whole one by a little. Of equal ones the first go.

    Returns a mask (m,) of bool: True for those that go.

    >>> set_drop(np.array([3, -1, 0.5, -2, 1, 0], np.float32), 0.5)
    array([False,  True, False, False, False,  True])
    """
    raise NotImplementedError


def rigl_grow(score, index, n):
    """Where RigL grows n weights of a tensor.

    score  (N,) how large the gradient is at each position, none below 0
    index  positions that have a weight, sorted
    n      how many to grow, at most as many as have none

    Returns n positions, sorted: of those without a weight the ones whose score is largest, of equal
    ones the first.

    >>> rigl_grow(np.array([9, 2, 0, 5, 2], np.float32), np.array([0, 3]), 2)
    array([1, 4])
    """
    raise NotImplementedError
