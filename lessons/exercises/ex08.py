"""Lesson 8, what must always hold: five functions to write.

`python -m lessons.check 8` judges your copy of this file, in lessons/mine.
"""

import numpy as np  # noqa: F401
from hypothesis import strategies as st  # noqa: F401

from minidsr import Sparse  # noqa: F401
from minidsr.proof.cases import Case  # noqa: F401


def budget(before, after):
    """Is a weight lost, or made?

    before, after  lists of Sparse: the same tensors before and after a reallocation. W.index are
                   the positions of the weights, W.value and W.velocity what they hold, and W.size
                   is how many positions there are

    Returns a list of messages: empty where there are as many weights as before, in all tensors
    together; else one text with both numbers in it.

    >>> W = Sparse((4,), np.array([1, 2]), np.array([0.5, 2.0]))
    >>> budget([W], [Sparse((4,), np.array([2]), np.array([2.0]))])
    ['2 weights before, 1 after']
    """
    raise NotImplementedError


def grown_elsewhere(before, after):
    """Does a weight grow where one was just pruned, while other positions stay free?

    before, after  as above

    That a position was pruned and grown again is seen from what it holds: it is in use before and
    after, and afterwards its value and its velocity are 0, which they were not both before. That is
    allowed only where no other position is left: none, in any tensor, that was free before and
    still is.

    Returns a list of messages: for each tensor with such a position one text, with the number of
    the position in it. Empty where all is right.

    >>> W = Sparse((4,), np.array([1, 2]), np.array([0.5, 2.0]))
    >>> grown_elsewhere([W], [Sparse((4,), np.array([1, 2]), np.array([0.0, 2.0]))])
    ['tensor 0: [1] were pruned and grown again, while others stay free']
    """
    raise NotImplementedError


def same_in_another_order(run, order):
    """Does it matter in which order a program is given the tensors?

    run    run(range(n)) has the program reallocate n tensors, and run(order) has it reallocate the
           same ones in the other order. What it returns has lists with an entry a tensor, in the
           order in which they were given:
               pruned  lists of positions from which a weight was pruned
               grown   how many weights have grown
               fair    how many should have, exactly, as fractions.Fraction
           and next_H, the threshold for the next time
    order  a list: the tensor that comes first is tensor order[0] of the n, and so on

    What must be the same in both: next_H; what each tensor loses; and what it grows, but for
    rounding. Where a fair share is not whole, one tensor may grow one more, if another one with the
    same remainder (fair % 1) grows one less.

    Returns a list of messages, empty where the order does not matter.
    """
    raise NotImplementedError


def my_cases():
    """Networks on which programs that are wrong show that they are.

    Returns a strategy of hypothesis that draws a Case: tensors, H, N_p, delta, seed, keep_one. 25
    programs with a fault, those of lessons/gallery, are tried on 200 of them. Each must be one that
    minidsr.reparam.reallocate takes: H in [2 ** -126, 2 ** 127], N_p in 1..all weights, delta in
    [0, 1), values that are finite. 15 faults found are bronze, 20 silver, 24 gold.

    These draw a weight that stays, or goes, and nothing else:

    >>> W = Sparse((2,), np.array([0]), np.array([1.0]))
    >>> few = st.builds(Case, st.just([W]), H=st.sampled_from([0.5, 2.0]), N_p=st.just(1),
    ...                 delta=st.just(0.1), seed=st.integers(0, 1000))
    """
    raise NotImplementedError


def record(program, times, path):
    """Let a stranger's program run, and write down what it does.

    program  has methods train() and reallocate(), which change these in place:
                 weights     {name: array}, all tensors
                 masks       {name: array}, True where a weight is; a dense tensor has none
                 velocities  {name: array}, the momentum of all tensors
                 H           the threshold of the next reallocation
             and the numbers N_p, delta and keep_one
    times    how often to train once, and then to reallocate
    path     where to write the trace, a file of numpy.savez; lessons/notes/traces.md has its keys

    Write these, and nothing else: value, mask and velocity of each tensor before and after, H,
    next_H, N_p, delta, keep_one. Nothing is returned. `minidsr verify` then says what is wrong with
    the program.
    """
    raise NotImplementedError
