"""How the checker speaks: marks, bars and calls, in ASCII where the terminal has no more."""

import sys
from contextlib import suppress

import numpy as np

from minidsr.parameters import Sparse
from minidsr.run.output import SPELLED

MARKS = {"right": "✔", "wrong": "✘", "open": "·", "shown": "~"}
WIDTH = 200  # characters of a line
SIGNS = {"✔": "ok", "✘": "no", "·": ".", "■": "#", "★": "*", "☆": " ", "←": "<--", "→": "->",
         "≤": "<=", "≥": ">=", "√": "sqrt", "Σ": "sum", "ψ": "psi"}


def say(text="", file=None):
    """Print text, to standard output if no file is named; where it has no UTF-8, in ASCII."""
    file = file or sys.stdout
    if "utf" not in (getattr(file, "encoding", None) or "").lower():
        for sign, plain in SIGNS.items():
            text = text.replace(sign, plain)
        text = text.encode("ascii", SPELLED).decode()
    print(text, file=file)


def bar(n, most=8):
    """A whole number, also as a length."""
    return f"{'■' * n} {n}".strip() if 0 <= n <= most else f"{'■' * most}.. {n:,}"


def column(g, n):
    """The answers in a column of n rows; question marks where g is no list of so many."""
    return g if isinstance(g, list) and len(g) == n else ["?"] * n


def call(name, case):
    """The call as code; None where it cannot be written short."""
    text = f"{name}({', '.join(map(code, case))})"
    return text if len(text) <= WIDTH and "<" not in text and "\n" not in text else None


def code(x):
    """An argument or answer as code, or nearly so."""
    if isinstance(x, np.ndarray):
        kind = "" if x.dtype in (np.int64, np.float64) and x.size else f", np.{x.dtype}"
        return f"np.array({x.tolist()}{kind})".replace("nan", "np.nan")
    if isinstance(x, np.generic):
        return repr(x.item())
    if isinstance(x, np.random.Generator):
        seed = x.bit_generator.seed_seq.entropy
        return f"np.random.default_rng({seed})"
    if isinstance(x, Sparse):  # no code: velocities are left out
        return f"<Sparse {x.shape}: {code(x.value)} at {code(x.index)}>"
    if isinstance(x, list):
        return f"[{', '.join(map(code, x))}]"
    if isinstance(x, tuple):
        return f"({', '.join(map(code, x))}{',' * (len(x) == 1)})"
    return repr(x)


def picture(exercise, failure):
    """The case and the answer: the exercise's own picture, else a line an argument."""
    text = None
    if exercise.picture:
        with suppress(Exception):  # the answer may be nothing that can be drawn
            text = exercise.picture(failure.answer, *failure.case)
    if text is None:
        pairs = [*zip(exercise.parameters, failure.case, strict=True)]
        pairs += [("yours", failure.answer)] if failure.answered else []
        width = max(len(name) for name, _ in pairs)
        text = "\n".join(f"{name:<{width}}  {code(x)}" for name, x in pairs)
    return "\n".join(line if len(line) <= WIDTH else f"{line[:WIDTH]} ..."
                     for line in text.splitlines())
