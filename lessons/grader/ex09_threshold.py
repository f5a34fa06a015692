"""Lesson 9: threshold_pull."""

from itertools import product

import numpy as np
from hypothesis import strategies as st

from lessons.solutions import ex09 as solved
from minidsr.proof.cases import seeds

from .exercise import Exercise, Plug
from .grids import drawn
from .judge import digits
from .plug import DENSE

# Weights and thresholds are eighths, so that it is certain where |W| equals t, or is 1 away. They
# may be 0.4 away only nearly, where 2 - 4 |q| is 0.4, too.


def small():
    """One and two weights on a row, then rows that differ."""
    for w, t in product((-2.5, -1.0, -0.75, 0.25, 0.5, 1.25, 3.0), (0.0, 0.5, 1.0)):
        yield _case([[w]], [t], [[1]])
    for pair in product((-0.75, 0.625, -3.0, 1.5), repeat=2):
        yield _case([pair], [0.5], [[1, -2]])
    for seed, (F, n) in enumerate(product((1, 2, 3), (1, 2, 3))):
        yield from (_random(seed, F, n, most) for most in (8, 24))


def cases():
    return st.tuples(seeds, st.integers(1, 6), st.integers(1, 8), st.sampled_from((8, 24))).map(
        lambda case: _random(*case))


def _case(W, t, dtheta):
    return tuple(np.array(x, float) for x in (W, t, dtheta))


def _random(seed, F, n, most):
    rng = np.random.default_rng(seed)
    t = rng.integers(-1, 9, F) / 8  # a threshold may be learned to be below 0
    return _case(rng.integers(-most, most + 1, (F, n)) / 8, t, rng.integers(-9, 10, (F, n)))


def far(W, t):
    """|q|, how far each weight is from its threshold."""
    return np.abs(np.abs(W) - t[:, None])


def level(W, t, dtheta):
    q = far(W, t)
    if ((q == 0) | (q == 1)).any():
        return 3
    if len(t) > 1:
        return 2
    return int((q < 1).any())


def slope(q):
    """S(q), number by number."""
    a = abs(q)
    return 2 - 4 * a if a <= 0.4 else 0.4 if a <= 1 else 0.0


def by_hand(W, t, dtheta):
    """(dW, dt) in loops, as the docstring says."""
    dW, dt = np.zeros(W.shape), np.zeros(t.shape)
    for i, j in np.ndindex(W.shape):
        w, q = W[i, j], abs(W[i, j]) - t[i]
        dW[i, j] = dtheta[i, j] * ((q > 0) + abs(w) * slope(q))
        dt[i] -= dtheta[i, j] * w * slope(q)
    return dW, dt


def shapes(g, W, t, dtheta):
    """dW has the shape of W, dt that of t"""
    return len(g) == 2 and np.shape(g[0]) == W.shape and np.shape(g[1]) == t.shape


def weights(g, W, t, dtheta):
    """dW is dθ (1[|W| > t] + |W| S(q))"""
    return _near(g[0], by_hand(W, t, dtheta)[0], "row {0}, column {1}")


def thresholds(g, W, t, dtheta):
    """dt is minus the sum of dθ W S(q) over a row"""
    return _near(g[1], by_hand(W, t, dtheta)[1], "row {0}")


def _near(given, wanted, where):
    wrong = np.argwhere(~np.isclose(np.array(given, float), wanted, rtol=1e-9, atol=1e-9))
    return not len(wrong) or (
        f"at {where.format(*wrong[0])} it should be {wanted[tuple(wrong[0])]:g}, yours is "
        f"{np.array(given)[tuple(wrong[0])]:g}")


def picture(g, W, t, dtheta):
    q = np.abs(W) - t[:, None]
    parts = {"W": W, "t": t[:, None], "dθ": dtheta, "q": q, "S(q)": np.vectorize(slope)(q)}
    if g is not None:
        parts |= {"your dW": g[0], "your dt": g[1]}
    return drawn(parts)


# --- mistakes


def _pulled(W, t, dtheta, *, mask=None, slope=None, size=None, rows=None):
    """(dW, dt) in another way."""
    q = np.abs(W) - t[:, None]
    S = (slope or (lambda q: np.vectorize(solved._slope)(np.abs(q))))(q)
    dW = dtheta * ((q > 0 if mask is None else mask) + (np.abs(W) if size is None else size) * S)
    return dW, -(dtheta * W * S if rows is None else rows(S)).sum(1)


def as_if_cut(W, t, dtheta):
    """The mask is taken as fixed: weights below their threshold learn nothing, and thresholds
    nothing at all. What is S(q) for?"""
    return dtheta * (np.abs(W) > t[:, None]), np.zeros(len(t))


def with_the_sign(W, t, dtheta):
    """The slope is multiplied with W in dW. θ is W times a step of |W| - t, and when W grows by a
    little, |W| grows by the sign of W: what is W times its sign?"""
    return _pulled(W, t, dtheta, size=W)


def with_abs(W, t, dtheta):
    """In dt it is |W| that is multiplied. When a threshold rises past a weight, θ loses W there:
    what if W is negative?"""
    return _pulled(W, t, dtheta, rows=lambda S: dtheta * np.abs(W) * S)


def up_for_down(W, t, dtheta):
    """dt has the other sign. When a threshold rises, does q = |W| - t rise, or fall?"""
    dW, dt = _pulled(W, t, dtheta)
    return dW, -dt


def averages(W, t, dtheta):
    """dt is the mean over a row. By how many weights does a threshold act on the loss?"""
    dW, dt = _pulled(W, t, dtheta)
    return dW, dt / W.shape[1]


def not_strict(W, t, dtheta):
    """A weight that equals its threshold passes. What does > say of it?"""
    return _pulled(W, t, dtheta, mask=np.abs(W) >= t[:, None])


def mask_without_abs(W, t, dtheta):
    """Negative weights never pass. What is compared with the threshold, W or |W|?"""
    return _pulled(W, t, dtheta, mask=W > t[:, None])


def of_one_side(W, t, dtheta):
    """S is right above the threshold, and wrong below it. What is |q| there?"""
    return _pulled(W, t, dtheta, slope=lambda q: np.vectorize(
        lambda x: solved._slope(x) if x > 0 else 2 - 4 * x if x >= -0.4 else 0.4)(q))


def long_tail(W, t, dtheta):
    """S never ends. What is it where |q| is more than 1?"""
    return _pulled(W, t, dtheta, slope=lambda q: np.maximum(2 - 4 * np.abs(q), 0.4))


def short_tail(W, t, dtheta):
    """S is 0 where |q| is 1. The docstring says to which of its three parts 1 belongs."""
    return _pulled(W, t, dtheta, slope=lambda q: np.where(
        np.abs(q) < 1, np.maximum(2 - 4 * np.abs(q), 0.4), 0))


def no_tail(W, t, dtheta):
    """S ends at |q| = 0.4. What is it from there to 1?"""
    return _pulled(W, t, dtheta, slope=lambda q: np.where(
        np.abs(q) <= 0.4, 2 - 4 * np.abs(q), 0))


def as_pull(f):
    def pull(weight, dtheta):
        W, t = weight.rows(weight.value)
        dW, dt = f(W.copy(), t.copy(), dtheta.reshape(W.shape))
        weight.grad = np.concatenate([np.asarray(dW).reshape(-1), dt]).astype(weight.value.dtype)
    return pull


threshold_pull = Exercise(
    name="threshold_pull", stars=2, minutes=20,
    small=small, cases=cases(),
    levels=("one row, no weight within 1 of its threshold", "some weights are near it",
            "several rows", "|W| equals t, or is 1 away from it"),
    level=level,
    properties=(shapes, weights, thresholds),
    picture=picture, gist=digits,
    mistakes=(as_if_cut, with_the_sign, with_abs, up_for_down, averages, not_strict,
              mask_without_abs, of_one_side, long_tail, short_tail, no_tail),
    hints=(
        "W = -0.75, t = 0.5: what is q, what is S(q)? If t grows by 0.01, is the weight nearer to "
        "being cut off, or farther?",
        "Three arrays of the shape of W: q; S of it, by np.where in np.where; and 1 or 0 for the "
        "mask. Then the two lines of the docstring.",
        "t[:, None] stands beside rows, t beside columns. The sum over a row is .sum(1). In dW "
        "stands |W|, in dt W itself."),
    plug=Plug(("minidsr.methods.dst.Thresholded.pull",), as_pull, DENSE | {"method": "dst"}),
    hidden=("minidsr.methods.dst.surrogate",))
