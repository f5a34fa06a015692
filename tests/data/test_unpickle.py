"""Pickles are read by a machine of our own: data/unpickle.py."""

import gzip
import importlib
import json
import os
import pickle
import pickletools
import struct
import subprocess
import sys

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from published import SMALL, fields_of, python2_pickle, write_python

from minidsr.data import files
from minidsr.data.unpickle import LONGEST_KEY, MOST_OPCODES, unpickle

LETTERS = st.characters(max_codepoint=255)
TEXTS, KEYS = st.text(LETTERS, max_size=300), st.text(LETTERS, max_size=LONGEST_KEY)
SIDES = st.integers(1, 30)
SHAPES = st.one_of(st.tuples(st.integers(1, 400)), st.tuples(SIDES, SIDES))


@st.composite
def arrays(draw):
    shape, seed = draw(SHAPES), draw(st.integers(0, 9))
    array = np.random.default_rng(seed).integers(0, 256, shape, np.uint8)
    return np.asfortranarray(array) if draw(st.booleans()) else array


FIELDS = st.dictionaries(KEYS, st.one_of(
    TEXTS, TEXTS.filter(len).map(lambda t: t.encode("latin1")), st.integers(-2**31, 2**31 - 1),
    st.lists(st.integers(0, 99), max_size=5), st.lists(TEXTS, max_size=5), arrays()), max_size=4)


def of_numpy_1(raw):
    """The pickle as NumPy 1 makes it: its modules had other names."""
    for new, old in (("numpy._core.multiarray", "numpy.core.multiarray"),
                     ("numpy._core.numeric", "numpy.core.numeric")):
        raw = raw.replace(f"c{new}\n".encode(), f"c{old}\n".encode())  # up to protocol 3
        raw = raw.replace(bytes([len(new)]) + new.encode(), bytes([len(old)]) + old.encode())
    return pickletools.optimize(raw)  # mends the sizes of frames


def same(found, fields):
    return found.keys() == fields.keys() and all(
        np.array_equal(found[key], value) and found[key].dtype == np.uint8
        if isinstance(value, np.ndarray) else found[key] == value
        for key, value in fields.items())


@given(FIELDS, st.sampled_from([2, 3, 4, 5]), st.booleans(), st.booleans())
def test_what_python_3_pickles_is_read(fields, protocol, byte_keys, numpy_1):
    coded = {key.encode("latin1"): value for key, value in fields.items()
             if key or protocol > 2}  # protocol 2 pickles b"" as a call of bytes
    raw = pickle.dumps(coded if byte_keys else fields, protocol=protocol)
    expected = {key.decode("latin1"): value for key, value in coded.items()}
    assert same(unpickle(of_numpy_1(raw) if numpy_1 else raw), expected if byte_keys else fields)


@given(st.lists(st.integers(0, 9), max_size=300), arrays().filter(lambda a: a.ndim == 2))
def test_what_python_2_pickled_is_read(labels, images):
    fields = {b"labels": labels, b"data": np.ascontiguousarray(images), b"batch_label": b"one"}
    found = unpickle(python2_pickle(fields))
    assert same(found, {key.decode(): value for key, value in fields.items()})


def test_an_array_is_read_by_hand():
    raw = (b"\x80\x02}U\x04data"  # a dict, a key
           b"cnumpy.core.multiarray\n_reconstruct\ncnumpy\nndarray\nK\x00\x85U\x01b\x87R"
           b"(K\x01K\x02K\x03\x86"  # state: version 1, shape (2, 3)
           b"cnumpy\ndtype\nU\x02u1K\x00K\x01\x87R(K\x03U\x01|NNNJ\xff\xff\xff\xffJ\xff\xff\xff\xff"
           b"K\x00tb" b"\x89U\x06abcdeftbs.")  # uint8, rows first, the bytes
    assert unpickle(raw)["data"].tolist() == [[97, 98, 99], [100, 101, 102]]
    for wrong in (raw.replace(b"u1", b"O8"), raw.replace(b"K\x02K\x03\x86", b"K\x02K\x04\x86"),
                  raw.replace(b"(K\x03U\x01|N", b"(K\x03U\x01|\x88"), raw.replace(b"\x89U", b"NU"),
                  raw.replace(b"cnumpy\nndarray\n", b"cnumpy\ndtype\n")):
        with pytest.raises(pickle.UnpicklingError):
            unpickle(wrong)


def test_a_key_that_is_there_twice_is_refused():
    with pytest.raises(pickle.UnpicklingError, match="twice"):
        unpickle(pickle.dumps({"a": 1, b"a": 2}, 4))


def test_a_text_has_letters_of_one_byte():
    assert unpickle(pickle.dumps({"a": "\xe9"}, 4)) == {"a": "\xe9"}
    with pytest.raises(pickle.UnpicklingError, match="letters beyond Latin-1"):
        unpickle(pickle.dumps({"a": "\u0151"}, 4))


# What takes memory, time or the whole process.

OBJECTS = (b"cnumpy\nndarray\nK\x01cnumpy\ndtype\nU\x02O8K\x00K\x01\x87R(K\x03U\x01|NNN"
           b"J\xff\xff\xff\xffJ\xff\xff\xff\xffK\x00tbU\x08AAAAAAAA\x87R")
BOMBS = {  # before, on 64-bit Linux
    # SIGSEGV
    "objects made of bytes": b"\x80\x02}U\x04datacnumpy\nndarray\n" + OBJECTS + b"\x85Rs.",
    "nested tuples for a key": b"\x80\x02}K\x00" + 300_000 * b"\x85" + b"K\x00s.",  # SIGSEGV
    "nested tuples for a name": b"\x80\x04\x8c\x05numpyK\x00" + 300_000 * b"\x85" + b"\x93.",
    "a place in the memo": b"\x80\x02}r\x00\x00\x00\x10.",  # 4 GiB
    "bytes that are not there": b"\x80\x04}\x96\xff\xff\xff\xff\x00\x00\x00\x00.",
    "lists": b"\x80\x02" + 10_000_000 * b"]",  # 600 MB
    "a large integer": b"\x80\x02\x8b" + struct.pack("<i", 10**7) + 10**7 * b"\x7f" + b".",
    "letters of four bytes": b"\x80\x02X" + struct.pack("<i", 10**7) + (10**7 - 4) * b"a"
    + "\N{FULL MOON SYMBOL}".encode() + b".",
    "digits": b"I" + 10**7 * b"9" + b"\n.",
    "a text encoded again and again":  # 2 GB, each in a list of them
    b"\x80\x02}U\x01ac_codecs\nencode\nq\x00sU\x01bX\x06\0\0\0latin1q\x01sU\x01cX"
    + struct.pack("<i", 10**6) + 10**6 * b"a" + b"q\x02sU\x01d]("
    + 2_000 * b"h\x00h\x02h\x01\x86R" + b"es.",
    "a key decoded again and again":  # 2 GB, each in a dict of its own
    b"\x80\x02}U\x01aT" + struct.pack("<i", 10**6) + 10**6 * b"a" + b"q\x00sU\x01b]("
    + 2_000 * b"}h\x00Ns" + b"es.",
}

CHILD = """
import json, sys
from pathlib import Path
from minidsr import data
def peak():
    status = dict(line.split(":") for line in open("/proc/self/status"))
    return int(status["VmHWM"].split()[0]) >> 10
for folder in sorted(Path(sys.argv[1]).iterdir()):
    before = peak()
    try:
        data.load("cifar10", folder)
        said = "accepted"
    except data.DataError as error:
        said = str(error)
    print(json.dumps([folder.name, said, peak() - before]), flush=True)
"""


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="peak memory is read in /proc")
def test_bombs_end_in_one_line_and_take_little_memory(tmp_path):
    """One child for all, so each is measured above the highest before it."""
    for name, raw in BOMBS.items():
        (write_python(tmp_path / name) / "data_batch_1").write_bytes(raw)
    packed = gzip.compress(bytes(1 << 20)) * 200
    (write_python(tmp_path / "gzip") / "data_batch_1").write_bytes(packed)
    for name, target in (("zeros", "/dev/zero"), ("fifo", tmp_path / "gzip" / "pipe")):
        path = write_python(tmp_path / name) / "data_batch_1"
        path.unlink()
        path.symlink_to(target)
    os.mkfifo(tmp_path / "gzip" / "pipe")
    done = subprocess.run([sys.executable, "-c", CHILD, str(tmp_path)], capture_output=True,
                          text=True, check=False, timeout=100)
    assert done.returncode == 0, (done.returncode, done.stdout, done.stderr)
    found = [json.loads(line) for line in done.stdout.splitlines()]
    assert len(found) == len(BOMBS) + 3
    for name, said, grown in found:
        assert "data_batch_1" in said and "\n" not in said, (name, said)
        assert grown < 150, (name, grown)


def test_enough_opcodes_are_done_for_cifar100_and_no_more(monkeypatch):
    """Protocol 2 of Python 3 is the longest: eight opcodes for a file name of bytes."""
    fields = {b"filenames": [f"{i}.png".encode() for i in range(500)],
              b"fine_labels": list(range(100)) * 5, b"coarse_labels": list(range(20)) * 25}
    assert 100 * sum(1 for _ in pickletools.genops(pickle.dumps(fields, 2))) < MOST_OPCODES
    monkeypatch.setattr(importlib.import_module("minidsr.data.unpickle"), "MOST_OPCODES", 9)
    assert unpickle(b"N" * 7 + b"}.") == {}
    with pytest.raises(pickle.UnpicklingError, match="more than 9 opcodes"):
        unpickle(b"N" * 8 + b"}.")


def test_the_limit_of_a_file_s_size_holds_each_pickle(monkeypatch):
    monkeypatch.setattr(files, "IMAGES", SMALL)
    limit = SMALL["data_batch_1"] * files.PICKLED_IMAGE
    fields = fields_of("data_batch_1") | {b"data": np.full((20, 3072), 255, np.uint8)}
    fields[b"filenames"] = [b"a_file_name_of_thirty_letters_.png"] * 20
    assert all(len(pickle.dumps(fields, protocol)) < limit for protocol in (2, 3, 4, 5))
