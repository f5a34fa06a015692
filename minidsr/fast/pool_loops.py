"""The largest of each 2 x 2 window, and its gradient, compiled: MaxPool2d(2) of nn/layers.py.

Loops with sizes that the compiler knows, and without branches, turn into vector instructions: one
for any window took six times as long.
"""

import numpy as np

from .compiled import jit
from .parallel import map_chunks


def forward(x):
    """y (N, C, H // 2, W // 2), the largest number of each window of x (N, C, H, W), and its tap, 0
    to 3, the first of equals; over threads."""
    N, C, H, W = x.shape
    y = np.empty((N, C, H // 2, W // 2), x.dtype)
    winner = np.empty(y.shape, np.uint8)
    map_chunks(lambda images: _largest(x[images], y[images], winner[images]), N)
    return y, winner


def backward(dy, winner, shape):
    """The gradient of x of this shape: dy where the window's largest number was, else 0."""
    dx = np.zeros(shape, dy.dtype)
    map_chunks(lambda images: _put(dy[images], winner[images], dx[images]), len(dy))
    return dx


@jit
def _largest(x, y, winner):
    n, C, OH, OW = y.shape
    for i in range(n):
        for c in range(C):
            for h in range(OH):
                above, below = x[i, c, 2 * h], x[i, c, 2 * h + 1]
                best, tap = y[i, c, h], winner[i, c, h]
                for w in range(OW):
                    m, t = above[2 * w], 0
                    v = above[2 * w + 1]
                    m, t = v if _beats(v, m) else m, 1 if v > m else t
                    v = below[2 * w]
                    m, t = v if _beats(v, m) else m, 2 if v > m else t
                    v = below[2 * w + 1]
                    m, t = v if _beats(v, m) else m, 3 if v > m else t
                    best[w], tap[w] = m, t


@jit
def _beats(v, m):
    """Is v larger? What is not a number stays visible: it beats all, and is beaten by none."""
    return not (v <= m) and m == m


@jit
def _put(dy, winner, dx):
    n, C, OH, OW = dy.shape
    for i in range(n):
        for c in range(C):
            for h in range(OH):
                for w in range(OW):
                    tap = winner[i, c, h, w]
                    dx[i, c, 2 * h + tap // 2, 2 * w + tap % 2] = dy[i, c, h, w]
