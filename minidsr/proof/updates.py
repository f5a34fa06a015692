"""Cases for methods that replace a share of each tensor's weights, as SET and RigL do: what
cases.py has for Algorithm 1, with the same networks."""

from dataclasses import dataclass, replace
from functools import partial

import numpy as np
from hypothesis import strategies as st

from ..parameters import Sparse
from .cases import Case, cases_for_anyone, copied, in_words
from .reallocation import Reallocation, snapshot

GROWS_BY = {**dict.fromkeys(["rigl", "itop-rigl"], "gradient"), "snfs": "momentum"}  # by method


@dataclass(frozen=True)
class Update:
    """The arguments of one update.

    grows_by  the key of what is known at all positions, a name that traces have; None: nothing
    """

    tensors: list[Sparse]
    fraction: float
    seed: int
    grows_by: str | None = None

    def run(self, reallocate):
        """The Reallocation that comes out of copies of the tensors."""
        named = {f"tensor {i}": copied(W) for i, W in enumerate(self.tensors)}
        before = snapshot(named)
        for dense in self._dense():
            before = [replace(t, recorded={self.grows_by: x.reshape(-1)})
                      for t, x in zip(before, dense, strict=True)]
        args, options = self.arguments(list(named.values()))
        _, report = reallocate(*args, **options)
        return Reallocation(before, snapshot(named), report, numbers={"fraction": self.fraction})

    def arguments(self, tensors):
        """How it is called with these copies of the tensors: (args, options by name)."""
        return [tensors, *self._dense(), self.fraction, np.random.default_rng(self.seed)], {}

    def _dense(self):
        """What it grows by, of both signs, some of it equal: [a list of arrays], or nothing."""
        rng = np.random.default_rng(self.seed)
        return [[rng.normal(size=W.shape).round(1).astype(np.float32) for W in self.tensors]
                ] if self.grows_by else []

    def __str__(self):
        return in_words(f"fraction = {self.fraction:g}, seed {self.seed}", self.tensors)


def as_update(case: Case, method: str, fraction: float = 0.66) -> Update:
    """A Case as one of this method."""
    return Update(case.tensors, fraction, case.seed, GROWS_BY.get(method))


def networks_for(method):
    """(what makes of small cases those of this method, a strategy for random ones): for a program
    that is not ours."""
    if method == "dsr":
        return (lambda case: case), cases_for_anyone()
    fractions = st.sampled_from([0.1, 0.3, 0.5, 0.9]) | st.floats(0, 1, exclude_max=True)
    return (partial(as_update, method=method),
            st.builds(as_update, cases_for_anyone(), st.just(method), fractions))
