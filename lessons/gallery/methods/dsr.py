"""DSR (Mostafa & Wang 2019) and its variants, in training.

Weights are moved by masked.py. Faults of one reallocation are in the files beside that one; those
here are of what is around it, and of variants.
"""

import numpy as np

from ..masked import Masked
from ..slices_count_as_one import SlicesCountAsOne
from .program import Program


class Flat:
    """A Layer as masked.py has it: the same numbers, flat."""

    def __init__(self, layer):
        self.shape = layer.shape
        self.mask, self.value, self.velocity = (
            getattr(layer, key).reshape(-1) for key in ("mask", "value", "velocity"))
        self.pruned = np.zeros_like(self.mask)


class DSR(Program):
    """fc3 is soon full, as its weights are large; fc4 dies, as its weights are small."""

    RULES = "dsr"
    SHAPES = {**Program.SHAPES, "fc3": ((4, 5), 15), "fc4": ((5, 6), 8)}
    H, N_P, DELTA = 0.25, 30, 0.2
    MASKED = Masked

    def __init__(self, seed=0):
        super().__init__(seed)
        self.layers["fc3"].value *= 3
        self.layers["fc4"].value *= 0.02

    def update(self):
        self.used, flat = self.H, [Flat(layer) for layer in self.layers.values()]
        before = [int(layer.mask.sum()) for layer in flat]
        self.H = self.MASKED(self.rng, True).reallocate(flat, self.H, self.N_P, self.DELTA)
        pruned = [int(layer.pruned.sum()) for layer in flat]
        for layer in flat:
            self.clear(layer)
        return pruned, [int(layer.mask.sum()) - m + k
                        for layer, m, k in zip(flat, before, pruned, strict=True)]

    def clear(self, layer):
        """Apply the mask."""
        layer.value *= layer.mask
        layer.velocity *= layer.mask

    def numbers(self):
        return {"H": self.used, "next_H": self.H, "N_p": self.N_P, "delta": self.DELTA,
                "keep_one": 1}


class ForgetsItsThreshold(DSR):
    FAULT = "after a break it goes on with the first threshold"
    SOURCE = "authors, main.py:376-383, --resume"
    VIOLATES = ("threshold_between",)

    def update(self):
        if self.time == 3 * self.STEPS:
            self.H = DSR.H
        return super().update()


class PlacesTwice(DSR):
    FAULT = "nobody asks for room, and a position that is drawn twice is twice in the list"
    SOURCE = "similar: SET, createSparseWeights; DeepR, script_mnist_deep_rewiring.py:64-67"
    VIOLATES = ("positions", "capacity")

    def __init__(self, seed=0):
        super().__init__(seed)
        self.places = {name: np.flatnonzero(layer.mask) for name, layer in self.layers.items()}

    def update(self):
        left = {name: self.places[name][np.abs(layer.value.flat[self.places[name]]) >= self.H]
                for name, layer in self.layers.items()}
        pruned = [len(self.places[name]) - len(left[name]) for name in left]
        survivors = sum(map(len, left.values()))
        grown = [round(sum(pruned) * len(stay) / survivors) for stay in left.values()]
        for (name, layer), n in zip(self.layers.items(), grown, strict=True):
            drawn = self.rng.integers(layer.mask.size, size=n)
            self.places[name] = np.sort(np.concatenate([left[name], drawn]))
            layer.mask.flat[self.places[name]] = True
        self.used = self.H
        return pruned, grown

    def note(self, entries, start, moment):
        for name, layer in self.layers.items():
            entries[f"{start}{name}/size"] = layer.mask.size
            entries[f"{start}{name}/{moment}/index"] = self.places[name]
            for key in ("value", "velocity"):
                entries[f"{start}{name}/{moment}/{key}"] = getattr(layer, key).flat[
                    self.places[name]]


class AtTheFirst(Masked):
    def places(self, layer, n):
        empty = np.flatnonzero(~layer.mask & ~layer.pruned)
        return np.concatenate([empty, np.flatnonzero(layer.pruned)])[:n]


class GrowsAtTheFirstPlaces(DSR):
    FAULT = "grows at the first empty places, not at random ones"
    SOURCE = "a common shortcut"
    MASKED = AtTheFirst
    BY_FUNCTION = ("grown_uniformly",)


class SeededInside(Masked):
    def __init__(self, rng, keep_one):
        super().__init__(np.random.default_rng(0), keep_one)


class AlwaysAlike(DSR):
    FAULT = "makes a generator anew each time, with seed 0: always the same of the empty places"
    SOURCE = "a slip; with one seed nobody sees it"
    MASKED = SeededInside
    BY_FUNCTION = ("grown_uniformly",)


class ByRoom(Masked):
    def weights(self, layers):
        return [int((~layer.mask).sum()) for layer in layers]


class Room(DSR):
    """Shares by empty positions, the opposite of the paper's: one of the rules of dst."""

    RULES = "dsr-room"
    MASKED = ByRoom


class SharesBySurvivors(Room):
    FAULT = "shares by survivors, where those by room were asked for"
    SOURCE = "a slip; right for the paper's"
    VIOLATES = ("shares_by_room",)
    MASKED = Masked


class ByLosses(Masked):
    def shares(self, layers, K):
        return [int(layer.pruned.sum()) for layer in layers]


class Pruned(DSR):
    """Each tensor grows what it lost: the authors' code without --rewire-scaling."""

    RULES = "dsr-pruned"
    MASKED = ByLosses


class AnyFreePlace(ByLosses):
    def places(self, layer, n):
        return self.rng.permutation(np.flatnonzero(~layer.mask))[:n]


class PrunedAnywhere(Pruned):
    FAULT = "grows on just-pruned places while others of the tensor are free"
    SOURCE = "SET, DeepR, ITOP, dst"
    VIOLATES = ("grown_elsewhere_in_tensor",)
    MASKED = AnyFreePlace


class KernelSlices(DSR):
    """Slices of four weights are pruned and grown as one, by the mean of their sizes."""

    RULES = "dsr-slices"
    SHAPES = {"conv1": ((60, 2, 2), 0), "conv2": ((60, 2, 2), 0)}  # (slices, kernel)
    H, N_P = 0.6, 8

    def __init__(self, seed=0):
        Program.__init__(self, seed)
        for layer in self.layers.values():
            layer.mask[self.rng.random(len(layer.mask)) < 0.4] = True
            layer.value = self.rng.normal(0, 1, layer.shape) * layer.mask

    def update(self):
        before = [layer.mask.copy() for layer in self.layers.values()]
        flat = [Flat(layer) for layer in self.layers.values()]
        SlicesCountAsOne(self.rng, True).reallocate(flat, self.H, self.N_P, self.DELTA)
        for layer, moved in zip(self.layers.values(), flat, strict=True):
            layer.mask = moved.mask.reshape(layer.shape)
            self.clear(layer)
        masks = [(old, layer.mask) for old, layer in zip(before, self.layers.values(), strict=True)]
        return [(a & ~b).sum() for a, b in masks], [(b & ~a).sum() for a, b in masks]

    def numbers(self):
        return {}  # no weight is compared with H


class SizesMixed(KernelSlices):
    FAULT = "exchanges kernel slices of several sizes one for one"
    SOURCE = "authors, granularity 2, parameterized_tensors.py:155-156"
    VIOLATES = ("budget",)
    SHAPES = {"conv1": ((60, 3, 3), 0), "conv2": ((60, 1), 0)}
