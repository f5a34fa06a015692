"""Lesson 10: paired_interval."""

import math
from itertools import product
from statistics import fmean, stdev, variance

from hypothesis import strategies as st
from scipy import special

from lessons.solutions import ex10 as solved
from minidsr.run.report import table

from .exercise import Exercise
from .judge import digits

LEVELS = (0.5, 0.9, 0.99)


def small():
    """Two to four pairs of accuracies; all are quarters, so that nothing is rounded."""
    for n in (2, 3):
        for a, b in product(product((70.0, 71.5, 75.0), repeat=n), repeat=2):
            yield list(a), list(b), 0.95
    pairs = [72.0, 75.0, 74.0, 71.25], [70.0, 72.0, 73.0, 74.5]
    yield from ((*pairs, level) for level in LEVELS)
    for n in (2, 3):
        yield from ((pairs[0][:n], pairs[1][:n], level) for level in LEVELS)


@st.composite
def cases(draw):
    n = draw(st.integers(2, 12))
    quarters = st.lists(st.integers(0, 400).map(lambda k: k / 4), min_size=n, max_size=n)
    return draw(quarters), draw(quarters), draw(st.sampled_from((0.95, 0.95, *LEVELS)))


def level(a, b, level):
    if len({x - y for x, y in zip(a, b, strict=True)}) == 1:
        return 3
    return 2 if level != 0.95 else int(len(a) == 2)


def two_numbers(g, a, b, level):
    """there are two numbers: the mean of the differences, and half of an interval, not below 0"""
    return len(g) == 2 and all(type(x) in (int, float) for x in g) and g[1] >= 0


def mean_of_differences(g, a, b, level):
    """the first is the mean of a[i] - b[i]"""
    return math.isclose(g[0] * len(a), math.fsum(a) - math.fsum(b), abs_tol=1e-6)


def no_wider_than_sure(g, a, b, level):
    """the second, divided by s / √n, is such a t that what follows Student's distribution with
    n - 1 degrees of freedom lies between -t and t with the probability `level`"""
    differences = [x - y for x, y in zip(a, b, strict=True)]
    s = math.sqrt(variance(differences))
    if s == 0:
        return g[1] < 1e-9
    t, k = g[1] * math.sqrt(len(a)) / s, len(a) - 1
    return abs(special.stdtr(k, t) - special.stdtr(k, -t) - level) < 1e-7


def picture(g, a, b, level):
    rows = [[str(i), f"{x:g}", f"{y:g}", f"{x - y:+g}"]
            for i, (x, y) in enumerate(zip(a, b, strict=True))]
    differences = [x - y for x, y in zip(a, b, strict=True)]
    said = f"{g[0]:g} ± {g[1]:g}" if isinstance(g, list) and len(g) == 2 else "?"
    return (f"level {level:g}\n\n" + table(rows, ["seed", "a", "b", "a - b"]) +
            f"\n\nmean {fmean(differences):g}, s {stdev(differences):g}, s / √n "
            f"{stdev(differences) / math.sqrt(len(a)):g}\nyours: {said}")


# --- mistakes


def unpaired(a, b, level):
    """a and b are taken for two groups that have nothing to do with each other. What do two runs of
    one seed have in common, that their difference loses?"""
    n = len(a)
    t = special.stdtrit(2 * n - 2, (1 + level) / 2)
    return fmean(a) - fmean(b), float(t) * math.sqrt((variance(a) + variance(b)) / n)


def as_if_normal(a, b, level):
    """This is the interval of the normal distribution, 1.96 for 95 %. With three pairs, Student's t
    has two degrees of freedom: how large is it there?"""
    return _with(a, b, special.ndtri((1 + level) / 2))


def always_1_96(a, b, level):
    """It is 1.96 s / √n. That t is for many pairs, and for 95 %: which is it for two?"""
    return _with(a, b, 1.96)


def divided_by_n(a, b, level):
    """s is divided by n, not by its root. A variance falls as 1 / n: how does its root?"""
    mean, half = solved.paired_interval(a, b, level)
    return mean, half / math.sqrt(len(a))


def one_sided(a, b, level):
    """5 % lie beyond it on one side, so 10 % on both. Which p gives 2.5 % on either side?"""
    return _with(a, b, special.stdtrit(len(a) - 1, level))


def one_degree_too_many(a, b, level):
    """There are n degrees of freedom. One of n differences follows from the others and their mean:
    how many are free?"""
    return _with(a, b, special.stdtrit(len(a), (1 + level) / 2))


def of_the_population(a, b, level):
    """The standard deviation is divided by n, not by n - 1, and comes out too small. What is the
    default of np.std, and of statistics.stdev?"""
    n = len(a)
    mean, half = solved.paired_interval(a, b, level)
    return mean, half * math.sqrt((n - 1) / n)


def of_one_pair(a, b, level):
    """This is where one more pair may lie, not where their mean does. What do more pairs change?"""
    mean, half = solved.paired_interval(a, b, level)
    return mean, half * math.sqrt(len(a))


def whole_width(a, b, level):
    """It is twice as wide. From where to where does mean ± half go?"""
    mean, half = solved.paired_interval(a, b, level)
    return mean, 2 * half


def other_way_round(a, b, level):
    """It is b - a. By how much is a better where a is 72, and b 70?"""
    mean, half = solved.paired_interval(a, b, level)
    return -mean, half


def ends(a, b, level):
    """These are the ends of the interval. Which two numbers does the docstring ask for?"""
    mean, half = solved.paired_interval(a, b, level)
    return mean - half, mean + half


def _with(a, b, t):
    differences = [x - y for x, y in zip(a, b, strict=True)]
    return fmean(differences), float(t) * stdev(differences) / math.sqrt(len(a))


paired_interval = Exercise(
    name="paired_interval", stars=2, minutes=15,
    small=small, cases=cases(),
    levels=("three pairs or more, 95 %", "two pairs", "another level than 95 %",
            "each pair differs by as much"),
    level=level,
    properties=(two_numbers, mean_of_differences, no_wider_than_sure),
    picture=picture,
    mistakes=(unpaired, as_if_normal, always_1_96, divided_by_n, one_sided,
              one_degree_too_many, of_the_population, of_one_pair, whole_width, other_way_round,
              ends),
    gist=digits,
    hints=(
        "Forget a and b once you have their differences. If you trained n more pairs, how much "
        "would the mean of these move about?",
        "Two steps. (1) The standard deviation s of the differences, with n - 1 below; their mean "
        "moves about by s / sqrt(n). (2) Times the t that leaves half of what is missing to 100 % "
        "above it.",
        "At level 0.95, 2.5 % lie above t: so stdtrit is asked for 0.975, with n - 1 degrees of "
        "freedom. For two pairs t is 12.7, for three 4.3, for many 1.96."),
    hidden=("minidsr.run.compare.interval",))
