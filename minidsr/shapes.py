"""What arrays must be, and what layers take: each check raises ValueError in one line.

Shapes and dtypes are known on the host; numbers on a GPU are not looked at where training would
wait for them.
"""

import functools
import math
import sys
import threading
from contextlib import contextmanager
from typing import NamedTuple

import numpy as np

from .checks import check_range, check_whole, shown, shown_shape

FLOATS = np.dtype(np.float32), np.dtype(np.float64)
INDICES = np.dtype(np.int32), np.dtype(np.int64)


class Kind(NamedTuple):
    """What is known of an array that is not there yet."""

    shape: tuple
    dtype: np.dtype


def check_array(name, x, shape, dtypes=FLOATS, like=None):
    """Raise ValueError unless `x` is an array of one of `dtypes`, of `shape`, where a name stands
    for any size and a last "..." for any sizes, and on the device of `like`."""
    if not _is_array(x):
        raise ValueError(f"{name} must be an array, {_allowed(shape, dtypes)}, not {shown(x)}")
    check_kind(name, x, shape, dtypes)
    if like is not None and isinstance(x, np.ndarray) != isinstance(like, np.ndarray):
        raise ValueError(f"{name} and the parameters are on two devices; to() moves a layer")


def check_kind(name, x, shape, dtypes):
    """The same of what has a shape and a dtype."""
    if x.dtype not in dtypes or x.shape != shape and not _matches(x.shape, shape):
        raise ValueError(f"{name} must be {_allowed(shape, dtypes)}, not {shown(x)}")


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
        raise ValueError(f"labels must be whole numbers ({count},), not {shown(labels)}")
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
    return f"{' or '.join(np.dtype(kind).name for kind in dtypes)} {shown_shape(shape)}"


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
            raise ValueError(f"the body gives {shown_shape(y.shape)}, and "
                             f"{shown_shape(added.shape)} is to be added")
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
        raise ValueError(f"x must have no empty axis but the first, not {shown(x)}")
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


def positions(name, array, size=None):
    """The array (n,) of whole numbers, as int32 or int64. ValueError where it is none, or one is
    not within [0, size), if that is given. An empty array may be of any type, as [] has none."""
    if array.ndim != 1 or len(array) and array.dtype.kind not in "iu":
        raise ValueError(f"{name} must be whole numbers (n,), not {shown(array)}")
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
