# %% [markdown]
# # 9. Relatives
#
# *Needs no other lesson; [lesson 7](07_algorithm_1.ipynb) has Algorithm 1. Reading 50 minutes,
# exercises 100 minutes, estimated. Runs 5 seconds.*
#
# ## Question
#
# What should be dropped, and where should as many grow?
#
# Algorithm 1 has one answer. A relative is three choices: which weights go, how many come back in
# each tensor, and at which positions.

# %%
import inspect

import numpy as np
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from lessons import RESULTS
from lessons.experiments.studies import STUDIES
from lessons.predict import predict
from lessons.show import show
from minidsr.methods import DSR, DST, SET, SNFS, RigL
from minidsr.methods.dst import Thresholded, surrogate
from minidsr.methods.magnitude import grow_largest, prune_smallest
from minidsr.methods.set import prune_by_sign
from minidsr.nn.layers import Linear, Sequential
from minidsr.run import style
from minidsr.run.history import History

# %% [markdown]
# ## Predict
#
# Three tensors of twelve positions, with 5, 4 and 4 weights: those of lesson 7. Now the size of the
# gradient is known at every position, too. It is small in tensor 0, middling in 1, large in 2.

# %%
WEIGHTS = [{0: 5, 2: -4, 5: 0.5, 7: 3, 11: 2}, {1: 1, 4: -0.1, 6: 0.9, 9: -2},
           {3: 0.2, 4: -0.3, 8: 7, 10: 0}]
GRADIENTS = [scale * (1 + np.array([10, 9, 8, 1, 0, 3, 2, 11, 5, 7, 4, 6]) / 20)
             for scale in (0.2, 1, 2)]

# %% [markdown]
# How many weights has each tensor after one reallocation?
#
# | method | which go | how many come back, where | at which positions |
# |---|---|---|---|
# | **DSR** | below one threshold H for all, here 1 | by each tensor's survivors | at random |
# | **SNFS** | of each tensor the smallest half | by its mean momentum | largest momentum |
# | **SET** | of each tensor and sign the share ζ = 0.3 nearest 0 | as many as went | at random |
# | **RigL** | of each tensor the smallest 30 % | as many as went | largest gradient |
#
# Momentum is here the gradient. What goes is rounded down, shares as in lesson 7, the largest
# remainders up; 0 counts as positive. Write four triples.

# %%
predict("5 4 4 weights, after DSR, SNFS, SET and RigL", ...)

# %% [markdown]
# ## Run
#
# ### One reallocation by four methods


# %%
def tensors_of(method):
    """The three tensors as weights of a network, as `method` finds them; it knows the gradients."""
    rng = np.random.default_rng(2)
    model = Sequential(**{f"tensor {i}": Linear(12, 1, bias=False, rng=rng) for i in range(3)})
    method.structure = {}
    for (name, layer), weights in zip(model.sparsifiable_layers().items(), WEIGHTS, strict=True):
        layer.weight.value[0, list(weights)] = list(weights.values())
        method.structure[name] = np.array(list(weights))
    method.setup(model, rng)
    method.V = [g[None].astype(np.float32) for g in GRADIENTS]
    for W, V in zip(method.tensors, method.V, strict=True):
        W.dense_grad = V
    return method.tensors


LENGTH = {"epochs": 1, "steps_per_epoch": 100}
METHODS = {"DSR": DSR(**LENGTH, threshold=1.0, target_pruned=10), "SNFS": SNFS(**LENGTH),
           "SET": SET(**LENGTH), "RigL": RigL(**LENGTH)}
after, reports = {}, {}
for name, method in METHODS.items():
    after[name] = tensors_of(method)
    reports[name] = report = method.reallocate(0)
    print(f"{name:<5} prunes {report.pruned}, grows {report.grown}: {report.active}")

# %% [markdown]
# By hand:
#
# - **DSR**: 1, 2 and 3 are below H. Six grow, by survivors 4 : 2 : 1, so 3, 2 and 1. Weights leave
#   the tensor of *small weights*.
# - **SNFS**: 2, 2 and 2 go. Six grow, by momenta of about 0.2 : 1 : 2, so 0, 2 and 4. Weights go to
#   the tensor of *large gradients*, which is the same one: the opposite.
# - **SET**: tensor 0 has four positive weights, 0.3 · 4 = 1.2, one goes; no other tensor has more
#   than three of a sign, so none goes. **RigL**: 1, 1 and 1. Both keep 5, 4 and 4.


# %%
def draw(axes, cells, title):
    """Three tensors as rows of squares; cells: of each {position: number}."""
    for row, p in np.ndindex(3, 12):
        numbers = cells[row]
        new = p in numbers and p not in WEIGHTS[row] and "grown" in title
        axes.add_patch(Rectangle(
            (p + 0.06, row + 0.06), 0.88, 0.88, linewidth=2 if new else 0.6,
            edgecolor="black" if new else "0.7",
            facecolor=style.SKY if new else "0.88" if p in numbers else "white"))
        axes.text(p + 0.5, row + 0.5, f"{numbers[p]:.3g}" if p in numbers else "",
                  ha="center", va="center", fontsize=8)
    axes.set(xlim=(0, 12), ylim=(3, 0), xticks=np.arange(12) + 0.5, xticklabels=range(12),
             yticks=[0.5, 1.5, 2.5], yticklabels=[f"tensor {i}" for i in range(3)], title=title)
    axes.tick_params(length=0)


panels = {"before: 5 4 4": WEIGHTS, "size of the gradient": [dict(enumerate(g)) for g in GRADIENTS]}
panels |= {f"{name}: {' '.join(map(str, reports[name].active))}; framed: grown": [
    dict(zip(W.index, W.value, strict=True)) for W in tensors] for name, tensors in after.items()}
with style.own_style():
    figure = Figure(figsize=(9, 5), layout="constrained", dpi=100)
    for axes, (title, cells) in zip(figure.subplots(3, 2).flat, panels.items(), strict=True):
        draw(axes, cells, title)
show(figure, "09_four_methods", alt=f"""Three tensors of twelve positions with 5, 4 and 4 weights,
    the size of the gradient at each position, and what four methods make of them. {' '.join(
        f"{name}: {report.active}, grown {report.grown}." for name, report in reports.items())} DSR
    and SET grow anywhere; SNFS and RigL at positions 0, 1, 2, 7, where gradients are largest.""")

# %% [markdown]
# ### The same in a training
#
# [Every method at one budget](../results/small.md) says who is better, by five runs of each: ten
# epochs of CIFAR-10, four sparse convolutions, 5 % dense at first. Of one each, where weights go:

# %%
RUNS = {name: STUDIES["small-95"].of(f"{name.lower()}-0.95")[0].history for name in METHODS}
words, density = [], {}
with style.own_style():
    figure = Figure(figsize=(9, 5), layout="constrained", dpi=100)
    grid = figure.subplots(2, 2, sharex=True, sharey=True)
    for axes, (name, run) in zip(grid.flat, RUNS.items(), strict=True):
        sizes = np.array([t["size"] for t in run.setup["tensors"]])
        steps = [r["step"] for r in run.reallocations]
        density[name] = 100 * np.array([r["active"] for r in run.reallocations]) / sizes
        ends = []
        for i, (line, colour) in enumerate(zip(density[name].T, style.shades(4), strict=True)):
            axes.plot(steps, line, color=colour)
            ends.append((f"conv {i + 2}", steps[-1], line[-1], colour))
        style.finish(axes, title=name, xlabel="training step", ylabel="density, %", ylim=(0, 25))
        axes.label_outer()
        style.label_ends(axes, ends, size=7)
        words.append(f"{name}: {', '.join(f'{y:.1f}' for y in density[name][-1])}.")
show(figure, "09_densities", alt=f"""Density in percent of four convolutions against training step,
    for four methods. All begin at 5. SET and RigL stay there. DSR and SNFS move weights from the
    large last convolutions to the small first ones, SNFS at once and further. In the end, first to
    last: {' '.join(words)}""")

# %% [markdown]
# In the example those two disagreed. Here they agree: weights go to early tensors.
#
# ### Trainable masks: what if sparsity were learned?
#
# DST (Liu et al. 2020) drops nothing. A weight W counts where |W| > t, and the threshold t of each
# filter is trained as well. The step from 0 to 1 has no slope to learn from; so on the way back one
# is assumed, S(q) at q = |W| − t. By hand, for W = −0.75, t = 0.5, gradient 1: q = 0.25, S(q) =
# 2 − 4 · 0.25 = 1, dW = 1 + 0.75 · 1 = 1.75, dt = −(−0.75) · 1 = 0.75.
#
# There is no budget: all weights are trained, and how many count in the end comes out of α, the
# price of low thresholds. Three seeds each, from `lessons/results/shapes-trainable-masks`:

# %%
left = {}
for alpha in ("0", "1e-05", "0.0001", "0.0003", "0.001", "0.01"):
    runs = [History.load(RESULTS / f"shapes-trainable-masks/dst-alpha_{alpha}-{seed}/metrics.jsonl")
            for seed in range(3)]
    sizes = [t["size"] for t in runs[0].setup["tensors"]]
    left[alpha] = [100 * sum(run.epochs[-1]["active"]) / sum(sizes) for run in runs]
means = [np.mean(percent) for percent in left.values()]
with style.own_style():
    figure = Figure(figsize=(8, 3.6), layout="constrained", dpi=100)
    axes = figure.subplots()
    axes.plot([*left], [*left.values()], "o", color=style.GREEN, fillstyle="none")
    axes.plot([*left], means, color=style.GREEN, linestyle=style.DOTTED)
    axes.axhline(5, color=style.BLACK, linestyle=style.DASHED, linewidth=1)
    style.finish(axes, from_zero=True, title="trainable masks: a sparsity that is an outcome",
                 xlabel="α, the price of low thresholds", ylabel="weights that count, %")
    style.label_ends(axes, [("mean of 3 seeds", 5, means[-1], style.GREEN),
                            ("5 %, the others' budget", 5, 5, style.BLACK)])
show(figure, "09_masks", alt=f"""Share of weights above their threshold after 500 steps, against α:
    {', '.join(f'{mean:.1f} % at {alpha}' for alpha, mean in zip(left, means, strict=True))} (means
    of three seeds, which are rings). Dashed: the budget of sparse methods, 5 %.""")

# %% [markdown]
# ## Check

# %%
predict("5 4 4 weights, after DSR, SNFS, SET and RigL")
assert [r.active for r in reports.values()] == [[7, 4, 2], [3, 4, 6], [5, 4, 4], [5, 4, 4]]
assert all(sum(r.pruned) == sum(r.grown) for r in reports.values())  # the budget is conserved
assert all((density[name] == density[name][0]).all() for name in ("SET", "RigL"))
assert all((density[name][-1][:2] > 8).all() and (density[name][-1][2:] < 5).all()
           for name in ("DSR", "SNFS"))
W = Thresholded(np.array([[-0.75]]))
W.value[1] = 0.5
W.pull(np.array([[1.0]]))
assert W.grad.tolist() == [1.75, 0.75]  # dW, dt

# %% [markdown]
# ## Read the code

# %%
for part in (prune_by_sign, prune_smallest, grow_largest, RigL.reallocate, SNFS.step,
             SNFS.reallocate, DST.step, Thresholded.pull, surrogate):
    print(inspect.getsource(part))

# %% [markdown]
# ## Notice
#
# - Who moves weights between tensors must compare these: by survivors (DSR, Algorithm 1), by mean
#   momentum (SNFS, section 3). SET and RigL do not.
# - What is known costs memory. SNFS keeps a momentum of every position, RigL needs a gradient
#   there now and then, DSR and SET neither: [the table](../notes/methods.md#what-moves).
# - Each conserves the budget, and for each there are [rules](../notes/verify.md) of its own.
# - In DST all weights are trained, so nothing is saved while it trains (section 3).
# - Who is better? In five seeds on drawn shapes no difference of DSR, SET and RigL is shown.
#
# ## Exercises
#
# | name | | minutes, estimated | |
# |---|---|---|---|
# | `set_drop` | ★ | 10 | a share of each sign, exactly |
# | `rigl_grow` | ★★ | 10 | where the gradient is largest |
# | `momentum_shares` | ★★ | 15 | who gets how many, by momentum |
# | `threshold_pull` | ★★ | 20 | the way back through a mask |
# | `Mine` | ★★★ | 45 | a method of your own |
#
# `python -m lessons.check 9` makes a file for them, judges them, and has hints; `python -m
# lessons.check board` trains yours beside others. Ideas: shares by gradient times survivors;
# newborns spared once; thresholds that rise with a weight's age.
#
# ## Open question
#
# Which two methods combine? Write which go from one, where others grow from another: all pairs.
#
# ## Next
#
# [Lesson 10](10_comparing_fairly.ipynb): whether one method is better than another.
