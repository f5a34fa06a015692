"""Gradual pruning, "compressed sparse" (Zhu & Gupta 2017): from dense to sparse, never back.

    m  free numbers of a tensor of N positions, m_end those of a sparse one   t_end  last pruning

    setup:  all positions are free
    step:   SGD on the free numbers
            from time to time, until t_end:
                in each tensor prune the smallest |w|, down to m; what is pruned stays pruned
                cubic:        m = m_end + (N - m_end) (1 - t / t_end)³, rounded down
                exponential:  m = N (m_end / N)^(t / t_end), rounded

Source: Zhu & Gupta, "To prune, or not to prune" (arXiv 1710.01878), eq. 1, from sparsity 0 at step
0; exponential is the DSR authors', for MNIST and ImageNet. Of DSR it has the budget at the end
only: training needs all of the memory. It goes on from a trained dense network with
--structure-from RUN --values final.
"""

from dataclasses import dataclass
from typing import ClassVar

from ..checks import check_choice
from ..density import free_counts
from ..schedules import cubic, exponential, last_reallocation
from .base import Dynamic, Method, make_sparse, option
from .magnitude import prune_smallest

PRUNING_SCHEDULES = {"cubic": cubic, "exponential": exponential}


@dataclass(kw_only=True, eq=False)
class Gradual(Dynamic):
    """The last pruning is before the stop, by default at 0.8 of training, as in the DSR authors'
    runs of 48 epochs."""

    schedule: str = option("cubic", (
        "how the number of weights falls: cubic (Zhu & Gupta's; the DSR authors' for CIFAR-10) or "
        "exponential (theirs for MNIST and ImageNet), by the same factor each step"))

    budget_rule: ClassVar[str] = "shrinking"
    default_stop: ClassVar[float] = 0.8
    few: ClassVar[int] = 1  # the last pruning brings it to its budget, however many there are

    def __post_init__(self):
        super().__post_init__()
        check_choice("schedule of gradual", self.schedule, PRUNING_SCHEDULES)
        self.rules = "gradual" if self.schedule == "cubic" else "gradual-exponential"

    def setup(self, model, rng):
        """Raises ValueError where no step of this training is due."""
        Method.setup(self, model, rng)
        layers = model.sparsifiable_layers().values()
        shapes = [layer.weight.shape for layer in layers]
        self.final = free_counts(shapes, self.sparsity, self.distribution)
        self.tensors = make_sparse(model, 0.0, "uniform", rng, self.structure)
        self.explored.observe()
        self.t_end = last_reallocation(self.total_steps, self.period_milestones, self.periods,
                                       self.stop)
        if self.t_end is None:
            raise ValueError("gradual never prunes: no period ends before the stop")

    def targets(self, t):
        """How many free numbers each tensor has after the pruning at step t; at step 0 all."""
        left = PRUNING_SCHEDULES[self.schedule]
        return [left(t, self.t_end, W.size, m)
                for W, m in zip(self.tensors, self.final, strict=True)]

    def reallocate(self, t):
        pruned = [prune_smallest(W, max(0, W.value.size - m))
                  for W, m in zip(self.tensors, self.targets(t), strict=True)]
        return self.report(pruned, [0] * len(pruned))

    def recorded(self, t):
        return {"progress": t / self.t_end, "final": self.final}

    def left(self, t):
        """How many free numbers each tensor has before step t."""
        return self.targets(next((s for s in reversed(range(t)) if self.due(s)), 0))

    def load(self, state, t):
        super().load(state, t)
        for W, most in zip(self.tensors, self.left(t), strict=True):
            if W.value.size > most:
                raise ValueError(f"{W.value.size} weights in a tensor that has {most} by step {t}")
