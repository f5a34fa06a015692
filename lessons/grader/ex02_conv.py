"""Lesson 2: conv_backward."""

import numpy as np

from lessons.solutions import ex02 as solved
from minidsr.proof import naive

from .exercise import Exercise, Plug
from .grids import SMALL, direction, drawn, quarters, sizes, whole
from .plug import DENSE


def small():
    return (_case(whole, seed, *sizes) for seed, sizes in enumerate(SMALL))


def cases():
    return sizes().map(lambda drawn: _case(quarters, drawn[1], *drawn[0]))


def _case(numbers, seed, N, C, F, H, W, k, s, p):
    OH, OW = (naive.out_size(size, k, s, p) for size in (H, W))
    return *numbers(seed, (N, C, H, W), (F, C, k, k), (N, F, OH, OW)), s, p


def level(x, w, dy, s, p):
    k = w.shape[2]
    if any((size + 2 * p - k) % s for size in x.shape[2:]):
        return 3
    return 2 if p else int(k > s and dy[0, 0].size > 1)


def gradients_have_shapes(g, x, w, dy, s, p):
    """dx has the shape of x, dw that of w"""
    dx, dw = map(np.shape, g)
    return (dx, dw) == (x.shape, w.shape) or f"yours are {dx} and {dw}"


def by_x(g, x, w, dy, s, p):
    """where x moves by any u, the sum of dx * u is the sum of dy * conv(u, w)"""
    u, = direction(x.shape)
    return (np.array(g[0]) * u).sum() == (dy * naive.conv2d(u, w, s, p)).sum()


def by_w(g, x, w, dy, s, p):
    """where w moves by any v, the sum of dw * v is the sum of dy * conv(x, v)"""
    v, = direction(w.shape)
    return (np.array(g[1]) * v).sum() == (dy * naive.conv2d(x, v, s, p)).sum()


def picture(g, x, w, dy, s, p):
    dx, dw = solved.conv_backward(x, w, dy, s, p)
    rows = [{"x": x, "w": w, "dy": dy}]
    if g is not None:
        rows += {"dx": dx}, {"your dx": g[0]}, {"dw": dw}, {"your dw": g[1]}
    return "\n\n".join([f"s = {s}, p = {p}", *map(drawn, rows)])


# --- mistakes


def channels_for_filters(x, w, dy, s, p):
    """w is (F, C, k, k); dx needs it from filters to channels. reshape() to (C, F, k, k) puts other
    numbers there: which function exchanges two axes?"""
    F, C, k, _ = w.shape
    turned = w.reshape(C, F, k, k).transpose(1, 0, 2, 3)
    return solved.conv_backward(x, turned, dy, s, p)[0], solved.conv_backward(x, w, dy, s, p)[1]


def overwrites(x, w, dy, s, p):
    """Where windows overlap, only the last one's gradient is left in dx. In how many windows is
    pixel (1, 1), and what does each of them send back?"""
    (H, W), k, (OH, OW) = x.shape[2:], w.shape[2], dy.shape[2:]
    dx = np.zeros((*x.shape[:2], H + 2 * p, W + 2 * p))
    for i, j in np.ndindex(OH, OW):
        dx[:, :, s * i:s * i + k, s * j:s * j + k] = np.einsum(
            "nf,fckl->nckl", dy[:, :, i, j], w)
    return dx[:, :, p:p + H, p:p + W], solved.conv_backward(x, w, dy, s, p)[1]


def with_the_pad(x, w, dy, s, p):
    """dx has the gradients of the zeros of the pad as well. Which shape must it have?"""
    padded = np.pad(x, ((0, 0), (0, 0), (p, p), (p, p)))
    return solved.conv_backward(padded, w, dy, s, 0)


def cuts_with_minus(x, w, dy, s, p):
    """The pad is cut off by p:-p. What does a slice 0:-0 leave?"""
    dx, dw = with_the_pad(x, w, dy, s, p)
    return dx[:, :, p:-p, p:-p], dw


def cuts_the_end(x, w, dy, s, p):
    """The pad is cut off at the end only. Where do the pixels of x lie among its zeros?"""
    H, W = x.shape[2:]
    dx, dw = with_the_pad(x, w, dy, s, p)
    return dx[:, :, :H, :W], dw


def flipped(x, w, dy, s, p):
    """The kernel is turned by half a turn on the way back. If tap (0, 0) saw a pixel, by which tap
    does that pixel's gradient come?"""
    dx, _ = solved.conv_backward(x, w[:, :, ::-1, ::-1], dy, s, p)
    return dx, solved.conv_backward(x, w, dy, s, p)[1]


def one_image(x, w, dy, s, p):
    """dw is that of the first image. All of them have gone through w."""
    _, dw = solved.conv_backward(x[:1], w, dy[:1], s, p)
    return solved.conv_backward(x, w, dy, s, p)[0], dw


def whole_numbers(x, w, dy, s, p):
    """Fractions are cut off."""
    return tuple(a.astype(int) for a in solved.conv_backward(x, w, dy, s, p))


def as_backward(f):
    def backward(layer, dy):
        (x,), layer.cache = layer.cache, None
        dx, dw = f(x, layer.weight.theta(), dy, layer.stride, layer.pad)
        layer.weight.pull(np.ascontiguousarray(dw, dy.dtype))
        return np.ascontiguousarray(dx, dy.dtype)
    return backward


conv_backward = Exercise(
    name="conv_backward", stars=3, minutes=35,
    small=small, cases=cases(),
    levels=("windows that do not overlap, no pad", "windows overlap", "a pad",
            "a stride that leaves pixels over"),
    level=level,
    properties=(gradients_have_shapes, by_x, by_w),
    picture=picture,
    mistakes=(channels_for_filters, overwrites, with_the_pad, cuts_with_minus, cuts_the_end,
              flipped, one_image),
    lazy=(whole_numbers,),
    hints=(
        "y[n, f, i, j] is a sum of products w · x. Take one of them: what comes back to its x, and "
        "what to its w, if dy[n, f, i, j] is 5?",
        "Write the forward as loops, and in the place of y += w * x two lines: each adds to one of "
        "the two what dy sends it. It is slow, and right. Then loop over the taps (ky, kx) only: "
        "each is a product of matrices between dy and the shifted, padded x.",
        "Begin with zeros for the padded image, add to it, as windows overlap, and at the end cut "
        "the pad off on both sides. What stride leaves over gets nothing, and stays 0."),
    plug=Plug(("minidsr.nn.layers.Conv2d.backward",), as_backward, DENSE, 20), seconds=10.0,
    hidden=("minidsr.nn.im2col.backward", "minidsr.nn.im2col.images"))
