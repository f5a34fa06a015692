"""Small arrays as text, for pictures of cases; and cases of convolutions, for two lessons."""

import numpy as np
from hypothesis import strategies as st

from minidsr.proof.cases import seeds, windows

ROOM, MOST = 72, 100  # characters of a line, numbers that are drawn


def drawn(arrays):
    """{name: array, or an answer} as text: matrices with their names over them, side by side."""
    blocks = [block for name, x in arrays.items() for block in _blocks(name, np.array(x))]
    lines, row = [], []
    for block in blocks:
        if row and sum(len(b[0]) + 4 for b in row) + len(block[0]) > ROOM:
            lines += [*_beside(row), ""]
            row = []
        row.append(block)
    return "\n".join([*lines, *_beside(row)])


def _blocks(name, x):
    """Blocks of lines, all of the same length."""
    if x.size > MOST or not x.size:
        return [[f"{name} {x.shape}"]]
    if x.ndim <= 2:
        return [_block(f"{name} {x.shape}", np.atleast_2d(x))]
    return [_block(f"{name}[{', '.join(map(str, i))}]", x[i]) for i in np.ndindex(x.shape[:-2])]


def _block(title, matrix):
    cells = [[f"{number:.6g}" for number in row] for row in matrix]
    width = max(len(cell) for row in cells for cell in row)
    lines = [title, *(" ".join(cell.rjust(width) for cell in row) for row in cells)]
    return [line.ljust(max(map(len, lines))) for line in lines]


def _beside(blocks):
    height = max(map(len, blocks), default=0)
    rows = [[block[i] if i < len(block) else " " * len(block[0]) for block in blocks]
            for i in range(height)]
    return ["    ".join(row).rstrip() for row in rows]


# --- convolutions: N C F H W k s p

# First what stands alone, then several of each; of one size and of two.
SMALL = [(N, C, F, H, W, k, s, p)
         for N, C, F in ((1, 1, 1), (1, 2, 1), (1, 1, 2), (2, 1, 1), (2, 2, 2), (2, 3, 2))
         for H, W, k, s, p in (
             (1, 1, 1, 1, 0), (2, 2, 2, 1, 0), (2, 3, 1, 1, 0), (3, 3, 2, 1, 0), (3, 2, 2, 1, 0),
             (1, 1, 3, 1, 1), (2, 2, 2, 1, 1), (2, 3, 3, 1, 1), (2, 1, 1, 1, 1),
             (4, 2, 2, 2, 0), (3, 3, 1, 2, 0), (1, 3, 3, 2, 1), (2, 4, 2, 2, 1),
             (3, 3, 2, 2, 0), (4, 3, 3, 2, 1), (3, 4, 1, 3, 0))]


def sizes():
    """Sizes of any convolution, and a seed for its numbers."""
    return st.tuples(windows(images=(1, 2), size=5, pads=2, kernels=3), seeds).map(
        lambda drawn: ((drawn[0].N, drawn[0].C, drawn[0].F, drawn[0].H, drawn[0].W, drawn[0].k,
                        drawn[0].s, drawn[0].p), drawn[1]))


def whole(seed, *shapes):
    """Arrays of small whole numbers, none of them 0."""
    rng = np.random.default_rng(seed)
    return [rng.integers(1, 10, shape) * rng.choice([-1.0, 1.0], shape) for shape in shapes]


def quarters(seed, *shapes):
    """Arrays of quarters, which floats add and multiply exactly, too."""
    rng = np.random.default_rng(seed)
    return [rng.integers(-99, 100, shape) / 4 for shape in shapes]


def window_level(H, W, k, s, p):
    """Stride 1 and no pad: 0, pad: 1, stride: 2, a stride that leaves pixels over: 3."""
    if (H + 2 * p - k) % s or (W + 2 * p - k) % s:
        return 3
    return 2 if s > 1 else int(p > 0)


WINDOW_LEVELS = ("stride 1, no pad", "a pad", "a stride", "a stride that leaves pixels over")


def direction(*shapes):
    """Arrays to move others by: of whole numbers that a wrong gradient will not fit by chance."""
    rng = np.random.default_rng(1)
    return [rng.integers(-9999, 10_000, shape).astype(float) for shape in shapes]
