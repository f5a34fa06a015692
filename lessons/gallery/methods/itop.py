"""ITOP (Liu et al. 2021): SET or RigL, rarely but many; the smallest go, whatever their sign."""

import numpy as np

from .program import DropAndGrow
from .rigl import RigL


class ITOP(DropAndGrow):
    RULES = "itop"
    BY_FUNCTION = ()
    FRACTION, STEPS = 0.5, 6


class TiesGoTogether(ITOP):
    FAULT = "prunes what is not larger than the last one to go, so that equal weights go together"
    SOURCE = "ITOP, core.py:389-401"
    VIOLATES = ("same_share_pruned",)
    BY_FUNCTION = VIOLATES

    def train(self):
        super().train()
        for layer in self.layers.values():  # as 8-bit weights are
            layer.value = np.round(layer.value, 1)

    def to_drop(self, layer):
        used = np.flatnonzero(layer.mask)
        size = np.abs(layer.value.flat[used])
        return used[size <= np.sort(size)[int(self.FRACTION * len(used)) - 1]]


class ITOPRigL(RigL):
    RULES = "itop-rigl"
    BY_FUNCTION = ()
    FRACTION, STEPS = 0.5, 6


class LastGradient(ITOPRigL):
    FAULT = "grows by the gradient of the step before"
    SOURCE = "a slip"
    VIOLATES = ("grown_by_gradient",)
    BY_FUNCTION = None

    def train(self):
        for layer in self.layers.values():
            layer.old = layer.gradient
        super().train()

    def score(self, layer):
        return np.abs(layer.old)
