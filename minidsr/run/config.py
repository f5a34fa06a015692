"""All hyperparameters of a training run: the dataclass is the API, the flags and config.json."""

import json
import math
from dataclasses import dataclass, replace
from pathlib import Path

from .. import density
from ..backend import DEVICES
from ..data import DATASETS
from ..fast.engine import ENGINES
from ..methods import METHODS
from ..methods.base import check_choice
from ..nn import models
from ..reparam import LARGEST_H, SMALLEST_H

VALUES = ("original", "random", "final")


@dataclass(frozen=True)
class Config:
    """All that determines a training run. Raises ValueError for a value that is not allowed."""

    data: str = "synthetic"
    """Data set: synthetic (drawn shapes, no download), cifar10 or mnist."""
    data_dir: str = "data"
    """Folder with the data set's files; `minidsr data fetch` fills it."""
    model: str = "small-cnn"
    """Network: small-cnn, lenet-300-100, resnet50 (for images of 224x224), or wrn-D-W such as
    wrn-28-2 (the paper's)."""
    method: str = "dsr"
    """Training method: dense, thin-dense, static, gradual (pruning; "compressed sparse"), hashed
    (HashedNets), deepr, set, snfs (sparse momentum), rigl, itop, dst (trainable masks) or dsr (the
    paper's)."""
    sparsity: float = 0.9
    """Share of the sparsifiable positions without a weight, in [0, 1) (paper: 0.5 to 0.9)."""
    distribution: str = "uniform"
    """How the tensors share the weights at first (gradual: in the end): uniform (the DSR paper's),
    er (Erdős–Rényi, SET's) or erk (with kernels, RigL's and ITOP's); all have the same total."""
    epochs: int = 8
    """Passes over the training images (paper: 200)."""
    batch: int = 100
    """Images a step (paper: 100)."""
    lr: float = 0.1
    """Learning rate at the start (paper: 0.1)."""
    lr_factor: float = 0.2
    """Factor on the learning rate at each milestone (paper: 0.2)."""
    lr_milestones: tuple[float, ...] = (0.3, 0.6, 0.8)
    """Where the learning rate drops, as fractions of training (paper: 0.3 0.6 0.8)."""
    momentum: float = 0.9
    """Momentum (paper: 0.9)."""
    nesterov: bool = True
    """Nesterov's form of momentum (paper: yes)."""
    weight_decay: float = 5e-4
    """Weight decay, on every free number (paper: 5e-4 for CIFAR-10; 0 for DSR on MNIST)."""
    l1: float = 0.0
    """L1 penalty, on every free number (paper: 0 for CIFAR-10; 1e-4 for DSR on MNIST)."""
    periods: tuple[int, ...] = (25, 32, 64, 128)
    """Steps between reallocations, one for each phase of training (paper: 100 200 400 800, in
    100,000 steps; the default suits runs of a few thousand)."""
    period_milestones: tuple[float, ...] = (0.3, 0.6, 0.8)
    """Where the next period begins, as fractions of training (paper: 0.125 0.4 0.7)."""
    stop_epoch: int | None = None
    """Nothing is reallocated after this epoch (paper: 190 of 200; default: after 95 % of training,
    gradual 80 %, itop at the end)."""
    threshold: float = 1e-3
    """dsr: H at the start, the magnitude below which it prunes (paper: 1e-3)."""
    target_pruned: int | None = None
    """dsr: N_p, the weights it means to prune each time (paper: 20,000 for wrn-28-2 at sparsity
    0.9, which is 13.8 % of its sparse weights; that share is the default)."""
    tolerance: float = 0.1
    """dsr: δ; H moves when fewer than (1-δ) N_p or more than (1+δ) N_p were pruned (paper: 0.1)."""
    keep_one: bool = True
    """dsr: of a tensor wholly below H, keep the largest weight (paper: no)."""
    growth: str = "survivors"
    """dsr: what a tensor's share of growth is proportional to: survivors (paper), room (its empty
    positions, the opposite), or pruned (nothing moves between tensors)."""
    granularity: str = "weight"
    """dsr: what moves: weight, or slice, all weights of a kernel slice together (paper: both)."""
    fraction: float | None = None
    """Share of its weights that a tensor replaces each time; for snfs, rigl and itop at first
    (default, as in their papers: set 0.3, rigl 0.3, snfs 0.5, itop 0.5)."""
    interval: int | None = None
    """itop: steps between reallocations (its paper: 1,500 of 97,750, with rigl 4,000; default: a
    65th of training, but at least 100 steps, or a fifth of training if that is less)."""
    variant: str | None = None
    """The form of a method, its paper's by default. set: sign or magnitude. deepr: global or
    per-tensor. hashed: hash or balanced. itop: set or rigl."""
    alpha: float | None = None
    """deepr: the pull towards 0 (default: 1e-5). dst: the price of low thresholds (default: 5e-6).
    Both papers call it α."""
    temperature: float | None = None
    """deepr: T of the noise (default: 1e-8)."""
    bitmask: bool = False
    """thin-dense: add the memory of a bit for each sparsifiable weight to the budget."""
    structure_from: str | None = None
    """Directory of another run: start from its final structure."""
    values: str | None = None
    """With --structure-from: original (that run's initial values; the default), random (those of
    this run's seed) or final (its trained values)."""
    augment: bool | None = None
    """Random crops and mirrored images (paper: for CIFAR-10, not for MNIST; the default)."""
    seed: int = 0
    """Seed of initial values, structure and data order, each with a stream of its own."""
    device: str = "auto"
    """cpu, gpu, or auto: a usable GPU if there is one."""
    tf32: bool = False
    """On a GPU, round the factors of products to TF32, 10 bits, for speed."""
    engine: str = "auto"
    """What multiplies: im2col (zeros, too), sparse (only the weights that exist; on a CPU, with
    Numba), or auto: sparse for the tensors where it is faster."""
    threads: int | None = None
    """Threads on the CPU; results do not depend on it (default: all cores)."""
    check: bool = True
    """Check the invariants at each reallocation; results do not depend on it."""
    checkpoint_seconds: float = 60.0
    """Save at least this often; also after each epoch and when interrupted."""

    def __post_init__(self):
        for name, choices in (("data", DATASETS), ("method", METHODS), ("device", DEVICES),
                              ("engine", ENGINES), ("distribution", density.DISTRIBUTIONS),
                              ("values", VALUES)):
            if getattr(self, name) is not None:
                check_choice(name, getattr(self, name), choices)
        models.check_name(self.model)
        density.check_sparsity(self.sparsity)
        allowed = {
            "epochs": (self.epochs >= 1, "at least 1"),
            "batch": (self.batch >= 1, "at least 1"),
            "lr": (0 < self.lr < math.inf, "positive"),
            "lr_factor": (0 < self.lr_factor < math.inf, "positive"),
            "lr_milestones": (_increasing(self.lr_milestones), "increasing, within [0, 1]"),
            "momentum": (0 <= self.momentum < 1, "in [0, 1)"),
            "weight_decay": (0 <= self.weight_decay < math.inf, "0 or more"),
            "l1": (0 <= self.l1 < math.inf, "0 or more"),
            "threshold": (SMALLEST_H <= self.threshold <= LARGEST_H, "in [2^-126, 2^127]"),
            "target_pruned": (self.target_pruned is None or self.target_pruned > 0, "positive"),
            "tolerance": (0 <= self.tolerance < 1, "in [0, 1)"),
            "periods": (self.periods and min(self.periods) >= 1, "at least 1 each"),
            "period_milestones": (_increasing(self.period_milestones)
                                  and len(self.period_milestones) == len(self.periods) - 1,
                                  "increasing, within [0, 1], one fewer than periods"),
            "seed": (self.seed >= 0, "0 or more"),
            "threads": (self.threads is None or self.threads >= 1, "at least 1"),
            "checkpoint_seconds": (self.checkpoint_seconds >= 0, "0 or more"),
        }
        for name, (fine, what) in allowed.items():
            if not fine:
                raise ValueError(f"{name} must be {what}, not {getattr(self, name)}")
        self._check_options()
        METHODS[self.method].from_config(self, steps_per_epoch=1)  # it knows what it allows

    def for_method(self, method):
        """The same config for another method. Options that it does not have go back to the default,
        and those that each method has a meaning of its own for."""
        check_choice("method", method, METHODS)
        reset = OPTIONS - set(METHODS[method].options())
        if method != self.method:
            reset |= {"variant", "alpha", "fraction"}
        return replace(self, method=method, **{name: getattr(Config, name) for name in reset})

    def _check_options(self):
        """ValueError where an option is set that the method, or the others set, do not have."""
        own = METHODS[self.method].options()
        for name in sorted(OPTIONS - set(own)):
            if getattr(self, name) != getattr(Config, name):
                having = [m for m, kind in METHODS.items() if name in kind.options()]
                raise ValueError(f"{self.method} has no option {name}, which is for "
                                 f"{', '.join(having)}")
        if self.structure_from is None and self.values is not None:
            raise ValueError("values needs structure_from, the run to start from")
        if self.structure_from is not None and not METHODS[self.method].sparse:
            having = [m for m, kind in METHODS.items() if kind.sparse]
            raise ValueError(f"{self.method} has no structure; structure_from is for "
                             f"{', '.join(having)}")
        if (self.structure_from is not None and self.distribution != "uniform"
                and METHODS[self.method].budget == "conserved"):
            raise ValueError("distribution and structure_from both say where weights are; choose "
                             "one")


# The fields that only some methods have.
OPTIONS = {name for method in METHODS.values() for name in method.options()} - {
    "epochs", "steps_per_epoch"}


def read_config(path):
    """The Config stored at `path`. Raises ValueError, in one line, where it is none."""
    try:
        values = json.loads(Path(path).read_text())
        return Config(**{key: tuple(value) if isinstance(value, list) else value
                         for key, value in values.items()})
    except (OSError, ValueError, TypeError, AttributeError) as error:
        raise ValueError(f"{path}: not the config of a run ({error})") from None


def _increasing(fractions):
    """Are these fractions of training, each larger than the one before?"""
    return all(a < b for a, b in zip((-1e-9, *fractions), (*fractions, 1 + 1e-9), strict=True))
