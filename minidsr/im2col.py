"""Convolution as matrix products, the reference engine (NumPy and CuPy).

    N batch   C channels in   F channels out   H W input size   OH OW output size
    k kernel  s stride  p pad  ky kx row and column of a tap, one weight of a kernel
    R S rows and columns of the grid that images are laid out on

What one tap meets, at all outputs, is the whole image, shifted. im2col copies the image once for
each tap, so that a convolution is one product. But a shift by rows can wait until after the
product: only the columns of the kernel need copies. `cols` has a row for each (kx, c). Its product
with the weights, a row for each (ky, f), holds what each row of the kernel adds to an output
channel; their sum, each shifted by its row, is y. Against columns for every tap, a k-th is copied,
and the product has k times the rows at a k-th of the depth, which BLAS likes better where channels
are few.

With stride s the input is dealt into s*s *phases*: phase (a, b) holds rows a, a+s, a+2s, ... and
columns b, b+s, ... Each tap reads one phase, again shifted. Images, phases and outputs all lie on
the same grid, at its upper left.

Backward, every shift is negated: dx is a convolution of dy with the transposed kernel. Its columns,
times x shifted by the rows of the kernel, are dw.
"""

import math
from dataclasses import dataclass

import numpy as np

from .backend import get_xp
from .parallel import map_chunks

BLOCK_BYTES = 6 << 20  # columns and products of a block: they stay in the cache, calls are few


@dataclass(frozen=True)
class Geometry:
    """How the taps of a k x k kernel, stride s, pad p, meet H x W images.

    s       the stride
    out     (OH, OW), the size of the output
    grid    (R, S), the least that holds an output and every phase
    reads   {a: {i: q}}: the rows (columns) i of the kernel that read rows (columns) a, a+s, ... of
            the image, and by how many of these they are shifted
    """

    s: int
    out: tuple
    grid: tuple
    reads: dict

    @classmethod
    def of(cls, H, W, k, s, p):
        """Raises ValueError where the kernel is larger than the padded image."""
        if k > min(H, W) + 2 * p:
            raise ValueError(f"a {k}x{k} kernel does not fit a {H}x{W} image padded by {p}")
        out = tuple((size + 2 * p - k) // s + 1 for size in (H, W))
        grid = tuple(max(-(-size // s), o) for size, o in zip((H, W), out, strict=True))
        reads = {}
        for i in range(k):
            q, a = divmod(i - p, s)
            reads.setdefault(a, {})[i] = q
        return cls(s, out, grid, reads)

    @property
    def phases(self):
        """The (a, b) that are read."""
        return [(a, b) for a in self.reads for b in self.reads]

    def taps(self, a):
        """Which rows (columns) of the kernel read phase a: a slice."""
        return slice(min(self.reads[a]), None, self.s)


def forward(x, w, g):
    """Convolution y of x (N, C, H, W) with w (F, C, k, k), g a Geometry -> (N, F, OH, OW)."""
    xp, (F, C, k, _) = get_xp(x), w.shape
    y = xp.empty((len(x), F, *g.out), x.dtype)
    w = w.transpose(2, 0, 3, 1)                                          # (ky, F, kx, C)
    w = {a: w[g.taps(a)].reshape(-1, k * C) for a in g.reads}

    def chunk(images):
        scratch = Scratch(x)
        for block in _blocks(images, k * (C + F), g, x):
            parts, shape = [], (_length(block), *g.grid)
            for a, rows in g.reads.items():
                cols = scratch("cols", k, C, *shape)
                for b, columns in g.reads.items():
                    for kx, q in columns.items():
                        _lay_out(_phase(x[block], g.s, (a, b)), cols[kx], columns=q)
                z = scratch(f"z{a}", len(rows), F, *shape)
                xp.matmul(w[a], cols.reshape(k * C, -1), out=z.reshape(len(rows) * F, -1))
                parts += zip(rows.values(), z, strict=True)
            y[block] = _images(_sum(parts), g.out)

    map_chunks(chunk, len(x), xp)
    return y


def backward(x, dy, w, g):
    """Gradients (dx, dw) of forward(x, w, g), given the gradient dy of its output."""
    xp, (F, C, k, _) = get_xp(x), w.shape
    dx = xp.zeros_like(x) if len(g.phases) < g.s ** 2 else xp.empty_like(x)      # s > k skips x
    w = w.transpose(2, 1, 3, 0)                                          # (ky, C, kx, F)
    w = {(a, b): w[g.taps(a), :, g.taps(b)].reshape(-1, len(g.reads[b]) * F) for a, b in g.phases}

    def chunk(images):
        dw = xp.zeros((k, F, k, C), x.dtype)                             # (kx, F, ky, C)
        scratch = Scratch(x)
        for block in _blocks(images, k * (C + F), g, x):
            shape = _length(block), *g.grid
            for b, columns in g.reads.items():
                cols = scratch("cols", len(columns), F, *shape)
                for i, q in enumerate(columns.values()):
                    _lay_out(dy[block], cols[i], columns=-q)
                cols = cols.reshape(len(columns) * F, -1)
                x_rows = scratch("x_rows", k, C, *shape)
                for a, rows in g.reads.items():
                    z = scratch("z", len(rows), C, *shape)
                    xp.matmul(w[a, b], cols, out=z.reshape(len(rows) * C, -1))
                    part = _phase(dx[block], g.s, (a, b))
                    part[...] = _images(_sum([(-q, z[i]) for i, q in enumerate(rows.values())]),
                                        part.shape[2:])
                    for ky, q in rows.items():
                        _lay_out(_phase(x[block], g.s, (a, b)), x_rows[ky], rows=q)
                product = cols @ x_rows.reshape(k * C, -1).T
                dw[g.taps(b)] += product.reshape(-1, F, k, C)
        return dw

    dw = sum(map_chunks(chunk, len(x), xp))
    return dx, xp.ascontiguousarray(dw.transpose(1, 3, 2, 0))            # (F, C, ky, kx)


class Scratch:
    """Arrays that a thread uses again for one block after another. Each is largest when it is first
    asked for: in the first block, for the first taps of the kernel."""

    def __init__(self, like):
        """With the dtype and device of `like`."""
        self.like, self.memory = like, {}

    def __call__(self, name, *shape):
        """The array `name`, of `shape`; what it holds is of no meaning."""
        size = math.prod(shape)
        if name not in self.memory:
            self.memory[name] = get_xp(self.like).empty(size, self.like.dtype)
        return self.memory[name][:size].reshape(shape)


def _blocks(images, rows, g, x):
    """Cut the slice `images` evenly, so that columns and products, `rows` grids, fit BLOCK_BYTES.
    On a GPU it stays whole."""
    n = _length(images)
    size = n * rows * math.prod(g.grid) * x.itemsize
    count = max(1, math.ceil(size / BLOCK_BYTES)) if get_xp(x) is np else 1
    step = max(1, math.ceil(n / count))
    return [slice(i, min(i + step, images.stop)) for i in range(images.start, images.stop, step)]


def _length(block):
    return block.stop - block.start


def _phase(x, s, phase):
    """The rows and columns of x (n, C, H, W) that belong to a phase."""
    a, b = phase
    return x[:, :, a::s, b::s]


def _lay_out(images, out, rows=0, columns=0):
    """Fill out (C, n, R, S) with images (n, C, h, w), by so many rows up and columns to the left.
    What they do not cover is 0."""
    (up, from_row), (left, from_column) = (
        _overlap(q, to, of) for q, to, of in zip((rows, columns), out.shape[2:], images.shape[2:],
                                                 strict=True))
    out[:, :, up, left] = images.transpose(1, 0, 2, 3)[:, :, from_row, from_column]
    out[:, :, :up.start] = out[:, :, up.stop:] = 0
    out[..., :left.start] = out[..., left.stop:] = 0


def _overlap(q, to, of):
    """The i in range(to) for which i + q is in range(of), and these i + q: two slices."""
    start = min(max(0, -q), to)
    stop = max(start, min(to, of - q))
    return slice(start, stop), slice(start + q, stop + q)


def _sum(parts):
    """The sum of arrays z (F, n, R, S), each moved q rows up, for the (q, z) in parts: in the
    memory of one that is not moved."""
    parts = sorted(parts, key=lambda part: abs(part[0]))
    if parts[0][0] != 0:  # the padding is as large as the kernel
        parts.insert(0, (0, get_xp(parts[0][1]).zeros_like(parts[0][1])))
    (_, total), *rest = parts
    for q, z in rest:
        to, of = _overlap(q, total.shape[2], total.shape[2])
        total[:, :, to] += z[:, :, of]
    return total


def _images(z, size):
    """The upper left of z (C, n, R, S), as images (n, C, *size)."""
    h, w = size
    return z[:, :, :h, :w].transpose(1, 0, 2, 3)
