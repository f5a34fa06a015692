"""DeepR (Bellec et al. 2018): what crosses to the other sign dies, others are born anywhere."""

import numpy as np

from .program import Program


class DeepR(Program):
    RULES = "deepr"
    KEYS = ("sign",)

    def __init__(self, seed=0):
        super().__init__(seed)
        for layer in self.layers.values():
            coins = self.rng.choice([-1.0, 1.0], layer.shape)
            layer.sign = np.where(layer.mask, np.sign(layer.value), coins)

    def update(self):
        layers = list(self.layers.values())
        dead = [np.flatnonzero(layer.mask & self.dies(layer)) for layer in layers]
        for layer, places in zip(layers, dead, strict=True):
            layer.drop(places)
        grown = self.shares([len(places) for places in dead])
        for layer, n in zip(layers, grown, strict=True):
            self.grow(layer, self.rng.permutation(np.flatnonzero(~layer.mask))[:n])
        return [len(places) for places in dead], grown

    def dies(self, layer):
        return layer.sign * layer.value < 0

    def shares(self, dead):
        room = [int((~layer.mask).sum()) for layer in self.layers.values()]
        return self.rng.multivariate_hypergeometric(room, sum(dead)).tolist()

    def grow(self, layer, places):
        layer.take(places)


class StaleSigns(DeepR):
    FAULT = "signs are those of values that were drawn anew since, so that half of all die"
    SOURCE = "authors, parameterized_tensors.py:109"
    VIOLATES = ("pruned_by_sign",)

    def __init__(self, seed=0):
        super().__init__(seed)
        self.stale = {id(layer): self.rng.choice([-1.0, 1.0], layer.shape)
                      for layer in self.layers.values()}

    def dies(self, layer):
        return self.stale[id(layer)] * layer.value < 0


class NobodyDies(DeepR):
    FAULT = "weights that cross to the other sign live on"
    SOURCE = "a slip"
    VIOLATES = ("pruned_by_sign",)

    def dies(self, layer):
        return np.zeros(layer.shape, bool)


class FreeSigns(DeepR):
    FAULT = "a weight that is born has a new sign"
    SOURCE = "authors, parameterized_tensors.py:129-151"
    VIOLATES = ("signs_stay",)

    def grow(self, layer, places):
        super().grow(layer, places)
        layer.sign.flat[places] = self.rng.choice([-1.0, 1.0], len(places))


class NotEnoughAreBorn(DeepR):
    FAULT = "fewer are born than died"
    SOURCE = "DeepR, script_mnist_deep_rewiring.py:64-67, drawn with replacement"
    VIOLATES = ("budget",)

    def shares(self, dead):
        return [max(0, n - 1) for n in super().shares(dead)]


class PerTensor(DeepR):
    """As the DSR authors have it: a tensor grows what it lost, and not where it just died."""

    RULES = "deepr-per-tensor"
    SHAPES = {"fc1": ((12, 20), 200), "fc2": ((10, 12), 100)}

    def update(self):
        counts = []
        for layer in self.layers.values():
            empty = np.flatnonzero(~layer.mask)
            dead = np.flatnonzero(layer.mask & self.dies(layer))
            layer.drop(dead)
            self.grow(layer, self.rng.permutation(self.free(layer, empty))[:len(dead)])
            counts.append(len(dead))
        return counts, counts

    def free(self, layer, empty):
        """Where weights may be born, if `empty` was so before."""
        return empty


class BornWhereOneDied(PerTensor):
    FAULT = "a weight may be born where one has just died, while other positions are empty"
    SOURCE = "a slip; right for the paper's"
    VIOLATES = ("grown_elsewhere_in_tensor",)

    def free(self, layer, empty):
        return np.flatnonzero(~layer.mask)
