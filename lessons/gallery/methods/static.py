"""Static sparse training: the structure stays."""

from .program import Program


class Static(Program):
    RULES = "static"

    def update(self):
        self.train()


class MaskFromValues(Static):
    FAULT = "makes the mask of what is not 0, so that weights at 0 are lost"
    SOURCE = "sparse_learning, core.py:158-172"
    VIOLATES = ("structure_stays",)

    def update(self):
        for layer in self.layers.values():
            layer.value.clip(-1, 1, out=layer.value)
            layer.value[abs(layer.value) < 0.05] = 0
            layer.mask = layer.value != 0
            layer.velocity *= layer.mask
