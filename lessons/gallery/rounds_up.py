"""Each share is rounded up.

core.py, lines 461 to 497 of sparse_learning: `ceil` for each layer. The sum is too large, and must
be corrected later.
"""

import math

from .masked import Masked

FAULT = "rounds each share up"
SOURCE = "sparse_learning, core.py:461-497"
VIOLATES = "budget",


class RoundsUp(Masked):
    def rounded(self, exact, room):
        return [math.ceil(x) for x in exact]


reallocate = RoundsUp.on_sparse
