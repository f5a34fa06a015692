"""Lesson 5: hashed_pull."""

from itertools import product

import numpy as np
from hypothesis import strategies as st

from lessons.solutions import ex05 as solved
from minidsr.proof.cases import seeds
from minidsr.run.report import table

from .ex05_theta import products_agree
from .exercise import Exercise, Plug
from .words import column


def small():
    """Up to 3 positions and 3 numbers, every bucket and sign; and some with rows."""
    for n, m in product((1, 2, 3), (1, 2, 3)):
        for bucket, sign in product(product(range(m), repeat=n), product((1, -1), repeat=n)):
            yield _case(bucket, sign, m, 2 ** np.arange(n))
    for bucket in product(range(2), repeat=4):
        yield _case(bucket, (1, 1, -1, 1), 2, np.array([[1, 2], [4, 8]]))


@st.composite
def cases(draw):
    shape = draw(st.lists(st.integers(1, 5), min_size=1, max_size=3).map(tuple))
    m, rng = draw(st.integers(1, 8)), np.random.default_rng(draw(seeds))
    size = int(np.prod(shape))
    return _case(rng.integers(m, size=size), rng.choice([1, -1], size), m,
                 rng.integers(-99, 100, shape) / 4)


def _case(bucket, sign, m, dtheta):
    return np.array(bucket), np.array(sign, np.float32), m, dtheta.astype(np.float32)


def level(bucket, sign, m, dtheta):
    uses = np.bincount(bucket, minlength=m)
    if not uses.all():
        return 3
    return 2 if (sign < 0).any() else int((uses > 1).any())


def m_numbers(g, bucket, sign, m, dtheta):
    """there are m numbers"""
    return np.shape(g) == (m,)


def transposed(g, bucket, sign, m, dtheta):
    """for all free numbers φ, the sum of θ(φ) dθ is the sum of φ pull(dθ)"""
    return products_agree(((np.where(bucket == j, sign, 0) * dtheta.reshape(-1)).sum(), g[j])
                          for j in range(m))


def picture(g, bucket, sign, m, dtheta):
    rows = [[str(i), str(j), f"{s:+g}", f"{d:g}"]
            for i, (j, s, d) in enumerate(zip(bucket, sign, dtheta.reshape(-1), strict=True))]
    yours = column(g, m)
    sums = [[str(j), " ".join(str(i) for i in np.flatnonzero(bucket == j)) or "none",
             y if y == "?" else f"{y:g}"] for j, y in enumerate(yours)]
    return (table(rows, ["position", "takes number", "sign", "gradient"]) + "\n\n"
            + table(sums, ["number", "is at positions", "yours"], left=(1,)))


# --- mistakes


def reads_before_it_adds(bucket, sign, m, dtheta):
    """Where positions share a number, only the last of them counts. x = np.zeros(3); x[[0, 0, 1]]
    += 1 gives 1, 1, 0: NumPy reads all three before it adds. np.add.at does not."""
    g = np.zeros(m)
    g[bucket] += sign * dtheta.reshape(-1)
    return g


def without_signs(bucket, sign, m, dtheta):
    """The gradients are added up as they come. What happens at a position with sign -1 when its
    free number grows?"""
    return solved.hashed_pull(bucket, np.ones_like(sign), m, dtheta)


def too_short(bucket, sign, m, dtheta):
    """The last numbers are missing where no position takes them. How long is np.bincount([0, 0]),
    and what is minlength for?"""
    return np.bincount(bucket, sign * dtheta.reshape(-1))


def averages(bucket, sign, m, dtheta):
    """A number that many positions share gets the mean of their gradients. If it grows by a little,
    how often does that act?"""
    uses = np.maximum(np.bincount(bucket, minlength=m), 1)
    return solved.hashed_pull(bucket, sign, m, dtheta) / uses


def of_the_first(bucket, sign, m, dtheta):
    """A number gets the gradient of the first position that takes it. What about the others?"""
    g, seen = np.zeros(m), set()
    for j, d in zip(bucket.tolist(), sign * dtheta.reshape(-1), strict=True):
        if j not in seen:
            g[j] = d
            seen.add(j)
    return g


def as_pull(f):
    def pull(W, dtheta):
        W.grad = np.asarray(f(W.bucket, W.sign, W.value.size, dtheta), W.value.dtype)
    return pull


hashed_pull = Exercise(
    name="hashed_pull", stars=2, minutes=15,
    small=small, cases=cases(),
    levels=("each number is at one position", "positions share a number", "some signs are minus",
            "some number is at no position"),
    level=level,
    properties=(m_numbers, transposed),
    picture=picture,
    mistakes=(reads_before_it_adds, without_signs, too_short, averages, of_the_first),
    hints=(
        "A number stands at positions 3, 7 and 8, at 8 with a minus. It grows by 0.01: by how much "
        "does θ change where, and by how much the loss?",
        "Begin with m zeros. Each position adds its gradient, times its sign, to the number that "
        "it takes.",
        "A loop over the positions is right. Without one, g[bucket] += ... is not: it loses all "
        "but one of those that share a number. See np.add.at, or np.bincount with weights."),
    plug=Plug(("minidsr.methods.hashed.Hashed.pull",), as_pull,
              {"method": "hashed", "periods": None, "period_milestones": None, "threshold": None}))
