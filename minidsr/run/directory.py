"""One run on disk: what its files are called, what they hold, what identifies it. No pickle.

    config.json      all hyperparameters, resolved     env.json     versions, BLAS, device, commit
    metrics.jsonl    the records of history.py         figures/     what `plot` draws
    checkpoint.npz   all that changes in training      lock         held by the process at work

Beside the runs of a study, study.json lists them.

A checkpoint has arrays as they are, everything else as JSON. The same state gives the same bytes.
Files are replaced atomically: at any moment there is the old one or the new one, whole. What a
checkpoint counts on is on the disk before it: the folder, and so many records of metrics.jsonl.
"""

import errno
import hashlib
import json
import math
import os
from contextlib import contextmanager, suppress
from dataclasses import fields, replace
from pathlib import Path

import numpy as np

from ..backend import choose_device
from ..checks import check_choice, check_folder, shown
from ..data import DATASETS
from ..methods import METHODS
from ..nn import models
from ..reading import parse_json, read_arrays, read_bytes
from ..schedules import SCHEDULES
from .config import Config
from .progress import TrainingError

CONFIG, ENVIRONMENT, METRICS, CHECKPOINT, FIGURES, LOCK = (
    "config.json", "env.json", "metrics.jsonl", "checkpoint.npz", "figures", "lock")
STUDY = "study.json"
FORMAT = "minidsr-4"
CONFIG_BYTES = 1 << 20  # that a config.json has at most
OLDER = "of an older version, which this one does not read; train the run again, in another folder"

# What does not touch the results, except by rounding, and so may differ when a run is resumed.
MAY_DIFFER = {"data_dir", "device", "tf32", "engine", "threads", "check", "checkpoint_seconds",
              "log_every"}


class CheckpointError(ValueError):
    """A checkpoint or run directory cannot be used; the message says why, in one line."""


# --- what identifies a run


def identity(config):
    """What a checkpoint must agree in: in words, and a digest of all that determines results."""
    values = {name: value for name, value in config.resolved().items() if name not in MAY_DIFFER}
    digest = hashlib.sha256(json.dumps(values, sort_keys=True).encode()).hexdigest()
    return [config.model, config.method, config.data, digest[:16]]


# --- config.json


def write_config(run, config):
    """Write config.json."""
    write_json(run / CONFIG, {"format": FORMAT, **config.resolved()})


def read_config(run):
    """The Config of the run in the folder `run`. Raises CheckpointError, in one line."""
    path = Path(run) / CONFIG
    if not path.exists():
        raise CheckpointError(f"{run}: not a run directory, it has no {CONFIG}")
    try:
        values = parse_json(read_bytes(path, CONFIG_BYTES, packed=False))
        if not isinstance(values, dict):
            raise ValueError("it is no object")
        if values.pop("format", None) == FORMAT:
            unknown = _unknown(values)
            if not unknown:
                return _config(values)
            raise CheckpointError(f"{path}: {unknown} is not known; if it is yours, add --import "
                                  "and the module that has it")
    except CheckpointError:
        raise
    except ValueError as error:
        fault = f"{' '.join(str(error).split()):.400}"
        raise CheckpointError(f"{path}: not the config of a run ({fault})") from None
    raise CheckpointError(f"{path}: {OLDER}")


def _unknown(values):
    """Which of the names in a config is in no registry, in words; or None."""
    for name, registry in (("method", METHODS), ("data", DATASETS), ("model", models.MODELS),
                           ("lr_schedule", SCHEDULES)):
        value = values.get(name)
        if isinstance(value, str) and value not in registry and not (
                name == "model" and models.NAME.fullmatch(value)):
            return f"the {name} {shown(value)}"
    return None


def _config(values):
    """The Config with these values, as its resolved() has them: all of them, and no others."""
    values = {name: tuple(v) if isinstance(v, list) else v for name, v in values.items()}
    check_choice("method", values.get("method"), METHODS)
    known = {f.name for f in fields(Config)} - {"options"}
    options = {name: value for name, value in values.items() if name not in known}
    config = Config(**{name: values[name] for name in values.keys() & known}, options=options)
    for name, value in config.resolved().items():
        if value is not None and values.get(name) is None or name not in values:
            raise ValueError(f"{name} is missing")
    return config


def has_run(run):
    """Is there a run in the folder `run`?"""
    return os.path.exists(Path(run) / CONFIG)


def read_environment(run):
    """What env.json of the run in the folder `run` says; {} where there is none. Raises
    CheckpointError, in one line."""
    path = Path(run) / ENVIRONMENT
    if not path.exists():
        return {}
    try:
        values = parse_json(read_bytes(path, CONFIG_BYTES, packed=False))
    except ValueError as error:
        raise CheckpointError(f"{path}: {error}") from None
    earlier = values.get("earlier_commits", []) if isinstance(values, dict) else None
    if not (isinstance(earlier, list) and isinstance(values.get("versions", {}), dict)
            and all(isinstance(commit, str | None) for commit in earlier)):
        raise CheckpointError(f"{path}: not the environment of a run")
    return values


def settled(run, config=None):
    """The config to train by in the folder `run`, or in none: that of the run in it, if there is.

    config  None: the run's own, then there must be one. Else it must be the run's, but for what
            does not touch the results; or the run's, extended

    Raises CheckpointError for a difference, which it names.
    """
    if config is None and run is None:
        raise CheckpointError("give a config, or the directory of a run to go on with")
    if config is None:
        return own_config(run)
    if run is None or not has_run(run):
        return config
    own = read_config(run)
    stage = next((s for s in config.stages() if s.extended_at == own.extended_at), config)
    _check_given(run, own, stage.resolved())
    if stage is not config:
        return config
    return replace(own, **{name: getattr(config, name) for name in MAY_DIFFER})


def own_config(run, **given):
    """The config of the run in the folder `run`, with what is `given`: only what does not touch the
    results may differ from the run's own. Raises CheckpointError for any other difference."""
    own, options = read_config(run), given.pop("options", {})
    _check_given(run, own, given | options)
    config = replace(own, **given, options=own.options | options)
    if "tf32" not in given and choose_device(config.device) == "cpu":  # begun on a GPU
        config = replace(config, tf32=False)
    return config


def _check_given(run, own, given):
    values = own.resolved()
    for name, value in given.items():
        if name in values and name not in MAY_DIFFER and value != values[name]:
            longer = name == "epochs" and value > own.epochs
            todo = f"train --resume --extend-epochs {value} trains it longer" if longer else (
                "leave that out to go on with it, or choose another --out")
            begun = "its default" if values[name] is None else shown(values[name])
            raise CheckpointError(f"{run}: was begun with {name} {begun}, not "
                                  f"{shown(value)}; {todo}")


def extended(run, epochs, config=None):
    """The config to train the run in the folder `run` on to so many epochs, from its checkpoint;
    `config` is its own, unless given. With the length that the run has already, it is that.

    train() takes it, with resume=True.
    """
    config, path, step = config or own_config(run), Path(run) / CHECKPOINT, 0
    if epochs == config.epochs:
        return config
    if path.exists():
        step = load_run(path, config).get("t")  # Config checks its type, Trainer.load() the rest
    return config.extended(epochs, step)


def reached(run):
    """(step, records) of the checkpoint in the folder `run`: how far training has come, and on how
    many records of metrics.jsonl it counts. (None, 0) where there is none."""
    path = Path(run) / CHECKPOINT
    if not os.path.exists(path):  # Path's raises where a name is too long
        return None, 0
    state = load(path)
    if type(state.get("records")) is not int:
        raise CheckpointError(f"{path}: does not say on how many records it counts")
    return state.get("t"), state["records"]


# --- checkpoint.npz


def joined(**parts):
    """One state of several: {"model": {"a": 1}} becomes {"model/a": 1}."""
    return {f"{part}/{key}": value for part, state in parts.items() for key, value in state.items()}


def part(state, name):
    """The reverse: what a joined() state has under `name`."""
    return {key.removeprefix(f"{name}/"): value for key, value in state.items()
            if key.startswith(f"{name}/")}


def save(path, state):
    """Write state, {name: array or JSON value}, to `path`. Raises OSError; the old file stays."""
    arrays = {key: value for key, value in state.items() if isinstance(value, np.ndarray)}
    rest = {key: value for key, value in state.items() if key not in arrays}
    header = json.dumps({"format": FORMAT, **rest}, sort_keys=True,
                        allow_nan=False).encode()
    with replacing(path) as file:
        np.savez(file, header=np.frombuffer(header, np.uint8), **arrays)


def load(path, limit=math.inf):
    """The state that save() wrote, in arrays of at most `limit` bytes; what it holds is for
    schema.py to check. Raises CheckpointError; the file is left alone."""
    if not Path(path).exists():
        raise CheckpointError(f"{path}: no checkpoint there")
    try:
        arrays = read_arrays(path, limit, packed=False)
        if "header" not in arrays:
            raise ValueError("it has no header")
        rest = parse_json(arrays.pop("header").tobytes())
        if not isinstance(rest, dict) or rest.keys() & arrays.keys():
            raise ValueError("its header is no object, or names what is an array")
    except ValueError as error:
        raise CheckpointError(f"{path}: not a whole minidsr checkpoint ({error})") from None
    if rest.pop("format", None) != FORMAT:
        raise CheckpointError(f"{path}: {OLDER}")
    return rest | arrays


def load_run(path, config, limit=math.inf):
    """The same, for a run with this config: of it, or of what it was when it was extended.
    CheckpointError where it is of another."""
    state, steps = load(path, limit), []
    run, t = (None if isinstance(state.get(name), np.ndarray) else state.get(name)
              for name in ("run", "t"))
    for stage in config.stages():  # one of an earlier stage is there until the next is saved
        if run == identity(stage) and all(t == step for step in steps):
            return state
        steps += stage.extended_at[-1:]
    found = " ".join(map(str, run)) if isinstance(run, list) else "no run"
    raise CheckpointError(f"{path}: is of {' '.join(found.split()):.200}, not of "
                          f"{' '.join(identity(config))}, as {CONFIG} says; one of the two has "
                          "been changed, or is of another run")


@contextmanager
def fitting(path):
    """In this context a ValueError is about the checkpoint at `path`: a CheckpointError."""
    try:
        yield
    except ValueError as error:
        raise CheckpointError(f"{path}: does not fit its run ({error})") from None


# --- files and the lock


def write_json(path, value):
    """Replace the file at `path` by `value` as JSON."""
    with replacing(path) as file:
        file.write(json.dumps(value, indent=1, allow_nan=False).encode() + b"\n")


@contextmanager
def replacing(path):
    """A binary file to write to, which takes the place of `path` when all is written, or never."""
    path = Path(path)
    temporary = path.with_name(path.name + ".partial")
    try:
        with open(temporary, "wb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
        sync_folder(path.parent)
    finally:
        temporary.unlink(missing_ok=True)


def sync_folder(path):
    """Have the names in the folder `path` outlast a crash of the machine, where that can be had."""
    try:
        folder = os.open(path, os.O_RDONLY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)
    except OSError as error:  # Windows opens no folder; some network drives cannot do it
        if error.errno not in (errno.EACCES, errno.EINVAL):
            raise


@contextmanager
def writing_to(out):
    """In this context a failure to write to the run directory `out`, such as a full disk, is a
    TrainingError; without one, None, it stays what it is."""
    try:
        yield
    except OSError as error:
        if out is None:
            raise
        raise TrainingError(f"cannot write to {out} ({error.strerror or error}); "
                            "the last checkpoint stays, go on with --resume") from error


@contextmanager
def claimed(out, *, resume):
    """In this context the run directory `out` is ours.

    Raises CheckpointError where another process works in it, where it holds a run and `resume` is
    False, or other files. The lock goes with the process, however that ends.
    """
    from filelock import FileLock, Timeout

    out = Path(out)
    lock, made = FileLock(out / LOCK), [p for p in (out, *out.parents) if not os.path.exists(p)]
    try:
        check_usable(out, resume=resume)  # before anything is written
        try:
            out.mkdir(parents=True, exist_ok=True)
            for folder in made:
                sync_folder(folder.parent)
            lock.acquire(blocking=False)
        except Timeout:
            raise CheckpointError(f"{out}: another process is working in it") from None
        except OSError as error:
            raise CheckpointError(f"{out}: not usable as a run directory "
                                  f"({error.strerror})") from None
        check_usable(out, resume=resume)  # another one may have begun in between
        yield out
    finally:
        with suppress(OSError):  # Windows removes no file that is open
            if lock.is_locked and _names(out) <= {LOCK}:  # refused before anything was written
                (out / LOCK).unlink()
        lock.release()
        with suppress(OSError):  # where something is in it
            for path in made:
                path.rmdir()


def check_usable(out, *, resume):
    """Raise ValueError unless `out` may become a run directory or, with `resume`, is one. Nothing
    is written."""
    check_folder(out)
    try:
        empty = _names(out) <= {LOCK}
    except OSError as error:
        raise CheckpointError(f"{out}: not usable as a run directory ({error.strerror})") from None
    if not empty and not has_run(out):
        raise CheckpointError(f"{out}: not empty, and no run is in it; choose another --out")
    if not empty and not resume:
        raise CheckpointError(f"{out}: not empty; add --resume to go on with the run in it, "
                              "or choose another --out")


def _names(out):
    """The files in the folder `out`, but for those that a kill has left half written."""
    there = os.path.exists(out)
    return {path.name for path in out.iterdir() if path.suffix != ".partial"} if there else set()
