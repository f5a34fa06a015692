"""A study in tables: groups of runs, differences between them, what moved; Markdown and CSV."""

import csv
from pathlib import Path
from statistics import fmean, stdev

from ..checks import counted
from ..methods import METHODS
from . import compare
from .report import little_time

SEEDS = 6  # more are not listed one by one


def markdown(groups, differences, reasons, left_out):
    """The whole report, as text. Its arguments are what compare.py's functions return."""
    parts = [_title(groups), _accuracies(groups), _differences(differences, reasons),
             _moves(groups), _notes(groups, left_out)]
    return "\n\n".join(part for part in parts if part)


def table(rows, header, left=(0,)):
    """A table in Markdown, its columns aligned; every cell is a string."""
    rows = [[cell.replace("|", "\\|") for cell in row] for row in rows]
    widths = [max(3, *(len(row[i]) for row in (header, *rows))) for i in range(len(header))]
    rule = ["-" * w if i in left else "-" * (w - 1) + ":" for i, w in enumerate(widths)]

    def line(row):
        cells = (cell.ljust(w) if i in left else cell.rjust(w)
                 for i, (cell, w) in enumerate(zip(row, widths, strict=True)))
        return f"| {' | '.join(cells)} |"

    return "\n".join(map(line, [header, rule, *rows]))


def spread(values, digits=2):
    """mean ± sample standard deviation; of one value, the value."""
    deviation = f" ± {stdev(values):.{digits}f}" if len(values) > 1 else ""
    return f"{fmean(values):.{digits}f}{deviation}" if values else "none"


# --- the parts


def _title(groups):
    runs, common = sum(len(g.results) for g in groups), groups[0].results[0].settings
    same = [f"{name.replace('_', ' ')} {compare.in_words(common[name])}"
            for name in ("model", "data", "train_images", "validation", "epochs", "batch", "commit")
            if common[name] and len({g.results[0].settings[name] for g in groups}) == 1]
    return (f"# {counted(runs, 'run')} in {counted(len(groups), 'group')}"
            + (f"\n\nAll with {', '.join(same)}." if same else ""))


def _accuracies(groups):
    validated = any(g.values("validation_accuracy") for g in groups)
    rows = []
    for g in groups:
        validation = [spread(g.values("validation_accuracy"))] * validated
        rows.append([g.label, *validation, spread(g.values("test_accuracy")),
                     str(len(g.results)), _seeds(g.seeds), _range(g.values("free_parameters")),
                     f"{100 * fmean(r.history.sparsity for r in g.results):.1f}",
                     f"{fmean(g.values('explored')):.2f}", str(g.results[0].config.epochs),
                     f"{fmean(r.images_per_s for r in g.results):,.0f}",
                     f"{fmean(r.hours for r in g.results):.2g}"])
    header = ["group", *["validation accuracy, %"] * validated, "test accuracy, %", "n", "seeds",
              "free parameters", "sparsity, %", "R_s", "epochs", "images/s", "hours"]
    return (f"## Accuracy\n\n{table(rows, header)}\n\nMean ± sample standard deviation over n "
            "seeds, after the last epoch. Hours are those of training.")


def _differences(differences, reasons):
    if not differences and not reasons:
        return ""
    validated = any(d.validation[0] is not None for d in differences)
    rows = [[f"{d.one.label} − {d.other.label}", *[_interval(d.validation)] * validated,
             _interval(d.test), str(len(d.seeds)), _seeds(d.seeds)] for d in differences]
    header = ["difference", *["validation, points"] * validated, "test, points", "n", "seeds"]
    parts = ["## Paired differences", table(rows, header) if rows else ""]
    if rows:
        parts.append("Mean over equal seeds, of equal budgets, with Student's interval of 95 %."
                     + _many(differences))
    if any(len(d.seeds) == 1 for d in differences):
        parts.append("From one seed there is no interval, and a difference that says little.")
    if any(0 in (d.test[1], d.validation[1]) for d in differences):
        parts.append("An interval without width is of seeds that happen to differ by the same; it "
                     "says nothing of the spread.")
    if reasons:
        lines = [f"- {reason}: {_such_as(pairs)}" for reason, pairs in reasons.items()]
        parts.append("\n".join(["Not compared:\n", *lines]))
    return "\n\n".join(filter(None, parts))


def _many(differences):
    """What many intervals are worth together."""
    n = sum(len(d.seeds) > 1 for d in differences)
    return f" Of {n} such intervals about {n / 20:.1g} miss the true one by chance." * (n > 4)


def _such_as(pairs):
    first = f"{pairs[0][0]} and {pairs[0][1]}"
    return first if len(pairs) == 1 else f"{len(pairs)} pairs, such as {first}"


def _moves(groups):
    """Of groups whose methods move weights."""
    rows, recorded = [], any(r.ages for g in groups for r in g.results)
    for g in groups:
        if all(r.history.reallocations for r in g.results):
            found = [moved(r) for r in g.results]
            rows.append([g.label, *(f"{fmean(m[name] for m in found):,.{digits}f}"
                                    for name, digits in (("reallocations", 0), ("pruned", 0),
                                                         ("per_weight", 1))),
                         *([_share(found, name, "pruned") for name in
                            ["changed_tensor"] + ["young"] * recorded])])
    header = ["group", "reallocations", "weights pruned", "pruned per weight", "changed tensor",
              *["grown only the time before"] * recorded]
    return f"## What moved\n\n{table(rows, header)}\n\nMeans over the seeds." if rows else ""


def _share(found, name, of):
    """A share in percent, of all runs together."""
    if any(m[name] is None for m in found):
        return "not recorded"
    whole = sum(m[of] for m in found)
    return f"{100 * sum(m[name] for m in found) / whole:.1f} %" if whole else "none"


def _notes(groups, left_out):
    """What a reader of the tables must know, and which runs are not in them."""
    lines = [*_short(groups), *_unequal(groups)]
    dirty = [g.label for g in groups if str(g.results[0].settings["commit"]).endswith("dirty")]
    if dirty:
        lines.append(f"{'; '.join(dirty)}: from a work tree with changes that its commit does not "
                     "have")
    lines += [f"left out: {line}" for line in left_out]
    return "## Notes\n\n" + "\n".join(f"- {line}" for line in lines) if lines else ""


def _short(groups):
    """A line about each group whose runs had little time for their method."""
    for g in groups:
        lines = [little_time(METHODS[g.method], r.history) for r in g.results]
        short = [(r.config.seed, line) for r, line in zip(g.results, lines, strict=True) if line]
        if short:
            many = f" ({len(short)} of {len(lines)} runs; seed {short[0][0]})" * (len(lines) > 1)
            yield f"{g.label}{many} {short[0][1]}"


def _unequal(groups):
    """A line about each group whose budget is not what those of others are."""
    for g in groups:
        first = g.results[0]
        if compare.is_thin(first):
            yield (f"{g.label} trained {first.history.setup['network']}, whose number of parameters"
                   " is the nearest to the budget that whole channels give")
        elif first.history.setup["budget"] not in ("conserved", "shrinking"):
            yield (f"{g.label} is given no budget: what it cuts off is learned; its free "
                   "parameters are all that it trains")
        elif not compare.has_budget(first):
            yield f"{g.label} is given no budget, and has all parameters of the network"


# --- numbers of a run


def moved(result):
    """{name: number} of what a run moved in all its reallocations. `young`, those pruned that had
    been grown only the time before, is None where births were not recorded."""
    records, ages = result.history.reallocations, result.ages
    pruned = sum(r["K"] for r in records)
    return {"reallocations": len(records), "pruned": pruned,
            "per_weight": pruned / max(1, sum(result.last["active"])),
            "changed_tensor": sum(map(compare.changed_tensor, records)),
            "young": sum(young for _, young in ages) if ages else None}


# --- CSV


def write_csv(folder, groups, differences):
    """runs.csv, a row a run with all settings; groups.csv and differences.csv, as the tables;
    epochs.csv, a row an epoch. Returns their paths."""
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    runs = [(g, r) for g in groups for r in g.results]
    tables = {"runs": [_run_row(g, r) for g, r in runs],
              "groups": list(map(_group_row, groups)),
              "differences": list(map(_difference_row, differences)),
              "epochs": [_epoch_row(g, r, e) for g, r in runs for e in r.history.epochs]}
    paths = []
    for name, rows in tables.items():
        paths.append(folder / f"{name}.csv")
        with open(paths[-1], "w", encoding="utf-8", newline="") as file:
            writer = csv.DictWriter(file, dict.fromkeys(k for row in rows for k in row))
            writer.writeheader()
            writer.writerows(rows)
    return paths


def _run_row(group, result):
    settings = result.settings | result.history.setup["options"]  # as the method settled them
    settings = {name: " ".join(map(str, value)) if isinstance(value, (list, tuple)) else value
                for name, value in settings.items()}
    last = {name: result.last[name] for name in _numbers(result.last)}
    return {"run": str(result.path), "group": group.label, "seed": result.config.seed, **settings,
            **last, **moved(result), "images_per_s": result.images_per_s, "hours": result.hours}


def _group_row(group):
    row = {"group": group.label, "n": len(group.results), "seeds": " ".join(map(str, group.seeds))}
    for name in ("validation_accuracy", "test_accuracy", "free_parameters", "explored"):
        values = group.values(name)
        if values:
            row |= {name: fmean(values), f"{name}_sd": stdev(values) if len(values) > 1 else None}
    return row


def _difference_row(d):
    row = {"one": d.one.label, "other": d.other.label, "n": len(d.seeds),
           "seeds": " ".join(map(str, d.seeds))}
    for name, (mean, half) in (("validation", d.validation), ("test", d.test)):
        if mean is not None:
            low, high = (None, None) if half is None else (mean - half, mean + half)
            row |= {name: mean, f"{name}_low": low, f"{name}_high": high}
    return row


def _epoch_row(group, result, epoch):
    return {"run": str(result.path), "group": group.label, "seed": result.config.seed,
            **{name: epoch[name] for name in ("epoch", *_numbers(epoch))}}


def _numbers(epoch):
    """The fields of an epoch's record that are numbers of the whole network."""
    return [name for name in epoch if name not in ("kind", "epoch", "active", "images_per_s")]


# --- words


def _seeds(seeds):
    return " ".join(map(str, seeds)) if len(seeds) <= SEEDS else f"{seeds[0]} … {seeds[-1]}"


def _range(counts):
    low, high = min(counts), max(counts)
    return f"{low:,}" if low == high else f"{low:,} to {high:,}"


def _interval(difference):
    mean, half = difference
    if mean is None:
        return "none"
    return _signed(mean) + (
        "" if half is None else f" [{_signed(mean - half)}, {_signed(mean + half)}]")


def _signed(points):
    return f"{round(points, 2) + 0.0:+.2f}"  # no -0.00
