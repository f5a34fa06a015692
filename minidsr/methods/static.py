"""Static sparse training: a random structure, fixed for good.

    ψ  where the free numbers lie

    setup:  ψ at random, by default with the same density in every tensor
    step:   SGD on the free numbers

Source: the baseline "static sparse" of Mostafa & Wang 2019. It shares its initial structure and
values with DSR, and differs in that nothing moves.
"""

from .base import Method, make_sparse


class Static(Method):
    """A random structure, fixed for good."""

    def __init__(self, *, sparsity=0.9, distribution="uniform"):
        self.sparsity, self.distribution = sparsity, distribution

    @classmethod
    def from_config(cls, config, total_steps):
        return cls(sparsity=config.sparsity, distribution=config.distribution)

    def setup(self, model, rng):
        super().setup(model, rng)
        make_sparse(model, self.sparsity, self.distribution, rng)
