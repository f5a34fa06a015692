"""Weights are compared with their sign, so that negative ones go first.

Not the same as, but of the kind of sparse_learning, funcs.py, lines 149 to 164, where all positive
weights go, and ITOP, core.py, lines 404 to 431, where the threshold is the k-th most negative.
"""

from .masked import Masked

FAULT = "compares weights with their sign, not their size"
SOURCE = "similar: sparse_learning, funcs.py:149-164; ITOP, core.py:404-431"
VIOLATES = "pruned_below_threshold",


class WithoutAbs(Masked):
    def to_prune(self, layer, H):
        dead = layer.mask & (layer.value < H)
        if self.keep_one and dead.any() and (dead == layer.mask).all():
            dead[self.keeper(layer)] = False
        return dead


reallocate = WithoutAbs.on_sparse
