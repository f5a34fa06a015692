"""CIFAR-10 and MNIST as files on disk: where they lie, how they are read, what is refused.

Files are as published. Every fault in one is a DataError, raised before training.
"""

import gzip
import io
import itertools
import os
import pickle
import shlex
import warnings
from pathlib import Path

import numpy as np

from .batches import Dataset

BINARY_RECORDS = 10_000  # images in one .bin file; the python layout says so in batches.meta

# File name -> the batch_label inside it, in training order; the test batch comes last.
BATCH_LABELS = {f"data_batch_{i}": f"training batch {i} of 5" for i in range(1, 6)}
BATCH_LABELS["test_batch"] = "testing batch 1 of 1"
PYTHON_FILES = (*BATCH_LABELS, "batches.meta")
BINARY_FILES = (*(f"{name}.bin" for name in BATCH_LABELS), "batches.meta.txt")
MNIST_FILES = ("train-images-idx3-ubyte", "train-labels-idx1-ubyte",
               "t10k-images-idx3-ubyte", "t10k-labels-idx1-ubyte")

# Data set -> (folder under data_dir, files that make it complete), in order of preference.
LAYOUTS = {
    "cifar10": (("cifar-10-batches-py", PYTHON_FILES), ("", PYTHON_FILES),
                ("cifar-10-batches-bin", BINARY_FILES), ("", BINARY_FILES)),
    "mnist": tuple((folder, MNIST_FILES) for folder in ("MNIST/raw", "MNIST", "mnist", "")),
}


class DataError(ValueError):
    """Data that cannot be had; the message is one line: what, in which file, and what to do."""


def cifar10(data_dir):
    """CIFAR-10 (Krizhevsky, 2009) in its python or binary layout; torchvision's root will do.

    Mean and standard deviation are those of the paper's published code.
    """
    folder, files = locate("cifar10", data_dir)
    classes, parts = (_read_python if files is PYTHON_FILES else _read_binary)(folder)
    _refuse_copies({folder / file: x for file, (x, _) in zip(files, parts, strict=False)})
    *train, test = parts
    if np.ptp(np.bincount(test[1], minlength=10)):  # published: as many images of each class
        raise _broken(folder / files[len(train)], "not the test batch: its classes differ in size")
    return Dataset(
        "cifar10", classes,
        np.concatenate([x for x, _ in train]).reshape(-1, 3, 32, 32),
        np.concatenate([y for _, y in train]),
        np.ascontiguousarray(test[0]).reshape(-1, 3, 32, 32), np.ascontiguousarray(test[1]),
        mean=(125.3 / 255, 123.0 / 255, 113.9 / 255),
        std=(63.0 / 255, 62.1 / 255, 66.7 / 255), augment=True)


def mnist(data_dir):
    """MNIST (LeCun et al., 1998) from its four idx files, plain or .gz; or torchvision's root."""
    folder, _ = locate("mnist", data_dir)
    paths = [_existing(folder / file) for file in MNIST_FILES]
    train_x, train_y, test_x, test_y = (_read_idx(path) for path in paths)
    for x, y, path in ((train_x, train_y, paths[1]), (test_x, test_y, paths[3])):
        if len(x) != len(y):
            raise _broken(path, f"{len(y)} labels for {len(x)} images")
    _refuse_copies({paths[0]: train_x, paths[2]: test_x})
    return Dataset(
        "mnist", tuple("0123456789"), train_x[:, None], train_y, test_x[:, None], test_y,
        mean=(0.1307,), std=(0.3081,), augment=False)


def locate(name, data_dir):
    """(folder, files) of the first of LAYOUTS[name] that is complete under `data_dir`."""
    root = Path(data_dir).absolute()
    hint = f"get it with: python -m minidsr data fetch {name} --data-dir {shlex.quote(str(root))}"
    if not os.path.isdir(root):
        fault = "is not a folder" if os.path.exists(root) else "does not exist"
        raise DataError(f"{name}: {root} {fault}; {hint}")
    fault = f"no {LAYOUTS[name][0][1][0]} and the files that belong to it under {root}"
    for subfolder, files in LAYOUTS[name]:
        paths = {file: _existing(root / subfolder / file) for file in files}
        missing = [file for file, path in paths.items() if not os.path.isfile(path)]
        if not missing:
            return root / subfolder, files
        if len(missing) < len(files):
            fault = f"no {missing[0]} in {root / subfolder}"
    raise DataError(f"{name}: {fault}; {hint}")


def _existing(path):
    """`path`, or its compressed twin where only that exists."""
    twin = path.with_name(path.name + ".gz")
    return twin if os.path.isfile(twin) and not os.path.isfile(path) else path


# CIFAR-10


def _read_python(folder):
    """(classes, [(images (n, 3072), labels (n,)) of each batch]) of the python layout."""
    meta = _unpickle(folder / "batches.meta", num_cases_per_batch=int, label_names=list)
    classes = _ten_classes(folder / "batches.meta", [_text(name) for name in meta["label_names"]])
    count = meta["num_cases_per_batch"]
    return classes, [_read_python_batch(folder / file, count) for file in BATCH_LABELS]


def _read_python_batch(path, count):
    fields = _unpickle(path, batch_label=(bytes, str), labels=list, data=np.ndarray)
    images, labels, title = fields["data"], fields["labels"], _text(fields["batch_label"])
    if title not in (BATCH_LABELS[path.name], path.name):
        raise _broken(path, f"says it is {title!r}, not {BATCH_LABELS[path.name]!r}")
    if images.dtype != np.uint8 or images.shape != (count, 3072):
        found = f"{images.dtype} {images.shape}"
        raise _broken(path, f"images must be uint8 ({count}, 3072), found {found}")
    if not all(type(label) is int and 0 <= label <= 9 for label in labels):
        raise _broken(path, "labels must be whole numbers from 0 to 9")
    if len(labels) != count:
        raise _broken(path, f"{len(labels)} labels for {count} images")
    return images, np.array(labels, np.uint8)


def _unpickle(path, **kinds):
    """The dict pickled in `path`, keys as str; `kinds`: fields it must have, and their types."""
    raw = _read(path)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # NumPy's, about how old pickles spell their dtypes
            fields = _ArrayUnpickler(io.BytesIO(raw), encoding="bytes").load()
        fields = {_text(key): value for key, value in fields.items()}
    except Exception as error:  # a damaged or hostile pickle can raise anything
        raise _broken(path, f"not a CIFAR-10 pickle ({one_line(error)})") from error
    for name, kind in kinds.items():
        if not isinstance(fields.get(name), kind):
            raise _broken(path, f"field {name!r} is missing or of the wrong type")
    return fields


class _ArrayUnpickler(pickle.Unpickler):
    """Builds arrays, lists, dicts, strings and numbers, and nothing else: no file can run code."""

    ALLOWED = (("numpy._core.multiarray", "_reconstruct"), ("numpy", "ndarray"),
               ("numpy", "dtype"), ("_codecs", "encode"))

    def find_class(self, module, name):
        module = module.replace("numpy.core", "numpy._core")  # its name before NumPy 2
        if (module, name) not in self.ALLOWED:
            raise pickle.UnpicklingError(f"{module}.{name} is not allowed")
        return super().find_class(module, name)


def _text(value):
    return value.decode("latin1") if isinstance(value, bytes) else value


def _read_binary(folder):
    """(classes, [(images (n, 3072), labels (n,)) of each batch]) of the binary layout."""
    names = _read(folder / "batches.meta.txt").decode("latin1").split()
    classes = _ten_classes(folder / "batches.meta.txt", names)
    return classes, [_read_binary_batch(folder / f"{name}.bin") for name in BATCH_LABELS]


def _read_binary_batch(path):
    raw, size = _read(path), BINARY_RECORDS * 3073  # one byte of label, 3072 of pixels
    if len(raw) != size:
        raise _broken(path, f"must have {size} bytes, has {len(raw)}")
    records = np.frombuffer(raw, np.uint8).reshape(-1, 3073)
    if records[:, 0].max() > 9:
        raise _broken(path, "labels must be whole numbers from 0 to 9")
    return records[:, 1:], records[:, 0]


def _ten_classes(path, names):
    if len(set(names)) != 10 or len(names) != 10:
        raise _broken(path, f"must name ten classes, names {len(names)}")
    return tuple(names)


# MNIST


def _read_idx(path):
    """Images (n, 28, 28) or labels (n,) of one MNIST file; its name says which it must be."""
    raw = _read(path)
    dims = 3 if "idx3" in path.name else 1
    header = np.frombuffer(raw[: 4 + 4 * dims].ljust(4 + 4 * dims, b"\0"), ">i4").tolist()
    kind, shape = header[0], tuple(header[1:])
    if kind != 0x800 + dims:  # 8: unsigned bytes
        raise _broken(path, f"magic number must be {0x800 + dims}, is {kind}")
    if shape[0] < 1 or shape[1:] not in ((), (28, 28)):
        raise _broken(path, f"shape must be (n, 28, 28) or (n,), is {shape}")
    if len(raw) != 4 + 4 * dims + int(np.prod(shape)):
        raise _broken(path, f"wrong number of bytes for shape {shape}")
    values = np.frombuffer(raw, np.uint8, offset=4 + 4 * dims).reshape(shape)
    if dims == 1 and values.max() > 9:
        raise _broken(path, "labels must be whole numbers from 0 to 9")
    return values


# What both need


def _read(path):
    """The bytes in `path`, decompressed if it ends in .gz."""
    try:
        raw = path.read_bytes()
        return gzip.decompress(raw) if path.suffix == ".gz" else raw
    except Exception as error:  # OSError, EOFError, zlib.error: all mean the same here
        raise _broken(path, f"cannot be read ({one_line(error)})") from error


def _refuse_copies(images):
    """DataError if two files (path: images) hold the same images: one was copied over another."""
    for (path, x), (other, z) in itertools.combinations(images.items(), 2):
        if np.array_equal(x, z):
            raise _broken(path, f"same images as {other.name}")


def _broken(path, fault):
    return DataError(f"{path}: {fault}; replace it with the published file")


def one_line(error):
    """Type and message of `error`, on one line."""
    return " ".join(f"{type(error).__name__}: {error}".split())
