"""The records of a study in one file, NAME.tar.xz: of each run what tells of it, and no checkpoint.

    tar cJf NAME.tar.xz --exclude='checkpoint*' --exclude=logs -C runs/NAME .

Runs of equal seeds begin alike, which one file has once: it is a fraction of many.
"""

import tarfile
from contextlib import contextmanager
from pathlib import Path, PurePosixPath
from tempfile import TemporaryDirectory

from ..reading import one_line
from . import directory
from .directory import CheckpointError

SUFFIX = ".tar.xz"
NAMES = (directory.CONFIG, directory.ENVIRONMENT, directory.METRICS)
LIMIT = 1 << 30  # bytes, unpacked


def are_packed(path):
    """Is it such a file, by its name?"""
    return path.name.endswith(SUFFIX) and path.is_file()


@contextmanager
def unpacked(path):
    """A folder with the run directories that are in this file, as long as the context lasts.
    CheckpointError where it is damaged, too large, or has no run."""
    with TemporaryDirectory(prefix="minidsr-") as folder:
        try:
            with tarfile.open(path, "r:xz") as tar:
                _unpack(tar, Path(folder))
            if not any(Path(folder).iterdir()):
                raise ValueError("no run is in it")
        except Exception as error:  # a damaged one may raise anything
            raise CheckpointError(f"{path}: no sound records of a study ({one_line(error)})"
                                  ) from error
        yield Path(folder)


def _unpack(tar, folder):
    size = 0
    for member in tar:
        size += member.size
        if size > LIMIT:
            raise ValueError(f"unpacks to more than {LIMIT:,} bytes")
        name = PurePosixPath(member.name)
        run = name.parent.name
        if member.isfile() and name.name in NAMES and run not in ("", ".."):
            (folder / run).mkdir(exist_ok=True)
            (folder / run / name.name).write_bytes(tar.extractfile(member).read())
