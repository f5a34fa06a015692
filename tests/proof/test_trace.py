"""Traces of other programs: what was written is loaded, what is malformed is refused in a line."""

import io
import os
import re
import tempfile
import zipfile
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from minidsr.parameters import Sparse
from minidsr.proof import trace
from minidsr.proof.cases import cases, seeds
from minidsr.proof.reallocation import Reallocation, Tensor
from minidsr.proof.recorder import Recorder
from minidsr.proof.trace import TraceError, load
from minidsr.reparam import Report
from minidsr.run.verify import verify_trace

SCALARS = "H", "next_H", "N_p", "delta", "keep_one"
CLAIMS = "pruned", "grown"
SAYINGS = SCALARS[:-1] + CLAIMS  # without keep_one a tensor of zeros, grown again, reads two ways


# --- what was written is loaded

NAMES = (st.sampled_from(["0", "1", "H", "N_p", "layer.0.weight", "a/b", "0.weight", "/", "\u03b8",
                          "before", "size", "a/before", "x/after/mask", "a/size", " ", "-1"])
         | st.text(st.characters(exclude_categories=["C", "Z"]), min_size=1, max_size=6))


@st.composite
def runs(draw):
    """Reallocations in a row, values of any float, a dense tensor among them or not."""
    case, dtype = draw(cases()), draw(st.sampled_from([np.float16, np.float32, np.float64]))
    largest = np.finfo(dtype).max / 4
    ours = np.promote_types(dtype, np.float32)  # other programs may compute in float16
    tensors = [Sparse(W.shape, W.index, W.value.clip(-largest, largest).astype(dtype).astype(ours))
               for W in case.tensors]
    for W, old in zip(tensors, case.tensors, strict=True):
        W.velocity = old.velocity.astype(dtype).astype(ours)
    H, found = min(case.H, float(largest)), []
    for step in range(draw(st.integers(1, 3))):
        r = replace(case, tensors=tensors, H=H, seed=case.seed ^ step).run()
        H, tensors = r.report.next_H, []
        found.append(replace(r, report=replace(r.report, K=None, active=None)))
        if H > largest:
            break
        for W, t in zip(case.tensors, r.after, strict=True):
            tensors.append(Sparse(W.shape, t.index, t.value))
            tensors[-1].velocity = t.velocity
    count = len(case.tensors) + 1
    names = draw(st.lists(NAMES, unique=True, min_size=count, max_size=count))
    dense = [Tensor(names[-1], 6, None, np.arange(6, dtype=dtype), np.ones(6, dtype))]
    dense *= draw(st.booleans())

    def named(tensors):
        return [replace(t, name=name, value=t.value.astype(dtype),
                        velocity=t.velocity.astype(dtype))
                for t, name in zip(tensors, names, strict=False)] + dense

    return [Reallocation(named(r.before), named(r.after), r.report) for r in found]


def written(r, number, rng, forms=("mask", "index"), velocity=True, silent=()):
    """The entries of a trace for a Reallocation; each tensor as a mask or an index, by chance."""
    start, said = "" if number is None else f"{number}/", r.report
    entries = {start + name: getattr(said, name) for name in SCALARS if name not in silent}
    for when, t in r.moments():
        at = f"{start}{t.name}/{when}/"
        arrays = {"value": t.value} | ({"velocity": t.velocity} if velocity else {})
        if t.index is None:
            entries |= {at + key: array.reshape(2, 3) for key, array in arrays.items()}
        elif rng.choice(forms) == "index":
            entries |= {at + key: array for key, array in arrays.items()}
            entries |= {at + "index": t.index, f"{start}{t.name}/size": t.size}
        else:
            shape = (2, t.size // 2) if t.size % 2 == 0 else (t.size,)
            mask = np.zeros(t.size, rng.choice([bool, np.uint8, np.int64, np.float32]))
            mask[t.index] = 1
            entries[at + "mask"] = mask.reshape(shape)
            for key, array in arrays.items():  # masked velocities may be anything
                whole = rng.normal(0, key == "velocity", t.size).astype(array.dtype)
                whole[t.index] = array
                entries[at + key] = whole.reshape(shape)
    for i, (t, _) in enumerate(r.sparse):
        entries |= {f"{start}{t.name}/{claim}": getattr(said, claim)[i] for claim in CLAIMS
                    if claim not in silent}
    return entries


def assert_same(one, other, velocity=True):
    assert one.report == other.report
    for (_, a), (_, b) in zip(one.moments(), other.moments(), strict=True):
        assert (a.name, a.size) == (b.name, b.size)
        assert (a.index is None) == (b.index is None)
        assert a.index is None or a.index.tolist() == b.index.tolist()
        assert a.value.dtype == b.value.dtype and a.value.tobytes() == b.value.tobytes()
        if velocity:
            assert a.velocity.tobytes() == b.velocity.tobytes()
        else:
            assert b.velocity is None


def unnumbered(found):
    """May the number be left out? Not where there are two, nor where a name looks like one."""
    return len(found) == 1 and not any(re.match(r"\d+/", t.name) for t in found[0].before)


@pytest.mark.slow
@given(runs(), st.sampled_from([["mask"], ["index"], ["mask", "index"]]), st.booleans(),
       st.booleans(), st.sets(st.sampled_from(SAYINGS)), st.data(), seeds)
def test_round_trip(found, forms, velocity, folder, silent, data, seed):
    """Masks or indices, or both; any floats and names; one file or many; numbered or not."""
    rng = np.random.default_rng(seed)
    numbers = sorted(data.draw(st.sets(st.integers(0, 120), min_size=len(found),
                                       max_size=len(found))))
    if (folder or len(found) == 1) and all(unnumbered([r]) for r in found):
        numbers = data.draw(st.sampled_from([numbers, [None] * len(numbers)]))
    parts = [written(r, n, rng, forms, velocity, silent)
             for r, n in zip(found, numbers, strict=True)]
    save = data.draw(st.sampled_from([np.savez, np.savez_compressed]))
    with tempfile.TemporaryDirectory() as place:
        if folder:
            path = Path(place)
            for letter, part in reversed(list(zip("abc", parts, strict=False))):
                save(path / f"{letter}.npz", **part)
            (path / "notes.txt").write_text("not a trace")
        else:
            path = Path(place) / "trace"
            everything = {}
            for part in reversed(parts):
                everything |= part
            with path.open("wb") as file:
                save(file, **everything)
        loaded = load(str(path) if folder else path)
    for r, other in zip(found, loaded, strict=True):
        said = replace(r.report, **dict.fromkeys(silent))
        assert_same(replace(r, report=said), other, velocity)
    tally = verify_trace(loaded, method="dsr")
    assert tally.held, str(tally)
    if not silent:
        assert tally.checked["balance"] == tally.checked["threshold_rule"] == len(found)
        in_a_row = sum(a is None or b == a + 1 for a, b in zip(numbers, numbers[1:], strict=False))
        assert tally.checked["threshold_between"] == in_a_row
    assert bool(tally.checked["grown_at_rest"]) == velocity


@given(runs(), seeds)
def test_a_report_may_be_missing(found, seed):
    """Tensors alone are a trace; what needs more is not checked, and holds."""
    entries = written(found[0], 0, np.random.default_rng(seed), silent=SCALARS + CLAIMS)
    file = io.BytesIO()
    np.savez(file, **entries)
    with tempfile.TemporaryDirectory() as place:
        path = Path(place, "trace.npz")
        path.write_bytes(file.getvalue())
        r, = load(path)
    assert r.report == Report()
    assert verify_trace([r], method="dsr").held


@st.composite
def programs(draw):
    """Reallocations in a row as a program has them, with another mistake now and then: numbers that
    change, values where the mask is 0."""
    found = draw(runs().filter(lambda found: found[0].before[0].value.dtype != np.float16))
    rng, noise = np.random.default_rng(draw(seeds)), draw(st.sampled_from([0, 0.1]))

    def dense(t):
        arrays = {"value": rng.random(t.size) * (rng.random(t.size) < noise),
                  "velocity": rng.normal(size=t.size), "mask": np.zeros(t.size, int)}
        for key, numbers in (("value", t.value), ("velocity", t.velocity), ("mask", 1)):
            arrays[key] = arrays[key].astype(getattr(numbers, "dtype", int))
            arrays[key][slice(None) if t.index is None else t.index] = numbers
        return arrays if t.index is not None else {k: x for k, x in arrays.items() if k != "mask"}

    return [(r, *({t.name: dense(t) for t in tensors} for tensors in (r.before, r.after)))
            for r in found]


@pytest.mark.slow
@settings(max_examples=15)
@given(programs())
def test_what_is_recorded_is_read(found):
    """As it was before and after, bit for bit, also what a wrong program does."""
    now = {}

    def of(key):
        return lambda: {name: arrays[key] for name, arrays in now.items() if key in arrays}

    with tempfile.TemporaryDirectory() as folder:
        recorder = Recorder(folder, of("value"), of("mask"), of("velocity"))
        for r, before, after in found:
            now = before
            said = {name: getattr(r.report, name) for name in SCALARS + CLAIMS}
            with recorder.reallocation(**said):
                now = after
        loaded = load(folder)
    for (r, *moments), other in zip(found, loaded, strict=True):
        H = {name: float(r.before[0].value.dtype.type(getattr(r.report, name)))
             for name in ("H", "next_H")}  # as weights are compared with it
        assert_same(replace(r, report=replace(r.report, **H)), other)
        for tensors, was in zip((other.before, other.after), moments, strict=True):
            for t in tensors:
                if t.index is not None:
                    outside = was[t.name]["value"][was[t.name]["mask"] == 0]
                    assert t.masked.tobytes() == outside.tobytes() or not outside.any()


# --- worked examples

MASKS = {"a/before/value": [3, 0.1, 0, 2], "a/before/mask": [1, 1, 0, 1],
         "a/after/value": [3, 0, 0, 2], "a/after/mask": [1, 0, 1, 1],
         "H": 0.5, "next_H": 0.5, "N_p": 1, "delta": 0.1}
INDICES = {"a/before/value": [3, 0.1, 2], "a/before/index": [0, 1, 3], "a/size": 4,
           "a/after/value": [3, 0, 2], "a/after/index": [0, 2, 3]}
SECOND = {f"1/{key}": value for key, value in MASKS.items()}
CHANGES = {"a/before/value": [3, 0.1, 2], "a/before/index": [0, 1, 3], "a/size": 4,
           "a/after/value": [0.0], "a/after/changed": [2], "a/after/gone": [1],
           "a/before/masked": 0.0, "a/after/masked": [7.0]}
DENSE = {"b/before/value": [1.0, 2.0], "b/after/value": [1.0, 2.0]}
FIRST = {f"0/{key}": value for key, value in MASKS.items()}
ALSO_B = {key.replace("a/", "b/", 1): value for key, value in MASKS.items() if "a/" in key}


@pytest.fixture
def path(tmp_path):
    return tmp_path / "trace.npz"


def save(path, entries):
    np.savez(path, **{key: value for key, value in entries.items() if value is not None})
    return path


def refused(path, message=None):
    """Loading it raises TraceError in one line, this one, or any that names the file."""
    with pytest.raises(TraceError) as caught:
        load(path)
    text = str(caught.value)
    assert len(text.splitlines()) == 1
    assert text.startswith(f"{path}")
    if message is not None:
        assert text == f"{path}{message}"


@pytest.mark.parametrize("entries", [MASKS, INDICES, CHANGES], ids=["mask", "index", "changes"])
def test_one_by_hand(entries, path):
    r, = load(save(path, entries))
    a, b = r.before[0], r.after[0]
    assert (a.name, a.size, b.size) == ("a", 4, 4)
    assert (a.index.tolist(), a.value.tolist()) == ([0, 1, 3], [3, 0.1, 2])
    assert (b.index.tolist(), b.value.tolist()) == ([0, 2, 3], [3, 0, 2])
    assert a.velocity is None


@pytest.mark.parametrize(("key", "given", "meant"), [
    ("delta", np.float32(0.1), 0.1), ("delta", 0, 0), ("delta", np.float16(0.3), 0.3),
    ("H", np.float32(0.25), 0.25), ("H", [[0.25]], 0.25), ("N_p", 2.0, 2), ("N_p", 1.5, 1.5),
    ("keep_one", 0, False), ("keep_one", 1.0, True), ("keep_one", np.False_, False)])
def test_numbers(key, given, meant, path):
    """They may be of any width, in an array of any shape. A float32 0.1 means 0.1."""
    r, = load(save(path, MASKS | {key: given}))
    number = getattr(r.report, key)
    assert number == meant
    assert type(number) in (bool, int, float)
    assert isinstance(number, bool) == (key == "keep_one")


def test_whole_numbers_may_be_floats(path):
    """As PyTorch users write them. They are whole numbers from here on."""
    r, = load(save(path, INDICES | {"a/size": 4.0, "a/pruned": 1.0, "a/grown": np.float32(1)}))
    assert (r.before[0].size, r.report.pruned, r.report.grown) == (4, [1], [1])
    assert all(type(n) is int for n in (r.before[0].size, *r.report.pruned, *r.report.grown))
    assert verify_trace([r], method="dsr").held


def test_any_byte_order_and_any_small_integers(path):
    """They mean what they say: -128 of an int8 is larger than H, and big-endian is no other value.
    """
    entries = MASKS | DENSE | {
        "a/before/value": np.array([-128, 0, 0, 2], np.int8),
        "a/after/value": np.array([-128, 0, 0, 2], ">i4"), "b/after/value": np.array([1, 2], ">f8")}
    recorded = load(save(path, entries))
    assert verify_trace(recorded, method="dsr").held
    assert recorded[0].before[0].value.tolist() == [-128, 0, 2]


def test_numbers_are_in_order_of_size(path):
    """Reallocation 2 is before reallocation 10, wherever they are in the file."""
    entries = {f"{n}/{key}": value for n in (10, 2) for key, value in MASKS.items()}
    entries |= {"10/H": 0.25, "2/H": 0.125}
    assert [r.report.H for r in load(save(path, entries))] == [0.125, 0.25]


def test_a_folder_is_read_by_name(tmp_path):
    """Numbers in names are taken as numbers."""
    names = ["1", "10", "a", "a2", "a10", "aa10b", "b1c2", "b1c10"]
    for i in (3, 7, 0, 6, 2, 5, 1, 4):
        save(tmp_path / f"{names[i]}.npz", MASKS | {"H": 1.0 + i})
    save(tmp_path / "._a.npz", {})  # macOS leaves such files
    assert [r.report.H - 1 for r in load(tmp_path)] == list(range(8))


def test_claims_of_dense_tensors_do_not_count(path):
    r, = load(save(path, DENSE | MASKS | {"a/pruned": 1, "a/grown": 2}))
    assert [t.name for t in r.before] == ["b", "a"]
    assert (r.report.pruned, r.report.grown) == ([1], [2])


MALFORMED = {  # what is wrong: (entries, the line)
    "unknown key": (MASKS | {"foo": 1}, ": 'foo' is no key of a trace, such as "
                    "0/conv1/before/mask, 0/conv1/size or 0/H"),
    "unknown array": (MASKS | {"a/before/weight": 1}, ": 'a/before/weight' is no key of a trace, "
                      "such as 0/conv1/before/mask, 0/conv1/size or 0/H"),
    "a longer key": (MASKS | {"0/H/more": 1}, ": '0/H/more' is no key of a trace, such as "
                     "0/conv1/before/mask, 0/conv1/size or 0/H"),
    "a name of two lines": (MASKS | {"a\nb/size": 1}, ": 'a\\nb/size' is no key of a trace, such "
                            "as 0/conv1/before/mask, 0/conv1/size or 0/H"),
    "no value": (MASKS | {"a/before/value": None}, ", reallocation 0, a: no value before"),
    "no value after": (MASKS | {"a/after/value": None}, ", reallocation 0, a: no value after"),
    "before only": ({"3/a/before/value": [1.0]}, ", reallocation 3, a: no value after"),
    "mask and index": (MASKS | {"a/after/index": [0, 1, 2, 3]},
                       ", reallocation 0, a: a mask and an index after; one is enough"),
    "shape of the mask": (MASKS | {"a/before/mask": [[1, 1], [0, 1]]},
                          ", reallocation 0, a: mask before has shape (2, 2), value (4,)"),
    "shape of the velocity": (MASKS | {"a/after/velocity": [1.0]},
                              ", reallocation 0, a: velocity after has shape (1,), value (4,)"),
    "shape of the index": (INDICES | {"a/before/index": [0, 1]},
                           ", reallocation 0, a: index before has shape (2,), value (3,)"),
    "velocity of a dense tensor": (
        MASKS | DENSE | {"b/before/velocity": [1.0]},
        ", reallocation 0, b: velocity before has shape (1,), value (2,)"),
    "mask of 2": (MASKS | {"a/before/mask": [1, 2, 0, 1]},
                  ", reallocation 0, a: mask before has entries other than 0 and 1"),
    "mask of NaN": (MASKS | {"a/after/mask": [1, np.nan, 0, 1]},
                    ", reallocation 0, a: mask after has entries other than 0 and 1"),
    "complex value": (MASKS | {"a/before/value": [1j, 0, 0, 0]},
                      ": 'a/before/value.npy' is '<c16', not numbers"),
    "words as value": (MASKS | {"a/after/value": ["a", "b", "c", "d"]},
                       ": 'a/after/value.npy' is '<U1', not numbers"),
    "bool value": (MASKS | {"a/before/value": [True] * 4},
                   ", reallocation 0, a: value before is bool, not real numbers"),
    "complex velocity": (MASKS | {"a/after/velocity": [1j, 0, 0, 0]},
                         ": 'a/after/velocity.npy' is '<c16', not numbers"),
    "no size": (INDICES | {"a/size": None},
                ", reallocation 0, a: an index needs the size, the number of positions"),
    "fractional size": (INDICES | {"a/size": 4.5},
                        ", reallocation 0, a: size must be a whole number, "
                        "0 or more and less than 2^53, not 4.5"),
    "negative size": (INDICES | {"a/size": -1},
                      ", reallocation 0, a: size must be a whole number, "
                      "0 or more and less than 2^53, not -1"),
    "two sizes": (INDICES | {"a/size": [4, 4]},
                  ", reallocation 0, a: size must be one number, not [4 4]"),
    "H of two numbers": (SECOND | {"1/H": [1.0, 2.0]},
                         ", reallocation 1: H must be one number, not [1. 2.]"),
    "no H": (MASKS | {"H": []}, ", reallocation 0: H must be one number, not []"),
    "H is NaN": (MASKS | {"H": np.nan}, ", reallocation 0: H must be one number, not nan"),
    "H is a word": (MASKS | {"H": "high"}, ": 'H.npy' is '<U4', not numbers"),
    "complex next_H": (MASKS | {"next_H": 1j}, ": 'next_H.npy' is '<c16', not numbers"),
    "delta of 1": (MASKS | {"delta": 1}, ", reallocation 0: delta must be in [0, 1), not 1.0"),
    "negative delta": (MASKS | {"delta": -0.1},
                       ", reallocation 0: delta must be in [0, 1), not -0.1"),
    "N_p of 0": (MASKS | {"N_p": 0},
                 ", reallocation 0: N_p must be positive and less than 2^53, not 0"),
    "infinite N_p": (MASKS | {"N_p": np.inf},
                     ", reallocation 0: N_p must be positive and less than 2^53, not inf"),
    "mask of words": (MASKS | {"a/before/mask": ["1", "1", "0", "1"]},
                      ": 'a/before/mask.npy' is '<U1', not numbers"),
    "size other than the mask's": (MASKS | {"a/size": 9},
                                   ", reallocation 0, a: size is 9, and 4 positions before"),
    "claims of one of two": (MASKS | ALSO_B | {"a/pruned": 1},
                             ", reallocation 0: pruned is said of some sparse tensors, not of all"),
    "N_p is NaN": (MASKS | {"N_p": np.nan}, ", reallocation 0: N_p must be one number, not nan"),
    "half a weight pruned": (MASKS | {"a/pruned": 0.5},
                             ", reallocation 0: pruned must be a whole number, "
                             "0 or more and less than 2^53, not 0.5"),
    "fewer than none grown": (MASKS | {"a/grown": -1},
                              ", reallocation 0: grown must be a whole number, "
                              "0 or more and less than 2^53, not -1"),
    "10^18 positions": (INDICES | {"a/size": 10**18},
                        ", reallocation 0, a: size must be a whole number, "
                        "0 or more and less than 2^53, not 1000000000000000000"),
    "10^300 pruned": (MASKS | {"a/pruned": 1e300},
                      ", reallocation 0: pruned must be a whole number, "
                      "0 or more and less than 2^53, not 1e+300"),
    "index of floats": (INDICES | {"a/before/index": [0.0, 1, 3]},
                        ", reallocation 0, a: index before is float64, not whole numbers"),
    "index of bools": (INDICES | {"a/before/index": [True] * 3},
                       ", reallocation 0, a: index before is bool, not whole numbers"),
    "N_p of 10^308": (MASKS | {"N_p": 1e308},
                      ", reallocation 0: N_p must be positive and less than 2^53, not 1e+308"),
    "a little to keep": (MASKS | {"keep_one": 0.5},
                         ", reallocation 0: keep_one must be 0 or 1, not 0.5"),
    "bytes that move the cursor": (MASKS | {"a\x1b[2Jb/size": 1}, ": 'a\\x1b[2Jb/size' is no key "
                                   "of a trace, such as 0/conv1/before/mask, 0/conv1/size or 0/H"),
    "a number of 5,000 digits": (MASKS | {"9" * 5000 + "/H": 1.0}, f": '{'9' * 5000}/H' is no key "
                                 "of a trace, such as 0/conv1/before/mask, 0/conv1/size or 0/H"),
    "claims of nothing": (MASKS | {"c/pruned": 1},
                          ", reallocation 0: pruned of c, which has no arrays"),
    "size of nothing": (INDICES | {"c/size": 1},
                        ", reallocation 0: size of c, which has no arrays"),
    "sparse, then dense": (MASKS | {"a/after/mask": None},
                           ", reallocation 0: another tensor after than before: "
                           "('a', 4, 'dense'), ('a', 4, 'sparse')"),
    "smaller afterwards": (MASKS | {"a/after/mask": [1, 1], "a/after/value": [1.0, 1]},
                           ", reallocation 0: another tensor after than before: "
                           "('a', 2, 'sparse'), ('a', 4, 'sparse')"),
    "all dense": (DENSE, ", reallocation 0: no tensor has a mask or an index, or a bucket"),
    "no mask": (MASKS | {"b/before/value": [1.0, 2, 0, 3, 4], "b/after/value": [1.0, 0, 0, 3, 4]},
                ", reallocation 0, b: no mask or index, yet more of it is 0 after than before; is "
                "its mask missing?"),
    "no value, a prefix": (
        {f"{'module.' * ('mask' not in key and 'a/' in key)}{key}": x for key, x in MASKS.items()},
        ", reallocation 0, a: no value before; is it module.a?"),
    "no value, a slip": (
        {key.replace("a/before/value", "aa/before/value"): x for key, x in MASKS.items()},
        None),
    "fraction above 1": (MASKS | {"fraction": 1.5},
                         ", reallocation 0: fraction must be in [0, 1], not 1.5"),
    "a sign of 0": (MASKS | {"a/before/sign": [1, 0, 1, 1]},
                    ", reallocation 0, a: sign before has entries other than -1 and 1"),
    "a gradient of another size": (
        MASKS | {"a/before/gradient": [1.0, 2.0]},
        ", reallocation 0, a: gradient before has 2 entries, there are 4 positions"),
    "broken buckets": (MASKS | {"a/before/bucket": [0.5, 0, 1, 1]},
                       ", reallocation 0, a: bucket before is float64, not whole numbers"),
    "thresholds that fit no rows": (
        MASKS | {"a/after/threshold": [1.0, 2.0, 3.0]},
        ", reallocation 0, a: threshold after has 3 entries, there are 4 positions"),
    "changes without an index": (
        CHANGES | {"a/before/index": None, "a/before/masked": None},
        ", reallocation 0, a: changed after needs an index before and what is gone after, or none "
        "of both; and no mask"),
    "changes of a mask": (
        MASKS | {"a/after/mask": None, "a/after/changed": [2], "a/after/gone": [1]},
        ", reallocation 0, a: changed after needs an index before and what is gone after, or none "
        "of both; and no mask"),
    "changes of an index of floats": (
        CHANGES | {"a/before/index": [0.0, np.nan, 3]},
        ", reallocation 0, a: index before is float64, not whole numbers"),
    "changed where nothing is": (CHANGES | {"a/after/changed": [4]}, ", reallocation 0, a: changed "
                                 "after must be sorted, and less than the size"),
    "changed twice": (CHANGES | {"a/after/changed": [2, 2], "a/after/value": [0.0, 1.0]},
                      ", reallocation 0, a: changed after must be sorted, and less than the size"),
    "changes of halves": (CHANGES | {"a/after/gone": [1.0]},
                          ", reallocation 0, a: gone after is float64, not whole numbers"),
    "too few changes": (CHANGES | {"a/after/value": []},
                        ", reallocation 0, a: value after must be of the positions that have "
                        "changed"),
    "a velocity that was not": (CHANGES | {"a/after/velocity": [0.0]}, ", reallocation 0, a: "
                                "velocity after must be of the positions that have changed"),
    "masked of a mask": (MASKS | {"a/before/masked": [0.0]},
                         ", reallocation 0, a: masked before is for an index; a mask has the "
                         "values with it"),
    "too few masked": (INDICES | {"a/before/masked": []},
                       ", reallocation 0, a: masked before must be 1 real numbers, or one 0"),
    "one that is not 0": (CHANGES | {"a/size": 5, "a/before/masked": 2.0, "a/after/masked": 0.0},
                          ", reallocation 0, a: masked before must be 2 real numbers, or one 0"),
    "a 0 for very many": (CHANGES | {"a/size": 2**50}, ", reallocation 0, a: masked before stands "
                          "for more than 1,073,741,824 bytes"),
    "numbers only": (SECOND | {"7/H": 1.0},
                     ", reallocation 7: no tensor has a mask or an index, or a bucket")}


@pytest.mark.parametrize("what", MALFORMED)
def test_malformed(what, path):
    entries, message = MALFORMED[what]
    refused(save(path, entries), message)


NONSENSE = {  # there is no one way to say it
    "other tensors in the second": FIRST | {f"1/{key}": value for key, value in ALSO_B.items()},
    "one more tensor in the second": FIRST | SECOND | {f"1/{k}": v for k, v in ALSO_B.items()},
    "other sizes in the second": {
        f"{n}/{k}": v for n in (0, 1) for k, v in INDICES.items()} | {"1/a/size": 9},
    "dense, then sparse": FIRST | SECOND | {f"1/{k}": v for k, v in ALSO_B.items()} | {
        "0/b/before/value": np.ones(4), "0/b/after/value": np.ones(4)},
    "H of a matrix": MASKS | {"H": np.eye(2)},
    "size of a matrix": INDICES | {"a/size": np.eye(2)},
    "H of two lines": MASKS | {"H": "a\nb"},
    "infinite size": INDICES | {"a/size": np.inf},
    "infinitely many pruned": MASKS | {"a/pruned": np.inf},
    "delta is true": MASKS | {"delta": True},
    "size is true": INDICES | {"a/size": True},
    "index of records": INDICES | {"a/before/index": np.zeros(3, "i8,f4")},
    "index of raw bytes": INDICES | {"a/before/index": np.zeros(3, "V8")},
    "index of times": INDICES | {"a/after/index": np.array([0, 2, 3], "M8[s]")},
    "value of times": MASKS | {"a/before/value": np.array([3, 1, 0, 2], "m8[s]")},
    "value of 16 bytes": MASKS | {"a/before/value": np.ones(4, np.longdouble)},
    "two names on a line": MASKS | {"a\rb/size": 1},
    "line in a name": MASKS | {"a\u2028b/size": 1},
    "mask of raw bytes": MASKS | {"a/before/mask": np.zeros(4, "V4")},
    "complex mask": MASKS | {"a/before/mask": np.array([1, 1, 0, 1j - 1j + 1])},
    "H twice": MASKS | {"0/H": 7.0},
    "value twice": MASKS | {"0/a/before/value": [1.0, 2, 3, 4]},
    "size other than the value's": MASKS | DENSE | {"b/size": 9},
    "an object": MASKS | {"a/before/value": np.array([None, 1, 2, 3])},
    "H is None": MASKS | {"H": np.array(None)},
    "nothing": {}}


@pytest.mark.parametrize("what", NONSENSE)
def test_nonsense(what, path):
    refused(save(path, NONSENSE[what]))


@pytest.mark.parametrize("shape", [(3, 1), (1, 3)])
def test_an_index_may_have_any_shape(shape, path):
    entries = {key: np.reshape(array, shape) if "/before/" in key or "/after/" in key else array
               for key, array in INDICES.items()}
    r, = load(save(path, entries))
    assert r.before[0].index.tolist() == [0, 1, 3]
    assert verify_trace([r], method="dsr").held


# --- files

def test_no_such_file(tmp_path):
    refused(tmp_path / "none.npz", ": No such file or directory")


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="as on Linux and macOS")
def test_pipes_and_devices_are_not_opened(tmp_path):
    """They would be waited for, or be endless; a folder may have the name of a file."""
    os.mkfifo(tmp_path / "pipe.npz")
    refused(tmp_path / "pipe.npz", ": not a regular file")
    refused(tmp_path, f"{'/pipe.npz'}: not a regular file")
    refused(Path("/dev/zero"), ": not a regular file")
    (tmp_path / "x.npz").mkdir()
    refused(tmp_path / "x.npz", ": no .npz file in this folder")


def test_sizes_are_compared_before_anything_is_unpacked(path, monkeypatch):
    np.savez_compressed(path, **MASKS | {"a/before/value": np.zeros(10**6)})
    monkeypatch.setattr(trace, "LIMIT", 10**6)
    with pytest.raises(TraceError, match="unpacks to 8,001,[0-9,]* bytes, more than 1,000,000$"):
        load(path)
    assert path.stat().st_size < 20_000


def test_a_folder_without_traces(tmp_path):
    (tmp_path / "notes.txt").write_text("hello")
    refused(tmp_path, ": no .npz file in this folder")


def test_a_bad_file_in_a_folder_is_named(tmp_path):
    save(tmp_path / "a.npz", MASKS)
    (tmp_path / "b.npz").write_text("hello")
    with pytest.raises(TraceError, match=re.escape(f"{tmp_path / 'b.npz'}: no sound .npz file")):
        load(tmp_path)


def test_other_tensors_in_the_next_file(tmp_path):
    save(tmp_path / "a.npz", MASKS)
    save(tmp_path / "b.npz", ALSO_B)
    with pytest.raises(TraceError, match=re.escape(f"{tmp_path}: not the same tensors")):
        load(tmp_path)


def archive(name, content):
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as parts:
        parts.writestr(name, content)
    return file.getvalue()


def npz(save=np.savez, **entries):
    file = io.BytesIO()
    save(file, **entries)
    return file.getvalue()


def npy(array):
    file = io.BytesIO()
    np.save(file, array)
    return file.getvalue()


@pytest.mark.parametrize("content", [
    b"", b"H = 0.5\n", b"\x80\x04]K\x01a.", npy(np.ones(3)), npy(np.array([None])),
    npz(**MASKS)[:-1], npz(**MASKS)[:100], npz(a=np.array([None])),
    archive("a/size.npy", b"\x93NUMPY"), archive("H", b"0.5"),
    archive("a/before/value", b"1 2 3")],
    ids=["empty", "text", "pickle", "npy", "npy of objects", "cut by a byte", "cut", "objects",
         "half an array", "text in a zip", "values as text in a zip"])
def test_not_a_trace(content, path):
    path.write_bytes(content)
    refused(path)


class Bomb:
    """Unpickling it leaves a mark."""

    gone_off = False

    def __reduce__(self):
        return setattr, (Bomb, "gone_off", True)


@pytest.mark.parametrize("key", ["H", "a/before/value", "a/before/mask", "notes"])
def test_nothing_is_unpickled(key, path):
    """A trace from a stranger runs no code."""
    refused(save(path, MASKS | {key: np.array([Bomb()], object)}))
    assert not Bomb.gone_off


def test_what_is_wrong_with_a_file_is_said(path):
    path.write_bytes(npz(**MASKS)[:-1])
    refused(path, ": no sound .npz file (BadZipFile: File is not a zip file)")


def test_no_one_is_told_to_unpickle(path):
    """NumPy takes a text file for a pickle, and says how to load it unsafely. We do not."""
    path.write_text("hello")
    with pytest.raises(TraceError) as caught:
        load(path)
    assert "pickle" not in str(caught.value)


@pytest.mark.parametrize("save", [np.savez, np.savez_compressed])
@given(st.lists(st.tuples(st.integers(0, 10**4), st.integers(0, 255)), min_size=1, max_size=4))
def test_damaged_bytes(save, damage):
    """Whatever has become of a file, it is a trace or it is refused; a trace can be judged."""
    content = bytearray(npz(save, **MASKS))
    for place, byte in damage:
        content[place % len(content)] = byte
    with tempfile.TemporaryDirectory() as place:
        path = Path(place, "trace.npz")
        path.write_bytes(content)
        try:
            verify_trace(load(path), method="dsr")
        except TraceError as error:
            assert str(error).startswith(str(path))
            assert len(str(error).splitlines()) == 1


def test_changes(path):
    """What has not changed is as it was before, also in a dense tensor."""
    r, = load(save(path, CHANGES | {
        "a/before/velocity": [1, 2, 3], "a/after/velocity": [0], "b/before/value": [1.0, 2, 3],
        "b/after/value": [5.0], "b/after/changed": [1]}))
    assert r.after[0].velocity.tolist() == [1, 0, 3]
    assert r.after[1].value.tolist() == [1, 5, 3]
    assert (r.before[0].masked.tolist(), r.after[0].masked.tolist()) == ([0], [7])
    assert verify_trace([r]).violated == {"masked_are_zero": 1, "dense_unchanged": 1}


def test_what_no_threshold_prunes(path):
    r, = load(save(path, MASKS | {"a/before/protected": [0, 1, 0, 0],
                                  "a/after/value": [3, 0.1, 0, 2], "a/after/mask": [1, 1, 0, 1]}))
    assert r.before[0].protected.tolist() == [1]
    assert verify_trace([replace(r, report=Report(H=0.5))], method="dsr").held


def test_numbers_in_front_of_names(path):
    """Those of layers are no reallocations, if what is said of all has none."""
    entries = {key.replace("a/", "3/conv/", 1): x for key, x in MASKS.items()}
    entries |= {key.replace("3/", "0.", 1): x for key, x in entries.items() if "/" in key}
    r, = load(save(path, entries))
    assert [t.name for t in r.before] == ["3/conv", "0.conv"]
    r, = load(save(path, {f"7/{key}": x for key, x in entries.items()}))
    assert [t.name for t in r.before] == ["3/conv", "0.conv"]
    assert r.name == "reallocation 7 of trace.npz"
    r, = load(save(path, {"7/step": 1200} | {f"7/{key}": x for key, x in entries.items()}))
    assert r.name == "reallocation 7 of trace.npz, step 1,200"


@pytest.mark.parametrize("how", [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED])
@pytest.mark.parametrize("entries", [
    FIRST | SECOND, INDICES, MASKS, {f"0/{key}": x for key, x in INDICES.items()}],
    ids=["two", "silent", "one", "silent and numbered"])
@pytest.mark.parametrize("folder", ["", "trace/", "else/"])
def test_packed_again(entries, how, folder, path):
    """Unpacked, and packed by another program: in a folder, with what macOS adds."""
    with zipfile.ZipFile(path, "w", how) as parts:
        if folder:
            parts.mkdir(folder)
        for key, x in entries.items():
            parts.writestr(f"{folder}{key}.npy", npy(np.array(x)))
        parts.writestr("__MACOSX/._0.npy", b"notes")
        parts.writestr(f"{folder}.DS_Store", b"more")
    found = load(path)
    assert len(found) == 1 + ("1/H" in entries)
    numbered = all(key.startswith("0/") for key in entries)
    known = [folder == "", "H" in entries or "0/H" in entries, folder == "trace/" and numbered]
    assert found[0].before[0].name == (
        "a" if any(known) else f"{folder}0/a" if numbered else f"{folder}a")


def test_a_zip_of_a_folder(tmp_path):
    """As if it were unpacked; what is wrong in it is named, and all together has the limit."""
    files = [npz(**{f"{n}/{key}": x for key, x in MASKS.items()}) for n in (2, 10)]
    with zipfile.ZipFile(tmp_path / "t.zip", "w", zipfile.ZIP_DEFLATED) as parts:
        parts.mkdir("t/")
        for name, content in zip(("t/r10.npz", "t/r2.npz"), reversed(files), strict=True):
            parts.writestr(name, content)
    assert [r.name for r in load(tmp_path / "t.zip")] == [
        "reallocation 2 of r2.npz", "reallocation 10 of r10.npz"]
    (tmp_path / "bad.zip").write_bytes(archive("t/r0.npz", files[0][:-1]))
    refused(tmp_path / "bad.zip", ": 't/r0.npz': no sound .npz file (BadZipFile: File is not a zip "
                                  "file)")
    with zipfile.ZipFile(tmp_path / "t.zip", "a") as parts:
        parts.writestr("t/notes.txt", "hello")
    refused(tmp_path / "t.zip", ": 't/notes.txt' is no .npz file, as others beside it are")


def test_a_zip_of_a_folder_has_the_limit_of_a_file(tmp_path, monkeypatch):
    whole = npz(np.savez_compressed, **MASKS | {"a/before/gradient": np.zeros(10**5)})
    with zipfile.ZipFile(tmp_path / "t.zip", "w") as parts:
        for n in range(3):
            parts.writestr(f"r{n}.npz", whole)
    monkeypatch.setattr(trace, "LIMIT", 2 * 10**6)
    with pytest.raises(TraceError, match=r"'r2.npz': unpacks to 801,\d+ bytes, more than 399,\d+$"):
        load(tmp_path / "t.zip")


def test_a_gap_in_the_numbers_is_no_row(path):
    """Reallocation 1 is not recorded: nobody knows what moved from 0 to 2."""
    recorded = load(save(path, FIRST | {f"2/{key}": value for key, value in MASKS.items()}))
    assert [(r.name, r.follows) for r in recorded] == [
        ("reallocation 0 of trace.npz", True), ("reallocation 2 of trace.npz", False)]
    tally = verify_trace(recorded, method="dsr")
    assert tally.held
    assert tally.unchecked["nothing_moves_between"] == "no two in a row"


@pytest.mark.parametrize(("numbers", "follows"), [
    ((0, 1, 2), [True, True, True]), ((4, 6, 7), [True, False, True]),
    ((0, 0, 0), [True, True, True])])
def test_a_gap_in_the_numbers_of_files_is_no_row(numbers, follows, tmp_path):
    """Each file may begin again at 0."""
    for i, n in enumerate(numbers):
        save(tmp_path / f"r{i}.npz", {f"{n}/{key}": x for key, x in MASKS.items()})
    assert [r.follows for r in load(tmp_path)] == follows


def test_what_rules_of_other_methods_need(path):
    """Flat, as floats; numbers as they are written. Of an index, entries for all positions."""
    r, = load(save(path, INDICES | DENSE | {
        "a/before/gradient": np.float32([[1, 2], [3, 4]]), "a/after/threshold": [0.5, 0.25],
        "b/before/bucket": [0, 1], "a/final": 2, "fraction": np.float32(0.3), "progress": 0.5}))
    assert r.before[0].recorded["gradient"].tolist() == [1, 2, 3, 4]
    assert r.after[0].recorded["threshold"].tolist() == [0.5, 0.25]
    assert r.before[1].recorded["bucket"].tolist() == [0, 1]
    assert r.numbers == {"fraction": 0.3, "progress": 0.5, "final": [2]}


def test_values_at_masked_positions(path):
    r, = load(save(path, MASKS | {"a/before/value": [3, 0.1, 7, 2]}))
    assert r.before[0].masked.tolist() == [7]
    tally = verify_trace([r], method="dsr")
    assert tally.violated == {"masked_are_zero": 1}
    r, = load(save(path, INDICES))
    assert r.before[0].masked is None


def test_only_buckets(path):
    """A HashedNet has no masks."""
    entries = {"a/before/value": [1, -1, 2.0], "a/after/value": [3, -3, 4.0],
               "a/before/bucket": [0, 0, 1], "a/after/bucket": [0, 0, 1]}
    assert verify_trace(load(save(path, entries)), method="hashed").held
    entries["a/after/value"] = [3, -5, 4.0]
    assert verify_trace(load(save(path, entries)), method="hashed").violated == {"ties_hold": 1}
