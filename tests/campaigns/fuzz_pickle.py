"""Batches of CIFAR-10 and CIFAR-100 in the python layout, as data.load() meets them.

Files are read in a child process, which a fault of memory may end. What is accepted must be what
Python's own pickle makes of the same files, with NumPy's own functions.
"""

import json
import os
import pickle
import pickletools
import struct
import subprocess
import sys
import warnings
import weakref
from pathlib import Path

import fuzz
import numpy as np
import published

from minidsr import data
from minidsr.data import files

MEMORY = 48  # MiB that reading these files may add to what the child has had
NAMES = {"cifar10": [*(f"data_batch_{i}" for i in range(1, 6)), "test_batch", "batches.meta"],
         "cifar100": ["train", "test", "meta"]}


def prepare(folder):
    published.write_python(folder / "cifar10")
    published.write_python100(folder / "cifar100")
    return Reader(folder)


def attempt(rng, reader):
    name = str(rng.choice(["cifar10", "cifar100"]))
    file = str(rng.choice(NAMES[name]))
    [layout] = (reader.folder / name).iterdir()
    sound = (layout / file).read_bytes()
    content = sound
    if rng.random() < 0.5:  # as another Python and another NumPy pickle it
        fields = pickle.loads(sound, encoding="bytes")
        content = pickle.dumps(fields, protocol=int(rng.integers(2, 6)))
    what, content = str(rng.choice(list(DAMAGE))), content
    done, content = DAMAGE[what](rng, content)
    what = f"{name}/{file}, {what}: {done}"
    try:
        (layout / file).write_bytes(content)
        outcome = reader.read(name)
        if (layout / file).read_bytes() != content:
            outcome = "the file is changed"
    finally:
        (layout / file).write_bytes(sound)
    return what, outcome


class Reader:
    """A child that reads data sets; a new one where it has ended."""

    def __init__(self, folder):
        self.folder, self.children = folder, []
        self.finish = weakref.finalize(self, end, self.children)

    def read(self, name):
        if not self.children:
            self.children.append(subprocess.Popen(
                [sys.executable, __file__, str(self.folder)], stdin=subprocess.PIPE,
                stdout=subprocess.PIPE, text=True,
                env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}))
        child = self.children[0]
        try:
            child.stdin.write(name + "\n")
            child.stdin.flush()
            answer = child.stdout.readline()
        except BrokenPipeError:
            answer = ""
        if answer:
            return json.loads(answer)
        return f"the process ended with {end(self.children)}"


def end(children):
    """End the child if there is one; its exit status."""
    code = None
    while children:
        with children.pop() as child:  # closes its input, at which it ends
            child.stdin.close()
        code = child.returncode
    return code


# --- damage; each returns (what, content)


def _opcodes(content):
    """The pickle cut into opcodes, [bytes]."""
    places = [place for _, _, place in pickletools.genops(content)] + [len(content)]
    return [content[i:j] for i, j in zip(places, places[1:], strict=False)]


ATOMS = [*(bytes([code]) for code in b"(.012N}])\x85\x86\x87abeldoRstuQ\x81\x88\x89"),
         *(bytes([code]) for code in b"\x8f\x90\x92\x93\x94\x97\x98"),
         b"K\x07", b"M\x00\x10", b"J\xff\xff\xff\xff", b"I7\n", b"\x8a\x01\x05", b"G" + bytes(8),
         b"q\x00", b"q\xff", b"h\x00", b"h\x03",
         b"r\x00\x00\x00\x10", b"j\x01\x00\x00\x00", b"U\x01b", b"C\x01b", b"X\x01\x00\x00\x00b",
         b"\x8c\x02u1", b"\x8c\x02\xc3\xa9", b"\x96\x03" + bytes(7) + b"abc", b"\x80\x09",
         b"\x95\xff" + bytes(7), b"cos\nsystem\n", b"cnumpy\nndarray\n", b"cnumpy\ndtype\n",
         b"c_codecs\nencode\n", b"cnumpy.core.multiarray\n_reconstruct\n", b"Pid\n",
         b"cnumpy.core.multiarray\nscalar\n", b"cnumpy.core.numeric\n_frombuffer\n"]


def _insert(rng, content):
    parts = _opcodes(content)
    done = []
    for _ in range(rng.integers(1, 4)):
        place, atom = int(rng.integers(len(parts))), ATOMS[rng.integers(len(ATOMS))]
        atom = atom * int(rng.choice([1, 1, 1, 2, 100]))
        parts[place:place + int(rng.integers(2))] = [atom]
        done.append(f"{atom[:30]!r} at opcode {place}")
    return ", ".join(done), b"".join(parts)


def _move(rng, content):
    parts = _opcodes(content)
    i, j = rng.integers(0, len(parts), 2).tolist()
    how = str(rng.choice(["swap", "repeat", "remove"]))
    if how == "swap":
        parts[i], parts[j] = parts[j], parts[i]
    elif how == "repeat":
        parts[i:i] = parts[j:j + int(rng.integers(1, 9))]
    else:
        del parts[i:i + int(rng.integers(1, 9))]
    return f"{how} of opcodes {i} and {j}", b"".join(parts)


SIZED = {b"U": "<B", b"T": "<I", b"C": "<B", b"B": "<I", b"X": "<I", b"\x8c": "<B", b"\x96": "<Q",
         b"\x95": "<Q", b"q": "<B", b"r": "<I", b"h": "<B", b"j": "<I", b"K": "<B", b"M": "<H",
         b"J": "<i"}


def _forge(rng, content):
    """Another number, memo index or size."""
    parts = _opcodes(content)
    places = [i for i, part in enumerate(parts) if part[:1] in SIZED]
    place = int(rng.choice(places))
    part = parts[place]
    form = SIZED[part[:1]]
    size = struct.calcsize(form)
    old = struct.unpack(form, part[1:1 + size])[0]
    new = old + int(rng.choice([-1, 1, 5, 256, -old, 2**31 - 1 - old, 2**28 - old, 2**60]))
    raw = new.to_bytes(16, "little", signed=True)[:size]
    parts[place] = part[:1] + raw + part[1 + size:]
    return f"{part[:1]!r} {old} -> {raw!r} at opcode {place}", b"".join(parts)


def _word(rng, content):
    """Another word of the same length, or another letter of it."""
    pairs = [(b"u1", b"O8"), (b"u1", b"i1"), (b"u1", b"b1"), (b"u1", b"V1"), (b"|", b">"),
             (b"ndarray", b"generic"), (b"_reconstruct", b"scalar" + b"\n" * 6),
             (b"latin1", b"utf-16"), (b"latin1", b"rot_13"), (b"labels", b"lables"),
             (b"training", b"testing_"), (b"data", b"date"), (b"label_names", b"label_nameS"),
             (b"numpy", b"sympy"), (b"_codecs", b"_random"), (b"encode", b"lookup")]
    pairs = [pair for pair in pairs if pair[0] in content]
    if not pairs:
        return "nothing", content
    old, new = pairs[rng.integers(len(pairs))]
    return f"{old!r} -> {new!r}", content.replace(old, new, int(rng.choice([-1, 1])))


def _field(rng, content):
    """Well made, with other fields."""
    fields = pickle.loads(content, encoding="bytes")
    key = list(fields)[rng.integers(len(fields))]
    value = fields[key]
    others = [None, 3, True, b"", "text", [], [value], (value,), {}, {b"a": value}, 1.5, 2**70,
              np.uint8(3), np.zeros((3, 3072), np.float32), np.zeros(5, object)]
    if isinstance(value, np.ndarray):
        others += [value[1:], value.T, np.asfortranarray(value), value[::-1], value.astype(np.int8),
                   value.astype(">u2"), value[:, :, None], value[..., :0], value ^ np.uint8(1)]
    if isinstance(value, list):
        i = int(rng.integers(len(value)))
        others += 3 * [value[:i] + [new] + value[i + 1:] for new in (
            value[i - 1], 3, 10, 100, -1, True, None, 2.0, "x", b"x", [1], (1,), np.uint8(1))]
        others += [value[1:], value * 2, value[::-1], tuple(value)]
    new = others[rng.integers(len(others))]
    if rng.random() < 0.1:
        del fields[key]
    else:
        fields[key] = new
    if rng.random() < 0.2:
        fields = {k.decode() if isinstance(k, bytes) else k: v for k, v in fields.items()}
    if rng.random() < 0.1:
        fields[key.decode()] = value  # perhaps under two keys
    return f"{key} = {str(new)[:30]}", pickle.dumps(fields, protocol=int(rng.integers(0, 6)))


def _bomb(rng, content):
    nested = b"K\x00" + int(rng.choice([100, 200_000])) * b"\x85"
    objects = (b"cnumpy\nndarray\nK\x01cnumpy\ndtype\nU\x02O8K\x00K\x01\x87R(K\x03U\x01|NNN" + 2 * (
        b"J\xff\xff\xff\xff") + b"K\x00tbU\x08AAAAAAAA\x87R")
    bombs = {"a nested key": b"\x80\x02}" + nested + b"K\x00s.",
             "a nested name": b"\x80\x02}U\x0blabel_names](" + nested + b"es.",
             "objects": b"\x80\x02}U\x04datacnumpy\nndarray\n" + objects + b"\x85Rs.",
             "a memo": b"\x80\x02}r\xff\xff\xff\x0f.", "marks": b"\x80\x02" + 10**5 * b"(",
             "a list in itself": b"\x80\x02}U\x06labels]q\x01h\x01as.",
             "lists": b"\x80\x02" + 10**5 * b"]"}
    name = str(rng.choice(list(bombs)))
    return name, bombs[name]


DAMAGE = {"bytes": fuzz.damaged, "opcodes in": _insert, "opcodes moved": _move, "numbers": _forge,
          "words": _word, "fields": _field, "bombs": _bomb}


# --- the child


def serve(folder):
    """Answer each name on a line with the outcome of reading that data set."""
    files.IMAGES = published.SMALL
    most = fuzz.peak()
    for name in map(str.strip, sys.stdin):
        [layout] = (folder / name).iterdir()
        try:
            outcome = read(name, layout)
        except Exception as error:
            outcome = f"{type(error).__name__}: {error}"
        most, before = fuzz.peak(), most
        if most - before > MEMORY << 20:
            outcome = f"{outcome}, with {(most - before) >> 20} MiB more memory"
        print(json.dumps(outcome), flush=True)


def read(name, layout):
    try:
        found = data.load(name, layout)
    except data.DataError as error:
        return fuzz.refusal(error)
    meta, *batches = (plain(layout / file) for file in NAMES[name][-1:] + NAMES[name][:-1])
    names, labels = (("label_names", "labels") if name == "cifar10"
                     else ("fine_label_names", "fine_labels"))
    *train, test = batches
    expected = (
        np.concatenate([b["data"] for b in train]), sum((b[labels] for b in train), []),
        test["data"], test[labels])
    actual = found.train_x, found.train_y, found.test_x, found.test_y
    same = all(np.array_equal(np.reshape(a, np.shape(e)), e)
               for a, e in zip(actual, expected, strict=True))
    same &= found.classes == tuple(n if isinstance(n, str) else n.decode("latin1")
                                   for n in meta[names])
    return "equal" if same else "not what pickle reads"


def plain(path):
    """What Python's own pickle makes of a file; keys as str."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # NumPy's, about names of its modules
        fields = pickle.loads(path.read_bytes(), encoding="bytes")
    return {key if isinstance(key, str) else key.decode("latin1"): v for key, v in fields.items()}


if __name__ == "__main__":
    serve(Path(sys.argv[1]))
