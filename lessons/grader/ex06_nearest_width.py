"""Lesson 6: nearest_width. In the place of `count`, a case has a table: the count of each width."""

from itertools import pairwise

from hypothesis import strategies as st

from .exercise import Exercise

GRID = [i / 100 for i in range(1, 101)]


def inside(f, budget, counts):
    """What f answers where count() looks up the nearest width in this table."""
    return f(budget, lambda width: counts[round(100 * width) - 1])


def counts_of(layers):
    """How many parameters a chain of dense layers has, at each width: all but its first and last
    units are scaled."""
    def count(width):
        first, *inner, last = layers
        units = [first, *(max(1, round(width * n)) for n in inner), last]
        return sum(a * b + b for a, b in pairwise(units))
    return [count(width) for width in GRID]


def small():
    """Some networks, budgets at the counts of some of their widths and between them."""
    for layers in ((1, 2, 1), (2, 5, 3), (3, 8, 4, 2), (4, 30, 30, 3), (1, 100, 1)):
        counts = counts_of(layers)
        budgets = {round(counts[-1] * k / 20) for k in range(21)} | {counts[-1] - 1, counts[49]}
        yield from ((budget, counts) for budget in sorted(budgets))


@st.composite
def cases(draw):
    counts = counts_of(draw(st.lists(st.integers(1, 300), min_size=3, max_size=5)))
    below_half_way = [(a + b - 1) // 2 for a, b in pairwise(counts)]
    return draw(st.integers(0, counts[-1]) | st.sampled_from(counts + below_half_way)), counts


def level(budget, counts):
    return 0 if budget in counts else 2 if budget < counts[0] else 1


def on_the_grid(g, budget, counts):
    """it is one of 0.01, 0.02, ..., 1.0, to the last digit"""
    return g in GRID


def none_is_nearer(g, budget, counts):
    """no width of these has a count that is nearer the budget"""
    best = _nearest(budget, counts)
    return abs(counts[GRID.index(g)] - budget) == abs(counts[best] - budget)


def _nearest(budget, counts):
    return min(range(100), key=lambda i: abs(counts[i] - budget))


def picture(g, budget, counts):
    best = _nearest(budget, counts)
    shown = {*range(best - 2, best + 3), GRID.index(g) if g in GRID else best} & {*range(100)}
    lines = [f"{GRID[i]:<4}  count {counts[i]:>7,}, {abs(counts[i] - budget):,} away"
             + "  ← yours" * (GRID[i] == g) for i in sorted(shown)]
    said = "" if g is None or g in GRID else f", yours {g}"
    return "\n".join([f"budget {budget:,}{said}", "", *lines])


# --- mistakes


def never_above(budget, count):
    """It is the widest network that does not exceed the budget. Is the next one up nearer?"""
    return max((w for w in GRID if count(w) <= budget), default=GRID[0])


def never_below(budget, count):
    """It is the first network that reaches the budget. Is the one before it nearer?"""
    return next(w for w in GRID if count(w) >= budget)


def beside_the_grid(budget, count):
    """The width is off by a hair: it was made of steps of 0.01. Print 0.01 + 5 * 0.01, and 6 / 100.
    """
    return min((0.01 + i * 0.01 for i in range(100)), key=lambda w: abs(count(w) - budget))


def by_the_root(budget, count):
    """The width is the root of the share that the budget is of the full network. Do all layers grow
    with the square of the width?"""
    return min(max(round((budget / count(1.0)) ** 0.5, 2), 0.01), 1.0)


def in_percent(budget, count):
    """This is the width in percent. What does count() take?"""
    return min(range(1, 101), key=lambda i: abs(count(i / 100) - budget))


def half(budget, count):
    """Half the channels, whatever the budget."""
    return 0.5


nearest_width = Exercise(
    name="nearest_width", stars=2, minutes=15,
    small=small, cases=cases(), inside=inside,
    levels=("a width has the budget exactly", "the budget lies between two counts",
            "even the smallest network exceeds the budget"),
    level=level,
    properties=(on_the_grid, none_is_nearer),
    picture=picture,
    mistakes=(never_above, never_below, beside_the_grid, by_the_root, in_percent),
    lazy=(half,),
    hints=(
        "count(0.26) is 133 above the budget, count(0.25) 250 below it. Which width is it?",
        "There are a hundred widths. How far from the budget is the count of each?",
        "Make the widths from whole numbers, i / 100: sums of 0.01 are not on the grid. min() with "
        "a key finds the nearest."))
