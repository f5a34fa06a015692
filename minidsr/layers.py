"""Layers without autograd: each backward stands beside its forward.

    N batch   C channels in   F channels out   H W input size   OH OW output size
    k kernel  s stride  p pad

Activations are (N, C, H, W), convolution weights (F, C, k, k), linear weights (F, C).

Every layer has forward(x, train=False) and backward(dy) -> dx. A forward with train=True leaves in
`cache` what backward needs; backward takes it and leaves the gradients in the parameters (`grad`).
Columns are not cached but built again: they are k*k times the activations.
"""

import numpy as np

from . import im2col
from .backend import get_xp, to_device, to_host
from .parallel import map_chunks
from .parameters import Dense


class Layer:
    """What all layers share: their parameters, their running statistics, their children."""

    parameters = ()     # names of the attributes that hold parameterizations
    statistics = ()     # names of the attributes that hold arrays which are not trained
    sparsifiable = False  # may a method make `weight` sparse?
    cache = None

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
        for p in self.params():
            p.to(device)
        for _, layer in self.walk():
            for key in layer.statistics:
                setattr(layer, key, to_device(getattr(layer, key), device))
        return self

    def state(self):
        """{name: array on the host}, copies: values, velocities, structure, running statistics."""
        state = {f"{name}.{key}": array for name, p in self.named_params().items()
                 for key, array in p.state().items()}
        for name, layer in self.walk():
            state |= {f"{name}.{key}": to_host(getattr(layer, key)).copy()
                      for key in layer.statistics}
        return state

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
        for name, layer in self.walk():
            for key in layer.statistics:
                new, old = state[f"{name}.{key}"], own[f"{name}.{key}"]
                if new.shape != old.shape or new.dtype != old.dtype:
                    raise ValueError(f"{name}.{key}: {new.dtype} {new.shape} does not fit "
                                     f"{old.dtype} {old.shape}")
                setattr(layer, key, new)


class Conv2d(Layer):
    """y[n, f] = sum over c, ky, kx of weight[f, c, ky, kx] * x[n, c], shifted. No bias."""

    parameters = ("weight",)

    def __init__(self, c_in, c_out, kernel, *, stride=1, pad=0, rng, dtype=np.float32,
                 sparsifiable=True):
        """Initial values N(0, 2 / (kernel² c_out)), as in the paper's code."""
        self.kernel, self.stride, self.pad, self.sparsifiable = kernel, stride, pad, sparsifiable
        std = (2 / (kernel * kernel * c_out)) ** 0.5
        self.weight = Dense(rng.normal(0, std, (c_out, c_in, kernel, kernel)).astype(dtype))

    def forward(self, x, train=False):
        geometry = im2col.Geometry.of(*x.shape[2:], self.kernel, self.stride, self.pad)
        self.cache = (x, geometry) if train else None
        return im2col.forward(x, self.weight.theta(), geometry)         # (N, F, OH, OW)

    def backward(self, dy):
        (x, geometry), self.cache = self.cache, None
        dx, dw = im2col.backward(x, dy, self.weight.theta(), geometry)
        self.weight.pull(dw)
        return dx


class Linear(Layer):
    """y = x weight^T + bias, for x (N, C) and weight (F, C)."""

    def __init__(self, c_in, c_out, *, bias=True, rng, dtype=np.float32, sparsifiable=True):
        """Initial weights uniform within 1/sqrt(c_in), bias 0, as in the paper's code."""
        self.sparsifiable = sparsifiable
        self.parameters = ("weight", "bias") if bias else ("weight",)
        bound = c_in ** -0.5
        self.weight = Dense(rng.uniform(-bound, bound, (c_out, c_in)).astype(dtype))
        self.bias = Dense(np.zeros(c_out, dtype)) if bias else None

    def forward(self, x, train=False):
        self.cache = x if train else None
        y = x @ self.weight.theta().T                                   # (N, F)
        return y if self.bias is None else y + self.bias.theta()

    def backward(self, dy):
        x, self.cache = self.cache, None
        self.weight.pull(dy.T @ x)
        if self.bias is not None:
            self.bias.pull(dy.sum(0))
        return dy @ self.weight.theta()


class BatchNorm(Layer):
    """Per channel: (x - mean) / sqrt(var + eps) * weight + bias, for x (N, C) or (N, C, H, W).

    In training, mean and variance are the batch's, and the running ones move a tenth of the way
    (Ioffe & Szegedy 2015). Otherwise the running ones are used.
    """

    parameters = ("weight", "bias")
    statistics = ("running_mean", "running_var")
    eps = 1e-5
    momentum = 0.1

    def __init__(self, channels, *, dtype=np.float32):
        self.weight = Dense(np.ones(channels, dtype))
        self.bias = Dense(np.zeros(channels, dtype))
        self.running_mean = np.zeros(channels, dtype)
        self.running_var = np.ones(channels, dtype)

    def forward(self, x, train=False):
        xp, rows, count = get_xp(x), _rows(x), x.size // x.shape[1]
        mean, var = self.running_mean, self.running_var
        if train:
            mean = (_channel_sums(_row_sums, rows) / count).astype(x.dtype)
            var = _channel_sums(lambda x: _row_dots(d := x - mean[:, None], d), rows) / count
            self.running_mean = self._follow(self.running_mean, mean)
            self.running_var = self._follow(self.running_var, var * (count / max(count - 1, 1)))
        rstd = (1 / xp.sqrt(var + self.eps)).astype(x.dtype)
        self.cache = (x, mean, rstd) if train else None
        scale = self.weight.theta() * rstd
        shift = self.bias.theta() - mean * scale

        def normalise(x, out):
            xp.multiply(x, scale[:, None], out=out)
            out += shift[:, None]

        return _map(normalise, rows).reshape(x.shape)

    def backward(self, dy):
        (x, mean, rstd), self.cache = self.cache, None
        xp, rows, dy_rows, count = get_xp(x), _rows(x), _rows(dy), x.size // x.shape[1]
        sum_dy = _channel_sums(_row_sums, dy_rows)
        sum_dy_xhat = rstd * _channel_sums(lambda dy, x: _row_dots(dy, x - mean[:, None]),
                                           dy_rows, rows)
        self.bias.pull(sum_dy.astype(x.dtype))
        self.weight.pull(sum_dy_xhat.astype(x.dtype))
        # dx = scale * (dy - mean(dy) - xhat * mean(dy * xhat)), sorted by dy, x and 1
        scale = self.weight.theta() * rstd
        slope = (-scale * rstd * sum_dy_xhat / count).astype(x.dtype)
        shift = (-slope * mean - scale * sum_dy / count).astype(x.dtype)

        def gradient(dy, x, out):
            xp.multiply(dy, scale[:, None], out=out)
            out += x * slope[:, None]
            out += shift[:, None]

        return _map(gradient, dy_rows, rows).reshape(x.shape)

    def _follow(self, running, batch):
        return running + (self.momentum * (batch - running)).astype(running.dtype)


class ReLU(Layer):
    """y = max(x, 0)."""

    def forward(self, x, train=False):
        y = _map(lambda x, out: get_xp(x).maximum(x, 0, out=out), x)
        self.cache = y if train else None
        return y

    def backward(self, dy):
        y, self.cache = self.cache, None
        return _map(lambda dy, y, out: get_xp(y).multiply(dy, y > 0, out=out), dy, y)


class MaxPool2d(Layer):
    """The largest of each k x k window; windows start every s pixels, in an image padded by p.

    Raises ValueError where the window is larger than the padded image.
    """

    def __init__(self, kernel, *, stride=None, pad=0):
        self.kernel, self.stride, self.pad = kernel, stride or kernel, pad

    def forward(self, x, train=False):
        xp, p = get_xp(x), self.pad
        if self.kernel > min(x.shape[2:]) + 2 * p:
            raise ValueError(f"a {self.kernel}x{self.kernel} window does not fit images of "
                             f"{x.shape[2]}x{x.shape[3]} padded by {p}")
        padded = xp.pad(x, ((0, 0), (0, 0), (p, p), (p, p)), constant_values=-xp.inf) if p else x
        y = self._window(padded, 0).copy()                              # (N, C, OH, OW)
        winner = xp.zeros(y.shape, np.uint8)                            # which tap: the first wins
        for t in range(1, self.kernel ** 2):
            tap = self._window(padded, t)
            winner[tap > y] = t
            xp.maximum(y, tap, out=y)
        self.cache = (x.shape, winner) if train else None
        return y

    def backward(self, dy):
        (shape, winner), self.cache = self.cache, None
        N, C, H, W = shape
        p = self.pad
        dx = get_xp(dy).zeros((N, C, H + 2 * p, W + 2 * p), dy.dtype)
        for t in range(self.kernel ** 2):
            self._window(dx, t)[...] += dy * (winner == t)
        return dx[:, :, p:p + H, p:p + W]

    def _window(self, x, t):
        """What tap t meets: one pixel of x for each pixel of the output."""
        k, s = self.kernel, self.stride
        ky, kx = divmod(t, k)
        OH, OW = (x.shape[2] - k) // s + 1, (x.shape[3] - k) // s + 1
        return x[:, :, ky:ky + s * OH:s, kx:kx + s * OW:s]


class GlobalAvgPool(Layer):
    """The mean of each channel of each image: (N, C, H, W) -> (N, C)."""

    def forward(self, x, train=False):
        self.cache = x.shape if train else None
        return x.mean((2, 3))

    def backward(self, dy):
        shape, self.cache = self.cache, None
        xp = get_xp(dy)
        return xp.ascontiguousarray(xp.broadcast_to(
            (dy / (shape[2] * shape[3]))[:, :, None, None], shape))


class Flatten(Layer):
    """(N, ...) -> (N, everything else)."""

    def forward(self, x, train=False):
        self.cache = x.shape if train else None
        return x.reshape(len(x), -1)

    def backward(self, dy):
        shape, self.cache = self.cache, None
        return dy.reshape(shape)


class Sequential(Layer):
    """Layers one after the other: Sequential(conv=Conv2d(...), relu=ReLU())."""

    def __init__(self, **layers):
        self.layers = layers

    def children(self):
        return self.layers

    def forward(self, x, train=False):
        for layer in self.layers.values():
            x = layer.forward(x, train)
        return x

    def backward(self, dy):
        for layer in reversed(self.layers.values()):
            dy = layer.backward(dy)
        return dy


class Residual(Layer):
    """h = before(x); y = body(h) + x, or with a shortcut y = body(h) + shortcut(h).

    The pre-activation block of He et al. 2016: `before` is batch norm and ReLU, and a shortcut,
    where the number of channels changes, starts behind them. `before` and `body` are Sequential,
    their layers' names all different.
    """

    def __init__(self, *, before, body, shortcut=None):
        self.before, self.body, self.shortcut = before, body, shortcut
        names = [*before.layers, *body.layers, "shortcut"]
        assert len(names) == len(set(names)), f"names must differ: {names}"

    def children(self):
        shortcut = {} if self.shortcut is None else {"shortcut": self.shortcut}
        return {**self.before.layers, **self.body.layers, **shortcut}

    def forward(self, x, train=False):
        h = self.before.forward(x, train)
        y = self.body.forward(h, train)
        return _add(y, x if self.shortcut is None else self.shortcut.forward(h, train))

    def backward(self, dy):
        dh = self.body.backward(dy)
        if self.shortcut is None:
            return _add(self.before.backward(dh), dy)
        return self.before.backward(_add(dh, self.shortcut.backward(dy)))


def softmax_cross_entropy(logits, labels):
    """Mean cross entropy of logits (N, classes) with labels (N,), and its gradient.

    Returns (loss, dlogits): loss a 0-d float64 array, dlogits (N, classes).
    """
    xp, rows = get_xp(logits), get_xp(logits).arange(len(labels))
    shifted = logits - logits.max(1, keepdims=True)
    log_p = shifted - xp.log(xp.exp(shifted).sum(1, keepdims=True))
    loss = -log_p[rows, labels].mean(dtype=np.float64)
    dlogits = xp.exp(log_p)
    dlogits[rows, labels] -= 1
    return loss, dlogits / len(labels)


def _rows(x):
    """x (N, C, ...) as (N, C, pixels)."""
    return x.reshape(*x.shape[:2], -1)


def _row_sums(x):
    """Sum over the last axis, as a product with ones: at memory speed also for short rows."""
    return x @ get_xp(x).ones(x.shape[-1], x.dtype)


def _row_dots(x, y):
    """Sum of x * y over the last axis."""
    return get_xp(x).einsum("ncs,ncs->nc", x, y)


def _channel_sums(row_sums, *arrays):
    """Sum row_sums(*arrays) (N, C) over N, in float64: (C,)."""
    def chunk(images):
        return row_sums(*(a[images] for a in arrays)).sum(0, dtype=np.float64)

    return sum(map_chunks(chunk, len(arrays[0]), get_xp(arrays[0])))


def _map(work, *arrays):
    """A new array like arrays[0], filled chunk by chunk by work(*chunks of arrays, out=chunk)."""
    out = get_xp(arrays[0]).empty_like(arrays[0])
    map_chunks(lambda images: work(*(a[images] for a in arrays), out=out[images]),
               len(out), get_xp(out))
    return out


def _add(x, y):
    return _map(lambda x, y, out: get_xp(x).add(x, y, out=out), x, y)
