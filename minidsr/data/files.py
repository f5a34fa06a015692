"""CIFAR-10, CIFAR-100 and MNIST as files on disk: where they lie, how they are read, what is
refused.

Contents are as published; files may be gzipped, and named as people have them. Every fault in one
is a DataError, raised before training.
"""

import itertools
import os
import shlex
import stat
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ..checks import check_class_names
from ..reading import ReadingError, one_line, read_bytes
from .batches import DataError, Dataset
from .unpickle import text, unpickle


@dataclass(frozen=True)
class _Cifar:
    """What the files of CIFAR-10 and of CIFAR-100 differ in."""

    titles: dict[str, str]  # batch -> the batch_label inside it; the test batch comes last
    meta: str  # file of class names in the python layout
    names: str  # their field in it
    binary_names: str  # file of class names in the binary layout
    labels: str  # field of labels in a batch of the python layout
    label_bytes: int  # in a record of the binary layout; the last is the label
    classes: int
    balanced: tuple[str, ...]  # batches with as many images of each class

    @property
    def python_files(self):
        return (*self.titles, self.meta)

    @property
    def binary_files(self):
        return (*(f"{name}.bin" for name in self.titles), self.binary_names)


CIFAR10 = _Cifar(
    titles={f"data_batch_{i}": f"training batch {i} of 5" for i in range(1, 6)}
    | {"test_batch": "testing batch 1 of 1"},
    meta="batches.meta", names="label_names", binary_names="batches.meta.txt", labels="labels",
    label_bytes=1, classes=10, balanced=("test_batch",))
CIFAR100 = _Cifar(
    titles={"train": "training batch 1 of 1", "test": "testing batch 1 of 1"},
    meta="meta", names="fine_label_names", binary_names="fine_label_names.txt",
    labels="fine_labels", label_bytes=2, classes=100, balanced=("train", "test"))
MNIST_FILES = ("train-images-idx3-ubyte", "train-labels-idx1-ubyte",
               "t10k-images-idx3-ubyte", "t10k-labels-idx1-ubyte")

# Images in each published file; it bounds how many bytes are read of one.
IMAGES = {**dict.fromkeys(CIFAR10.titles, 10_000), "train": 50_000, "test": 10_000,
          **dict.fromkeys(MNIST_FILES, 60_000)}
# Protocol 2 of Python 3 writes most bytes as two, and 50 for each file name.
PICKLED_IMAGE, NAMES_LIMIT = 2 * 3072 + 256, 1 << 16

# Data set -> (folder under data_dir, files that make it complete), in order of preference.
LAYOUTS = {
    "cifar10": tuple((folder, files) for name, files in (
        ("cifar-10-batches-py", CIFAR10.python_files),
        ("cifar-10-batches-bin", CIFAR10.binary_files)) for folder in (name, "")),
    "cifar100": tuple((folder, files) for name, files in (
        ("cifar-100-python", CIFAR100.python_files),
        ("cifar-100-binary", CIFAR100.binary_files)) for folder in (name, "")),
    "mnist": tuple((folder, MNIST_FILES) for folder in ("MNIST/raw", "MNIST", "mnist", "raw", "")),
}


def cifar10(data_dir):
    """CIFAR-10 (Krizhevsky, 2009) in its python or binary layout; torchvision's root will do.

    Mean and standard deviation are those of the paper's published code.
    """
    return Dataset("cifar10", *_cifar("cifar10", CIFAR10, data_dir),
                   mean=(125.3 / 255, 123.0 / 255, 113.9 / 255),
                   std=(63.0 / 255, 62.1 / 255, 66.7 / 255), augment=True)


def cifar100(data_dir):
    """CIFAR-100 (Krizhevsky, 2009) with its 100 fine classes, in its python or binary layout.

    The paper has none of it. Mean and standard deviation are those that most published programs
    use: of all pixels of the training images.
    """
    return Dataset("cifar100", *_cifar("cifar100", CIFAR100, data_dir),
                   mean=(0.5071, 0.4865, 0.4409), std=(0.2673, 0.2564, 0.2762), augment=True)


def mnist(data_dir):
    """MNIST (LeCun et al., 1998) from its four idx files; or torchvision's root."""
    folder, _ = locate("mnist", data_dir)
    (path, train_x), (train_labels, train_y), (test_path, test_x), (test_labels, test_y) = (
        _read_idx(folder / file) for file in MNIST_FILES)
    for x, y, labels in ((train_x, train_y, train_labels), (test_x, test_y, test_labels)):
        if len(x) != len(y):
            raise _broken(labels, f"{len(y)} labels for {len(x)} images")
    _refuse_copies({path: train_x, test_path: test_x})
    return Dataset(
        "mnist", tuple("0123456789"), train_x[:, None], train_y, test_x[:, None], test_y,
        mean=(0.1307,), std=(0.3081,), augment=False)


def locate(name, data_dir):
    """(folder, files) of the first of LAYOUTS[name] that is complete under `data_dir`."""
    root = Path(data_dir).absolute()
    hint = f"get it with: python -m minidsr data fetch {name} --data-dir {shlex.quote(str(root))}"
    if not stat.S_ISDIR(_mode(root)):
        fault = "is not a folder" if _mode(root) else "does not exist"
        raise DataError(f"{name}: {root} {fault}; {hint}")
    fault = f"no {LAYOUTS[name][0][1][0]} and the files that belong to it under {root}"
    for subfolder, files in LAYOUTS[name]:
        missing = [file for file in files if not copies(root / subfolder / file)]
        if not missing:
            return root / subfolder, files
        if len(missing) < len(files):
            fault = f"no {missing[0]} in {root / subfolder}"
    raise DataError(f"{name}: {fault}; {hint}")


def copies(path):
    """Where the file `path` lies as people have it: so, or gzipped, or with a dot (idx files), or
    in a folder of its own name."""
    dotted = path.with_name(path.name.replace("-idx", ".idx"))
    forms = [form for p in (path, dotted)
             for form in (p, p.with_name(f"{p.name}.gz"), p / p.name)]
    return [form for form in dict.fromkeys(forms) if _mode(form) and not stat.S_ISDIR(_mode(form))]


def _mode(path):
    """st_mode of what is at `path`, 0 where nothing is. DataError where that may not be known."""
    try:
        return os.stat(path).st_mode
    except PermissionError as error:
        raise DataError(f"{path}: {error.strerror}") from error
    except (OSError, ValueError):  # none, or a name that can have none
        return 0


# CIFAR


def _cifar(name, kind, data_dir):
    """(classes, train_x, train_y, test_x, test_y) of CIFAR-10 or CIFAR-100."""
    folder, files = locate(name, data_dir)
    read = _read_python if files == kind.python_files else _read_binary
    classes, batches = read(folder, kind)
    _refuse_copies({path: x for path, x, _ in batches})
    for title, (path, _, y) in zip(kind.titles, batches, strict=True):
        if title in kind.balanced and np.ptp(np.bincount(y, minlength=kind.classes)):
            raise _broken(path, f"not the {title.replace('_', ' ')}: its classes differ in size")
    *train, test = batches
    return (classes, np.concatenate([x for _, x, _ in train]).reshape(-1, 3, 32, 32),
            np.concatenate([y for _, _, y in train]),
            np.ascontiguousarray(test[1]).reshape(-1, 3, 32, 32), np.ascontiguousarray(test[2]))


def _read_python(folder, kind):
    """(classes, [(path, images (n, 3072), labels (n,)) of each batch]) of the python layout."""
    counts = {"num_cases_per_batch": int} if kind is CIFAR10 else {}
    path, meta = _unpickled(folder / kind.meta, NAMES_LIMIT, **{kind.names: list}, **counts)
    classes = _classes(path, kind, meta[kind.names])
    count = meta["num_cases_per_batch"] if counts else None
    return classes, [_read_python_batch(folder / file, kind, count) for file in kind.titles]


def _read_python_batch(path, kind, count):
    title, limit = kind.titles[path.name], IMAGES[path.name] * PICKLED_IMAGE + NAMES_LIMIT
    names = (title, path.name)
    path, fields = _unpickled(path, limit, **{"batch_label": (bytes, str), kind.labels: list,
                                              "data": np.ndarray})
    images, labels, found = fields["data"], fields[kind.labels], text(fields["batch_label"])
    if found not in names:
        raise _broken(path, f"says it is {found[:40]!r}, not {title!r}")
    count = len(labels) if count is None else count
    if images.shape != (count, 3072):
        raise _broken(path, f"images must be uint8 ({count}, 3072), found {images.shape}")
    if not all(type(label) is int and 0 <= label < kind.classes for label in labels):
        raise _broken(path, f"labels must be whole numbers from 0 to {kind.classes - 1}")
    if len(labels) != count:
        raise _broken(path, f"{len(labels)} labels for {count} images")
    return path, images, np.array(labels, np.uint8)


def _unpickled(path, limit, **kinds):
    """(path as it is, the dict pickled in it); `kinds`: fields it must have, and their types."""
    path, raw = _read(path, limit)
    try:
        fields = unpickle(raw)
    except Exception as error:  # a damaged or hostile pickle can raise anything
        raise _broken(path, f"not a CIFAR pickle ({one_line(error)})") from error
    for name, kind in kinds.items():
        if not isinstance(fields.get(name), kind):
            raise _broken(path, f"field {name!r} is missing or of the wrong type")
    return path, fields


def _read_binary(folder, kind):
    """(classes, [(path, images (n, 3072), labels (n,)) of each batch]) of the binary layout."""
    path, raw = _read(folder / kind.binary_names, NAMES_LIMIT)
    classes = _classes(path, kind, text(raw).split())
    return classes, [_read_binary_batch(folder / f"{name}.bin", kind) for name in kind.titles]


def _read_binary_batch(path, kind):
    record = kind.label_bytes + 3072
    size = IMAGES[path.stem] * record
    path, raw = _read(path, size)
    if len(raw) != size:
        raise _broken(path, f"must have {size} bytes, has {len(raw)}")
    records = np.frombuffer(raw, np.uint8).reshape(-1, record)
    labels = records[:, kind.label_bytes - 1]
    if labels.max() >= kind.classes:
        raise _broken(path, f"labels must be whole numbers from 0 to {kind.classes - 1}")
    return path, records[:, kind.label_bytes:], labels


def _classes(path, kind, names):
    if not all(type(name) in (bytes, str) for name in names):
        raise _broken(path, "names of classes must be texts")
    names = tuple(map(text, names))
    if len(set(names)) != kind.classes or len(names) != kind.classes:
        raise _broken(path, f"must name {kind.classes} classes, names {len(names)}")
    try:
        check_class_names(names)
    except ValueError as error:
        raise _broken(path, error) from None
    return names


# MNIST


def _read_idx(path):
    """(path as it is, images (n, 28, 28) or labels (n,)) of one MNIST file; its name says which."""
    dims, values = (3, 28 * 28) if "idx3" in path.name else (1, 1)
    start = 4 + 4 * dims
    path, raw = _read(path, start + IMAGES[path.name] * values)
    header = np.frombuffer(raw[:start].ljust(start, b"\0"), ">i4").tolist()
    kind, shape = header[0], tuple(header[1:])
    if kind != 0x800 + dims:  # 8: unsigned bytes
        raise _broken(path, f"magic number must be {0x800 + dims}, is {kind}")
    if shape[0] < 1 or shape[1:] not in ((), (28, 28)):
        raise _broken(path, f"shape must be (n, 28, 28) or (n,), is {shape}")
    if len(raw) != start + shape[0] * values:
        raise _broken(path, f"wrong number of bytes for shape {shape}")
    values = np.frombuffer(raw, np.uint8, offset=start).reshape(shape)
    if dims == 1 and values.max() > 9:
        raise _broken(path, "labels must be whole numbers from 0 to 9")
    return path, values


# What all need


def _read(path, limit):
    """(path as it is, its content, unpacked where that is gzip's) of the file `path`; where it is
    there more than once, all must be equal."""
    first, *others = copies(path) or [path]
    content = _read_one(first, limit)
    for other in others:
        if _read_one(other, limit) != content:
            raise DataError(f"{first} and {other} differ: remove the wrong one")
    return first, content


def _read_one(path, limit):
    try:
        return read_bytes(path, limit)
    except ReadingError as error:
        if isinstance(error.__cause__, PermissionError):
            raise DataError(f"{path}: {error}") from error
        raise _broken(path, f"cannot be read ({error})") from error


def _refuse_copies(images):
    """DataError if two files (path: images) hold the same images: one was copied over another."""
    for (path, x), (other, z) in itertools.combinations(images.items(), 2):
        if np.array_equal(x, z):
            raise _broken(path, f"same images as {other.name}")


def _broken(path, fault):
    return DataError(f"{path}: {fault}; replace it with the published file")
