"""Convolution with the weights that exist, the fast engine (CPU, compiled by Numba).

    N batch   C channels in   F channels out   m free numbers (f, c, t): value
    L length of a block of images laid out as planes

A block of images is copied once into *planes*: per channel, one flat run of numbers that holds the
rows of all images, with zeros between them. The zeros right of one row are the left padding of
the next, the zero rows under one image the top padding of the next:

    x x x 0 x x x 0 0 0 0 0 x x x 0 ...       two rows of 3, one zero row, the next image

What one tap meets, at all outputs of the block, is then the whole plane, shifted: by one number for
each column of the kernel, by one row of the plane for each of its rows. With a stride, each phase
of the image (im2col.py) has its planes. Some outputs are computed at the zeros; they are not copied
out.

A free number adds one shifted plane, times its value, to the plane of its output channel, and
nothing is done for weights that are not there:

    y[f]       += value * x[c, shifted]            forward
    dx[c]      += value * dy[f, shifted back]      gradient of the input
    dvalue      = <dy[f], x[c, shifted]>           gradient of the free number

The flat index of a sparse tensor is sorted, so the free numbers of an output channel follow each
other. For dx they are sorted by the plane they add to. Four of them are taken in each pass over a
plane, which stays in the cache. Neither columns, nor dense weights, nor their dense gradient are
ever there. im2col.py is the specification of this engine, and its test.
"""

import numpy as np

from .compiled import jit
from .parallel import map_chunks, total

BLOCK_LENGTH = 1024  # pixels: a block's plane is read from the first cache, all from the second
BLOCK_IMAGES = 16  # at most: what a plane holds is reserved, and small images come in chunks of 12


def pays(weight, g):
    """Is this engine faster than im2col for `weight`, a Sparse, on images of Geometry g?

    Measured by tests/benchmarks/speed.py on two cores with AVX2: im2col is as fast at densities of
    0.39 to 0.87 for images of 16x16 and larger, kernels of 1x1 and 3x3, strides 1 and 2, and at
    0.27 to 0.52 for smaller ones, whose planes are short. Images of one pixel, of a linear layer,
    make planes so short that it is at 0.01 to 0.1.
    """
    pixels = g.grid[0] * g.grid[1]
    bound = 0.05 if pixels == 1 else 0.25 if pixels <= 64 else 0.4
    return weight.value.size < bound * weight.size


class SparseConv:
    """Convolution for one structure: the flat positions `index` of weights of `shape`."""

    def __init__(self, index, shape, g):
        """index (m,) sorted, shape (F, C, k, k), g the im2col.Geometry of the images."""
        self.index, self.shape, self.g = index, shape, g
        F, C, k, _ = shape
        shifts = [0, *(q for taps in g.reads.values() for q in taps.values())]
        # rows and columns of an image in a plane, with the zeros that it shares with its neighbours
        self.pitch = PH, PW = tuple(size - min(shifts) for size in g.grid)
        # zeros before the first image and after the last, so that no shift leaves the plane
        self.margin = max(-min(shifts), max(shifts)) * (PW + 1)
        self.images = min(max(1, BLOCK_LENGTH // (PH * PW)), BLOCK_IMAGES)   # of a block
        self.length = length = 2 * self.margin + self.images * PH * PW      # of a plane in memory
        assert max(len(g.phases) * C, F) * length < 2 ** 31, "planes too large for int32 offsets"
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
        self.phases = np.array(g.phases)                                    # (P, 2): offsets a, b
        self.by_y = _starts(f, F), \
            (x_plane * length + self.margin + shift[t]).astype(np.int32)
        self.by_x = _starts(x_plane[order], len(self.phases) * C), \
            (f * length + self.margin - shift[t])[order].astype(np.int32)

    def fits(self, index, g):
        """Is this the convolution for that structure and geometry? `index` is not copied."""
        return self.index is index and self.g == g

    def forward(self, x, value, norm=None):
        """Convolution y (N, F, OH, OW) with the free numbers value (m,): of x (N, C, H, W), or of
        max(scale * x + shift, floor) for norm = (scale (C,), shift (C,), floor)."""
        x = np.ascontiguousarray(x)
        y = np.empty((len(x), self.shape[0], *self.g.out), x.dtype)
        norm = self._norm(norm, x.dtype)

        def chunk(images):
            _forward(x[images], *norm, value, *self.by_y, *self._planes(x.dtype), y[images])

        map_chunks(chunk, len(x))
        return y

    def backward(self, x, dy, value, norm=None, mean=None):
        """Gradients of forward(x, value, norm), given the gradient dy of its output.

        Returns dz (like x), the gradient of scale * x + shift, which is 0 where that is not above
        the floor; the gradient of value; and for each channel, float64, the sums of dz and of
        dz * (x - mean). Without norm, dz is the gradient of x, and these sums are 0.
        """
        x, dy = np.ascontiguousarray(x), np.ascontiguousarray(dy)
        dz = np.empty_like(x) if len(self.phases) == self.g.s ** 2 else np.zeros_like(x)
        norm, by_x_value = self._norm(norm, x.dtype), value[self.order]
        mean = np.zeros(x.shape[1], x.dtype) if mean is None else mean

        def chunk(images):
            dvalue, sums = np.zeros_like(value), np.zeros((2, x.shape[1]))
            dy_planes = np.zeros((self.shape[0], self.length), dy.dtype)
            _backward(x[images], *norm, mean, dy[images], by_x_value, *self.by_y, *self.by_x,
                      *self._planes(x.dtype), dy_planes, dz[images], dvalue, sums)
            return dvalue, *sums

        dvalue, sum_dz, sum_dz_centred = map(total, zip(*map_chunks(chunk, len(x)), strict=True))
        return dz, dvalue, sum_dz, sum_dz_centred

    def _norm(self, norm, dtype):
        """(scale, shift, floor), without which x stays as it is."""
        C = self.shape[1]
        scale, shift, floor = norm or (np.ones(C, dtype), np.zeros(C, dtype), -np.inf)
        return scale, shift, dtype.type(floor)

    def _planes(self, dtype):
        """A thread's scratch, and how images lie in it."""
        x_planes = np.zeros((len(self.phases) * self.shape[1], self.length), dtype)
        sums = np.empty(self.images * self.pitch[0] * self.pitch[1], dtype)
        return self.images, self.pitch, self.margin, self.phases, self.g.s, x_planes, sums


def _starts(plane, count):
    """Where the entries of each of `count` planes begin in the sorted `plane`: (count + 1,)."""
    return np.searchsorted(plane, np.arange(count + 1))


@jit
def _forward(x, scale, shift, floor, value, first, start, images, pitch, margin, phases, s,
             x_planes, sums, y):
    N, C = x.shape[:2]
    F, cell = y.shape[1], pitch[0] * pitch[1]
    for i in range(0, N, images):
        block = x[i:i + images]
        L = len(block) * cell
        for p in range(len(phases)):
            _fill(x_planes[p * C:(p + 1) * C], block, scale, shift, floor, pitch, margin, phases[p],
                  s)
        for f in range(F):
            _add_up(sums[:L], x_planes.reshape(-1), start[first[f]:first[f + 1]],
                    value[first[f]:first[f + 1]])
            _copy_out(sums, y[i:i + images, f], pitch, (0, 0), 1)


@jit
def _backward(x, scale, shift, floor, mean, dy, value, first, start, x_first, x_start, images,
              pitch, margin, phases, s, x_planes, sums, dy_planes, dz, dvalue, dz_sums):
    """`value` in the order of x_start, `dvalue` in that of start."""
    N, C = x.shape[:2]
    F, cell = dy.shape[1], pitch[0] * pitch[1]
    one, zero = np.ones(F, x.dtype), np.zeros(F, x.dtype)
    for i in range(0, N, images):
        block = x[i:i + images]
        L = len(block) * cell
        _fill(dy_planes, dy[i:i + images], one, zero, x.dtype.type(-np.inf), pitch, margin, (0, 0),
              1)
        for p in range(len(phases)):
            _fill(x_planes[p * C:(p + 1) * C], block, scale, shift, floor, pitch, margin, phases[p],
                  s)
        for f in range(F):
            _dots(dvalue[first[f]:first[f + 1]], dy_planes[f, margin:margin + L],
                  x_planes.reshape(-1), start[first[f]:first[f + 1]])
        for p in range(len(phases)):
            for c in range(C):
                j, end = x_first[p * C + c], x_first[p * C + c + 1]
                _add_up(sums[:L], dy_planes.reshape(-1), x_start[j:end], value[j:end])
                _copy_out(sums, dz[i:i + images, c], pitch, phases[p], s)
        if floor > -np.inf:
            _keep_above(dz[i:i + images], block, scale, shift, floor, mean, dz_sums)


@jit
def _add_up(sums, planes, start, value):
    """sums = the sum over j of value[j] * what lies in `planes` from start[j] on."""
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
def _fill(planes, x, scale, shift, floor, pitch, margin, phase, s):
    """Lay out the rows a, a+s, ... and columns b, b+s, ... of max(scale * x + shift, floor), for
    x (n, C, H, W) and (a, b) = phase."""
    n, C, H, W = x.shape
    for c in range(C):
        m, t = scale[c], shift[c]
        for i in range(n):
            at = margin + i * pitch[0] * pitch[1]
            for h in range(phase[0], H, s):
                row, image = planes[c, at:at + pitch[1]], x[i, c, h]
                if s == 1:  # a loop without strides turns into vector instructions
                    for w in range(W):
                        v = m * image[w] + t
                        row[w] = floor if v < floor else v
                else:
                    for w in range(phase[1], W, s):
                        v = m * image[w] + t
                        row[w // s] = floor if v < floor else v
                at += pitch[1]


@jit
def _copy_out(plane, y, pitch, phase, s):
    """The reverse for one channel y (n, H, W), from a plane without a margin."""
    n, H, W = y.shape
    for i in range(n):
        at = i * pitch[0] * pitch[1]
        for h in range(phase[0], H, s):
            row, image = plane[at:at + pitch[1]], y[i, h]
            if s == 1:
                for w in range(W):
                    image[w] = row[w]
            else:
                for w in range(phase[1], W, s):
                    image[w] = row[w // s]
            at += pitch[1]


@jit
def _keep_above(dz, x, scale, shift, floor, mean, sums):
    """Set dz (n, C, H, W) to 0 where scale * x + shift is not above the floor; add to sums (2, C)
    those of dz and of dz * (x - mean)."""
    n, C, H, W = x.shape
    dz, x = dz.reshape(n, C, H * W), x.reshape(n, C, H * W)
    for i in range(n):
        for c in range(C):
            d, row, a, b, m = dz[i, c], x[i, c], scale[c], shift[c], mean[c]
            total = dot = x.dtype.type(0)
            for k in range(H * W):
                v = d[k] if a * row[k] + b > floor else x.dtype.type(0)
                d[k] = v
                total += v
                dot += v * (row[k] - m)
            sums[0, c] += total
            sums[1, c] += dot
