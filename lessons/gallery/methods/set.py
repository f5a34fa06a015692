"""SET (Mocanu et al. 2018): the smallest of each sign make way, growth is at random."""

import numpy as np

from .program import DropAndGrow


class SET(DropAndGrow):
    RULES = "set"
    BY_FUNCTION = ()

    def to_drop(self, layer):
        return np.concatenate([self.smallest(layer, layer.value > 0),
                               self.smallest(layer, layer.value < 0)])

    def smallest(self, layer, part):
        places = np.flatnonzero(part & layer.mask)
        order = np.argsort(np.abs(layer.value.flat[places]))
        return places[order[:int(self.FRACTION * len(places))]]


class LosesAllPositive(SET):
    FAULT = "all positive weights go, and no negative one"
    SOURCE = "similar: sparse_learning, funcs.py:149-164"
    VIOLATES = ("same_share_pruned_by_sign",)
    BY_FUNCTION = VIOLATES

    def to_drop(self, layer):
        return np.flatnonzero((layer.value > 0) & layer.mask)


class DropsTheMostNegative(SET):
    FAULT = "sorts negative weights the wrong way round, so that the largest go"
    SOURCE = "similar: ITOP, core.py:404-431"
    VIOLATES = ("smallest_pruned_by_sign",)
    BY_FUNCTION = VIOLATES

    def smallest(self, layer, part):
        places = np.flatnonzero(part & layer.mask)
        return places[np.argsort(layer.value.flat[places])[:int(self.FRACTION * len(places))]]


class GrowsAtRandomValues(SET):
    FAULT = "grown weights start at random values"
    SOURCE = "SET, sparse version, line 410"
    VIOLATES = ("grown_at_zero",)
    BY_FUNCTION = VIOLATES

    def start(self, layer, places):
        layer.take(places, self.rng.normal(0, 0.1, len(places)))


class ForgetsAllMomentum(SET):
    FAULT = "the momentum of all weights is lost at each update"
    SOURCE = "SET, set_mlp_keras_cifar10.py:219-220"
    VIOLATES = ("survivors_keep_velocity",)
    BY_FUNCTION = VIOLATES

    def update(self):
        counts = super().update()
        for layer in self.layers.values():
            layer.velocity[...] = 0
        return counts


class ClipsSurvivors(SET):
    FAULT = "clips the weights that stay, too"
    SOURCE = "a slip"
    VIOLATES = ("survivors_keep_value",)
    BY_FUNCTION = VIOLATES

    def update(self):
        counts = super().update()
        for layer in self.layers.values():
            layer.value.clip(-1, 1, out=layer.value)
        return counts


class GrowsByChance(SET):
    FAULT = "grows each empty position with a probability"
    SOURCE = "ITOP, core.py:457-466; sparse_learning"
    VIOLATES = ("count_per_tensor",)
    BY_FUNCTION = VIOLATES

    def to_grow(self, layer, n, dropped):
        places = np.flatnonzero(~layer.mask)
        return places[self.rng.random(len(places)) < n / len(places)]

    def update(self):
        super().update()


class GrowsInOrder(SET):
    FAULT = "grows at the first empty positions"
    SOURCE = "a common shortcut"
    BY_FUNCTION = ("grown_uniformly",)

    def to_grow(self, layer, n, dropped):
        return np.flatnonzero(~layer.mask)[:n]


class Magnitude(DropAndGrow):
    """As the DSR authors have SET."""

    RULES = "set-magnitude"
    BY_FUNCTION = ()

    def to_grow(self, layer, n, dropped):
        empty = np.setdiff1d(np.flatnonzero(~layer.mask), dropped)
        return self.rng.permutation(empty)[:n]


class GrowsWhereItDropped(Magnitude):
    FAULT = "grows where it just pruned, while others are free"
    SOURCE = "a slip; right for SET, but not for this variant"
    VIOLATES = ("grown_elsewhere_in_tensor",)
    BY_FUNCTION = VIOLATES

    def to_grow(self, layer, n, dropped):
        return DropAndGrow.to_grow(self, layer, n, dropped)
