"""Convolution with the weights that exist: the engine `sparse` (CPU, compiled by Numba).

    N batch   C channels in   F channels out   m free numbers (f, c, t): value
    L length of a block of images laid out as planes

A block of images is copied once into *planes*: per channel, one flat run of numbers that holds the
rows of all images, with zeros between them. The zeros right of one row are the left padding of
the next, the zero rows under one image the top padding of the next:

    x x x 0 x x x 0 0 0 0 0 x x x 0 ...       two rows of 3, one zero row, the next image

What one tap meets, at all outputs of the block, is then the whole plane, shifted: by one number for
each column of the kernel, by one row of the plane for each of its rows. With a stride, each phase
of the image (blocked.py) has its planes. Some outputs are computed at the zeros; they are not
copied out.

A free number adds one shifted plane, times its value, to the plane of its output channel, and
nothing is done for weights that are not there:

    y[f]       += value * x[c, shifted]            forward
    dx[c]      += value * dy[f, shifted back]      gradient of the input
    dvalue      = <dy[f], x[c, shifted]>           gradient of the free number

The flat index of a sparse tensor is sorted, so the free numbers of an output channel follow each
other. For dx they are sorted by the plane they add to. Four of them are taken in each pass over a
plane, which stays in the cache. Neither columns, nor dense weights, nor their dense gradient are
ever there. nn/im2col.py is the specification of this engine.
"""

import math
import threading
from functools import cache
from typing import NamedTuple

import numpy as np

from ..parameters import Dense, Sparse
from .compiled import jit
from .norm import Late
from .norm_loops import join
from .parallel import map_chunks, total

BLOCK_LENGTH = 1024  # pixels: a block's plane is read from the first cache, all from the second
BLOCK_IMAGES = 16  # at most: what a plane holds is reserved, and small images come in chunks of 12


def pays(weight, g):
    """Is this engine faster than blocked for `weight` on images of Geometry g? It can compute with
    what is Sparse or Dense; what has a θ of another kind does not pay.

    Measured by tests/benchmarks/speed.py on two cores with AVX2: blocked is as fast at densities of
    0.39 to 0.87 for images of 16x16 and larger, kernels of 3x3, strides 1 and 2, and at 0.27 to
    0.52 for smaller ones, whose planes are short; with 1x1 kernels, on two cores with AVX-512, at
    0.2 to 0.23. Linear layers, whose batch is an image of one row, are at 0.1 to 0.15 for 784 to
    300 numbers and for 1024 to 1024, in batches of 100.
    A dense 3x3 kernel of up to 4 channels, as for images, takes 0.4 to 0.6 of the time of blocked
    where no gradient of the images is asked for, else up to 0.9; one of 8 as long, and so does 5x5.
    """
    if type(weight) is Dense:
        return len(weight.shape) == 4 and weight.shape[1] <= 4 and weight.shape[2] == 3
    if not isinstance(weight, Sparse):
        return False
    rows, columns = g.grid
    if rows == 1:
        bound = 0.1 if columns > 64 else 0.05
    elif g.pointwise:
        bound = 0.2
    else:
        bound = 0.25 if rows * columns <= 64 else 0.4
    return weight.value.size < bound * weight.size


@cache
def everywhere(size):
    """The flat positions of a dense tensor: the same array each time, as its structure is."""
    return np.arange(size)


class Layout(NamedTuple):
    """How a block of images lies in planes."""

    images: int  # of a block, at most
    pitch: tuple  # rows and columns of an image, with the zeros that it shares with its neighbours
    margin: int  # zeros before the first image and after the last, so that no shift leaves a plane
    phases: np.ndarray  # (P, 3): with (a, b, s), rows a, a+s, ... and columns b, b+s, ...


class Affine(NamedTuple):
    """What images are on the way into their planes: max(scale * x + shift, floor)."""

    scale: np.ndarray  # (C,)
    shift: np.ndarray  # (C,)
    floor: np.floating


class Taps(NamedTuple):
    """The free numbers in the order of the planes that they add to."""

    first: np.ndarray  # the free numbers of plane i are first[i] to first[i + 1]
    start: np.ndarray  # (m,) int32: where in memory the shifted plane begins that each one reads


class SparseConv:
    """Convolution for one structure: the flat positions `index` of weights of `shape`."""

    def __init__(self, index, shape, g):
        """index (m,) sorted, shape (F, C, k, k), g the blocked.Geometry of the images."""
        self.index, self.shape, self.g = index, shape, g
        F, C, k, _ = shape
        shifts = [0, *(q for taps in g.reads.values() for q in taps.values())]
        pitch = PH, PW = tuple(size - min(shifts) for size in g.grid)
        margin = max(-min(shifts), max(shifts)) * (PW + 1)
        images = min(max(1, BLOCK_LENGTH // (PH * PW)), BLOCK_IMAGES)
        self.x_planes = len(g.phases) * C                                   # how many
        self.layout = Layout(images, pitch, margin, np.array([(*ab, g.s) for ab in g.phases]))
        self.length = length = 2 * margin + images * PH * PW                # of a plane in memory
        if max(self.x_planes, F) * length >= 2 ** 31:  # Taps.start is int32
            raise ValueError("images this large, with so many channels, need engine blocked")
        phase, shift = np.empty((2, k, k), np.int64)                        # of each tap (ky, kx)
        for i, (a, b) in enumerate(g.phases):
            for ky, rows in g.reads[a].items():
                for kx, columns in g.reads[b].items():
                    phase[ky, kx], shift[ky, kx] = i, rows * PW + columns
        phase, shift = phase.reshape(-1), shift.reshape(-1)
        f, c, t = np.unravel_index(index, (F, C, k * k))
        x_plane = phase[t] * C + c
        order = np.argsort(x_plane, kind="stable")
        self.order = order.astype(np.int32)
        self.by_y = _taps(f, F, x_plane * length + margin + shift[t])
        self.by_x = _taps(x_plane[order], self.x_planes, (f * length + margin - shift[t])[order])

    def fits(self, index, g):
        """Is this the convolution for that structure and geometry? `index` is not copied."""
        return self.index is index and self.g == g

    def forward(self, x, value, norm=None, moments=False):
        """Convolution y (N, F, OH, OW) with the free numbers value (m,): of x (N, C, H, W), or of
        max(scale * x + shift, floor) for norm = (scale (C,), shift (C,), floor).

        Returns y, and if asked for the norm.moments() of each chunk of it, else None.
        """
        x = np.ascontiguousarray(x)
        y = np.empty((len(x), self.shape[0], *self.g.out), x.dtype)
        norm, scratch = self._norm(norm, x.dtype), self._scratch(x.dtype, self.x_planes)

        def chunk(images):
            found = np.zeros((2, self.shape[0] if moments else 0))  # means, squared differences
            _forward(x[images], norm, value, self.by_y, self.layout, scratch(), y[images], found)
            return (images.stop - images.start) * math.prod(self.g.out), *found

        chunks = map_chunks(chunk, len(x))
        return y, chunks if moments else None

    def backward(self, x, dy, value, norm=None, mean=None, input_grad=True):
        """Gradients of forward(x, value, norm), given the gradient dy of its output: an array, or
        Late.

        Returns dz (like x), the gradient of scale * x + shift, which is 0 where that is not above
        the floor; the gradient of value; and for each channel, float64, the sums of dz and of
        dz * (x - mean). Without norm, dz is the gradient of x, and these sums are 0. Without
        input_grad dz has no images.
        """
        x = np.ascontiguousarray(x)
        if not isinstance(dy, Late):
            dy, none = np.ascontiguousarray(dy), np.zeros(self.shape[0], x.dtype)
            dy = Late(dy, dy[:0], none, none, none)
        new = np.empty_like if len(self.g.phases) == self.g.s ** 2 else np.zeros_like
        dz = new(x if input_grad else x[:0])
        norm, by_x_value = self._norm(norm, x.dtype), value[self.order]
        mean = np.zeros(x.shape[1], x.dtype) if mean is None else mean
        scratch = self._scratch(x.dtype, self.x_planes, self.shape[0])

        def chunk(images):
            dvalue, sums = np.zeros_like(value), np.zeros((2, x.shape[1]))
            part = Late(dy.dz[images], dy.x[images], *dy[2:])
            _backward(x[images], norm, mean, part, by_x_value, self.by_y, self.by_x, self.layout,
                      scratch(), (dz[images], dvalue, sums))
            return dvalue, *sums

        dvalue, sum_dz, sum_dz_centred = map(total, zip(*map_chunks(chunk, len(x)), strict=True))
        return dz, dvalue, sum_dz, sum_dz_centred

    def _norm(self, norm, dtype):
        """Affine(*norm), or the one that changes nothing."""
        C = self.shape[1]
        scale, shift, floor = norm or (np.ones(C, dtype), np.zeros(C, dtype), -np.inf)
        return Affine(scale, shift, dtype.type(floor))

    def _scratch(self, dtype, *counts):
        """A function that returns a thread's own: so many planes, each time, and the sums of one
        without its margins. What images leave in planes, the next ones replace."""
        own = threading.local()

        def scratch():
            if not hasattr(own, "arrays"):
                planes = (np.zeros((count, self.length), dtype) for count in counts)
                own.arrays = *planes, np.empty(self.length - 2 * self.layout.margin, dtype)
            return own.arrays

        return scratch


def _taps(plane, count, start):
    """Taps that add to the planes `plane`, sorted, of `count`."""
    return Taps(np.searchsorted(plane, np.arange(count + 1)), start.astype(np.int32))


@jit
def _forward(x, norm, value, by_y, layout, scratch, y, moments):
    """y, and in `moments` (2, F) the mean of each channel and the squared differences from it; in
    (2, 0) nothing."""
    N, C = x.shape[:2]
    x_planes, sums = scratch
    for i in range(0, N, layout.images):
        block = x[i:i + layout.images]
        L = len(block) * layout.pitch[0] * layout.pitch[1]
        for p, phase in enumerate(layout.phases):
            _fill(x_planes[p * C:(p + 1) * C], block, norm, layout, phase)
        for f in range(y.shape[1]):
            j, end = by_y.first[f], by_y.first[f + 1]
            _add_up(sums[:L], x_planes.reshape(-1), by_y.start[j:end], value[j:end])
            _copy_out(sums, y[i:i + layout.images, f], layout, (0, 0, 1))
            for image in range(i, i + len(block) if moments.size else i):
                join(y[image, f].reshape(-1), image, f, moments[0], moments[1])


@jit
def _backward(x, norm, mean, dy, value, by_y, by_x, layout, scratch, gradients):
    """`value` in the order of by_x, the gradient of it in that of by_y. dy is Late, or, where its x
    has no images, an array, its dz."""
    N, C = x.shape[:2]
    F, images, margin = dy.dz.shape[1], layout.images, layout.margin
    (x_planes, dy_planes, sums), (dz, dvalue, dz_sums) = scratch, gradients
    for i in range(0, N, images):
        block = x[i:i + images]
        L = len(block) * layout.pitch[0] * layout.pitch[1]
        _fill_gradient(dy_planes, Late(dy.dz[i:i + images], dy.x[i:i + images], dy.scale, dy.slope,
                                       dy.shift), layout)
        for p, phase in enumerate(layout.phases):
            _fill(x_planes[p * C:(p + 1) * C], block, norm, layout, phase)
        for f in range(F):
            j, end = by_y.first[f], by_y.first[f + 1]
            _dots(dvalue[j:end], dy_planes[f, margin:margin + L], x_planes.reshape(-1),
                  by_y.start[j:end])
        for p, phase in enumerate(layout.phases):
            for c in range(C if len(dz) else 0):
                j, end = by_x.first[p * C + c], by_x.first[p * C + c + 1]
                _add_up(sums[:L], dy_planes.reshape(-1), by_x.start[j:end], value[j:end])
                _copy_out(sums, dz[i:i + images, c], layout, phase)
        if len(dz) and norm.floor > -np.inf:
            _keep_above(dz[i:i + images], block, norm, mean, dz_sums)


@jit
def _add_up(sums, planes, start, value):
    """sums = the sum over j of value[j] * what lies in `planes` from start[j] on.

    Four j in each pass: five loads and a store for four multiplications, 52 to 65 GFLOP/s on one
    core with AVX-512. A tile of sums that stays in registers over all j would need four loads, and
    no store. Numba makes no vectors of it, 5 to 9 GFLOP/s: it cannot be told that sums and planes
    lie apart, and of sums in 16 to 64 variables its compiler, by NUMBA_SLP_VECTORIZE=1 as well,
    computes each by itself. Eight j in each pass: 0 to 7 % more, and a longer rest.
    """
    L, m = len(sums), len(start)
    sums[:] = 0
    for j in range(0, m - 3, 4):
        a, b = planes[start[j]:start[j] + L], planes[start[j + 1]:start[j + 1] + L]
        c, d = planes[start[j + 2]:start[j + 2] + L], planes[start[j + 3]:start[j + 3] + L]
        va, vb, vc, vd = value[j], value[j + 1], value[j + 2], value[j + 3]
        for i in range(L):
            sums[i] += va * a[i] + vb * b[i] + vc * c[i] + vd * d[i]
    for j in range(m - m % 4, m):
        a, va = planes[start[j]:start[j] + L], value[j]
        for i in range(L):
            sums[i] += va * a[i]


@jit
def _dots(dvalue, dy, planes, start):
    """dvalue[j] += the scalar product of dy with what lies in `planes` from start[j] on."""
    L, m = len(dy), len(start)
    for j in range(0, m - 3, 4):
        a, b = planes[start[j]:start[j] + L], planes[start[j + 1]:start[j + 1] + L]
        c, d = planes[start[j + 2]:start[j + 2] + L], planes[start[j + 3]:start[j + 3] + L]
        ta = tb = tc = td = dy.dtype.type(0)
        for i in range(L):
            ta += dy[i] * a[i]
            tb += dy[i] * b[i]
            tc += dy[i] * c[i]
            td += dy[i] * d[i]
        dvalue[j] += ta
        dvalue[j + 1] += tb
        dvalue[j + 2] += tc
        dvalue[j + 3] += td
    for j in range(m - m % 4, m):
        a, ta = planes[start[j]:start[j] + L], dy.dtype.type(0)
        for i in range(L):
            ta += dy[i] * a[i]
        dvalue[j] += ta


@jit
def _fill(planes, x, norm, layout, phase):
    """Lay out the rows and columns of x (n, C, H, W) that belong to `phase`, normalised."""
    n, C, H, W = x.shape
    (PH, PW), floor, s = layout.pitch, norm.floor, phase[2]
    columns = len(range(phase[1], W, s))
    for c in range(C):
        m, t = norm.scale[c], norm.shift[c]
        for i in range(n):
            at = layout.margin + i * PH * PW
            for h in range(phase[0], H, s):
                row, image = planes[c, at:at + PW], x[i, c, h]
                if s == 1:  # a loop without strides turns into vector instructions
                    for w in range(W):
                        v = m * image[w] + t
                        row[w] = floor if v < floor else v
                else:
                    for q in range(columns):
                        v = m * image[phase[1] + q * s] + t
                        row[q] = floor if v < floor else v
                at += PW


@jit
def _fill_gradient(planes, dy, layout):
    """Lay out the gradient dy of images (n, F, H, W), as in _backward()."""
    n, F, H, W = dy.dz.shape
    PH, PW = layout.pitch
    for f in range(F):
        a, b, e = dy.scale[f], dy.slope[f], dy.shift[f]
        for i in range(n):
            at = layout.margin + i * PH * PW
            for h in range(H):
                row, d = planes[f, at:at + PW], dy.dz[i, f, h]
                if len(dy.x):
                    x = dy.x[i, f, h]
                    for w in range(W):
                        row[w] = a * d[w] + b * x[w] + e
                else:
                    for w in range(W):
                        row[w] = d[w]
                at += PW


@jit
def _copy_out(plane, y, layout, phase):
    """The reverse for one channel y (n, H, W), from a plane without a margin."""
    n, H, W = y.shape
    (PH, PW), s = layout.pitch, phase[2]
    columns = len(range(phase[1], W, s))
    for i in range(n):
        at = i * PH * PW
        for h in range(phase[0], H, s):
            row, image = plane[at:at + PW], y[i, h]
            if s == 1:
                for w in range(W):
                    image[w] = row[w]
            else:
                for q in range(columns):
                    image[phase[1] + q * s] = row[q]
            at += PW


@jit
def _keep_above(dz, x, norm, mean, sums):
    """Set dz (n, C, H, W) to 0 where scale * x + shift is not above the floor; add to sums (2, C)
    those of dz and of dz * (x - mean)."""
    n, C, H, W = x.shape
    dz, x = dz.reshape(n, C, H * W), x.reshape(n, C, H * W)
    for i in range(n):
        for c in range(C):
            d, row, a, b, m = dz[i, c], x[i, c], norm.scale[c], norm.shift[c], mean[c]
            total = dot = x.dtype.type(0)
            for k in range(H * W):
                v = d[k] if a * row[k] + b > norm.floor else x.dtype.type(0)
                d[k] = v
                total += v
                dot += v * (row[k] - m)
            sums[0, c] += total
            sums[1, c] += dot
