"""The little of PyTorch that test_recorder.py touches, in NumPy, for machines without it.

Names and behaviour are PyTorch's: numpy() shares memory, and refuses a parameter that was not
detached; a momentum_buffer comes with the first step, and is changed in place from then on.
"""

from collections import defaultdict
from types import SimpleNamespace

import numpy as np


class Tensor:
    """An array. Equal only to itself, so that it can be a key, as in an optimizer's state."""

    requires_grad = False

    def __init__(self, array):
        self.array, self.grad = array, None

    def detach(self):
        return Tensor(self.array)

    def cpu(self):
        return self

    def new_tensor(self, number):
        return Tensor(np.array(number, self.array.dtype))

    def numpy(self):
        if self.requires_grad:
            raise RuntimeError("Can't call numpy() on Tensor that requires grad.")
        return self.array


class Parameter(Tensor):
    requires_grad = True


class Layer:
    """Holds a weight and a bias; it cannot compute."""

    def __init__(self, *shape):
        self.weight = Parameter(np.zeros(shape, np.float32))
        self.bias = Parameter(np.zeros(shape[0], np.float32))


class Sequential:
    def __init__(self, *layers):
        self.layers = layers

    def named_parameters(self):
        for i, layer in enumerate(self.layers):
            for name, p in vars(layer).items():
                yield f"{i}.{name}", p

    def parameters(self):
        return [p for _, p in self.named_parameters()]


class SGD:
    def __init__(self, params, lr, momentum=0):
        self.params, self.lr, self.momentum = params, lr, momentum
        self.state = defaultdict(dict)

    def step(self):
        for p in self.params:
            state, update = self.state[p], p.grad.array
            if self.momentum:
                buffer = state.setdefault("momentum_buffer", Tensor(np.zeros_like(update))).array
                buffer *= self.momentum
                buffer += update
                update = buffer
            p.array -= self.lr * update


def tensor(array):
    """A copy, as in PyTorch."""
    return Tensor(np.array(array))


nn = SimpleNamespace(
    Sequential=Sequential,
    Conv2d=lambda c_in, c_out, k: Layer(c_out, c_in, k, k),
    Linear=lambda c_in, c_out: Layer(c_out, c_in))
optim = SimpleNamespace(SGD=SGD)
