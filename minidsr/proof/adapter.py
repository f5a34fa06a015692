"""Anyone's function that moves weights behind ours: what it is given, and what it must return.

Where tensors are Sparse, they change in place:

    reallocate(tensors, H, N_p, delta, rng) -> next_H
                                               or (next_H, Report)
                                               or (next_H, pruned, grown): counts, one a tensor

Where weights are dense and have masks, the first three are lists with an array for each tensor, and
a mask is of bool, True where a weight is in use (0 and 1 may come back):

    reallocate(values, masks, velocities, H, N_p, delta, rng) -> next_H
                                               or (next_H, values, masks, velocities)

The arrays change in place, or new ones are put into the lists, or are returned. Where a mask is
False, value and velocity are 0 before; what they are afterwards is not looked at.

So it is for Algorithm 1. Functions of other methods are given the share of its weights that each
tensor is to replace, and what they grow by, at all positions: a list of dense arrays. They return
the same as above without next_H, or None:

    update(values, masks, velocities, fraction, rng)              set, set-magnitude, itop
    update(values, masks, velocities, gradients, fraction, rng)   rigl, itop-rigl
    update(values, masks, velocities, momenta, fraction, rng)     snfs

`rng` is a numpy.random.Generator; PyTorch's own generator is seeded by it. A function of Algorithm
1 that has a parameter keep_one is told whether the largest weight stays where all are below H. If
another one keeps it, that is its own choice.
"""

import importlib
import importlib.util
import inspect
from collections.abc import Callable
from functools import partial

import numpy as np

from ..checks import check_choice, shown
from ..parameters import index_dtype
from ..reparam import Report

PACKAGES = {"numpy": "NumPy", "torch": "PyTorch", "jax": "JAX"}
GIVEN = {  # {method: what its function is given between tensors and rng}
    "dsr": ("H", "N_p", "delta"),
    **dict.fromkeys(["set", "set-magnitude", "itop"], ("fraction",)),
    **dict.fromkeys(["rigl", "itop-rigl"], ("gradients", "fraction")),
    "snfs": ("momenta", "fraction"),
}


def adapted(function: Callable, masks: str | None = None, method: str = "dsr") -> Callable:
    """`function` as one with our signature, as a case's run() takes it.

    masks   whose arrays it takes, if it takes masks: numpy, torch or jax
    method  what it does: a name of GIVEN

    Raises ValueError for other names, and where the package is not installed.
    """
    check_masks(masks)
    check_choice("method of a function", method, GIVEN)
    return partial(call, function, masks=masks, method=method)


def check_masks(masks):
    """ValueError unless it is None, or the name of a package that is installed."""
    if masks is not None:
        check_choice("masks", masks, PACKAGES)
        if importlib.util.find_spec(masks) is None:
            raise ValueError(f"masks of {masks} need {PACKAGES[masks]}, which is not installed")


def refuses(function, masks=None, method="dsr"):
    """Why it cannot be called as above, in words; None where it can be, or nobody knows."""
    tensors = ("values", "masks", "velocities") if masks else ("tensors",)
    names = (*tensors, *GIVEN[method], "rng")
    try:
        inspect.signature(function).bind(*names, **_told(function, method, True))
    except TypeError as error:
        return f"it is called with ({', '.join(names)}): {error}"
    except ValueError:  # compiled ones may have no signature
        pass
    return None


def call(function, tensors, *given, keep_one=True, masks=None, method="dsr"):
    """(next_H, Report) of anyone's function, next_H None for other methods than Algorithm 1.
    TypeError or ValueError where it returns, or leaves, something else than the above.

    given  what GIVEN names, and rng
    """
    told = _told(function, method, keep_one)
    function, adjusts = partial(function, **told), method == "dsr"
    if masks is None:
        next_H, pruned, grown = _on_sparse(function, adjusts, tensors, *given)
    else:
        next_H, pruned, grown = _on_masks(function, adjusts, masks, tensors, *given), None, None
    said = {"H": given[0], "N_p": given[1], "delta": given[2]} if adjusts else {}
    return next_H, Report(next_H=next_H, keep_one=told.get("keep_one"), pruned=pruned, grown=grown,
                          K=None if pruned is None else sum(pruned), **said)


def call_each(function, calls, masks=None, method="dsr"):
    """What call() returns for each of several calls, which are (arguments, options)."""
    return [call(function, *args, masks=masks, method=method, **options)
            for args, options in calls]


def _told(function, method, keep_one):
    """What a function is told beside, if it asks for it."""
    return {"keep_one": keep_one} if method == "dsr" and _takes(function, "keep_one") else {}


def _on_sparse(function, adjusts, tensors, *given):
    theirs = list(tensors)
    next_H, *said = _first(adjusts, function(theirs, *given))
    _as_many(tensors, theirs)
    for i, (W, other) in enumerate(zip(tensors, theirs, strict=True)):
        if W is not other:
            raise TypeError(f"tensor {i} is another object, it must change in place")
        for name in ("index", "value", "velocity"):
            array = getattr(W, name)
            if not isinstance(array, np.ndarray) or array.ndim != 1:
                raise TypeError(f"tensor {i}: {name} is no NumPy array of shape (m,)")
    if not said:
        return next_H, None, None
    if len(said) == 1 and isinstance(said[0], Report):
        said = [said[0].pruned, said[0].grown]
    if len(said) != 2:
        raise TypeError("it must return next_H, (next_H, Report) or (next_H, pruned, grown)"
                        if adjusts else "it must return None, a Report or (pruned, grown)")
    return next_H, *map(_counts, said)


def _on_masks(function, adjusts, masks, tensors, *given):
    there, back = _arrays_of(masks, given[-1])
    lists = [[there(array) for array in arrays]
             for arrays in zip(*map(_dense, tensors), strict=True)]
    given = [[there(array) for array in x] if isinstance(x, list) else x for x in given]
    next_H, *said = _first(adjusts, function(*lists, *given))
    if said:
        if len(said) != 3:
            raise TypeError("it must return next_H or (next_H, values, masks, velocities)"
                            if adjusts else "it must return None or (values, masks, velocities), "
                            f"not {shown(said[0] if len(said) == 1 else said)}")
        lists = said
    lists = [list(arrays) for arrays in lists]
    for what, arrays in zip(("values", "masks", "velocities"), lists, strict=True):
        _as_many(tensors, arrays, f" in {what}")
    for i, (W, *arrays) in enumerate(zip(tensors, *lists, strict=True)):
        _take_over(f"tensor {i}", W, *map(back, arrays))
    return next_H


def _first(adjusts, returned):
    """[next_H, what else was returned], next_H None from a function that has none."""
    said = list(returned) if isinstance(returned, (tuple, list)) else [returned]
    next_H = _number(said.pop(0) if said else None) if adjusts else None
    return [next_H] if len(said) == 1 and said[0] is None else [next_H, *said]


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


def _as_many(tensors, theirs, where=""):
    if len(theirs) != len(tensors):
        raise TypeError(f"it leaves {len(theirs)} tensors of {len(tensors)}{where}")


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
