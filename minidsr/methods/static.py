"""Static sparse training: a random structure, fixed for good.

    ψ  where the free numbers lie

    setup:  ψ at random, by default with the same density in every tensor
    step:   SGD on the free numbers

Source: the baseline "static sparse" of Mostafa & Wang 2019. It shares its initial structure and
values with DSR, and differs in that nothing moves.
"""

from dataclasses import dataclass
from typing import ClassVar

from ..density import check_density
from .base import DISTRIBUTION, SPARSITY, Method, make_sparse, option


@dataclass(kw_only=True, eq=False)
class Static(Method):
    """A random structure, fixed for good."""

    sparsity: float = option(*SPARSITY)
    distribution: str = option(*DISTRIBUTION)

    sparse: ClassVar[bool] = True
    rules: ClassVar[str] = "static"

    def __post_init__(self):
        check_density(self.sparsity, self.distribution)

    def setup(self, model, rng):
        super().setup(model, rng)
        make_sparse(model, self.sparsity, self.distribution, rng, self.structure)
