"""Anyone's reallocate() behind our signature: what it is given, and what it must return.

Where tensors are Sparse, they change in place:

    reallocate(tensors, H, N_p, delta, rng) -> next_H
                                               or (next_H, Report)
                                               or (next_H, pruned, grown): counts, one a tensor

Where weights are dense and have masks, the first three are lists with an array for each tensor, and
a mask is of bool, True where a weight is in use:

    reallocate(values, masks, velocities, H, N_p, delta, rng) -> next_H
                                               or (next_H, values, masks, velocities)

The arrays change in place, or new ones are put into the lists, or are returned. Where a mask is
False, value and velocity are 0 before; what they are afterwards is not looked at.

`rng` is a numpy.random.Generator; PyTorch's own generator is seeded by it. A function that has a
parameter keep_one is told whether the largest weight stays where all are below H. If another one
keeps it, that is its own choice.
"""

import importlib
import importlib.util
import inspect
from collections.abc import Callable
from functools import partial

import numpy as np

from ..checks import check_choice
from ..parameters import index_dtype
from ..reparam import Report

PACKAGES = {"numpy": "NumPy", "torch": "PyTorch", "jax": "JAX"}
ON_SPARSE = ("tensors", "H", "N_p", "delta", "rng")
ON_MASKS = ("values", "masks", "velocities", *ON_SPARSE[1:])


def adapted(function: Callable, masks: str | None = None) -> Callable:
    """`function` as one with our signature, as Case.run() takes it.

    masks  whose arrays it takes, if it takes masks: numpy, torch or jax

    Raises ValueError for other names, and where the package is not installed.
    """
    check_masks(masks)
    return partial(call, function, masks=masks)


def check_masks(masks):
    """ValueError unless it is None, or the name of a package that is installed."""
    if masks is not None:
        check_choice("masks", masks, PACKAGES)
        if importlib.util.find_spec(masks) is None:
            raise ValueError(f"masks of {masks} need {PACKAGES[masks]}, which is not installed")


def refuses(function, masks=None):
    """Why it cannot be called as above, in words; None where it can be, or nobody knows."""
    names = ON_MASKS if masks else ON_SPARSE
    try:
        told = {"keep_one": True} if _takes(function, "keep_one") else {}
        inspect.signature(function).bind(*names, **told)
    except TypeError as error:
        return f"it is called with ({', '.join(names)}): {error}"
    except ValueError:  # compiled ones may have no signature
        pass
    return None


def call(function, tensors, H, N_p, delta, rng, *, keep_one=True, masks=None):
    """(next_H, Report) of anyone's function. TypeError or ValueError where it returns, or leaves,
    something else than the above."""
    told = _takes(function, "keep_one")
    function = partial(function, keep_one=keep_one) if told else function
    if masks is None:
        next_H, pruned, grown = _on_sparse(function, tensors, H, N_p, delta, rng)
    else:
        next_H, pruned, grown = _on_masks(function, masks, tensors, H, N_p, delta, rng), None, None
    return next_H, Report(H, next_H, N_p, delta, keep_one if told else None,
                          None if pruned is None else sum(pruned), pruned, grown)


def call_each(function, cases, masks=None):
    """What call() returns for each of several lists of its arguments, with keep_one at the end."""
    return [call(function, *args, keep_one=keep_one, masks=masks) for *args, keep_one in cases]


def _on_sparse(function, tensors, *rest):
    given = list(tensors)
    returned = function(given, *rest)
    _as_many(tensors, given)
    for i, (W, theirs) in enumerate(zip(tensors, given, strict=True)):
        if W is not theirs:
            raise TypeError(f"tensor {i} is another object, it must change in place")
        for name in ("index", "value", "velocity"):
            array = getattr(W, name)
            if not isinstance(array, np.ndarray) or array.ndim != 1:
                raise TypeError(f"tensor {i}: {name} is no NumPy array of shape (m,)")
    next_H, *said = returned if isinstance(returned, (tuple, list)) else [returned]
    if said in ([], [None]):
        return _number(next_H), None, None
    if len(said) == 1 and isinstance(said[0], Report):
        said = [said[0].pruned, said[0].grown]
    if len(said) != 2:
        raise TypeError("it must return next_H, (next_H, Report) or (next_H, pruned, grown)")
    return _number(next_H), _counts(said[0]), _counts(said[1])


def _on_masks(function, masks, tensors, *rest):
    there, back = _arrays_of(masks, rest[-1])
    lists = [[there(array) for array in arrays]
             for arrays in zip(*map(_dense, tensors), strict=True)]
    returned = function(*lists, *rest)
    next_H = returned
    if isinstance(returned, (tuple, list)):
        if len(returned) != 4:
            raise TypeError("it must return next_H or (next_H, values, masks, velocities)")
        next_H, *lists = returned
    lists = [list(arrays) for arrays in lists]
    for arrays in lists:
        _as_many(tensors, arrays)
    for i, (W, *arrays) in enumerate(zip(tensors, *lists, strict=True)):
        _take_over(f"tensor {i}", W, *map(back, arrays))
    return _number(next_H)


def _arrays_of(masks, rng):
    """Two functions: from NumPy's arrays to those of a package, and back."""
    if masks == "torch":
        torch = importlib.import_module("torch")
        torch.manual_seed(int(rng.integers(2**31)))
        return torch.from_numpy, lambda x: x.detach().cpu().numpy()
    if masks == "jax":
        return importlib.import_module("jax.numpy").asarray, np.asarray
    return np.asarray, np.asarray


def _dense(W):
    """value, mask and velocity as dense arrays of its shape."""
    arrays = [np.zeros(W.size, dtype) for dtype in (W.value.dtype, bool, W.value.dtype)]
    for array, numbers in zip(arrays, (W.value, True, W.velocity), strict=True):
        array[W.index] = numbers
    return [array.reshape(W.shape) for array in arrays]


def _take_over(name, W, value, mask, velocity):
    """Change a Sparse to what dense arrays hold."""
    for what, array in (("value", value), ("mask", mask), ("velocity", velocity)):
        if array.shape != W.shape:
            raise ValueError(f"{name}: {what} has shape {array.shape}, not {W.shape}")
    if not np.isin(mask, (0, 1)).all():
        raise ValueError(f"{name}: the mask has entries other than 0 and 1")
    W.index = np.flatnonzero(mask).astype(index_dtype(W.size))
    W.value, W.velocity = (a.reshape(-1)[W.index] for a in (value, velocity))


def _takes(function, parameter):
    try:
        return parameter in inspect.signature(function).parameters
    except (TypeError, ValueError):  # compiled ones may have none
        return False


def _as_many(tensors, theirs):
    if len(theirs) != len(tensors):
        raise TypeError(f"it leaves {len(theirs)} tensors of {len(tensors)}")


def _number(next_H):
    try:
        if not isinstance(next_H, (str, bytes)):
            return float(next_H)
    except (TypeError, ValueError):
        pass
    kind = "None" if next_H is None else f"of type {type(next_H).__name__}"
    raise TypeError(f"next_H, which it returns, must be a number; it is {kind}")


def _counts(numbers):
    return None if numbers is None else [int(n) for n in numbers]
