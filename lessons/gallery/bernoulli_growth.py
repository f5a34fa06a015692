"""Each empty position is grown with probability n / empty, instead of n of them.

core.py, lines 457 to 466 of ITOP, and random growth of sparse_learning. The number is right on
average only, and the errors of all calls add up (budget). It is wrong in each layer (shares,
overflow), each time in another way (order_does_not_matter).
"""

import numpy as np

from .masked import Masked

FAULT = "grows each empty place with a probability"
SOURCE = "ITOP, core.py:457-466; sparse_learning"
VIOLATES = "budget", "shares", "overflow", "order_does_not_matter"


class BernoulliGrowth(Masked):
    def places(self, layer, n):
        empty = np.flatnonzero(~layer.mask & ~layer.pruned)
        if n > len(empty):
            return super().places(layer, n)
        return empty[self.rng.random(len(empty)) < n / max(1, len(empty))]


reallocate = BernoulliGrowth.on_sparse
