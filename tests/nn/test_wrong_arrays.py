"""What layers, losses and SGD cannot take: one line that says what can be taken, the same of every
engine, before anything has changed; what looks unusual and is right computes the same bits."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from refusals import everything, refused

from minidsr.fast.engine import use
from minidsr.nn.base import Layer
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
from minidsr.nn.sgd import SGD
from minidsr.parameters import Dense, Sparse

ENGINES = ("plain", "blocked", "sparse", "auto")
X, ROWS = (2, 3, 6, 6), (2, 3)


def network(rng):
    """A layer of each kind, some of them sparse, for x of shape X."""
    model = Sequential(
        conv1=Conv2d(3, 4, 3, pad=1, rng=rng), bn1=BatchNorm(4), relu1=ReLU(),
        conv2=Conv2d(4, 4, 3, pad=1, rng=rng),
        block=Residual(before=Sequential(bn2=BatchNorm(4), relu2=ReLU()),
                       body=Sequential(conv3=Conv2d(4, 4, 3, pad=1, rng=rng))),
        pool=MaxPool2d(2), flat=Flatten(), fc=Linear(36, 5, rng=rng))
    for name in ("conv2", "fc"):
        layer = model.layers[name]
        layer.weight = Sparse.random(layer.weight.theta(), layer.weight.size // 3, rng)
    return model


LAYERS = {  # how to make one, and the shape of its x
    "conv": (lambda rng: Conv2d(3, 4, 3, rng=rng), X),
    "linear": (lambda rng: Linear(3, 4, rng=rng), ROWS),
    "norm": (lambda rng: BatchNorm(3), X),
    "norm of rows": (lambda rng: BatchNorm(3), ROWS),
    "relu": (lambda rng: ReLU(), X),
    "pool": (lambda rng: MaxPool2d(2), X),
    "average": (lambda rng: GlobalAvgPool(), X),
    "flatten": (lambda rng: Flatten(), X),
    "network": (network, X),
}
cases = st.sampled_from([(name, "plain") for name in LAYERS] + [
    ("network", engine) for engine in ENGINES[1:]])


def make(case):
    """The layer after a forward in training, so that there is something to change."""
    name, engine = case
    if engine in ("sparse", "auto"):
        pytest.importorskip("numba", reason="Numba is not installed")
    rng = np.random.default_rng(0)
    factory, shape = LAYERS[name]
    layer = factory(rng)
    if isinstance(layer, Sequential):
        use(layer, engine)
    x = rng.standard_normal(shape).astype(np.float32)
    return layer, x, layer.forward(x, train=True)


# each makes of a right array a wrong one, of whatever number of axes
WRONG = {
    "bool": lambda x: x > 0,
    "uint8": lambda x: x.astype(np.uint8),
    "int64": lambda x: x.astype(np.int64),
    "float16": lambda x: x.astype(np.float16),
    "complex": lambda x: x.astype(complex),
    "object": lambda x: x.astype(object),
    "another byte order": lambda x: x.astype(x.dtype.newbyteorder()),
    "list": lambda x: x.tolist(),
    "nothing": lambda x: None,
    "text": lambda x: "x" * 1000,
    "number": lambda x: 3.0,
    "no axis": lambda x: x.reshape(-1)[0].reshape(()),
}
WRONG_OF_A_LAYER = WRONG | {  # of those with a weight, or with a window
    "float64": lambda x: x.astype(np.float64),
    "channels": lambda x: x[:, :2],
    "more channels": lambda x: np.concatenate([x, x], axis=1),
    "an axis more": lambda x: x[None],
    "an axis less": lambda x: x[0],
    "no pixel": lambda x: x[..., :0],
}
WRONG_DY = WRONG | {
    "float64": lambda x: x.astype(np.float64),
    "images": lambda x: x[:1],
    "channels": lambda x: x[:, :1],
    "an axis more": lambda x: x[None],
    "transposed": lambda x: np.concatenate([x, x]).T,
}


@given(cases, st.sampled_from(sorted(WRONG)), st.booleans())
def test_a_wrong_x(case, wrong, train):
    layer, x, _ = make(case)
    refused(lambda: layer.forward(WRONG[wrong](x), train=train), layer, match="x must be")


@given(st.sampled_from([("conv", "plain"), ("linear", "plain"), ("norm", "plain"),
                        *(("network", engine) for engine in ENGINES)]),
       st.sampled_from(sorted(WRONG_OF_A_LAYER)), st.booleans())
def test_an_x_that_does_not_fit_the_weight(case, wrong, train):
    layer, x, _ = make(case)
    if wrong == "an axis more" and case[0] == "norm":
        return  # batch norm takes (N, C, ...): this one has another number of channels only
    refused(lambda: layer.forward(WRONG_OF_A_LAYER[wrong](x), train=train), layer,
            match="x must")


@given(cases, st.sampled_from(sorted(WRONG_DY)))
def test_a_wrong_dy(case, wrong):
    layer, _, y = make(case)
    refused(lambda: layer.backward(WRONG_DY[wrong](y)), layer, match="dy must be")
    layer.backward(y)  # the right one is still expected


@given(cases)
def test_backward_comes_once_after_each_training_forward(case):
    layer, x, y = make(case)
    layer.backward(y)
    refused(lambda: layer.backward(y), layer, match="backward comes once")
    layer.forward(x)
    refused(lambda: layer.backward(y), layer, match="backward comes once")
    fresh = LAYERS[case[0]][0](np.random.default_rng(0))
    refused(lambda: fresh.backward(y), fresh, match="backward comes once")


@pytest.mark.parametrize("wrong", ["bool", "uint8", "float64", "channels", "an axis less"])
def test_all_engines_say_the_same(wrong):
    lines = set()
    for engine in ENGINES:
        layer, x, _ = make(("network", engine))
        lines.add(refused(lambda x=x, layer=layer: layer.forward(WRONG_OF_A_LAYER[wrong](x)),
                          layer))
    line, = lines
    assert line.startswith("conv1: x must be float32 (N, 3, H, W), not ")


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize(("size", "line"), [
    (4, r"fc: x must be float32 \(N, 36\), not float32 \(2, 16\)"),
    (1, "pool: a window of 2 does not fit 1 pixels")])
def test_what_does_not_fit_a_later_layer_has_not_moved_an_earlier_one(engine, size, line):
    layer, x, _ = make(("network", engine))
    refused(lambda: layer.forward(x[:, :, :size, :size], train=True), layer, match=line)


@pytest.mark.parametrize("engine", ENGINES)
def test_no_images_can_be_looked_at_but_not_trained_on(engine):
    layer, x, _ = make(("network", engine))
    refused(lambda: layer.forward(x[:0], train=True), layer, match="number of images")
    assert layer.forward(x[:0]).shape == (0, 5)


def test_what_is_not_known_of_a_layer_is_not_asked_for(rng):
    class Twice(Layer):
        def forward(self, x, train=False):
            return np.concatenate([x, x], axis=1)

    model = Sequential(twice=Twice(), fc=Linear(6, 2, rng=rng))
    assert model.forward(np.ones(ROWS, np.float32)).shape == (2, 2)


def test_a_layer_made_from_another(rng):
    """What is inside of it has shapes of its own."""
    class Doubled(Linear):
        shapes = None

        def forward(self, x, train=False):
            return np.concatenate([super().forward(x, train)] * 2, axis=1)

        def backward(self, dy):
            return super().backward(dy[:, :2] + dy[:, 2:])

    layer = Doubled(3, 2, rng=rng)
    y = layer.forward(np.ones(ROWS, np.float32), train=True)
    assert y.shape == (2, 4)
    refused(lambda: layer.backward(y[:, :2]), layer, match=r"dy must be float32 \(2, 4\)")
    assert layer.backward(y).shape == ROWS


# unusual and right


def fortran(x):
    return np.asfortranarray(x)


def strided(x):
    wide = np.zeros((*x.shape[:-1], 2 * x.shape[-1]), x.dtype)
    wide[..., ::2] = x
    return wide[..., ::2]


def backwards(x):
    return np.ascontiguousarray(x[::-1, ..., ::-1])[::-1, ..., ::-1]


def read_only(x):
    x = x.copy()
    x.setflags(write=False)
    return x


UNUSUAL = (fortran, strided, backwards, read_only)


@given(cases, st.sampled_from(UNUSUAL), st.sampled_from(UNUSUAL))
def test_memory_in_another_order_changes_no_bit(case, of_x, of_dy):
    found = []
    for change_x, change_dy in ((np.copy, np.copy), (of_x, of_dy)):
        layer, x, y = make(case)
        x, dy = change_x(x), change_dy(np.cos(y))
        found.append(everything([layer.forward(x, train=True), layer.backward(dy),
                                 [p.grad for p in layer.params()], layer.state()]))
    assert found[0] == found[1]


@pytest.mark.parametrize("change", UNUSUAL)
def test_sums_are_taken_in_one_order(change, rng):
    """Of many numbers, so that another order would round otherwise."""
    pixels = rng.standard_normal((16, 3, 20, 20)).astype(np.float32)
    rows = rng.standard_normal((40, 70)).astype(np.float32)
    layers = (BatchNorm(3), pixels), (GlobalAvgPool(), pixels), (BatchNorm(70), rows), (
        Linear(70, 30, rng=rng), rows), (Conv2d(3, 4, 3, rng=rng), pixels)
    for layer, x in layers:
        dy = np.cos(layer.forward(x))
        found = [everything([layer.forward(change_x(x), train=True), layer.backward(change_x(dy)),
                             [p.grad for p in layer.params()]]) for change_x in (np.copy, change)]
        assert found[0] == found[1], layer
    labels = rng.integers(0, 70, 40)
    assert everything(softmax_cross_entropy(change(rows), labels)[1]) == everything(
        softmax_cross_entropy(rows, labels)[1])


@given(st.sampled_from(UNUSUAL), st.sampled_from(
    ["u1", "i1", "u2", "i2", "u4", "i4", "u8", "i8", ">i4", ">u2"]), st.booleans())
def test_labels_of_any_whole_type(change, dtype, negative_stride):
    rng = np.random.default_rng(0)
    logits, labels = rng.standard_normal((6, 5)).astype(np.float32), rng.integers(0, 5, 6)
    expected = everything(softmax_cross_entropy(logits, labels)[1])
    labels = labels.astype(dtype)
    labels = labels[::-1].copy()[::-1] if negative_stride else labels
    assert everything(softmax_cross_entropy(change(logits), labels)[1]) == expected


# labels


@pytest.mark.parametrize("labels", [
    np.zeros((3, 1), int), np.zeros(2, int), np.zeros(4, int), np.zeros((), int),
    np.array([0, -1, 0]), np.array([0, 4, 0]), np.array([0, 255, 0], np.uint8),
    np.zeros(3), np.zeros(3, bool), np.array(["a", "b", "c"]), [0, 1, 2], 1, None], ids=str)
def test_wrong_labels(labels, rng):
    logits = rng.standard_normal((3, 4)).astype(np.float32)
    refused(lambda: softmax_cross_entropy(logits, labels), logits, labels, match="labels must be")


@pytest.mark.parametrize("logits", [
    np.zeros(3, np.float32), np.zeros((3, 4, 1)), np.zeros((3, 4), int), [[0.0, 1.0]],
    np.zeros((3, 4), np.float16)], ids=str)
def test_wrong_logits(logits):
    refused(lambda: softmax_cross_entropy(logits, np.zeros(3, int)), match="logits must be")
    refused(lambda: softmax_cross_entropy(np.zeros((0, 4)), np.zeros(0, int)), match="images")


# sizes, and the optimiser

SIZES = st.sampled_from([0, -1, 1.0, 2.5, "3", None, True, np.float32(2), (3,)])


@given(st.sampled_from(["c_in", "c_out", "kernel", "stride", "pad"]), SIZES)
def test_wrong_sizes(name, size):
    rng = np.random.default_rng(0)
    right = {"c_in": 3, "c_out": 4, "kernel": 3, "stride": 1, "pad": 0}
    if (name, size) != ("pad", 0) or size is True:
        refused(lambda: Conv2d(**right | {name: size}, rng=rng), match=f"{name} must be a whole")
    if name in ("c_in", "c_out"):
        refused(lambda: Linear(**{"c_in": 3, "c_out": 4} | {name: size}, rng=rng), match=name)
    if name == "c_in":
        refused(lambda: BatchNorm(size), match="channels must be")
    if name in ("kernel", "stride") and not (name == "stride" and size is None):
        refused(lambda: MaxPool2d(**{"kernel": 2} | {name: size}), match=f"{name} must be")


def test_a_window_of_padding_only():
    """It would be minus infinity."""
    refused(lambda: MaxPool2d(2, pad=2), match=r"pad must be a whole number, in 0\.\.1, not 2")
    refused(lambda: MaxPool2d(256), match="kernel must be")  # 256 taps a side are over 16 bits


@pytest.mark.parametrize("rng", [0, None, np.random.RandomState(0), np.random], ids=str)
def test_a_wrong_generator(rng):
    for layer in (lambda: Conv2d(1, 1, 1, rng=rng), lambda: Linear(1, 1, rng=rng)):
        refused(layer, match="numpy.random.Generator")


def test_layers_are_of_float32_or_float64(rng):
    for dtype in (np.float16, int, bool, complex):
        for layer in (lambda d: Conv2d(1, 1, 1, rng=rng, dtype=d), lambda d: BatchNorm(1, dtype=d)):
            with pytest.raises(ValueError, match="value must be float32 or float64"):
                layer(dtype)


def test_names_of_a_block_differ():
    refused(lambda: Residual(before=Sequential(a=ReLU()), body=Sequential(a=ReLU())),
            match="names must differ: a, a")


def test_sgd_needs_a_rate_and_gradients():
    params = [Dense(np.ones(3)), Dense(np.ones(2))]
    sgd = SGD(params)
    params[0].pull(np.ones(3))
    refused(sgd.step, sgd, params, match="lr is not set")
    sgd.lr = 0.1
    refused(sgd.step, sgd, params, match=r"parameter \(2,\) has no gradient")  # nor moved the first
    for grad in (np.ones(3), np.ones(2, np.float32), [1.0, 1.0], np.ones(2, int)):
        params[1].grad = grad
        refused(sgd.step, sgd, params, match="grad must be")
    params[1].pull(np.ones(2))
    for lr in ("0.1", float("nan"), -1, np.ones(2), True):
        sgd.lr = lr
        refused(sgd.step, sgd, params, match="lr must be")
    for name in ("momentum", "weight_decay", "l1"):
        refused(lambda name=name: SGD(params, **{name: "0"}), match=f"{name} must be")
