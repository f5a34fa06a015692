"""Lesson 7, Algorithm 1: five functions to write.

`python -m lessons.check 7` judges your copy of this file, in lessons/mine.
"""

import numpy as np  # noqa: F401


def prune(index, value, H, keep_one):
    """Remove the small weights of one tensor.

    index     (m,) positions of the weights, sorted
    value     (m,) the weights, float32
    H         the threshold
    keep_one  True: the tensor may not lose all its weights

    A weight goes if |w| < H, strictly. If all would go and keep_one is True, one stays: the largest
    in magnitude, of equals the first.

    Returns (index, value, k): what stays, in the same order, and how many went.

    >>> prune(np.array([0, 3, 5, 8]), np.array([0.5, -2, 1, -0.1], np.float32), 1.0, True)
    (array([3, 5]), array([-2.,  1.], dtype=float32), 2)
    """
    raise NotImplementedError


def next_threshold(H, K, N_p, delta):
    """The threshold for the next time.

    H      the threshold that was used, within [2 ** -126, 2 ** 127], where float32 is exact
    K      how many weights it pruned
    N_p    how many it should have pruned
    delta  how far K may stray, as a share of N_p

    Returns 2 H if K < (1 - delta) N_p, H / 2 if K > (1 + delta) N_p, and else H; also H where the
    other would lie outside the range above. delta is the decimal number that it is written as: 0.7
    is seven tenths, exactly.

    >>> [next_threshold(0.5, K, 10, 0.1) for K in (8, 9, 11, 12)]
    [1.0, 0.5, 0.5, 0.25]
    """
    raise NotImplementedError


def apportion(K, weights, room):
    """Hand out K new weights among tensors.

    weights  one whole number a tensor: how many weights survived in it
    room     one whole number a tensor: how many positions are free; K <= sum(room)

    Returns a list of whole numbers that sum to K, in proportion to `weights`, none above its room.
    A tensor whose exact share is its room or more is filled, and what it cannot take is offered to
    the others by the same rule. What is left of the shares after the point is settled by largest
    remainder: whole parts first, then one more each for the largest remainders; of equal ones any
    may win. Where no tensor with room has a weight, room is the weight.

    >>> apportion(7, [4, 2, 1], [3, 9, 9])
    [3, 3, 1]
    """
    raise NotImplementedError


def grow(index, size, n, avoid, rng):
    """Draw the positions of n new weights of one tensor.

    index  positions that are in use, sorted
    size   how many positions there are: 0, 1, ..., size - 1
    n      how many to draw, at most as many as are not in use
    avoid  positions to draw only when there is no other one: those that were in use before pruning
    rng    numpy.random.Generator; all that is random comes from it

    Returns n positions, each once, sorted. Every choice of n positions is as likely as any other.

    >>> grow(np.array([0, 2]), 4, 2, np.array([0, 2]), np.random.default_rng(0))
    array([1, 3])
    """
    raise NotImplementedError


def reallocate(tensors, H, N_p, delta, rng, keep_one=True):
    """Algorithm 1: prune by one threshold everywhere, grow as many weights as went.

    tensors   list of minidsr.Sparse, changed in place. W.index, W.value and W.size are what they
              are; W.prune(dead) removes the weights where the array `dead` (m,) is True, and
              W.grow(positions) adds weights with value 0
    H, N_p, delta, rng, keep_one   as above

    Prune each tensor; share what went, by survivors, among the positions that were free before
    pruning. What finds no room there is shared in the same way among the positions just pruned.
    Take your own parts, or those of minidsr.reparam.

    Returns (H for the next time, [weights pruned in each tensor], [weights grown in each tensor]).
    """
    raise NotImplementedError
