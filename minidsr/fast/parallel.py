"""Work on a batch by chunks of images, mapped over threads.

NumPy releases the GIL in copies, products and ufuncs, so plain threads use all cores. Two threads
with one BLAS thread each beat one thread with two: they also share the work outside of products.

A batch is cut into the same chunks whatever the number of threads, and partial sums are added in
the order of the chunks. So results do not depend on the number of threads.
"""

import ctypes
import functools
import operator
import os
import sys
import threading
from collections import deque
from concurrent.futures import ThreadPoolExecutor, wait
from contextlib import contextmanager
from contextvars import ContextVar, copy_context

import numpy as np

from ..backend import get_xp
from ..checks import check_whole

CHUNKS = 8  # enough to keep eight cores busy; a partial weight gradient is held for each
CHUNK_IMAGES = 12  # at least: smaller chunks cost more calls than they bring work

M_TRIM_THRESHOLD, M_MMAP_THRESHOLD = -1, -3  # names of glibc's malloc.h
_helpers = ContextVar("_helpers", default=(None, 0))  # in the thread that is in threads(): the
#                                                       executor, and how many helpers to ask of it
_free = threading.Lock()  # held by the one threads() context of this process


@contextmanager
def threads(count=None):
    """In this context map_chunks() works on `count` threads (default: all cores), with one BLAS
    thread each. With a count of 1, and outside of it, it works on the caller's thread, as in other
    threads of the process.

    There is one such context at a time, since the number of BLAS threads is the process's: another
    raises ValueError. A process that is forked inside of it is outside of it.
    """
    from threadpoolctl import threadpool_limits  # imported here: layers alone do not need it

    free = _free
    if not free.acquire(blocking=False):
        raise ValueError("a training is under way in this process; begin another after it, or in "
                         "a process of its own")
    try:
        count = available_cores() if count is None else count
        check_whole("threads", count, least=1)
        _keep_freed_memory()
        with threadpool_limits(1), ThreadPoolExecutor(max(1, count - 1)) as executor:
            _helpers.set((executor, count - 1))
            try:
                yield count
            finally:
                _helpers.set((None, 0))
    finally:
        free.release()


def _after_fork():
    """The child has none of its parent's threads, and their locks may be held for ever."""
    global _free
    _free = threading.Lock()
    _helpers.set((None, 0))


if hasattr(os, "register_at_fork"):  # not on Windows
    os.register_at_fork(after_in_child=_after_fork)


def _keep_freed_memory():
    """Have glibc keep what arrays free, for the next ones. Otherwise it goes back to the system,
    and every page of a fresh array costs a fault: a tenth of a training step. Stays in force."""
    if sys.platform == "linux":
        mallopt = getattr(ctypes.CDLL(None), "mallopt", None)  # other libraries do without
        if mallopt:
            for option in (M_MMAP_THRESHOLD, M_TRIM_THRESHOLD):
                mallopt(option, 2 ** 31 - 1)


def available_cores():
    """Number of cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()


def chunks(n, xp=np):
    """Cut range(n) into at most CHUNKS slices of nearly equal length; into one on a GPU."""
    count = max(1, min(CHUNKS, n // CHUNK_IMAGES)) if xp is np else 1
    edges = [n * i // count for i in range(count + 1)]
    return [slice(a, b) for a, b in zip(edges, edges[1:], strict=False)]


def map_chunks(work, n, xp=np):
    """[work(s) for s in chunks(n)], in that order, on the threads of the current context.

    The caller's thread takes one chunk after another, and so do the others as soon as they are
    awake: to hand over each chunk by itself takes several times as long. After an exception of
    work no chunk is begun, and one comes out when no thread is at work any more.
    """
    pieces, (executor, count) = chunks(n, xp), _helpers.get()
    results, waiting, helpers = [None] * len(pieces), deque(enumerate(pieces)), []

    def take():
        while waiting:
            try:
                i, piece = waiting.popleft()
            except IndexError:  # another thread was faster
                return
            try:
                results[i] = work(piece)
            except BaseException:
                waiting.clear()  # nobody begins another one
                raise

    try:
        for _ in range(min(count, len(pieces) - 1)):
            helpers.append(executor.submit(copy_context().run, take))  # np.errstate holds, too
        take()
    finally:
        begun = [helper for helper in helpers if not helper.cancel()]
        wait(begun)
    for helper in begun:
        helper.result()  # raises what work raised there
    return results


def total(parts):
    """The sum of arrays, one for each chunk; it may be the first of them."""
    return functools.reduce(operator.iadd, parts)


def map_to_array(work, *arrays):
    """A new array like arrays[0], filled chunk by chunk by work(*chunks of arrays, out=chunk)."""
    xp = get_xp(arrays[0])
    out = xp.empty_like(arrays[0])
    map_chunks(lambda images: work(*(a[images] for a in arrays), out=out[images]), len(out), xp)
    return out
