"""What arguments must be: each check raises ValueError in one line, with what is allowed."""

import os
from difflib import get_close_matches
from pathlib import Path
from reprlib import Repr
from types import NoneType, UnionType
from typing import get_args, get_origin

import numpy as np

LARGEST = 1e38  # of factors and magnitudes: float32 ends at 3.4e38
WORDS = {str: "one line of text", bool: "True or False", int: "a whole number",
         float: "a number", dict: "a dict", NoneType: "None"}


def check_choice(name, value, choices, error=ValueError):
    """Raise `error`, with the choices, and the nearest of them, where `value` is none of them."""
    if value not in tuple(choices):
        raise error(f"unknown {name} {shown(value)}; {nearest(value, choices)}choose one of: "
                    f"{', '.join(map(str, choices))}")


def check_range(name, number, most=LARGEST, least=0):
    """Raise ValueError unless `number` is within [least, most]."""
    if not least <= number <= most:
        least, most = (f"{n:,}" if isinstance(n, int) else f"{n:g}" for n in (least, most))
        raise ValueError(f"{name} must be in [{least}, {most}], not {shown(number)}")


def check_share(name, number):
    """Raise ValueError unless `number` is within [0, 1): a share that leaves something."""
    if not 0 <= number < 1:
        raise ValueError(f"{name} must be in [0, 1), not {shown(number)}")


def check_folder(path):
    """Raise ValueError unless `path` is a folder to write to, or can be made one."""
    path = Path(path)
    there = next((p for p in (path, *path.parents) if os.path.lexists(p)), path)
    if not os.path.isdir(there):
        raise ValueError(f"{path}: {there} is not a folder")
    if not os.access(there, os.W_OK | os.X_OK):
        raise ValueError(f"{path}: {there} may not be written to")


def check_type(name, value, kind):
    """Raise ValueError unless `value` is what the annotation `kind` says: str, bool, int, float,
    dict, tuple[..., ...], or one of these or None.

    A bool is no number, a whole number is a float, too, and text is one line.
    """
    if not _is(value, kind):
        raise ValueError(f"{name} must be {_in_words(kind)}, not {shown(value)}")


def check_generator(state):
    """`state`; ValueError unless it is that of a generator of numpy.random.default_rng()."""
    fresh = np.random.default_rng(0).bit_generator
    try:
        fresh.state = state
        fine = fresh.state == state and state["state"]["inc"] % 2 and state["has_uint32"] in (0, 1)
    except (ValueError, TypeError, KeyError, OverflowError):
        fine = False
    if not fine:
        raise ValueError(f"rng must be a state of {type(fresh).__name__}, not {shown(state)}")
    return state


def nearest(word, choices):
    """A question after the one of `choices` that is most like `word`; empty where none is."""
    near = get_close_matches(str(word), map(str, choices), n=1)
    return f"did you mean {near[0]}? " if near else ""


class _Short(Repr):
    """Python's repr(), of long things the beginning and the end."""

    def repr_int(self, x, level):
        many = x.bit_length() > 10_000  # Python writes no number of more than 4,300 digits
        return f"a number of {x.bit_length():,} bits" if many else super().repr_int(x, level)


_short = _Short()
_short.maxstring = _short.maxlong = 40
shown = _short.repr  # a value as an error shows it


def _is(value, kind):
    if get_origin(kind) is UnionType:
        return any(_is(value, one) for one in get_args(kind))
    if get_origin(kind) is tuple:
        return isinstance(value, tuple) and all(_is(one, get_args(kind)[0]) for one in value)
    if isinstance(value, bool):
        return kind is bool
    if isinstance(value, int):
        return kind in (int, float)
    if kind is str:
        return isinstance(value, str) and value.splitlines() in ([], [value]) and "\0" not in value
    return isinstance(value, kind)


def _in_words(kind):
    if get_origin(kind) is UnionType:
        return " or ".join(map(_in_words, get_args(kind)))
    if get_origin(kind) is tuple:
        return f"a tuple, each of it {_in_words(get_args(kind)[0])}"
    return WORDS[kind]
