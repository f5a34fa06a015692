"""Traces of our own methods in training, and reallocations of any tensors by them."""

import tempfile
from dataclasses import replace

import numpy as np
from training import CASES, Training

from minidsr.methods import METHODS
from minidsr.proof.reallocation import Reallocation, snapshot
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
    numbers = method.recorded(t)
    arrays = {key: numbers.pop(key) for key in numbers.keys() & {*OTHERS}}
    before = [replace(tensor, recorded={key: of_tensors[i].reshape(-1)
                                        for key, of_tensors in arrays.items()})
              for i, tensor in enumerate(snapshot(tensors))]
    report = method.reallocate(t)
    return method.rules, Reallocation(before, snapshot(tensors), report, numbers=numbers)
