"""The trainings of a sweep on a Dask cluster: each task starts the same child on its worker."""

import os
import time
from concurrent.futures import CancelledError
from pathlib import Path

from . import directory
from .child import TOLD_TO_END, train_in_child, wait_for
from .progress import TrainingError

CONNECT, SAVE = 10, 60  # seconds in which a scheduler answers, and in which a child saves


class Cluster:
    """Where runs are trained: on the workers of the scheduler at `address`.

    Each thread of a worker has one run at a time, with one thread. Working directory, paths and
    program must be the same on all. Raises ValueError where Dask or the scheduler is not there.
    """

    threads = 1

    def __init__(self, address, jobs=None):
        try:
            from distributed import Client
        except ImportError:
            raise ValueError("--dask needs Dask: pip install 'minidsr[dask]'") from None
        self.address, self.jobs, self.stopped = address, jobs, False
        try:
            self.client = Client(address, timeout=CONNECT)
        except (OSError, ValueError) as error:
            raise ValueError(f"--dask {address}: no scheduler answers there "
                             f"({' '.join(str(error).split()):.100})") from None

    def slots(self):
        """How many runs can be trained at a time, with the workers of now."""
        try:
            threads = sum(self.client.nthreads().values())
        except (OSError, RuntimeError):
            raise self._gone() from None
        return threads if self.jobs is None else min(threads, self.jobs)

    def train(self, words, log):
        """Train on a worker, after its death on another one; returns the exit code.

        Dask gives a task up when several workers have died under it: it is then submitted again
        where the run has come further since.
        """
        from distributed import KilledWorker

        run, step = Path(words[-1]), -1
        while True:
            future = self.client.submit(_task, words, str(log), os.getcwd(), pure=False)
            try:
                return future.result()
            except CancelledError:
                begun = time.monotonic()
                wait_for(run, lambda begun=begun: time.monotonic() - begun > SAVE)
                if not self.stopped:
                    raise self._gone() from None
                return TOLD_TO_END
            except KilledWorker:
                before, step = step, directory.reached(run)[0] or 0
                if step == before:
                    raise

    def stop(self):
        """Have all children save and end; no other begins."""
        self.stopped = True
        self.client.close()

    def _gone(self):
        return TrainingError(f"the scheduler at {self.address} is gone; what was trained is saved, "
                             "the same command goes on")


def _task(words, log, cwd):
    """On a worker: train in a child, until the worker ends or nobody wants the result any more."""
    from distributed import Reschedule, get_worker

    worker = get_worker()
    key = worker.get_current_task()

    def unwanted():
        task = worker.state.tasks.get(key)
        return task is None or task.state != "executing"

    def ends():
        return worker.status.name not in ("running", "paused")

    code = train_in_child(words, log, lambda: ends() or unwanted(), cwd)
    if code == TOLD_TO_END and not unwanted():
        raise Reschedule
    return code
