"""A stranger's functions in a process of their own: calls come in as JSON lines, answers go out.

    python -P -X utf8 -m minidsr.proof.runner FILE.py        or MODULE; remote.py starts it

A call is {"id", "name", "args", "kwargs", "through"}. The answer has the call's id, what was
"printed", and either the "value" with the arguments that were "changed", or what was "raised" and
in which line. `through` names a function "module:name" that is called in the place of the
stranger's, with that one first; a call without a name loads the file, or the module of `through`,
for which there is more time. Nothing here judges. This process ends when its input does, also
from within an endless loop.
"""

import base64
import dataclasses
import importlib
import io
import json
import linecache
import os
import queue
import sys
import threading
import traceback
from functools import partial
from types import ModuleType

import numpy as np

from ..parameters import Sparse
from ..reparam import Report

PRINTED = 2000  # characters of what a call prints that are kept
STATE = ("index", "value", "velocity", "protected")  # of a Sparse tensor


class Unknown:
    """What came back and is no data: its repr()."""

    def __init__(self, text):
        self.text = text

    def __repr__(self):
        return self.text

    def __eq__(self, other):
        return isinstance(other, Unknown) and self.text == other.text


def main(path):
    """Answer calls of the functions of a file, or of a module, until there are no more."""
    answers = os.fdopen(os.dup(1), "w", encoding="utf-8", newline="\n")
    calls = queue.Queue()
    threading.Thread(target=_read, args=(os.dup(0), calls), daemon=True).start()
    nowhere = os.open(os.devnull, os.O_RDWR)
    for stream in range(3):
        os.dup2(nowhere, stream)
    sys.stdout = sys.stderr = printed = Printed()
    sys.argv[1:] = []  # these words are not the stranger's
    module, us = None, os.getpid()
    while True:
        call = calls.get()
        try:
            if call["name"]:
                answer = _called(module, call)
            elif call["through"]:
                answer = _imported(call["through"])
            else:
                module = _load(path)
                answer = {"value": sorted(n for n, x in vars(module).items() if callable(x))}
        except BaseException as error:
            answer = _raised(error, getattr(module, "__file__", path))
        if os.getpid() != us:  # a copy that the stranger has made by fork()
            os._exit(0)
        print(json.dumps({"id": call["id"], "printed": printed.take(), **answer}), file=answers,
              flush=True)


class Printed(io.TextIOBase):
    """Keeps the beginning of what is written to it."""

    text = ""

    def write(self, text):
        self.text = (self.text + text)[:PRINTED]
        return len(text)

    def take(self):
        """What was written since the last time."""
        text, self.text = self.text, ""
        return text


def _read(stream, calls):
    with os.fdopen(stream, encoding="utf-8") as lines:
        for line in lines:
            calls.put(json.loads(line))
    os._exit(0)


def _load(path):
    """The module. A file is run as it is now, not as it is cached, and finds those beside it."""
    if not path.endswith(".py"):
        return importlib.import_module(path)
    linecache.checkcache()
    folder, name = os.path.split(path)
    sys.path.insert(0, folder)
    sys.modules[name[:-3]] = module = ModuleType(name[:-3])
    module.__file__ = path
    with open(path, "rb") as file:
        exec(compile(file.read(), path, "exec"), module.__dict__)
    return module


def _imported(through):
    importlib.import_module(through.partition(":")[0])
    return {"value": None}


def _called(module, call):
    function = getattr(module, call["name"])
    if call["through"]:
        place, _, name = call["through"].partition(":")
        function = partial(getattr(sys.modules[place], name), function)
    args = decode(call["args"])
    kwargs = {name: decode(value) for name, value in call["kwargs"].items()}
    value = encode(function(*args, **kwargs))
    after = ((i, encode(arg)) for i, arg in enumerate(args))
    changed = [[i, now] for i, now in after if now != call["args"][i]]
    return _sendable({"value": value, "changed": changed})


def _sendable(answer):
    """The answer, unless JSON has no way to write it, as of a number of 5,000 digits."""
    try:
        json.dumps(answer)
        return answer
    except (ValueError, TypeError, RecursionError) as error:
        return {"value": encode(Unknown(f"what cannot be sent: {error}")), "changed": []}


def _raised(error, path):
    frames = [f for f in traceback.extract_tb(error.__traceback__) if f.filename == path]
    line, code = (frames[-1].lineno, frames[-1].line) if frames else (None, None)
    if isinstance(error, SyntaxError) and error.filename == path:
        line, code = error.lineno, error.text
    try:
        syntax = isinstance(error, SyntaxError) and error.filename == path
        text = (error.msg if syntax else str(error))[:300]
    except Exception:
        text = ""
    return {"raised": type(error).__name__, "text": text, "line": line,
            "code": (code or "").strip()}


# --- data as JSON


def encode(x):
    """`x` as JSON has it: numbers, text, lists, tuples, dicts, arrays, Sparse tensors, random
    generators and Reports; of anything else its repr()."""
    if x is None or type(x) in (bool, int, float, str):
        return x
    if isinstance(x, list):
        return [encode(y) for y in x]
    if isinstance(x, tuple):
        return {"tuple": [encode(y) for y in x]}
    if isinstance(x, dict):
        return {"dict": [[encode(key), encode(y)] for key, y in x.items()]}
    if isinstance(x, (np.ndarray, np.generic)) and x.dtype.kind in "biufc":
        text = base64.b64encode(np.ascontiguousarray(x)).decode()
        return {"array": text, "dtype": x.dtype.str, "shape": list(x.shape)}
    if isinstance(x, Sparse):
        return {"sparse": [encode(getattr(x, name)) for name in STATE], "shape": list(x.shape)}
    if isinstance(x, np.random.Generator) and isinstance(x.bit_generator, np.random.PCG64):
        return {"rng": x.bit_generator.state}
    if isinstance(x, Report):
        return {"report": {name: encode(y) for name, y in dataclasses.asdict(x).items()}}
    try:
        return {"unknown": repr(x)[:200]}
    except Exception:
        return {"unknown": f"a {type(x).__name__}"}


def decode(x):
    """What encode() was given. Raises ValueError, KeyError or TypeError for what it never makes."""
    if isinstance(x, list):
        return [decode(y) for y in x]
    if not isinstance(x, dict):
        return x
    kind = next(iter(x))
    if kind == "array":
        array = np.frombuffer(base64.b64decode(x["array"]), x["dtype"]).reshape(x["shape"])
        return array.copy()[()]
    return _DECODE[kind](x)


def _sparse(x):
    """As it is, also where positions make no sense."""
    W = Sparse(tuple(x["shape"]), np.zeros(0, np.int32), np.zeros(0, np.float32))
    vars(W).update(zip(STATE, map(decode, x["sparse"]), strict=True))
    return W


def _rng(x):
    rng = np.random.default_rng(0)
    rng.bit_generator.state = x["rng"]
    return rng


_DECODE = {
    "tuple": lambda x: tuple(map(decode, x["tuple"])),
    "dict": lambda x: {decode(key): decode(y) for key, y in x["dict"]},
    "sparse": _sparse, "rng": _rng,
    "report": lambda x: Report(**{name: decode(y) for name, y in x["report"].items()}),
    "unknown": lambda x: Unknown(str(x["unknown"])),
}


if __name__ == "__main__":
    main(sys.argv[1])
