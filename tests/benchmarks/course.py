"""The im2col of a course: whole-batch columns by fancy indexing, layers as their formulas.

What one writes on the way to understanding (CS231n, assignment 2, and others): one index array for
all columns, np.add.at for the way back, one NumPy expression for each formula.
"""

from contextlib import contextmanager
from unittest.mock import patch

import numpy as np

from minidsr.nn.layers import BatchNorm, Conv2d


def _indices(C, k, s, OH, OW):
    c = np.repeat(np.arange(C), k * k)[:, None]
    ky = np.tile(np.repeat(np.arange(k), k), C)[:, None] + s * np.repeat(np.arange(OH), OW)
    kx = np.tile(np.arange(k), k * C)[:, None] + s * np.tile(np.arange(OW), OH)
    return c, ky, kx


def _conv_forward(self, x, train=False):
    w, k, s, p = self.weight.theta(), self.kernel, self.stride, self.pad
    N, C, H, W = x.shape
    OH, OW = (H + 2 * p - k) // s + 1, (W + 2 * p - k) // s + 1
    padded = np.pad(x, ((0, 0), (0, 0), (p, p), (p, p)))
    cols = padded[(slice(None), *_indices(C, k, s, OH, OW))]            # (N, C*k*k, OH*OW)
    cols = cols.transpose(1, 2, 0).reshape(C * k * k, -1)
    y = (w.reshape(len(w), -1) @ cols).reshape(-1, OH, OW, N).transpose(3, 0, 1, 2)
    self.cache = (padded.shape, cols) if train else None
    return y


def _conv_backward(self, dy):
    (shape, cols), self.cache = self.cache, None
    w, k, s, p = self.weight.theta(), self.kernel, self.stride, self.pad
    N, C, H, W = shape
    F, OH, OW = dy.shape[1:]
    rows = dy.transpose(1, 2, 3, 0).reshape(F, -1)
    self.weight.pull((rows @ cols.T).reshape(w.shape))
    dcols = (w.reshape(F, -1).T @ rows).reshape(C * k * k, -1, N).transpose(2, 0, 1)
    dx = np.zeros(shape, dy.dtype)
    np.add.at(dx, (slice(None), *_indices(C, k, s, OH, OW)), dcols)
    return dx[:, :, p:H - p, p:W - p]


def _norm_forward(self, x, train=False):
    mean, var = self.running_mean[:, None, None], self.running_var[:, None, None]
    if train:
        mean, var = x.mean((0, 2, 3), keepdims=True), x.var((0, 2, 3), keepdims=True)
    rstd = 1 / np.sqrt(var + self.eps)
    xhat = (x - mean) * rstd
    y = self.weight.theta()[:, None, None] * xhat + self.bias.theta()[:, None, None]
    y = np.maximum(y, self.floor)
    self.cache = (xhat, rstd, y) if train else None
    return y


def _norm_backward(self, dy):
    (xhat, rstd, y), self.cache = self.cache, None
    dy = dy * (y > self.floor)
    self.bias.pull(dy.sum((0, 2, 3)))
    self.weight.pull((dy * xhat).sum((0, 2, 3)))
    dxhat = dy * self.weight.theta()[:, None, None]
    axes = {"axis": (0, 2, 3), "keepdims": True}
    return rstd * (dxhat - dxhat.mean(**axes) - xhat * (dxhat * xhat).mean(**axes))


@contextmanager
def course():
    """In this context, convolution and batch norm compute as in a course."""
    with patch.multiple(Conv2d, forward=_conv_forward, backward=_conv_backward), \
            patch.multiple(BatchNorm, forward=_norm_forward, backward=_norm_backward):
        yield
