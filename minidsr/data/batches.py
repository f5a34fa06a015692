"""A data set as plain arrays, and an epoch of it in batches: normalised, shifted, mirrored.

N images, C channels, H rows, W columns. Images stay uint8 until a batch is normalised: a quarter
of the memory of float32. Arrays may be NumPy's or CuPy's; images may also be LazyImages, which stay
on disk.
"""

import math
from dataclasses import dataclass, replace

import numpy as np

from ..backend import device_of, fuse, get_xp, to_device
from ..checks import check_class_names, check_whole, shown_shape
from ..shapes import check_classes

PARTS = ("train", "validation", "test")
PAD = 4  # pixels of reflection on each side before the random crop, as in the paper
SIDE, PIXELS = 2 ** 12, 2 ** 24  # the most of a side, and of an image with all its channels


class DataError(ValueError):
    """Data that cannot be had; the message is one line: what, in which file, and what to do."""


class LazyImages:
    """Images uint8 (N, C, H, W) that are read when they are needed: np.asarray(images[part]).

    To index with an array or a slice chooses images, and reads none.
    """

    dtype = np.dtype(np.uint8)

    def __init__(self, read, image, numbers, crop=None):
        """read     function of an array of numbers, of the images in all, which returns these,
                 uint8 (n, *image)
        numbers  those of the N images that are meant
        crop     function like read, of numbers and of draws (n, 4) in [0, 1), which returns a part
                 of each image: then training augments by this, and mirrors; not by shifts
        """
        self.read, self.image, self.numbers = read, tuple(image), np.asarray(numbers)
        self.crop = crop

    @property
    def shape(self):
        return (len(self.numbers), *self.image)

    def __len__(self):
        return len(self.numbers)

    def __getitem__(self, part):
        return LazyImages(self.read, self.image, self.numbers[part], self.crop)

    def cropped(self, draws):
        """A part of each image, uint8 (n, *image)."""
        return self.crop(self.numbers, draws)

    def __array__(self, dtype=None, copy=None):
        return np.asarray(self.read(self.numbers), dtype)


@dataclass(frozen=True)
class Dataset:
    """Images uint8 (N, C, H, W) and labels (N,), with what is needed to train on them.

    Labels are uint8, of more than 256 classes uint16.
    """

    name: str
    classes: tuple[str, ...]
    train_x: np.ndarray | LazyImages
    train_y: np.ndarray
    test_x: np.ndarray | LazyImages
    test_y: np.ndarray
    mean: tuple[float, ...]  # per channel, of pixels in [0, 1]; an array where training uses it
    std: tuple[float, ...]
    augment: bool  # whether training augments it unless told otherwise
    # What split() has set apart of the training images.
    validation_x: np.ndarray | LazyImages | None = None
    validation_y: np.ndarray | None = None

    def __post_init__(self):
        check_image(self.name, self.train_x.shape[1:])
        check_class_names(self.classes)
        for labels in (self.train_y, self.test_y):
            check_classes(labels, len(self.classes))

    def part(self, name):
        """(images, labels) of one of PARTS; (None, None) where there is none."""
        return getattr(self, f"{name}_x"), getattr(self, f"{name}_y")

    def sizes(self):
        """{part: how many images it has}"""
        labels = {name: self.part(name)[1] for name in PARTS}
        return {name: 0 if y is None else len(y) for name, y in labels.items()}

    def to(self, device):
        """The same with its arrays on `device`, 'cpu' or 'gpu'; mean and deviation, too. Lazy
        images go there when they are read."""
        arrays = {f"{name}_{axis}": getattr(self, f"{name}_{axis}") for axis in "xy"
                  for name in PARTS}
        arrays |= {name: np.float32(getattr(self, name)) for name in ("mean", "std")}
        return replace(self, **{name: to_device(a, device) for name, a in arrays.items()
                                if a is not None and not isinstance(a, LazyImages)})


def check_image(name, image):
    """Raise DataError where images (C, H, W) are larger than a network could take."""
    if max(image) > SIDE or math.prod(image) > PIXELS:
        raise DataError(f"{name}: an image may have {PIXELS:,} numbers, and sides of {SIDE:,}, not "
                        f"{shown_shape(image)}")


def split(dataset, rng, *, validation=0, train_images=None):
    """The same with `validation` of its training images set apart, and `train_images` of the others
    to train on, or all of them; both drawn by `rng`, in the order they had.

    The images set apart do not depend on `train_images`, and fewer of these are among more. Raises
    ValueError where there are not so many.
    """
    n = len(dataset.train_y)
    check_whole("validation", validation, 0, n - 1)
    left = n - validation
    check_whole("train_images", left if train_images is None else train_images, 1, left)
    order = rng.permutation(n)
    x, y = dataset.part("train")
    apart, kept = np.sort(order[:validation]), np.sort(order[validation:][:train_images])
    if len(kept) < n:
        dataset = replace(dataset, train_x=x[kept], train_y=y[kept])
    if validation:
        dataset = replace(dataset, validation_x=x[apart], validation_y=y[apart])
    return dataset


def normalise(x, dataset, dtype=np.float32):
    """Pixels (n, C, H, W) uint8 -> (x/255 - mean) / std per channel, as `dtype`. Lazy images are
    read, onto the device of the labels."""
    x = _read(x, dataset)
    mean, std = (get_xp(x).asarray(numbers, dtype)[:, None, None]  # (C, 1, 1)
                 for numbers in (dataset.mean, dataset.std))
    return _normalised(x, mean, std)


@fuse
def _normalised(x, mean, std):
    return (x - 255 * mean) / (255 * std)


def augment(x, shift, flip):
    """Reflect-pad each image by PAD, crop it at `shift`, mirror it where `flip` (as the paper).

    x (n, C, H, W), at least 5 x 5 pixels; shift int (n, 2), row and column in [0, 2 PAD]: PAD is
    no shift; flip bool (n,); all on one device. The three steps only choose pixels, so they are one
    gather.
    """
    xp = get_xp(x)
    n, c, h, w = x.shape
    rows = _reflect(xp.arange(h) + shift[:, :1] - PAD, h)  # (n, H)
    cols = _reflect(xp.arange(w) + shift[:, 1:] - PAD, w)  # (n, W)
    cols = xp.where(flip[:, None], cols[:, ::-1], cols)
    plane = xp.arange(n * c).reshape(n, c, 1, 1)
    # Flat positions: three times as fast as indexing with one array per axis.
    return xp.take(x, (plane * h + rows[:, None, :, None]) * w + cols[:, None, None, :])


def batches(dataset, batch, rng, *, start=0, augmented):
    """Yield one epoch's training batches from number `start`: (x float32 normalised, y).

    rng  numpy.random.Generator, which the caller makes anew for each epoch

    Each training image comes once; the last batch is smaller if `batch` does not divide N. Order,
    shifts, flips and, last, crops are drawn for the whole epoch first, so a batch is a function
    of the arguments alone, with `rng` as it then was: a resumed run needs no saved state, and
    neither `batch` nor `augmented` nor `start` changes a draw.
    """
    check_whole("batch", batch, 1)
    check_whole("start", start)
    lazy = isinstance(dataset.train_x, LazyImages)
    crops = augmented and lazy and dataset.train_x.crop is not None
    height, width = dataset.train_x.shape[2:]
    if augmented and not crops and min(height, width) <= PAD:
        raise DataError(f"{dataset.name}: images of {height} x {width} pixels are too small to "
                        "augment; leave out --augment")
    n = len(dataset.train_y)
    asarray = get_xp(dataset.train_y).asarray  # on the device that trains, once an epoch
    hosted = rng.permutation(n)
    order = asarray(hosted)
    shift = asarray(rng.integers(0, 2 * PAD + 1, (n, 2)))
    flip = asarray(rng.random(n) < 0.5)
    draws = rng.random((n, 4)) if crops else None
    images = hosted if lazy else order  # their order
    for first in range(start * batch, n, batch):
        part = slice(first, first + batch)
        x = dataset.train_x[images[part]]
        if crops:
            x = to_device(x.cropped(draws[part]), device_of(dataset.train_y))
            x = get_xp(x).where(flip[part, None, None, None], x[..., ::-1], x)
        elif augmented:
            x = augment(_read(x, dataset), shift[part], flip[part])
        yield normalise(x, dataset), dataset.train_y[order[part]]


def _read(x, dataset):
    """Images `x` as an array: lazy ones are read, onto the device of the labels."""
    return to_device(np.asarray(x), device_of(dataset.train_y)) if isinstance(x, LazyImages) else x


def _reflect(i, length):
    """Positions up to PAD outside 0..length-1, mirrored back inside; the edge is not repeated."""
    return length - 1 - abs(length - 1 - abs(i))
