"""The tolerance δ is not asked for: it is always 0.1.

main.py, lines 680 to 684 of the authors' code: `K > 1.1 * N_p`, `K < 0.9 * N_p`.
"""

from .masked import Masked

FAULT = "δ is 0.1, whatever was asked for"
SOURCE = "authors, main.py:680-684"
VIOLATES = "threshold_rule",


class FixedTolerance(Masked):
    def adjust(self, H, K, N_p, delta):
        return super().adjust(H, K, N_p, 0.1)


reallocate = FixedTolerance.on_sparse
