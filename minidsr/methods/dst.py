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

from ..backend import get_xp
from ..parameters import Thresholded
from .base import Method, check_not_negative


@dataclass(kw_only=True, eq=False)
class DST(Method):
    """alpha: α, the price of low thresholds; the larger, the sparser."""

    alpha: float = 5e-6

    budget = "learned"

    def __post_init__(self):
        check_not_negative("alpha", self.alpha)

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
