"""A data set of the user, as a folder of images, a folder for each class:

    photos/train/cat/1.png    photos/train/dog/7.jpg    photos/test/cat/3.png    ...

A batch is decoded when it is needed, so memory does not depend on how many there are. Classes and
files are in the order of their names. It needs Pillow.
"""

import os
from pathlib import Path

import numpy as np

from ..checks import shown
from ..reading import one_line
from .arrays import mean_and_std
from .batches import DataError, Dataset, LazyImages, check_image

ENDINGS = (".png", ".jpg", ".jpeg", ".bmp", ".ppm", ".pgm", ".webp", ".tif", ".tiff")
FORMATS = ("PNG", "JPEG", "BMP", "PPM", "WEBP", "TIFF")  # whatever the ending
GREY, COLOURED = ("1", "L", "LA"), ("P", "RGB", "RGBA", "CMYK", "YCbCr")  # modes, of 8 bits
SAMPLE = 10_000  # training images that mean and deviation are taken from, at most


def image_folder(data_dir):
    """The Dataset of the images in data_dir/train/CLASS and data_dir/test/CLASS.

    All have one size. They are grey, (1, H, W), if all are, else RGB; transparency is left out.
    Mean and deviation are those of at most SAMPLE training images, evenly spaced. Raises DataError,
    in one line, where files are missing or do not fit. Headers are read at the start; a file that
    turns out to be damaged when it is needed is a DataError then.
    """
    try:
        import PIL  # noqa: F401
    except ImportError:
        raise DataError("folder: images need Pillow: pip install pillow") from None
    root = Path(data_dir)
    classes = _folders(root / "train")
    if _folders(root / "test") != classes:
        odd = sorted(set(classes) ^ set(_folders(root / "test")))[0]
        raise DataError(f"folder: train and test in {root} must have the same classes, and "
                        f"{shown(odd)} is in one of them only")
    paths, labels, count = [], [], []
    for split in ("train", "test"):
        for label, name in enumerate(classes):
            found = _files(root / split / name)
            paths += found
            labels += [label] * len(found)
        count.append(len(paths))
    image = _common(paths)
    y = np.array(labels, np.min_scalar_type(len(classes) - 1))
    images = LazyImages(lambda numbers: np.stack([_decoded(paths[i], image) for i in numbers]),
                        image, np.arange(len(paths)))
    train, test = slice(count[0]), slice(count[0], None)
    mean, std = mean_and_std(f"folder {root}", images[train][::-(-count[0] // SAMPLE)])
    return Dataset("folder", classes, images[train], y[train], images[test], y[test], mean, std,
                   augment=False)


def _folders(path):
    """The names of the folders in `path`, sorted."""
    try:
        with os.scandir(path) as entries:
            names = sorted(e.name for e in entries if e.is_dir() and not e.name.startswith("."))
    except OSError as error:
        raise DataError(f"folder: {path}: {error.strerror}; --data-dir must have train/CLASS/*.png "
                        "or .jpg, and test/CLASS/* with the same classes") from None
    if not names:
        raise DataError(f"folder: {path} has no folders; it needs one for each class")
    return tuple(names)


def _files(path):
    """The paths of the images in the folder of a class, sorted."""
    with os.scandir(path) as entries:
        names = sorted(e.name for e in entries
                       if e.is_file() and e.name.lower().endswith(ENDINGS)
                       and not e.name.startswith("."))
    if not names:
        raise DataError(f"folder: {path} has no images ({' '.join(ENDINGS)})")
    return [os.path.join(path, name) for name in names]


def _common(paths):
    """(C, H, W) of all these images, by their headers."""
    modes, size = set(), None
    for path in paths:
        with _opened(path) as file:
            if file.mode not in GREY + COLOURED:
                raise DataError(f"{path}: pixels of the kind {file.mode}; convert it to RGB, or to "
                                "grey of 8 bits")
            size = size or file.size
            if file.size != size:
                raise DataError(
                    f"{path}: {file.width} x {file.height} pixels, {paths[0]} has {size[0]} x "
                    f"{size[1]}; resize all to one size, as ImageMagick does: mogrify -resize "
                    "'64x64^' -gravity center -extent 64x64 FILES")
            modes.add(file.mode)
    image = (1 if modes <= set(GREY) else 3, *reversed(size))
    check_image(paths[0], image)
    return image


def _decoded(path, image):
    """The pixels of a file, uint8 (C, H, W)."""
    with _opened(path) as file:
        try:
            pixels = np.asarray(file.convert("L" if image[0] == 1 else "RGB"))
        except Exception as error:  # a damaged file may raise anything
            raise DataError(f"{path}: cannot be decoded ({one_line(error)})") from None
    pixels = pixels.reshape(*pixels.shape[:2], image[0]).transpose(2, 0, 1)
    if pixels.shape != image:
        raise DataError(f"{path}: has changed, it has another size now")
    return pixels


def _opened(path):
    """The Image in a file, of which the header is read."""
    from PIL import Image

    try:
        return Image.open(path, formats=FORMATS)
    except Exception as error:
        raise DataError(f"{path}: no image that can be read ({one_line(error)})") from None
