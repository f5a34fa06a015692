"""The threshold is adjusted before it is used, not for the next time.

Algorithm 1 counts K first; the threshold it leads to is for the next time. Here the next H prunes.

Seen from what was pruned, the threshold for the next time is then a wrong one (threshold_rule).
"""

from .masked import Masked

FAULT = "prunes by the threshold for the next time"
SOURCE = "a misreading of Algorithm 1"
VIOLATES = "pruned_below_threshold", "threshold_rule"


class ThresholdTooSoon(Masked):
    def reallocate(self, layers, H, N_p, delta):
        K = sum(int(self.to_prune(layer, H).sum()) for layer in layers)
        next_H = self.adjust(H, K, N_p, delta)
        super().reallocate(layers, next_H, N_p, delta)
        return next_H


reallocate = ThresholdTooSoon.on_sparse
