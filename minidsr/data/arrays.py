"""Data sets of the user, as arrays: in memory, or in an .npz file."""

import math
import os

import numpy as np

from ..checks import shown
from ..reading import ReadingError, read_arrays
from .batches import DataError, Dataset

LIMIT = 1 << 34  # bytes of the arrays in a file; more belongs in a folder of images
AT_ONCE = 100  # images that are summed up at once
NAMES = ("train_x", "train_y", "test_x", "test_y")


def from_arrays(name, train_x, train_y, test_x, test_y, classes=None, *, augment=False):
    """A Dataset of these arrays. Mean and deviation are those of the training images.

    train_x, test_x  uint8 (N, C, H, W); or (N, H, W, C) where C is 1 or 3; or (N, H, W)
    train_y, test_y  whole numbers (N,), from 0 to classes - 1
    classes          their names; if left out, numbers, and each must label some image
    augment          are images shifted and mirrored, where --augment does not say so?

    Raises DataError, in one line, for anything else.
    """
    train_x, test_x = _images(name, "train_x", train_x), _images(name, "test_x", test_x)
    if train_x.shape[1:] != test_x.shape[1:]:
        raise DataError(f"{name}: train_x and test_x differ in the shape of an image, (C, H, W): "
                        f"{train_x.shape[1:]} and {test_x.shape[1:]}")
    train_y = _labels(name, "train_y", train_y, train_x)
    test_y = _labels(name, "test_y", test_y, test_x)
    most = max(int(train_y.max()), int(test_y.max()))
    used = np.union1d(train_y, test_y)
    if classes is None and len(used) <= most:
        missing = next(i for i, label in enumerate(used.tolist()) if i != label)
        raise DataError(f"{name}: labels must count from 0, and none is {missing} while the largest"
                        f" is {most}; or give classes, the names of all")
    names = tuple(map(str, range(most + 1) if classes is None else np.asarray(classes).ravel()))
    if most >= len(names) or len(names) > 1 << 16 or len(set(names)) < len(names):
        raise DataError(f"{name}: classes must be {most + 1} names or more, all different, as "
                        f"labels go up to {most}; found {shown(names)}")
    train_y, test_y = (y.astype(np.min_scalar_type(len(names) - 1)) for y in (train_y, test_y))
    mean, std = mean_and_std(name, train_x)
    return Dataset(name, names, train_x, train_y, test_x, test_y, mean, std, augment)


def npz(data_dir):
    """The Dataset in the .npz file at `data_dir`: train_x, train_y, test_x and test_y as
    from_arrays() takes them, and classes, if there are names."""
    if os.path.isdir(data_dir) or not os.path.exists(data_dir):
        fault = "is a folder" if os.path.isdir(data_dir) else "does not exist"
        raise DataError(f"npz: {data_dir} {fault}; --data-dir must be an .npz file with "
                        f"{', '.join(NAMES)}, and classes if you like")
    try:
        arrays = read_arrays(data_dir, LIMIT, texts=True)
    except ReadingError as error:
        raise DataError(f"{data_dir}: {error}") from error
    missing = [name for name in NAMES if name not in arrays]
    if missing:
        raise DataError(f"{data_dir}: no {missing[0]} in it, only {shown(sorted(arrays))}")
    return from_arrays(os.path.basename(data_dir), *(arrays[name] for name in NAMES),
                       arrays.get("classes"))


def mean_and_std(name, images):
    """(mean, std) of each channel of images, pixels in [0, 1]; from whole sums, so exact but for
    the last rounding."""
    sums, squares = np.zeros((2, images.shape[1]), np.uint64)
    for first in range(0, len(images), AT_ONCE):
        x = np.asarray(images[first:first + AT_ONCE])
        sums += x.sum((0, 2, 3), dtype=np.uint64)
        squares += np.square(x, dtype=np.uint32).sum((0, 2, 3), dtype=np.uint64)
    n = len(images) * math.prod(images.shape[2:])
    mean = tuple(s / (255 * n) for s in sums.tolist())
    std = tuple(math.sqrt((n * q - s * s) / (255 * n) ** 2)
                for s, q in zip(sums.tolist(), squares.tolist(), strict=True))
    if 0 in std:
        raise DataError(f"{name}: channel {std.index(0)} is the same in all training images, so "
                        "there is nothing to learn from it; leave it out")
    return mean, std


def _images(name, key, x):
    """`x` as (N, C, H, W)."""
    x = np.asarray(x)
    if x.dtype != np.uint8 or x.ndim not in (3, 4) or not x.size:
        raise DataError(f"{name}: {key} must be uint8, pixels from 0 to 255, (N, C, H, W) or (N, "
                        f"H, W, C) or (N, H, W), not {shown(x)}")
    if x.ndim == 3:
        return x[:, None]
    last = x.shape[3] in (1, 3) and x.shape[1] not in (1, 3)
    return np.ascontiguousarray(x.transpose(0, 3, 1, 2) if last else x)


def _labels(name, key, y, x):
    y = np.asarray(y)
    if y.dtype.kind not in "iu" or y.shape != (len(x),):
        raise DataError(f"{name}: {key} must be whole numbers ({len(x)},), one for each image, "
                        f"not {shown(y)}")
    if y.min() < 0:
        raise DataError(f"{name}: {key} must be 0 or more, not {y.min()}")
    return y
