"""Positions come from NumPy's global generator, not from the one that was passed.

SET calls np.random.randint, and the authors' code sets no seed at all. No run can be repeated, and
no test of it either.
"""

import numpy as np

from .masked import Masked

FAULT = "draws from the global generator"
SOURCE = "SET, weightsEvolution; authors"
VIOLATES = "same_seed_same_result",


class Unseeded(Masked):
    def __init__(self, rng, keep_one):
        super().__init__(np.random, keep_one)


reallocate = Unseeded.on_sparse
