"""Quantities that change in the course of training: plain functions of the step."""

import math
from bisect import bisect_right
from fractions import Fraction
from functools import cache
from itertools import pairwise

from .checks import check_range, shown

MOST_PHASES = 100  # of a schedule
LONGEST = 10**9  # steps between two reallocations
PAPER_PERIODS, PAPER_STEPS = (100, 200, 400, 800), 100_000  # of WRN-28-2
SHORTEST = 10  # steps in which a new weight can become worth comparing: a guess


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


def scaled_periods(total):
    """The paper's periods in proportion to a training of `total` steps, none under SHORTEST."""
    return tuple(max(SHORTEST, round(period * total / PAPER_STEPS)) for period in PAPER_PERIODS)


def last_reallocation(total, milestones, periods, stop):
    """The last step at which reallocates() holds, or None."""
    ends = [*_first_steps(total, tuple(milestones)), total]
    starts = [1, *ends[:-1]]
    for start, end, period in reversed(list(zip(starts, ends, periods, strict=True))):
        t = (min(end, math.ceil(stop * total)) - 1) // period * period
        if t >= max(1, start):
            return t
    return None


def check_periods(periods, milestones):
    """Raise ValueError unless these are periods of reallocates(), and the milestones between."""
    if not 1 <= len(periods) <= MOST_PHASES:
        raise ValueError(f"periods must be 1 to {MOST_PHASES}, not {len(periods)}")
    for period in periods:
        check_range("each of periods", period, 1, LONGEST)
    none = "; for none write it without a number" if len(periods) == 1 else ""
    if len(milestones) != len(periods) - 1:
        raise ValueError(f"--periods has {len(periods)}, so --period-milestones needs "
                         f"{len(periods) - 1}, where each next period begins, not "
                         f"{len(milestones)}{none}")
    check_milestones("period_milestones", milestones)


def check_milestones(name, milestones):
    """Raise ValueError unless these are fractions of training, each larger than the one before."""
    if not (len(milestones) < MOST_PHASES and all(0 <= m <= 1 for m in milestones)
            and all(a < b for a, b in pairwise(milestones))):
        raise ValueError(f"{name} must be increasing, within [0, 1], and fewer than "
                         f"{MOST_PHASES}, not {shown(milestones)}")


def cosine(t, end, first, last=0.0):
    """From `first` at step 0 to `last` at step `end`, along half a cosine."""
    return last + (first - last) * (1 + math.cos(math.pi * t / end)) / 2


def cubic(t, end, first, last):
    """From `first` at step 0 to `last` at step `end`, steep at first: whole, rounded down."""
    return last + int((first - last) * (1 - min(Fraction(t, end), 1)) ** 3)


def exponential(t, end, first, last):
    """From `first` at step 0 to `last` at step `end`, by the same factor each step: whole, rounded.

    No factor leads to 0: it goes as if to 1, and is 0 at the end.
    """
    if t >= end or not first:
        return last
    return round(first * (max(last, 1) / first) ** (t / end))


def warm_up(t, steps):
    """The share of the learning rate at step t, where it rises for so many steps: evenly, to 1."""
    return min(1.0, (t + 1) / steps) if steps else 1.0


def _step(t, total, config):
    rates = [config.lr * config.lr_factor ** i for i in range(len(config.lr_milestones) + 1)]
    return piecewise(t, total, config.lr_milestones, rates)


def _cosine(t, total, config):
    return cosine(t, total, config.lr)


# Learning rates by the name that `--lr-schedule` takes: functions of the step t, of `total` steps,
# and the Config. Trainer.lr() multiplies what they return by warm_up().
SCHEDULES = {"step": _step, "cosine": _cosine}


@cache
def _first_steps(total, milestones):
    """The first step at or after each milestone."""
    return [math.ceil(Fraction(str(m)) * total) for m in milestones]
