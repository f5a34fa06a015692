"""Wrong arguments of Algorithm 1 and of parameterizations: one line, and nothing has changed."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from refusals import refused

from minidsr.data.batches import Dataset, batches
from minidsr.density import free_counts
from minidsr.methods.dst import Thresholded
from minidsr.methods.hashed import Hashed
from minidsr.parameters import Dense, Sparse
from minidsr.reparam import (
    adjust_pruning_threshold,
    apportion,
    grow_back,
    prune_by_threshold,
    reallocate,
)


def tensor(dtype=np.float32):
    W = Sparse((3, 3), np.array([0, 4, 8], np.int32), np.array([1, -2, 3], dtype))
    W.velocity = np.array([4, 5, 6], dtype)
    W.pull(np.ones((3, 3), dtype))
    return W


INDEX, VALUE = np.array([0, 4]), np.array([1.0, 2.0])


@pytest.mark.parametrize(("index", "value", "match"), [
    ([0, 4], VALUE, "index must be an array"), (INDEX, [1.0, 2.0], "value must be an array"),
    ([0, 4], [1.0, 2.0], "must be an array"), (INDEX, INDEX, "value must be float32 or float64"),
    (INDEX, VALUE.astype(np.float16), "value must be"), (VALUE, VALUE, "index must be int32"),
    (INDEX.astype(np.uint32), VALUE, "index must be int32 or int64"),
    (INDEX.astype(np.int16), VALUE, "index must be"), (INDEX.astype(bool), VALUE, "index must be"),
    (INDEX.astype(">i8"), VALUE, "index must be"), (INDEX, VALUE.astype(">f8"), "value must be"),
    (INDEX, VALUE[:1], r"must all be \(m,\)"), (INDEX[:1], VALUE, r"must all be \(m,\)"),
    (INDEX[:, None], VALUE[:, None], "index must be"), (None, VALUE, "index must be an array"),
    (INDEX + 5, VALUE, "sorted, unique and within"), (INDEX[::-1], VALUE, "sorted")])
def test_a_wrong_sparse(index, value, match):
    refused(lambda: Sparse((3, 3), index, value), match=match)


@pytest.mark.parametrize("value", [[1.0], np.ones(2, int), np.ones(2, bool), 1.0, None,
                                   np.ones(2, np.float16)], ids=str)
def test_a_wrong_dense(value):
    refused(lambda: Dense(value), match="value must be")


def test_an_unusual_sparse_is_the_plain_one():
    odd = Sparse((3, 3), np.array([8, 4, 0])[::-1], np.array([2.0, 9, 1])[::-1])
    read_only = np.array([1.0, 9, 2])
    read_only.setflags(write=False)
    for W in (odd, Sparse((3, 3), np.array([0, 4, 8]), read_only)):
        assert W.theta().tolist() == [[1, 0, 0], [0, 9, 0], [0, 0, 2]]
        W.value += 1  # as SGD does


@pytest.mark.parametrize("index", [[0.0, 4.0], [True, False], [[0, 4]], [0, 9], [-1, 4],
                                   [0, 2 ** 32 + 4], "04"], ids=str)
def test_of_takes_positions(index):
    refused(lambda: Sparse.of(np.ones((3, 3)), index), match="index must be")
    assert Sparse.of(np.ones((3, 3)), []).value.size == 0


@pytest.mark.parametrize("count", [-1, 10, 1.0, None, True], ids=str)
def test_random_takes_a_count(count, rng):
    refused(lambda: Sparse.random(np.ones((3, 3)), count, rng), match="count must be a whole")


@pytest.mark.parametrize("dead", [[True, False, True], np.array([1, 0, 1]), np.array([1.0, 0, 1]),
                                  np.array([True]), np.ones((3, 1), bool), None], ids=str)
def test_a_wrong_prune(dead):
    W = tensor()
    refused(lambda: W.prune(dead), W, match="dead must be")


@pytest.mark.parametrize("slots", [[1.0, 2.0], [1.5], [True, False], np.array([1.0]), [[1, 2]], 1,
                                   "12", None, [1, None]], ids=str)
def test_a_wrong_grow(slots):
    W = tensor()
    refused(lambda: W.grow(slots), W, match="slots must be whole numbers")


@pytest.mark.parametrize("dtype", ["u1", "i2", "u4", "i8", "u8", ">i4"])
def test_slots_of_any_whole_type(dtype):
    W = tensor()
    W.grow(np.array([5, 1], dtype))
    assert W.index.tolist() == [0, 1, 4, 5, 8]
    assert W.index.dtype == np.int32


@pytest.mark.parametrize("dtheta", [np.ones((3, 2)), np.ones(9), np.ones((3, 3), np.float32),
                                    np.ones((3, 3), int), [[1.0] * 3] * 3, None], ids=str)
def test_a_wrong_gradient(dtheta):
    for W in (tensor(np.float64), Dense(np.ones((3, 3))), Thresholded(np.ones((3, 3))),
              Hashed((3, 3), np.ones(4), np.zeros(2, np.uint32))):
        refused(lambda W=W: W.pull(dtheta), W, match="dtheta must be")


WRONG = {
    "rng": [0, None, np.random.RandomState(0), np.random],
    "H": ["0.5", None, np.ones(2), True, float("nan"), 0.0, -1.0, float("inf"), [0.5], 1j],
    "N_p": ["2", None, 1.5, True, 0, -1, 99, float("inf"), np.ones(1), [1]],
    "delta": ["0.1", None, True, -0.1, 1.0, float("nan"), [0.1]],
    "growth": ["other", None, 3],
}


@given(st.sampled_from([(name, value) for name in WRONG for value in WRONG[name]]))
def test_a_wrong_reallocation(wrong):
    tensors, right = [tensor(), tensor()], {"H": 1.5, "N_p": 2, "delta": 0.1}
    arguments = {**right, "rng": np.random.default_rng(0)} | {wrong[0]: wrong[1]}
    refused(lambda: reallocate(tensors, **arguments), *tensors, match=wrong[0])


def test_wrong_tensors(rng):
    W, right = tensor(), {"H": 1.5, "N_p": 1, "delta": 0.1, "rng": rng}
    for tensors, match in (
            ([], "tensors must be a list of Sparse"), (W, "tensors must be a list of Sparse"),
            (iter([W]), "tensors must be a list"), ([W, W], "one is there twice"),
            ([W, Dense(np.ones(3))], "tensor 1 must be Sparse, not Dense"),
            ([W, np.ones(3)], "tensor 1 must be Sparse, not ndarray")):
        refused(lambda tensors=tensors: reallocate(tensors, **right), W, match=match)


def test_wrong_steps_of_the_algorithm(rng):
    W = tensor()
    for act, match in (
            (lambda: prune_by_threshold(Dense(np.ones(3)), 1.0), "W must be Sparse"),
            (lambda: prune_by_threshold(W, "1"), "H must be a number"),
            (lambda: prune_by_threshold(W, np.ones(3)), "H must be a number"),
            (lambda: adjust_pruning_threshold("1", 2, 3, 0.1), "H must be a number"),
            (lambda: adjust_pruning_threshold(1.0, None, 3, 0.1), "K must be a number"),
            (lambda: grow_back(Dense(np.ones(3)), 1, rng), "W must be Sparse"),
            (lambda: grow_back(W, 1.0, rng), "n must be a whole"),
            (lambda: grow_back(W, -1, rng), "n must be a whole"),
            (lambda: grow_back(W, 7, rng), "only 6 positions are free"),
            (lambda: grow_back(W, 1, 0), "rng must be"),
            (lambda: grow_back(W, 1, rng, avoid=[1.5]), "avoid must be whole"),
            (lambda: grow_back(W, 1, rng, avoid=[9]), r"avoid must be within \[0, 9\)"),
            (lambda: grow_back(W, 1, rng, avoid=[-1]), r"avoid must be within \[0, 9\)"),
            (lambda: apportion(3, [1], [2, 2]), "1 weights and 2 rooms"),
            (lambda: apportion(3, [1, -1], [2, 2]), "a weight must be"),
            (lambda: apportion(1.5, [1, 1], [2, 2]), "K must be a whole"),
            (lambda: apportion(3, [1, 1], [2, 2.5]), "room must be a whole")):
        refused(act, W, match=match)


def test_what_is_no_choice():
    for choice in (10**5000, np.array(["er", "erk"]), None, ["er"], "ek"):
        refused(lambda choice=choice: free_counts([(3, 3)], 0.5, choice),
                match="unknown distribution .*uniform, er, erk")


def test_classes_of_a_data_set_are_there():
    """Where it is made, on the host: a GPU would have to be waited for in each step."""
    x, y = np.zeros((3, 1, 5, 5), np.uint8), np.array([0, 1, 2], np.uint8)
    common = {"name": "tiny", "mean": (0,), "std": (1,), "augment": False, "train_x": x,
              "test_x": x}
    right = Dataset(**common, classes=("a", "b", "c"), train_y=y, test_y=y)
    for part in ("train_y", "test_y"):
        refused(lambda part=part: Dataset(**common, classes=("a", "b"), **{
            "train_y": y[:2], "test_y": y[:2], part: y}), match=r"labels must be in 0\.\.1, not 2")
    for classes, match in ((("a",), "two at least"), ("abc", "two at least"),
                           (("a", ""), "1 to 100"), (("a", "b\nc"), "one line"),
                           (("a", "b" * 101), "1 to 100")):
        refused(lambda classes=classes: Dataset(**common, classes=classes, train_y=y[:2],
                                                test_y=y[:2]), match=match)
    for wrong, match in (({"batch": 0}, "batch must"), ({"batch": 2.0}, "batch must"),
                         ({"batch": 1, "start": -1}, "start must")):
        refused(lambda wrong=wrong: next(batches(
            right, rng=np.random.default_rng(0), augmented=False, **wrong)), match=match)
