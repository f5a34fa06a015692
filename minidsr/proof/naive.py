"""What the layers must compute, in plain loops and float64: slow, and easy to check by eye.

    N batch  C channels in  F channels out  H W input size  OH OW output size
    k kernel  s stride  p pad
"""

import math
from itertools import product

import numpy as np


def out_size(size, k, s, p):
    """How many windows of k pixels, every s pixels, fit into `size` pixels padded by p."""
    return (size + 2 * p - k) // s + 1


def taps(k):
    """All (ky, kx) of a kernel."""
    return product(range(k), range(k))


def conv2d(x, w, s, p):
    """x (N, C, H, W) and w (F, C, k, k) -> (N, F, OH, OW)."""
    N, C, H, W = x.shape
    F, _, k, _ = w.shape
    OH, OW = out_size(H, k, s, p), out_size(W, k, s, p)
    y = np.zeros((N, F, OH, OW))
    for n in range(N):
        for f in range(F):
            for oy in range(OH):
                for ox in range(OW):
                    for c in range(C):
                        for ky, kx in taps(k):
                            iy, ix = oy * s + ky - p, ox * s + kx - p
                            if 0 <= iy < H and 0 <= ix < W:
                                y[n, f, oy, ox] += w[f, c, ky, kx] * x[n, c, iy, ix]
    return y


def max_pool2d(x, k, s, p):
    """The largest pixel of each window; pixels outside of the image do not count."""
    N, C, H, W = x.shape
    OH, OW = out_size(H, k, s, p), out_size(W, k, s, p)
    y = np.full((N, C, OH, OW), -np.inf)
    for n in range(N):
        for c in range(C):
            for oy in range(OH):
                for ox in range(OW):
                    for ky, kx in taps(k):
                        iy, ix = oy * s + ky - p, ox * s + kx - p
                        if 0 <= iy < H and 0 <= ix < W:
                            y[n, c, oy, ox] = max(y[n, c, oy, ox], x[n, c, iy, ix])
    return y


def global_avg_pool(x):
    """x (N, C, H, W) -> (N, C): the mean over all pixels."""
    N, C, H, W = x.shape
    y = np.zeros((N, C))
    for n in range(N):
        for c in range(C):
            for iy in range(H):
                for ix in range(W):
                    y[n, c] += x[n, c, iy, ix] / (H * W)
    return y


def batch_norm(x, weight, bias, eps=1e-5):
    """Training mode, x (N, C, H, W). Returns (y, mean (C,), variance (C,), not unbiased)."""
    N, C, H, W = x.shape
    y, means, variances = np.zeros(x.shape), np.zeros(C), np.zeros(C)
    for c in range(C):
        pixels = [float(x[n, c, iy, ix])
                  for n in range(N) for iy in range(H) for ix in range(W)]
        mean = math.fsum(pixels) / len(pixels)
        variance = math.fsum((pixel - mean) ** 2 for pixel in pixels) / len(pixels)
        for n in range(N):
            for iy in range(H):
                for ix in range(W):
                    xhat = (x[n, c, iy, ix] - mean) / math.sqrt(variance + eps)
                    y[n, c, iy, ix] = weight[c] * xhat + bias[c]
        means[c], variances[c] = mean, variance
    return y, means, variances
