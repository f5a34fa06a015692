"""Convolution as matrix products, by blocks: the engine `blocked` (NumPy and CuPy).

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

A 1x1 kernel without padding shifts nothing: each image is multiplied as it lies.
"""

import math
from dataclasses import dataclass

import numpy as np

from ..backend import elementwise, get_xp
from .parallel import map_chunks, total

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

    @property
    def pointwise(self):
        """Is it a 1x1 kernel without padding?"""
        return self.reads == {0: {0: 0}}

    def taps(self, a):
        """Which rows (columns) of the kernel read phase a: a slice."""
        return slice(min(self.reads[a]), None, self.s)

    def shifts(self, a, sign=1):
        """The shift of the first of these taps, and what is added from one to the next."""
        return sign * min(self.reads[a].values()), sign


def forward(x, w, g):
    """Convolution y of x (N, C, H, W) with w (F, C, k, k), g a Geometry -> (N, F, OH, OW)."""
    xp, (F, C, k, _) = get_xp(x), w.shape
    if g.pointwise:
        y = xp.empty((len(x), F, math.prod(g.out)), x.dtype)
        map_chunks(lambda images: xp.matmul(
            w[:, :, 0, 0], _pixels(x[images], g.s), out=y[images]), len(x), xp)
        return y.reshape(len(x), F, *g.out)
    y = xp.empty((len(x), F, *g.out), x.dtype)
    w = w.transpose(2, 0, 3, 1)                                          # (ky, F, kx, C)
    w = {a: w[g.taps(a)].reshape(-1, k * C) for a in g.reads}

    def chunk(images):
        scratch = Scratch(x)
        for block in _blocks(images, k * (C + F), g, x):
            parts, shape = [], (_length(block), *g.grid)
            for a, rows in g.reads.items():
                cols = scratch("cols", k, C, *shape)
                for b in g.reads:
                    _lay_out(_phase(x[block], g.s, (a, b)), cols[g.taps(b)], columns=g.shifts(b))
                z = scratch(f"z{a}", len(rows), F, *shape)
                xp.matmul(w[a], cols.reshape(k * C, -1), out=z.reshape(len(rows) * F, -1))
                parts.append((z, g.shifts(a)))
            _shifted_sum(parts, y[block])

    map_chunks(chunk, len(x), xp)
    return y


def backward(x, dy, w, g, input_grad=True):
    """Gradients (dx, dw) of forward(x, w, g), given the gradient dy of its output. Without
    input_grad dx is None: nobody asks for that of the images."""
    xp, (F, C, k, _) = get_xp(x), w.shape
    dx = None
    if input_grad:
        dx = xp.zeros_like(x) if len(g.phases) < g.s ** 2 else xp.empty_like(x)  # s > k skips x
    if g.pointwise:
        return dx, _pointwise_backward(x, dy, w, g.s, dx)
    w = w.transpose(2, 1, 3, 0)                                          # (ky, C, kx, F)
    w = {(a, b): w[g.taps(a), :, g.taps(b)].reshape(-1, len(g.reads[b]) * F) for a, b in g.phases}

    def chunk(images):
        dw = xp.zeros((k, F, k, C), x.dtype)                             # (kx, F, ky, C)
        scratch = Scratch(x)
        for block in _blocks(images, k * (C + F), g, x):
            shape = _length(block), *g.grid
            for b, columns in g.reads.items():
                cols = scratch("cols", len(columns), F, *shape)
                _lay_out(dy[block], cols, columns=g.shifts(b, -1))
                cols = cols.reshape(len(columns) * F, -1)
                x_rows = scratch("x_rows", k, C, *shape)
                for a, rows in g.reads.items():
                    if input_grad:
                        z = scratch("z", len(rows), C, *shape)
                        xp.matmul(w[a, b], cols, out=z.reshape(len(rows) * C, -1))
                        _shifted_sum([(z, g.shifts(a, -1))], _phase(dx[block], g.s, (a, b)))
                    _lay_out(_phase(x[block], g.s, (a, b)), x_rows[g.taps(a)], rows=g.shifts(a))
                product = cols @ x_rows.reshape(k * C, -1).T
                dw[g.taps(b)] += product.reshape(-1, F, k, C)
        return dw

    dw = total(map_chunks(chunk, len(x), xp))
    return dx, xp.ascontiguousarray(dw.transpose(1, 3, 2, 0))            # (F, C, ky, kx)


def _pixels(x, s=1):
    """Every s-th row and column of images (n, C, H, W), as (n, C, pixels)."""
    x = x[:, :, ::s, ::s]
    return x.reshape(*x.shape[:2], math.prod(x.shape[2:]))


def _pointwise_backward(x, dy, w, s, dx):
    """dw, and dx put into place where it is asked for."""
    xp = get_xp(x)

    def chunk(images):
        d = _pixels(dy[images])
        if dx is not None:
            at = dx[images, :, ::s, ::s]
            at[...] = xp.matmul(w[:, :, 0, 0].T, d).reshape(at.shape)
        pixels = _pixels(x[images], s)
        if xp is not np:
            return xp.tensordot(d, pixels, axes=((0, 2), (0, 2)))
        dw = xp.zeros(w.shape[:2], x.dtype)
        for one, other in zip(d, pixels, strict=True):
            dw += one @ other.T
        return dw

    return total(map_chunks(chunk, len(x), xp))[:, :, None, None]


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


def _lay_out(images, out, rows=(0, 0), columns=(0, 0)):
    """Fill out[t] (C, n, R, S) for each tap t with images (n, C, h, w), q rows up and so many
    columns to the left, where rows = (q of the first tap, what each next one adds). What they do
    not cover is 0."""
    if get_xp(out) is not np:
        _lay_out_kernel(images, *rows, *columns, out)
        return
    images = images.transpose(1, 0, 2, 3)
    for t, tap in enumerate(out):
        (up, from_row), (left, from_column) = (
            _overlap(first + t * step, to, of) for (first, step), to, of in zip(
                (rows, columns), tap.shape[2:], images.shape[2:], strict=True))
        tap[:, :, up, left] = images[:, :, from_row, from_column]
        tap[:, :, :up.start] = tap[:, :, up.stop:] = 0
        tap[..., :left.start] = tap[..., left.stop:] = 0


def _shifted_sum(parts, images):
    """Fill images (n, C, h, w) with the upper left of the sum of z[t] (C, n, R, S), moved up by
    rows as in _lay_out(), for all t and all (z, rows) in parts. It may use the memory of z."""
    if get_xp(images) is not np:
        for i, (z, rows) in enumerate(parts):
            _shifted_sum_kernel(z, *rows, i > 0, images)
        return
    parts = sorted(((first + t * step, part) for z, (first, step) in parts
                    for t, part in enumerate(z)), key=lambda part: abs(part[0]))
    if parts[0][0] != 0:  # the padding is as large as the kernel
        parts.insert(0, (0, get_xp(images).zeros_like(parts[0][1])))
    (_, y), *rest = parts
    for q, z in rest:
        to, of = _overlap(q, y.shape[2], y.shape[2])
        y[:, :, to] += z[:, :, of]
    h, w = images.shape[2:]
    images[...] = y[:, :, :h, :w].transpose(1, 0, 2, 3)


def _overlap(q, to, of):
    """The i in range(to) for which i + q is in range(of), and these i + q: two slices."""
    start = min(max(0, -q), to)
    stop = max(start, min(to, of - q))
    return slice(start, stop), slice(start + q, stop + q)


# _lay_out() and _shifted_sum() on a GPU: one kernel instead of one for each shift, border and sum.

_lay_out_kernel = elementwise("lay_out", """
    raw T images, int32 row, int32 row_step, int32 column, int32 column_step""", "T out", """
    const ptrdiff_t* at = _ind.get();                                    // t, c, n, r, s
    ptrdiff_t from[] = {at[2], at[1], at[3] + row + at[0] * row_step,
                        at[4] + column + at[0] * column_step};
    bool inside = 0 <= from[2] && from[2] < images.shape()[2] &&
                  0 <= from[3] && from[3] < images.shape()[3];
    out = inside ? images[from] : T(0);
    """)

_shifted_sum_kernel = elementwise("shifted_sum", """
    raw T z, int32 row, int32 row_step, bool add""", "T out", """
    const ptrdiff_t* at = _ind.get();                                    // n, c, h, w
    T sum = add ? out : T(0);
    for (int t = 0; t < z.shape()[0]; ++t) {
        ptrdiff_t from[] = {t, at[1], at[0], at[2] + row + t * row_step, at[3]};
        if (0 <= from[3] && from[3] < z.shape()[3]) sum += z[from];
    }
    out = sum;
    """)
