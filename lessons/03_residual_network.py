# %% [markdown]
# # 3. A residual network from parts
#
# *Needs no other lesson. Reading 40 minutes, exercises 70 minutes, estimated. Runs 5 seconds.*
#
# ## Question
#
# Why does a deep network train at all?
#
# Sixteen layers multiply sixteen times. If each makes numbers a bit smaller, nothing is left at the
# end; a bit larger, and they are beyond all bounds. Three things keep them in the middle: how large
# weights are at first, batch norm, and the way around a block.
#
# N are the images of a batch, C the channels that go into a layer, F those that come out.

# %%
import inspect

import numpy as np
from matplotlib.figure import Figure

from lessons.predict import predict
from lessons.show import show
from minidsr import build
from minidsr.fast import norm
from minidsr.nn.base import Residual, Sequential
from minidsr.nn.layers import BatchNorm, Conv2d, ReLU
from minidsr.run import style

# %% [markdown]
# ## Predict
#
# Batch norm adds up many numbers. Begin with 0, a float32, and add 1 twenty million times. What
# comes out? Write a number in place of the dots.

# %%
predict("add 1 to a float32 twenty million times", ...)

# %% [markdown]
# ## Run
#
# ### Sums
#
# A float32 has 24 binary digits. `cumsum` adds one number after another; `sum` adds in pairs.

# %%
ones = np.ones(20_000_000, np.float32)
one_by_one, in_pairs = int(ones.cumsum()[-1]), int(ones.sum())
print(f"one after another {one_by_one:,}, in pairs {in_pairs:,}; 2²⁴ is {2**24:,}")
del ones
predict("add 1 to a float32 twenty million times")

# %% [markdown]
# At 2²⁴ the next float32 is 2 away, and 1 more is rounded back. A variance is worse. It is often
# written as the mean of x² less the square of the mean: two large numbers that are nearly the same.
# Here are 100,000 numbers, 1000 ± 0.1, whose variance is 0.01.

# %% tags=["varies"]
x = (1000 + 0.1 * np.random.default_rng(0).standard_normal(100_000)).astype(np.float32)
short = float((x * x).mean() - x.mean() ** 2)
two_passes = float(((x - x.mean()) ** 2).mean())
chunks = [norm.moments(part.reshape(100, 1, 10)) for part in np.split(x, 100)]
joined = float(norm.joined(chunks)[1][0])
print(f"E[x²] - E[x]²  {short:.4f}")
print(f"two passes     {two_passes:.4f}")
print(f"by chunks      {joined:.4f}   (as the package's fast batch norm joins those of threads)")

# %% [markdown]
# ### Layers upon layers
#
# Sixteen 3 × 3 convolutions of 16 channels, each with ReLU behind it, on random images. The paper's
# code draws initial weights with a standard deviation of √(2 / (9 F)). PyTorch's default is
# √(1 / (27 C)), which is √6 times less where C = F.

# %%
F = 16
paper = (2 / (9 * F)) ** 0.5
scales = {"twice the paper's": 2 * paper, "the paper's": paper,
          "PyTorch's": (1 / (27 * F)) ** 0.5}
images = np.random.default_rng(1).standard_normal((4, F, 12, 12))


def convolution(scale, i):
    layer = Conv2d(F, F, 3, pad=1, rng=np.random.default_rng(i), dtype=np.float64)
    layer.weight.value *= scale / paper
    return layer


def deviations(scale, with_norm):
    """Of what comes out of each of 16 layers, before ReLU."""
    h, found = images, []
    for i in range(16):
        h = convolution(scale, i).forward(h)
        if with_norm:
            h = BatchNorm(F, dtype=np.float64).forward(h, train=True)
        found.append(h.std())
        h = ReLU().forward(h)
    return found


found = {(name, with_norm): deviations(scale, with_norm)
         for name, scale in scales.items() for with_norm in (False, True)}
for (name, with_norm), numbers in found.items():
    print(f"{name:<17}  {scales[name]:.3f}  {'with' if with_norm else 'no'} batch norm: "
          f"layer 1 {numbers[0]:.2g}, layer 16 {numbers[-1]:.2g}")

# %%
looks = dict(zip(scales, [(style.BLUE, "^", "--"), (style.BLACK, "o", "-"),
                          (style.VERMILLION, "s", "-.")], strict=True))
with style.own_style():
    figure = Figure(figsize=(10, 3.6), layout="constrained", dpi=100)
    for axes, with_norm in zip(figure.subplots(1, 2, sharey=True), (False, True), strict=True):
        ends = []
        for name, (colour, mark, dashes) in looks.items():
            numbers = found[name, with_norm]
            axes.plot(range(1, 17), numbers, color=colour, marker=mark, linestyle=dashes,
                      markersize=4)
            ends.append((name, 16, numbers[-1], colour))
        style.finish(axes, yscale="log", xlabel="layer", ylabel="standard deviation",
                     xticks=range(1, 17, 3), title=f"with{'' if with_norm else 'out'} batch norm")
        style.label_ends(axes, ends)
last = {name: found[name, False][-1] for name in scales}
show(figure, "03_deviations", alt=f"""Standard deviation of what 16 layers give, on a logarithmic
    axis. Without batch norm three lines part: after 16 layers it is
    {last["twice the paper's"]:.1g} with twice the paper's initial scale, {last["the paper's"]:.1g}
    with the paper's, {last["PyTorch's"]:.1g} with PyTorch's. With batch norm all three are one
    flat line at 1.""")

# %% [markdown]
# Batch norm makes the scale of weights nearly indifferent to what comes out. It is not so to
# training: the same step turns a small weight further than a large one. What that did to a result
# is in `lessons/results/README.md`.
#
# ### The way around
#
# A residual block adds what it computes to what came in: y = x + body(x). On the way back dy goes
# through the body, and around it. Here are 16 bodies, a convolution and ReLU each, of PyTorch's
# scale, without batch norm: how large is the gradient that comes out at the first layer?


# %%
def gradient(around):
    """The standard deviation of the gradient by the images, of a random gradient by the result."""
    blocks = {}
    for i in range(16):
        body = Sequential(**{f"conv{i}": convolution(scales["PyTorch's"], i), f"relu{i}": ReLU()})
        blocks[f"block{i}"] = Residual(before=Sequential(), body=body) if around else body
    model = Sequential(**blocks)
    dy = np.random.default_rng(2).standard_normal(model.forward(images, train=True).shape)
    return model.backward(dy).std()


through, around = gradient(False), gradient(True)
print(f"through all bodies {through:.1e}, with a way around each {around:.1f}")

# %% [markdown]
# ### A network
#
# `wrn-16-1`: a convolution, three groups of two such blocks, batch norm, a linear layer. Only the
# 3 × 3 convolutions of the blocks may be made sparse.

# %%
model = build("wrn-16-1", image=(3, 32, 32), classes=10, rng=np.random.default_rng(0))
sizes = {name: p.value.size for name, p in model.named_params().items()}
sparse = {f"{name}.weight" for name in model.sparsifiable_layers()}
of_sparse = sum(sizes[name] for name in sparse)
print(f"{model.free_parameters():,} parameters: {of_sparse:,} in {len(sparse)} tensors that may be "
      f"sparse, {model.free_parameters() - of_sparse:,} elsewhere")

with style.own_style():
    figure = Figure(figsize=(9, 3.6), layout="constrained", dpi=100)
    axes = figure.subplots()
    for i, (name, size) in enumerate(sizes.items()):
        may = name in sparse
        axes.bar(i, size, 0.85, color=style.SKY if may else "0.75", hatch="//" * may,
                 edgecolor="black", linewidth=0.6, label="may be sparse" if may else "stays dense")
    handles = dict(zip(*axes.get_legend_handles_labels()[::-1], strict=True))
    parts = ["conv1", "group1", "group2", "group3", "bn", "fc"]
    middles = [np.mean([i for i, name in enumerate(sizes) if name.startswith(f"{part}.")])
               for part in parts]
    style.finish(axes, yscale="log", ylabel="numbers", title="tensors of wrn-16-1, in order",
                 xticks=middles, xticklabels=parts)
    axes.legend(handles.values(), handles.keys(), loc="upper left", frameon=False)
show(figure, "03_network", alt=f"""A bar for each of {len(sizes)} tensors of wrn-16-1, in order, as
    high as it has numbers, on a logarithmic axis. {len(sparse)} hatched ones may be sparse: four in
    each of three groups, of 2,304 numbers in the first to 36,864 in the last. Grey ones, batch
    norms, shortcuts and both ends, stay dense; none has more than 2,048.""")

# %% [markdown]
# ## Check

# %%
assert one_by_one == 2**24 and in_pairs == 20_000_000
assert abs(two_passes - 0.01) < 1e-4 and abs(joined - 0.01) < 1e-4
assert short % 2**-4 == 0  # float32 near a million have no finer steps: 0.01 is out of reach
assert np.isclose(scales["the paper's"] / scales["PyTorch's"], 6 ** 0.5)
assert all(np.isclose(n, 1, atol=0.05) for (_, norm_), ns in found.items() if norm_ for n in ns)
assert last["PyTorch's"] < 1e-4 and last["twice the paper's"] > 1e3
assert through < 1e-4 < 0.1 < around
assert (model.free_parameters(), of_sparse, len(sparse)) == (175_066, 170_496, 12)

# %% [markdown]
# ## Read the code

# %%
for part in (BatchNorm, Residual, norm.joined):
    print(inspect.getsource(part))

# %% [markdown]
# ## Notice
#
# - Batch norm has two numbers a channel that are trained, and two that are kept for later.
# - Each number of a batch moves mean and variance, and by them all others of its channel.
# - Of wrn-16-1, 97 % may be sparse. The rest counts in the budget (section 3 of the paper).
# - A way around has weights only where channels change; these stay dense.
#
# ## Exercises
#
# | name | | minutes, estimated | |
# |---|---|---|---|
# | `batch_norm` | ★ | 10 | mean and variance of a channel |
# | `running` | ★ | 10 | what is kept of them |
# | `batch_norm_backward` | ★★★ | 30 | when each number moves all others |
# | `parameters` | ★★ | 20 | count a network without building it |
#
# `python -m lessons.check 3` makes a file for them, judges them, and has hints.
#
# ## Open question
#
# Take batch norm away. What else must change so that 16 layers train: the initial scale, the
# learning rate, a factor of 0 at the end of each block?
#
# ## Next
#
# [Lesson 4](04_training_it.ipynb): what happens between two batches.
