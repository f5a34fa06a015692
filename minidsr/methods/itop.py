"""In-time over-parameterization (Liu et al. 2021): rarely, but many at once, so that much is tried.

    ΔT interval, long   f  fraction, falling along a cosine   R_s  exploration rate

    setup:  ψ at random; the paper's distribution is "erk"
    step:   SGD on the free numbers
            every ΔT steps, until the end, in each tensor:
                prune the f m smallest |w|
                grow as many at 0: at random (SET), or where |dE/dθ| is largest (RigL)

Source: Liu et al. (arXiv 2102.02887), section 3: what counts is R_s, the share of positions that
were trained at some time (exploration.py); so weights need long intervals to become worth
comparing. DSR moves weights more often, and between tensors.
"""

from dataclasses import dataclass
from typing import ClassVar

from ..checks import check_choice, check_range
from ..reparam import grow_back
from ..schedules import LONGEST
from .base import Dynamic, option
from .magnitude import grow_largest, prune_smallest


@dataclass(kw_only=True, eq=False)
class ITOP(Dynamic):
    """It has base.Dynamic's other options, but no periods."""

    fraction: float = option(0.5, "share of its weights that a tensor replaces at first")
    last_fraction: float = option(0.005, "that share in the end, if it is less (its code: 0.005)")
    interval: int | None = option(None, (
        "steps between reallocations (its paper: 1,500 of 97,750, with rigl 4,000; default: a 65th "
        "of training, but at least 100 steps, or a fifth of training if that is less)"))
    variant: str = option("set", (
        "how it grows: set or rigl; unlike in rigl.py, SGD takes its step before"))

    default_stop: ClassVar[float] = 1

    @classmethod
    def options(cls):
        periods = ("periods", "period_milestones")
        return {name: field for name, field in super().options().items() if name not in periods}

    def __post_init__(self):
        super().__post_init__()
        check_range("fraction", self.fraction, 0, 1)
        check_range("last_fraction", self.last_fraction, 0, 1)
        check_choice("variant of itop", self.variant, ("set", "rigl"))
        self.rules = "itop" if self.variant == "set" else "itop-rigl"
        if self.interval is None:
            self.interval = max(self.total_steps // 65, min(100, self.total_steps // 5), 1)
        check_range("interval", self.interval, 1, LONGEST)

    def needs_dense_grad(self, t):
        return self.variant == "rigl" and self.due(t)

    def step(self, t, sgd):
        report = super().step(t, sgd)
        self.keep_dense_grad(self.needs_dense_grad(t + 1))
        return report

    def due(self, t):
        return t > 0 and self.moving(t) and t % self.interval == 0

    def recorded(self, t):
        return {"gradient": self.dense_gradients()} if self.variant == "rigl" else {}

    def reallocate(self, t):
        last = min(self.last_fraction, self.fraction)
        fraction, pruned = self.annealed(self.fraction, t, last), []
        by_gradient = self.variant == "rigl"
        gradients = self.dense_gradients() if by_gradient else [None] * len(self.tensors)
        for W, gradient in zip(self.tensors, gradients, strict=True):
            n = prune_smallest(W, int(fraction * W.value.size))
            if by_gradient:
                grow_largest(W, n, gradient)
            else:
                grow_back(W, n, self.rng)
            pruned.append(n)
        return self.report(pruned, pruned)
