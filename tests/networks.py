"""Hypothesis strategies: sparse tensors, whole networks of them, thresholds."""

import numpy as np
from hypothesis import strategies as st

from minidsr.parameters import Sparse

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
