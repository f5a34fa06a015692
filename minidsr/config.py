"""All hyperparameters of a training run: the dataclass is the API, the flags and config.json."""

import json
import math
from dataclasses import dataclass
from pathlib import Path

from . import data, density, models
from .backend import DEVICES
from .methods import METHODS
from .reparam import LARGEST_H, SMALLEST_H


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
    """Training method: dense, static or dsr (the paper's)."""
    sparsity: float = 0.9
    """Share of the sparsifiable weights that stay zero, in [0, 1) (paper: 0.9, 0.8, ... 0.5)."""
    distribution: str = "uniform"
    """How the tensors share the free numbers at first: uniform (the paper's), er (Erdős–Rényi) or
    erk (Erdős–Rényi with kernels); the same number in all."""
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
    threshold: float = 1e-3
    """H at the start, the magnitude below which DSR prunes (paper: 1e-3)."""
    target_pruned: int | None = None
    """N_p, the weights DSR means to prune each time (paper: 20,000 for wrn-28-2 at sparsity 0.9,
    which is 13.8 % of its sparse weights; that share is the default)."""
    tolerance: float = 0.1
    """δ: H moves when fewer than (1-δ) N_p or more than (1+δ) N_p were pruned (paper: 0.1)."""
    periods: tuple[int, ...] = (25, 32, 64, 128)
    """Steps between reallocations, one for each phase of training (paper: 100 200 400 800, in
    100,000 steps; the default suits runs of a few thousand)."""
    period_milestones: tuple[float, ...] = (0.3, 0.6, 0.8)
    """Where the next period begins, as fractions of training (paper: 0.125 0.4 0.7)."""
    stop: float = 0.95
    """Fraction of training after which nothing is reallocated (paper: 0.95)."""
    augment: bool | None = None
    """Random crops and mirrored images (paper: for CIFAR-10, not for MNIST; the default)."""
    seed: int = 0
    """Seed of initial values, structure and data order, each with a stream of its own."""
    device: str = "auto"
    """cpu, gpu, or auto: a usable GPU if there is one."""
    threads: int | None = None
    """Threads on the CPU; results do not depend on it (default: all cores)."""
    check: bool = True
    """Check the invariants of Algorithm 1 at each reallocation; results do not depend on it."""
    checkpoint_seconds: float = 60.0
    """Save at least this often; also after each epoch and when interrupted."""

    def __post_init__(self):
        for name, choices in (("data", data.DATASETS), ("method", METHODS), ("device", DEVICES),
                              ("distribution", density.DISTRIBUTIONS)):
            if getattr(self, name) not in choices:
                raise ValueError(f"unknown {name} {getattr(self, name)!r}; choose one of: "
                                 f"{', '.join(choices)}")
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
            "stop": (0 <= self.stop <= 1, "in [0, 1]"),
            "seed": (self.seed >= 0, "0 or more"),
            "threads": (self.threads is None or self.threads >= 1, "at least 1"),
            "checkpoint_seconds": (self.checkpoint_seconds >= 0, "0 or more"),
        }
        for name, (fine, what) in allowed.items():
            if not fine:
                raise ValueError(f"{name} must be {what}, not {getattr(self, name)}")


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
