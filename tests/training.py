"""A small network in training, by each variant of each method, for tests of all methods."""

import numpy as np

from minidsr.backend import to_device
from minidsr.methods import METHODS
from minidsr.methods.base import Dynamic
from minidsr.nn.layers import (
    BatchNorm,
    Conv2d,
    Flatten,
    Linear,
    ReLU,
    Residual,
    Sequential,
    softmax_cross_entropy,
)
from minidsr.nn.sgd import SGD

OFTEN = {"periods": (2,), "period_milestones": ()}
CASES = {
    "dense": ("dense", {}),
    "thin-dense": ("thin-dense", {}),
    "static": ("static", {}),
    "static er": ("static", {"distribution": "er"}),
    "static reversed": ("static", {"distribution": "reversed"}),
    "gradual": ("gradual", OFTEN),
    "gradual erk": ("gradual", {**OFTEN, "distribution": "erk"}),
    "gradual exponential": ("gradual", {**OFTEN, "schedule": "exponential"}),
    "hashed": ("hashed", {}),
    "hashed balanced": ("hashed", {"variant": "balanced"}),
    "deepr": ("deepr", {**OFTEN, "temperature": 1e-3}),
    "deepr per-tensor": ("deepr", {**OFTEN, "temperature": 1e-3, "variant": "per-tensor"}),
    "set": ("set", OFTEN),
    "set magnitude": ("set", {**OFTEN, "variant": "magnitude"}),
    "snfs": ("snfs", OFTEN),
    "rigl": ("rigl", OFTEN),
    "rigl erk": ("rigl", {**OFTEN, "distribution": "erk"}),
    "itop": ("itop", {"interval": 3}),
    "itop rigl": ("itop", {"interval": 3, "variant": "rigl"}),
    "dst": ("dst", {"alpha": 0.01}),
    "dsr": ("dsr", {**OFTEN, "threshold": 0.1}),
    "dsr room": ("dsr", {**OFTEN, "threshold": 0.1, "growth": "room"}),
    "dsr pruned": ("dsr", {**OFTEN, "threshold": 0.1, "growth": "pruned"}),
    "dsr without keep-one": ("dsr", {**OFTEN, "threshold": 0.1, "keep_one": False}),
    "dsr protecting newborns": ("dsr", {**OFTEN, "threshold": 0.1, "protect_newborns": True}),
}
SPARSE = [case for case, (method, _) in CASES.items() if METHODS[method].sparse]
MOVING = [case for case, (method, _) in CASES.items() if issubclass(METHODS[method], Dynamic)]
STEPS = 15  # of 20


class Training:
    """A network in training by one of CASES."""

    def __init__(self, case, *, seed=0, sparsity=0.7, structure=None, dtype=np.float32,
                 device="cpu"):
        name, options = CASES[case]
        kind = METHODS[name]
        share = {"sparsity": sparsity} if "sparsity" in kind.options() else {}
        self.method = kind(epochs=1, steps_per_epoch=20, **share | options)
        rng = np.random.default_rng(0)

        def linear(c_in, c_out, **options):
            return Linear(c_in, c_out, rng=rng, dtype=dtype, **options)

        def aside(**layers):  # so that gradients pass where all weights are gone
            return Residual(before=Sequential(), body=Sequential(**layers))

        self.model = Sequential(
            conv1=Conv2d(2, 3, 3, pad=1, rng=rng, dtype=dtype, sparsifiable=False),
            bn=BatchNorm(3, dtype=dtype), relu1=ReLU(),
            conv2=Conv2d(3, 4, 3, rng=rng, dtype=dtype), relu2=ReLU(), flat=Flatten(),
            a=aside(fc=linear(16, 4), up=linear(4, 16, sparsifiable=False)),
            b=aside(down=linear(16, 1, sparsifiable=False), one=linear(1, 1),
                    up=linear(1, 16, sparsifiable=False)),
            out=linear(16, 3, sparsifiable=False))
        self.device = device
        self.model.to(device)
        self.method.structure = structure
        self.method.setup(self.model, np.random.default_rng(seed))
        self.sgd, self.t, self.dtype = SGD(self.model.params(), weight_decay=1e-3), 0, dtype
        self.sgd.lr = 0.1

    def batch(self):
        rng = np.random.default_rng(self.t)
        x, y = rng.normal(size=(6, 2, 4, 4)).astype(self.dtype), rng.integers(0, 3, 6)
        return to_device(x, self.device), to_device(y, self.device)

    def step(self):
        x, y = self.batch()
        self.model.backward(softmax_cross_entropy(self.model.forward(x, train=True), y)[1])
        report = self.method.step(self.t, self.sgd)
        self.t += 1
        return report

    def run(self, steps=STEPS):
        return [self.step() for _ in range(steps)]

    def weights(self):
        return [layer.weight for layer in self.model.sparsifiable_layers().values()]

    def state(self):
        return {f"method/{key}": value for key, value in self.method.state().items()} | {
            f"model/{key}": array for key, array in self.model.state().items()}

    def load(self, state, t):
        for part, target, *step in (("model/", self.model), ("method/", self.method, t)):
            target.load({key.removeprefix(part): value for key, value in state.items()
                         if key.startswith(part)}, *step)
        self.model.to(self.device)
        self.t = t


def same(a, b):
    return a.keys() == b.keys() and all(
        np.array_equal(a[key], b[key]) if isinstance(a[key], np.ndarray) else a[key] == b[key]
        for key in a)
