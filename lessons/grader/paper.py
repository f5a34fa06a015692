"""The exam as a file to fill in: its rules are drawn, its docstrings are written from them."""

import random

import numpy as np

from . import variants
from .variants import Rules

WORDS = {2: "two", 3: "three"}
OF_WEIGHTS = {1: "the weights", 2: "the squares of the weights", 3: "the cubes of the weights"}

STUBS = '''"""Exam {seed}: four functions to write, by rules that are not those of lesson 7.

`python -m lessons.check --exam {seed}` says which levels they pass. Of minidsr you may use Sparse.
"""

import numpy as np


def prune(index, value, H):
    """Remove the small weights of one tensor, but keep {keep}.

    index  (m,) positions of the weights, sorted
    value  (m,) the weights, float32
    H      the threshold

    A weight goes if |w| < H, strictly. Where fewer than {keep} would stay, the {keep} largest in
    magnitude stay, of equals the {ties}; a tensor that has no more than {keep} keeps all.

    Returns (index, value, k): what stays, in the same order, and how many went.

    >>> prune(np.array([0, 3, 5, 8]), np.array([1, -2, 1, -1], np.float32), 4.0)
    {pruned}
    """
    raise NotImplementedError


def next_threshold(H, K, N_p, delta):
    """The threshold for the next time.

    H      the threshold that was used, within [2 ** -126, 2 ** 127]
    K      how many weights it pruned
    N_p    how many it should have pruned
    delta  how far K may stray, as a share of N_p; exactly the decimal number that it is written as

    Returns {factor} H if K < (1 - delta) N_p, H / {factor} if K > (1 + delta) N_p, and else H;
    also H where the other would lie outside the range above.

    >>> [next_threshold(0.5, K, 10, 0.1) for K in (8, 9, 11, 12)]
    {thresholds}
    """
    raise NotImplementedError


def apportion(K, weights, room):
    """Hand out K new weights among tensors.

    weights  one whole number a tensor: how many weights survived in it
    room     one whole number a tensor: how many positions are free; K <= sum(room)

    Returns a list of whole numbers that sum to K, in proportion to {weights},
    none above its room. A tensor whose exact share is its room or more is filled, and what it
    cannot take is offered to the others by the same rule. What is left of the shares after the
    point is settled by largest remainder; of equal remainders those of the {ties} tensors win.
    Where no tensor with room has a weight, shares are in proportion to the room.

    >>> apportion(7, [4, 2, 2], [3, 9, 9])
    {shares}
    """
    raise NotImplementedError


def reallocate(tensors, H, N_p, delta, rng):
    """Algorithm 1 by the rules above.

    tensors   list of minidsr.Sparse, changed in place. W.index, W.value and W.size are what they
              are; W.prune(dead) removes the weights where the array `dead` (m,) is True, and
              W.grow(positions) adds weights with value 0 at positions, sorted
    H, N_p, delta   as above
    rng       numpy.random.Generator; all that is random comes from it

    Prune each tensor; share what went, by survivors, among the positions that were free before
    pruning. What finds no room there is shared in the same way among the positions just pruned.
    Positions are drawn at random, each choice as likely as any other.

    Returns (H for the next time, [weights pruned in each tensor], [weights grown in each tensor]).
    """
    raise NotImplementedError
'''


def rules(seed):
    """The rules that are drawn; never the paper's, in any of the functions."""
    drawn = random.Random(seed)

    def one_of(*options):
        return options[int(drawn.random() * len(options))]  # the same in each version of Python
    factor, keep, power = one_of(3, 4, 8), one_of(2, 3), one_of(1, 2, 3)
    return Rules(factor, keep, power, "last" if power == 1 else one_of("first", "last"))


def paper(seed):
    """The exam, as a file to fill in."""
    dealt = rules(seed)
    f = variants.functions(dealt)
    index, value = np.array([0, 3, 5, 8]), np.array([1, -2, 1, -1], np.float32)
    return STUBS.format(
        seed=seed, keep=WORDS[dealt.keep], ties=dealt.ties, factor=dealt.factor,
        weights=OF_WEIGHTS[dealt.power], pruned=f["prune"](index, value, 4.0),
        thresholds=[f["next_threshold"](0.5, K, 10, 0.1) for K in (8, 9, 11, 12)],
        shares=f["apportion"](7, [4, 2, 2], [3, 9, 9]))
