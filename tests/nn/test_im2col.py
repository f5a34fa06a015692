"""minidsr.nn.im2col, the engine `plain`: against loops, its backward as the adjoint, by hand."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from minidsr.nn import im2col
from minidsr.proof.cases import windows
from minidsr.proof.naive import conv2d

EXACT = {"rtol": 1e-12, "atol": 1e-12}


@given(windows())
def test_forward_is_the_convolution_in_loops(q):
    x, w, _ = q.arrays()
    y = im2col.forward(x, w, q.s, q.p)
    assert y.shape == q.y_shape
    np.testing.assert_allclose(y, conv2d(x, w, q.s, q.p), **EXACT)


@given(windows(images=(1, 9), size=12))
def test_backward_is_the_adjoint_of_forward(q):
    """<forward(v, w), dy> = <v, dx> for all v, and the same for w: that defines dx and dw."""
    x, w, dy = q.arrays()
    rng = np.random.default_rng(q.seed + 1)
    v, u = rng.standard_normal(x.shape), rng.standard_normal(w.shape)
    dx, dw = im2col.backward(x, dy, w, q.s, q.p)
    tiny = 1e-12 * np.linalg.norm(dy) * (np.linalg.norm(v) + np.linalg.norm(x)) * (
        np.linalg.norm(w) + np.linalg.norm(u))
    assert np.vdot(v, dx) == pytest.approx(
        np.vdot(im2col.forward(v, w, q.s, q.p), dy), rel=1e-10, abs=tiny)
    assert np.vdot(u, dw) == pytest.approx(
        np.vdot(im2col.forward(x, u, q.s, q.p), dy), rel=1e-10, abs=tiny)


@given(windows())
def test_images_is_the_transpose_of_columns(q):
    x, _, _ = q.arrays()
    cols = im2col.columns(x, q.k, q.s, q.p)
    assert cols.shape == (q.C * q.k * q.k, q.N * q.y_shape[2] * q.y_shape[3])
    other = np.random.default_rng(q.seed).standard_normal(cols.shape)
    back = im2col.images(other, x.shape, q.k, q.s, q.p)
    assert back.shape == x.shape
    assert np.vdot(cols, other) == pytest.approx(np.vdot(x, back), rel=1e-10, abs=1e-9)


@given(windows(), st.sampled_from([np.float32, np.float64]))
def test_results_have_the_type_of_the_input(q, dtype):
    x, w, dy = q.arrays(dtype)
    y, (dx, dw) = im2col.forward(x, w, q.s, q.p), im2col.backward(x, dy, w, q.s, q.p)
    assert y.dtype == dx.dtype == dw.dtype == dtype


def test_a_ramp_by_hand():
    """The 4 x 4 image 0..15 and an edge filter: with padding as worked out, without it all -8."""
    x = np.arange(16.0).reshape(1, 1, 4, 4)
    w = np.array([[1.0, 0, -1], [2, 0, -2], [1, 0, -1]])[None, None]
    assert im2col.forward(x, w, 1, 1)[0, 0].tolist() == [
        [-7, -6, -6, 10], [-20, -8, -8, 24], [-36, -8, -8, 40], [-35, -6, -6, 38]]
    assert im2col.forward(x, w, 1, 0)[0, 0].tolist() == [[-8, -8], [-8, -8]]
    assert im2col.columns(x, 3, 1, 0)[:, 0].tolist() == [0, 1, 2, 4, 5, 6, 8, 9, 10]


def test_a_pixel_gets_back_as_much_as_there_are_windows_on_it():
    back = im2col.images(np.ones((9, 4)), (1, 1, 4, 4), 3, 1, 0)
    assert back[0, 0].tolist() == [[1, 2, 2, 1], [2, 4, 4, 2], [2, 4, 4, 2], [1, 2, 2, 1]]


def test_a_kernel_that_does_not_fit():
    with pytest.raises(ValueError, match="a window of 5 does not fit 2 pixels padded by 1"):
        im2col.forward(np.ones((1, 1, 2, 2)), np.ones((1, 1, 5, 5)), 1, 1)


def test_an_empty_batch():
    y = im2col.forward(np.ones((0, 2, 5, 5)), np.ones((3, 2, 3, 3)), 1, 0)
    assert y.shape == (0, 3, 3, 3)
