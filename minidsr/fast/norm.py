"""Batch normalisation in NumPy or CuPy; with ReLU where floor is 0.

    n images of a chunk of a batch   C channels   S pixels of an image
    floor  the least value of the output: 0 is ReLU, minus infinity none

moments, normalise, gradient_sums and gradient pass over the images of a chunk; norm_loops.py has
these four compiled. joined, followed, affine and gradient_factors compute with arrays (C,).
"""

from typing import NamedTuple

import numpy as np

from ..backend import fuse, get_xp


class Late(NamedTuple):
    """A gradient that is computed where it is read: scale * dz + slope * x + shift, as by
    gradient(). Who reads it may write over dz."""

    dz: np.ndarray  # (N, C, H, W), as x
    x: np.ndarray
    scale: np.ndarray  # (C,), as slope and shift
    slope: np.ndarray
    shift: np.ndarray


class Known:
    """The moments() of all chunks of the array that was written last, for who reads it next."""

    array = chunks = None

    def keep(self, array, chunks):
        """Those of `array`, of each chunk."""
        self.array, self.chunks = array, chunks

    def take(self, array):
        """Those of `array`, once, or None: they are not known."""
        chunks = self.chunks if array is self.array else None
        self.array = self.chunks = None
        return chunks


def moments(x):
    """How many numbers a channel of x (n, C, S) has, their mean, and the sum of their squared
    differences from it: an int and two arrays (C,), float64."""
    n, _, S = x.shape
    mean = _sum(_row_sums(x)) / (n * S)
    return n * S, mean, _sum(_row_dots_centred(x, mean))


def normalise(x, scale, shift, floor, y):
    """y = max(scale * x + shift, floor): x and y (n, C, S), scale and shift (C,)."""
    _normalise(x, scale[:, None], shift[:, None], floor, y)


def gradient_sums(dy, x, y, mean, floor):
    """Sums over a chunk, for each channel, of dz and of dz * (x - mean): two arrays (C,), float64.

    dz is dy where y is above the floor, and 0 elsewhere.
    """
    dz = _above(dy, y, floor)
    return _sum(_row_sums(dz)), _sum(_row_dots_centred(x, mean, dz))


def gradient(dy, x, y, scale, slope, shift, floor, dx):
    """dx = scale * dz + slope * x + shift: all (n, C, S), except scale, slope and shift (C,)."""
    _gradient(dy, x, y, scale[:, None], slope[:, None], shift[:, None], floor, dx)


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


@fuse
def followed(running_mean, running_var, mean, var, unbiased, momentum):
    """The running statistics after a batch's, whose variance is corrected by a factor."""
    mean_step, var_step = mean - running_mean, var * unbiased - running_var
    return (running_mean + (momentum * mean_step).astype(running_mean.dtype),
            running_var + (momentum * var_step).astype(running_var.dtype))


@fuse
def affine(weight, bias, mean, var, eps):
    """scale, shift, mean and 1 / std as numbers of the layer's type: y = scale * x + shift."""
    mean = mean.astype(weight.dtype)
    rstd = (1 / get_xp(var).sqrt(var + eps)).astype(weight.dtype)
    scale = weight * rstd
    return scale, bias - mean * scale, mean, rstd


@fuse
def gradient_factors(weight, mean, rstd, sum_dz, sum_dz_centred, count):
    """The gradients of weight and bias, and scale, slope and shift of gradient():

    dx = weight * rstd * (dz - mean(dz) - xhat * mean(dz * xhat)), sorted by dz, x and 1
    """
    sum_dz_xhat = rstd * sum_dz_centred
    scale = weight * rstd
    slope = (-scale * rstd * sum_dz_xhat / count).astype(weight.dtype)
    shift = (-slope * mean - scale * sum_dz / count).astype(weight.dtype)
    return sum_dz_xhat.astype(weight.dtype), sum_dz.astype(weight.dtype), scale, slope, shift


@fuse
def _normalise(x, scale, shift, floor, y):
    get_xp(x).multiply(x, scale, out=y)
    y += shift
    get_xp(x).maximum(y, floor, out=y)


@fuse
def _gradient(dy, x, y, scale, slope, shift, floor, dx):
    get_xp(x).multiply(_above(dy, y, floor), scale, out=dx)
    dx += x * slope
    dx += shift


@fuse
def _above(dy, y, floor):
    return dy * (y > floor)


def _row_dots_centred(x, mean, dz=None):
    """Sums over the last axis of (x - mean) dz, or without dz of (x - mean)²."""
    mean = mean[:, None]
    if get_xp(x) is np:
        centred = x - mean.astype(x.dtype)
        return np.einsum("ncs,ncs->nc", centred, centred if dz is None else dz)
    return _row_sums(_times_centred(x, mean, dz))  # einsum would be a product


@fuse
def _times_centred(x, mean, dz):
    centred = x - mean.astype(x.dtype)
    return centred * (centred if dz is None else dz)


def _row_sums(x):
    """Sum over the last axis. In NumPy a product with ones is at memory speed also for short rows;
    in CuPy products are not for sums, as --tf32 would round them."""
    return x @ np.ones(x.shape[-1], x.dtype) if get_xp(x) is np else x.sum(-1)


def _sum(rows):
    return rows.sum(0, dtype=np.float64)
