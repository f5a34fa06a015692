"""How much of the space of structures training has seen: the exploration rate R_s.

    R_s  the share of positions that have ever held a weight   (Liu et al., ICML 2021, section 3.1)
"""

import numpy as np

from ..backend import to_host_together
from ..shapes import positions


def bits_of(index, size):
    """A bit for each of `size` positions, (⌈size / 8⌉,) uint8: set at those in `index`, sorted."""
    bits, index = np.zeros(-(-size // 8), np.uint8), positions("index", np.asarray(index), size)
    # sorted positions: the bits of a byte lie side by side
    byte, bit = index >> 3, (128 >> (index & 7)).astype(np.uint8)
    first = np.flatnonzero(np.diff(byte, prepend=-1))
    if len(byte):
        bits[byte[first]] = np.bitwise_or.reduceat(bit, first)
    return bits


def index_of(bits, size):
    """The reverse: the flat positions whose bits are set, sorted."""
    return np.flatnonzero(np.unpackbits(bits, count=size))


def check_bits(name, bits, size):
    """Raise ValueError where one of these bits, as many as bits_of() makes, is no position's."""
    beyond = 8 * len(bits) - size
    if beyond and bits[-1] & (1 << beyond) - 1:
        raise ValueError(f"{name} has more than the positions of its tensor")


class Exploration:
    """Which positions of the sparsifiable tensors of a model were in use when observe() was called:
    at each reallocation and where an epoch begins. A bit for each."""

    def __init__(self, model):
        self.layers = model.sparsifiable_layers()
        self.seen = {name: np.zeros(-(-layer.weight.size // 8), np.uint8)
                     for name, layer in self.layers.items()}

    def observe(self):
        """Note the positions in use now."""
        self.seen = self._with_now()

    def load(self, seen):
        """Take over bits like `seen`. ValueError for one that is no position's."""
        for name, bits in seen.items():
            check_bits(f"explored/{name}", bits, self.layers[name].weight.size)
        self.seen = seen

    def rate(self):
        """R_s, over all these tensors, with the positions in use now; they are not noted."""
        seen = sum(int(np.bitwise_count(bits).sum(dtype=np.int64))
                   for bits in self._with_now().values())
        return seen / max(1, sum(layer.weight.size for layer in self.layers.values()))

    def _with_now(self):
        """`seen` with the positions in use now: new arrays, as a state() may hold the old ones."""
        actives = to_host_together([layer.weight.active() for layer in self.layers.values()])
        return {name: self.seen[name] | bits_of(active, layer.weight.size)
                for (name, layer), active in zip(self.layers.items(), actives, strict=True)}
