"""The interface of all methods, and what several of them share."""

from ..density import free_counts
from ..invariants import InvariantError, violations
from ..parameters import Sparse
from ..trace import Reallocation, snapshot


class Method:
    """Dense training as it is. Everything a method does happens in setup() and step()."""

    check = True  # the invariants, at each reallocation
    last = None   # the last Reallocation that was checked

    @classmethod
    def from_config(cls, config, total_steps):
        """The method that a train.Config asks for, for a training of `total_steps` steps."""
        return cls()

    def setup(self, model, rng):
        """Choose the parameterization of each weight. `rng` draws structure, now and later."""
        self.model, self.rng = model, rng

    def step(self, t, sgd):
        """Act at step t (0, 1, ...), between backward() and the next forward().

        Returns a reparam.Report if tensors were reallocated, else None.
        """
        sgd.step()
        return self.checked_reallocation() if self.due(t) else None

    def due(self, t):
        """Are tensors reallocated at step t?"""
        return False

    def reallocate(self):
        """Move free numbers; returns a reparam.Report."""

    def checked_reallocation(self):
        """reallocate(), and InvariantError if what it did breaks an invariant."""
        if not self.check:
            return self.reallocate()
        before = snapshot(self.model.named_params())
        report = self.reallocate()
        this = Reallocation(before, snapshot(self.model.named_params()), report)
        broken = violations(this, self.last)
        if broken:
            raise InvariantError("; ".join(map(str, broken)))
        self.last = Reallocation(this.after, this.after, report)  # what is needed the next time
        return report

    def state(self):
        """All that changes in training, fit for JSON."""
        return {"rng": self.rng.bit_generator.state}

    def load(self, state):
        """Take over a state()."""
        self.last = None
        self.rng.bit_generator.state = state["rng"]


def make_sparse(model, sparsity, distribution, rng):
    """Make the sparsifiable weights sparse, at random, so many each as density.free_counts() says.

    The survivors keep their initial values. Returns the Sparse tensors.
    """
    layers = model.sparsifiable_layers().values()
    counts = free_counts([layer.weight.shape for layer in layers], sparsity, distribution)
    for layer, count in zip(layers, counts, strict=True):
        layer.weight = Sparse.random(layer.weight.theta(), count, rng)
    return [layer.weight for layer in layers]
