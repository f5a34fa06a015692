"""minidsr.fast.blocked: against plain loops and SciPy, its backward as the adjoint."""

from contextlib import contextmanager

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.signal import correlate
from threaded import all_at_work

from minidsr.fast import blocked, parallel
from minidsr.proof.cases import Windows, windows
from minidsr.proof.naive import conv2d

EXACT = {"rtol": 1e-12, "atol": 1e-12}
cuts = st.tuples(st.sampled_from([1, 2, 8]), st.integers(0, 22).map(lambda i: 2**i))


@contextmanager
def cut(chunks, block_bytes):
    """Cut batches into `chunks` chunks, and these into blocks of `block_bytes`."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(parallel, "CHUNKS", chunks)
        patch.setattr(parallel, "CHUNK_IMAGES", 1)
        patch.setattr(blocked, "BLOCK_BYTES", block_bytes)
        yield


def draw_arrays(q, dtype=np.float64):
    """x, w, dy and the geometry."""
    return *q.arrays(dtype), blocked.Geometry.of(q.H, q.W, q.k, q.s, q.p)


@given(windows(), cuts)
def test_forward_is_the_naive_convolution(q, how):
    x, w, _, g = draw_arrays(q)
    with cut(*how):
        y = blocked.forward(x, w, g)
    np.testing.assert_allclose(y, conv2d(x, w, q.s, q.p), **EXACT)


@given(windows(images=(1, 9), size=12), cuts)
def test_forward_is_scipys_correlation(q, how):
    x, w, _, g = draw_arrays(q)
    with cut(*how):
        y = blocked.forward(x, w, g)
    padded = np.pad(x, ((0, 0), (0, 0), (q.p, q.p), (q.p, q.p)))
    for n in range(q.N):
        for f in range(q.F):
            expected = correlate(padded[n], w[f], mode="valid", method="direct")[0]
            np.testing.assert_allclose(y[n, f], expected[::q.s, ::q.s], **EXACT)


@given(windows(images=(1, 9), size=12), cuts)
def test_backward_is_the_adjoint_of_forward(q, how):
    """<forward(v, w), dy> = <v, dx> for all v, and the same for w: that defines dx and dw."""
    x, w, dy, g = draw_arrays(q)
    rng = np.random.default_rng(q.seed + 1)
    v, u = rng.standard_normal(x.shape), rng.standard_normal(w.shape)
    with cut(*how):
        dx, dw = blocked.backward(x, dy, w, g)
        by_x = np.vdot(blocked.forward(v, w, g), dy)
        by_w = np.vdot(blocked.forward(x, u, g), dy)
    assert dx.shape == x.shape
    assert dw.shape == w.shape
    tiny = 1e-12 * np.linalg.norm(dy) * np.linalg.norm(w) * np.linalg.norm(v)
    assert np.vdot(v, dx) == pytest.approx(by_x, rel=1e-10, abs=tiny)
    tiny = 1e-12 * np.linalg.norm(dy) * np.linalg.norm(u) * np.linalg.norm(x)
    assert np.vdot(u, dw) == pytest.approx(by_w, rel=1e-10, abs=tiny)


@given(windows(images=(1, 9)))
def test_blocks_of_any_size_give_the_same_result(q):
    x, w, dy, g = draw_arrays(q)
    image = 8 * q.k * (q.C + q.F) * g.grid[0] * g.grid[1]  # bytes of an image's columns
    results = []
    for chunks, images in [(1, 100), (1, 1), (1, 2), (1, 3), (2, 2), (8, 1)]:
        with cut(chunks, image * images):
            results.append([blocked.forward(x, w, g), *blocked.backward(x, dy, w, g)])
    for result in results[1:]:
        for array, expected in zip(result, results[0], strict=True):
            np.testing.assert_allclose(array, expected, **EXACT)


@given(windows(images=(1, 20)), st.integers(0, 16))
def test_threads_do_not_change_one_bit(q, log_bytes):
    x, w, dy, g = draw_arrays(q, np.float32)
    results = []
    for count in (1, 2, 3):
        with cut(8, 2**log_bytes), all_at_work(count):
            results.append([blocked.forward(x, w, g), *blocked.backward(x, dy, w, g)])
    for result in results[1:]:
        for array, expected in zip(result, results[0], strict=True):
            assert array.tobytes() == expected.tobytes()


@given(windows(), st.sampled_from([np.float32, np.float64]))
def test_results_have_the_type_of_the_input(q, dtype):
    x, w, dy, g = draw_arrays(q, dtype)
    y, (dx, dw) = blocked.forward(x, w, g), blocked.backward(x, dy, w, g)
    assert y.dtype == dx.dtype == dw.dtype == dtype
    np.testing.assert_allclose(y, conv2d(x, w, q.s, q.p), rtol=1e-4, atol=1e-4)


@given(windows(images=(2, 6)), cuts,
       st.sampled_from([np.nan, np.inf, -np.inf]), st.integers(0, 5))
def test_a_bad_image_does_not_leak_into_others(q, how, bad, which):
    x, w, dy, g = draw_arrays(q)
    which %= q.N
    others = np.arange(q.N) != which
    bad_x, bad_dy = x.copy(), dy.copy()
    bad_x[which] = bad_dy[which] = bad
    with cut(*how), np.errstate(invalid="ignore"):
        y, bad_y = blocked.forward(x, w, g), blocked.forward(bad_x, w, g)
        dx, bad_dx = blocked.backward(x, dy, w, g)[0], blocked.backward(bad_x, bad_dy, w, g)[0]
    np.testing.assert_array_equal(bad_y[others], y[others])
    np.testing.assert_array_equal(bad_dx[others], dx[others])
    if np.isnan(bad):  # and it is not hidden either
        naive = conv2d(bad_x, w, q.s, q.p)
        np.testing.assert_array_equal(np.isnan(bad_y), np.isnan(naive))


@given(windows())
def test_memory_order_does_not_matter(q):
    x, w, dy, g = draw_arrays(q)

    def strided(a):
        return np.repeat(a, 2, axis=-1)[..., ::2]

    def transposed(a):
        return np.asfortranarray(a)

    expected = [blocked.forward(x, w, g), *blocked.backward(x, dy, w, g)]
    for order in (strided, transposed):
        a, b, c = order(x), order(w), order(dy)
        result = [blocked.forward(a, b, g), *blocked.backward(a, c, b, g)]
        for array, wanted in zip(result, expected, strict=True):
            np.testing.assert_allclose(array, wanted, **EXACT)


@given(H=st.integers(1, 12), W=st.integers(1, 12), k=st.integers(1, 9), s=st.integers(1, 3),
       p=st.integers(0, 3))
def test_a_kernel_that_does_not_fit_raises(H, W, k, s, p):
    if k > H + 2 * p or k > W + 2 * p:
        with pytest.raises(ValueError, match=f"{k}x{k} kernel.*{H}x{W} image.*{p}"):
            blocked.Geometry.of(H, W, k, s, p)
    else:
        out = blocked.Geometry.of(H, W, k, s, p).out
        assert out == tuple(len(range(0, size + 2 * p - k + 1, s)) for size in (H, W))


def test_pixels_that_no_tap_meets_get_gradient_zero():
    q = Windows(N=2, C=1, F=1, H=5, W=5, k=1, s=3, p=0, seed=0)
    _, _, dy, g = draw_arrays(q)
    x, w = np.ones(q.x_shape), np.full(q.w_shape, 2.0)
    dx, dw = blocked.backward(x, dy, w, g)
    expected = np.zeros(q.x_shape)
    expected[:, :, ::3, ::3] = 2 * dy
    np.testing.assert_array_equal(dx, expected)
    assert dw.item() == pytest.approx(dy.sum())


def test_no_images():
    g = blocked.Geometry.of(3, 3, 3, 1, 1)
    x, w = np.ones((0, 2, 3, 3)), np.ones((4, 2, 3, 3))
    y = blocked.forward(x, w, g)
    dx, dw = blocked.backward(x, y, w, g)
    assert y.shape == (0, 4, 3, 3)
    assert dx.shape == x.shape
    assert not dw.any()


def test_a_worked_example():
    x = np.arange(9.0).reshape(1, 1, 3, 3)
    w = np.array([[[[0, 0, 0], [0, 1, 0], [0, 0, -1.0]]]])  # a pixel less its lower right neighbour
    y = blocked.forward(x, w, blocked.Geometry.of(3, 3, 3, 1, 1))
    assert y.tolist() == [[[[-4, -4, 2], [-4, -4, 5], [6, 7, 8]]]]
