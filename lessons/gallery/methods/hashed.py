"""HashedNets (Chen et al. 2015): few numbers, each at many positions."""

import numpy as np

from .program import Program


class HashedNet(Program):
    RULES = "hashed"
    NUMBERS = 20

    def __init__(self, seed=0):
        super().__init__(seed)
        for layer in self.layers.values():
            self.draw(layer)
            layer.numbers = self.rng.normal(size=self.NUMBERS)
        self.look_up()

    def draw(self, layer):
        """The hashes: the number and the sign of each position."""
        layer.bucket = self.rng.integers(self.NUMBERS, size=layer.shape)
        layer.sign = self.rng.choice([-1.0, 1.0], layer.shape)

    def train(self):
        for layer in self.layers.values():
            gradient = self.rng.normal(size=layer.shape)
            np.add.at(layer.numbers, layer.bucket, -0.02 * layer.sign * gradient)
        self.look_up()

    def look_up(self):
        for layer in self.layers.values():
            layer.value = layer.sign * layer.numbers[layer.bucket]

    def update(self):
        self.train()

    def note(self, entries, start, moment):
        for name, layer in self.layers.items():
            for key in ("value", "bucket", "sign"):
                entries[f"{start}{name}/{moment}/{key}"] = getattr(layer, key).copy()


class EachOnItsOwn(HashedNet):
    FAULT = "each position is trained on its own, so that those that share a number drift apart"
    SOURCE = "a slip"
    VIOLATES = ("ties_hold",)

    def train(self):
        for layer in self.layers.values():
            layer.value = layer.value - 0.02 * self.rng.normal(size=layer.shape)


class AnotherHash(HashedNet):
    FAULT = "hashes with hash(), which is another one in each process"
    SOURCE = "similar: RigL, sparse_optimizers_base.py:270-273"
    VIOLATES = ("ties_stay",)

    def train(self):
        for layer in self.layers.values():
            self.draw(layer)
        super().train()

    def update(self):
        super().train()


class Balanced(HashedNet):
    """As the DSR authors have it: all numbers are used equally often, without signs."""

    RULES = "hashed-balanced"

    def draw(self, layer):
        size = layer.mask.size
        layer.bucket = (self.rng.permutation(size) % self.NUMBERS).reshape(layer.shape)
        layer.sign = np.ones(layer.shape)


class DrawnWithReplacement(Balanced):
    FAULT = "numbers are drawn with replacement, so that some are used more often"
    SOURCE = "a slip; right for the paper's"
    VIOLATES = ("ties_are_balanced",)

    def draw(self, layer):
        layer.bucket = self.rng.integers(self.NUMBERS, size=layer.shape)
        layer.sign = np.ones(layer.shape)
