"""Checkpoints of every method: resumed from, and as the run that --structure-from names.

Bytes are damaged; or the archive is whole, and what it holds is not: members and JSON values of
other types, shapes, ranges and methods, free numbers removed, added and moved consistently. What is
accepted must be what the file says, and training must go on from it with its budget.
"""

import io
import json
from dataclasses import replace

import fuzz
import numpy as np
from tiny import with_moves, write_cifar10

from minidsr.methods import METHODS
from minidsr.run import directory
from minidsr.run.config import Config
from minidsr.run.directory import CheckpointError
from minidsr.run.train import Trainer, TrainingError

STEPS = 7  # of 10, in the midst of the second epoch
BEGUN = ("static", "dsr", "dsr slice", "deepr", "itop rigl")  # runs that others start from, too
VARIANTS = {"dsr": {"granularity": "slice"}, "deepr": {"variant": "per-tensor"},
            "itop": {"variant": "rigl"}, "hashed": {"variant": "balanced"}}


def prepare(folder):
    """{label: (config, state)} of each method in training; with the config is a folder of it."""
    write_cifar10(folder)
    config = Config(data="cifar10", data_dir=str(folder), model="small-cnn-0.1", batch=20, epochs=2,
                    lr=0.02, periods=(2, 3, 4, 5), device="cpu", threads=1, engine="blocked")
    runs = {method: with_moves(config, method) for method in METHODS}
    runs |= {f"{m} {v}": replace(runs[m], **{name: v})
             for m, options in VARIANTS.items() for name, v in options.items()}
    runs = {label: (config, _trained(config)) for label, config in runs.items()}
    for label, (config, state) in [*runs.items()]:
        run = folder / label
        run.mkdir()
        directory.write_config(run, config)
        if label in BEGUN:
            begun = replace(config, structure_from=str(run), values="final", seed=1)
            directory.save(run / directory.CHECKPOINT, state)
            runs[f"from {label}"] = begun, _trained(begun)
            (folder / f"from {label}").mkdir()
            directory.write_config(folder / f"from {label}", begun)
    return folder, runs


def attempt(rng, sound):
    folder, runs = sound
    label = str(rng.choice(list(runs)))
    config, state = runs[label]
    other = runs[str(rng.choice(list(runs)))][1]
    how = rng.choice([_bytes, _archive, _array, _json, _numbers], p=[0.1, 0.1, 0.35, 0.3, 0.15])
    what, content = how(rng, state, other)
    path = folder / label / directory.CHECKPOINT
    path.write_bytes(content)
    structure = f"from {label}" in runs and rng.random() < 0.3
    try:
        with fuzz.left_alone(path):
            if structure:
                begun = runs[f"from {label}"][0]
                trainer = Trainer(replace(begun, values="final"))
                problem = _differs_in_structure(trainer, _said(content))
            else:
                trainer = Trainer(config, fresh=False)
                records = trainer.load(path)
                problem = _differs(trainer.state() | {"records": records}, _said(content))
            if how is _bytes and not problem:
                problem = _differs(_said(content), state)
            return f"{label}: {what}", problem or _goes_on(trainer)
    except CheckpointError as error:
        return f"{label}: {what}", fuzz.refusal(error)
    finally:
        if f"from {label}" in runs:
            path.write_bytes(_archived(state))  # others start from it


def _trained(config):
    trainer = Trainer(config)
    while trainer.t < STEPS:
        for x, y in trainer.batches():
            trainer.step(x, y)
            if trainer.t == STEPS:
                break
        else:
            trainer.begin_epoch()
    return trainer.state() | {"records": 3}


def _goes_on(trainer):
    """"equal" where two steps go well, and the budget holds."""
    budget = trainer.model.free_parameters()
    try:
        with np.errstate(all="ignore"):
            for (x, y), _ in zip(trainer.batches(), range(2), strict=False):
                trainer.step(x, y)
    except TrainingError:
        pass  # numbers that were too large
    left = trainer.model.free_parameters()
    shrinks = trainer.method.budget_rule == "shrinking"
    return "equal" if left == budget or left < budget and shrinks else "the budget did not hold"


# --- damage: each returns (what, content of the file)


def _bytes(rng, state, other):
    return fuzz.damaged(rng, _archived(state))


def _archive(rng, state, other):
    """A member is missing, comes from another method, is compressed; the header is no JSON."""
    how, name = rng.choice(["missing", "more", "swapped", "packed", "header"]), _name(rng, state)
    if how == "packed":
        return how, _archived(state, np.savez_compressed)
    if how == "header":
        what, text = fuzz.altered_text(rng, json.loads(_header(state)))
        return f"in the header {what}", _archived(state, header=text)
    if how == "missing":
        return f"{name} is missing", _archived({k: v for k, v in state.items() if k != name})
    new = _name(rng, other)
    if how == "more":
        name = new
    return f"{name} is another method's {new}", _archived(state | {name: other[new]})


def _array(rng, state, other):
    """One array is of another type, shape or range."""
    name = str(rng.choice([k for k, v in state.items() if isinstance(v, np.ndarray)]))
    a = state[name]
    flat = a.reshape(-1)
    how, i = rng.choice(["dtype", "shape", "length", "one", "all", "order", "json"]), int(
        rng.integers(max(1, flat.size)))
    if how == "dtype":
        kind = rng.choice(["f4", "f8", "i4", "i8", "u1", ">f4", ">i4", "?", "f2", "c8"])
        new, what = a.astype(kind), f"is {kind}"
    elif how == "shape":
        new = [flat, a[None], a[..., None], a.T, np.asfortranarray(a), flat[:1].reshape(())
               if flat.size else a][rng.integers(6)]
        what = f"has shape {new.shape}"
    elif how == "length":
        new = [flat[:-1], flat[1:], np.append(flat, flat[:1]), flat[:0], np.tile(flat, 2)][
            rng.integers(5)]
        what = f"has length {new.size}"
    elif how == "json":
        new, what = [a.tolist(), None, 1, "x", {}][rng.integers(5)], "is JSON"
    elif how == "order":
        new, what = flat[rng.permutation(flat.size)].reshape(a.shape), "is in another order"
    else:
        odd = [np.nan, np.inf, -np.inf, -1.0, 0.0, 1e38, 2.0, 1e-45] if a.dtype.kind == "f" else [
            -1, 0, 1, 255, 2**31 - 1, a.size]
        value = odd[rng.integers(len(odd))]
        new = a.copy()
        with np.errstate(all="ignore"):
            (new if how == "all" else new.reshape(-1)[i:i + 1])[...] = np.array(value).astype(
                a.dtype)
        what = f"has {how} {value}"
    return f"{name} {what}", _archived(state | {name: new})


def _json(rng, state, other):
    rest = {k: v for k, v in state.items() if not isinstance(v, np.ndarray)}
    what, new = fuzz.altered(rng, rest)
    return what, _archived({k: v for k, v in state.items() if k not in rest} | new)


def _numbers(rng, state, other):
    """Free numbers that are not there, or more of them, with index, value and velocity."""
    names = sorted(k.removesuffix(".value") for k in state if k.endswith(".value"))
    name, how = str(rng.choice(names)), str(rng.choice(["removed", "added", "moved", "renamed"]))
    new = dict(state)
    if how in ("removed", "moved"):
        new |= _with_one(new, name, rng, -1)
    if how == "moved":
        new |= _with_one(new, str(rng.choice(names)), rng, 1)
    if how == "added":
        new |= _with_one(new, name, rng, 1)
    if how == "renamed":
        parts = [k for k in new if k.startswith(f"{name}.")]
        new |= {k.replace(name, f"{name}s"): new.pop(k) for k in parts}
    return f"{how}: a free number of {name}", _archived(new)


def _with_one(state, name, rng, more):
    parts = {k: state[k] for k in (f"{name}.index", f"{name}.value", f"{name}.velocity")
             if k in state and state[k].size}
    size = min((a.size for a in parts.values()), default=0)
    if not size:
        return {}
    i = int(rng.integers(size))
    if more < 0:
        return {k: np.delete(a, i) for k, a in parts.items()}
    index = parts.get(f"{name}.index", np.zeros(1, np.int32))
    free = np.setdiff1d(np.arange(index.max() + 2), index)
    at = int(np.searchsorted(index, free[0]))
    return {k: np.insert(a, at, free[0] if k.endswith("index") else 0) for k, a in parts.items()}


def _name(rng, state):
    return str(rng.choice(sorted(state)))


# --- what a file says, by NumPy's own reader


def _header(state):
    rest = {k: v for k, v in state.items() if not isinstance(v, np.ndarray)}
    return json.dumps({"format": directory.FORMAT, **rest}, sort_keys=True).encode()


def _archived(state, save=np.savez, header=None):
    """The bytes of a checkpoint with this state."""
    file, arrays = io.BytesIO(), {k: v for k, v in state.items() if isinstance(v, np.ndarray)}
    save(file, header=np.frombuffer(header or _header(state), np.uint8), **arrays)
    return file.getvalue()


def _said(content):
    with np.load(io.BytesIO(content), allow_pickle=False) as members:
        arrays = {k: members[k] for k in members.files}
    rest = json.loads(arrays.pop("header").tobytes())
    del rest["format"]
    return rest | arrays


def _differs(a, b):
    """What differs between two states; None if nothing does."""
    if a.keys() != b.keys():
        return f"other names: {sorted(a.keys() ^ b.keys())}"
    for name, value in a.items():
        if isinstance(value, np.ndarray):
            native = b[name].dtype.newbyteorder("=")  # the order of bytes is no difference
            if value.dtype != native or not np.array_equal(value, b[name]):
                return f"another array: {name}"
        elif json.dumps(value, sort_keys=True) != json.dumps(b[name], sort_keys=True):
            return f"another value: {name}"
    return None


def _differs_in_structure(trainer, said):
    """The same for the positions and values that a run with the final values starts from."""
    for name, array in trainer.model.state().items():
        if not name.endswith("velocity") and not np.array_equal(array, said[f"model/{name}"]):
            return f"another array: {name}"
    return None
