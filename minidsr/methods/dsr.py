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

from ..checks import check_arguments, check_choice, check_range, check_share
from ..reparam import GROWTHS, LARGEST_H, SMALLEST_H, reallocate
from .base import Dynamic, option
from .dsr_slices import check_slices, random_slices, reallocate_slices, slice_size
from .newborns import load_protected, protect_newborns, protected_state

PAPER_FRACTION = 20_000 / 145_139  # N_p for WRN-28-2 at sparsity 0.9, of its sparse weights


@dataclass(kw_only=True, eq=False)
class DSR(Dynamic):
    """When Algorithm 1 is called, and with what."""

    threshold: float = option(1e-3, (
        "H at the start, the magnitude below which weights are pruned (paper: 1e-3)"))
    target_pruned: int | None = option(None, (
        "N_p, the weights to prune each time (paper: 20,000 for wrn-28-2 at sparsity 0.9, which is "
        "13.8 % of its sparse weights; that share is the default)"))
    tolerance: float = option(0.1, (
        "δ; H moves when fewer than (1-δ) N_p or more than (1+δ) N_p were pruned (paper: 0.1)"))
    keep_one: bool = option(True, "keep the largest weight of a tensor wholly below H (paper: no)")
    growth: str = option("survivors", (
        "what a tensor's share of growth is proportional to: survivors (paper), room (its empty "
        "positions, the opposite), or pruned (nothing moves between tensors)"))
    granularity: str = option("weight", (
        "what moves: weight, or slice, each k x k kernel slice as one, by its mean |w| (paper: "
        "both)"))
    protect_newborns: bool = option(False, (
        "what one reallocation has grown is not pruned at the next (paper: no)"))

    def __post_init__(self):
        super().__post_init__()
        check_range("threshold", self.threshold, SMALLEST_H, LARGEST_H)
        if self.target_pruned is not None:
            check_range("target_pruned", self.target_pruned, 1, 2**31)
        check_share("tolerance", self.tolerance)
        check_choice("growth", self.growth, GROWTHS)
        check_choice("granularity", self.granularity, ("weight", "slice"))
        if self.granularity == "slice" and self.distribution != "uniform":
            raise ValueError("granularity slice needs distribution uniform")
        if self.granularity == "slice" and self.protect_newborns:
            raise ValueError("protect_newborns needs granularity weight")
        self.rules = ("dsr-slices" if self.granularity == "slice" else
                      "dsr" if self.growth == "survivors" else f"dsr-{self.growth}")

    def setup(self, model, rng):
        """Raises ValueError where H, N_p or δ is out of range, or kernel sizes are mixed."""
        layers = model.sparsifiable_layers()
        self.slice = 1 if self.granularity == "weight" else slice_size(layers)
        if self.slice > 1 and self.structure is None:
            self.structure = {
                name: random_slices(layer.weight.size, self.slice, self.sparsity, rng)
                for name, layer in layers.items()}
        super().setup(model, rng)
        check_slices(self.tensors, self.slice)
        budget = sum(W.value.size for W in self.tensors)
        if not budget:
            raise ValueError(f"sparsity {self.sparsity} leaves dsr no weight to move")
        if self.target_pruned is None:
            self.target_pruned = max(1, round(PAPER_FRACTION * budget))
        self.H = float(self.threshold)
        check_arguments(self.tensors, self.H, self.target_pruned, self.tolerance, self.rng)

    def reallocate(self, t):
        move = reallocate if self.slice == 1 else partial(reallocate_slices, size=self.slice)
        self.H, report = move(self.tensors, self.H, self.target_pruned, self.tolerance, self.rng,
                              keep_one=self.keep_one, growth=self.growth)
        if self.protect_newborns:
            protect_newborns(self.tensors)
        return report

    def claims(self, report):
        """H is compared with the mean |w| of a slice, which the invariants know nothing of."""
        return report if self.slice == 1 else replace(report, H=None, next_H=None)

    def state(self):
        protected = protected_state(self.tensors) if self.protect_newborns else {}
        return {**super().state(), **protected, "H": self.H, "N_p": self.target_pruned}

    def load(self, state, t):
        super().load(state, t)
        check_slices(self.tensors, self.slice)
        check_arguments(self.tensors, state["H"], state["N_p"], self.tolerance, self.rng)
        self.H, self.target_pruned = state["H"], state["N_p"]
        if self.protect_newborns:
            load_protected(self.tensors, state)
