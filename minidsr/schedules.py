"""Quantities that change in the course of training: plain functions of the step."""

import math
from bisect import bisect_right
from fractions import Fraction
from functools import cache


def piecewise(t, total, milestones, values):
    """The value in force at step t of `total`: values[i] from milestones[i-1] * total on.

    milestones are fractions of training, increasing, one fewer than values; 0.55 of 100 counts as
    55, where floating point arithmetic would find more.
    """
    return values[bisect_right(_first_steps(total, tuple(milestones)), t)]


def reallocates(t, total, milestones, periods, stop):
    """Is there a reallocation at step t: a multiple of the period in force, not 0, before stop?

    stop is a fraction of training. The paper's schedule for WRN-28-2 (100,000 steps, periods 100,
    200, 400, 800 from 0, 12.5, 40, 70 %, stop at 95 %) has 367.
    """
    return 0 < t < stop * total and t % piecewise(t, total, milestones, periods) == 0


def check_periods(periods, milestones):
    """Raise ValueError unless these are periods of reallocates(), and the milestones between."""
    if not periods or min(periods) < 1:
        raise ValueError(f"periods must be at least 1 each, not {periods}")
    if not (increasing(milestones) and len(milestones) == len(periods) - 1):
        raise ValueError("period_milestones must be increasing, within [0, 1], one fewer than "
                         f"periods, not {milestones}")


def increasing(fractions):
    """Are these fractions of training, each larger than the one before?"""
    return all(a < b for a, b in zip((-1e-9, *fractions), (*fractions, 1 + 1e-9), strict=True))


def cosine(t, end, first, last=0.0):
    """From `first` at step 0 to `last` at step `end`, along half a cosine."""
    return last + (first - last) * (1 + math.cos(math.pi * t / end)) / 2


def cubic(t, end):
    """What is left, of 1, at step t: from 1 at step 0 to 0 at step `end`, exactly (a Fraction)."""
    return (1 - min(Fraction(t, end), 1)) ** 3


@cache
def _first_steps(total, milestones):
    """The first step at or after each milestone."""
    return [math.ceil(Fraction(str(m)) * total) for m in milestones]
