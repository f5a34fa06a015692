"""Backward by hand.

What is drawn, what must hold, how a case looks, and the typical mistakes.
"""

import math
from itertools import product

import numpy as np
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from lessons.solutions import ex02 as solved
from minidsr.proof.cases import seeds
from minidsr.run.report import table

from .ex02_conv import conv_backward
from .ex02_exposes import exposes
from .exercise import Exercise, Plug
from .grids import direction, drawn, quarters, whole
from .judge import digits
from .plug import DENSE

# --- linear_backward: (x, W, dy) -> (dx, dW)


def small_linear():
    for seed, (N, C, F) in enumerate(product((1, 2, 3), (1, 2, 3), (1, 2, 3))):
        yield tuple(whole(seed, (N, C), (F, C), (N, F)))


def linear_cases():
    return st.tuples(*[st.integers(1, 6)] * 3, seeds).map(
        lambda s: tuple(quarters(s[3], (s[0], s[1]), (s[2], s[1]), (s[0], s[2]))))


def linear_level(x, W, dy):
    return 2 if W.shape[0] != W.shape[1] else int(len(x) > 1)


def gradients_have_shapes(g, x, W, dy):
    """dx has the shape of x, dW that of W"""
    dx, dW = map(np.shape, g)
    return (dx, dW) == (x.shape, W.shape) or f"yours are {dx} and {dW}"


def by_x(g, x, W, dy):
    """where x moves by any u, the sum of dx * u is the sum of dy * (u @ W.T)"""
    u, = direction(x.shape)
    return (np.array(g[0]) * u).sum() == (dy * (u @ W.T)).sum()


def by_W(g, x, W, dy):
    """where W moves by any V, the sum of dW * V is the sum of dy * (x @ V.T)"""
    V, = direction(W.shape)
    return (np.array(g[1]) * V).sum() == (dy * (x @ V.T)).sum()


def linear_picture(g, x, W, dy):
    dx, dW = solved.linear_backward(x, W, dy)
    given = drawn({"x": x, "W": W, "dy": dy}) + "\n\n" + drawn({"dx": dx, "dW": dW})
    return given if g is None else f"{given}\n\n{drawn({'your dx': g[0], 'your dW': g[1]})}"


def not_transposed(x, W, dy):
    """dx is dy @ W.T. A square layer lets you do that: its shapes tell you nothing. Take two
    inputs and three outputs, and what fits?"""
    return dy @ W.T, dy.T @ x


def dW_transposed(x, W, dy):
    """dW is (C, F), and W is (F, C). Which number of dW belongs to the weight from input 0 to
    output 1?"""
    return dy @ W, x.T @ dy


def mean_over_images(x, W, dy):
    """dW is divided by the number of images. The loss is a mean already: what has been divided by
    N, before it came to you?"""
    return dy @ W, dy.T @ x / len(x)


def last_image(x, W, dy):
    """dW is that of the last image. All of them have gone through W."""
    return dy @ W, dy[-1:].T @ x[-1:]


def exchanged(x, W, dy):
    """These are (dW, dx). Which one comes first?"""
    return dy.T @ x, dy @ W


def whole_numbers(x, W, dy):
    """Fractions are cut off."""
    return tuple(a.astype(int) for a in solved.linear_backward(x, W, dy))


def as_linear(f):
    def backward(layer, dy):
        (x,), layer.cache = layer.cache, None
        if layer.bias is not None:
            layer.bias.pull(dy.sum(0))
        dx, dW = f(x, layer.weight.theta(), dy)
        layer.weight.pull(np.asarray(dW, dy.dtype))
        return np.asarray(dx, dy.dtype)
    return backward


linear_backward = Exercise(
    name="linear_backward", stars=1, minutes=10,
    small=small_linear, cases=linear_cases(),
    levels=("a square layer, one image", "a square layer, several images",
            "a layer that is not square"),
    level=linear_level,
    properties=(gradients_have_shapes, by_x, by_W),
    picture=linear_picture,
    mistakes=(not_transposed, dW_transposed, mean_over_images, last_image, exchanged),
    lazy=(whole_numbers,),
    hints=(
        "One image, two inputs, one output: y = w0 x0 + w1 x1. If x0 grows by a little, by how "
        "much does y grow, and the loss?",
        "An input goes to all outputs, so what comes back to it is a sum over outputs. A weight is "
        "used once in each image, so what comes back to it is a sum over images.",
        "Both are products of matrices. Write the shapes below them: (N, C) can only be made of "
        "(N, F) and (F, C) in one order; for (F, C) one of the two must be transposed."),
    plug=Plug(("minidsr.nn.layers.Linear.backward",), as_linear, DENSE, 20))


# --- softmax_cross_entropy: (logits, labels) -> (loss, dlogits)


def small_logits():
    for row in product((0.0, 1.0, -2.0), repeat=2):
        yield from (_case([row], [label]) for label in range(2))
    for label in range(3):
        yield _case([(2.0, 1.0, 0.0)], [label])
        yield _case([(2.0, 1.0, 0.0), (0.5, -1.0, 3.0)], [label, 1])
    yield _case([(1.0,)], [0])
    yield _case([(1.0, 0.0)] * 3, [0, 1, 1])
    for rows in ([(1000, 0)], [(-1000, 0)], [(-1000, -1001)], [(1000, 0), (0, 1)]):
        yield from (_case(rows, [label] * len(rows)) for label in range(2))


def _case(rows, labels):
    return np.array(rows, float), np.array(labels)


@st.composite
def logits(draw):
    """Logits small and large, and labels."""
    N, classes = draw(st.integers(1, 4)), draw(st.integers(1, 5))
    most = draw(st.sampled_from([1, 30, 10_000]))
    numbers = st.floats(-most, most, allow_subnormal=False)
    labels = draw(st.lists(st.integers(0, classes - 1), min_size=N, max_size=N))
    return draw(arrays(np.float64, (N, classes), elements=numbers)), np.array(labels)


def logits_level(logits, labels):
    return 2 if np.abs(logits).max() > 700 else int(len(logits) > 1)


def row_loss(row, label):
    """log(Σ exp(l - l_label)), without exp() of a large number."""
    top = max(row)
    return top - row[label] + math.log(math.fsum(math.exp(x - top) for x in row))


def finite_numbers(g, logits, labels):
    """there is a loss, and a gradient for each logit, all of them finite"""
    return math.isfinite(g[0]) and np.shape(g[1]) == logits.shape and np.isfinite(g[1]).all()


def mean_of_the_rows(g, logits, labels):
    """the loss is the mean over images of -log(p[label])"""
    right = math.fsum(map(row_loss, logits, labels)) / len(labels)
    return abs(g[0] - right) <= 1e-9 * max(1, right) or f"{g[0]:.6g}, and it is {right:.6g}"


def rows_sum_to_0(g, logits, labels):
    """the gradients of an image sum to 0: where all its logits grow alike, nothing changes"""
    return all(abs(math.fsum(row)) < 1e-12 for row in g[1])


def as_differences_say(g, logits, labels):
    """each gradient is what the loss changes by where the logit does, divided by that"""
    for (i, j), said in np.ndenumerate(g[1]):
        slope = _slope(logits[i], labels[i], j) / len(labels)
        if abs(said - slope) > 1e-6:
            return f"dlogits[{i}, {j}] is {said:.5f}, and the loss changes by {slope:.5f}"
    return True


def _slope(row, label, j, step=1e-4):
    at = np.eye(len(row))[j] * step
    return (row_loss(row + at, label) - row_loss(row - at, label)) / (2 * step)


def logits_picture(g, logits, labels):
    rows = []
    for i, (row, label) in enumerate(zip(logits, labels, strict=True)):
        for j, x in enumerate(row):
            slope = _slope(row, label, j) / len(labels)
            yours = "?" if g is None else f"{g[1][i][j]:.5f}"
            said = "label" if j == label else ""
            rows.append([f"{i}", f"{j}", f"{x:g}", said, f"{slope:.5f}", yours])
    text = table(rows, ["image", "class", "logit", "", "gradient", "yours"], left=(3,))
    right = math.fsum(map(row_loss, logits, labels)) / len(labels)
    return f"{text}\n\nloss {right:.6g}, yours {'?' if g is None else f'{g[0]:.6g}'}"


def _p(logits, shift):
    with np.errstate(all="ignore"):
        exp = np.exp(logits - shift)
        return exp / exp.sum(1, keepdims=True)


def _answer(p, labels, *, mean=True, by_N=True, sign=1):
    one, N = np.eye(p.shape[1])[labels], len(labels)
    with np.errstate(all="ignore"):
        losses = -np.log(p[range(N), labels])
    return (losses.mean() if mean else losses.sum()), sign * (p - one) / (N if by_N else 1)


def without_maximum(logits, labels):
    """exp(1000) is more than a float can hold. What happens to p where all logits of an image
    become smaller by the same number, their largest?"""
    return _answer(_p(logits, 0), labels)


def one_maximum_for_all(logits, labels):
    """The largest logit of the whole batch is subtracted. What is left of an image whose own are
    1,000 smaller?"""
    return _answer(_p(logits, logits.max()), labels)


def sums_the_loss(logits, labels):
    """The loss is the sum over the images. What is the mean for?"""
    return _answer(_p(logits, logits.max(1, keepdims=True)), labels, mean=False)


def gradient_of_the_sum(logits, labels):
    """The loss is a mean over N images, the gradient that of a sum. By how much does the mean
    change where one of N losses does?"""
    return _answer(_p(logits, logits.max(1, keepdims=True)), labels, by_N=False)


def only_probabilities(logits, labels):
    """The gradient is p, for the label as well. What happens to the loss where the label's own
    logit grows?"""
    loss, dlogits = solved.softmax_cross_entropy(logits, labels)
    return loss, dlogits + np.eye(dlogits.shape[1])[labels] / len(labels)


def uphill(logits, labels):
    """The gradient has the wrong sign. Where the label's logit grows, does the loss rise or fall?
    """
    return _answer(_p(logits, logits.max(1, keepdims=True)), labels, sign=-1)


def as_loss(f):
    def loss_and_gradient(logits, labels):
        loss, dlogits = f(logits, labels)
        return np.float64(loss), np.asarray(dlogits, logits.dtype)
    return loss_and_gradient


softmax_cross_entropy = Exercise(
    name="softmax_cross_entropy", stars=2, minutes=15,
    small=small_logits, cases=logits(),
    levels=("one image", "several images", "logits whose exp() is too large, or 0"),
    level=logits_level,
    properties=(finite_numbers, mean_of_the_rows, rows_sum_to_0, as_differences_say),
    picture=logits_picture, gist=digits,
    mistakes=(without_maximum, one_maximum_for_all, sums_the_loss, gradient_of_the_sum,
              only_probabilities, uphill),
    hints=(
        "Logits 2, 1, 0: which probabilities are these? If 100 is added to all three, which then?",
        "First take the largest logit of each image away from its row: nothing changes, and no "
        "exp() is too large. For the gradient write the loss of an image as log(Σ exp(l)) - "
        "l[label], and differentiate both parts by l[j].",
        "Do not take the log of p, which may be 0: log p is what is left of the logit minus the "
        "log of the sum. And a mean over N images has a gradient with N in it."),
    plug=Plug(("minidsr.run.train.softmax_cross_entropy",), as_loss, DENSE, 20))

EXERCISES = [linear_backward, softmax_cross_entropy, conv_backward, exposes]
