"""What was seen of one reallocation, by whatever program: tensors before and after, what was said.

snapshot() takes it from our own tensors; trace.load() reads what others have recorded. A position
is a place in the dense tensor; a place is an index into one of the arrays here.
"""

from dataclasses import dataclass, field
from functools import cached_property

import numpy as np

from ..backend import to_host
from ..checks import counted
from ..reparam import Report


class NotCheckable(Exception):
    """What an invariant needs is not known, or did not occur."""


@dataclass(frozen=True)
class Tensor:
    """One tensor at one moment: flat arrays on the host, one entry for each free number; and the
    positions that no threshold prunes.

    masked    the values at all other positions; none are stored in our own Sparse tensors
    recorded  what rules of some methods need beside: flat arrays with an entry for each position
              ("gradient", "momentum", "sign", "bucket"), or each row ("threshold")

    None: the index of a dense tensor; a velocity, or masked values, that are not known.
    """

    name: str
    size: int
    index: np.ndarray | None
    value: np.ndarray
    velocity: np.ndarray | None = None
    protected: np.ndarray | tuple = ()
    masked: np.ndarray | None = None
    recorded: dict = field(default_factory=dict)

    def known(self, key):
        """What is recorded under this key. NotCheckable where nothing is."""
        if key not in self.recorded:
            raise NotCheckable(f"{key} is not recorded")
        return self.recorded[key]

    def wrong_positions(self):
        """What is wrong with the positions, in words; None if nothing is."""
        index, m = self.index, len(self.value)
        if index is None:
            return None
        if index.dtype.kind not in "iu":
            return f"positions are {index.dtype}, not whole numbers"
        if len(index) != m or self.velocity is not None and len(self.velocity) != m:
            return (f"{counted(len(index), 'position')}, {counted(m, 'value')}, or another number "
                    "of velocities")
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

    return [Tensor(name, p.size, copy(getattr(p, "index", None)), copy(p.value), copy(p.velocity),
                   getattr(p, "protected", ()), masked=np.zeros(0, p.value.dtype))
            for name, p in named.items()]


@dataclass(frozen=True)
class Reallocation:
    """All tensors before and after a reallocation, and what was said of it.

    numbers: what rules of some methods need beside: the "fraction" that each tensor prunes; the
    "progress" of shrinking, from 0 to 1, and the "final" counts, one for each sparse tensor.
    tolerance: numbers that differ by no more than this count as the same.

    ValueError where the tensors before and after are not the same ones, or the report is of another
    number of sparse tensors.
    """

    before: list[Tensor]
    after: list[Tensor]
    report: Report = field(default_factory=Report)
    name: str = "a reallocation"
    follows: bool = True  # directly on the one before it in the trace, if there is one
    numbers: dict = field(default_factory=dict)
    tolerance: float = 0.0

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
        return [Change(a, b, self.report.H, self._keep_one(a, k), k, self.tolerance)
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

    def need_certainty(self):
        """NotCheckable where nobody can tell whether a weight survived."""
        doubtful = sum(int(c.doubtful.sum()) for c in self.changes)
        if doubtful:
            raise NotCheckable(f"{counted(doubtful, 'weight')} may have been changed, or pruned "
                               "and grown again: pruned, if it were recorded, might tell")

    def known(self, *keys):
        """These of the numbers. NotCheckable where one is not known."""
        missing = [key for key in keys if key not in self.numbers]
        if missing:
            raise NotCheckable(f"{missing[0]} is not recorded")
        return [self.numbers[key] for key in keys]

    def counts(self):
        """(k, l, g): three lists with a number for each sparse tensor.

        k by H and what is seen; where H is not known, what the report says, and if it says nothing,
        what is seen. NotCheckable where a 0 stays that may have been pruned and grown again, or a
        weight that nobody can tell of.
        """
        said = self.report.pruned is not None or self.report.keep_one is not None
        if not said and any(c.keeper is not None and not c.magnitude.any() for c in self.changes):
            raise NotCheckable("keep_one is not known, and a 0 stays")
        l = [c.m - int(c.pruned.sum()) for c in self.changes]
        if self.report.H is None and self.report.pruned is not None:
            l = [max(c.m - k, 0) for c, k in zip(self.changes, self.report.pruned, strict=True)]
        elif self.report.H is None:
            self.need_certainty()
            if any((c.survives & ~c.kept).any() for c in self.changes):
                raise NotCheckable("pruned is not known, and a 0 stays")
        k = [c.m - l_ for c, l_ in zip(self.changes, l, strict=True)]
        return k, l, [c.m_after - l_ for c, l_ in zip(self.changes, l, strict=True)]


class Change:
    """The positions of one tensor before and after, side by side.

    What became of a place that was in use before:

        afterwards its position          |w| >= H, or H not known    |w| < H
        ------------------------------   -------------------------   ----------------
        is gone                          pruned                      pruned
        has the same number, not 0       survives                    spared
        has the same number, a 0         survives                    pruned, regrown
        has another: 0, at rest          pruned, regrown             pruned, regrown
        has another: anything else       survives, or as below       pruned, regrown

    The same: bit for bit, or to within the tolerance, and of a 0 the velocity too; else it was
    pruned and grown again. At rest: with velocity 0. A velocity that is not known counts as the
    same, and as 0.

    Where H is not known, what has another number, not 0 at rest, was changed, or pruned and grown
    again at it. How many are said to be pruned may tell; else, whether growth elsewhere in the
    tensor starts at 0, as then it does so here. If neither does, it is doubtful.

    Where all are below H, one of them may survive, the `keeper`, unless keep_one is False. It is
    the first place with one of these, in this order:

        a largest number that is the same
        a 0 that is largest, and lost its velocity: only if keep_one is True, as then one must stay
        any number that is the same, and was not 0 at rest: it is the wrong one that was kept

    As boolean arrays with an entry for each place before, (m,), but for `new`, (m',):

        stays     the position is in use before and after
        protected no threshold prunes it: to the table, its |w| >= H
        below     |w| < H, and it is not protected
        equal     |w| = H, in the type of w
        survives, spared, pruned, regrown    as above
        doubtful  as above; each place is this or one of survives, spared, pruned
        kept      survives for sure: a 0 at rest may have been pruned and grown again
        new       grown, where no free number was before

    k_range: how many were pruned, at least and at most. One number where H is known; else a number
    that is now 0 and at rest may have been pruned and grown again.
    """

    def __init__(self, before, after, H, keep_one, said=None, tolerance=0.0):
        self.before, self.after, self.name = before, after, before.name
        self.tolerance = tolerance
        self.m, self.m_after = len(before.index), len(after.index)
        self.room = before.size - self.m
        self._match()
        self.magnitude = np.abs(before.value)
        same, anew = self._same(), self._anew()
        self.below, self.equal = self._compare(H, ~self.stays | anew & ~same)
        self.protected = np.isin(before.index, before.protected)
        self.below &= ~self.protected
        self.keeper = self._find_keeper(same, keep_one)
        other = self.stays & ~same & ~anew
        again = H is None and self._grown_again(other, anew, same, said)
        self.doubtful = other & (again is None)
        self._classify(same, anew, other & bool(again))
        least = int((~self.stays).sum())
        most = least + int(anew.sum()) + int((other & (again is not False)).sum())
        self.k_range = (least, most) if H is None else (int(self.pruned.sum()),) * 2

    def _match(self):
        """Find each place before among the places after, if it stays."""
        at = np.searchsorted(self.after.index, self.before.index)
        self.at = np.minimum(at, max(self.m_after - 1, 0))  # place in `after`, for those that stay
        self.stays = np.zeros(self.m, bool)
        if self.m_after:
            self.stays = self.after.index[self.at] == self.before.index
        self.new = np.ones(self.m_after, bool)
        self.new[self.at[self.stays]] = False

    def _compare(self, H, gone):
        """Is |w| < H, and is it H? As nobody knows in which type a program compares, a weight that
        is H in its own type, and less than H, counts as it was treated."""
        if H is None:
            return np.zeros((2, self.m), bool)
        # Beside float16, of which traces may be, an H could be 0 or infinite.
        wide = self.magnitude.astype(np.result_type(self.magnitude, np.float32))
        with np.errstate(over="ignore", under="ignore"):
            below, rounded = wide < H, np.asarray(H, self.magnitude.dtype)
        equal = (self.magnitude == rounded) & (rounded > 0)
        return np.where(equal & (float(rounded) < H), gone, below), equal

    def _same(self):
        """What has the same number afterwards, as the table has it."""
        same = self.stays & self.keeps("value")
        if self._velocity_is_known():
            same &= (self.before.value != 0) | self.keeps("velocity")
        return same

    def _anew(self):
        """What is 0 and at rest afterwards, the same or another."""
        anew = self.stays & (np.abs(self.afterwards("value")) <= self.tolerance)
        return anew & (self.afterwards("velocity") == 0) if self._velocity_is_known() else anew

    def _grown_again(self, other, anew, same, said):
        """Were the weights with `other` numbers pruned and grown again? None: nobody can tell."""
        if not other.any():
            return False
        if said is not None:
            rest = said - int((~self.stays).sum()) - int((anew & ~same).sum())
            if rest <= 0:
                return False
            return None if rest < other.sum() or (anew & same).any() else True
        grown = self.after.value[self.new]
        seen = len(grown) or (anew & ~same).any()
        return False if seen and not grown.any() else None

    def _find_keeper(self, same, keep_one):
        """The place that is kept where all are below H; None where none is, or not all are."""
        if keep_one is False or not self.m or not self.below.all():
            return None
        largest = self.magnitude == self.magnitude.max()
        moved = self.before.value != 0  # what was not 0 at rest
        if self._velocity_is_known():
            moved |= self.before.velocity != 0
        choices = [same & largest]
        if keep_one is True:
            choices.append(self.stays & self.keeps("value") & largest)
        choices.append(same & moved)
        return next((int(np.argmax(mask)) for mask in choices if mask.any()), None)

    def _classify(self, same, anew, again):
        """The table: a column for `survives`, a column for `spared`, and the rest."""
        self.survives = self.stays & ~self.below & (same | ~anew) & ~again & ~self.doubtful
        if self.keeper is not None:
            self.survives[self.keeper] = True
        self.spared = same & (self.before.value != 0) & self.below & ~self.survives
        self.pruned = ~self.survives & ~self.spared & ~self.doubtful
        self.regrown = self.stays & self.pruned
        self.kept = self.survives & ~anew

    def _velocity_is_known(self):
        return self.before.velocity is not None and self.after.velocity is not None

    def weight(self, i):
        """The weight at place i before, in words."""
        return f"{self.before.value[i]:g} at position {self.before.index[i]}"

    def afterwards(self, key):
        """`value` or `velocity` afterwards (m,); of no meaning where the position is gone."""
        array = getattr(self.after, key)
        return array[self.at] if self.m_after else np.zeros_like(array, shape=self.m)

    def keeps(self, key):
        """Is `value` or `velocity` the same afterwards? +0 and -0 are not; NaN and NaN are. With a
        tolerance: is it near?"""
        a, b = getattr(self.before, key), self.afterwards(key)
        same = (a == b) & (np.signbit(a) == np.signbit(b)) | np.isnan(a) & np.isnan(b)
        if self.tolerance:
            with np.errstate(invalid="ignore", over="ignore"):
                same |= np.abs(a - b) <= self.tolerance
        return same

    def grown(self, key):
        """(positions, numbers) of all that was grown; `key` is value or velocity."""
        place = np.concatenate([np.flatnonzero(self.new), self.at[self.regrown]])
        return self.after.index[place], getattr(self.after, key)[place]
