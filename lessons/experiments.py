"""The experiments' tables and figures, from their records: written into the pages of results/.

    python -m lessons.experiments

A page has a line `<!-- table: NAME -->` or `<!-- figure: NAME -->`, NAME one of STUDIES; what
stands between it and `<!-- end -->` is written anew. What is around is written by hand.
"""

import re
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from statistics import fmean

from lessons import RESULTS
from minidsr.run import compare, style

FIGURES = Path(__file__).parent / "figures"
BLOCK = re.compile(r"(<!-- (table|figure): ([\w-]+) -->\n).*?(<!-- end -->)", re.DOTALL)


@dataclass(frozen=True, eq=False)
class Study:
    """What is shown of a study.

    records  the file in results/ that has its runs, KIND-SEED
    base     the kind that the others are compared with
    rows     {kind: it in words}, in the order of the table
    """

    records: str
    base: str
    rows: dict


STUDIES = {
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
}


@cache
def accuracies(study):
    """{kind: [(seed, test accuracy after the last epoch)]}, in the order of the seeds. A run of
    seed 100 + s starts from what the run of seed s has found, and is paired with it."""
    results, left_out = compare.read([RESULTS / study.records])
    if left_out:
        raise ValueError(f"{study.records}: {left_out[0]}")
    found = {}
    for result in results:
        kind, _, seed = result.path.name.rpartition("-")
        found.setdefault(kind, []).append((int(seed) % 100, result.last["test_accuracy"]))
    return {kind: sorted(pairs) for kind, pairs in found.items()}


def differences(study, kind):
    """Of each seed, this kind minus the base, in points."""
    base = dict(accuracies(study)[study.base])
    return [accuracy - base[seed] for seed, accuracy in accuracies(study)[kind]]


def table(study):
    """A line for each row, in Markdown."""
    lines = ["| runs | folders | each | mean | minus " + study.rows[study.base] + " |",
             "|---|---|---|---|---|"]
    for kind, words in study.rows.items():
        each = [accuracy for _, accuracy in accuracies(study)[kind]]
        less = "" if kind == study.base else f"{_interval(differences(study, kind))} "
        lines.append(f"| {words} | `{kind}` | {', '.join(f'{x:.2f}' for x in each)} | "
                     f"{fmean(each):.2f} | {less}|")
    return "\n".join(lines)


def _interval(values):
    mean, half = compare.interval(values)
    return f"{mean:+.2f} ± {half:.2f}"


def figure(study):
    """What figure NAME.png shows, in words."""
    base = study.rows[study.base]
    return (f"Test accuracy of each seed minus that of {base}, in points, with means and their "
            "95 % intervals. " + "; ".join(f"{words} {_interval(differences(study, kind))}"
                                      for kind, words in study.rows.items() if kind != study.base)
            + ".")


def draw(study, name):
    """Write figures/NAME.png."""
    from matplotlib.figure import Figure

    kinds = [kind for kind in study.rows if kind != study.base]
    with style.own_style():
        drawn = Figure(figsize=(8, 0.8 + 0.32 * len(kinds)), layout="constrained", dpi=100)
        axes = drawn.subplots()
        axes.axvline(0, color=style.BLACK, linewidth=0.8)
        for y, kind in enumerate(kinds):
            mean, half = compare.interval(values := differences(study, kind))
            axes.errorbar(mean, y, xerr=half, color=style.VERMILLION, marker="D", capsize=4)
            axes.plot(values, [y + 0.25] * len(values), "o", color=style.BLUE, markersize=3,
                      alpha=0.7)
        axes.set_yticks(range(len(kinds)), [study.rows[kind] for kind in kinds])
        axes.invert_yaxis()
        style.finish(axes, xlabel=f"test accuracy minus {study.rows[study.base]}, points",
                     ylabel="", title="Each seed (dots), mean and 95 % interval")
        drawn.savefig(FIGURES / f"{name}.png", metadata={"Software": None})


def page(text):
    """A page with its tables and figures as the records have them."""
    def written(match):
        start, what, name, end = match.groups()
        study = STUDIES[name]
        inside = table(study) if what == "table" else (
            f"![{figure(study)}](../figures/{name}.png)")
        return f"{start}{inside}\n{end}"

    return BLOCK.sub(written, text)


def main():
    """Write all pages, and the figures that are in them."""
    for path in sorted(RESULTS.glob("*.md")):
        text = path.read_text(encoding="utf-8")
        path.write_text(page(text), encoding="utf-8", newline="\n")
        for _, what, name, _ in BLOCK.findall(text):
            if what == "figure":
                draw(STUDIES[name], name)
            print(f"{path.name}: {what} {name}")


if __name__ == "__main__":
    main()
