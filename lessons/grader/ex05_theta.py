"""Lesson 5: theta, and pull, its transpose."""

import math
from itertools import combinations

import numpy as np
from hypothesis import strategies as st

from lessons.solutions import ex05 as solved
from minidsr.proof.cases import seeds, sparse_tensors
from minidsr.run.report import table

from .exercise import Exercise, Plug

SHAPES = [(1,), (2,), (3,), (4,), (1, 2), (2, 1), (2, 2), (2, 3), (3, 2), (1, 2, 2), (0,), (0, 2)]
LEVELS = ("one row", "several rows", "no free numbers")


def structures():
    """Every choice of positions in some small shapes."""
    for shape in SHAPES:
        for m in range(math.prod(shape) + 1):
            for index in combinations(range(math.prod(shape)), m):
                yield shape, np.array(index, np.int32)


def level_of(shape, index):
    return 2 if not len(index) else int(len(shape) > 1)


# --- theta: (shape, index, value) -> array


def small_theta():
    value = np.array([0.5, -1, 2, -3, 4, -5], np.float32)
    return ((shape, index, value[:len(index)]) for shape, index in structures())


def theta_level(shape, index, value):
    return level_of(shape, index)


def has_the_shape(g, shape, index, value):
    """it has the shape"""
    return np.shape(g) == shape or (0 in shape and np.size(g) == 0)


def numbers_are_there(g, shape, index, value):
    """each free number is at its position"""
    return np.reshape(g, -1)[index].tolist() == value.tolist()


def zeros_elsewhere(g, shape, index, value):
    """all other positions are zero"""
    return not np.delete(np.reshape(g, -1), index).any()


def theta_picture(g, shape, index, value):
    right = np.zeros(math.prod(shape), np.float32)
    right[index] = value
    yours = np.reshape(g, -1) if np.size(g) == len(right) and g is not None else ["?"] * len(right)
    rows = [[str(i), "free" if i in index else "", f"{x:g}", y if y == "?" else f"{y:g}"]
            for i, (x, y) in enumerate(zip(right, yours, strict=True))]
    said = "" if g is None else f", yours {np.shape(g)}"
    return f"shape {shape}{said}\n\n" + table(rows, ["position", "", "right", "yours"], left=(1,))


def in_order(shape, index, value):
    """The free numbers stand at the first positions. What does index say?"""
    return solved.theta(shape, np.arange(len(index)), value)


def in_one_row(shape, index, value):
    """All numbers are where they belong, but in one row. What shape does a layer multiply with?"""
    return solved.theta(shape, index, value).reshape(-1)


def as_rows(shape, index, value):
    """In an array with rows, dense[5] is row 5, no position. In which array is it position 5?"""
    dense = np.zeros(shape, np.float32)
    dense[index] = value
    return dense


def by_columns(shape, index, value):
    """Positions are counted down the columns. Which axis runs fastest in dense.reshape(-1)?"""
    return solved.theta(shape, index, value).reshape(-1).reshape(shape, order="F")


def ones_elsewhere(shape, index, value):
    """Where no free number is, there is a 1. What does a position without a weight multiply with?
    """
    dense = np.ones(math.prod(shape), np.float32)
    dense[index] = value
    return dense.reshape(shape)


def as_theta(f):
    def theta(W):
        return np.asarray(f(W.shape, W.index, W.value), W.value.dtype)
    return theta


theta = Exercise(
    name="theta", stars=1, minutes=10,
    small=small_theta,
    cases=sparse_tensors().map(lambda W: (W.shape, W.index, W.value)),
    levels=LEVELS, level=theta_level,
    properties=(has_the_shape, numbers_are_there, zeros_elsewhere),
    picture=theta_picture,
    mistakes=(in_order, in_one_row, as_rows, by_columns, ones_elsewhere),
    hints=(
        "A tensor of 2 rows with 3 positions each: in which row and column is position 5?",
        "Make zeros, put the numbers at their positions, give it the shape. In which order is it "
        "simplest?",
        "As long as an array has one axis, dense[5] is position 5; with rows it is row 5. So give "
        "it its shape last."),
    plug=Plug(("minidsr.parameters.Sparse.theta",), as_theta))


# --- pull: (index, dtheta) -> array


def small_pull():
    for shape, index in structures():
        size = math.prod(shape)
        dtheta = np.arange(1, size + 1) * (-1) ** np.arange(size)
        yield index, dtheta.reshape(shape).astype(np.float32)


@st.composite
def pull_cases(draw):
    W, rng = draw(sparse_tensors()), np.random.default_rng(draw(seeds))
    return W.index, (rng.integers(-99, 100, W.shape) / 4).astype(np.float32)


def pull_level(index, dtheta):
    return level_of(dtheta.shape, index)


def one_number_each(g, index, dtheta):
    """there is one number for each free number"""
    return np.shape(g) == index.shape


def transposed(g, index, dtheta):
    """for all free numbers φ, the sum of θ(φ) dθ is the sum of φ pull(dθ)"""
    return products_agree((dtheta.reshape(-1)[i], g[j]) for j, i in enumerate(index))


def products_agree(sides):
    """True, or the first number where they differ. sides: for each free number (<theta(φ), dθ>,
    <φ, pull(dθ)>), where φ is 1 there and 0 elsewhere; for other φ it follows."""
    for j, (left, right) in enumerate(sides):
        if left != right:
            return (f"not where φ is 1 at its number {j}, and 0 elsewhere: {left:g} on the left, "
                    f"{right:g} on the right")
    return True


def pull_picture(g, index, dtheta):
    fits = isinstance(g, list) and np.shape(g) == index.shape
    rows = [[str(j), str(i), f"{dtheta.reshape(-1)[i]:g}", f"{g[j]:g}" if fits else "?"]
            for j, i in enumerate(index)]
    said = "" if fits or g is None else f"\nyours  = {g}"
    return f"dtheta = {dtheta.tolist()}{said}\n\n" + table(
        rows, ["free number", "position", "gradient there", "yours"], left=())


def the_first_ones(index, dtheta):
    """These are the gradients of the first positions. Which positions hold the free numbers?"""
    return dtheta.reshape(-1)[:len(index)]


def rows_of_it(index, dtheta):
    """In an array with rows, dtheta[5] is row 5, no position. In which array is it position 5?"""
    return dtheta[index]


def masked(index, dtheta):
    """The gradient has the shape of θ, with zeros where nothing is free. How many numbers does SGD
    have to update?"""
    whole = np.zeros_like(dtheta)
    whole.reshape(-1)[index] = dtheta.reshape(-1)[index]
    return whole


def down_the_columns(index, dtheta):
    """Positions are counted down the columns. Which axis runs fastest in dtheta.reshape(-1)?"""
    return dtheta.reshape(-1, order="F")[index]


def all_of_it(index, dtheta):
    """The gradient is handed on as it came. Which of its numbers belong to a free number?"""
    return dtheta.reshape(-1)


def as_pull(f):
    def pull(W, dtheta):
        W.grad = np.asarray(f(W.index, dtheta), W.value.dtype)
        W.dense_grad = dtheta if W.keep_dense_grad else None
    return pull


pull = Exercise(
    name="pull", stars=1, minutes=10,
    small=small_pull, cases=pull_cases(),
    levels=LEVELS, level=pull_level,
    properties=(one_number_each, transposed),
    picture=pull_picture,
    mistakes=(the_first_ones, rows_of_it, masked, down_the_columns, all_of_it),
    hints=(
        "If a free number grows by a little, which entry of θ does, and how does the loss change?",
        "theta() puts number j at position index[j]. The gradient goes the same way back.",
        "Give dtheta one axis first: then its entries are numbered like the positions."),
    plug=Plug(("minidsr.parameters.Sparse.pull",), as_pull))
