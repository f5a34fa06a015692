"""A weight of just the size of the threshold is pruned.

core.py, lines 389 to 401 of ITOP: the threshold is the size of a weight, and what is larger stays.
All of that size go at once.
"""

import numpy as np

from .masked import Masked

FAULT = "prunes weights equal to the threshold, too"
SOURCE = "ITOP, core.py:389-401"
VIOLATES = "pruned_below_threshold",


class NotStrict(Masked):
    def to_prune(self, layer, H):
        return super().to_prune(layer, np.nextafter(np.float32(H), np.float32(np.inf)))


reallocate = NotStrict.on_sparse
