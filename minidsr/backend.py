"""The array decides: NumPy for host arrays, CuPy for device arrays.

CuPy is imported here and nowhere else, and only when a GPU is asked for.
"""

import functools
import signal
import sys
import threading
from contextlib import contextmanager, nullcontext
from importlib.util import find_spec

import numpy as np

from .checks import check_choice

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


def to_host_together(arrays):
    """A list of arrays, all on one device, as NumPy arrays: the host waits for the GPU once."""
    if not arrays or get_xp(arrays[0]) is np:
        return [np.asarray(a) for a in arrays]
    packed = to_host(_cupy().concatenate([a.ravel().view(np.uint8) for a in arrays]))
    ends = np.cumsum([a.nbytes for a in arrays])
    return [packed[end - a.nbytes:end].copy().view(a.dtype).reshape(a.shape)
            for a, end in zip(arrays, ends, strict=True)]


def fuse(function):
    """`function`, done on a GPU by one kernel (cupy.fuse); with NumPy arrays it is what it was.

    For elementwise operations on arrays, also in place, and numbers. The first argument is an
    array, others may be None; it returns arrays or None. Indices, sums, and decisions about values
    have no place in it.
    """
    kernel = functools.cache(lambda cupy: cupy.fuse(function))

    @functools.wraps(function)
    def fused(*args):
        return function(*args) if get_xp(args[0]) is np else kernel(_cupy())(*args)

    return fused


def elementwise(name, in_params, out_params, operation):
    """A kernel in CUDA: a function of device arrays, the outputs last (cupy.ElementwiseKernel).

    `_ind.get()` is where in the output it is.
    """
    kernel = functools.cache(lambda cupy: cupy.ElementwiseKernel(
        in_params, out_params, operation, name, reduce_dims=False))
    return lambda *args: kernel(_cupy())(*args)


def move(params, device):
    """Move all arrays that these parameterizations store to `device`, 'cpu' or 'gpu'; gradients
    are dropped."""
    places = [(p, name) for p in params for name in p.stored]
    arrays = [getattr(p, name) for p, name in places]
    arrays = to_host_together(arrays) if device == "cpu" else [to_device(a, device) for a in arrays]
    for (p, name), array in zip(places, arrays, strict=True):
        setattr(p, name, array)
    for p in params:
        p.grad = None


@contextmanager
def on_the_host(params):
    """In this context all arrays that these parameterizations store are on the host."""
    device = device_of(params[0].value)
    if device == "cpu":
        yield
        return
    move(params, "cpu")
    try:
        yield
    finally:
        move(params, device)


def device_of(x):
    """Where the array `x` is: 'cpu' or 'gpu'."""
    return "cpu" if get_xp(x) is np else "gpu"


def choose_device(name):
    """Turn 'cpu', 'gpu' or 'auto' into 'cpu' or 'gpu'.

    'auto' takes a usable GPU, else the CPU. 'gpu' without a usable one raises DeviceError.
    """
    check_choice("device", name, DEVICES, DeviceError)
    if name == "cpu":
        return "cpu"
    fault = _gpu_fault()
    if fault and name == "gpu":
        raise DeviceError(f"--device gpu: {fault}; use --device cpu")
    return "cpu" if fault else "gpu"


def wait_for(device):
    """Wait until all that has been sent to `device` is done; for a CPU, it is."""
    if device == "gpu":
        _cupy().cuda.Device().synchronize()


def use_tf32(on, device):
    """Shall a GPU round the factors of float32 products to TF32, 10 bits, for speed?

    To be said either way, so that CuPy's environment variable CUPY_TF32 does not decide it unseen.
    Raises DeviceError for `on` on a CPU, and on a GPU that has no TF32.
    """
    if device == "gpu":
        capability = int(_cupy().cuda.Device().compute_capability) / 10
        if on and capability < 8:
            raise DeviceError(f"--tf32 needs compute capability 8.0, this GPU has {capability}")
        linalg = _cupy()._core._routines_linalg  # CuPy has it nowhere public; its own tests do this
        linalg.set_compute_type(
            np.float32, linalg.COMPUTE_TYPE_TF32 if on else linalg.COMPUTE_TYPE_DEFAULT)
    elif on:
        raise DeviceError("--tf32 is for a GPU, and this is a CPU")


def describe_device(device):
    """What `device` is, in words."""
    if device == "cpu":
        return "CPU"
    runtime = _cupy().cuda.runtime
    properties = runtime.getDeviceProperties(runtime.getDevice())
    return (f"{properties['name'].decode()}, {properties['totalGlobalMem'] / 2**30:.0f} GiB, "
            f"compute capability {properties['major']}.{properties['minor']}, "
            f"driver for CUDA {_cuda_version(runtime.driverGetVersion())}, "
            f"CuPy for CUDA {_cuda_version(runtime.runtimeGetVersion())}")


def device_bytes(device):
    """Bytes of GPU memory that this process has taken for arrays at most; None for a CPU."""
    if device == "cpu":
        return None
    return _cupy().get_default_memory_pool().total_bytes()  # what is freed stays in the pool


@contextmanager
def interrupts_wait():
    """In this context Ctrl-C waits for the end; a second one acts at once. Some libraries swallow
    one while they are imported, and Numba while it compiles: what it was to stop would go on."""
    caught, handler = [], signal.getsignal(signal.SIGINT)
    if handler is None or threading.current_thread() is not threading.main_thread():
        yield
        return

    def note(*_):
        caught.append(True)
        signal.signal(signal.SIGINT, handler)

    signal.signal(signal.SIGINT, note)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, handler)
        if caught:
            signal.raise_signal(signal.SIGINT)


def _gpu_fault():
    """Why no GPU can be used, or None."""
    if find_spec("cupy") is None:
        return "CuPy is not installed (pip install 'minidsr[cuda13]' or 'minidsr[cuda12]')"
    try:
        cupy = _cupy()
        if not cupy.cuda.is_available():
            return "CuPy finds no usable NVIDIA GPU or driver"
        ones = cupy.ones((2, 2), np.float32)
        (ones @ ones).sum().get()  # needs the driver, a compiler and cuBLAS
    except Exception as error:  # a broken installation may raise anything
        return f"CuPy does not work ({' '.join(str(error).split())})"
    return None


def _cuda_version(number):
    """13020 -> 13.2"""
    return f"{number // 1000}.{number % 1000 // 10}"


def _cupy():
    with nullcontext() if "cupy" in sys.modules else interrupts_wait():
        import cupy

    return cupy
