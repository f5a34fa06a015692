"""A convolution is a matrix product.

What is drawn, what must hold, how a case looks, and the typical mistakes.
"""

from itertools import product

import numpy as np
from hypothesis import strategies as st

from minidsr.nn import im2col
from minidsr.proof import naive
from minidsr.run.report import table

from .ex01_conv import conv
from .exercise import Exercise, Plug
from .grids import WINDOW_LEVELS, drawn, quarters, whole, window_level
from .plug import DENSE

# --- out_size: (size, k, s, p) -> int


def small_rows():
    for size, k, s, p in product(range(1, 9), range(1, 6), range(1, 4), range(4)):
        if k <= size + 2 * p:
            yield size, k, s, p


@st.composite
def row_cases(draw):
    size, p = draw(st.integers(1, 1000)), draw(st.integers(0, 20))
    return size, draw(st.integers(1, size + 2 * p)), draw(st.integers(1, 20)), p


def row_level(size, k, s, p):
    return window_level(size, size, k, s, p)


def a_whole_number(g, *case):
    """there is one whole number"""
    return type(g) is int


def the_last_fits(g, size, k, s, p):
    """the last of so many windows ends within the padded row"""
    return (g - 1) * s + k <= size + 2 * p


def no_other_fits(g, size, k, s, p):
    """one more window would not fit"""
    return g * s + k > size + 2 * p


def row_picture(g, size, k, s, p):
    words = (f"size = {size}, k = {k}, s = {s}, p = {p}; pixels, zeros of the pad, and windows:\n\n"
             f"  {'0' * p}{'■' * size}{'0' * p}\n")
    starts = range(0, size + 2 * p - k + 1, s)
    if len(starts) <= 20 and size + 2 * p <= 60:
        words += "".join(f"  {' ' * start}{'-' * k}\n" for start in starts)
    return f"{words}\nwindows  {len(starts)}\nyours    {'?' if g is None else g}"


def divides(size, k, s, p):
    """It may be 3.5 windows, or 4.0. What becomes of pixels that are left over, and which division
    gives whole numbers?"""
    return (size + 2 * p - k) / s + 1


def pads_once(size, k, s, p):
    """The pad is counted once. How many ends has a row?"""
    return (size + p - k) // s + 1


def without_the_first(size, k, s, p):
    """One window is missing. How many fit into a row that is just as long as a window?"""
    return (size + 2 * p - k) // s


def without_stride(size, k, s, p):
    """Windows begin at every pixel. How many pixels after the first does the second begin, by s?"""
    return size + 2 * p - k + 1


def over_the_end(size, k, s, p):
    """A window that reaches beyond the end is counted, too. What would it see there?"""
    return -(-(size + 2 * p - k) // s) + 1


out_size = Exercise(
    name="out_size", stars=1, minutes=5,
    small=small_rows, cases=row_cases(),
    levels=WINDOW_LEVELS, level=row_level,
    properties=(a_whole_number, the_last_fits, no_other_fits),
    picture=row_picture,
    mistakes=(divides, pads_once, without_the_first, without_stride, over_the_end),
    hints=(
        "Five pixels, windows of three, stride 1: at which pixels can a window begin?",
        "How far can the first window be pushed until it touches the end, and how many steps of s "
        "are in that?",
        "Steps are whole ones: // leaves out what is over. And the window that has not moved yet "
        "counts as well."),
    plug=Plug(("minidsr.nn.im2col.out_size",), config=DENSE, steps=20))


# --- columns: (x, k) -> (C*k*k, OH*OW)


def small_images():
    """Pixels that are all different, in order and in disorder."""
    for C, H, W in product((1, 2), (1, 2, 3), (1, 2, 3)):
        for k in range(1, min(H, W) + 1):
            pixels = np.arange(1.0, 1 + C * H * W)
            yield pixels.reshape(C, H, W), k
            yield np.random.default_rng(k).permutation(pixels).reshape(C, H, W), k


@st.composite
def image_cases(draw):
    shape = tuple(draw(st.integers(1, most)) for most in (4, 6, 6))
    k = draw(st.integers(1, min(*shape[1:], 4)))
    return *quarters(draw(st.integers(0, 10**6)), shape), k


def image_level(x, k):
    C, H, W = x.shape
    return 2 if H != W else int(C > 1)


def right_columns(x, k):
    return im2col.columns(x[None], k, 1, 0)


def shape_of_columns(g, x, k):
    """there are C k k rows and OH OW columns"""
    return np.shape(g) == right_columns(x, k).shape or f"yours is {np.shape(g)}"


def product_is_the_convolution(g, x, k):
    """weights, as rows, times the columns are the convolution"""
    C, H, W = x.shape
    w, = whole(0, (2, C, k, k))  # and by linearity all others
    loops = naive.conv2d(x[None], w, 1, 0).reshape(2, -1)
    wrong = np.flatnonzero((w.reshape(2, -1) @ np.array(g) != loops).any(0))
    if len(wrong):
        i, j = divmod(int(wrong[0]), W - k + 1)
        return f"not so for the window that begins in row {i}, column {j} of x: column {wrong[0]}"
    return True


def columns_picture(g, x, k):
    """What each row should hold; beside it yours, if there are as many."""
    right = right_columns(x, k)
    fits = g is not None and len(g) == len(right)
    rows = [[f"w[f, {', '.join(map(str, tap))}]", *map(_numbers, both)]
            for tap, *both in zip(np.ndindex(len(x), k, k), right, *[g] * fits, strict=True)]
    head = ["tap", "sees", *["yours"] * fits]
    text = f"k = {k}\n\n{drawn({'x': x})}\n\n{table(rows, head, left=(0, 1, 2))}"
    return text if fits or g is None else f"{text}\n\n{drawn({'yours': g})}"


def _numbers(row):
    return " ".join(f"{number:g}" for number in row)


def taps_before_channels(x, k):
    """Rows are in the order (ky, kx, c). Which of w's axes c, ky, kx runs fastest in
    w.reshape(F, -1)?"""
    C = len(x)
    return right_columns(x, k).reshape(C, k * k, -1).transpose(1, 0, 2).reshape(C * k * k, -1)


def windows_as_rows(x, k):
    """Each window is a row. Which shape must the product with w have, and which has it?"""
    return right_columns(x, k).T


def kernel_by_columns(x, k):
    """The tap kx comes before ky. Where in the window does w[f, c, 0, 1] lie: right of the first
    pixel, or below it?"""
    return right_columns(x.transpose(0, 2, 1), k).reshape(
        len(x), k * k, x.shape[2] - k + 1, -1).swapaxes(2, 3).reshape(len(x) * k * k, -1)


def windows_by_columns(x, k):
    """Windows go down the image first. Which pixel of y is y[0, 0, 1]?"""
    C, H, W = x.shape
    cols = right_columns(x, k).reshape(C * k * k, H - k + 1, W - k + 1)
    return cols.swapaxes(1, 2).reshape(C * k * k, -1)


def as_if_square(x, k):
    """As many windows are taken down the image as across. Has each image as many rows as columns?
    """
    OH = x.shape[1] - k + 1
    return np.array([x[c, ky:ky + OH, kx:kx + OH].reshape(-1)
                     for c in range(len(x)) for ky in range(k) for kx in range(k)])


def as_im2col(f):
    def columns(x, k, s, p):
        padded = np.pad(x, ((0, 0), (0, 0), (p, p), (p, p)))
        OH, OW = (size - k + 1 for size in padded.shape[2:])
        every = [np.reshape(f(image, k), (-1, OH, OW))[:, ::s, ::s].reshape(len(x[0]) * k * k, -1)
                 for image in padded]
        return np.ascontiguousarray(np.hstack(every), x.dtype)
    return columns


columns = Exercise(
    name="columns", stars=2, minutes=20,
    small=small_images, cases=image_cases(),
    levels=("one channel, a square image", "several channels", "an image that is not square"),
    level=image_level,
    properties=(shape_of_columns, product_is_the_convolution),
    picture=columns_picture,
    mistakes=(taps_before_channels, windows_as_rows, kernel_by_columns, windows_by_columns,
              as_if_square),
    hints=(
        "An image of 3 × 3 pixels, a kernel of 2 × 2: how many windows are there, and which four "
        "pixels does the first one see?",
        "Take it by rows: one row is for one tap (c, ky, kx). What this tap sees while the window "
        "slides is the image itself, cut out, shifted by ky and kx.",
        "Of channel c that is OH rows from ky on and OW columns from kx on, laid out flat. The "
        "rows are in the order of w: c slowest, kx fastest."),
    plug=Plug(("minidsr.nn.im2col.columns",), as_im2col, DENSE, 20),
    hidden=("minidsr.proof.naive.conv2d",))


# --- multiplications: (N, C, F, k, OH, OW, free) -> int


def small_convolutions():
    for N, C, F, k, OH, OW in product((1, 2), (1, 3), (1, 2), (1, 2, 3), (1, 2), (1, 3)):
        yield from ((N, C, F, k, OH, OW, free) for free in (None, 0, 1, F * C * k * k))


@st.composite
def convolution_cases(draw):
    N, C, F, OH, OW = (draw(st.integers(1, 4)) for _ in range(5))
    k = draw(st.integers(1, 3))
    return N, C, F, k, OH, OW, draw(st.none() | st.integers(0, F * C * k * k))


def free_level(N, C, F, k, OH, OW, free):
    return 0 if free is None else 2 if free == 0 else 1


def a_count(g, *case):
    """there is one whole number"""
    return type(g) is int


def as_counted(g, N, C, F, k, OH, OW, free):
    """it is how often loops multiply"""
    weights = [*product(range(F), range(C), range(k), range(k))][:free]
    count = 0
    for _ in product(range(N), range(OH), range(OW)):
        count += len(weights)
    return g == count or f"loops over images, pixels and weights do so {count:,} times"


def kernel_of_one_row(N, C, F, k, OH, OW, free=None):
    """A kernel is counted with k weights. How many rows of k has it?"""
    return N * OH * OW * (F * C * k if free is None else free)


def one_image(N, C, F, k, OH, OW, free=None):
    """It is the count for one image. There are N."""
    return OH * OW * (F * C * k * k if free is None else free)


def one_channel(N, C, F, k, OH, OW, free=None):
    """It is the count for one channel of the images. A pixel that comes out is a sum over all C."""
    return N * OH * OW * (F * k * k if free is None else free)


def free_of_each_filter(N, C, F, k, OH, OW, free=None):
    """The free weights are counted once for each filter. Is `free` of one, or of all together?"""
    return N * OH * OW * F * (C * k * k if free is None else free)


def no_weight_is_all(N, C, F, k, OH, OW, free=None):
    """No weights cost as much as all. What does `free or ...` give where free is 0? Ask for None:
    `free is None`."""
    return N * OH * OW * (free or F * C * k * k)


multiplications = Exercise(
    name="multiplications", stars=1, minutes=5,
    small=small_convolutions, cases=convolution_cases(),
    levels=("every position has a weight", "some have", "none has"), level=free_level,
    properties=(a_count, as_counted),
    mistakes=(kernel_of_one_row, one_image, one_channel, free_of_each_filter, no_weight_is_all),
    hints=(
        "One number of y: how many products is it the sum of?",
        "That, times how many numbers y has. With `free`, ask of one weight how often it is used.",
        "Each weight meets one pixel in each window of each image, and belongs to one filter. "
        "Mind free = 0, which Python takes for False."))

EXERCISES = [out_size, columns, conv, multiplications]
