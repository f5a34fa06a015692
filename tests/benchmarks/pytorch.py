"""The same networks and convolutions in PyTorch, for comparison."""

import torch
import torch.nn.functional as F
from torch import nn

FORMATS = {"NCHW": torch.contiguous_format, "channels-last": torch.channels_last}


class Block(nn.Module):
    """BN, ReLU, conv, BN, ReLU, conv, added to the input."""

    def __init__(self, c_in, c_out, stride):
        super().__init__()
        self.bn1, self.bn2 = nn.BatchNorm2d(c_in), nn.BatchNorm2d(c_out)
        self.conv1 = nn.Conv2d(c_in, c_out, 3, stride, 1, bias=False)
        self.conv2 = nn.Conv2d(c_out, c_out, 3, 1, 1, bias=False)
        self.shortcut = (None if c_in == c_out and stride == 1
                         else nn.Conv2d(c_in, c_out, 1, stride, bias=False))

    def forward(self, x):
        h = F.relu(self.bn1(x))
        y = self.conv2(F.relu(self.bn2(self.conv1(h))))
        return y + (x if self.shortcut is None else self.shortcut(h))


def wide_resnet(depth, width):
    """As minidsr.nn.models.wide_resnet."""
    widths = [16, *(round(c * width) for c in (16, 32, 64))]
    layers = [nn.Conv2d(3, 16, 3, 1, 1, bias=False)]
    for group, (c_in, c_out) in enumerate(zip(widths, widths[1:], strict=False)):
        for i in range((depth - 4) // 6):
            layers.append(Block(c_out if i else c_in, c_out, 2 if group and not i else 1))
    return nn.Sequential(*layers, nn.BatchNorm2d(widths[-1]), nn.ReLU(), nn.AdaptiveAvgPool2d(1),
                         nn.Flatten(), nn.Linear(widths[-1], 10))


def small_cnn():
    """As minidsr.nn.models.small_cnn."""
    def conv(c_in, c_out, stride=1):
        return [nn.Conv2d(c_in, c_out, 3, stride, 1, bias=False), nn.BatchNorm2d(c_out), nn.ReLU()]

    return nn.Sequential(*conv(3, 16, 2), *conv(16, 32), nn.MaxPool2d(2), *conv(32, 32),
                         *conv(32, 64), nn.MaxPool2d(2), *conv(64, 64), nn.AdaptiveAvgPool2d(1),
                         nn.Flatten(), nn.Linear(64, 10))


def lenet():
    """As minidsr.nn.models.lenet_300_100."""
    widths = (784, 300, 100, 10)
    layers = [part for c_in, c_out in zip(widths, widths[1:], strict=False)
              for part in (nn.Linear(c_in, c_out, bias=False), nn.BatchNorm1d(c_out), nn.ReLU())]
    return nn.Sequential(nn.Flatten(), *layers[:-1])


def build(name):
    """The network of this name."""
    if name.startswith("wrn"):
        _, depth, width = name.split("-")
        return wide_resnet(int(depth), float(width))
    return {"small-cnn": small_cnn, "lenet-300-100": lenet}[name]()


def sparsifiable(model):
    """The weights that minidsr may make sparse: of 3x3 convolutions but the first; or, of a network
    without one, of linear layers."""
    convs = [m.weight for m in model.modules()
             if isinstance(m, nn.Conv2d) and m.kernel_size == (3, 3)]
    return convs[1:] or [m.weight for m in model.modules() if isinstance(m, nn.Linear)]


class Network:
    """A network in training: step() and forward(). With masks of some `density` on dense tensors,
    or None; compiled by torch.compile, or eager."""

    def __init__(self, name, image, batch, layout, device="cpu", density=0.1, compiled=False):
        torch.manual_seed(0)
        device = {"cpu": "cpu", "gpu": "cuda"}[device]
        self.model = build(name).to(device, memory_format=FORMATS[layout])
        self.run = torch.compile(self.model) if compiled else self.model
        self.x = torch.randn(batch, *image).to(device, memory_format=FORMATS[layout])
        self.y = torch.randint(0, 10, (batch,), device=device)
        self.sgd = torch.optim.SGD(self.model.parameters(), lr=1e-3, momentum=0.9, nesterov=True,
                                   weight_decay=5e-4)
        self.masks = [] if density is None else [
            (p, (torch.rand_like(p) < density).float())
            for p in sparsifiable(self.model)]

    def forward(self):
        self.model.eval()
        with torch.no_grad():
            self.run(self.x)
        self.model.train()

    def step(self):
        self.sgd.zero_grad()
        F.cross_entropy(self.run(self.x), self.y).backward()
        for p, mask in self.masks:
            p.grad.mul_(mask)
        self.sgd.step()
        with torch.no_grad():
            for p, mask in self.masks:
                p.mul_(mask)


class Conv:
    """One convolution, forward and backward."""

    def __init__(self, x_shape, w_shape, stride, layout):
        F_, _, k, _ = w_shape
        self.x = torch.randn(x_shape).to(memory_format=FORMATS[layout]).requires_grad_()
        self.conv = nn.Conv2d(w_shape[1], F_, k, stride, k // 2, bias=False).to(
            memory_format=FORMATS[layout])
        self.dy = torch.randn_like(self.conv(self.x))

    def __call__(self):
        torch.autograd.grad(self.conv(self.x), (self.x, self.conv.weight), self.dy)
