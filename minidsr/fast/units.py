"""Units: what computes in place of layers, by blocks, over threads, or with the free numbers only.

A unit has forward and backward like a layer, and takes parameters and statistics from the layer
that it stands for. It chooses anew at each call how to multiply, since densities move.

    Conv      a convolution: by blocks (blocked.py), or with the free numbers (sparse_conv.py)
    Linear    the same for a linear layer
    Norm      batch norm by chunks (norm.py), also compiled (norm_loops.py); with the ReLU behind it
              (a matrix, of a linear layer, is one chunk, and so on one thread)
    NormConv  batch norm, ReLU and a sparse convolution in one
    MaxPool   the largest of each 2 x 2 window, compiled (pool_loops.py)
    ReLU, Sum the rectifier and the addition of a residual block, over threads

Normalised images need not be written to memory and read again: the convolution of a NormConv
normalises them on the way into its planes, and the sums that the gradient of batch norm needs are
taken where it puts the gradient down. What batch norm makes of that gradient is not written down
either (norm.Late): the convolution before it computes it on the way into its planes, a sum where it
adds. Moments of what a batch norm will read are taken where it is written (norm.Known). The same
numbers, to rounding, as one layer after the other.

How often a residual block of two such pairs reads or writes an array of images as large as its
input, beside what stays in the cache; tests/benchmarks/speed.py measures how near that comes to the
speed of memory:

                     forward                    backward
    second NormConv  2: x, y                    3: dy, x, dz
    first NormConv   2: x, y                    4: dz and x, of which it makes dy; x, dz
    Sum              3: x, body, sum in place   4: dz and x, of which it makes dx; dy, sum in place
    together         7                          11

Apart it would be 9 and 15: moments read what has been written, batch norm reads dz and x and writes
dx.
"""

import math

import numpy as np

from ..backend import get_xp
from ..nn import layers
from ..nn.base import Layer, Residual, Sequential
from ..parameters import Sparse
from . import blocked, norm
from .parallel import map_chunks, map_to_array, total


def units(layer, pays, compiled=False, known=None):
    """What computes in place of `layer`: a list of units, in order.

    pays      function (weight, Geometry) -> is it to be multiplied with its free numbers only?
    compiled  do batch norm, sums and max pooling pass over chunks in compiled loops?
    known     the norm.Known of the network, of which `layer` is a part

    Batch norm takes in the ReLU behind it, and a convolution both. Layers for which there is no
    unit compute for themselves.
    """
    made, known = [], known or norm.Known()
    for part in _in_order(layer):
        last = made[-1] if made else None
        if type(part) is layers.Conv2d:
            unit = Conv(part, pays, known)
            if isinstance(last, Norm) and last.floor == 0:
                unit = NormConv(made.pop(), unit)
                unit.late = bool(made) and isinstance(made[-1], (Conv, NormConv))
        elif type(part) is layers.Linear:
            unit = Linear(part, pays)
        elif type(part) is layers.BatchNorm:
            unit = Norm(part, compiled, known)
        elif type(part) is layers.ReLU and isinstance(last, Norm) and last.floor != 0:
            unit = Norm(made.pop().layer, compiled, known, floor=0)
        elif type(part) is layers.ReLU:
            unit = ReLU(part)
        elif compiled and type(part) is layers.MaxPool2d and (
                part.kernel, part.stride, part.pad) == (2, 2, 0):
            unit = MaxPool(part)
        elif type(part) is Residual:
            unit = Sum.of(part, pays, compiled, known)
        else:
            unit = part
        if compiled and made and isinstance(_first(unit), (Norm, NormConv)):
            writes = getattr(made[-1], "conv", made[-1])
            if isinstance(writes, (Conv, Sum)):
                writes.moments_wanted = True
        made.append(unit)
    return made


def _in_order(layer):
    """The layers inside of `layer`, one after the other; a Residual counts as one."""
    if type(layer) is not Sequential:
        return [layer]
    return [inner for child in layer.layers.values() for inner in _in_order(child)]


def _first(unit):
    """What reads the input of `unit` first: itself, or what is inside of a Sum."""
    inner = [*unit.before.units, *unit.body.units] if isinstance(unit, Sum) else []
    return inner[0] if inner else unit


class Weighted(Layer):
    """Stands for a layer with a `weight`, whose zeros may be left out."""

    def __init__(self, layer, pays):
        self.layer, self.pays, self.sparse = layer, pays, None

    def sparse_conv(self, geometry):
        """The convolution with the free numbers of the weight as it is now, or None where θ
        multiplies as a matrix: where its gradient is needed, or that is faster."""
        weight = self.layer.weight
        if getattr(weight, "keep_dense_grad", False) or not self.pays(weight, geometry):
            return None
        from .sparse_conv import SparseConv, everywhere

        index = weight.index if isinstance(weight, Sparse) else everywhere(weight.size)
        if self.sparse is None or not self.sparse.fits(index, geometry):
            self.sparse = SparseConv(index, (*weight.shape, 1, 1)[:4], geometry)
        return self.sparse

    @property
    def value(self):
        """The free numbers of the weight, (m,)."""
        return self.layer.weight.value.reshape(-1)

    def receive(self, dvalue):
        """Give the weight the gradient of these."""
        weight = self.layer.weight
        weight.grad = dvalue.reshape(weight.value.shape)


class Conv(Weighted):
    """Stands for a Conv2d."""

    input_grad = True  # is the gradient of its input asked for?
    moments_wanted = False  # does batch norm follow, which needs them in training?

    def __init__(self, layer, pays, known):
        super().__init__(layer, pays)
        self.known = known

    def geometry(self, x):
        """How the taps lie in images like x."""
        return blocked.Geometry.of(*x.shape[2:], self.layer.kernel, self.layer.stride,
                                   self.layer.pad)

    def forward(self, x, train=False):
        weight, geometry = self.layer.weight, self.geometry(x)
        sparse = self.sparse_conv(geometry)
        self.cache = (x, geometry, sparse) if train else None
        if sparse:
            return self.by_free_numbers(sparse, x, None, train)
        return blocked.forward(x, weight.theta(), geometry)

    def by_free_numbers(self, sparse, x, affine, train):
        """sparse.forward(x, ..., affine), (N, F, OH, OW); the moments of it become known."""
        y, chunks = sparse.forward(x, self.value, affine, moments=train and self.moments_wanted)
        if chunks:
            self.known.keep(y, chunks)
        return y

    def backward(self, dy):
        weight, (x, geometry, sparse), self.cache = self.layer.weight, self.cache, None
        if sparse:
            dx, dvalue, *_ = sparse.backward(x, dy, self.value, input_grad=self.input_grad)
            self.receive(dvalue)
            return dx if self.input_grad else None
        dy = written(dy) if isinstance(dy, norm.Late) else dy
        dx, dw = blocked.backward(x, dy, weight.theta(), geometry, self.input_grad)
        weight.pull(dw)
        return dx


class Linear(Weighted):
    """Stands for a Linear: to the free numbers, the batch is one image, of a pixel for each row."""

    def forward(self, x, train=False):
        sparse = self.sparse_conv(blocked.Geometry.of(1, len(x), 1, 1, 0)) if len(x) else None
        if not sparse:
            self.cache = None
            return self.layer.forward(x, train)
        self.cache, self.layer.cache = (x, sparse) if train else None, None
        y, _ = sparse.forward(x.T[None, :, None], self.value)
        y = y[0, :, 0].T
        return y if self.layer.bias is None else y + self.layer.bias.theta()

    def backward(self, dy):
        if self.cache is None:
            return self.layer.backward(dy)
        (x, sparse), self.cache = self.cache, None
        if self.layer.bias is not None:
            self.layer.bias.pull(dy.sum(0))
        dx, dvalue, *_ = sparse.backward(x.T[None, :, None], dy.T[None, :, None], self.value)
        self.receive(dvalue)
        return dx[0, :, 0].T


class Norm(Layer):
    """Stands for a BatchNorm: y = max(scale * x + shift, floor). With floor 0, for a ReLU too."""

    def __init__(self, layer, compiled, known, floor=-np.inf):
        self.layer, self.compiled, self.known, self.floor = layer, compiled, known, floor

    @property
    def passes(self):
        """The module with the passes over a chunk: norm, or norm_loops, where they are compiled."""
        if not self.compiled:
            return norm
        from . import norm_loops

        return norm_loops

    def forward(self, x, train=False):
        scale, shift, mean, rstd = self.affine(x, train)
        floor = x.dtype.type(self.floor)
        y = _like(x, map_to_array(
            lambda x, out: self.passes.normalise(x, scale, shift, floor, out), _rows(x)))
        self.cache = (x, x if self.floor == -np.inf else y, mean, rstd) if train else None
        return y

    def affine(self, x, train):
        """Scale, shift, mean and 1 / std, each (C,). In training the running statistics follow."""
        layer = self.layer
        mean, var = layer.running_mean, layer.running_var
        if train:
            rows, count = _rows(x), x.size // x.shape[1]
            mean, var = norm.joined(self.known.take(x) or map_chunks(
                lambda chunk: self.passes.moments(rows[chunk]), len(rows), get_xp(x)))
            layer.running_mean, layer.running_var = norm.followed(
                layer.running_mean, layer.running_var, mean, var, count / max(count - 1, 1),
                layer.momentum)
        return norm.affine(layer.weight.theta(), layer.bias.theta(), mean, var, layer.eps)

    def backward(self, dy):
        (x, y, mean, rstd), self.cache = self.cache, None
        arrays, floor = (_rows(dy), _rows(x), _rows(y)), x.dtype.type(self.floor)
        sums = map_chunks(lambda chunk: self.passes.gradient_sums(
            *(a[chunk] for a in arrays), mean, floor), len(arrays[0]), get_xp(x))
        factors = self.factors(x, mean, rstd, *map(total, zip(*sums, strict=True)))
        return _like(x, map_to_array(lambda dy, x, y, out: self.passes.gradient(
            dy, x, y, *factors, floor, out), *arrays))

    def factors(self, x, mean, rstd, sum_dz, sum_dz_centred):
        """scale, slope and shift of norm.gradient(), given the sums of norm.gradient_sums(). Weight
        and bias get their gradients."""
        dweight, dbias, *factors = norm.gradient_factors(
            self.layer.weight.theta(), mean, rstd, sum_dz, sum_dz_centred, x.size // x.shape[1])
        self.layer.weight.pull(dweight)
        self.layer.bias.pull(dbias)
        return factors


class NormConv(Layer):
    """The units `norm`, with floor 0, and `conv` as one; apart where all of θ multiplies.

    late  may backward() return a norm.Late? Where a Conv, a NormConv or a Sum gets it
    """

    late = False

    def __init__(self, norm, conv):
        self.norm, self.conv = norm, conv

    def forward(self, x, train=False):
        sparse = self.conv.sparse_conv(self.conv.geometry(x))
        if sparse is None:
            self.cache = None
            return self.conv.forward(self.norm.forward(x, train), train)
        scale, shift, mean, rstd = self.norm.affine(x, train)
        self.cache = (sparse, x, scale, shift, mean, rstd) if train else None
        self.norm.cache = self.conv.cache = None
        return self.conv.by_free_numbers(sparse, x, (scale, shift, self.norm.floor), train)

    def backward(self, dy):
        if self.cache is None:
            return self.norm.backward(self.conv.backward(dy))
        (sparse, x, scale, shift, mean, rstd), self.cache = self.cache, None
        dz, dvalue, *sums = sparse.backward(
            x, dy, self.conv.value, (scale, shift, self.norm.floor), mean)
        self.conv.receive(dvalue)
        x = get_xp(x).ascontiguousarray(x)
        dx = norm.Late(dz, x, *self.norm.factors(x, mean, rstd, *sums))
        return dx if self.late else written(dx)


class MaxPool(Layer):
    """Stands for a MaxPool2d(2), compiled."""

    def __init__(self, layer):
        self.layer = layer

    def forward(self, x, train=False):
        from . import pool_loops

        y, winner = pool_loops.forward(x)
        self.cache = (x.shape, winner) if train else None
        return y

    def backward(self, dy):
        from . import pool_loops

        (shape, winner), self.cache = self.cache, None
        return pool_loops.backward(dy, winner, shape)


class ReLU(layers.ReLU):
    """Stands for a ReLU, over threads."""

    def __init__(self, layer):
        self.layer = layer

    def forward(self, x, train=False):
        y = map_to_array(lambda x, out: get_xp(x).maximum(x, 0, out=out), x)
        self.cache = (y,) if train else None
        return y

    def backward(self, dy):
        (y,), self.cache = self.cache, None
        return map_to_array(lambda dy, y, out: get_xp(y).multiply(dy, y > 0, out=out), dy, y)


class Sum(Residual):
    """A Residual of units, added up over threads."""

    moments_wanted = False  # as of Conv

    @classmethod
    def of(cls, block, pays, compiled, known):
        """What computes in place of the Residual `block`."""
        before, body = Sequential(**block.before.layers), Sequential(**block.body.layers)
        if block.shortcut is None:  # then only the body reads what batch norm returns
            before, body = Sequential(), Sequential(**block.before.layers, **block.body.layers)
        for part in (before, body):
            part.units = units(part, pays, compiled, known)
        shortcut = None
        if block.shortcut is not None:
            shortcut = Sequential(shortcut=block.shortcut)
            shortcut.units = units(shortcut, pays, compiled, known)
        made = cls(before=before, body=body, shortcut=shortcut)
        made.known = known
        if shortcut is None and body.units and isinstance(body.units[0], NormConv):
            body.units[0].late = True
        ends = [*body.units[:1], *body.units[-1:]]
        made.in_place = bool(ends) and all(isinstance(unit, (Conv, NormConv)) for unit in ends)
        return made

    def forward(self, x, train=False):
        if not (train and self.moments_wanted and self.in_place):
            return super().forward(x, train)
        h = self.before.forward(x, train)
        y = self.body.forward(h, train)
        rows = _rows(y), _rows(x if self.shortcut is None else self.shortcut.forward(h, train))
        from . import norm_loops

        self.known.keep(y, map_chunks(
            lambda images: norm_loops.add(*(a[images] for a in rows)), len(y)))
        return y

    def add(self, x, y):
        """The sum in place of x, where nobody else holds what the body has returned."""
        if isinstance(x, norm.Late):
            return written(x, y)
        if not self.in_place:
            return map_to_array(lambda x, y, out: get_xp(x).add(x, y, out=out), x, y)
        map_chunks(lambda images: get_xp(x).add(x[images], y[images], out=x[images]), len(x),
                   get_xp(x))
        return x


def written(late, more=None):
    """What a norm.Late is, written over its dz; plus `more`, an array like it."""
    from . import norm_loops

    more = late.dz[:0] if more is None else get_xp(more).ascontiguousarray(more)
    map_chunks(lambda images: norm_loops.write(
        norm.Late(late.dz[images], late.x[images], *late[2:]), more[images]), len(late.dz))
    return late.dz


def _rows(x):
    """x (N, C, ...) as (N, C, pixels). A matrix (N, C) is one image, of a pixel for each row: loops
    over images of one pixel would cost more than what they do."""
    if x.ndim == 2:
        return get_xp(x).ascontiguousarray(x.T)[None]
    return x.reshape(*x.shape[:2], math.prod(x.shape[2:]))


def _like(x, rows):
    """What _rows() made of an array like x, as such an array."""
    return rows[0].T if x.ndim == 2 else rows.reshape(x.shape)
