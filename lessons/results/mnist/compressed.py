"""Compressed sparse on MNIST as the DSR authors have it.

For --import lessons.results.mnist.compressed, which adds the method `compressed`.

Source: main.py, lines 436 to 441, of github.com/IntelAI/dynamic-reparameterization, 7fe9f43.
"""

from dataclasses import dataclass

from minidsr import METHODS
from minidsr.methods.gradual import Gradual
from minidsr.reparam import apportion


@dataclass(kw_only=True, eq=False)
class Compressed(Gradual):
    """Gradual pruning where the last layer keeps a tenth of its weights whatever the sparsity; the
    others have what is left of the budget, both in the same proportion."""

    def setup(self, model, rng):
        super().setup(model, rng)
        *others, last = [W.size for W in self.tensors]
        self.final = [*apportion(sum(self.final) - last // 10, others, others), last // 10]


METHODS["compressed"] = Compressed
