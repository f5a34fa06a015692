"""minidsr.parameters: Sparse is its definition, whatever is pruned and grown."""

from itertools import combinations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import chisquare

from minidsr.backend import move
from minidsr.methods.dst import Thresholded, surrogate
from minidsr.methods.hashed import Hashed, Tied
from minidsr.parameters import Dense, Sparse, index_dtype
from minidsr.proof.cases import seeds, spread

dtypes = st.sampled_from([np.float32, np.float64])


@st.composite
def tensors(draw):
    """A Sparse tensor of 1 to 3 dimensions, empty to full, with a velocity and sometimes a grad."""
    shape = tuple(draw(st.lists(st.integers(1, 5), min_size=1, max_size=3)))
    size = int(np.prod(shape))
    rng = np.random.default_rng(draw(seeds))
    m, dtype = draw(st.integers(0, size)), draw(dtypes)
    index = np.sort(rng.permutation(size)[:m]).astype(np.int32)
    value = (rng.integers(-1, 2, m) * rng.random(m)).astype(dtype)  # 0 and -0 among them
    W = Sparse(shape, index, value)
    W.velocity = rng.standard_normal(m).astype(dtype)
    if draw(st.booleans()):
        W.pull(np.ones(shape, dtype))
    return W


def stored(W):
    """All that a checkpoint has of a parameterization."""
    return {name: getattr(W, name) for name in W.stored}


def numbers(W):
    """{position: (bits of value, bits of velocity)}"""
    return {int(i): (v.tobytes(), u.tobytes())
            for i, v, u in zip(W.index, W.value, W.velocity, strict=True)}


def everything(W):
    grad = None if W.grad is None else W.grad.tobytes()
    return W.shape, grad, {key: (a.dtype, a.tobytes()) for key, a in stored(W).items()}


def assert_sound(W, dtype):
    assert W.index.dtype == np.int32
    assert W.value.dtype == W.velocity.dtype == W.theta().dtype == dtype
    assert W.index.shape == W.value.shape == W.velocity.shape == (W.value.size,)
    assert W.index.tolist() == sorted(set(W.index.tolist()))
    assert set(W.index.tolist()) <= set(range(W.size))
    Sparse(W.shape, W.index, W.value)  # does not raise


# θ and its gradient


@given(tensors())
def test_theta_holds_the_values_and_zeros(W):
    theta = W.theta()
    assert theta.shape == W.shape
    assert theta.size == W.size
    flat, values = theta.reshape(-1), dict(zip(W.index.tolist(), W.value, strict=True))
    for i in range(W.size):
        assert flat[i].tobytes() == values.get(i, np.zeros((), theta.dtype)).tobytes()
    theta[...] = 7
    assert W.size == 0 or not (W.theta() == 7).any()  # built anew


@given(tensors(), seeds)
def test_pull_is_the_adjoint_of_theta(W, seed):
    """<θ(v), dθ> = <v, grad> for all v; small whole numbers, so that sums are exact."""
    rng = np.random.default_rng(seed)
    W.value = rng.integers(-9, 10, W.value.size).astype(W.value.dtype)
    dtheta = rng.integers(-9, 10, W.shape).astype(W.value.dtype)
    dtheta.setflags(write=False)
    W.pull(dtheta)
    assert W.grad.shape == W.value.shape
    assert W.grad.dtype == W.value.dtype
    assert (W.theta() * dtheta).sum() == (W.value * W.grad).sum()


def test_a_worked_example():
    W = Sparse((2, 3), np.array([1, 3, 5], np.int32), np.array([10.0, 20, 30]))
    assert W.theta().tolist() == [[0, 10, 0], [20, 0, 30]]
    assert W.size == 6
    W.pull(np.arange(6.0).reshape(2, 3))
    assert W.grad.tolist() == [1, 3, 5]
    W.velocity = np.array([1.0, 2, 3])
    assert W.prune(np.array([False, True, False])) == 1
    W.grow([4, 0])
    assert W.index.tolist() == [0, 1, 4, 5]
    assert W.value.tolist() == [0, 10, 0, 30]
    assert W.velocity.tolist() == [0, 1, 0, 3]


def test_dense_is_the_identity(rng):
    value = rng.standard_normal((2, 3)).astype(np.float32)
    W = Dense(value)
    assert W.theta() is value
    assert W.grad is None
    assert W.velocity.dtype == np.float32
    assert not W.velocity.any()
    assert (W.shape, W.size) == ((2, 3), 6)
    W.pull(value)
    np.testing.assert_array_equal(W.grad, value)


# Pruning and growing


@given(tensors(), st.data())
def test_prune(W, data):
    dtype, before, m = W.value.dtype, numbers(W), W.value.size
    dead = np.array(data.draw(st.lists(st.booleans(), min_size=m, max_size=m)), bool)
    kept = {i for i, gone in zip(before, dead, strict=True) if not gone}
    assert W.prune(dead) == dead.sum()
    assert_sound(W, dtype)
    assert numbers(W) == {i: before[i] for i in kept}
    assert W.grad is None


@given(tensors(), st.data())
def test_grow(W, data):
    dtype, before = W.value.dtype, numbers(W)
    free = [i for i in range(W.size) if i not in before]
    slots = data.draw(st.lists(st.sampled_from(free), unique=True) if free else st.just([]))
    W.grow(np.array(slots, data.draw(st.sampled_from([np.int32, np.int64]))))
    assert_sound(W, dtype)
    zero = np.zeros((), dtype).tobytes()  # +0.0
    assert numbers(W) == before | dict.fromkeys(slots, (zero, zero))
    assert W.grad is None


@given(tensors(), st.lists(st.tuples(st.booleans(), seeds), max_size=6))
def test_any_sequence_of_both(W, moves):
    """Against a dictionary."""
    dtype, model = W.value.dtype, numbers(W)
    zero = np.zeros((), dtype).tobytes()
    for prune, seed in moves:
        rng = np.random.default_rng(seed)
        if prune:
            dead = rng.random(W.value.size) < 0.4
            for i in W.index[dead].tolist():
                del model[i]
            W.prune(dead)
        else:
            free = np.setdiff1d(np.arange(W.size), W.index)
            slots = rng.permutation(free)[:rng.integers(0, len(free) + 1)]
            model |= dict.fromkeys(slots.tolist(), (zero, zero))
            W.grow(slots)
        assert numbers(W) == model
        assert_sound(W, dtype)


@given(tensors(), st.data())
def test_a_bad_grow_raises_and_changes_nothing(W, data):
    active = W.index.tolist()
    free = [i for i in range(W.size) if i not in active]
    good = data.draw(st.lists(st.sampled_from(free), unique=True, max_size=3)) if free else []
    bad = [st.integers(-3, -1), st.integers(W.size, W.size + 3),
           st.sampled_from([-2**31, 2**31 - 1])]
    bad += [st.sampled_from(active)] if active else []
    bad += [st.sampled_from(good)] if good else []
    slots = data.draw(st.permutations([*good, data.draw(st.one_of(bad))]))
    before = everything(W)
    with pytest.raises(ValueError, match="sorted, unique and within"):
        W.grow(np.array(slots))
    assert everything(W) == before


@pytest.mark.parametrize("slot", [2**32, 2**32 + 1, -2**32])
def test_a_position_beyond_int32_does_not_wrap_around(slot):
    W = Sparse((4,), np.array([2], np.int32), np.ones(1, np.float32))
    before = everything(W)
    with pytest.raises(ValueError):
        W.grow(np.array([slot]))
    assert everything(W) == before


@pytest.mark.parametrize(("index", "m"), [
    ([1, 0], 2), ([0, 2, 1], 3), ([0, 0], 2), ([0, 3, 3], 3), ([-1, 0], 2), ([-1], 1), ([6], 1),
    ([0, 6], 2), ([0, 1], 3), ([0, 1], 1), ([], 1), ([[0, 1]], 2), ([5, -1], 2)])
def test_a_bad_index_raises(index, m):
    with pytest.raises(ValueError, match="index"):
        Sparse((2, 3), np.array(index, np.int32), np.zeros(m, np.float32))


# Random structure


@given(size=st.integers(1, 60), share=st.floats(0, 1), dtype=dtypes, seed=seeds)
def test_random_keeps_so_many_values(size, share, dtype, seed):
    theta = np.random.default_rng(seed).standard_normal((size, 2)).astype(dtype)
    before, count = theta.copy(), int(share * 2 * size)
    W = Sparse.random(theta, count, np.random.default_rng(seed))
    assert W.value.size == count
    assert_sound(W, dtype)
    assert W.shape == theta.shape
    assert W.value.tobytes() == theta.reshape(-1)[W.index].tobytes()
    assert not W.velocity.any()
    assert W.grad is None
    W.value += 1
    np.testing.assert_array_equal(theta, before)  # a copy
    again = Sparse.random(theta, count, np.random.default_rng(seed))
    np.testing.assert_array_equal(again.index, W.index)


@pytest.mark.parametrize("count", [-1, 7])
def test_random_cannot_keep_more_than_there_are(count, rng):
    with pytest.raises(ValueError):
        Sparse.random(np.zeros((2, 3), np.float32), count, rng)


def test_random_draws_every_set_of_positions_alike(rng):
    theta, sets = np.zeros(6, np.float32), list(combinations(range(6), 3))
    counts = dict.fromkeys(sets, 0)
    for _ in range(4000):
        counts[tuple(Sparse.random(theta, 3, rng).index.tolist())] += 1
    assert chisquare(list(counts.values())).pvalue > 1e-3


def test_random_draws_every_position_of_a_large_tensor_alike(rng):
    theta, counts = np.zeros((200, 100), np.float32), np.zeros(20)
    for _ in range(100):
        counts += np.histogram(Sparse.random(theta, 200, rng).index, 20, (0, 20_000))[0]
    assert chisquare(counts).pvalue > 1e-3


def test_index_type():
    assert index_dtype(10) == index_dtype(2**31 - 1) == np.int32
    assert index_dtype(2**31) == np.int64


# State


@given(tensors())
def test_state_makes_the_trip_bit_for_bit(W):
    state = {key: array.copy() for key, array in stored(W).items()}
    other = Sparse(W.shape, np.zeros(0, np.int32), np.zeros(0, W.value.dtype))
    other.load(state)
    assert stored(other).keys() == {"index", "value", "velocity"}
    assert numbers(other) == numbers(W)
    assert everything(other)[2] == everything(W)[2]


def bad_states():
    good = {"index": np.array([1, 3], np.int32), "value": np.ones(2, np.float32),
            "velocity": np.ones(2, np.float32)}
    yield "index type", good | {"index": good["index"].astype(np.int64)}
    yield "value type", good | {"value": np.ones(2)}
    yield "velocity type", good | {"velocity": np.ones(2)}
    yield "velocity length", good | {"velocity": np.ones(3, np.float32)}
    yield "value length", good | {"value": np.ones(3, np.float32)}
    yield "order", good | {"index": np.array([3, 1], np.int32)}
    yield "range", good | {"index": np.array([3, 6], np.int32)}


@pytest.mark.parametrize("state", [pytest.param(state, id=name) for name, state in bad_states()])
def test_a_bad_state_raises_and_changes_nothing(state):
    W = Sparse((2, 3), np.array([0, 5], np.int32), np.ones(2, np.float32))
    before = everything(W)
    with pytest.raises(ValueError):
        W.load(state)
    assert everything(W) == before


@pytest.mark.parametrize("shape", [(3, 2), (6,), (2, 3, 1), (2, 4)])
def test_dense_wants_its_own_shape(shape):
    W = Dense(np.zeros((2, 3), np.float32))
    with pytest.raises(ValueError, match="not fit"):
        W.load(stored(Dense(np.zeros(shape, np.float32))))


@pytest.mark.parametrize("name", ["value", "velocity"])
def test_dense_wants_both_arrays_in_its_shape(name):
    W = Dense(np.zeros((2, 3), np.float32))
    before = everything(W)
    with pytest.raises(ValueError, match="not fit"):
        W.load(stored(W) | {name: np.zeros((3, 2), np.float32)})
    assert everything(W) == before


def test_dense_state_makes_the_trip_bit_for_bit(rng):
    W, other = Dense(rng.standard_normal((2, 3))), Dense(np.zeros((2, 3)))
    W.velocity = rng.standard_normal((2, 3))
    other.pull(np.ones((2, 3)))
    other.load(stored(W))
    assert everything(other) == everything(W)  # neither has a grad


def test_a_wrong_type_is_named():
    W = Dense(np.zeros(3, np.float32))
    with pytest.raises(ValueError, match="velocity is float64, not float32"):
        W.load(stored(W) | {"velocity": np.zeros(3)})


@given(tensors())
def test_to_the_cpu_keeps_all_but_the_gradient(W):
    before = everything(W)
    move([W], "cpu")
    assert W.grad is None
    assert all(type(getattr(W, name)) is np.ndarray for name in W.stored)
    assert (W.shape, everything(W)[2]) == (before[0], before[2])


# Hashed and Tied: many positions share a number


@st.composite
def shared(draw):
    """A Hashed or Tied tensor of up to 4 x 6 positions, from none to all numbers free."""
    shape = draw(st.integers(1, 4)), draw(st.integers(1, 6))
    rng = np.random.default_rng(draw(seeds))
    theta = rng.standard_normal(shape).astype(draw(dtypes))
    kind = draw(st.sampled_from([Hashed, Tied]))
    return kind.random(theta, draw(st.integers(0, theta.size)), rng), theta


def signs_of(W):
    return np.broadcast_to(W.sign, W.size)


@given(shared())
def test_every_position_shows_its_number(drawn):
    W, initial = drawn
    theta = W.theta()
    assert theta.shape == W.shape == initial.shape
    assert theta.dtype == W.value.dtype == initial.dtype
    assert set(W.value.tolist()) <= set(initial.reshape(-1).tolist())
    for i, v in enumerate(theta.reshape(-1)):
        assert v == (signs_of(W)[i] * W.value[W.bucket[i]] if W.value.size else 0)
    assert W.active().tolist() == list(range(W.size))


@given(shared(), seeds)
def test_the_gradient_of_a_shared_number_is_a_signed_sum(drawn, seed):
    """Brute force, and the adjoint: <θ(φ), dθ> = <φ, pull(dθ)>, as θ is linear in φ."""
    W, _ = drawn
    dtheta = np.random.default_rng(seed).integers(-8, 9, W.shape).astype(W.value.dtype)
    W.pull(dtheta)
    expected = np.zeros(W.value.size)
    for i, d in enumerate(dtheta.reshape(-1)):
        if len(expected):
            expected[W.bucket[i]] += signs_of(W)[i] * d
    assert W.grad.dtype == W.value.dtype
    assert W.grad.tolist() == expected.tolist()


def test_a_hash_is_uniform_and_its_sign_independent(rng):
    """10^5 positions on 100 numbers; chi-squared for the buckets alone and with their signs."""
    W = Hashed.random(np.zeros((1000, 100), np.float32), 100, rng)
    assert set(W.sign.tolist()) == {-1, 1}
    assert chisquare(np.bincount(W.bucket, minlength=100)).pvalue > 1e-3
    both = np.bincount(2 * W.bucket + (W.sign > 0), minlength=200)
    assert chisquare(both).pvalue > 1e-3
    pairs = np.bincount(10 * (W.bucket[:-1] % 10) + W.bucket[1:] % 10, minlength=100)
    assert chisquare(pairs).pvalue > 1e-3


def test_a_hash_depends_on_its_key_alone():
    W = Hashed((50, 20), np.arange(7.0), np.array([3, 4], np.uint32))
    again = Hashed((50, 20), np.zeros(7), np.array([3, 4], np.uint32))
    other = Hashed((50, 20), np.zeros(7), np.array([4, 4], np.uint32))
    assert (W.bucket == again.bucket).all() and (W.sign == again.sign).all()
    assert (W.bucket != other.bucket).any() and (W.sign == other.sign).all()


def test_the_hash_is_the_published_one():
    """The last steps of MurmurHash3, for 32 bits: 0 -> 0, 1 -> 0x514E28B7."""
    def mixed(h):
        for shift, factor in ((16, 0x85EBCA6B), (13, 0xC2B2AE35)):
            h = (h ^ h >> shift) * factor % 2 ** 32
        return h ^ h >> 16

    assert (mixed(0), mixed(1)) == (0, 0x514E28B7)
    W = Hashed((50, 20), np.arange(7.0), np.array([3, 0], np.uint32))
    assert W.bucket.tolist() == [mixed(i ^ 3) * 7 >> 32 for i in range(1000)]
    assert W.sign.tolist() == [1 - 2 * (mixed(i) >> 31) for i in range(1000)]


def test_tied_numbers_are_used_equally_often(rng):
    for count in (1, 3, 7, 20):
        W = Tied.random(np.zeros((4, 5), np.float32), count, rng)
        uses = np.bincount(W.bucket, minlength=count)
        assert uses.max() - uses.min() <= 1
        assert uses.sum() == 20


@pytest.mark.parametrize("kind", [Hashed, Tied])
def test_shared_numbers_make_the_trip_bit_for_bit(kind, rng):
    theta = rng.standard_normal((4, 5)).astype(np.float32)
    W, other = kind.random(theta, 6, rng), kind.random(theta, 6, rng)
    W.velocity[:] = 3
    assert (W.theta() != other.theta()).any()
    other.load(stored(W))
    assert everything(W) == everything(other)
    assert (W.theta() == other.theta()).all()
    with pytest.raises(ValueError, match="does not fit"):
        kind.random(theta, 7, rng).load(stored(W))


# Thresholded: weights below a trained threshold are cut off


@st.composite
def thresholded(draw, dtype=None):
    rng = np.random.default_rng(draw(seeds))
    shape = tuple(draw(st.lists(st.integers(1, 4), min_size=1, max_size=3)))
    W = Thresholded(spread(shape, rng).astype(dtype or draw(dtypes)))
    W.rows(W.value)[1][...] = rng.uniform(-0.5, 1.5, shape[0])
    return W


@given(thresholded())
def test_theta_is_cut_off_by_row(W):
    weights, thresholds = W.rows(W.value)
    theta = W.theta().reshape(weights.shape)
    assert theta.dtype == W.value.dtype
    for row, cut, t in zip(weights, theta, thresholds, strict=True):
        assert cut.tolist() == [w if abs(w) > t else 0 for w in row]
    assert W.active().tolist() == np.flatnonzero(abs(weights) > thresholds[:, None]).tolist()


def test_a_weight_at_its_threshold_is_cut_off():
    """M = 1[|W| > t] is strict."""
    W = Thresholded(np.array([[0.5, -0.5, 0.75]]))
    W.rows(W.value)[1][:] = 0.5
    assert W.theta().tolist() == [[0, 0, 0.75]]
    assert W.active().tolist() == [2]
    W.pull(np.ones((1, 3)))
    assert W.grad[:2].tolist() == [0.5 * 2, 0.5 * 2]  # by the surrogate alone


def test_a_new_threshold_cuts_off_zeros_only():
    W = Thresholded(np.array([[0.5, 0, -1], [0, 2, 3]], np.float32))
    assert W.value.tolist() == [0.5, 0, -1, 0, 2, 3, 0, 0]
    assert W.active().tolist() == [0, 2, 4, 5]
    assert W.size == 6


@given(thresholded(np.float64), seeds)
def test_gradients_of_weights_and_thresholds(W, seed):
    """By central differences of what the surrogate stands for: θ linearised at this point,

        θ(w, t) = w M + w0 C(|w| - t),  C the integral of the surrogate, M and w0 frozen.
    """
    rng = np.random.default_rng(seed)
    dtheta = rng.standard_normal(W.shape)
    W.pull(dtheta)
    frozen, mask = W.rows(W.value.copy())[0], W.excess() > 0

    def loss(array):
        w, t = W.rows(array)
        theta = w * mask + frozen * integral(abs(w) - t[:, None])
        return (dtheta.reshape(w.shape) * theta).sum()

    step = 1e-6
    for i in range(W.value.size):
        up, down = W.value.copy(), W.value.copy()
        up[i] += step
        down[i] -= step
        assert W.grad[i] == pytest.approx((loss(up) - loss(down)) / (2 * step), rel=1e-4, abs=1e-4)


def integral(q):
    """Of the surrogate from 0 to q: by hand, 2 q - 2 q |q| up to 0.4, then 0.4 a unit up to 1."""
    a = np.minimum(abs(q), 1)
    return np.sign(q) * np.where(a <= 0.4, 2 * a - 2 * a * a, 0.48 + 0.4 * (a - 0.4))


def test_the_surrogate():
    q = np.linspace(-1.5, 1.5, 3001)
    assert np.allclose(np.gradient(integral(q), q)[(abs(abs(q) - 1) > 0.01)],
                       surrogate(q)[(abs(abs(q) - 1) > 0.01)], atol=5e-3)
    assert surrogate(np.array([0.2], np.float32)).dtype == np.float32


@given(thresholded())
def test_thresholded_makes_the_trip_bit_for_bit(W):
    other = Thresholded(np.zeros(W.shape, W.value.dtype))
    other.load(stored(W))
    assert everything(W) == everything(other)
    with pytest.raises(ValueError, match="does not fit"):
        Thresholded(np.zeros((*W.shape, 2), W.value.dtype)).load(stored(W))


# what is kept of the gradient of θ


def test_the_dense_gradient_is_kept_on_request(rng):
    W = Sparse((2, 2), np.array([1, 2]), np.array([1.0, 2.0]))
    dtheta = rng.standard_normal((2, 2))
    W.pull(dtheta)
    assert W.dense_grad is None
    W.keep_dense_grad = True
    W.pull(dtheta)
    assert (W.dense_grad == dtheta).all()
    W.keep_dense_grad = False
    W.pull(dtheta)
    assert W.dense_grad is None


@pytest.mark.parametrize("dead", [np.array([0, 1]), np.array([True, False]), np.array([0, 1, 0])])
def test_prune_takes_a_mask(dead):
    """Positions, or a mask of another length, would be taken for something else."""
    W = Sparse((3, 3), np.array([0, 4, 8]), np.array([1.0, -2.0, 2.0]))
    with pytest.raises(ValueError, match="dead must be bool"):
        W.prune(dead)
    assert W.index.tolist() == [0, 4, 8]
