"""Lesson 10, comparing fairly: four functions to write.

`python -m lessons.check 10` judges your copy of this file, in lessons/mine.
"""

import numpy as np  # noqa: F401
from scipy import special  # noqa: F401


def paired_interval(a, b, level):
    """By how much is one method better than another, and how sure is that?

    a, b   accuracies of the one and of the other, lists of n >= 2 floats: a[i] and b[i] are of the
           same seed
    level  how often such an interval should hold the truth: 0.95 in 95 of 100 studies

    Returns (mean, half): the mean of the n differences a[i] - b[i], and half the width of its
    interval. That is s / √n, where s is their standard deviation (with n - 1 below), times the
    number t that Student's distribution with n - 1 degrees of freedom exceeds, on either side
    together, with probability 1 - level.

    scipy.special.stdtrit(k, p) is the number that Student's t with k degrees of freedom is below
    with probability p: stdtrit(2, 0.975) is 4.30.

    >>> mean, half = paired_interval([72.0, 75.0, 74.0], [70.0, 72.0, 73.0], 0.95)
    >>> print(f"{mean:.2f} ± {half:.2f}")
    2.00 ± 2.48
    """
    raise NotImplementedError


def noise_of_test_set(accuracy, images):
    """How much does an accuracy depend on which images happen to be in the test set?

    accuracy  the share of all possible images that a network gets right, in percent
    images    how many the test set has, drawn at random and each by itself

    Returns the standard deviation of the accuracy on the test set, in percentage points.

    >>> round(noise_of_test_set(75.0, 1000), 2)
    1.37
    """
    raise NotImplementedError


def runs_needed(sd, difference):
    """How many pairs of runs does it take to see a difference?

    sd          standard deviation of the difference between two runs of one seed, above 0
    difference  how large the difference really is, in the same unit, above 0

    Returns the least n >= 2 with which the 95 % interval of n pairs lies above 0 in at least 80 of
    100 such studies: P(T > t) >= 0.8, where t is Student's with n - 1 degrees of freedom, as in
    paired_interval, and T is the mean over s / √n. T follows the *noncentral* t distribution with
    n - 1 degrees of freedom, and is off by difference · √n / sd.

    scipy.special.nctdtr(k, off, x) is the probability that it is below x.

    >>> runs_needed(1.0, 1.0)
    10
    """
    raise NotImplementedError


def comparable(one, other):
    """May two runs be compared as methods?

    one, other  what is known of each, a dict:
                "method"   a name
                "model"    a name; thin-dense has one of its own, as it trains a thinner network
                "data"     a name
                "seed", "batch", "epochs"  whole numbers
                "sparse"   how many free numbers are in tensors that may be sparse
                "dense"    how many are elsewhere
                "stop"     the epoch after which no weight moves any more; None if they move to the
                           end, and "static" if none ever does
                "chosen"   by which images its settings were chosen: "validation" or "test"

    Returns a sorted list of reasons why not, empty if there is none:
    "model", "data", "seed", "batch", "epochs", "stop"  they differ. The model does not count where
                one of the methods is "thin-dense". The stop counts between two methods that both
                move weights; with one method, it may be what is compared
    "budget"    of all free numbers, the one has over 1 % more than the other has
    "test"      for either, test images were used to choose

    >>> run = {"method": "dsr", "model": "small-cnn", "data": "cifar10", "seed": 0, "batch": 100,
    ...        "epochs": 10, "sparse": 3454, "dense": 1498, "stop": None, "chosen": "validation"}
    >>> comparable(run, {**run, "method": "static", "sparse": 3554})
    ['budget']
    """
    raise NotImplementedError
