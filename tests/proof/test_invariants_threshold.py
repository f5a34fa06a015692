"""The threshold from one reallocation to the next: threshold_rule and threshold_between."""

import math
from dataclasses import replace
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from observed import NEW, example, names, reason, seen, verdict

from minidsr.proof.cases import cases
from minidsr.proof.invariants import judge, threshold_between, threshold_rule, violations
from minidsr.reparam import LARGEST_H, SMALLEST_H, Report

# --- threshold_rule


@pytest.mark.parametrize(("how", "expected"), [
    ({"next_H": 2.0}, ["threshold_rule: H goes from 1 to 2; K = 3 and 2.7 to 3.3 ask for 1"]),
    ({"next_H": 0.5}, ["threshold_rule: H goes from 1 to 0.5; K = 3 and 2.7 to 3.3 ask for 1"]),
    ({"N_p": 4}, ["threshold_rule: H goes from 1 to 1; K = 3 and 3.6 to 4.4 ask for 2"])])
def test_what_breaks_threshold_rule(how, expected):
    assert verdict(example(**how)) == expected


def threshold(K, **said):
    """K weights are pruned, of a tensor that has 20 others."""
    rest = dict.fromkeys(range(K, K + 20), LARGEST_H)
    return seen((200, dict.fromkeys(range(K), 0.0) | rest,
                 rest | dict.fromkeys(range(100, 100 + K), NEW)), **said)


@pytest.mark.parametrize(("K", "N_p", "delta", "factor"), [
    (8, 10, 0.1, 2), (9, 10, 0.1, 1), (11, 10, 0.1, 1), (12, 10, 0.1, 0.5),
    (6, 10, 0.3, 2), (7, 10, 0.3, 1), (13, 10, 0.3, 1), (14, 10, 0.3, 0.5),
    (2, 10, 0.7, 2), (3, 10, 0.7, 1), (17, 10, 0.7, 1), (18, 10, 0.7, 0.5),
    (9, 10, 0, 2), (10, 10, 0, 1), (11, 10, 0, 0.5), (9, 10, 0.0, 2),
    (9, 10, np.float32(0.1), 1), (3, 10, np.float64(0.7), 1), (9, 10, Fraction(1, 10), 1),
    (8, 10, Fraction(1, 10), 2), (0, 10, 0.99, 2), (0, 1, 0.1, 2), (20, 10, 0.99, 0.5)])
@pytest.mark.parametrize("H", [1.0, 0.3, np.float32(0.1), 1])
def test_the_threshold_at_its_bounds(K, N_p, delta, factor, H):
    said = {"H": H, "N_p": N_p, "delta": delta}
    for other in (0.25, 0.5, 1, 1.5, 2, 4, -1):
        r = threshold(K, next_H=H * other, **said)
        low, high = float((1 - Fraction(str(delta))) * N_p), float((1 + Fraction(str(delta))) * N_p)
        wrong = [f"threshold_rule: H goes from {H:g} to {H * other:g}; K = {K} and {low:g} to "
                 f"{high:g} ask for {H * factor:g}"]
        found = [str(v) for v in judge(threshold_rule, r)]
        assert found == (wrong if other != factor else [])


@pytest.mark.parametrize(("H", "K", "next_H", "holds"), [
    (LARGEST_H, 0, LARGEST_H, True), (LARGEST_H, 0, 2 * LARGEST_H, True),  # nobody minds
    (LARGEST_H, 0, LARGEST_H / 2, False), (LARGEST_H / 2, 0, LARGEST_H, True),
    (LARGEST_H / 2, 0, LARGEST_H / 2, False), (0.75 * LARGEST_H, 0, 0.75 * LARGEST_H, True),
    (LARGEST_H, 9, LARGEST_H / 2, True), (LARGEST_H, 9, LARGEST_H, False),
    (SMALLEST_H, 9, SMALLEST_H, True), (SMALLEST_H, 9, SMALLEST_H / 2, True),
    (SMALLEST_H, 9, 2 * SMALLEST_H, False), (2 * SMALLEST_H, 9, SMALLEST_H, True),
    (2 * SMALLEST_H, 9, 2 * SMALLEST_H, False), (1.5 * SMALLEST_H, 9, 1.5 * SMALLEST_H, True),
    (SMALLEST_H, 0, 2 * SMALLEST_H, True), (SMALLEST_H, 0, SMALLEST_H, False),
    (np.float32(SMALLEST_H), 9, np.float32(SMALLEST_H), True)])
def test_the_threshold_where_float32_ends(H, K, next_H, holds):
    r = threshold(K, H=H, next_H=next_H, N_p=2, delta=0.1)
    assert names(r) == ([] if holds else ["threshold_rule"])


def test_the_largest_float32_threshold():
    H = np.float32(LARGEST_H)
    assert verdict(threshold(0, H=H, next_H=H, N_p=2, delta=0.1)) == []


@pytest.mark.parametrize("N_p", [100, 100.0, np.int64(100)])
def test_the_rule_is_exact_for_any_kind_of_number(N_p):
    """1.15 * 100.0 is 114.99999999999999 in floating point."""
    small, new = {i: 0.5 for i in range(115)}, {116 + i: NEW for i in range(115)}
    one = (300, small | {115: 1}, {115: 1} | new)
    assert judge(threshold_rule, seen(one, H=1.0, next_H=1.0, N_p=N_p, delta=0.15)) == []


def test_the_threshold_follows_what_is_seen_not_what_is_said():
    r = example(K=30, pruned=[20, 10], grown=[20, 10])
    assert set(names(r)) == {"balance"}


@given(cases(), st.sampled_from([-1, 0.25, 0.5, 0.99, 1, 1.01, 2, 4]))
def test_another_next_threshold(case, factor):
    r = case.run()
    H = case.H * factor
    right = H == r.report.next_H or (r.report.next_H == case.H and factor in (0.5, 2) and
                                     not SMALLEST_H <= H <= LARGEST_H and
                                     factor == (2 if r.report.K < case.N_p else 0.5) and
                                     abs(r.report.K - case.N_p) >
                                     Fraction(str(case.delta)) * case.N_p)
    found = names(replace(r, report=replace(r.report, next_H=H)))
    assert [name for name in found if name != "finite"] == ([] if right else ["threshold_rule"])


@pytest.mark.parametrize("missing", ["H", "next_H", "N_p", "delta"])
def test_the_threshold_rule_needs_all_it_names(missing):
    assert reason(threshold_rule, example(**{missing: None})) == f"{missing} is not known"
    assert verdict(example(**{missing: None})) == []


# --- threshold_between, of two in a row


@pytest.mark.parametrize(("next_H", "H", "wrong"), [
    (1.0, 1.0, []), (np.float32(0.1), 0.1, []), (0.1, np.float32(0.1), []),
    (2.0, 1.0, ["threshold_between: H was set to 2, then 1 was used"]),
    (0.5, 0.25, ["threshold_between: H was set to 0.5, then 0.25 was used"]),
    (1.0, math.nextafter(1, 2), ["threshold_between: H was set to 1, then 1 was used"])])
def test_threshold_between(next_H, H, wrong):
    a, b = seen(H=7.0, next_H=next_H), seen(H=H, next_H=9.0)
    assert [str(v) for v in judge(threshold_between, a, b)] == wrong


def test_threshold_between_needs_both():
    known = seen(H=1.0, next_H=1.0)
    assert reason(threshold_between, known, seen(next_H=1.0)) == "H is not known"
    assert reason(threshold_between, seen(H=1.0), known) == "next_H is not known"


def test_violations_of_two_in_a_row():
    a, b = example(), example(next_H=2.0)  # b starts where a started
    assert [v.invariant for v in violations(b)] == ["threshold_rule"]
    assert [str(v) for v in violations(b, a)] == [
        "threshold_rule: H goes from 1 to 2; K = 3 and 2.7 to 3.3 ask for 1",
        "nothing_moves_between: a: differs at 4 positions, such as 2",
        "nothing_moves_between: b: differs at 2 positions, such as 1"]
    assert [str(v) for v in violations(a, b)][-1] == (
        "threshold_between: H was set to 2, then 1 was used")
    assert "threshold_between" not in [v.invariant for v in violations(replace(
        a, report=Report()), b)]
