"""Records what a program does when it moves weights, so that `minidsr verify` can judge it.

This file needs NumPy only: import it from minidsr, or copy it into your project. It takes arrays of
NumPy, PyTorch, JAX and CuPy. lessons/notes/traces.md shows how it is used, and says what the keys
in its files mean.
"""

import os
import re
from collections.abc import Mapping
from contextlib import contextmanager
from difflib import get_close_matches
from pathlib import Path

import numpy as np

NUMBERS = ("H", "next_H", "N_p", "delta", "keep_one", "fraction", "progress", "step")
COUNTS = ("pruned", "grown", "final")  # one for each sparse tensor
OTHERS = ("gradient", "momentum", "protected", "sign", "bucket", "threshold")  # of some methods
BEFORE = ("gradient", "momentum", "protected")  # what is looked at before a reallocation only


class Recorder:
    """Writes a file for each reallocation into a folder:

        recorder = Recorder("trace", model, masks, optimizer)

        with recorder.reallocation(H=H, N_p=N_p, delta=delta) as r:
            H = reallocate(model, masks, optimizer, H, N_p, delta)  # yours
            r.said(next_H=H)

    values      the weights
    masks       1 where a weight is free, else 0, of the weight's shape; a tensor without one is
                dense. Left out where `values` is a model: its buffers, `mask` for `weight` and
                NAME_mask for NAME or NAME_orig
    velocities  the momentum of the weights
    in_forward  the mask is applied in the forward pass only: the network's weight is value * mask
    parts       {name: {part: slice}}, for a tensor that holds several: they become name/part
    resume      go on with the trace in the folder, from this step: what it has of this step and
                later is removed. Without, the folder must hold no trace
    others      gradient, momentum, protected, sign, bucket, threshold: what rules of some methods
                need

    Each of values, masks, velocities and others is {name: array}, also of such dicts, or a function
    that returns one; or of PyTorch a model, or an optimizer: its momentum_buffer or exp_avg. The
    gradient of a model is the .grad of its parameters. All are read anew each time. From names go
    `module.`, which DDP puts in front, `_orig_mod.` of torch.compile, and an `_orig` at the end.

    ValueError, in one line, for what cannot be recorded.
    """

    def __init__(self, folder, values, masks=None, velocities=None, *, in_forward=False, parts=None,
                 resume=None, **others):
        for key in others:
            _check_known(key, OTHERS)
        if masks is None and hasattr(values, "named_buffers"):
            masks = values
        self.sources = {"value": values, "mask": masks, "velocity": velocities, **others}
        self.in_forward, self.parts = in_forward, parts or {}
        self.folder = Path(folder)
        self.number, self.removed = 0, 0  # of the next reallocation; how many a resume has removed
        self.folder.mkdir(parents=True, exist_ok=True)
        if resume is not None:
            self._go_on(resume)
        elif any(self.folder.glob("*.npz")):
            raise ValueError(f"{folder}: has a trace already; choose another folder, or say from "
                             "which step to resume it")

    @contextmanager
    def reallocation(self, **numbers):
        """Look at all tensors where the context begins, and where it ends; then write the file.

        Gives a Said that takes more numbers meanwhile. Where the context is left by an exception,
        nothing is written, and earlier files stay.
        """
        said = Said()
        said.said(**numbers)
        before = self._look()
        yield said
        after = self._look()
        entries = said.entries([name for name, t in before.items() if "index" in t], self.like)
        for name, a in before.items():
            if name not in after or a["size"] != after[name]["size"]:
                raise ValueError(f"{name}: not the same tensor after the reallocation as before")
            if "index" not in a and looks_pruned(a["value"], after[name]["value"]):
                raise ValueError(f"{name}: has no mask, yet more of it is 0 after than before; is "
                                 "its mask missing?")
            entries |= {f"{name}/before/{key}": x for key, x in a.items() if key != "size"}
            entries |= {f"{name}/after/{key}": x for key, x in changes(a, after[name]).items()}
            if "index" in a:
                entries[f"{name}/size"] = a["size"]
        self._write({f"{self.number}/{key}": x for key, x in entries.items()})
        self.number += 1

    def _look(self):
        """{name: {"size": size, key: flat copy}} of all tensors now."""
        weights = _read("value", self.sources["value"])
        self.multiplied = {_clean(name) for name in weights if name.endswith("_orig")}
        found = {key: self._cut(_read(key, source, weights), key)
                 for key, source in self.sources.items()}
        values, masks = found["value"], found["mask"]
        for key, arrays in found.items():
            for name in arrays.keys() - values.keys():
                raise ValueError(f"{key} of {name}, which is no tensor" + near(name, values))
        if not masks and not found.get("bucket"):
            raise ValueError("no tensor has a mask")
        self.like = next((values[name] for name in masks), None)
        return {name: self._tensor(name, {key: to_numpy(arrays[name]) for key, arrays
                                          in found.items() if name in arrays})
                for name in values}

    def _cut(self, arrays, key):
        """The arrays, those that hold several in their parts."""
        arrays = {_clean(name): x for name, x in arrays.items() if x is not None}
        for name, parts in self.parts.items():
            whole = arrays.pop(name, None)
            if whole is not None:
                arrays |= {f"{name}/{part}": whole[cut] for part, cut in parts.items()}
            elif key == "value":
                raise ValueError(f"parts of {name}, which is no tensor" + near(name, arrays))
        return arrays

    def _tensor(self, name, arrays):
        """One of what _look() returns."""
        mask, value = arrays.pop("mask", None), arrays["value"]
        for key, x in (("mask", mask), ("velocity", arrays.get("velocity"))):
            if x is not None and x.shape != value.shape:
                raise ValueError(f"{name}: {key} has shape {x.shape}, value {value.shape}")
        flat = {"size": value.size, **{key: x.flatten() for key, x in arrays.items()}}
        if mask is None:
            return {key: x for key, x in flat.items() if key not in BEFORE}
        free = mask.flatten() != 0
        if (mask.flatten()[free] != 1).any():
            raise ValueError(f"{name}: mask has entries other than 0 and 1")
        masked = flat["value"][~free]
        if self.in_forward or name in self.multiplied or not masked.any():
            masked = np.zeros((), masked.dtype)
        flat |= {key: flat[key][free] for key in ("value", "velocity") if key in flat}
        index = np.flatnonzero(free).astype(np.min_scalar_type(free.size))
        return {**flat, "index": index, "masked": masked}

    def _write(self, entries):
        """Write the file of a reallocation, whole or not at all."""
        path = self.folder / f"r{self.number}.npz"
        temporary = self.folder / f".{path.name}.partial"
        try:
            with open(temporary, "wb") as file:
                np.savez_compressed(file, **entries)
                file.flush()
                os.fsync(file.fileno())
            os.replace(temporary, path)
        finally:
            temporary.unlink(missing_ok=True)

    def _go_on(self, resume):
        """Remove what was recorded at this step or later, and number on from there."""
        files = {int(path.stem[1:]): path for path in self.folder.glob("r*.npz")
                 if re.fullmatch(r"r\d+", path.stem)}
        for number in sorted(files, reverse=True):
            with np.load(files[number]) as file:
                if f"{number}/step" not in file:
                    raise ValueError(f"{files[number]}: has no step, so it cannot be told where to "
                                     "go on")
                step = file[f"{number}/step"]
            if step < resume:
                self.number = number + 1
                return
            files[number].unlink()
            self.removed += 1


class Said(dict):
    """Numbers that a program says of a reallocation: {name: number}."""

    def said(self, **numbers):
        """Note numbers: H, next_H, N_p, delta, keep_one, fraction, progress, step; and for each
        sparse tensor pruned, grown, final, as a list or by name. What is None is not known."""
        for key in numbers:
            _check_known(key, NUMBERS + COUNTS)
        self.update(numbers)

    def entries(self, names, like):
        """{key: number} of a trace, where the sparse tensors have these names and are of the type
        of the array `like`."""
        found = {}
        for key, x in self.items():
            if key in COUNTS and x is not None:
                counts = {_clean(name): n for name, n in x.items()} if isinstance(x, Mapping) else (
                    dict(zip(names, x, strict=True)) if len(x) == len(names) else {})
                if counts.keys() != set(names):
                    raise ValueError(f"{key} must have a number for each sparse tensor: "
                                     f"{', '.join(names)}")
                found |= {f"{name}/{key}": to_numpy(n) for name, n in counts.items()}
            elif x is not None:
                found[key] = _rounded(x, like) if key in ("H", "next_H") else to_numpy(x)
        return found


def to_numpy(x):
    """The array as NumPy has it; bfloat16, fp8 and others that it lacks in float32, exactly."""
    if hasattr(x, "detach"):  # PyTorch's
        x = x.detach().cpu()
        try:
            return x.numpy()
        except TypeError:
            return x.float().numpy()
    if hasattr(x, "__cuda_array_interface__") and hasattr(x, "get"):  # CuPy's
        x = x.get()
    x = np.asarray(x)
    return x.astype(np.float32) if x.dtype.kind == "V" else x


def _read(key, source, weights=None):
    """{name: array} of what a source has now; of an optimizer, what it has of the weights."""
    if hasattr(source, "named_parameters"):
        parameters = dict(source.named_parameters())
        if key == "mask":
            return _buffers(source, parameters)
        return {name: p.grad if key == "gradient" else p for name, p in parameters.items()}
    if hasattr(source, "state"):
        states = {name: source.state.get(p, {}) for name, p in weights.items()}
        return {name: s.get("momentum_buffer", s.get("exp_avg")) for name, s in states.items()}
    return dict(_leaves(source() if callable(source) else source or {}))


def _buffers(model, parameters):
    """{name: mask} of the buffers that are masks by their name."""
    found = {}
    for name, buffer in model.named_buffers():
        stem = re.sub(r"(^|\.)mask$", r"\1weight_mask", name).removesuffix("_mask")
        if name.endswith("mask") and {stem, f"{stem}_orig"} & parameters.keys():
            found[stem] = buffer
    return found


def _leaves(tree, start=""):
    """(name, array) of dicts in dicts, names joined by slashes."""
    for name, x in tree.items():
        if isinstance(x, Mapping):
            yield from _leaves(x, f"{start}{name}/")
        else:
            yield f"{start}{name}", x


def _clean(name):
    """A tensor's name without what wrappers and torch.nn.utils.prune add to it."""
    return name.replace("_orig_mod.", "").removeprefix("module.").removesuffix("_orig")


def changes(a, b):
    """What a file says of tensor b after, where a was before: what is gone, and what has changed or
    is new. All of it where the types have changed."""
    b = {key: x for key, x in b.items() if key not in ("size", *BEFORE)}
    keys = [key for key in ("value", "velocity") if key in a or key in b]
    if ("index" in a) != ("index" in b) or any(
            key not in a or key not in b or a[key].dtype != b[key].dtype for key in keys):
        return b
    at_a = at_b = np.arange(len(b["value"]))
    if "index" in b:
        _, at_a, at_b = np.intersect1d(a["index"], b["index"], assume_unique=True,
                                       return_indices=True)
    changed = np.ones(len(b["value"]), bool)
    changed[at_b] = False
    for key in keys:
        bits = f"u{b[key].itemsize}"
        changed[at_b] |= a[key].view(bits)[at_a] != b[key].view(bits)[at_b]
    b |= {key: b[key][changed] for key in keys}
    if "index" not in b:
        return b | {"changed": np.flatnonzero(changed)}
    index = b.pop("index")
    return b | {"changed": index[changed],
                "gone": np.setdiff1d(a["index"], index, assume_unique=True)}


def looks_pruned(before, after):
    """Was a tensor of these values pruned, as if it had a mask? A fifth of it is 0, then more."""
    zeros = before == 0
    return bool(zeros.size and zeros.mean() >= 0.2 and ((after == 0) & ~zeros).any())


def _rounded(H, like):
    """A threshold as it is compared with weights of the type of `like`."""
    H = float(to_numpy(H))
    if like is None or to_numpy(like).dtype.kind != "f":
        return H
    with np.errstate(over="ignore"):
        rounded = float(to_numpy(like.new_tensor(H) if hasattr(like, "new_tensor") else
                                 np.asarray(H).astype(like.dtype)))
    return rounded if 0 < rounded < np.inf else H


def _check_known(key, choices):
    if key not in choices:
        raise ValueError(f"{key} is not recorded; choose from: {', '.join(choices)}"
                         + near(key, choices))


def near(name, names):
    """A hint where there is a similar name."""
    alike = [n for n in sorted(names) if n.endswith(f".{name}") or name.endswith(f".{n}")]
    alike += get_close_matches(name, names, 1)
    return f"; is it {alike[0]}?" if alike else ""
