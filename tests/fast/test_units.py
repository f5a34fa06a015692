"""minidsr.fast.units: batch norm, ReLU and convolution as one give what the three give."""

import copy

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from threaded import all_at_work

from minidsr.fast import norm, parallel, units
from minidsr.fast.engine import use
from minidsr.methods.base import make_sparse
from minidsr.nn.layers import (
    BatchNorm,
    Conv2d,
    Flatten,
    Linear,
    MaxPool2d,
    ReLU,
    Residual,
    Sequential,
)
from minidsr.nn.models import resnet50, small_cnn, wide_resnet
from minidsr.proof.cases import seeds, windows
from minidsr.proof.gradcheck import check_model

pytest.importorskip("minidsr.fast.sparse_conv", reason="Numba is not installed")

NETWORKS = {
    "wide resnet": lambda rng, dtype: wide_resnet(16, 0.25, rng=rng, dtype=dtype),
    "small cnn": lambda rng, dtype: small_cnn(0.25, rng=rng, dtype=dtype),
    "resnet50": lambda rng, dtype: resnet50(0.0625, rng=rng, classes=10, dtype=dtype)}
every_network = pytest.mark.parametrize("name", NETWORKS)


def make(name, engine, dtype=np.float64):
    """The network, sparse, with batch norms that differ from channel to channel."""
    rng = np.random.default_rng(5)
    model = NETWORKS[name](rng, dtype)
    make_sparse(model, 0.7, "uniform", rng)
    for p in model.params():
        p.value += (0.2 * rng.standard_normal(p.value.shape)).astype(dtype)
    return use(model, engine), rng


def within(layer, kind):
    """The units of a kind inside of a network."""
    if isinstance(layer, kind):
        return [layer]
    inner = layer.units if isinstance(layer, Sequential) else (
        [layer.before, layer.body, layer.shortcut] if isinstance(layer, Residual) else [])
    return [unit for child in inner for unit in within(child, kind)]


def pairs(layer):
    return within(layer, units.NormConv)


def results(name, engine, dtype=np.float64):
    model, rng = make(name, engine, dtype)
    x = rng.standard_normal((6, 3, 32, 32)).astype(dtype)
    y = model.forward(x, train=True)
    dx = model.backward(np.cos(y))
    grads = {key: p.grad for key, p in model.named_params().items()}
    statistics = {key: a for key, a in model.state().items() if "running" in key}
    return {"y": y, "dx": dx, "evaluated": model.forward(x), **grads, **statistics}


@every_network
@pytest.mark.parametrize("engine", ["blocked", "sparse"])
def test_engines_agree(name, engine):
    expected, found = results(name, "plain"), results(name, engine)
    assert expected.keys() == found.keys()
    for key, array in expected.items():
        np.testing.assert_allclose(found[key], array, rtol=1e-8, atol=1e-9, err_msg=key)


@every_network
def test_in_float32(name):
    for key, array in results(name, "sparse", np.float32).items():
        assert array.dtype == np.float32, key


@given(windows(images=(1, 20)))
def test_a_pair_is_its_layers_one_after_the_other(q):
    rng = q.rng()
    x, found = rng.standard_normal(q.x_shape), []
    weight, bias = rng.standard_normal((2, q.C))
    theta = rng.standard_normal(q.w_shape)
    for engine in ("plain", "blocked", "sparse"):
        norm = BatchNorm(q.C, dtype=np.float64)
        conv = Conv2d(q.C, q.F, q.k, stride=q.s, pad=q.p, rng=rng, dtype=np.float64)
        norm.weight.value[:], norm.bias.value[:], conv.weight.value[:] = weight, bias, theta
        model = use(Sequential(norm=norm, relu=ReLU(), conv=conv), engine)
        make_sparse(model, 0.3, "uniform", np.random.default_rng(q.seed))
        y = model.forward(x, train=True)
        found.append([y, model.backward(np.cos(y)), *(p.grad for p in model.params())])
    for plain, *others in zip(*found, strict=True):
        for other in others:
            np.testing.assert_allclose(other, plain, rtol=1e-7, atol=1e-7)


@given(shape=st.tuples(st.integers(1, 14), st.integers(1, 3), st.integers(2, 9), st.integers(2, 9)),
       seed=seeds, threads=st.sampled_from([1, 3]))
def test_pooling_is_the_layers(shape, seed, threads):
    """With equal numbers in a window, some that are none, rows and columns in no window."""
    rng, results = np.random.default_rng(seed), []
    x = rng.choice([-np.inf, -1, 0, 0.5, 2, np.nan], size=shape, p=[.1, .2, .3, .2, .15, .05])
    for engine in ("plain", "sparse"):
        model = use(Sequential(pool=MaxPool2d(2)), engine)
        with all_at_work(threads):
            y = model.forward(x, train=True)
            results.append([y, model.backward(np.arange(1.0, 1 + y.size).reshape(y.shape))])
    assert isinstance(model.units[0], units.MaxPool)
    for a, b in zip(*results, strict=True):
        np.testing.assert_array_equal(a, b)


@pytest.mark.parametrize("window", [{"kernel": 3}, {"kernel": 2, "stride": 1},
                                    {"kernel": 2, "pad": 1}])
def test_other_windows_are_the_layers_own(window):
    pool = MaxPool2d(**window)
    assert use(Sequential(pool=pool), "sparse").units == [pool]


@pytest.mark.parametrize("threads", [1, 2])
@given(rows=st.integers(2, 40), seed=seeds)
def test_a_batch_of_rows_is_as_an_image(threads, rows, seed):
    """Linear layers and their batch norms, whose batch lies as one image."""
    found = []
    for engine in ("plain", "blocked", "sparse"):
        rng = np.random.default_rng(seed)
        model = use(Sequential(fc1=Linear(6, 5, rng=rng, dtype=np.float64),
                               norm=BatchNorm(5, dtype=np.float64), relu=ReLU(),
                               fc2=Linear(5, 3, rng=rng, dtype=np.float64)), engine)
        make_sparse(model, 0.5, "uniform", rng)
        x = rng.standard_normal((rows, 6))
        with all_at_work(threads):
            y = model.forward(x, train=True)
            found.append([y, model.backward(np.cos(y)), *(p.grad for p in model.params()),
                          model.forward(x[:1])])
    for plain, *others in zip(*found, strict=True):
        for other in others:
            np.testing.assert_allclose(other, plain, rtol=1e-7, atol=1e-7)


@pytest.mark.parametrize("last", [True, False], ids=["relu-last", "relu-first"])
@pytest.mark.parametrize("engine", ["blocked", "sparse"])
def test_a_sum_spares_what_a_unit_keeps(engine, last):
    """A ReLU keeps its output for backward: the residual must not be added into it."""
    found = []
    for name in ("plain", engine):
        rng = np.random.default_rng(2)
        conv = Conv2d(3, 3, 3, pad=1, rng=rng, dtype=np.float64)
        body = {"conv": conv, "relu": ReLU()} if last else {"relu": ReLU(), "conv": conv}
        model = use(Sequential(block=Residual(before=Sequential(), body=Sequential(**body))), name)
        x = rng.standard_normal((30, 3, 6, 6))
        kept = x.copy()
        y = model.forward(x, train=True)
        dy = np.cos(y)
        found.append([y, model.backward(dy), conv.weight.grad])
        np.testing.assert_array_equal(x, kept)
        np.testing.assert_array_equal(dy, np.cos(y))
    for a, b in zip(*found, strict=True):
        np.testing.assert_allclose(b, a, rtol=1e-9, atol=1e-12)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["wide resnet", "small cnn"])
def test_gradients(name):
    model, rng = make(name, "sparse")
    check_model(model, rng.standard_normal((4, 3, 8, 8)), rng.integers(0, 10, 4), rng)


@every_network
@pytest.mark.parametrize("engine", ["plain", "blocked", "sparse"])
def test_without_the_gradient_of_the_input(name, engine):
    """Where training asks for none: what is left is the same, to the bit."""
    found = []
    for input_grad in (True, False):
        model, rng = make(name, engine)
        use(model, engine, input_grad=input_grad)
        x = rng.standard_normal((3, 3, 32, 32))
        dx = model.backward(np.cos(model.forward(x, train=True)))
        found.append([p.grad for p in model.params()])
    assert (dx is None) == (engine != "plain")
    for a, b in zip(*found, strict=True):
        np.testing.assert_array_equal(a, b)


def test_what_is_joined():
    """In a wide residual network all but the convolutions whose input a shortcut reads, too."""
    model, _ = make("wide resnet", "auto")
    assert len(pairs(model)) == 12 - 3


def test_moments_are_taken_where_numbers_are_written():
    """In a wide residual network by all convolutions and sums with a batch norm behind them, but
    where one multiplies by all of θ: there batch norm reads what was written."""
    model, rng = make("wide resnet", "sparse")
    norms = [*within(model, units.Norm), *(pair.norm for pair in pairs(model))]
    known, taken = norms[0].known, []
    assert all(norm.known is known for norm in norms)
    def take(x, take=known.take):
        taken.append(take(x))
        for found, at in zip(taken[-1] or (), parallel.chunks(len(x)), strict=False):
            rows = x[at].reshape(*x[at].shape[:2], -1)
            for one, other in zip(found, norm.moments(rows), strict=True):
                np.testing.assert_allclose(one, other, rtol=1e-9)
        return taken[-1]

    known.take = take
    x = rng.standard_normal((2, 3, 8, 8))
    pairs(model)[1].conv.layer.weight.keep_dense_grad = True
    model.forward(x, train=True)
    assert len(taken) == len(norms) == 13
    assert sum(moments is None for moments in taken) == 1
    known.keep(x := np.zeros(3), [])
    assert known.take(np.zeros(3)) is None and known.take(x) is None


def test_what_batch_norm_gives_back_unwritten():
    """In a wide residual network, by all pairs: each is behind a convolution or begins a sum."""
    model, rng = make("wide resnet", "sparse")
    y = model.forward(rng.standard_normal((2, 3, 8, 8)), train=True)
    returned = []
    for pair in pairs(model):
        pair.backward = lambda dy, pair=pair: returned.append(
            type(pair).backward(pair, dy)) or returned[-1]
    model.backward(y)
    assert len(returned) == 9 and all(isinstance(dx, norm.Late) for dx in returned)
    unit = use(Sequential(pool=MaxPool2d(2), norm=BatchNorm(2), relu=ReLU(),
                          conv=Conv2d(2, 2, 3, rng=np.random.default_rng(0))), "sparse").units[-1]
    assert isinstance(unit, units.NormConv) and not unit.late


@given(windows(images=(1, 30)), st.sampled_from(["sparse", "blocked"]), st.booleans())
def test_a_gradient_that_is_not_written_down(q, first, summed):
    """Through two convolutions with batch norm between, of which the first may multiply by all of
    θ; or in a sum, all with batch norm before, and one behind it. In one chunk, and in two."""
    x, C, found = q.rng().standard_normal(q.x_shape), (q.C, q.C if summed else q.F), []
    for engine in ("plain", "sparse"):
        rng = np.random.default_rng(q.seed)
        convs = [Conv2d(C[i], C[1], 3, pad=1, rng=rng, dtype=np.float64) for i in range(2)]
        norms = [BatchNorm(C[i], dtype=np.float64) for i in range(2)]
        for p in (*(part.weight for part in (*convs, *norms)), *(part.bias for part in norms)):
            p.value += rng.standard_normal(p.value.shape)
        inner = Sequential(conv1=convs[0], norm2=norms[1], relu2=ReLU(), conv2=convs[1])
        if summed:
            inner = Sequential(block=Residual(before=Sequential(norm1=norms[0], relu1=ReLU()),
                                              body=inner),
                               norm3=BatchNorm(C[1], dtype=np.float64))
        model = use(inner, engine)
        make_sparse(model, 0.3, "uniform", np.random.default_rng(q.seed))
        if first == "blocked":
            convs[0].weight.keep_dense_grad = True
        y = model.forward(x, train=True)
        found.append([y, model.backward(np.cos(y)), *(p.grad for p in model.params())])
    for plain, other in zip(*found, strict=True):
        np.testing.assert_allclose(other, plain, rtol=1e-7, atol=1e-7)


@pytest.mark.parametrize("behind", [
    {"pool": MaxPool2d(3, stride=2, pad=1)},
    {"flatten": Flatten(), "fc": Linear(128, 3, rng=np.random.default_rng(1), dtype=np.float64)}])
def test_a_gradient_with_gaps_in_memory_reaches_a_sum(behind):
    """As max pooling returns it, and a sparse linear layer."""
    found = []
    for engine in ("plain", "sparse"):
        rng = np.random.default_rng(0)
        convs = [Conv2d(2, 2, 3, pad=1, rng=rng, dtype=np.float64) for _ in range(2)]
        norms = [BatchNorm(2, dtype=np.float64) for _ in range(2)]
        model = use(Sequential(block=Residual(
            before=Sequential(norm1=norms[0], relu1=ReLU()),
            body=Sequential(conv1=convs[0], norm2=norms[1], relu2=ReLU(), conv2=convs[1])),
            **copy.deepcopy(behind)), engine)
        make_sparse(model, 0.5, "uniform", rng)
        y = model.forward(np.random.default_rng(2).standard_normal((30, 2, 8, 8)), train=True)
        found.append([y, model.backward(np.cos(y)), *(p.grad for p in model.params())])
    for plain, other in zip(*found, strict=True):
        np.testing.assert_allclose(other, plain, rtol=1e-8, atol=1e-9)


def test_layer_by_layer_after_all():
    """With the engine plain the layers themselves compute, whatever computed before."""
    (plain, rng), (joined, _) = make("wide resnet", "plain"), make("wide resnet", "sparse")
    assert pairs(joined)
    assert use(joined, "plain").units == list(joined.layers.values())
    assert not pairs(joined)
    x = rng.standard_normal((2, 3, 28, 28))
    np.testing.assert_array_equal(joined.forward(x), plain.forward(x))


def test_caches_are_taken():
    model, rng = make("wide resnet", "sparse")
    y = model.forward(rng.standard_normal((2, 3, 8, 8)), train=True)
    assert all(pair.cache is not None for pair in pairs(model))
    model.backward(y)
    assert all(pair.cache is None for pair in pairs(model))
    assert all(layer.cache is None for _, layer in model.walk())


@pytest.mark.slow
@pytest.mark.parametrize("engine", ["blocked", "sparse"])
@every_network
def test_threads_do_not_change_one_bit(name, engine):
    """25 images make two chunks: of convolutions, batch norm, ReLU and the sums of blocks."""
    found = []
    for count in (1, 2, 3):
        model, rng = make(name, engine, np.float32)
        x = rng.standard_normal((25, 3, 32, 32)).astype(np.float32)
        with all_at_work(count):
            y = model.forward(x, train=True)
            arrays = [y, model.backward(np.cos(y)), *(p.grad for p in model.params())]
        found.append([a.tobytes() for a in (*arrays, *model.state().values())])
    assert found[0] == found[1] == found[2]


@every_network
@pytest.mark.parametrize("engine", ["plain", "blocked", "sparse"])
def test_a_network_can_be_copied(name, engine):
    model, rng = make(name, engine)
    x = rng.standard_normal((2, 3, 32, 32))
    other = copy.deepcopy(model)
    for p in model.params():
        p.value += 1
    assert not np.array_equal(other.forward(x), model.forward(x))
    assert all(p is not q for p, q in zip(model.params(), other.params(), strict=True))


@every_network
@pytest.mark.parametrize("engine", ["plain", "blocked", "sparse"])
def test_no_images(name, engine):
    model, _ = make(name, engine)
    assert model.forward(np.zeros((0, 3, 32, 32))).shape == (0, 10)


@pytest.mark.parametrize("name", ["plain", "blocked", "sparse"])
def test_running_statistics_keep_their_type(name):
    norm = BatchNorm(3)
    use(Sequential(norm=norm), name).forward(np.ones((2, 3, 4, 4), np.float32), train=True)
    assert norm.running_mean.dtype == norm.running_var.dtype == np.float32


def test_an_old_batch_is_not_looked_at():
    """After a forward pass without train=True there is nothing for backward."""
    rng = np.random.default_rng(0)
    model = use(Sequential(fc=Linear(4, 3, rng=rng)), "sparse")
    model.forward(np.ones((5, 4), np.float32), train=True)
    make_sparse(model, 0.5, "uniform", rng)
    model.forward(np.ones((5, 4), np.float32))
    with pytest.raises(ValueError, match="once after each forward"):
        model.backward(np.ones((5, 3), np.float32))


def test_an_unknown_engine():
    with pytest.raises(ValueError, match="unknown engine 'block'"):
        use(Sequential(), "block")
