"""Lesson 10, solved. The package has the first in run/compare.py, as interval, and the last as
comparable, for whole records of runs."""

import math
from statistics import fmean, stdev

from scipy import special


def paired_interval(a, b, level):
    differences = [x - y for x, y in zip(a, b, strict=True)]
    n = len(differences)
    t = special.stdtrit(n - 1, (1 + level) / 2)
    return fmean(differences), float(t) * stdev(differences) / math.sqrt(n)


def noise_of_test_set(accuracy, images):
    return math.sqrt(accuracy * (100 - accuracy) / images)


def runs_needed(sd, difference):
    n = 2
    while _power(n, difference * math.sqrt(n) / sd) < 0.8:
        n += 1
    return n


def _power(n, off):
    """How often the interval of n pairs lies above 0."""
    return 1 - special.nctdtr(n - 1, off, special.stdtrit(n - 1, 0.975))


def comparable(one, other):
    reasons = {key for key in ("model", "data", "seed", "batch", "epochs", "stop")
               if one[key] != other[key]}
    if "thin-dense" in (one["method"], other["method"]):
        reasons.discard("model")
    if one["method"] == other["method"] or "static" in (one["stop"], other["stop"]):
        reasons.discard("stop")
    few, many = sorted(run["sparse"] + run["dense"] for run in (one, other))
    if 100 * many > 101 * few:
        reasons.add("budget")
    if "test" in (one["chosen"], other["chosen"]):
        reasons.add("test")
    return sorted(reasons)
