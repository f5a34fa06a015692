"""Deep rewiring (Bellec et al. 2018): a weight that changes its sign dies, another is born.

    s sign of a position, fixed   α drift   T temperature   η learning rate   ν ~ N(0, 1)

    setup:  ψ at random; s are the signs of the dense initial values, at random where these are 0
    step:   w <- w - η dE/dw - η α s + √(2 η T) ν,  for the free numbers
            prune where s w < 0
            grow as many at 0, at random among the empty positions of all tensors

Source: Bellec et al. (arXiv 1711.05136), Algorithm 1, with w = s θ. Like DSR it keeps one budget
for all tensors; it rewires at every step, by sign where DSR goes by size, and large tensors grow
more.
"""

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from ..backend import get_xp, to_host_together
from ..checks import check_choice, check_range
from ..reparam import grow_back
from .base import Dynamic, option


@dataclass(kw_only=True, eq=False)
class DeepR(Dynamic):
    """With momentum, drift and gradient go through it; the noise does not, unless it has a rate of
    its own. It reports at the end of each period, and before the stop, what has moved since. After
    the stop it is plain SGD.
    """

    few: ClassVar[int] = 1  # it rewires at each step

    alpha: float = option(1e-5, "α, the pull towards 0")
    temperature: float = option(1e-8, "T of the noise")
    noise_rate: float | None = option(None, (
        "η of the DSR authors' noise (theirs: 0.01), which is added to the gradient, and so passes "
        "through learning rate and momentum (default: as in the paper, added to the weights, and η "
        "is the learning rate)"))
    variant: str = option("global", (
        "global, the paper's; or per-tensor, the DSR authors': every tensor grows what it lost, "
        "and not where it just died while other positions are empty"))

    def __post_init__(self):
        super().__post_init__()
        check_choice("variant of deepr", self.variant, ("global", "per-tensor"))
        self.rules = "deepr" if self.variant == "global" else "deepr-per-tensor"
        check_range("alpha", self.alpha)
        check_range("temperature", self.temperature)
        check_range("noise_rate", self.noise_rate or 0.0)

    def setup(self, model, rng):
        thetas = to_host_together([layer.weight.theta()
                                   for layer in model.sparsifiable_layers().values()])
        super().setup(model, rng)
        self.negative = []  # a bit for each position, on the host
        for theta in thetas:
            coins = rng.random(theta.shape) - 0.5
            self.negative.append(np.packbits(np.where(theta == 0, coins, theta) < 0))
        self._begin_period()

    def _begin_period(self):
        self.pruned = self.grown = [0] * len(self.tensors)  # until now, in this period

    def step(self, t, sgd):
        if not self.moving(t):
            sgd.step()
            return None
        for W, s in zip(self.tensors, self.signs(), strict=True):
            W.grad = W.grad + self.alpha * s
            if self.noise_rate is not None:
                W.grad = W.grad + self._noise(W, self.noise_rate)
        sgd.step()
        if self.noise_rate is None:
            for W in self.tensors:
                W.value += self._noise(W, sgd.lr)
        report = self.checked_reallocation(t)
        self.pruned = [a + b for a, b in zip(self.pruned, report.pruned, strict=True)]
        self.grown = [a + b for a, b in zip(self.grown, report.grown, strict=True)]
        if not self.due(t) and self.moving(t + 1):
            return None
        report = self.report(self.pruned, self.grown)
        self._begin_period()
        return report

    def _noise(self, W, rate):
        """√(2 η T) ν for each free number of W, η being `rate`."""
        noise = self.rng.standard_normal(W.value.size) * (2 * rate * self.temperature) ** 0.5
        return get_xp(W.value).asarray(noise, W.value.dtype)

    def reallocate(self, t):
        before = [W.index for W in self.tensors]
        pruned = [W.prune(s * W.value < 0)
                  for W, s in zip(self.tensors, self.signs(), strict=True)]
        grown = pruned
        if self.variant == "global":
            room = [W.size - W.value.size for W in self.tensors]
            grown = self.rng.multivariate_hypergeometric(room, sum(pruned)).tolist()
        for W, n, index in zip(self.tensors, grown, before, strict=True):
            grow_back(W, n, self.rng, avoid=() if self.variant == "global" else index)
        return self.report(pruned, grown)

    def recorded(self, t):
        return {"sign": [1 - 2 * get_xp(bits).unpackbits(bits)[:W.size].astype(np.int8)
                         for bits, W in zip(self.negative, self.tensors, strict=True)]}

    def signs(self):
        """s at the free numbers of each tensor: 1 or -1."""
        signs = []
        for W, bits in zip(self.tensors, self.negative, strict=True):
            bits = get_xp(W.index).asarray(bits)
            bit = bits[W.index >> 3] >> (7 - (W.index & 7)) & 1
            signs.append(1 - 2 * bit.astype(W.value.dtype))
        return signs

    def state(self):
        bits = {f"negative/{i}": bits for i, bits in enumerate(self.negative)}
        return {**super().state(), **bits, "pruned": self.pruned, "grown": self.grown}

    def load(self, state, t):
        super().load(state, t)
        self.negative = [state[f"negative/{i}"] for i in range(len(self.negative))]
        self.pruned, self.grown = state["pruned"], state["grown"]
        if t and self.moving(t - 1) and any(
                bool((s * W.value < 0).any()) for W, s in zip(self.tensors, self.signs(),
                                                              strict=True)):
            raise ValueError("a weight has not the sign of its position")
        for name in ("pruned", "grown"):
            for n, W in zip(state[name], self.tensors, strict=True):
                check_range(name, n, 0, t * W.size)
        if sum(self.pruned) != sum(self.grown):
            raise ValueError(f"pruned are {sum(self.pruned)}, grown {sum(self.grown)}")
