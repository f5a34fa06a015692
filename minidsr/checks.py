"""What arguments must be: each check raises ValueError in one line, with what is allowed.

A wrong type is a ValueError, too, so that one kind of error says all. Shapes and dtypes are known
on the host; numbers on a GPU are not looked at where training would wait for them.
"""

import functools
import math
import os
import sys
import threading
from contextlib import contextmanager
from difflib import get_close_matches
from numbers import Integral, Real
from pathlib import Path
from reprlib import Repr
from types import NoneType, UnionType
from typing import NamedTuple, get_args, get_origin

import numpy as np

FLOATS = np.dtype(np.float32), np.dtype(np.float64)
INDICES = np.dtype(np.int32), np.dtype(np.int64)
SMALLEST_H, LARGEST_H = 2.0 ** -126, 2.0 ** 127  # beyond, a float32 has fewer bits, or none
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
    if not _is_real(number):
        raise ValueError(f"{name} must be a number, not {shown(number)}")
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


def check_number(name, number):
    """Raise ValueError unless `number` is a real number, and not NaN."""
    if not _is_real(number) or number != number:
        raise ValueError(f"{name} must be a number, not {_said(number)}")


def check_numbers(**numbers):
    """The same of each of these."""
    for name, number in numbers.items():
        check_number(name, number)


def check_whole(name, number, least=0, most=None):
    """Raise ValueError unless `number` is a whole number in least..most; None is no bound."""
    if (not isinstance(number, (int, Integral)) or isinstance(number, bool)
            or number < least or most is not None and number > most):
        allowed = f"{least} or more" if most is None else f"in {least}..{most}"
        raise ValueError(f"{name} must be a whole number, {allowed}, not {_said(number)}")


def check_sizes(**sizes):
    """Raise ValueError unless these are whole numbers, 1 or more; a pad may be 0; and rng, if it is
    among them, a Generator."""
    for name, size in sizes.items():
        if name == "rng":
            check_rng(size)
        else:
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
                         f"not {_said(rng)}")


# --- arrays


class Kind(NamedTuple):
    """What is known of an array that is not there yet."""

    shape: tuple
    dtype: np.dtype


def check_array(name, x, shape, dtypes=FLOATS, like=None):
    """Raise ValueError unless `x` is an array of one of `dtypes`, of `shape`, where a name stands
    for any size and a last "..." for any sizes, and on the device of `like`."""
    if not _is_array(x):
        raise ValueError(f"{name} must be an array, {_allowed(shape, dtypes)}, not {_said(x)}")
    check_kind(name, x, shape, dtypes)
    if like is not None and isinstance(x, np.ndarray) != isinstance(like, np.ndarray):
        raise ValueError(f"{name} and the parameters are on two devices; to() moves a layer")


def check_kind(name, x, shape, dtypes):
    """The same of what has a shape and a dtype."""
    if x.dtype not in dtypes or x.shape != shape and not _matches(x.shape, shape):
        raise ValueError(f"{name} must be {_allowed(shape, dtypes)}, not {_said(x)}")


def _matches(sizes, shape):
    if shape[-1:] == ("...",):
        shape = shape[:-1]
        sizes = sizes[:len(shape)]
    return len(sizes) == len(shape) and all(
        size == n or isinstance(n, str) for size, n in zip(sizes, shape, strict=True))


def check_labels(labels, logits):
    """Raise ValueError unless there is a class for each row of logits (N, classes), N at least 1.

    On a GPU it is not looked at whether the classes are there: who makes a data set does.
    """
    check_array("logits", logits, ("N", "classes"))
    count, classes = logits.shape
    check_whole("the number of images", count, 1)
    if not _is_array(labels) or labels.dtype.kind not in "iu" or labels.shape != (count,):
        raise ValueError(f"labels must be whole numbers ({count},), not {_said(labels)}")
    if isinstance(labels, np.ndarray) != isinstance(logits, np.ndarray):
        raise ValueError("labels must be on the device of the logits")
    check_classes(labels, classes)


def check_classes(labels, classes):
    """Raise ValueError where one of `labels` is not in 0..classes - 1; on a GPU nobody looks."""
    if isinstance(labels, np.ndarray) and len(labels):
        least, most = int(labels.min()), int(labels.max())
        if least < 0 or most >= classes:
            raise ValueError(f"labels must be in 0..{classes - 1}, not "
                             f"{least if least < 0 else most}")


def plain(x):
    """`x`, of NumPy a copy where its memory is in another order: sums are taken in this order."""
    ready = not isinstance(x, np.ndarray) or x.flags.c_contiguous
    return x if ready else x.copy()


def owned(x):
    """`x`, of NumPy a copy where its memory is in another order, or cannot be written to."""
    ready = not isinstance(x, np.ndarray) or x.flags.carray  # in order, aligned, can be written to
    return x if ready else x.copy()


def _is_array(x):
    cupy = sys.modules.get("cupy")  # whoever has a device array has imported it
    return isinstance(x, (np.ndarray, cupy.ndarray) if cupy else np.ndarray)


def _allowed(shape, dtypes):
    return f"{' or '.join(np.dtype(kind).name for kind in dtypes)} {_shape(shape)}"


def _shape(shape):
    return f"({', '.join(map(str, shape))}{',' * (len(shape) == 1 and shape != ('...',))})"


def _said(x):
    """What `x` is, in one line."""
    if _is_array(x) or isinstance(x, Kind):
        return f"{x.dtype} {_shape(x.shape)}"
    text = " ".join(shown(x).split())
    return text if len(text) <= 60 else f"{type(x).__name__} {text[:50]} ..."


# --- layers


class _Within(threading.local):
    """Is this thread within a layer that was given what it can take? So are the layers inside."""

    checked = False


_within = _Within()


@contextmanager
def _checked_within(checked):
    before, _within.checked = _within.checked, checked
    try:
        yield
    finally:
        _within.checked = before


def checked(cls):
    """Have forward() and backward() of a class of layers refuse what they cannot take, before
    anything has changed. After forward(x, train=True), `awaits` is the shape and dtype of dy."""
    if "forward" in vars(cls):
        cls.forward = _checked_forward(cls.forward)
    if "backward" in vars(cls):
        cls.backward = _checked_backward(cls.backward)


def _checked_forward(forward):
    @functools.wraps(forward)
    def checked_forward(self, x, train=False):
        if _within.checked:
            y = forward(self, x, train)
        else:
            known = _check_input(self, x, train)
            with _checked_within(known):
                y = forward(self, plain(x), train)
        self.awaits = (y.shape, y.dtype) if train else None
        return y

    return checked_forward


def _checked_backward(backward):
    @functools.wraps(backward)
    def checked_backward(self, dy):
        awaits, within = self.awaits, _within.checked
        if not within:
            if awaits is None:
                raise ValueError("backward comes once after each forward(x, train=True)")
            check_array("dy", dy, awaits[0], (awaits[1],))
            dy = plain(dy)
        self.awaits = None
        if within:
            return backward(self, dy)
        with _checked_within(True):
            return backward(self, dy)

    return checked_backward


def _check_input(layer, x, train):
    """Is it known of all layers inside that they can take what comes to them from x?"""
    weight = next((getattr(inner, name).value for _, inner in layer.walk()
                   for name in inner.parameters), None)
    after = None
    if _is_array(x):
        after = kind_after(layer, Kind(x.shape, x.dtype))  # the layer's own words
    check_array("x", x, ("N", "..."), like=weight)
    if train:
        check_whole("the number of images", len(x), 1)
    return after is not None


def kind_after(layer, x):
    """The Kind of what `layer` returns for an array of Kind x, None where nobody knows. Raises
    ValueError where it, or a layer inside, takes no such array."""
    if x is None:
        return None
    if hasattr(layer, "layers"):  # a Sequential
        for name, inner in layer.layers.items():
            try:
                x = kind_after(inner, x)
            except ValueError as error:
                raise ValueError(f"{name}: {error}") from None
        return x
    if hasattr(layer, "body"):  # a Residual
        h = kind_after(layer.before, x)
        y, added = kind_after(layer.body, h), x
        if layer.shortcut is not None:
            added = kind_after(layer.shortcut, h)
        if None not in (y, added) and y.shape != added.shape:
            raise ValueError(f"the body gives {_shape(y.shape)}, and {_shape(added.shape)} is to "
                             "be added")
        return y
    if layer.shapes is None:
        return None
    weight = layer.weight if "weight" in layer.parameters else None
    return _kind_by_shapes(
        layer.shapes, x, None if weight is None else Kind(weight.shape, weight.value.dtype),
        (layer.kernel, layer.stride, layer.pad) if "OH" in layer.shapes else None)


@functools.lru_cache(4096)  # a step asks the same as the last
def _kind_by_shapes(shapes, x, weight, window):
    """By "takes -> gives". Sizes have the letters of nn/layers.py; C and F are those of the weight,
    if there is one, and P is the product of all sizes but N."""
    takes, gives = (tuple(side.split()) for side in shapes.split("->"))
    wanted, dtypes, sizes = takes, FLOATS, dict(zip(takes, x.shape, strict=False))
    if weight is not None:
        sizes["F"], dtypes = weight.shape[0], (weight.dtype,)
        wanted = tuple(weight.shape[:2][-1] if name == "C" else name for name in takes)
    check_kind("x", x, wanted, dtypes)
    if 0 in x.shape[1:]:
        raise ValueError(f"x must have no empty axis but the first, not {_said(x)}")
    if window:
        sizes |= {f"O{size}": out_size(sizes[size], *window) for size in "HW"}
    sizes["P"] = math.prod(x.shape[1:])
    rest = x.shape[len(takes) - 1:] if "..." in gives else ()
    return Kind(tuple(sizes[name] for name in gives if name != "...") + rest, x.dtype)


def out_size(size, k, s, p):
    """How many windows of k pixels, every s pixels, fit into `size` pixels padded by p.

    Raises ValueError where none does.
    """
    if k > size + 2 * p:
        raise ValueError(f"a window of {k} does not fit {size} pixels padded by {p}")
    return (size + 2 * p - k) // s + 1


# --- free numbers


def check_sparse(size, index, value, velocity):
    """Raise ValueError unless these can be a Sparse tensor of `size` positions."""
    if index.ndim != 1 or not index.shape == value.shape == velocity.shape:
        raise ValueError(f"index {index.shape}, value {value.shape} and velocity "
                         f"{velocity.shape} must all be (m,)")
    if len(index) and not (0 <= index[0] and index[-1] < size
                           and bool((index[1:] > index[:-1]).all())):
        raise ValueError(f"index must be sorted, unique and within [0, {size})")


def check_within(name, ordered, size):
    """Raise ValueError unless these sorted positions are within [0, size)."""
    if len(ordered) and (ordered[0] < 0 or ordered[-1] >= size):
        raise ValueError(f"{name} must be within [0, {size})")


def positions(name, array, size=None):
    """The array (n,) of whole numbers, as int32 or int64. ValueError where it is none, or one is
    not within [0, size), if that is given. An empty array may be of any type, as [] has none."""
    if array.ndim != 1 or len(array) and array.dtype.kind not in "iu":
        raise ValueError(f"{name} must be whole numbers (n,), not {_said(array)}")
    if size is not None and len(array) and (array.min() < 0 or array.max() >= size):
        raise ValueError(f"{name} must be within [0, {size})")
    return array if array.dtype in INDICES else array.astype(np.int64)


def check_update(params, lr):
    """Raise ValueError unless each parameterization has its gradient, and lr is a number."""
    if lr is None:
        raise ValueError("lr is not set; say sgd.lr = 0.1 before the first step")
    check_range("lr", lr)
    for p in params:
        if p.grad is None:
            raise ValueError(f"a parameter {p.shape} has no gradient; backward comes before a step")
        check_array("grad", p.grad, p.value.shape, (p.value.dtype,), like=p.value)


def check_tensors(tensors):
    """Raise ValueError unless this is a list of Sparse tensors, each there once."""
    if not isinstance(tensors, (list, tuple)) or not tensors:
        raise ValueError(f"tensors must be a list of Sparse, not {_said(tensors)}")
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
    check_number("threshold H", H)
    if not SMALLEST_H <= H <= LARGEST_H:
        raise ValueError(f"threshold H must be in [2^-126, 2^127], not {H}")
    check_number("N_p", N_p)
    if N_p % 1 or not 0 < N_p <= budget:
        raise ValueError(f"N_p must be in 1..{budget}, the number of free weights, not {N_p}")
    check_number("delta", delta)
    if not 0 <= delta < 1:
        raise ValueError(f"delta must be in [0, 1), not {delta}")
    check_rng(rng)
    for i, W in enumerate(tensors):
        if not bool((abs(W.value) < float("inf")).all()):
            raise ValueError(f"sparse tensor {i} holds a value that is not finite")


def check_threshold(W, H):
    """Raise ValueError unless W is Sparse and H a number."""
    check_is_sparse("W", W)
    check_number("H", H)


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
