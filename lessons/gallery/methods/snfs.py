"""SNFS (Dettmers & Zettlemoyer 2019): growth is where momentum is largest, also between tensors."""

import math

import numpy as np

from .program import DropAndGrow


class SNFS(DropAndGrow):
    RULES = "snfs"
    BY_FUNCTION = ()
    KEYS = ("momentum",)

    def update(self):
        self.means = [self.mean(layer) for layer in self.layers.values()]
        return super().update()

    def mean(self, layer):
        return float(np.abs(layer.momentum[layer.mask]).mean())

    def shares(self, dropped):
        first = round(sum(dropped) * self.means[0] / sum(self.means))
        return [first, sum(dropped) - first]

    def to_grow(self, layer, n, dropped):
        return self.at_the_largest(np.abs(self.score(layer)), layer, n)

    def score(self, layer):
        return layer.momentum


class SharesBySum(SNFS):
    FAULT = "shares by the sum of momentum, not by its mean"
    SOURCE = "a misreading"
    VIOLATES = ("shares_by_momentum",)
    BY_FUNCTION = VIOLATES

    def mean(self, layer):
        return float(np.abs(layer.momentum[layer.mask]).sum())


class GrowsByGradient(SNFS):
    FAULT = "grows by the last gradient, not by its momentum"
    SOURCE = "a slip"
    VIOLATES = ("grown_by_momentum",)
    BY_FUNCTION = None

    def score(self, layer):
        return layer.gradient


class RoundsUp(SNFS):
    FAULT = "rounds each share up"
    SOURCE = "sparse_learning, core.py:461-497"
    VIOLATES = ("budget",)
    BY_FUNCTION = VIOLATES

    def shares(self, dropped):
        return [math.ceil(sum(dropped) * mean / sum(self.means)) for mean in self.means]
