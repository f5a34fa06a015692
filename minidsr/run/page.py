"""The page of a run: one HTML file that shows it over time. It needs no network and no library.

Everything is counted and said here, from the records of a run, and written into page.html as JSON;
that only draws. A run is shown at moments: its start, each reallocation, or each epoch where there
are none, and its end. Two runs share one slider, over training steps.
"""

import json
from bisect import bisect_right
from pathlib import Path

import numpy as np

from ..checks import counted
from ..methods import METHODS
from . import moves
from .directory import replacing

DRAWN = 100_000  # a tensor's kernels are drawn if it has fewer positions
TEMPLATE = Path(__file__).with_suffix(".html")


def write(runs, path):
    """Write the page of one run or two, {label: (Config, History)}, to the file `path`, which is
    returned; ValueError for another number of runs."""
    check_count(runs)
    shown = [_Run(label, *run).page() for label, run in runs.items()]
    methods = {run["method"] for run in shown}
    steps = sorted({moment["step"] for run in shown for moment in run["moments"]})
    for run in shown:
        own = [moment["step"] for moment in run["moments"]]
        run["short"] = run["method"] if len(methods) == len(shown) else run["label"]
        run["at"] = [bisect_right(own, step) - 1 for step in steps]
    _share_ranges([plot for run in shown for part in run["parts"] for plot in part["plots"]])
    text = json.dumps({"steps": steps, "runs": shown}, allow_nan=False, separators=(",", ":"))
    for letter in "<>&":  # so that no name ends the script that the text stands in
        text = text.replace(letter, f"\\u{ord(letter):04x}")
    page = TEMPLATE.read_text(encoding="utf-8").replace("{{DATA}}", text)
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    with replacing(path) as file:
        file.write(page.encode())
    return path


def check_count(runs):
    """ValueError unless these are as many as a page shows."""
    if len(runs) not in (1, 2):
        raise ValueError(f"a page shows one run, or two side by side, not {len(runs)}")


def _share_ranges(plots):
    """Let plots of two runs that show the same have one range."""
    for name in {plot["name"] for plot in plots}:
        same = [plot for plot in plots if plot["name"] == name]
        values = [v for plot in same for line in plot["lines"] for _, v in line["points"]]
        values += [v for plot in same for v in (*plot["band"], *plot["range"])]
        for plot in same:
            plot["range"] = [min(values), max(values)]


class _Run:
    """One run, on its way to the page."""

    def __init__(self, label, config, history):
        self.label, self.config, self.history = label, config, history
        self.setup, self.tensors = history.setup, history.setup["tensors"]
        self.names = [t["name"].removesuffix(".weight") for t in self.tensors]
        self.sizes = [t["size"] for t in self.tensors]
        self.reallocations, self.epochs = history.reallocations, history.epochs
        self.moves = history.moves if history.recorded else None
        self.newborns = moves.newborns(self.moves) if self.moves else None
        self.hunting = bool(self.reallocations) and self.reallocations[0]["N_p"] is not None
        self.drawn = [i for i, size in enumerate(self.sizes)
                      if size < DRAWN] if history.recorded else []

    def page(self):
        """All that page.html has to know of the run."""
        parts = [self._hunt(), self._flow(), self._density(), self._accuracy(), self._kernels()]
        return {"label": self.label, "method": self.config.method, "about": self._about(),
                "parts": parts, "columns": self._columns(), "moments": self._moments(),
                "grids": [_grid(self.names[i], self.tensors[i]["shape"]) for i in self.drawn],
                "start": [self.setup["start"][i] for i in self.drawn],
                "most": max((n for r in self.reallocations for n in r["pruned"] + r["grown"]),
                            default=0)}

    def _about(self):
        c, positions = self.config, sum(self.sizes)
        sparse = f", sparsity {c.resolved()['sparsity']:g}" if "sparsity" in c.resolved() else ""
        return (f"{self.setup['network']} on {c.data}{sparse}, {counted(c.epochs, 'epoch')} in "
                f"batches of {c.batch}, seed {c.seed}: {self.setup['free_parameters']:,} free "
                f"parameters; the {len(self.sizes)} tensors that may be sparse have {positions:,} "
                "positions.")

    # --- moments

    def _moments(self):
        """What is shown of each record that the slider stops at."""
        records = [self.setup, *(self.reallocations or self.epochs)]
        if self.epochs and self.epochs[-1]["step"] > records[-1]["step"]:
            records.append(self.epochs[-1])
        kept = self._kept(len(records))
        found = []
        for i, record in enumerate(records):
            moved = record["kind"] == "reallocation"
            found.append({"step": record["step"], "say": self._sentences(record, i, kept[i]),
                          "rows": self._rows(record), "captions": self._captions(record, kept[i])})
            if moved:
                found[-1]["bars"] = list(zip(record["pruned"], record["grown"], strict=True))
            if moved and self.moves is not None:
                found[-1] |= {name: [record[name][j] for j in self.drawn]
                              for name in ("died", "born")}
        return found

    def _kept(self, count):
        """For each of `count` moments, how many weights of each tensor are there from the start;
        None where nobody knows."""
        if self.moves is None:
            return [None] * count
        left = moves.at_start(self.setup)
        kept = [list(map(len, left))]
        for move in self.moves:
            left = [np.setdiff1d(p, died, assume_unique=True)
                    for p, (died, _) in zip(left, move, strict=True)]
            kept.append(list(map(len, left)))
        return kept + kept[-1:] * (count - len(kept))

    def _sentences(self, record, i, kept):
        """A moment in words; between asterisks what is to be seen first."""
        if record is self.setup:
            active = sum(t["active"] for t in self.tensors)
            return (f"The start: *{active:,}* of {sum(self.sizes):,} positions are in use "
                    f"(*{_percent(active, sum(self.sizes))}*). Nothing has moved yet.")
        said = []
        if record["kind"] == "reallocation":
            said += [f"Step *{record['step']:,}*: {self._pruned(record)}.", self._net(record)]
            if self.newborns and i > 1:
                said.append(f"*{self.newborns[i - 1]:,}* of the pruned had been grown only the "
                            "time before.")
            said.append(f"There are now *{sum(record['active']):,}* weights.")
        for epoch in self.epochs:
            if epoch["step"] == record["step"]:
                said.append(self._ended(epoch))
                if kept and epoch is self.epochs[-1]:
                    said.append(f"*{sum(kept):,}* of the {sum(record['active']):,} weights have "
                                "been there from the start.")
        return " ".join(said)

    def _pruned(self, record):
        K, G = record["K"], sum(record["grown"])
        if self.hunting:
            H, then = record["H"], record["next_H"]
            change = "is doubled" if then > H else "is halved" if then < H else "stays"
            return (f"*K = {K:,}* of N_p = {record['N_p']:,} ± {100 * record['delta']:g} % are "
                    f"pruned by H = {H:.3g}, so H *{change}*")
        grown = "as many are grown" if G == K else f"{G:,} are grown" if G else "none is grown"
        return f"*K = {K:,}* weights are pruned, and {grown}"

    def _net(self, record):
        """Which tensor gains most, which loses most."""
        net = [g - k for g, k in zip(record["grown"], record["pruned"], strict=True)]
        said = [f"*{self.names[net.index(n)]}* {word} most ({_signed(n)})"
                for n, word in ((max(net), "gains"), (min(net), "loses"))
                if (n > 0 if word == "gains" else n < 0)]
        return f"{', '.join(said) or 'No weight changes its tensor'}."

    def _ended(self, epoch):
        said = [f"{name.replace('_', ' ')} *{epoch[name]:.2f} %*"
                for name in ("validation_accuracy", "test_accuracy") if name in epoch]
        return (f"Epoch *{epoch['epoch']}* of {self.config.epochs} ends at step "
                f"{epoch['step']:,}: {', '.join(said)}.")

    def _columns(self):
        if not self.reallocations:
            return ["tensor", "positions", "in use", "density"]
        rule = ["survive, l", "K l / L"] if self._is_the_papers() else []
        return ["tensor", *rule, "pruned, k", "grown, g", "net", "in use", "density"]

    def _is_the_papers(self):
        """Do the tensors share K by K l / L?"""
        return self.hunting and self.config.resolved()["growth"] == "survivors"

    def _rows(self, record):
        """The table of a moment: a row for each tensor, and the sum."""
        active = record.get("active") or [t["active"] for t in self.tensors]
        none = [0] * len(active)
        k, g = record.get("pruned", none), record.get("grown", none)
        columns = [active, self.sizes, k, g, [a - n for a, n in zip(active, g, strict=True)]]
        survive = sum(columns[-1])
        table = [*zip(self.names, *columns, strict=True), ("all", *map(sum, columns))]
        rows = []
        for name, m, size, k, g, l in table:
            share = f"{sum(columns[2]) * l / survive:,.1f}" if survive else "0.0"
            cells = {"tensor": name, "positions": f"{size:,}", "in use": f"{m:,}",
                     "density": _percent(m, size), "survive, l": f"{l:,}", "K l / L": share,
                     "pruned, k": f"{k:,}", "grown, g": f"{g:,}", "net": _signed(g - k)}
            rows.append([cells[column] for column in self._columns()])
        return rows

    def _captions(self, record, kept):
        active = record.get("active") or [t["active"] for t in self.tensors]
        return [f"{self.names[i]}: {active[i]:,} of {self.sizes[i]:,} positions "
                f"({_percent(active[i], self.sizes[i])}), {kept[i]:,} from the start"
                for i in self.drawn]

    # --- parts of the page

    def _hunt(self):
        title, first = "How much is pruned", self.reallocations[:1]
        if not first:
            return _part(title, f"{self.config.method} has recorded no reallocation.")
        lines = [_line("K, pruned", self.reallocations, lambda r: r["K"])]
        if self.newborns:
            lines.append({"name": "grown the time before", "points": [
                [r["step"], n] for r, n in zip(self.reallocations[1:], self.newborns[1:],
                                               strict=True)]})
        if not self.hunting:
            return _part(title, f"{self.config.method} has no threshold H that adapts.",
                         _plot("K", "weights pruned each time", lines, [0]))
        N_p, delta = first[0]["N_p"], first[0]["delta"]
        band = [(1 - delta) * N_p, (1 + delta) * N_p]
        H = _line("H", self.reallocations, lambda r: r["H"])
        H["points"].append([self.history.records[-1]["step"], self.reallocations[-1]["next_H"]])
        return _part("The threshold H hunts for N_p", "",
                     _plot("K", "weights pruned each time; shaded: "
                           f"N_p = {N_p:,} ± {100 * delta:g} %", lines, [0], band),
                     _plot("H", "threshold H, each line the double of the one below", [H],
                           log=True, stairs=True))

    def _flow(self):
        if not self.reallocations:
            return _part("Where the weights are", "")
        return _part("Who loses, who gains", "A tensor gains where its share of the survivors is "
                     "larger than its share of the pruned." if self._is_the_papers() else "")

    def _density(self):
        lines = [{"name": name, "points": [[0, _share(t["active"], t["size"])]] + [
                     [r["step"], _share(r["active"][i], t["size"])]
                     for r in self.history.records[1:]]}
                 for i, (name, t) in enumerate(zip(self.names, self.tensors, strict=True))]
        return _part("Density of each tensor", "", _plot(
            "density", "% of its positions in use", lines, [0], stairs=bool(self.reallocations)))

    def _accuracy(self):
        lines = []
        for name in ("test", "train", "R_s", "validation"):  # each looks the same in any run
            if name == "R_s":
                lines.append(_line(name, self.history.records,
                                   lambda r: round(100 * r["explored"], 2)))
            elif having := [e for e in self.epochs if f"{name}_accuracy" in e]:
                lines.append(_line(name, having,
                                   lambda e, name=name: round(e[f"{name}_accuracy"], 2)))
        return _part("Accuracy, and how much was tried", "R_s is the share of positions that have "
                     "ever held a weight.", _plot("accuracy", "accuracy and R_s, %", lines,
                                                  [0, 100]))

    def _kernels(self):
        method, note = self.config.method, (
            "Left to right are outputs, top to bottom inputs; each block is one kernel, each of "
            "its squares a position.")
        large = [name for i, name in enumerate(self.names) if i not in self.drawn]
        if not METHODS[method].sparse:
            note = (f"Nothing is drawn: births and deaths are recorded of sparse weights, which "
                    f"{method} does not have.")
        elif self.moves is None:
            note = "Nothing is drawn: births and deaths are recorded with train --record."
        elif large:
            note += f" Of {DRAWN:,} positions or more, so not drawn: {', '.join(large)}."
        return _part("Every position of every kernel", note)


def _part(title, note, *plots):
    return {"title": title, "note": note, "plots": plots}


def _plot(name, label, lines, reach=(), band=(), log=False, stairs=False):
    """`reach`: what its range holds in any case; `band`: from, to."""
    return {"name": name, "label": label, "lines": lines, "range": reach, "band": band, "log": log,
            "stairs": stairs}


def _line(name, records, value):
    return {"name": name, "points": [[r["step"], value(r)] for r in records]}


def _grid(name, shape):
    """How a tensor lies on the page: outputs, inputs, and the sides of a kernel."""
    F, *rest = shape
    C, *sides = rest if len(rest) == 3 else [int(np.prod(rest)), 1, 1]
    return {"name": name, "outputs": F, "inputs": C, "sides": sides}


def _signed(n):
    return f"{n:+,}".replace("-", "\N{MINUS SIGN}") if n else "0"


def _share(part, whole):
    return round(100 * part / whole, 2)


def _percent(part, whole):
    return f"{100 * part / whole:.1f} %"
