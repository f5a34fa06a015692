"""From a sparsity to whole counts of free numbers, once; from then on arithmetic is on integers."""

import math
from fractions import Fraction

from .checks import check_choice, check_share
from .reparam import apportion

WEIGHTS = {  # density times size, of a shape
    "er": lambda shape: sum(shape[:2]) * math.prod(shape[2:]),
    "erk": sum,
    "reversed": lambda shape: Fraction(math.prod(shape) ** 2, sum(shape))}
DISTRIBUTIONS = ("uniform", *WEIGHTS)


def free_counts(shapes, sparsity, distribution):
    """How many free numbers each tensor gets at first, by one of DISTRIBUTIONS.

    uniform   the same density everywhere, see uniform()
    er        Erdős–Rényi (Mocanu et al. 2018): density ε (n_in + n_out) / (n_in n_out)
    erk       with kernels (Evci et al. 2020): density ε (sum of the shape) / (product of the shape)
    reversed  the opposite of erk: density ε (product of the shape) / (sum of the shape)

    All have the same sum, exactly. A tensor whose density would exceed 1 is full, and the others
    share the rest by the same rule; ε follows.
    """
    check_density(sparsity, distribution)
    sizes = [math.prod(shape) for shape in shapes]
    counts = uniform(sizes, sparsity)
    if distribution == "uniform":
        return counts
    return apportion(sum(counts), [WEIGHTS[distribution](shape) for shape in shapes], sizes)


def uniform(sizes, sparsity):
    """floor((1 - sparsity) * size) free numbers for each tensor, as in the paper (section 3).

    The sparsity counts as the decimal it is written as: 0.9 of 1,000 leaves 100, where floating
    point arithmetic would leave 99. Raises ValueError for a sparsity outside [0, 1).
    """
    check_sparsity(sparsity)
    density = 1 - Fraction(str(sparsity))
    return [math.floor(density * size) for size in sizes]


def check_density(sparsity, distribution):
    """Raise ValueError unless free_counts() takes these."""
    check_sparsity(sparsity)
    check_choice("distribution", distribution, DISTRIBUTIONS)


def check_sparsity(sparsity):
    """Raise ValueError unless 0 <= sparsity < 1."""
    check_share("sparsity", sparsity)
