"""Data sets of the user as arrays: data/arrays.py, and images that stay on disk: LazyImages."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tiny import arrays

from minidsr import data
from minidsr.data import DataError, Dataset, LazyImages, from_arrays
from minidsr.data.batches import batches, normalise

SHAPES = {"NCHW": (3, 5, 7), "NHWC": (5, 7, 3), "NHW": (5, 7), "many channels": (4, 5, 7)}


def refused(call, *args, **kwargs):
    with pytest.raises(DataError) as caught:
        call(*args, **kwargs)
    said = str(caught.value)
    assert "\n" not in said and len(said) < 400
    return said


@given(kind=st.sampled_from(list(SHAPES)), n=st.integers(6, 250), seed=st.integers(0, 99))
def test_mean_and_deviation_are_those_of_the_training_images(kind, n, seed):
    given = arrays(n, SHAPES[kind], seed)
    d = from_arrays("mine", **given)
    x = d.train_x / 255
    np.testing.assert_allclose(d.mean, x.mean((0, 2, 3)), rtol=1e-12)
    np.testing.assert_allclose(d.std, x.std((0, 2, 3)), rtol=1e-12)
    assert d.classes == ("0", "1", "2")
    assert (d.train_y == given["train_y"]).all() and d.train_y.dtype == np.uint8


@pytest.mark.parametrize("kind", SHAPES)
def test_where_the_channels_are(kind):
    given = arrays(shape=SHAPES[kind])
    x = from_arrays("mine", **given).train_x
    if kind == "NHWC":
        x = x.transpose(0, 2, 3, 1)
    np.testing.assert_array_equal(x[:, 0] if kind == "NHW" else x, given["train_x"])


def test_more_than_256_classes():
    given = arrays() | {"train_y": np.arange(12) * 90}
    d = from_arrays("mine", **given, classes=range(1000))
    assert d.train_y.tolist() == given["train_y"].tolist()
    assert len(d.classes) == 1000


@pytest.mark.parametrize(("change", "said"), [
    ({"train_x": np.zeros((12, 3, 5, 7))}, "train_x must be uint8, pixels from 0 to 255"),
    ({"test_x": np.zeros((6, 5), np.uint8)}, "test_x must be uint8"),
    ({"train_x": np.zeros((0, 3, 5, 7), np.uint8)}, "train_x must be uint8"),
    ({"test_x": np.zeros((6, 3, 5, 8), np.uint8)}, "differ in the shape of an image"),
    ({"train_y": np.zeros(12)}, "train_y must be whole numbers (12,), one for each image"),
    ({"train_y": np.zeros((12, 1), int)}, "train_y must be whole numbers (12,)"),
    ({"test_y": np.zeros(5, int)}, "test_y must be whole numbers (6,)"),
    ({"train_y": np.arange(12) - 1}, "train_y must be 0 or more, not -1"),
    ({"train_y": np.arange(12) % 3 + 1, "test_y": np.ones(6, int)},
     "labels must count from 0, and none is 0 while the largest is 3"),
    ({"train_y": np.arange(12) % 3 << 40}, "none is 3 while the largest is 2199023255552"),
    (arrays(shape=(1, 1, 5000)), "sides of 4,096, not (1, 1, 5000)"),
    ({"classes": ("a", "b")}, "classes must be 3 names or more"),
    ({"classes": ("a", "b", "a")}, "all different"),
    ({"train_x": np.full((12, 3, 5, 7), 9, np.uint8)}, "channel 0 is the same in all")])
def test_what_is_no_data_set(change, said):
    assert said in refused(from_arrays, "mine", **arrays() | change)


def test_npz(tmp_path):
    given, path = arrays(), tmp_path / "mine.npz"
    for classes in (None, ["ä", "b", "cde"]):
        extra = {} if classes is None else {"classes": classes}
        for save in (np.savez, np.savez_compressed):
            save(path, **given, **extra)
            d, same = data.load("npz", str(path)), from_arrays("mine", **given, classes=classes)
            for name in ("classes", "mean", "std", "augment"):
                assert getattr(d, name) == getattr(same, name)
            for name in given:
                np.testing.assert_array_equal(getattr(d, name), getattr(same, name))


def test_an_npz_that_is_none(tmp_path):
    path = tmp_path / "mine.npz"
    assert "mine.npz does not exist" in refused(data.load, "npz", path)
    assert "is a folder" in refused(data.load, "npz", tmp_path)
    path.write_bytes(b"PK")
    assert "no sound .npz file" in refused(data.load, "npz", path)
    given = arrays()
    np.savez(path, **{name: a for name, a in given.items() if name != "test_y"})
    assert "no test_y in it" in refused(data.load, "npz", path)
    np.savez(path, **given, classes=np.array(["a", "b", None]))
    assert "not numbers" in refused(data.load, "npz", path)


# --- images that stay on disk


def lazy(dataset, log):
    """The same data set with lazy images; `log` gets how many are read at once."""
    def images(x):
        def read(numbers):
            log.append(len(numbers))
            return x[numbers]

        return LazyImages(read, x.shape[1:], np.arange(len(x)))

    return Dataset(dataset.name, dataset.classes, images(dataset.train_x), dataset.train_y,
                   images(dataset.test_x), dataset.test_y, dataset.mean, dataset.std, True)


@given(n=st.integers(6, 30), batch=st.integers(1, 12), start=st.integers(0, 3),
       augmented=st.booleans(), seed=st.integers(0, 9))
def test_lazy_images_are_those_in_memory(n, batch, start, augmented, seed):
    """In the same batches; one is read when it comes, and no more."""
    log = []
    whole = from_arrays("mine", **arrays(n, seed=seed)).to("cpu")
    d = lazy(from_arrays("mine", **arrays(n, seed=seed)), log).to("cpu")

    def epoch(dataset):
        rng = np.random.default_rng(seed)
        return batches(dataset, batch, rng, start=start, augmented=augmented)

    for i, ((x, y), (z, w)) in enumerate(zip(epoch(d), epoch(whole), strict=True), start=1):
        np.testing.assert_array_equal(x, z)
        np.testing.assert_array_equal(y, w)
        assert len(log) == i and max(log) <= batch
    np.testing.assert_array_equal(normalise(d.test_x[2:5], d), normalise(whole.test_x[2:5], whole))


@given(st.data())
def test_to_index_lazy_images_reads_none(draw):
    log = []
    whole = from_arrays("mine", **arrays())
    images, expected = lazy(whole, log).train_x, whole.train_x
    for _ in range(3):
        part = draw.draw(st.slices(len(expected)) | st.lists(
            st.integers(-len(expected), len(expected) - 1), min_size=1).map(np.array)
            if len(expected) else st.slices(0))
        images, expected = images[part], expected[part]
        assert images.shape == expected.shape and len(images) == len(expected)
    assert not log
    np.testing.assert_array_equal(images, expected)


def test_images_too_small_to_be_augmented():
    d = from_arrays("mine", **arrays(shape=(3, 4, 9)))
    assert len(list(batches(d, 5, np.random.default_rng(0), augmented=False))) == 3
    assert "4 x 9 pixels are too small" in refused(
        lambda: next(batches(d, 5, np.random.default_rng(0), augmented=True)))
