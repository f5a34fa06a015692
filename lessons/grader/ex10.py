"""Comparing fairly.

By how much, how sure, with how many runs, and whether at all.
"""

import math
from itertools import product

from hypothesis import strategies as st
from scipy import special

from lessons.solutions import ex10 as solved

from .ex10_comparable import comparable
from .ex10_interval import paired_interval
from .exercise import Exercise

# --- noise_of_test_set: (accuracy, images) -> float


def small_sets():
    for images in (1, 4, 100, 1000, 10_000):
        yield from ((float(accuracy), images) for accuracy in (0, 1, 10, 25, 50, 75, 90, 99, 100))


set_cases = st.tuples(st.integers(0, 400).map(lambda n: n / 4), st.integers(1, 10**6))


def set_level(accuracy, images):
    return 0 if accuracy == 50 else 2 if accuracy in (0, 100) else 1


def a_number(g, accuracy, images):
    """there is one number, not below 0"""
    return type(g) in (int, float) and g >= 0


def binomial(g, accuracy, images):
    """its square is the variance of a mean: that of one image, which is right (100) or wrong (0),
    divided by the number of images"""
    p = accuracy / 100
    one = p * (100 - accuracy) ** 2 + (1 - p) * accuracy ** 2
    return math.isclose(g**2 * images, one, rel_tol=1e-9, abs_tol=1e-9)


def set_picture(g, accuracy, images):
    yours = "?" if g is None else f"{g:g}" if isinstance(g, float) else g
    return (f"{accuracy:g} % of all images, a test set of {images:,}\n\n"
            f"so {accuracy * images / 100:,g} are expected to be right\nyours: {yours} points")


def not_the_root(accuracy, images):
    """This is the variance, in squared percentage points. In which unit is a standard deviation?"""
    return accuracy * (100 - accuracy) / images


def in_shares(accuracy, images):
    """This is a share, not percentage points. How many points are 0.01?"""
    return solved.noise_of_test_set(accuracy, images) / 100


def at_worst(accuracy, images):
    """It is the same for any accuracy. How sure is it that a network which gets all images right
    gets the next one right?"""
    return 50 / math.sqrt(images)


def as_counts(accuracy, images):
    """An accuracy of 100 % does not vary at all. Which part of the variance is missing, that makes
    it 0 there?"""
    return 10 * math.sqrt(accuracy / images)


def half_an_interval(accuracy, images):
    """This is 1.96 times too much: half of a 95 % interval. What does the docstring ask for?"""
    return 1.96 * solved.noise_of_test_set(accuracy, images)


noise_of_test_set = Exercise(
    name="noise_of_test_set", stars=1, minutes=5,
    small=small_sets, cases=set_cases,
    levels=("half of the images are right", "another share is", "all of them, or none"),
    level=set_level,
    properties=(a_number, binomial),
    picture=set_picture,
    mistakes=(not_the_root, in_shares, at_worst, as_counts, half_an_interval),
    hints=(
        "One image is right (100) or wrong (0). With which mean, and with which variance?",
        "The variance of a mean of n independent numbers is that of one, divided by n: "
        "p (1 - p) / n, with p as a share.",
        "In percentage points everything is a hundred times larger, and its variance ten thousand "
        "times. Take the root at the end."))


# --- runs_needed: (sd, difference) -> int


def small_effects():
    yield from product((0.5, 1.0, 2.0), (0.25, 0.5, 1.0, 1.5, 2.0, 3.0, 8.0, 30.0))
    yield from ((1.2, 3.9), (1.5, 1.6), (0.9, 0.7))  # where one degree of freedom more shows
    yield from ((0.5, 1.6), (0.6, 1.0))  # where it does not, and a t that is moved does


effect_cases = st.tuples(st.integers(1, 40), st.integers(1, 80)).map(
    lambda pair: (pair[0] / 10, pair[1] / 10)).filter(lambda pair: pair[1] / pair[0] > 0.1)


def effect_level(sd, difference):
    n = solved.runs_needed(sd, difference)
    return 0 if 2 < n <= 10 else 1 if n > 10 else 2


def power(n, sd, difference):
    """How often n pairs show it."""
    t, off = special.stdtrit(n - 1, 0.975), difference * math.sqrt(n) / sd
    return special.nctdtr(n - 1, -off, -t)  # what is off by so much the other way, is below -t


def a_number_of_runs(g, sd, difference):
    """there is one whole number, at least 2"""
    return type(g) is int and g >= 2


def enough(g, sd, difference):
    """with so many pairs, at least 80 of 100 studies show the difference"""
    return power(g, sd, difference) >= 0.8


def no_more_than_needed(g, sd, difference):
    """with one pair less, fewer than 80 of 100 studies show it"""
    return g == 2 or power(g - 1, sd, difference) < 0.8


def effect_picture(g, sd, difference):
    lines = [f"difference {difference:g}, standard deviation {sd:g}", ""]
    n = solved.runs_needed(sd, difference)
    for pairs in sorted({2, max(2, n - 1), n, g if type(g) is int and 2 <= g <= 10**5 else n}):
        mark = "   <- yours" if pairs == g else ""
        lines.append(f"{pairs:>7,} pairs: {100 * power(pairs, sd, difference):5.1f} of 100 studies "
                     f"show it{mark}")
    return "\n".join(lines if g is not None else lines[:1])


def as_if_normal(sd, difference):
    """The normal distribution stands in for Student's t. With few pairs, how well is their standard
    deviation known?"""
    return max(2, math.ceil(((1.959964 + 0.841621) * sd / difference) ** 2))


def one_degree_too_many(sd, difference):
    """The noncentral t has n degrees of freedom. How many of n differences are free, beside their
    mean?"""
    n = 2
    while 1 - special.nctdtr(n, difference * math.sqrt(n) / sd,
                             special.stdtrit(n - 1, 0.975)) < 0.8:
        n += 1
    return n


def half_the_time(sd, difference):
    """The interval of so many pairs is as narrow as the difference: then half of all studies show
    it. How many should?"""
    n = 2
    while special.stdtrit(n - 1, 0.975) * sd / math.sqrt(n) > difference:
        n += 1
    return n


def one_sided(sd, difference):
    """5 % are on one side. How many lie beyond t on either side of a 95 % interval?"""
    n = 2
    while 1 - special.nctdtr(n - 1, difference * math.sqrt(n) / sd,
                             special.stdtrit(n - 1, 0.95)) < 0.8:
        n += 1
    return n


def moved(sd, difference):
    """Student's t is moved by the difference, and keeps its form. How is T distributed where there
    is a difference? What does the docstring call that?"""
    n = 2
    while 1 - special.stdtr(n - 1, special.stdtrit(n - 1, 0.975)
                            - difference * math.sqrt(n) / sd) < 0.8:
        n += 1
    return n


def by_the_variance(sd, difference):
    """The difference is divided by the variance. With everything in tenths of points, what would
    come out?"""
    return solved.runs_needed(sd**2, difference)


def of_two_groups(sd, difference):
    """This is for runs that are not in pairs, where each group has this standard deviation. Of what
    is it here?"""
    return solved.runs_needed(math.sqrt(2) * sd, difference)


runs_needed = Exercise(
    name="runs_needed", stars=2, minutes=15,
    small=small_effects, cases=effect_cases,
    levels=("three to ten pairs are enough", "it takes more", "two are enough"),
    level=effect_level,
    properties=(a_number_of_runs, enough, no_more_than_needed),
    picture=effect_picture,
    mistakes=(as_if_normal, one_degree_too_many, half_the_time, one_sided, moved, by_the_variance,
              of_two_groups),
    hints=(
        "With n pairs, for which t does the interval just touch 0? And if there is a difference, "
        "where does T lie, in the middle?",
        "Try n = 2, 3, 4, ... and compute for each how probable it is that T is above t. The first "
        "n with 0.8 is the answer.",
        "T is off by difference * sqrt(n) / sd, which grows with n; t falls with n. Both have "
        "n - 1 degrees of freedom."))

EXERCISES = [paired_interval, noise_of_test_set, runs_needed, comparable]
