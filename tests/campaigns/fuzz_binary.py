"""Batches of CIFAR-10 and CIFAR-100 in the binary layout, as data.load() meets them."""

import gzip
import shutil
from unittest import mock

import fuzz
import numpy as np
import published

from minidsr import data
from minidsr.data import files

LABEL_BYTES = {"cifar10": 1, "cifar100": 2}


def prepare(folder):
    published.write_binary(folder / "cifar10")
    published.write_binary100(folder / "cifar100")
    return folder


def attempt(rng, folder):
    name = str(rng.choice(list(LABEL_BYTES)))
    [layout] = (folder / name).iterdir()
    batches = [f"{batch}.bin" for batch in (
        published.BATCHES if name == "cifar10" else ["train", "test"])]
    names = "batches.meta.txt" if name == "cifar10" else "fine_label_names.txt"
    file = str(rng.choice([*batches, names]))
    sound = (layout / file).read_bytes()
    how = str(rng.choice(["bytes", "values", "another", "packed", "damaged gzip", "gone"]))
    content = sound
    if how == "bytes":
        how, content = fuzz.damaged(rng, sound)
    elif how == "values":
        content = bytearray(sound)
        for _ in range(rng.integers(1, 4)):
            content[rng.integers(len(content))] = int(rng.choice([0, 9, 10, 32, 99, 100, 255]))
    elif how == "another":
        content = (layout / str(rng.choice([*batches, names]))).read_bytes()
    elif how == "packed":
        content = gzip.compress(sound, 1)
    elif how == "damaged gzip":
        how, content = fuzz.damaged(rng, gzip.compress(sound, 1))
    try:
        (layout / file).write_bytes(content)
        if how == "gone":
            (layout / file).unlink()
        elif rng.random() < 0.2:
            shutil.move(layout / file, layout / f"{file}.gz")
        with mock.patch.object(files, "IMAGES", published.SMALL):
            outcome = _read(name, layout, batches, names)
        left = {path.name for path in layout.iterdir()}
        if left - {*batches, names, f"{file}.gz"}:
            outcome = f"left {left}"
    finally:
        (layout / f"{file}.gz").unlink(missing_ok=True)
        (layout / file).write_bytes(sound)
    return f"{name}/{file}: {how}", outcome


def _read(name, layout, batches, names):
    try:
        with fuzz.left_alone(layout) as before:
            found = data.load(name, layout)
    except data.DataError as error:
        return fuzz.refusal(error)
    content = {file.name.removesuffix(".gz"):
               raw if raw[:2] != b"\x1f\x8b" else gzip.decompress(raw)
               for file, raw in before.items()}
    n = LABEL_BYTES[name]
    *train, test = (np.frombuffer(content[batch], np.uint8).reshape(-1, n + 3072)
                    for batch in batches)
    train = np.concatenate(train)
    same = all(np.array_equal(x.reshape(-1, 3072), records[:, n:])
               and np.array_equal(y, records[:, n - 1]) for x, y, records in (
                   (found.train_x, found.train_y, train), (found.test_x, found.test_y, test)))
    same &= found.classes == tuple(content[names].decode("latin1").split())
    return "equal" if same else "not what the files say"
