"""Networks, by name: lenet-300-100, small-cnn, wrn-D-W (wide residual networks), resnet50.

A width scales the channels of all layers but the first of wrn: wrn-28-0.66, resnet50-0.52.
Every layer and tensor has a path, such as group1.block0.conv1.weight. A layer marked sparsifiable
may be made sparse by a method; the others stay dense and count in the budget.
"""

import re
from collections.abc import Callable
from functools import partial

import numpy as np

from ..checks import check_range, shown
from .base import Residual, Sequential
from .layers import BatchNorm, Conv2d, Flatten, GlobalAvgPool, Linear, MaxPool2d, ReLU

CHANNELS = {"small-cnn": (16, 32, 64), "lenet-300-100": (300, 100), "wrn": (16, 32, 64),
            "resnet50": (64,)}  # at width 1; what is rounded
WEIGHTS = {"small-cnn": 70_000, "lenet-300-100": 266_000, "wrn": 16_000,  # a layer but four
           "resnet50": 25_500_000}  # about, at width 1; times the width squared at another
NAME = re.compile(r"(small-cnn|lenet-300-100|resnet50|wrn-[0-9]{1,20}(?=-))"
                  r"(?:-([0-9]{1,20}(?:\.[0-9]{1,20})?))?")

# Networks that are not ours: name -> function of (*, image, classes, rng, dtype), as build() has
# them, that returns the model.
MODELS: dict[str, Callable[..., Sequential]] = {}


def parts(name):
    """The kind and the width in the name of a network: wrn-28-2 is ("wrn-28", 2.0)."""
    if name in MODELS:
        raise ValueError(f"{name} has no width in its name that could be changed")
    if not (match := NAME.fullmatch(name)):
        own = "".join(f"{one}, " for one in MODELS)
        raise ValueError(f"unknown model {shown(name)}; choose one of: {own}small-cnn, "
                         "lenet-300-100, resnet50, wrn-D-W (as wrn-28-2); -W, as in resnet50-0.5, "
                         "sets a width")
    return match[1], float(match[2] or 1)


def check_name(name):
    """Raise ValueError, saying what is allowed, unless build() knows the model `name`."""
    if name in MODELS:
        return
    kind, width = parts(name)
    kind, _, depth = kind.partition("wrn-")
    if depth and not (10 <= int(depth) <= 2000 and int(depth) % 6 == 4):
        raise ValueError(f"wrn depth must be 6n + 4 (10, 16, 22, 28, ..., 1996), not {depth}")
    weights = WEIGHTS[kind or "wrn"] * (int(depth) - 4 if depth else 1) * width ** 2
    check_range(f"the number of weights of {name}, roughly,", weights, 0, 2**31)
    _scaled(CHANNELS[kind or "wrn"], width)


def build(name: str, *, image: tuple[int, int, int], classes: int, rng: np.random.Generator,
          dtype=np.float32) -> Sequential:
    """The model called `name` for images of shape `image` (C, H, W).

    Raises ValueError, with the choices, for an unknown name.
    """
    check_name(name)
    if name in MODELS:
        return MODELS[name](image=image, classes=classes, rng=rng, dtype=dtype)
    (C, H, W), (kind, width) = image, parts(name)
    common = {"rng": rng, "classes": classes, "dtype": dtype}
    if kind == "lenet-300-100":
        return lenet_300_100(width, inputs=C * H * W, **common)
    if kind.startswith("wrn-"):
        return wide_resnet(int(kind.removeprefix("wrn-")), width, channels=C, **common)
    return {"small-cnn": small_cnn, "resnet50": resnet50}[kind](width, channels=C, **common)


def lenet_300_100(width=1, *, rng, inputs=784, classes=10, dtype=np.float32):
    """Three linear layers without biases, each followed by batch norm, the last one too, as in the
    paper's code: 267,020 parameters, 266,200 of them in the three tensors that may be sparse."""
    first, second = _scaled(CHANNELS["lenet-300-100"], width)
    kind = {"bias": False, "rng": rng, "dtype": dtype}
    return Sequential(
        flatten=Flatten(),
        fc1=Linear(inputs, first, **kind), bn1=BatchNorm(first, dtype=dtype), relu1=ReLU(),
        fc2=Linear(first, second, **kind), bn2=BatchNorm(second, dtype=dtype), relu2=ReLU(),
        fc3=Linear(second, classes, **kind), bn3=BatchNorm(classes, dtype=dtype))


def small_cnn(width=1, *, rng, channels=3, classes=10, dtype=np.float32):
    """Five 3x3 convolutions, for demonstrations: seconds of training on a laptop.

    The last four may be sparse; the first one and the classifier stay dense.
    """
    a, b, c = _scaled(CHANNELS["small-cnn"], width)
    conv = partial(_conv, kernel=3, rng=rng, dtype=dtype)
    return Sequential(
        conv1=conv(channels, a, stride=2, sparsifiable=False),
        bn1=BatchNorm(a, dtype=dtype), relu1=ReLU(),
        conv2=conv(a, b), bn2=BatchNorm(b, dtype=dtype), relu2=ReLU(), pool2=MaxPool2d(2),
        conv3=conv(b, b), bn3=BatchNorm(b, dtype=dtype), relu3=ReLU(),
        conv4=conv(b, c), bn4=BatchNorm(c, dtype=dtype), relu4=ReLU(), pool4=MaxPool2d(2),
        conv5=conv(c, c), bn5=BatchNorm(c, dtype=dtype), relu5=ReLU(),
        pool5=GlobalAvgPool(), fc=Linear(c, classes, rng=rng, dtype=dtype, sparsifiable=False))


def wide_resnet(depth, width, *, rng, channels=3, classes=10, dtype=np.float32):
    """Wide residual network (Zagoruyko & Komodakis 2016): three groups of (depth - 4) / 6 blocks.

    The groups have 16, 32 and 64 times `width` channels, rounded. The 3x3 convolutions of the
    blocks may be sparse; the first convolution, the shortcuts and the classifier stay dense. Raises
    ValueError for a depth that is not 6n + 4, or a width too small.
    """
    check_name(f"wrn-{depth}-{width:g}")
    widths = [16, *_scaled(CHANNELS["wrn"], width)]
    model = {"conv1": Conv2d(channels, 16, 3, pad=1, rng=rng, dtype=dtype, sparsifiable=False)}
    for group, (c_in, c_out) in enumerate(zip(widths, widths[1:], strict=False), start=1):
        blocks = {"block0": _block(c_in, c_out, 1 if group == 1 else 2, rng, dtype)}
        for i in range(1, (depth - 4) // 6):
            blocks[f"block{i}"] = _block(c_out, c_out, 1, rng, dtype)
        model[f"group{group}"] = Sequential(**blocks)
    return Sequential(
        **model, bn=BatchNorm(widths[-1], dtype=dtype), relu=ReLU(), pool=GlobalAvgPool(),
        fc=Linear(widths[-1], classes, rng=rng, dtype=dtype, sparsifiable=False))


def _block(c_in, c_out, stride, rng, dtype):
    """BN, ReLU, conv, BN, ReLU, conv, added to the input; to a 1x1 convolution of it where the
    shape changes."""
    conv = partial(_conv, rng=rng, dtype=dtype)
    return Residual(
        before=Sequential(bn1=BatchNorm(c_in, dtype=dtype), relu1=ReLU()),
        body=Sequential(
            conv1=conv(c_in, c_out, kernel=3, stride=stride), bn2=BatchNorm(c_out, dtype=dtype),
            relu2=ReLU(), conv2=conv(c_out, c_out, kernel=3)),
        shortcut=None if c_in == c_out and stride == 1
        else conv(c_in, c_out, kernel=1, stride=stride, sparsifiable=False))


def resnet50(width=1, *, rng, channels=3, classes=1000, dtype=np.float32):
    """ResNet-50 (He et al. 2016), for images of 224x224, with the stride in the 3x3 convolutions.

    25,557,032 parameters for 1,000 classes. As in the paper, all convolutions but the first and the
    shortcuts may be sparse, and the classifier: 49 tensors, 22,724,608 weights. As in its code, 64
    times `width` is rounded once, and doubled from group to group.
    """
    c_in, = _scaled(CHANNELS["resnet50"], width)
    middle = [c_in * 2 ** group for group in range(4)]
    model = {"conv1": Conv2d(channels, c_in, 7, stride=2, pad=3, rng=rng, dtype=dtype,
                             sparsifiable=False),
             "bn1": BatchNorm(c_in, dtype=dtype), "relu1": ReLU(),
             "pool1": MaxPool2d(3, stride=2, pad=1)}
    for group, (blocks, c_mid) in enumerate(zip((3, 4, 6, 3), middle, strict=True), start=1):
        named = {}
        for i in range(blocks):
            stride = 2 if group > 1 and i == 0 else 1
            named[f"block{i}"] = _bottleneck(c_in, c_mid, stride, rng, dtype)
            named[f"relu{i}"] = ReLU()
            c_in = 4 * c_mid
        model[f"group{group}"] = Sequential(**named)
    return Sequential(**model, pool=GlobalAvgPool(),
                      fc=Linear(c_in, classes, rng=rng, dtype=dtype))


def _bottleneck(c_in, c_mid, stride, rng, dtype):
    """1x1, 3x3 and 1x1 convolutions with batch norm, added to the input; to a 1x1 convolution of it
    with batch norm where the shape changes. A ReLU follows."""
    conv, norm = partial(_conv, rng=rng, dtype=dtype), partial(BatchNorm, dtype=dtype)
    c_out = 4 * c_mid
    body = Sequential(
        conv1=conv(c_in, c_mid, kernel=1), bn1=norm(c_mid), relu1=ReLU(),
        conv2=conv(c_mid, c_mid, kernel=3, stride=stride), bn2=norm(c_mid), relu2=ReLU(),
        conv3=conv(c_mid, c_out, kernel=1), bn3=norm(c_out))
    shortcut = None if c_in == c_out and stride == 1 else Sequential(
        conv=conv(c_in, c_out, kernel=1, stride=stride, sparsifiable=False), bn=norm(c_out))
    return Residual(before=Sequential(), body=body, shortcut=shortcut)


def _conv(c_in, c_out, *, kernel, **options):
    """A convolution that keeps the size of images, but for its stride."""
    return Conv2d(c_in, c_out, kernel, pad=kernel // 2, **options)


def _scaled(channels, width):
    """`channels` times `width`, rounded. ValueError where none is left."""
    scaled = [round(c * width) for c in channels]
    if min(scaled) < 1:
        raise ValueError(f"width {width:g} leaves a layer without channels")
    return scaled
