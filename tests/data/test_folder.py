"""A folder of images, a folder for each class: data/folder.py."""

import os
import re

import numpy as np
import pytest
from tiny import arrays

from minidsr import Config, data, train
from minidsr.data import DataError, from_arrays
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
