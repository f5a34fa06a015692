"""Weights as PyTorch has them: under its names, in its layouts; in memory, and as files.

The path of a tensor, such as group1.block0.conv1.weight, is its name in an nn.Module that is built
of the same parts. A tensor is written dense, as θ, whatever free numbers it is made of.
"""

import json
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from ..backend import device_of, to_host_together
from ..checks import check_choice, check_folder, shown
from ..parameters import Dense, Sparse
from ..reading import one_line
from ..shapes import check_array
from .directory import replacing

FLOATS = tuple(np.dtype(kind) for kind in (np.float16, np.float32, np.float64))
COUNTER = "num_batches_tracked"  # of PyTorch's batch norm; nothing here depends on it


def state_dict(model) -> dict[str, np.ndarray]:
    """{name: array on the host}, copies: of each layer its weight and bias, and running_mean and
    running_var.

    weight is (F, C, k, k) of a convolution, (out, in) of a linear layer, (C,) of batch norm; 0
    where no weight is. PyTorch takes it by load_state_dict(), strict too.
    """
    found: dict[str, np.ndarray] = {}
    for name, layer in model.walk():
        found |= {f"{name}.{key}": getattr(layer, key).theta() for key in layer.parameters}
        found |= {f"{name}.{key}": getattr(layer, key) for key in layer.statistics}
    return {name: array.copy() for name, array in
            zip(found, to_host_together(list(found.values())), strict=True)}


def load_state_dict(model, state) -> None:
    """Take over a state_dict(), of arrays or of PyTorch's tensors on the CPU.

    Structure stays, velocities are 0. Raises ValueError, naming the tensor, and nothing changes,
    where one is missing, left over, of another shape, not finite, or not 0 where a Sparse tensor
    has no weight; and for a tensor that is neither Dense nor Sparse: many θ are no g(φ; ψ) of it.
    """
    new, device = model.state(), device_of(model.params()[0].value)
    arrays = _arrays(state, {name: (array.shape, array.dtype)
                             for name, array in state_dict(model).items()})
    for name, p in model.named_params().items():
        new[f"{name}.value"] = _free_numbers(name, p, arrays.pop(name))
        new[f"{name}.velocity"] = np.zeros_like(new[f"{name}.value"])
    model.load(new | arrays)
    model.to(device)


def _arrays(state, own):
    """`state` as arrays of the shapes and types in `own`, {name: (shape, dtype)}."""
    if not isinstance(state, Mapping):
        raise ValueError(f"state must be a dict of arrays, not {shown(state)}")
    state = {name: array for name, array in state.items() if not str(name).endswith(COUNTER)}
    odd = sorted(own.keys() ^ state.keys(), key=str)
    if odd:
        raise ValueError(f"{shown(odd[0])} is {'missing' if odd[0] in own else 'unknown'}"
                         + f", and {len(odd) - 1} more differ" * (len(odd) > 1))
    return {name: _array(name, state[name], *kind) for name, kind in own.items()}


@np.errstate(over="ignore")  # what is too large becomes infinite
def _array(name, value, shape, dtype):
    try:
        array = np.asarray(value)
    except Exception as error:  # PyTorch's, of a tensor that is on a GPU, or of a type of its own
        raise ValueError(f"{name} cannot be an array ({one_line(error):.120})") from None
    check_array(name, array, shape, FLOATS)
    array = array.astype(dtype)
    if not np.isfinite(array).all():
        raise ValueError(f"{name} holds a number that is not finite")
    if name.endswith("running_var") and (array < 0).any():
        raise ValueError(f"{name} holds a variance below 0")
    return array


def _free_numbers(name, p, theta):
    """The free numbers of which `p` makes `theta`."""
    if not isinstance(p, (Dense, Sparse)):
        raise ValueError(f"{name} is {type(p).__name__}, which takes no values back; a network of "
                         "build() is dense, and does")
    if isinstance(p, Dense):
        return theta
    index, = to_host_together([p.index])
    value = theta.reshape(-1)[index]
    outside = np.count_nonzero(theta) - np.count_nonzero(value)
    if outside:
        raise ValueError(f"{name} must be 0 where it has no weight, and is not at {outside:,} "
                         "positions")
    return value


# --- files


def export(run, path) -> None:
    """Write the state_dict() of `run`, which load() returned, to a new file, .npz or .safetensors.

    Beside the tensors there is one text, `minidsr`: JSON of what the network is and what it takes.
    Raises ValueError where the file is there, or its name has another ending.
    """
    path = Path(path)
    check_choice("ending of a file", path.suffix, WRITERS)
    check_folder(path.parent)
    if path.exists() or path.is_symlink():
        raise ValueError(f"{path}: is there already, and would be overwritten; choose another "
                         "--out, or remove it")
    write = WRITERS[path.suffix]()
    path.parent.mkdir(parents=True, exist_ok=True)
    with replacing(path) as file:
        write(file, run.state_dict(), json.dumps(_about(run), allow_nan=False))


def _about(run):
    setup, epochs = run.history.setup, run.history.epochs
    measured = epochs[-1:] if epochs and epochs[-1]["step"] == run.step else []  # of these weights
    return {"model": setup["network"], "method": run.config.method,
            "data": run.config.data, "step": run.step,
            **{name: run.data[name] for name in ("image", "classes", "mean", "std")},
            **{name: epoch[name] for epoch in measured for name in ("test_loss", "test_accuracy")
               if name in epoch}}


def _npz():
    return lambda file, tensors, about: np.savez(file, **tensors, minidsr=np.array(about))


def _safetensors():
    try:
        from safetensors.numpy import save
    except ImportError:
        raise ValueError("safetensors is not installed (pip install 'minidsr[safetensors]'); "
                         "or choose .npz") from None
    return lambda file, tensors, about: file.write(save(tensors, {"minidsr": about}))


WRITERS = {".npz": _npz, ".safetensors": _safetensors}
