"""Lesson 9, relatives: four functions and a method to write.

`python -m lessons.check 9` judges your copy of this file, in lessons/mine.
"""

import numpy as np  # noqa: F401

from minidsr.methods.base import Dynamic


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
    of minidsr.reparam, which wants weights that are Python's numbers, float(...), or your own of
    lesson 7.

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


class Mine(Dynamic):
    """A method of your own: the number of free parameters stays, and weights move.

    reallocate(t) is called every few steps. It says for self.tensors, a list of minidsr.Sparse,
    which weights go and where as many come back. W.index, W.value and W.size are what they are;
    W.prune(dead) removes the weights where the array `dead` (m,) of bool is True, and returns how
    many these are; W.grow(positions) adds weights with value 0, or grow_back(W, n, self.rng) of
    minidsr.reparam does, at random.

    It returns self.report(pruned, grown), two lists with a whole number for each tensor. All that
    is random comes from self.rng. Tensors may be empty, or full. What it remembers from one
    time to the next belongs into state() and load(); see minidsr/methods/dsr.py. A step at which it
    needs the gradient of all positions is one for which needs_dense_grad() is True: rigl.py.

    `python -m lessons.check board` trains it beside methods of the package.
    """

    def reallocate(self, t):
        raise NotImplementedError
