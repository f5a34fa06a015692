"""The velocity of all weights is set to 0, not only that of grown ones.

set_mlp_keras_cifar10.py, lines 219 to 220: SET compiles the model anew after each epoch, and with
it the optimizer.
"""

from .masked import Masked

FAULT = "all momentum is lost at each reallocation"
SOURCE = "SET, set_mlp_keras_cifar10.py:219-220"
VIOLATES = "survivors_keep_velocity",


class AllMomentumLost(Masked):
    def reallocate(self, layers, H, N_p, delta):
        next_H = super().reallocate(layers, H, N_p, delta)
        for layer in layers:
            layer.velocity[:] = 0
        return next_H


reallocate = AllMomentumLost.on_sparse
