"""RigL that grows nothing in a filter without a weight.

For --import lessons.results.cifar10-small.filters, which adds the method `rigl-filters`.

What such a filter gives to batch norm has variance 0, and is divided by √ε, 0.003: the gradient of
its positions is some 300 times as large as it would be, so that RigL grows there.
"""

from dataclasses import dataclass

import numpy as np

from minidsr import METHODS
from minidsr.methods.rigl import RigL


@dataclass(kw_only=True, eq=False)
class RigLFilters(RigL):
    """The gradient that growth goes by is 0 in filters without a weight."""

    def dense_gradients(self):
        gradients = super().dense_gradients()
        for W, gradient in zip(self.tensors, gradients, strict=True):
            weights = np.bincount(W.index // gradient[0].size, minlength=len(gradient))
            gradient[weights == 0] = 0
        return gradients


METHODS["rigl-filters"] = RigLFilters
