"""minidsr.nn.sgd: one number at a time, and sparse tensors against masked dense ones."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from minidsr.nn.sgd import SGD
from minidsr.parameters import Dense, Sparse
from minidsr.proof.cases import seeds

options = st.fixed_dictionaries({
    "momentum": st.sampled_from([0.0, 0.5, 0.9]), "nesterov": st.booleans(),
    "weight_decay": st.sampled_from([0.0, 5e-4, 0.1]), "l1": st.sampled_from([0.0, 1e-4, 0.1])})


def scalar_steps(value, grads, lrs, *, momentum, nesterov, weight_decay, l1):
    """What SGD does to one number: (value, velocity) at the end."""
    velocity = 0.0
    for grad, lr in zip(grads, lrs, strict=True):
        sign = int(value > 0) - int(value < 0)
        total = grad + weight_decay * value + l1 * sign
        velocity = momentum * velocity + total
        value = value - lr * (total + momentum * velocity if nesterov else velocity)
    return value, velocity


@given(options=options, steps=st.integers(1, 6), seed=seeds)
def test_every_number_on_its_own(options, steps, seed):
    rng = np.random.default_rng(seed)
    value = rng.integers(-2, 3, 5) * rng.random(5)  # zeros among them
    p, grads, lrs = Dense(value.copy()), rng.standard_normal((steps, 5)), rng.random(steps)
    sgd = SGD([p], **options)
    for grad, sgd.lr in zip(grads, lrs, strict=True):
        p.pull(grad)
        sgd.step()
    for i in range(5):
        expected = scalar_steps(value[i], grads[:, i], lrs, **options)
        np.testing.assert_allclose((p.value[i], p.velocity[i]), expected, rtol=1e-12, atol=1e-14)


@given(options=options, steps=st.integers(1, 6), seed=seeds,
       dtype=st.sampled_from([np.float32, np.float64]))
def test_a_sparse_tensor_moves_like_a_masked_dense_one(options, steps, seed, dtype):
    rng = np.random.default_rng(seed)
    mask = rng.random((4, 5)) < 0.4
    theta = (rng.standard_normal((4, 5)) * mask).astype(dtype)
    index = np.flatnonzero(mask).astype(np.int32)
    dense, sparse = Dense(theta.copy()), Sparse(theta.shape, index, theta.reshape(-1)[index])
    sgds = SGD([dense], **options), SGD([sparse], **options)
    for _ in range(steps):
        dtheta, lr = rng.standard_normal((4, 5)).astype(dtype), float(rng.random())
        for sgd, gradient in zip(sgds, (dtheta * mask, dtheta), strict=True):
            sgd.params[0].pull(gradient)
            sgd.lr = lr
            sgd.step()
        np.testing.assert_array_equal(sparse.theta(), dense.theta())
        np.testing.assert_array_equal(sparse.velocity, dense.velocity.reshape(-1)[index])
    assert sparse.value.dtype == sparse.velocity.dtype == dtype


def test_a_worked_example():
    """Nesterov's: grad 1, momentum 0.9, lr 0.1 from 1.0."""
    p = Dense(np.array([1.0]))
    sgd = SGD([p])
    sgd.lr = 0.1
    values = []
    for _ in range(2):
        p.pull(np.array([1.0]))
        sgd.step()
        values.append(p.value.item())
    assert values == pytest.approx([1 - 0.1 * 1.9, 1 - 0.1 * 1.9 - 0.1 * (1 + 0.9 * 1.9)])


def test_all_tensors_move_and_gradients_are_not_written_to(rng):
    params = [Dense(np.zeros(n)) for n in (1, 2, 3)]
    sgd = SGD(params, weight_decay=0.1, l1=0.1)
    sgd.lr = 1.0
    for p in params:
        grad = np.ones(p.shape)
        grad.setflags(write=False)
        p.pull(grad)
    sgd.step()
    for p in params:
        np.testing.assert_allclose(p.value, -1.9)


def test_decay_pulls_towards_zero_and_l1_as_hard_for_all():
    for name, expected in [("weight_decay", [-0.2, 0, 0.4]), ("l1", [-0.1, 0, 0.1])]:
        p = Dense(np.array([-2.0, 0, 4]))
        before = p.value.copy()
        sgd = SGD([p], momentum=0.0, **{name: 0.1})
        sgd.lr = 1.0
        p.pull(np.zeros(3))
        sgd.step()
        np.testing.assert_allclose(before - p.value, expected, atol=1e-15)


def test_an_empty_tensor_is_fine():
    p = Sparse((3,), np.zeros(0, np.int32), np.zeros(0, np.float32))
    p.pull(np.ones(3, np.float32))
    sgd = SGD([p], weight_decay=0.1, l1=0.1)
    sgd.lr = 0.1
    sgd.step()
    assert p.value.shape == (0,)


def test_l1_acts_where_it_is_asked_for():
    params = [Dense(np.ones(2)) for _ in range(3)]
    sgd = SGD(params, momentum=0.0, l1=0.25, l1_on=[params[1]])
    sgd.lr = 1.0
    for p in params:
        p.pull(np.zeros(2))
    sgd.step()
    assert [p.value.tolist() for p in params] == [[1, 1], [0.75, 0.75], [1, 1]]
