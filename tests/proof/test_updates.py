"""Cases for methods other than Algorithm 1: what a function is given, and what is judged of it."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis.strategies import data, sampled_from

from minidsr.proof.adapter import GIVEN
from minidsr.proof.cases import growth_cases
from minidsr.proof.updates import GROWS_BY, as_update, networks_for
from minidsr.reparam import Report

METHODS = [method for method in GIVEN if method != "dsr"]


@given(sampled_from(METHODS), data())
def test_what_is_given_is_what_is_recorded(method, draw):
    """And a function that spoils what it is given spoils no verdict."""
    case = draw.draw(networks_for(method)[1])
    given = []

    def spoils(tensors, *rest):
        given.extend(rest)
        for array in rest[0] if method in GROWS_BY else ():
            array[...] = 0
        return None, Report()

    r = case.run(spoils)
    (*dense, fraction, rng), key = given, GROWS_BY.get(method)
    assert len(dense) == (key is not None) == ("gradients" in GIVEN[method] or method == "snfs")
    assert r.known("fraction") == [fraction] == [case.fraction] and 0 <= fraction < 1
    assert isinstance(rng, np.random.Generator)
    again = case.arguments(case.tensors)[0][1] if key else [None] * len(r.before)
    for W, before, scores in zip(case.tensors, r.before, again, strict=True):
        assert before.recorded.keys() == ({key} if key else set())
        if key:
            assert scores.shape == W.shape
            assert before.recorded[key].tolist() == scores.reshape(-1).tolist()


def test_some_gradients_are_equal_and_of_both_signs():
    cases = [as_update(case, "rigl") for case in growth_cases(30)]
    scores = [case.arguments(case.tensors)[0][1][0] for case in cases]
    assert sum(len(np.unique(abs(g))) < g.size for g in scores) > 3
    assert all((g > 0).any() and (g < 0).any() for g in scores)
    assert len({g.tobytes() for g in scores}) == 30


@pytest.mark.parametrize("method", METHODS)
def test_the_network_of_many_seeds_prunes_two_of_three_or_one(method):
    """However 0.66 * 3 is rounded, so that there are seeds enough for each way to grow."""
    case = as_update(next(growth_cases()), method)
    assert case.fraction == 0.66 and case.tensors[0].value.size == 3
