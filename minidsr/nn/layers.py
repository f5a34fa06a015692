"""Layers without autograd: each backward stands beside its forward.

    N batch   C channels in   F channels out   H W input size   OH OW output size
    k kernel  s stride  p pad

Activations are (N, C, H, W), convolution weights (F, C, k, k), linear weights (F, C).

Every layer has forward(x, train=False) and backward(dy) -> dx. A forward with train=True leaves in
`cache` what backward needs; backward takes it and leaves the gradients in the parameters (`grad`).
Columns are not cached but built again: they are k*k times the activations.
"""

import numpy as np

from ..backend import get_xp
from ..fast import blocked, norm
from ..fast.parallel import map_chunks, map_to_array, total
from ..parameters import Dense, Sparse
from .base import Layer, Residual, Sequential  # noqa: F401  part of this module's names


class Weighted(Layer):
    """A layer with a `weight`, whose zeros the sparse engine may leave out."""

    _sparse_conv = None

    def sparse_conv(self, geometry):
        """The sparse engine's convolution for the weight's structure, or None where im2col
        multiplies: where all of θ or its gradient is needed, or zeros are too few to gain."""
        weight = self.weight
        if self.engine == "im2col" or not isinstance(weight, Sparse) or weight.keep_dense_grad:
            return None
        from ..fast.sparse_conv import SparseConv, pays

        if self.engine == "auto" and not pays(weight, geometry):
            return None
        if self._sparse_conv is None or not self._sparse_conv.fits(weight.index, geometry):
            self._sparse_conv = SparseConv(weight.index, (*weight.shape, 1, 1)[:4], geometry)
        return self._sparse_conv


class Conv2d(Weighted):
    """y[n, f] = sum over c, ky, kx of weight[f, c, ky, kx] * x[n, c], shifted. No bias."""

    parameters = ("weight",)

    def __init__(self, c_in, c_out, kernel, *, stride=1, pad=0, rng, dtype=np.float32,
                 sparsifiable=True):
        """Initial values N(0, 2 / (kernel² c_out)), as in the paper's code."""
        self.kernel, self.stride, self.pad, self.sparsifiable = kernel, stride, pad, sparsifiable
        std = (2 / (kernel * kernel * c_out)) ** 0.5
        self.weight = Dense(rng.normal(0, std, (c_out, c_in, kernel, kernel)).astype(dtype))

    def forward(self, x, train=False):
        geometry = self.geometry(x)
        sparse = self.sparse_conv(geometry)
        self.cache = (x, geometry, sparse) if train else None
        if sparse:
            return sparse.forward(x, self.weight.value)                 # (N, F, OH, OW)
        return blocked.forward(x, self.weight.theta(), geometry)

    def geometry(self, x):
        """How the taps lie in images like x."""
        return blocked.Geometry.of(*x.shape[2:], self.kernel, self.stride, self.pad)

    def backward(self, dy):
        (x, geometry, sparse), self.cache = self.cache, None
        if sparse:
            dx, self.weight.grad, *_ = sparse.backward(x, dy, self.weight.value)
            return dx
        dx, dw = blocked.backward(x, dy, self.weight.theta(), geometry)
        self.weight.pull(dw)
        return dx


class Linear(Weighted):
    """y = x weight^T + bias, for x (N, C) and weight (F, C)."""

    def __init__(self, c_in, c_out, *, bias=True, rng, dtype=np.float32, sparsifiable=True):
        """Initial weights uniform within 1/sqrt(c_in), bias 0, as in the paper's code."""
        self.sparsifiable = sparsifiable
        self.parameters = ("weight", "bias") if bias else ("weight",)
        bound = c_in ** -0.5
        self.weight = Dense(rng.uniform(-bound, bound, (c_out, c_in)).astype(dtype))
        self.bias = Dense(np.zeros(c_out, dtype)) if bias else None

    def forward(self, x, train=False):
        sparse = self.sparse_conv(blocked.Geometry.of(1, 1, 1, 1, 0))
        self.cache = (x, sparse) if train else None
        if sparse:
            y = sparse.forward(x[:, :, None, None], self.weight.value)[:, :, 0, 0]
        else:
            y = x @ self.weight.theta().T                               # (N, F)
        return y if self.bias is None else y + self.bias.theta()

    def backward(self, dy):
        (x, sparse), self.cache = self.cache, None
        if self.bias is not None:
            self.bias.pull(dy.sum(0))
        if sparse:
            dx, self.weight.grad, *_ = sparse.backward(
                x[:, :, None, None], dy[:, :, None, None], self.weight.value)
            return dx[:, :, 0, 0]
        self.weight.pull(dy.T @ x)
        return dy @ self.weight.theta()


class BatchNorm(Layer):
    """Per channel: (x - mean) / sqrt(var + eps) * weight + bias, for x (N, C) or (N, C, H, W).

    In training, mean and variance are the batch's, and the running ones move a tenth of the way
    (Ioffe & Szegedy 2015). Otherwise the running ones are used.
    """

    parameters = ("weight", "bias")
    statistics = ("running_mean", "running_var")
    eps = 1e-5
    momentum = 0.1
    floor = -np.inf  # the least value of the output

    def __init__(self, channels, *, dtype=np.float32):
        self.weight = Dense(np.ones(channels, dtype))
        self.bias = Dense(np.zeros(channels, dtype))
        self.running_mean = np.zeros(channels, dtype)
        self.running_var = np.ones(channels, dtype)

    def forward(self, x, train=False):
        scale, shift, mean, rstd = self.affine(x, train)
        floor = x.dtype.type(self.floor)
        y = map_to_array(lambda x, out: self._norm().normalise(x, scale, shift, floor, out),
                         _rows(x)).reshape(x.shape)
        self.cache = (x, x if self.floor == -np.inf else y, mean, rstd) if train else None
        return y

    def affine(self, x, train):
        """What y = max(scale * x + shift, floor) needs, and backward: scale, shift, mean and
        1 / std, each (C,). In training the running statistics follow."""
        mean, var = self.running_mean, self.running_var
        if train:
            rows, count = _rows(x), x.size // x.shape[1]
            mean, var = norm.joined(map_chunks(
                lambda chunk: self._norm().moments(rows[chunk]), len(x), get_xp(x)))
            self.running_mean, self.running_var = norm.followed(
                self.running_mean, self.running_var, mean, var, count / max(count - 1, 1),
                self.momentum)
        return norm.affine(self.weight.theta(), self.bias.theta(), mean, var, self.eps)

    def backward(self, dy):
        (x, y, mean, rstd), self.cache = self.cache, None
        arrays, floor = (_rows(dy), _rows(x), _rows(y)), x.dtype.type(self.floor)
        sums = map_chunks(lambda chunk: self._norm().gradient_sums(
            *(a[chunk] for a in arrays), mean, floor), len(x), get_xp(x))
        return self.gradient(dy, x, y, mean, rstd, *map(total, zip(*sums, strict=True)), floor)

    def gradient(self, dy, x, y, mean, rstd, sum_dz, sum_dz_centred, floor):
        """dx, and the gradients of weight and bias, given the sums of norm.gradient_sums()."""
        dweight, dbias, scale, slope, shift = norm.gradient_factors(
            self.weight.theta(), mean, rstd, sum_dz, sum_dz_centred, x.size // x.shape[1])
        self.weight.pull(dweight)
        self.bias.pull(dbias)
        return map_to_array(lambda dy, x, y, out: self._norm().gradient(
            dy, x, y, scale, slope, shift, floor, out), _rows(dy), _rows(x), _rows(y)
        ).reshape(x.shape)

    def _norm(self):
        """The module that computes: norm, or norm_loops, which is compiled."""
        if self.engine == "im2col":
            return norm
        from ..fast import norm_loops

        return norm_loops


class BatchNormReLU(BatchNorm):
    """Batch norm and max(y, 0) in one pass over memory; the same numbers as one after the other."""

    floor = 0


class ReLU(Layer):
    """y = max(x, 0)."""

    def forward(self, x, train=False):
        y = map_to_array(lambda x, out: get_xp(x).maximum(x, 0, out=out), x)
        self.cache = y if train else None
        return y

    def backward(self, dy):
        y, self.cache = self.cache, None
        return map_to_array(lambda dy, y, out: get_xp(y).multiply(dy, y > 0, out=out), dy, y)


class MaxPool2d(Layer):
    """The largest of each k x k window; windows start every s pixels, in an image padded by p.

    Raises ValueError where the window is larger than the padded image.
    """

    def __init__(self, kernel, *, stride=None, pad=0):
        self.kernel, self.stride, self.pad = kernel, stride or kernel, pad

    def forward(self, x, train=False):
        xp, p = get_xp(x), self.pad
        if self.kernel > min(x.shape[2:]) + 2 * p:
            raise ValueError(f"a {self.kernel}x{self.kernel} window does not fit images of "
                             f"{x.shape[2]}x{x.shape[3]} padded by {p}")
        padded = xp.pad(x, ((0, 0), (0, 0), (p, p), (p, p)), constant_values=-xp.inf) if p else x
        y = self._window(padded, 0).copy()                              # (N, C, OH, OW)
        winner = xp.zeros(y.shape, np.uint8)                            # which tap: the first wins
        for t in range(1, self.kernel ** 2):
            tap = self._window(padded, t)
            winner = xp.where(tap > y, np.uint8(t), winner)
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
        OH, OW = (x.shape[2] - k) // s + 1, (x.shape[3] - k) // s + 1
        return x[:, :, ky:ky + s * OH:s, kx:kx + s * OW:s]


class GlobalAvgPool(Layer):
    """The mean of each channel of each image: (N, C, H, W) -> (N, C)."""

    def forward(self, x, train=False):
        self.cache = x.shape if train else None
        return x.mean((2, 3))

    def backward(self, dy):
        shape, self.cache = self.cache, None
        return get_xp(dy).zeros(shape, dy.dtype) + (dy / (shape[2] * shape[3]))[:, :, None, None]


class Flatten(Layer):
    """(N, ...) -> (N, everything else)."""

    def forward(self, x, train=False):
        self.cache = x.shape if train else None
        return x.reshape(len(x), -1)

    def backward(self, dy):
        shape, self.cache = self.cache, None
        return dy.reshape(shape)


def softmax_cross_entropy(logits, labels):
    """Mean cross entropy of logits (N, classes) with labels (N,), and its gradient.

    Returns (loss, dlogits): loss a 0-d float64 array, dlogits (N, classes).
    """
    xp, rows = get_xp(logits), get_xp(logits).arange(len(labels))
    shifted = logits - logits.max(1, keepdims=True)
    log_p = shifted - xp.log(xp.exp(shifted).sum(1, keepdims=True))
    loss = -log_p[rows, labels].mean(dtype=np.float64)
    dlogits = xp.exp(log_p)
    dlogits[rows, labels] -= 1
    return loss, dlogits / len(labels)


def _rows(x):
    """x (N, C, ...) as (N, C, pixels)."""
    return x.reshape(*x.shape[:2], -1)
