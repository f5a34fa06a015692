"""All hyperparameters of a training run: the dataclass is the API, the flags and config.json.

Options of methods are not written down here: Config takes them from the methods, with their help
and their defaults.
"""

from dataclasses import MISSING, Field, dataclass, field, fields, make_dataclass, replace
from functools import cache
from itertools import pairwise
from typing import Any, get_type_hints

from ..backend import DEVICES
from ..checks import (
    LARGEST,
    check_choice,
    check_name,
    check_range,
    check_share,
    check_type,
    nearest,
    shown,
)
from ..data import DATASETS
from ..fast.engine import check_engine
from ..methods import METHODS
from ..methods.base import option
from ..nn import models
from ..schedules import SCHEDULES, check_milestones

VALUES = ("original", "random", "final")
INITS = ("paper", "pytorch")
BOUNDS = {  # generous: what lies beyond is a slip, and would take memory or time without end
    "epochs": (1, 10**6), "batch": (1, 10**5), "lr": (1e-38, LARGEST), "lr_factor": (1e-38, 1000),
    "weight_decay": (0, LARGEST), "l1": (0, LARGEST), "seed": (0, 2**64 - 1),
    "validation": (0, 10**9), "train_images": (1, 10**9), "threads": (1, 1024),
    "checkpoint_seconds": (0, 10**9), "log_every": (0, 10**9)}
VALUES_OF_OPTIONS = (bool, int, float, str, tuple[int, ...], tuple[float, ...], tuple[str, ...])
OPTION_TYPES = [*VALUES_OF_OPTIONS, *(kind | None for kind in VALUES_OF_OPTIONS)]

TYPES = {name: f.type for method in METHODS.values() for name, f in method.options().items()}

# A field for each option of our methods. None: the method's own default.
Options: Any = make_dataclass("Options", [
    (name, kind | None, None) for name, kind in TYPES.items()], kw_only=True, frozen=True)


@dataclass(frozen=True, kw_only=True)
class Config(Options):
    """All that determines a training run. Raises ValueError for a value that is not allowed.

    Options of the methods are fields, too: Config(method="dsr", tolerance=0.2); those of a method
    that is not ours stand in `options`. What is left out is the method's default.
    """

    data: str = option("synthetic", (
        "Data set: synthetic (drawn shapes, no download), cifar10, cifar100, mnist; or yours: npz "
        "(arrays), folder (images of one size) or imagenet (of any size, cut to 224 x 224), see "
        "lessons/notes/make_it_yours.md."))
    data_dir: str = option("data", (
        "Folder with the data set's files; `minidsr data fetch` fills it. For npz the file, for "
        "folder and imagenet the one with train/CLASS and test/CLASS."))
    validation: int = option(0, (
        "So many training images, drawn by the seed, are set apart. Accuracy on them is reported "
        "each epoch, and that on test images once, at the end: tune by the first."))
    train_images: int | None = option(None, (
        "Train on so many images, drawn by the seed, of those that are left (default: all)."))
    model: str = option("small-cnn", (
        "Network: small-cnn, lenet-300-100, resnet50 (for images of 224x224), or wrn-D-W such as "
        "wrn-28-2 (the paper's)."))
    init: str = option("paper", (
        "Scale of the initial values of convolutions, from the same draws: paper, standard "
        "deviation sqrt(2 / (k² F)), or pytorch, sqrt(1 / (3 k² C)), its default's, for F channels "
        "out of C (paper: paper). Linear layers have PyTorch's."))
    method: str = option("dsr", (
        f"Training method, one of {', '.join(METHODS)} (the paper's); lessons/notes/methods.md "
        "says what each does."))
    epochs: int = option(8, "Passes over the training images (paper: 200).")
    batch: int = option(100, "Images a step (paper: 100).")
    lr: float = option(0.1, "Learning rate at the start (paper: 0.1).")
    lr_schedule: str = option("step", (
        "How the learning rate falls: step (by lr_factor at each of lr_milestones), or cosine (to "
        "0, along half a cosine)."))
    warmup: float = option(0.0, (
        "Epochs at the start in which the learning rate rises: evenly with each step, to what the "
        "schedule says."))
    lr_factor: float = option(0.2, "Factor on the learning rate at each milestone (paper: 0.2).")
    lr_milestones: tuple[float, ...] = option((0.3, 0.6, 0.8), (
        "Where the learning rate drops, as fractions of training (paper: 0.3 0.6 0.8)."))
    momentum: float = option(0.9, "Momentum (paper: 0.9).")
    nesterov: bool = option(True, "Nesterov's form of momentum (paper: yes).")
    weight_decay: float = option(5e-4, (
        "Weight decay, on every free number (paper: 5e-4 for CIFAR-10; 0 for DSR on MNIST)."))
    l1: float = option(0.0, (
        "L1 penalty, on the free numbers of tensors that may be sparse (paper: 0 for CIFAR-10; "
        "1e-4 for DSR on MNIST)."))
    structure_from: str | None = option(None, (
        "Directory of another run: start from its final structure."))
    values: str | None = option(None, (
        "With --structure-from: original (that run's initial values; the default), random (those "
        "of this run's seed) or final (its trained values)."))
    augment: bool | None = option(None, (
        "Random crops and mirrored images (paper: for CIFAR-10 and ImageNet, not for MNIST; the "
        "default; CIFAR-100 as CIFAR-10)."))
    seed: int = option(0, (
        "Seed of initial values, structure and data order, each with a stream of its own."))
    device: str = option("auto", "cpu, gpu, or auto: a usable GPU if there is one.")
    tf32: bool = option(False, (
        "On a GPU, round the factors of products to TF32, 10 bits, for speed."))
    engine: str = option("auto", (
        "What multiplies: plain (im2col as in a textbook, slow), blocked (im2col by blocks, zeros "
        "too), sparse (only the weights that exist; on a CPU, with Numba), or auto: sparse for the "
        "tensors where it is faster, else blocked."))
    threads: int | None = option(None, (
        "Threads on the CPU; results do not depend on it (default: all cores)."))
    check: bool = option(True, (
        "Check the invariants at each reallocation; results do not depend on it."))
    record: bool = option(False, (
        "Record births and deaths of every weight, for plot --html; of methods whose weights are "
        "sparse, and for a whole run. Results do not depend on it."))
    checkpoint_seconds: float = option(60.0, (
        "Save at least this often; also after each epoch and when interrupted."))
    log_every: int = option(0, (
        "Print a line every so many steps, for a log file; there is one an epoch anyway."))
    options: dict = field(default_factory=dict)
    # How long the run was before each time that it was extended, in epochs, and at which step that
    # happened. They come from extended() alone.
    extended_from: tuple[int, ...] = ()
    extended_at: tuple[int, ...] = ()

    def __post_init__(self):
        for f in fields(self):
            check_type(f.name, getattr(self, f.name), f.type)
        for name, choices in (("data", DATASETS), ("method", METHODS), ("device", DEVICES),
                              ("lr_schedule", SCHEDULES), ("values", VALUES), ("init", INITS)):
            if getattr(self, name) is not None:
                check_choice(name, getattr(self, name), choices)
        check_engine(self.engine)
        models.check_name(self.model)
        for name in ("data", "model", "method", "lr_schedule"):  # that may not be ours
            check_name(f"the name of {name}", getattr(self, name))
        for name, (least, most) in BOUNDS.items():
            if getattr(self, name) is not None:
                check_range(name, getattr(self, name), least, most)
        check_range("warmup", self.warmup, 0, self.epochs)
        check_share("momentum", self.momentum)
        check_milestones("lr_milestones", self.lr_milestones)
        check_range("lr after all milestones", self.lr * self.lr_factor ** len(self.lr_milestones))
        for name in ("data_dir", "structure_from"):
            if getattr(self, name) == "":
                raise ValueError(f"{name} must not be empty")
        self._check_stages()
        self._check_options()
        self.build_method(steps_per_epoch=1)  # it knows what it allows

    def given_options(self):
        """{name: value} of the method's options that are not left at its defaults."""
        ours = {f.name: getattr(self, f.name) for f in fields(Options)}
        return {name: value for name, value in ours.items() if value is not None} | self.options

    def resolved(self):
        """{name: value} of everything, with the method's defaults where nothing is given."""
        given, options = self.given_options(), METHODS[self.method].options()
        common = {name: getattr(self, name) for name in COMMON}
        return common | {name: given.get(name, f.default) for name, f in options.items()}

    def build_method(self, steps_per_epoch):
        """The Method that the config asks for."""
        return METHODS[self.method](epochs=self.epochs, steps_per_epoch=steps_per_epoch,
                                    **self.given_options())

    def extended(self, epochs, step):
        """The same config for a run that is at `step`, and shall go on to `epochs`."""
        check_type("extend_epochs", epochs, int)
        if epochs <= self.epochs:
            raise ValueError(f"extend_epochs must be more than {self.epochs}, the epochs that the "
                             f"run has, not {shown(epochs)}")
        return replace(self, epochs=epochs, extended_from=(*self.extended_from, self.epochs),
                       extended_at=(*self.extended_at, step))

    def stages(self):
        """This config, then what it was before each time that its run was extended, last first."""
        config = self
        yield config
        while config.extended_from:
            *extended_from, epochs = config.extended_from
            config = replace(config, epochs=epochs, extended_from=tuple(extended_from),
                             extended_at=config.extended_at[:-1])
            yield config

    def for_method(self, method):
        """The same config for another method. Options go over where they mean the same there."""
        check_choice("method", method, METHODS)
        own, other = (METHODS[name].options() for name in (self.method, method))
        reset = [f.name for f in fields(Options)
                 if f.name not in other or own.get(f.name, other[f.name]).metadata
                 != other[f.name].metadata]
        options = self.options if method == self.method else {}
        return replace(self, method=method, options=options, **dict.fromkeys(reset))

    def _check_stages(self):
        """ValueError unless each extension is longer than what was before it, and not earlier."""
        lengths, steps = (*self.extended_from, self.epochs), (0, *self.extended_at)
        if not (len(lengths) == len(steps) <= 100 and lengths[0] >= 1
                and all(a < b for a, b in pairwise(lengths))
                and all(a <= b for a, b in pairwise(steps))):
            raise ValueError("extended_from and extended_at must be increasing, and as many, not "
                             f"{shown(self.extended_from)} and {shown(self.extended_at)}")

    def _check_options(self):
        """ValueError where an option is set that the method, or the others set, do not have."""
        own, given = METHODS[self.method].options(), self.given_options()
        self._check_class()
        for name in sorted(given.keys() - own.keys()):
            having = [m for m, kind in METHODS.items() if name in kind.options()]
            also = (f", which is for {', '.join(having)}" if having else
                    f"; {nearest(name, [*COMMON, *own])}".rstrip("; "))
            raise ValueError(f"{self.method} has no option {name}{also}")
        for name in self.options:
            if getattr(self, name, None) is not None:
                raise ValueError(f"{name} is given twice, also in options")
            check_type(name, self.options[name], types_of(METHODS[self.method])[name])
        if self.structure_from is None and self.values is not None:
            raise ValueError("values needs structure_from, the run to start from")
        if self.structure_from is not None and not METHODS[self.method].sparse:
            having = [m for m, kind in METHODS.items() if kind.sparse]
            raise ValueError(f"{self.method} has no structure; structure_from is for "
                             f"{', '.join(having)}")
        if (self.structure_from is not None and given.get("distribution", "uniform") != "uniform"
                and METHODS[self.method].budget_rule == "conserved"):
            raise ValueError("distribution and structure_from both say where weights are; choose "
                             "one")

    def _check_class(self):
        """ValueError where the method, which may not be ours, has a field that is no option."""
        cls = METHODS[self.method]
        for name, value in vars(cls).items():
            if isinstance(value, Field):  # which @dataclass would have taken away
                raise ValueError(f"{self.method}: write @dataclass(kw_only=True, eq=False) above "
                                 f"class {cls.__name__}, so that {name} is an option")
        for name, kind in types_of(cls).items():
            if kind not in OPTION_TYPES:
                raise ValueError(f"{self.method}: option {name} must be annotated as bool, int, "
                                 "float, str, tuple[int, ...] or the like, or one of these | None")
            if name in COMMON:
                raise ValueError(f"{self.method}: no option can be called {name}, which all "
                                 "methods have")
            default = cls.options()[name].default
            if default is MISSING:
                raise ValueError(f"{self.method}: option {name} needs a default")
            check_type(f"{self.method}: the default of {name}", default, kind)


@cache
def types_of(method):
    """{name: type} of the options of a method, a class."""
    kinds = get_type_hints(method)
    return {name: kinds[name] for name in method.options()}


COMMON = tuple(f.name for f in fields(Config) if f.name not in TYPES and f.name != "options")
