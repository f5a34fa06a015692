"""Cases for Algorithm 1: every small one, and random ones that hypothesis draws.

`minidsr verify` and the tests try them, on our reallocate() or on any other with its signature.
Numbers come from a seed, so that examples print short.
"""

import itertools
from dataclasses import dataclass, replace

import numpy as np
from hypothesis import strategies as st

from ..checks import counted
from ..parameters import Sparse
from ..reparam import LARGEST_H, SMALLEST_H, Report
from ..reparam import reallocate as ours
from .invariants import InvariantError, violations
from .picture import Example
from .reallocation import Reallocation, snapshot

seeds = st.integers(0, 2**32 - 1)


@dataclass(frozen=True)
class Case:
    """The arguments of one reallocation."""

    tensors: list[Sparse]
    H: float
    N_p: int
    delta: float
    seed: int
    keep_one: bool = True

    def run(self, reallocate=None, order=None):
        """The Reallocation that comes out of copies of the tensors, in this order or in another.

        reallocate  a function to try; without one, the package's
        """
        order = range(len(self.tensors)) if order is None else order
        named = {f"tensor {i}": copied(self.tensors[i]) for i in order}
        before = snapshot(named)
        args, options = self.arguments(list(named.values()))
        next_H, report = (reallocate or ours)(*args, **options)
        report = report or Report(self.H, next_H, self.N_p, self.delta, self.keep_one)
        return Reallocation(before, snapshot(named), report)

    def arguments(self, tensors):
        """How it is called with these copies of the tensors: (args, options by name)."""
        return [tensors, self.H, self.N_p, self.delta, np.random.default_rng(self.seed)], {
            "keep_one": self.keep_one}

    def check(self, reallocate=None):
        """The same; InvariantError, with a picture, where a rule of Algorithm 1 is violated."""
        __tracebackhide__ = True  # pytest shows the test that called it
        r = self.run(reallocate)
        if found := violations(r):
            raise InvariantError("\n".join([*map(str, found), f"in {Example(self, r)}"]))
        return r

    def __str__(self):
        return in_words(f"H = {self.H:g}, N_p = {self.N_p}, delta = {self.delta:g}, seed "
                        f"{self.seed}, keep_one={self.keep_one}", self.tensors)


def in_words(head, tensors):
    """A case as text: this line, and one for each tensor."""
    lines = [head]
    for i, W in enumerate(tensors):
        free = ", ".join(f"{w:g} at {j}" for j, w in zip(W.index, W.value, strict=True))
        lines.append(f"tensor {i}, {counted(W.size, 'position')}: {free or 'empty'}")
    return "\n".join(lines)


def copied(W):
    """A Sparse of its own, with the same numbers."""
    copy = Sparse(W.shape, W.index.copy(), W.value.copy())
    copy.velocity, copy.protected = W.velocity.copy(), W.protected
    return copy


# --- every small case

FREE, SMALL, LARGE = 0, 1, 2  # what a position holds: nothing, a weight below H, one that is not
SMALL_H = 0.5


def small_cases(tensors, patterns):
    """A Case for every choice of `tensors` patterns, those with the fewest positions first."""
    choices = enumerate(itertools.product(patterns, repeat=tensors))
    for seed, chosen in sorted(choices, key=lambda choice: sum(map(len, choice[1]))):
        budget = sum(kind != FREE for pattern in chosen for kind in pattern)
        if budget:
            yield Case([_small_tensor(pattern) for pattern in chosen], SMALL_H,
                       N_p=max(1, budget // 2), delta=0.1, seed=seed, keep_one=bool(seed % 3))


def count_small_cases(tensors, patterns):
    """How many these are."""
    return len(patterns) ** tensors - sum(not any(pattern) for pattern in patterns) ** tensors


def all_patterns(size=4):
    """Everything that 1 to `size` positions may hold."""
    return [pattern for n in range(1, size + 1)
            for pattern in itertools.product((FREE, SMALL, LARGE), repeat=n)]


def distinct_patterns(size=4):
    """The same, but of those that differ in order only, one."""
    return sorted({tuple(sorted(p)) for p in all_patterns(size)})


def _small_tensor(pattern):
    """Values of distinct size and both signs; the first that is not below H is H."""
    index = np.flatnonzero(pattern).astype(np.int32)
    kinds = np.array(pattern)[index]
    sign = np.where(index % 2, -1, 1)
    value = sign * np.where(kinds == SMALL, SMALL_H / 2.0 ** (1 + index % 3), SMALL_H)
    value[kinds == LARGE] *= 1 + np.arange((kinds == LARGE).sum())
    W = Sparse((len(pattern),), index, value.astype(np.float32))
    W.velocity = np.arange(1, len(index) + 1, dtype=np.float32)
    return W


def growth_cases(count=420):
    """One network, with so many seeds: two weights grow at two of seven empty positions, so there
    are 21 choices."""
    W = _small_tensor([LARGE, FREE, SMALL, FREE, FREE, FREE, SMALL, FREE, FREE, FREE])
    for seed in range(count):
        yield Case([W], SMALL_H, N_p=2, delta=0.1, seed=seed)


# --- random cases

SPECIAL = [0.0, -0.0, 1e-45, -1e-45, 1e-38, 1e-4, 1e-3, 0.5, -0.5, 1.0, -1.0, 3.0, -1e30, 3e38]
VALUES = {  # names, because hypothesis prints them
    "special": lambda rng, m: rng.choice(SPECIAL, m),
    "equal": lambda rng, m: np.full(m, 0.5) * rng.choice([-1, 1], m),
    "zero": lambda rng, m: np.zeros(m) * rng.choice([-1, 1], m),
    "small": lambda rng, m: rng.normal(0, 1e-3, m),
    "normal": lambda rng, m: rng.normal(0, 1, m),
    "huge and tiny": lambda rng, m: rng.normal(0, 1, m) * 10.0 ** rng.integers(-30, 30, m),
}


@st.composite
def sparse_tensors(draw, max_size=40):
    """A Sparse tensor: empty, of one weight, full or in between; some of whole kernel slices."""
    kernel = draw(st.sampled_from([1, 1, 2, 3]))
    slices = draw(st.integers(0 if kernel == 1 else 1, max_size // kernel**2))
    chosen = draw(st.sampled_from([0, min(1, slices), slices]) | st.integers(0, slices))
    rng = np.random.default_rng(draw(seeds))
    slots = np.sort(rng.choice(slices, chosen, replace=False))
    index = (slots[:, None] * kernel**2 + np.arange(kernel**2)).reshape(-1).astype(np.int32)
    value = VALUES[draw(st.sampled_from(list(VALUES)))](rng, len(index))
    W = Sparse((slices, kernel, kernel), index, value.astype(np.float32))
    W.velocity = rng.normal(size=len(index)).astype(np.float32)
    return W


def networks():
    """Lists of 1 to 5 sparse tensors with a free number among them."""
    return st.lists(sparse_tensors(), min_size=1, max_size=5).filter(
        lambda tensors: any(W.value.size for W in tensors))


def thresholds():
    """H as reallocate() takes it; values that the tensors hold are among them."""
    return (st.sampled_from([SMALLEST_H, 1e-4, 1e-3, 0.5, 1.0, 3.0, 1e30, LARGEST_H])
            | st.floats(1e-6, 10))


def deltas():
    """δ, from exact to almost anything."""
    return st.sampled_from([0, 0.1, 0.3, 0.7]) | st.floats(0, 1, exclude_max=True)


@st.composite
def cases(draw):
    """Any Case that reallocate() takes."""
    tensors = draw(networks())
    budget = sum(W.value.size for W in tensors)
    return Case(tensors, draw(thresholds()), draw(st.integers(1, budget)), draw(deltas()),
                draw(seeds), draw(st.booleans()))


def cases_for_anyone():
    """The same, for a program that is not ours: no tensor without positions; H is a float32, so
    that nobody need ask to what it is rounded; and neither -0 nor a number so small that some
    hardware takes it for 0."""
    return cases().map(_for_anyone)


def _for_anyone(case):
    tensors = [copied(W) for W in case.tensors if W.size]
    for W in tensors:
        W.value[np.abs(W.value) < SMALLEST_H] = 0
    return replace(case, tensors=tensors, H=float(np.float32(case.H)))


# --- layers


@dataclass(frozen=True)
class Windows:
    """Sizes of a batch (N, C, H, W), F channels out, and windows of k pixels, stride s, pad p."""

    N: int
    C: int
    F: int
    H: int
    W: int
    k: int
    s: int
    p: int
    seed: int

    def rng(self):
        return np.random.default_rng(self.seed)

    @property
    def x_shape(self):
        return self.N, self.C, self.H, self.W

    @property
    def w_shape(self):
        return self.F, self.C, self.k, self.k

    @property
    def y_shape(self):
        OH, OW = ((size + 2 * self.p - self.k) // self.s + 1 for size in (self.H, self.W))
        return self.N, self.F, OH, OW

    def arrays(self, dtype=np.float64):
        """x, w and dy of a convolution; they cannot be written to: a write raises."""
        rng, arrays = self.rng(), []
        for shape in (self.x_shape, self.w_shape, self.y_shape):
            arrays.append(rng.standard_normal(shape).astype(dtype))
            arrays[-1].setflags(write=False)
        return arrays


@st.composite
def windows(draw, *, images=(1, 4), size=8, pads=3, kernels=5):
    """Windows that fit. The pad may be larger than the kernel, the stride too."""
    H, W, p = draw(st.integers(1, size)), draw(st.integers(1, size)), draw(st.integers(0, pads))
    return Windows(
        N=draw(st.integers(*images)), C=draw(st.integers(1, 4)), F=draw(st.integers(1, 4)),
        H=H, W=W, k=draw(st.integers(1, min(kernels, min(H, W) + 2 * p))),
        s=draw(st.integers(1, 3)), p=p, seed=draw(seeds))


def spread(shape, rng):
    """Distinct numbers of both signs in random order, none near another or near 0."""
    size = int(np.prod(shape))
    ranks = rng.permutation(size) - size // 2 + 0.5
    return (ranks * (4 / size)).reshape(shape)
