"""See it move.

What is drawn, what must hold, how a case looks, and the typical mistakes.
"""

from itertools import product

from hypothesis import strategies as st

from minidsr.proof.cases import SPECIAL, networks, thresholds
from minidsr.run.report import table

from .exercise import Exercise
from .words import column

# --- below: (values, H) -> how many


def small_values():
    """Up to three weights: below H, H, and above, of both signs."""
    for n in range(4):
        for values in product([0.25, 0.5, 1.0, -0.25, -0.5, -1.0], repeat=n):
            yield list(values), 0.5


@st.composite
def values_and_threshold(draw):
    values = draw(st.lists(st.sampled_from(SPECIAL) | st.floats(-2, 2), max_size=8))
    equal = [abs(w) for w in values if w]
    return values, draw(thresholds() | st.sampled_from(equal or [1.0]))


def below_level(values, H):
    return 2 if H in map(abs, values) else int(any(w < 0 for w in values))


def is_a_count(g, values, H):
    """there is one whole number, from 0 to how many weights there are"""
    return type(g) is int and 0 <= g <= len(values)


def within(g, values, H):
    """it is how many weights lie between -H and H"""
    return g == len([w for w in values if -H < w < H])


def below_picture(g, values, H):
    rows = [[f"{w:g}", f"{abs(w):g}", "yes" if abs(w) < H else "no"] for w in values]
    drawn = table(rows, ["weight", "magnitude", f"below H = {H:g}"])
    count = sum(abs(w) < H for w in values)
    yours = "?" if g is None else g
    return f"{drawn if values else 'there are no weights'}\n\n{count} in all; yours: {yours}"


def without_abs(values, H):
    """What is -3 compared with H = 1, and what is its magnitude?"""
    return sum(w < H for w in values)


def not_strict(values, H):
    """A weight that equals H is counted, too. The paper's < is strict."""
    return sum(abs(w) <= H for w in values)


def above(values, H):
    """The weights that stay are counted. How many go?"""
    return sum(abs(w) >= H for w in values)


below = Exercise(
    name="below", stars=1, minutes=3,
    small=small_values, cases=values_and_threshold(),
    levels=("no weight is negative, none equals H", "some are negative", "some equal H"),
    level=below_level,
    properties=(is_a_count, within),
    picture=below_picture,
    mistakes=(without_abs, not_strict, above),
    hints=(
        "Which of 0.5, -2, 1 and -0.1 are nearer to 0 than 1 is?",
        "Go through the weights one by one, and count. abs(w) is the magnitude of w.",
        "Strictly: a weight that equals H is not below it."))


# --- density: (counts, sizes) -> list


def small_counts():
    """Up to three tensors with up to three positions."""
    pairs = [(m, n) for n in range(4) for m in range(n + 1)]
    for k in range(4):
        for chosen in product(pairs, repeat=k):
            yield [m for m, _ in chosen], [n for _, n in chosen]


@st.composite
def counts_and_sizes(draw):
    sizes = draw(st.lists(st.integers(0, 10**6), max_size=6))
    return [draw(st.integers(0, n)) for n in sizes], sizes


def density_level(counts, sizes):
    return int(0 in sizes)


def one_number_each(g, counts, sizes):
    """there is one number a tensor, from 0 to 1"""
    return len(g) == len(sizes) and all(type(d) in (int, float) and 0 <= d <= 1 for d in g)


def times_size_is_count(g, counts, sizes):
    """density times positions is the number of weights"""
    return all(abs(d * n - m) <= 1e-9 * n for d, m, n in zip(g, counts, sizes, strict=True))


def nothing_of_nothing(g, counts, sizes):
    """the density is 0 where there are no positions"""
    return all(d == 0 for d, n in zip(g, sizes, strict=True) if not n)


def density_picture(g, counts, sizes):
    yours = column(g, len(sizes))
    rows = [[str(i), f"{m:,}", f"{n:,}", str(d)]
            for i, (m, n, d) in enumerate(zip(counts, sizes, yours, strict=True))]
    return table(rows, ["tensor", "weights", "positions", "yours"]) if rows else "no tensors"


def whole_division(counts, sizes):
    """// drops what is behind the point. What is 1 // 4, and what is 1 / 4?"""
    return [m // n if n else 0 for m, n in zip(counts, sizes, strict=True)]


def of_all_positions(counts, sizes):
    """Each count is divided by the positions of all tensors. The density of a tensor is the share
    of its own positions."""
    return [m / sum(sizes) if n else 0 for m, n in zip(counts, sizes, strict=True)]


def in_percent(counts, sizes):
    """These are percent. A share of all is 1."""
    return [100 * m / n if n else 0 for m, n in zip(counts, sizes, strict=True)]


def sparsity(counts, sizes):
    """This is the share of positions without a weight, the sparsity. Density is the other one."""
    return [1 - m / n if n else 0 for m, n in zip(counts, sizes, strict=True)]


def left_out(counts, sizes):
    """A tensor without positions is left out. There is to be one number a tensor: what does the
    docstring say of it?"""
    return [m / n for m, n in zip(counts, sizes, strict=True) if n]


density = Exercise(
    name="density", stars=1, minutes=3,
    small=small_counts, cases=counts_and_sizes(),
    levels=("every tensor has positions", "a tensor has none"),
    level=density_level,
    properties=(one_number_each, times_size_is_count, nothing_of_nothing),
    picture=density_picture,
    mistakes=(whole_division, of_all_positions, in_percent, sparsity, left_out),
    hints=(
        "A tensor of 4,608 positions has 230 weights. Of a hundred positions, about how many have "
        "one?",
        "Two lists, side by side: zip(counts, sizes) gives pairs.",
        "Mind the tensor without positions: nothing can be divided by 0."))


# --- gains: (before, after) -> list


def small_positions():
    """One tensor with three positions, and none or two with two."""
    for tensors, positions in ((0, 0), (1, 3), (2, 2)):
        patterns = [[i for i in range(positions) if bits >> i & 1] for bits in range(2**positions)]
        for chosen in product(product(patterns, repeat=2), repeat=tensors):
            yield [before for before, _ in chosen], [after for _, after in chosen]


@st.composite
def two_networks(draw):
    """Where weights are in a network, and in another of the same sizes."""
    before = [W.index.tolist() for W in draw(networks())]
    after = [draw(st.lists(st.integers(0, 50), unique=True, max_size=20).map(sorted))
             for _ in before]
    return before, after


def gains_level(before, after):
    lost = any(set(old) - set(new) for old, new in zip(before, after, strict=True))
    return int(lost) + int(lost and any(set(old).isdisjoint(new) for old, new in zip(
        before, after, strict=True)))


def whole_numbers(g, before, after):
    """there is one whole number a tensor"""
    return len(g) == len(before) and all(type(x) is int for x in g)


def sums(g, before, after):
    """all gains together are how many more weights the network has"""
    return sum(g) == sum(map(len, after)) - sum(map(len, before))


def births_and_deaths(g, before, after):
    """each tensor's gain is what is new in it, less what has gone"""
    return all(x == len(set(new) - set(old)) - len(set(old) - set(new))
               for x, old, new in zip(g, before, after, strict=True))


def gains_picture(g, before, after):
    yours = column(g, len(before))
    rows = [[str(i), ", ".join(map(str, old)), ", ".join(map(str, new)), str(x)]
            for i, (old, new, x) in enumerate(zip(before, after, yours, strict=True))]
    return table(rows, ["tensor", "before", "after", "yours"], (1, 2)) if rows else "no tensors"


def only_births(before, after):
    """The new weights are counted, and not those that have gone. A tensor that loses two and grows
    two: how many more has it?"""
    return [len(set(new) - set(old)) for old, new in zip(before, after, strict=True)]


def backwards(before, after):
    """This is what each tensor has lost. Which way round is it?"""
    return [len(old) - len(new) for old, new in zip(before, after, strict=True)]


def never_negative(before, after):
    """A tensor that has lost weights has 0 here. By how many has it fewer?"""
    return [max(len(new) - len(old), 0) for old, new in zip(before, after, strict=True)]


gains = Exercise(
    name="gains", stars=1, minutes=5,
    small=small_positions, cases=two_networks(),
    levels=("no weight has gone", "weights have gone", "none of a tensor's weights has stayed"),
    level=gains_level,
    properties=(whole_numbers, sums, births_and_deaths),
    picture=gains_picture,
    mistakes=(only_births, backwards, never_negative),
    hints=(
        "conv2 had 230 weights and has 394. What has it gained?",
        "Which positions they are does not matter here, only how many.",
        "Do it tensor by tensor: zip(before, after) gives pairs of lists. Of a list, len says how "
        "many."))

EXERCISES = [below, density, gains]
