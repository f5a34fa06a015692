"""minidsr.run.report: when a run was so short that its method hardly moved weights."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from minidsr.methods import DSR, METHODS
from minidsr.reparam import adjust_pruning_threshold
from minidsr.run import report
from minidsr.run.history import History


def ended(Ks, **fields):
    """The history of a run whose reallocations moved so many weights each."""
    history = History()
    for K in Ks:
        history.add("reallocation", 0, **{"H": None, "next_H": None, "N_p": None} | fields, K=K)
    return history


@pytest.mark.parametrize(("method", "moved", "line"), [
    ("set", [], "has moved nothing: no period ended before the stop (--epochs, --periods, "
                "--stop-epoch)"),
    ("set", [4], "had little time to explore: 1 reallocation moved 4 weights (--epochs, "
                 "--periods)"),
    ("itop", [600] * 9, "had little time to explore: 9 reallocations moved 5,400 weights "
                        "(--epochs, --interval)"),
    ("itop", [600] * 10, None), ("gradual", [9], None), ("deepr", [0], None), ("static", [], None),
    ("dense", [], None)])
def test_a_method_with_little_time(method, moved, line):
    assert report.little_time(METHODS[method], ended(moved)) == line


def test_dsr_in_name_only():
    """Three reallocations, 30 weights of 300: K < 90 each time, so H was still doubling."""
    assert report.little_time(DSR, ended([4, 10, 16], H=0.5, next_H=1.0, N_p=100)) == (
        "had little time to explore: 3 reallocations moved 30 weights of 300 asked for, and H was "
        "still doubling (--epochs, --periods, --threshold)")


@given(Ks=st.lists(st.sampled_from([0, 89, 90, 100, 110, 111, 400]), max_size=14))
def test_when_dsr_had_little_time(Ks):
    """With fewer than ten reallocations, or if H doubles in each of the last three, or of all."""
    history, H = History(), 1.0
    for K in Ks:
        next_H = adjust_pruning_threshold(H, K, 100, 0.1)
        history.add("reallocation", 0, H=H, next_H=next_H, N_p=100, K=K)
        H = next_H
    line = report.little_time(DSR, history)
    doubling = bool(Ks) and max(Ks[-3:]) < 90
    assert (line is not None) == (len(Ks) < 10 or doubling)
    if line:
        assert ("--threshold" in line) == ("doubling" in line) == doubling
