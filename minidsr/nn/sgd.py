"""Stochastic gradient descent with momentum, weight decay and L1, on the free numbers only."""

from ..backend import fuse, get_xp


class SGD:
    """Updates every parameterization's `value` from its `grad`, `velocity` being the momentum.

        g = grad + weight_decay * value + l1 * sign(value)
        velocity = momentum * velocity + g
        value -= lr * (g + momentum * velocity  if nesterov else  velocity)

    `sgd.lr = 0.1` is said by the training loop before each step; the rest stays as given. A free
    number that does not exist is neither decayed nor moved: a sparse tensor has none at its zeros.
    """

    def __init__(self, params, *, momentum=0.9, nesterov=True, weight_decay=0.0, l1=0.0):
        self.params, self.momentum, self.nesterov = list(params), momentum, nesterov
        self.weight_decay, self.l1 = weight_decay, l1
        self.lr = None
        self._update = _update(momentum, nesterov, weight_decay, l1)

    def step(self):
        for p in self.params:
            p.velocity = self._update(p.value, p.velocity, p.grad, self.lr)


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
