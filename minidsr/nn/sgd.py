"""Stochastic gradient descent with momentum, weight decay and L1, on the free numbers only."""

from ..backend import fuse, get_xp
from ..checks import check_rates
from ..shapes import check_update


class SGD:
    """Updates every parameterization's `value` from its `grad`, `velocity` being the momentum.

        g = grad + weight_decay * value + l1 * sign(value)     l1 only where it is asked for
        velocity = momentum * velocity + g
        value -= lr * (g + momentum * velocity  if nesterov else  velocity)

    `sgd.lr = 0.1` is said by the training loop before each step; the rest stays as given. A free
    number that does not exist is neither decayed nor moved: a sparse tensor has none at its zeros.
    `l1_on` says which of `params` have the L1 penalty; all, where it is None. The DSR authors' acts
    on the tensors that may be sparse, not on biases and batch norm; so does Trainer's.
    """

    def __init__(self, params, *, momentum=0.9, nesterov=True, weight_decay=0.0, l1=0.0,
                 l1_on=None):
        check_rates(momentum=momentum, weight_decay=weight_decay, l1=l1)
        self.params, self.momentum, self.nesterov = list(params), momentum, nesterov
        self.weight_decay, self.l1 = weight_decay, l1
        self.lr = None
        penalised = {id(p) for p in (self.params if l1_on is None else l1_on)}
        self._with_l1 = [id(p) in penalised for p in self.params]
        self._update = [_update(momentum, nesterov, weight_decay, l1) for l1 in (0.0, l1)]

    def step(self):
        check_update(self.params, self.lr)
        for p, with_l1 in zip(self.params, self._with_l1, strict=True):
            p.velocity = self._update[with_l1](p.value, p.velocity, p.grad, self.lr)


def _update(momentum, nesterov, weight_decay, l1):
    """What step() does with one tensor; its choices are settled here, so that it can be fused."""

    @fuse
    def update(value, velocity, g, lr):
        if weight_decay:
            g = g + weight_decay * value
        if l1:
            g = g + l1 * get_xp(g).sign(value)
        velocity = momentum * velocity + g
        value -= lr * (g + momentum * velocity if nesterov else velocity)
        return velocity

    return update
