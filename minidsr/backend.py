"""The array decides: NumPy for host arrays, CuPy for device arrays.

CuPy is imported here and nowhere else, and only when a GPU is asked for.
"""

import sys
from importlib.util import find_spec

import numpy as np

DEVICES = ("cpu", "gpu", "auto")


class DeviceError(ValueError):
    """The device that was asked for cannot be used; the message says why, in one line."""


def get_xp(x):
    """The array module of `x`: `numpy`, or `cupy` for an array on the GPU."""
    if isinstance(x, (np.ndarray, np.generic)):
        return np
    return sys.modules["cupy"]  # a device array exists, so CuPy has been imported


def to_device(x, device):
    """`x` as an array on `device`, 'cpu' or 'gpu'. No copy if it is there already."""
    return to_host(x) if device == "cpu" else _cupy().asarray(x)


def to_host(x):
    """`x` as a NumPy array. No copy if it is one already."""
    return np.asarray(x) if get_xp(x) is np else x.get()


def choose_device(name):
    """Turn 'cpu', 'gpu' or 'auto' into 'cpu' or 'gpu'.

    'auto' takes a usable GPU, else the CPU. 'gpu' without a usable one raises DeviceError.
    """
    if name not in DEVICES:
        raise DeviceError(f"unknown device {name!r}; choose one of: {', '.join(DEVICES)}")
    if name == "cpu":
        return "cpu"
    fault = _gpu_fault()
    if fault and name == "gpu":
        raise DeviceError(f"--device gpu: {fault}; use --device cpu")
    return "cpu" if fault else "gpu"


def describe_device(device):
    """What `device` is, in words."""
    if device == "cpu":
        return "CPU"
    properties = _cupy().cuda.runtime.getDeviceProperties(0)
    return f"{properties['name'].decode()}, {properties['totalGlobalMem'] / 2**30:.0f} GiB"


def _gpu_fault():
    """Why no GPU can be used, or None."""
    if find_spec("cupy") is None:
        return "CuPy is not installed (pip install 'minidsr[cuda13]' or 'minidsr[cuda12]')"
    try:
        usable = _cupy().cuda.is_available()
    except Exception as error:  # a broken installation may raise anything
        return f"CuPy does not load ({' '.join(str(error).split())})"
    return None if usable else "CuPy finds no usable NVIDIA GPU or driver"


def _cupy():
    import cupy

    return cupy
