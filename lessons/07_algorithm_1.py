# ---
# jupyter:
#   jupytext:
#     text_representation:
#       extension: .py
#       format_name: percent
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
# ---

# %% [markdown]
# # 7. Algorithm 1, by hand
#
# A sparse network has a fixed number of weights. Where should they be? Dynamic sparse
# reparameterization (Mostafa & Wang, ICML 2019) lets training decide. Every few hundred steps it
#
# 1. **prunes** the weights that are small, by one threshold $H$ for all tensors;
# 2. **adjusts** $H$, so that about $N_p$ weights go each time;
# 3. **grows** as many new weights, at zero, in the tensors whose weights survived.
#
# The number of weights never changes. In this lesson you do one such reallocation by hand, on three
# tensors of a dozen positions, and then compare each step with the code.
#
# | letter | meaning |
# |---|---|
# | $k$ | weights pruned in one tensor |
# | $l$ | weights of one tensor that survive |
# | $K$, $L$ | the sums of $k$ and of $l$ over all tensors |
# | $H$ | the pruning threshold |
# | $N_p$ | how many weights a reallocation should prune |
# | $\delta$ | how far $K$ may stray from $N_p$ before $H$ changes |

# %%
import inspect
from pathlib import Path

import numpy as np
from matplotlib.colors import CenteredNorm
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from minidsr import reparam
from minidsr.parameters import Sparse
from minidsr.run import style

OUT = Path("runs/lessons")  # where the figure goes

# %% [markdown]
# ## Three tensors
#
# A sparse tensor stores its *free numbers* and their positions, nothing else. The dense tensor that
# a layer multiplies with is built when it is needed: zeros, and the free numbers at their places.
#
# We pick twelve positions each, with 5, 4 and 4 free numbers: 13 in all, of 36.


# %%
def three_tensors():
    return [
        Sparse((12,), np.array([0, 2, 5, 7, 11]), np.array([5.0, -4.0, 0.5, 3.0, 2.0])),
        Sparse((12,), np.array([1, 4, 6, 9]), np.array([1.0, -0.1, 0.9, -2.0])),
        Sparse((12,), np.array([3, 4, 8, 10]), np.array([0.2, -0.3, 7.0, 0.0])),
    ]


before = three_tensors()
for W in before:
    print(W.theta())
assert sum(W.value.size for W in before) == 13

# %% [markdown]
# ## Step 1: prune
#
# Let $H = 1$. A weight goes if $|w| < H$, *strictly*. By hand:
#
# - tensor 0: of 5, −4, 0.5, 3, 2 only 0.5 is small. $k_0 = 1$, $l_0 = 4$.
# - tensor 1: of 1, −0.1, 0.9, −2 go −0.1 and 0.9; the 1 equals $H$ and stays. $k_1 = 2$, $l_1 = 2$.
# - tensor 2: of 0.2, −0.3, 7, 0 only the 7 stays. $k_2 = 3$, $l_2 = 1$.
#
# So $K = 6$ and $L = 7$.

# %%
H, N_p, delta = 1.0, 10, 0.1
by_hand = {"k": [1, 2, 3], "l": [4, 2, 1], "K": 6, "L": 7}

pruned = three_tensors()
k = [reparam.prune_by_threshold(W, H) for W in pruned]
l = [W.value.size for W in pruned]
print(f"k = {k}, l = {l}, K = {sum(k)}, L = {sum(l)}")
assert {"k": k, "l": l, "K": sum(k), "L": sum(l)} == by_hand

# %% [markdown]
# There is one threshold for all tensors. That is what lets tensors differ: a tensor of small
# weights loses many, a tensor of large ones few.
#
# ## Step 2: adjust the threshold
#
# We wanted to prune $N_p = 10$, and got $K = 6$. Since $6 < (1 - \delta) \cdot 10 = 9$, the
# threshold was too low: *next time* it is doubled. It would be halved for $K > 11$, and kept in
# between. No weights are sorted, and no one sets a threshold for each layer.

# %%
next_H = reparam.adjust_pruning_threshold(H, sum(k), N_p, delta)
print(f"next H = {next_H}")
assert next_H == 2.0

# %% [markdown]
# ## Step 3: who grows how many?
#
# $K = 6$ new weights are shared in proportion to the survivors, $l / L$:
#
# | tensor | share $K \cdot l / L$ | whole part | remainder | grows |
# |---|---|---|---|---|
# | 0 | 6 · 4/7 = 3.43 | 3 | 0.43 | 3 |
# | 1 | 6 · 2/7 = 1.71 | 1 | 0.71 | 2 |
# | 2 | 6 · 1/7 = 0.86 | 0 | 0.86 | 1 |
# | sum | 6 | 4 | | **6** |
#
# The whole parts add up to 4. The two that are missing go to the two largest remainders, as
# seats go to parties in some parliaments. Rounding each share by itself would not do: it can
# give 5 or 7 weights for 6, and the budget would drift.
#
# Tensor 0 lost one weight and gains three; tensor 2 lost three and gains one. Weights *moved
# between tensors*.

# %%
room = [W.size - W.value.size for W in before]  # positions that were free before pruning
g = reparam.apportion(sum(k), l, room)
print(f"grown = {g}, of room for {room}")
assert g == [3, 2, 1]

# %% [markdown]
# ## Step 4: where?
#
# Each tensor draws its new positions uniformly from those that were free *before* pruning, so
# that a pruned weight does not come straight back. New weights start at zero. The function that
# the network computes does not change by growing; the next gradient decides what they become.

# %%
after = three_tensors()
next_H, report = reparam.reallocate(after, H, N_p, delta, np.random.default_rng(seed=0))
print(report)

assert next_H == 2.0
assert report.pruned == [1, 2, 3]
assert report.grown == [3, 2, 1]
assert report.active == [7, 4, 2]  # 4 + 3, 2 + 2, 1 + 1
assert sum(W.value.size for W in after) == 13  # as before
for old, new in zip(before, after, strict=True):
    survivors = {p: v for p, v in zip(old.index, old.value, strict=True) if abs(v) >= H}
    grown = set(new.index) - set(survivors)
    assert survivors == {p: new.theta()[p] for p in survivors}  # untouched
    assert all(new.theta()[p] == 0 for p in grown)  # at zero
    assert not grown & set(old.index)  # on positions that were free

# %% [markdown]
# ## The code
#
# Now read it. `reallocate` is Algorithm 1, in the order you just went through.

# %%
print(inspect.getsource(reparam.reallocate))

# %% [markdown]
# ## The picture
#
# One row a tensor, one column a position. White is free; a number is a weight. A dashed frame
# marks a weight that is pruned, a solid frame one that was grown.

# %%
figure = Figure(figsize=(10, 3.2), layout="constrained", dpi=120)
for axes, tensors, others, frame in zip(figure.subplots(1, 2), (before, after), (after, before),
                                        ("--", "-"), strict=True):
    grid = np.full((3, 12), np.nan)
    for row, (W, other) in enumerate(zip(tensors, others, strict=True)):
        grid[row, W.index] = W.value
        for position, value in zip(W.index, W.value, strict=True):
            axes.text(position, row, f"{value:g}", ha="center", va="center", fontsize=8)
        for position in np.setdiff1d(W.index, other.index):
            axes.add_patch(Rectangle((position - 0.45, row - 0.45), 0.9, 0.9, fill=False,
                                     linestyle=frame, linewidth=2))
    axes.imshow(grid, cmap="coolwarm", norm=CenteredNorm(halfrange=7), aspect="auto", alpha=0.7)
    axes.set_title(f"{'before' if tensors is before else 'after'}: "
                   f"{sum(W.value.size for W in tensors)} weights")
    axes.set_yticks(range(3), [f"tensor {i}" for i in range(3)])
    axes.set_xticks(range(12))
    axes.set_xlabel("position")
    axes.set_xticks(np.arange(12) - 0.5, minor=True)
    axes.set_yticks(np.arange(4) - 0.5, minor=True)
    axes.grid(which="minor", color="0.8")
    axes.tick_params(which="minor", length=0)
OUT.mkdir(parents=True, exist_ok=True)
print(style.save(figure, OUT / "07_algorithm_1", """
    Three tensors of twelve positions, before and after one reallocation. Pruned are 1, 2 and 3
    weights, grown 3, 2 and 1; so they hold 5, 4 and 4 weights before, and 7, 4 and 2 after."""))

# %% [markdown]
# ## Try it
#
# 1. Set $H = 10$: all weights are below. What is kept, and why?
# 2. Give tensor 0 twelve free numbers, so that it is full. It has most survivors, but no room. Who
#    gets its share?
# 3. Fill all three tensors. Where can the new weights go now? (`reallocate`'s docstring proves that
#    there is always a place.)
