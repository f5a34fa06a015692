"""Convolution as matrix products, the reference engine (NumPy and CuPy).

    N batch   C channels in   F channels out   H W input size   OH OW output size
    k kernel  s stride  p pad  ky kx row and column of a tap, one weight of a kernel
    L length of a block of images laid out as planes

A block of images is copied once into *planes*: per channel, one flat run of numbers that holds the
rows of all images, with zeros between them. The zeros right of one row are the left padding of
the next, the zero rows under one image the top padding of the next:

    x x x 0 x x x 0 0 0 0 0 x x x 0 ...       two rows of 3, one zero row, the next image

What one tap meets, at all outputs of the block, is then the whole plane, shifted: by one number for
each column of the kernel, by one row of the plane for each of its rows.

So im2col is memcpy, and only the columns of the kernel need it: `cols` has a row for each (kx, c).
Its product with the weights, a row for each (ky, f), holds what each row of the kernel adds to an
output channel; their sum, each shifted by its row, is y. Against columns for every tap, a k-th is
copied, and the product has k times the rows at a k-th of the depth, which BLAS likes better where
channels are few. Some outputs are computed at the zeros; they are not copied out.

With stride s the input is dealt into s*s *phases*: phase (a, b) holds rows a, a+s, a+2s, ... and
columns b, b+s, ... Each tap reads one phase, again as one shifted slice.

Backward, dy lies in planes of the same pitch and every shift is negated: dx is a convolution of dy
with the transposed kernel. Its columns, times x shifted by the rows of the kernel, are dw.
"""

import math
from dataclasses import dataclass

import numpy as np

from .backend import get_xp
from .parallel import map_chunks

BLOCK_BYTES = 4 << 20  # columns and products of a block: they stay in the cache, calls are few


@dataclass(frozen=True)
class Geometry:
    """How the taps of a k x k kernel, stride s, pad p, lie in the planes of H x W images.

    s       the stride
    out     (OH, OW), the size of the output
    pitch   (PH, PW), rows and columns of one image in a plane, shared zeros included
    margin  zeros before the first image and after the last, so that no shift leaves the plane
    reads   {a: {i: q}}: the rows (columns) i of the kernel that read rows (columns) a, a+s, ... of
            the image, and by how many of these they are shifted
    """

    s: int
    out: tuple
    pitch: tuple
    margin: int
    reads: dict

    @classmethod
    def of(cls, H, W, k, s, p):
        """Raises ValueError where the kernel is larger than the padded image."""
        if k > min(H, W) + 2 * p:
            raise ValueError(f"a {k}x{k} kernel does not fit a {H}x{W} image padded by {p}")
        before, after = -(-p // s), max(0, (k - 1 - p) // s)  # reach of the taps, in phase rows
        out = tuple((size + 2 * p - k) // s + 1 for size in (H, W))
        pitch = tuple(max(-(-size // s) + before, o) for size, o in zip((H, W), out, strict=True))
        reads = {}
        for i in range(k):
            q, a = divmod(i - p, s)
            reads.setdefault(a, {})[i] = q
        return cls(s, out, pitch, max(before, after) * (pitch[1] + 1), reads)

    @property
    def cell(self):
        """Numbers that one image takes in a plane."""
        return self.pitch[0] * self.pitch[1]

    @property
    def phases(self):
        """The (a, b) that are read."""
        return [(a, b) for a in self.reads for b in self.reads]

    def taps(self, a):
        """Which rows (columns) of the kernel read phase a: a slice."""
        return slice(min(self.reads[a]), None, self.s)

    def span(self, block, shifts):
        """Length of a plane and of what lies between the least and the largest of these shifts."""
        return _length(block) * self.cell + (max(shifts) - min(shifts)) * self.pitch[1]


class Planes:
    """The planes of one block of images after another, in the same memory: one thread's scratch."""

    def __init__(self, channels, images, g, like):
        """Room for `images` images of `channels` channels, with the dtype and device of `like`."""
        self.g = g
        self.memory = get_xp(like).zeros((channels, 2 * g.margin + images * g.cell), like.dtype)

    def fill(self, x):
        """Lay out x (n, C, h, w); returns self."""
        n, C, h, w = x.shape
        self.length = n * self.g.cell
        self.shifted(0).reshape(C, n, *self.g.pitch)[:, :, :h, :w] = x.transpose(1, 0, 2, 3)
        return self

    def shifted(self, rows, columns=0, length=None):
        """The planes from that shift on.                                   (C, length or L)"""
        start = self.g.margin + rows * self.g.pitch[1] + columns
        return self.memory[:, start:start + (length or self.length)]


def forward(x, w, g):
    """Convolution y of x (N, C, H, W) with w (F, C, k, k), g a Geometry -> (N, F, OH, OW)."""
    xp, (F, C, k, _) = get_xp(x), w.shape
    y = xp.empty((len(x), F, *g.out), x.dtype)
    w = w.transpose(2, 0, 3, 1)                                          # (ky, F, kx, C)
    w = {a: w[g.taps(a)].reshape(-1, k * C) for a in g.reads}

    def chunk(images):
        blocks = _blocks(images, k * (C + F), g, x)
        planes = {phase: Planes(C, _length(blocks[0]), g, x) for phase in g.phases}
        scratch = Scratch(x)
        for block in blocks:
            for phase, plane in planes.items():
                plane.fill(_phase(x[block], g.s, phase))
            parts = []
            for a, rows in g.reads.items():
                top, span = min(rows.values()), g.span(block, rows.values())
                cols = scratch("cols", k, C, span)
                for b, columns in g.reads.items():
                    for kx, q in columns.items():
                        cols[kx] = planes[a, b].shifted(top, q, span)
                z = scratch(f"z{a}", len(rows), F, span)
                xp.matmul(w[a], cols.reshape(k * C, span), out=z.reshape(-1, span))
                parts += [_rows_down(z[i], q - top, block, g) for i, q in enumerate(rows.values())]
            y[block] = _images(_sum(parts, scratch), g.out, g)

    map_chunks(chunk, len(x), xp)
    return y


def backward(x, dy, w, g):
    """Gradients (dx, dw) of forward(x, w, g), given the gradient dy of its output."""
    xp, (F, C, k, _) = get_xp(x), w.shape
    dx = xp.zeros_like(x) if len(g.phases) < g.s ** 2 else xp.empty_like(x)      # s > k skips x
    w = w.transpose(2, 1, 3, 0)                                          # (ky, C, kx, F)
    w = {(a, b): w[g.taps(a), :, g.taps(b)].reshape(-1, len(g.reads[b]) * F) for a, b in g.phases}
    reach = [0, *(q for rows in g.reads.values() for q in rows.values())]   # dw: dy at 0
    bottom = max(reach)

    def chunk(images):
        dw = xp.zeros((k, F, k, C), x.dtype)                             # (kx, F, ky, C)
        blocks = _blocks(images, k * (C + F), g, x)
        dy_planes = Planes(F, _length(blocks[0]), g, x)
        x_planes = {phase: Planes(C, _length(blocks[0]), g, x) for phase in g.phases}
        scratch = Scratch(x)
        for block in blocks:
            dy_planes.fill(dy[block])
            L, span = dy_planes.length, g.span(block, reach)
            for b, columns in g.reads.items():
                cols = scratch("cols", len(columns), F, span)
                for i, q in enumerate(columns.values()):
                    cols[i] = dy_planes.shifted(-bottom, -q, span)
                cols = cols.reshape(-1, span)
                x_rows = scratch("x_rows", k, C, L)
                for a, rows in g.reads.items():
                    z = scratch("z", len(rows), C, span)
                    xp.matmul(w[a, b], cols, out=z.reshape(-1, span))
                    parts = [_rows_down(z[i], bottom - q, block, g)
                             for i, q in enumerate(rows.values())]
                    part = _phase(dx[block], g.s, (a, b))
                    part[...] = _images(_sum(parts, scratch), part.shape[2:], g)
                    x_plane = x_planes[a, b].fill(_phase(x[block], g.s, (a, b)))
                    for ky, q in rows.items():
                        x_rows[ky] = x_plane.shifted(q)
                product = _rows_down(cols, bottom, block, g) @ x_rows.reshape(k * C, L).T
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
    """Cut the slice `images` so that columns and products, `rows` planes, fit BLOCK_BYTES."""
    per_image = rows * g.cell * x.itemsize
    step = max(1, BLOCK_BYTES // per_image) if get_xp(x) is np else len(x)
    return [slice(i, min(i + step, images.stop)) for i in range(images.start, images.stop, step)]


def _length(block):
    return block.stop - block.start


def _phase(x, s, phase):
    """The rows and columns of x (n, C, H, W) that belong to a phase."""
    a, b = phase
    return x[:, :, a::s, b::s]


def _rows_down(planes, rows, block, g):
    """`planes` (C, span) from that row on, for the outputs of the block.              (C, L)"""
    start = rows * g.pitch[1]
    return planes[:, start:start + _length(block) * g.cell]


def _sum(parts, scratch):
    """The sum of arrays (F, L): the array itself if there is one, else scratch."""
    total = parts[0]
    for part in parts[1:]:
        total = get_xp(part).add(total, part, out=scratch("sum", *part.shape))
    return total


def _images(planes, size, g):
    """planes (C, L), laid out by g, as images (n, C, *size)."""
    h, w = size
    return planes.reshape(len(planes), -1, *g.pitch)[:, :, :h, :w].transpose(1, 0, 2, 3)
