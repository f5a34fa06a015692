"""Lesson 3: batch_norm_backward."""

import numpy as np
from hypothesis import strategies as st

from lessons.solutions import ex03 as solved
from minidsr.proof.cases import seeds
from minidsr.proof.gradcheck import GradientError, check_gradient

from .exercise import Exercise, Plug
from .grids import drawn
from .judge import digits
from .norms import LEVELS, SMALL, beside, moments, numbers, shapes
from .norms import level as level_of
from .plug import DENSE


def small():
    for seed, shape in enumerate(SMALL):
        x, weight, _, dy = numbers(seed, shape)
        yield from ((x, weight, dy, eps) for eps in (0.25, 2.0))


@st.composite
def cases(draw):
    x, weight, _, dy = numbers(draw(seeds), draw(shapes()))
    return x, weight, dy, draw(st.sampled_from((0.01, 0.25, 2.0)))


def level(x, weight, dy, eps):
    return level_of(x)


def gradients_have_shapes(g, x, weight, dy, eps):
    """there are three gradients, of the shapes of x, weight and bias"""
    return [*map(np.shape, g)] == [x.shape, weight.shape, weight.shape]


def sum_of_dy(g, x, weight, dy, eps):
    """the bias moves every number of its channel: dbias is the sum of dy"""
    return np.allclose(g[2], dy.sum((0, *range(2, x.ndim))), rtol=1e-9, atol=1e-9)


def dx_sums_to_0(g, x, weight, dy, eps):
    """the sum of dx is 0 in each channel: if all numbers move alike, y stays"""
    return np.allclose(np.array(g[0]).sum((0, *range(2, x.ndim))), 0, atol=1e-8)


def as_differences_say(g, x, weight, dy, eps):
    """dx and dweight are what differences say: of the sum of dy y, when x or weight moves a bit"""
    x, weight = x.copy(), weight.copy()

    def loss():
        mean, var = moments(x)
        return (dy * beside(weight, x) * (x - mean) / np.sqrt(var + eps)).sum()

    for name, array, grad in (("dx", x, g[0]), ("dweight", weight, g[1])):
        try:
            check_gradient(loss, array, np.array(grad, float), np.random.default_rng(0), 6, name)
        except GradientError as error:
            return str(error)
    return True


def picture(g, x, weight, dy, eps):
    arrays = {"x": x, "weight": weight, "dy": dy}
    if g is not None:
        arrays |= dict(zip(("your dx", "your dweight", "your dbias"), g, strict=True))
    return f"eps = {eps:g}\n\n{drawn(arrays)}"


# --- mistakes


def _parts(x, eps):
    mean, var = moments(x)
    rstd = 1 / np.sqrt(var + eps)
    return (x - mean) * rstd, rstd, (0, *range(2, x.ndim))


def constants(x, weight, dy, eps):
    """Mean and variance are taken for constants. Move one pixel: what else moves?"""
    _, rstd, _ = _parts(x, eps)
    return rstd * beside(weight, x) * dy, *solved.batch_norm_backward(x, weight, dy, eps)[1:]


def constant_variance(x, weight, dy, eps):
    """The variance is taken for a constant. Move one pixel away from the mean: what becomes of the
    others?"""
    _, rstd, axes = _parts(x, eps)
    dx_hat = beside(weight, x) * dy
    dx = rstd * (dx_hat - dx_hat.mean(axes, keepdims=True))
    return dx, *solved.batch_norm_backward(x, weight, dy, eps)[1:]


def without_weight(x, weight, dy, eps):
    """The weight is missing in dx. If it is 0, does x matter?"""
    dx, _, _ = solved.batch_norm_backward(x, np.ones_like(weight), dy, eps)
    return dx, *solved.batch_norm_backward(x, weight, dy, eps)[1:]


def by_x(x, weight, dy, eps):
    """dweight is the sum of dy x. What is multiplied by the weight on the way there?"""
    dx, _, dbias = solved.batch_norm_backward(x, weight, dy, eps)
    return dx, (dy * x).sum((0, *range(2, x.ndim))), dbias


def means_for_sums(x, weight, dy, eps):
    """The gradients by weight and bias are means. How many numbers does a bias move, each by one?
    """
    dx, dweight, dbias = solved.batch_norm_backward(x, weight, dy, eps)
    return dx, dweight / (x.size // x.shape[1]), dbias / (x.size // x.shape[1])


def sums_for_means(x, weight, dy, eps):
    """In dx there are sums where means should be. A number moves the mean of a thousand by a
    thousandth: where does that stand?"""
    x_hat, rstd, axes = _parts(x, eps)
    dx_hat = beside(weight, x) * dy
    along = (dx_hat * x_hat).sum(axes, keepdims=True)
    dx = rstd * (dx_hat - dx_hat.sum(axes, keepdims=True) - x_hat * along)
    return dx, *solved.batch_norm_backward(x, weight, dy, eps)[1:]


def without_eps(x, weight, dy, eps):
    """eps is forgotten on the way back. Was it there on the way forth?"""
    return solved.batch_norm_backward(x, weight, dy, 1e-12)


def as_backward(f):
    def backward(layer, dy):
        (x_hat, rstd), layer.cache = layer.cache, None
        x = x_hat / rstd  # x less its mean, which has the same gradients
        dx, dweight, dbias = f(x, layer.weight.theta(), dy, layer.eps)
        layer.weight.pull(np.asarray(dweight, dy.dtype))
        layer.bias.pull(np.asarray(dbias, dy.dtype))
        return np.asarray(dx, dy.dtype)
    return backward


batch_norm_backward = Exercise(
    name="batch_norm_backward", stars=3, minutes=30,
    small=small, cases=cases(), levels=LEVELS, level=level,
    properties=(gradients_have_shapes, sum_of_dy, dx_sums_to_0, as_differences_say),
    picture=picture, gist=digits,
    mistakes=(constants, constant_variance, without_weight, by_x, means_for_sums, sums_for_means,
              without_eps),
    hints=(
        "All numbers of a channel grow by 1: what becomes of y? So what is the sum of dx in a "
        "channel?",
        "Go back in two steps, with x̂ between them: y = weight x̂ + bias is easy. Then x̂ = (x - "
        "mean) / root: x is in it three times. Two of these are means over the channel, and so "
        "are their gradients.",
        "What comes out is dx̂, less its mean, less x̂ times the mean of dx̂ x̂, all divided by the "
        "root. Means are over all axes but that of the channels; dweight and dbias are sums."),
    plug=Plug(("minidsr.nn.layers.BatchNorm.backward",), as_backward, DENSE, 20),
    hidden=("minidsr.fast.norm.gradient_factors",))
