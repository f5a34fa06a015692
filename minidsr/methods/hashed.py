"""HashedNets (Chen et al. 2015): few numbers, each at many positions.

    h hash of a position to one of m free numbers   ξ hash of a position to a sign

    setup:  θ_i = ξ(i) φ[h(i)], m the same as for a sparse tensor
    step:   SGD on φ; the gradient of a number is the signed sum over its positions

Source: Chen et al. (arXiv 1504.04788), eq. 3 to 7. It shares the budget with DSR, and differs in
that no position is empty, so nothing can move. Hashes take no memory.
"""

from dataclasses import dataclass

import numpy as np

from ..backend import get_xp
from ..checks import check_choice
from ..density import check_density, free_counts
from ..parameters import Parameterization, Sparse, index_dtype
from ..shapes import check_array
from .base import DISTRIBUTION, SPARSITY, Method, option


class Hashed(Parameterization):
    """m free numbers in `size` positions: θ_i = sign_i * value[bucket_i] (Chen et al. 2015).

    bucket and sign are hashes of the position i, each by its half of `key` (2,) uint32. They are
    computed when they are needed and take no memory. Without free numbers, θ is 0.
    """

    stored = ("key", "value", "velocity")

    def __init__(self, shape, value, key):
        super().__init__(shape, value)
        self.key = key

    @classmethod
    def random(cls, theta, count, rng):
        """`count` free numbers, drawn from the entries of the dense array `theta`."""
        key = get_xp(theta).asarray(rng.integers(2 ** 32, size=2, dtype=np.uint32))
        return cls(theta.shape, Sparse.random(theta, count, rng).value, key)

    @property
    def bucket(self):
        """Which free number each position takes: (size,) int64."""
        h = _hash(self.size, self.key[:1]).astype(np.int64)
        return (h * self.value.size) >> 32          # 0 <= h < 2^32, so 0 <= bucket < m

    @property
    def sign(self):
        """1 or -1 for each position: (size,)."""
        return 1 - 2 * (_hash(self.size, self.key[1:]) >> 31).astype(self.value.dtype)

    def theta(self):
        """Dense θ of `shape`, built anew at each call."""
        if not self.value.size:
            return get_xp(self.value).zeros(self.shape, self.value.dtype)
        return (self.sign * self.value[self.bucket]).reshape(self.shape)

    def pull(self, dtheta):
        """Set grad from the gradient of θ: signed sums over the positions that share a number.

        Added up in float64; on a GPU in no fixed order.
        """
        check_array("dtheta", dtheta, self.shape, (self.value.dtype,), like=self.value)
        xp = get_xp(dtheta)
        sums = xp.zeros(self.value.size, np.float64)
        if len(sums):  # bincount would be as short; CuPy's waits for the GPU
            xp.add.at(sums, self.bucket, (self.sign * dtheta.reshape(-1)).astype(np.float64))
        self.grad = sums.astype(self.value.dtype)


class Tied(Hashed):
    """The same with a stored table `bucket` (size,), without signs: weights tied at random."""

    stored = ("bucket", "value", "velocity")
    bucket, sign = None, 1

    def __init__(self, shape, value, bucket):
        Parameterization.__init__(self, shape, value)
        self.bucket = bucket

    @classmethod
    def random(cls, theta, count, rng):
        """Balanced: each of `count` free numbers is used at as many positions, to within one."""
        bucket = rng.permutation(theta.size) % max(1, count)
        bucket = get_xp(theta).asarray(bucket.astype(index_dtype(theta.size)))
        return cls(theta.shape, Sparse.random(theta, count, rng).value, bucket)

    def _check(self, **state):
        super()._check(**state)
        xp = get_xp(state["bucket"])
        balanced = xp.sort(xp.arange(self.size) % max(1, self.value.size))
        if bool((xp.sort(state["bucket"]) != balanced).any()):
            raise ValueError("bucket does not use all numbers equally often")


def _hash(size, key):
    """A hash of each position 0..size-1: (size,) uint32. The last steps of MurmurHash3 mix it."""
    h = get_xp(key).arange(size, dtype=np.uint32) ^ key
    for shift, factor in ((16, 0x85EBCA6B), (13, 0xC2B2AE35)):
        h = (h ^ (h >> shift)) * np.uint32(factor)
    return h ^ (h >> 16)


VARIANTS = {"hash": Hashed, "balanced": Tied}


@dataclass(kw_only=True, eq=False)
class HashedNet(Method):
    """Sparsity and distribution say how many free numbers the tensors get."""

    sparsity: float = option(*SPARSITY)
    distribution: str = option(*DISTRIBUTION)
    variant: str = option("hash", (
        "hash, the paper's; or balanced, the DSR authors': a stored table that uses all numbers "
        "equally often, without signs"))

    def __post_init__(self):
        check_density(self.sparsity, self.distribution)
        check_choice("variant of hashed", self.variant, VARIANTS)
        self.rules = "hashed" if self.variant == "hash" else "hashed-balanced"

    def setup(self, model, rng):
        super().setup(model, rng)
        layers = model.sparsifiable_layers().values()
        shapes = [layer.weight.shape for layer in layers]
        counts = free_counts(shapes, self.sparsity, self.distribution)
        for layer, count in zip(layers, counts, strict=True):
            layer.weight = VARIANTS[self.variant].random(layer.weight.theta(), count, rng)
