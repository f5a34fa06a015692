"""Reads traces: what another program has recorded of its reallocations.

lessons/notes/traces.md says how one is recorded, and what its keys mean.
"""

import os
import re
from dataclasses import replace
from difflib import get_close_matches
from pathlib import Path

import numpy as np

from ..reading import ReadingError, read_arrays
from ..reparam import Report
from .reallocation import Reallocation, Tensor

LIMIT = 1 << 30  # bytes of arrays in a file; a reallocation of ResNet-50 with masks has 0.46 GB
MOST = 1 << 53  # counts are below it: up to there a float has each whole number
RECORDED = ("gradient", "momentum", "sign", "bucket", "threshold")  # for rules of some methods
SAID = ("H", "next_H", "N_p", "delta", "keep_one")
NUMBERS = ("fraction", "progress")
DECIMAL = ("delta", *NUMBERS)
ARRAY = re.compile(rf"(?:(\d+)/)?(.+)/(before|after)/"
                   rf"(mask|index|value|velocity|{'|'.join(RECORDED)})")
COUNT = re.compile(r"(?:(\d+)/)?(.+)/(size|pruned|grown|final)")
SCALAR = re.compile(rf"(?:(\d+)/)?({'|'.join((*SAID, *NUMBERS))})")


class TraceError(ValueError):
    """A trace that cannot be read."""


def load(path):
    """The reallocations recorded in an .npz file, or in all those of a folder, r2 before r10.

    Raises TraceError, in one line, where there is none, or one is not as traces.md says.
    """
    files = [path := Path(path)]
    if os.path.isdir(path):  # Path.is_dir() raises OSError where it may not look
        files = sorted(path.glob("[!.]*.npz"), key=_in_order)
    if not files:
        raise TraceError(f"{path}: no .npz file in this folder")
    found = [r for file in files for r in _load_file(file)]
    for r in found:
        if _tensors(r) != _tensors(found[0]):
            raise TraceError(f"{path}: not the same tensors, in this order, in each reallocation")
    return found


def _in_order(path):
    """For sorting names with numbers in them."""
    return [(len(part), part) if part.isdigit() else (0, part)
            for part in re.split(r"(\d+)", path.stem)]


def _tensors(r):
    return [(t.name, t.size, t.index is None) for t in r.before]


def _load_file(path):
    try:
        arrays = read_arrays(path, LIMIT)
    except ReadingError as error:
        raise TraceError(f"{path}: {error}") from None
    records = {}
    for key, array in arrays.items():
        match = next((m for m in (p.fullmatch(key) for p in (ARRAY, COUNT, SCALAR)) if m), None)
        if match is None or not key.isprintable() or len(match[1] or "") > 9:
            raise TraceError(f"{path}: {key!r} is no key of a trace, such as 0/conv1/before/mask, "
                             "0/conv1/size or 0/H")
        number, *rest = match.groups()
        record = records.setdefault(int(number or 0), {})
        if tuple(rest) in record:
            raise TraceError(f"{path}: {key!r} is there twice, with and without the number")
        record[tuple(rest)] = array
    if not records:
        raise TraceError(f"{path}: nothing is recorded in it")
    first = min(records)
    return [replace(_reallocation(f"{path}, reallocation {n}", records[n]),
                    name=f"reallocation {n} of {path.name}", follows=n == first or n - 1 in records)
            for n in sorted(records)]


def _reallocation(where, record):
    names = list(dict.fromkeys(key[0] for key in record if len(key) == 3))
    before, after = ([_tensor(f"{where}, {name}", name, moment, record) for name in names]
                     for moment in ("before", "after"))
    for key in record:
        if len(key) == 2 and key[0] not in names:
            raise TraceError(f"{where}: {key[1]} of {key[0]}, which has no arrays")
    for a, b in zip(before, after, strict=True):
        if _looks_masked(a, b):
            raise TraceError(f"{where}, {a.name}: no mask or index, yet more of it is 0 after than "
                             "before; is its mask missing?")
    try:
        r = Reallocation(before, after)
    except ValueError as error:
        raise TraceError(f"{where}: {error}") from None
    if not r.sparse and not any("bucket" in t.recorded for t in before):
        raise TraceError(f"{where}: no tensor has a mask or an index, or a bucket")
    said = {name: _number(where, name, record.get((name,))) for name in (*SAID, *NUMBERS)}
    for claim in ("pruned", "grown", "final"):
        counts = [_number(where, claim, record.get((t.name, claim)), whole=True)
                  for t, _ in r.sparse]
        if None in counts and any(n is not None for n in counts):
            raise TraceError(f"{where}: {claim} is said of some sparse tensors, not of all")
        said[claim] = None if None in counts else counts
    if said["delta"] is not None and not 0 <= said["delta"] < 1:
        raise TraceError(f"{where}: delta must be in [0, 1), not {said['delta']}")
    if said["N_p"] is not None and not 0 < said["N_p"] < MOST:
        raise TraceError(f"{where}: N_p must be positive and less than 2^53, not {said['N_p']}")
    if said["keep_one"] is not None:
        if said["keep_one"] not in (0, 1):
            raise TraceError(f"{where}: keep_one must be 0 or 1, not {said['keep_one']}")
        said["keep_one"] = bool(said["keep_one"])
    numbers = {name: said.pop(name) for name in (*NUMBERS, "final")}
    for name in NUMBERS:
        if numbers[name] is not None and not 0 <= numbers[name] <= 1:
            raise TraceError(f"{where}: {name} must be in [0, 1], not {numbers[name]}")
    return replace(r, report=Report(**said),
                   numbers={name: x for name, x in numbers.items() if x is not None})


def _tensor(where, name, moment, record):
    """One tensor at one moment, from a mask or an index, or dense if there is neither."""
    mask, index, value, velocity = (record.get((name, moment, key))
                                    for key in ("mask", "index", "value", "velocity"))
    if value is None:
        raise TraceError(f"{where}: no value {moment}{_like(name, record)}")
    if mask is not None and index is not None:
        raise TraceError(f"{where}: a mask and an index {moment}; one is enough")
    for key, array in (("value", value), ("velocity", velocity)):
        if array is not None and array.dtype.kind == "b":
            raise TraceError(f"{where}: {key} {moment} is bool, not real numbers")
    if index is not None and index.dtype.kind not in "iu":
        raise TraceError(f"{where}: index {moment} is {index.dtype}, not whole numbers")
    for key, array in (("mask", mask), ("velocity", velocity), ("index", index)):
        if array is not None and array.shape != value.shape:
            raise TraceError(f"{where}: {key} {moment} has shape {array.shape}, "
                             f"value {value.shape}")
    size, masked = _number(where, "size", record.get((name, "size")), whole=True), None
    if index is None and size not in (None, value.size):
        raise TraceError(f"{where}: size is {size}, and {value.size} positions {moment}")
    if mask is not None:
        if not np.isin(mask, (0, 1)).all():
            raise TraceError(f"{where}: mask {moment} has entries other than 0 and 1")
        size, index = mask.size, np.flatnonzero(mask)
        masked = _floats(value[mask == 0])
        value, velocity = (None if a is None else a.reshape(-1)[index] for a in (value, velocity))
    elif index is not None:
        index = index.reshape(-1)
        if size is None:
            raise TraceError(f"{where}: an index needs the size, the number of positions")
    else:
        size = value.size
    return Tensor(name, size, index, _floats(value), _floats(velocity), masked=masked,
                  recorded=_recorded(where, name, moment, record, size))


def _like(name, record):
    """A hint where another tensor has a similar name, as with a prefix of DDP."""
    others = {key[0] for key in record if len(key) == 3} - {name}
    near = [n for n in sorted(others) if n.endswith(f".{name}") or name.endswith(f".{n}")]
    near += get_close_matches(name, others, 1)
    return f"; is it {near[0]}?" if near else ""


def _looks_masked(a, b):
    """Was this dense tensor pruned, as if it had a mask? A fifth of it is 0, and then more."""
    if a.index is not None or b.index is not None or len(a.value) != len(b.value):
        return False
    zeros = a.value == 0
    return zeros.mean() >= 0.2 and bool(((b.value == 0) & ~zeros).any()) if len(zeros) else False


def _recorded(where, name, moment, record, size):
    """{key: flat array} of what rules of some methods need beside."""
    found = {key: record[name, moment, key] for key in RECORDED if (name, moment, key) in record}
    for key, array in found.items():
        if array.dtype.kind not in ("iuf" if key != "bucket" else "iu"):
            raise TraceError(f"{where}: {key} {moment} is {array.dtype}, not "
                             f"{'whole' if key == 'bucket' else 'real'} numbers")
        if array.size != size and not (key == "threshold" and array.size
                                       and size % array.size == 0):
            raise TraceError(f"{where}: {key} {moment} has {array.size} entries, there are {size} "
                             "positions")
        if key == "sign" and not np.isin(array, (-1, 1)).all():
            raise TraceError(f"{where}: sign {moment} has entries other than -1 and 1")
    return {key: _floats(array) for key, array in found.items()}


def _floats(array):
    """Flat; whole numbers as floats, as -128 of an int8 has no absolute value. None is None."""
    if array is None:
        return None
    return array.reshape(-1).astype(float if array.dtype.kind in "iu" else array.dtype, copy=False)


def _number(where, name, array, *, whole=False):
    """A scalar of the trace as a Python number, None if it is not there."""
    if array is None:
        return None
    kinds = "fiub" if name == "keep_one" else "fiu"
    if array.size != 1 or array.dtype.kind not in kinds or array != array:
        raise TraceError(f"{where}: {name} must be one number, not {' '.join(str(array).split())}")
    number = array.reshape(-1)[0]
    number = float(str(number)) if name in DECIMAL else number.item()  # a float32 0.1 means 0.1
    if whole and not (0 <= number < MOST and number % 1 == 0):
        raise TraceError(f"{where}: {name} must be a whole number, 0 or more and less than 2^53, "
                         f"not {number}")
    return int(number) if whole else number
