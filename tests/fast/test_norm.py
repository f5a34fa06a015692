"""minidsr.fast.norm and norm_loops: both against float64, and one against the other."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from threaded import all_at_work

from minidsr.fast import norm, parallel
from minidsr.fast.engine import use
from minidsr.nn.layers import BatchNorm, ReLU, Sequential
from minidsr.proof.cases import seeds

norm_loops = pytest.importorskip("minidsr.fast.norm_loops", reason="Numba is not installed")
modules = pytest.mark.parametrize("module", [norm, norm_loops], ids=["norm", "norm_loops"])
shapes = st.tuples(st.integers(1, 5), st.integers(1, 4), st.integers(1, 40))


def arrays(shape, seed, dtype, count):
    rng = np.random.default_rng(seed)
    return rng, [rng.standard_normal(shape).astype(dtype) for _ in range(count)]


@modules
@given(shape=shapes, seed=seeds, mean=st.sampled_from([0, 1, 1000]),
       dtype=st.sampled_from([np.float32, np.float64]))
def test_moments(module, shape, seed, mean, dtype):
    _, (x,) = arrays(shape, seed, dtype, 1)
    x += mean
    exact = x.astype(np.float64)
    count, found_mean, found_squares = module.moments(x)
    assert count == shape[0] * shape[2]
    tiny = 1e-6 if dtype == np.float32 else 1e-14
    np.testing.assert_allclose(found_mean, exact.mean((0, 2)), atol=10 * tiny * (mean + 1))
    np.testing.assert_allclose(found_squares, exact.var((0, 2)) * shape[0] * shape[2],
                               rtol=100 * tiny, atol=1000 * tiny * (1 + mean * tiny * mean))
    assert found_mean.dtype == found_squares.dtype == np.float64


@given(shape=shapes, seed=seeds, cut=st.integers(1, 4))
def test_chunks_are_joined(shape, seed, cut):
    _, (x,) = arrays(shape, seed, np.float64, 1)
    x += np.arange(len(x))[:, None, None]  # the means of chunks differ
    mean, var = norm.joined([norm.moments(x[i:i + cut]) for i in range(0, len(x), cut)])
    np.testing.assert_allclose(mean, x.mean((0, 2)), rtol=1e-10, atol=1e-10)
    np.testing.assert_allclose(var, x.var((0, 2)), rtol=1e-10, atol=1e-10)


@given(shape=shapes, seed=seeds, floor=st.sampled_from([0.0, -np.inf]))
def test_both_are_the_same(shape, seed, floor):
    rng, (x, dy, y) = arrays(shape, seed, np.float64, 3)
    a, b, c = rng.standard_normal((3, shape[1]))
    results = []
    for module in (norm, norm_loops):
        out, dx = np.empty_like(x), np.empty_like(x)
        module.normalise(x, a, b, floor, out)
        module.gradient(dy, x, y, a, b, c, floor, dx)
        results.append([out, dx, *module.gradient_sums(dy, x, y, c, floor)])
    for u, v in zip(*results, strict=True):
        np.testing.assert_allclose(u, v, rtol=1e-12, atol=1e-12)


@modules
def test_what_went_wrong_stays_visible(module):
    x = np.ones((2, 1, 3), np.float32)
    x[0, 0, 1] = np.nan
    y, one = np.empty_like(x), np.ones(1, np.float32)
    module.normalise(x, one, one, np.float32(0), y)
    assert np.isnan(y).tolist() == np.isnan(x).tolist()
    assert np.isnan(module.moments(x)[1]).all()
    assert np.isnan(module.gradient_sums(x, y, np.ones_like(x), one, np.float32(0))[0]).all()


@pytest.mark.parametrize("engine", ["blocked", "sparse"])
@pytest.mark.parametrize("relu", [False, True])
@given(shape=st.tuples(st.integers(1, 30), st.integers(1, 4), st.integers(1, 3),
                       st.integers(1, 5)), seed=seeds)
def test_it_is_the_textbooks_batch_norm(engine, relu, shape, seed):
    rng, (x, dy) = arrays(shape, seed, np.float64, 2)
    weight, bias = rng.standard_normal((2, shape[1]))
    results = []
    for name in ("plain", engine):
        p = BatchNorm(shape[1], dtype=np.float64)
        model = use(Sequential(norm=p, **({"relu": ReLU()} if relu else {})), name)
        p.weight.value[:], p.bias.value[:] = weight, bias
        y = model.forward(x, train=True)
        results.append([y, model.backward(dy), p.weight.grad, p.bias.grad, model.forward(x),
                        p.running_mean, p.running_var])
    for a, b in zip(*results, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-8, atol=1e-7)  # two numbers may be nearly equal


@given(shape=st.tuples(st.integers(1, 30), st.integers(1, 4), st.integers(1, 5)), seed=seeds)
def test_threads_do_not_change_one_bit(shape, seed):
    _, (x, dy) = arrays(shape, seed, np.float32, 2)
    results = []
    for count in (1, 2, 3):
        layer = BatchNorm(shape[1])
        model = use(Sequential(norm=layer, relu=ReLU()), "sparse")
        with all_at_work(count), pytest.MonkeyPatch.context() as patch:
            patch.setattr(parallel, "CHUNK_IMAGES", 2)
            y = model.forward(x, train=True)
            results.append([a.tobytes() for a in (
                y, model.backward(dy), layer.weight.grad, layer.running_var)])
    assert results[0] == results[1] == results[2]
