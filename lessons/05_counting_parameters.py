# %% [markdown]
# # 5. Counting parameters: θ = g(φ; ψ)
#
# *Needs no other lesson; [lesson 0](00_see_it_move.ipynb) shows what it is for. Reading 35 minutes,
# exercises 55 minutes, estimated. Runs 5 seconds.*
#
# ## Question
#
# What is a parameter? A layer multiplies with a tensor of so many numbers. How many of them can be
# chosen freely, and what does it cost to keep them?
#
# | letter | meaning |
# |---|---|
# | θ | the dense tensor that a layer computes with |
# | φ | the free numbers: what SGD trains |
# | ψ | the structure: what says where they go |
# | g | what makes θ of them: θ = g(φ; ψ) |

# %%
import inspect
import re

import numpy as np
from matplotlib.figure import Figure

from lessons import RESULTS
from lessons.predict import predict
from lessons.show import show
from minidsr import METHODS, build
from minidsr.density import uniform
from minidsr.methods.hashed import Hashed
from minidsr.parameters import Dense, Sparse
from minidsr.run import style

# %% [markdown]
# ## Predict
#
# Training keeps three numbers of four bytes for each weight: value, gradient and velocity. A sparse
# tensor keeps the position, too: four bytes more. From which sparsity on (the share of positions
# without a weight) does it take less memory than a dense one?

# %%
predict("sparsity from which on sparse takes less memory than dense", ...)

# %% [markdown]
# ## Run
#
# ### Twelve positions, three ways to fill them
#
# - **Dense**: twelve numbers, one a position. *g* does nothing, and there is no ψ.
# - **Sparse**: four numbers, and ψ says at which positions. *g* *scatters* them into zeros.
# - **Hashed** (Chen et al. 2015): four numbers, too, and ψ says for each position which one it
#   takes, and with which sign. *g* *gathers*. Both are hashes of the position, computed when they
#   are needed, so all of ψ is two numbers, `key`.
#
# In the picture, arrows go from φ to θ; where one is dashed, the sign changes.

# %%
phi = np.array([1.0, 3.0, 4.0, 5.0])
dense = Dense(np.arange(1.0, 13.0).reshape(3, 4))
sparse = Sparse((3, 4), np.array([0, 5, 6, 11]), phi)
hashed = Hashed((3, 4), phi, np.array([3653403231, 2735729615], np.uint32))

for W in (dense, sparse, hashed):
    print(f"{type(W).__name__}: {W.value.size} free numbers in {W.size} positions")
    print(W.theta(), "\n")
print("takes the number", hashed.bucket, "with the sign", hashed.sign.astype(int))


# %%
def column(axes, x, numbers, colours):
    """A column of numbers, in rows of four where there are twelve; returns their heights."""
    heights = [i + (0.4 * (i // 4) if len(numbers) == 12 else 4.4) for i in range(len(numbers))]
    for y, number, colour in zip(heights, numbers, colours, strict=True):
        axes.text(x, y, f"{number:^3g}", family="monospace", ha="center", va="center",
                  bbox={"facecolor": colour, "edgecolor": "0.4"})
    return heights


def draw(axes, W, number_at, sign, title):
    """φ at the left, θ at the right; number_at is {position: which number}."""
    few = [style.ORANGE, style.SKY, style.GREEN, style.PURPLE]
    of = few if W.value.size == 4 else ["0.8"] * 12
    start = column(axes, 0, W.value.reshape(-1), of)
    end = column(axes, 4, W.theta().reshape(-1),
                 [of[number_at[i]] if i in number_at else "white" for i in range(12)])
    for i, j in number_at.items():
        axes.annotate("", (3.5, end[i]), (0.5, start[j]), arrowprops={
            "arrowstyle": "->", "color": of[j], "linestyle": "-" if sign[i] > 0 else "--"})
    axes.set(xlim=(-0.5, 4.5), ylim=(12.4, -1.4), title=title)
    axes.text(0, -1.1, "φ", ha="center"), axes.text(4, -1.1, "θ", ha="center")
    axes.set_axis_off()


with style.own_style():
    figure = Figure(figsize=(9, 4.4), layout="constrained", dpi=100)
    one, two, three = figure.subplots(1, 3)
    draw(one, dense, {i: i for i in range(12)}, np.ones(12), "dense: 12 numbers")
    at = {p: j for j, p in enumerate(sparse.index)}
    draw(two, sparse, at, np.ones(12), "sparse: 4, the rest is 0")
    draw(three, hashed, dict(enumerate(hashed.bucket)), hashed.sign, "hashed: 4, at all positions")
show(figure, "05_three_ways", alt=f"""
    Arrows from free numbers, left, to twelve positions of θ, right. Dense: one arrow for each of
    twelve numbers. Sparse: 1, 3, 4 and 5 go to positions 0, 5, 6 and 11; the others are 0. Hashed:
    the four go to {np.bincount(hashed.bucket)} positions, of which {(hashed.sign < 0).sum()} take
    the other sign; no position is empty.""")

# %% [markdown]
# ### The way back
#
# A layer asks for θ by `theta()`, and hands its gradient dθ back by `pull(dθ)`. A position passes
# its gradient on, with its sign, to the number it takes; there they add up. Let dθ be 1 everywhere:

# %%
for W in (dense, sparse, hashed):
    W.pull(np.ones((3, 4)))
    print(f"{type(W).__name__:<6}  gradient of φ: {W.grad.reshape(-1)}")
assert hashed.grad.tolist() == [2, -1, 1, 0]

# %% [markdown]
# The last hashed number, 5, is used twice, with both signs, and feels nothing.
#
# All three *g* are linear in φ, and `pull` is *g* transposed. So for all φ and dθ
#
# > ⟨*g*(φ), dθ⟩ = ⟨φ, pull(dθ)⟩
#
# with the sum of products on both sides. That is a test of `pull` without an example.

# %%
rng = np.random.default_rng(seed=0)
for W in (dense, sparse, hashed):
    dtheta = rng.integers(-9, 10, W.shape).astype(float)
    W.pull(dtheta)
    left, right = (W.theta() * dtheta).sum(), (W.value * W.grad).sum()
    print(f"{type(W).__name__:<6}  {left:g} = {right:g}")
    assert left == right

# %% [markdown]
# ### A network's parameters
#
# A method chooses what each weight is. `small-cnn` has 69,120 positions in four large convolutions,
# of which 5 % are to be free, and 1,498 numbers elsewhere.

# %%
free = {}
for name in ("dense", "static", "hashed", "dst"):
    method, options = METHODS[name], {"sparsity": 0.95} if name in ("static", "hashed") else {}
    model = build("small-cnn", image=(3, 32, 32), classes=10, rng=rng)
    method(**options).setup(model, rng)
    weights = [layer.weight for layer in model.sparsifiable_layers().values()]
    free[name], used = model.free_parameters(), sum(np.count_nonzero(W.theta()) for W in weights)
    assert free[name] == sum(p.value.size for p in model.params())  # the lengths of all φ
    print(f"{name:<6}  free parameters {free[name]:>6,}   positions not 0 {used:>6,}")

# %% [markdown]
# *Free parameters* are the length of φ; how many positions of θ are not zero is another
# question. Hashed has as few as static, and no zeros. `dst` (lesson 9) trains all weights, and for
# each of 192 outputs a threshold that cuts off small ones: *more* than dense.
#
# ### Bytes
#
# In bytes a position, where the share d (density) holds free numbers: dense 12; dense with a mask
# of one byte, as programs often have it, 13; sparse 16 d; hashed 12 d. Those are lines. Points
# are arrays of wrn-28-2, measured (`lessons/results/speed-avx512`).

# %%
MIB = 1_451_520 / 2**20  # a byte at each position of wrn-28-2's sparsifiable tensors
table = (RESULTS / "speed-avx512" / "speed.md").read_text(encoding="utf-8")
rows = re.findall(r"`wrn-28-2`, (0\.\d+) \| ([\d.]+) \| [\d.]+ \| ([\d.]+)", table)
measured, arrays, engine = np.array(rows, float).T

with style.own_style():
    figure = Figure(figsize=(8, 4.2), layout="constrained", dpi=100)
    axes = figure.subplots()
    lines = {"dense": (12, 12, style.BLACK, "-"), "with a mask": (13, 13, style.GREEN, ":"),
             "sparse": (16, 0, style.VERMILLION, "-"), "hashed": (12, 0, style.BLUE, "--")}
    for first, last, colour, dashes in lines.values():
        axes.plot([0, 1], [first * MIB, last * MIB], color=colour, linestyle=dashes)
    axes.plot(measured, arrays, "o", color=style.VERMILLION, label="sparse, measured")
    axes.plot(measured, engine, "x", color=style.VERMILLION, label="with the engine's indices")
    axes.annotate("as much as dense\nat sparsity 0.25", (0.25, 12 * MIB), (0.2, 4.2),
                  ha="center", arrowprops={"arrowstyle": "->"})
    axes.legend(frameon=False, loc="upper right")
    style.finish(axes, from_zero=True, xlim=(0, 1), xlabel="sparsity", ylabel="MiB",
                 title="wrn-28-2: what training keeps of the sparsifiable weights")
    style.label_ends(axes, [(name, 1, last * MIB, colour)
                            for name, (_, last, colour, _) in lines.items()])
show(figure, "05_bytes", alt="""
    Memory against sparsity. Dense takes 16.6 MiB and dense with a mask 18.0, at any sparsity.
    Sparse falls in a line from 22.1 MiB to 0 and passes dense at sparsity 0.25; hashed falls from
    16.6 to 0. Measured arrays lie on the line of sparse; with the engine's indices they take 1.75
    times as much, and pass dense at 0.57.""")

# %% [markdown]
# ### Whole numbers
#
# How many weights has a tensor of 1,000 positions at sparsity 0.9? No binary number is nine tenths.
# `uniform` takes the decimal one, as it is written.

# %%
print((1 - 0.9) * 1000, int((1 - 0.9) * 1000), uniform([1000], 0.9))

# %% [markdown]
# ## Check

# %%
predict("sparsity from which on sparse takes less memory than dense")
assert 16 * (1 - 0.25) == 12  # so from 0.25 on
assert free["static"] == free["hashed"] == 1_498 + sum(uniform([W.size for W in weights], 0.95))
assert free["dst"] == free["dense"] + 192
assert np.allclose(arrays, 16 * (1 - measured) * MIB, atol=0.06)
assert np.allclose(engine, 28 * (1 - measured) * MIB, atol=0.06)  # 12 of 28 is density 0.43

# %% [markdown]
# ## Read the code

# %%
for function in (Sparse.theta, Sparse.pull, Hashed.theta, Hashed.pull, uniform):
    print(inspect.getsource(function))

# %% [markdown]
# ## Notice
#
# - A layer calls `theta()` and `pull()`, and never knows which *g* it holds (section 3, where the
#   paper writes θ = g(φ; ψ)).
# - The count cannot drift: there is no other record of the free numbers than the array itself.
# - A weight that is gone has no velocity. Behind a mask it has, and may come back with it.
# - SGD trains φ; dynamic sparse reparameterization moves ψ, now and then (section 3).
# - The sparse engine keeps indices to be fast, and breaks even at sparsity 0.57, not 0.25.
#
# ## Exercises
#
# | name | | minutes, estimated | |
# |---|---|---|---|
# | `theta` | ★ | 10 | scatter |
# | `pull` | ★ | 10 | its transpose |
# | `hashed_pull` | ★★ | 15 | gradients of shared numbers |
# | `budget` | ★★ | 15 | whole counts, exactly |
# | `bytes_kept` | ★ | 5 | what training keeps |
#
# `python -m lessons.check 5` makes a file for them, judges them, and has hints.
#
# ## Open question
#
# Invent a fourth *g* with four numbers for twelve positions: circulant, shared slices, cosines. Is
# its `pull` what you think? The equation says, where *g* is linear. And where it is not?
#
# ## Next
#
# [Lesson 6](06_sparse_from_the_start.ipynb): why not dense first, and how many weights where?
