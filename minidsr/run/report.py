"""Tables from the histories of runs, and a line about those too short for their method. What is
wide folds in a narrow terminal."""

import shutil
import textwrap
from itertools import chain

from ..methods.base import Dynamic

DOUBLING = 3  # times in a row that H doubles only if it has not found its range yet
LEAST = 24  # characters that a column of words needs beside others


def columns():
    """How many characters a line may have: COLUMNS, or as many as the terminal has. None where
    standard output is no terminal: what reads it has a row in one line, then."""
    return shutil.get_terminal_size((0, 0)).columns or None


def folded(text, indent=""):
    """A paragraph in lines that the terminal has room for, those after the first with an indent."""
    return textwrap.fill(text, columns(), subsequent_indent=indent) if columns() else text


def table(rows, header, left=(0,)):
    """Text table; every cell is a string. `left`: the columns that are aligned on the left.

    If the last one is, its words wrap where the terminal is narrower; or, where there is no room
    for that beside the other columns, they stand below these.
    """
    last, widths = len(header) - 1, [max(map(len, cells)) for cells in zip(
        header, *rows, strict=True)]
    room = None
    if columns() and last in left:
        room = columns() - sum(widths[:last]) - 2 * last
    if room is not None and room < min(LEAST, widths[last]):
        short = table([row[:last] for row in rows], header[:last], left).splitlines()
        words = [folded("    " + row[last], "    ").rstrip() for row in rows]
        return "\n".join([*short[:2], *filter(None, chain(*zip(short[2:], words, strict=True)))])
    if room is not None:
        rows = [line for row in rows for line in _wrapped(row, room)]
        widths[last] = max(len(row[last]) for row in (header, *rows))

    def line(row):
        return "  ".join(cell.ljust(w) if i in left else cell.rjust(w)
                         for i, (cell, w) in enumerate(zip(row, widths, strict=True))).rstrip()

    return "\n".join([line(header), "  ".join("-" * w for w in widths), *map(line, rows)])


def _wrapped(row, room):
    """A row as several, the words of the last column below each other."""
    first, *more = textwrap.wrap(row[-1], room) or [""]
    return [[*row[:-1], first], *([*[""] * (len(row) - 1), words] for words in more)]


def compare(histories):
    """A table of {label: History}: what each run trained with, and what came out."""
    rows, parts = [], [part for part in ("validation", "test")
                       if any(f"{part}_accuracy" in h.epochs[-1] for h in histories.values())]
    for label, history in histories.items():
        moved, last = [r["K"] for r in history.reallocations], history.epochs[-1]
        average = f"{sum(moved) / len(moved):,.0f}" if moved else "0"
        accuracies = [last.get(f"{part}_accuracy") for part in parts]
        rows.append([label, f"{last['free_parameters']:,}", f"{100 * history.sparsity:.1f} %",
                     *("" if a is None else f"{a:.2f} %" for a in accuracies), average,
                     f"{len(moved)}", f"{last['explored']:.3f}", budget(history)])
    return table(rows, ["method", "free parameters", "sparsity",
                        *(f"{part} accuracy" for part in parts), "pruned each time",
                        "reallocations", "R_s", "budget"])


def budget(history):
    """What became of the number of free parameters: as the method says it should, or BROKEN."""
    return "BROKEN" if history.broken else history.setup["budget"]


def little_time(method, history):
    """What to say after the name of `method`, a class, if its run was too short for it; or None.

    Too short is a run with fewer reallocations than `method.few`, ten for most; and one at whose
    end H was still doubling, as in each of the last three, or of all, K < (1-δ) N_p.
    """
    if not issubclass(method, Dynamic):
        return None
    moves, flags = history.reallocations, ["--epochs"]
    flags.append("--periods" if "periods" in method.options() else "--interval")
    if not moves:
        return ("has moved nothing: no period ended before the stop "
                f"({', '.join([*flags, '--stop-epoch'])})")
    doubling = all(r["H"] is not None and r["next_H"] > r["H"] for r in moves[-DOUBLING:])
    if len(moves) >= method.few and not doubling:
        return None
    K, N_p = (sum(r[name] or 0 for r in moves) for name in ("K", "N_p"))
    line = (f"had little time to explore: {len(moves)} reallocation{'s' * (len(moves) > 1)} moved "
            f"{K:,} weights")
    line += f" of {N_p:,} asked for" * (N_p > 0) + ", and H was still doubling" * doubling
    return f"{line} ({', '.join(flags + ['--threshold'] * doubling)})"


def by_tensor(history):
    """A table of the tensors that may be sparse: density at the start and at the end."""
    rows = [[t["name"], f"{t['size']:,}", f"{t['active']:,}", f"{end:,}",
             f"{100 * t['active'] / t['size']:.1f} %", f"{100 * end / t['size']:.1f} %"]
            for t, end in zip(history.setup["tensors"], history.epochs[-1]["active"], strict=True)]
    return table(rows, ["tensor", "positions", "active, start", "active, end", "density, start",
                        "density, end"])
