"""Where all weights of a layer would go, the first one is kept, however small it is.

parameterized_tensors.py, lines 197 to 199 of the authors' code. What survives is then arbitrary.
"""

import numpy as np

from .masked import Masked

FAULT = "of a layer that would die, keeps the first weight"
SOURCE = "authors, parameterized_tensors.py:197-199"
VIOLATES = "largest_kept",


class KeepsTheFirst(Masked):
    def keeper(self, layer):
        return np.argmax(layer.mask)


reallocate = KeepsTheFirst.on_sparse
