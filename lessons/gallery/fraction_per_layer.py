"""Each layer loses a fraction of its weights, int(fraction * n) + 1, whatever their size.

parameterized_tensors.py, line 170 of the authors' code, for SET: of each layer the smallest go, one
at least, and the last weight of a layer too (largest_kept). The threshold means nothing then, and
the checker, who counts what is below it as pruned, finds more wrong:

a 0 that stays seems to be pruned and grown again (grown_elsewhere, grown_at_rest), or to be the one
that is kept (survivors_keep_velocity); and so K is another (threshold_rule, shares, overflow,
order_does_not_matter).
"""

import numpy as np

from .masked import Masked

FAULT = "prunes a fraction of each layer, int(f * n) + 1"
SOURCE = "authors' SET, parameterized_tensors.py:170"
VIOLATES = ("pruned_below_threshold", "largest_kept",
            "survivors_keep_velocity", "grown_elsewhere", "grown_at_rest", "threshold_rule",
            "shares", "overflow", "order_does_not_matter")
FRACTION = 0.138


class FractionPerLayer(Masked):
    def to_prune(self, layer, H):
        active = np.flatnonzero(layer.mask)
        smallest = active[np.argsort(np.abs(layer.value[active]), kind="stable")]
        dead = np.zeros_like(layer.mask)
        dead[smallest[:int(FRACTION * len(active)) + 1]] = True
        return dead


reallocate = FractionPerLayer.on_sparse
