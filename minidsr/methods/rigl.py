"""RigL, "rigged lottery" (Evci et al. 2020): drop the smallest, grow where the gradient is largest.

    f  fraction, falling to 0 along a cosine   g = dE/dθ, at all positions   m  free numbers

    setup:  ψ at random; the paper's distribution is "erk"
    step:   SGD on the free numbers; but from time to time, instead of it, in each tensor:
                prune the f m smallest |w|
                grow as many where |g| is largest, at 0; what was just pruned may come back

Source: Evci et al. (arXiv 1911.11134), Algorithm 1. It needs the dense gradient, at these steps
only; every tensor keeps its number of weights. DSR needs no dense gradient, and moves weights
between tensors.
"""

from dataclasses import dataclass
from typing import ClassVar

from ..checks import check_range
from .base import Dynamic, option
from .magnitude import grow_largest, prune_smallest


@dataclass(kw_only=True, eq=False)
class RigL(Dynamic):
    """Where weights move, SGD takes no step."""

    rules: ClassVar[str] = "rigl"

    fraction: float = option(0.3, "share of its weights that a tensor replaces at first")

    def __post_init__(self):
        super().__post_init__()
        check_range("fraction", self.fraction, 0, 1)

    def needs_dense_grad(self, t):
        return self.due(t)

    def step(self, t, sgd):
        report = None
        if self.due(t):
            report = self.checked_reallocation(t)
        else:
            sgd.step()
        self.keep_dense_grad(self.needs_dense_grad(t + 1))
        return report

    def recorded(self, t):
        return {"gradient": self.dense_gradients()}

    def reallocate(self, t):
        fraction, pruned = self.annealed(self.fraction, t), []
        for W, gradient in zip(self.tensors, self.dense_gradients(), strict=True):
            n = prune_smallest(W, int(fraction * W.value.size))
            grow_largest(W, n, gradient)
            pruned.append(n)
        return self.report(pruned, pruned)
