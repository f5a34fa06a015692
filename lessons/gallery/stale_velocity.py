"""The momentum of what was at a position before is left to the weight that is grown there.

The authors' code never touches optimizer.state. A pruned weight's momentum goes on in the dense
buffer, decays, and pushes the weight that is grown there next.

A Sparse stores no velocity for positions that are not in use, so here it shows only where a
position is pruned and grown within one call, because all tensors are full.
"""

from .masked import Masked

FAULT = "a grown weight inherits the momentum of the one before it"
SOURCE = "authors, nowhere reset"
VIOLATES = "grown_at_rest",


class StaleVelocity(Masked):
    def start(self, layer, places):
        layer.value[places] = 0


reallocate = StaleVelocity.on_sparse
