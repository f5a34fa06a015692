"""Gradual pruning (Zhu & Gupta 2017): the smallest go, and nothing comes back."""

import numpy as np

from .program import Program


class Gradual(Program):
    RULES = "gradual"
    TIMES, FINAL = 4, (48, 24)

    def __init__(self, seed=0):
        super().__init__(seed)
        for layer in self.layers.values():
            layer.mask[...] = True
            layer.value = self.rng.normal(0, 1, layer.shape)

    @property
    def progress(self):
        return self.time / self.STEPS / self.TIMES

    def numbers(self):
        return {"progress": self.progress} | {
            f"{name}/final": final for name, final in zip(self.layers, self.FINAL, strict=True)}

    def update(self):
        pruned = []
        for layer, final in zip(self.layers.values(), self.FINAL, strict=True):
            places = self.to_prune(layer, int(self.left(layer.mask.size, final)))
            layer.drop(places)
            pruned.append(len(places))
        return pruned, [0] * len(pruned)

    def left(self, size, final):
        """How many of the weights are left now."""
        return final + (size - final) * (1 - self.progress) ** 3

    def to_prune(self, layer, left):
        used = np.flatnonzero(layer.mask)
        return used[np.argsort(np.abs(layer.value.flat[used]))[:max(0, len(used) - left)]]


class Linear(Gradual):
    FAULT = "shrinks evenly, not by the cubic"
    SOURCE = "a slip"
    VIOLATES = ("shrinks_by_the_cubic",)

    def left(self, size, final):
        return final + (size - final) * (1 - self.progress)


class Revives(Gradual):
    FAULT = "makes the mask anew each time, so that what was pruned may come back"
    SOURCE = "a common slip"
    VIOLATES = ("nothing_grows",)

    def update(self):
        super().update()
        for layer in self.layers.values():
            old = np.flatnonzero(~layer.mask)[-1:]
            layer.drop(self.to_prune(layer, int(layer.mask.sum()) - 1))
            layer.take(old)


class PrunesTheFirst(Gradual):
    FAULT = "prunes the first weights, whatever their size"
    SOURCE = "a slip"
    VIOLATES = ("smallest_pruned",)

    def to_prune(self, layer, left):
        used = np.flatnonzero(layer.mask)
        return used[:max(0, len(used) - left)]


class Exponential(Gradual):
    RULES = "gradual-exponential"

    def left(self, size, final):
        return round(size * (final / size) ** self.progress)


class CubicInstead(Exponential):
    FAULT = "shrinks by the cubic, not by the same factor"
    SOURCE = "a slip"
    VIOLATES = ("shrinks_exponentially",)

    def left(self, size, final):
        return Gradual.left(self, size, final)
