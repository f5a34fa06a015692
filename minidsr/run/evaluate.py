"""How well a model does on a part of its data set: the images set apart, or the test images."""

import math

import numpy as np

from ..backend import to_host_together
from ..data.batches import normalise
from ..nn.layers import softmax_cross_entropy
from ..proof.finite import all_finite, first_not_finite
from .progress import TrainingError


@np.errstate(all="ignore")  # it looks for what is not finite
def evaluate(model, dataset, part: str = "test", *, batch: int = 500) -> tuple[float, float]:
    """(mean cross entropy, accuracy in percent) of `model` on a part of `dataset`: its test,
    validation or train images. TrainingError where a number is not finite; it says which."""
    loss_sum, correct, (x, labels) = 0.0, 0, dataset.part(part)
    n = len(labels)
    parts = [slice(i, i + batch) for i in range(0, n, batch)]
    for some in parts:
        logits, y = model.forward(normalise(x[some], dataset)), labels[some]
        loss_sum += softmax_cross_entropy(logits, y)[0] * len(y)
        correct += (logits.argmax(1) == y).sum()
    loss_sum, correct, finite = to_host_together([loss_sum, correct, all_finite(model)])
    if not (finite and math.isfinite(loss_sum)):
        at = first_not_finite(model, (normalise(x[some], dataset) for some in parts))
        raise TrainingError(f"evaluation is not finite: first {at}; try a lower learning rate")
    return float(loss_sum) / n, 100 * int(correct) / n


def evaluations(trainer):
    """{part: (loss, accuracy)} where an epoch has ended: of the validation images if there are any,
    and then of the test images at the end of training only."""
    last = trainer.t == trainer.total_steps
    parts = ["validation", "test"][:1 + last] if trainer.config.validation else ["test"]
    return {part: evaluate(trainer.model, trainer.dataset, part) for part in parts}
