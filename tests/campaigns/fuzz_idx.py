"""The four files of MNIST, and copies of them as people have them, as data.load() meets them."""

import gzip
import shutil
import struct

import fuzz
import published

from minidsr import data
from minidsr.data.files import MNIST_FILES

FORMS = [*(2 * ["{0}", "{0}.gz", "{1}", "{1}.gz", "{0}/{0}", "{1}/{1}"]), "{0}-1"]


def prepare(folder):
    return folder / "copy"


def attempt(rng, folder):
    shutil.rmtree(folder, ignore_errors=True)
    place = folder / str(rng.choice(["MNIST/raw", "MNIST", "mnist", "raw", ".", "."]))
    contents = published.fake_mnist()
    what, written = [], {}  # name as published -> contents of its copies
    chosen = set(rng.choice(MNIST_FILES, int(rng.integers(3)), replace=False))
    for name in MNIST_FILES:
        content = contents[name]
        if name in chosen:
            how, content = _damaged(rng, contents, name)
            what.append(f"{name}: {how}")
        for form in {str(f) for f in rng.choice(FORMS, int(rng.choice([1, 1, 1, 1, 2])))}:
            if (rng.random() < 0.3) != form.endswith(".gz"):
                content = gzip.compress(content, 1)
            path = place / form.format(name, name.replace("-idx", ".idx"))
            if path.parent.is_file() or path.is_dir():
                continue
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content)
            what.append(str(path.relative_to(folder)))
            written.setdefault(name, []).append((form, content))
    try:
        with fuzz.left_alone(folder):
            found = data.load("mnist", folder)
    except data.DataError as error:
        return ", ".join(what), fuzz.refusal(error)
    arrays = found.train_x[:, 0], found.train_y, found.test_x[:, 0], found.test_y
    same = all(_says(content, array) for name, array in zip(MNIST_FILES, arrays, strict=True)
               for form, content in written[name] if form != "{0}-1")
    return ", ".join(what), "equal" if same else "not what the files say"


def _says(content, array):
    """Is `array` what a file says, unpacked if it is packed?"""
    raw = gzip.decompress(content) if content[:2] == b"\x1f\x8b" else content
    dims = raw[3]
    shape = struct.unpack(f">{dims}i", raw[4:4 + 4 * dims])
    return shape == array.shape and raw[4 + 4 * dims:] == array.tobytes()


def _damaged(rng, contents, name):
    how, raw = str(rng.choice(["bytes", "header", "value", "another", "short"])), contents[name]
    if how == "bytes":
        return fuzz.damaged(rng, raw)
    if how == "header":
        place = 4 * int(rng.integers(4))
        new = int(rng.choice([0, 1, 5, 0x801, 0x803, 0x901, -1, 2**31 - 1, 60_000, 28, 27]))
        return f"{new} at {place}", raw[:place] + struct.pack(">i", new) + raw[place + 4:]
    if how == "value":
        raw = bytearray(raw)
        raw[rng.integers(8, len(raw))] = int(rng.choice([3, 9, 10, 255]))
        return how, bytes(raw)
    if how == "another":
        other = str(rng.choice(MNIST_FILES))
        return f"{how}, {other}", contents[other]
    return how, raw[:int(rng.integers(0, 20))]
