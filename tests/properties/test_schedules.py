"""minidsr.schedules: steps of piecewise values, and the published times of reallocation."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from minidsr.run.config import Config
from minidsr.schedules import (
    SCHEDULES,
    check_periods,
    cubic,
    exponential,
    last_reallocation,
    piecewise,
    reallocates,
    scaled_periods,
    warm_up,
)

PERIODS = (100, 200, 400, 800)
# name: (total, milestones, periods, stop), reallocations in all, the last one
PUBLISHED = {
    "wrn-28-2": ((100_000, (0.125, 0.4, 0.7), PERIODS, 0.95), 367, 94_400),
    "lenet-300-100": ((60_000, (0.25, 0.5, 0.75), PERIODS, 0.9), 273, 53_600),
    "resnet-50": ((500_500, (0.25, 0.5, 0.75), (1000, 2000, 4000, 8000), 0.95), 232, 472_000),
}


@st.composite
def tables(draw):
    """(total, milestones, values): the milestones increase, a dyadic share of training each."""
    parts = sorted(draw(st.sets(st.integers(1, 63), max_size=4)))
    values = draw(st.lists(st.integers(1, 50), min_size=len(parts) + 1, max_size=len(parts) + 1))
    total = draw(st.integers(1, 2000) | st.sampled_from([64, 640, 1600]))
    return total, [part / 64 for part in parts], values


@given(tables(), st.floats(0, 1))
def test_piecewise(table, where):
    total, milestones, values = table
    t = int(where * total)
    expected = values[0]
    for milestone, value in zip(milestones, values[1:], strict=True):
        if t >= milestone * total:
            expected = value
    assert piecewise(t, total, milestones, values) == expected


def test_a_value_holds_from_its_milestone_on():
    values = [piecewise(t, 10, (0.5, 0.8), "abc") for t in range(10)]
    assert "".join(values) == "aaaaabbbcc"
    assert piecewise(3, 10, (), [7]) == 7
    assert [piecewise(t, 100, (0.55,), (1, 2)) for t in (54, 55)] == [1, 2]  # 0.55 * 100 > 55


@given(tables(), st.integers(0, 64))
def test_reallocates(table, stop):
    total, milestones, periods = table
    for t in range(total):
        due = t % piecewise(t, total, milestones, periods) == 0
        assert reallocates(t, total, milestones, periods, stop / 64) == (
            due and t > 0 and 64 * t < stop * total)


@given(tables(), st.integers(0, 64))
def test_the_last_reallocation(table, stop):
    total, milestones, periods = table
    due = [t for t in range(total) if reallocates(t, total, milestones, periods, stop / 64)]
    assert last_reallocation(total, milestones, periods, stop / 64) == (due[-1] if due else None)


def test_the_last_reallocation_of_a_long_training_takes_no_time():
    """By phases, not by steps."""
    assert last_reallocation(10**12, (0.5,), (7, 10**9 + 7), 1) == 999 * (10**9 + 7)


@given(st.lists(st.integers(-1, 9), max_size=4), st.lists(st.floats(-0.1, 1.1), max_size=4))
def test_periods_that_are_accepted(periods, milestones):
    fine = (periods and min(periods) >= 1 and len(milestones) == len(periods) - 1
            and all(0 <= m <= 1 for m in milestones) and milestones == sorted(set(milestones)))
    if fine:
        check_periods(periods, milestones)
    else:
        with pytest.raises(ValueError, match="period"):
            check_periods(periods, milestones)


@pytest.mark.parametrize("name", PUBLISHED)
def test_the_published_schedules(name):
    schedule, count, last = PUBLISHED[name]
    steps = [t for t in range(schedule[0]) if reallocates(t, *schedule)]
    assert len(steps) == count
    assert steps[0] == schedule[2][0]
    assert steps[-1] == last


def test_the_period_changes_at_its_milestone():
    steps = [t for t in range(100) if reallocates(t, 100, (0.25, 0.5), (5, 10, 20), 0.9)]
    assert steps == [5, 10, 15, 20, 30, 40, 60, 80]


@given(st.integers(1, 10**9), st.integers(0, 10**6))
def test_default_periods(total, more):
    """In proportion to the length to within a half, none under 10, and none shorter in a longer
    training."""
    periods = scaled_periods(total)
    for period, paper in zip(periods, PERIODS, strict=True):
        assert abs(period - total * paper / 100_000) <= 0.5 or period == 10 > total * paper / 1e5
    longer = scaled_periods(total + more)
    assert all(a <= b for a, b in zip(periods, longer, strict=True))
    check_periods(periods, (0.3, 0.6, 0.8))


def test_default_periods_at_work():
    assert scaled_periods(100_000) == PERIODS
    assert scaled_periods(4000) == (10, 10, 16, 32)
    assert scaled_periods(1) == scaled_periods(1250) == (10,) * 4
    assert scaled_periods(300_000) == (300, 600, 1200, 2400)


@given(st.sampled_from([cubic, exponential]), st.integers(1, 10**6), st.floats(0, 1),
       st.integers(0, 10**9), st.floats(0, 1))
def test_from_all_weights_to_the_budget(schedule, end, when, first, share):
    """Exact at both ends, whole, never up in time, and never less in a longer training."""
    t, last = int(when * end), int(share * first)
    assert schedule(0, end, first, last) == first
    assert schedule(end, end, first, last) == schedule(end + t, end, first, last) == last
    now, then = schedule(t, end, first, last), schedule(t + 1, end, first, last)
    assert type(now) is int
    assert first >= now >= then >= last
    assert schedule(t, end + 1, first, last) >= now


@given(st.integers(1, 40), st.integers(0, 40), st.integers(1, 1000))
def test_exponential_is_a_factor_each_step(end, t, last):
    """Of 2 here, so that what is left is whole: no rounding takes a weight more or less."""
    first = last * 2**end
    assert exponential(t, end, first, last) == last * 2 ** max(0, end - t)


def test_nothing_moves_at_the_stop():
    assert [t for t in range(10) if reallocates(t, 10, (), (2,), 0.8)] == [2, 4, 6]


# --- learning rates


@given(st.integers(1, 500), st.floats(1e-6, 10))
def test_cosine_falls_from_lr_to_almost_0(total, lr):
    config = Config(lr=lr)
    rates = [SCHEDULES["cosine"](t, total, config) for t in range(total)]
    assert rates[0] == lr
    assert all(a > b > 0 for a, b in zip(rates, rates[1:], strict=False))
    for t in range(total):  # half a turn about its middle
        assert rates[t] + SCHEDULES["cosine"](total - t, total, config) == pytest.approx(lr)


@given(tables(), st.floats(0.1, 2))
def test_step_multiplies_at_each_milestone(table, factor):
    total, milestones, _ = table
    config = Config(lr=0.5, lr_factor=factor, lr_milestones=tuple(milestones))
    for t in range(total):
        passed = sum(t >= m * total for m in milestones)
        assert SCHEDULES["step"](t, total, config) == 0.5 * factor ** passed


@given(st.integers(1, 300) | st.floats(0.5, 300))
def test_warm_up_rises_evenly_to_1(steps):
    shares = [warm_up(t, steps) for t in range(310)]
    assert shares == [pytest.approx(min(1, (t + 1) / steps)) for t in range(310)]
    assert 0 < shares[0] <= 1 and max(shares) == 1


def test_no_warm_up_changes_no_bit():
    assert [warm_up(t, 0.0) for t in range(3)] == [1.0] * 3
