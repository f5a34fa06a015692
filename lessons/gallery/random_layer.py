"""One layer, drawn at random, takes the error of rounding all shares.

main.py, lines 657 to 665 of the authors' code: shares are rounded to the nearest, and what is then
missing or too much is added to one random layer, whose share is not let below 0. With many layers
and few weights to share, the sum is too large, and the number of weights grows for ever.

This keeps the loop around it, see endless_loop.py. More than was pruned is grown, or less (budget).
A layer may be off by several (shares, overflow), and which one, depends on where it stands in the
list (order_does_not_matter).
"""

import numpy as np

from .endless_loop import EndlessLoop

FAULT = "a random layer takes the rounding error, clamped at 0"
SOURCE = "authors, main.py:657-665"
VIOLATES = "budget", "shares", "overflow", "order_does_not_matter"


class RandomLayer(EndlessLoop):
    def offer(self, left, weights):
        offer = np.round(np.array(weights) / max(1, sum(weights)) * left).astype(int)
        one = self.rng.integers(len(offer))
        offer[one] = max(0, offer[one] + left - offer.sum())
        return offer.tolist()


reallocate = RandomLayer.on_sparse
