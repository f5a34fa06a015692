"""Fast, and on a GPU.

What a byte must bring, from where on sparse is faster, a convolution with the weights that exist,
and one that runs where the arrays are.
"""

from fractions import Fraction
from itertools import product

import numpy as np
from hypothesis import strategies as st

from minidsr.run.report import table

from .ex12_anywhere import conv_anywhere
from .ex12_shifted import shifted_conv
from .exercise import Exercise

# --- intensity: (N, C, F, k, OH, OW) -> float


def small_layers():
    return product((1, 2), (1, 3), (1, 2), (1, 2, 3), (1, 2), (1, 3))


def layer_cases():
    size = st.integers(1, 64)
    return st.tuples(size, size, size, st.integers(1, 7), size, size)


def layer_level(N, C, F, k, OH, OW):
    if N == C == F == 1:
        return int(k > 1)
    return 2


def a_number(g, *case):
    """there is one number, above 0"""
    return isinstance(g, (int, float)) and g > 0


def times_bytes(g, *case):
    """times the bytes it is the number of operations"""
    operations, moved = _operations(*case), 4 * sum(_numbers(*case))
    return abs(g * moved - operations) <= 1e-9 * operations


def _operations(N, C, F, k, OH, OW):
    return 2 * N * OH * OW * F * C * k * k


def _numbers(N, C, F, k, OH, OW):
    """How many are in x, w and y."""
    return N * C * OH * OW, F * C * k * k, N * F * OH * OW


def layer_picture(g, *case):
    x, w, y = _numbers(*case)
    sizes = ", ".join(f"{name} = {n}" for name, n in zip(("N", "C", "F", "k", "OH", "OW"), case,
                                                         strict=True))
    return (f"{sizes}\n\nnumbers     x {x:,}, w {w:,}, y {y:,}\n"
            f"operations  {_operations(*case):,}\nyours       {'?' if g is None else f'{g:g}'}")


def half_of_it(N, C, F, k, OH, OW):
    """It is half of it. What becomes of a product: is that an operation, too? And how many bytes
    has a number of float32?"""
    return _operations(N, C, F, k, OH, OW) / 2 / (4 * sum(_numbers(N, C, F, k, OH, OW)))


def one_product_for_a_kernel(N, C, F, k, OH, OW):
    """A number of y is taken to be one product for each channel. How many weights has a kernel?"""
    return _operations(N, C, F, 1, OH, OW) / (4 * sum(_numbers(N, C, F, k, OH, OW)))


def by_numbers(N, C, F, k, OH, OW):
    """It is divided by numbers. How many bytes has each of them?"""
    return _operations(N, C, F, k, OH, OW) / sum(_numbers(N, C, F, k, OH, OW))


def bytes_of_an_operation(N, C, F, k, OH, OW):
    """It is upside down: bytes for an operation. Which of the two should be large for what computes
    much?"""
    return 4 * sum(_numbers(N, C, F, k, OH, OW)) / _operations(N, C, F, k, OH, OW)


def without_y(N, C, F, k, OH, OW):
    """What comes out is not moved. Where does it stay?"""
    return _operations(N, C, F, k, OH, OW) / (4 * sum(_numbers(N, C, F, k, OH, OW)[:2]))


def without_weights(N, C, F, k, OH, OW):
    """Weights are not moved. Where do they come from?"""
    x, _, y = _numbers(N, C, F, k, OH, OW)
    return _operations(N, C, F, k, OH, OW) / (4 * (x + y))


def with_columns(N, C, F, k, OH, OW):
    """Columns are moved, with k * k copies of x. Must they be, or is that one way to do it?"""
    x, w, y = _numbers(N, C, F, k, OH, OW)
    return _operations(N, C, F, k, OH, OW) / (4 * (k * k * x + w + y))


def weights_for_each_image(N, C, F, k, OH, OW):
    """Weights are moved once for each image. How often does the docstring say?"""
    x, w, y = _numbers(N, C, F, k, OH, OW)
    return _operations(N, C, F, k, OH, OW) / (4 * (x + N * w + y))


intensity = Exercise(
    name="intensity", stars=1, minutes=10,
    small=small_layers, cases=layer_cases(),
    levels=("one weight", "one kernel", "several images, or channels"), level=layer_level,
    properties=(a_number, times_bytes), picture=layer_picture,
    mistakes=(half_of_it, one_product_for_a_kernel, by_numbers, bytes_of_an_operation, without_y,
              without_weights, with_columns, weights_for_each_image),
    hints=(
        "One weight, one pixel: how many operations are that, and how many numbers must move?",
        "A number of y is a sum of C k k products: two operations each. Then count the numbers of "
        "x, of w and of y.",
        "There are N * OH * OW pixels, each with C numbers in x and F in y; w is there once, for "
        "all images. Four bytes each."))


# --- crossing: (x, dense, sparse) -> float or None

CLOSE = 1e-9  # that rounding may move it


def small_races():
    for n in (1, 2, 3, 4):
        x, dense = [0, 0.5, 0.75, 0.875][:n], [4, 5, 4, 6][:n]
        for behind in product((-2, -1, 0, 1, 3), repeat=n):
            yield x, dense, [a + d for a, d in zip(dense, behind, strict=True)]


@st.composite
def race_cases(draw):
    x = sorted(draw(st.sets(st.integers(0, 99), min_size=1, max_size=8)))
    times = st.lists(st.integers(1, 40), min_size=len(x), max_size=len(x))
    return [i / 100 for i in x], draw(times), draw(times)


def behind(dense, sparse):
    """By how much sparse is behind, at each x."""
    return [Fraction(b) - Fraction(a) for a, b in zip(dense, sparse, strict=True)]


def race_level(x, dense, sparse):
    d = behind(dense, sparse)
    if d[-1] >= 0 or max(d) < 0:
        return 2
    first = next(i for i, one in enumerate(d) if one < 0)
    return 3 if max(d[first:]) >= 0 else int(0 in d)


def none_or_one_of_x(g, x, dense, sparse):
    """it is None where sparse is not faster at the last x; else from the first x to the last"""
    if g is None or sparse[-1] >= dense[-1]:
        return g is None and sparse[-1] >= dense[-1]
    return x[0] - CLOSE <= g <= x[-1] + CLOSE


def faster_from_there_on(g, x, dense, sparse):
    """at each x above it sparse is faster"""
    slow = [at for at, d in zip(x, behind(dense, sparse), strict=True) if d >= 0]
    return g is None or not slow or slow[-1] <= g + CLOSE or f"at {slow[-1]} it is not"


def lines_meet_there(g, x, dense, sparse):
    """the lines meet there, or it is the first x, and sparse is faster there"""
    if g is None:
        return True
    d = [*map(float, behind(dense, sparse))]
    meets = abs(np.interp(g, x, d)) <= 100 * CLOSE * max(map(abs, d))  # x are 0.01 apart, or more
    return meets or abs(g - x[0]) <= CLOSE and d[0] < 0


def race_picture(g, x, dense, sparse):
    rows = [[f"{at:g}", f"{a:g}", f"{b:g}", "sparse" if b < a else "dense" if a < b else "neither"]
            for at, a, b in zip(x, dense, sparse, strict=True)]
    return f"{table(rows, ['x', 'dense', 'sparse', 'faster'], left=(3,))}\n\nyours  {g}"


def first_meeting(x, dense, sparse):
    """It is where the lines meet the first time. Is sparse faster from there to the end?"""
    d = [b - a for a, b in zip(dense, sparse, strict=True)]
    first = next((i for i, one in enumerate(d) if one < 0), None)
    if d[-1] >= 0 or first is None:
        return None
    return x[0] if first == 0 else _meet(x, d, first - 1)


def first_measured(x, dense, sparse):
    """It is the first x from which on sparse is faster. Where between it and the one before do the
    lines meet?"""
    i = _last_behind(dense, sparse)
    return None if i + 1 == len(x) else x[i + 1]


def last_slower(x, dense, sparse):
    """It is the last x at which sparse is not faster. Where between it and the next one do the
    lines meet?"""
    i = _last_behind(dense, sparse)
    return None if i + 1 == len(x) else x[max(i, 0)]


def in_the_middle(x, dense, sparse):
    """It is in the middle of two x. Is sparse as far behind at the one as it is ahead at the other?
    """
    i = _last_behind(dense, sparse)
    return None if i + 1 == len(x) else (x[max(i, 0)] + x[i + 1]) / 2


def dense_is_flat(x, dense, sparse):
    """As if dense took as long at the next x. It was measured there, too."""
    i = _last_behind(dense, sparse)
    if i + 1 == len(x) or i < 0:
        return None if i + 1 == len(x) else x[0]
    fell = sparse[i] - sparse[i + 1]
    return x[i] + (x[i + 1] - x[i]) * (sparse[i] - dense[i]) / fell if fell else x[i]


def nowhere_if_always(x, dense, sparse):
    """Where sparse is always faster it is None: there the lines do not meet. What does the
    docstring want?"""
    i = _last_behind(dense, sparse)
    return None if i < 0 or i + 1 == len(x) else _meet(x, [
        b - a for a, b in zip(dense, sparse, strict=True)], i)


def last_if_never(x, dense, sparse):
    """Where sparse is never faster it is the last x. Who reads that will think that it is, there.
    """
    i = _last_behind(dense, sparse)
    if i < 0 or i + 1 == len(x):
        return x[i]
    return _meet(x, [b - a for a, b in zip(dense, sparse, strict=True)], i)


def _last_behind(dense, sparse):
    """-1 where sparse is always faster."""
    return max((i for i, d in enumerate(behind(dense, sparse)) if d >= 0), default=-1)


def _meet(x, d, i):
    return x[i] + (x[i + 1] - x[i]) * d[i] / (d[i] - d[i + 1])


crossing = Exercise(
    name="crossing", stars=1, minutes=10,
    small=small_races, cases=race_cases(),
    levels=("once, between two measurements", "once, at a measurement", "always or never faster",
            "more than once"), level=race_level,
    properties=(none_or_one_of_x, faster_from_there_on, lines_meet_there), picture=race_picture,
    mistakes=(first_meeting, first_measured, last_slower, in_the_middle, dense_is_flat,
              nowhere_if_always, last_if_never),
    hints=(
        "Sparse is 3 behind at one x, and 1 ahead at the next. How far between them is it even?",
        "Take differences, sparse less dense, and look from the end: which is the last that is not "
        "below 0? The lines meet between this x and the next one.",
        "What if there is no such difference, and what if it is the very last? A share of the way "
        "is the difference there, divided by how much it falls until the next x."))

EXERCISES = [intensity, crossing, shifted_conv, conv_anywhere]
