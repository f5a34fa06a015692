"""Traces of our own methods in training: what their rules need to know is recorded, too."""

from dataclasses import replace

import numpy as np
from training import CASES, STEPS, Training

from minidsr.methods import METHODS
from minidsr.methods.base import Dynamic
from minidsr.methods.dst import Thresholded
from minidsr.methods.hashed import Hashed
from minidsr.proof.reallocation import Reallocation, Tensor, snapshot


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


def reallocated(case, tensors, seed, t):
    """(name of its rules, Reallocation) of these Sparse tensors by one of CASES, without a network:
    gradients, momenta and signs are random, some of them equal."""
    name, options = CASES[case]
    method = METHODS[name](epochs=1, steps_per_epoch=20, **options)
    rng, shapes = np.random.default_rng(seed), [W.shape for W in tensors]
    scores = [rng.integers(-9, 9, shape) * rng.choice([0.5, 0.1]) for shape in shapes]
    method.tensors, method.rng, method.V = tensors, rng, scores
    method.dense_gradients = lambda: [abs(score) for score in scores]
    method.negative = [np.packbits(rng.random(W.size) < 0.5) for W in tensors]
    method.slice, method.H, method.t_end = 1, options.get("threshold"), 18
    method.target_pruned = max(1, sum(W.value.size for W in tensors) // 5)
    method.final = [int(rng.integers(W.value.size + 1)) for W in tensors]
    known = [{"gradient": score.reshape(-1), "momentum": score.reshape(-1),
              "sign": 1 - 2.0 * np.unpackbits(bits, count=score.size)}
             for score, bits in zip(scores, method.negative, strict=True)]
    before = [replace(tensor, recorded=more)
              for tensor, more in zip(snapshot(tensors), known, strict=True)]
    report = method.reallocate(t)
    return method.rules, Reallocation(before, snapshot(tensors), report, numbers={
        "progress": t / method.t_end, "final": method.final})
