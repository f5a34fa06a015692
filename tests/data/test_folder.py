"""A folder of images, a folder for each class: data/folder.py."""

import os
import re

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tiny import arrays

from minidsr import Config, data, train
from minidsr.data import DataError, batches, folder, from_arrays
from minidsr.proof.cases import seeds
from minidsr.run.train import Trainer

Image = pytest.importorskip("PIL.Image", reason="needs Pillow: pip install pillow")


def write(root, given=None, ending="png", classes=("b", "a", "c")):
    """The images of from_arrays(given) in folders; returns the data set of what is there, in the
    order of names: by class, then by number."""
    given = arrays(shape=(5, 7, 3)) if given is None else given
    sorted_, order = {}, np.argsort(classes)
    for split in ("train", "test"):
        x, y = given[f"{split}_x"], given[f"{split}_y"]
        for i in range(len(x)):
            path = root / split / classes[y[i]] / f"{i:03}.{ending}"
            path.parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(x[i]).save(path)
        at = np.concatenate([np.flatnonzero(y == label) for label in order])
        sorted_ |= {f"{split}_x": x[at], f"{split}_y": np.argsort(order)[y[at]]}
    return from_arrays("folder", **sorted_, classes=sorted(classes))


@pytest.mark.parametrize("shape", [(5, 7, 3), (5, 7)])
@pytest.mark.parametrize("ending", ["png", "PNG", "bmp"])
def test_it_is_the_data_set_of_the_arrays(shape, ending, tmp_path):
    """Grey images have one channel; what is hidden or no image is left out."""
    expected = write(tmp_path, arrays(shape=shape), ending)
    (tmp_path / "train" / ".cache").mkdir()
    (tmp_path / "train" / "a" / ".hidden.png").write_bytes(b"")
    (tmp_path / "train" / "a" / "notes.txt").write_text("none")
    (tmp_path / "train" / "a" / "folder.png").mkdir()
    found = data.load("folder", str(tmp_path))
    assert found.classes == expected.classes == ("a", "b", "c")
    assert (found.mean, found.std) == (expected.mean, expected.std)
    for name in ("train_x", "train_y", "test_x", "test_y"):
        np.testing.assert_array_equal(getattr(found, name), getattr(expected, name))
        assert getattr(found, name).dtype == np.uint8


def test_a_coloured_image_among_grey_ones(tmp_path):
    write(tmp_path, arrays(shape=(5, 7)))
    path = tmp_path / "test" / "c" / "100.png"
    Image.new("RGBA", (7, 5), (10, 20, 30, 40)).save(path)
    found = data.load("folder", tmp_path)
    assert found.train_x.shape == (12, 3, 5, 7)
    assert np.asarray(found.test_x)[-1, :, 0, 0].tolist() == [10, 20, 30]
    assert (np.asarray(found.train_x).std(1) == 0).all()


def test_jpeg(tmp_path):
    given = arrays(shape=(5, 7, 3))
    given |= {name: np.full_like(given[name], 80) for name in ("test_x",)}
    write(tmp_path, given, "jpg")
    assert abs(np.asarray(data.load("folder", tmp_path).test_x).astype(int) - 80).max() <= 1


@pytest.mark.parametrize(("spoil", "said"), [
    (lambda p: (p / "train").rename(p / "training"), "--data-dir must have train/CLASS/*.png"),
    (lambda p: (p / "test").rename(p / "val"), "--data-dir must have train/CLASS/*.png"),
    (lambda p: (p / "test" / "b").rename(p / "test" / "d"), "the same classes, and 'b' is in one"),
    (lambda p: [file.unlink() for file in (p / "test" / "b").iterdir()], "has no images (.png"),
    (lambda p: (p / "test" / "b" / "001.png").write_text("none"), "001.png: no image that can be"),
    (lambda p: Image.new("RGB", (8, 5)).save(p / "test" / "b" / "001.png"),
     "001.png: 8 x 5 pixels, "),
    (lambda p: Image.new("I;16", (7, 5)).save(p / "test" / "b" / "001.png"),
     "001.png: pixels of the kind I;16; convert"),
    (lambda p: cut(p / "train" / "b" / "000.png"), "000.png: cannot be decoded (")])
def test_what_is_found_at_the_start(spoil, said, tmp_path):
    write(tmp_path)
    spoil(tmp_path)
    with pytest.raises(DataError, match=re.escape(said)) as caught:
        data.load("folder", tmp_path)
    assert "\n" not in str(caught.value)


def test_an_image_too_large(tmp_path, monkeypatch):
    write(tmp_path)
    monkeypatch.setattr("minidsr.data.batches.PIXELS", 104)
    with pytest.raises(DataError, match=r"png: an image may have 104 numbers, .*, not \(3, 5, 7\)"):
        data.load("folder", tmp_path)


def test_mean_and_deviation_of_a_sample(tmp_path, monkeypatch):
    expected = write(tmp_path)
    monkeypatch.setattr("minidsr.data.folder.SAMPLE", 5)
    x = expected.train_x[::3] / 255  # 12 images, at most 5 of them
    np.testing.assert_allclose(data.load("folder", tmp_path).mean, x.mean((0, 2, 3)))


def cut(path):
    """A file that lacks the end of its pixels."""
    path.write_bytes(path.read_bytes()[:60])


@pytest.mark.slow
def test_training_reads_what_it_needs(tmp_path, monkeypatch):
    """A step one batch; it ends as from memory; a damaged image is an error of one line, later."""
    given = arrays(40, (8, 8, 3))
    expected = write(tmp_path / "photos", given)
    monkeypatch.setitem(data.DATASETS, "memory", lambda folder: expected)
    config = Config(data="folder", data_dir=str(tmp_path / "photos"), epochs=2, batch=10,
                    device="cpu", model="small-cnn-0.5", periods=(2,), period_milestones=())
    a = train(config, out=tmp_path / "a")
    b = train(Config(**{**vars(config), "data": "memory"}))
    for one, other in zip(a.epochs, b.epochs, strict=True):
        assert one | {"images_per_s": 0} == other | {"images_per_s": 0}
    opened = []
    real = Image.open
    monkeypatch.setattr(Image, "open", lambda path, **k: opened.append(path) or real(path, **k))
    trainer = Trainer(config)
    opened.clear()
    trainer.step(*next(trainer.batches()))
    assert len(opened) == 10
    monkeypatch.undo()
    for name in os.listdir(tmp_path / "photos" / "test" / "b"):
        cut(tmp_path / "photos" / "test" / "b" / name)
    with pytest.raises(DataError, match="b.*png: cannot be decoded") as caught:
        train(config)
    assert "\n" not in str(caught.value)


# ImageNet: images of any size.

@given(st.integers(1, 500), st.integers(1, 500),
       st.tuples(*[st.floats(0, 1, exclude_max=True)] * 4))
def test_a_random_part(width, height, draws):
    left, top, right, bottom = folder.random_part(width, height, draws)
    assert 0 <= left < right <= width and 0 <= top < bottom <= height
    w, h = right - left, bottom - top
    area = width * height * (0.08 + 0.92 * draws[0])
    assert w * h <= area + w + h  # as asked for, to rounding; less where it was cut
    if w < width and h < height and min(w, h) > 20:
        assert w * h == pytest.approx(area, rel=0.1)
        assert 0.7 < w / h < 1.45


def test_parts_are_everywhere():
    """Of many draws some touch each edge, and area and shape go from least to most."""
    draws = np.random.default_rng(0).random((2000, 4))
    boxes = np.array([folder.random_part(400, 300, four) for four in draws])
    (left, top), (w, h) = boxes[:, :2].T, (boxes[:, 2:] - boxes[:, :2]).T
    assert left.min() == top.min() == 0
    free = (boxes[:, 2] - left < 200) & (boxes[:, 3] - top < 150)  # room in both directions
    assert abs(np.corrcoef(left[free], top[free])[0, 1]) < 0.3  # each by a draw of its own
    assert boxes[:, 2].max() == 400 and boxes[:, 3].max() == 300
    assert 0.08 <= (w * h / 120_000).min() < 0.09 and (w * h / 120_000).max() > 0.9
    assert 0.74 < (w / h).min() < 0.77 and 1.32 < (w / h).max() < 1.45


@pytest.fixture
def any_size(tmp_path):
    """ramps(root) in folders: red rises to the right, green downwards, blue is the class."""
    sizes = [(300, 260), (256, 256), (90, 700), (500, 240)]
    for split in ("train", "val"):
        for label, name in enumerate("ab"):
            for i, (width, height) in enumerate(sizes):
                ramp = np.zeros((height, width, 3), np.uint8)
                ramp[..., 0] = np.linspace(0, 255, width)
                ramp[..., 1] = np.linspace(0, 255, height)[:, None]
                ramp[..., 2] = 100 * label
                path = tmp_path / split / name / f"{i}.png"
                path.parent.mkdir(parents=True, exist_ok=True)
                Image.fromarray(ramp).save(path)
    return tmp_path, sizes


def test_tests_take_the_middle(any_size):
    """As if the shorter side were made 256, and 224 x 224 cut from the middle."""
    root, sizes = any_size
    found = data.load("imagenet", root)
    assert found.classes == ("a", "b") and found.augment
    assert found.train_x.shape == found.test_x.shape == (8, 3, 224, 224)
    for x, y, (width, height) in zip(np.asarray(found.test_x).astype(int), found.test_y,
                                     sizes * 2, strict=True):
        assert x[2].min() == x[2].max() == 100 * y
        for channel, size in ((x[0][0], width), (x[1][:, 0], height)):
            side = 224 / 256 * min(width, height)
            where = (size - side) / 2 + side * (np.arange(224) + 0.5) / 224  # in pixels of the file
            assert abs(channel - 255 * (where - 0.5) / (size - 1)).max() <= 1.5


@given(seed=seeds, start=st.integers(0, 3))
def test_training_takes_parts_and_mirrors(any_size_once, seed, start):
    """A function of the seed, from any batch on; in the order of what is not augmented."""
    found = data.load("imagenet", any_size_once)
    def epoch(augmented, start=0):
        return list(batches.batches(found, 2, np.random.default_rng(seed), start=start,
                                    augmented=augmented))
    plain, parts = epoch(False), epoch(True)
    for (x, y), (again, _) in zip(parts[start:], epoch(True, start), strict=True):
        np.testing.assert_array_equal(x, again)
        assert x.shape == (len(y), 3, 224, 224) and x.dtype == np.float32
    assert [y.tolist() for _, y in parts] == [y.tolist() for _, y in plain]
    x = np.concatenate([x for x, _ in parts])
    ways = np.sign(x[:, 0, 0, -1] - x[:, 0, 0, 0])  # of red: it rises to the right, or is mirrored
    flips = np.random.default_rng(seed)
    flips.permutation(8), flips.integers(0, 9, (8, 2))
    assert ways.tolist() == np.where(flips.random(8) < 0.5, -1, 1).tolist()
    blue = np.concatenate([x for x, _ in plain])[:, 2, 0, 0]
    np.testing.assert_array_equal(x[:, 2].min((1, 2)), blue)


@pytest.fixture(scope="module")
def any_size_once(tmp_path_factory):
    root = tmp_path_factory.mktemp("imagenet")
    any_size.__wrapped__(root)
    return root


@pytest.mark.slow
def test_it_trains(any_size):
    root, _ = any_size
    history = train(Config(data="imagenet", data_dir=str(root), epochs=1, batch=4, device="cpu",
                           model="resnet50-0.0625", periods=(1,), period_milestones=()))
    assert history.setup["data"]["image"] == [3, 224, 224]


def test_test_images_without_labels_are_no_fault(any_size):
    """As ImageNet has them, beside val."""
    root, _ = any_size
    (root / "test").mkdir()
    Image.new("RGB", (300, 300)).save(root / "test" / "1.png")
    assert len(data.load("imagenet", root).test_y) == 8
    (root / "test" / "1.png").unlink()
    (root / "test").rmdir()
    (root / "val").rename(root / "test")
    assert len(data.load("imagenet", root).test_y) == 8
    Image.new("I;16", (300, 300)).save(root / "test" / "a" / "0.png")
    with pytest.raises(DataError, match="0.png: pixels of the kind I;16"):
        np.asarray(data.load("imagenet", root).test_x)


def test_what_is_missing_of_imagenet(any_size):
    root, _ = any_size
    cut(root / "val" / "a" / "2.png")
    with pytest.raises(DataError, match="2.png: cannot be decoded"):
        np.asarray(data.load("imagenet", root).test_x)
    (root / "val" / "a").rename(root / "val" / "c")
    with pytest.raises(DataError, match="imagenet: train and val in .* must have the same classes"):
        data.load("imagenet", root)
