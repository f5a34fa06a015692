"""DST (Liu et al. 2020): a weight is in use where it is above the trained threshold of its row."""

import numpy as np

from .program import Program


class DST(Program):
    RULES = "dst"
    KEYS = ("threshold",)

    def __init__(self, seed=0):
        super().__init__(seed)
        for layer in self.layers.values():
            layer.value = self.rng.normal(0, 1, layer.shape)
            layer.threshold = self.rng.uniform(0.3, 0.9, layer.shape[0])
            layer.mask = self.used(layer)

    def update(self):
        for layer in self.layers.values():
            layer.value += self.rng.normal(0, 0.2, layer.shape)
            layer.threshold += self.rng.normal(0, 0.1, layer.shape[0])

    def note(self, entries, start, moment):
        for layer in self.layers.values():
            layer.mask = self.used(layer)
        super().note(entries, start, moment)

    def used(self, layer):
        return np.abs(layer.value) > layer.threshold[:, None]


class WithoutAbs(DST):
    FAULT = "compares weights with their sign, so that no negative one is in use"
    SOURCE = "a slip"
    VIOLATES = ("masks_by_threshold",)

    def used(self, layer):
        return layer.value > layer.threshold[:, None]


class ThresholdOfAColumn(DST):
    FAULT = "one threshold for a tensor, the mean of those of its rows"
    SOURCE = "a misreading"
    VIOLATES = ("masks_by_threshold",)

    def used(self, layer):
        return np.abs(layer.value) > layer.threshold.mean()
