"""Layers without autograd: each backward stands beside its forward.

    N batch   C channels in   F channels out   H W input size   OH OW output size
    k kernel  s stride  p pad

Activations are (N, C, H, W), convolution weights (F, C, k, k), linear weights (F, C).

Every layer has forward(x, train=False) and backward(dy) -> dx. A forward with train=True leaves in
`cache` what backward needs; backward takes it, and sets (not adds) the parameters' `grad`.
Columns are not cached but built again: they are k*k times the activations.
"""

import math

import numpy as np

from ..backend import get_xp
from ..checks import check_rng, check_sizes, check_window
from ..parameters import Dense
from ..shapes import check_labels, plain
from . import im2col
from .base import Layer, Residual, Sequential  # noqa: F401  part of this module's names


class Conv2d(Layer, shapes="N C H W -> N F OH OW"):
    """y[n, f, i, j] = Σ weight[f, c, ky, kx] x[n, c, s i + ky - p, s j + kx - p]. No bias."""

    parameters = ("weight",)

    def __init__(self, c_in, c_out, kernel, *, stride=1, pad=0, rng, dtype=np.float32,
                 sparsifiable=True):
        """Initial values N(0, 2 / (kernel² c_out)), as in the paper's code."""
        check_sizes(c_in=c_in, c_out=c_out, kernel=kernel, stride=stride, pad=pad)
        check_rng(rng)
        self.kernel, self.stride, self.pad, self.sparsifiable = kernel, stride, pad, sparsifiable
        std = (2 / (kernel * kernel * c_out)) ** 0.5
        self.weight = Dense(rng.normal(0, std, (c_out, c_in, kernel, kernel)).astype(dtype))

    def forward(self, x, train=False):
        self.cache = (x,) if train else None
        return im2col.forward(x, self.weight.theta(), self.stride, self.pad)  # (N, F, OH, OW)

    def backward(self, dy):
        (x,), self.cache = self.cache, None
        dx, dw = im2col.backward(x, dy, self.weight.theta(), self.stride, self.pad)
        self.weight.pull(dw)
        return dx


class Linear(Layer, shapes="N C -> N F"):
    """y = x weight^T + bias, for x (N, C) and weight (F, C)."""

    def __init__(self, c_in, c_out, *, bias=True, rng, dtype=np.float32, sparsifiable=True):
        """Initial weights uniform within 1/sqrt(c_in), bias 0, as in the paper's code."""
        check_sizes(c_in=c_in, c_out=c_out)
        check_rng(rng)
        self.sparsifiable = sparsifiable
        self.parameters = ("weight", "bias") if bias else ("weight",)
        bound = c_in ** -0.5
        self.weight = Dense(rng.uniform(-bound, bound, (c_out, c_in)).astype(dtype))
        self.bias = Dense(np.zeros(c_out, dtype)) if bias else None

    def forward(self, x, train=False):
        self.cache = (x,) if train else None
        y = x @ self.weight.theta().T                                   # (N, F)
        return y if self.bias is None else y + self.bias.theta()

    def backward(self, dy):
        (x,), self.cache = self.cache, None
        if self.bias is not None:
            self.bias.pull(dy.sum(0))
        self.weight.pull(dy.T @ x)
        return dy @ self.weight.theta()


class BatchNorm(Layer, shapes="N C ... -> N C ..."):
    """y = weight x̂ + bias, x̂ = (x - mean) / sqrt(var + eps), per channel of x (N, C, ...).

    In training, mean and variance are the batch's, and the running ones move a tenth of the way to
    them, the variance unbiased (Ioffe & Szegedy 2015); else these are used. Backward, with
    dx̂ = weight dy and means over all but the channels:

        dx = (dx̂ - mean(dx̂) - x̂ mean(dx̂ x̂)) / sqrt(var + eps),  dweight = Σ dy x̂,  dbias = Σ dy
    """

    parameters = ("weight", "bias")
    statistics = ("running_mean", "running_var")
    eps = 1e-5
    momentum = 0.1

    def __init__(self, channels, *, dtype=np.float32):
        check_sizes(channels=channels)
        self.weight = Dense(np.ones(channels, dtype))
        self.bias = Dense(np.zeros(channels, dtype))
        self.running_mean = np.zeros(channels, dtype)
        self.running_var = np.ones(channels, dtype)

    def forward(self, x, train=False):
        mean, var = self.running_mean, self.running_var                 # (C,)
        if train:
            mean = _mean(x)
            var = _mean((x - _beside(mean, x)) ** 2)
            count = x.size // x.shape[1]
            self.running_mean = self._followed(self.running_mean, mean)
            self.running_var = self._followed(self.running_var, var * (count / max(count - 1, 1)))
        rstd = _beside(1 / get_xp(x).sqrt(var + self.eps), x)           # (C, 1, 1)
        x_hat = (x - _beside(mean, x)) * rstd
        self.cache = (x_hat, rstd) if train else None
        return _beside(self.weight.theta(), x) * x_hat + _beside(self.bias.theta(), x)

    def _followed(self, old, new):
        return old + (self.momentum * (new - old)).astype(old.dtype)

    def backward(self, dy):
        (x_hat, rstd), self.cache = self.cache, None
        count = dy.size // dy.shape[1]
        self.weight.pull(_mean(dy * x_hat) * count)
        self.bias.pull(_mean(dy) * count)
        dx_hat = _beside(self.weight.theta(), dy) * dy
        return rstd * (dx_hat - _beside(_mean(dx_hat), dy)
                       - x_hat * _beside(_mean(dx_hat * x_hat), dy))


class ReLU(Layer, shapes="N ... -> N ..."):
    """y = max(x, 0)."""

    def forward(self, x, train=False):
        y = get_xp(x).maximum(x, 0)
        self.cache = (y,) if train else None
        return y

    def backward(self, dy):
        (y,), self.cache = self.cache, None
        return dy * (y > 0)


class MaxPool2d(Layer, shapes="N C H W -> N C OH OW"):
    """The largest of each k x k window; windows start every s pixels, in an image padded by p."""

    def __init__(self, kernel, *, stride=None, pad=0):
        self.kernel, self.stride, self.pad = kernel, kernel if stride is None else stride, pad
        check_window(kernel, self.stride, pad)

    def forward(self, x, train=False):
        xp, p = get_xp(x), self.pad
        padded = xp.pad(x, ((0, 0), (0, 0), (p, p), (p, p)), constant_values=-xp.inf) if p else x
        y = self._window(padded, 0).copy()                              # (N, C, OH, OW)
        winner = xp.zeros(y.shape, np.uint16)                           # which tap: the first wins
        for t in range(1, self.kernel ** 2):
            tap = self._window(padded, t)
            winner = xp.where(tap > y, np.uint16(t), winner)
            xp.maximum(y, tap, out=y)
        self.cache = (x.shape, winner) if train else None
        return y

    def backward(self, dy):
        (shape, winner), self.cache = self.cache, None
        N, C, H, W = shape
        p = self.pad
        dx = get_xp(dy).zeros((N, C, H + 2 * p, W + 2 * p), dy.dtype)
        for t in range(self.kernel ** 2):
            self._window(dx, t)[...] += dy * (winner == t)
        return dx[:, :, p:p + H, p:p + W]

    def _window(self, x, t):
        """What tap t meets: one pixel of x for each pixel of the output."""
        k, s = self.kernel, self.stride
        ky, kx = divmod(t, k)
        OH, OW = (im2col.out_size(size, k, s, 0) for size in x.shape[2:])
        return x[:, :, ky:ky + s * OH:s, kx:kx + s * OW:s]


class GlobalAvgPool(Layer, shapes="N C H W -> N C"):
    """The mean of each channel of each image: (N, C, H, W) -> (N, C)."""

    def forward(self, x, train=False):
        self.cache = x.shape if train else None
        return x.mean((2, 3))

    def backward(self, dy):
        shape, self.cache = self.cache, None
        return get_xp(dy).zeros(shape, dy.dtype) + (dy / (shape[2] * shape[3]))[:, :, None, None]


class Flatten(Layer, shapes="N ... -> N P"):
    """(N, ...) -> (N, everything else)."""

    def forward(self, x, train=False):
        self.cache = x.shape if train else None
        return x.reshape(len(x), math.prod(x.shape[1:]))

    def backward(self, dy):
        shape, self.cache = self.cache, None
        return dy.reshape(shape)


def softmax_cross_entropy(logits, labels):
    """Mean cross entropy of logits (N, classes) with labels (N,), and its gradient.

    Returns (loss, dlogits): loss a 0-d float64 array, dlogits (N, classes).
    """
    check_labels(labels, logits)
    xp, rows, logits = get_xp(logits), get_xp(logits).arange(len(labels)), plain(logits)
    shifted = logits - logits.max(1, keepdims=True)
    log_p = shifted - xp.log(xp.exp(shifted).sum(1, keepdims=True))
    loss = -log_p[rows, labels].mean(dtype=np.float64)
    dlogits = xp.exp(log_p)
    dlogits[rows, labels] -= 1
    return loss, dlogits / len(labels)


def _mean(x):
    """The mean of each channel of x (N, C, ...): (C,). Summed up in float64, as adding ones in
    float32 stops at 2^24."""
    return x.mean((0, *range(2, x.ndim)), dtype=np.float64).astype(x.dtype)


def _beside(v, x):
    """v (C,), shaped such that it meets the channels of x (N, C, ...): (C, 1, 1) for images."""
    return v.reshape(-1, *[1] * (x.ndim - 2))
