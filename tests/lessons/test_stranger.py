"""The trace that lesson 8 judges is what the stranger's program did."""

import numpy as np

from lessons import RESULTS
from lessons.gallery.stale_velocity import StaleVelocity
from lessons.solutions.ex08 import record
from lessons.stranger import Program
from minidsr.parameters import Sparse


def program():
    """The one of results/stranger.npz, before it begins."""
    rng, tensors = np.random.default_rng(0), []
    for shape, count in (((2, 2, 3, 3), 14), ((3, 2, 3, 3), 20)):
        index = np.sort(rng.choice(np.prod(shape), count, replace=False))
        tensors.append(Sparse(shape, index, rng.normal(0, 0.3, count).astype(np.float32)))
    return Program(tensors, H=0.1, N_p=8, delta=0.2, seed=0, method=StaleVelocity)


def test_the_trace_is_of_the_program(tmp_path):
    record(program(), 4, tmp_path / "trace.npz")
    with np.load(tmp_path / "trace.npz") as new, np.load(RESULTS / "stranger.npz") as old:
        assert {*new.files} == {*old.files}
        for key in old.files:
            np.testing.assert_array_equal(new[key], old[key])


def test_arrays_are_changed_in_place():
    stranger = program()
    before = [*stranger.weights.values(), *stranger.masks.values(), *stranger.velocities.values()]
    kept = [x.copy() for x in before]
    stranger.train()
    stranger.reallocate()
    after = [*stranger.weights.values(), *stranger.masks.values(), *stranger.velocities.values()]
    assert all(a is b for a, b in zip(before, after, strict=True))
    assert not all((a == b).all() for a, b in zip(kept, after, strict=True))
