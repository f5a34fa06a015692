"""Protection of newborns, an option of dsr: what one reallocation has grown, the next one spares.

A weight starts at 0, so it is pruned again unless it passes H in one period. The paper lets it.
"""

import numpy as np

from ..backend import to_host
from .exploration import bits_of, check_bits, index_of


def protect_newborns(tensors):
    """Protect what the reallocation that has just ended grew, and nothing else.

    A 0 that was not protected is new: any other was below H, and is gone. (Where keep_one has kept
    a 0, it is as good as new.)
    """
    for W in tensors:
        W.protected = W.index[(W.value == 0) & ~np.isin(W.index, W.protected)]


def protected_state(tensors):
    """{name: a bit for each position} of what is protected."""
    return {f"protected/{i}": bits_of(W.protected, W.size) for i, W in enumerate(tensors)}


def load_protected(tensors, state):
    """Take over a protected_state(). ValueError where a position has no weight."""
    for i, W in enumerate(tensors):
        bits = state[f"protected/{i}"]
        check_bits(f"protected/{i}", bits, W.size)
        index = index_of(bits, W.size)
        if not np.isin(index, to_host(W.index)).all():
            raise ValueError(f"protected/{i} has a position without a weight")
        W.protected = index
