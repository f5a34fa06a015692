"""Parameterizations: θ = g(φ; ψ), the paper's formalism (Mostafa & Wang 2019, section 3).

    θ  the dense tensor a layer computes with       φ  free numbers: `value`, what SGD trains
    ψ  structure: where the free numbers lie        m  how many there are: `value.size`

A layer asks for θ by theta(), and hands its gradient back by pull(dθ), which keeps the gradient of
the free numbers only. It never knows which parameterization it holds.

    Dense        φ has the shape of θ                     g is the identity
    Sparse       φ = value (m,), ψ = index (m,) sorted    g scatters the values into zeros
    Hashed       φ = value (m,), ψ = two hashes           g gathers: many positions share a value
    Tied         φ = value (m,), ψ = bucket, a table      the same, with a table
    Thresholded  φ = weights and thresholds (N + F,)      g cuts off the weights below a threshold

A sparse tensor stores only its free numbers. A pruned weight has no stale momentum, because it has
no momentum; a grown one starts at value 0 and velocity 0, because that is what growing means.
"""

import math
from contextlib import contextmanager

import numpy as np

from .backend import device_of, get_xp, to_device, to_host_together


class Parameterization:
    """Free numbers φ (`value`), their gradient (`grad`, None until pull()) and `velocity`."""

    stored = ("value", "velocity")  # arrays that a checkpoint and move() carry

    def __init__(self, shape, value):
        self.shape = tuple(shape)
        self.value = value
        self.grad = None
        self.velocity = get_xp(value).zeros_like(value)

    @property
    def size(self):
        """Number of positions in θ."""
        return math.prod(self.shape)

    def active(self):
        """The flat positions of θ (int, sorted) that are in use: all, unless some are cut out."""
        return get_xp(self.value).arange(self.size)

    def state(self):
        """{name: array}, not copies: all that training must find again."""
        return {name: getattr(self, name) for name in self.stored}

    def load(self, state):
        """Take over a state(), on the host. ValueError, and no change, where it does not fit."""
        for name in self.stored:
            if state[name].dtype != getattr(self, name).dtype:
                raise ValueError(f"{name} is {state[name].dtype}, not {getattr(self, name).dtype}")
        self._check(**state)
        for name in self.stored:
            setattr(self, name, state[name])
        self.grad = None

    def _check(self, **state):
        for name, array in state.items():
            if array.shape != getattr(self, name).shape:
                raise ValueError(f"{name} {array.shape} does not fit {getattr(self, name).shape}")


def move(params, device):
    """Move all that these parameterizations store to `device`, 'cpu' or 'gpu'."""
    places = [(p, name) for p in params for name in p.stored]
    arrays = [getattr(p, name) for p, name in places]
    arrays = to_host_together(arrays) if device == "cpu" else [to_device(a, device) for a in arrays]
    for (p, name), array in zip(places, arrays, strict=True):
        setattr(p, name, array)
    for p in params:
        p.grad = None


@contextmanager
def on_the_host(params):
    """In this context all that these parameterizations store is on the host."""
    device = device_of(params[0].value)
    if device == "cpu":
        yield
        return
    move(params, "cpu")
    try:
        yield
    finally:
        move(params, device)


class Dense(Parameterization):
    """θ itself: every position is free."""

    def __init__(self, value):
        super().__init__(value.shape, value)

    def theta(self):
        """θ, of shape `shape`; not a copy."""
        return self.value

    def pull(self, dtheta):
        """Set grad from the gradient of θ."""
        self.grad = dtheta


class Sparse(Parameterization):
    """m free numbers at the flat positions `index`, zeros elsewhere.

    keep_dense_grad  set by a method that grows where the gradient of θ is large: pull() then leaves
                     all of it in `dense_grad`, of `shape`
    """

    stored = ("index", "value", "velocity")
    keep_dense_grad = False
    dense_grad = None

    def __init__(self, shape, index, value):
        """index (m,) int: flat, sorted, unique, in range, else ValueError; value (m,) float."""
        super().__init__(shape, value)
        self.index = index
        self._check(index, value, self.velocity)

    @classmethod
    def random(cls, theta, count, rng):
        """Keep `count` positions of the dense array `theta`, drawn uniformly, with their values."""
        index = np.sort(rng.choice(theta.size, count, replace=False, shuffle=False))
        return cls.of(theta, index)

    @classmethod
    def of(cls, theta, index):
        """Keep the flat positions `index`, sorted, of the dense `theta`, with their values."""
        index = get_xp(theta).asarray(index).astype(index_dtype(theta.size))
        return cls(theta.shape, index, theta.reshape(-1)[index])

    def _check(self, index, value, velocity):
        if index.ndim != 1 or not index.shape == value.shape == velocity.shape:
            raise ValueError(f"index {index.shape}, value {value.shape} and velocity "
                             f"{velocity.shape} must all be (m,)")
        if len(index) and not (0 <= index[0] and index[-1] < self.size
                               and bool((index[1:] > index[:-1]).all())):
            raise ValueError(f"index must be sorted, unique and within [0, {self.size})")

    def theta(self):
        """Dense θ of `shape`, built anew at each call."""
        theta = get_xp(self.value).zeros(self.size, self.value.dtype)
        theta[self.index] = self.value
        return theta.reshape(self.shape)

    def pull(self, dtheta):
        """Set grad from the gradient of θ: its entries at the free numbers."""
        self.grad = dtheta.reshape(-1)[self.index]
        self.dense_grad = dtheta if self.keep_dense_grad else None

    def active(self):
        return self.index

    def prune(self, dead):
        """Remove the free numbers where `dead` (m,) bool is True; returns how many went."""
        alive = ~dead
        self.index, self.value = self.index[alive], self.value[alive]
        self.velocity, self.grad = self.velocity[alive], None
        return dead.size - self.value.size

    def grow(self, slots):
        """Free the flat positions `slots` at value 0, velocity 0.

        Raises ValueError where one is out of range, named twice, or free already.
        """
        xp = get_xp(self.value)
        index = xp.concatenate([self.index, xp.asarray(slots)])
        order = xp.argsort(index)
        index = index[order]
        zeros = xp.zeros(len(index) - len(self.index), self.value.dtype)
        value = xp.concatenate([self.value, zeros])[order]
        velocity = xp.concatenate([self.velocity, zeros])[order]
        self._check(index, value, velocity)
        self.index, self.value = index.astype(self.index.dtype), value
        self.velocity, self.grad = velocity, None


class Hashed(Parameterization):
    """m free numbers in `size` positions: θ_i = sign_i * value[bucket_i] (Chen et al. 2015).

    bucket and sign are hashes of the position i, each by its half of `key` (2,) uint32. They are
    computed when they are needed and take no memory. Without free numbers, θ is 0.
    """

    stored = ("key", "value", "velocity")

    def __init__(self, shape, value, key):
        super().__init__(shape, value)
        self.key = key

    @classmethod
    def random(cls, theta, count, rng):
        """`count` free numbers, drawn from the entries of the dense array `theta`."""
        key = get_xp(theta).asarray(rng.integers(2 ** 32, size=2, dtype=np.uint32))
        return cls(theta.shape, Sparse.random(theta, count, rng).value, key)

    @property
    def bucket(self):
        """Which free number each position takes: (size,) int64."""
        h = _hash(self.size, self.key[:1]).astype(np.int64)
        return (h * self.value.size) >> 32          # 0 <= h < 2^32, so 0 <= bucket < m

    @property
    def sign(self):
        """1 or -1 for each position: (size,)."""
        return 1 - 2 * (_hash(self.size, self.key[1:]) >> 31).astype(self.value.dtype)

    def theta(self):
        """Dense θ of `shape`, built anew at each call."""
        if not self.value.size:
            return get_xp(self.value).zeros(self.shape, self.value.dtype)
        return (self.sign * self.value[self.bucket]).reshape(self.shape)

    def pull(self, dtheta):
        """Set grad from the gradient of θ: signed sums over the positions that share a number.

        Added up in float64; on a GPU in no fixed order.
        """
        xp = get_xp(dtheta)
        sums = xp.zeros(self.value.size, np.float64)
        if len(sums):  # bincount would be as short; CuPy's waits for the GPU
            xp.add.at(sums, self.bucket, (self.sign * dtheta.reshape(-1)).astype(np.float64))
        self.grad = sums.astype(self.value.dtype)


class Tied(Hashed):
    """The same with a stored table `bucket` (size,), without signs: weights tied at random."""

    stored = ("bucket", "value", "velocity")
    bucket, sign = None, 1

    def __init__(self, shape, value, bucket):
        Parameterization.__init__(self, shape, value)
        self.bucket = bucket

    @classmethod
    def random(cls, theta, count, rng):
        """Balanced: each of `count` free numbers is used at as many positions, to within one."""
        bucket = rng.permutation(theta.size) % max(1, count)
        bucket = get_xp(theta).asarray(bucket.astype(index_dtype(theta.size)))
        return cls(theta.shape, Sparse.random(theta, count, rng).value, bucket)


class Thresholded(Parameterization):
    """Weights W with a trained threshold t for each output: θ = W where |W| > t, strictly, else 0.

    `value` (N + F,) holds the N weights, flat, and behind them the F thresholds, one for each
    output (row or filter). Trainable masks of Liu et al. (ICLR 2020), section 3.
    """

    def __init__(self, weights):
        """Thresholds start at 0, where only zeros are cut off."""
        xp = get_xp(weights)
        zeros = xp.zeros(len(weights), weights.dtype)
        super().__init__(weights.shape, xp.concatenate([weights.reshape(-1), zeros]))

    def rows(self, array):
        """(weights (F, N / F), thresholds (F,)) of an array like `value`; not copies."""
        return array[:self.size].reshape(self.shape[0], -1), array[self.size:]

    def excess(self):
        """|W| - t: (F, N / F)."""
        W, t = self.rows(self.value)
        return get_xp(W).abs(W) - t[:, None]

    def active(self):
        return get_xp(self.value).flatnonzero(self.excess() > 0)

    def theta(self):
        """Dense θ of `shape`, built anew at each call."""
        W, _ = self.rows(self.value)
        return (W * (self.excess() > 0)).reshape(self.shape)

    def pull(self, dtheta):
        """Set grad from the gradient of θ, with surrogate() for the derivative of the step.

        dW = dθ (1[|W| > t] + |W| S(|W| - t)),  dt = -Σ over the row of dθ W S(|W| - t)
        """
        xp, (W, _) = get_xp(self.value), self.rows(self.value)
        dtheta, q = dtheta.reshape(W.shape), self.excess()
        slope = surrogate(q)
        self.grad = xp.empty_like(self.value)
        dW, dt = self.rows(self.grad)
        dW[...] = dtheta * ((q > 0) + xp.abs(W) * slope)
        dt[...] = -(dtheta * W * slope).sum(1)


def surrogate(q):
    """The long-tailed stand-in for the derivative of the step 1[q > 0] (Liu et al. 2020, eq. 3).

    2 - 4 |q| for |q| <= 0.4, then 0.4 for |q| <= 1, then 0.
    """
    xp = get_xp(q)
    a = xp.abs(q)
    return xp.where(a <= 0.4, 2 - 4 * a, xp.where(a <= 1, 0.4, 0.0)).astype(q.dtype)


def index_dtype(size):
    """The smallest of int32 and int64 that can address `size` positions."""
    return np.int32 if size <= np.iinfo(np.int32).max else np.int64


def _hash(size, key):
    """A hash of each position 0..size-1: (size,) uint32. The last steps of MurmurHash3 mix it."""
    h = get_xp(key).arange(size, dtype=np.uint32) ^ key
    for shift, factor in ((16, 0x85EBCA6B), (13, 0xC2B2AE35)):
        h = (h ^ (h >> shift)) * np.uint32(factor)
    return h ^ (h >> 16)
