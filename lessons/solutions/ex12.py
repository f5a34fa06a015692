"""Lesson 12, solved. The package has shifted_conv in fast/sparse_conv.py, compiled; conv_anywhere
in nn/im2col.py, as forward: all images by one product."""

from itertools import product

import numpy as np

from minidsr.backend import get_xp
from minidsr.shapes import out_size


def intensity(N, C, F, k, OH, OW):
    pixels, weights = N * OH * OW, F * C * k * k
    return 2 * pixels * weights / (4 * (pixels * C + weights + pixels * F))


def crossing(x, dense, sparse):
    slower = [b - a for a, b in zip(dense, sparse, strict=True)]
    behind = [i for i, d in enumerate(slower) if d >= 0]
    if not behind:
        return x[0]
    i = behind[-1]
    if i == len(x) - 1:
        return None
    return x[i] + (x[i + 1] - x[i]) * slower[i] / (slower[i] - slower[i + 1])


def shifted_conv(x, index, value, shape, p):
    F, _, k, _ = shape
    OH, OW = (size + 2 * p - k + 1 for size in x.shape[2:])
    padded = np.pad(x, ((0, 0), (0, 0), (p, p), (p, p)))
    y = np.zeros((len(x), F, OH, OW), x.dtype)
    for v, f, c, ky, kx in zip(value, *np.unravel_index(index, shape), strict=True):
        y[:, f] += v * padded[:, c, ky:ky + OH, kx:kx + OW]
    return y


def conv_anywhere(x, w, s, p):
    xp, (F, _, k, _) = get_xp(x), w.shape
    OH, OW = (out_size(size, k, s, p) for size in x.shape[2:])
    padded = xp.pad(x, ((0, 0), (0, 0), (p, p), (p, p)))
    y = xp.zeros((len(x), F, OH, OW), x.dtype)
    for ky, kx in product(range(k), repeat=2):
        tap = padded[:, :, ky:ky + s * OH:s, kx:kx + s * OW:s]
        y += xp.einsum("fc,nchw->nfhw", w[:, :, ky, kx], tap)
    return y
