"""Lesson 4: crop_and_flip."""

from itertools import product

import numpy as np
from hypothesis import strategies as st

from minidsr.proof.cases import seeds

from .exercise import Exercise, Plug
from .grids import drawn
from .plug import DENSE

PAD = 4


def small():
    """Pixels that are all different."""
    for shape in ((1, 5, 5), (2, 5, 5), (1, 5, 6), (2, 6, 5)):
        image = np.arange(np.prod(shape)).reshape(shape)
        yield from ((image, shift, flip) for shift in product((4, 3, 0, 8), repeat=2)
                    for flip in (False, True))


@st.composite
def cases(draw):
    shape = draw(st.integers(1, 3)), draw(st.integers(5, 9)), draw(st.integers(5, 9))
    pixels = np.random.default_rng(draw(seeds)).permutation(np.arange(np.prod(shape)))
    shift = draw(st.integers(0, 8)), draw(st.integers(0, 8))
    return pixels.reshape(shape), shift, draw(st.booleans())


def level(image, shift, flip):
    if shift == (PAD, PAD):
        return 0
    if image.shape[1] != image.shape[2]:
        return 3
    return 2 if flip else 1


def shape_of_the_image(g, image, shift, flip):
    """it is as large as the image"""
    return np.shape(g) == image.shape or f"it must be {image.shape}, yours is {np.shape(g)}"


def pixels_from_where(g, image, shift, flip):
    """each pixel is the one that is so far away in the image, mirrored at its edges"""
    _, H, W = image.shape
    for i, j in product(range(H), range(W)):
        there = W - 1 - j if flip else j
        from_ = _mirrored(i + shift[0] - PAD, H), _mirrored(there + shift[1] - PAD, W)
        if any(g[c][i][j] != image[c, *from_] for c in range(len(image))):
            return f"row {i}, column {j} should be row {from_[0]}, column {from_[1]} of the image"
    return True


def _mirrored(i, length):
    i = -i if i < 0 else i
    return 2 * (length - 1) - i if i >= length else i


def picture(g, image, shift, flip):
    arrays = {"image": image} | ({} if g is None else {"yours": g})
    return f"shift = {shift}, flip = {flip}\n\n{drawn(arrays)}"


# --- mistakes


def _cropped(image, shift, flip, mode="reflect"):
    _, H, W = image.shape
    padded = np.pad(image, ((0, 0), (PAD, PAD), (PAD, PAD)), mode)
    crop = padded[:, shift[0]:shift[0] + H, shift[1]:shift[1] + W]
    return crop[:, :, ::-1] if flip else crop


def flips_first(image, shift, flip):
    """The image is mirrored before it is cut. To which side does a shift to the left lead then?"""
    return _cropped(image[:, :, ::-1] if flip else image, shift, False)


def zeros_outside(image, shift, flip):
    """Around the image there are zeros. What does the docstring see in the mirror?"""
    return _cropped(image, shift, flip, "constant")


def edge_twice(image, shift, flip):
    """The edge is there twice: the mirror stands between two pixels. Which mode of np.pad puts it
    onto the edge?"""
    return _cropped(image, shift, flip, "symmetric")


def upside_down(image, shift, flip):
    """Up and down are exchanged. Which axis is left to right?"""
    crop = _cropped(image, shift, False)
    return crop[:, ::-1] if flip else crop


def column_first(image, shift, flip):
    """Row and column of the shift are exchanged. Which comes first?"""
    return _cropped(image, shift[::-1], flip)


def the_other_way(image, shift, flip):
    """The image is moved the other way. Where does the crop begin for a shift of (0, 0)?"""
    return _cropped(image, (2 * PAD - shift[0], 2 * PAD - shift[1]), flip)


def only_crops(image, shift, flip):
    """Nothing is mirrored. What does `flip` say?"""
    return _cropped(image, shift, False)


def comes_round(image, shift, flip):
    """What leaves the image on one side comes in on the other. What stands outside of an edge?"""
    return _cropped(image, shift, flip, "wrap")


def as_augment(f):
    def augment(x, shift, flip):
        moved = [f(image, tuple(map(int, where)), bool(mirror))
                 for image, where, mirror in zip(x, shift, flip, strict=True)]
        return np.array(moved, x.dtype)
    return augment


crop_and_flip = Exercise(
    name="crop_and_flip", stars=2, minutes=15,
    small=small, cases=cases(),
    levels=("not moved", "moved", "moved and mirrored", "an image that is not square"),
    level=level,
    properties=(shape_of_the_image, pixels_from_where),
    picture=picture,
    mistakes=(flips_first, zeros_outside, edge_twice, upside_down, column_first, the_other_way,
              only_crops, comes_round),
    hints=(
        "An image of 5 × 5 pixels with 4 more on each side: how large is it, and where in it does "
        "the image itself begin?",
        "np.pad has a mode that mirrors. Channels get no pad. Then a slice of rows and one of "
        "columns, then, if need be, the columns backwards.",
        "Of two modes that mirror, one repeats the edge: print np.pad([0, 1, 2], 2, mode) for "
        "'reflect' and 'symmetric'."),
    plug=Plug(("minidsr.data.batches.augment",), as_augment, DENSE | {"augment": True}, 20))
