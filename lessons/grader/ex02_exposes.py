"""Lesson 2: exposes. A layer is no data: it runs beside the learner's function."""

import numpy as np
from hypothesis import strategies as st

from minidsr.proof.cases import seeds

from .ex02_layers import RIGHT, WRONG_A_LITTLE, WRONG_BY_W, WRONG_BY_X
from .exercise import Exercise

KINDS = RIGHT, WRONG_BY_X, WRONG_BY_W, WRONG_A_LITTLE
LAYERS = {name: layer for kind in KINDS for name, layer in kind.items()}


def inside(f, name, seed):
    """What f says of a layer, whose name it is not told; its weights are drawn from the seed."""
    class Layer(LAYERS[name]):
        __doc__ = None

        def __init__(self):
            super().__init__(np.random.default_rng(seed))
    return f(Layer)


def small():
    return ((name, seed) for name in LAYERS for seed in range(3))


def cases():
    return st.tuples(st.sampled_from(list(LAYERS)), seeds)


def level(name, seed):
    return next(i for i, kind in enumerate(KINDS) if name in kind)


def true_or_false(g, name, seed):
    """the answer is True or False"""
    return type(g) is bool


def right_is_not_accused(g, name, seed):
    """of a layer that is right it is False"""
    return name not in RIGHT or g is False


def wrong_is_exposed(g, name, seed):
    """of a layer that is wrong it is True"""
    return name in RIGHT or g is True


def picture(g, name, seed):
    return (f"the layer   {' '.join(LAYERS[name].__doc__.split())}\n"
            f"its weights from seed {seed}\nyours says  {'nothing' if g is None else g}")


# --- mistakes


def _exposed(layer_class, *, x=None, dy=None, by_W=True, only=None, step=1e-5, share=1e-4,
             least=0.0):
    """Differences in another way: `only` so many numbers; off by a share of the largest, or least.
    """
    layer, rng = layer_class(), np.random.default_rng(7)
    x = rng.standard_normal((3, 4)) if x is None else x
    dy = rng.standard_normal(x.shape) if dy is None else dy
    layer.forward(x)
    found = [(x, layer.backward(dy))]
    if by_W and layer.W is not None:
        found.append((layer.W, layer.dW))
    for array, gradient in found:
        places = list(np.ndindex(array.shape))[:only]
        slopes = np.array([_slope(layer, x, dy, array, i, step) for i in places])
        off = np.abs(slopes - [gradient[i] for i in places]).max()
        if off > (least or share * np.abs(slopes).max()):
            return True
    return False


def _slope(layer, x, dy, array, i, step):
    kept, sums = array[i], []
    for moved in (kept + step, kept - step):
        array[i] = moved
        sums.append((layer.forward(x) * dy).sum())
    array[i] = kept
    return (sums[0] - sums[1]) / (2 * step)


def at_zero(layer_class):
    """x is 0. There max(x, 0) has a kink, so that a right layer looks wrong; and what is the
    gradient of a bug times 0?"""
    return _exposed(layer_class, x=np.zeros((3, 4)))


def at_ones(layer_class):
    """x and dy are 1 everywhere. Then no row differs from another: who sees that two were
    exchanged?"""
    return _exposed(layer_class, x=np.ones((3, 4)), dy=np.ones((3, 4)))


def without_weights(layer_class):
    """The gradient by x is tried, that by W is not. What do you move to see whether dW is right?"""
    return _exposed(layer_class, by_W=False)


def first_number_only(layer_class):
    """One number of x and of W is moved. What if the fault is in another?"""
    return _exposed(layer_class, only=1)


def lets_much_pass(layer_class):
    """Gradients may be wrong by a tenth. How near can differences in float64 come?"""
    return _exposed(layer_class, share=0.1)


def absolute(layer_class):
    """The same difference is allowed whatever the gradient is. With numbers of a million, rounding
    alone makes more: compare it with how large the gradient is."""
    return _exposed(layer_class, least=1e-6)


def as_quotient(layer_class):
    """Errors are divided by the gradient, and where that is 0, 0 / 0 is no number, which is not
    below any bound. Compare without dividing."""
    layer, rng = layer_class(), np.random.default_rng(7)
    x, dy = rng.standard_normal((2, 3, 4))
    layer.forward(x)
    found = [(x, layer.backward(dy))] + [(layer.W, layer.dW)] * (layer.W is not None)
    for array, gradient in found:
        slopes = np.array([_slope(layer, x, dy, array, i, 1e-5) for i in np.ndindex(array.shape)])
        with np.errstate(all="ignore"):
            off = np.abs(slopes - gradient.reshape(-1)).max() / np.abs(slopes).max()
        if not off < 1e-4:
            return True
    return False


def step_too_small(layer_class):
    """The step is so small that rounding is all that differs. Which step was best in the lesson?"""
    return _exposed(layer_class, step=1e-14)


exposes = Exercise(
    name="exposes", stars=2, minutes=15,
    small=small, cases=cases(),
    levels=("a right layer", "the gradient by x is wrong", "the gradient by W is wrong",
            "wrong by 1 %, or in one place"),
    level=level,
    properties=(true_or_false, right_is_not_accused, wrong_is_exposed),
    picture=picture, inside=inside, seconds=5.0,
    mistakes=(at_zero, at_ones, without_weights, first_number_only, lets_much_pass, absolute,
              as_quotient, step_too_small),
    hints=(
        "The sum of dy * y is a loss whose gradient by y is dy. If one number of x grows by "
        "0.00001, by how much does this loss change, and what does backward() say?",
        "Draw x, of several rows, and dy at random. Move each number of x up, then down. The "
        "difference of the two losses, divided by the whole way, should be what dx says; W too.",
        "Put each number back after moving it, and copy what backward() gives before you call "
        "forward() again. Allow a share of the largest gradient, such as 1e-4, not a fixed "
        "number."))
