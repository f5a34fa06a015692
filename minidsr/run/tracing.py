"""Traces of our own trainings: proof/recorder.py records them, as it does anyone's.

Each reallocation is recorded; of DeepR that is each step. Of a method that never reallocates it is
each epoch: what its tensors are before the first step, and after the last.
"""

import sys
from contextlib import ExitStack, contextmanager
from functools import partial
from pathlib import Path

import numpy as np

from ..backend import to_host
from ..checks import check_folder
from ..methods.base import Method
from ..methods.dst import Thresholded
from ..methods.hashed import Hashed, Tied
from ..parameters import Dense, Sparse
from ..proof.recorder import COUNTS, NUMBERS, OTHERS, Recorder
from .progress import TrainingError


def watch(trainer, folder, resume=None):
    """Record in this folder, None: nowhere, what a Trainer's method does from now on.

    resume: the step from which a trace in the folder is gone on with; without one there must be
    none. ValueError where that is not so, or the method has nothing to record.
    """
    if folder is None:
        return
    if trainer.method.rules is None and not _reallocates(trainer.method):
        raise ValueError(f"{trainer.config.method} has no trace: none of its weights move, or are "
                         "shared")
    check_folder(folder)
    try:
        tracer = Tracer(folder, trainer.model, trainer.method, trainer.steps_per_epoch, resume)
    except OSError as error:
        raise ValueError(f"{folder}: not usable for a trace ({error.strerror})") from None
    if tracer.recorder.removed:
        print(f"{folder}: files of steps after the checkpoint are removed, "
              f"{tracer.recorder.removed:,} in all, and recorded again", file=sys.stderr)


class Tracer:
    """Records what a method does with a model: it stands in for its reallocate(), or its step()."""

    def __init__(self, folder, model, method, steps_per_epoch, resume=None):
        self.model, self.method, self.steps_per_epoch = model, method, steps_per_epoch
        self.names = [f"{name}.weight" for name in model.sparsifiable_layers()]
        self.beside = {}  # what the method has recorded beside
        arrays = {key: partial(self._arrays, key) for key in OTHERS}
        self.recorder = Recorder(
            Path(folder), partial(self._arrays, "value"), partial(self._arrays, "mask"),
            partial(self._arrays, "velocity"), resume=resume, **arrays)
        if _reallocates(method):
            self.reallocate, method.reallocate = method.reallocate, self._reallocate
        else:
            self.epoch, self.step, method.step = None, method.step, self._step

    def _reallocate(self, t):
        self.beside = self.method.recorded(t)
        numbers = {key: x for key, x in self.beside.items() if key not in OTHERS}
        with self._recording(step=t, **numbers) as r:
            report = self.reallocate(t)
            claims = vars(self.method.claims(report))
            r.said(**{key: x for key, x in claims.items() if key in NUMBERS + COUNTS})
        return report

    def _step(self, t, sgd):
        if self.epoch is None:
            self.epoch = ExitStack()
            self.epoch.enter_context(self._recording(step=t))
        report = self.step(t, sgd)
        if (t + 1) % self.steps_per_epoch == 0:
            self.epoch.close()
            self.epoch = None
        return report

    @contextmanager
    def _recording(self, **numbers):
        """Recorder.reallocation(), where a full disk is a TrainingError."""
        try:
            with self.recorder.reallocation(**numbers) as r:
                yield r
        except OSError as error:
            raise TrainingError(f"cannot write to {self.recorder.folder} ({error.strerror}); go on "
                                "with --resume") from error

    def _arrays(self, key):
        """{tensor: array} of what they have now under this key of traces.md."""
        found = {name: _array(p, key) for name, p in self.model.named_params().items()}
        if key in self.beside:
            found |= dict(zip(self.names, self.beside[key], strict=True))
        return found


def _reallocates(method):
    return type(method).reallocate is not Method.reallocate


def _array(p, key):
    """What the parameterization p has under this key, of its shape; None if nothing."""
    if isinstance(p, Thresholded):
        W, threshold = (to_host(array) for array in p.rows(p.value))
        return {"value": W.reshape(p.shape), "mask": _spread(p, 1), "threshold": threshold}.get(key)
    if isinstance(p, Hashed) and p.value.size:
        if key == "bucket" or key == "sign" and not isinstance(p, Tied):
            return to_host(getattr(p, key))
    if key == "value":
        return to_host(p.theta())
    if isinstance(p, Dense) and key == "velocity":
        return to_host(p.velocity)
    if isinstance(p, Sparse):
        if key == "velocity":
            return _spread(p, to_host(p.velocity))
        if key == "mask":
            return _spread(p, 1)
        if key == "protected" and len(p.protected):
            return np.isin(np.arange(p.size), p.protected).astype(np.int8)
    return None


def _spread(p, numbers):
    """The numbers, one for each position of p that is in use, in an array of its shape."""
    array = np.zeros(p.size, np.result_type(numbers))
    array[to_host(p.active())] = numbers
    return array.reshape(p.shape)
