"""RigL (Evci et al. 2020): the smallest make way, growth is where the gradient is largest."""

import numpy as np

from .program import DropAndGrow


class RigL(DropAndGrow):
    RULES = "rigl"
    BY_FUNCTION = ()
    KEYS = ("gradient",)

    def to_grow(self, layer, n, dropped):
        return self.at_the_largest(self.score(layer), layer, n)

    def score(self, layer):
        return np.abs(layer.gradient)


class DropsTheLargest(RigL):
    FAULT = "drops the largest weights"
    SOURCE = "a slip"
    VIOLATES = ("smallest_pruned",)
    BY_FUNCTION = VIOLATES

    def to_drop(self, layer):
        used = np.flatnonzero(layer.mask)
        order = np.argsort(-np.abs(layer.value.flat[used]))
        return used[order[:int(self.FRACTION * len(used))]]


class GrowsAtTheSmallest(RigL):
    FAULT = "grows where the gradient is smallest"
    SOURCE = "a slip"
    VIOLATES = ("grown_by_gradient",)
    BY_FUNCTION = VIOLATES

    def score(self, layer):
        return -np.abs(layer.gradient)


class GrowsBySign(RigL):
    FAULT = "compares gradients with their sign"
    SOURCE = "a slip"
    VIOLATES = ("grown_by_gradient",)
    BY_FUNCTION = VIOLATES

    def score(self, layer):
        return layer.gradient


class MovesBetweenTensors(RigL):
    FAULT = "moves weights between tensors"
    SOURCE = "a slip; right for DSR and SNFS"
    VIOLATES = ("count_per_tensor",)
    BY_FUNCTION = VIOLATES

    def shares(self, dropped):
        moved = min(5, dropped[0])
        return [dropped[0] - moved, dropped[1] + moved]


class Absurd(DropsTheLargest, GrowsAtTheSmallest, MovesBetweenTensors):
    FAULT = "all three: the largest go, the smallest gradients grow, between tensors"
    SOURCE = "nobody's"
    VIOLATES = ("count_per_tensor", "smallest_pruned", "grown_by_gradient")
    BY_FUNCTION = VIOLATES


class OneThresholdForAll(RigL):
    FAULT = "drops the smallest of all tensors together"
    SOURCE = "sparse_learning, funcs.py, global_magnitude"
    VIOLATES = ("same_share_pruned",)
    BY_FUNCTION = VIOLATES

    def __init__(self, seed=0):
        super().__init__(seed)
        self.layers["fc2"].value *= 4

    def to_drop(self, layer):
        weights = [np.abs(other.value[other.mask]) for other in self.layers.values()]
        threshold = np.quantile(np.concatenate(weights), self.FRACTION)
        return np.flatnonzero(layer.mask & (np.abs(layer.value) < threshold))


class NeverApplied(RigL):
    FAULT = "masks are never applied, so that all weights are trained"
    SOURCE = "a common slip"
    VIOLATES = ("masked_are_zero",)
    BY_FUNCTION = None

    def train(self):
        super().train()
        for layer in self.layers.values():
            layer.value -= 0.02 * layer.gradient * ~layer.mask

    def drop(self, layer, places):
        layer.mask.flat[places] = False


class DroppedAndGrownAgain(RigL):
    FAULT = "a weight dropped and grown again keeps its old value"
    SOURCE = "RigL, issue #5"
    VIOLATES = ("balance", "smallest_pruned")
    BY_FUNCTION = VIOLATES

    def start(self, layer, places):
        again = np.isin(places, self.dropped)
        old = self.old[layer.shape]
        layer.take(places[~again])
        layer.take(places[again], old[0].flat[places[again]], old[1].flat[places[again]])

    def update(self):
        self.old = {layer.shape: (layer.value.copy(), layer.velocity.copy())
                    for layer in self.layers.values()}
        return super().update()

    def to_grow(self, layer, n, dropped):
        self.dropped = dropped
        return super().to_grow(layer, n, dropped)


class StaleMomentum(RigL):
    FAULT = "a grown weight has the momentum of the dense gradient"
    SOURCE = "sparse_learning since 1.0"
    VIOLATES = ("grown_at_rest",)
    BY_FUNCTION = None

    def start(self, layer, places):
        layer.take(places, 0, layer.momentum.flat[places])


class DenseTensorsMove(RigL):
    FAULT = "the bias is changed at updates, too"
    SOURCE = "a slip"
    VIOLATES = ("dense_unchanged",)
    BY_FUNCTION = None

    def update(self):
        self.bias = 0.5 * self.bias
        return super().update()


class MovesUnseen(RigL):
    FAULT = "a weight moves between two updates"
    SOURCE = "a slip"
    VIOLATES = ("nothing_moves_between",)
    BY_FUNCTION = None

    def train(self):
        super().train()
        layer = self.layers["fc1"]
        layer.drop(np.flatnonzero(layer.mask)[:1])
        layer.take(np.flatnonzero(~layer.mask)[-1:])


class SaysOneLess(RigL):
    FAULT = "says that it pruned and grew one weight less than it did"
    SOURCE = "a slip"
    VIOLATES = ("balance",)
    BY_FUNCTION = ("balance", "same_share_pruned")

    def update(self):
        return [[n - 1 for n in counts] for counts in super().update()]
