"""Lesson 9: momentum_shares."""

import functools
from fractions import Fraction
from itertools import product

import numpy as np
from hypothesis import strategies as st

from minidsr.methods.magnitude import grow_largest, prune_smallest
from minidsr.proof.cases import seeds
from minidsr.proof.sharing import fair_shares
from minidsr.reparam import apportion
from minidsr.run.report import table

from . import ex07_apportion as lesson_7
from .exercise import Exercise, Plug
from .words import bar, column

# Momenta are whole numbers, and tensors have 0, 1, 2, 4 or 8 weights: floats find these means
# exactly, in any order.
MOMENTA = ((), (0,), (1,), (-2,), (1, -3), (-1, 1, 4, 2))


def small():
    """One or two tensors of these, with little room, and some of three."""
    for n in (1, 2):
        for momenta, room in product(product(MOMENTA, repeat=n), product((0, 1, 3), repeat=n)):
            yield from (_case(K, momenta, room) for K in range(min(sum(room), 3) + 1))
    for momenta in product(MOMENTA[2:], repeat=3):
        yield from (_case(K, momenta, room) for K, room in ((6, (9, 9, 9)), (4, (1, 9, 9))))


def _case(K, momenta, room):
    return K, [np.array(V, np.float32) for V in momenta], list(room)


@st.composite
def cases(draw):
    n, rng = draw(st.integers(1, 5)), np.random.default_rng(draw(seeds))
    most = draw(st.sampled_from([1, 9, 1000]))
    momenta = [rng.integers(-most, most + 1, m) for m in rng.choice([0, 1, 2, 4, 8], n).tolist()]
    room = rng.integers(0, draw(st.sampled_from([2, 20, 10**6])), n).tolist()
    return _case(draw(st.integers(0, sum(room))), momenta, room)


def means(momentum):
    """The mean |V| of each tensor, exactly; 0 of one without weights."""
    return [Fraction(float(np.abs(V).sum())) / max(len(V), 1) for V in momentum]


def level(K, momentum, room):
    weights = means(momentum)
    if not all(weights):
        return 3
    if any(K * w > r * sum(weights) for w, r in zip(weights, room, strict=True)):
        return 2
    return int(len({len(V) for V in momentum}) > 1)


def of_means(holds):
    """A property of lesson 7's shares, with means for weights."""
    @functools.wraps(holds)
    def of_shares(g, K, momentum, room):
        return holds(g, K, means(momentum), room)
    return of_shares


def picture(g, K, momentum, room):
    weights, yours = means(momentum), column(g, len(room))
    rows = [[str(i), " ".join(f"{v:g}" for v in V) or "no weights", f"{float(w):.4g}", bar(r),
             f"{float(f):.2f}", str(x)] for i, (V, w, r, f, x) in enumerate(zip(
                 momentum, weights, room, fair_shares(K, weights, room), yours, strict=True))]
    total = str(sum(yours)) if "?" not in yours else "?"
    rows.append(["sum", "", "", "", str(K), total])
    return f"hand out K = {K}\n\n" + table(
        rows, ["tensor", "momentum", "mean |V|", "room", "fair share", "yours"], left=(1, 3))


# --- mistakes


def _by(weight):
    return lambda K, momentum, room: apportion(K, [weight(V) for V in momentum], room)


def by_sums(K, momentum, room):
    """Shares go by the sum of |V|, not by its mean. Should a large tensor win for being large?"""
    return _by(lambda V: float(np.abs(V).sum()))(K, momentum, room)


def without_abs(K, momentum, room):
    """The mean is of V, and what is negative counts against what is positive. Two weights with
    momentum 3 and -3: is nothing to be gained in this tensor?"""
    return _by(lambda V: abs(float(V.mean())) if len(V) else 0.0)(K, momentum, room)


def mean_of_none(K, momentum, room):
    """A tensor without weights has no mean: np.mean of nothing is no number. What does the
    docstring say that it counts as?"""
    return _by(lambda V: float(np.abs(V).sum()) / len(V))(K, momentum, room)


def by_the_largest(K, momentum, room):
    """Shares go by the largest |V| of each tensor. What does one number say of all others?"""
    return _by(lambda V: float(np.abs(V).max(initial=0)))(K, momentum, room)


def by_squares(K, momentum, room):
    """Shares go by the mean of V², which is four times as much for a momentum twice as large. What
    is the size of a number?"""
    return _by(lambda V: float((V * V).mean()) if len(V) else 0.0)(K, momentum, room)


def by_weights(K, momentum, room):
    """Shares go by how many weights there are, as in DSR. What does momentum do in yours?"""
    return _by(len)(K, momentum, room)


def rounds_each_share(K, momentum, room):
    """Each share is rounded by itself. Two tensors with 0.5 each: what is the sum? apportion knows
    how to settle that."""
    return lesson_7.rounds_each_share(K, means(momentum), room)


def forgets_the_room(K, momentum, room):
    """A full tensor gets its share, too. apportion takes the room, and offers to others what finds
    none."""
    return lesson_7.forgets_the_room(K, means(momentum), room)


def as_reallocate(f):
    """SNFS.reallocate with these shares."""
    def reallocate(method, t):
        size = [np.abs(V) for V in method.V]
        momentum = [V.reshape(-1)[W.index] for V, W in zip(method.V, method.tensors, strict=True)]
        fraction = method.annealed(method.fraction, t)
        pruned = [prune_smallest(W, int(fraction * W.value.size)) for W in method.tensors]
        room = [W.size - W.value.size for W in method.tensors]
        grown = f(sum(pruned), momentum, room)
        for W, n, score in zip(method.tensors, grown, size, strict=True):
            grow_largest(W, n, score)
        return method.report(pruned, grown)
    return reallocate


momentum_shares = Exercise(
    name="momentum_shares", stars=2, minutes=15,
    small=small, cases=cases(),
    levels=("tensors have as many weights each, and room", "some have more weights than others",
            "some have too little room", "a tensor has no weights, or no momentum"),
    level=level,
    properties=tuple(map(of_means, (
        lesson_7.whole_numbers, lesson_7.sum_is_K, lesson_7.fits, lesson_7.within_one,
        lesson_7.largest_remainder))),
    picture=picture,
    mistakes=(by_sums, without_abs, mean_of_none, by_the_largest, by_squares, by_weights,
              rounds_each_share, forgets_the_room),
    hints=(
        "One tensor has two weights with momentum 0.5 and -0.5, another four with -2, 1, 0 and 3. "
        "Where would one more weight do most?",
        "A number for each tensor: the mean of np.abs of its momentum. These are the weights that "
        "apportion asks for.",
        "The mean of an empty array is nan, with a warning; such a tensor counts as 0. apportion "
        "wants a list of numbers, and gives a list."),
    plug=Plug(("minidsr.methods.snfs.SNFS.reallocate",), as_reallocate, {"method": "snfs"}))
