"""Thin dense training: the same network with fewer channels, as many parameters as a sparse one.

    budget  parameters of the sparse network, all of them

    network:  the width, to the hundredth, whose number of parameters is nearest the budget
    step:     SGD on all weights

Source: the baseline "thin dense" of Mostafa & Wang 2019. It shares the budget with DSR, and differs
in that it needs no positions: with `bitmask` it gets a parameter more for 32 positions, the memory
of a mask.
"""

from bisect import bisect_left
from dataclasses import dataclass
from functools import cache

import numpy as np

from ..density import check_sparsity, free_counts
from ..nn import models
from .base import SPARSITY, Method, option


@dataclass(kw_only=True, eq=False)
class ThinDense(Method):
    """The sparsity is that of the sparse network whose budget it has."""

    sparsity: float = option(*SPARSITY)
    bitmask: bool = option(False, (
        "add the memory of a bit for each sparsifiable weight to the budget"))

    def __post_init__(self):
        check_sparsity(self.sparsity)

    def model_name(self, name, image, classes):
        def build(name):
            return models.build(name, image=image, classes=classes, rng=np.random.default_rng(0))

        @cache
        def distance(width):
            return build(f"{kind}-{width:g}").free_parameters() - budget

        full, (kind, full_width) = build(name), models.parts(name)
        shapes = [layer.weight.shape for layer in full.sparsifiable_layers().values()]
        positions, free = (sum(free_counts(shapes, s, "uniform")) for s in (0.0, self.sparsity))
        budget = full.free_parameters() - positions + free + self.bitmask * positions / 32
        most = round(110 * full_width)  # with the bitmask a little above its own
        widths = [i / 100 for i in range(1, most + 1) if _possible(f"{kind}-{i / 100:g}")]
        i = bisect_left(widths, 0, key=distance)  # the first that is not too small
        nearest = min(widths[max(0, i - 1):i + 1], key=lambda width: abs(distance(width)))
        return f"{kind}-{nearest:g}"


def _possible(name):
    """Does every layer keep a channel?"""
    try:
        models.check_name(name)
    except ValueError:
        return False
    return True
