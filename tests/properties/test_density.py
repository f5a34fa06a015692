"""minidsr.density: counts are whole, exact, and those of the sparsity as written."""

import math
from decimal import Decimal
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from minidsr import density

sizes = st.lists(st.integers(0, 10**12), max_size=8)
sparsities = st.floats(0, 1, exclude_max=True)


@given(sizes, st.integers(0, 9999))
def test_the_floor_of_the_decimal(sizes, digits):
    sparsity = digits / 10_000  # what the text 0.dddd reads as
    expected = [math.floor((1 - Fraction(digits, 10_000)) * size) for size in sizes]
    assert density.uniform(sizes, sparsity) == expected


@given(sizes, sparsities)
def test_any_float_counts_as_the_decimal_it_prints_as(sizes, sparsity):
    counts = density.uniform(sizes, sparsity)
    exact = 1 - Fraction(Decimal(repr(sparsity)))
    assert counts == [exact.numerator * size // exact.denominator for size in sizes]
    assert all(type(count) is int for count in counts)
    assert all(0 <= count <= size for count, size in zip(counts, sizes, strict=True))


@given(sizes, sparsities, sparsities)
def test_a_higher_sparsity_leaves_no_more(sizes, a, b):
    low, high = sorted((a, b))
    for few, many in zip(density.uniform(sizes, high), density.uniform(sizes, low), strict=True):
        assert few <= many


@pytest.mark.parametrize(("size", "sparsity", "count"), [
    (1000, 0.9, 100), (10, 0.9, 1), (9, 0.9, 0), (10, 0.3, 7), (100, 0.57, 43), (1000, 0.999, 1),
    (147_456, 0.9, 14_745), (3, 0.5, 1), (7, 0, 7), (7, 0.0, 7), (7, -0.0, 7),
    (10**6, 1e-6, 999_999),
])
def test_worked_examples(size, sparsity, count):
    assert density.uniform([size], sparsity) == [count]


def test_numpy_numbers_will_do():
    assert density.uniform([1000], np.float64(0.9)) == [100]


@pytest.mark.parametrize("sparsity", [
    1, 1.0, 1.5, -0.1, -5e-324, 90, math.nan, math.inf, -math.inf])
def test_a_sparsity_out_of_range_raises(sparsity):
    for call in (density.check_sparsity, lambda s: density.uniform([10], s)):
        with pytest.raises(ValueError, match=r"\[0, 1\)"):
            call(sparsity)


shapes = st.lists(st.tuples(st.integers(1, 60), st.integers(1, 60), *[st.integers(1, 3)] * 2)
                  | st.tuples(st.integers(1, 300), st.integers(1, 300)), min_size=1, max_size=6)


@given(shapes, sparsities, st.sampled_from(density.DISTRIBUTIONS))
def test_every_distribution_has_the_same_budget(shapes, sparsity, distribution):
    sizes = [math.prod(shape) for shape in shapes]
    counts = density.free_counts(shapes, sparsity, distribution)
    assert sum(counts) == sum(density.uniform(sizes, sparsity))
    assert all(0 <= m <= size for m, size in zip(counts, sizes, strict=True))
    assert all(type(m) is int for m in counts)


@given(shapes, sparsities, st.sampled_from(["er", "erk"]))
def test_erdos_renyi_is_its_definition(shapes, sparsity, distribution):
    """Tensors that are not full share one ε: density = ε p. Those that are full have a larger p."""
    counts = density.free_counts(shapes, sparsity, distribution)
    sizes = [math.prod(shape) for shape in shapes]
    p = [Fraction(sum(shape), math.prod(shape)) if distribution == "erk"
         else Fraction(shape[0] + shape[1], shape[0] * shape[1]) for shape in shapes]
    partly = [i for i, m in enumerate(counts) if m < sizes[i]]
    if not partly:
        return
    epsilon = Fraction(sum(counts[i] for i in partly), sum(p[i] * sizes[i] for i in partly))
    for i, m in enumerate(counts):
        if i in partly:
            assert abs(m - epsilon * p[i] * sizes[i]) < 1
        else:
            assert m <= epsilon * p[i] * sizes[i] + 1


@given(shapes, sparsities)
def test_reversed_is_erk_the_other_way_round(shapes, sparsity):
    """Of tensors that neither fills, the densities are in the opposite order; and reversed is its
    definition: density ε / p with one ε, where erk has ε p."""
    erk, ours = (density.free_counts(shapes, sparsity, d) for d in ("erk", "reversed"))
    assert sum(erk) == sum(ours)
    sizes = [math.prod(shape) for shape in shapes]
    p = [Fraction(sum(shape), math.prod(shape)) for shape in shapes]
    partly = [i for i, size in enumerate(sizes) if ours[i] < size]
    for i in partly:
        exact = [sizes[j] / p[j] for j in partly]
        epsilon = Fraction(sum(ours[j] for j in partly), sum(exact))
        assert abs(ours[i] - epsilon * sizes[i] / p[i]) < 1
        for j in partly:
            ratio = Fraction(sizes[i], sizes[j])
            if erk[i] < sizes[i] and erk[j] < sizes[j] and p[i] < p[j]:  # to within a weight
                assert erk[i] - 1 < (erk[j] + 1) * ratio
                assert ours[i] + 1 > (ours[j] - 1) * ratio


@given(shapes, sparsities)
def test_both_agree_where_there_are_no_kernels(shapes, sparsity):
    matrices = [shape[:2] for shape in shapes]
    assert (density.free_counts(matrices, sparsity, "er")
            == density.free_counts(matrices, sparsity, "erk"))


def test_a_worked_example_of_erk():
    """ε p = ε (4+2+3+3)/72 and ε (10+10)/100, with 72 + 100 positions and 86 free numbers: the
    sums 12 and 20 share them as 32.25 and 53.75, within both sizes."""
    assert density.free_counts([(4, 2, 3, 3), (10, 10)], 0.5, "erk") == [32, 54]
    assert density.free_counts([(4, 2, 3, 3), (10, 10)], 0.5, "uniform") == [36, 50]
    # reversed: 72²/12 = 432 and 100²/20 = 500 share them as 39.86 and 46.14
    assert density.free_counts([(4, 2, 3, 3), (10, 10)], 0.5, "reversed") == [40, 46]
    # er: (4+2) * 9 = 54 and 20 share them as 62.76 and 23.24
    assert density.free_counts([(4, 2, 3, 3), (10, 10)], 0.5, "er") == [63, 23]
