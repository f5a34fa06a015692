"""Batch normalisation of one chunk of a batch, compiled: the four functions of norm.py on chunks,
what becomes of a norm.Late, and a sum that takes its moments.

Each reads its arrays once, where NumPy makes a pass for every operation.
"""

import numpy as np

from .compiled import jit


@jit
def moments(x):
    """As in norm.py."""
    n, C, S = x.shape
    mean, squares = np.zeros(C), np.zeros(C)
    for i in range(n):
        for c in range(C):
            join(x[i, c], i, c, mean, squares)
    return n * S, mean, squares


@jit
def join(row, i, c, mean, squares):
    """Have a row join i others of channel c, as in norm.joined()."""
    S, total = len(row), 0.0
    for s in range(S):
        total += row[s]
    row_mean = total / S
    total = 0.0
    for s in range(S):
        total += (row[s] - row_mean) * (row[s] - row_mean)
    step = row_mean - mean[c]
    mean[c] += step / (i + 1)
    squares[c] += total + step * step * S * i / (i + 1)


@jit
def add(x, y):
    """x += y, both (n, C, S); returns the moments of x."""
    n, C, S = x.shape
    mean, squares = np.zeros(C), np.zeros(C)
    for i in range(n):
        for c in range(C):
            row, other = x[i, c], y[i, c]
            for s in range(S):
                row[s] += other[s]
            join(row, i, c, mean, squares)
    return n * S, mean, squares


@jit
def normalise(x, scale, shift, floor, y):
    """As in norm.py."""
    n, C, S = x.shape
    for i in range(n):
        for c in range(C):
            a, b, row, out = scale[c], shift[c], x[i, c], y[i, c]
            for s in range(S):
                v = a * row[s] + b
                out[s] = floor if v < floor else v


@jit
def gradient_sums(dy, x, y, mean, floor):
    """As in norm.py."""
    n, C, S = x.shape
    sum_dz, sum_dz_centred = np.zeros(C), np.zeros(C)
    for i in range(n):
        for c in range(C):
            d, row, out, m = dy[i, c], x[i, c], y[i, c], mean[c]
            total = dot = x.dtype.type(0)
            for s in range(S):
                dz = d[s] if out[s] > floor else d.dtype.type(0)
                total += dz
                dot += dz * (row[s] - m)
            sum_dz[c] += total
            sum_dz_centred[c] += dot
    return sum_dz, sum_dz_centred


@jit
def gradient(dy, x, y, scale, slope, shift, floor, dx):
    """As in norm.py."""
    n, C, S = x.shape
    for i in range(n):
        for c in range(C):
            d, row, out, result = dy[i, c], x[i, c], y[i, c], dx[i, c]
            a, b, e = scale[c], slope[c], shift[c]
            for s in range(S):
                dz = d[s] if out[s] > floor else d.dtype.type(0)
                result[s] = a * dz + b * row[s] + e


@jit
def write(late, more):
    """Compute a norm.Late in place of its dz; plus `more`, an array like dz, if that has images."""
    n, C = late.dz.shape[:2]
    for i in range(n):
        for c in range(C):
            d, row = late.dz[i, c].reshape(-1), late.x[i, c].reshape(-1)
            a, b, e = late.scale[c], late.slope[c], late.shift[c]
            if len(more):
                other = more[i, c].reshape(-1)
                for s in range(len(d)):
                    d[s] = a * d[s] + b * row[s] + e + other[s]
            else:
                for s in range(len(d)):
                    d[s] = a * d[s] + b * row[s] + e
