"""The networks that take part: ours by engine and method, PyTorch's."""

from importlib import import_module
from importlib.util import find_spec

import numpy as np

from minidsr.backend import to_device
from minidsr.fast.engine import choose_engine, use
from minidsr.nn import models
from minidsr.nn.layers import softmax_cross_entropy
from minidsr.nn.sgd import SGD
from minidsr.run.config import Config


def pytorch():
    """The module pytorch.py, or None without PyTorch. Loaded only where it is measured."""
    return import_module("pytorch") if find_spec("torch") else None


IMAGES = {"lenet-300-100": (1, 28, 28)}  # of the other networks (3, 32, 32)


def image(model):
    """(channels, height, width) of the images of a network."""
    return IMAGES.get(model, (3, 32, 32))


class Ours:
    """A network in training: step() and forward()."""

    def __init__(self, model, batch, method="dense", sparsity=0.9, engine="blocked", masked=False,
                 device="cpu"):
        rng = np.random.default_rng(0)
        config = Config(model=model, sparsity=sparsity).for_method(method)
        self.method = config.build_method(steps_per_epoch=500)
        self.model = use(models.build(model, image=image(model), classes=10, rng=rng),
                         choose_engine(engine, device), input_grad=False).to(device)
        self.method.setup(self.model, rng)
        self.sgd = SGD(self.model.params(), weight_decay=5e-4)
        self.sgd.lr = 1e-3
        self.x = to_device(rng.normal(size=(batch, *image(model))).astype(np.float32), device)
        self.y = to_device(rng.integers(0, 10, batch), device)
        weights = [layer.weight for layer in self.model.sparsifiable_layers().values()]
        self.masks = [(w, rng.random(w.shape) > sparsity) for w in weights] if masked else []

    def forward(self):
        self.model.forward(self.x)

    def step(self):
        _, dlogits = softmax_cross_entropy(self.model.forward(self.x, train=True), self.y)
        self.model.backward(dlogits)
        for w, mask in self.masks:
            w.grad *= mask
        self.method.step(0, self.sgd)
        for w, mask in self.masks:
            w.value *= mask


def torch_networks(model, batch, device="cpu", masked=True):
    """{name: network}, empty without PyTorch."""
    if pytorch() is None:
        return {}
    return {f"PyTorch, {layout}": pytorch().Network(
                model, image(model), batch, layout, device, density=0.1 if masked else None)
            for layout in pytorch().FORMATS}


OURS = {"plain, dense": {"engine": "plain"}, "blocked, dense": {},
        "blocked, masks on dense, 0.9": {"masked": True}, "blocked, DSR 0.9": {"method": "dsr"},
        **{f"sparse, DSR {s}": {"method": "dsr", "sparsity": s, "engine": "sparse"}
           for s in (0.8, 0.9, 0.95, 0.99)}}
THEIRS = {"PyTorch, NCHW": ("NCHW", False), "PyTorch, channels-last": ("channels-last", False),
          "PyTorch, torch.compile": ("channels-last", True)}


def contender(name, model, batch):
    """The network of this name, a key of OURS or of THEIRS."""
    if name in OURS:
        return Ours(model, batch, **OURS[name])
    layout, compiled = THEIRS[name]
    return pytorch().Network(model, image(model), batch, layout, compiled=compiled)
