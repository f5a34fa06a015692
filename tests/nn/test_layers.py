"""minidsr.nn.layers: gradients by differences, results against loops, and what all layers keep."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.special import log_softmax

from minidsr.methods.base import make_sparse
from minidsr.nn.layers import (
    BatchNorm,
    Conv2d,
    Flatten,
    GlobalAvgPool,
    Linear,
    MaxPool2d,
    ReLU,
    Residual,
    Sequential,
    softmax_cross_entropy,
)
from minidsr.nn.models import small_cnn, wide_resnet
from minidsr.nn.sgd import SGD
from minidsr.parameters import Sparse
from minidsr.proof import naive
from minidsr.proof.cases import seeds, spread, windows
from minidsr.proof.gradcheck import check_gradient, check_layer, check_model

EXACT = {"rtol": 1e-12, "atol": 1e-12}
IMAGES, ROWS = (3, 4, 6, 5), (5, 4)  # shapes of the input: (N, C, H, W) and (N, C)


def residual(dtype, rng, *, shortcut):
    c_out = 3 if shortcut else 4
    return Residual(
        before=Sequential(bn1=BatchNorm(4, dtype=dtype), relu1=ReLU()),
        body=Sequential(conv1=Conv2d(4, c_out, 3, pad=1, rng=rng, dtype=dtype)),
        shortcut=Conv2d(4, c_out, 1, rng=rng, dtype=dtype) if shortcut else None)


# Every layer: how to make one for 4 channels, and the shape of its input.
LAYERS = {
    "Conv2d": (lambda d, rng: Conv2d(4, 3, 3, stride=2, pad=1, rng=rng, dtype=d), IMAGES),
    "Linear": (lambda d, rng: Linear(4, 3, rng=rng, dtype=d), ROWS),
    "Linear without bias": (lambda d, rng: Linear(4, 3, bias=False, rng=rng, dtype=d), ROWS),
    "BatchNorm": (lambda d, rng: BatchNorm(4, dtype=d), IMAGES),
    "BatchNorm of rows": (lambda d, rng: BatchNorm(4, dtype=d), ROWS),
    "ReLU": (lambda d, rng: ReLU(), IMAGES),
    "MaxPool2d": (lambda d, rng: MaxPool2d(2), IMAGES),
    "MaxPool2d with pad": (lambda d, rng: MaxPool2d(3, stride=2, pad=1), IMAGES),
    "GlobalAvgPool": (lambda d, rng: GlobalAvgPool(), IMAGES),
    "Flatten": (lambda d, rng: Flatten(), IMAGES),
    "Sequential": (lambda d, rng: Sequential(
        conv=Conv2d(4, 3, 3, rng=rng, dtype=d), bn=BatchNorm(3, dtype=d), relu=ReLU(),
        pool=GlobalAvgPool(), fc=Linear(3, 2, rng=rng, dtype=d)), IMAGES),
    "Residual": (lambda d, rng: residual(d, rng, shortcut=False), IMAGES),
    "Residual with shortcut": (lambda d, rng: residual(d, rng, shortcut=True), IMAGES),
}
every_layer = pytest.mark.parametrize("name", LAYERS)


def make(name, rng, dtype=np.float64):
    """The layer with parameters that differ from channel to channel, and an input, read-only."""
    factory, shape = LAYERS[name]
    layer = factory(dtype, rng)
    for p in layer.params():
        p.value += (0.3 * rng.standard_normal(p.value.shape)).astype(dtype)
    x = spread(shape, rng).astype(dtype)
    x.setflags(write=False)
    return layer, x


def bits(state):
    return {key: (array.dtype, array.shape, array.tobytes()) for key, array in state.items()}


def copy(state):
    return {key: array.copy() for key, array in state.items()}


# Gradients


@every_layer
@given(seed=seeds)
def test_gradients(name, seed):
    rng = np.random.default_rng(seed)
    check_layer(*make(name, rng), rng)


@given(windows(size=6), st.booleans())
def test_gradients_of_conv2d(q, sparse):
    rng = q.rng()
    layer = Conv2d(q.C, q.F, q.k, stride=q.s, pad=q.p, rng=rng, dtype=np.float64)
    if sparse:
        make_sparse(Sequential(layer=layer), 0.6, "uniform", rng)
    check_layer(layer, rng.standard_normal(q.x_shape), rng, samples=3)


@given(N=st.integers(1, 5), C=st.integers(1, 6), F=st.integers(1, 6), bias=st.booleans(),
       sparse=st.booleans(), seed=seeds)
def test_linear_and_its_gradients(N, C, F, bias, sparse, seed):
    rng = np.random.default_rng(seed)
    layer, x = Linear(C, F, bias=bias, rng=rng, dtype=np.float64), rng.standard_normal((N, C))
    if bias:
        layer.bias.value += rng.standard_normal(F)
    if sparse:
        make_sparse(Sequential(layer=layer), 0.5, "uniform", rng)
    w, b = layer.weight.theta(), layer.bias.value if bias else np.zeros(F)
    expected = [[sum(x[n, c] * w[f, c] for c in range(C)) + b[f] for f in range(F)]
                for n in range(N)]
    np.testing.assert_allclose(layer.forward(x), expected, **EXACT)
    assert set(layer.named_params()) == ({".weight", ".bias"} if bias else {".weight"})
    check_layer(layer, x, rng)


@given(q=windows(size=5), rows=st.booleans())
def test_gradients_of_batch_norm(q, rows):
    rng, layer = q.rng(), BatchNorm(q.C, dtype=np.float64)
    layer.weight.value += rng.standard_normal(q.C)
    shape = (q.N + 2, q.C) if rows else (q.N + 1, *q.x_shape[1:])
    check_layer(layer, 2 * rng.standard_normal(shape) + 3, rng, samples=3)


@given(windows(kernels=4), st.sampled_from([1, 2, 3]))
def test_gradients_of_max_pool(q, stride):
    pad = min(q.p, (q.k - 1) // 2)
    if q.k > min(q.H, q.W) + 2 * pad:
        return
    rng = q.rng()
    layer = MaxPool2d(q.k, stride=stride, pad=pad)
    check_layer(layer, spread(q.x_shape, rng), rng)


def small_resnet(rng, dtype=np.float64):
    return wide_resnet(10, 0.25, rng=rng, classes=5, dtype=dtype)


@pytest.mark.slow
@pytest.mark.parametrize("sparse", [False, True])
@pytest.mark.parametrize("build", [small_resnet, small_cnn])
def test_gradients_of_whole_networks(build, sparse, rng):
    model = build(rng=rng, dtype=np.float64)
    if sparse:
        tensors = make_sparse(model, 0.5, "uniform", rng)
        assert len(tensors) >= 4
        assert all(isinstance(W, Sparse) for W in tensors)
    x, labels = rng.standard_normal((4, 3, 8, 8)), rng.integers(0, 5, 4)
    check_model(model, x, labels, rng)


# Results


@given(windows())
def test_conv2d_is_the_naive_convolution(q):
    rng = q.rng()
    layer = Conv2d(q.C, q.F, q.k, stride=q.s, pad=q.p, rng=rng, dtype=np.float64)
    x = rng.standard_normal(q.x_shape)
    expected = naive.conv2d(x, layer.weight.theta(), q.s, q.p)
    np.testing.assert_allclose(layer.forward(x), expected, **EXACT)


@given(windows(kernels=4), st.booleans())
def test_max_pool_is_the_naive_one(q, ties):
    pad = min(q.p, q.k - 1)  # at least one pixel of the image in each window
    if q.k > min(q.H, q.W) + 2 * pad:
        return
    rng = q.rng()
    x = rng.integers(-2, 0, q.x_shape) * 1.0 if ties else spread(q.x_shape, rng)
    layer = MaxPool2d(q.k, stride=q.s, pad=pad)
    y = layer.forward(x, train=True)
    np.testing.assert_array_equal(y, naive.max_pool2d(x, q.k, q.s, pad))
    dy = rng.standard_normal(y.shape)
    assert layer.backward(dy).sum() == pytest.approx(dy.sum(), abs=1e-9)  # one winner, also of ties


def test_max_pool_strides_by_its_kernel():
    assert MaxPool2d(2).forward(np.arange(36.0).reshape(1, 1, 6, 6)).tolist() == [
        [[[7, 9, 11], [19, 21, 23], [31, 33, 35]]]]


@given(windows())
def test_global_avg_pool_is_the_naive_one(q):
    x = q.rng().standard_normal(q.x_shape)
    np.testing.assert_allclose(GlobalAvgPool().forward(x), naive.global_avg_pool(x), **EXACT)


def test_relu():
    layer = ReLU()
    assert layer.forward(np.array([[-1.0, 0, 2]]), train=True).tolist() == [[0, 0, 2]]
    assert layer.backward(np.array([[5.0, 6, 7]])).tolist() == [[0, 0, 7]]
    assert np.isnan(layer.forward(np.array([[np.nan]]))).all()  # what went wrong stays visible


def test_flatten():
    x = np.arange(24.0).reshape(2, 3, 2, 2)
    layer = Flatten()
    y = layer.forward(x, train=True)
    assert y.tolist() == [list(range(12)), list(range(12, 24))]
    assert layer.backward(y).tolist() == x.tolist()


@given(q=windows(images=(1, 12)), mean=st.floats(-10, 10))
def test_batch_norm_is_the_naive_one(q, mean):
    rng, layer = q.rng(), BatchNorm(q.C, dtype=np.float64)
    x = 3 * rng.standard_normal(q.x_shape) + mean
    layer.weight.value[:], layer.bias.value[:] = rng.standard_normal((2, q.C))
    expected, *_ = naive.batch_norm(x, layer.weight.value, layer.bias.value, layer.eps)
    np.testing.assert_allclose(layer.forward(x, train=True), expected, rtol=1e-9, atol=1e-9)


@given(q=windows(images=(1, 12)))
def test_running_statistics(q):
    """They move a tenth of the way to the batch's; the variance is the unbiased one."""
    rng, layer = q.rng(), BatchNorm(q.C, dtype=np.float64)
    mean, var, count = np.zeros(q.C), np.ones(q.C), q.N * q.H * q.W
    for _ in range(3):
        x = rng.standard_normal(q.x_shape) * 2 + 1
        layer.forward(x, train=True)
        _, batch_mean, batch_var = naive.batch_norm(x, np.ones(q.C), np.zeros(q.C))
        mean = 0.9 * mean + 0.1 * batch_mean
        var = 0.9 * var + 0.1 * batch_var * (count / (count - 1) if count > 1 else 1)
    np.testing.assert_allclose(layer.running_mean, mean, **EXACT)
    np.testing.assert_allclose(layer.running_var, var, **EXACT)


def test_batch_norm_evaluates_with_running_statistics(rng):
    layer = BatchNorm(3, dtype=np.float64)
    layer.weight.value[:], layer.bias.value[:] = [1, 2, 3], [4, 5, 6]
    layer.running_mean, layer.running_var = np.array([1.0, 2, 3]), np.array([1.0, 4, 9])
    before = bits(layer.state())
    x = rng.standard_normal((2, 3, 4, 4)) * 5
    expected = [4 + 1 * (x[:, 0] - 1) / (1 + 1e-5) ** 0.5,
                5 + 2 * (x[:, 1] - 2) / (4 + 1e-5) ** 0.5,
                6 + 3 * (x[:, 2] - 3) / (9 + 1e-5) ** 0.5]
    np.testing.assert_allclose(layer.forward(x), np.stack(expected, 1), **EXACT)
    np.testing.assert_allclose(layer.forward(x[:1]), np.stack(expected, 1)[:1], **EXACT)
    assert bits(layer.state()) == before


def test_rows_are_images_of_one_pixel(rng):
    x, dy = rng.standard_normal((2, 7, 4))
    layers = BatchNorm(4, dtype=np.float64), BatchNorm(4, dtype=np.float64)
    y, y4 = layers[0].forward(x, True), layers[1].forward(x[:, :, None, None], True)
    np.testing.assert_allclose(y, y4[:, :, 0, 0], **EXACT)
    np.testing.assert_allclose(y.mean(0), 0, atol=1e-12)
    dx, dx4 = layers[0].backward(dy), layers[1].backward(dy[:, :, None, None])
    np.testing.assert_allclose(dx, dx4[:, :, 0, 0], **EXACT)
    assert layers[0].state().keys() == layers[1].state().keys()


@pytest.mark.parametrize("shape", [(64, 2, 16, 16), (16384, 2)])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_a_large_mean_leaves_the_variance_alone(shape, dtype, rng):
    """mean(x²) - mean(x)² would be wrong by 600 % here, in float32."""
    x = (1e4 + 0.1 * rng.standard_normal(shape)).astype(dtype)
    layer = BatchNorm(2, dtype=dtype)
    layer.momentum = 1.0
    layer.running_mean[:], layer.running_var[:] = 1e4, 0  # near the new ones: rounding is small
    y = layer.forward(x, train=True)
    axes = (0, 2, 3)[:x.ndim - 1]
    exact = x.astype(np.float64)
    np.testing.assert_allclose(layer.running_var, exact.var(axes, ddof=1), rtol=2e-3)
    np.testing.assert_allclose(layer.running_mean, exact.mean(axes), atol=2e-3)
    assert abs(y.astype(np.float64).std(axes) - 1).max() < 0.02


def test_residual_adds(rng):
    x = rng.standard_normal(IMAGES)
    for shortcut in (False, True):
        layer = residual(np.float64, rng, shortcut=shortcut)
        h = layer.before.forward(x)
        expected = layer.body.forward(h) + (layer.shortcut.forward(h) if shortcut else x)
        np.testing.assert_array_equal(layer.forward(x), expected)


def test_names_are_paths_in_the_order_of_the_forward_pass(rng):
    model = Sequential(first=Conv2d(4, 4, 1, rng=rng, sparsifiable=False),
                       block=residual(np.float32, rng, shortcut=True),
                       pool=GlobalAvgPool(), fc=Linear(3, 2, rng=rng))
    assert [name for name, _ in model.walk()] == [
        "first", "block.bn1", "block.relu1", "block.conv1", "block.shortcut", "pool", "fc"]
    assert list(model.named_params()) == [
        "first.weight", "block.bn1.weight", "block.bn1.bias", "block.conv1.weight",
        "block.shortcut.weight", "fc.weight", "fc.bias"]
    assert [id(p) for p in model.params()] == [id(p) for p in model.named_params().values()]
    assert list(model.sparsifiable_layers()) == ["block.conv1", "block.shortcut", "fc"]
    assert model.free_parameters() == 16 + 4 + 4 + 108 + 12 + 6 + 2
    assert {"block.bn1.running_mean", "fc.bias.velocity"} <= model.state().keys()


def test_a_sequence_is_its_layers_one_after_the_other(rng):
    model, x = make("Sequential", rng)
    expected = x
    for layer in model.layers.values():
        expected = layer.forward(expected)
    np.testing.assert_array_equal(model.forward(x), expected)


@given(N=st.integers(1, 5), classes=st.integers(1, 6), size=st.sampled_from([1, 100, 1e4, 1e30]),
       dtype=st.sampled_from([np.float32, np.float64]), seed=seeds)
def test_softmax_cross_entropy(N, classes, size, dtype, seed):
    rng = np.random.default_rng(seed)
    logits = (size * rng.standard_normal((N, classes))).astype(dtype)
    labels = rng.integers(0, classes, N).astype(np.uint8)
    logits.setflags(write=False)
    loss, dlogits = softmax_cross_entropy(logits, labels)
    log_p = log_softmax(logits.astype(np.float64), 1)
    tiny = 1e-6 if dtype == np.float32 else 1e-13
    assert loss.dtype == np.float64
    assert loss.shape == ()
    assert np.isfinite(loss)
    assert loss == pytest.approx(-log_p[np.arange(N), labels].mean(), rel=10 * tiny, abs=10 * tiny)
    expected = (np.exp(log_p) - (labels[:, None] == np.arange(classes))) / N
    assert dlogits.dtype == dtype
    np.testing.assert_allclose(dlogits, expected, rtol=0, atol=tiny * max(10, min(size, 1e3)))
    assert abs(dlogits.sum(1)).max() < 1e-5


def test_gradient_of_softmax_cross_entropy(rng):
    logits, labels = rng.standard_normal((4, 5)), np.array([0, 4, 2, 2])
    _, dlogits = softmax_cross_entropy(logits, labels)
    check_gradient(lambda: softmax_cross_entropy(logits, labels)[0], logits, dlogits, rng, 20,
                   "logits")


def test_equal_logits_cost_log_classes():
    loss, dlogits = softmax_cross_entropy(np.zeros((2, 4), np.float32), np.array([0, 3]))
    assert loss == pytest.approx(np.log(4))
    assert dlogits.tolist() == [[-0.375, 0.125, 0.125, 0.125], [0.125, 0.125, 0.125, -0.375]]


# What all layers keep


@every_layer
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_types_stay(name, dtype, rng):
    layer, x = make(name, rng, dtype)
    sgd = SGD(layer.params(), weight_decay=1e-4, l1=1e-4)
    sgd.lr = 0.1
    for _ in range(2):
        y = layer.forward(x, train=True)
        dx = layer.backward(np.ones_like(y))
        for p in layer.params():
            assert p.grad.dtype == dtype
            assert p.grad.shape == p.value.shape
        sgd.step()
    assert y.dtype == dx.dtype == layer.forward(x).dtype == dtype
    assert dx.shape == x.shape
    assert {key: a.dtype for key, a in layer.state().items()} == dict.fromkeys(layer.state(), dtype)


@every_layer
def test_float32_is_float64_rounded(name, rng):
    results = []
    for dtype in (np.float32, np.float64):
        layer, x = make(name, np.random.default_rng(1), dtype)
        y = layer.forward(x, train=True)
        dy = np.random.default_rng(2).standard_normal(y.shape).astype(dtype)
        results.append([y, layer.backward(dy), *(p.grad for p in layer.params())])
    for single, double in zip(*results, strict=True):
        np.testing.assert_allclose(single, double, rtol=1e-4, atol=1e-4)


@every_layer
def test_inputs_are_not_written_to(name, rng):
    layer, x = make(name, rng)  # x is read-only
    dy = rng.standard_normal(layer.forward(x, train=True).shape)
    dy.setflags(write=False)
    dx = layer.backward(dy)
    again = layer.forward(x, train=True)
    np.testing.assert_array_equal(layer.backward(dy), dx)
    np.testing.assert_array_equal(layer.forward(x, train=True), again)


def with_cache(layer):
    """{does an inner layer hold a cache?} over all of them."""
    return {inner.cache is not None for _, inner in layer.walk()}


@every_layer
def test_backward_takes_the_cache(name, rng):
    layer, x = make(name, rng)
    y = layer.forward(x, train=True)
    assert with_cache(layer) == {True}
    layer.backward(np.ones_like(y))
    assert with_cache(layer) == {False}


@every_layer
def test_evaluation_leaves_no_cache_and_no_trace(name, rng):
    layer, x = make(name, rng)
    before = bits(layer.state())
    layer.forward(x)
    assert with_cache(layer) == {False}
    assert bits(layer.state()) == before
    layer.forward(x, train=True)
    layer.forward(x)
    assert with_cache(layer) == {False}  # nothing old for a backward to take


def trained(build, seed, dtype=np.float32, steps=2):
    """A network with sparse weights after a few steps of training."""
    rng = np.random.default_rng(seed)
    model = build(rng=rng, dtype=dtype)
    make_sparse(model, 0.7, "uniform", rng)
    take_steps(model, rng, steps)
    return model


def take_steps(model, rng, steps):
    sgd = SGD(model.params(), weight_decay=1e-4)
    sgd.lr = 0.1
    for _ in range(steps):
        x = rng.standard_normal((25, 3, 8, 8)).astype(np.float32)
        _, dlogits = softmax_cross_entropy(model.forward(x, train=True), rng.integers(0, 5, 25))
        model.backward(dlogits)
        sgd.step()


def test_state_makes_the_trip_bit_for_bit():
    model, other = trained(small_resnet, 1), trained(small_resnet, 2)
    state = copy(model.state())
    assert bits(other.state()) != bits(state)
    other.load(state)
    assert bits(other.state()) == bits(state)
    for net in (model, other):
        take_steps(net, np.random.default_rng(3), 1)
    assert bits(other.state()) == bits(model.state()) != bits(state)
    other.load(state)  # training has not changed what was loaded
    assert bits(other.state()) == bits(state)


def spoil(state, key, how):
    """A copy of the state with one array gone, of another shape, or of another type."""
    state = copy(state)
    array = state.pop(key)
    if how == "shape":
        state[key] = np.concatenate([array, array])
    if how == "type":
        wrong = {"f": np.float16, "i": np.int64}[array.dtype.kind]
        state[key] = array.astype(wrong)
    return state


KEYS = ["conv1.weight.value", "group1.block0.conv1.weight.index",
        "group3.block0.conv2.weight.value", "group2.block0.conv1.weight.velocity",
        "group2.block0.bn1.weight.velocity", "bn.running_mean", "bn.running_var", "fc.bias.value"]


@pytest.mark.parametrize("how", ["missing", "shape", "type"])
@pytest.mark.parametrize("key", KEYS)
def test_a_bad_state_raises_and_names_the_tensor(key, how):
    model = trained(small_resnet, 1, steps=0)
    tensor = key if "running" in key else key.rpartition(".")[0]
    with pytest.raises(ValueError, match=tensor):
        model.load(spoil(model.state(), key, how))


def test_a_left_over_tensor_raises_and_is_named():
    model = trained(small_resnet, 1, steps=0)
    with pytest.raises(ValueError, match="group9.weight.value"):
        model.load(copy(model.state()) | {"group9.weight.value": np.zeros(3, np.float32)})


@pytest.mark.parametrize("bad", [[1, 0], [0, 0], [-1, 0], [0, 10**6]])
def test_a_bad_index_in_a_state_raises(bad):
    model = trained(small_resnet, 1, steps=0)
    state, key = copy(model.state()), "group1.block0.conv1.weight"
    state[f"{key}.index"] = np.array(bad, np.int32)
    for name in ("value", "velocity"):
        state[f"{key}.{name}"] = np.zeros(2, np.float32)
    with pytest.raises(ValueError, match=f"{key}.*sorted, unique"):
        model.load(state)


@pytest.mark.parametrize("build", [small_resnet, small_cnn])
def test_outputs_are_those_of_the_forward_pass(build, rng):
    """One for each layer, by the names of walk(), and one for each sum of a residual block."""
    model = build(rng=rng, dtype=np.float64)
    x = rng.standard_normal((4, 3, 8, 8))
    found = dict(model.outputs(x))
    sums = found.keys() - {name for name, _ in model.walk()}
    assert found.keys() >= {name for name, _ in model.walk()}
    assert all(name.endswith("block0") for name in sums)
    *_, last = found.values()
    np.testing.assert_array_equal(last, model.forward(x, train=True))
    conv = found["conv1"]
    np.testing.assert_array_equal(conv, model.layers["conv1"].forward(x))
