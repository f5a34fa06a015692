"""Parameterizations: θ = g(φ; ψ), the paper's formalism (Mostafa & Wang 2019, section 3).

    θ  the dense tensor a layer computes with       φ  free numbers: `value`, what SGD trains
    ψ  structure: where the free numbers lie        m  how many there are: `value.size`

A layer asks for θ by theta(), and hands its gradient back by pull(dθ), which keeps the gradient of
the free numbers only. It never knows which parameterization it holds.

    Dense        φ has the shape of θ                     g is the identity
    Sparse       φ = value (m,), ψ = index (m,) sorted    g scatters the values into zeros

Two methods bring their own: methods/hashed.py, where g gathers, and methods/dst.py, where it cuts
off what is below a trained threshold.

A sparse tensor stores only its free numbers. A pruned weight has no stale momentum, because it has
no momentum; a grown one starts at value 0 and velocity 0, because that is what growing means.
"""

import math

import numpy as np

from .backend import get_xp
from .checks import check_whole
from .shapes import INDICES, check_array, check_sparse, owned, positions


class Parameterization:
    """Free numbers φ (`value`), their gradient (`grad`, None until pull()) and `velocity`."""

    stored: tuple[str, ...] = ("value", "velocity")  # what a checkpoint has

    def __init__(self, shape, value):
        check_array("value", value, ("...",))
        self.shape = tuple(shape)
        self.value = value = owned(value)
        self.grad = None
        self.velocity = get_xp(value).zeros_like(value)

    @property
    def size(self):
        """Number of positions in θ."""
        return math.prod(self.shape)

    def active(self):
        """The flat positions of θ (int, sorted) that are in use: all, unless some are cut out."""
        return get_xp(self.value).arange(self.size)

    def load(self, state):
        """Take over the arrays that are `stored`, {name: array} on the host. ValueError, and no
        change, where they do not fit."""
        for name in self.stored:
            if state[name].dtype != getattr(self, name).dtype:
                raise ValueError(f"{name} is {state[name].dtype}, not {getattr(self, name).dtype}")
        self._check(**state)
        for name in self.stored:
            setattr(self, name, state[name].copy())
        self.grad = None

    def _check(self, **state):
        for name, array in state.items():
            if array.shape != getattr(self, name).shape:
                raise ValueError(f"{name} {array.shape} does not fit {getattr(self, name).shape}")


class Dense(Parameterization):
    """θ itself: every position is free."""

    def __init__(self, value: np.ndarray) -> None:
        super().__init__(np.shape(value), value)

    def theta(self):
        """θ, of shape `shape`; not a copy."""
        return self.value

    def pull(self, dtheta):
        """Set grad from the gradient of θ."""
        check_array("dtheta", dtheta, self.shape, (self.value.dtype,), like=self.value)
        self.grad = dtheta


class Sparse(Parameterization):
    """m free numbers at the flat positions `index`, zeros elsewhere.

    keep_dense_grad  set by a method that grows where the gradient of θ is large: pull() then leaves
                     all of it in `dense_grad`, of `shape`
    protected        set by a method: flat positions that no threshold prunes
    """

    stored = ("index", "value", "velocity")
    keep_dense_grad = False
    dense_grad = None
    protected = ()

    def __init__(self, shape: tuple[int, ...], index: np.ndarray, value: np.ndarray) -> None:
        """index (m,) int: flat, sorted, unique, in range, else ValueError; value (m,) float."""
        super().__init__(shape, value)
        check_array("index", index, ("m",), INDICES, like=value)
        self.index = index
        self._check(index, value, self.velocity)

    @classmethod
    def random(cls, theta, count, rng):
        """Keep `count` positions of the dense array `theta`, drawn uniformly, with their values."""
        check_whole("count", count, 0, theta.size)
        index = np.sort(rng.choice(theta.size, count, replace=False, shuffle=False))
        return cls.of(theta, index)

    @classmethod
    def of(cls, theta, index):
        """Keep the flat positions `index`, sorted, of the dense `theta`, with their values."""
        index = positions("index", get_xp(theta).asarray(index), theta.size)
        index = index.astype(index_dtype(theta.size))
        return cls(theta.shape, index, theta.reshape(-1)[index])

    def _check(self, index, value, velocity):
        check_sparse(self.size, index, value, velocity)

    def theta(self):
        """Dense θ of `shape`, built anew at each call."""
        theta = get_xp(self.value).zeros(self.size, self.value.dtype)
        theta[self.index] = self.value
        return theta.reshape(self.shape)

    def pull(self, dtheta):
        """Set grad from the gradient of θ: its entries at the free numbers."""
        check_array("dtheta", dtheta, self.shape, (self.value.dtype,), like=self.value)
        self.grad = dtheta.reshape(-1)[self.index]
        self.dense_grad = dtheta if self.keep_dense_grad else None

    def active(self):
        return self.index

    def prune(self, dead):
        """Remove the free numbers where `dead` (m,) bool is True; returns how many went."""
        check_array("dead", dead, self.value.shape, (np.bool,))
        alive = ~dead
        self.index, self.value = self.index[alive], self.value[alive]
        self.velocity, self.grad = self.velocity[alive], None
        return dead.size - self.value.size

    def grow(self, slots):
        """Free the flat positions `slots` at value 0, velocity 0.

        Raises ValueError where one is out of range, named twice, or free already.
        """
        xp = get_xp(self.value)
        index = xp.concatenate([self.index, positions("slots", xp.asarray(slots))])
        order = xp.argsort(index)
        index = index[order]
        zeros = xp.zeros(len(index) - len(self.index), self.value.dtype)
        value = xp.concatenate([self.value, zeros])[order]
        velocity = xp.concatenate([self.velocity, zeros])[order]
        self._check(index, value, velocity)
        self.index, self.value = index.astype(self.index.dtype), value
        self.velocity, self.grad = velocity, None


def index_dtype(size):
    """The smallest of int32 and int64 that can address `size` positions."""
    return np.int32 if size <= np.iinfo(np.int32).max else np.int64
