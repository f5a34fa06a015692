"""Gradients by central differences, in float64, against those of backward().

The free numbers are moved themselves, so a Sparse tensor is checked through θ = g(φ; ψ).

ReLU and max pooling have kinks, where a difference says nothing. There the differences at two
steps do not agree; where two smaller ones do not either, the coordinate is left out. That test
never sees the gradient under test.
"""

import numpy as np

from ..nn.layers import softmax_cross_entropy

STEP = 2e-5
RTOL = 1e-6
ATOL = 1e-8


class GradientError(ArithmeticError):
    """A gradient is wrong, or cannot be judged."""


def check_layer(layer, x, rng, samples=6):
    """Check the gradients of sum(c * layer.forward(x)), c random: by x and by all parameters."""
    x = np.array(x, np.float64)
    y = layer.forward(x, train=True)
    c = rng.standard_normal(y.shape)
    dx = layer.backward(c)
    _check_all(lambda: (c * layer.forward(x, train=True)).sum(), layer, x, dx, rng, samples)


def check_model(model, x, labels, rng, samples=3):
    """Check the gradients of the cross entropy: by x and by all parameters."""
    x = np.array(x, np.float64)
    _, dlogits = softmax_cross_entropy(model.forward(x, train=True), labels)
    dx = model.backward(dlogits)

    def loss():
        return softmax_cross_entropy(model.forward(x, train=True), labels)[0]

    _check_all(loss, model, x, dx, rng, samples)


def _check_all(f, layer, x, dx, rng, samples):
    grads = {name: (p.value, p.grad) for name, p in layer.named_params().items()}
    for name, (array, grad) in {"input": (x, dx), **grads}.items():
        if grad.shape != array.shape or grad.dtype != np.float64:
            raise GradientError(f"{name}: {grad.dtype} gradient {grad.shape} of {array.shape}")
        check_gradient(f, array, grad, rng, samples, name)


def check_gradient(f, array, grad, rng, samples, name):
    """Check `grad` against f(), which reads `array`: at some coordinates, and in one random
    direction, in which all coordinates take part."""
    scale = np.abs(grad).max(initial=0)
    picked = rng.choice(array.size, min(samples, array.size), replace=False)
    directions = [(i, _unit(array, i)) for i in picked]
    directions.append(("random", rng.standard_normal(array.shape) / max(1, array.size) ** 0.5))
    kinks = 0
    for i, direction in directions:
        expected, at_kink = _slope(f, array, direction)
        if at_kink:
            kinks += 1
            continue
        found = (grad * direction).sum()
        bound = RTOL * max(abs(expected), scale) + ATOL
        if not abs(found - expected) <= bound:
            raise GradientError(f"{name}, {i}: backward says {found:.10g}, differences say "
                                f"{expected:.10g}")
    if kinks > len(directions) // 2:
        raise GradientError(f"{name}: {kinks} of {len(directions)} at a kink")


def _unit(array, i):
    direction = np.zeros(array.shape)
    direction.flat[i] = 1
    return direction


def _slope(f, array, direction):
    """(derivative of f along `direction`, is a kink nearby?)

    Where there is one, a second, smaller step may not reach it.
    """
    for size in (STEP, STEP / 30):
        wide, narrow = (_difference(f, array, direction, step) for step in (size, size / 2))
        slope = (4 * narrow - wide) / 3  # the error by the third derivative cancels
        at_kink = abs(wide - narrow) > 1e-4 * abs(slope) + 1e-7
        if not at_kink:
            break
    return slope, at_kink


def _difference(f, array, direction, step):
    saved = array.copy()
    array[...] = saved + step * direction
    above = f()
    array[...] = saved - step * direction
    below = f()
    array[...] = saved
    return (above - below) / (2 * step)
