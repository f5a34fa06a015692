"""What was seen of a reallocation, by whatever program: tensors before and after, what was said.

snapshot() takes it from our own tensors; load() reads what others have recorded, README says how.
A position is a place in the dense tensor; a place is an index into one of the arrays here.
"""

import re
import zipfile
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path

import numpy as np

from ..backend import to_host
from ..reparam import Report


class TraceError(ValueError):
    """A trace that cannot be read."""


class NotCheckable(Exception):
    """What an invariant needs is not known, or did not occur."""


@dataclass(frozen=True)
class Tensor:
    """One tensor at one moment: flat arrays on the host, one entry for each free number.

    None: the index of a dense tensor; a velocity that is not known.
    """

    name: str
    size: int
    index: np.ndarray | None
    value: np.ndarray
    velocity: np.ndarray | None = None

    def wrong_positions(self):
        """What is wrong with the positions, in words; None if nothing is."""
        index, m = self.index, len(self.value)
        if index is None:
            return None
        if index.dtype.kind not in "iu":
            return f"positions are {index.dtype}, not whole numbers"
        if len(index) != m or self.velocity is not None and len(self.velocity) != m:
            return f"{len(index)} positions, {m} values, or another number of velocities"
        outside = (index < 0) | (index >= self.size)
        if outside.any():
            return f"position {index[outside][0]} is not in 0..{self.size - 1}"
        order = index[1:] > index[:-1]
        if not order.all():
            i = int(np.argmin(order))
            return f"position {index[i]} stands before {index[i + 1]}"
        return None


def snapshot(params):
    """Copies of parameterizations, a list or by name in a dict, as a list of Tensor."""
    if isinstance(params, list) and params and isinstance(params[0], Tensor):
        return params
    named = params if isinstance(params, dict) else {f"tensor {i}": p for i, p in enumerate(params)}

    def copy(array):
        return None if array is None else to_host(array).flatten()

    return [Tensor(name, p.size, copy(getattr(p, "index", None)), copy(p.value), copy(p.velocity))
            for name, p in named.items()]


@dataclass(frozen=True)
class Reallocation:
    """All tensors before and after a reallocation, and what was said of it.

    ValueError where the tensors before and after are not the same ones, or the report is of another
    number of sparse tensors.
    """

    before: list[Tensor]
    after: list[Tensor]
    report: Report = field(default_factory=Report)
    name: str = "a reallocation"
    follows: bool = True  # directly on the one before it in the trace, if there is one

    def __post_init__(self):
        for pair in zip(self.before, self.after, strict=True):
            one, other = ((t.name, t.size, "dense" if t.index is None else "sparse") for t in pair)
            if one != other:
                raise ValueError(f"another tensor after than before: {other}, {one}")
        for name in ("pruned", "grown", "active"):
            counts = getattr(self.report, name)
            if counts is not None and len(counts) != len(self.sparse):
                raise ValueError(f"{name} has {len(counts)} numbers, there are {len(self.sparse)} "
                                 "sparse tensors")

    def moments(self):
        """Yields ("before", tensor) and ("after", tensor), for all tensors."""
        yield from (("before", t) for t in self.before)
        yield from (("after", t) for t in self.after)

    @property
    def sparse(self):
        """(before, after) of each sparse tensor."""
        return [(a, b) for a, b in zip(self.before, self.after, strict=True) if a.index is not None]

    @cached_property
    def changes(self):
        """A Change for each sparse tensor. NotCheckable where positions make no sense."""
        if any(t.wrong_positions() for _, t in self.moments()):
            raise NotCheckable("positions make no sense")
        pruned = self.report.pruned or [None] * len(self.sparse)
        return [Change(a, b, self.report.H, self._keep_one(a, k))
                for (a, b), k in zip(self.sparse, pruned, strict=True)]

    def _keep_one(self, before, pruned):
        """Was one to be kept? If it is not said: not where all are said to be pruned."""
        if self.report.keep_one is None and pruned == len(before.index):
            return False
        return self.report.keep_one

    def said(self, *names):
        """These fields of the report. NotCheckable where one is not known."""
        values = [getattr(self.report, name) for name in names]
        if None in values:
            raise NotCheckable(f"{names[values.index(None)]} is not known")
        return values

    def counts(self):
        """(k, l, g): three lists with a number for each sparse tensor.

        k by H and what is seen; where H is not known, what the report says. NotCheckable where
        neither tells.
        """
        said = self.report.pruned is not None or self.report.keep_one is not None
        if not said and any(c.keeper is not None and not c.magnitude.any() for c in self.changes):
            raise NotCheckable("keep_one is not known, and a 0 stays")
        l = [c.m - int(c.pruned.sum()) for c in self.changes]
        if self.report.H is None:
            l = [max(c.m - k, 0) for c, k in zip(self.changes, *self.said("pruned"), strict=True)]
        k = [c.m - l_ for c, l_ in zip(self.changes, l, strict=True)]
        return k, l, [c.m_after - l_ for c, l_ in zip(self.changes, l, strict=True)]


class Change:
    """The positions of one tensor before and after, side by side.

    Boolean arrays have an entry for each free number before, (m,), but for `new`, (m',):

        stays     the position is in use before and after
        below     |w| < H
        survives  it stays, and was not to be pruned; `keeper` is the place of the one that is kept
                  where all are below H, or None
        spared    was to be pruned, but stays as it was
        pruned    all others, rightly or not
        regrown   pruned, and grown again: it stays, but starts anew, or is a 0 that was to go
        new       grown, where no free number was before

    k_range: how many were pruned, at least and at most. One number where H is known.
    """

    def __init__(self, before, after, H, keep_one):
        self.before, self.after, self.name = before, after, before.name
        self.m, self.m_after = len(before.index), len(after.index)
        self.room = before.size - self.m
        at = np.searchsorted(after.index, before.index)
        self.at = np.minimum(at, max(self.m_after - 1, 0))  # place in `after`, for those that stay
        self.stays = np.zeros(self.m, bool)
        if self.m_after:
            self.stays = after.index[self.at] == before.index
        self.new = np.ones(self.m_after, bool)
        self.new[self.at[self.stays]] = False
        self.magnitude = np.abs(before.value)
        with np.errstate(over="ignore"):  # an H too large for the type of the values is infinite
            self.below = np.zeros(self.m, bool) if H is None else self.magnitude < H
        self._classify(keep_one)
        least, seen = int((~self.stays).sum()), int(self.pruned.sum())
        self.k_range = (seen, seen) if H is not None else (least, least + int(self._anew().sum()))

    def _classify(self, keep_one):
        keeps_value = self.stays & self.keeps("value")
        same = keeps_value  # nothing shows that it was pruned
        if self._velocity_is_known():  # a 0 that lost its velocity was pruned and grown again
            same = same & (self.before.value.astype(bool) | self.keeps("velocity"))
        self.survives = self.stays & ~self.below & (same | ~self._anew())
        self.keeper = None
        if keep_one is not False and self.m and self.below.all():
            largest = self.magnitude == self.magnitude.max()
            self.keeper = _first(same & largest,  # as it should be; or it lost its velocity; or
                                 keeps_value & largest & (keep_one is True),
                                 same & self._moves())  # the wrong one, certainly not just grown
        if self.keeper is not None:
            self.survives[self.keeper] = True
        self.spared = same & self.below & ~self.survives & (self.before.value != 0)
        self.pruned = ~self.survives & ~self.spared
        self.regrown = self.stays & self.pruned

    def _velocity_is_known(self):
        return self.before.velocity is not None and self.after.velocity is not None

    def _anew(self):
        """What stays and looks just grown: at 0 and, as far as one knows, at rest."""
        anew = self.stays & (self.afterwards("value") == 0)
        return anew & (self.afterwards("velocity") == 0) if self._velocity_is_known() else anew

    def _moves(self):
        """What was not 0 and at rest before."""
        moves = self.before.value != 0
        return moves | (self.before.velocity != 0) if self._velocity_is_known() else moves

    def afterwards(self, key):
        """`value` or `velocity` afterwards (m,); of no meaning where the position is gone."""
        array = getattr(self.after, key)
        return array[self.at] if self.m_after else np.zeros_like(array, shape=self.m)

    def keeps(self, key):
        """Is `value` or `velocity` the same afterwards? +0 and -0 are not; NaN and NaN are."""
        a, b = getattr(self.before, key), self.afterwards(key)
        return (a == b) & (np.signbit(a) == np.signbit(b)) | np.isnan(a) & np.isnan(b)

    def grown(self, key):
        """(positions, numbers) of all that was grown; `key` is value or velocity."""
        place = np.concatenate([np.flatnonzero(self.new), self.at[self.regrown]])
        return self.after.index[place], getattr(self.after, key)[place]


def _first(*choices):
    """The first place of the first of these masks that has one; None where none has."""
    return next((int(np.argmax(mask)) for mask in choices if mask.any()), None)


# --- traces of other programs

ARRAY = re.compile(r"(?:(\d+)/)?(.+)/(before|after)/(mask|index|value|velocity)")
COUNT = re.compile(r"(?:(\d+)/)?(.+)/(size|pruned|grown)")
SCALAR = re.compile(r"(?:(\d+)/)?(H|next_H|N_p|delta|keep_one)")


def load(path):
    """The reallocations recorded in an .npz file, or in all those of a folder, r2 before r10.

    Raises TraceError, in one line, where there is none, or one is not as README says.
    """
    path = Path(path)
    files = sorted(path.glob("[!.]*.npz"), key=_in_order) if path.is_dir() else [path]
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
    records = {}
    for key, array in _arrays(path).items():
        match = next((m for m in (p.fullmatch(key) for p in (ARRAY, COUNT, SCALAR)) if m), None)
        if match is None:
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


def _arrays(path):
    try:
        with open(path, "rb") as file:
            if not zipfile.is_zipfile(file):
                raise ValueError("no zip archive, or not a whole one")
            file.seek(0)
            with np.load(file, allow_pickle=False) as arrays:
                return {key: np.asarray(arrays[key]) for key in arrays}
    except FileNotFoundError:
        raise TraceError(f"{path}: there is no such file") from None
    except Exception as error:  # a damaged archive may raise anything
        fault = " ".join(f"{type(error).__name__}: {error}".split())
        raise TraceError(f"{path}: not an .npz file of plain arrays ({fault})") from None


def _reallocation(where, record):
    names = list(dict.fromkeys(key[0] for key in record if len(key) == 3))
    before, after = ([_tensor(f"{where}, {name}", name, moment, record) for name in names]
                     for moment in ("before", "after"))
    for key in record:
        if len(key) == 2 and key[0] not in names:
            raise TraceError(f"{where}: {key[1]} of {key[0]}, which has no arrays")
    try:
        r = Reallocation(before, after)
    except ValueError as error:
        raise TraceError(f"{where}: {error}") from None
    if not r.sparse:
        raise TraceError(f"{where}: no tensor has a mask or an index")
    said = {name: _number(where, name, record.get((name,)))
            for name in ("H", "next_H", "N_p", "delta", "keep_one")}
    for claim in ("pruned", "grown"):
        counts = [_number(where, claim, record.get((t.name, claim)), whole=True)
                  for t, _ in r.sparse]
        if None in counts and any(n is not None for n in counts):
            raise TraceError(f"{where}: {claim} is said of some sparse tensors, not of all")
        said[claim] = None if None in counts else counts
    if said["delta"] is not None and not 0 <= said["delta"] < 1:
        raise TraceError(f"{where}: delta must be in [0, 1), not {said['delta']}")
    if said["N_p"] is not None and not 0 < said["N_p"] < float("inf"):
        raise TraceError(f"{where}: N_p must be positive and finite, not {said['N_p']}")
    if said["keep_one"] is not None:
        said["keep_one"] = bool(said["keep_one"])
    return replace(r, report=Report(**said))


def _tensor(where, name, moment, record):
    """One tensor at one moment, from a mask or an index, or dense if there is neither."""
    mask, index, value, velocity = (record.get((name, moment, key))
                                    for key in ("mask", "index", "value", "velocity"))
    if value is None:
        raise TraceError(f"{where}: no value {moment}")
    if mask is not None and index is not None:
        raise TraceError(f"{where}: a mask and an index {moment}; one is enough")
    for key, array in (("value", value), ("velocity", velocity)):
        if array is not None and array.dtype.kind not in "fiu":
            raise TraceError(f"{where}: {key} {moment} is {array.dtype}, not real numbers")
    if mask is not None and mask.dtype.kind not in "fiub":
        raise TraceError(f"{where}: mask {moment} is {mask.dtype}, not 0 and 1")
    for key, array in (("mask", mask), ("velocity", velocity), ("index", index)):
        if array is not None and array.shape != value.shape:
            raise TraceError(f"{where}: {key} {moment} has shape {array.shape}, "
                             f"value {value.shape}")
    size = _number(where, "size", record.get((name, "size")), whole=True)
    if index is None and size not in (None, value.size):
        raise TraceError(f"{where}: size is {size}, and {value.size} positions {moment}")
    if mask is not None:
        if not np.isin(mask, (0, 1)).all():
            raise TraceError(f"{where}: mask {moment} has entries other than 0 and 1")
        size, index = mask.size, np.flatnonzero(mask)
        value, velocity = (None if a is None else a.reshape(-1)[index] for a in (value, velocity))
    elif index is not None:
        index = index.reshape(-1)
        if size is None:
            raise TraceError(f"{where}: an index needs the size, the number of positions")
    else:
        size = value.size
    return Tensor(name, size, index, *(None if a is None else a.reshape(-1)
                                       for a in (value, velocity)))


def _number(where, name, array, *, whole=False):
    """A scalar of the trace as a Python number, None if it is not there."""
    if array is None:
        return None
    kinds = "fiub" if name == "keep_one" else "fiu"
    if array.size != 1 or array.dtype.kind not in kinds or array != array:
        raise TraceError(f"{where}: {name} must be one number, not {' '.join(str(array).split())}")
    number = array.reshape(-1)[0]
    number = float(str(number)) if name == "delta" else number.item()  # a float32 0.1 means 0.1
    if whole and (number % 1 or number < 0):  # inf % 1 is nan
        raise TraceError(f"{where}: {name} must be a whole number, not {number}")
    return int(number) if whole else number
