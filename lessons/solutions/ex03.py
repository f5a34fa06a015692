"""Lesson 3, solved. The package has the first three in nn/layers.py, as BatchNorm; networks are
built in nn/models.py, and count their parameters themselves."""

import numpy as np


def batch_norm(x, weight, bias, eps):
    x_hat, _ = _normalised(x, eps)
    return _beside(weight, x) * x_hat + _beside(bias, x)


def running(old, batch, count, momentum, is_var):
    if is_var and count > 1:
        batch = batch * count / (count - 1)
    return old + momentum * (batch - old)


def batch_norm_backward(x, weight, dy, eps):
    axes = _axes(x)
    x_hat, rstd = _normalised(x, eps)
    dx_hat = _beside(weight, x) * dy
    along = (dx_hat * x_hat).mean(axes, keepdims=True)
    dx = rstd * (dx_hat - dx_hat.mean(axes, keepdims=True) - x_hat * along)
    return dx, (dy * x_hat).sum(axes), dy.sum(axes)


def parameters(depth, width):
    blocks = (depth - 4) // 6
    free, sparse, c_in = 27 * 16, 0, 16
    for c in (16 * width, 32 * width, 64 * width):
        for _ in range(blocks):
            sparse += 9 * c_in * c + 9 * c * c
            free += 2 * c_in + 2 * c
            if c_in != c:
                free += c_in * c
            c_in = c
    return free + sparse + 2 * c_in + 10 * c_in + 10, sparse


def _normalised(x, eps):
    mean = x.mean(_axes(x), keepdims=True)
    var = ((x - mean) ** 2).mean(_axes(x), keepdims=True)
    rstd = 1 / np.sqrt(var + eps)
    return (x - mean) * rstd, rstd


def _axes(x):
    return 0, *range(2, x.ndim)


def _beside(channels, x):
    return channels.reshape(-1, *[1] * (x.ndim - 2))
