"""Whole kernel slices are pruned and grown, and a slice counts as one, whatever its size.

parameterized_tensors.py, lines 155 to 156, of the authors' code: by default the mean size of the
weights in a slice is compared with the threshold, and K, N_p and shares are numbers of slices.
Where kernels of several sizes are mixed, as in ResNet-50, nine weights are grown for one, or one
for nine (budget), and each layer's share is another (shares, overflow, order_does_not_matter).

Single weights are not what is compared with the threshold (pruned_below_threshold, largest_kept,
threshold_rule), which looks like more, see fraction_per_layer.py.
"""

import math

import numpy as np

from .masked import Masked

FAULT = "counts kernel slices, of different sizes, as one each"
SOURCE = "authors, granularity 2, parameterized_tensors.py:155-156"
VIOLATES = ("budget", "pruned_below_threshold", "largest_kept", "grown_elsewhere",
            "grown_at_rest", "threshold_rule", "shares", "overflow", "order_does_not_matter")


class Slices:
    """A Layer whose positions are slices; the value of one is the mean size of its weights."""

    def __init__(self, layer):
        self.per_slice = math.prod(layer.shape[1:])
        by_slice = layer.shape[0], self.per_slice
        self.mask = layer.mask.reshape(by_slice).any(axis=1)
        self.value = np.abs(layer.value.reshape(by_slice), dtype=np.float64).mean(axis=1)
        self.pruned, self.velocity = np.zeros_like(self.mask), np.zeros_like(self.value)
        self.before = self.mask.copy()

    def write(self, layer):
        """Do the same to the weights of each slice."""
        new = np.repeat(self.pruned | ~self.before, self.per_slice)
        layer.value[new] = layer.velocity[new] = 0
        layer.mask = np.repeat(self.mask, self.per_slice)


class SlicesCountAsOne(Masked):
    def reallocate(self, layers, H, N_p, delta):
        slices = [Slices(layer) for layer in layers]
        next_H = super().reallocate(slices, H, N_p, delta)
        for layer, of_layer in zip(layers, slices, strict=True):
            of_layer.write(layer)
        return next_H


reallocate = SlicesCountAsOne.on_sparse
