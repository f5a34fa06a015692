"""RigL at sparsity 0.98, by two hypotheses of why it collapses.

For --import lessons.results.cifar10-small.collapse, which adds `rigl-filters` and `rigl-epsilon`.

What a filter without a weight gives to batch norm has variance 0, and is divided by √ε, 0.003: the
gradient of its positions is some 300 times as large as elsewhere, and RigL grows where that is
large. So it is with a filter that has zeros only, or reads nothing that varies.
"""

from dataclasses import dataclass

import numpy as np

from minidsr import METHODS
from minidsr.methods.rigl import RigL
from minidsr.nn.layers import BatchNorm


@dataclass(kw_only=True, eq=False)
class RigLFilters(RigL):
    """The gradient that growth goes by is 0 in filters without a weight."""

    def dense_gradients(self):
        gradients = super().dense_gradients()
        for W, gradient in zip(self.tensors, gradients, strict=True):
            weights = np.bincount(W.index // gradient[0].size, minlength=len(gradient))
            gradient[weights == 0] = 0
        return gradients


@dataclass(kw_only=True, eq=False)
class RigLEpsilon(RigL):
    """Batch norm has an ε of 0.1, which multiplies no gradient by more than 3.2."""

    def setup(self, model, rng):
        super().setup(model, rng)
        for layer in model.layers.values():
            if isinstance(layer, BatchNorm):
                layer.eps = 0.1


METHODS["rigl-filters"], METHODS["rigl-epsilon"] = RigLFilters, RigLEpsilon
