"""New weights are grown on places that were pruned a moment ago.

Algorithm 1 draws from positions that were empty before pruning. SET, DeepR, ITOP and dst, by one of
the authors, draw from all that are empty after it: part of the exploration goes where the search
has just been.
"""

import numpy as np

from .masked import Masked

FAULT = "grows on just-pruned places while others are free"
SOURCE = "SET, DeepR, ITOP, dst"
VIOLATES = "grown_elsewhere",


class AnyFreePlace(Masked):
    def places(self, layer, n):
        return self.rng.permutation(np.flatnonzero(~layer.mask))[:n]


reallocate = AnyFreePlace.on_sparse
