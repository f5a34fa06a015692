"""Threads that all have work, however little it is."""

import threading
from collections import deque
from contextlib import contextmanager

import pytest

from minidsr.fast import parallel


@contextmanager
def all_at_work(count):
    """As parallel.threads(count), but each of the first `count` chunks waits until so many threads
    have one. Else the caller's may have done all before another is awake."""
    class Meeting(deque):
        def __init__(self, pieces):
            super().__init__(pieces)
            self.expected = min(count, len(self))
            self.meeting = threading.Barrier(max(1, self.expected))

        def popleft(self):
            i, piece = super().popleft()
            if i < self.expected:
                self.meeting.wait(timeout=60)
            return i, piece

    with pytest.MonkeyPatch.context() as patch, parallel.threads(count) as given:
        patch.setattr(parallel, "deque", Meeting)
        yield given
