"""A network in training, with random gradients, and a trace of it. Nothing of minidsr is used."""

import numpy as np


class Layer:
    """One tensor: dense arrays of one shape.

    mask      True where a weight is in use; value and velocity are 0 elsewhere
    gradient  of the dense weights, at the last step; momentum is that of these gradients
    """

    def __init__(self, rng, shape, count):
        self.shape, size = shape, int(np.prod(shape))
        self.mask = (rng.permutation(size) < count).reshape(shape)
        self.value = rng.normal(0, 1, shape) * self.mask
        self.velocity, self.gradient, self.momentum = np.zeros((3, *shape))

    @classmethod
    def of(cls, W):
        """The same numbers as a Sparse has, with no gradient."""
        layer = cls(np.random.default_rng(0), W.shape, 0)
        layer.take(W.index, W.value, W.velocity)
        return layer

    def write(self, W):
        """Hand the weights in use back to a Sparse."""
        W.index = np.flatnonzero(self.mask).astype(np.int32)
        W.value, W.velocity = (x.flat[W.index].astype(np.float32)
                               for x in (self.value, self.velocity))

    def take(self, places, value=0.0, velocity=0.0):
        """Use these flat positions from now on."""
        self.mask.flat[places] = True
        self.value.flat[places], self.velocity.flat[places] = value, velocity

    def drop(self, places):
        """Use these flat positions no more."""
        self.mask.flat[places] = False
        self.value.flat[places] = self.velocity.flat[places] = 0


class Program:
    """Some sparse tensors and a dense one; every STEPS steps update() moves weights.

    SHAPES  {tensor: (its shape, how many weights it has at first)}
    KEYS    attributes of a Layer that are recorded beside its weights
    """

    RULES = FAULT = SOURCE = None
    VIOLATES = ()
    BY_FUNCTION = None
    SHAPES = {"fc1": ((12, 20), 100), "fc2": ((10, 12), 40)}
    KEYS = ()
    STEPS = 3

    def __init__(self, seed=0):
        self.rng = np.random.default_rng(seed)
        self.layers = {name: Layer(self.rng, *made) for name, made in self.SHAPES.items()}
        self.bias = self.rng.normal(size=10)
        self.time = 0

    def train(self):
        """One step of SGD with momentum."""
        self.time += 1
        for layer in self.layers.values():
            layer.gradient = self.rng.normal(0, 1, layer.shape)
            layer.momentum = 0.9 * layer.momentum + layer.gradient
            layer.velocity = 0.9 * layer.velocity + layer.gradient * layer.mask
            layer.value = layer.value - 0.02 * layer.velocity
        self.bias = self.bias - 0.02 * self.rng.normal(size=10)

    def update(self):
        """Move weights; returns how many of each layer were pruned, and grown."""

    def numbers(self):
        """What else is recorded, by its key."""
        return {}

    def trace(self, times=4):
        """A trace of so many updates, as lessons/notes/traces.md has it."""
        entries = {}
        for n in range(times):
            for _ in range(self.STEPS):
                self.train()
            self.note(entries, f"{n}/", "before")
            counts = self.update()
            self.note(entries, f"{n}/", "after")
            for key, of_layers in zip(("pruned", "grown"), counts or (), strict=False):
                entries |= {f"{n}/{name}/{key}": k
                            for name, k in zip(self.layers, of_layers, strict=True)}
            entries |= {f"{n}/{key}": x for key, x in self.numbers().items()}
        return entries

    def note(self, entries, start, moment):
        """Copies of all arrays at this moment."""
        for name, layer in self.layers.items():
            for key in ("mask", "value", "velocity", *self.KEYS):
                entries[f"{start}{name}/{moment}/{key}"] = getattr(layer, key).copy()
        entries[f"{start}bias/{moment}/value"] = self.bias.copy()


class DropAndGrow(Program):
    """Each tensor drops a share of its weights, and grows as many."""

    FRACTION = 0.3

    @classmethod
    def on_sparse(cls, tensors, *given):
        """One update as a function: a list of Sparse changes in place.

        given  a list of arrays for each of KEYS, the fraction, and a random generator
        """
        program, (*dense, fraction, rng) = cls(), given
        program.FRACTION, program.rng = fraction, rng
        program.layers = {f"fc{i}": Layer.of(W) for i, W in enumerate(tensors, 1)}
        for key, arrays in zip(cls.KEYS, dense, strict=True):
            for layer, array in zip(program.layers.values(), arrays, strict=True):
                setattr(layer, key, array)
        counts = program.update()
        for layer, W in zip(program.layers.values(), tensors, strict=True):
            layer.write(W)
        return counts

    def update(self):
        dropped = [self.to_drop(layer) for layer in self.layers.values()]
        for layer, places in zip(self.layers.values(), dropped, strict=True):
            self.drop(layer, places)
        counts = self.shares([len(places) for places in dropped])
        for layer, places, n in zip(self.layers.values(), dropped, counts, strict=True):
            self.start(layer, self.to_grow(layer, n, places))
        return [len(places) for places in dropped], counts

    def to_drop(self, layer):
        """Flat positions: of those in use, a share with the smallest weights."""
        used = np.flatnonzero(layer.mask)
        order = np.argsort(np.abs(layer.value.flat[used]))
        return used[order[:int(self.FRACTION * len(used))]]

    def drop(self, layer, places):
        layer.drop(places)

    def shares(self, dropped):
        """How many each layer grows."""
        return dropped

    def to_grow(self, layer, n, dropped):
        """n flat positions, at random; those just dropped are as good as others."""
        return self.rng.permutation(np.flatnonzero(~layer.mask))[:n]

    def at_the_largest(self, score, layer, n):
        """n flat positions, of those that are empty: where the score is largest; of equals, the
        first."""
        empty = np.flatnonzero(~layer.mask)
        return empty[np.argsort(-score.flat[empty], kind="stable")[:n]]

    def start(self, layer, places):
        layer.take(places)
