"""What hypothesis draws for layers. Numbers come from a seed, so examples print short."""

from dataclasses import dataclass

import numpy as np
from hypothesis import strategies as st

from minidsr.proof.cases import seeds


@dataclass(frozen=True)
class Windows:
    """Sizes of a batch (N, C, H, W), F channels out, and windows of k pixels, stride s, pad p."""

    N: int
    C: int
    F: int
    H: int
    W: int
    k: int
    s: int
    p: int
    seed: int

    def rng(self):
        return np.random.default_rng(self.seed)

    @property
    def x_shape(self):
        return self.N, self.C, self.H, self.W

    @property
    def w_shape(self):
        return self.F, self.C, self.k, self.k


@st.composite
def windows(draw, *, images=(1, 4), size=8, pads=3, kernels=5):
    """Windows that fit. The pad may be larger than the kernel, the stride too."""
    H, W, p = draw(st.integers(1, size)), draw(st.integers(1, size)), draw(st.integers(0, pads))
    return Windows(
        N=draw(st.integers(*images)), C=draw(st.integers(1, 4)), F=draw(st.integers(1, 4)),
        H=H, W=W, k=draw(st.integers(1, min(kernels, min(H, W) + 2 * p))),
        s=draw(st.integers(1, 3)), p=p, seed=draw(seeds))


def spread(shape, rng):
    """Distinct numbers of both signs in random order, none near another or near 0."""
    size = int(np.prod(shape))
    ranks = rng.permutation(size) - size // 2 + 0.5
    return (ranks * (4 / size)).reshape(shape)
