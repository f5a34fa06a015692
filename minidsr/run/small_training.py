"""A small network in training, on random images: what methods are tried on."""

import numpy as np

from ..backend import to_device
from ..nn.base import Residual, Sequential
from ..nn.layers import BatchNorm, Conv2d, Flatten, Linear, ReLU, softmax_cross_entropy
from ..nn.sgd import SGD

STEPS = 15  # that most are tried for


class Training:
    """A network in training by a method, for 20 steps. In three of its tensors weights may be
    sparse: a convolution, a linear layer, and one of a single weight.

    cls, options  the method's class, and what it is built with
    sparsity      for a method that has one
    stop_epoch    if given, training has 4 epochs, and nothing moves after this one
    """

    def __init__(self, cls, options, *, seed=0, sparsity=0.7, stop_epoch=None, structure=None,
                 dtype=np.float32, device="cpu"):
        length = {"epochs": 1, "steps_per_epoch": 20}
        if "sparsity" in cls.options():
            options = {"sparsity": sparsity, **options}
        if stop_epoch is not None:
            length = {"epochs": 4, "steps_per_epoch": 5, "stop_epoch": stop_epoch}
        self.method = cls(**options | length)
        rng = np.random.default_rng(0)

        def linear(c_in, c_out, **options):
            return Linear(c_in, c_out, rng=rng, dtype=dtype, **options)

        def aside(**layers):  # so that gradients pass where all weights are gone
            return Residual(before=Sequential(), body=Sequential(**layers))

        self.model = Sequential(
            conv1=Conv2d(2, 3, 3, pad=1, rng=rng, dtype=dtype, sparsifiable=False),
            bn=BatchNorm(3, dtype=dtype), relu1=ReLU(),
            conv2=Conv2d(3, 4, 3, rng=rng, dtype=dtype), relu2=ReLU(), flat=Flatten(),
            a=aside(fc=linear(16, 4), up=linear(4, 16, sparsifiable=False)),
            b=aside(down=linear(16, 1, sparsifiable=False), one=linear(1, 1),
                    up=linear(1, 16, sparsifiable=False)),
            out=linear(16, 3, sparsifiable=False))
        self.device = device
        self.model.to(device)
        self.method.structure = structure
        self.method.setup(self.model, np.random.default_rng(seed))
        self.sgd, self.t, self.dtype = SGD(self.model.params(), weight_decay=1e-3), 0, dtype
        self.sgd.lr = 0.1

    def batch(self):
        """(images, labels) of the next step."""
        rng = np.random.default_rng(self.t)
        x, y = rng.normal(size=(6, 2, 4, 4)).astype(self.dtype), rng.integers(0, 3, 6)
        return to_device(x, self.device), to_device(y, self.device)

    def step(self):
        """Train a step; what the method returns."""
        x, y = self.batch()
        self.model.backward(softmax_cross_entropy(self.model.forward(x, train=True), y)[1])
        report = self.method.step(self.t, self.sgd)
        self.t += 1
        return report

    def run(self, steps=STEPS):
        """Train so many steps; what the method returns each time."""
        return [self.step() for _ in range(steps)]

    def weights(self):
        """The parameterizations of the sparsifiable weights."""
        return [layer.weight for layer in self.model.sparsifiable_layers().values()]

    def state(self):
        """All that changes, as a checkpoint has it."""
        return {f"method/{key}": value for key, value in self.method.state().items()} | {
            f"model/{key}": array for key, array in self.model.state().items()}

    def load(self, state, t):
        """Take over a state() from before step t."""
        for part, target, *step in (("model/", self.model), ("method/", self.method, t)):
            target.load({key.removeprefix(part): value for key, value in state.items()
                         if key.startswith(part)}, *step)
        self.model.to(self.device)
        self.t = t


def same(a, b):
    """Are two states the same?"""
    return a.keys() == b.keys() and all(
        np.array_equal(a[key], b[key]) if isinstance(a[key], np.ndarray) else a[key] == b[key]
        for key in a)
