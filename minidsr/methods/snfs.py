"""Sparse networks from scratch, "sparse momentum" (Dettmers & Zettlemoyer 2019).

    V  momentum of the dense gradient of θ   k  how many a tensor prunes   K  the sum of k

    setup:  ψ at random
    step:   V <- momentum * V + dE/dθ, at all positions;  SGD on the free numbers
            from time to time:
                in each tensor prune the smallest |w|: a fraction that falls along a cosine
                tensors share K in proportion to mean |V| at their free numbers before
                in each tensor grow where |V| is largest, at 0

Source: Dettmers & Zettlemoyer (arXiv 1907.04840), section 3; once an epoch there. Like DSR it moves
weights between tensors; it needs the dense gradient at every step, and V is as large as all
weights. Counts are exact here, where the published code lets them drift.
"""

from dataclasses import dataclass
from typing import ClassVar

from ..backend import get_xp, to_host_together
from ..checks import check_range
from ..reparam import apportion
from .base import Dynamic, option
from .magnitude import grow_largest, prune_smallest


@dataclass(kw_only=True, eq=False)
class SNFS(Dynamic):
    """V, the momentum of the dense gradient, belongs to the state of the method."""

    rules: ClassVar[str] = "snfs"

    fraction: float = option(0.5, "share of its weights that a tensor prunes at first")
    last_fraction: float = option(0.0, (
        "that share where nothing moves any more, if it is less (its code: 0.005)"))
    decay_in_momentum: bool = option(False, "add weight decay to the gradient of V (its code: yes)")

    def __post_init__(self):
        super().__post_init__()
        check_range("fraction", self.fraction, 0, 1)
        check_range("last_fraction", self.last_fraction, 0, 1)

    def setup(self, model, rng):
        super().setup(model, rng)
        self.V = [get_xp(W.value).zeros(W.shape, W.value.dtype) for W in self.tensors]
        self.keep_dense_grad(True)

    def needs_dense_grad(self, t):
        return True

    def step(self, t, sgd):
        if self.moving(t):
            self.V = [sgd.momentum * V + W.dense_grad
                      for V, W in zip(self.V, self.tensors, strict=True)]
            if self.decay_in_momentum:
                self.V = [V + sgd.weight_decay * W.theta()
                          for V, W in zip(self.V, self.tensors, strict=True)]
        return super().step(t, sgd)

    def recorded(self, t):
        return {"momentum": self.V}

    def reallocate(self, t):
        magnitude = to_host_together([abs(V) for V in self.V])
        weights = [float(a.reshape(-1)[W.index].mean()) if len(W.index) else 0.0
                   for a, W in zip(magnitude, self.tensors, strict=True)]
        fraction = self.annealed(self.fraction, t, min(self.last_fraction, self.fraction))
        pruned = [prune_smallest(W, int(fraction * W.value.size)) for W in self.tensors]
        room = [W.size - W.value.size for W in self.tensors]
        grown = apportion(sum(pruned), weights, room)
        for W, n, a in zip(self.tensors, grown, magnitude, strict=True):
            grow_largest(W, n, a)
        return self.report(pruned, grown)

    def state(self):
        V = to_host_together(self.V)
        return {**super().state(), **{f"V/{i}": array for i, array in enumerate(V)}}

    def load(self, state, t):
        super().load(state, t)
        self.V = [get_xp(V).asarray(state[f"V/{i}"]) for i, V in enumerate(self.V)]
