"""What the paper found, beside what is measured here: one table, of the records.

A verdict is of an interval and of what is expected: that it is above 0, or within a margin that
does not matter. It agrees if all of the interval is there, it does not if none of it is; else the
runs cannot tell.
"""

from dataclasses import dataclass
from math import inf

from lessons import RESULTS
from minidsr.run import compare

from .studies import STUDIES
from .tables import signed

AGREES, DOES_NOT, CANNOT_TELL = "agrees", "does not", "cannot tell"


@dataclass(frozen=True)
class Measured:
    """words: under what circumstances; an interval (mean, half) in points, of n pairs or runs."""

    words: str
    interval: tuple
    n: int


@dataclass(frozen=True)
class Finding:
    """paper: what it says; page: where it is measured; margin: what does not matter, in points, or
    None where something above 0 is expected; measured: at least one Measured, or none."""

    paper: str
    page: str
    margin: float | None
    measured: tuple

    def verdict(self, one):
        """Of one Measured."""
        low, high = (0, inf) if self.margin is None else (-self.margin, self.margin)
        mean, half = one.interval
        if low < mean - half and mean + half < high:
            return AGREES
        return DOES_NOT if mean + half < low or mean - half > high else CANNOT_TELL


def above(paper, page, *kinds):
    """DSR is above each of these: (study, kind, words)."""
    return Finding(paper, page, None, tuple(_less(*kind) for kind in kinds))


def alike(paper, page, margin, *kinds):
    """Each of these, (study, kind, words), is as good as what it is compared with."""
    return Finding(paper, page, margin, tuple(
        Measured(words, compare.interval(d := STUDIES[study].differences(kind)), len(d))
        for study, kind, words in kinds))


def _less(study, kind, words):
    """How much the base is above this kind."""
    differences = [-d for d in STUDIES[study].differences(kind)]
    return Measured(words, compare.interval(differences), len(differences))


def published(paper, page, margin, study, method):
    """The runs of this method come out as the authors' own."""
    study = STUDIES[study]
    return Finding(paper, page, margin, tuple(
        Measured(kind.rpartition("-")[2], compare.interval_apart(study.summary(kind), figures),
                 study.summary(kind)[2])
        for kind, figures in study.papers.items() if kind.rpartition("-")[0] == method))


def findings():
    """All of them, in the order of the table."""
    small = [("small-90", 0.9), ("small-95", 0.95), ("small-98", 0.98)]

    def at_each(kind):
        return [(study, f"{kind}-{s}", f"{s}") for study, s in small]

    return [
        published("MNIST: DSR as published", "mnist", 0.5, "mnist", "dsr"),
        published("MNIST: static as published", "mnist", 0.5, "mnist", "static"),
        published("MNIST: compressed as published, the authors' way", "mnist", 0.5,
                  "mnist-compressed", "compressed"),
        above("DSR is above static", "small", *at_each("static")),
        above("above SET", "small", *at_each("set")),
        above("above DeepR", "small", *at_each("deepr")),
        above("above HashedNet", "small", *at_each("hashed")),
        above("above thin dense", "small", *at_each("thin-dense")),
        alike("as good as compressed, which begins dense", "small", 1, *at_each("gradual")),
        above("above its final structure trained from the start", "origin",
              ("origin", "ticket-static-0.95", "with the values DSR began with"),
              ("origin", "fresh-static-0.95", "with others")),
        alike("moving may stop early", "origin", 1, *(
            ("origin", f"stop-dsr-0.95-stop_epoch_{n}", f"after epoch {n} of 10")
            for n in (5, 2, 1))),
        alike("no density has to be set by hand", "structure", 1,
              ("structure", "dsr-0.95-erk", "from ERK"),
              ("structure", "dsr-0.95-reversed", "from reversed")),
    ]


def table():
    """A line for each finding, in Markdown."""
    lines = ["| the paper | here, in points | n | |", "|---|---|---|---|"]
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
            "| [WRN-28-2 on CIFAR-10 in full](paper.md), [ResNet-50 on ImageNet](imagenet.md) | "
            f"not run | 0 | **{CANNOT_TELL}** |"]
