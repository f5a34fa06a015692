"""Lesson 1: conv."""

import numpy as np

from lessons.solutions import ex01 as solved
from minidsr.proof import naive

from .exercise import Exercise, Plug
from .grids import SMALL, WINDOW_LEVELS, drawn, quarters, sizes, whole, window_level
from .plug import DENSE


def small():
    for seed, (N, C, F, H, W, k, s, p) in enumerate(SMALL):
        yield *whole(seed, (N, C, H, W), (F, C, k, k)), s, p


def cases():
    return sizes().map(_case)


def _case(drawn):
    (N, C, F, H, W, k, s, p), seed = drawn
    return *quarters(seed, (N, C, H, W), (F, C, k, k)), s, p


def level(x, w, s, p):
    return window_level(*x.shape[2:], w.shape[2], s, p)


def shape_of_y(g, x, w, s, p):
    """there are N images with F channels of OH by OW pixels"""
    OH, OW = (naive.out_size(size, w.shape[2], s, p) for size in x.shape[2:])
    right = len(x), len(w), OH, OW
    return np.shape(g) == right or f"it must be {right}, yours is {np.shape(g)}"


def as_loops_have_it(g, x, w, s, p):
    """each pixel is the sum of the docstring, as plain loops compute it"""
    wrong = np.argwhere(np.array(g) != naive.conv2d(x, w, s, p))
    return not len(wrong) or f"not so at y[{', '.join(map(str, wrong[0]))}]"


def picture(g, x, w, s, p):
    rows = [{"x": x, "w": w}, {"y": naive.conv2d(x, w, s, p)}, *[{"yours": g}] * (g is not None)]
    return "\n\n".join([f"s = {s}, p = {p}", *map(drawn, rows)])


# --- mistakes


def flipped(x, w, s, p):
    """The kernel is turned by half a turn. Whose convolution is that, of signal processing or of
    networks?"""
    return solved.conv(x, w[:, :, ::-1, ::-1], s, p)


def channels_for_images(x, w, s, p):
    """The numbers are right, but laid out as (F, N), and called (N, F). Which axis comes first out
    of w @ columns? transpose() exchanges axes, reshape() does not."""
    y = solved.conv(x, w, s, p)
    return y.transpose(1, 0, 2, 3).reshape(y.shape)


def first_channel(x, w, s, p):
    """Only one channel of the images is looked at. Over what is the sum in the docstring?"""
    return solved.conv(x[:, :1], w[:, :1], s, p)


def pads_the_end(x, w, s, p):
    """All zeros are put below and right of the image. On how many sides should they be?"""
    return solved.conv(np.pad(x, ((0, 0), (0, 0), (0, 2 * p), (0, 2 * p))), w, s, 0)


def pads_all_axes(x, w, s, p):
    """np.pad(x, p) pads all four axes: there are 2 p more images and channels, too, of zeros. Which
    two should be padded?"""
    N, C = x.shape[:2]
    return solved.conv(np.pad(x, p)[:N, :C], w, s, 0)


def pads_the_result(x, w, s, p):
    """The zeros surround what comes out, not what goes in. What does a window at the edge see?"""
    return np.pad(solved.conv(x, w, s, 0), ((0, 0), (0, 0), (p, p), (p, p)))


def without_stride(x, w, s, p):
    """A window begins at every pixel. Which pixel does y[0, 0, 0, 1] begin at, by s?"""
    return solved.conv(x, w, 1, p)


def leaves_out_pixels(x, w, s, p):
    """Every s-th pixel is kept before windows are taken. A window of stride 2 skips places to begin
    at; does it skip pixels inside?"""
    return solved.conv(x[:, :, ::s, ::s], w, 1, p)


def over_the_end(x, w, s, p):
    """Windows that reach beyond the last pixel count, too, with zeros there. How many fit?"""
    k = w.shape[2]
    more = [(k - H - 2 * p) % s for H in x.shape[2:]]
    return solved.conv(np.pad(x, ((0, 0), (0, 0), (p, p + more[0]), (p, p + more[1]))), w, s, 0)


def cuts_fractions(x, w, s, p):
    """What comes out is whole numbers: fractions are cut off."""
    return solved.conv(x, w, s, p).astype(int)


def as_forward(f):
    def forward(layer, x, train=False):
        layer.cache = (x,) if train else None
        return np.ascontiguousarray(f(x, layer.weight.theta(), layer.stride, layer.pad), x.dtype)
    return forward


conv = Exercise(
    name="conv", stars=3, minutes=30,
    small=small, cases=cases(),
    levels=WINDOW_LEVELS, level=level,
    properties=(shape_of_y, as_loops_have_it),
    picture=picture,
    mistakes=(flipped, channels_for_images, first_channel, pads_the_end, pads_all_axes,
              pads_the_result, without_stride, leaves_out_pixels, over_the_end),
    lazy=(cuts_fractions,),
    hints=(
        "Two images, three filters: what is y[1, 2, 0, 0] the sum of? Write it down for one pixel, "
        "then put loops around it. Slow is right, too.",
        "np.pad first, once. Then loop over the taps (ky, kx), not over pixels: w[:, :, ky, kx] is "
        "a matrix (F, C), and what it meets is the padded image, shifted by the tap, every s-th "
        "row and column.",
        "A slice from ky on, every s-th row, may have more rows than OH: where must it stop? And a "
        "product that sums over C puts F first, but y has N first."),
    plug=Plug(("minidsr.nn.layers.Conv2d.forward",), as_forward, DENSE, 20), seconds=10.0,
    hidden=("minidsr.proof.naive.conv2d",))
