"""Reads traces: what another program has recorded of its reallocations.

lessons/notes/traces.md says how one is recorded, and what its keys mean.
"""

import os
import re
from dataclasses import replace
from pathlib import Path

import numpy as np

from ..reading import ReadingError, read_archives
from ..reparam import Report
from .reallocation import Reallocation, Tensor
from .recorder import COUNTS, NUMBERS, OTHERS, looks_pruned, near

LIMIT = 1 << 30  # bytes of arrays in a file; a reallocation of ResNet-50 with masks has 0.46 GB
MOST = 1 << 53  # counts are below it: up to there a float has each whole number
SAID = ("H", "next_H", "N_p", "delta", "keep_one")  # a Report has these; rules need other NUMBERS
DECIMAL = ("delta", "fraction", "progress")
ARRAY = re.compile(r"(.+)/(before|after)/(mask|index|value|velocity|masked|changed|gone|"
                   rf"{'|'.join(OTHERS)})")
COUNT = re.compile(rf"(.+)/(size|{'|'.join(COUNTS)})")
SCALAR = re.compile(rf"({'|'.join(NUMBERS)})")
NUMBERED = re.compile(r"(\d{1,9})/(.+)", re.DOTALL)


class TraceError(ValueError):
    """A trace that cannot be read."""


def load(path):
    """The reallocations recorded in an .npz file, or in all those of a folder or of a zip, r2
    before r10.

    Raises TraceError, in one line, where there is none, or one is not as traces.md says.
    """
    path, found, last = Path(path), [], None
    for file, arrays in _archives(path):
        records = _records(file, arrays)
        for n, record in records.items():
            r = _reallocation(f"{file}, reallocation {n}", record)
            follows = last is None or n == last + 1 or n == min(records) and n <= last
            step = f", step {int(r.numbers['step']):,}" if "step" in r.numbers else ""
            found.append(replace(r, name=f"reallocation {n} of {file.name}{step}",
                                 follows=follows))
            last = n
    for r in found:
        if _tensors(r) != _tensors(found[0]):
            raise TraceError(f"{path}: not the same tensors, in this order, in each reallocation")
    return found


def _archives(path):
    """Yields (file, its arrays by name) in order."""
    files = [path]
    if os.path.isdir(path):  # Path.is_dir() raises OSError where it may not look
        files = sorted(path.glob("[!.]*.npz"), key=_in_order)
    if not files:
        raise TraceError(f"{path}: no .npz file in this folder")
    for file in files:
        try:
            inner = [(file / name, arrays) for name, arrays in read_archives(file, LIMIT)]
        except ReadingError as error:
            raise TraceError(f"{file}: {error}") from None
        yield from sorted(inner, key=lambda found: _in_order(found[0]))


def _in_order(path):
    """For sorting names with numbers in them."""
    return [(len(part), part) if part.isdigit() else (0, part)
            for part in re.split(r"(\d+)", path.stem)]


def _tensors(r):
    return [(t.name, t.size, t.index is None) for t in r.before]


def _records(file, arrays):
    """{n: {what a key says but for n: array}} of the arrays of a file, in the order of n.

    A number in front of a key is n if there is one in front of all; of some it is a part of a name.
    """
    if not arrays:
        raise TraceError(f"{file}: nothing is recorded in it")
    arrays = _without_folder(file, arrays)
    numbered = all(NUMBERED.fullmatch(key) for key in arrays)
    records = {}
    for key, array in arrays.items():
        n, rest = NUMBERED.fullmatch(key).groups() if numbered else (0, key)
        match = parsed(rest)
        if match is None or not key.isprintable():
            raise TraceError(f"{file}: {key!r} is no key of a trace, such as 0/conv1/before/mask, "
                             "0/conv1/size or 0/H")
        record = records.setdefault(int(n), {})
        if match.groups() in record:
            raise TraceError(f"{file}: {key!r} is there twice, with other zeros in its number")
        record[match.groups()] = array
    return dict(sorted(records.items()))


def parsed(key):
    """The parts of a key without its number: an re.Match, or None."""
    return next((m for m in (p.fullmatch(key) for p in (ARRAY, COUNT, SCALAR)) if m), None)


def _without_folder(file, arrays):
    """The arrays of a trace that was packed again as a folder, without its name in front of all
    keys. It is no tensor's name: it is the file's, with numbers behind it, or there is an H of it.
    """
    folders = {key.partition("/")[0] for key in arrays}
    rest = {key.partition("/")[2]: array for key, array in arrays.items()}
    if len(folders) > 1 or all(NUMBERED.fullmatch(key) for key in arrays):
        return arrays
    numbered = folders == {file.stem} and all(NUMBERED.fullmatch(key) for key in rest)
    no_tensor = any(SCALAR.fullmatch(re.sub(r"^\d+/", "", key)) for key in rest)
    return rest if numbered or no_tensor else arrays


def _reallocation(where, record):
    names = list(dict.fromkeys(key[0] for key in record if len(key) == 3))
    for name in names:
        if (name, "after", "changed") in record:
            record |= _with_changes(f"{where}, {name}", name, record)
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
    said = {name: _number(where, name, record.get((name,))) for name in NUMBERS}
    for claim in COUNTS:
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
    numbers = {name: said.pop(name) for name in list(said)
               if name not in (*SAID, "pruned", "grown")}
    for name in ("fraction", "progress"):
        if numbers[name] is not None and not 0 <= numbers[name] <= 1:
            raise TraceError(f"{where}: {name} must be in [0, 1], not {numbers[name]}")
    return replace(r, report=Report(**said),
                   numbers={name: x for name, x in numbers.items() if x is not None})


def _with_changes(where, name, record):
    """What a tensor holds after, in full, where only that is recorded which is gone, and which is
    new or has changed."""
    def get(moment, key):
        array = record.get((name, moment, key))
        return None if array is None else array.reshape(-1)

    index, value, gone = get("before", "index"), get("before", "value"), get("after", "gone")
    changed, size = get("after", "changed"), _number(where, "size", record.get((name, "size")))
    for key, positions in (("index before", index), ("changed after", changed),
                           ("gone after", gone)):
        if positions is not None and positions.dtype.kind not in "iu":
            raise TraceError(f"{where}: {key} is {positions.dtype}, not whole numbers")
    masks = {(name, "before", "mask"), (name, "after", "mask"), (name, "after", "index")}
    if value is None or masks & record.keys() or (gone is None) != (index is None):
        raise TraceError(f"{where}: changed after needs an index before and what is gone after, or "
                         "none of both; and no mask")
    if index is None:
        index, size = np.arange(len(value)), len(value)
    index, changed = index.astype(np.int64), changed.astype(np.int64)
    if len(changed) and not (0 <= changed[0] and changed[-1] < (size or 0)
                             and (changed[1:] > changed[:-1]).all()):
        raise TraceError(f"{where}: changed after must be sorted, and less than the size")
    stays = ~np.isin(index, changed if gone is None else np.append(changed, gone))
    positions, found = np.append(index[stays], changed), {}
    order = np.argsort(positions, kind="stable")
    for key in ("value", "velocity"):
        old, new = get("before", key), get("after", key)
        if (old is None) != (new is None) or old is not None and (
                len(old) != len(index) or len(new) != len(changed)):
            raise TraceError(f"{where}: {key} after must be of the positions that have changed")
        if old is not None:
            found[name, "after", key] = np.append(old[stays], new)[order]
    if gone is not None:
        found[name, "after", "index"] = positions[order]
    return found


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
    size = _number(where, "size", record.get((name, "size")), whole=True)
    masked = record.get((name, moment, "masked"))
    if masked is not None and index is None:
        raise TraceError(f"{where}: masked {moment} is for an index; a mask has the values with it")
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
        if masked is not None:
            masked = _masked(where, moment, masked, size - len(index))
    else:
        size = value.size
    recorded = _recorded(where, name, moment, record, size)
    return Tensor(name, size, index, _floats(value), _floats(velocity),
                  np.flatnonzero(recorded.pop("protected", ())), masked, recorded)


def _masked(where, moment, array, count):
    """The values at the positions that are not in an index: so many, or one 0 for all."""
    if array.dtype.kind == "b" or not (array.size == count or array.size == 1 and not array.any()):
        raise TraceError(f"{where}: masked {moment} must be {max(count, 0)} real numbers, or one 0")
    if max(count, 0) * array.itemsize > LIMIT:
        raise TraceError(f"{where}: masked {moment} stands for more than {LIMIT:,} bytes")
    return _floats(np.broadcast_to(array.reshape(-1), max(count, 0)))


def _like(name, record):
    """A hint where another tensor has a similar name, as with a prefix of DDP."""
    others = {key[0] for key in record if len(key) == 3} - {name}
    return near(name, others)


def _looks_masked(a, b):
    """Was this a dense tensor, and pruned?"""
    dense = a.index is None and b.index is None and len(a.value) == len(b.value)
    return dense and looks_pruned(a.value, b.value)


def _recorded(where, name, moment, record, size):
    """{key: flat array} of what rules of some methods need beside."""
    found = {key: record[name, moment, key] for key in OTHERS if (name, moment, key) in record}
    for key, array in found.items():
        if array.dtype.kind not in {"bucket": "iu", "protected": "iufb"}.get(key, "iuf"):
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
