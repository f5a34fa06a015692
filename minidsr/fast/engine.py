"""Engines: what a network computes with.

    plain    its layers, as they stand in nn/: whole-batch im2col, one expression for each formula.
             The specification of the others, slow; NumPy, or CuPy on a GPU
    blocked  matrix products over all positions, zeros included, by blocks that stay in the cache,
             over threads: NumPy, or CuPy on a GPU
    sparse   loops over the free numbers that exist, compiled by Numba: on a CPU only. Tensors that
             are not Sparse, and methods that need the gradient of all of θ, stay with blocks, but
             for dense kernels of few channels; batch norm and max pooling are compiled, too
    auto     sparse for the tensors where it is faster; blocked where there is no Numba, or a GPU

use() is the one mechanism of all: it puts units (units.py) in the place of layers.
"""

from importlib.util import find_spec

import numpy as np

from ..backend import interrupts_wait
from ..checks import check_choice
from ..nn.base import Residual, Sequential
from ..nn.layers import BatchNorm, Conv2d, MaxPool2d, ReLU
from ..parameters import Sparse
from .units import Conv, units

ENGINES = ("auto", "plain", "blocked", "sparse")


def check_engine(name):
    """Raise ValueError, with the choices, where `name` is no engine."""
    if name == "im2col":
        raise ValueError("engine im2col is called blocked now; plain is im2col as in a textbook")
    check_choice("engine", name, ENGINES)


def choose_engine(name, device):
    """Turn an engine's name into what can be had on `device`, 'cpu' or 'gpu'.

    Raises ValueError where the sparse engine was asked for and cannot be had. Compiles what is not
    yet compiled, and says so.
    """
    check_engine(name)
    if name in ("plain", "blocked"):
        return name
    fault = "it runs on a CPU, use --device cpu" if device == "gpu" else _numba_fault()
    if name == "sparse" and fault:
        raise ValueError(f"--engine sparse: {fault}; or use --engine blocked")
    return "blocked" if fault else name


def missed(name, device):
    """One line about what the choice of engine `name` costs here, or None."""
    if name == "auto" and device == "cpu" and _numba_fault():
        return f"the sparse engine is off, zeros are multiplied with, too: {_numba_fault()}"
    return None


def use(model, engine, input_grad=True):
    """Have `model`, a Sequential, compute by `engine`, which choose_engine() returned; returns the
    model. Its layers are then fixed: who replaces one calls use() again.

    input_grad  must backward() return the gradient of the input? Training needs none of the images:
                a convolution that is the first unit then returns None
    """
    check_engine(engine)
    if engine == "plain":
        model.units = list(model.layers.values())
    elif engine == "blocked":
        model.units = units(model, lambda weight, geometry: False)
    else:
        from .sparse_conv import pays

        always = engine == "sparse"
        model.units = units(model, lambda weight, geometry: (
            always and isinstance(weight, Sparse) or pays(weight, geometry)), compiled=True)
    if not input_grad and model.units and isinstance(model.units[0], Conv):
        model.units[0].input_grad = False
    return model


def _numba_fault():
    """Why nothing can be compiled, or None: then all of it is."""
    if find_spec("numba") is None:
        return "Numba is not installed (pip install 'minidsr[fast]')"
    try:
        with interrupts_wait():
            _compile()
    except Exception as error:  # a Numba of another time than NumPy, or whatever else it dislikes
        return f"Numba does not load ({' '.join(str(error).split())})"
    return None


def _compile():
    """Train a small network in float32, so that every function is compiled before time is taken."""
    from .compiled import announced

    with announced():
        rng = np.random.default_rng(0)
        convs = [Conv2d(2, 2, 3, pad=1, rng=rng) for _ in range(4)]
        for conv in convs:
            conv.weight = Sparse.random(conv.weight.value, 20, rng)
        block = Residual(before=Sequential(norm1=BatchNorm(2), relu1=ReLU()),
                         body=Sequential(conv1=convs[1], norm2=BatchNorm(2), relu2=ReLU(),
                                         conv2=convs[2]))
        model = use(Sequential(conv=convs[0], block=block, norm3=BatchNorm(2), relu3=ReLU(),
                               pool=MaxPool2d(2), norm4=BatchNorm(2), relu4=ReLU(),
                               conv3=convs[3], norm5=BatchNorm(2)), "sparse")
        model.backward(model.forward(np.ones((2, 2, 4, 4), np.float32), train=True))
