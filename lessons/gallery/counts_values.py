"""Weights are counted by their values, not by the mask.

sparse_learning, core.py:158-172: on resuming, the mask is `weight != 0`, and weights that were
grown and are still 0 are lost. The same happens wherever count_nonzero(weight) is taken for the
number of weights: here a pruned weight that was 0 does not count as pruned.

So K is too small, and fewer weights are grown (budget) in each layer (shares, overflow); the
threshold is moved by the wrong K (threshold_rule). Of the shares, others are equal than for the
right K (order_does_not_matter).
"""

import numpy as np

from .masked import Masked

FAULT = "counts values other than 0, so that weights at 0 are lost"
SOURCE = "sparse_learning, core.py:158-172"
VIOLATES = "budget", "shares", "overflow", "threshold_rule", "order_does_not_matter"


class CountsValues(Masked):
    def count_pruned(self, layer):
        return int(np.count_nonzero(layer.value[layer.pruned]))


reallocate = CountsValues.on_sparse
