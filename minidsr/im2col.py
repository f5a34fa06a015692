"""Convolution as matrix products, the reference engine (NumPy and CuPy).

    N batch   C channels in   F channels out   H W input size   OH OW output size
    k kernel  s stride  p pad  t = ky*k + kx one tap of the kernel  T = k*k taps
    L length of a block of images laid out as planes

A block of images is copied once into *planes*: per channel, one flat run of numbers that holds the
rows of all images, with zeros between them. The zeros right of one row are the left padding of
the next, the zero rows under one image the top padding of the next:

    x x x 0 x x x 0 0 0 0 0 x x x 0 ...       two rows of 3, one zero row, the next image

What one tap meets, at all outputs of the block, is then the whole plane, shifted. So each row of
the column matrix is one contiguous slice, and im2col is memcpy. The product also computes some
outputs at the zeros; they are not copied out.

With stride s the input is dealt into s*s *phases*: phase (a, b) holds rows a, a+s, a+2s, ... and
columns b, b+s, ... Each tap reads one phase, again as one shifted slice.

Backward, dy lies in planes of the same pitch and every shift is negated: dx is a convolution of dy
with the transposed kernel. Its columns, built once, serve both products, dx and dw.
"""

from dataclasses import dataclass

import numpy as np

from .backend import get_xp
from .parallel import map_chunks

BLOCK_BYTES = 4 << 20  # columns of a block of images: they stay in the cache, and calls are few


@dataclass(frozen=True)
class Geometry:
    """How the taps of a k x k kernel, stride s, pad p, lie in the planes of H x W images.

    s       the stride
    out     (OH, OW), the size of the output
    pitch   (PH, PW), rows and columns of one image in a plane, shared zeros included
    margin  zeros before the first image and after the last, so that no shift leaves the plane
    phases  {(a, b): {t: shift}}: the taps that read each phase, and their shifts
    """

    s: int
    out: tuple
    pitch: tuple
    margin: int
    phases: dict

    @classmethod
    def of(cls, H, W, k, s, p):
        """Raises ValueError where the kernel is larger than the padded image."""
        if k > min(H, W) + 2 * p:
            raise ValueError(f"a {k}x{k} kernel does not fit a {H}x{W} image padded by {p}")
        before, after = -(-p // s), max(0, (k - 1 - p) // s)  # reach of the taps, in phase rows
        out = tuple((size + 2 * p - k) // s + 1 for size in (H, W))
        pitch = tuple(max(-(-size // s) + before, o) for size, o in zip((H, W), out, strict=True))
        phases = {}
        for t in range(k * k):
            (qy, a), (qx, b) = (divmod(i - p, s) for i in divmod(t, k))
            phases.setdefault((a, b), {})[t] = qy * pitch[1] + qx
        return cls(s, out, pitch, max(before, after) * (pitch[1] + 1), phases)

    @property
    def cell(self):
        """Numbers that one image takes in a plane."""
        return self.pitch[0] * self.pitch[1]


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

    def shifted(self, shift):
        """What a tap meets: the planes from `shift` on.                            (C, L)"""
        start = self.g.margin + shift
        return self.memory[:, start:start + self.length]

    def columns(self, shifts, out):
        """im2col: for each shift and channel one row of `out`, (len(shifts), C, L) once shaped."""
        out = out.reshape(len(shifts), -1, self.length)
        for rows, shift in zip(out, shifts, strict=True):
            rows[...] = self.shifted(shift)


def forward(x, w, g):
    """Convolution y of x (N, C, H, W) with w (F, C, k, k), g a Geometry -> (N, F, OH, OW)."""
    xp, (F, C, k, _) = get_xp(x), w.shape
    y = xp.empty((len(x), F, *g.out), x.dtype)
    order = [t for taps in g.phases.values() for t in taps]
    w = w.reshape(F, C, k * k).transpose(0, 2, 1)[:, order].reshape(F, -1)       # (F, T*C)

    def chunk(images):
        blocks = _blocks(images, k * k * C, g, x)
        planes = {phase: Planes(C, _length(blocks[0]), g, x) for phase in g.phases}
        memory = xp.empty(k * k * C * _length(blocks[0]) * g.cell, x.dtype)
        for block in blocks:
            L, row = _length(block) * g.cell, 0
            cols = memory[:k * k * C * L].reshape(-1, L)                         # (T*C, L)
            for phase, taps in g.phases.items():
                plane = planes[phase].fill(_phase(x[block], g.s, phase))
                plane.columns(taps.values(), cols[row:row + len(taps) * C])
                row += len(taps) * C
            y[block] = _images(w @ cols, g.out, g)

    map_chunks(chunk, len(x), xp)
    return y


def backward(x, dy, w, g):
    """Gradients (dx, dw) of forward(x, w, g), given the gradient dy of its output."""
    xp, (F, C, k, _) = get_xp(x), w.shape
    dx = xp.zeros_like(x) if len(g.phases) < g.s ** 2 else xp.empty_like(x)      # s > k skips x
    w = w.reshape(F, C, k * k).transpose(2, 0, 1)                                # (T, F, C)

    def chunk(images):
        dw = xp.zeros((k * k, F, C), x.dtype)
        blocks = _blocks(images, k * k * F, g, x)
        dy_planes = Planes(F, _length(blocks[0]), g, x)
        x_planes = {phase: Planes(C, _length(blocks[0]), g, x) for phase in g.phases}
        memory = xp.empty(k * k * F * _length(blocks[0]) * g.cell, x.dtype)
        for block in blocks:
            dy_planes.fill(dy[block])
            for phase, taps in g.phases.items():
                L, t = dy_planes.length, list(taps)
                cols = memory[:len(t) * F * L].reshape(-1, L)                    # (T*F, L)
                dy_planes.columns([-shift for shift in taps.values()], cols)
                x_plane = x_planes[phase].fill(_phase(x[block], g.s, phase)).shifted(0)
                dw[t] += (cols @ x_plane.T).reshape(-1, F, C)
                dx_part = _phase(dx[block], g.s, phase)
                dx_part[...] = _images(w[t].reshape(-1, C).T @ cols, dx_part.shape[2:], g)
        return dw

    dw = sum(map_chunks(chunk, len(x), xp))
    return dx, dw.transpose(1, 2, 0).reshape(F, C, k, k)


def _blocks(images, rows, g, x):
    """Cut the slice `images` so that the columns of a block, `rows` high, fit BLOCK_BYTES."""
    per_image = rows * g.cell * x.itemsize
    step = max(1, BLOCK_BYTES // per_image) if get_xp(x) is np else len(x)
    return [slice(i, min(i + step, images.stop)) for i in range(images.start, images.stop, step)]


def _length(block):
    return block.stop - block.start


def _phase(x, s, phase):
    """The rows and columns of x (n, C, H, W) that belong to a phase."""
    a, b = phase
    return x[:, :, a::s, b::s]


def _images(planes, size, g):
    """planes (C, L), laid out by g, as images (n, C, *size)."""
    h, w = size
    return planes.reshape(len(planes), -1, *g.pitch)[:, :, :h, :w].transpose(1, 0, 2, 3)
