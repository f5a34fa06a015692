"""What published programs do at an update, written anew: whole ones, where the other files have one
fault each. SOURCE says which; those without a FAULT do as their papers say.

Those of PyTorch apply masks to weights alone, so what the momentum of a position was is still there
when a weight is grown in it. Several put masks back over the weights only after growth: what was
dropped and is grown again has its old value, as if it had stayed.
"""

import math

import numpy as np

from ..fixed_tolerance import FixedTolerance
from ..keeps_the_first import KeepsTheFirst
from ..random_layer import RandomLayer
from ..stale_velocity import StaleVelocity
from .deepr import DeepR
from .dsr import DSR
from .gradual import Exponential, Gradual
from .program import DropAndGrow
from .rigl import RigL
from .set import SET, Magnitude
from .snfs import SNFS


class Authors(RandomLayer, KeepsTheFirst, StaleVelocity, FixedTolerance):
    """A reallocation of the paper's published code, as a function, but that its loop ends."""


class AuthorsDSR(DSR):
    FAULT = ("keeps the first of a tensor that dies; a random layer takes the error of rounding; "
             "a full one is offered its share for ever; momentum is left where a weight was; δ is "
             "0.1")
    SOURCE = "authors, main.py:551-704, parameterized_tensors.py:186-239"
    VIOLATES = ("largest_kept", "grown_at_rest", "shares")
    BY_FUNCTION = ("budget", "largest_kept", "shares", "overflow", "threshold_rule",
                   "order_does_not_matter")
    SHAPES = {**DSR.SHAPES, **{f"conv{i}": ((3, 3), 4) for i in range(20)}}
    DELTA, MASKED = 0.1, Authors

    def clear(self, layer):
        layer.value *= layer.mask

    def note(self, entries, start, moment):
        """Its masks are applied forward only, so masked weights drift: recorded is the product."""
        super().note(entries, start, moment)
        for name, layer in self.layers.items():
            entries[f"{start}{name}/{moment}/value"] = layer.value * layer.mask


class AuthorsSET(Magnitude):
    FAULT = "momentum is left where a weight was; int(f * n) + 1 go"
    SOURCE = "authors, parameterized_tensors.py:154-180"
    VIOLATES = ("grown_at_rest",)
    BY_FUNCTION = ()

    def to_drop(self, layer):
        used = np.flatnonzero(layer.mask)
        order = np.argsort(np.abs(layer.value.flat[used]))
        return used[order[:int(self.FRACTION * len(used)) + 1]]

    def drop(self, layer, places):
        layer.mask.flat[places] = False
        layer.value.flat[places] = 0

    def start(self, layer, places):
        layer.mask.flat[places] = True
        layer.value.flat[places] = 0

    def train(self):
        super().train()
        for layer in self.layers.values():
            layer.value *= layer.mask


class AuthorsDeepR(DeepR):
    FAULT = ("what has another sign than a step before dies, so no position has a sign of its own; "
             "momentum is left where a weight was")
    SOURCE = "authors, parameterized_tensors.py:129-151"
    RULES = "deepr-per-tensor"
    VIOLATES = ("grown_at_rest", "signs_stay")
    STEPS = 1

    def trace(self, times=20):
        return super().trace(times)

    def update(self):
        counts = []
        for layer in self.layers.values():
            empty = np.flatnonzero(~layer.mask)
            dead = np.flatnonzero(layer.mask & (layer.sign * layer.value < 0))
            layer.mask.flat[dead] = False
            layer.value *= layer.mask
            layer.mask.flat[self.rng.permutation(empty)[:len(dead)]] = True
            layer.sign = np.sign(layer.value)
            counts.append(len(dead))
        return counts, counts

    def train(self):
        super().train()
        for layer in self.layers.values():
            layer.value *= layer.mask

    def note(self, entries, start, moment):
        """The sign of a 0 is open: recorded is the one that it has next."""
        super().note(entries, start, moment)
        for name, layer in self.layers.items():
            entries[f"{start}{name}/{moment}/sign"] = np.where(
                layer.sign == 0, np.where(layer.value < 0, -1, 1), layer.sign)


class PublishedDeepR(DeepR):
    FAULT = ("first positions are drawn with replacement, and what is missing is made up for at "
             "the first update; a weight is born at 1e-12")
    SOURCE = "DeepR, script_mnist_deep_rewiring.py:64-119"
    VIOLATES = ("budget", "grown_at_zero")

    def __init__(self, seed=0):
        super().__init__(seed)
        self.missing = []
        for layer in self.layers.values():
            m = int(layer.mask.sum())
            layer.drop(np.setdiff1d(np.flatnonzero(layer.mask), self.rng.choice(
                np.flatnonzero(layer.mask), m)))
            self.missing.append(m - int(layer.mask.sum()))

    def shares(self, dead):
        grown = super().shares([sum(dead) + sum(self.missing)])
        self.missing = []
        return grown

    def grow(self, layer, places):
        layer.take(places, 1e-12 * layer.sign.flat[places])


class KerasSET(SET):
    FAULT = "the momentum of all weights is lost, as the optimizer is made anew"
    SOURCE = "SET, set_mlp_keras_cifar10.py:148-220"
    VIOLATES = ("survivors_keep_velocity",)
    BY_FUNCTION = ("survivors_keep_velocity", "same_share_pruned_by_sign")

    def to_drop(self, layer):
        w = np.sort(layer.value[layer.mask])
        negative, positive = int((w < 0).sum()), int((w <= 0).sum())
        low = w[int((1 - self.FRACTION) * negative)]
        high = w[min(len(w) - 1, int(positive + self.FRACTION * (len(w) - positive)))]
        return np.flatnonzero(layer.mask & ~((layer.value > high) | (layer.value < low)))

    def update(self):
        counts = super().update()
        for layer in self.layers.values():
            layer.velocity[...] = 0
        return counts


class SparseMomentum(SNFS):
    FAULT = ("rounds each share up, and evens out the sum later; a grown weight has the momentum "
             "of the dense gradient")
    SOURCE = "sparse_learning, core.py:367-497"
    VIOLATES = ("budget", "grown_at_rest")
    BY_FUNCTION = VIOLATES
    missing = 0

    def train(self):
        super().train()
        for layer in self.layers.values():
            layer.velocity = layer.momentum.copy()
            layer.value *= layer.mask

    def to_drop(self, layer):
        used = np.flatnonzero(layer.mask)
        order = np.argsort(np.abs(layer.value.flat[used]))
        return used[order[:math.ceil(self.FRACTION * len(used))]]

    def shares(self, dropped):
        asked = sum(dropped) + self.missing
        grown = [math.ceil(asked * mean / sum(self.means)) for mean in self.means]
        self.missing += sum(dropped) - sum(grown)
        return grown

    def start(self, layer, places):
        layer.take(places, 0, layer.momentum.flat[places])


class BordersOfBothSigns(SET):
    """Both take the border of the negative weights from the wrong end."""

    RULES = None

    def to_drop(self, layer):
        n = math.ceil(self.FRACTION * layer.mask.sum() / 2)
        w = layer.value[layer.mask]
        high, low = np.sort(w[w > 0])[n - 1], np.sort(w[w < 0])[n - 1]
        return np.flatnonzero(layer.mask & ~self.stays(layer.value, high, low))


class SparseLearningSET(BordersOfBothSigns):
    RULES = "set"
    FAULT = "of the negative weights the largest go; as many of each sign, not the same share"
    SOURCE = "sparse_learning, core.py, magnitude_and_negativity_death"
    VIOLATES = ("smallest_pruned_by_sign", "same_share_pruned_by_sign")
    BY_FUNCTION = (*VIOLATES, "completes")

    def stays(self, w, high, low):
        return (w > high) | (w > low) & (w < 0)


class ITOPSET(BordersOfBothSigns):
    RULES = "set"
    FAULT = "of the negative weights all but the largest go"
    SOURCE = "ITOP, core.py:404-431"
    VIOLATES = ("same_share_pruned_by_sign",)
    BY_FUNCTION = (*VIOLATES, "completes")

    def stays(self, w, high, low):
        return (w > high) | (w < low)


class KeepsWhatComesBack(RigL):
    """Masks are changed first, and applied to the weights when all is done."""

    RULES = None

    def drop(self, layer, places):
        layer.mask.flat[places] = False

    def start(self, layer, places):
        layer.mask.flat[places] = True
        layer.value *= layer.mask
        layer.velocity *= layer.mask


class TensorFlowRigL(KeepsWhatComesBack):
    RULES = "rigl"
    FAULT = "a weight dropped and grown again has its old value and momentum"
    SOURCE = "RigL, sparse_optimizers_base.py:262-352"
    VIOLATES = ("balance", "smallest_pruned")
    BY_FUNCTION = (*VIOLATES, "same_share_pruned")

    def to_drop(self, layer):
        score = np.abs(layer.value * layer.mask) + self.rng.normal(0, 1e-5, layer.shape)
        used = np.flatnonzero(layer.mask)
        count = len(used) - int(self.FRACTION * len(used))
        return np.setdiff1d(used, np.argsort(-score, axis=None)[:count])


class JaxprunerRigL(KeepsWhatComesBack):
    """It does not say how many it has pruned, so what comes back is not seen to have gone."""

    FAULT = "a weight dropped and grown again has its old value and momentum"
    SOURCE = "jaxpruner, sparse_trainers.py:94-165"
    RULES = "rigl"
    VIOLATES = ("smallest_pruned", "same_share_pruned")
    BY_FUNCTION = VIOLATES

    def update(self):
        super().update()


class JaxprunerSET(JaxprunerRigL):
    """By magnitude, whatever the sign."""

    RULES, KEYS = "itop", ()
    to_grow = DropAndGrow.to_grow


class PublishedITOP(JaxprunerSET):
    FAULT = ("each empty place is grown with a probability; a weight dropped and grown again has "
             "its old value and momentum")
    SOURCE = "ITOP, core.py:320-466"
    VIOLATES = ("count_per_tensor", "smallest_pruned", "same_share_pruned")
    BY_FUNCTION = VIOLATES
    FRACTION, STEPS = 0.5, 6

    def to_grow(self, layer, n, dropped):
        empty = np.flatnonzero(~layer.mask)
        return empty[self.rng.random(len(empty)) < n / len(empty)]


class AuthorsPruning(Exponential):
    FAULT = "one weight more than its share goes each time, and these add up"
    SOURCE = "authors, main.py:434-456, parameterized_tensors.py:170"
    VIOLATES = ("shrinks_exponentially",)
    TIMES = 12

    def trace(self, times=12):
        return super().trace(times)

    def update(self):
        pruned = []
        for layer, final in zip(self.layers.values(), self.FINAL, strict=True):
            share = 1 - (final / layer.mask.size) ** (1 / self.TIMES)
            used = int(layer.mask.sum())
            places = self.to_prune(layer, used - int(share * used) - 1)
            layer.drop(places)
            pruned.append(len(places))
        return pruned, [0] * len(pruned)


class ITOPPruning(Gradual):
    SOURCE = "ITOP, core.py:288-318"

    def to_prune(self, layer, left):
        """The smallest of the whole dense array, in which masked ones are 0."""
        goal = layer.mask.size - left
        order = np.argsort(np.abs(layer.value), axis=None, kind="stable")
        return np.intersect1d(order[:goal], np.flatnonzero(layer.mask))
