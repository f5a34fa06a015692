"""What the grader of lesson 10 takes for right, by simulation and by the package."""

import math

import numpy as np
import pytest
from scipy import special

from lessons.solutions import ex10
from minidsr.run import compare


@pytest.mark.parametrize(("sd", "difference"), [(1.0, 1.0), (2.0, 1.5), (1.0, 0.5)])
def test_runs_needed_by_simulation(sd, difference):
    """Of 40,000 studies of n pairs 80 % and more lie above 0, and of n - 1 fewer; ± 0.8 % is four
    standard deviations."""
    rng = np.random.default_rng(0)
    n = ex10.runs_needed(sd, difference)
    for pairs, above in ((n, True), (n - 1, False)):
        x = rng.normal(difference, sd, (40_000, pairs))
        T = x.mean(1) * math.sqrt(pairs) / x.std(1, ddof=1)
        shown = (T > special.stdtrit(pairs - 1, 0.975)).mean()
        assert shown > 0.792 if above else shown < 0.808


def test_the_interval_is_that_of_report():
    a, b = np.random.default_rng(1).normal(70, 3, (2, 6))
    assert ex10.paired_interval(a, b, 0.95) == pytest.approx(compare.interval(list(a - b)))


def test_the_noise_of_a_test_set_by_simulation():
    right = np.random.default_rng(2).binomial(1000, 0.75, 20_000) / 10
    assert right.std() == pytest.approx(ex10.noise_of_test_set(75.0, 1000), rel=0.03)
