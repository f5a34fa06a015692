"""HashedNets (Chen et al. 2015): few numbers, each at many positions.

    h hash of a position to one of m free numbers   ξ hash of a position to a sign

    setup:  θ_i = ξ(i) φ[h(i)], m the same as for a sparse tensor
    step:   SGD on φ; the gradient of a number is the signed sum over its positions

Source: Chen et al. (arXiv 1504.04788), eq. 3 to 7. It shares the budget with DSR, and differs in
that no position is empty, so nothing can move. Hashes take no memory.
"""

from dataclasses import dataclass

from ..density import check_sparsity, free_counts
from ..parameters import Hashed, Tied
from .base import Method, check_choice

VARIANTS = {"hash": Hashed, "balanced": Tied}


@dataclass(kw_only=True, eq=False)
class HashedNet(Method):
    """
    sparsity, distribution  how many free numbers the tensors get, see base.Dynamic
    variant                 hash, the paper's; or balanced, the DSR authors': a stored table that
                            uses all numbers equally often, without signs
    """

    sparsity: float = 0.9
    distribution: str = "uniform"
    variant: str = "hash"

    def __post_init__(self):
        check_sparsity(self.sparsity)
        check_choice("variant of hashed", self.variant, VARIANTS)

    def setup(self, model, rng):
        super().setup(model, rng)
        layers = model.sparsifiable_layers().values()
        shapes = [layer.weight.shape for layer in layers]
        counts = free_counts(shapes, self.sparsity, self.distribution)
        for layer, count in zip(layers, counts, strict=True):
            layer.weight = VARIANTS[self.variant].random(layer.weight.theta(), count, rng)
