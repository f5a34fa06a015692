"""Anyone's reallocate() behind our signature: nothing is added, lost or accused on the way."""

from importlib.util import find_spec

import numpy as np
import pytest
from hypothesis import given
from masks import in_jax, in_torch

from lessons.gallery import masked
from minidsr.parameters import Sparse
from minidsr.proof.adapter import adapted, refuses
from minidsr.proof.cases import Case, cases_for_anyone, distinct_patterns, small_cases
from minidsr.proof.invariants import violations
from minidsr.proof.runner import encode
from minidsr.proof.updates import as_update
from minidsr.reparam import SMALLEST_H, Report, reallocate


def in_place(values, masks, velocities, H, N_p, delta, rng, keep_one):
    """The gallery's correct program on dense arrays, which change."""
    layers = []
    for value, mask, velocity in zip(values, masks, velocities, strict=True):
        layer = masked.Layer(Sparse(value.shape, np.zeros(0, np.int32), np.zeros(0, np.float32)))
        layer.mask, layer.value, layer.velocity = (x.reshape(-1) for x in (mask, value, velocity))
        layers.append(layer)
    return masked.Masked(rng, keep_one).reallocate(layers, H, N_p, delta)


def into_the_lists(*lists_and_rest, keep_one):
    lists, rest = lists_and_rest[:3], lists_and_rest[3:]
    for arrays in lists:
        arrays[:] = [array.copy() for array in arrays]
    return in_place(*lists, *rest, keep_one)


def returned(*lists_and_rest, keep_one):
    lists, rest = lists_and_rest[:3], lists_and_rest[3:]
    lists = [[array.copy() for array in arrays] for arrays in lists]
    return in_place(*lists, *rest, keep_one), *lists


@pytest.mark.parametrize("function", [in_place, into_the_lists, returned])
@given(case=cases_for_anyone())
def test_a_program_with_masks_does_what_it_does_on_sparse_tensors(function, case):
    here, there = case.run(masked.reallocate), case.run(adapted(function, "numpy"))
    assert here.report == there.report
    for a, b in zip(here.after, there.after, strict=True):
        for name in ("index", "value", "velocity"):
            assert encode(getattr(a, name)) == encode(getattr(b, name))
    assert not violations(there)


@given(cases_for_anyone())
def test_ours_is_as_it_was(case):
    """A Report, or counts in its place, are judged; without them the rest is."""
    expected = case.run().report

    def counted(*args, keep_one):
        next_H, report = reallocate(*args, keep_one=keep_one)
        return next_H, report.pruned, report.grown

    for function in (reallocate, counted):
        said = case.run(adapted(function)).report
        assert (said.next_H, said.K, said.pruned, said.grown, said.keep_one) == (
            expected.next_H, expected.K, expected.pruned, expected.grown, expected.keep_one)
    silent = case.run(adapted(lambda *args: reallocate(*args)[0]))
    assert (silent.report.pruned, silent.report.keep_one) == (None, None)
    assert not violations(silent)


@given(cases_for_anyone())
def test_cases_for_anyone_have_no_doubtful_numbers(case):
    assert np.float32(case.H) == case.H
    for W in case.tensors:
        assert W.size and not (np.signbit(W.value) & (W.value == 0)).any()
        assert (W.value == 0).all() or np.abs(W.value[W.value != 0]).min() >= SMALLEST_H


@pytest.mark.parametrize(("package", "function"), [
    pytest.param(package, function, marks=pytest.mark.skipif(
        not find_spec(package), reason=f"{package} is not installed"))
    for package, function in (("torch", in_torch), ("jax", in_jax))])
def test_other_packages(package, function):
    """Every small network of a tensor, and some of two; JAX takes seconds for each new shape. A
    second run is alike: PyTorch's own generator is seeded."""
    for case in [*small_cases(1, distinct_patterns(3)), *small_cases(2, distinct_patterns(2))]:
        one, again = (case.run(adapted(function, package)) for _ in range(2))
        assert not violations(one)
        assert [encode(t.index) for t in one.after] == [encode(t.index) for t in again.after]


def test_keep_one_is_told_to_whom_it_concerns():
    told = []

    def asks(tensors, H, N_p, delta, rng, keep_one=True):
        told.append(keep_one)
        return H

    W = Sparse((2,), np.array([0], np.int32), np.array([1], np.float32))
    for keep_one in (True, False):
        assert Case([W], 0.5, 1, 0, 0, keep_one).run(adapted(asks)).report.keep_one is keep_one
    assert told == [True, False]


def test_a_parameter_of_this_name_in_another_method_is_its_own():
    def asks(tensors, fraction, rng, keep_one="mine"):
        assert keep_one == "mine"

    as_update(Case([_tensor()], 0.5, 1, 0, 0), "set").run(adapted(asks, method="set"))


def test_counts_are_taken_as_they_are_said():
    said = Case([_tensor()], 0.5, 1, 0, 0).run(adapted(lambda *args: (1.0, [2], [1]))).report
    assert (said.K, said.pruned, said.grown) == (2, [2], [1])


@pytest.mark.parametrize(("answer", "said"), [
    (3, "it must return None, a Report or .pruned, grown."), ([1, 2, 3], "it must return None, a")])
def test_what_must_come_back_of_another_method(answer, said):
    with pytest.raises(TypeError, match=said):
        as_update(Case([_tensor()], 0.5, 1, 0, 0), "set").run(
            adapted(lambda *args: answer, method="set"))


def test_lists_of_another_method_may_come_back():
    def update(values, masks, velocities, gradients, fraction, rng):
        return [[array.copy() for array in arrays] for arrays in (values, masks, velocities)]

    case = as_update(Case([_tensor()], 0.5, 1, 0, 0), "rigl")
    r = case.run(adapted(update, "numpy", "rigl"))
    assert encode(r.after[0].value) == encode(r.before[0].value)
    with pytest.raises(TypeError, match="return None or .values, masks, velocities., not 3"):
        case.run(adapted(lambda *args: 3, "numpy", "rigl"))


@pytest.mark.parametrize(("answer", "said"), [
    (None, "next_H, which it returns, must be a number; it is None"),
    ("0.5", "next_H, which it returns, must be a number; it is of type str"),
    ((1.0, 2), "it must return next_H, "), ((1.0, [1], [1], [1]), "it must return next_H, "),
    ((1.0, {}), "it must return next_H, ")])
def test_what_must_come_back(answer, said):
    with pytest.raises(TypeError, match=said):
        Case([_tensor()], 0.5, 1, 0, 0).run(adapted(lambda *args: answer))


@pytest.mark.parametrize(("spoil", "said"), [
    (lambda W: setattr(W, "index", [0]), "tensor 0: index is no NumPy array of shape"),
    (lambda W: setattr(W, "value", np.ones((1, 1))), "tensor 0: value is no NumPy array of shape")])
def test_what_a_sparse_tensor_must_hold(spoil, said):
    with pytest.raises(TypeError, match=said):
        Case([_tensor()], 0.5, 1, 0, 0).run(adapted(lambda tensors, *rest: spoil(tensors[0]) or 1))


def test_sparse_tensors_stay_the_same_objects():
    def replaces(tensors, *rest):
        tensors[0] = _tensor()
        return 1.0

    with pytest.raises(TypeError, match="tensor 0 is another object, it must change in place"):
        Case([_tensor()], 0.5, 1, 0, 0).run(adapted(replaces))
    with pytest.raises(TypeError, match="it leaves 2 tensors of 1"):
        Case([_tensor()], 0.5, 1, 0, 0).run(adapted(lambda tensors, *_: tensors.append(1) or 1.0))


@pytest.mark.parametrize(("answer", "error", "said"), [
    ((1.0, [np.ones(3)], [np.ones(2)], [np.ones(2)]), ValueError, r"value has shape \(3,\), not"),
    ((1.0, [np.ones(2)], [np.array([1, 0.5])], [np.ones(2)]), ValueError, "other than 0 and"),
    ((1.0, [], [], []), TypeError, "it leaves 0 tensors of 1 in values"),
    ((1.0, Report()), TypeError, "return next_H or .next_H, values, masks, velocities")])
def test_what_masks_must_be(answer, error, said):
    with pytest.raises(error, match=said):
        Case([_tensor()], 0.5, 1, 0, 0).run(adapted(lambda *args: answer, "numpy"))


def test_who_can_be_called():
    def asks(tensors, H, N_p, delta, rng, *, keep_one):
        """It has no default."""

    assert refuses(asks) is refuses(masked.reallocate) is refuses(in_place, "numpy") is None
    assert refuses(print) is refuses(max) is None  # it is compiled, so nobody knows
    assert refuses(asks, "jax").endswith("rng): too many positional arguments")
    assert refuses(in_place).endswith("rng): missing a required argument: 'delta'")


def test_masks_of_whom():
    with pytest.raises(ValueError, match="unknown masks 'numpi'; did you mean numpy"):
        adapted(reallocate, "numpi")


def _tensor():
    return Sparse((2,), np.array([0], np.int32), np.array([1], np.float32))
