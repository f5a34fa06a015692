"""Networks as trees of layers: what all layers share, and the two layers that hold others."""

from ..backend import move, to_device, to_host_together
from ..shapes import checked


class Layer:
    """What all layers share: their parameters, their running statistics, their children."""

    parameters: tuple[str, ...] = ()  # names of the attributes that hold parameterizations
    statistics: tuple[str, ...] = ()  # and of those that hold arrays which are not trained
    sparsifiable = False  # may a method make `weight` sparse?
    shapes: str | None = None  # of what forward takes and gives, as "N C -> N F", where known
    cache = None        # what backward needs, after a forward with train=True
    awaits = None       # the shape and dtype of the dy that backward takes then

    def __init_subclass__(cls, shapes=None):
        cls.shapes = shapes or cls.shapes
        checked(cls)  # forward and backward refuse what they cannot take

    def outputs(self, x, name="", train=True):
        """Yields (name, output) of each layer inside, in order, as in forward(x, train)."""
        yield name, self.forward(x, train)

    def children(self):
        """{name: layer}"""
        return {}

    def walk(self, prefix=""):
        """Every layer without children, depth first: (name, layer)."""
        for name, child in self.children().items():
            yield from child.walk(f"{prefix}.{name}" if prefix else name)
        if not self.children():
            yield prefix, self

    def named_params(self):
        """{name: parameterization}, in the order of the forward pass."""
        return {f"{name}.{key}": getattr(layer, key)
                for name, layer in self.walk() for key in layer.parameters}

    def params(self):
        """All parameterizations."""
        return list(self.named_params().values())

    def sparsifiable_layers(self):
        """{name: layer} of the layers whose `weight` may be made sparse."""
        return {name: layer for name, layer in self.walk() if layer.sparsifiable}

    def free_parameters(self):
        """How many numbers training may choose: the length of φ."""
        return sum(p.value.size for p in self.params())

    def to(self, device):
        """Move all arrays to `device`, 'cpu' or 'gpu'; returns self."""
        move(self.params(), device)
        for place in self._statistics().values():
            setattr(*place, to_device(getattr(*place), device))
        return self

    def state(self):
        """{name: array on the host}, copies: values, velocities, structure, running statistics."""
        places = {f"{name}.{key}": (p, key) for name, p in self.named_params().items()
                  for key in p.stored} | self._statistics()
        hosted = to_host_together([getattr(*place) for place in places.values()])
        return {name: array.copy() for name, array in zip(places, hosted, strict=True)}

    def load(self, state):
        """Take over a state(), on the host. Raises ValueError, naming the tensor, where one is
        missing, left over, or of another shape or type."""
        own = self.state()
        if own.keys() != state.keys():
            odd = sorted(own.keys() ^ state.keys())
            raise ValueError(f"tensors differ: {odd[0]} and {len(odd) - 1} more")
        for name, p in self.named_params().items():
            try:
                p.load({key: state[f"{name}.{key}"] for key in p.stored})
            except ValueError as error:
                raise ValueError(f"{name}: {error}") from None
        for name, place in self._statistics().items():
            new, old = state[name], own[name]
            if new.shape != old.shape or new.dtype != old.dtype:
                raise ValueError(f"{name}: {new.dtype} {new.shape} does not fit {old.dtype} "
                                 f"{old.shape}")
            setattr(*place, new)

    def _statistics(self):
        """{name: (layer, attribute)} of all running statistics."""
        return {f"{name}.{key}": (layer, key)
                for name, layer in self.walk() for key in layer.statistics}


class Sequential(Layer):
    """Layers one after the other: Sequential(conv=Conv2d(...), relu=ReLU())."""

    def __init__(self, **layers):
        self.layers = layers
        self.units = list(layers.values())  # what computes; fast.engine puts others in their place

    def children(self):
        return self.layers

    def forward(self, x, train=False):
        for unit in self.units:
            x = unit.forward(x, train)
        return x

    def backward(self, dy):
        for unit in reversed(self.units):
            dy = unit.backward(dy)
        return dy

    def outputs(self, x, name="", train=True):
        y = x
        for key, layer in self.layers.items():
            inside = layer.outputs(y, f"{name}.{key}" if name else key, train)
            for inner, y in inside:
                yield inner, y


class Residual(Layer):
    """h = before(x); y = body(h) + x, or with a shortcut y = body(h) + shortcut(h).

    The pre-activation block of He et al. 2016: `before` is batch norm and ReLU, and a shortcut,
    where the number of channels changes, starts behind them. `before` and `body` are Sequential,
    their layers' names all different.
    """

    def __init__(self, *, before, body, shortcut=None):
        self.before, self.body, self.shortcut = before, body, shortcut
        names = [*before.layers, *body.layers, "shortcut"]
        if len(names) != len(set(names)):
            raise ValueError(f"names must differ: {', '.join(names)}")

    def children(self):
        shortcut = {} if self.shortcut is None else {"shortcut": self.shortcut}
        return {**self.before.layers, **self.body.layers, **shortcut}

    def forward(self, x, train=False):
        h = self.before.forward(x, train)
        y = self.body.forward(h, train)
        return self.add(y, x if self.shortcut is None else self.shortcut.forward(h, train))

    def backward(self, dy):
        dh = self.body.backward(dy)
        if self.shortcut is None:
            return self.add(self.before.backward(dh), dy)
        return self.before.backward(self.add(dh, self.shortcut.backward(dy)))

    def outputs(self, x, name="", train=True):
        h = x
        for inner, h in self.before.outputs(x, name, train):
            yield inner, h
        y = h
        for inner, y in self.body.outputs(h, name, train):
            yield inner, y
        if self.shortcut is not None:
            for inner, x in self.shortcut.outputs(h, f"{name}.shortcut", train):
                yield inner, x
        yield name, y + x

    def add(self, x, y):
        """x + y; x, which the body has returned, may be written over."""
        return x + y
