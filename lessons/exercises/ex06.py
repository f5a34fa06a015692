"""Lesson 6, sparse from the start: four functions to write.

`python -m lessons.check 6` judges your copy of this file, in lessons/mine.
"""

import numpy as np  # noqa: F401


def keep_largest(theta, m):
    """The positions of the m largest weights.

    theta  (N,) weights, float32
    m      how many to keep, at most N

    Returns m positions, sorted: those of the weights that are largest in magnitude, of equal ones
    the first.

    >>> keep_largest(np.array([0.5, -2, 1, -1], np.float32), 2)
    array([1, 2])
    """
    raise NotImplementedError


def left(t, end, N, m):
    """How many weights gradual pruning leaves a tensor.

    t    the step, from 0 on
    end  the step of the last pruning, at least 1
    N    how many there are at first
    m    how many there are in the end, at most N

    Returns m + (N - m) (1 - t / end)³, rounded down; after the last pruning m. Exactly, also where
    floating point numbers miss a whole one by a little.

    >>> [left(t, 2, 80, 10) for t in (0, 1, 2, 3)]
    [80, 18, 10, 10]
    """
    raise NotImplementedError


def erk(shapes, total):
    """Share free numbers among tensors: Erdős–Rényi with kernels.

    shapes  a list of tuples. A tensor has as many positions as the product of its shape
    total   how many free numbers there are, at most as many as positions

    Each tensor gets ε times the sum of its shape. Where that is as many as it has positions, or
    more, it is full, and the others share the rest by the same rule; ε follows, and is one for all
    that are not full.

    Returns a list of whole numbers with the sum `total`. Each is less than one away from the exact
    share.

    >>> erk([(4, 2, 3, 3), (10, 10)], 86)
    [32, 54]
    >>> erk([(2, 2), (10, 10)], 40)
    [4, 36]
    """
    raise NotImplementedError


def nearest_width(budget, count):
    """The width of a dense network with as many parameters as a sparse one, or nearly so.

    budget  how many parameters it should have, at most count(1.0)
    count   a function: count(width) is how many it has. With the width it grows, or stays the same

    Returns the width among 0.01, 0.02, ..., 1.0 whose count is nearest the budget; where several
    are equally near, any of them.

    >>> nearest_width(30, lambda width: round(10 * width) ** 2)
    0.46
    """
    raise NotImplementedError
