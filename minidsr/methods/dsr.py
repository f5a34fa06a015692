"""Dynamic sparse reparameterization (Mostafa & Wang 2019): Algorithm 1, every few hundred steps.

    H threshold   N_p weights to prune each time   δ tolerance   K weights pruned

    setup:  ψ at random, by default with the same density in every tensor
    step:   SGD on the free numbers
            from time to time, until `stop`:
                prune |w| < H everywhere; adapt H to keep K near N_p
                grow K new ones at 0, tensors sharing by their survivors

The algorithm itself is reparam.reallocate(). Static sparse training is the same without it.
"""

from ..reparam import check_arguments, reallocate
from ..schedules import reallocates
from .base import Method, make_sparse

PAPER_FRACTION = 20_000 / 145_139  # N_p for WRN-28-2 at sparsity 0.9, of its sparse weights


class DSR(Method):
    """Defaults are the paper's for WRN-28-2 on CIFAR-10, 200 epochs of 500 steps.

    target_pruned  N_p; None: 13.8 % of the sparse weights, the paper's share
    periods        steps between reallocations, one for each phase of training
    milestones     where the next phase begins, as fractions of training
    stop           the fraction of training after which nothing moves
    """

    def __init__(self, *, total_steps, sparsity=0.9, distribution="uniform", threshold=1e-3,
                 target_pruned=None, tolerance=0.1, periods=(100, 200, 400, 800),
                 milestones=(0.125, 0.4, 0.7), stop=0.95):
        self.total_steps, self.H = total_steps, threshold
        self.sparsity, self.distribution = sparsity, distribution
        self.target_pruned, self.tolerance = target_pruned, tolerance
        self.periods, self.milestones, self.stop = periods, milestones, stop

    @classmethod
    def from_config(cls, config, total_steps):
        return cls(total_steps=total_steps, sparsity=config.sparsity,
                   distribution=config.distribution, threshold=config.threshold,
                   target_pruned=config.target_pruned, tolerance=config.tolerance,
                   periods=config.periods, milestones=config.period_milestones, stop=config.stop)

    def setup(self, model, rng):
        """Raises ValueError where H, N_p or δ is out of range."""
        super().setup(model, rng)
        self.tensors = make_sparse(model, self.sparsity, self.distribution, rng)
        if self.target_pruned is None:
            budget = sum(W.value.size for W in self.tensors)
            self.target_pruned = max(1, round(PAPER_FRACTION * budget))
        check_arguments(self.tensors, self.H, self.target_pruned, self.tolerance)

    def due(self, t):
        return reallocates(t, self.total_steps, self.milestones, self.periods, self.stop)

    def reallocate(self):
        self.H, report = reallocate(self.tensors, self.H, self.target_pruned, self.tolerance,
                                    self.rng)
        return report

    def state(self):
        return {**super().state(), "H": self.H}

    def load(self, state):
        super().load(state)
        self.H = state["H"]
