"""The experiments' tables and figures, from their records: written into the pages of results/.

    python -m lessons.experiments

A page has lines such as `<!-- table: NAME -->`, NAME one of STUDIES, and instead of `table` any of
BLOCKS; what stands between such a line and `<!-- end -->` is written anew. What is around is
written by hand.
"""

import json
import re
from pathlib import Path
from statistics import fmean, stdev

from lessons import RESULTS
from lessons.studies import STUDIES
from minidsr.run import compare, style

FIGURES = Path(__file__).parent / "figures"
BLOCK = re.compile(r"(<!-- (\w+): ([\w-]+) -->\n).*?(<!-- end -->)", re.DOTALL)


def table(study):
    """A line for each row, in Markdown."""
    base = study.rows[study.base]
    lines = [f"| runs | folders | each | mean ± sd | minus {base} | R_s | minutes |",
             "|---|---|---|---|---|---|---|"]
    for kind, words in study.rows.items():
        each, found = list(study.accuracies(kind).values()), study.of(kind)
        lines.append(f"| {words} | `{kind}` | {', '.join(f'{x:.2f}' for x in each)} | "
                     f"{fmean(each):.2f} ± {stdev(each):.2f} | {_against(study, kind)}| "
                     f"{fmean(run.last['explored'] for run in found):.2f} | "
                     f"{60 * fmean(run.hours for run in found):.1f} |")
    return "\n".join(lines)


def _against(study, kind):
    """The paired difference, with an interval; and from what, where that is not the base."""
    base = study.base_of(kind)
    if base is None:
        return ""
    other = f" (minus {study.rows[base]})" if base != study.base else ""
    return f"{_signed(compare.interval(study.differences(kind)))}{other} "


def _signed(interval):
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
                     f"{_signed(compare.interval_apart(here, figures))} |")
    return "\n".join(lines)


def errors(study):
    """The line that shows the test errors beside those published."""
    shown = "; ".join(
        f"{study.rows[kind]} {100 - study.summary(kind)[0]:.2f} here, {100 - mean:.2f} published"
        for kind, (mean, *_) in study.papers.items())
    return (f"![Test errors in %, on a logarithmic axis, here and as published. {shown}.]"
            f"(../figures/{_name(study)}_errors.png)")


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
    found = json.loads((RESULTS / study.records).with_name("overlap.json").read_text("utf-8"))
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


def figure(study):
    """The line that shows the study's figure, with what it shows in words."""
    shown = "; ".join(f"{study.rows[kind]} {_against(study, kind).strip()}"
                      for kind in study.rows if kind != study.base)
    return (f"![Test accuracy of each seed minus that of {study.rows[study.base]}, in points, with "
            f"means and their 95 % intervals. {shown}.](../figures/{_name(study)}.png)")


def densities(study):
    """The line that shows the density of each tensor at the start and in the end."""
    kinds = study.of_dsr()
    shown = []
    for kind in kinds:
        changes = (f"{start:.1f} to {fmean(end):.1f} %"
                   for start, end in zip(*_densities(study, kind), strict=True))
        shown.append(f"{study.rows[kind]}: {', '.join(changes)}")
    return ("![Density of each tensor in the order of the network, at the start (broken lines) and "
            f"in the end (solid; dots are seeds). {'; '.join(shown)}.]"
            f"(../figures/{_name(study)}_densities.png)")


def _densities(study, kind):
    """In percent: of each tensor at the start, and of each tensor a list over seeds in the end."""
    weights = study.weights(kind)
    return ([100 * start / size for size, start, _ in weights],
            [[100 * n / size for n in end] for size, _, end in weights])


def hours(study):
    """How many runs, and how long they took."""
    each = [run for kind in study.runs for run in study.of(kind)]
    return (f"{len(each)} runs, each on one core: {sum(run.hours for run in each):.1f} hours of "
            "training in all.")


def _name(study):
    return next(name for name, one in STUDIES.items() if one is study)


BLOCKS = {"table": table, "figure": figure, "published": published, "errors": errors,
          "left": left, "counts": counts, "overlap": overlap, "densities": densities,
          "hours": hours}


def draw(study):
    """Differences of accuracy, of each kind of run."""
    kinds = [kind for kind in study.rows if kind != study.base]
    figure, axes = _axes(0.8 + 0.32 * len(kinds))
    axes.axvline(0, color=style.BLACK, linewidth=0.8)
    for y, kind in enumerate(kinds):
        mean, half = compare.interval(values := study.differences(kind))
        axes.errorbar(mean, y, xerr=half, color=style.VERMILLION, marker="D", capsize=4)
        axes.plot(values, [y + 0.25] * len(values), "o", color=style.BLUE, markersize=3, alpha=0.7)
    axes.set_yticks(range(len(kinds)), [study.rows[kind] for kind in kinds])
    axes.invert_yaxis()
    style.finish(axes, xlabel=f"test accuracy minus {study.rows[study.base]}, points",
                 ylabel="", title="Each seed (dots), mean and 95 % interval")
    return figure


def draw_errors(study):
    """Test errors of methods against sparsity, each seed, beside the published means."""
    figure, axes = _axes(4.2)
    methods = {kind.rpartition("-")[0]: kind for kind in study.papers}
    sparsities = sorted({float(kind.rpartition("-")[2]) for kind in study.papers})
    for i, (method, kind) in enumerate(methods.items()):
        words = study.rows[kind].partition(",")[0]
        colour, dashes, mark = style.OWN[method.rpartition("-")[2]]
        found = [[100 - a for a in study.accuracies(f"{method}-{s}").values()] for s in sparsities]
        axes.plot(range(len(sparsities)), [fmean(each) for each in found], color=colour,
                  linestyle=dashes, label=f"{words}, here")
        for x, each in enumerate(found):
            axes.plot([x] * len(each), each, mark, color=colour, markersize=4)
        means, sds, _ = zip(*(study.papers[f"{method}-{s}"] for s in sparsities), strict=True)
        axes.errorbar([x + 0.07 * (i + 1) for x in range(len(sparsities))],
                      [100 - mean for mean in means], sds, color=colour, marker=mark,
                      markerfacecolor="white", linestyle="", capsize=3, label=f"{words}, published")
    axes.set_yscale("log")
    ticks = [1.5, 2, 3, 5, 10, 20, 50]
    axes.set_yticks(ticks, [str(tick) for tick in ticks])
    axes.set_yticks([], minor=True)
    axes.set_xticks(range(len(sparsities)), [str(s) for s in sparsities])
    style.finish(axes, xlabel="sparsity", ylabel="test error, %",
                 title="Each seed here, mean and standard deviation as published")
    axes.legend(frameon=False)
    return figure


def draw_densities(study):
    """Where the weights are, of each of DSR's kinds of run."""
    figure, axes = _axes(3.6)
    kinds = study.of_dsr()
    for kind, colour in zip(kinds, (style.BLUE, style.VERMILLION, style.GREEN), strict=False):
        start, end = _densities(study, kind)
        axes.plot(start, color=colour, linestyle=style.DASHED, linewidth=1)
        axes.plot([fmean(values) for values in end], color=colour, label=study.rows[kind])
        for x, values in enumerate(end):
            axes.plot([x] * len(values), values, "o", color=colour, markersize=3, alpha=0.7)
    tensors = study.of(kinds[0])[0].history.setup["tensors"]
    axes.set_xticks(range(len(tensors)), [f"{t['name']}\n{t['size']:,}" for t in tensors])
    style.finish(axes, from_zero=True, xlabel="", ylabel="density, %",
                 title="Density at the start (broken) and in the end (solid; dots are seeds)")
    axes.legend(frameon=False)
    return figure


def _axes(height):
    from matplotlib.figure import Figure

    figure = Figure(figsize=(8, height), layout="constrained", dpi=100)
    return figure, figure.subplots()


DRAWN = {"figure": (draw, ""), "errors": (draw_errors, "_errors"),
         "densities": (draw_densities, "_densities")}


def page(text):
    """A page with its tables and figures as the records have them."""
    def written(match):
        start, what, name, end = match.groups()
        return f"{start}{BLOCKS[what](STUDIES[name])}\n{end}"

    return BLOCK.sub(written, text)


def main():
    """Write all pages, and the figures that are in them."""
    for path in sorted(RESULTS.glob("*.md")):
        text = path.read_text(encoding="utf-8")
        path.write_text(page(text), encoding="utf-8", newline="\n")
        for _, what, name, _ in BLOCK.findall(text):
            if what in DRAWN:
                drawn, suffix = DRAWN[what]
                with style.own_style():
                    drawn(STUDIES[name]).savefig(FIGURES / f"{name}{suffix}.png",
                                                 metadata={"Software": None})
            print(f"{path.name}: {what} {name}")


if __name__ == "__main__":
    main()
