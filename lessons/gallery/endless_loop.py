"""The share of a full layer is offered to it again, and again.

main.py, lines 657 to 670 of the authors' code: `while n_grown < K` shares out what is left by
survivors, and grows as many as fit. A layer without room is asked again in each pass, and of few
weights it gets all. Where no position was empty before pruning, no layer has room. The original
never ends then; here it gives up after 100 passes, and weights are lost.

What was not handed out is missing (budget), in layers that still had room (overflow). Of two equal
shares, one for a full layer, the order decides which is lost (order_does_not_matter).
"""

from .masked import Masked, empty_positions, quotas

FAULT = "a full layer is offered its share for ever"
SOURCE = "authors, main.py:657-670"
VIOLATES = "budget", "overflow", "order_does_not_matter"


class EndlessLoop(Masked):
    def shares(self, layers, K):
        grown, room = [0] * len(layers), empty_positions(layers)
        weights = self.weights(layers)
        weights = weights if any(weights) else room
        for _ in range(100):
            left = K - sum(grown)
            if left <= 0:
                break
            offer = self.offer(left, weights)
            grown = [min(g + n, r) for g, n, r in zip(grown, offer, room, strict=True)]
        return grown

    def offer(self, left, weights):
        """Whole shares of what is left, whether there is room or not."""
        no_limit = [left] * len(weights)
        return self.rounded(quotas(left, weights, no_limit), no_limit)


reallocate = EndlessLoop.on_sparse
