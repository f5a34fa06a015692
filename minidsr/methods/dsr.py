"""Dynamic sparse reparameterization (Mostafa & Wang 2019): Algorithm 1, every few hundred steps.

    H threshold   N_p weights to prune each time   δ tolerance   K weights pruned

    setup:  ψ at random, by default with the same density in every tensor
    step:   SGD on the free numbers
            from time to time, until `stop`:
                prune |w| < H everywhere; adapt H to keep K near N_p
                grow K new ones at 0, tensors sharing by their survivors

The algorithm itself is reparam.reallocate(). Static sparse training is the same without it.
"""

from dataclasses import dataclass, replace
from functools import partial

from ..proof.invariants import OF_ANY_METHOD, OF_ONE_REALLOCATION
from ..reparam import GROWTHS, check_arguments, reallocate
from .base import Dynamic, check_choice
from .dsr_slices import check_whole, random_slices, reallocate_slices, slice_size

PAPER_FRACTION = 20_000 / 145_139  # N_p for WRN-28-2 at sparsity 0.9, of its sparse weights


@dataclass(kw_only=True, eq=False)
class DSR(Dynamic):
    """Defaults are the paper's for WRN-28-2 on CIFAR-10, 200 epochs of 500 steps.

    threshold      H at the start
    target_pruned  N_p; None: 13.8 % of the sparse weights, the paper's share
    tolerance      δ
    keep_one       of a tensor wholly below H the largest weight stays; the paper has no such rule
    growth         tensors share by: survivors (the paper); room, the opposite; or pruned, and
                   nothing moves between tensors
    granularity    weight; or slice: each k x k kernel slice moves as one, by its mean |w|
    """

    threshold: float = 1e-3
    target_pruned: int | None = None
    tolerance: float = 0.1
    keep_one: bool = True
    growth: str = "survivors"
    granularity: str = "weight"

    def __post_init__(self):
        super().__post_init__()
        check_choice("growth", self.growth, GROWTHS)
        check_choice("granularity", self.granularity, ("weight", "slice"))
        if self.granularity == "slice" and self.distribution != "uniform":
            raise ValueError("granularity slice needs distribution uniform")
        paper = self.growth == "survivors" and self.granularity == "weight"
        self.invariants = OF_ONE_REALLOCATION if paper else OF_ANY_METHOD

    def setup(self, model, rng):
        """Raises ValueError where H, N_p or δ is out of range, or kernel sizes are mixed."""
        layers = model.sparsifiable_layers()
        self.slice = 1 if self.granularity == "weight" else slice_size(layers)
        if self.slice > 1 and self.structure is None:
            self.structure = {
                name: random_slices(layer.weight.size, self.slice, self.sparsity, rng)
                for name, layer in layers.items()}
        super().setup(model, rng)
        check_whole(self.tensors, self.slice)
        budget = sum(W.value.size for W in self.tensors)
        if not budget:
            raise ValueError(f"sparsity {self.sparsity} leaves dsr no weight to move")
        if self.target_pruned is None:
            self.target_pruned = max(1, round(PAPER_FRACTION * budget))
        self.H = self.threshold
        check_arguments(self.tensors, self.H, self.target_pruned, self.tolerance)

    def reallocate(self, t):
        move = reallocate if self.slice == 1 else partial(reallocate_slices, size=self.slice)
        self.H, report = move(self.tensors, self.H, self.target_pruned, self.tolerance, self.rng,
                              keep_one=self.keep_one, growth=self.growth)
        return report

    def claims(self, report):
        """H is compared with the mean |w| of a slice, which the invariants know nothing of."""
        return report if self.slice == 1 else replace(report, H=None, next_H=None)

    def state(self):
        return {**super().state(), "H": self.H, "N_p": self.target_pruned}

    def load(self, state):
        super().load(state)
        self.H, self.target_pruned = state["H"], state["N_p"]
