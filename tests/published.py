"""Small data sets in the published forms of CIFAR-10, CIFAR-100 and MNIST, file by file.

write_python, write_binary and write_mnist make a sound one, of COUNT images a batch of CIFAR-10 and
of 12 and 5 images of MNIST; write_python100 and write_binary100 one of CIFAR-100, with 200 and 100
images. Tests damage it. SMALL says how many images a file of the binary layout has.
"""

import gzip
import pickle
import struct

import numpy as np

from minidsr.data import files

COUNT = 20  # images in one batch of CIFAR-10
SMALL = {**dict.fromkeys(files.CIFAR10.titles, COUNT), "train": 200, "test": 100,
         **dict.fromkeys(files.MNIST_FILES, 60)}
NAMES = "airplane automobile bird cat deer dog frog horse ship truck".split()
BATCHES = [f"data_batch_{i}" for i in range(1, 6)] + ["test_batch"]
TRAIN_IMAGES, TRAIN_LABELS, TEST_IMAGES, TEST_LABELS = files.MNIST_FILES


def assert_same(a, b):
    assert a.classes == b.classes
    for field in ("train_x", "train_y", "test_x", "test_y"):
        np.testing.assert_array_equal(getattr(a, field), getattr(b, field))


# CIFAR-10


def _text(raw):
    short = len(raw) < 256
    return (b"U" + bytes([len(raw)]) if short else b"T" + struct.pack("<i", len(raw))) + raw


def python2_pickle(fields):
    """`fields` as Python 2 pickled the published batches; Python 3 cannot write this form."""
    out = [b"\x80\x02}("]
    for key, value in fields.items():
        out.append(_text(key))
        if isinstance(value, bytes):
            out.append(_text(value))
        elif isinstance(value, int):
            out.append(b"J" + struct.pack("<i", value))
        elif isinstance(value, list):
            items = [_text(v) if isinstance(v, bytes) else b"K" + bytes([v]) for v in value]
            out.append(b"](" + b"".join(items) + b"e")
        else:
            out.append(
                b"cnumpy.core.multiarray\n_reconstruct\ncnumpy\nndarray\nK\x00\x85U\x01b\x87R(K\x01"
                + b"".join(b"M" + struct.pack("<H", side) for side in value.shape)
                + b"\x86cnumpy\ndtype\nU\x02u1K\x00K\x01\x87R(K\x03U\x01|NNNJ\xff\xff\xff\xff"
                b"J\xff\xff\xff\xffK\x00tb\x89" + _text(value.tobytes()) + b"tb"
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
        b"batch_label": (label or files.CIFAR10.titles[name]).encode(),
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
    return _written(root / "cifar-10-batches-py", {
        **{name: dump(fields_of(name)) for name in BATCHES}, "batches.meta": dump(META)})


def write_binary(root):
    return _written(root / "cifar-10-batches-bin", {
        **{f"{name}.bin": _records(*fake_batch(name)) for name in BATCHES},
        "batches.meta.txt": ("\n".join(NAMES) + "\n\n").encode()})


def _records(images, *labels):
    """The bytes of a batch in the binary layout: of each image its labels, then its pixels."""
    return np.concatenate([np.stack(labels, 1), images], 1).tobytes()


def _written(folder, files):
    """A new folder with these files, {name: content}."""
    folder.mkdir(parents=True)
    for name, content in files.items():
        (folder / name).write_bytes(content)
    return folder


# CIFAR-100

NAMES100 = [f"class_{i}" for i in range(100)]
META100 = {
    b"fine_label_names": [name.encode() for name in NAMES100],
    b"coarse_label_names": [f"group_{i}".encode() for i in range(20)],
}


def fake_batch100(name):
    rng, n = np.random.default_rng(SMALL[name]), SMALL[name]
    labels = rng.permutation(n) % 100
    return rng.integers(0, 256, (n, 3072), dtype=np.uint8), labels.astype(np.uint8)


def fields100(name):
    images, labels = fake_batch100(name)
    return {
        b"filenames": [b"x.png"] * len(labels),
        b"batch_label": files.CIFAR100.titles[name].encode(),
        b"fine_labels": labels.tolist(),
        b"coarse_labels": (labels // 5).tolist(),
        b"data": images,
    }


def write_python100(root, dump=python2_pickle):
    return _written(root / "cifar-100-python", {
        "train": dump(fields100("train")), "test": dump(fields100("test")), "meta": dump(META100)})


def write_binary100(root):
    files = {"fine_label_names.txt": ("\n".join(NAMES100) + "\n").encode()}
    for name in ("train", "test"):
        images, labels = fake_batch100(name)
        files[f"{name}.bin"] = _records(images, labels // 5, labels)  # coarse, then fine
    return _written(root / "cifar-100-binary", files)


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
