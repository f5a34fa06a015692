"""The studies whose records are in results/, and what is read from them."""

import json
import runpy
from dataclasses import dataclass, field
from functools import cache
from itertools import pairwise
from statistics import fmean, stdev
from unittest.mock import patch

from lessons import RESULTS
from minidsr.methods import METHODS
from minidsr.run import compare


@dataclass(frozen=True, eq=False)
class Study:
    """The runs of one study, KIND-SEED, and how they are compared.

    records  the file in results/ that has them
    base     the kind that the others are compared with
    rows     {kind: it in words}, in the order of a table
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

    @property
    def runs(self):
        """{kind: {seed: compare.Result}}, the seeds in order. A run of seed 100 + s starts from
        what the run of seed s has found, and is paired with it."""
        return _read(self.records, self.module)

    def of(self, kind):
        """The runs of a kind, in the order of their seeds."""
        return list(self.runs[kind].values())

    def accuracies(self, kind):
        """{seed: test accuracy after the last epoch, in %}."""
        return {seed: run.last["test_accuracy"] for seed, run in self.runs[kind].items()}

    def summary(self, kind):
        """(mean, standard deviation, n) of these."""
        each = list(self.accuracies(kind).values())
        return fmean(each), stdev(each), len(each)

    def explored(self, kind):
        """R_s, the share of positions that have ever held a weight: the mean over the seeds."""
        return fmean(run.last["explored"] for run in self.of(kind))

    def lives(self, kind):
        """{seed: what lessons.experiments.lives counted in it}, from ages.json."""
        found = self.beside("ages.json")
        return {seed: found[run.path.name] for seed, run in self.runs[kind].items()}

    def beside(self, name):
        """What the JSON file of this name says, in the folder of the records."""
        return json.loads((RESULTS / self.records).with_name(name).read_text("utf-8"))

    def left(self, kind):
        """Of each seed, the share of the positions that have a weight in the end, in %."""
        positions = sum(size for size, *_ in self.weights(kind))
        return [100 * sum(run.last["active"]) / positions for run in self.of(kind)]

    def base_of(self, kind):
        """What this kind is compared with; None for the base."""
        return None if kind == self.base else self.bases.get(kind, self.base)

    def differences(self, kind):
        """Of each seed, this kind minus what it is compared with, in points."""
        base = self.accuracies(self.base_of(kind))
        return [accuracy - base[seed] for seed, accuracy in self.accuracies(kind).items()]

    def of_dsr(self):
        """The kinds of run that move weights by DSR."""
        return [kind for kind in self.rows if kind.startswith("dsr")]

    def weights(self, kind):
        """[(positions, weights at the start, weights in the end of each seed)] of the tensors."""
        tensors = self.of(kind)[0].history.setup["tensors"]
        ends = zip(*(run.last["active"] for run in self.of(kind)), strict=True)
        return [(t["size"], t["active"], end) for t, end in zip(tensors, ends, strict=True)]


@cache
def _read(records, module):
    """As Study.runs."""
    with patch.dict(METHODS):
        if module:
            runpy.run_path(str(RESULTS / module))
        results, left_out = compare.read([RESULTS / records])
    if left_out:
        raise ValueError(f"{records}: {left_out[0]}")
    found = {}
    for result in results:
        kind, _, seed = result.path.name.rpartition("-")
        found.setdefault(kind, {})[int(seed) % 100] = result
    return {kind: dict(sorted(by_seed.items())) for kind, by_seed in found.items()}


# LeNet-300-100 on MNIST, five runs each, of Mostafa & Wang, as submitted to ICLR 2019: in
# results/dynamic_sparse/results.zip of github.com/TimDettmers/sparse_learning.
_LENET = {
    "dsr": {0.99: (97.75, 0.04), 0.98: (98.14, 0.14), 0.95: (98.32, 0.08), 0.9: (98.44, 0.10)},
    "static": {0.99: (49.49, 5.89), 0.98: (82.81, 6.52), 0.95: (96.68, 0.03), 0.9: (97.94, 0.09)},
    "compressed-gradual": {0.99: (97.47, 0.21), 0.98: (98.12, 0.10), 0.95: (98.47, 0.06),
                           0.9: (98.55, 0.03)}}
_WORDS = {"dense": "dense", "dsr": "DSR", "static": "static", "set": "SET", "rigl": "RigL",
          "snfs": "SNFS", "itop": "SET-ITOP", "deepr": "DeepR", "gradual": "compressed",
          "hashed": "HashedNet", "thin-dense": "thin dense"}


def _mnist():
    kinds = {f"{method}-{sparsity}": (method, sparsity)
             for sparsity in _LENET["dsr"] for method in _LENET}
    return Study(
        "mnist/study.tar.xz", "dense",
        {"dense": "dense"} | {kind: f"{_WORDS[method.rpartition('-')[2]]}, {sparsity}"
                              for kind, (method, sparsity) in kinds.items()},
        {kind: f"dsr-{sparsity}" for kind, (method, sparsity) in kinds.items() if method != "dsr"},
        {f"{method}-{sparsity}": (*figures, 5)
         for method, published in _LENET.items() for sparsity, figures in published.items()})


def _mnist_compressed():
    published = _LENET["compressed-gradual"]
    return Study(
        "mnist/compressed.tar.xz", "dense",
        {"dense": "dense"} | {f"compressed-{sparsity}": f"compressed, the authors' way, {sparsity}"
                              for sparsity in published},
        papers={f"compressed-{sparsity}": (*figures, 5) for sparsity, figures in published.items()},
        module="mnist/compressed.py")


def _origin(records, stops, more):
    return Study(records, "dsr-0.95", {
        "dsr-0.95": "DSR",
        "static-0.95": "static",
        "ticket-static-0.95": "DSR's structure, the values DSR began with",
        "fresh-static-0.95": "DSR's structure, other values",
        **{f"stop-dsr-0.95-stop_epoch_{n}": f"DSR, no moves after epoch {n}" for n in stops},
        **more})


def _structure():
    starts = {"uniform": "uniform", "erk": "ERK", "reversed": "reversed"}
    return Study("cifar10-small/structure.tar.xz", "dsr-0.95-uniform", {
        f"{method}-0.95-{start}": f"{_WORDS[method]}, from {words}"
        for start, words in starts.items() for method in ("dsr", "static")},
        {f"static-0.95-{start}": f"dsr-0.95-{start}" for start in ("erk", "reversed")})


def _small(sparsity):
    return Study("cifar10-small/study.tar.xz", f"dsr-{sparsity}", {
        "dense" if method == "dense" else f"{method}-{sparsity}": words
        for method, words in _WORDS.items()})


_MASKS = Study("cifar10-small/study.tar.xz", "dense", {
    "dense": "dense", **{f"dst-alpha_{alpha}": f"DST, α = {alpha}"
                         for alpha in ("0.0003", "0.001", "0.003")}})
_SCALE = Study("cifar10-small/study.tar.xz", "dsr-0.95", {
    "dsr-0.95": "DSR", "static-0.95": "static",
    "scale-dsr-0.95": "DSR, PyTorch's scale", "scale-static-0.95": "static, PyTorch's scale"},
    {"scale-static-0.95": "static-0.95"})


def _residual(records):
    return Study(records, "dsr-0.9", {f"{method}-0.9": _WORDS[method]
                                      for method in ("dsr", "static", "set")})


def _sensitivity():
    changed = {"threshold": ("H at the start {}", ("1e-05", "0.0001", "0.01", "0.1")),
               "target_pruned": ("N_p {}", (15, 48, 151, 1505)),
               "tolerance": ("δ {}", (0.01, 0.3, 0.9))}
    return Study("cifar10-small/sensitivity.tar.xz", "dsr-0.95", {
        "dsr-0.95": "DSR: H 0.001, N_p 476, δ 0.1",
        **{f"dsr-0.95-{option}_{value}": words.format(value)
           for option, (words, values) in changed.items() for value in values},
        "dsr-0.95-pruned": "growth as a tensor lost",
        "dsr-0.95-room": "growth by empty positions"})


def _exploration():
    periods = (10, 30, 100, 300, 1000)
    return Study("cifar10-small/exploration.tar.xz", "dsr-0.95", {
        **{f"{method}-0.95": _WORDS[method] for method in
           ("dsr", "set", "rigl", "snfs", "itop", "deepr")},
        **{f"{method}-0.95-periods_{steps}": f"{_WORDS[method]}, every {steps}"
           for method in ("dsr", "set") for steps in periods},
        **{f"{name}-dsr-0.95-periods_{steps}": f"DSR, every {steps}, {words}"
           for name, words in (("fewer", "N_p / 4"), ("protected", "newborns spared"))
           for steps in (30, 300)}},
        {f"{name}-dsr-0.95-periods_{steps}": f"dsr-0.95-periods_{steps}"
         for name in ("fewer", "protected") for steps in (30, 300)}
        | {f"{method}-0.95-periods_{more}": f"{method}-0.95-periods_{fewer}"
           for method in ("dsr", "set") for fewer, more in pairwise(periods)}
        | {"set-0.95-periods_10": "set-0.95"})


STUDIES = {
    "mnist": _mnist(),
    "mnist-compressed": _mnist_compressed(),
    "why": _origin("shapes-why/study.tar.xz", range(1, 5), {
        "start-dsr-0.95-erk": "DSR, from ERK",
        "start-static-0.95-erk": "static, from ERK",
        "start-dsr-0.95-reversed": "DSR, from reversed",
        "start-static-0.95-reversed": "static, from reversed"}),
    "origin": _origin("cifar10-small/origin.tar.xz", (1, 2, 5, 8), {}),
    "structure": _structure(),
    "small-90": _small(0.9),
    "small-95": _small(0.95),
    "small-98": _small(0.98),
    "small-masks": _MASKS,
    "small-scale": _SCALE,
    "wrn-16-1": _residual("cifar10-wrn-16-1/study.tar.xz"),
    "wrn-28-2": _residual("cifar10-wrn-28-2/short.tar.xz"),
    "sensitivity": _sensitivity(),
    "exploration": _exploration(),
    "collapse": Study("cifar10-small/collapse.tar.xz", "rigl-0.98", {
        "rigl-0.98": "RigL",
        "rigl-filters-0.98": "RigL that grows nothing in filters without a weight",
        "rigl-epsilon-0.98": "RigL, ε 0.1 in batch norm"}, module="cifar10-small/collapse.py")}
