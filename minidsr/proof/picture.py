"""A reallocation as text: what each position held before and holds after, and what became of it."""

from dataclasses import dataclass
from typing import Any

import numpy as np

from .reallocation import NotCheckable, Reallocation

COLUMNS = 8  # of a tensor with more positions, those with weights are drawn, moved ones first


@dataclass(frozen=True, eq=False)
class Example:
    """A Case, and the Reallocation that came out of it; None where nothing did."""

    case: Any  # a Case; proof/cases.py needs hypothesis, and this does not
    r: Reallocation | None = None

    def __str__(self):
        first, count = str(self.case).splitlines()[0], len(self.case.tensors)
        if self.r is None:
            return "\n".join([first, *(_tensor(i, W) for i, W in enumerate(self.case.tensors))])
        if self.r.report.next_H is not None:
            first += f"; next H = {self.r.report.next_H:g}"
        try:
            changes = self.r.changes
        except NotCheckable:
            changes = [None] * count
        return "\n".join([first, *map(_tensor, range(count), self.r.before, self.r.after, changes)])


def _tensor(i, before, after=None, change=None):
    """A table: a column for each position, a row for each moment, and one that says what it is."""
    head, wrong = f"tensor {i}, {before.size} positions", after and after.wrong_positions()
    rows = {"before": _by_position(before, "value")}
    if after and not wrong:
        rows["after"] = _by_position(after, "value")
    if change and _at_fault(change):
        rows |= {f"velocity {when}": _by_position(t, "velocity")
                 for when, t in (("before", before), ("after", after))}
    fates = _fates(change) if change else {}
    used = sorted({position for row in rows.values() for position in row})
    columns = range(before.size) if before.size <= COLUMNS else sorted(
        sorted(used, key=lambda position: position not in fates)[:COLUMNS])
    table = [[head, *map(str, columns)],
             *([name, *(row.get(j, ".") for j in columns)] for name, row in rows.items()),
             ["", *(fates.get(j, "") for j in columns)]]
    widths = [max(map(len, cells)) for cells in zip(*table, strict=True)]
    lines = ["  ".join(cell.rjust(w) for cell, w in zip(row, widths, strict=True)).rstrip()
             for row in table]
    if len(columns) < len(used) and before.size > COLUMNS:
        lines[0] += f"  and {len(used) - len(columns)} more in use"
    if wrong:
        lines[-1] = f"{'after':>{len(head)}}  {wrong}"
    return "\n".join(filter(None, lines))


def _by_position(t, key):
    return {int(j): f"{x:g}" for j, x in zip(t.index, getattr(t, key), strict=True)}


def _at_fault(c):
    """Is something wrong with a velocity?"""
    if c.before.velocity is None or c.after.velocity is None:
        return False
    return bool((c.survives & ~c.keeps("velocity")).any() or c.grown("velocity")[1].any())


def _fates(c):
    """{position: what became of it}, but for what stays as it was."""
    kinds = ((c.survives & ~c.keeps("value"), "changed"), (c.spared, "stays"),
             (c.pruned, "pruned"), (c.regrown, "regrown"))
    fates = {int(j): word for where, word in kinds for j in c.before.index[where]}
    return fates | {int(j): "grown" for j in np.asarray(c.after.index)[c.new]}
