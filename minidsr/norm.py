"""Batch normalisation of one chunk of a batch, in NumPy or CuPy; with ReLU where floor is 0.

    n images of the chunk   C channels   S pixels of an image
    floor  the least value of the output: 0 is ReLU, minus infinity none

fast_norm.py has the four functions on chunks, compiled.
"""

import numpy as np

from .backend import get_xp


def moments(x):
    """How many numbers a channel of x (n, C, S) has, their mean, and the sum of their squared
    differences from it: an int and two arrays (C,), float64."""
    n, _, S = x.shape
    mean = _sum(_row_sums(x)) / (n * S)
    centred = x - mean.astype(x.dtype)[:, None]
    return n * S, mean, _sum(_row_dots(centred, centred))


def joined(moments):
    """Mean and variance over all chunks, from the moments() of each: two arrays (C,), float64.

    One joins the others after another (Chan, Golub & LeVeque 1979).
    """
    count, mean, squares = moments[0]
    for n, m, s in moments[1:]:
        step = m - mean
        squares = squares + s + step * step * (n * count / (n + count))
        count += n
        mean = mean + step * (n / count)
    return mean, squares / count


def normalise(x, scale, shift, floor, y):
    """y = max(scale * x + shift, floor): x and y (n, C, S), scale and shift (C,)."""
    xp = get_xp(x)
    xp.multiply(x, scale[:, None], out=y)
    y += shift[:, None]
    if floor > -np.inf:
        xp.maximum(y, floor, out=y)


def gradient_sums(dy, x, y, mean, floor):
    """Sums over a chunk, for each channel, of dz and of dz * (x - mean): two arrays (C,), float64.

    dz is dy where y is above the floor, and 0 elsewhere.
    """
    dz = _above(dy, y, floor)
    return _sum(_row_sums(dz)), _sum(_row_dots(dz, x - mean[:, None]))


def gradient(dy, x, y, scale, slope, shift, floor, dx):
    """dx = scale * dz + slope * x + shift: all (n, C, S), except scale, slope and shift (C,)."""
    get_xp(x).multiply(_above(dy, y, floor), scale[:, None], out=dx)
    dx += x * slope[:, None]
    dx += shift[:, None]


def _above(dy, y, floor):
    return dy if floor == -np.inf else dy * (y > floor)


def _row_sums(x):
    """Sum over the last axis. In NumPy a product with ones is at memory speed also for short rows;
    in CuPy products are not for sums, as --tf32 would round them."""
    return x @ np.ones(x.shape[-1], x.dtype) if get_xp(x) is np else x.sum(-1)


def _row_dots(x, y):
    """Sum of x * y over the last axis; einsum would be a product in CuPy."""
    return np.einsum("ncs,ncs->nc", x, y) if get_xp(x) is np else (x * y).sum(-1)


def _sum(rows):
    return rows.sum(0, dtype=np.float64)
