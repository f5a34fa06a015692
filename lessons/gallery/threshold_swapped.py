"""The threshold is halved when too few are pruned, and doubled when too many.

It runs away: the fewer are pruned, the fewer will be.
"""

from .masked import Masked

FAULT = "halves and doubles the threshold the wrong way round"
SOURCE = "a slip"
VIOLATES = "threshold_rule",


class ThresholdSwapped(Masked):
    def adjust(self, H, K, N_p, delta):
        return H * (H / super().adjust(H, K, N_p, delta))


reallocate = ThresholdSwapped.on_sparse
