"""Archives of arrays, as reading.read_arrays() meets them."""

import io
import zipfile

import fuzz
import numpy as np

from minidsr.reading import ReadingError, read_arrays

LIMIT = 1 << 20


def prepare(folder):
    arrays = {"value": np.arange(12, dtype=np.float32).reshape(3, 4), "index": np.arange(5),
              "mask": np.array([[True], [False]]), "none": np.zeros((0, 3)), "one": np.int8(3)}
    np.savez(folder / "sound.npz", **arrays)
    np.savez_compressed(folder / "packed.npz", **arrays)
    return folder, arrays


def attempt(rng, sound):
    folder, arrays = sound
    path, source = folder / "damaged.npz", str(rng.choice(["sound.npz", "packed.npz"]))
    content = (folder / source).read_bytes()
    how = rng.choice(["bytes", "contents", "member", "header"])
    if how == "bytes":
        what, content = fuzz.damaged(rng, content)
    elif how == "contents":  # the table of contents, which no checksum covers
        begin = content.index(b"PK\1\2")
        what, contents = fuzz.damaged(rng, content[begin:])
        content = content[:begin] + contents
    else:  # the archive is whole, one array in it is not
        what, content = _one_array(rng, content, how)
    path.write_bytes(content)
    try:
        with fuzz.left_alone(path):
            found = read_arrays(path, LIMIT)
    except ReadingError as error:
        return what, fuzz.refusal(error)
    if how == "header" or found.keys() < arrays.keys():
        return what, "equal" if sum(a.nbytes for a in found.values()) <= LIMIT else "too large"
    same = all(name in arrays and np.array_equal(a, arrays[name]) for name, a in found.items())
    return what, "equal" if same else "other arrays"


def _one_array(rng, content, how):
    out = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(content)) as old, zipfile.ZipFile(out, "w") as new:
        names = old.namelist()
        chosen = str(rng.choice(names))
        for name in names:
            data = old.read(name)
            if name == chosen and how == "member":
                what, data = fuzz.damaged(rng, data[:128])
                data += old.read(name)[128:]
            elif name == chosen:
                shape, dtype = rng.choice(["(3,)", "(-1,)", "(1 << 40,)", "(9**9, 9**9)", "()",
                                           "(2, 2)", "[1]"]), rng.choice(["<f4", "|O", "<U9", ">i2",
                                                                         "|V8", "<c8", "<M8[s]"])
                text = (f"{{'descr': '{dtype}', 'fortran_order': {bool(rng.random() < .5)}, "
                        f"'shape': {shape}}}").ljust(117) + "\n"
                what = f"{chosen} says {dtype} {shape}"
                data = b"\x93NUMPY\x01\x00" + len(text).to_bytes(2, "little") + text.encode() \
                    + data[128:]
            new.writestr(name, data)
    return what, out.getvalue()
