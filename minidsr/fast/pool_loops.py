"""The largest of each 2 x 2 window of one chunk of a batch, and its gradient, compiled.

MaxPool2d(2) of nn/layers.py is the specification. Loops with sizes that the compiler knows, and
without branches, turn into vector instructions: a general window takes six times as long.
"""

from .compiled import jit


@jit
def largest(x, y, winner):
    """y and winner (n, C, OH, OW): the largest number of each window of x (n, C, H, W), and its
    tap, 0 to 3; the first of equals."""
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
def gradient(dy, winner, dx):
    """dx (n, C, H, W), which is 0, gets dy where the window's largest number was."""
    n, C, OH, OW = dy.shape
    for i in range(n):
        for c in range(C):
            for h in range(OH):
                for w in range(OW):
                    tap = winner[i, c, h, w]
                    dx[i, c, 2 * h + tap // 2, 2 * w + tap % 2] = dy[i, c, h, w]
