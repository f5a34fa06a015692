"""`minidsr verify`: what is tried and counted, how a fault is shown, the exit code."""

import json
import re
from pathlib import Path

import numpy as np
import pytest

from minidsr import InvariantError, reparam
from minidsr.__main__ import main
from minidsr.parameters import Sparse
from minidsr.proof import cases
from minidsr.proof.cases import Case, small_cases
from minidsr.proof.invariants import OF_ONE_REALLOCATION, RULES
from minidsr.proof.reallocation import NotCheckable
from minidsr.proof.trace import load
from minidsr.run.tally import Tally
from minidsr.run.verify import (
    check_trace,
    extent,
    how_many_small,
    try_case,
    try_small_cases,
    verify_package,
    verify_trace,
)

pytestmark = pytest.mark.slow  # nearly each tries thousands of networks

NAMES = [i.__name__ for i in RULES["dsr"].all]
GOOD = {"a/before/value": [3, 0.1, 0, 2], "a/before/mask": [1, 1, 0, 1],
        "a/after/value": [3, 0, 0, 2], "a/after/mask": [1, 0, 1, 1],
        "H": 0.5, "next_H": 0.5, "N_p": 1, "delta": 0.1}
PATTERNS = [(1,), (2,), (0, 1), (0, 0, 1, 2)]


@pytest.fixture
def few(monkeypatch):
    """Small networks of four patterns: 4 + 16 + 64 of them."""
    monkeypatch.setattr(cases, "distinct_patterns", lambda: PATTERNS)
    return 4 + 16 + 64


@pytest.fixture
def trace(tmp_path):
    """A function that writes a trace, the good one with these entries, and returns its path."""
    def write(**entries):
        path = tmp_path / "trace.npz"
        np.savez(path, **(GOOD | {k.replace("__", "/"): v for k, v in entries.items()}))
        return path

    return write


def rows(text):
    """{invariant: (verdict, cases, words)}, from the table."""
    found = re.findall(r"^(\w+) +(held|not checkable|VIOLATED [\d,]+ x) +([\d,]+)  (.+)$", text,
                       re.MULTILINE)
    return {name: (verdict, int(n.replace(",", "")), words) for name, verdict, n, words in found}


def flush(text):
    """Without indents."""
    return re.sub(r"^ +", "", str(text), flags=re.MULTILINE)


def fails(capsys, *argv, code=2):
    """Exit code, one line on standard error, and what is on standard output."""
    method = [] if "--cases" in argv else ["--method", "dsr"]
    assert main(["verify", *map(str, argv), *method]) == code
    out, err = capsys.readouterr()
    assert err.startswith("minidsr: ")
    assert err.count("\n") == 1
    assert "Traceback" not in out + err
    return out, err


# --- faults to find: reallocate(), and then something goes wrong

def correct(tensors, *args, **options):
    return reparam.reallocate(tensors, *args, **options)


def with_fault(spoil):
    def reallocate(tensors, H, N_p, delta, rng, **options):
        before = [(W.index, W.value, W.velocity) for W in tensors]
        next_H, report = reparam.reallocate(tensors, H, N_p, delta, rng, **options)
        return spoil(tensors, before, next_H, report) or (next_H, report)

    return reallocate


@with_fault
def grows_at_one(tensors, before, next_H, report):
    for W, g in zip(tensors, report.grown, strict=True):
        if g:
            W.value = np.where(W.value == 0, np.float32(1), W.value)


@with_fault
def loses_a_weight(tensors, before, next_H, report):
    for W in tensors:
        if report.K and len(W.index):
            W.index, W.value, W.velocity = W.index[1:], W.value[1:], W.velocity[1:]
            return


@with_fault
def clears_momentum(tensors, before, next_H, report):
    for W in tensors:
        W.velocity = W.velocity * 0


@with_fault
def scales_all(tensors, before, next_H, report):
    for W in tensors:
        W.value = W.value * 2


@with_fault
def doubles_always(tensors, before, next_H, report):
    return 2 * next_H, None


@with_fault
def says_nothing(tensors, before, next_H, report):
    return next_H, None


def raises(tensors, *args, **options):
    raise ZeroDivisionError("no survivors")


def forgets_the_seed(tensors, H, N_p, delta, rng, **options):
    forgets_the_seed.calls += 1
    return reparam.reallocate(tensors, H, N_p, delta,
                              np.random.default_rng(forgets_the_seed.calls), **options)


forgets_the_seed.calls = 0


def prefers_the_first(tensors, H, N_p, delta, rng, *, keep_one=True):
    """Prunes only the first of the tensors."""
    next_H, _ = reparam.reallocate(tensors[:1], H, N_p, delta, rng, keep_one=keep_one)
    return next_H, None


def case(seed=7):
    """Two tensors, with a weight to prune in each, and room to grow."""
    def tensor(*values):
        W = Sparse((7,), np.arange(len(values)), np.array(values, np.float32))
        W.velocity = np.ones_like(W.value)
        return W

    return Case([tensor(0.1, 3, -4), tensor(0.2, 5, 6)], 0.5, 2, 0.1, seed)


IN_ANOTHER_ORDER = next(seed for seed in range(99)
                        if np.random.default_rng(seed).permutation(2).tolist() == [1, 0])


# --- Tally

def holds(run):
    """It holds."""
    return ()


def breaks(run):
    """It breaks.

    x < 1
    """
    yield f"x = {run}"
    yield f"x = {run}, again"


def unknown(run):
    """It is not known."""
    raise NotCheckable("x is not known")


def test_tally_counts_cases_not_messages():
    tally = Tally()
    found = [tally.add(f"case {x}", [holds, breaks, unknown], x) for x in (5, 6)]
    assert [[str(v) for v in vs] for vs in found] == [
        [f"breaks: x = {x}", f"breaks: x = {x}, again"] for x in (5, 6)]
    assert dict(tally.checked) == {"holds": 2, "breaks": 2}
    assert dict(tally.violated) == {"breaks": 2}
    assert tally.unchecked["unknown"] == "x is not known"
    assert not tally.held


def test_tally_keeps_the_smallest_example():
    """Of equal ones the first."""
    tally = Tally()
    for size, name in ((7, "large"), (3, "small"), (3, "small too"), (5, "middle")):
        tally.add(name, [breaks], name, size=size)
    size, example, violation = tally.examples["breaks"]
    assert (size, example, violation.message) == (3, "small", "x = small")
    assert list(tally.examples) == ["breaks"]


def test_tally_without_violations_holds():
    tally = Tally()
    assert tally.add("case", [holds, unknown], 1) == []
    assert tally.held
    assert tally.examples == {}


def test_tally_of_what_does_not_complete():
    tally = Tally()
    found, = tally.fails("large", KeyError("x"), 9)
    tally.fails("small", ZeroDivisionError("y"), 2)
    assert str(found) == "completes: KeyError: 'x'"
    assert (tally.checked["completes"], tally.violated["completes"]) == (2, 2)
    assert not tally.held
    assert flush(tally).endswith("\n\ncompletes: ZeroDivisionError: y\nin small")


def test_table():
    """Each invariant by name, the verdict, how many cases, what must hold or why nobody knows."""
    tally, one = Tally(), case().run()
    for _ in range(1234):
        tally.add("case", OF_ONE_REALLOCATION[:1], one)
    lines = str(tally).splitlines()
    assert lines[0].split() == ["invariant", "verdict", "cases", "what", "must", "hold"]
    assert [line.split()[0] for line in lines[2:]] == NAMES
    found = rows(str(tally))
    assert list(found) == NAMES
    assert found["finite"] == ("held", 1234, OF_ONE_REALLOCATION[0].__doc__.splitlines()[0])
    assert "  1,234  " in lines[2]
    assert found["order_does_not_matter"][:2] == ("not checkable", 0)
    assert re.fullmatch(r"\(.+\)", found["order_does_not_matter"][2])


def test_examples_stand_below_the_table():
    tally = Tally()
    try_case(tally, case(), reallocate=grows_at_one)
    text = str(tally)
    assert rows(text)["grown_at_zero"][0] == "VIOLATED 1 x"
    assert "\n\ngrown_at_zero: tensor 0: position " in text
    shown = text.split("\n\ngrown_at_zero: ")[1].split("\n\n")[0].splitlines()
    assert [line.split() for line in shown[1:3]] == [
        "in H = 0.5, N_p = 2, delta = 0.1, seed 7, keep_one=True; next H = 0.5".split(),
        "tensor 0, 7 positions 0 1 2 3 4 5 6".split()]
    assert shown[3].split() == ["before", "0.1", "3", "-4", ".", ".", ".", "."]
    first, *others = (len(line) - len(line.lstrip()) for line in shown[1:])
    assert all(other >= first > 0 for other in others)  # they belong to it


# --- try_case

def test_a_correct_reallocation():
    tally = Tally()
    assert try_case(tally, case()) == []
    assert tally.held
    for name in NAMES:
        known = name not in ("masked_are_zero", "largest_kept", "overflow", "dense_unchanged",
                             "nothing_moves_between", "threshold_between", "grown_uniformly")
        assert tally.checked[name] == known, name


def test_once_or_reruns():
    tally, calls = Tally(), []

    def counting(tensors, *args, **options):
        calls.append([W.value[0] for W in tensors])
        return correct(tensors, *args, **options)

    try_case(tally, case(), reruns=False, reallocate=counting)
    assert len(calls) == 1
    assert tally.checked["same_seed_same_result"] == tally.checked["order_does_not_matter"] == 0
    orders = []
    for seed in range(8):
        calls.clear()
        try_case(tally, case(seed), reallocate=counting)
        assert len(calls) == 3
        assert calls[0] == calls[1]
        assert sorted(calls[2]) == sorted(calls[0])
        orders.append(calls[2] == calls[0])
    assert len(set(orders)) == 2
    assert tally.checked["same_seed_same_result"] == tally.checked["order_does_not_matter"] == 8
    assert tally.held, str(tally)


@pytest.mark.parametrize(("fault", "named"), [
    (grows_at_one, {"grown_at_zero"}),
    (clears_momentum, {"survivors_keep_velocity"}),
    (scales_all, {"survivors_keep_value"}),
    (doubles_always, {"threshold_rule"}),
    (forgets_the_seed, {"same_seed_same_result"}),
    (prefers_the_first, {"pruned_below_threshold", "order_does_not_matter"})])
def test_a_fault_is_named(fault, named):
    tally = Tally()
    found = try_case(tally, case(IN_ANOTHER_ORDER), reallocate=fault)
    assert {v.invariant for v in found} == tally.violated.keys() == named, str(tally)


def test_a_lost_weight_is_named():
    tally = Tally()
    try_case(tally, case(), reallocate=loses_a_weight)
    assert {"budget", "balance"} <= tally.violated.keys()
    assert "budget: 6 free numbers before, 5 after" in str(tally)


def test_what_raises_does_not_complete():
    tally = Tally()
    found, = try_case(tally, case(), reallocate=raises)
    said = "completes: ZeroDivisionError: no survivors (test_verify.py, line "
    assert str(found).startswith(said)
    assert tally.violated == {"completes": 1}
    size, example, _ = tally.examples["completes"]
    assert (size, str(example.case), example.r) == (14, str(case()), None)
    assert re.search(re.escape(said) + r"\d+\)\nin H = 0.5", flush(tally))


def test_what_is_not_said_is_not_checked():
    tally = Tally()
    try_case(tally, case(), reallocate=says_nothing)
    assert tally.held
    assert tally.unchecked["balance"] == "pruned is not known"
    assert tally.checked["threshold_rule"] == 1


def test_the_smallest_case_is_shown():
    """Of all small cases that show a fault, none has fewer positions."""
    tally, sizes = Tally(), []
    for one in small_cases(2, PATTERNS):
        if try_case(tally, one, reruns=False, reallocate=grows_at_one):
            sizes.append(sum(W.size for W in one.tensors))
    size, example, _ = tally.examples["grown_at_zero"]
    assert size == sum(W.size for W in example.case.tensors) == min(sizes) < max(sizes)


# --- verify_trace

def test_of_a_trace(trace):
    tally = verify_trace(load(trace()), method="dsr")
    assert tally.held
    assert tally.checked["budget"] == 1
    assert tally.checked["nothing_moves_between"] == 0
    assert tally.unchecked["survivors_keep_velocity"] == "velocity is not known"


def test_of_a_trace_each_follows_the_one_before(tmp_path):
    """Of three, two pairs; the second pair is wrong, in threshold and positions."""
    first = {f"0__{key}": value for key, value in GOOD.items()}
    second = {f"1__{key}": value for key, value in GOOD.items()}
    third = {f"2__{key}": value for key, value in GOOD.items()}
    for key in ("value", "mask"):
        second[f"1__a/before/{key}"] = second[f"1__a/after/{key}"] = GOOD[f"a/after/{key}"]
        third[f"2__a/before/{key}"] = third[f"2__a/after/{key}"] = GOOD[f"a/before/{key}"]
    nothing = {"H": 1e-9, "N_p": 1, "delta": 0.1}
    entries = first | second | third | {"0__next_H": 1e-9}
    entries |= {f"1__{key}": value for key, value in nothing.items()} | {"1__next_H": 2e-9}
    entries |= {f"2__{key}": value for key, value in nothing.items()} | {"2__next_H": 2e-9}
    entries |= {"1__a/after/value": [3, 0, 0, 2], "2__H": 1e-9}
    np.savez(tmp_path / "trace.npz", **{k.replace("__", "/"): x for k, x in entries.items()})
    tally = verify_trace(load(tmp_path / "trace.npz"), method="dsr")
    assert tally.checked["budget"] == 3
    assert tally.checked["nothing_moves_between"] == tally.checked["threshold_between"] == 2
    assert tally.violated["nothing_moves_between"] == tally.violated["threshold_between"] == 1
    assert tally.examples["nothing_moves_between"][1] == "reallocation 2 of trace.npz"
    assert tally.examples["threshold_between"][1] == "reallocation 2 of trace.npz"


def test_a_tally_goes_on(trace):
    tally = Tally()
    found = load(trace())
    assert verify_trace(found, tally) is tally
    verify_trace(found, tally)
    assert tally.checked["budget"] == 2


# --- the command, without a trace

def test_the_package_holds(few, capsys):
    assert main(["verify", "--cases", "20"]) == 0
    out, err = capsys.readouterr()
    assert re.match(r"Algorithm 1, as installed in .+, is tried on 84 small networks and 20 random "
                    r"ones, and in a training: three minutes, .+; with --quick some seconds\.\n",
                    out)
    tried = [int(n) for n in re.findall(r"^ +(\d+) \w+", out.split("tried:")[1].split("\n\n")[0],
                                        re.MULTILINE)]
    assert tried == [few, 20, 420, 50]
    assert re.search(r"\n\n\d+ invariants held, 0 violated, \d+ not checkable\n$", out)
    found = rows(out)
    assert list(found) == NAMES
    assert {name for name, (verdict, _, _) in found.items() if verdict != "held"} == {
        "masked_are_zero"}  # Sparse tensors store none
    assert found["budget"][1] == few + 20 + 50
    assert found["same_seed_same_result"][1] == found["order_does_not_matter"][1] == 20
    assert found["dense_unchanged"][1] == 50
    assert found["nothing_moves_between"][1] == found["threshold_between"][1] == 49
    assert found["shares"][1] + found["overflow"][1] == found["budget"][1]
    assert "Traceback" not in err


def test_progress_covers_all(few):
    bars = {}

    def progress(items, desc, **_):
        for item in items:
            yield item
            bars[desc] = bars.get(desc, 0) + 1

    tally, tried = verify_package(20, progress)
    assert bars == {"small networks": few, "random networks": 20, "training": 50}
    assert list(tried.values()) == [few, 20, 420, 50]
    assert tally.held


def test_small_networks_are_all_of_them():
    """What the command says of them: up to three tensors with up to four positions each."""
    patterns = cases.distinct_patterns()
    assert len(patterns) == 3 + 6 + 10 + 15
    assert {len(p) for p in patterns} == {1, 2, 3, 4}
    assert {tuple(sorted(p)) for p in cases.all_patterns()} == set(patterns)


def break_cases(monkeypatch, fault):
    run = Case.run
    monkeypatch.setattr(Case, "run", lambda self, reallocate=None, order=None: run(
        self, fault, order))


def test_a_broken_package_is_named(few, monkeypatch, capsys):
    """Its smallest example is shown, not one from training."""
    monkeypatch.setattr("minidsr.methods.dsr.reallocate", grows_at_one)
    break_cases(monkeypatch, grows_at_one)
    out, err = fails(capsys, "--cases", "20", code=1)
    verdict, cases, _ = rows(out)["grown_at_zero"]
    assert re.fullmatch(r"VIOLATED \d+ x", verdict) and cases > few + 50
    shown = out.split("\n\ngrown_at_zero: ")[1].split("\n\n")[0]
    assert re.search(r"tensor 0, 1 position +0\n +before +0.25\n", shown)
    assert " held, 0 violated" not in out
    assert "violated" in err


def test_a_broken_package_that_raises(few, monkeypatch, capsys):
    break_cases(monkeypatch, raises)
    out, err = fails(capsys, "--cases", "5", code=1)
    assert re.search(r"\n\ncompletes: ZeroDivisionError: no survivors \(test_verify.py, line \d+\)"
                     r"\nin H = 0.5", flush(out))
    assert "tensor 0, 1 position " in out.split("\n\ncompletes: ")[1]


def test_a_package_that_raises_in_training(few, monkeypatch, capsys):
    """Also where what is raised looks like a user's mistake."""
    def refuses(*args, **options):
        raise ValueError("cannot grow")

    monkeypatch.setattr("minidsr.methods.dsr.reallocate", refuses)
    out, err = fails(capsys, "--cases", "5", code=1)
    assert "completes: ValueError: cannot grow" in out


@pytest.mark.parametrize("cases", ["0", "-3"])
def test_cases_must_be_positive(cases, few, capsys):
    out, err = fails(capsys, "--cases", cases)
    assert "cases must be in [1, " in err


# --- the command, with a trace

def test_a_good_trace(trace, capsys):
    path = trace()
    assert main(["verify", str(path), "--method", "dsr"]) == 0
    out, err = capsys.readouterr()
    assert err == ""
    assert out.startswith(f"{path}: 1 reallocation")
    assert re.search(r"\n\n\d+ invariants held, 0 violated, \d+ not checkable\n$", out)
    found = rows(out)
    assert list(found) == NAMES
    assert found["budget"][:2] == ("held", 1)
    assert found["grown_at_rest"] == ("not checkable", 0, "(velocity is not known)")
    assert found["balance"] == ("not checkable", 0, "(pruned is not known)")
    assert found["overflow"] == ("not checkable", 0, "(every share found room, see shares)")
    assert found["dense_unchanged"] == ("not checkable", 0, "(there is no dense tensor)")


@pytest.mark.parametrize(("entries", "named", "numbers"), [
    ({"a__after__mask": [1, 0, 0, 1]}, {"budget", "shares"},
     "budget: 3 free numbers before, 2 after"),
    ({"a__after__value": [3, 0, 0.25, 2]}, {"grown_at_zero"},
     "a: position 2 is grown with value 0.25"),
    ({"a__after__value": [3, 0, 0, 7]}, {"survivors_keep_value"},
     "a: value 2 at position 3 becomes 7"),
    ({"next_H": 1.0}, {"threshold_rule"},
     "H goes from 0.5 to 1; K = 1 and 0.9 to 1.1 ask for 0.5"),
    ({"a__before__value": [3, 0.75, 0, 2]}, {"pruned_below_threshold"},
     "pruned_below_threshold: a: 0.75 at position 1 is "),
    ({"a__before__velocity": [1, 1, 1, 1], "a__after__velocity": [1, 0, 0.5, 1]},
     {"grown_at_rest"}, "a: position 2 is grown with velocity 0.5"),
    ({"a__pruned": 2, "a__grown": 2}, {"balance"}, "a: 2 said to be pruned, 1 are"),
    ({"b__before__value": [1.0], "b__after__value": [2.0]}, {"dense_unchanged"},
     "b: another value after")])
def test_a_violating_trace(entries, named, numbers, trace, capsys):
    out, err = fails(capsys, trace(**entries), code=1)
    assert {name for name, (verdict, _, _) in rows(out).items() if "VIOLATED" in verdict} == named
    assert numbers in out
    assert flush(out).count("\nin reallocation 0") == len(named)
    assert set(err.removeprefix("minidsr: violated: ").strip().split(", ")) == named
    assert " held, 0 violated" not in out


def test_more_are_said_to_be_pruned_than_were_there(trace, capsys):
    """H unknown, so the claim is all there is; it makes no sense."""
    entries = {"a__pruned": 9, "a__grown": 9}
    path = trace(**entries)
    with np.load(path) as file:
        rest = {key: array for key, array in file.items() if key != "H"}
    np.savez(path, **rest)
    out, _ = fails(capsys, path, code=1)
    assert rows(out)["balance"][0] == "VIOLATED 1 x"


def test_what_it_rests_on(trace, capsys):
    """Two weights survive, one is new, and none was as large as H; then one is."""
    assert main(["verify", str(trace()), "--method", "dsr"]) == 0
    found = rows(capsys.readouterr().out)
    assert found["survivors_keep_value"][2].endswith("bit for bit. (2 survivors)")
    assert found["grown_at_zero"][2].endswith("(1 grown weight)")
    assert found["pruned_below_threshold"][2].endswith("(but no |w| equal to H occurred)")
    assert found["shares"][2].endswith("(but no shares to be rounded occurred)")
    assert found["threshold_rule"][2].endswith("(but no changes of H occurred)")
    path = trace(a__before__value=[0.5, 0.1, 0, 2], a__after__value=[0.5, 0, 0, 2])
    assert main(["verify", str(path), "--method", "dsr"]) == 0
    assert rows(capsys.readouterr().out)["pruned_below_threshold"][2].endswith(
        "(1 |w| equal to H)")


def test_whose_rules(trace, capsys):
    """It grows where it just pruned, while another place is free: SET may, DSR may not."""
    path = str(trace(a__after__mask=[1, 1, 0, 1]))
    for method, code, rule in (("dsr", 1, "grown_elsewhere"), ("set", 0, "count_per_tensor")):
        assert main(["verify", path, "--method", method]) == code
        out = capsys.readouterr().out
        assert f"\nby the rules of {method}\n" in out and rule in rows(out)
    assert main(["verify", path]) == 0
    out = capsys.readouterr().out
    assert "\nby the rules that hold for any method that moves weights at some steps; " in out
    assert list(rows(out)) == [i.__name__ for i in RULES[None].all]


def test_methods_of_traces(trace, capsys):
    assert main(["verify", str(trace()), "--method", "rgil"]) == 2
    assert "unknown method 'rgil'; did you mean rigl" in capsys.readouterr().err
    assert main(["verify", "--method", "rigl"]) == 2
    assert "--method is for a function or a trace" in capsys.readouterr().err


def test_a_folder_of_traces(trace, capsys):
    folder = trace().parent
    (folder / "trace.npz").rename(folder / "a.npz")
    (folder / "b.npz").write_bytes((folder / "a.npz").read_bytes())
    out, _ = fails(capsys, folder, code=1)
    assert out.startswith(f"{folder}: 2 reallocations of 1 sparse tensor")
    assert "nothing_moves_between: a: differs at 2 positions" in out


@pytest.mark.parametrize(("entries", "said"), [
    ({"delta": 2.0}, "delta must be in [0, 1), not 2.0"),
    ({"H": [1.0, 2.0]}, "H must be one number"),
    ({"foo": 1}, "'foo' is no key of a trace"),
    ({"a__before__mask": [2, 1, 0, 1]}, "mask before has entries other than 0 and 1")])
def test_a_malformed_trace(entries, said, trace, capsys):
    path = trace(**entries)
    out, err = fails(capsys, path)
    assert out == ""
    assert str(path) in err and said in err


@pytest.mark.parametrize("flag", ["--quick", "--seed 1", "--cases 5"])
def test_what_is_for_networks(flag, trace, capsys):
    assert main(["verify", str(trace()), *flag.split()]) == 2
    assert capsys.readouterr().err == (f"minidsr: {flag.split()[0]} is for the package or a "
                                       "function, not for a trace\n")


def test_no_such_trace(tmp_path, capsys):
    out, err = fails(capsys, tmp_path / "none.npz")
    assert (out, err) == ("", f"minidsr: {tmp_path / 'none.npz'}: No such file or directory\n")


@pytest.mark.parametrize("content", [b"", b"hello", None])
def test_not_a_trace(content, tmp_path, capsys):
    """Nor is an .npz file in which nothing is."""
    path = tmp_path / "trace.npz"
    np.savez(path)
    if content is not None:
        path.write_bytes(content)
    out, err = fails(capsys, path)
    assert out == "" and str(path) in err


def test_a_tolerance(trace, capsys):
    """What differs by a thousandth, is masked and is grown; a tolerance is for a trace."""
    path = trace(a__before__value=[3, 0.1, 0, 2], a__after__value=[3.001, 0, 0.001, 2])
    out, _ = fails(capsys, path, code=1)
    assert {name for name, (verdict, _, _) in rows(out).items() if "VIOLATED" in verdict} == {
        "survivors_keep_value", "grown_at_zero"}
    fails(capsys, path, "--tolerance", "0.0009", code=1)
    assert main(["verify", str(path), "--method", "dsr", "--tolerance", "0.0011"]) == 0
    assert check_trace(path, method="dsr", tolerance=0.0011).held
    with pytest.raises(InvariantError, match=r"trace.npz has violations\n\nsurvivors_keep_value: "):
        check_trace(path, method="dsr")
    assert main(["verify", "--tolerance", "1e-3"]) == 2
    assert "--tolerance is for a trace" in capsys.readouterr().err
    assert "tolerance must be in [0, " in fails(capsys, path, "--tolerance", "nan")[1]


# --- --json

KEYS = {"rule", "verdict", "cases", "violations", "must_hold", "rests_on", "why_not", "example"}


def as_json(capsys, *argv, code):
    """The document, which is all that is on standard output."""
    assert main(["verify", *map(str, argv), "--json"]) == code
    out, err = capsys.readouterr()
    assert err == "" if code == 0 else err.startswith("minidsr: violated: ")
    document = json.loads(out)
    rules = {rule["rule"]: rule for rule in document["rules"]}
    assert all(rule.keys() == KEYS for rule in rules.values())
    for verdict in ("held", "violated", "not checkable"):
        of_it = [name for name, rule in rules.items() if rule["verdict"] == verdict]
        assert document[verdict.replace(" ", "_")] == len(of_it)
    return document, rules


def test_a_trace_as_json(trace, capsys):
    path = trace(a__after__value=[3, 0, 0.25, 2])
    document, rules = as_json(capsys, path, "--method", "dsr", "--tolerance", "0.1", code=1)
    assert list(rules) == NAMES
    assert {key: document[key] for key in ("judged", "name", "rules_of", "tolerance", "tried")} == {
        "judged": "trace", "name": str(path), "rules_of": "dsr", "tolerance": 0.1,
        "tried": [{"what": "reallocations of 1 sparse tensor", "cases": 1}]}
    assert rules["grown_at_zero"] == {
        "rule": "grown_at_zero", "verdict": "violated", "cases": 1, "violations": 1,
        "must_hold": "A grown weight starts at value 0: the network computes the same.",
        "rests_on": None, "why_not": None, "example": {
            "message": "a: position 2 is grown with value 0.25",
            "in": "reallocation 0 of trace.npz"}}
    assert rules["survivors_keep_value"]["rests_on"] == {"what": "survivors", "count": 2}
    assert rules["pruned_below_threshold"]["rests_on"]["count"] == 0
    assert rules["balance"]["why_not"] == "pruned is not known"
    assert (rules["balance"]["verdict"], rules["balance"]["cases"]) == ("not checkable", 0)
    assert as_json(capsys, trace(), code=0)[0]["rules_of"] is None


def test_the_package_as_json(few, monkeypatch, capsys):
    assert extent(201, quick=True) == (2, 200) and extent(201, quick=False) == (3, 201)
    document, rules = as_json(capsys, "--quick", "--cases", "3", code=0)
    assert (document["judged"], document["rules_of"], document["seed"]) == ("package", "dsr", 0)
    assert [entry["cases"] for entry in document["tried"]] == [4 + 16, 3, 420, 50]
    assert document["left_out"] == [{"what": "small networks of three tensors", "cases": 64}]
    break_cases(monkeypatch, raises)
    document, rules = as_json(capsys, "--quick", "--cases", "1", code=1)
    assert list(rules) == ["completes", *NAMES]
    assert rules["completes"]["example"]["message"].startswith("ZeroDivisionError: no survivors")
    assert "tensor 0, 1 position" in rules["completes"]["example"]["in"]


@pytest.mark.parametrize("argv", [["none.npz"], ["--cases", "0"], ["--method", "rigl"]])
def test_a_mistake_has_no_json(argv, capsys):
    assert main(["verify", *argv, "--json"]) == 2
    out, err = capsys.readouterr()
    assert out == "" and err.count("\n") == 1


def test_the_page_has_each_key(trace, capsys):
    """lessons/notes/verify.md, in its table."""
    page = (Path(__file__).parents[2] / "lessons/notes/verify.md").read_text(encoding="utf-8")
    named = set(re.findall(r"`(\w+)`", " ".join(re.findall(r"^\| (`.*?) \|", page, re.MULTILINE))))
    document, _ = as_json(capsys, trace(), code=0)
    assert named == {*document, *KEYS, "seed", "left_out"}


def test_what_nothing_came_out_of_is_not_checkable():
    """And it is said why: of rules of one reallocation, of two in a row, and of two runs."""
    tally = Tally()
    tally.fails("a case", KeyError("x"))
    reasons = {verdict["why_not"] for verdict in tally.verdicts()}
    assert reasons == {None, "no reallocation came to its end", "no two in a row",
                       "one run cannot show it"}


def test_small_networks_are_tried_by_size(monkeypatch):
    sizes = []
    monkeypatch.setattr(cases, "distinct_patterns", lambda: PATTERNS)
    monkeypatch.setattr("minidsr.run.verify.try_case", lambda tally, case, **_: sizes.append(
        sum(W.size for W in case.tensors)))
    assert try_small_cases(Tally(), lambda cases, **_: cases) == len(sizes) == how_many_small(3)
    assert sizes == sorted(sizes) and {1, 12} <= set(sizes)


def test_help_names_the_trace(capsys):
    with pytest.raises(SystemExit):
        main(["verify", "--help"])
    out = capsys.readouterr().out
    assert "TRACE" in out.splitlines()[0]
    assert "--path" not in out
