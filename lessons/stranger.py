"""A stranger's program: dense weights, a mask for each, momentum; weights move by Algorithm 1.

Lesson 8 judges it by what it left, stranger.npz, and exercise 8.5 records such a trace. It uses
nothing of minidsr, and may have one of the faults of lessons/gallery.
"""

import numpy as np

from .gallery.masked import Layer, Masked


class Program:
    """A network in training, with random gradients.

    weights     {name: array}; 0 where the mask is False
    masks       {name: array of True and False} of the sparse tensors; "bias" is dense, and has none
    velocities  {name: array}, the momentum
    H           the threshold of the next reallocation; with it go N_p, delta and keep_one

    It changes its arrays in place. method: the class of lessons/gallery that moves the weights.
    """

    def __init__(self, tensors, H, N_p, delta, seed, keep_one=True, method=Masked):
        self.H, self.N_p, self.delta, self.keep_one = H, N_p, delta, keep_one
        self.method, self.rng = method, np.random.default_rng(seed)
        self.layers = {f"layer{i}": Layer(W) for i, W in enumerate(tensors, 1)}
        self.weights, self.masks, self.velocities = (
            {name: getattr(layer, key).reshape(layer.shape) for name, layer in self.layers.items()}
            for key in ("value", "mask", "velocity"))
        self.weights["bias"], self.velocities["bias"] = (np.ones(3, np.float32) for _ in range(2))

    def train(self):
        """One step of SGD with momentum."""
        for name, w in self.weights.items():
            gradient = self.rng.normal(0, 0.1, w.shape).astype(w.dtype)
            v = self.velocities[name]
            v *= 0.9
            v += gradient * self.masks.get(name, True)
            w -= 0.1 * v
            w *= self.masks.get(name, True)

    def reallocate(self):
        """Move weights, and set H for the next time."""
        self.H = self.method(self.rng, self.keep_one).reallocate(
            list(self.layers.values()), self.H, self.N_p, self.delta)
        for name, layer in self.layers.items():  # some methods make a mask anew
            self.masks[name][...] = layer.mask.reshape(layer.shape)
            self.weights[name] *= self.masks[name]
