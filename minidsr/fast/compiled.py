"""Compilation of loops by Numba, the optional extra `fast`: imported here and nowhere else.

What is compiled stays on disk, so only the first run on a machine waits for it. Compiled functions
release the GIL: map_chunks() runs them side by side.
"""

import sys
from contextlib import contextmanager, suppress

import numba
from numba.core import event

# Sums may be taken in any order, a product added without rounding it first: so loops turn into
# vector instructions. Not-a-number and infinity keep their meaning. A function goes into its
# callers whole: else a caller has a second copy of it, optimised once more, which sums in another
# order, and a process that compiles takes one, a process that loads what it left the other.
# (Whoever changes these options deletes __pycache__: Numba looks at the file of a function only to
# know whether it has changed.)
OPTIONS = {"nogil": True, "error_model": "numpy", "fastmath": {"reassoc", "contract", "nsz"},
           "forceinline": True}


def jit(function):
    """`function`, compiled where it is first called, or loaded from disk.

    No fault of what is on disk stops it: what cannot be read is compiled again, what cannot be
    kept is compiled in every run. The first fault is said on stderr, in one line.
    """
    try:
        compiled = numba.njit(**OPTIONS, cache=True)(function)
    except Exception as error:  # no folder can be written to
        _say_once("compiled loops cannot be kept", error)
        return numba.njit(**OPTIONS)(function)
    if hasattr(compiled, "_cache"):  # there is no public way to it; a Numba without keeps its own
        compiled._cache = _Cache(compiled._cache)
    return compiled


class _Cache:
    """Numba's cache of one function, which raises where a file is damaged or cannot be written;
    this one does not."""

    def __init__(self, cache):
        self.cache = cache

    def __getattr__(self, name):
        return getattr(self.cache, name)

    def load_overload(self, signature, *args):
        try:
            found = self.cache.load_overload(signature, *args)
            if found is not None and found.signature.args != tuple(signature):
                # of two processes that took the same name at the same moment
                raise ValueError("a file is of other types than the index says")
            return found
        except Exception as error:
            _say_once(f"damaged files in {self.cache.cache_path}", error)
            with suppress(Exception):
                self.cache.flush()  # nothing can be added to an index that cannot be read
            return None

    def save_overload(self, *args):
        try:
            self.cache.save_overload(*args)
        except Exception as error:
            _say_once(f"compiled loops cannot be kept in {self.cache.cache_path}", error)


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
