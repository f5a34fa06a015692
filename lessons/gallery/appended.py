"""Grown weights are appended to a list of coordinates, which is then no longer sorted.

SET, weightsEvolution_II, appends in this way, and sorts by tocsr() afterwards. Without that, the
list is not what a sparse product or a search takes it for. Where positions are wrong, the checker
asks no more of the tensor.
"""

import numpy as np

from .masked import Layer, Masked

FAULT = "appends grown weights without sorting"
SOURCE = "SET, set_mlp.py, weightsEvolution_II, but for its tocsr()"
VIOLATES = "positions",


class Coordinates(Layer):
    def __init__(self, W):
        super().__init__(W)
        self.before = self.mask.copy()

    def write(self, W):
        kept = np.flatnonzero(self.mask & self.before & ~self.pruned)
        grown = np.flatnonzero(self.mask & (self.pruned | ~self.before))
        W.index = np.concatenate([kept, grown]).astype(np.int32)
        W.value, W.velocity = self.value[W.index], self.velocity[W.index]


class Appended(Masked):
    layer = Coordinates


reallocate = Appended.on_sparse
