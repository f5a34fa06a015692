"""The experiments' tables and figures, from their records: written into the pages of results/.

    python -m lessons.experiments

A page has lines such as `<!-- table: NAME -->`, NAME one of STUDIES, and instead of `table` any of
BLOCKS; what stands between such a line and `<!-- end -->` is written anew. What is around is
written by hand.
"""

import json
import re
import runpy
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from statistics import fmean, stdev
from unittest.mock import patch

from lessons import RESULTS
from minidsr.methods import METHODS
from minidsr.run import compare, style

FIGURES = Path(__file__).parent / "figures"
BLOCK = re.compile(r"(<!-- (\w+): ([\w-]+) -->\n).*?(<!-- end -->)", re.DOTALL)


@dataclass(frozen=True, eq=False)
class Study:
    """What is shown of a study.

    records  the file in results/ that has its runs, KIND-SEED
    base     the kind that the others are compared with
    rows     {kind: it in words}, in the order of the table
    bases    {kind: the kind that this one is compared with}, where that is another one
    papers   {kind: (mean, standard deviation, n)}, test accuracies as published
    module   the file in results/ that adds a method of its own, for these records alone
    """

    records: str
    base: str
    rows: dict
    bases: dict = field(default_factory=dict)
    papers: dict = field(default_factory=dict)
    module: str | None = None

    def base_of(self, kind):
        """What this kind is compared with; None for the base."""
        return None if kind == self.base else self.bases.get(kind, self.base)


# LeNet-300-100 on MNIST, five runs each, of Mostafa & Wang, as submitted to ICLR 2019: in
# results/dynamic_sparse/results.zip of github.com/TimDettmers/sparse_learning.
_LENET = {
    "dsr": {0.99: (97.75, 0.04), 0.98: (98.14, 0.14), 0.95: (98.32, 0.08), 0.9: (98.44, 0.10)},
    "static": {0.99: (49.49, 5.89), 0.98: (82.81, 6.52), 0.95: (96.68, 0.03), 0.9: (97.94, 0.09)},
    "compressed-gradual": {0.99: (97.47, 0.21), 0.98: (98.12, 0.10), 0.95: (98.47, 0.06),
                           0.9: (98.55, 0.03)}}
_IN_WORDS = {"dsr": "DSR", "static": "static", "compressed-gradual": "compressed"}

STUDIES = {
    "mnist": Study("mnist/study.tar.xz", "dense", {"dense": "dense", **{
        f"{method}-{sparsity}": f"{words}, {sparsity}"
        for sparsity in _LENET["dsr"] for method, words in _IN_WORDS.items()}},
        {f"{method}-{sparsity}": f"dsr-{sparsity}"
         for sparsity in _LENET["dsr"] for method in ("static", "compressed-gradual")},
        {f"{method}-{sparsity}": (*figures, 5)
         for method, by_sparsity in _LENET.items() for sparsity, figures in by_sparsity.items()}),
    "mnist-compressed": Study("mnist/compressed.tar.xz", "dense", {"dense": "dense", **{
        f"compressed-{sparsity}": f"compressed, the authors' way, {sparsity}"
        for sparsity in _LENET["dsr"]}}, module="mnist/compressed.py", papers={
        f"compressed-{sparsity}": (*figures, 5)
        for sparsity, figures in _LENET["compressed-gradual"].items()}),
    "why": Study("shapes-why/study.tar.xz", "dsr-0.95", {
        "dsr-0.95": "DSR",
        "static-0.95": "static",
        "ticket-static-0.95": "DSR's structure, the values DSR began with",
        "fresh-static-0.95": "DSR's structure, other values",
        **{f"stop-dsr-0.95-stop_epoch_{n}": f"DSR, no moves after epoch {n}" for n in range(1, 5)},
        "start-dsr-0.95-erk": "DSR, from ERK",
        "start-static-0.95-erk": "static, from ERK",
        "start-dsr-0.95-reversed": "DSR, from reversed",
        "start-static-0.95-reversed": "static, from reversed"}),
    "origin": Study("cifar10-small/origin.tar.xz", "dsr-0.95", {
        "dsr-0.95": "DSR",
        "static-0.95": "static",
        "ticket-static-0.95": "DSR's structure, the values DSR began with",
        "fresh-static-0.95": "DSR's structure, other values",
        **{f"stop-dsr-0.95-stop_epoch_{n}": f"DSR, no moves after epoch {n}"
           for n in (1, 2, 5, 8)}}),
    "structure": Study("cifar10-small/structure.tar.xz", "dsr-0.95-uniform", {
        f"{method}-0.95-{start}": f"{words}, from {start if start != 'erk' else 'ERK'}"
        for start in ("uniform", "erk", "reversed")
        for method, words in (("dsr", "DSR"), ("static", "static"))},
        {f"static-0.95-{start}": f"dsr-0.95-{start}" for start in ("erk", "reversed")}),
}


@cache
def runs(study):
    """{kind: {seed: compare.Result}}, the seeds in order. A run of seed 100 + s starts from what
    the run of seed s has found, and is paired with it."""
    with patch.dict(METHODS):
        if study.module:
            runpy.run_path(str(RESULTS / study.module))
        results, left_out = compare.read([RESULTS / study.records])
    if left_out:
        raise ValueError(f"{study.records}: {left_out[0]}")
    found = {}
    for result in results:
        kind, _, seed = result.path.name.rpartition("-")
        found.setdefault(kind, {})[int(seed) % 100] = result
    return {kind: dict(sorted(by_seed.items())) for kind, by_seed in found.items()}


def accuracies(study, kind):
    """{seed: test accuracy after the last epoch}."""
    return {seed: run.last["test_accuracy"] for seed, run in runs(study)[kind].items()}


def differences(study, kind):
    """Of each seed, this kind minus what it is compared with, in points."""
    base = accuracies(study, study.base_of(kind))
    return [accuracy - base[seed] for seed, accuracy in accuracies(study, kind).items()]


def table(study):
    """A line for each row, in Markdown."""
    base = study.rows[study.base]
    lines = [f"| runs | folders | each | mean ± sd | minus {base} | R_s | minutes |",
             "|---|---|---|---|---|---|---|"]
    for kind, words in study.rows.items():
        each, found = list(accuracies(study, kind).values()), runs(study)[kind].values()
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
    return f"{_signed(compare.interval(differences(study, kind)))}{other} "


def _signed(interval):
    mean, half = interval
    return f"{round(mean, 2) + 0.0:+.2f} ± {half:.2f}"  # -0.00 becomes +0.00


def published(study):
    """Beside what the paper reports: a line for each kind of which it does, in Markdown."""
    lines = ["| runs | here | published | here minus published |", "|---|---|---|---|"]
    for kind, figures in study.papers.items():
        here = _summary(study, kind)
        cells = " | ".join(f"{m:.2f} ± {sd:.2f}, n = {n}" for m, sd, n in (here, figures))
        lines.append(f"| {study.rows[kind]} | {cells} | "
                     f"{_signed(compare.interval_apart(here, figures))} |")
    return "\n".join(lines)


def _summary(study, kind):
    """(mean, standard deviation, n) of test accuracy."""
    each = list(accuracies(study, kind).values())
    return fmean(each), stdev(each), len(each)


def errors(study):
    """The line that shows the test errors beside those published."""
    shown = "; ".join(
        f"{study.rows[kind]} {100 - _summary(study, kind)[0]:.2f} here, {100 - mean:.2f} published"
        for kind, (mean, *_) in study.papers.items())
    return (f"![Test errors in %, on a logarithmic axis, here and as published. {shown}.]"
            f"(../figures/{_name(study)}_errors.png)")


def counts(study):
    """How many weights each tensor has at the start and in the end, and of how many positions; of
    DSR's runs, means over the seeds."""
    kinds = _of_dsr(study)
    tensors = next(iter(runs(study)[kinds[0]].values())).history.setup["tensors"]
    lines = ["| runs | " + " | ".join(t["name"] for t in tensors) + " |",
             "|---" * (1 + len(tensors)) + "|",
             "| positions | " + " | ".join(f"{t['size']:,}" for t in tensors) + " |"]
    for kind in kinds:
        lines.append(f"| {study.rows[kind]} | " + " | ".join(
            f"{start:,} → {fmean(end):,.0f} ± {stdev(end):.0f}"
            for _, start, end in _weights(study, kind)) + " |")
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
        if {one, other} - {""} <= set(_of_dsr(study)):
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
    kinds = _of_dsr(study)
    shown = []
    for kind in kinds:
        changes = (f"{start:.1f} to {fmean(end):.1f} %"
                   for start, end in zip(*_densities(study, kind), strict=True))
        shown.append(f"{study.rows[kind]}: {', '.join(changes)}")
    return ("![Density of each tensor in the order of the network, at the start (broken lines) and "
            f"in the end (solid; dots are seeds). {'; '.join(shown)}.]"
            f"(../figures/{_name(study)}_densities.png)")


def _of_dsr(study):
    return [kind for kind in study.rows if kind.startswith("dsr")]


def _weights(study, kind):
    """(Positions, weights at the start, weights in the end of each seed), for each tensor."""
    each = list(runs(study)[kind].values())
    tensors = each[0].history.setup["tensors"]
    ends = zip(*(run.last["active"] for run in each), strict=True)
    return [(t["size"], t["active"], end) for t, end in zip(tensors, ends, strict=True)]


def _densities(study, kind):
    """In percent: of each tensor at the start, and of each tensor a list over seeds in the end."""
    weights = _weights(study, kind)
    return ([100 * start / size for size, start, _ in weights],
            [[100 * n / size for n in end] for size, _, end in weights])


def hours(study):
    """How many runs, and how long they took."""
    each = [run for by_seed in runs(study).values() for run in by_seed.values()]
    return (f"{len(each)} runs, {sum(run.hours for run in each):.1f} hours of training on one core "
            "each.")


def _name(study):
    return next(name for name, one in STUDIES.items() if one is study)


BLOCKS = {"table": table, "figure": figure, "published": published, "errors": errors,
          "counts": counts, "overlap": overlap, "densities": densities, "hours": hours}


def draw(study):
    """Differences of accuracy, of each kind of run."""
    kinds = [kind for kind in study.rows if kind != study.base]
    figure, axes = _axes(0.8 + 0.32 * len(kinds))
    axes.axvline(0, color=style.BLACK, linewidth=0.8)
    for y, kind in enumerate(kinds):
        mean, half = compare.interval(values := differences(study, kind))
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
        found = [[100 - a for a in accuracies(study, f"{method}-{s}").values()] for s in sparsities]
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
    kinds = _of_dsr(study)
    for kind, colour in zip(kinds, (style.BLUE, style.VERMILLION, style.GREEN), strict=False):
        start, end = _densities(study, kind)
        axes.plot(start, color=colour, linestyle=style.DASHED, linewidth=1)
        axes.plot([fmean(values) for values in end], color=colour, label=study.rows[kind])
        for x, values in enumerate(end):
            axes.plot([x] * len(values), values, "o", color=colour, markersize=3, alpha=0.7)
    tensors = next(iter(runs(study)[kinds[0]].values())).history.setup["tensors"]
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
