"""Files from elsewhere, read without believing them: only regular ones, within a limit of bytes.

No size that a file states is believed before it is compared: with what is there, and with the
limit. So a reader never takes more memory than its limit and a little.
"""

import gzip
import math
import os
import stat
import zipfile
from pathlib import Path

import numpy as np
from numpy.lib import format as npy

CHUNK = 1 << 20  # bytes that are read at a time


class ReadingError(ValueError):
    """A file that cannot be read; the message is one line, without the file's name."""


def read_bytes(path, limit):
    """The content of the file at `path`, unpacked where it is gzip's, whatever its name says.

    Raises ReadingError where it is no regular file, or has more than `limit` bytes, unpacked too.
    """
    with _opened(path, limit) as file:
        packed = file.read(2) == b"\x1f\x8b"
        file.seek(0)
        try:
            content = (gzip.GzipFile(fileobj=file) if packed else file).read(limit + 1)
        except Exception as error:  # OSError, EOFError, zlib.error: all mean the same here
            raise ReadingError(one_line(error)) from error
    if len(content) > limit:
        raise ReadingError(f"unpacks to more than {limit:,} bytes")
    return content


def read_arrays(path, limit, *, packed=True):
    """{name: array} of the .npz file at `path`: numbers and bools only, each name once.

    packed: may members be compressed, as by numpy.savez_compressed? Raises ReadingError where it
    is anything else, or the arrays have more than `limit` bytes in all.
    """
    with _opened(path, limit + CHUNK) as file:
        try:
            with zipfile.ZipFile(file) as archive:
                members = archive.infolist()
                _check_members(members, limit, packed)
                return {m.filename.removesuffix(".npy"): _array(archive, m) for m in members}
        except ReadingError:
            raise
        except Exception as error:  # a damaged archive may raise anything
            raise ReadingError(one_line(error)) from error


def one_line(error):
    """Type and message of `error`, on one line."""
    return " ".join(f"{type(error).__name__}: {error}".split())


def _opened(path, limit):
    """The file at `path`, open to read bytes from. ReadingError unless it is a regular one."""
    path = Path(path)
    try:
        found = os.stat(path)
        if not stat.S_ISREG(found.st_mode):
            raise ReadingError("not a regular file")
        if found.st_size > limit:
            raise ReadingError(f"has {found.st_size:,} bytes, more than {limit:,}")
        return open(path, "rb")
    except OSError as error:
        raise ReadingError(error.strerror or one_line(error)) from error


def _check_members(members, limit, packed):
    names = [m.filename for m in members]
    if len(set(names)) != len(names):
        raise ReadingError("a name is there twice")
    total = sum(m.file_size for m in members)
    if total > limit:
        raise ReadingError(f"unpacks to {total:,} bytes, more than {limit:,}")
    methods = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED) if packed else (zipfile.ZIP_STORED,)
    for m in members:
        if not m.filename.endswith(".npy"):
            raise ReadingError(f"{m.filename!r} is no array")
        if m.compress_type not in methods:
            raise ReadingError(f"{m.filename!r} is compressed")


def _array(archive, member):
    """The array in a member of an .npz file; its bytes are as many as its header says."""
    with archive.open(member) as stream:
        header = {(1, 0): npy.read_array_header_1_0, (2, 0): npy.read_array_header_2_0}
        shape, fortran, dtype = header[npy.read_magic(stream)](stream)
        if dtype.kind not in "biuf" or dtype.names or dtype.subdtype:
            raise ReadingError(f"{member.filename!r} is {dtype}, not numbers")
        count = math.prod(shape)
        if count < 0 or count * dtype.itemsize != member.file_size - stream.tell():
            raise ReadingError(f"{member.filename!r} has not the bytes of {dtype} {shape}")
        array = np.empty(count, dtype)
        target = memoryview(array).cast("B") if count else memoryview(b"")
        done = 0
        while part := stream.read(CHUNK):  # reading to the end checks the checksum
            target[done:done + len(part)] = part
            done += len(part)
        if done != array.nbytes:
            raise ReadingError(f"{member.filename!r} ends early")
    return array.reshape(shape, order="F" if fortran else "C")
