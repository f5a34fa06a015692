"""Counting parameters.

Where free numbers go, how their gradients come back, how many there are and what they take.
"""

import math
from fractions import Fraction

from hypothesis import strategies as st

from lessons.solutions import ex05 as solved
from minidsr.run.report import table

from .ex05_hashed_pull import hashed_pull
from .ex05_theta import pull, theta
from .exercise import Exercise, Plug
from .words import column

# --- budget: (shapes, sparsity) -> list


def small_budgets():
    """One tensor, or two, at every sparsity with one digit, and at some with two."""
    for hundredths in (*range(0, 100, 10), 25, 55, 95, 99):
        for shape in ((1,), (7,), (10,), (5, 2), (20,), (4, 25), (8, 3, 3, 3), (1000,)):
            yield [shape], hundredths / 100
        yield [(10,), (3, 5)], hundredths / 100


@st.composite
def budget_cases(draw):
    digits = draw(st.integers(1, 6))
    side = st.integers(1, draw(st.sampled_from([3, 64, 10**4])))
    shapes = draw(st.lists(st.lists(side, min_size=1, max_size=4).map(tuple), max_size=4))
    return shapes, draw(st.integers(0, 10**digits - 1)) / 10**digits


def exact(shapes, sparsity):
    """The shares before they are rounded."""
    return [(1 - Fraction(str(sparsity))) * math.prod(shape) for shape in shapes]


def budget_level(shapes, sparsity):
    shares = exact(shapes, sparsity)
    if any(int((1 - sparsity) * math.prod(shape)) != int(share)
           for shape, share in zip(shapes, shares, strict=True)):
        return 2
    return int(any(share.denominator > 1 for share in shares))


def one_whole_number_each(g, shapes, sparsity):
    """there is one whole number a tensor"""
    return len(g) == len(shapes) and all(type(n) is int for n in g)


def not_too_many(g, shapes, sparsity):
    """no tensor has more than (1 - sparsity) of its positions"""
    return all(n <= share for n, share in zip(g, exact(shapes, sparsity), strict=True))


def not_too_few(g, shapes, sparsity):
    """with one more, each tensor would have more than (1 - sparsity) of its positions"""
    return all(n + 1 > share for n, share in zip(g, exact(shapes, sparsity), strict=True))


def budget_picture(g, shapes, sparsity):
    yours = column(g, len(shapes))
    rows = [[str(shape), f"{math.prod(shape):,}", f"{float(share):,.10g}", str(n)]
            for shape, share, n in zip(shapes, exact(shapes, sparsity), yours, strict=True)]
    return f"sparsity {sparsity}\n\n" + table(rows, ["shape", "positions", "exact share", "yours"],
                                              left=(0,))


def floats(shapes, sparsity):
    """The share is computed in floats, and falls short of a whole number by a hair. Print (1 - 0.9)
    * 1000: is it 99 or 100? What does Fraction(str(0.9)) print?"""
    return [int((1 - sparsity) * math.prod(shape)) for shape in shapes]


def of_the_binary(shapes, sparsity):
    """The arithmetic is exact, and begins with the wrong number: Fraction(0.9) is the binary number
    that stands for 0.9, with 16 digits. Of what should the Fraction be made?"""
    return [math.floor((1 - Fraction(sparsity)) * math.prod(shape)) for shape in shapes]


def rounds(shapes, sparsity):
    """A share is rounded to the nearest whole number, and may exceed the budget. Which way does the
    docstring round?"""
    return [round(share) for share in exact(shapes, sparsity)]


def floor_of_the_empty(shapes, sparsity):
    """The empty positions are rounded down, and so the free ones up. Which of the two is to be
    rounded down?"""
    return [math.prod(shape) - math.floor(math.prod(shape) - share)
            for shape, share in zip(shapes, exact(shapes, sparsity), strict=True)]


def the_empty(shapes, sparsity):
    """These are the positions that stay empty. How many are free?"""
    return [math.floor(math.prod(shape) - share)
            for shape, share in zip(shapes, exact(shapes, sparsity), strict=True)]


def as_uniform(f):
    def uniform(sizes, sparsity):
        return f([(size,) for size in sizes], sparsity)
    return uniform


budget = Exercise(
    name="budget", stars=2, minutes=15,
    small=small_budgets, cases=budget_cases(),
    levels=("shares are whole numbers", "shares are between whole numbers",
            "floating point misses a whole number"),
    level=budget_level,
    properties=(one_whole_number_each, not_too_many, not_too_few),
    picture=budget_picture,
    mistakes=(floats, of_the_binary, rounds, floor_of_the_empty, the_empty),
    hints=(
        "Ten positions at sparsity 0.75: two free ones, or three? And 1,000 at 0.9, if you ask "
        "Python for (1 - 0.9) * 1000?",
        "Count the positions of a shape, take the share that is free, and round it down; all of it "
        "with fractions, not with floats.",
        "fractions.Fraction(0.9) is not nine tenths: it knows the float only. Fraction('0.9') is, "
        "and str() makes one of the other."),
    plug=Plug(("minidsr.density.uniform",), as_uniform))


# --- bytes_kept: (size, free, storage) -> int

STORAGES = ("dense", "masked", "sparse", "hashed")


def small_storages():
    for size in range(5):
        for free in range(size + 1):
            yield from ((size, free, storage) for storage in STORAGES)


@st.composite
def storage_cases(draw):
    size = draw(st.integers(0, 10**9))
    return size, draw(st.integers(0, size)), draw(st.sampled_from(STORAGES))


def storage_level(size, free, storage):
    return STORAGES.index(storage)


def a_whole_number(g, size, free, storage):
    """there is one whole number"""
    return type(g) is int


def numbers_and_structure(g, size, free, storage):
    """it is three numbers for each that is trained, and what says where they are"""
    numbers = 12 * (free if storage in ("sparse", "hashed") else size)
    structure = {"dense": 0, "masked": size, "sparse": 4 * free, "hashed": 8}[storage]
    return g == numbers + structure or (
        f"{numbers:,} bytes for the numbers and {structure:,} for where they are")


def without_velocity(size, free, storage):
    """Two numbers are counted for each that is trained. What does SGD with momentum keep besides
    value and gradient?"""
    trained = free if storage in ("sparse", "hashed") else size
    return solved.bytes_kept(size, free, storage) - 4 * trained


def mask_makes_small(size, free, storage):
    """With a mask only the free numbers are counted. Do the arrays behind a mask become shorter?"""
    return 12 * free + size if storage == "masked" else solved.bytes_kept(size, free, storage)


def mask_of_bits(size, free, storage):
    """A mask is counted as one bit a position. How many bytes does NumPy take for a bool?"""
    less = size - -(-size // 8) if storage == "masked" else 0
    return solved.bytes_kept(size, free, storage) - less


def position_of_all(size, free, storage):
    """A sparse tensor is charged for a number at every position. Whose positions does it keep?"""
    more = 4 * (size - free) if storage == "sparse" else 0
    return solved.bytes_kept(size, free, storage) + more


def key_for_each(size, free, storage):
    """The key is counted for every free number. How often is it there?"""
    return 20 * free if storage == "hashed" else solved.bytes_kept(size, free, storage)


bytes_kept = Exercise(
    name="bytes_kept", stars=1, minutes=5,
    small=small_storages, cases=storage_cases(),
    levels=STORAGES, level=storage_level,
    properties=(a_whole_number, numbers_and_structure),
    mistakes=(without_velocity, mask_makes_small, mask_of_bits, position_of_all, key_for_each),
    hints=(
        "Ten weights, dense: how many arrays does training keep of them, and how long is each?",
        "Two parts: 12 bytes for each number that is trained, and what the storage needs besides. "
        "Of whom does each of the four train how many?",
        "Behind a mask all arrays keep their full length. A sparse tensor keeps nothing of an "
        "empty position."))

EXERCISES = [theta, pull, hashed_pull, budget, bytes_kept]
