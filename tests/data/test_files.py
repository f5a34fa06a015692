"""CIFAR-10 and MNIST on disk, and every way a file can be bad: data/files.py."""

import builtins
import gzip
import os
import pickle
import shutil
import struct
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from published import (
    BATCHES,
    COUNT,
    META,
    META100,
    NAMES,
    NAMES100,
    SMALL,
    TEST_IMAGES,
    TEST_LABELS,
    TRAIN_IMAGES,
    TRAIN_LABELS,
    assert_same,
    fake_batch,
    fake_batch100,
    fake_mnist,
    fields100,
    fields_of,
    idx,
    python2_pickle,
    python3_pickle,
    write_binary,
    write_binary100,
    write_mnist,
    write_python,
    write_python100,
)
from tiny import write_cifar100

from minidsr import Config, data
from minidsr.data import DataError, files
from minidsr.data.batches import normalise
from minidsr.data.files import MNIST_FILES
from minidsr.run.train import Trainer

REAL_MNIST = Path(__file__).parents[3] / "shared" / "data" / "mnist"


@pytest.fixture(autouse=True)
def small_binary_batches(monkeypatch):
    monkeypatch.setattr(files, "IMAGES", SMALL)


def refuses(name, folder, *words):
    """load() must raise DataError, on one line that has all `words`; returns the line."""
    with pytest.raises(DataError) as caught:
        data.load(name, folder)
    line = str(caught.value)
    assert "\n" not in line and all(str(word) in line for word in words), line
    return line


def test_cifar10_python_layout(tmp_path):
    write_python(tmp_path)
    d = data.load("cifar10", tmp_path)
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
    first = data.load("cifar10", tmp_path / "a")
    for root in (tmp_path / "b", tmp_path / "c", *folders):
        assert_same(first, data.load("cifar10", root))


def test_cifar10_accepts_file_names_as_batch_labels(tmp_path):
    folder = write_python(tmp_path)
    for name in BATCHES:
        (folder / name).write_bytes(python2_pickle(fields_of(name, label=name)))
    data.load("cifar10", str(tmp_path))


def test_cifar10_complete_layout_wins_over_a_partial_one(tmp_path):
    (write_python(tmp_path) / "test_batch").unlink()
    write_binary(tmp_path)
    assert len(data.load("cifar10", tmp_path).test_y) == COUNT


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
        data.load("cifar10", root)
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
    refuses("cifar10", tmp_path, "batches.meta.txt", "10 classes")


# CIFAR-100


def test_cifar100_layouts_agree(tmp_path):
    """The fine labels are read, of which a binary record has the second."""
    folders = write_python100(tmp_path / "a"), write_binary100(tmp_path / "b")
    write_python100(tmp_path / "c", lambda fields: pickle.dumps(fields, 5))
    d = data.load("cifar100", tmp_path / "a")
    for x, y, name in ((d.train_x, d.train_y, "train"), (d.test_x, d.test_y, "test")):
        images, labels = fake_batch100(name)
        np.testing.assert_array_equal(x, images.reshape(-1, 3, 32, 32))
        np.testing.assert_array_equal(y, labels)
    assert d.name == "cifar100" and d.classes == tuple(NAMES100) and d.augment
    for root in (tmp_path / "b", tmp_path / "c", *folders):
        assert_same(d, data.load("cifar100", root))


@pytest.mark.parametrize("model", ["small-cnn", "wrn-10-1"])
def test_networks_have_an_output_for_each_class_of_cifar100(tmp_path, model):
    folder = str(write_cifar100(tmp_path))
    trainer = Trainer(Config(data="cifar100", data_dir=folder, model=model, engine="blocked"))
    assert trainer.model.forward(normalise(trainer.dataset.test_x[:2], trainer.dataset)).shape \
        == (2, 100)


def changed100(name="train", **new):
    return fields100(name) | {key.encode(): value for key, value in new.items()}


UNEQUAL = fields100("train")[b"fine_labels"][:-1] + [0]


@pytest.mark.parametrize(("file", "fields", "said"), [
    ("train", changed100("test"), "says it is 'testing batch 1 of 1'"),
    ("test", changed100("train"), "says it is 'training batch 1 of 1'"),
    ("train", changed100(fine_labels=[100] * 200), "from 0 to 99"),
    ("train", changed100(fine_labels=[1] * 199), "must be uint8 (199, 3072)"),
    ("train", changed100(fine_labels=UNEQUAL), "classes differ in size"),
    ("test", changed100("test", data=fields100("train")[b"data"]), "(100, 3072)"),
    ("train", fields_of("data_batch_1"), "'fine_labels' is missing"),
    ("meta", META, "'fine_label_names' is missing"),
    ("meta", META100 | {b"fine_label_names": [b"cat"] * 100}, "must name 100 classes"),
    ("meta", META100 | {b"fine_label_names": [b"a\n%d" % i for i in range(100)]}, "one line of 1"),
])
def test_cifar100_bad_python_files(tmp_path, file, fields, said):
    folder = write_python100(tmp_path)
    (folder / file).write_bytes(python2_pickle(fields))
    refuses("cifar100", tmp_path, folder / file, said)


def test_cifar100_bad_binary_files(tmp_path):
    folder = write_binary100(tmp_path)
    sound = (folder / "train.bin").read_bytes()
    fine_first = np.frombuffer(sound, np.uint8).reshape(200, 3074).copy()
    fine_first[:, :2] = fine_first[:, 1::-1]
    for wrong, said in ((sound[:-1], "must have 614800 bytes"), (sound + b"0", "more than 614,800"),
                        (fine_first.tobytes(), "classes differ"), (sound[1:] + b"0", "0 to 99")):
        (folder / "train.bin").write_bytes(wrong)
        refuses("cifar100", tmp_path, folder / "train.bin", said)


# Missing data


@pytest.mark.parametrize("name", ["cifar10", "cifar100", "mnist"])
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


# MNIST


def test_mnist_plain_equals_compressed_equals_mixed(tmp_path):
    write_mnist(tmp_path / "plain")
    write_mnist(tmp_path / "gz", MNIST_FILES)
    write_mnist(tmp_path / "mixed", MNIST_FILES[1:3])
    d = data.load("mnist", tmp_path / "plain")
    assert d.train_x.shape == (12, 1, 28, 28) and d.test_x.shape == (5, 1, 28, 28)
    assert d.train_y.tolist() == [*range(10), 0, 1] and d.test_y.dtype == np.uint8
    assert d.train_x.tobytes() == fake_mnist()["train-images-idx3-ubyte"][16:]
    assert not d.augment and d.classes == tuple("0123456789")
    assert_same(d, data.load("mnist", tmp_path / "gz"))
    assert_same(d, data.load("mnist", tmp_path / "mixed"))


@pytest.mark.parametrize("folder", ["", "mnist", "MNIST/raw", "MNIST"])
def test_mnist_folders(tmp_path, folder):
    write_mnist(tmp_path / folder, MNIST_FILES)
    assert len(data.load("mnist", tmp_path).train_y) == 12


# Copies as people have them


def dotted(path):
    return path.with_name(path.name.replace("-idx", ".idx"))


def nested(path):  # Kaggle's
    path.rename(path.with_name("x"))
    path.mkdir()
    path.with_name("x").rename(path / path.name)
    return path / path.name


def renamed(path):
    return path.rename(dotted(path))


def packed_but_plain(path):
    path.write_bytes(gzip.compress(path.read_bytes()))
    return path


def plain_but_gz(path):
    return path.rename(path.with_name(f"{path.name}.gz"))


def twice(path):
    shutil.copy(path, dotted(path))
    return path


FORMS = (renamed, nested, packed_but_plain, plain_but_gz, twice)


@given(forms=st.tuples(*[st.sampled_from(FORMS)] * 4),
       folder=st.sampled_from(["", "mnist", "MNIST/raw", "MNIST", "raw"]))
def test_mnist_is_read_by_content_whatever_its_names(tmp_path_factory, forms, folder):
    root = tmp_path_factory.mktemp("copies")
    write_mnist(root / "sound")
    write_mnist(root / "other" / folder)
    paths = [form(root / "other" / folder / name)
             for form, name in zip(forms, MNIST_FILES, strict=True)]
    assert_same(data.load("mnist", root / "other"), data.load("mnist", root / "sound"))
    paths[0].write_bytes(b"damaged")
    refuses("mnist", root / "other", paths[0])


def test_cifar_is_read_packed_too(tmp_path):
    write_python(tmp_path / "a")
    folder = write_python(tmp_path / "b")
    packed_but_plain(folder / "data_batch_2")
    plain_but_gz(packed_but_plain(folder / "batches.meta"))
    assert_same(data.load("cifar10", tmp_path / "a"), data.load("cifar10", tmp_path / "b"))


def test_copies_that_differ_are_refused(tmp_path):
    write_mnist(tmp_path)
    other = tmp_path / "train-labels.idx1-ubyte"
    other.write_bytes(FAKE[TEST_LABELS])
    refuses("mnist", tmp_path, tmp_path / TRAIN_LABELS, other, "differ", "remove the wrong one")


def test_what_may_not_be_read_is_called_that(tmp_path, monkeypatch):
    """os.stat and open are told to refuse: root may read everything."""
    write_mnist(tmp_path)
    hidden = tmp_path / TEST_IMAGES

    def denied(function):
        def call(path, *args, **kwargs):
            if not isinstance(path, int) and Path(path) == hidden:
                raise PermissionError(13, "Permission denied", str(path))
            return function(path, *args, **kwargs)
        return call

    for place, name in ((os, "stat"), (builtins, "open")):
        with monkeypatch.context() as patch:
            patch.setattr(place, name, denied(getattr(place, name)))
            line = refuses("mnist", tmp_path, hidden, "Permission denied")
        assert "replace" not in line and "fetch" not in line


FAKE = fake_mnist()
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
    write_mnist(tmp_path, MNIST_FILES if compress else ())
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
    write_mnist(tmp_path, MNIST_FILES)
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


def test_real_mnist(monkeypatch):
    if not REAL_MNIST.is_dir():
        pytest.skip(f"no MNIST in {REAL_MNIST}")
    monkeypatch.undo()
    d = data.load("mnist", REAL_MNIST)
    assert d.train_x.shape == (60_000, 1, 28, 28) and d.test_x.shape == (10_000, 1, 28, 28)
    test_counts = [980, 1135, 1032, 1010, 982, 892, 958, 1028, 974, 1009]
    assert np.bincount(d.test_y).tolist() == test_counts
    assert abs(d.train_x.mean() / 255 - d.mean[0]) < 5e-4
    assert abs(d.train_x.std() / 255 - d.std[0]) < 5e-4
