"""What arguments must be: each check raises ValueError in one line, with what is allowed.

A wrong type is a ValueError, too, so that one kind of error says all. Those of arrays and layers
are in shapes.py.
"""

import os
import re
from difflib import get_close_matches
from numbers import Integral, Real
from pathlib import Path
from reprlib import Repr
from types import NoneType, UnionType
from typing import get_args, get_origin

import numpy as np

SMALLEST_H, LARGEST_H = 2.0 ** -126, 2.0 ** 127  # beyond, a float32 has fewer bits, or none
LARGEST = 1e38  # of factors and magnitudes: float32 ends at 3.4e38
NAME = re.compile(r"\w[\w.-]*", re.ASCII)  # of a network, tensor, method, data set or schedule
WORDS = {str: "one line of text", bool: "True or False", int: "a whole number",
         float: "a number", dict: "a dict", NoneType: "None"}


def check_choice(name, value, choices, error=ValueError):
    """Raise `error`, with the choices, and the nearest of them, where `value` is none of them."""
    if not isinstance(value, str) or value not in tuple(choices):
        raise error(f"unknown {name} {shown(value)}; {nearest(value, choices)}choose one of: "
                    f"{', '.join(map(str, choices))}")


def check_name(what, name):
    """Raise ValueError unless `name` can be one in files of a run, and of files."""
    if not isinstance(name, str) or not NAME.fullmatch(name):
        raise ValueError(f"{what} must be letters, digits, '_', '.' and '-', not {shown(name)}")


def check_range(name, number, least=0, most=LARGEST):
    """Raise ValueError unless `number` is within [least, most]."""
    if not _is_real(number):
        raise ValueError(f"{name} must be a number, not {shown(number)}")
    if not least <= number <= most:
        least, most = (f"{n:,}" if isinstance(n, int) else f"{n:g}" for n in (least, most))
        raise ValueError(f"{name} must be in [{least}, {most}], not {shown(number)}")


def check_share(name, number):
    """Raise ValueError unless `number` is within [0, 1): a share that leaves something."""
    if not _is_real(number) or not 0 <= number < 1:
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


def check_class_names(names):
    """Raise ValueError unless these are names of classes: two at least, each a line of text."""
    if not isinstance(names, (list, tuple)) or len(names) < 2:
        raise ValueError(f"classes must be names, two at least, not {shown(names)}")
    for name in names:
        if not isinstance(name, str) or not 1 <= len(name) <= 100 or not name.isprintable():
            raise ValueError("the name of a class must be one line of 1 to 100 characters, not "
                             f"{shown(name)}")


def check_rng_state(state):
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


def check_numbers(**numbers):
    """Raise ValueError unless each of these is a real number, and not NaN."""
    for name, number in numbers.items():
        if not _is_real(number) or number != number:
            raise ValueError(f"{name} must be a number, not {shown(number)}")


def check_whole(name, number, least=0, most=None):
    """Raise ValueError unless `number` is a whole number in least..most; None is no bound."""
    if (not isinstance(number, (int, Integral)) or isinstance(number, bool)
            or number < least or most is not None and number > most):
        allowed = f"{least} or more" if most is None else f"in {least}..{most}"
        raise ValueError(f"{name} must be a whole number, {allowed}, not {shown(number)}")


def check_sizes(**sizes):
    """Raise ValueError unless these are whole numbers, 1 or more; a pad may be 0."""
    for name, size in sizes.items():
        check_whole(name, size, 0 if name == "pad" else 1)


def check_rates(**rates):
    """Raise ValueError unless each of these is 0 or more, and finite."""
    for name, rate in rates.items():
        check_range(name, rate)


def check_window(kernel, stride, pad):
    """Raise ValueError unless a pooling window can be so: with a pixel of the image in each, and
    its taps numbered in 16 bits."""
    check_whole("kernel", kernel, 1, 255)
    check_whole("stride", stride, 1)
    check_whole("pad", pad, 0, kernel - 1)


def check_rng(rng):
    """Raise ValueError unless `rng` is a numpy.random.Generator."""
    if not isinstance(rng, np.random.Generator):
        raise ValueError("rng must be a numpy.random.Generator, as default_rng(0) makes one, "
                         f"not {shown(rng)}")


# --- arguments of Algorithm 1


def check_tensors(tensors):
    """Raise ValueError unless this is a list of Sparse tensors, each there once."""
    if not isinstance(tensors, (list, tuple)) or not tensors:
        raise ValueError(f"tensors must be a list of Sparse, not {shown(tensors)}")
    for i, W in enumerate(tensors):
        check_is_sparse(f"tensor {i}", W)
    if len({id(W) for W in tensors}) < len(tensors):
        raise ValueError("tensors must differ, one is there twice")


def check_is_sparse(name, W):
    """Raise ValueError unless W is a Sparse tensor: it can grow."""
    if not hasattr(W, "grow"):
        raise ValueError(f"{name} must be Sparse, not {type(W).__name__}")


def check_arguments(tensors, H, N_p, delta, rng):
    """Raise ValueError, saying what is allowed, where reallocate() could not go on."""
    check_tensors(tensors)
    budget = sum(W.value.size for W in tensors)
    if not _is_real(H) or not SMALLEST_H <= H <= LARGEST_H:
        raise ValueError(f"threshold H must be in [2^-126, 2^127], not {shown(H)}")
    if not _is_real(N_p) or not 0 < N_p <= budget or N_p % 1:
        raise ValueError(f"N_p must be in 1..{budget}, the number of free weights, not "
                         f"{shown(N_p)}")
    check_share("delta", delta)
    check_rng(rng)
    for i, W in enumerate(tensors):
        if not bool((abs(W.value) < float("inf")).all()):
            raise ValueError(f"sparse tensor {i} holds a value that is not finite")


def check_threshold(W, H):
    """Raise ValueError unless W is Sparse and H a number."""
    check_is_sparse("W", W)
    check_numbers(H=H)


def check_growth(W, n, rng):
    """Raise ValueError unless n positions of W, a Sparse, are free, and rng can draw them."""
    check_is_sparse("W", W)
    check_rng(rng)
    check_whole("n", n)
    if n > W.size - len(W.index):
        raise ValueError(f"cannot grow {n}: only {W.size - len(W.index)} positions are free")


def check_shares(K, weights, room):
    """Raise ValueError unless apportion() can hand out K."""
    if len(weights) != len(room):
        raise ValueError(f"{len(weights)} weights and {len(room)} rooms; each tensor has both")
    for weight, size in zip(weights, room, strict=True):
        check_range("a weight", weight)
        check_whole("room", size)
    check_whole("K", K)
    if K > sum(room):
        raise ValueError(f"cannot hand out {K} with room for {sum(room)}")


# --- what errors say


def nearest(word, choices):
    """A question after the one of `choices` that is most like `word`; empty where none is."""
    near = [choice for choice in choices if isinstance(word, str) and choice == word.lower()]
    near += get_close_matches(word, choices, n=1) if isinstance(word, str) else []
    return f"did you mean {near[0]}? " if near else ""


class _Short(Repr):
    """Python's repr(), of long things the beginning and the end."""

    def repr_int(self, x, level):
        many = x.bit_length() > 10_000  # Python writes no number of more than 4,300 digits
        return f"a number of {x.bit_length():,} bits" if many else super().repr_int(x, level)


_short = _Short()
_short.maxstring = _short.maxlong = 40


def counted(n, word):
    """As words: 1 position, 2,000 positions."""
    return f"{n:,} {word}{'' if n == 1 else 's'}"


def shown(value):
    """`value` as an error shows it, in one line: of an array its type and shape."""
    if hasattr(value, "dtype") and hasattr(value, "shape") and not isinstance(value, np.generic):
        return f"{value.dtype} {shown_shape(value.shape)}"
    text = " ".join(_short.repr(value).split())
    return text if len(text) <= 60 else f"{type(value).__name__} {text[:50]} ..."


def shown_shape(shape):
    """(3,) or (N, C): sizes and names of sizes as an error shows them."""
    return f"({', '.join(map(str, shape))}{',' * (len(shape) == 1 and shape != ('...',))})"


def _is_real(number):
    return type(number) in (int, float) or (
        isinstance(number, Real) and not isinstance(number, bool))


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
