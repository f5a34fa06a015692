"""Engines: what the layers compute with.

    im2col  matrix products over all positions, zeros included: NumPy, or CuPy on a GPU
    sparse  loops over the free numbers that exist, compiled by Numba: on a CPU only. Tensors that
            are not Sparse, and methods that need the gradient of all of θ, stay with im2col;
            batch norm is compiled, too
    auto    sparse for the tensors where it is faster; im2col where there is no Numba, or a GPU
"""

from importlib.util import find_spec

import numpy as np

from ..nn.base import Sequential
from ..nn.layers import BatchNormReLU, Conv2d
from ..parameters import Sparse
from .units import join, part

ENGINES = ("auto", "im2col", "sparse")


def choose_engine(name, device):
    """Turn an engine's name into what can be had on `device`, 'cpu' or 'gpu'.

    Raises ValueError where the sparse engine was asked for and cannot be had. Compiles what is not
    yet compiled, and says so.
    """
    if name not in ENGINES:
        raise ValueError(f"unknown engine {name!r}; choose one of: {', '.join(ENGINES)}")
    if name == "im2col":
        return name
    fault = "it runs on a CPU, use --device cpu" if device == "gpu" else _numba_fault()
    if name == "sparse" and fault:
        raise ValueError(f"--engine sparse: {fault}; or use --engine im2col")
    return "im2col" if fault else name


def missed(name, device):
    """One line about what the choice of engine `name` costs here, or None."""
    if name == "auto" and device == "cpu" and _numba_fault():
        return f"the sparse engine is off, im2col multiplies with the zeros, too: {_numba_fault()}"
    return None


def use(model, engine):
    """Have the layers of `model` compute by `engine`, which choose_engine() returned; returns
    the model."""
    for _, layer in model.walk():
        layer.engine = engine
    if engine == "im2col":
        part(model)
    else:
        join(model)
    return model


def _numba_fault():
    """Why nothing can be compiled, or None: then all of it is."""
    if find_spec("numba") is None:
        return "Numba is not installed (pip install 'minidsr[fast]')"
    try:
        _compile()
    except Exception as error:  # a Numba of another time than NumPy, or whatever else it dislikes
        return f"Numba does not load ({' '.join(str(error).split())})"
    return None


def _compile():
    """Train a small network in float32, so that every function is compiled before time is taken."""
    from .compiled import announced

    with announced():
        rng = np.random.default_rng(0)
        conv1, conv2 = (Conv2d(2, 2, 3, pad=1, rng=rng) for _ in range(2))
        conv1.weight, conv2.weight = (Sparse.random(conv.weight.value, 20, rng)
                                      for conv in (conv1, conv2))
        model = use(Sequential(conv1=conv1, norm1=BatchNormReLU(2), conv2=conv2,
                               norm2=BatchNormReLU(2)), "sparse")
        model.backward(model.forward(np.ones((2, 2, 4, 4), np.float32), train=True))
