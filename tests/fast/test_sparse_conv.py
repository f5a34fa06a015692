"""minidsr.fast.sparse_conv: the same convolution as blocked, without the zeros."""

import tracemalloc
from contextlib import contextmanager

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from threaded import all_at_work

from minidsr.fast import blocked, parallel
from minidsr.fast.engine import use
from minidsr.methods.base import make_sparse
from minidsr.nn.layers import BatchNorm, Conv2d, Flatten, Linear, ReLU, Sequential
from minidsr.nn.sgd import SGD
from minidsr.parameters import Dense, Sparse
from minidsr.proof.cases import windows
from minidsr.run.config import Config

sparse_conv = pytest.importorskip("minidsr.fast.sparse_conv", reason="Numba is not installed")

CLOSE = {"rtol": 1e-11, "atol": 1e-11}
densities = st.one_of(st.sampled_from([0.0, 1.0]), st.floats(0, 1))
cuts = st.tuples(st.sampled_from([1, 2, 8]), st.sampled_from([1, 20, 100, 1024]))


@contextmanager
def cut(chunks, length):
    """Cut batches into `chunks` chunks, and these into blocks of about `length` pixels."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(parallel, "CHUNKS", chunks)
        patch.setattr(parallel, "CHUNK_IMAGES", 1)
        patch.setattr(sparse_conv, "BLOCK_LENGTH", length)
        yield


def draw_arrays(q, density, dtype=np.float64):
    """x, dy, the weights as a Sparse, and the geometry. The arrays cannot be written to."""
    rng, g = q.rng(), blocked.Geometry.of(q.H, q.W, q.k, q.s, q.p)
    x, dy = (rng.standard_normal(shape).astype(dtype)
             for shape in (q.x_shape, (q.N, q.F, *g.out)))
    theta = rng.standard_normal(q.w_shape).astype(dtype)
    for array in (x, dy):
        array.setflags(write=False)
    return x, dy, Sparse.random(theta, round(density * theta.size), rng), g


def by_sparse_conv(x, dy, W, g):
    conv = sparse_conv.SparseConv(W.index, W.shape, g)
    return [conv.forward(x, W.value)[0], *conv.backward(x, dy, W.value)[:2]]


def by_blocked(x, dy, W, g):
    dx, dw = blocked.backward(x, dy, W.theta(), g)
    return [blocked.forward(x, W.theta(), g), dx, dw.reshape(-1)[W.index]]


@given(windows(images=(1, 9), size=12), densities, cuts)
def test_it_is_the_convolution_of_blocked(q, density, how):
    arrays = draw_arrays(q, density)
    with cut(*how):
        found = by_sparse_conv(*arrays)
    for a, b in zip(found, by_blocked(*arrays), strict=True):
        np.testing.assert_allclose(a, b, **CLOSE)


@given(windows(images=(1, 20)), densities)
def test_float32_keeps_its_type(q, density):
    arrays = draw_arrays(q, density, np.float32)
    for a, b in zip(by_sparse_conv(*arrays), by_blocked(*arrays), strict=True):
        assert a.dtype == np.float32
        np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-4)


@given(windows(images=(1, 20)), densities, st.sampled_from([1, 20, 1024]))
def test_threads_do_not_change_one_bit(q, density, length):
    arrays = draw_arrays(q, density, np.float32)
    results = []
    for count in (1, 2, 3):
        with cut(8, length), all_at_work(count):
            results.append([a.tobytes() for a in by_sparse_conv(*arrays)])
    assert results[0] == results[1] == results[2]


@given(windows(), st.sets(st.integers(0, 3)), st.sets(st.integers(0, 3)))
def test_channels_without_weights(q, outputs, inputs):
    x, dy, W, g = draw_arrays(q, 1.0)
    theta = W.theta()
    theta[[f for f in outputs if f < q.F]] = 0
    theta[:, [c for c in inputs if c < q.C]] = 0
    W = Sparse.of(theta, np.flatnonzero(theta))
    y, dx, _ = found = by_sparse_conv(x, dy, W, g)
    for a, b in zip(found, by_blocked(x, dy, W, g), strict=True):
        np.testing.assert_allclose(a, b, **CLOSE)
    assert not y[:, [f for f in outputs if f < q.F]].any()
    assert not dx[:, [c for c in inputs if c < q.C]].any()


@given(windows(images=(2, 6)), densities, cuts, st.sampled_from([np.nan, np.inf]),
       st.integers(0, 5))
def test_a_bad_image_does_not_leak_into_others(q, density, how, bad, which):
    x, dy, W, g = draw_arrays(q, density)
    which %= q.N
    others = np.arange(q.N) != which
    bad_x, bad_dy = x.copy(), dy.copy()
    bad_x[which] = bad_dy[which] = bad
    with cut(*how):
        (y, dx, _), (bad_y, bad_dx, _) = by_sparse_conv(x, dy, W, g), \
            by_sparse_conv(bad_x, bad_dy, W, g)
    np.testing.assert_array_equal(bad_y[others], y[others])
    np.testing.assert_array_equal(bad_dx[others], dx[others])


@given(windows(images=(2, 6)), st.sampled_from([np.nan, np.inf]))
def test_what_went_wrong_stays_visible(q, bad):
    """Where all weights are there, one bad pixel is seen wherever blocked shows it."""
    x, dy, W, g = draw_arrays(q, 1.0)
    x = x.copy()
    x[0, 0, q.H // 2, q.W // 2] = bad
    with np.errstate(invalid="ignore"):
        seen = ~np.isfinite(by_blocked(x, dy, W, g)[0])
    assert not np.isfinite(by_sparse_conv(x, dy, W, g)[0][seen]).any()


@pytest.mark.parametrize("size", [1, 5, 9, 33])
@pytest.mark.parametrize(("k", "s", "p"), [(3, 1, 1), (3, 2, 1), (1, 2, 0), (2, 3, 1)])
def test_bad_images_do_not_leak_into_the_next_chunks(size, k, s, p, rng):
    """Whose planes lie in the same memory, on one thread."""
    g, W = blocked.Geometry.of(size, size, k, s, p), Sparse.random(
        rng.standard_normal((4, 3, k, k)), 6 * k * k, rng)
    conv, x = sparse_conv.SparseConv(W.index, W.shape, g), rng.standard_normal((37, 3, size, size))
    y, _ = conv.forward(x, W.value)
    dy = rng.standard_normal(y.shape)
    dx = conv.backward(x, dy, W.value)[0]
    assert np.isfinite(y).all() and np.isfinite(dx).all()
    bad, good = [0, 5, 11], np.delete(np.arange(37), [0, 5, 11])
    x[bad], dy[bad] = np.nan, np.inf
    with np.errstate(invalid="ignore"):
        np.testing.assert_array_equal(conv.forward(x, W.value)[0][good], y[good])
        np.testing.assert_array_equal(conv.backward(x, dy, W.value)[0][good], dx[good])


@given(windows(), densities)
def test_memory_order_does_not_matter(q, density):
    x, dy, W, g = draw_arrays(q, density)
    expected = by_sparse_conv(x, dy, W, g)
    for order in (np.asfortranarray, lambda a: np.repeat(a, 2, axis=-1)[..., ::2]):
        for a, b in zip(by_sparse_conv(order(x), order(dy), W, g), expected, strict=True):
            np.testing.assert_array_equal(a, b)


@pytest.mark.parametrize(("density", "fast"), [(0, True), (0.3, True), (0.5, False), (1, False)])
def test_auto_takes_what_is_faster(density, fast):
    W = Sparse.random(np.ones((8, 8, 3, 3)), round(density * 576), np.random.default_rng(0))
    assert sparse_conv.pays(W, blocked.Geometry.of(16, 16, 3, 1, 1)) == fast
    assert sparse_conv.pays(W, blocked.Geometry.of(8, 8, 3, 1, 1)) == (density < 0.25)
    assert sparse_conv.pays(W, blocked.Geometry.of(16, 16, 1, 2, 0)) == (density < 0.2)
    assert sparse_conv.pays(W, blocked.Geometry.of(1, 100, 1, 1, 0)) == (density < 0.1)
    assert sparse_conv.pays(W, blocked.Geometry.of(1, 10, 1, 1, 0)) == (density < 0.05)


@pytest.mark.parametrize(("shape", "fast"), [((16, 3, 3, 3), True), ((16, 8, 3, 3), False),
                                             ((16, 3, 5, 5), False), ((16, 3), False)])
def test_auto_takes_the_loops_for_dense_kernels_of_few_channels(shape, fast):
    geometry = blocked.Geometry.of(16, 16, *((shape[2], 1, 1) if len(shape) == 4 else (1, 1, 0)))
    assert sparse_conv.pays(Dense(np.ones(shape)), geometry) == fast

    class Doubled(Dense):
        """Its θ is not what is stored."""

    assert not sparse_conv.pays(Doubled(np.ones(shape)), geometry)


# In a network


def network(rng, dtype=np.float64):
    return Sequential(
        conv1=Conv2d(3, 4, 3, pad=1, rng=rng, dtype=dtype, sparsifiable=False),
        bn1=BatchNorm(4, dtype=dtype), relu1=ReLU(),
        conv2=Conv2d(4, 6, 3, stride=2, rng=rng, dtype=dtype),
        bn2=BatchNorm(6, dtype=dtype), relu2=ReLU(), flat=Flatten(),
        fc=Linear(54, 5, rng=rng, dtype=dtype))


@pytest.mark.parametrize("engine", ["sparse", "auto"])
def test_a_network_computes_the_same_with_every_engine(engine, rng):
    results = {}
    for name in ("blocked", engine):
        rng = np.random.default_rng(3)
        model = use(network(rng), name)
        make_sparse(model, 0.8, "uniform", rng)
        x = rng.standard_normal((5, 3, 8, 8))
        y = model.forward(x, train=True)
        dx = model.backward(np.cos(y))
        results[name] = [y, dx, *(p.grad for p in model.params())]
        convs = [getattr(unit, "conv", unit) for unit in model.units]  # of a NormConv
        used = {key for key, layer in model.layers.items() for unit in convs
                if getattr(unit, "layer", None) is layer and getattr(unit, "sparse", None)}
        assert used == {"blocked": set(), "auto": {"conv1", "conv2"},
                        "sparse": {"conv1", "conv2", "fc"}}[name]
    for a, b in zip(results["blocked"], results[engine], strict=True):
        np.testing.assert_allclose(a, b, **CLOSE)


def test_indices_are_rebuilt_only_when_the_structure_changes(rng):
    model = use(Sequential(layer=Conv2d(3, 4, 3, rng=rng)), "sparse")
    (W,), (unit,) = make_sparse(model, 0.5, "uniform", rng), model.units
    sgd, x = SGD([W]), rng.standard_normal((2, 3, 6, 6)).astype(np.float32)
    sgd.lr, seen = 0.1, []
    for t in range(4):
        y = model.forward(x, train=True)
        np.testing.assert_allclose(y, blocked.forward(x, W.theta(), blocked.Geometry.of(
            6, 6, 3, 1, 0)), rtol=1e-4, atol=1e-4)
        model.backward(y)
        sgd.step()
        seen.append(unit.sparse)
        if t == 1:
            gone = W.index[:3]
            W.prune(np.arange(len(W.index)) < 3)
            W.grow([s for s in range(W.size) if s not in W.index and s not in gone][:3])
    assert seen[0] is seen[1] is not seen[2] is seen[3]
    model.forward(x[:, :, :5])  # other images
    assert unit.sparse is not seen[3]


def test_methods_that_need_the_dense_gradient_stay_with_blocks(rng):
    model = use(Sequential(layer=Conv2d(3, 4, 3, rng=rng)), "sparse")
    W, = make_sparse(model, 0.5, "uniform", rng)
    W.keep_dense_grad = True
    model.backward(model.forward(np.ones((1, 3, 6, 6), np.float32), train=True))
    assert W.dense_grad.shape == W.shape
    layer = Conv2d(3, 4, 3, rng=rng)
    dense = use(Sequential(layer=layer), "sparse")
    dense.backward(dense.forward(np.ones((1, 3, 6, 6), np.float32), train=True))
    assert layer.weight.grad.shape == layer.weight.shape


@pytest.mark.slow
@pytest.mark.parametrize("method", ["static", "dsr", "set", "deepr"])
def test_nothing_as_large_as_a_dense_weight_is_allocated(method, rng):
    """Everything that a step allocates together, reallocation and new indices included, is less
    than half of one tensor of dense weights; with blocks more than all. (The compiled loops have
    all their arrays from outside, where they are watched.)"""
    model = Sequential(conv=Conv2d(512, 512, 3, pad=1, rng=rng), flat=Flatten(),
                       fc=Linear(2048, 1024, rng=rng))
    x = rng.standard_normal((2, 512, 2, 2)).astype(np.float32)
    dense = 4 * min(layer.weight.size for layer in model.sparsifiable_layers().values())
    config = Config(method=method, sparsity=0.99)
    method = config.build_method(steps_per_epoch=50)
    method.check = False
    method.setup(model, rng)
    sgd, peaks = SGD(model.params()), {}
    sgd.lr, moves = 0.01, next((t for t in range(1, 400) if method.due(t)), 1)
    for engine in ("blocked", "sparse"):
        use(model, engine)
        model.backward(model.forward(x, train=True))  # compiles, which takes memory of its own
        for t in (0, moves):
            tracemalloc.start()
            y = model.forward(x, train=True)
            model.backward(y)
            method.step(t, sgd)
            model.forward(x)  # with the new structure
            peak = tracemalloc.get_traced_memory()[1]
            peaks[engine] = max(peak, peaks.get(engine, 0))
            tracemalloc.stop()
    assert peaks["blocked"] > dense > 2 * peaks["sparse"], (peaks, dense)
