"""minidsr.nn.models: the published parameter counts, what may be sparse, and initial values."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from minidsr import density
from minidsr.methods import DSR
from minidsr.nn import models
from minidsr.nn.layers import BatchNorm, Conv2d, Linear, softmax_cross_entropy
from minidsr.proof.cases import seeds

# Parameters of WRN-28-2 at each sparsity, from the paper's table of CIFAR-10 results.
PUBLISHED = {0.9: 161_229, 0.8: 306_384, 0.7: 451_532, 0.6: 596_687, 0.5: 741_850}
IMAGES = {"small-cnn": (3, 16, 16), "lenet-300-100": (1, 28, 28), "wrn-10-1": (3, 8, 8),
          "wrn-16-0.5": (3, 9, 7)}


def build(name, seed=0, **options):
    options = {"image": (3, 32, 32), "classes": 10} | options
    return models.build(name, rng=np.random.default_rng(seed), **options)


@pytest.fixture(scope="module")
def wrn():
    return build("wrn-28-2")


def test_wide_resnet_has_the_published_size(wrn):
    sizes = [layer.weight.size for layer in wrn.sparsifiable_layers().values()]
    assert wrn.free_parameters() == 1_467_610
    assert len(sizes) == 24
    assert sum(sizes) == 1_451_520
    assert len(list(wrn.walk())) == 1 + 12 * 6 + 3 + 4  # three blocks change the shape


@pytest.mark.parametrize("sparsity", PUBLISHED)
def test_budgets_are_the_published_ones(wrn, sparsity):
    sizes = [layer.weight.size for layer in wrn.sparsifiable_layers().values()]
    dense = wrn.free_parameters() - sum(sizes)
    assert dense == 16_090
    assert sum(density.uniform(sizes, sparsity)) + dense == PUBLISHED[sparsity]


def test_wide_resnet_keeps_the_rest_dense(wrn):
    sparsifiable = wrn.sparsifiable_layers()
    for name, layer in wrn.walk():
        inside = name.startswith("group") and name.endswith(("conv1", "conv2"))
        assert (name in sparsifiable) == inside, name
        if inside:
            assert layer.kernel == 3
    assert not any(isinstance(layer, BatchNorm | Linear) for layer in sparsifiable.values())
    assert [f"group{i}.block0.shortcut" for i in (1, 2, 3)] == [
        name for name, layer in wrn.walk() if isinstance(layer, Conv2d) and layer.kernel == 1]


def test_resnet50_has_the_published_size():
    """Torchvision's 25,557,032 parameters; in the paper 7.3 and 5.1 million at 0.8 and 0.9."""
    model = build("resnet50", image=(3, 224, 224), classes=1000)
    sizes = [layer.weight.size for layer in model.sparsifiable_layers().values()]
    assert (model.free_parameters(), len(sizes), sum(sizes)) == (25_557_032, 49, 22_724_608)
    dense = model.free_parameters() - sum(sizes)
    assert sum(density.uniform(sizes, 0.8)) + dense == 7_377_320
    assert sum(density.uniform(sizes, 0.9)) + dense == 5_104_861
    names = model.sparsifiable_layers()
    for name, layer in model.walk():
        if isinstance(layer, Conv2d | Linear):
            assert (name in names) == (name != "conv1" and "shortcut" not in name), name


@pytest.mark.parametrize(("width", "first", "count"), [
    (0.52, 33, 7_322_677), (0.42, 27, 5_064_175), (0.54, 35, 8_167_095), (0.46, 29, 5_771_217)])
def test_thin_resnet50_has_the_published_size(width, first, count):
    """64 * 0.52 = 33.28: 33 channels, and then 66, 132, 264 in the middle of the blocks; 128 * 0.52
    = 66.56 would be 67. The widths are those of the paper's thin networks and of its submission's.
    """
    model = build(f"resnet50-{width}", image=(3, 224, 224), classes=1000)
    weights = dict(model.named_params())
    assert len(weights["conv1.weight"].value) == first
    assert [len(weights[f"group{i}.block0.conv1.weight"].value) for i in (1, 2, 3, 4)] == [
        first, 2 * first, 4 * first, 8 * first]
    assert model.free_parameters() == count


@pytest.mark.slow
def test_resnet50_trains_and_reallocates_at_its_own_size(rng):
    model = build("resnet50", image=(3, 224, 224), classes=1000)
    method = DSR()
    method.setup(model, rng)
    logits = model.forward(rng.normal(size=(2, 3, 224, 224)).astype(np.float32), train=True)
    assert logits.shape == (2, 1000)
    model.backward(softmax_cross_entropy(logits, np.array([1, 2]))[1])
    assert all(p.grad is not None and np.isfinite(p.grad).all() for p in model.params())
    report = method.checked_reallocation(1)
    assert report.K > 0
    assert model.free_parameters() == 5_104_861
    x = np.zeros((1, 1024, 14, 14), np.float32)
    assert model.layers["group4"].forward(x).shape == (1, 2048, 7, 7)


def test_a_narrow_resnet_needs_no_shortcut_in_group_1():
    names = [name for name, _ in build("wrn-10-1").walk() if "shortcut" in name]
    assert names == ["group2.block0.shortcut", "group3.block0.shortcut"]


def test_lenet_has_the_published_size():
    lenet = build("lenet-300-100", image=(1, 28, 28))
    assert lenet.free_parameters() == 267_020
    assert list(lenet.sparsifiable_layers()) == ["fc1", "fc2", "fc3"]
    sizes = [layer.weight.size for layer in lenet.sparsifiable_layers().values()]
    assert sizes == [235_200, 30_000, 1_000]
    assert sum(sizes) == 266_200


def test_small_cnn():
    model = build("small-cnn")
    assert list(model.sparsifiable_layers()) == ["conv2", "conv3", "conv4", "conv5"]


@pytest.mark.slow
@pytest.mark.parametrize("name", IMAGES)
@given(N=st.integers(1, 3), classes=st.integers(1, 12), seed=seeds)
def test_outputs(name, N, classes, seed):
    image = IMAGES[name]
    model = build(name, seed, image=image, classes=classes)
    x = np.random.default_rng(seed).standard_normal((N, *image)).astype(np.float32)
    y = model.forward(x, train=True)
    assert y.shape == (N, classes)
    assert y.dtype == np.float32
    assert np.isfinite(y).all()
    assert model.backward(y).shape == x.shape


@pytest.mark.parametrize("name", IMAGES)
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_the_type_asked_for(name, dtype):
    state = build(name, image=IMAGES[name], dtype=dtype).state()
    assert {array.dtype for array in state.values()} == {np.dtype(dtype)}


@pytest.mark.parametrize("name", ["small-cnn", "lenet-300-100", "wrn-28-2"])
def test_initial_values(name):
    for path, layer in build(name).walk():
        if isinstance(layer, Conv2d):
            values = layer.weight.value.astype(np.float64)
            z = values / (2 / (layer.kernel**2 * len(values))) ** 0.5
            off = 5 / z.size**0.5  # five standard errors of a mean
            assert abs(z.mean()) < off, path
            assert abs((z**2).mean() - 1) < 2**0.5 * off, path
            assert abs((abs(z) < 1).mean() - 0.6827) < 0.466 * off, path  # a normal distribution
        if isinstance(layer, Linear):
            values, bound = layer.weight.value, layer.weight.shape[1] ** -0.5
            u = values.astype(np.float64) / bound
            off = 5 / u.size**0.5
            assert abs(u).max() <= 1 + 1e-6, path
            assert abs(u.mean()) < 3**-0.5 * off, path
            assert abs((u**2).mean() - 1 / 3) < 0.299 * off, path
            if layer.bias is not None:
                assert not layer.bias.value.any()
        if isinstance(layer, BatchNorm):
            assert (layer.weight.value == 1).all()
            assert not layer.bias.value.any()
            assert not layer.running_mean.any()
            assert (layer.running_var == 1).all()


@pytest.mark.parametrize("name", IMAGES)
def test_the_seed_decides(name):
    one, same, other = (build(name, seed, image=IMAGES[name]).state() for seed in (1, 1, 2))
    assert one.keys() == same.keys()
    for key in one:
        assert one[key].tobytes() == same[key].tobytes()
    assert any(one[key].tobytes() != other[key].tobytes() for key in one)


def test_no_two_tensors_are_alike(wrn):
    weights = [layer.weight.value for _, layer in wrn.walk() if isinstance(layer, Conv2d)]
    assert len({weight.ravel()[:8].tobytes() for weight in weights}) == len(weights)


@pytest.mark.parametrize("name", ["resnet18", "wrn", "wrn-28", "wrn-28-2-1", "WRN-28-2", "",
                                  "wrn-28--2", "wrn-a-2", "small_cnn", "wrn-28-2 ", "wrn-28-2\n",
                                  "wrn-D-W such as wrn-28-2"])
def test_an_unknown_name_raises_with_the_choices(name):
    for call in (lambda: models.check_name(name), lambda: build(name)):
        with pytest.raises(ValueError, match="(?s)unknown model.*small-cnn.*lenet.*wrn-D-W"):
            call()


@pytest.mark.parametrize("name", ["wrn-11-1", "wrn-4-1", "wrn-0-1", "wrn-27-2"])
def test_an_impossible_depth_raises_with_the_choices(name):
    with pytest.raises(ValueError, match="10, 16, 22, 28"):
        models.check_name(name)
    with pytest.raises(ValueError, match="10, 16, 22, 28"):
        build(name)


@pytest.mark.parametrize("name", ["wrn-10-0", "wrn-10-0.01"])
def test_an_impossible_width_raises(name):
    with pytest.raises(ValueError, match="width"):
        models.check_name(name)


@given(n=st.integers(1, 3), width=st.sampled_from([0.25, 0.5, 1, 2]))
def test_every_depth_6n_plus_4_can_be_built(n, width):
    depth = 6 * n + 4
    model = build(f"wrn-{depth}-{width}", image=(3, 8, 8))
    convolutions = [layer for _, layer in model.walk()
                    if isinstance(layer, Conv2d) and layer.kernel == 3]
    assert len(convolutions) == 6 * n + 1
    assert len(model.sparsifiable_layers()) == 6 * n
