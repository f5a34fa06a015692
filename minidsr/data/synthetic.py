"""Drawn shapes, the data set that needs no download: 32 x 32 RGB images of ten classes.

Each shape has a random pose, size and colour, on a gradient with strokes, under noise. The
constants set how hard that is: a small network learns it in seconds, one with a twentieth of the
weights less well.
"""

import numpy as np

from .batches import Dataset

SEED = 2019
TRAIN_IMAGES, TEST_IMAGES = 5_000, 1_000  # multiples of the ten classes
SIDE = 32  # pixels; as a length, the image reaches from -1 to 1 along each axis
SIZE = (0.45, 0.75)  # radius of the shape
OFFSET = 0.25  # largest distance of its centre from the image's, along each axis
TURN = 0.3  # tangent of half the largest rotation: 33 degrees either way
CONTRAST = (0.25, 0.50)  # shape against background, per channel, within [0, 0.5]
GRADIENT = (0.0, 0.25)  # one end of the background against the other
STROKES = 2  # distracting bars behind the shape
STROKE_SIZE = (0.3, 0.9)  # half their length
STROKE_CONTRAST = (0.05, 0.30)
NOISE = 12  # grey levels either way

# Class -> distance to the edge of a shape of radius 1, negative inside; u to the right, v upward.
SHAPES = {
    "disc": lambda u, v: _length(u, v) - 0.8,
    "ring": lambda u, v: abs(_length(u, v) - 0.7) - 0.2,
    "square": lambda u, v: np.maximum(abs(u), abs(v)) - 0.7,
    "frame": lambda u, v: abs(np.maximum(abs(u), abs(v)) - 0.65) - 0.18,
    "triangle": lambda u, v: np.maximum(-v, 0.866 * abs(u) + 0.5 * v) - 0.5,
    "plus": lambda u, v: np.minimum(_box(u, v, 0.95, 0.27), _box(u, v, 0.27, 0.95)),
    "star": lambda u, v: _star(abs(u), v),
    "crescent": lambda u, v: np.maximum(_length(u, v) - 0.95, 0.75 - _length(u - 0.45, v)),
    "bars": lambda u, v: _box(abs(u) - 0.5, v, 0.22, 0.85),
    "tee": lambda u, v: np.minimum(_box(u, v - 0.6, 0.85, 0.24), _box(u, v + 0.2, 0.24, 0.75)),
}


def drawn_shapes(data_dir=None):
    """The Dataset of drawn shapes: the same for every `data_dir`, and for every seed of a run."""
    return Dataset("synthetic", tuple(SHAPES), *draw(),
                   mean=(0.5, 0.5, 0.5), std=(0.264, 0.264, 0.264), augment=False)


def draw():
    """(train_x, train_y, test_x, test_y), images uint8 (N, 3, SIDE, SIDE), labels uint8 (N,).

    The same pixels on every machine: only integers, + - * /, square roots and comparisons are
    used, which IEEE 754 fixes to the bit.
    """
    train, test = np.random.SeedSequence(SEED).spawn(2)
    return (*_draw_split(TRAIN_IMAGES, np.random.default_rng(train)),
            *_draw_split(TEST_IMAGES, np.random.default_rng(test)))


def _length(u, v):
    return np.sqrt(u * u + v * v)


def _box(u, v, half_width, half_height):
    return np.maximum(abs(u) - half_width, abs(v) - half_height)


def _star(u, v):
    # Five lines bound a star; a point inside it is beyond one of them at most.
    lines = [v, 0.309 * v + 0.951 * u, 0.309 * v - 0.951 * u]
    lines += [0.588 * u - 0.809 * v, -0.588 * u - 0.809 * v]
    return np.sort(lines, axis=0)[3] - 0.33


def _draw_split(n, rng):
    """`n` images (n, 3, SIDE, SIDE) and labels (n,), as many of each class, in random order."""
    order, each = rng.permutation(n), n // len(SHAPES)
    images = np.concatenate([_draw(shape, each, rng) for shape in SHAPES.values()])
    return images[order], np.repeat(np.arange(len(SHAPES), dtype=np.uint8), each)[order]


def _draw(shape, n, rng):
    """`n` images of one shape: a gradient, strokes on it, the shape on them, noise over all."""
    colour = rng.random((n, 3, 1, 1), np.float32)
    u, _ = _pose(np.ones((n, 1, 1), np.float32), 0, rng)
    ramp = np.clip(u / 2 + 0.5, 0, 1)[:, None]
    image = colour + ramp * (_contrasting(colour, GRADIENT, rng) - colour)
    for _ in range(STROKES):
        other = _contrasting(colour, STROKE_CONTRAST, rng)
        _paint(image, lambda u, v: _box(u, v, 1, 0.15), other, STROKE_SIZE, 1, rng)
    _paint(image, shape, _contrasting(colour, CONTRAST, rng), SIZE, OFFSET, rng)
    noise = rng.integers(-NOISE, NOISE, image.shape, np.int8, endpoint=True)
    return np.clip(255 * image + noise, 0, 255).astype(np.uint8)


def _contrasting(colour, contrast, rng):
    """Colours (n, 3, 1, 1), each channel off that of `colour` by an amount in `contrast`."""
    step = _uniform(contrast, colour.shape, rng) * rng.choice(np.float32([-1, 1]), colour.shape)
    other = colour + step
    return np.where((other < 0) | (other > 1), colour - step, other)


def _paint(image, shape, colour, size, offset, rng):
    """Paint `shape` in `colour` on each image, in place, with random size and pose."""
    radius = _uniform(size, (len(image), 1, 1), rng)
    u, v = _pose(radius, offset, rng)
    cover = 0.5 - shape(u, v) * radius * (SIDE / 2)  # share of a pixel inside: 0 to 1 at the edge
    image += np.clip(cover, 0, 1)[:, None] * (colour - image)


def _pose(radius, offset, rng):
    """Coordinates (u, v), each (n, SIDE, SIDE), of the pixels seen by a shape in random pose."""
    shape = radius.shape
    pixel = (np.arange(SIDE, dtype=np.float32) + 0.5) * (2 / SIDE) - 1
    x = pixel - _uniform((-offset, offset), shape, rng)  # (n, 1, W)
    y = -pixel[:, None] - _uniform((-offset, offset), shape, rng)  # (n, H, 1)
    t = _uniform((-TURN, TURN), shape, rng)
    cos, sin = (1 - t * t) / (1 + t * t), 2 * t / (1 + t * t)  # rational, hence exact anywhere
    return (cos * x + sin * y) / radius, (cos * y - sin * x) / radius


def _uniform(bounds, shape, rng):
    low, high = bounds
    return low + (high - low) * rng.random(shape, np.float32)
