"""minidsr: dynamic sparse reparameterization (Mostafa & Wang, ICML 2019) from scratch.

Start reading at reparam.py, which is Algorithm 1; then parameters.py and density.py.

    nn/       layers, networks and SGD as in a textbook     methods/  what trains sparse networks
    fast/     what computes in place of layers              proof/    what must hold, and cases
    data/     CIFAR, MNIST, drawn shapes, and yours         run/      training, runs on disk, tables

A room imports only from those before it: core, then nn and proof, fast and methods, data, run
(tests/house/test_rooms.py has the rules). Names below are loaded when they are asked for.
"""

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:  # for editors; what they see is what __getattr__ finds
    from .data import DATASETS as DATASETS
    from .data import from_arrays as from_arrays
    from .methods import METHODS as METHODS
    from .methods.base import Dynamic as Dynamic
    from .methods.base import Method as Method
    from .methods.base import option as option
    from .nn.base import Residual as Residual
    from .nn.base import Sequential as Sequential
    from .nn.layers import BatchNorm as BatchNorm
    from .nn.layers import Conv2d as Conv2d
    from .nn.layers import Flatten as Flatten
    from .nn.layers import GlobalAvgPool as GlobalAvgPool
    from .nn.layers import Linear as Linear
    from .nn.layers import MaxPool2d as MaxPool2d
    from .nn.layers import ReLU as ReLU
    from .nn.layers import softmax_cross_entropy as softmax_cross_entropy
    from .nn.models import MODELS as MODELS
    from .nn.models import build as build
    from .nn.sgd import SGD as SGD
    from .parameters import Dense as Dense
    from .parameters import Sparse as Sparse
    from .proof.invariants import InvariantError as InvariantError
    from .proof.invariants import check as check
    from .reparam import Report as Report
    from .reparam import adjust_pruning_threshold as adjust_pruning_threshold
    from .reparam import apportion as apportion
    from .reparam import grow_back as grow_back
    from .reparam import prune_by_threshold as prune_by_threshold
    from .reparam import reallocate as reallocate
    from .run.config import Config as Config
    from .run.contract import check_method as check_method
    from .run.evaluate import evaluate as evaluate
    from .run.judge import check_reallocate as check_reallocate
    from .run.load import Run as Run
    from .run.load import load as load
    from .run.train import train as train
    from .run.verify import check_trace as check_trace
    from .schedules import SCHEDULES as SCHEDULES

__version__ = "0.1.0"

_FACE = {
    "reparam": ("reallocate", "prune_by_threshold", "adjust_pruning_threshold", "apportion",
                "grow_back", "Report"),
    "parameters": ("Sparse", "Dense"),
    "methods": ("METHODS",),
    "methods.base": ("Method", "Dynamic", "option"),
    "nn.models": ("build", "MODELS"),
    "nn.base": ("Sequential", "Residual"),
    "nn.layers": ("Conv2d", "Linear", "BatchNorm", "ReLU", "MaxPool2d", "GlobalAvgPool", "Flatten",
                  "softmax_cross_entropy"),
    "nn.sgd": ("SGD",),
    "proof.invariants": ("check", "InvariantError"),
    "data": ("DATASETS", "from_arrays"),
    "schedules": ("SCHEDULES",),
    "run.config": ("Config",),
    "run.contract": ("check_method",),
    "run.evaluate": ("evaluate",),
    "run.judge": ("check_reallocate",),
    "run.load": ("load", "Run"),
    "run.train": ("train",),
    "run.verify": ("check_trace",),
}
_ROOM = {name: room for room, names in _FACE.items() for name in names}
__all__ = sorted(_ROOM)


def __getattr__(name):
    if name not in _ROOM:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f".{_ROOM[name]}", __name__), name)


def __dir__():
    return sorted({*globals(), *__all__})
