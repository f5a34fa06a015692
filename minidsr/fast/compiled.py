"""Compilation of loops by Numba, the optional extra `fast`: imported here and nowhere else.

What is compiled stays on disk, so only the first run on a machine waits for it. Compiled functions
release the GIL: map_chunks() runs them side by side.
"""

import sys
from contextlib import contextmanager

import numba
from numba.core import event

# Sums may be taken in any order, a product added without rounding it first: so loops turn into
# vector instructions. Not-a-number and infinity keep their meaning. (Whoever changes these options
# deletes __pycache__: Numba looks at the text of a function only to know whether it has changed.)
jit = numba.njit(nogil=True, cache=True, error_model="numpy",
                 fastmath={"reassoc", "contract", "nsz"})


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
            print("compiling the fast loops, once for this machine: half a minute ...",
                  file=sys.stderr, flush=True)

    def on_end(self, _):
        pass
