"""A residual network from parts.

Batch norm forth and back, the statistics that it keeps, and how many parameters a network has.
"""

from fractions import Fraction

import numpy as np
from hypothesis import strategies as st

from minidsr.nn.layers import BatchNorm
from minidsr.proof.cases import seeds

from .ex03_backward import batch_norm_backward
from .ex03_parameters import parameters
from .exercise import Exercise, Plug
from .grids import drawn
from .judge import digits
from .norms import LEVELS, SMALL, beside, level, moments, numbers, shapes
from .plug import DENSE

# --- batch_norm: (x, weight, bias, eps) -> y


def small_batches():
    for seed, shape in enumerate(SMALL):
        for eps in (0.25, 1e-5):
            x, weight, bias = numbers(seed, shape)[:3]
            yield x, weight, bias, eps


@st.composite
def batch_cases(draw):
    x, weight, bias = numbers(draw(seeds), draw(shapes()))[:3]
    return x, weight, bias, draw(st.sampled_from((1e-5, 1e-3, 0.25, 2.0)))


def batch_level(x, weight, bias, eps):
    return level(x)


def shape_of_x(g, x, weight, bias, eps):
    """there are as many numbers as in x, in the same shape"""
    return np.shape(g) == x.shape or f"it must be {x.shape}, yours is {np.shape(g)}"


def normalised(g, x, weight, bias, eps):
    """y less the bias, times the root of the variance plus eps, is the weight times x less its
    mean"""
    mean, var = moments(x)
    left = (np.array(g) - beside(bias, x)) * np.sqrt(var + eps)
    right = beside(weight, x) * (x - mean)
    wrong = np.argwhere(~(abs(left - right) <= 1e-9 * (1 + abs(right))))
    return not len(wrong) or f"not so at y[{', '.join(map(str, wrong[0]))}]"


def batch_picture(g, x, weight, bias, eps):
    arrays = {"x": x, "weight": weight, "bias": bias} | ({} if g is None else {"yours": g})
    return f"eps = {eps:g}\n\n{drawn(arrays)}"


def _with(x, weight, bias, eps, axes=None, scale=None):
    axes = (0, *range(2, x.ndim)) if axes is None else axes
    mean, var = x.mean(axes, keepdims=True), x.var(axes, keepdims=True)
    factor = 1 / np.sqrt(var + eps) if scale is None else scale(var)
    return beside(weight, x) * (x - mean) * factor + beside(bias, x)


def images_only(x, weight, bias, eps):
    """Each pixel has a mean of its own, over the images. How many means has a batch of images with
    C channels?"""
    return _with(x, weight, bias, eps, 0)


def as_if_no_pixels(x, weight, bias, eps):
    """It is made for (N, C): of images each pixel has a mean, and each column a weight. Over which
    axes is the mean of a channel, and which axis of x are the channels?"""
    return weight * (x - x.mean(0)) / np.sqrt(x.var(0) + eps) + bias


def all_together(x, weight, bias, eps):
    """There is one mean for all channels. How many are there in a batch with C channels?"""
    return _with(x, weight, bias, eps, tuple(range(x.ndim)))


def each_image(x, weight, bias, eps):
    """Each image is normalised by itself. Over what is the mean of a channel in the docstring?"""
    return _with(x, weight, bias, eps, tuple(range(2, x.ndim)))


def eps_outside(x, weight, bias, eps):
    """eps is added to the root. Where is it in the docstring?"""
    return _with(x, weight, bias, eps, scale=lambda var: 1 / (np.sqrt(var) + eps))


def by_variance(x, weight, bias, eps):
    """It is divided by the variance. If x is twice as large, how much larger is that? Does y change
    then?"""
    return _with(x, weight, bias, eps, scale=lambda var: 1 / (var + eps))


def unbiased(x, weight, bias, eps):
    """The variance is divided by one less than there are numbers. What is it for one number alone?
    Which one does the docstring mean?"""
    count = x.size // x.shape[1]
    return _with(x, weight, bias, eps,
                 scale=lambda var: 1 / np.sqrt(var * count / max(count - 1, 1) + eps))


def without_mean(x, weight, bias, eps):
    """The mean is not taken away. Where is the middle of y, if all of x is near 1000?"""
    _, var = moments(x)
    return beside(weight, x) * x / np.sqrt(var + eps) + beside(bias, x)


def as_forward(f):
    ours = BatchNorm.forward

    def forward(layer, x, train=False):
        y = ours(layer, x, train)  # it keeps what backward needs, and the running statistics
        if not train:
            return y
        return np.asarray(f(x, layer.weight.theta(), layer.bias.theta(), layer.eps), x.dtype)
    return forward


batch_norm = Exercise(
    name="batch_norm", stars=1, minutes=10,
    small=small_batches, cases=batch_cases(), levels=LEVELS, level=batch_level,
    properties=(shape_of_x, normalised), picture=batch_picture, gist=digits,
    mistakes=(images_only, as_if_no_pixels, all_together, each_image, eps_outside, by_variance,
              unbiased, without_mean),
    hints=(
        "Two images of 2 × 2 pixels, three channels: how many means are there, and of how many "
        "numbers is each?",
        "np.mean takes a tuple of axes: all but that of the channels. With keepdims=True the "
        "result stands beside x as it is.",
        "weight and bias are (C,), and NumPy puts them beside the last axis of x. In an image the "
        "channels are the second: give them more axes by reshape."),
    plug=Plug(("minidsr.nn.layers.BatchNorm.forward",), as_forward, DENSE, 20),
    hidden=("minidsr.proof.naive.batch_norm",))


# --- running: (old, batch, count, momentum, is_var) -> (C,)


def small_statistics():
    for seed, count in enumerate((2, 3, 5, 100, 1)):
        for is_var in (False, True):
            for momentum in (0.5, 0.1):
                for C in (1, 2, 3):
                    yield *_statistics(seed, C), count, momentum, is_var


@st.composite
def statistic_cases(draw):
    old, batch = _statistics(draw(seeds), draw(st.integers(1, 4)))
    return (old, batch, draw(st.integers(1, 1000)), draw(st.sampled_from((0.5, 0.1, 0.01, 1.0))),
            draw(st.booleans()))


def _statistics(seed, C):
    return np.random.default_rng(seed).integers(1, 50, (2, C)) / 4


def statistic_level(old, batch, count, momentum, is_var):
    return 2 if is_var and count == 1 else int(is_var)


def a_number_a_channel(g, old, *case):
    """there is a number for each channel"""
    return np.shape(g) == old.shape


def the_share_of_the_way(g, old, batch, count, momentum, is_var):
    """it is that share of the way from the old number to the batch's; of a variance to the larger
    one"""
    more = Fraction(count, count - 1) if is_var and count > 1 else 1
    share = Fraction(momentum)
    wanted = [float(Fraction(a) + share * (Fraction(b) * more - Fraction(a)))
              for a, b in zip(old.tolist(), batch.tolist(), strict=True)]
    wrong = [i for i, (a, b) in enumerate(zip(g, wanted, strict=True))
             if not abs(a - b) <= 1e-12 * (1 + abs(b))]
    return not wrong or f"of channel {wrong[0]} it should be {wanted[wrong[0]]:.6g}"


def other_share(old, batch, count, momentum, is_var):
    """It goes nearly all of the way: momentum is how much of the old is left. What is it in the
    docstring?"""
    more = count / (count - 1) if is_var and count > 1 else 1
    return momentum * old + (1 - momentum) * batch * more


def biased(old, batch, count, momentum, is_var):
    """The batch's variance is taken as it is. Is that of two numbers too large, or too small?"""
    return old + momentum * (batch - old)


def mean_as_well(old, batch, count, momentum, is_var):
    """The mean is corrected like the variance. Is the mean of a few numbers too small?"""
    return old + momentum * (batch * count / max(count - 1, 1) - old)


def the_other_way(old, batch, count, momentum, is_var):
    """The factor is the wrong way round: it makes the variance smaller. Should it become larger?"""
    more = (count - 1) / count if is_var and count > 1 else 1
    return old + momentum * (batch * more - old)


def divides_by_0(old, batch, count, momentum, is_var):
    """Of one number alone it divides by 0. What does the docstring say of it?"""
    return old + momentum * (batch * (count / (count - 1) if is_var else 1) - old)


def corrects_the_sum(old, batch, count, momentum, is_var):
    """The factor acts on what is kept, too, again and again. On which of the two should it?"""
    more = count / (count - 1) if is_var and count > 1 else 1
    return more * (old + momentum * (batch - old))


def as_statistics(f):
    ours = BatchNorm.forward

    def forward(layer, x, train=False):
        old = {"running_mean": layer.running_mean, "running_var": layer.running_var}
        y = ours(layer, x, train)
        if train:
            found = dict(zip(old, moments(x), strict=True))
            for name, before in old.items():
                new = f(before, found[name].reshape(-1), x.size // x.shape[1], layer.momentum,
                        name == "running_var")
                setattr(layer, name, np.asarray(new, before.dtype))
        return y
    return forward


running = Exercise(
    name="running", stars=1, minutes=10,
    small=small_statistics, cases=statistic_cases(),
    levels=("the mean", "the variance", "the variance of one number"), level=statistic_level,
    properties=(a_number_a_channel, the_share_of_the_way), gist=digits,
    mistakes=(other_share, biased, mean_as_well, the_other_way, divides_by_0, corrects_the_sum),
    hints=(
        "Half of the way from 1 to 2: where is that? And a tenth of it?",
        "The new number is the old one, plus a share of the difference. Before that, the "
        "batch's may need its factor.",
        "The factor is for the variance, for that of the batch alone; and where count is 1 there "
        "is none."),
    plug=Plug(("minidsr.nn.layers.BatchNorm.forward",), as_statistics, DENSE),
    hidden=("minidsr.nn.layers.BatchNorm._followed", "minidsr.fast.norm.followed"))

EXERCISES = [batch_norm, running, batch_norm_backward, parameters]
