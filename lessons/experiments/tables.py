"""Tables of the experiments, in Markdown: each takes a Study."""

from statistics import fmean, stdev

from minidsr.run import compare

from .studies import STUDIES


def table(study):
    """A line for each row, in Markdown."""
    base = study.rows[study.base]
    lines = [f"| runs | folders | each | mean ± sd | minus {base} | R_s | minutes |",
             "|---|---|---|---|---|---|---|"]
    for kind, words in study.rows.items():
        each, found = list(study.accuracies(kind).values()), study.of(kind)
        lines.append(f"| {words} | `{kind}` | {', '.join(f'{x:.2f}' for x in each)} | "
                     f"{fmean(each):.2f} ± {stdev(each):.2f} | {against(study, kind)}| "
                     f"{study.explored(kind):.2f} | "
                     f"{60 * fmean(run.hours for run in found):.1f} |")
    return "\n".join(lines)


def against(study, kind):
    """The paired difference with its interval, and from what, where that is not the base; a space
    behind it. Of the base nothing."""
    base = study.base_of(kind)
    if base is None:
        return ""
    other = f" (minus {study.rows[base]})" if base != study.base else ""
    return f"{signed(compare.interval(study.differences(kind)))}{other} "


def signed(interval):
    """(mean, half) in words."""
    mean, half = interval
    return f"{round(mean, 2) + 0.0:+.2f} ± {half:.2f}"  # -0.00 becomes +0.00


def left(study):
    """How many weights are left in the end, where the method decides: a line for each kind."""
    lines = ["| runs | weights left, % | test accuracy |", "|---|---|---|"]
    for kind, words in study.rows.items():
        percent = study.left(kind)
        mean, sd, _ = study.summary(kind)
        lines.append(f"| {words} | {fmean(percent):.1f} ± {stdev(percent):.1f} | "
                     f"{mean:.2f} ± {sd:.2f} |")
    return "\n".join(lines)


def published(study):
    """Beside what the paper reports: a line for each kind of which it does, in Markdown."""
    lines = ["| runs | here | published | here minus published |", "|---|---|---|---|"]
    for kind, figures in study.papers.items():
        here = study.summary(kind)
        cells = " | ".join(f"{m:.2f} ± {sd:.2f}, n = {n}" for m, sd, n in (here, figures))
        lines.append(f"| {study.rows[kind]} | {cells} | "
                     f"{signed(compare.interval_apart(here, figures))} |")
    return "\n".join(lines)


def counts(study):
    """How many weights each tensor has at the start and in the end, and of how many positions; of
    DSR's runs, means over the seeds."""
    kinds = study.of_dsr()
    tensors = study.of(kinds[0])[0].history.setup["tensors"]
    lines = ["| runs | " + " | ".join(t["name"] for t in tensors) + " |",
             "|---" * (1 + len(tensors)) + "|",
             "| positions | " + " | ".join(f"{t['size']:,}" for t in tensors) + " |"]
    for kind in kinds:
        lines.append(f"| {study.rows[kind]} | " + " | ".join(
            f"{start:,} → {fmean(end):,.0f} ± {stdev(end):.0f}"
            for _, start, end in study.weights(kind)) + " |")
    return "\n".join(lines)


def overlap(study):
    """How alike the final structures of DSR's runs are, from overlap.json: between seeds, and
    between starts of one seed."""
    found = study.beside("overlap.json")
    groups = {}
    for pair, values in found.items():
        (one, a), (other, b) = (name.rsplit("-", 1) for name in pair.split())
        if one == other or a == b:
            key = ((one, "") if one == other else tuple(sorted((one, other))))
            groups.setdefault(key, []).append(values)
    lines = ["| pairs of runs | n | overlap | by chance |", "|---|---|---|---|"]
    for (one, other), pairs in groups.items():
        if {one, other} - {""} <= set(study.of_dsr()):
            words = (f"{study.rows[one]}: two seeds" if not other else
                     f"{study.rows[one]}, and {study.rows[other].partition(', ')[2]}: one seed")
            same, chance = ([pair[i] for pair in pairs] for i in (0, 1))
            lines.append(f"| {words} | {len(pairs)} | {fmean(same):.3f} ± {stdev(same):.3f} | "
                         f"{fmean(chance):.3f} |")
    return "\n".join(lines)


def ages(study):
    """What becomes of the weights that are grown, from ages.json: a line for each kind of run."""
    lines = ["| runs | each time | grown, in all | came through the first pruning, % | "
             "newborns of those pruned, % | older than five, % | of those grown, left in the end, "
             "% | R_s | test accuracy |", "|---" * 9 + "|"]
    for kind, words in study.rows.items():
        runs = list(study.lives(kind).values())
        pruned = [sum(run["died"].values()) for run in runs]
        shares = ([run["survived"] / run["faced"] for run in runs],
                  [(run["faced"] - run["survived"]) / n
                   for run, n in zip(runs, pruned, strict=True)],
                  [sum(count for age, count in run["died"].items() if int(age) > 5) / n
                   for run, n in zip(runs, pruned, strict=True)],
                  [(run["alive"] - run["kept"]) / run["grown"] for run in runs])
        each = fmean(n / len(result.history.reallocations)
                     for n, result in zip(pruned, study.of(kind), strict=True))
        mean, sd, _ = study.summary(kind)
        percents = " | ".join(f"{100 * fmean(share):.1f}" for share in shares)
        lines.append(f"| {words} | {each:,.0f} | {fmean(run['grown'] for run in runs):,.0f} | "
                     f"{percents} | {study.explored(kind):.2f} | {mean:.2f} ± {sd:.2f} |")
    return "\n".join(lines)


def filters(study):
    """Filters without a weight in the end, from filters.json: a line for each run."""
    found = study.beside("filters.json")
    names = [t["name"] for t in study.of(study.base)[0].history.setup["tensors"]]
    lines = ["| runs | seed | test accuracy | " + " | ".join(names) + " | largest weight |",
             "|---" * (4 + len(names)) + "|"]
    for kind, words in study.rows.items():
        for seed, run in study.runs[kind].items():
            tensors = found[run.path.name]
            cells = " | ".join(f"{empty} of {all_}" for empty, all_, _ in tensors)
            lines.append(f"| {words} | {seed} | {run.last['test_accuracy']:.2f} | {cells} | "
                         f"{max(largest for *_, largest in tensors):,.1f} |")
    return "\n".join(lines)


def hours(study):
    """How many runs, and how long they took."""
    return _runs_and_hours(run for kind in study.runs for run in study.of(kind))


def _runs_and_hours(runs):
    """Where they ran, and for how long; those on a GPU shared it."""
    groups = {"each on one core": [], "side by side on a GPU": []}
    for run in runs:
        gpu = run.environment.get("device", "CPU") != "CPU"  # the first records do not say
        groups["side by side on a GPU" if gpu else "each on one core"].append(run)
    return "; ".join(
        f"{len(of):,} runs, {where}: {sum(run.hours for run in of):.1f} hours of training"
        for where, of in groups.items() if of) + "."


def summary(study):
    """Means of all kinds of run in one line, the best first, and how far they are from the base."""
    kinds = sorted(study.rows, key=lambda kind: -study.summary(kind)[0])
    return "; ".join(f"{study.rows[kind]} {study.summary(kind)[0]:.2f}"
                     + f" ({against(study, kind).strip()})" * (kind != study.base)
                     for kind in kinds) + "."


def total():
    """How many runs all studies have, and how long they took."""
    of_records = {study.records: study.runs for study in STUDIES.values()}
    each = [run for runs in of_records.values() for by_seed in runs.values()
            for run in by_seed.values()]
    return f"{len(of_records)} studies. {_runs_and_hours(each)}"
