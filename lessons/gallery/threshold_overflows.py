"""The threshold is doubled for ever.

main.py, lines 680 to 684 of the authors' code have no limit. Where N_p cannot be reached, because
each layer keeps one weight, H is doubled each time; a float32, which is imitated here, is infinite
after 138 times, and halving does not bring it back.

H is not finite, and it is not what doubling gives (threshold_rule).
"""

import math
from fractions import Fraction

from .masked import Masked

FAULT = "doubles the threshold beyond what a float32 holds"
SOURCE = "authors, main.py:680-684, in float32"
VIOLATES = "finite", "threshold_rule"


class ThresholdOverflows(Masked):
    def adjust(self, H, K, N_p, delta):
        if K < (1 - Fraction(str(delta))) * N_p:
            return 2 * H if 2 * H < 2.0 ** 128 else math.inf
        return super().adjust(H, K, N_p, delta)


reallocate = ThresholdOverflows.on_sparse
