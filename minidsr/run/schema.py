"""What a run's files may say: the state in a checkpoint, the records in metrics.jsonl.

A file is believed when it says what training could have written. Each is checked once, where it is
read, and refused in one line; config.json has its own check, which is Config's.
"""

import math
from sys import float_info

import numpy as np

from ..backend import to_host
from ..checks import LARGEST, NAME, check_class_names
from ..data.batches import PIXELS, SIDE
from ..methods import METHODS
from ..parameters import Sparse
from ..reading import ReadingError, parse_json, read_bytes
from ..reparam import LARGEST_H, SMALLEST_H
from . import moves
from .directory import CheckpointError

# Of metrics.jsonl: all, and a line of it. Where births and deaths are recorded, wrn-28-2 takes
# 0.2 MB for its start at sparsity 0.9, 2 MB for a dense one, and 70 KB to move 20,000 weights.
METRICS_BYTES, LINE_BYTES = 1 << 28, 1 << 24
MOST = 2 ** 63 - 1  # no count is larger
DIMENSIONS = 32     # of a tensor, at most
IMAGES = 10 ** 9    # of a data set


# --- checkpoint.npz


def most_bytes(model):
    """What a checkpoint of this model can have at most, by any method: positions of 8 bytes, a few
    numbers of 4 bytes for each position, some bits, and names."""
    return (1 << 20) + sum(32 * p.size + 4096 for p in model.params())


def check_state(state, trainer):
    """Raise ValueError unless `state` is one that `trainer` could have.

    It has the names, types and shapes of the trainer's own state(); but how many free numbers a
    Sparse tensor has may differ. Their sum is for start.check_state(); what only the model and the
    method know, they check where they load it.
    """
    own = trainer.state() | {"records": 0}  # which begin() compares with what is there
    check_like(state, own, {f"model/{name}" for name in of_any_length(trainer.model)})
    t, seen = state["t"], state["seen"]
    if not 0 <= t <= trainer.total_steps:
        raise ValueError(f"t must be in 0..{trainer.total_steps}, not {t}")
    if state["records"] < 1:
        raise ValueError(f"records must be at least 1, the setup, not {state['records']}")
    if seen != t % trainer.steps_per_epoch * trainer.config.batch:
        raise ValueError(f"seen is {seen}, which is not what an epoch has seen by step {t}")
    if not 0 <= state["correct"] <= seen or not state["loss_sum"] >= 0 or (
            state["loss_sum"] and not seen):
        raise ValueError(f"correct {state['correct']} and loss_sum {state['loss_sum']} are not of "
                         f"{seen} images")


def of_any_length(model):
    """The names of the arrays in a model's state() that have one entry for each free number."""
    return {f"{name}.{key}" for name, p in model.named_params().items() if isinstance(p, Sparse)
            for key in p.stored}


def check_like(state, own, free=()):
    """Raise ValueError unless `state` has the names of `own`, and each value is of the same type
    and shape. Names in `free` are of arrays that may have another length. Numbers are finite."""
    odd = sorted(own.keys() ^ state.keys())
    if odd:
        raise ValueError(f"names differ: {odd[0]!r:.80} and {len(odd) - 1} more")
    for name, value in own.items():
        new = state[name]
        if not isinstance(value, np.ndarray):
            if not _same_kind(new, value):
                raise ValueError(f"{name} is not what it should be, such as {value!r:.200}")
            continue
        if not isinstance(new, np.ndarray) or new.dtype != value.dtype or (
                new.ndim != 1 if name in free else new.shape != value.shape):
            found = (f"{new.dtype} {new.shape}" if isinstance(new, np.ndarray) else
                     f"no array but {type(new).__name__}")
            raise ValueError(f"{name}: {found} does not fit {value.dtype} {value.shape}")
        if new.dtype.kind == "f" and not np.isfinite(new).all():
            raise ValueError(f"{name} holds a number that is not finite")
        if name.endswith("running_var") and (new < 0).any():
            raise ValueError(f"{name} holds a variance below 0")


def _same_kind(new, own):
    """Is one JSON value built like another, but for the numbers and texts in it?"""
    if type(new) is not type(own):
        return False
    if isinstance(own, dict):
        return new.keys() == own.keys() and all(_same_kind(new[key], own[key]) for key in own)
    if isinstance(own, list):
        return len(new) == len(own) and all(map(_same_kind, new, own))
    return True


# --- metrics.jsonl


def read_records(path, first=None):
    """The records in the metrics.jsonl at `path`, in order, or the `first` of them; none where
    there is no such file.

    The last line, where a kill has torn it, is left out. CheckpointError, with the number of the
    line, for any other that a run could not have written.
    """
    if not path.exists():
        return []
    try:
        content = read_bytes(path, METRICS_BYTES, packed=False)
    except ReadingError as error:
        raise CheckpointError(f"{path}: {error}") from None
    *whole, torn = content.split(b"\n")
    lines, checked = [*whole, torn] if torn else whole, Records()
    for number, line in enumerate(lines[:first], start=1):
        try:
            if len(line) > LINE_BYTES:
                raise ReadingError(f"has {len(line):,} bytes, more than {LINE_BYTES:,}")
            checked.add(parse_json(line))
        except ValueError as error:
            if number > len(whole) and isinstance(error, ReadingError):
                break
            fault = " ".join(str(error).split())
            raise CheckpointError(f"{path}, line {number}: {fault:.300}") from None
    return checked.records


class Records:
    """Records of one run, each checked against those before it."""

    def __init__(self):
        self.records, self.sizes = [], []
        self.epochs = self.steps_per_epoch = 0
        self.known = None  # what reallocations say of the threshold, all of them the same
        self.positions = None  # of each tensor, after the last record, where a run records them

    def add(self, record):
        """Take over a record. ValueError unless it has the fields of its kind and no others, each
        with a value that may follow on the records before."""
        kind = record.get("kind") if isinstance(record, dict) else None
        if kind not in ("setup", "epoch", "reallocation"):
            raise ValueError("is no record of a setup, an epoch or a reallocation")
        if (kind == "setup") != (not self.records):
            raise ValueError("a run has one setup, and it comes first")
        last = self.records[-1] if self.records else {"step": 0, "explored": 0}
        end = (self.epochs + 1) * self.steps_per_epoch  # of this epoch; 0 while it is not known
        first = max(last["step"], end if kind == "epoch" else 0)
        fields = {"step": _whole(first, end or MOST), "free_parameters": _whole(),
                  "explored": _number(last["explored"], 1), **getattr(self, f"_{kind}")(record)}
        odd = sorted(record.keys() ^ {"kind", *fields})
        if odd:
            raise ValueError(f"{odd[0]!r:.80} is {'missing' if odd[0] in fields else 'unknown'}")
        for name, (fine, allowed) in fields.items():
            if not fine(record[name]):
                raise ValueError(f"{name} must be {allowed}, not {record[name]!r:.80}")
        if kind == "setup":
            self.sizes = [t["size"] for t in record["tensors"]]
        if "start" in record:
            self.positions = moves.at_start(record)
        if "born" in record:
            self.positions = moves.after(self.positions, record, self.sizes)
        self.records.append(record)
        if kind == "epoch":
            self.epochs, self.steps_per_epoch = self.epochs + 1, record["step"] // record["epoch"]

    def _setup(self, record):
        rules = sorted({method.budget_rule for method in METHODS.values()})
        start = {"start": _texts(record.get("tensors"))} if "start" in record else {}
        return {"network": (_is_name, "a name"), **start,
                "data": (_is_data, "what a data set is like: image, classes, mean, std, and how "
                                   "many images there are"),
                "budget": (lambda v: v in rules, f"one of {', '.join(rules)}"),
                "options": (lambda v: type(v) is dict and all(map(_is_option, v.values())),
                            "an object of numbers, texts, true, false, null, and lists of them"),
                "tensors": (lambda v: type(v) is list and all(map(_is_tensor, v)),
                            "a list of tensors, each with name, shape, size and active")}

    def _epoch(self, record):
        epoch = self.epochs + 1
        parts = ["train", "test"]
        if self.records[0]["data"]["validation"]:  # then test images are for the end
            parts = ["train", "validation", *["test"] * ("test_loss" in record)]
        return {"epoch": _whole(epoch, epoch), "active": _each(self.sizes),
                "images_per_s": _number(0)} | {
                    f"{part}_{name}": rule for part in parts
                    for name, rule in (("loss", _number(0)), ("accuracy", _number(0, 100)))}

    def _reallocation(self, record):
        moved = _each([MOST] * len(self.sizes))
        K = sum(record["pruned"]) if moved[0](record.get("pruned")) else 0
        threshold = {"H": _number(SMALLEST_H, LARGEST_H), "next_H": _number(SMALLEST_H, LARGEST_H),
                     "N_p": _whole(1), "delta": _number(0, 1),
                     "keep_one": (lambda v: type(v) is bool, "true or false")}
        if self.known is None:
            self.known = {name for name in threshold if record.get(name) is not None}
        texts = () if self.positions is None else ("died", "born")
        return dict.fromkeys(texts, _texts(self.sizes)) | {
            "K": _whole(K, K), "pruned": moved, "grown": moved, "active": _each(self.sizes)} | {
            name: rule if name in self.known else (lambda v: v is None, "null, as before")
            for name, rule in threshold.items()}


def check_count(history, counted):
    """Raise CheckpointError unless these are at least the `counted` records that the checkpoint
    beside them counts on."""
    if len(history.records) < counted:
        raise CheckpointError(f"{history.path}: has {len(history.records)} records, and the "
                              f"checkpoint counts on {counted}; put all of it back, or train again "
                              "with another --out")


def check_history(history, trainer):
    """Raise CheckpointError unless these records are of the run of `trainer`, up to its step."""
    path, epochs = history.path, trainer.t // trainer.steps_per_epoch
    if len(history.epochs) != epochs:
        raise CheckpointError(f"{path}: has {len(history.epochs)} epochs, and the checkpoint is of "
                              f"step {trainer.t}, after {epochs}; the two are not of one run")
    if not history.records:
        return
    layers = trainer.model.sparsifiable_layers()
    dataset = trainer.dataset
    own = {"network": trainer.model_name, "budget": trainer.method.budget_rule,
           "image": list(dataset.train_x.shape[1:]), "classes": list(dataset.classes),
           **dataset.sizes(),
           **{name: to_host(getattr(dataset, name)).tolist() for name in ("mean", "std")},
           "tensors": {name: list(layer.weight.shape) for name, layer in layers.items()},
           "start": moves.recorded_by(trainer)}
    setup = history.setup | history.setup["data"] | {
        "tensors": {t["name"]: t["shape"] for t in history.setup["tensors"]},
        "start": history.recorded}
    for name, value in own.items():
        if setup[name] != value:
            raise CheckpointError(f"{path}: the {name} of its setup is not that of this run")


def _whole(least=0, most=MOST):
    """Is it a whole number, in this range? With what is allowed, in words."""
    return (lambda v: type(v) is int and least <= v <= most), (
        f"{least}" if least == most else f"a whole number in {least}..{most}")


def _number(least, most=float_info.max):
    """Is it a number, in this range?"""
    return (lambda v: type(v) in (int, float) and least <= v <= most), (
        f"a number in [{least:g}, {most:g}]")


def _each(sizes):
    """Is it a list of whole numbers, each within the size of a tensor?"""
    return (lambda v: type(v) is list and len(v) == len(sizes) and all(
        type(n) is int and 0 <= n <= size for n, size in zip(v, sizes, strict=True))), (
        f"a list of {len(sizes)} whole numbers, one for each tensor, within its size")


def _texts(tensors):
    """Is it a list of texts, one for each of these?"""
    many = len(tensors) if type(tensors) is list else 0
    return (lambda v: type(v) is list and len(v) == many and all(type(t) is str for t in v)), (
        f"a list of {many} texts, one for each tensor")


def _is_name(value):
    return type(value) is str and bool(NAME.fullmatch(value))


def _is_option(value):
    if type(value) is list:
        return not any(type(one) is list for one in value) and all(map(_is_option, value))
    return value is None or type(value) in (bool, int, float, str)


def _is_tensor(value):
    return (type(value) is dict and value.keys() == {"name", "shape", "size", "active"}
            and _is_name(value["name"]) and _whole(1)[0](value["size"])
            and type(value["shape"]) is list and 1 <= len(value["shape"]) <= DIMENSIONS
            and all(_whole(1, value["size"])[0](n) for n in value["shape"])
            and math.prod(value["shape"]) == value["size"]
            and _whole(0, value["size"])[0](value["active"]))


def _is_data(value):
    counts = {"train": 1, "validation": 0, "test": 0}
    if type(value) is not dict or value.keys() != {"image", "classes", "mean", "std", *counts}:
        return False
    image, mean, std = (value[name] for name in ("image", "mean", "std"))
    try:
        check_class_names(value["classes"])
    except ValueError:
        return False
    return (all(_whole(least, IMAGES)[0](value[name]) for name, least in counts.items())
            and _is_list(image, 3, _whole(1, SIDE)[0]) and math.prod(image) <= PIXELS
            and _is_list(mean, image[0], _number(-LARGEST, LARGEST)[0])
            and _is_list(std, image[0], _number(SMALLEST_H, LARGEST)[0]))


def _is_list(value, length, fine):
    return type(value) is list and len(value) == length and all(map(fine, value))
