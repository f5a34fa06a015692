"""Algorithm 1 with kernel slices in place of weights: the k x k weights between one channel in and
one channel out move together (granularity 2 of the DSR authors' code).

There, slices of several sizes are exchanged one for one, and the number of weights drifts. Here all
slices of a network have one size, so the number of weights is conserved.
"""

import math
from dataclasses import replace

import numpy as np

from ..backend import get_xp
from ..density import uniform
from ..parameters import Sparse
from ..reparam import reallocate


def reallocate_slices(tensors, H, N_p, delta, rng, *, size, **options):
    """Algorithm 1 with slices of `size` positions for weights; N_p and the Report count weights.

    A slice has the mean |w| of its weights, and is pruned and grown as a whole.
    """
    slices = [Sparse((W.size // size,), W.index[::size] // size,
                     abs(W.value).reshape(-1, size).mean(1)) for W in tensors]
    for S in slices:
        S.velocity[...] = 1  # and what is grown has 0
    H, report = reallocate(slices, H, max(1, round(N_p / size)), delta, rng, **options)
    for W, S in zip(tensors, slices, strict=True):
        xp, grown = get_xp(S.index), S.index[S.velocity == 0]
        W.prune(~xp.isin(W.index // size, S.index[S.velocity == 1]))
        W.grow(_positions(grown, size))
    return H, replace(report, N_p=report.N_p * size, K=report.K * size, **{
        name: [n * size for n in getattr(report, name)] for name in ("pruned", "grown", "active")})


def slice_size(layers):
    """How many weights a k x k slice has. ValueError where tensors have kernels of several sizes,
    since then a slice here would be exchanged for one of another size there."""
    sizes = {math.prod(layer.weight.shape[2:]) for layer in layers.values()}
    if len(sizes) > 1:
        raise ValueError("granularity slice needs kernels of one size, this model has "
                         f"{', '.join(map(str, sorted(sizes)))} weights a slice")
    return sizes.pop()


def check_slices(tensors, size):
    """Raise ValueError unless the free numbers fill whole slices."""
    for i, W in enumerate(tensors):
        first = W.index[::size]
        if len(W.index) % size or bool((W.index != _positions(first // size, size)).any()):
            raise ValueError(f"granularity slice needs a structure of whole slices; sparse tensor "
                             f"{i} has parts of some")


def random_slices(size, slice_size, sparsity, rng):
    """Flat positions of slices drawn at random, at this sparsity."""
    slices = size // slice_size
    count, = uniform([slices], sparsity)
    return _positions(np.sort(rng.choice(slices, count, replace=False)), slice_size)


def _positions(slices, size):
    """The flat positions of all weights of these slices."""
    return (slices[:, None] * size + get_xp(slices).arange(size)).reshape(-1)
