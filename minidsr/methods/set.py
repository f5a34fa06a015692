"""Sparse evolutionary training (Mocanu et al. 2018): in each tensor the smallest make way.

    ζ fraction   n₊, n₋ how many free numbers are positive (or 0) and negative

    setup:  ψ at random; the paper's distribution is "er"
    step:   SGD on the free numbers
            from time to time, in each tensor:
                prune the ζ n₊ smallest of the positive and the ζ n₋ largest of the negative ones
                grow as many at random empty positions, at 0

Source: Mocanu et al. (arXiv 1707.04780), Algorithm 1; once an epoch there. Like DSR it grows at
random, at zero; it sorts where DSR has a threshold, and every tensor keeps its number of weights.
"""

import math
from dataclasses import dataclass
from fractions import Fraction

from ..backend import get_xp
from ..checks import check_choice, check_range
from ..reparam import grow_back
from .base import Dynamic, option
from .magnitude import prune_smallest


@dataclass(kw_only=True, eq=False)
class SET(Dynamic):
    """Each tensor replaces the fraction ζ of its weights."""

    fraction: float = option(0.3, "ζ, the share of its weights that a tensor replaces each time")
    variant: str = option("sign", (
        "sign, the paper's; or magnitude, the DSR authors': the ζ m smallest |w|, and nothing "
        "grows where it was just pruned while other positions are empty"))

    def __post_init__(self):
        super().__post_init__()
        check_range("fraction", self.fraction, 0, 1)
        check_choice("variant of set", self.variant, ("sign", "magnitude"))
        self.rules = "set" if self.variant == "sign" else "set-magnitude"

    def reallocate(self, t):
        pruned = []
        for W in self.tensors:
            before = W.index
            if self.variant == "sign":
                n = prune_by_sign(W, self.fraction)
                grow_back(W, n, self.rng)
            else:
                n = prune_smallest(W, whole(self.fraction, W.value.size))
                grow_back(W, n, self.rng, avoid=before)
            pruned.append(n)
        return self.report(pruned, pruned)


def prune_by_sign(W, fraction):
    """Remove this fraction of each sign, those nearest 0; returns how many went."""
    xp = get_xp(W.value)
    dead = xp.zeros(W.value.size, bool)
    for positive in (True, False):
        places = xp.flatnonzero((W.value >= 0) == positive)
        order = xp.argsort(xp.abs(W.value[places]), kind="stable")
        dead[places[order[:whole(fraction, len(places))]]] = True
    return W.prune(dead)


def whole(fraction, count):
    """floor(fraction * count), the fraction taken as the decimal it is written as."""
    return math.floor(Fraction(str(fraction)) * count)
