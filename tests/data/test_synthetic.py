"""The drawn shapes: data/synthetic.py."""

import hashlib
import inspect

import numpy as np
import pytest
from published import assert_same

from minidsr import data
from minidsr.data import synthetic


@pytest.fixture(scope="module", autouse=True)
def anew():
    """They are drawn each time, not once for all tests as elsewhere."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(synthetic, "draw", inspect.unwrap(synthetic.draw))
        yield


@pytest.fixture(scope="module")
def drawn():
    return data.load("synthetic", "no such folder")


def test_synthetic_is_whole_and_balanced(drawn):
    assert drawn.train_x.shape == (synthetic.TRAIN_IMAGES, 3, 32, 32)
    assert drawn.test_x.shape == (synthetic.TEST_IMAGES, 3, 32, 32)
    assert drawn.train_x.dtype == drawn.test_y.dtype == np.uint8
    assert len(drawn.classes) == 10 and not drawn.augment
    for y in (drawn.train_y, drawn.test_y):
        assert np.bincount(y).tolist() == [len(y) // 10] * 10
        assert (y[:-1] > y[1:]).mean() > 0.3  # in random order


def test_synthetic_is_the_same_every_time(drawn):
    np.random.seed(1)  # noqa: NPY002 - the global stream must not matter
    assert_same(drawn, data.load("synthetic"))


def test_synthetic_is_the_same_everywhere():
    """Change the constants of synthetic.py, and this sum and figures in the README change, too."""
    digest = hashlib.sha256(b"".join(array.tobytes() for array in synthetic.draw()))
    assert digest.hexdigest() == \
        "b87a57ad8149da256046962fe33275e5e96be1bbb25f4a6e3b466e69eeca4da1"


def test_synthetic_mean_and_std(drawn):
    x = drawn.train_x / np.float32(255)
    np.testing.assert_allclose(x.mean((0, 2, 3)), drawn.mean, atol=0.015)
    np.testing.assert_allclose(x.std((0, 2, 3)), drawn.std, atol=0.015)


def test_synthetic_test_images_are_new(drawn):
    train = {image.tobytes() for image in drawn.train_x}
    assert len(train) == len(drawn.train_x)
    assert train.isdisjoint(image.tobytes() for image in drawn.test_x)


def test_synthetic_is_not_solved_by_neighbours(drawn):
    train = drawn.train_x.reshape(len(drawn.train_x), -1).astype(np.float32)
    test = drawn.test_x[:300].reshape(300, -1).astype(np.float32)
    distance = (train * train).sum(1) - 2 * test @ train.T
    assert (drawn.train_y[distance.argmin(1)] == drawn.test_y[:300]).mean() < 0.4


@pytest.mark.parametrize("name", synthetic.SHAPES)
def test_shapes_fit_their_radius_and_differ(name):
    axis = np.linspace(-1.5, 1.5, 121)
    u, v = np.meshgrid(axis, axis)
    inside = {other: shape(u, v) < 0 for other, shape in synthetic.SHAPES.items()}
    assert 0.05 < inside[name].mean() < 0.3
    assert np.hypot(u, v)[inside[name]].max() < 1.2
    for other in set(synthetic.SHAPES) - {name}:
        assert (inside[name] ^ inside[other]).sum() > 0.15 * inside[name].sum()
