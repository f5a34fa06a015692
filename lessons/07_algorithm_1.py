# %% [markdown]
# # 7. Algorithm 1, line by line
#
# *Needs no other lesson; [lesson 0](00_see_it_move.ipynb) shows what it is for. Reading 45 minutes,
# exercises 90 minutes, estimated. Runs 5 seconds.*
#
# ## Question
#
# How can training decide where a fixed number of weights should be, without ever losing one?
#
# Now and then, dynamic sparse reparameterization (Mostafa & Wang, ICML 2019)
#
# 1. **prunes** the weights that are small, by one threshold H for all tensors;
# 2. **adjusts** H, so that about N_p weights go each time;
# 3. **grows** as many new weights, at zero, in the tensors whose weights survived.
#
# Here is one such reallocation by hand, each step beside the code.
#
# | letter | meaning |
# |---|---|
# | k | weights pruned in one tensor |
# | l | weights of one tensor that survive |
# | K, L | the sums of k and of l over all tensors |
# | H | the pruning threshold |
# | N_p | how many weights a reallocation should prune |
# | δ | how far K may stray from N_p before H changes |

# %%
import inspect

import numpy as np
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from lessons import RESULTS
from lessons.predict import predict
from lessons.show import show
from minidsr import reparam
from minidsr.parameters import Sparse
from minidsr.run import figures, style
from minidsr.run.history import History

# %% [markdown]
# ## Predict
#
# A sparse tensor stores its *free numbers* and their positions, nothing else. The dense tensor that
# a layer multiplies with is built when it is needed: zeros, and the free numbers at their places.
# Take three tensors of twelve positions, with 5, 4 and 4 free numbers: 13 in all.


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
# Weights below H = 1 go, and as many come back, where weights survived. How many weights has each
# tensor afterwards? Write three numbers, such as 5, 4, 4, in place of the dots.

# %%
predict("weights after one reallocation", ...)

# %% [markdown]
# ## Run
#
# ### Step 1: prune
#
# A weight goes if |w| < H, *strictly*. By hand, with H = 1:
#
# - tensor 0: of 5, −4, 0.5, 3, 2 only 0.5 is small. k = 1, l = 4.
# - tensor 1: of 1, −0.1, 0.9, −2 go −0.1 and 0.9; the 1 equals H and stays. k = 2, l = 2.
# - tensor 2: of 0.2, −0.3, 7, 0 only the 7 stays. k = 3, l = 1.
#
# So K = 6 and L = 7.

# %%
H, N_p, delta = 1.0, 10, 0.1
pruned = three_tensors()
k = [reparam.prune_by_threshold(W, H) for W in pruned]
l = [W.value.size for W in pruned]
print(f"k = {k}, l = {l}, K = {sum(k)}, L = {sum(l)}")

# %% [markdown]
# ### Step 2: adjust the threshold
#
# We wanted to prune N_p = 10, and got K = 6. Since 6 < (1 - δ) · 10 = 9, the threshold was too low:
# *next time* it is doubled. It would be halved for K > 11, and kept in between.

# %%
next_H = reparam.adjust_pruning_threshold(H, sum(k), N_p, delta)
print(f"next H = {next_H}")

# %% [markdown]
# ### Step 3: who grows how many?
#
# K = 6 new weights are shared in proportion to the survivors, l / L:
#
# | tensor | share K l / L | whole part | remainder | grows |
# |---|---|---|---|---|
# | 0 | 6 · 4/7 = 3.43 | 3 | 0.43 | 3 |
# | 1 | 6 · 2/7 = 1.71 | 1 | 0.71 | 2 |
# | 2 | 6 · 1/7 = 0.86 | 0 | 0.86 | 1 |
# | sum | 6 | 4 | | **6** |
#
# The whole parts add up to 4. The two that are missing go to the two largest remainders, as seats
# go to parties in some parliaments.

# %%
room = [W.size - W.value.size for W in before]  # positions that were free before pruning
g = reparam.apportion(sum(k), l, room)
print(f"grown = {g}, of room for {room}")

# %% [markdown]
# ### Step 4: where?
#
# Each tensor draws its new positions uniformly from those that were free *before* pruning, so that
# a pruned weight does not come straight back. New weights start at zero: growing does not change
# what the network computes, and the next gradient decides what they become.

# %%
after = three_tensors()
next_H, report = reparam.reallocate(after, H, N_p, delta, np.random.default_rng(seed=0))
print(report)

# %% [markdown]
# One row a tensor, one square a position. A number is a weight; grey ones stay.


# %%
def draw(axes, tensors, others, colour, what):
    """The tensors as rows of squares; what `others` do not have is framed."""
    for row, (W, other) in enumerate(zip(tensors, others, strict=True)):
        for p in range(12):
            here, moves = p in W.index, p not in other.index
            axes.add_patch(Rectangle(
                (p + 0.06, row + 0.06), 0.88, 0.88, linewidth=2 if here and moves else 0.6,
                edgecolor="black" if here and moves else "0.7",
                facecolor="white" if not here else colour if moves else "0.88"))
            axes.text(p + 0.5, row + 0.5, f"{W.theta()[p]:g}" if here else "",
                      ha="center", va="center", fontsize=9)
    axes.set(xlim=(0, 12), ylim=(3, 0), xticks=np.arange(12) + 0.5, xticklabels=range(12),
             yticks=[0.5, 1.5, 2.5], yticklabels=[f"tensor {i}" for i in range(3)],
             xlabel="position", title=f"{sum(W.value.size for W in tensors)} weights {what}")
    axes.tick_params(length=0)


with style.own_style():
    figure = Figure(figsize=(10, 2.6), layout="constrained", dpi=100)
    left, right = figure.subplots(1, 2)
    draw(left, before, after, style.ORANGE, "before; framed: pruned")
    draw(right, after, before, style.SKY, "after; framed: grown")
show(figure, "07_three_tensors", alt="""Three tensors of twelve positions, before and after
    one reallocation. Pruned are 1, 2 and 3 weights, grown 3, 2 and 1; so they hold 5, 4 and 4
    before, and 7, 4 and 2 after. The grown ones are 0, and lie where no weight was before.""")

# %% [markdown]
# ### The same in a training
#
# `lessons/results/shapes-small-cnn/dsr-0.95-0` is the record of 500 steps: four convolutions with
# 3,454 weights, N_p = 476, δ = 0.1. H begins at 0.001, far too low.

# %%
history = History.load(RESULTS / "shapes-small-cnn" / "dsr-0.95-0" / "metrics.jsonl")
records = history.reallocations
for r in records[:12]:
    print(f"step {r['step']:3}  H {r['H']:.3f}  K {r['K']:3}  next H {r['next_H']:.3f}")

# %% [markdown]
# At steps 51 to 101, 0.016 prunes too many and 0.008 too few: with twice the H, K is 1.4 to 1.7
# times as large, and the band is only 1.1 / 0.9 = 1.22 wide. From step 111 on 0.016 is in it, and
# from 191 on 0.008: the weights have changed.

# %%
with style.own_style():
    figure = Figure(figsize=(8, 4.2), layout="constrained", dpi=100)
    words = figures.threshold(figure, history, "dsr")
    figure.axes[0].set_yticks(ticks := sorted({r["H"] for r in records}), ticks)
show(figure, "07_two_cycle", alt=f"""{words} Until step 51, K rises to {records[4]['K']} as H
    doubles; until step 101 it jumps over the band and back, as H is halved and doubled in turn.""")

# %% [markdown]
# ## Check

# %%
predict("weights after one reallocation")
print("they have", report.active)
assert report.active == [7, 4, 2]  # 4 + 3, 2 + 2, 1 + 1
assert (report.pruned, report.grown, next_H) == (k, g, 2.0) == ([1, 2, 3], [3, 2, 1], 2.0)
assert sum(W.value.size for W in after) == 13  # as before
for old, new in zip(before, after, strict=True):
    survivors = {p: v for p, v in zip(old.index, old.value, strict=True) if abs(v) >= H}
    grown = set(new.index) - set(survivors)
    assert survivors == {p: new.theta()[p] for p in survivors}  # untouched
    assert all(new.theta()[p] == 0 for p in grown)  # at zero
    assert not grown & set(old.index)  # on positions that were free
K = [r["K"] for r in records]
assert all(1.4 < K[i] / K[i + 1] < 1.7 for i in (4, 6, 8))  # 0.016, then 0.008
assert [428 < n < 524 for n in K] == [False] * 10 + [True] * 7 + [False] + [True] * 29

# %% [markdown]
# ## Read the code
#
# `reallocate` is Algorithm 1, in the order you just went through; below it are its parts.

# %%
for function in (reparam.reallocate, reparam.prune_by_threshold, reparam.adjust_pruning_threshold,
                 reparam.apportion, reparam.grow_back):
    print(inspect.getsource(function))

# %% [markdown]
# ## Notice
#
# - There is one threshold for all tensors. That lets them differ: one of small weights loses many,
#   one of large weights few (section 3).
# - No weights are sorted, and no one sets a threshold for each layer (section 3).
# - Tensor 0 lost one weight and gains three; tensor 2 lost three and gains one. Weights *moved
#   between tensors* (Algorithm 1).
# - Each share rounded by itself is right here, by luck: of one weight for two equal tensors it
#   gives none or two, and the budget drifts; [the authors' does](../notes/where_we_differ.md).
# - A tensor wholly below H would lose all, and by Algorithm 1 grow nothing ever again. So its
#   largest weight stays; `keep_one=False` is the paper.
#
# ## Exercises
#
# | name | | minutes, estimated | |
# |---|---|---|---|
# | `prune` | ★ | 10 | what goes by H, and what must stay |
# | `next_threshold` | ★ | 10 | doubled, halved or kept, exactly |
# | `apportion` | ★★★ | 30 | whole shares with the right sum |
# | `grow` | ★★ | 15 | new positions, each as likely as the others |
# | `reallocate` | ★★★ | 25 | all of it, from your own parts |
#
# `python -m lessons.check 7` makes a file for them, judges them, and has hints.
#
# ## Open question
#
# Find a rule for H without the two-cycle, and without sorting weights. Show that yours settles.
#
# ## Next
#
# [Lesson 8](08_what_must_always_hold.ipynb): how to trust a program whose result is random.
