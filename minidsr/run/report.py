"""Tables from the histories of runs, and a line about those too short for their method."""

from ..methods.base import Dynamic

DOUBLING = 3  # times in a row that H doubles only if it has not found its range yet


def table(rows, header, left=(0,)):
    """Text table; every cell is a string. `left`: the columns that are aligned on the left."""
    widths = [max(len(row[i]) for row in (header, *rows)) for i in range(len(header))]

    def line(row):
        return "  ".join(cell.ljust(w) if i in left else cell.rjust(w)
                         for i, (cell, w) in enumerate(zip(row, widths, strict=True))).rstrip()

    return "\n".join([line(header), "  ".join("-" * w for w in widths), *map(line, rows)])


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
