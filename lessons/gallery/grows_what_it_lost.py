"""Each layer grows as many weights as it lost, so that none moves from one layer to another.

SET, and the authors' code without --rewire-scaling. The division of weights among layers that one
began with stays for ever. Where a layer has no room for what it lost, the others get it, and the
checker, who excuses ties of the right shares only, finds order_does_not_matter.
"""

from .masked import Masked

FAULT = "shares by weights pruned, not by survivors"
SOURCE = "SET; authors without --rewire-scaling"
VIOLATES = "shares", "overflow", "order_does_not_matter"


class GrowsWhatItLost(Masked):
    def weights(self, layers):
        return [self.count_pruned(layer) for layer in layers]


reallocate = GrowsWhatItLost.on_sparse
