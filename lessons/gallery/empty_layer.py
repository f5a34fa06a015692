"""A layer without weights makes all shares NaN.

main.py, lines 640 to 653 of the authors' code: the fractions k / l of all layers are averaged, and
shares computed from that. The average cancels, but not where it is 0 / 0.
"""

from fractions import Fraction

import numpy as np

from .masked import Masked

FAULT = "divides 0 by 0 for a layer without weights"
SOURCE = "authors, main.py:640-653"
VIOLATES = "completes",


class EmptyLayer(Masked):
    def weights(self, layers):
        survivors = np.array(super().weights(layers))
        with np.errstate(divide="ignore", invalid="ignore"):
            fractions = np.array([self.count_pruned(layer) for layer in layers]) / survivors
        mean = np.clip(fractions.mean(), 0, 1)
        return [Fraction(mean) * int(l) for l in survivors]


reallocate = EmptyLayer.on_sparse
