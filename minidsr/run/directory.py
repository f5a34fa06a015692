"""Checkpoints and run directories: nothing lost, nothing overwritten, no pickle.

A checkpoint is one .npz file: arrays as they are, everything else as JSON. The same state gives the
same bytes. Files are replaced atomically: at any moment there is the old one or the new one, whole.
"""

import json
import os
from contextlib import contextmanager
from pathlib import Path

import numpy as np

FORMAT = "minidsr-1"


class CheckpointError(ValueError):
    """A checkpoint or run directory cannot be used; the message says why, in one line."""


def save(path, state):
    """Write state, {name: array or JSON value}, to `path`. Raises OSError; the old file stays."""
    arrays = {key: value for key, value in state.items() if isinstance(value, np.ndarray)}
    rest = {key: value for key, value in state.items() if key not in arrays}
    header = json.dumps({"format": FORMAT, **rest}, sort_keys=True).encode()
    with replacing(path) as file:
        np.savez(file, header=np.frombuffer(header, np.uint8), **arrays)


def load(path):
    """The state that save() wrote. Raises CheckpointError; the file is left alone."""
    try:
        with open(path, "rb") as file, np.load(file, allow_pickle=False) as members:
            arrays = {key: members[key] for key in members.files}
        rest = json.loads(arrays.pop("header").tobytes())
        if rest.pop("format") != FORMAT:
            raise ValueError("another format")
    except FileNotFoundError:
        raise CheckpointError(f"{path}: no checkpoint there") from None
    except Exception as error:  # a damaged archive may raise anything
        fault = " ".join(f"{type(error).__name__}: {error}".split())
        raise CheckpointError(f"{path}: not a whole minidsr checkpoint ({fault})") from None
    return rest | arrays


def write_json(path, value):
    """Replace the file at `path` by `value` as JSON."""
    with replacing(path) as file:
        file.write(json.dumps(value, indent=1).encode() + b"\n")


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
    finally:
        temporary.unlink(missing_ok=True)


@contextmanager
def claimed(out, *, resume):
    """In this context the run directory `out` is ours.

    Raises CheckpointError where another process works in it, or where it holds files and `resume`
    is False. The lock goes with the process, however that ends.
    """
    from filelock import FileLock, Timeout

    out = Path(out)
    try:
        out.mkdir(parents=True, exist_ok=True)
        lock = FileLock(out / "lock")
        lock.acquire(blocking=False)
        occupied = any(path.name != "lock" for path in out.iterdir())
    except Timeout:
        raise CheckpointError(f"{out}: another process is working in it") from None
    except OSError as error:
        raise CheckpointError(f"{out}: not usable as a run directory ({error})") from None
    try:
        if occupied and not resume:
            raise CheckpointError(f"{out}: not empty; add --resume to go on with the run in it, "
                                  "or choose another --out")
        yield out
    finally:
        lock.release()
