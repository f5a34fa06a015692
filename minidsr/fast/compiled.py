"""Compilation of loops by Numba, the optional extra `fast`: imported here and nowhere else.

What is compiled stays on disk, so only the first run on a machine waits for it. Compiled functions
release the GIL: map_chunks() runs them side by side.
"""

import functools
import hashlib
import pickle
import sys
from contextlib import contextmanager, suppress
from pathlib import Path

import numba
from numba.core import event

try:
    from numba.core.caching import CompileResultCacheImpl, FunctionCache
    from numba.core.serialize import dumps
except ImportError:  # a Numba with other parts inside: nothing is kept
    CompileResultCacheImpl = FunctionCache = object  # type: ignore[misc, assignment]

# Sums may be taken in any order, a product added without rounding it first: so loops turn into
# vector instructions. Not-a-number and infinity keep their meaning. A function goes into its
# callers whole: else a caller has a second copy of it, optimised once more, which sums in another
# order, and a process that compiles takes one, a process that loads what it left the other.
OPTIONS = {"nogil": True, "error_model": "numpy", "fastmath": {"reassoc", "contract", "nsz"},
           "forceinline": True}


def jit(function):
    """`function`, compiled where it is first called, or loaded from disk.

    No fault of what is on disk stops it: what cannot be read is compiled again, what cannot be
    kept is compiled in every run. The first fault is said on stderr, in one line.
    """
    compiled = numba.njit(**OPTIONS)(function)
    try:
        compiled._cache = _Cache(function)
    except Exception as error:  # no folder that can be written to
        _say_once("compiled loops cannot be kept", error)
    return compiled


class _Checked(CompileResultCacheImpl):
    """What Numba keeps of a function, with a checksum: damaged code would end the process. It is of
    this time as long as no file of this folder has changed: functions go into others whole."""

    def __init__(self, function):
        super().__init__(function)
        own = self._locator.get_source_stamp
        self._locator.get_source_stamp = lambda: (own(), _folder_stamp())

    def reduce(self, result):
        data = dumps(super().reduce(result))
        return hashlib.sha256(data).digest(), data

    def rebuild(self, context, kept):
        checksum, data = kept
        if hashlib.sha256(data).digest() != checksum:
            raise ValueError("the checksum differs")
        return super().rebuild(context, pickle.loads(data))


@functools.cache
def _folder_stamp():
    return tuple((path.name, status.st_mtime, status.st_size)
                 for path in sorted(Path(__file__).parent.glob("*.py"))
                 for status in [path.stat()])


class _Cache(FunctionCache):
    """Numba's cache of one function. Numba's own raises where a file cannot be read or written."""

    _impl_class = _Checked

    def load_overload(self, signature, context):
        try:
            found = super().load_overload(signature, context)
            if found is not None and found.signature.args != tuple(signature):
                # of two processes that took the same name at the same moment
                raise ValueError("a file is of other types than the index says")
            return found
        except Exception as error:
            _say_once(f"compiled loops cannot be read in {self.cache_path}", error)
            with suppress(Exception):
                self.flush()  # nothing can be added to an index that cannot be read
            return None

    def save_overload(self, signature, result):
        try:
            super().save_overload(signature, result)
        except Exception as error:
            _say_once(f"compiled loops cannot be kept in {self.cache_path}", error)


_said = False


def _say_once(what, error):
    global _said
    if not _said:
        _said = True
        print(f"{what} ({type(error).__name__}: {' '.join(str(error).split())})", file=sys.stderr)


@contextmanager
def announced():
    """In this context, say once on stderr that something is compiled, if it is."""
    with event.install_listener("numba:compile", _Announcement()):
        yield


class _Announcement(event.Listener):
    said = False

    def on_start(self, _):
        if not self.said:
            self.said = True
            once = "" if _said else ", once for this machine"
            print(f"compiling the fast loops{once}: half a minute ...", file=sys.stderr, flush=True)

    def on_end(self, _):
        pass
