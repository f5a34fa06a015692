"""How much of the space of structures training has seen: the exploration rate R_s.

    R_s  the share of positions that have ever held a weight   (Liu et al., ICML 2021, section 3.1)
"""

import numpy as np

from ..backend import to_host_together


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
            beyond = 8 * len(bits) - self.layers[name].weight.size
            if beyond and bits[-1] & (1 << beyond) - 1:
                raise ValueError(f"explored/{name} has more than the positions of its tensor")
        self.seen = seen

    def rate(self):
        """R_s, over all these tensors, with the positions in use now; they are not noted."""
        seen = sum(int(np.bitwise_count(bits).sum(dtype=np.int64))
                   for bits in self._with_now().values())
        return seen / max(1, sum(layer.weight.size for layer in self.layers.values()))

    def _with_now(self):
        """`seen` with the positions in use now: new arrays, as a state() may hold the old ones."""
        together = {name: bits.copy() for name, bits in self.seen.items()}
        actives = to_host_together([layer.weight.active() for layer in self.layers.values()])
        for name, active in zip(self.layers, actives, strict=True):
            # sorted positions: the bits of a byte lie side by side
            byte, bits = active >> 3, (128 >> (active & 7)).astype(np.uint8)
            first = np.flatnonzero(np.diff(byte, prepend=-1))
            if len(byte):
                together[name][byte[first]] |= np.bitwise_or.reduceat(bits, first)
        return together
