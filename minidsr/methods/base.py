"""The interface of all methods, and what several of them share."""

from ..density import uniform
from ..parameters import Sparse


class Method:
    """Dense training as it is. Everything a method does happens in setup() and step()."""

    @classmethod
    def from_config(cls, config, total_steps):
        """The method that a train.Config asks for, for a training of `total_steps` steps."""
        return cls()

    def setup(self, model, rng):
        """Choose the parameterization of each weight. `rng` draws structure, now and later."""
        self.rng = rng

    def step(self, t, sgd):
        """Act at step t (0, 1, ...), between backward() and the next forward().

        Returns a reparam.Report if tensors were reallocated, else None.
        """
        sgd.step()

    def state(self):
        """All that changes in training, fit for JSON."""
        return {"rng": self.rng.bit_generator.state}

    def load(self, state):
        """Take over a state()."""
        self.rng.bit_generator.state = state["rng"]


def make_sparse(model, sparsity, rng):
    """Make the sparsifiable weights sparse, at random, with the same density everywhere.

    The survivors keep their initial values. Returns the Sparse tensors.
    """
    layers = model.sparsifiable_layers().values()
    counts = uniform([layer.weight.size for layer in layers], sparsity)
    for layer, count in zip(layers, counts, strict=True):
        layer.weight = Sparse.random(layer.weight.theta(), count, rng)
    return [layer.weight for layer in layers]
