# %% [markdown]
# # 2. Backward by hand
#
# *Needs no other lesson; [lesson 1](01_convolution.ipynb) is the way there. Reading 40 minutes,
# exercises 75 minutes, estimated. Runs 5 seconds.*
#
# ## Question
#
# How do you know that a gradient is right?
#
# To train is to ask of each weight: if it grows by a little, by how much does the loss? That is its
# *gradient*. Each layer of the package has a `backward` for it, a few lines, written by hand. A
# wrong one trains as well, only worse, and says nothing.
#
# | letter | meaning |
# |---|---|
# | x, y, w | what goes into a layer, what comes out, its weights |
# | dx, dy, dw | the gradient of the loss by each, of the same shape |

# %%
import inspect
import math

import numpy as np
from matplotlib.figure import Figure

from lessons.predict import predict
from lessons.show import show
from minidsr.nn import im2col
from minidsr.nn.layers import Linear, softmax_cross_entropy
from minidsr.proof import gradcheck
from minidsr.proof.cases import spread
from minidsr.run import style

# %% [markdown]
# ## Predict
#
# A gradient can be measured: move x by a small step h up and down, and divide the difference of the
# losses by 2 h. Which step is best in float32, which networks compute with: 1e-8, 1e-5 or 1e-2?

# %%
predict("best step for a difference in float32", ...)

# %% [markdown]
# ## Run
#
# ### Two layers by hand
#
# y = W x, with y₀ = 1 x₀ + 2 x₁, and y₁ = 3 x₀ + 4 x₁. Let the loss grow with y₀ and fall with y₁:
# dy = (1, −1). If x₀ grows by 1, y₀ grows by 1 and y₁ by 3, so the loss by 1 − 3 = −2. Each dx is a
# sum over the outputs, dx = Wᵀ dy; each dW belongs to one input and one output, dW = dy xᵀ.
#
# At the end of the network stands the loss. *Softmax* turns its outputs, the logits, into
# probabilities p_j = exp(l_j) / Σ exp(l); the loss is −log of the one that should be 1. Its
# gradient is p, minus 1 at the label. It sums to 0: where all logits grow alike, p stays.

# %%
rng = np.random.default_rng(seed=0)
layer = Linear(2, 2, bias=False, rng=rng, dtype=np.float64)
layer.weight.value[...] = [[1, 2], [3, 4]]
y = layer.forward(np.array([[1.0, 2.0]]), train=True)
dx, dW = layer.backward(np.array([[1.0, -1.0]])), layer.weight.grad
print(f"y = {y[0]}, dx = {dx[0]}, dW =\n{dW}\n")
loss, dlogits = softmax_cross_entropy(np.array([[2.0, 1.0, 0.0]]), np.array([0]))
print(f"loss {loss:.4f}, gradient {dlogits[0].round(4)}, sum {abs(dlogits.sum()):.0f}")

# %% [markdown]
# ### The way back through a window
#
# A convolution of a row of five pixels with three taps: y₀ = w₀ x₀ + w₁ x₁ + w₂ x₂, and so on. Each
# product w x is in one y. On the way back its dy comes to both: to x times w, to w times x.


# %%
def strip(axes, title, upper, lower, arrows, goal):
    """Two rows of cells; arrows {(from, to): label} go down, those into `goal` are thick."""
    centre = {"ha": "center", "va": "center"}
    for height, names in ((1, upper), (0, lower)):
        for i, name in enumerate(names):
            colour = style.SKY if height == 0 and i == goal else "white"
            axes.text(i + (5 - len(names)) / 2, height, name, **centre,
                      bbox={"facecolor": colour, "edgecolor": "0.4"})
    for (i, j), label in arrows.items():
        x, to = i + (5 - len(upper)) / 2, j + (5 - len(lower)) / 2
        width, colour = (1.6, "black") if j == goal else (0.6, "0.7")
        axes.annotate("", (to, 0.17), (x, 0.83), arrowprops={
            "arrowstyle": "->", "linewidth": width, "color": colour})
        if j == goal:
            box = {"facecolor": "white", "linewidth": 0, "pad": 1}
            axes.text(x + 0.3 * (to - x), 0.6, label, **centre, bbox=box, fontsize=9)
    axes.set(xlim=(-0.5, 4.5), ylim=(-0.3, 1.3), title=title)
    axes.set_axis_off()


pixels, outputs, taps = ([f"{x}{i}" for i in "₀₁₂₃₄"[:int(n)]] for x, n in ("x5", "y3", "w3"))
with style.own_style():
    figure = Figure(figsize=(10, 2.4), layout="constrained", dpi=100)
    one, two, three = figure.subplots(1, 3)
    products = [(t, i, t + i) for i in range(3) for t in range(3)]  # tap, output, pixel
    strip(one, "forward: y₁", pixels, outputs, {(p, i): taps[t] for t, i, p in products}, 1)
    strip(two, "back: dx₂", [f"d{y}" for y in outputs], [f"d{x}" for x in pixels],
          {(i, p): taps[t] for t, i, p in products}, 2)
    strip(three, "back: dw₀", [f"d{y}" for y in outputs], [f"d{w}" for w in taps],
          {(i, t): pixels[p] for t, i, p in products}, 0)
show(figure, "02_taps", alt="""Arrows between five pixels and three outputs. Forward, y1 gets x1, x2
    and x3, times w0, w1 and w2. Back, the same arrows are turned round: dx2 gets dy0, dy1 and dy2,
    times w2, w1 and w0. And dw0 gets dy0, dy1 and dy2, times x0, x1 and x2.""")

# %% [markdown]
# Lesson 1 writes it as y = w · columns. So dw = dy · columnsᵀ, and the gradient of the columns is
# wᵀ · dy. Columns are copies of pixels; the way back from copies is to add them up. A pixel in the
# middle is in nine windows, one in the corner in four:

# %%
ones = np.ones((1, 1, 4, 4))
windows = im2col.images(im2col.columns(ones, 3, 1, 1), ones.shape, 3, 1, 1)[0, 0]
print(windows)

# %% [markdown]
# ### Tested without an example
#
# Move x by any u. By dx the loss changes by Σ dx · u. And as a convolution is linear, y moves by
# conv(u, w), so by dy the loss changes by Σ dy · conv(u, w). The same for w and any v. In whole
# numbers nothing is rounded, so both must be *equal*:

# %%
x, w, dy = (rng.integers(-9, 10, shape).astype(float)
            for shape in ((2, 3, 5, 5), (4, 3, 3, 3), (2, 4, 3, 3)))
dx_conv, dw_conv = im2col.backward(x, dy, w, 2, 1)
u, v = (rng.integers(-9, 10, shape) for shape in (x.shape, w.shape))
by_dx, by_dw = (dx_conv * u).sum(), (dw_conv * v).sum()
by_dy = (dy * im2col.forward(u, w, 2, 1)).sum(), (dy * im2col.forward(x, v, 2, 1)).sum()
print(f"x by u: {by_dx:g} = {by_dy[0]:g}, w by v: {by_dw:g} = {by_dy[1]:g}")

# %% [markdown]
# ### Tested by differences
#
# What is not linear has no such test, but differences know no formula: (f(x + h) − f(x − h)) / 2h.
# How near do they come? Of sin at 1, where the right answer is cos 1:


# %%
def error(dtype, h):
    """How far the difference is off, as a share of cos 1; all in numbers of this type."""
    x, h = dtype(1), dtype(h)
    above, below = (dtype(math.sin(to)) for to in (x + h, x - h))
    return abs(float((above - below) / (dtype(2) * h)) / math.cos(1) - 1)  # 1 is off by 100 %


steps = 10.0 ** -np.arange(1, 13)
errors = {kind.__name__: [error(kind, h) for h in steps] for kind in (np.float64, np.float32)}
for name, i in ("float64", 5), ("float64", 9), ("float32", 2), ("float32", 8):
    print(f"{name}, h = 1e-{i}: off by {errors[name][i - 1]:.0e}")
predict("best step for a difference in float32")
with style.own_style():
    figure = Figure(figsize=(8, 3.6), layout="constrained", dpi=100)
    axes = figure.subplots()
    looks = {"float64": (style.BLUE, "o-"), "float32": (style.VERMILLION, "s--")}
    for name, (colour, look) in looks.items():
        axes.plot(steps, errors[name], look, color=colour, markersize=4)
    style.finish(axes, xscale="log", yscale="log", xlabel="step h", ylabel="relative error",
                 title="the derivative of sin at 1, by differences")
    axes.invert_xaxis()
    style.label_ends(axes, [(name, steps[-1], errors[name][-1], colour)
                            for name, (colour, _) in looks.items()])
show(figure, "02_differences", alt=f"""Relative error against the step, from 0.1 down to 1e-12. Two
    lines, each a V: it falls with the step, then rises, as rounding matters more. float64 is best
    at 1e-5, off by {min(errors['float64']):.0e}; float32 at 1e-2, {min(errors['float32']):.0e}.""")

# %% [markdown]
# ### Zeros hide bugs
#
# A layer with one of three faults. `gradcheck.check_layer` moves some numbers, and all in a random
# direction; once where x and W are 0, once where they are `spread`: all different, none 0.


# %%
class Faulty(Linear):
    def backward(self, dy):
        dx = super().backward(dy)
        if self.fault == "W not transposed":
            dx = dy @ self.weight.theta().T
        if self.fault == "rows in reverse":
            dx = dx[::-1]
        if self.fault == "dW as a mean":
            self.weight.grad = self.weight.grad / len(dy)
        return dx


def passes(fault, numbers):
    layer = Faulty(4, 4, bias=False, rng=rng, dtype=np.float64)
    layer.fault, layer.weight.value[...] = fault, numbers((4, 4))
    try:
        gradcheck.check_layer(layer, numbers((3, 4)), np.random.default_rng(0))
    except gradcheck.GradientError:
        return False
    return True


verdicts = {}
for fault in ("no fault", "W not transposed", "rows in reverse", "dW as a mean"):
    verdicts[fault] = passes(fault, np.zeros), passes(fault, lambda shape: spread(shape, rng))
    print(f"{fault:<16}  passes at zeros: {verdicts[fault][0]}, spread: {verdicts[fault][1]}")

# %% [markdown]
# ## Check

# %%
assert dx.tolist() == [[-2, -2]] and dW.tolist() == [[1, 2], [-1, -2]]
assert abs(loss - 0.4076) < 5e-5 and np.allclose(dlogits, [-0.3348, 0.2447, 0.09], atol=5e-5)
assert windows.tolist() == [[4, 6, 6, 4], [6, 9, 9, 6], [6, 9, 9, 6], [4, 6, 6, 4]]
assert (by_dx, by_dw) == by_dy
assert errors["float32"][1] < 1e-4 < errors["float32"][4] and errors["float32"][7] == 1
assert verdicts.pop("no fault") == (True, True) and set(verdicts.values()) == {(True, False)}

# %% [markdown]
# ## Read the code

# %%
for part in (Linear.backward, softmax_cross_entropy, im2col.backward, im2col.images,
             gradcheck.check_gradient):
    print(inspect.getsource(part))

# %% [markdown]
# ## Notice
#
# - A sum forward is a copy on the way back, and a copy forward a sum: as with pixels in windows.
# - The loss is a mean over N images; `softmax_cross_entropy` divides by N, and no layer after it.
# - A square layer takes W for Wᵀ. Test with sizes that are all different.
# - Gradients are checked in float64, where differences are good to ten digits; trained in float32.
# - A sparse layer's gradient is checked at its free numbers, through θ = g(φ; ψ) (section 3).
#
# ## Exercises
#
# | name | | minutes, estimated | |
# |---|---|---|---|
# | `linear_backward` | ★ | 10 | two products of matrices |
# | `softmax_cross_entropy` | ★★ | 15 | the loss, its gradient, and no overflow |
# | `conv_backward` | ★★★ | 35 | back through windows, pad and stride |
# | `exposes` | ★★ | 15 | a test that finds wrong layers, and accuses no right one |
#
# `python -m lessons.check 2` makes a file for them, judges them, and has hints.
#
# ## Open question
#
# Construct a layer whose gradient is wrong, and passes a gradient check with probability 1.
#
# ## Next
#
# Lesson 3: a residual network from parts.
