"""Traces of our own methods in training: what their rules need to know is recorded, too."""

from dataclasses import replace

import numpy as np
from training import Training

from minidsr.methods.base import Dynamic
from minidsr.methods.dst import Thresholded
from minidsr.methods.hashed import Hashed
from minidsr.proof.reallocation import Reallocation, Tensor, snapshot
from minidsr.run.small_training import STEPS


def record(case, steps=STEPS, **options):
    """(name of its rules, Reallocations) of a Training by one of CASES: each reallocation, or each
    step where there are none. Positions outside the structure are looked at, too."""
    training = Training(case, **options)
    method = training.method
    if not isinstance(method, Dynamic):
        return method.rules, [_observed(training, training.step) for _ in range(steps)]
    found, reallocate = [], method.reallocate

    def watched(t):
        numbers = {}
        if "gradual" in case:
            numbers = {"progress": t / method.t_end, "final": method.final}
        r = _observed(training, lambda: reallocate(t), numbers)
        found.append(r)
        return r.report

    method.reallocate = watched
    training.run(steps)
    return method.rules, found


def _observed(training, act, numbers=None):
    before = seen(training)
    report = act()
    r = Reallocation(before, seen(training), numbers=numbers or {})
    return replace(r, report=training.method.claims(report)) if report else r


def seen(training):
    """A snapshot with what the rules need to know."""
    method, sparse = training.method, {}
    for i, layer in enumerate(training.model.sparsifiable_layers().values()):
        W, known = layer.weight, {}
        if getattr(W, "dense_grad", None) is not None:
            known["gradient"] = W.dense_grad.reshape(-1)
        if hasattr(method, "V"):
            known["momentum"] = method.V[i].reshape(-1)
        if hasattr(method, "negative"):
            known["sign"] = 1 - 2.0 * np.unpackbits(method.negative[i], count=W.size)
        sparse[id(W)] = known
    return [_tensor(name, p, t, sparse.get(id(p), {})) for (name, p), t in zip(
        training.model.named_params().items(), snapshot(training.model.named_params()),
        strict=True)]


def _tensor(name, p, t, known):
    """A Tensor of Tensor t, of the parameterization p, as one who records arrays would make it."""
    if isinstance(p, Thresholded):
        (W, threshold), index = p.rows(p.value), p.active()
        outside = np.delete(W.reshape(-1), index)
        return Tensor(name, p.size, index, W.reshape(-1)[index], masked=outside.copy(),
                      recorded={"threshold": threshold.copy()})
    if isinstance(p, Hashed):
        if p.value.size:
            known = {"bucket": p.bucket, "sign": np.broadcast_to(p.sign, p.size)}
        return Tensor(name, p.size, None, p.theta().reshape(-1).copy(), recorded=known)
    if t.index is None:
        return t
    return replace(t, masked=np.delete(p.theta().reshape(-1), t.index), recorded=known)


def observed(method, t):
    """The Reallocation of a method's own tensors, without a network, at step t; or of a list of
    parameterizations, if `t` is what changes them."""
    if isinstance(method, list):
        before = _tensors(method)
        t()
        return Reallocation(before, _tensors(method))
    before = [replace(tensor, masked=np.zeros(W.size - len(W.index), W.value.dtype), recorded={
        "gradient": score.reshape(-1), "momentum": score.reshape(-1),
        "sign": 1 - 2.0 * np.unpackbits(bits, count=W.size)})
        for tensor, W, score, bits in zip(snapshot(method.tensors), method.tensors, method.V,
                                          method.negative, strict=True)]
    report = method.claims(method.reallocate(t))
    return Reallocation(before, snapshot(method.tensors), report, numbers={
        "progress": t / method.t_end, "final": method.final})


def _tensors(params):
    return [_tensor(f"tensor {i}", p, t, {}) for i, (p, t) in enumerate(
        zip(params, snapshot(params), strict=True))]
