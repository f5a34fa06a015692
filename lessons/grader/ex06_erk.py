"""Lesson 6: erk."""

import math
from fractions import Fraction
from itertools import product

from hypothesis import strategies as st

from minidsr.density import free_counts, uniform
from minidsr.proof.sharing import fair_shares
from minidsr.run.report import table

from .ex07_apportion import by_remainders
from .exercise import Exercise, Plug
from .words import column


def small():
    """Up to 3 tensors, and every total."""
    matrices = [(1, 1), (1, 2), (2, 2), (2, 3), (3, 3)]
    for shapes in (*product(matrices, repeat=1), *product(matrices, repeat=2),
                   *product([(1, 1), (2, 3), (2, 1, 2, 2)], repeat=3)):
        yield from ((list(shapes), total) for total in range(_positions(shapes) + 1))
    yield [(1, 177), (7, 2), (3, 2)], 196  # the third is full when the first two are


@st.composite
def cases(draw):
    """Matrices and convolutions, some of them with a shape whose sum exceeds its product."""
    side = st.integers(1, draw(st.sampled_from([3, 10, 300])))
    kernel = st.sampled_from([(), (1, 1), (3, 3), (5, 3)])
    shape = st.tuples(st.tuples(side, side), kernel).map(lambda parts: parts[0] + parts[1])
    shapes = draw(st.lists(shape, min_size=1, max_size=5))
    return shapes, draw(st.integers(0, _positions(shapes)))


def _positions(shapes):
    return sum(map(math.prod, shapes))


def _exact(shapes, total):
    return fair_shares(total, list(map(sum, shapes)), list(map(math.prod, shapes)))


def level(shapes, total):
    full = [share == math.prod(shape)
            for share, shape in zip(_exact(shapes, total), shapes, strict=True)]
    return 2 if all(full) else int(any(full))


def one_whole_number_each(g, shapes, total):
    """there is one whole number a tensor, none negative"""
    return len(g) == len(shapes) and all(type(n) is int and n >= 0 for n in g)


def sum_is_total(g, shapes, total):
    """they sum to the total, exactly"""
    return sum(g) == total


def fits(g, shapes, total):
    """no tensor has more than it has positions"""
    return all(n <= math.prod(shape) for n, shape in zip(g, shapes, strict=True))


def within_one(g, shapes, total):
    """each is less than one away from the exact share, where full tensors have passed on what they
    refuse"""
    return all(abs(n - share) < 1 for n, share in zip(g, _exact(shapes, total), strict=True))


def picture(g, shapes, total):
    yours = column(g, len(shapes))
    rows = [[str(shape), str(sum(shape)), f"{math.prod(shape):,}", f"{float(share):.2f}", str(n)]
            for shape, share, n in zip(shapes, _exact(shapes, total), yours, strict=True)]
    rows.append(["sum", "", "", str(total), "?" if "?" in yours else str(sum(yours))])
    return f"share out {total:,}\n\n" + table(
        rows, ["shape", "its sum", "positions", "exact share", "yours"], left=(0,))


# --- mistakes


def cut_off(shapes, total):
    """A share that exceeds its tensor is cut off, and what is cut off is lost. Who gets what the
    full tensor refuses?"""
    return [min(n, math.prod(shape))
            for n, shape in zip(beyond_full(shapes, total), shapes, strict=True)]


def beyond_full(shapes, total):
    """A tensor gets more than it has positions. The shares are right if none is full; what is to be
    done with those that are?"""
    return by_remainders(total, list(map(sum, shapes)))


def to_the_first(shapes, total):
    """What a full tensor refuses goes to the first that has room. By which rule should the others
    share it?"""
    g = cut_off(shapes, total)
    for i, shape in enumerate(shapes):
        g[i] += min(total - sum(g), math.prod(shape) - g[i])
    return g


def fills_once(shapes, total):
    """After full tensors are left out, others may be full: ε has grown. What has to be done once
    more?"""
    sizes, exact = list(map(math.prod, shapes)), [
        Fraction(total * sum(shape), sum(map(sum, shapes))) for shape in shapes]
    is_full = [share >= size for share, size in zip(exact, sizes, strict=True)]
    rest = total - sum(size for size, full in zip(sizes, is_full, strict=True) if full)
    open_ones = [sum(shape) for shape, full in zip(shapes, is_full, strict=True) if not full]
    shares = iter(by_remainders(rest, open_ones) if open_ones else [])
    return [size if full else next(shares) for size, full in zip(sizes, is_full, strict=True)]


def by_the_product(shapes, total):
    """All tensors are equally dense: shares are as the products of the shapes. Whose sum does the
    docstring take?"""
    return by_remainders(total, list(map(math.prod, shapes)))


def rounds_each(shapes, total):
    """Each share is rounded by itself, and the sum is not the total. Round all of them down first,
    and count how many are missing."""
    return [round(share) for share in _exact(shapes, total)]


def rounds_down(shapes, total):
    """Each share is rounded down, and some of the total is left. Who should get one more?"""
    return [int(share) for share in _exact(shapes, total)]


def as_free_counts(f):
    def counts(shapes, sparsity, distribution):
        if distribution != "erk":
            return free_counts(shapes, sparsity, distribution)
        return f(list(shapes), sum(uniform([math.prod(shape) for shape in shapes], sparsity)))
    return counts


erk = Exercise(
    name="erk", stars=3, minutes=25,
    small=small, cases=cases(),
    levels=("no tensor is full", "some tensors are full", "all are full"),
    level=level,
    properties=(one_whole_number_each, sum_is_total, fits, within_one),
    picture=picture,
    mistakes=(cut_off, beyond_full, to_the_first, fills_once, by_the_product, rounds_each,
              rounds_down),
    hints=(
        "Shapes (2, 2) and (10, 10), 40 free numbers: the sums are 4 and 20. What are the exact "
        "shares, and what is wrong with the first?",
        "Two steps. (1) Compute ε for the tensors that are open. Those whose share is as large as "
        "they are, or larger, become full: take what they hold from the total, leave them out, and "
        "begin again. (2) When there is none: round down, and give what is missing, one each.",
        "After one round others may be full: ε has grown. And the exact shares need "
        "fractions.Fraction, or a float decides who is full. Lesson 7 has the same problem: "
        "the package shares out by one function, reparam.apportion."),
    plug=Plug(("minidsr.methods.base.free_counts",), as_free_counts, {"distribution": "erk"}))
