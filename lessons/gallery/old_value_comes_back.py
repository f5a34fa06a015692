"""A weight that is pruned and grown again at once has its old value.

RigL, issue #5: growing sets the mask only, and what was dropped in the same step has its old value
and momentum. For the checker it was never pruned, though it should have been.

So K is another (threshold_rule, overflow, order_does_not_matter). An old value of 0 is taken for a
grown one, with momentum (grown_at_rest).
"""

from .masked import Masked

FAULT = "a weight pruned and grown again keeps its old value"
SOURCE = "RigL, issue #5"
VIOLATES = ("pruned_below_threshold", "grown_at_rest", "threshold_rule", "overflow",
            "order_does_not_matter")


class OldValueComesBack(Masked):
    def start(self, layer, places):
        super().start(layer, places[~layer.pruned[places]])


reallocate = OldValueComesBack.on_sparse
