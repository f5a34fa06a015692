"""Dynamic sparse training with trainable masks (Liu et al., ICLR 2020): thresholds are learned.

    t threshold of an output   W its weights   S(q) surrogate for the derivative of the step at q
    α price of low thresholds

    setup:  θ = W where |W| > t, else 0;  t = 0
    step:   SGD on W and t, of the loss + α Σ exp(-t); weight decay is for W only:
                dW = dθ (1[|W| > t] + |W| S(|W| - t)),  dt = -Σ dθ W S(|W| - t) - α exp(-t)
            where not more than 1 % of a tensor is left, its t start again at 0

Source: Liu et al. (arXiv 2005.06870), section 3. There is no budget: sparsity comes out of α, and
weights below their threshold are trained as well. DSR has one threshold, which is not learned, and
a budget.
"""

from dataclasses import dataclass
from typing import ClassVar

from ..backend import get_xp
from ..checks import check_range
from ..parameters import Parameterization
from ..shapes import check_array
from .base import Method, option


@dataclass(kw_only=True, eq=False)
class DST(Method):
    """Sparsity comes out of α."""

    alpha: float = option(5e-6, "α, the price of low thresholds; the larger, the sparser")

    budget_rule: ClassVar[str] = "learned"
    rules: ClassVar[str] = "dst"

    def __post_init__(self):
        check_range("alpha", self.alpha)

    def setup(self, model, rng):
        super().setup(model, rng)
        layers = list(model.sparsifiable_layers().values())
        for layer in layers:
            layer.weight = Thresholded(layer.weight.theta())
        self.tensors = [layer.weight for layer in layers]

    def step(self, t, sgd):
        for W in self.tensors:
            (_, thresholds), (_, gradient) = W.rows(W.value), W.rows(W.grad)
            xp = get_xp(thresholds)
            gradient -= self.alpha * xp.exp(-thresholds)
            # what sgd.step() will add, as thresholds are not to decay
            gradient -= sgd.weight_decay * thresholds + sgd.l1 * xp.sign(thresholds)
        sgd.step()
        for W in self.tensors:
            too_few = (W.excess() > 0).sum() <= 0.01 * W.size  # 0-d: no GPU is waited for
            for array in (W.value, W.velocity):
                _, thresholds = W.rows(array)
                thresholds[...] = get_xp(thresholds).where(too_few, 0, thresholds)


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
        check_array("dtheta", dtheta, self.shape, (self.value.dtype,), like=self.value)
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
