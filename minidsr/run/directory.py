"""One run on disk: what its files are called, what they hold, what identifies it. No pickle.

    config.json      all hyperparameters, resolved     env.json     versions, BLAS, device, commit
    metrics.jsonl    the records of history.py         figures/     what `plot` draws
    checkpoint.npz   all that changes in training      lock         held by the process at work

A checkpoint has arrays as they are, everything else as JSON. The same state gives the same bytes.
Files are replaced atomically: at any moment there is the old one or the new one, whole. What a
checkpoint counts on is on the disk before it: the folder, and so many records of metrics.jsonl.
"""

import errno
import hashlib
import json
import os
from contextlib import contextmanager
from dataclasses import fields, replace
from pathlib import Path

import numpy as np

from ..backend import choose_device
from .config import Config
from .progress import TrainingError

CONFIG, ENVIRONMENT, METRICS, CHECKPOINT, FIGURES, LOCK = (
    "config.json", "env.json", "metrics.jsonl", "checkpoint.npz", "figures", "lock")
FORMAT = "minidsr-3"
OLDER = "of an older version, which this one does not read; train the run again, in another folder"

# What does not touch the results, except by rounding, and so may differ when a run is resumed.
MAY_DIFFER = {"data_dir", "device", "tf32", "engine", "threads", "check", "checkpoint_seconds"}


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
        values = {key: tuple(value) if isinstance(value, list) else value
                  for key, value in json.loads(path.read_text(encoding="utf-8")).items()}
        if values.pop("format", None) == FORMAT:
            known = {f.name for f in fields(Config)}
            options = {name: values.pop(name) for name in values.keys() - known}
            return Config(**values, options=options)
    except (OSError, ValueError, TypeError, AttributeError) as error:
        raise CheckpointError(f"{path}: not the config of a run ({error})") from None
    raise CheckpointError(f"{path}: {OLDER}")


def settled(run, config):
    """The config of the run in the folder `run`: its own if it was begun earlier.

    What `config` leaves at its default is the run's. What does not touch the results may differ.
    Raises CheckpointError for any other difference.
    """
    if not (run / CONFIG).exists():
        return config
    own, standard, changes = read_config(run), Config(), {}
    for name in (f.name for f in fields(Config)):
        asked = getattr(config, name)
        if asked not in (getattr(own, name), getattr(standard, name)):
            changes[name] = asked
    for name in changes.keys() - MAY_DIFFER:
        raise CheckpointError(f"{run}: was begun with {name} {getattr(own, name)}, "
                              f"not {changes[name]}; resume it as it is")
    asked, config = config, replace(own, **changes)
    if not asked.tf32 and choose_device(config.device) == "cpu":  # begun on a GPU
        config = replace(config, tf32=False)
    return config


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


def load(path):
    """The state that save() wrote. Raises CheckpointError; the file is left alone."""
    try:
        with open(path, "rb") as file, np.load(file, allow_pickle=False) as members:
            arrays = {key: members[key] for key in members.files}
        rest = json.loads(arrays.pop("header").tobytes())
        found = rest.pop("format")
    except FileNotFoundError:
        raise CheckpointError(f"{path}: no checkpoint there") from None
    except Exception as error:  # a damaged archive may raise anything
        fault = " ".join(f"{type(error).__name__}: {error}".split())
        raise CheckpointError(f"{path}: not a whole minidsr checkpoint ({fault})") from None
    if found != FORMAT:
        raise CheckpointError(f"{path}: {OLDER}")
    return rest | arrays


def load_run(path, config):
    """The same, for a run with this config. CheckpointError where it is of another."""
    state, own = load(path), identity(config)
    if state.get("run") != own:
        raise CheckpointError(f"{path}: is of {' '.join(state.get('run') or ['no run'])}, not of "
                              f"{' '.join(own)}")
    return state


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
    """In this context a failure to write, such as a full disk, is a TrainingError."""
    try:
        yield
    except OSError as error:
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
    try:
        new = [folder for folder in (out, *out.parents) if not folder.exists()]
        out.mkdir(parents=True, exist_ok=True)
        for folder in new:
            sync_folder(folder.parent)
        lock = FileLock(out / LOCK)
        lock.acquire(blocking=False)
        occupied = any(path.name != LOCK and path.suffix != ".partial" for path in out.iterdir())
    except Timeout:
        raise CheckpointError(f"{out}: another process is working in it") from None
    except OSError as error:
        raise CheckpointError(f"{out}: not usable as a run directory ({error})") from None
    try:
        if occupied and not (out / CONFIG).exists():
            raise CheckpointError(f"{out}: not empty, and no run is in it; choose another --out")
        if occupied and not resume:
            raise CheckpointError(f"{out}: not empty; add --resume to go on with the run in it, "
                                  "or choose another --out")
        yield out
    finally:
        lock.release()
