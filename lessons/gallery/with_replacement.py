"""Positions are drawn with replacement: of those drawn twice, one weight is lost.

script_mnist_deep_rewiring.py, lines 64 to 67, of DeepR, and createSparseWeights of SET draw their
first positions so. In each layer a random number is missing (shares, overflow,
order_does_not_matter), and free places are left while just-pruned ones are used (grown_elsewhere).
"""

import numpy as np

from .masked import Masked

FAULT = "draws positions with replacement"
SOURCE = "DeepR, script_mnist_deep_rewiring.py:64-67; SET, createSparseWeights"
VIOLATES = "budget", "shares", "overflow", "grown_elsewhere", "order_does_not_matter"


class WithReplacement(Masked):
    def places(self, layer, n):
        empty = np.flatnonzero(~layer.mask & ~layer.pruned)
        if n > len(empty):
            return super().places(layer, n)
        return self.rng.choice(empty, n) if n else empty[:0]


reallocate = WithReplacement.on_sparse
