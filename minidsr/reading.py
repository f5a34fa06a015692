"""Files from elsewhere, read without believing them: only regular ones, within a limit of bytes.

No size that a file states is believed before it is compared: with what is there, and with the
limit. So no file takes more memory than its reader's limit, and unpacking a few times that.
"""

import gzip
import io
import json
import math
import os
import re
import stat
import sys
import zipfile
from contextlib import contextmanager
from functools import partial

import numpy as np

CHUNK = 1 << 20  # bytes that are read at a time
CONTENTS = 1 << 23  # bytes of an archive's table of contents; in memory they are ten times as many
DIGITS = 39  # of whole numbers in JSON, at most: 2^128, as the state of a random generator has them

STORED, PACKED = (zipfile.ZIP_STORED,), (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)
ADDED = re.compile(r".*/|(.*/)?(__MACOSX/.*|\.DS_Store)")  # members that are no files of the user's

# The header of an array, as NumPy's numpy.lib.format describes it: a length, and a Python dict. It
# is matched, not evaluated. NumPy's own readers evaluate it, warn of the L that Python 2 wrote, and
# are public for versions 1 and 2 only.
MAGIC = re.compile(rb"\x93NUMPY(?:\x01\x00(..)|[\x02\x03]\x00(....))", re.DOTALL)
SAYS = re.compile(rb"\{'descr': (.+), 'fortran_order': (True|False), "
                  rb"'shape': \(([\dL, ]*)\),? *\} *\n?")
NUMBER = re.compile(r"'([<>|=]?(?:b1|[iu][1248]|f[248]))'")
TEXT = re.compile(r"'([<>=]?U[1-9]\d{0,3})'")


class ReadingError(ValueError):
    """A file that cannot be read; the message is one line, without the file's name."""


def read_bytes(path, limit, *, packed=True):
    """The content of the file at `path`, unpacked where it is gzip's, whatever its name says.

    packed: may it be gzip's? Raises ReadingError where it is no regular file, or has more than
    `limit` bytes, unpacked too.
    """
    with _opened(path, limit) as file:
        try:
            packed = packed and file.read(2) == b"\x1f\x8b"
            file.seek(0)
            content = (gzip.GzipFile(fileobj=file) if packed else file).read(limit + 1)
        except Exception as error:  # OSError, EOFError, zlib.error: all mean the same here
            raise ReadingError(one_line(error)) from error
    if len(content) > limit:
        raise ReadingError(f"unpacks to more than {limit:,} bytes")
    return content


def read_arrays(path, limit, *, packed=True, texts=False):
    """{name: array} of the .npz file at `path`: numbers of at most 8 bytes, and bools.

    Arrays are in the machine's own byte order; each name is there once.
    packed: may members be compressed, as by numpy.savez_compressed? texts: may there be arrays of
    texts? Raises ReadingError where it is anything else, or the arrays have more than `limit`
    bytes in all.
    """
    with _opened(path, limit + CHUNK) as file, _archive(file) as archive:
        members = archive.infolist()
        _check_members(members, ".npy", file, limit, PACKED if packed else STORED)
        return {m.filename.removesuffix(".npy"): _array(archive, m, texts) for m in members}


def read_archives(path, limit):
    """[(name, {name: array})] of the .npz file at `path`, with the name "", or of each in a zip of
    such files, with its name there.

    Other programs may have packed it again: members lie in folders, beside what macOS adds. Else as
    read_arrays(); `limit` is for all together.
    """
    with _opened(path, limit + CHUNK) as file, _archive(file) as archive:
        files = [m for m in _members(archive) if m.filename.endswith(".npz")]
        if not files:
            return [("", _arrays(archive, file, limit))]
        _check_members(_members(archive), ".npz", file, limit, PACKED)
        found, left = [], limit
        for m in files:
            with archive.open(m) as stream:  # at once, zipfile would unpack more than it is to have
                content = io.BytesIO(b"".join(iter(partial(stream.read, CHUNK), b"")))
            try:
                with _archive(content) as inner:
                    arrays = _arrays(inner, content, left)
            except ReadingError as error:
                raise ReadingError(f"{m.filename!r}: {error}") from error
            found.append((m.filename, arrays))
            left -= sum(array.nbytes for array in arrays.values())
        return found


def parse_json(content):
    """What the JSON text `content`, bytes in UTF-8, says.

    Raises ReadingError where it is none, and for what programs read differently: a name twice in
    one object, NaN, Infinity, numbers that do not fit, nesting too deep.
    """
    try:
        return json.loads(content.decode(), object_pairs_hook=_each_name_once,
                          parse_int=_whole_number, parse_float=_number, parse_constant=_number)
    except ReadingError:
        raise
    except RecursionError:
        raise ReadingError("lists within lists, too deep") from None
    except ValueError as error:
        raise ReadingError(one_line(error)) from None


def one_line(error):
    """Type and message of `error`, on one line."""
    return " ".join(f"{type(error).__name__}: {error}".split())


class _Archive:
    """A file, as zipfile reads it: the table of contents in one piece, whatever its size."""

    def __init__(self, file):
        self.seek, self.tell, self.seekable, self._read = (
            file.seek, file.tell, file.seekable, file.read)

    def read(self, size=-1):
        if size > CONTENTS:
            raise ReadingError(f"its table of contents has {size:,} bytes, more than {CONTENTS:,}")
        return self._read(size)


@contextmanager
def _archive(file):
    """The archive in an open file. ReadingError for whatever is wrong with it, in the context, too.
    """
    try:
        with zipfile.ZipFile(_Archive(file)) as archive:
            yield archive
    except ReadingError:
        raise
    except Exception as error:  # a damaged archive may raise anything
        raise ReadingError(f"no sound .npz file ({one_line(error)})") from error


def _members(archive):
    """Its members, but for folders and what macOS adds."""
    return [m for m in archive.infolist() if not ADDED.fullmatch(m.filename)]


def _arrays(archive, file, limit):
    members = _members(archive)
    _check_members(members, ".npy", file, limit, PACKED)
    return {m.filename.removesuffix(".npy"): _array(archive, m, False) for m in members}


def _opened(path, limit):
    """The file at `path`, open to read bytes from. ReadingError unless it is a regular one."""
    try:
        found = os.stat(path)  # before it is opened: to open a pipe waits for one who writes
        if stat.S_ISREG(found.st_mode) and found.st_size <= limit:
            return open(path, "rb")
    except (OSError, ValueError) as error:  # ValueError: a null in the name
        raise ReadingError(getattr(error, "strerror", None) or one_line(error)) from error
    raise ReadingError(f"has {found.st_size:,} bytes, more than {limit:,}"
                       if stat.S_ISREG(found.st_mode) else "not a regular file")


def _each_name_once(pairs):
    names = [name for name, _ in pairs]
    if len(set(names)) != len(names):
        raise ReadingError(f"{max(names, key=names.count)!r:.40} is there twice")
    return dict(pairs)


def _whole_number(text):
    if len(text.lstrip("-")) > DIGITS:
        raise ReadingError(f"a number of {len(text):,} digits, more than {DIGITS}")
    return int(text)


def _number(text):
    if not math.isfinite(float(text)):
        raise ReadingError(f"{text:.40} is no finite number")
    return float(text)


def _check_members(members, suffix, file, limit, methods):
    names = [m.filename for m in members]
    if len(set(names)) != len(names):
        raise ReadingError("a name is there twice")
    total = sum(m.file_size for m in members)
    if total > limit:
        raise ReadingError(f"unpacks to {total:,} bytes, more than {limit:,}")
    # else a small file could take hours
    if sum(m.compress_size for m in members) > file.seek(0, os.SEEK_END):
        raise ReadingError("its members overlap")
    for m in members:
        if not m.filename.endswith(suffix):
            raise ReadingError(f"{m.filename!r} is no array" if suffix == ".npy" else
                               f"{m.filename!r} is no {suffix} file, as others beside it are")
        if m.compress_type not in methods:
            raise ReadingError(f"{m.filename!r} is compressed" + (
                ", and not by deflate" if methods == PACKED else ""))


def _array(archive, member, texts):
    """The array in a member of an .npz file; its bytes are as many as its header says."""
    name = repr(member.filename)
    with archive.open(member) as stream:
        start = stream.read(CHUNK)
        dtype, shape, fortran, begin = _header(name, start, texts)
        count = math.prod(shape)
        if count * dtype.itemsize != member.file_size - begin:
            raise ReadingError(f"{name} has not the bytes of {dtype} {shape}")
        array = np.empty(count, dtype)
        target, done, part = array.view(np.uint8), 0, start[begin:]
        while part:  # reading to the end checks the checksum
            target[done:done + len(part)] = np.frombuffer(part, np.uint8)
            done += len(part)
            part = stream.read(CHUNK)
        if done != array.nbytes:
            raise ReadingError(f"{name} ends early")
    if dtype.kind == "b" and target.max(initial=0) > 1:
        raise ReadingError(f"{name} has bools other than 0 and 1")
    if not dtype.isnative:
        array = array.byteswap(inplace=True).view(dtype.newbyteorder())
    if dtype.kind == "U" and array.view(np.uint32).max(initial=0) > sys.maxunicode:
        raise ReadingError(f"{name} has what is no text")
    return array.reshape(shape, order="F" if fortran else "C")


def _header(name, start, texts):
    """(dtype, shape, fortran, where the numbers begin) of the array whose bytes start so."""
    magic = MAGIC.match(start)
    begin = magic and magic.end() + int.from_bytes(magic[1] or magic[2], "little")
    said = begin and begin <= len(start) and SAYS.fullmatch(start, magic.end(), begin)
    if not said:
        raise ReadingError(f"{name} does not begin as an array")
    descr = said[1].decode("latin1")
    if not (NUMBER.fullmatch(descr) or texts and TEXT.fullmatch(descr)):
        raise ReadingError(f"{name} is {ascii(descr)[1:-1]}, not numbers")
    shape = tuple(int(n) for n in re.findall(rb"\d+", said[3]))
    return np.dtype(descr.strip("'")), shape, said[2] == b"True", begin
