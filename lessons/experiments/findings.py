"""What the paper found, beside what is measured here: one table, of the records.

A measurement is DSR minus something else, an interval; or, of MNIST, here minus published. Where it
should be above 0, it agrees if all of the interval is, and does not if none of it is. Where no
difference is expected, and one within a margin does not matter, it agrees if all of the interval is
within the margin and has 0 in it, and does not if none of it is within; between these a difference
is shown that may be small, or the runs cannot tell.
"""

from dataclasses import dataclass

from lessons import RESULTS
from minidsr.run import compare

from .studies import STUDIES
from .tables import signed

AGREES, DOES_NOT, CANNOT_TELL, DIFFERS = (
    "agrees", "does not", "cannot tell", "differs, perhaps by little")


@dataclass(frozen=True)
class Measured:
    """words: under what circumstances; an interval (mean, half) in points, of n pairs or runs."""

    words: str
    interval: tuple
    n: int


@dataclass(frozen=True)
class Finding:
    """paper: what it says; page: where it is measured; margin: what does not matter, in points, or
    None where something above 0 is expected; measured: one Measured or more."""

    paper: str
    page: str
    margin: float | None
    measured: tuple

    def verdict(self, one):
        """Of one Measured."""
        mean, half = one.interval
        low, high = mean - half, mean + half
        if self.margin is None:
            return AGREES if low > 0 else DOES_NOT if high < 0 else CANNOT_TELL
        if low > self.margin or high < -self.margin:
            return DOES_NOT
        if low > 0 or high < 0:
            return DIFFERS
        return AGREES if -self.margin < low and high < self.margin else CANNOT_TELL


def of_pairs(paper, page, margin, *kinds):
    """The base minus each of these: (study, kind, words)."""
    measured = []
    for study, kind, words in kinds:
        differences = [-d for d in STUDIES[study].differences(kind)]
        measured.append(Measured(words, compare.interval(differences), len(differences)))
    return Finding(paper, page, margin, tuple(measured))


def published(paper, margin, study, method):
    """The runs of this method come out as the authors' own."""
    runs = STUDIES[study]
    return Finding(paper, "mnist", margin, tuple(
        Measured(kind.rpartition("-")[2], compare.interval_apart(runs.summary(kind), figures),
                 runs.summary(kind)[2])
        for kind, figures in runs.papers.items() if kind.rpartition("-")[0] == method))


def findings():
    """All of them, in the order of the table."""
    small = [("small-90", 0.9), ("small-95", 0.95), ("small-98", 0.98)]

    def at_each(kind):
        return [(study, f"{kind}-{s}", f"{s}") for study, s in small]

    def also_of_residual(kind):
        return [*at_each(kind), *((study, f"{kind}-0.9", words) for study, words in (
            ("wrn-16-1", "wrn-16-1 at 0.9"), ("wrn-28-2", "[wrn-28-2](paper.md) at 0.9")))]

    return [
        published("MNIST: DSR as published", 0.5, "mnist", "dsr"),
        published("MNIST: static as published", 0.5, "mnist", "static"),
        published("MNIST: compressed as published, by our rule", 0.5, "mnist",
                  "compressed-gradual"),
        published("MNIST: compressed as published, by the authors' rule", 0.5, "mnist-compressed",
                  "compressed"),
        of_pairs("DSR is above static", "small", None, *also_of_residual("static")),
        of_pairs("above SET", "small", None, *also_of_residual("set")),
        of_pairs("above DeepR", "small", None, *at_each("deepr")),
        of_pairs("above HashedNet", "small", None, *at_each("hashed")),
        of_pairs("above thin dense", "small", None, *at_each("thin-dense")),
        of_pairs("as good as compressed, which begins dense", "small", 1, *at_each("gradual")),
        of_pairs("moving weights between tensors pays", "sensitivity", None,
                 ("sensitivity", "dsr-0.95-pruned", "beside growth that gives each its own back")),
        of_pairs("above its final structure trained from the start", "origin", None,
                 ("origin", "ticket-static-0.95", "with the values DSR began with"),
                 ("origin", "fresh-static-0.95", "with others")),
        of_pairs("moving may stop early", "origin", 1, *(
            ("origin", f"stop-dsr-0.95-stop_epoch_{n}", f"after epoch {n} of 10")
            for n in (5, 2, 1))),
        of_pairs("no density has to be set by hand", "structure", 1,
                 ("structure", "dsr-0.95-erk", "from ERK"),
                 ("structure", "dsr-0.95-reversed", "from reversed"),
                 ("why", "start-dsr-0.95-erk", "drawn shapes, from ERK"),
                 ("why", "start-dsr-0.95-reversed", "drawn shapes, from reversed")),
        of_pairs("our prediction: settings hardly matter", "sensitivity", 1, *(
            ("sensitivity", kind, words) for kind, words in STUDIES["sensitivity"].rows.items()
            if "_" in kind)),
    ]


def table():
    """A line for each finding, in Markdown."""
    lines = ["| the paper | here, in points | n | verdict |", "|---|---|---|---|"]
    for finding in findings():
        verdicts = [finding.verdict(one) for one in finding.measured]
        measured = "; ".join(f"{one.words}: {signed(one.interval)}" for one in finding.measured)
        n = ", ".join(str(n) for n in dict.fromkeys(one.n for one in finding.measured))
        lines.append(f"| [{finding.paper}]({finding.page}.md) | {measured} | {n} | "
                     f"{_together(finding, verdicts)} |")
    return "\n".join(lines + _counted())


def _together(finding, verdicts):
    """The one verdict; or each, with what it is of."""
    if len(set(verdicts)) == 1:
        return f"**{verdicts[0]}**"
    return "; ".join(
        f"**{verdict}**: " + ", ".join(one.words for one, its in zip(
            finding.measured, verdicts, strict=True) if its == verdict)
        for verdict in dict.fromkeys(verdicts))


def _counted():
    """Findings that are no difference of accuracies."""
    structure, sparser, runs = STUDIES["structure"], 0, 0
    for kind in structure.of_dsr():
        weights = structure.weights(kind)
        for seed in range(len(structure.of(kind))):
            shares = [end[seed] / size for size, _, end in weights]
            sparser += shares == sorted(shares, reverse=True)
            runs += 1
    costs = (RESULTS / "cost.md").read_text("utf-8").splitlines()
    percent = next(line for line in costs if line.startswith("| `dsr` |")).split(" | ")[5]
    return ["| [larger and deeper tensors end sparser](structure.md) | "
            f"in {sparser} of {runs} runs, from three initial allocations | {runs} | "
            f"**{AGREES if sparser == runs else DOES_NOT}** |",
            f"| [moving weights costs next to nothing](cost.md) | {percent} of training time, the "
            f"median of 5 rounds | 5 | **{AGREES if float(percent[:-2]) < 1 else DOES_NOT}** |",
            "| [WRN-28-2 for 200 epochs](paper.md), [ResNet-50 on ImageNet](imagenet.md) | "
            "| 0 | not run |"]
