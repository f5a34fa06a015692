"""A data set of the user, as a folder of images, a folder for each class:

    photos/train/cat/1.png    photos/train/dog/7.jpg    photos/test/cat/3.png    ...

image_folder() takes images of one size as they are; imagenet() takes those of any size, and cuts
them as is usual for ImageNet. A batch is decoded when it is needed, so memory does not depend on
how many there are. Classes and files are in the order of their names. It needs Pillow.
"""

import math
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
CROP, WHOLE = 224, 256  # ImageNet: pixels of a side, and what the shorter side of all has in tests
AREA, RATIO = (0.08, 1), (3 / 4, 4 / 3)  # of a random part: of the image; width to height
MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)  # of ImageNet, as all take them


def image_folder(data_dir):
    """The Dataset of the images in data_dir/train/CLASS and data_dir/test/CLASS.

    All have one size. They are grey, (1, H, W), if all are, else RGB; transparency is left out.
    Mean and deviation are those of at most SAMPLE training images, evenly spaced. Raises DataError,
    in one line, where files are missing or do not fit. Headers are read at the start; a file that
    turns out to be damaged when it is needed is a DataError then.
    """
    classes, paths, y, count = _found(Path(data_dir), "folder")
    image = _common(paths)
    images = LazyImages(lambda numbers: np.stack([_decoded(paths[i], image) for i in numbers]),
                        image, np.arange(len(paths)))
    train, test = slice(count), slice(count, None)
    mean, std = mean_and_std(f"folder {data_dir}", images[train][::-(-count // SAMPLE)])
    return Dataset("folder", classes, images[train], y[train], images[test], y[test], mean, std,
                   augment=False)


def imagenet(data_dir):
    """The Dataset of the images in data_dir/train/CLASS and data_dir/val/CLASS, or, where there is
    no val, test/CLASS: all as RGB of 224 x 224 pixels.

    In tests it is the middle of an image whose shorter side has 256. Training augments: it takes a
    random part (8 to 100 % of the area, 3:4 to 4:3; Szegedy et al. 2015), resized, and mirrors. A
    part that would be wider or higher than its image is cut, not drawn again. Files are first
    opened when they are needed; a DataError, in one line, is raised where files are missing, or
    then, where one is damaged.
    """
    classes, paths, y, count = _found(Path(data_dir), "imagenet")
    image = (3, CROP, CROP)
    images = LazyImages(
        lambda numbers: np.stack([_cut(paths[i], _middle) for i in numbers]), image,
        np.arange(len(paths)), crop=lambda numbers, draws: np.stack([
            _cut(paths[i], lambda *size, four=four: random_part(*size, four))
            for i, four in zip(numbers, draws, strict=True)]))
    train, test = slice(count), slice(count, None)
    return Dataset("imagenet", classes, images[train], y[train], images[test], y[test], MEAN, STD,
                   augment=True)


def random_part(width, height, draws):
    """A part of an image of this size, (left, top, right, bottom), by four draws in [0, 1)."""
    area = width * height * (AREA[0] + (AREA[1] - AREA[0]) * draws[0])
    ratio = math.exp(math.log(RATIO[0]) + (math.log(RATIO[1]) - math.log(RATIO[0])) * draws[1])
    w = min(max(round(math.sqrt(area * ratio)), 1), width)
    h = min(max(round(math.sqrt(area / ratio)), 1), height)
    left, top = int((width - w + 1) * draws[2]), int((height - h + 1) * draws[3])
    return left, top, left + w, top + h


def _middle(width, height):
    side = min(width, height) * CROP / WHOLE
    left, top = (width - side) / 2, (height - side) / 2
    return left, top, left + side, top + side


def _cut(path, part):
    """A part of the image in a file, part(width, height), as uint8 (3, CROP, CROP)."""
    from PIL import Image

    with _opened(path) as file:
        _check_mode(path, file)
        try:
            pixels = np.asarray(file.convert("RGB").resize(
                (CROP, CROP), Image.Resampling.BILINEAR, box=part(*file.size)))
        except Exception as error:  # a damaged file may raise anything
            raise DataError(f"{path}: cannot be decoded ({one_line(error)})") from None
    return pixels.transpose(2, 0, 1)


def _found(root, name):
    """(classes, paths, labels, how many are for training) of train/CLASS/* and test/CLASS/* in a
    folder; of ImageNet, val/CLASS/*, as its test images have no labels."""
    try:
        import PIL  # noqa: F401
    except ImportError:
        raise DataError(f"{name}: images need Pillow: pip install pillow") from None
    val = name == "imagenet" and (root / "val").is_dir()
    splits = ("train", "val" if val else "test")
    classes, others = (_folders(root / split, name) for split in splits)
    if others != classes:
        odd = sorted(set(classes) ^ set(others))[0]
        raise DataError(f"{name}: {' and '.join(splits)} in {root} must have the same classes, and "
                        f"{shown(odd)} is in one of them only")
    paths, labels, count = [], [], []
    for split in splits:
        for label, one in enumerate(classes):
            found = _files(root / split / one)
            paths += found
            labels += [label] * len(found)
        count.append(len(paths))
    return classes, paths, np.array(labels, np.min_scalar_type(len(classes) - 1)), count[0]


def _folders(path, name):
    """The names of the folders in `path`, sorted."""
    try:
        with os.scandir(path) as entries:
            names = sorted(e.name for e in entries if e.is_dir() and not e.name.startswith("."))
    except OSError as error:
        raise DataError(f"{name}: {path}: {error.strerror}; --data-dir must have train/CLASS/*.png "
                        "or .jpg, and test/CLASS/* with the same classes") from None
    if not names:
        raise DataError(f"{name}: {path} has no folders; it needs one for each class")
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
            _check_mode(path, file)
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


def _check_mode(path, file):
    if file.mode not in GREY + COLOURED:
        raise DataError(f"{path}: pixels of the kind {file.mode}; convert it to RGB, or to grey of "
                        "8 bits")


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
