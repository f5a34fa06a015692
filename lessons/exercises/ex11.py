"""Lesson 11, why does it work: four functions to write.

`python -m lessons.check 11` judges your copy of this file, in lessons/mine.
"""

import numpy as np  # noqa: F401


def ages_at_death(start, moves):
    """How old were the weights of a tensor when they were pruned?

    start  the positions that have a weight at first, a list
    moves  for each reallocation, in order, (died, born): two lists of positions, those that lose
           their weight, and those that get one. First all die, then all are born: a position that
           is in both has a new weight afterwards

    Returns for each reallocation a sorted list of the ages of those that died in it. A weight that
    was born in one reallocation and dies in the next is 1 old; one that was there at the start and
    dies in the first is 1 old, too.

    >>> ages_at_death([2, 5], [([5], [7]), ([7], [5]), ([2, 5], [0, 1])])
    [[1], [1], [1, 3]]
    """
    raise NotImplementedError


def moved(pruned, grown):
    """How many weights changed their tensor in a reallocation?

    pruned, grown  how many weights each tensor lost, and got: lists of whole numbers with the same
                   sum

    Returns the least number that must have gone from one tensor to another. What a tensor gets up
    to its own losses may have stayed in it.

    >>> moved([3, 2, 1], [1, 2, 3])
    2
    """
    raise NotImplementedError


def overlap(a, b):
    """How alike are two structures?

    a, b  positions with a weight, two sorted lists without repetition

    Returns the share, of all positions that are in one of them or in both, that are in both:
    Jaccard's index. Two structures without a weight are the same: 1.

    >>> overlap([1, 2, 3], [2, 3, 7])
    0.5
    """
    raise NotImplementedError


def ticket(settings, folder):
    """The runs that ask whether a structure is enough, or whether it takes the way there.

    settings  of a run of DSR, a dict: Config(**settings) trains it
    folder    where it was trained, a text

    Returns (same, other), the settings of two static runs with the structure that it ended with.
    "structure_from" says where that is, "values" which values they begin with:
    same   "original": those that the run began with, by the same seed
    other  "random": others, with a seed that is 100 higher, as the run's own seed draws the run's
           own values. Where settings have no seed, it is 0
    Of the options of DSR, which are the keys of minidsr.methods.METHODS["dsr"].options(), sparsity
    alone stays: static has no threshold, and where weights are is said by the structure. What is
    no option of DSR belongs to all methods, and stays as it is: data, model, epochs and so on.

    >>> same, other = ticket({"method": "dsr", "epochs": 5, "seed": 3, "threshold": 0.01}, "runs/a")
    >>> same
    {'method': 'static', 'epochs': 5, 'seed': 3, 'structure_from': 'runs/a', 'values': 'original'}
    >>> other["seed"], other["values"]
    (103, 'random')
    """
    raise NotImplementedError
