"""Lesson 12: shifted_conv."""

import numpy as np
from hypothesis import strategies as st

from lessons.exercises.ex12 import conv_on_the_host
from lessons.solutions import ex12 as solved
from minidsr.nn.layers import Conv2d
from minidsr.parameters import Sparse
from minidsr.proof import naive
from minidsr.proof.cases import seeds

from .exercise import Exercise, Plug
from .grids import drawn, quarters, whole
from .judge import digits

STATIC = {"method": "static", **dict.fromkeys(("periods", "period_milestones", "threshold"))}


def small():
    for seed, (N, C, F, H, W, k, m, p) in enumerate((
            (1, 1, 1, 2, 2, 1, 1, 0), (1, 1, 1, 3, 3, 2, 1, 0), (1, 1, 1, 3, 2, 2, 1, 0),
            (1, 2, 1, 2, 2, 2, 1, 0), (1, 1, 2, 2, 3, 2, 1, 0), (2, 2, 3, 3, 3, 2, 1, 0),
            (1, 1, 1, 3, 3, 2, 2, 0), (1, 1, 1, 3, 3, 2, 4, 0), (1, 2, 1, 2, 3, 2, 5, 0),
            (2, 2, 2, 3, 3, 3, 9, 0), (2, 3, 2, 4, 3, 2, 0, 0), (1, 2, 2, 3, 3, 1, 3, 0),
            (1, 1, 1, 2, 2, 3, 1, 1), (1, 1, 1, 3, 3, 3, 4, 1), (1, 2, 2, 3, 2, 3, 9, 1),
            (2, 1, 2, 2, 2, 2, 3, 2), (2, 2, 2, 1, 3, 3, 0, 1), (1, 2, 3, 2, 2, 1, 4, 1))):
        for more in (0, 100, 200):
            yield _case(seed + more, (N, C, H, W), (F, C, k, k), m, p, whole)
        holed = _with_nan(*_case(seed, (N, C + 1, H, W), (F, C + 1, k, k), m, p, whole))
        if len(holed[1]):
            yield holed


@st.composite
def cases(draw):
    N, C, F, H, W = (draw(st.integers(1, most)) for most in (2, 3, 3, 5, 5))
    p = draw(st.integers(0, 2))
    k = draw(st.integers(1, min(3, min(H, W) + 2 * p)))
    case = _case(draw(seeds), (N, C, H, W), (F, C, k, k), draw(st.integers(0, F * C * k * k)), p,
                 quarters)
    return draw(st.sampled_from((case, _with_nan(*case))))


def _case(seed, of_x, shape, m, p, numbers):
    x, value = numbers(seed, of_x, (m,))
    index = np.sort(np.random.default_rng(seed).choice(np.prod(shape), m, replace=False))
    return x, index, value, shape, p


def _with_nan(x, index, value, shape, p):
    """The same, where no pixel is a number of the channels that no weight looks at; of the last
    one, none does."""
    keep = np.unravel_index(index, shape)[1] < shape[1] - 1
    x, index, value = x.copy(), index[keep], value[keep]
    x[:, np.setdiff1d(np.arange(shape[1]), np.unravel_index(index, shape)[1])] = np.nan
    return x, index, value, shape, p


def level(x, index, value, shape, p):
    if np.isnan(x).any():
        return 3
    return 2 if p else int(len(index) != 1)


def dense(index, value, shape):
    w = np.zeros(np.prod(shape))
    w[index] = value
    return w.reshape(shape)


def right(x, index, value, shape, p):
    return naive.conv2d(np.nan_to_num(x), dense(index, value, shape), 1, p)


def shape_of_y(g, *case):
    """there are N images with F channels of OH by OW pixels"""
    return np.shape(g) == right(*case).shape or (
        f"it must be {right(*case).shape}, yours is {np.shape(g)}")


def as_loops_have_it(g, *case):
    """each pixel is what plain loops compute, with the weights that are there"""
    wrong = np.argwhere(np.array(g) != right(*case))
    return not len(wrong) or f"not so at y[{', '.join(map(str, wrong[0]))}]"


def picture(g, x, index, value, shape, p):
    f, c, ky, kx = np.unravel_index(index, shape)
    lines = [f"p = {p}, shape = {shape}; {'its' if len(index) else 'no'} weights:",
             *(f"  position {i}, which is [{', '.join(map(str, at))}]: {v:g}"
               for i, v, *at in zip(index, value, f, c, ky, kx, strict=True))]
    rows = [{"x": x}, {"y": right(x, index, value, shape, p)}, *[{"yours": g}] * (g is not None)]
    return "\n\n".join(["\n".join(lines), *map(drawn, rows)])


# --- mistakes


def multiplies_zeros(x, index, value, shape, p):
    """The zeros are multiplied, too: dense weights are built, and all of them used. What is 0 times
    nan? And how long does it take for a weight that is not there?"""
    with np.errstate(invalid="ignore"):
        return naive.conv2d(x, dense(index, value, shape), 1, p)


def zeros_of_a_tap(x, index, value, shape, p):
    """A tap without a weight is left out; where one has some, the zeros beside them are multiplied,
    too. What is 0 times nan? And how long does it take for a weight that is not there?"""
    with np.errstate(invalid="ignore"):
        return conv_on_the_host(x, dense(index, value, shape), 1, p)


def _each(x, index, value, shape, p, taken, *, add=True):
    """`taken(padded, c, ky, kx, OH, OW)` of each weight."""
    k = shape[2]
    OH, OW = (size + 2 * p - k + 1 for size in x.shape[2:])
    padded = np.pad(x, ((0, 0), (0, 0), (p, p), (p, p)))
    y = np.zeros((len(x), shape[0], OH, OW))
    for v, f, c, ky, kx in zip(value, *np.unravel_index(index, shape), strict=True):
        more = v * taken(padded, c, ky, kx, OH, OW)
        y[:, f] = y[:, f] + more if add else more
    return y


def overwrites(x, index, value, shape, p):
    """Only the last weight of each filter is left. What of the others, if y[:, f] is set anew for
    each?"""
    return _each(x, index, value, shape, p, add=False, taken=lambda image, c, ky, kx, OH, OW:
                 image[:, c, ky:ky + OH, kx:kx + OW])


def comes_round(x, index, value, shape, p):
    """The images are rolled: what leaves on one side comes in on the other. Which rows and columns
    does a tap see, by the docstring of lesson 1: from which on, and how many?"""
    def rolled(image, c, ky, kx, OH, OW):
        return np.roll(image[:, c], (ky, kx), (1, 2))[:, :OH, :OW]
    return _each(x, index, value, shape, p, rolled)


def column_first(x, index, value, shape, p):
    """Row and column of a tap are exchanged. In w[f, c, ky, kx], which one runs fastest?"""
    return _each(x, index, value, shape, p, lambda image, c, ky, kx, OH, OW:
                 _cut(image[:, c], kx, ky, OH, OW))


def flipped(x, index, value, shape, p):
    """The kernel is turned by half a turn. Does tap (0, 0) see the upper left pixel of a window, or
    the lower right one?"""
    k = shape[2]
    return _each(x, index, value, shape, p, lambda image, c, ky, kx, OH, OW:
                 _cut(image[:, c], k - 1 - ky, k - 1 - kx, OH, OW))


def _cut(image, ky, kx, OH, OW):
    return image[:, ky:ky + OH, kx:kx + OW]


def channels_first(x, index, value, shape, p):
    """Positions are taken apart as if channels came before filters. Of (F, C, k, k), which axis
    runs slowest?"""
    F, C, k, _ = shape
    c, f, ky, kx = np.unravel_index(index, (C, F, k, k))
    at = np.ravel_multi_index((f, c, ky, kx), shape)
    return _each(x, at, value, shape, p, lambda image, c, ky, kx, OH, OW:
                 _cut(image[:, c], ky, kx, OH, OW))


def pads_the_end(x, index, value, shape, p):
    """All zeros are below and right of the image. On how many sides should they be?"""
    padded = np.pad(x, ((0, 0), (0, 0), (0, 2 * p), (0, 2 * p)))
    return solved.shifted_conv(padded, index, value, shape, 0)


def without_pad(x, index, value, shape, p):
    """There is no pad: y is too small, or the zeros are around it. What does a window see that
    begins outside of the image?"""
    y = solved.shifted_conv(x, index, value, shape, 0) if min(x.shape[2:]) >= shape[2] else (
        np.zeros((len(x), shape[0], 0, 0)))
    return np.pad(y, ((0, 0), (0, 0), (p, p), (p, p)))


def cuts_fractions(x, index, value, shape, p):
    """What comes out is whole numbers: fractions are cut off."""
    return solved.shifted_conv(x, index, value, shape, p).astype(int)


def as_forward(f):
    ours = Conv2d.forward

    def forward(layer, x, train=False):
        W = layer.weight
        if not isinstance(W, Sparse) or layer.stride != 1:
            return ours(layer, x, train)
        layer.cache = (x,) if train else None
        return np.ascontiguousarray(f(x, W.index, W.value, W.shape, layer.pad), x.dtype)
    return forward


shifted_conv = Exercise(
    name="shifted_conv", stars=3, minutes=30,
    small=small, cases=cases(),
    levels=("one weight, no pad", "several weights, or none", "a pad",
            "pixels that are no numbers, where no weight is"), level=level,
    properties=(shape_of_y, as_loops_have_it), picture=picture, gist=digits,
    mistakes=(multiplies_zeros, zeros_of_a_tap, overwrites, comes_round, column_first, flipped,
              channels_first, pads_the_end, without_pad),
    lazy=(cuts_fractions,),
    hints=(
        "There is one weight, in the upper right corner of a kernel of 2 × 2. Which pixels does it "
        "meet, in which order?",
        "np.unravel_index says of each position which filter, channel, row and column it is. Pad "
        "the images once, before the loop over weights.",
        "A weight (f, c, ky, kx) sees OH rows of the padded channel c from ky on, and OW columns "
        "from kx on. Times the weight, that is added to y[:, f], which begins as zeros."),
    plug=Plug(("minidsr.nn.layers.Conv2d.forward",), as_forward, STATIC, 20), seconds=5.0)
