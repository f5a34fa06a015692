"""minidsr.data.files: augmentation, batch order, the data sets, and every way a file can be bad."""

import gzip
import hashlib
import http.server
import io
import os
import pickle
import shutil
import struct
import sys
import tarfile
import threading
import time
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from minidsr.data import files, synthetic
from minidsr.data.files import DataError

REAL_MNIST = Path(__file__).parents[3] / "shared" / "data" / "mnist"
COUNT = 20  # images in one fake CIFAR-10 batch
NAMES = "airplane automobile bird cat deer dog frog horse ship truck".split()
BATCHES = [f"data_batch_{i}" for i in range(1, 6)] + ["test_batch"]


# Augmentation and normalisation


def naive_augment(x, shift, flip):
    out = np.empty_like(x)
    for i, image in enumerate(x):
        padded = np.pad(image, ((0, 0), (4, 4), (4, 4)), mode="reflect")
        row, col = shift[i]
        crop = padded[:, row : row + x.shape[2], col : col + x.shape[3]]
        out[i] = crop[:, :, ::-1] if flip[i] else crop
    return out


@given(
    seed=st.integers(0, 2**32),
    n=st.integers(1, 6),
    c=st.sampled_from([1, 3]),
    h=st.integers(5, 12),
    w=st.integers(5, 12),
)
@settings(max_examples=60, deadline=None)
def test_augment_is_pad_crop_flip(seed, n, c, h, w):
    rng = np.random.default_rng(seed)
    x = rng.integers(0, 256, (n, c, h, w), dtype=np.uint8)
    shift, flip = rng.integers(0, 9, (n, 2)), rng.random(n) < 0.5
    before = x.copy()
    y = files.augment(x, shift, flip)
    assert y.dtype == np.uint8
    np.testing.assert_array_equal(y, naive_augment(x, shift, flip))
    np.testing.assert_array_equal(x, before)


def test_augment_without_shift_or_flip_changes_nothing():
    x = np.random.default_rng(0).integers(0, 256, (3, 3, 32, 32), dtype=np.uint8)
    same = files.augment(x, np.full((3, 2), 4), np.zeros(3, bool))
    np.testing.assert_array_equal(same, x)
    mirrored = files.augment(x, np.full((3, 2), 4), np.ones(3, bool))
    np.testing.assert_array_equal(mirrored, x[..., ::-1])


def test_augment_by_hand():
    x = np.arange(25, dtype=np.uint8).reshape(1, 1, 5, 5)
    left_top = files.augment(x, np.array([[0, 4]]), np.array([False]))  # up by four rows
    np.testing.assert_array_equal(left_top[0, 0], x[0, 0, ::-1])  # reflected about row 0
    right = files.augment(x, np.array([[4, 6]]), np.array([False]))
    assert right[0, 0, 0].tolist() == [2, 3, 4, 3, 2]  # the edge is not repeated


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_normalise(dtype):
    dataset = tiny(10)
    x = dataset.train_x
    mean, std = (np.reshape(v, (1, 3, 1, 1)) for v in (dataset.mean, dataset.std))
    y = files.normalise(x, dataset, dtype)
    assert y.dtype == dtype
    np.testing.assert_allclose(y, (x / 255 - mean) / std, rtol=1e-5, atol=1e-5)


# Batches


def tiny(n, side=6):
    """A Dataset of n images; the first pixel and the label of image i tell i."""
    x = np.random.default_rng(n).integers(0, 256, (n, 3, side, side), dtype=np.uint8)
    y = np.arange(n, dtype=np.uint8)
    return files.Dataset("tiny", (), x, y, x, y, (0.4, 0.5, 0.6), (0.2, 0.25, 0.3), True)


def epoch_of(dataset, batch, seed=0, epoch=0, **options):
    options = {"augmented": False} | options
    return list(files.batches(dataset, batch, seed, epoch, **options))


@given(
    n=st.integers(1, 40),
    batch=st.integers(1, 50),
    seed=st.integers(0, 2**40),
    epoch=st.integers(0, 300),
    augmented=st.booleans(),
)
@settings(max_examples=40, deadline=None)
def test_an_epoch_has_each_image_once(n, batch, seed, epoch, augmented):
    parts = epoch_of(tiny(n), batch, seed, epoch, augmented=augmented)
    assert sorted(np.concatenate([y for _, y in parts])) == list(range(n))
    assert [len(y) for _, y in parts[:-1]] == [batch] * (len(parts) - 1)
    assert len(parts[-1][1]) == n - batch * (len(parts) - 1)
    assert all(x.dtype == np.float32 and len(x) == len(y) for x, y in parts)


@given(
    batch=st.integers(1, 20),
    start=st.integers(0, 12),
    epoch=st.integers(0, 9),
    augmented=st.booleans(),
)
@settings(max_examples=40, deadline=None)
def test_starting_late_equals_skipping(batch, start, epoch, augmented):
    dataset = tiny(23)
    whole = epoch_of(dataset, batch, 5, epoch, augmented=augmented)[start:]
    late = epoch_of(dataset, batch, 5, epoch, augmented=augmented, start=start)
    assert len(late) == len(whole)
    for (x, y), (other_x, other_y) in zip(late, whole, strict=True):
        np.testing.assert_array_equal(x, other_x)
        np.testing.assert_array_equal(y, other_y)


@pytest.mark.parametrize("augmented", [False, True])
def test_order_and_draws_do_not_depend_on_the_batch_size(augmented):
    dataset = tiny(30)
    expected_x, expected_y = epoch_of(dataset, 30, augmented=augmented)[0]
    for batch in (1, 7, 30, 100):
        parts = epoch_of(dataset, batch, augmented=augmented)
        np.testing.assert_array_equal(np.concatenate([y for _, y in parts]), expected_y)
        np.testing.assert_array_equal(np.concatenate([x for x, _ in parts]), expected_x)


def test_augmenting_changes_pixels_but_not_the_order():
    dataset = tiny(30)
    (plain, y), (moved, moved_y) = (epoch_of(dataset, 30, augmented=a)[0] for a in (False, True))
    np.testing.assert_array_equal(y, moved_y)
    np.testing.assert_array_equal(plain, files.normalise(dataset.train_x[y], dataset))
    assert (plain != moved).any()


def test_epochs_and_seeds_differ():
    orders = [
        tuple(epoch_of(tiny(40), 40, seed, epoch)[0][1])
        for seed, epoch in ((0, 0), (0, 1), (1, 0), (1, 1))
    ]
    assert len(set(orders)) == 4


def test_the_order_is_the_documented_stream():
    stream = np.random.SeedSequence(7, spawn_key=(2, 3))
    expected = np.random.default_rng(stream).permutation(40)
    np.testing.assert_array_equal(epoch_of(tiny(40), 40, 7, 3)[0][1], expected)


def test_shifts_and_flips_are_uniform():
    n = 4000
    row, column = np.indices((16, 16), np.uint8)
    x = np.broadcast_to(np.stack([row, column, column]), (n, 3, 16, 16))
    y = np.zeros(n, np.uint8)
    dataset = files.Dataset("ramp", (), x, y, x, y, (0.0,) * 3, (1 / 255,) * 3, True)
    moved = epoch_of(dataset, n, augmented=True)[0][0].round().astype(int)
    flipped = moved[:, 1, 8, 8] < moved[:, 1, 8, 7]
    assert 0.45 < flipped.mean() < 0.55
    # Where pixel (8, 8) of the crop came from: 4 to 12, each as often, whatever the other draws.
    came = moved[:, 0, 8, 8], np.where(flipped, moved[:, 1, 8, 7], moved[:, 1, 8, 8])
    for pixel in came:
        share = np.bincount(pixel, minlength=13) / n
        assert len(share) == 13 and (abs(share[4:] - 1 / 9) < 0.03).all()
    assert abs(np.corrcoef([*came, flipped]) - np.eye(3)).max() < 0.08


# CIFAR-10


def text(raw):
    short = len(raw) < 256
    return (b"U" + bytes([len(raw)]) if short else b"T" + struct.pack("<i", len(raw))) + raw


def python2_pickle(fields):
    """`fields` as Python 2 pickled the published batches; Python 3 cannot write this form."""
    out = [b"\x80\x02}("]
    for key, value in fields.items():
        out.append(text(key))
        if isinstance(value, bytes):
            out.append(text(value))
        elif isinstance(value, int):
            out.append(b"J" + struct.pack("<i", value))
        elif isinstance(value, list):
            items = [text(v) if isinstance(v, bytes) else b"K" + bytes([v]) for v in value]
            out.append(b"](" + b"".join(items) + b"e")
        else:
            out.append(
                b"cnumpy.core.multiarray\n_reconstruct\ncnumpy\nndarray\nK\x00\x85U\x01b\x87R(K\x01"
                + b"".join(b"M" + struct.pack("<H", side) for side in value.shape)
                + b"\x86cnumpy\ndtype\nU\x02u1K\x00K\x01\x87R(K\x03U\x01|NNNJ\xff\xff\xff\xff"
                b"J\xff\xff\xff\xffK\x00tb\x89" + text(value.tobytes()) + b"tb"
            )
    return b"".join(out) + b"u."


def python3_pickle(fields):
    return pickle.dumps(fields, protocol=2)


def fake_batch(name):
    rng = np.random.default_rng(BATCHES.index(name))
    images = rng.integers(0, 256, (COUNT, 3072), dtype=np.uint8)
    labels = (np.arange(COUNT) % 10).astype(np.uint8)
    if name != "test_batch":  # as published: only the test batch has as many images of each class
        labels[0] = labels[1]
    return images, labels


def fields_of(name, label=None):
    images, labels = fake_batch(name)
    return {
        b"batch_label": (label or files.BATCH_LABELS[name]).encode(),
        b"labels": labels.tolist(),
        b"data": images,
        b"filenames": [b"x.png"] * COUNT,
    }


META = {
    b"num_cases_per_batch": COUNT,
    b"label_names": [name.encode() for name in NAMES],
    b"num_vis": 3072,
}


def write_python(root, dump=python2_pickle):
    folder = root / "cifar-10-batches-py"
    folder.mkdir(parents=True)
    for name in BATCHES:
        (folder / name).write_bytes(dump(fields_of(name)))
    (folder / "batches.meta").write_bytes(dump(META))
    return folder


def write_binary(root):
    folder = root / "cifar-10-batches-bin"
    folder.mkdir(parents=True)
    for name in BATCHES:
        images, labels = fake_batch(name)
        np.concatenate([labels[:, None], images], 1).tofile(folder / f"{name}.bin")
    (folder / "batches.meta.txt").write_text("\n".join(NAMES) + "\n\n")
    return folder


@pytest.fixture(autouse=True)
def small_binary_batches(monkeypatch):
    monkeypatch.setattr(files, "BINARY_RECORDS", COUNT)


def assert_same(a, b):
    assert a.classes == b.classes
    for field in ("train_x", "train_y", "test_x", "test_y"):
        np.testing.assert_array_equal(getattr(a, field), getattr(b, field))


def refuses(name, folder, *words):
    """load() must raise DataError, on one line that has all `words`; returns the line."""
    with pytest.raises(DataError) as caught:
        files.load(name, folder)
    line = str(caught.value)
    assert "\n" not in line and all(str(word) in line for word in words), line
    return line


def test_cifar10_python_layout(tmp_path):
    write_python(tmp_path)
    d = files.load("cifar10", tmp_path)
    assert d.name == "cifar10" and d.classes == tuple(NAMES) and d.augment
    parts = [fake_batch(name) for name in BATCHES]
    images, labels = (np.concatenate(arrays) for arrays in zip(*parts[:5], strict=True))
    np.testing.assert_array_equal(d.train_x, images.reshape(-1, 3, 32, 32))
    np.testing.assert_array_equal(d.train_y, labels)
    np.testing.assert_array_equal(d.test_x, parts[5][0].reshape(-1, 3, 32, 32))
    np.testing.assert_array_equal(d.test_y, parts[5][1])
    assert {a.dtype for a in (d.train_x, d.train_y, d.test_x, d.test_y)} == {np.dtype(np.uint8)}
    np.testing.assert_allclose(d.mean, (0.4914, 0.4824, 0.4467), atol=1e-4)
    np.testing.assert_allclose(d.std, (0.2471, 0.2435, 0.2616), atol=1e-4)


def test_cifar10_layouts_agree(tmp_path):
    folders = write_python(tmp_path / "a"), write_binary(tmp_path / "b")
    write_python(tmp_path / "c", python3_pickle)
    first = files.load("cifar10", tmp_path / "a")
    for root in (tmp_path / "b", tmp_path / "c", *folders):
        assert_same(first, files.load("cifar10", root))


def test_cifar10_accepts_file_names_as_batch_labels(tmp_path):
    folder = write_python(tmp_path)
    for name in BATCHES:
        (folder / name).write_bytes(python2_pickle(fields_of(name, label=name)))
    files.load("cifar10", str(tmp_path))


def test_cifar10_complete_layout_wins_over_a_partial_one(tmp_path):
    (write_python(tmp_path) / "test_batch").unlink()
    write_binary(tmp_path)
    assert len(files.load("cifar10", tmp_path).test_y) == COUNT


def changed(name="data_batch_3", without=None, **new):
    fields = {k: v for k, v in fields_of(name).items() if k.decode() != without}
    return fields | {key.encode(): value for key, value in new.items()}


BAD_PICKLES = {
    "empty": b"",
    "garbage": bytes(range(256)) * 40,
    "text": b"<html>404 not found</html>\n",
    "truncated": python2_pickle(changed())[:-1000],
    "a list": pickle.dumps([1, 2], 2),
    "a number": pickle.dumps(3, 2),
    "numbers as keys": pickle.dumps({1: 2}, 2),
    "no data": python2_pickle(changed(without="data")),
    "no labels": python2_pickle(changed(without="labels")),
    "no batch_label": python2_pickle(changed(without="batch_label")),
    "data a list": python2_pickle(changed(data=[1, 2])),
    "labels an array": python2_pickle(changed(labels=fake_batch("test_batch")[0])),
    "labels and data exchanged": python2_pickle(
        changed(labels=changed()[b"data"], data=changed()[b"labels"])
    ),
    "float images": python3_pickle(changed(data=np.zeros((COUNT, 3072), np.float32))),
    "int8 images": python3_pickle(changed(data=np.zeros((COUNT, 3072), np.int8))),
    "object images": python3_pickle(changed(data=np.zeros((COUNT, 3072), object))),
    "images of another shape": python2_pickle(changed(data=np.zeros((COUNT, 1024), np.uint8))),
    "too few images": python2_pickle(changed(data=changed()[b"data"][1:])),
    "too few labels": python2_pickle(changed(labels=[1] * (COUNT - 1))),
    "too many labels": python2_pickle(changed(labels=[1] * (COUNT + 1))),
    "label 10": python2_pickle(changed(labels=[10] * COUNT)),
    "label -1": python3_pickle(changed(labels=[-1] * COUNT)),
    "label True": python3_pickle(changed(labels=[True] * COUNT)),
    "label 1.0": python3_pickle(changed(labels=[1.0] * COUNT)),
    "text labels": python2_pickle(changed(labels=[b"cat"] * COUNT)),
    "test batch": python2_pickle(fields_of("test_batch")),
    "another training batch": python2_pickle(fields_of("data_batch_2")),
    "same images, right label": python2_pickle(changed(data=fake_batch("data_batch_2")[0])),
    "test images, right label": python2_pickle(changed(data=fake_batch("test_batch")[0])),
    "batches.meta": python2_pickle(META),
    "an idx file": struct.pack(">4i", 0x803, 1, 28, 28) + bytes(784),
}


@pytest.mark.parametrize("case", BAD_PICKLES)
def test_cifar10_bad_python_batch(tmp_path, case):
    folder = write_python(tmp_path)
    (folder / "data_batch_3").write_bytes(BAD_PICKLES[case])
    refuses("cifar10", tmp_path, "data_batch_3", folder)


@pytest.mark.parametrize("change", [
    {b"num_cases_per_batch": COUNT + 1}, {b"num_cases_per_batch": b"x"},
    {b"label_names": [b"cat"]}, {b"label_names": [b"cat"] * 10}, {b"label_names": 3},
])
def test_cifar10_bad_meta(tmp_path, change):
    (write_python(tmp_path) / "batches.meta").write_bytes(python2_pickle(META | change))
    refuses("cifar10", tmp_path, "cifar-10-batches-py")


@given(cut=st.integers(0, 66_000), byte=st.integers(0, 255), truncate=st.booleans())
@settings(max_examples=40, deadline=None)
def test_cifar10_damage_raises_data_error_or_nothing(tmp_path_factory, cut, byte, truncate):
    root = tmp_path_factory.mktemp("damage")
    path = write_python(root) / "data_batch_1"
    raw = bytearray(path.read_bytes())
    cut %= len(raw)
    if cut % 2:  # half of the cases hit the first 200 bytes, where the structure is
        cut %= 200
    raw[cut:] = b"" if truncate else bytes([byte]) + raw[cut + 1 :]
    path.write_bytes(raw)
    try:
        files.load("cifar10", root)
    except DataError as error:
        assert "data_batch_1" in str(error) and "\n" not in str(error)
    else:
        assert not truncate
    shutil.rmtree(root)


class Call:
    """Pickles as the call function(*arguments)."""

    def __init__(self, function, *arguments):
        self.call = function, arguments

    def __reduce__(self):
        return self.call


def hostile_pickles(marker):
    run = f"open({str(marker)!r}, 'w').close()"
    yield pickle.dumps({"data": Call(os.system, f"touch {marker}")}, 2)
    yield pickle.dumps({"data": Call(eval, run)}, 2)
    yield pickle.dumps({"data": Call(exec, run)}, 4)
    yield pickle.dumps({"data": Call(os.mkdir, str(marker))}, 0)
    yield b"cnumpy.testing._private.utils\nrunstring\n(V" + run.encode() + b"\n}tR."
    yield b"cnumpy.testing\nrundocs\n(V" + str(marker).encode() + b"\ntR."
    yield b"cnumpy\nsave\n(V" + str(marker).encode() + b"\nI0\ntR."
    yield b"cnumpy\nload\n(V" + str(marker).encode() + b"\ntR."
    yield b"cnumpy.core.multiarray\nfromfile\n(V" + str(marker).encode() + b"\ntR."
    yield b"\x80\x04\x8c\x05numpy\x8c\x0dsave.__call__\x93."
    yield b"\x80\x04\x8c\x05numpy\x8c\x11ndarray.__class__\x93."
    yield b"cbuiltins\ngetattr\n(cnumpy\nndarray\nVtofile\ntR."
    yield b"c__builtin__\neval\n(V" + run.encode() + b"\ntR."
    yield b"c_codecs\nlookup\n(Vutf8\ntR."


def test_hostile_pickles_run_nothing(tmp_path):
    folder, marker = write_python(tmp_path), tmp_path / "marker"
    for name in ("data_batch_1", "batches.meta"):
        sound = (folder / name).read_bytes()
        for hostile in hostile_pickles(marker):
            (folder / name).write_bytes(hostile)
            refuses("cifar10", tmp_path, name, "not allowed")
            assert not marker.exists()
        (folder / name).write_bytes(sound)


def test_the_hostile_pickles_are_live(tmp_path):
    marker = tmp_path / "marker"
    pickle.loads(next(hostile_pickles(marker)))
    assert marker.exists()


def binary_damage():
    images, labels = fake_batch("data_batch_3")
    sound = np.concatenate([labels[:, None], images], 1)
    yield "empty", b""
    yield "truncated", sound.tobytes()[:-1]
    yield "a record too many", sound.tobytes() + sound[:1].tobytes()
    yield "labels last", np.concatenate([images, labels[:, None]], 1).tobytes()
    yield "label 10", np.concatenate([labels[:, None] + np.uint8(1), images], 1).tobytes()
    yield "cifar-100 records", np.concatenate([labels[:, None], sound], 1).tobytes()
    other, other_labels = fake_batch("test_batch")
    yield "test batch", np.concatenate([other_labels[:, None], other], 1).tobytes()


BAD_BINARIES = dict(binary_damage())


@pytest.mark.parametrize("case", BAD_BINARIES)
def test_cifar10_bad_binary_batch(tmp_path, case):
    folder = write_binary(tmp_path)
    (folder / "data_batch_3.bin").write_bytes(BAD_BINARIES[case])
    refuses("cifar10", tmp_path, folder, "data_batch_3.bin")


def test_cifar10_test_batch_swapped_with_a_training_batch(tmp_path):
    folder = write_binary(tmp_path)
    (folder / "test_batch.bin").rename(folder / "x")
    (folder / "data_batch_3.bin").rename(folder / "test_batch.bin")
    (folder / "x").rename(folder / "data_batch_3.bin")
    refuses("cifar10", tmp_path, folder / "test_batch.bin", "not the test batch")


def test_cifar10_bad_binary_names(tmp_path):
    (write_binary(tmp_path) / "batches.meta.txt").write_text("cat\ndog\n")
    refuses("cifar10", tmp_path, "batches.meta.txt", "ten classes")


# Missing data


@pytest.mark.parametrize("name", ["cifar10", "mnist"])
def test_missing_data_says_how_to_get_it(tmp_path, name, monkeypatch):
    (tmp_path / "a file").write_text("x")
    (tmp_path / "empty").mkdir()
    command = f"python -m minidsr data fetch {name} --data-dir"
    refuses(name, tmp_path / "nowhere", tmp_path / "nowhere", "does not exist", command)
    refuses(name, tmp_path / "a file", "is not a folder", command)
    monkeypatch.chdir(tmp_path)
    refuses(name, "empty", f"under {tmp_path / 'empty'}", f"{command} {tmp_path / 'empty'}")


@pytest.mark.parametrize("missing", ["data_batch_4", "test_batch", "batches.meta"])
def test_cifar10_one_file_missing(tmp_path, missing):
    folder = write_python(tmp_path)
    (folder / missing).unlink()
    refuses("cifar10", tmp_path, missing, folder, "data fetch cifar10")
    (folder / missing).mkdir()  # a folder in its place is no better
    refuses("cifar10", tmp_path, missing, folder)


def test_unknown_name():
    refuses("cifar", "data", "'cifar'", "synthetic", "cifar10", "mnist")
    with pytest.raises(DataError, match="'cifar'.*cifar10, mnist"):
        files.fetch("cifar")


# MNIST


def idx(values):
    header = struct.pack(f">{1 + values.ndim}i", 0x800 + values.ndim, *values.shape)
    return header + values.tobytes()


def fake_mnist(train=12, test=5):
    rng = np.random.default_rng(0)
    raws = []
    for n in (train, test):
        raws.append(idx(rng.integers(0, 256, (n, 28, 28), dtype=np.uint8)))
        raws.append(idx(np.arange(n, dtype=np.uint8) % 10))
    return dict(zip(files.MNIST_FILES, raws, strict=True))


def write_mnist(folder, compress=()):
    folder.mkdir(parents=True, exist_ok=True)
    for name, raw in fake_mnist().items():
        if name in compress:
            (folder / f"{name}.gz").write_bytes(gzip.compress(raw))
        else:
            (folder / name).write_bytes(raw)


def test_mnist_plain_equals_compressed_equals_mixed(tmp_path):
    write_mnist(tmp_path / "plain")
    write_mnist(tmp_path / "gz", files.MNIST_FILES)
    write_mnist(tmp_path / "mixed", files.MNIST_FILES[1:3])
    d = files.load("mnist", tmp_path / "plain")
    assert d.train_x.shape == (12, 1, 28, 28) and d.test_x.shape == (5, 1, 28, 28)
    assert d.train_y.tolist() == [*range(10), 0, 1] and d.test_y.dtype == np.uint8
    assert d.train_x.tobytes() == fake_mnist()["train-images-idx3-ubyte"][16:]
    assert not d.augment and d.classes == tuple("0123456789")
    assert_same(d, files.load("mnist", tmp_path / "gz"))
    assert_same(d, files.load("mnist", tmp_path / "mixed"))


@pytest.mark.parametrize("folder", ["", "mnist", "MNIST/raw", "MNIST"])
def test_mnist_folders(tmp_path, folder):
    write_mnist(tmp_path / folder, files.MNIST_FILES)
    assert len(files.load("mnist", tmp_path).train_y) == 12


FAKE = fake_mnist()
TRAIN_IMAGES, TRAIN_LABELS, TEST_IMAGES, TEST_LABELS = files.MNIST_FILES
BAD_IDX = {
    "empty": (TRAIN_IMAGES, b""),
    "header cut": (TEST_LABELS, FAKE[TEST_LABELS][:6]),
    "truncated images": (TRAIN_IMAGES, FAKE[TRAIN_IMAGES][:-1]),
    "truncated labels": (TEST_LABELS, FAKE[TEST_LABELS][:-1]),
    "a byte too many": (TEST_LABELS, FAKE[TEST_LABELS] + b"\0"),
    "garbage": (TRAIN_LABELS, bytes(range(100, 200))),
    "images for labels": (TRAIN_LABELS, FAKE[TRAIN_IMAGES]),
    "labels for images": (TEST_IMAGES, FAKE[TEST_LABELS]),
    "label 10": (TEST_LABELS, idx(np.full(5, 10, np.uint8))),
    "other images": (TEST_IMAGES, idx(np.zeros((5, 27, 28), np.uint8))),
    "no image": (TEST_IMAGES, idx(np.zeros((0, 28, 28), np.uint8))),
    "other type": (TEST_LABELS, b"\0\0\x09\x01" + FAKE[TEST_LABELS][4:]),
    "negative size": (TEST_LABELS, struct.pack(">2i", 0x801, -5) + bytes(5)),
}


@pytest.mark.parametrize("compress", [False, True])
@pytest.mark.parametrize("case", BAD_IDX)
def test_mnist_bad_file(tmp_path, case, compress):
    name, raw = BAD_IDX[case]
    write_mnist(tmp_path, files.MNIST_FILES if compress else ())
    path = tmp_path / (f"{name}.gz" if compress else name)
    path.write_bytes(gzip.compress(raw) if compress else raw)
    refuses("mnist", tmp_path, path)


@pytest.mark.parametrize("raw", [
    b"not gzip",
    b"",
    gzip.compress(FAKE[TRAIN_IMAGES])[:-20],
    gzip.compress(FAKE[TRAIN_IMAGES])[:-8] + b"wrongcrc",
])
def test_mnist_bad_gzip(tmp_path, raw):
    write_mnist(tmp_path, files.MNIST_FILES)
    (tmp_path / f"{TRAIN_IMAGES}.gz").write_bytes(raw)
    refuses("mnist", tmp_path, tmp_path / f"{TRAIN_IMAGES}.gz")


def test_mnist_counts_must_agree(tmp_path):
    write_mnist(tmp_path)
    (tmp_path / TRAIN_LABELS).write_bytes(FAKE[TEST_LABELS])
    refuses("mnist", tmp_path, TRAIN_LABELS, "5 labels for 12 images")


def test_mnist_test_set_copied_over_training_set(tmp_path):
    write_mnist(tmp_path)
    shutil.copy(tmp_path / TEST_IMAGES, tmp_path / TRAIN_IMAGES)
    shutil.copy(tmp_path / TEST_LABELS, tmp_path / TRAIN_LABELS)
    refuses("mnist", tmp_path, TRAIN_IMAGES, "same images")


def test_real_mnist():
    if not REAL_MNIST.is_dir():
        pytest.skip(f"no MNIST in {REAL_MNIST}")
    d = files.load("mnist", REAL_MNIST)
    assert d.train_x.shape == (60_000, 1, 28, 28) and d.test_x.shape == (10_000, 1, 28, 28)
    test_counts = [980, 1135, 1032, 1010, 982, 892, 958, 1028, 974, 1009]
    assert np.bincount(d.test_y).tolist() == test_counts
    assert abs(d.train_x.mean() / 255 - d.mean[0]) < 5e-4
    assert abs(d.train_x.std() / 255 - d.std[0]) < 5e-4


# Download


class Server(http.server.BaseHTTPRequestHandler):
    """Serves `files` (name: bytes); `fault` says what goes wrong."""

    files: dict = {}
    fault = None
    requests: list = []

    def do_GET(self):
        name = self.path.rsplit("/", 1)[-1]
        self.requests.append(name)
        body = self.files.get(name)
        last = name == list(self.files)[-1]
        if body is None or (self.fault == "500" and last):
            return self.send_error(404 if body is None else 500)
        if self.fault == "garbage" and last:
            body = b"<html>busy</html>"
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body[: len(body) // 2] if self.fault == "half" and last else body)

    def log_message(self, *_):
        pass


@pytest.fixture
def server(monkeypatch):
    """start(name, files, fault) -> the address; SOURCES[name] then expects `files`."""
    pytest.importorskip("pooch")
    monkeypatch.setattr(files, "RETRIES", 0)
    http_server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Server)
    thread = threading.Thread(target=http_server.serve_forever, args=(0.02,))
    thread.start()
    address = f"http://127.0.0.1:{http_server.server_port}/"

    def start(name, files, fault=None):
        monkeypatch.setattr(Server, "files", files)
        monkeypatch.setattr(Server, "fault", fault)
        monkeypatch.setattr(Server, "requests", [])
        md5 = {file: hashlib.md5(raw).hexdigest() for file, raw in files.items()}
        monkeypatch.setitem(files.SOURCES, name, (address, files.SOURCES[name][1], md5))
        return address

    yield start
    http_server.shutdown()
    thread.join()
    http_server.server_close()


def mnist_download():
    return {f"{name}.gz": gzip.compress(raw) for name, raw in fake_mnist().items()}


def cifar_download(root, leave_out=None):
    buffer = io.BytesIO()
    write_python(root)
    with tarfile.open(fileobj=buffer, mode="w:gz") as tar:
        for path in sorted((root / "cifar-10-batches-py").iterdir()):
            if path.name != leave_out:
                tar.add(path, f"cifar-10-batches-py/{path.name}")
        tar.addfile(tarfile.TarInfo("../escaped"), io.BytesIO())
    return {"cifar-10-python.tar.gz": buffer.getvalue()}


def files_under(root):
    return sorted(str(path.relative_to(root)) for path in root.rglob("*") if path.is_file())


def test_fetch_mnist(tmp_path, server):
    server("mnist", mnist_download())
    folder = files.fetch("mnist", tmp_path / "new")
    assert folder == tmp_path / "new" / "MNIST" / "raw"
    assert sorted(path.name for path in folder.iterdir()) == sorted(mnist_download())
    assert len(files.load("mnist", tmp_path / "new").train_y) == 12
    assert os.listdir(tmp_path / "new") == ["MNIST"]  # nothing temporary is left
    Server.requests.clear()
    assert files.fetch("mnist", tmp_path / "new") == folder
    assert Server.requests == []


@pytest.mark.parametrize("form", ["http://x/", "http://x", "http://x/file.tar.gz"])
def test_fetch_cifar10_from_a_mirror(tmp_path, server, monkeypatch, form):
    files = cifar_download(tmp_path / "made")
    mirror = server("cifar10", files)
    _, folder, md5 = files.SOURCES["cifar10"]
    monkeypatch.setitem(files.SOURCES, "cifar10", ("http://127.0.0.1:1/", folder, md5))
    url = form.replace("http://x/", mirror).replace("http://x", mirror.rstrip("/"))
    url = url.replace("file.tar.gz", "cifar-10-python.tar.gz")
    root = tmp_path / "root"
    assert files.fetch("cifar10", root, url=url) == root / "cifar-10-batches-py"
    assert files_under(root) == sorted(f"cifar-10-batches-py/{n}" for n in files.PYTHON_FILES)
    assert_same(files.load("cifar10", root), files.load("cifar10", tmp_path / "made"))


def test_fetch_leaves_any_sound_layout_alone(tmp_path, server):
    folder = write_binary(tmp_path)
    server("cifar10", {})
    assert files.fetch("cifar10", tmp_path) == folder
    assert Server.requests == []


@pytest.mark.parametrize("suffix", ["", ".gz"])
@pytest.mark.parametrize("folder", ["MNIST/raw", "MNIST", "mnist", ""])
def test_fetch_mends_damaged_files(tmp_path, server, folder, suffix):
    server("mnist", mnist_download())
    write_mnist(tmp_path / folder, files.MNIST_FILES)
    (tmp_path / folder / f"{TRAIN_IMAGES}{suffix}").write_bytes(b"damaged")
    files.fetch("mnist", tmp_path)
    assert len(files.load("mnist", tmp_path).train_y) == 12


# pooch leaves the socket of a broken download to the garbage collector
@pytest.mark.filterwarnings("ignore::ResourceWarning")
@pytest.mark.parametrize("fault", ["500", "half", "garbage"])
@pytest.mark.parametrize("name", ["mnist", "cifar10"])
def test_fetch_failure_leaves_nothing(tmp_path, server, name, fault):
    files = mnist_download() if name == "mnist" else cifar_download(tmp_path / "made")
    server(name, files, fault)
    refuses_to_fetch(name, tmp_path / "root")


def test_fetch_connection_refused(tmp_path, server):
    server("mnist", mnist_download())
    refuses_to_fetch("mnist", tmp_path / "root", url="http://127.0.0.1:1/")
    refuses_to_fetch("mnist", tmp_path / "root", url="nonsense")


def test_fetch_archive_with_a_file_missing(tmp_path, server):
    server("cifar10", cifar_download(tmp_path / "made", leave_out="test_batch"))
    refuses_to_fetch("cifar10", tmp_path / "root", "test_batch")


def test_fetch_disk_error(tmp_path, server):
    server("mnist", mnist_download())
    (tmp_path / "file").write_text("x")
    refuses_to_fetch("mnist", tmp_path / "file" / "root")


def test_fetch_tries_again(tmp_path, server, monkeypatch):
    server("mnist", mnist_download(), "500")
    monkeypatch.setattr(files, "RETRIES", 2)
    monkeypatch.setattr(time, "sleep", lambda _: setattr(Server, "fault", None))
    files.fetch("mnist", tmp_path)
    assert len(Server.requests) == 5


def refuses_to_fetch(name, root, *words, **options):
    with pytest.raises(DataError) as caught:
        files.fetch(name, root, **options)
    line = str(caught.value)
    assert "\n" not in line and all(word in line for word in (name, *words)), line
    assert not root.exists() or list(root.iterdir()) == []


def test_fetch_without_pooch(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "pooch", None)
    with pytest.raises(DataError, match="pip install pooch"):
        files.fetch("mnist", tmp_path)


def test_fetch_synthetic_needs_no_download():
    with pytest.raises(DataError, match="'synthetic' needs no download"):
        files.fetch("synthetic")


# Synthetic


@pytest.fixture(scope="module")
def drawn():
    return files.load("synthetic", "no such folder")


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
    start = time.perf_counter()
    again = files.load("synthetic")
    assert time.perf_counter() - start < 8
    assert_same(drawn, again)


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
