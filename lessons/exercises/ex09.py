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


def momentum_shares(K, momentum, room):
    """Hand out K new weights among tensors as sparse momentum does.

    K         how many, at most sum(room)
    momentum  a list of arrays (m,), one a tensor: the momentum of the gradient at each of its m
              weights, as they were before pruning; m may be 0
    room      a list of whole numbers: how many positions of each tensor are free

    A tensor's share is in proportion to the mean size of its momentum, |V|; a tensor that had no
    weights counts as 0. In whole numbers, as Algorithm 1 has them: take apportion(K, weights, room)
    of minidsr.reparam, or your own of lesson 7.

    Returns a list of whole numbers with the sum K, none above its room.

    >>> momentum_shares(6, [np.array([0.5, -0.5]), np.array([-2, 1, 0, 3])], [9, 9])
    [1, 5]
    """
    raise NotImplementedError


def threshold_pull(W, t, dtheta):
    """The way back through trainable masks.

    W       (F, n) weights, float64; row by row one of F outputs
    t       (F,) a threshold for each row
    dtheta  (F, n) the gradient of θ

    On the way forward θ is W where |W| > t, strictly, and 0 elsewhere. A step has no slope that
    could be learned from, so that on the way back it is taken to have the slope S(q) at
    q = |W| - t: 2 - 4 |q| where |q| is at most 0.4, 0.4 from there to |q| = 1, that included, and 0
    beyond. Then

        dW = dθ (1[|W| > t] + |W| S(q))        1[...] is 1 where it is so, else 0
        dt = -Σ dθ W S(q)                      the sum over a row, for its threshold

    Returns (dW, dt).

    >>> threshold_pull(np.array([[0.75, -0.25]]), np.array([0.5]), np.array([[1.0, 2.0]]))
    (array([[1.75, 0.5 ]]), array([-0.25]))
    """
    raise NotImplementedError
