"""Foreign files: numbers are read as they were written, whoever wrote them; all else is refused."""

import gzip
import io
import os
import socket
import tempfile
import tracemalloc
import zipfile
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.lib import format as npy

from minidsr import reading
from minidsr.proof.cases import seeds
from minidsr.reading import ReadingError, read_archives, read_arrays, read_bytes

NUMBERS = ["?", "i1", "u1", *(order + code for order in "<>" for code in (
    "i2", "u2", "f2", "i4", "u4", "f4", "i8", "u8", "f8"))]
OTHERS = ["O", "V3", "V0", "S2", "S0", "U1", "c8", ">c16", "M8[s]", "m8[D]", "g", "i4,f4"]
SHAPES = st.lists(st.integers(0, 3), max_size=3).map(tuple) | st.just((0, 10**18))
LIMIT = 1 << 20


class Unseekable(io.BytesIO):
    """As a pipe: zipfile then writes sizes after the content, in a data descriptor."""

    def seekable(self):
        return False

    def tell(self):
        raise OSError


def member(array, version=None):
    file = io.BytesIO()
    npy.write_array(file, array, version)
    return file.getvalue()


def header(descr, shape, rest=b""):
    """An array that says what it may not be."""
    text = f"{{'descr': {descr}, 'fortran_order': False, 'shape': {shape}, }}\n".encode()
    return b"\x93NUMPY\x01\x00" + len(text).to_bytes(2, "little") + text + rest


def archive(members, file=None, method=zipfile.ZIP_STORED, comment=b"", zip64=False):
    """The bytes of a zip file of {name: content}."""
    file = io.BytesIO() if file is None else file
    with zipfile.ZipFile(file, "w", method) as parts:
        for name, content in members.items():
            with parts.open(name, "w", force_zip64=zip64) as part:
                part.write(content)
        parts.comment = comment
    return file.getvalue()


@pytest.fixture
def path(tmp_path):
    return tmp_path / "arrays.npz"


def read(content, limit=LIMIT, **options):
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "arrays.npz")
        path.write_bytes(content)
        return read_arrays(path, limit, **options)


def refused(call, *args, match=None, **options):
    with pytest.raises(ReadingError, match=match) as caught:
        call(*args, **options)
    assert len(str(caught.value).splitlines()) == 1


# --- arrays


@given(st.lists(st.tuples(st.sampled_from(NUMBERS), SHAPES, st.booleans()), max_size=4),
       st.sampled_from([None, (1, 0), (2, 0), (3, 0)]),
       st.sampled_from([zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED]), st.booleans(), st.booleans(),
       st.sampled_from([b"", b"a comment", 60_000 * b"-"]), st.binary(max_size=9), seeds)
def test_what_was_written_is_read(kinds, version, method, pipe, zip64, comment, before, seed):
    """In any version, order of bytes and of axes, from a pipe or not, as zip64 or not; with a
    comment, or with something else before it."""
    rng, arrays = np.random.default_rng(seed), {}
    for i, (dtype, shape, fortran) in enumerate(kinds):
        array = rng.integers(0, 2 if dtype == "?" else 100, shape).astype(dtype)
        arrays[f"layer.{i}/a b/θ.npy"] = np.asfortranarray(array) if fortran else array
    content = archive({f"{name}.npy": member(array, version) for name, array in arrays.items()},
                      Unseekable() if pipe else None, method, comment, zip64)
    found = read(before + content)
    assert list(found) == list(arrays)
    for name, array in arrays.items():
        assert found[name].dtype == array.dtype.newbyteorder("=") and found[name].dtype.isnative
        assert found[name].shape == array.shape
        assert np.array_equal(found[name], array)


def test_each_bit_of_a_number_is_read():
    numbers = np.array([np.nan, -0.0, np.inf, 5e-324], ">f8")
    found = read(archive({"a.npy": member(numbers)}))["a"]
    assert found.tobytes() == numbers.astype("f8").tobytes()


@pytest.mark.parametrize("dtype", OTHERS)
@pytest.mark.parametrize("shape", [(), (0,), (2, 3)])
def test_other_types_are_refused(dtype, shape):
    array = np.zeros(shape, dtype)
    file = io.BytesIO()
    np.save(file, array)
    refused(read, archive({"a.npy": file.getvalue()}), match="^'a.npy' is .*, not numbers$")


@pytest.mark.parametrize("order", "<>")
@pytest.mark.parametrize("texts", [["ä", "", "b\U0010ffff"], [["a"], ["bc"]], []])
def test_texts_are_read_where_they_may_be(order, texts):
    array = np.array(texts, np.str_)
    content = archive({"a.npy": member(array.astype(array.dtype.newbyteorder(order)))})
    found = read(content, texts=True)["a"]
    assert found.dtype.isnative and found.tolist() == texts
    refused(read, content, match="^'a.npy' is .*, not numbers$")


def test_what_is_no_text_is_refused():
    code = np.array([0x110000], "<u4").tobytes()
    refused(read, archive({"a.npy": header("'<U1'", (1,), code)}), texts=True, match="no text")
    for descr in ("'<U0'", "'<U99999'", "'|S3'", "'|O'"):
        refused(read, archive({"a.npy": header(descr, (0,))}), texts=True, match="not numbers$")


LIES = {
    "more than is there": ("'<f4'", (3,), bytes(8)), "less": ("'<f4'", (1,), bytes(8)),
    "petabytes": ("'|u1'", (10**15,), bytes(8)), "beyond any": ("'|u1'", (10**30,), bytes(8)),
    "negative": ("'|u1'", (-2, -4), bytes(8)), "negative and none": ("'|u1'", (-2, 0), b""),
    "too many axes": ("'|u1'", (1,) * 99, bytes(1)), "no tuple": ("'|u1'", [8], bytes(8)),
    "a type of many": ("('<f4', (10**9,))", (1,), bytes(8)), "no type": ("'f7'", (1,), bytes(7)),
    "code": ("print(1)", (1,), bytes(1)), "nested": ("[" * 9000, (1,), bytes(1)),
    "a bool of 2": ("'|b1'", (2,), b"\1\2"), "none of many": ("'|u1'", (0, 10**18, 10**18), b""),
    "a number of 5,000 digits": ("'|u1'", "(" + "9" * 5000 + ",)", b"")}


@pytest.mark.parametrize("lie", LIES)
def test_a_header_is_not_believed(lie):
    refused(read, archive({"a.npy": header(*LIES[lie])}))


@pytest.mark.parametrize("start", [
    b"", b"\x93NUM", b"\x93NUMPY\x01\x00", b"\x93NUMPY\x02\x00\xff\xff\xff\x7f", b"\x80\x04N.",
    b"\x93NUMPY\x04\x00" + bytes(20), b"\x93NUMPY\x01\x00\x10\x00{'shape': (1,)}\n"])
def test_what_does_not_begin_as_an_array(start):
    refused(read, archive({"a.npy": start}), match="^'a.npy' does not begin as an array$")


def test_python_2_wrote_its_numbers_with_an_l():
    text = b"{'descr': '<f4', 'fortran_order': False, 'shape': (2L,), }\n"
    content = b"\x93NUMPY\x01\x00" + len(text).to_bytes(2, "little") + text + bytes(8)
    assert read(archive({"a.npy": content}))["a"].tolist() == [0, 0]


# --- archives

ONE = member(np.arange(1000, dtype=np.uint8))


def test_a_name_is_there_once():
    content = bytearray(archive({"a.npy": ONE, "b.npy": ONE}))
    refused(read, content.replace(b"b.npy", b"a.npy"), match="^a name is there twice$")


@pytest.mark.parametrize("name", ["a", "a/", "a.NPY", "a\n.npyz"])
def test_members_are_arrays(name):
    content = archive({"x" * len(name): ONE}).replace(b"x" * len(name), name.encode())
    refused(read, content, match="is no array$")


@pytest.mark.parametrize("method", [zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
def test_other_compression_is_refused(method):
    """What zipfile unpacks of it at once has no limit."""
    refused(read, archive({"a.npy": ONE}, method=method),
            match="^'a.npy' is compressed, and not by deflate$")


def test_compression_may_be_refused():
    refused(read, archive({"a.npy": ONE}, method=zipfile.ZIP_DEFLATED), packed=False,
            match="^'a.npy' is compressed$")
    assert len(read(archive({"a.npy": ONE}), packed=False)["a"]) == 1000


def test_encrypted():
    content = bytearray(archive({"a.npy": ONE}))
    content[content.index(b"PK\1\2") + 8] |= 1
    refused(read, content, match="encrypted")


def test_members_do_not_overlap():
    """The first says that it goes to the end of the second."""
    parts = archive({"a.npy": header("'|u1'", (2000,)), "b.npy": bytes(2000) + ONE})
    content, i = bytearray(parts), parts.index(b"PK\1\2")
    size = len(header("'|u1'", (2000,), bytes(2000)))
    content[i + 20:i + 28] = 2 * size.to_bytes(4, "little")
    refused(read, content, match="^its members overlap$")


@given(st.integers(0, 300), st.sampled_from([zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED]))
def test_the_limit_is_of_all_members(room, method):
    content = archive({"a.npy": ONE, "b.npy": ONE}, method=method)
    assert len(read(content, 2 * len(ONE) + room)) == 2
    refused(read, content, 2 * len(ONE) - 1 - room, match="^unpacks to ")


def test_a_bomb_takes_no_memory(path):
    """Neither of zeros, nor of a header without an end, nor of a long table of contents."""
    zeros = bytes(16 * LIMIT)
    endless = b"\x93NUMPY\x02\x00\xff\xff\xff\x7f" + zeros
    many = {f"{i:05}.npy": b"" for i in range(12_000)}
    for content, limit in ((archive({"a.npy": zeros}, method=zipfile.ZIP_DEFLATED), LIMIT),
                           (archive({"a.npy": endless}, method=zipfile.ZIP_DEFLATED), 17 * LIMIT)):
        path.write_bytes(content)
        assert peak(refused, read_arrays, path, limit) < 4 * LIMIT
    path.write_bytes(archive(many))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(reading, "CONTENTS", LIMIT // 2)
        assert peak(refused, read_arrays, path, 17 * LIMIT, match="table of contents") < 2 * LIMIT


def test_a_bomb_in_a_zip_of_archives_takes_no_memory(path):
    """Neither does one that says it is small, nor one within another."""
    bomb = archive({"r0.npz": bytes(16 * LIMIT)}, method=zipfile.ZIP_DEFLATED)
    small = bytearray(bomb)
    for at in (small.index(b"PK\3\4") + 22, small.index(b"PK\1\2") + 24):
        small[at:at + 4] = (1000).to_bytes(4, "little")
    inner = archive({"a.npy": bytes(16 * LIMIT)}, method=zipfile.ZIP_DEFLATED)
    for content in (bomb, small, archive({"r0.npz": inner})):
        path.write_bytes(content)
        assert peak(refused, read_archives, path, LIMIT) < 4 * LIMIT


def peak(call, *args, **options):
    """The most bytes that were allocated meanwhile."""
    tracemalloc.start()
    try:
        call(*args, **options)
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


# --- files


def test_only_regular_files_are_opened(tmp_path, monkeypatch):
    """The rest would be endless, or wait for one who writes."""
    there = [tmp_path, tmp_path / "none", tmp_path / ("x" * 300), "a\0b"]
    if hasattr(os, "mkfifo"):
        os.mkfifo(tmp_path / "pipe")
        there += [tmp_path / "pipe", "/dev/zero"]
    if hasattr(socket, "AF_UNIX"):
        monkeypatch.chdir(tmp_path)  # its names must be short
        with socket.socket(socket.AF_UNIX) as unix:
            unix.bind("socket")
        there.append(tmp_path / "socket")
    for path in there:
        refused(read_arrays, path, LIMIT)
        refused(read_bytes, path, LIMIT)


def test_a_large_file_is_not_read(path):
    with path.open("wb") as file:
        file.truncate(1 << 40)
    assert peak(refused, read_arrays, path, LIMIT, match="^has 1,099,511,627,776 bytes") < LIMIT
    assert peak(refused, read_bytes, path, LIMIT, match="^has 1,099,511,627,776 bytes") < LIMIT


@given(st.binary(max_size=200), st.integers(0, 200), st.booleans())
def test_bytes_are_read_packed_or_not(content, limit, packed):
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "content")
        path.write_bytes(gzip.compress(content) if packed else content)
        if len(content) > limit or path.stat().st_size > limit:
            refused(read_bytes, path, limit)
        elif packed or not content.startswith(b"\x1f\x8b"):
            assert read_bytes(path, limit) == content


def test_a_packed_file_grows_to_the_limit_at_most(path):
    whole = gzip.compress(bytes(8 * LIMIT))
    path.write_bytes(whole)
    assert peak(refused, read_bytes, path, LIMIT, match="^unpacks to more") < 4 * LIMIT
    assert read_bytes(path, 8 * LIMIT) == bytes(8 * LIMIT)
    path.write_bytes(whole[:-3])
    refused(read_bytes, path, 8 * LIMIT)
