"""A reallocation as text: what each position held before and holds after, and what became of it."""

from dataclasses import dataclass
from typing import Any

import numpy as np

from ..checks import counted
from .reallocation import NotCheckable, Reallocation

WIDTH = 75  # characters at most; if a tensor has more positions, those in use, moved ones first
GROWN_BY = ("gradient", "momentum")  # keys of what some methods grow by
FEW = 8  # positions, that are all drawn where they fit


@dataclass(frozen=True, eq=False)
class Example:
    """A Case, and the Reallocation that came out of it; None where nothing did.

    other  where two runs are compared: how the other was run, and what came out of that
    """

    case: Any  # a Case; proof/cases.py needs hypothesis, and this does not
    r: Reallocation | None = None
    other: tuple[str, Reallocation] | None = None

    def __str__(self):
        first = str(self.case).splitlines()[0]
        if self.r is None:
            tensors = [_tensor(f"tensor {i}", W) for i, W in enumerate(self.case.tensors)]
            return "\n".join([first, *tensors])
        runs = [(first, self.r), *([self.other] if self.other else [])]
        return "\n".join(_run(head, r) for head, r in runs)


def _run(head, r):
    if r.report.next_H is not None:
        head += f"; next H = {r.report.next_H:g}"
    try:
        changes = r.changes
    except NotCheckable:
        changes = [None] * len(r.before)
    names = [before.name for before in r.before]
    return "\n".join([head, *map(_tensor, names, r.before, r.after, changes)])


def _tensor(name, before, after=None, change=None):
    """A table: a column for each position, a row for each moment, and one that says what it is."""
    head = f"{name}, {counted(before.size, 'position')}"
    wrong = after and after.wrong_positions()
    rows = {"before": _by_position(before, "value")}
    if after and not wrong:
        rows["after"] = _by_position(after, "value")
    used = {position for row in rows.values() for position in row}
    for key in GROWN_BY if after else ():
        if key in before.recorded:
            rows[key] = {j: f"{x:g}" for j, x in enumerate(before.recorded[key])}
    if change and _at_fault(change):
        rows |= {f"velocity {when}": _by_position(t, "velocity")
                 for when, t in (("before", before), ("after", after))}
    fates = _fates(change) if change else {}
    cells = {j: [str(j), *(row.get(j, ".") for row in rows.values()), fates.get(j, "")]
             for j in (range(before.size) if before.size <= FEW else used)}
    if not cells and not wrong:
        return f"{head}: empty"
    columns = _fitting(cells, fates, WIDTH - len(head))
    more = len(used.difference(columns))
    table = [[head, *rows, f"{more} more in use" if more else ""], *(cells[j] for j in columns)]
    widths = [max(map(len, column)) for column in table]
    lines = ["  ".join(cell.rjust(w) for cell, w in zip(row, widths, strict=True)).rstrip()
             for row in zip(*table, strict=True)]
    if wrong:
        lines.append(f"{'after':>{len(head)}}  {wrong}")
    return "\n".join(filter(None, lines))


def _fitting(cells, fates, room):
    """The positions whose columns of cells fit; moved ones first, and one at least."""
    chosen = []
    for j in sorted(cells, key=lambda j: (j not in fates, j)):
        room -= 2 + max(map(len, cells[j]))
        if chosen and room < 0:
            break
        chosen.append(j)
    return sorted(chosen)


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
