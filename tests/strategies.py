"""What hypothesis draws: shapes and seeds. Numbers come from a seed, so examples print short."""

from dataclasses import dataclass

import numpy as np
from hypothesis import strategies as st

from minidsr.parameters import Sparse

seeds = st.integers(0, 2**32 - 1)


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


MAGNITUDES = [0.0, -0.0, 1e-45, 1e-38, 1e-4, 1e-3, 0.5, -0.5, 1.0, -1.0, 3.0, 1e30]


@st.composite
def sparse_tensors(draw, max_size=40):
    """A Sparse tensor: empty, full or in between, with ties, zeros, denormals among its values."""
    size = draw(st.integers(1, max_size))
    m = draw(st.sampled_from([0, 1, size]) | st.integers(0, size))
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    index = np.sort(rng.choice(size, m, replace=False)).astype(np.int32)
    if draw(st.booleans()):
        value = rng.choice(MAGNITUDES, m).astype(np.float32)
    else:
        value = rng.normal(0, draw(st.sampled_from([1e-3, 1.0])), m).astype(np.float32)
    W = Sparse((size,), index, value)
    W.velocity = rng.normal(size=m).astype(np.float32)
    return W


def networks(min_free=1):
    """Lists of 1 to 5 sparse tensors with at least `min_free` free numbers in all."""
    return st.lists(sparse_tensors(), min_size=1, max_size=5).filter(
        lambda tensors: sum(W.value.size for W in tensors) >= min_free)


def thresholds():
    """H from denormal to huge; the values that the tensors hold are among them."""
    return st.sampled_from([1e-45, 1e-4, 1e-3, 0.5, 1.0, 3.0, 1e30, 1e38]) | st.floats(1e-6, 10)
