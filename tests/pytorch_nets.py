"""The networks of minidsr/nn/models.py in PyTorch, of parts with the same names: what state_dict()
of a run has, load_state_dict() takes, strict."""

from collections import OrderedDict

from torch import nn


def build(kind, width=1.0, *, image=(3, 32, 32), classes=10):
    """The network with this kind and width, as models.parts() takes its name apart."""
    channels, height, columns = image
    if kind == "lenet-300-100":
        return lenet_300_100(width, channels * height * columns, classes)
    if kind.startswith("wrn-"):
        return wide_resnet(int(kind.removeprefix("wrn-")), width, channels, classes)
    return {"small-cnn": small_cnn, "resnet50": resnet50}[kind](width, channels, classes)


def lenet_300_100(width, inputs, classes):
    sizes = [inputs, round(300 * width), round(100 * width), classes]
    layers = OrderedDict(flatten=nn.Flatten())
    for i in (1, 2, 3):
        layers |= {f"fc{i}": nn.Linear(sizes[i - 1], sizes[i], bias=False),
                   f"bn{i}": nn.BatchNorm1d(sizes[i])}
        if i < 3:
            layers[f"relu{i}"] = nn.ReLU()
    return nn.Sequential(layers)


def small_cnn(width, channels, classes):
    a, b, c = (round(n * width) for n in (16, 32, 64))
    layers = OrderedDict()
    for i, (c_in, c_out, stride) in enumerate(
            [(channels, a, 2), (a, b, 1), (b, b, 1), (b, c, 1), (c, c, 1)], start=1):
        layers |= {f"conv{i}": conv(c_in, c_out, 3, stride), f"bn{i}": nn.BatchNorm2d(c_out),
                   f"relu{i}": nn.ReLU()}
        if i in (2, 4):
            layers[f"pool{i}"] = nn.MaxPool2d(2)
    return nn.Sequential(layers | classifier(c, classes))


def wide_resnet(depth, width, channels, classes):
    widths = [16, *(round(c * width) for c in (16, 32, 64))]
    layers = OrderedDict(conv1=conv(channels, 16, 3))
    for group in (1, 2, 3):
        c_in, c_out = widths[group - 1:group + 1]
        layers[f"group{group}"] = nn.Sequential(OrderedDict({
            f"block{i}": Block(c_out if i else c_in, c_out, 2 if group > 1 and not i else 1)
            for i in range((depth - 4) // 6)}))
    return nn.Sequential(layers | OrderedDict(bn=nn.BatchNorm2d(c_out), relu=nn.ReLU())
                         | classifier(c_out, classes))


class Block(nn.Module):
    """BN, ReLU, conv, BN, ReLU, conv, added to the input; to a 1x1 convolution of what the first
    ReLU gives where the shape changes."""

    def __init__(self, c_in, c_out, stride):
        super().__init__()
        self.bn1, self.bn2 = nn.BatchNorm2d(c_in), nn.BatchNorm2d(c_out)
        self.conv1, self.conv2 = conv(c_in, c_out, 3, stride), conv(c_out, c_out, 3)
        same = c_in == c_out and stride == 1
        self.shortcut = None if same else conv(c_in, c_out, 1, stride)

    def forward(self, x):
        h = self.bn1(x).relu()
        y = self.conv2(self.bn2(self.conv1(h)).relu())
        return y + (x if self.shortcut is None else self.shortcut(h))


def resnet50(width, channels, classes):
    c_in = round(64 * width)
    middle = [c_in * 2 ** group for group in range(4)]
    layers = OrderedDict(conv1=conv(channels, c_in, 7, 2), bn1=nn.BatchNorm2d(c_in),
                         relu1=nn.ReLU(), pool1=nn.MaxPool2d(3, 2, 1))
    for group, (blocks, c_mid) in enumerate(zip((3, 4, 6, 3), middle, strict=True), start=1):
        named = OrderedDict()
        for i in range(blocks):
            named[f"block{i}"] = Bottleneck(c_in, c_mid, 2 if group > 1 and not i else 1)
            named[f"relu{i}"] = nn.ReLU()
            c_in = 4 * c_mid
        layers[f"group{group}"] = nn.Sequential(named)
    return nn.Sequential(layers | classifier(c_in, classes))


class Bottleneck(nn.Module):
    """1x1, 3x3 and 1x1 convolutions with batch norm, added to the input."""

    def __init__(self, c_in, c_mid, stride):
        super().__init__()
        c_out = 4 * c_mid
        self.conv1, self.bn1 = conv(c_in, c_mid, 1), nn.BatchNorm2d(c_mid)
        self.conv2, self.bn2 = conv(c_mid, c_mid, 3, stride), nn.BatchNorm2d(c_mid)
        self.conv3, self.bn3 = conv(c_mid, c_out, 1), nn.BatchNorm2d(c_out)
        same = c_in == c_out and stride == 1
        self.shortcut = None if same else nn.Sequential(OrderedDict(
            conv=conv(c_in, c_out, 1, stride), bn=nn.BatchNorm2d(c_out)))

    def forward(self, x):
        y = self.bn2(self.conv2(self.bn1(self.conv1(x)).relu())).relu()
        return self.bn3(self.conv3(y)) + (x if self.shortcut is None else self.shortcut(x))


def conv(c_in, c_out, kernel, stride=1):
    return nn.Conv2d(c_in, c_out, kernel, stride, kernel // 2, bias=False)


def classifier(c_in, classes):
    return OrderedDict(pool=nn.AdaptiveAvgPool2d(1), flatten=nn.Flatten(),
                       fc=nn.Linear(c_in, classes))
