"""Traces of our own methods in training, and reallocations of any tensors by them."""

import tempfile
from dataclasses import replace

import numpy as np
from training import Training

from minidsr.methods.dst import Thresholded
from minidsr.methods.hashed import Hashed
from minidsr.proof.reallocation import Reallocation, Tensor, snapshot
from minidsr.proof.recorder import OTHERS
from minidsr.proof.trace import load
from minidsr.run.small_training import STEPS
from minidsr.run.tracing import Tracer


def record(case, steps=STEPS, **options):
    """(name of its rules, Reallocations) of a Training by one of CASES, as `train --trace` records
    it: each reallocation, or each step where there are none."""
    training = Training(case, **options)
    with tempfile.TemporaryDirectory() as folder:
        Tracer(folder, training.model, training.method, steps_per_epoch=1)
        training.run(steps)
        return training.method.rules, load(folder)


def observed(method, t):
    """The Reallocation of a method's own tensors, without a network, at step t; or of a list of
    parameterizations, if `t` is what changes them."""
    if isinstance(method, list):
        before = _tensors(method)
        t()
        return Reallocation(before, _tensors(method))
    numbers = method.recorded(t)
    arrays = {key: numbers.pop(key) for key in numbers.keys() & {*OTHERS}}
    before = [replace(tensor, masked=np.zeros(W.size - len(W.index), W.value.dtype), recorded={
        key: of_tensors[i].reshape(-1) for key, of_tensors in arrays.items()})
        for i, (tensor, W) in enumerate(zip(snapshot(method.tensors), method.tensors, strict=True))]
    report = method.claims(method.reallocate(t))
    return Reallocation(before, snapshot(method.tensors), report, numbers=numbers)


def _tensors(params):
    return [_tensor(f"tensor {i}", p, t) for i, (p, t) in enumerate(
        zip(params, snapshot(params), strict=True))]


def _tensor(name, p, t):
    """A Tensor of Tensor t, of the parameterization p, as one who records arrays would make it."""
    if isinstance(p, Thresholded):
        (W, threshold), index = p.rows(p.value), p.active()
        outside = np.delete(W.reshape(-1), index)
        return Tensor(name, p.size, index, W.reshape(-1)[index], masked=outside.copy(),
                      recorded={"threshold": threshold.copy()})
    if isinstance(p, Hashed):
        known = {"bucket": p.bucket, "sign": np.broadcast_to(p.sign, p.size)}
        return Tensor(name, p.size, None, p.theta().reshape(-1).copy(),
                      recorded=known if p.value.size else {})
    return t if t.index is None else replace(t, masked=np.delete(p.theta().reshape(-1), t.index))
