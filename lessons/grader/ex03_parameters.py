"""Lesson 3: parameters."""

from functools import cache
from itertools import product

import numpy as np
from hypothesis import strategies as st

from lessons.solutions import ex03 as solved
from minidsr import build
from minidsr.run.report import table

from .exercise import Exercise


def small():
    return product(range(10, 41, 6), range(1, 5))


def cases():
    return st.tuples(st.sampled_from(range(10, 41, 6)), st.integers(1, 4))


def level(depth, width):
    return 2 if width > 1 else int(depth > 10)


class Zeros(np.random.Generator):
    """Draws nothing: how many numbers there are is all that is asked."""

    def normal(self, low, high, shape):
        return np.zeros(shape, np.float32)

    uniform = normal


@cache
def built(depth, width):
    """(All parameters, those that may be sparse) of the network that the package builds."""
    model = build(f"wrn-{depth}-{width}", image=(3, 32, 32), classes=10,
                  rng=Zeros(np.random.PCG64()))
    sparse = sum(layer.weight.size for layer in model.sparsifiable_layers().values())
    return model.free_parameters(), sparse


def two_numbers(g, depth, width):
    """there are two whole numbers"""
    return len(g) == 2 and all(type(n) is int for n in g)


def sparsifiable(g, depth, width):
    """the second is how many numbers the 3 × 3 convolutions of the blocks have"""
    return _equal(g[1], built(depth, width)[1])


def all_of_them(g, depth, width):
    """the first is how many numbers there are in all"""
    return _equal(g[0], built(depth, width)[0])


def _equal(given, right):
    return given == right or f"yours are {abs(given - right):,} too {_what(given > right)}"


def _what(more):
    return "many" if more else "few"


def picture(g, depth, width):
    rows = [[name, f"{given:,}"] for name, given in zip(("in all", "may be sparse"), g or (),
                                                        strict=True)] if g else []
    return (f"depth = {depth}, blocks a group: {(depth - 4) // 6}; width = {width}: 16, then "
            f"{16 * width}, {32 * width}, {64 * width} channels\n\n"
            + (table(rows, ["", "yours"]) if rows else ""))


# --- mistakes


def _sides(depth, width):
    """(Channels in and out) of each block."""
    c_in = 16
    for c in (16 * width, 32 * width, 64 * width):
        for _ in range((depth - 4) // 6):
            yield c_in, c
            c_in = c


def shortcuts_everywhere(depth, width):
    """Every block has a shortcut with weights. What does the docstring say of one whose channels do
    not change?"""
    free, sparse = solved.parameters(depth, width)
    return free + sum(a * b for a, b in _sides(depth, width) if a == b), sparse


def no_shortcuts(depth, width):
    """Shortcuts have no weights. How are 16 channels added to 32?"""
    free, sparse = solved.parameters(depth, width)
    return free - sum(a * b for a, b in _sides(depth, width) if a != b), sparse


def two_shortcuts(depth, width):
    """Only the second and the third group have a shortcut. How many channels come into the first?
    """
    free, sparse = solved.parameters(depth, width)
    return free - (16 * 16 * width if width > 1 else 0), sparse


def shortcuts_sparse(depth, width):
    """Shortcuts are counted among what may be sparse. Which convolutions may be?"""
    free, sparse = solved.parameters(depth, width)
    return free, sparse + sum(a * b for a, b in _sides(depth, width) if a != b)


def all_may_be_sparse(depth, width):
    """The first convolution is counted among what may be sparse. Is it in a block?"""
    free, sparse = solved.parameters(depth, width)
    return free, sparse + 27 * 16


def with_biases(depth, width):
    """The 3 × 3 convolutions of the blocks have biases. What does the docstring give them?"""
    free, sparse = solved.parameters(depth, width)
    return free + sum(2 * b for _, b in _sides(depth, width)), sparse


def half_a_norm(depth, width):
    """Batch norm has one number for each channel. What are its two?"""
    free, sparse = solved.parameters(depth, width)
    return free - sum(a + b for a, b in _sides(depth, width)) - 64 * width, sparse


def norms_behind(depth, width):
    """The first batch norm of a block has as many channels as come out. How many go in?"""
    free, sparse = solved.parameters(depth, width)
    return free + sum(2 * (b - a) for a, b in _sides(depth, width)), sparse


def same_channels(depth, width):
    """Both convolutions of a block have as many channels in as out. How many come into a group?"""
    free, sparse = solved.parameters(depth, width)
    more = sum(9 * b * (b - a) for a, b in _sides(depth, width))
    return free + more, sparse + more


def no_bias_of_classes(depth, width):
    """The linear layer has no bias. How many has it, for 10 classes?"""
    free, sparse = solved.parameters(depth, width)
    return free - 10, sparse


parameters = Exercise(
    name="parameters", stars=2, minutes=20,
    small=small, cases=cases(),
    levels=("one block a group", "more blocks", "wider"), level=level,
    properties=(two_numbers, sparsifiable, all_of_them), picture=picture,
    mistakes=(shortcuts_everywhere, no_shortcuts, two_shortcuts, shortcuts_sparse,
              all_may_be_sparse, with_biases, half_a_norm, norms_behind, same_channels,
              no_bias_of_classes),
    hints=(
        "One 3 × 3 convolution, of 16 channels to 32: how many weights are that?",
        "A loop over the three groups, in it one over their blocks. Carry along how many channels "
        "go in: after a block these are the group's.",
        "Only the first block of a group can have a shortcut, and only where channels change. With "
        "width 1 the first group has 16 channels in and 16 out. The last batch norm stands behind "
        "all groups."),
    hidden=("minidsr.nn.models.wide_resnet",))
