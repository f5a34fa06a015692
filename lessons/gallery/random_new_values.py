"""New weights start at random values, and the network's output jumps.

`--big-new-weights` of the authors' code, and the sparse version of SET: N(0, 1) / 10.
"""

from .masked import Masked

FAULT = "grown weights start at random values"
SOURCE = "SET, sparse version; authors, --big-new-weights"
VIOLATES = "grown_at_zero",


class RandomNewValues(Masked):
    def start(self, layer, places):
        super().start(layer, places)
        layer.value[places] = self.rng.normal(0, 0.1, len(places))


reallocate = RandomNewValues.on_sparse
