"""From a sparsity to whole counts of free numbers, once; from then on arithmetic is on integers."""

import math
from fractions import Fraction


def uniform(sizes, sparsity):
    """floor((1 - sparsity) * size) free numbers for each tensor, as in the paper (section 3).

    The sparsity counts as the decimal it is written as: 0.9 of 1,000 leaves 100, where floating
    point arithmetic would leave 99. Raises ValueError for a sparsity outside [0, 1).
    """
    check_sparsity(sparsity)
    density = 1 - Fraction(repr(float(sparsity)))
    return [math.floor(density * size) for size in sizes]


def check_sparsity(sparsity):
    """Raise ValueError unless 0 <= sparsity < 1."""
    if not 0 <= sparsity < 1:
        raise ValueError(f"sparsity must be in [0, 1), not {sparsity}")
