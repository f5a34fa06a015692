"""CuPy without a GPU: arrays backed by NumPy that refuse what CuPy refuses.

in_the_place_of_cupy() puts it there. Names, signatures and methods are those of the real CuPy,
which imports without a driver. Beyond what CuPy refuses, this raises where CuPy goes on in silence:

    an index out of range           CuPy wraps around
    a position named twice in x[i] = v   CuPy keeps any of the values
    an index that is a NumPy array or a list   CuPy uploads it at each call
    a NumPy function of a device array         CuPy takes it over; here arrays know their module

It counts what costs time on a GPU, each with the place in the program that asked for it:

    reads     the host waits for the device: get(), float(), bool(), results of unknown length
    uploads   arrays that come from the host
    launches  array operations: a kernel each, at least

Kernels are those of the real CuPy: without a GPU it traces what is to be fused, and writes its
programs in CUDA. They are compiled for the host, and may not leave an array.

What it cannot see: rounding, the order of atomic sums, memory, speed.
"""

import ctypes
import functools
import inspect
import itertools
import math
import re
import subprocess
import sys
import tempfile
import types
from collections import Counter
from contextlib import contextmanager
from pathlib import Path
from unittest.mock import patch

import cupy as real
import numpy as np
from cupy._core import _kernel, fusion
from cupy._core._carray import Indexer
from cupy._core._scalar import CScalar

HOME = Path(__file__).parents[2]
BACKEND = str(HOME / "minidsr" / "backend.py")
SCALARS = (bool, int, float, np.generic)
FREE = {"empty", "empty_like"}  # functions that launch nothing
VIEWS = {"reshape", "transpose", "view", "ravel", "swapaxes", "squeeze"}
WAITS = {"nonzero", "flatnonzero", "argwhere", "unique", "setdiff1d", "union1d", "intersect1d",
         "setxor1d", "compress", "extract", "bincount", "repeat"}  # the result's length is read
FROM_HOST = {"asarray", "array"}  # functions that take host arrays
METHODS = {"add": {"at", "reduce", "accumulate", "reduceat"},  # of ufuncs, as far as CuPy has them
           "multiply": {"reduce", "accumulate"}, "maximum": {"at"}, "minimum": {"at"}}
REFUSED = {"casting", "subok"}  # of astype(): in its signature, and not supported
ORDER = "C"  # memory order of results: CuPy promises none

reads, uploads, launches = Counter(), Counter(), Counter()


@contextmanager
def in_the_place_of_cupy():
    """In this context device arrays are these: of get_xp(), and of who imports cupy."""
    with patch.dict(sys.modules, cupy=sys.modules[__name__]):
        yield sys.modules[__name__]


@contextmanager
def counted():
    """Yields Counters of the reads, uploads and launches in this context, by place."""
    before = [Counter(counter) for counter in (reads, uploads, launches)]
    found = types.SimpleNamespace(reads=Counter(), uploads=Counter(), launches=Counter())
    yield found
    for counter, old, new in zip((reads, uploads, launches), before,
                                 (found.reads, found.uploads, found.launches), strict=True):
        new.update(counter - old)


class ndarray(np.lib.mixins.NDArrayOperatorsMixin):
    """An array on the device. `_a` is its NumPy array, which nobody else may touch."""

    __slots__ = ("_a",)

    shape = property(lambda self: self._a.shape)
    dtype = property(lambda self: self._a.dtype)
    ndim = property(lambda self: self._a.ndim)
    size = property(lambda self: self._a.size)
    nbytes = property(lambda self: self._a.nbytes)
    itemsize = property(lambda self: self._a.itemsize)
    strides = property(lambda self: self._a.strides)
    T = property(lambda self: _wrapped(self._a.T))

    def __len__(self):
        return len(self._a)

    def __iter__(self):
        return (self[i] for i in range(len(self)))

    def __getattr__(self, name):
        if not callable(getattr(real.ndarray, name, None)):
            raise AttributeError(f"CuPy arrays have no {name}")
        return functools.partial(_call, getattr(np.ndarray, name), _method_signature(name), name,
                                 self)

    def get(self):
        _note(reads)
        return self._a.copy()

    def item(self):
        return self.get().item()

    def tolist(self):
        return self.get().tolist()

    def __float__(self):
        return float(self.get())

    def __int__(self):
        return int(self.get())

    def __bool__(self):
        return bool(self.get())

    def __repr__(self):
        return f"device {self._a!r}"

    def __deepcopy__(self, memo):
        return _result(self._a.copy())

    def __array__(self, *args, **kwargs):
        raise TypeError("implicit conversion to a NumPy array; use get()")

    def __array_function__(self, func, types, args, kwargs):
        raise TypeError(f"np.{func.__name__} of a device array; use get_xp()")

    def __array_ufunc__(self, ufunc, method, *inputs, **kwargs):
        target = __getattr__(ufunc.__name__)
        out = kwargs.pop("out", None)
        if out is not None:
            kwargs["out"], = out
        return (target if method == "__call__" else getattr(target, method))(*inputs, **kwargs)

    def __getitem__(self, key):
        key, kinds = _index(key, self.shape)
        if "mask" in kinds:
            _note(reads)
        if kinds:
            _note(launches)
            return _result(self._a[key])
        return _wrapped(self._a[key])

    def __setitem__(self, key, value):
        key, kinds = _index(key, self.shape)
        if not isinstance(value, (ndarray, *SCALARS)):
            raise TypeError(f"cannot put a {type(value).__name__} into a device array")
        if "mask" in kinds:
            _note(reads)
        if "positions" in kinds:
            named = np.arange(self.size).reshape(self.shape)[key]
            if len(np.unique(named)) < named.size:
                raise ValueError("x[index] = value names a position twice: CuPy keeps any value")
        if self._a[key].size:  # CuPy launches nothing for nothing
            _note(launches)
        self._a[key] = _plain(value)


class ufunc:
    """add, exp, ...: no where=, no mixing with NumPy arrays."""

    def __init__(self, name):
        self._name = name

    def __call__(self, *args, out=None, **kwargs):
        strange = kwargs.keys() - {"dtype", "casting"}
        if strange:
            raise TypeError(f"CuPy's {self._name} has no {', '.join(strange)}")
        args = [_operand(x, self._name) for x in args]
        if out is not None:
            kwargs["out"] = _operand(out, self._name)
        _note(launches)
        result = getattr(np, self._name)(*args, **kwargs)
        return _result(result) if out is None else out

    def __getattr__(self, method):
        # This refusal is the real CuPy's, by its type of error; test_portability.py asks both.
        if method not in METHODS.get(self._name, ()):
            raise NotImplementedError(f"CuPy's {self._name} has no {method}")

        def call(*args, **kwargs):
            args = [_operand(x, self._name) for x in args]
            if method == "at" and np.size(args[1]) and (
                    args[1].min() < 0 or args[1].max() >= len(args[0])):
                raise IndexError(f"{self._name}.at: an index is out of range: CuPy wraps around")
            _note(launches)
            result = getattr(getattr(np, self._name), method)(*args, **kwargs)
            return None if result is None else _result(result)

        return call


def __getattr__(name):
    """cupy.NAME."""
    if name in ("random", "testing") or name.startswith("__"):
        raise AttributeError(name)
    found = getattr(real, name)  # AttributeError where CuPy has none
    if isinstance(found, (real.ufunc, type(real.matmul))):
        return ufunc(name)
    if not inspect.isfunction(found) and not inspect.isbuiltin(found):
        return found  # float32, inf, newaxis
    return functools.partial(_call, getattr(np, name), _signature(name), name)


def _call(function, signature, name, *args, **kwargs):
    """function(*args, **kwargs), a function or method of NumPy, as CuPy would take it."""
    signature.bind(*args, **kwargs)
    if name == "astype" and REFUSED & kwargs.keys() or \
            name in ("sort", "argsort") and kwargs.get("kind") not in (None, "stable"):
        raise TypeError(f"CuPy's {name} does not support {', '.join(kwargs)}")
    for x in itertools.chain(args, kwargs.values()):
        parts = x if isinstance(x, (list, tuple)) else [x]
        if any(isinstance(part, np.ndarray) for part in parts):
            if name not in FROM_HOST:
                raise TypeError(f"{name} of a NumPy array: it is not on the device")
    if name in FROM_HOST and not isinstance(args[0], ndarray):
        _note(uploads)
    if name in WAITS:
        _note(reads)
        if name == "bincount":
            _note(reads)
    given = [x for x in args if isinstance(x, ndarray)]
    result = function(*map(_plain, args), **{key: _plain(x) for key, x in kwargs.items()})
    if name in FROM_HOST and given and np.shares_memory(result, given[0]._a):
        return given[0]
    if name in VIEWS and np.may_share_memory(result, given[0]._a):
        return _wrapped(result)
    if name not in FREE:
        joined = name == "concatenate" and _one_kernel_joins(args[0])
        _note(uploads, 3 if joined else 0)
        _note(launches, len(args[0]) if name == "concatenate" and not joined else 1)
    if isinstance(result, (tuple, list)):
        return type(result)(_result(part) for part in result)
    return _result(result)


def _plain(x):
    """x without its wrapping; also in lists and tuples."""
    if isinstance(x, ndarray):
        return x._a
    return type(x)(map(_plain, x)) if isinstance(x, (list, tuple)) else x


def _operand(x, name):
    if isinstance(x, ndarray):
        return x._a
    if isinstance(x, SCALARS):
        return x
    raise TypeError(f"{name} of a device array and a {type(x).__name__}: not on the device")


def _wrapped(a):
    """A device array on the memory of `a`."""
    array = object.__new__(ndarray)
    array._a = a
    return array


def _result(a):
    """A new device array; also of what NumPy returns as a number."""
    return _wrapped(np.array(a, order=ORDER))


def _index(key, shape):
    """`key` for NumPy, and what is in it: "mask", "positions"."""
    plain, kinds = [], set()
    for part in key if isinstance(key, tuple) else (key,):
        if isinstance(part, ndarray):
            if part.dtype.kind not in "biu":
                raise IndexError(f"an index of {part.dtype}")
            kinds.add("mask" if part.dtype.kind == "b" else "positions")
            plain.append(part._a)
        elif part is None or part is Ellipsis or isinstance(part, (int, np.integer, slice)):
            plain.append(part)
        else:
            raise TypeError(f"an index that is a {type(part).__name__} on the host: "
                            "it would be uploaded at each call")
    return tuple(plain), kinds


def _note(counter, times=1):
    """Count for the innermost line of the package, without its backend, or of a test."""
    frame = sys._getframe(1)
    while frame and _file(frame.f_code.co_filename) is None:
        frame = frame.f_back
    place = "?" if frame is None else f"{_file(frame.f_code.co_filename)}:{frame.f_lineno}"
    counter[place] += times


@functools.cache
def _file(name):
    """The path of a file in the project, if calls come from there."""
    inside = HOME in Path(name).parents and name not in (__file__, BACKEND)
    return Path(name).relative_to(HOME) if inside else None


def _one_kernel_joins(arrays):
    """CuPy concatenates many small arrays of one type by one kernel, for which it uploads where
    they are, their lengths and their strides, without a wait. Others it copies one after another.
    """
    return (len(arrays) > 8 and len({a.dtype for a in arrays}) == 1
            and sum(a.nbytes for a in arrays) < len(arrays) * 2 ** 21)


# Kernels


def fuse(function):
    """cupy.fuse: the kernel that the real CuPy makes of `function`."""
    kernels = {}

    def fused(*args):
        kinds = tuple((x.dtype, x.ndim) if isinstance(x, ndarray) else type(x) for x in args)
        if kinds not in kernels:
            kernels[kinds] = _traced(function, args)
        return _run(kernels[kinds], [x for x in args if x is not None])

    return fused


class ElementwiseKernel:
    """cupy.ElementwiseKernel."""

    def __init__(self, *args, **kwargs):
        self.real = real.ElementwiseKernel(*args, **kwargs)

    def __call__(self, *args):
        return _run(self.real, args)


def _traced(function, args):
    """The real kernel. Raises TypeError where CuPy does not make one, elementwise, of function."""
    memory = real.cuda.MemoryPointer(real.cuda.UnownedMemory(4096, 1, None, 0), 0)  # never read
    args = [real.ndarray(x.shape, x.dtype, memory) if isinstance(x, ndarray) else x for x in args]
    thread, history = fusion._thread_local, fusion._FusionHistory()
    stand_in, sys.modules["cupy"] = sys.modules["cupy"], real
    thread.history, thread.is_old_fusing = history, True
    try:
        traced, _ = history.get_fusion(function, args, function.__name__)
    except Exception as error:
        raise TypeError(f"CuPy does not fuse {function.__name__}: {error}") from error
    finally:
        thread.history, thread.is_old_fusing = None, False
        sys.modules["cupy"] = stand_in
    if not isinstance(traced, real.ElementwiseKernel):
        raise TypeError(f"{function.__name__}: fused with a sum, CuPy reads rows out of step")
    return traced


programs = set()  # the kernels that have been called, as CuPy writes them


def _run(kernel, args):
    """What the real ElementwiseKernel `kernel` returns for these arguments, by the program that
    CuPy writes for them, compiled for the host."""
    params = kernel.params[:len(args)]
    for x in args:
        if not isinstance(x, (ndarray, *SCALARS)):
            raise TypeError(f"{kernel.name} of a {type(x).__name__}: it is not on the device")
    values = [x._a if isinstance(x, ndarray) else np.array(x, p.dtype)
              for x, p in zip(args, params, strict=True)]
    types = [x.dtype if isinstance(x, ndarray) else None for x in args]
    _, out_types, type_map = kernel._decide_params_type(
        tuple(types[:kernel.nin]), tuple(types[kernel.nin:]))
    looped = [a for a, p in zip(values, params, strict=True) if not p.raw]
    shape = np.broadcast_shapes(*(a.shape for a in looped))
    if len(args) == kernel.nin:
        values += [np.empty(shape, dtype, order=ORDER) for dtype in out_types]
    outputs = values[kernel.nin:]
    assert all(a.shape == shape for a in outputs)
    if 0 not in shape:  # else CuPy launches nothing
        _note(launches)
        _launch(kernel, values, types, shape, type_map)
    results = tuple(map(_wrapped, outputs))
    if kernel.no_return:
        return None
    return results if kernel.return_tuple or len(results) > 1 else results[0]


def _launch(kernel, values, types, shape, type_map):
    if kernel.reduce_dims and all(
            not a.ndim or a.shape == shape and a.flags.c_contiguous for a in values):  # as CuPy
        values, shape = [a.reshape(-1) if a.ndim else a for a in values], (math.prod(shape),)
    infos, header, places = [], [], []
    for a, p, dtype in itertools.zip_longest(values, kernel.params[:-1], types, fillvalue=...):
        if dtype is None:
            infos.append(_kernel._ArgInfo(3, CScalar, a.dtype, 0, True, True))
        else:
            a = a if p.raw else np.broadcast_to(a, shape)
            infos.append(_kernel._ArgInfo(1, real.ndarray, a.dtype, a.ndim, False, True))
        places.append(len(header))
        header += [a.ctypes.data, *a.shape, *a.strides]
    infos.append(_kernel._ArgInfo(2, Indexer, None, len(shape), True, True))
    places.append(len(header))
    header += shape
    program = _kernel._get_elementwise_kernel_code(
        tuple(infos), type_map, kernel.params, kernel.operation, kernel.name, kernel.preamble)
    programs.add(program)
    arguments = ", ".join(f"Argument{{header + {place}}}" for place in places)
    if _compiled(program, f"{kernel.name}({arguments})")(np.array(header, np.int64).ctypes):
        raise IndexError(f"kernel {kernel.name} reads or writes outside of an array")


@functools.cache
def _compiled(program, call):
    """A C function that makes this call of a kernel: does it leave an array?"""
    program = program.replace('#include "cupy/float16.cuh"', "")
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "kernel.cpp")
        path.write_text(HOST + program + f"""
            extern "C" bool run(const int64_t* header) {{
                try {{ {call}; }} catch (Outside) {{ return true; }}
                return false;
            }}""")
        subprocess.run(["g++", "-O3", "-w", "-shared", "-fPIC", "-o", path.with_suffix(".so"),
                        path], check=True)
        return ctypes.CDLL(str(path.with_suffix(".so"))).run


# What CuPy's programs use of CUDA and of cupy/carray.cuh, with checked indices.
HOST = """
#include <stddef.h>
#include <stdint.h>

#define __device__
#define __global__
#define CUPY_FOR(i, n) for (ptrdiff_t i = 0; i < n; ++i)

// Not from <cmath> and <algorithm>, which take longer to read than all the rest to compile.
#define NAN __builtin_nanf("")
template <typename T> bool isnan(T x) { return __builtin_isnan(x); }
template <typename T> T max(T a, T b) { return a < b ? b : a; }
inline float sqrt(float x) { return __builtin_sqrtf(x); }
inline double sqrt(double x) { return __builtin_sqrt(x); }

struct Outside {};

template <typename T, int N, bool, bool> struct CArray {
    char* data;
    const int64_t *shape_, *strides;

    const int64_t* shape() const { return shape_; }
    T& operator[](const ptrdiff_t* at) const {
        char* place = data;
        for (int d = 0; d < N; place += at[d] * strides[d], ++d)
            if (at[d] < 0 || at[d] >= shape_[d]) throw Outside();
        return *(T*)place;
    }
};

template <int N, bool> struct CIndexer {
    const int64_t* shape;
    ptrdiff_t at[N];

    const ptrdiff_t* get() const { return at; }
    ptrdiff_t size() const {
        ptrdiff_t n = 1;
        for (int d = 0; d < N; ++d) n *= shape[d];
        return n;
    }
    void set(ptrdiff_t i) {  // 0, 1, 2, ...
        for (int d = N; d-- > 0; at[d] = 0)
            if (i > 0 && ++at[d] < shape[d]) return;
    }
};

struct Argument {  // becomes what the kernel asks for
    const int64_t* header;

    template <typename T> operator T() const { return *(T*)header[0]; }
    template <typename T, int N, bool b, bool c> operator CArray<T, N, b, c>() const {
        return {(char*)header[0], header + 1, header + 1 + N};
    }
    template <int N, bool b> operator CIndexer<N, b>() const { return {header}; }
};
"""


@functools.cache
def _signature(name):
    try:
        return inspect.signature(getattr(real, name))
    except ValueError:  # compiled, without one
        return inspect.signature(lambda *args, **kwargs: None)


@functools.cache
def _method_signature(name):
    """That of a method of CuPy's array, as the first line of its docstring gives it."""
    line = getattr(real.ndarray, name).__doc__.partition("\n")[0]
    parameters = re.search(r"\((.*)\)", line)[1].split(", ")
    names = [parameter.split()[-1] if "=" not in parameter else
             " ".join(parameter.split("=")[0].split()[-1:]) + "=" + parameter.split("=")[1]
             for parameter in parameters]
    return inspect.signature(eval(f"lambda {', '.join(names)}: None"))


# What the package uses of cupy.cuda and around it


class _Runtime:
    @staticmethod
    def getDevice():
        return 0

    @staticmethod
    def getDeviceProperties(device):
        return {"name": b"no GPU, a stand-in", "totalGlobalMem": 2 ** 30, "major": 9, "minor": 0}

    @staticmethod
    def driverGetVersion():
        return 0

    runtimeGetVersion = driverGetVersion


class cuda:
    runtime = _Runtime

    @staticmethod
    def is_available():
        return True

    class Device:
        compute_capability = "90"

        def synchronize(self):
            """Nothing is ever under way."""


class _core:
    class _routines_linalg:
        COMPUTE_TYPE_DEFAULT = real._core._routines_linalg.COMPUTE_TYPE_DEFAULT
        COMPUTE_TYPE_TF32 = real._core._routines_linalg.COMPUTE_TYPE_TF32
        compute_types = {}

        @classmethod
        def set_compute_type(cls, dtype, compute_type):
            cls.compute_types[np.dtype(dtype)] = compute_type


class get_default_memory_pool:
    @staticmethod
    def total_bytes():
        return 0
