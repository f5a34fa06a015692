"""Batch norm, ReLU and a sparse convolution in one, so that memory is passed over less often.

Normalised images are not written to memory and read again: the convolution normalises them on the
way into its planes, and the sums that the gradient of batch norm needs are taken where it puts the
gradient down. The same numbers, to rounding, as one layer after the other.
"""

import numpy as np

from ..nn.base import Layer, Residual, Sequential
from ..nn.layers import BatchNormReLU, Conv2d


class NormReLUConv(Layer):
    """The layers `norm` and `conv` of a network, as one; apart where im2col convolves."""

    def __init__(self, norm, conv):
        self.norm, self.conv = norm, conv

    def forward(self, x, train=False):
        sparse = self.conv.sparse_conv(self.conv.geometry(x))
        if sparse is None:
            self.cache = None
            return self.conv.forward(self.norm.forward(x, train), train)
        scale, shift, mean, rstd = self.norm.affine(x, train)
        self.cache = (sparse, x, scale, shift, mean, rstd) if train else None
        return sparse.forward(x, self.conv.weight.value, (scale, shift, self.norm.floor))

    def backward(self, dy):
        if self.cache is None:
            return self.norm.backward(self.conv.backward(dy))
        (sparse, x, scale, shift, mean, rstd), self.cache = self.cache, None
        dz, self.conv.weight.grad, *sums = sparse.backward(
            x, dy, self.conv.weight.value, (scale, shift, self.norm.floor), mean)
        no_floor = x.dtype.type(-np.inf)  # dz is 0 already where y is at the floor
        return self.norm.gradient(dz, x, x, mean, rstd, *sums, no_floor)


def join(layer):
    """Have the layers inside of `layer` compute as one where they can."""
    _each(layer, _pairs)


def part(layer):
    """Have each layer inside of `layer` compute for itself again."""
    _each(layer, list)


def _each(layer, units):
    """Set the units of every Sequential, by the function `units` of its layers."""
    if isinstance(layer, Sequential):
        layer.units = units(layer.layers.values())
        for child in layer.layers.values():
            _each(child, units)
    elif isinstance(layer, Residual):
        for child in (layer.before, layer.body, layer.shortcut):
            _each(child, units)
        if layer.shortcut is None:  # else two convolutions read what batch norm returns
            layer.body.units = units([*layer.before.layers.values(), *layer.body.layers.values()])
            layer.before.units = []


def _pairs(layers):
    units = []
    for layer in layers:
        if isinstance(layer, Conv2d) and units and isinstance(units[-1], BatchNormReLU):
            layer = NormReLUConv(units.pop(), layer)
        units.append(layer)
    return units
