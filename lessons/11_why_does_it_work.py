# %% [markdown]
# # 11. Why does it work?
#
# *Needs no other lesson; [lesson 7](07_algorithm_1.ipynb) has Algorithm 1,
# [lesson 10](10_comparing_fairly.ipynb) the intervals. Reading 45 minutes, exercises 50 minutes,
# estimated. Runs 5 seconds.*
#
# ## Question
#
# On CIFAR-10 a small network ended 2.2 ± 0.6 points higher with DSR than with uniform static
# positions, in five pairs. Is it the structure that DSR found, or the way there? And what becomes
# of the weights that it grows?

# %%
import inspect
from collections import Counter
from statistics import fmean

import numpy as np
from matplotlib.figure import Figure

from lessons import RESULTS
from lessons.predict import predict
from lessons.show import show
from minidsr.methods.exploration import Exploration
from minidsr.run import compare, moves, style
from minidsr.run.history import History

# %% [markdown]
# ## Predict
#
# Every ten steps DSR prunes some 500 of 3,454 weights, the smallest, and grows as many at 0. Of all
# weights that are pruned in 500 steps, how many percent had been grown only the time before?

# %%
predict("percent of pruned weights that had been grown the time before", ...)

# %% [markdown]
# ## Run
#
# ### How old do weights become?
#
# `train --record` keeps each birth and each death. A weight that is pruned in the reallocation
# after its birth is 1 old. Here is the run of lesson 0, and, with the same seed and budget, SET and
# RigL: one run each, and one run is one draw.


# %%
def follow(history):
    """(History, [{age: how many died so old} of each reallocation], births of those alive)."""
    births = [dict.fromkeys(start.tolist(), 0) for start in moves.at_start(history.setup)]
    ages = []
    for now, tensors in enumerate(history.moves, 1):
        ages.append(Counter())
        for alive, (died, born) in zip(births, tensors, strict=True):
            ages[-1].update(now - alive.pop(position) for position in died.tolist())
            alive.update(dict.fromkeys(born.tolist(), now))
    return history, ages, births


shapes, _ = compare.read([RESULTS / "shapes-why" / "study.tar.xz"])
histories = {run.path.name: run.history for run in shapes}
histories["dsr"] = History.load(RESULTS / "shapes-small-cnn" / "dsr-0.95-0" / "metrics.jsonl")
RUNS = {"DSR": "dsr", "SET": "recorded-set-0.95-0", "RigL": "recorded-rigl-0.95-0"}
followed = {name: follow(histories[run]) for name, run in RUNS.items()}
for name, (history, ages, births) in followed.items():
    pruned, young = sum(map(Counter.total, ages)), sum(moves.newborns(history.moves))
    alive = [birth for tensor in births for birth in tensor.values()]
    tested = sum(0 < birth < len(ages) for birth in alive)
    print(f"{name:<5} {pruned:>6,} pruned in {len(ages)} reallocations, {young:>6,} of them born "
          f"the time before: {young / pruned:.0%}; {tested:,} of {len(alive):,} at the end were "
          "grown, and came through a pruning")

# %%
AGES = {"1 old, newborns": (1, 1), "2 to 5": (2, 5), "older": (6, 10**6)}
LOOKS = (style.VERMILLION, ""), (style.SKY, "//"), (style.BLUE, "..")
history, ages, _ = followed["DSR"]
steps = [record["step"] for record in history.reallocations]
parts = np.array([[sum(n for age, n in died.items() if low <= age <= high) for died in ages]
                  for low, high in AGES.values()])
with style.own_style():
    figure = Figure(figsize=(8, 3.6), layout="constrained", dpi=100)
    axes = figure.subplots()
    below = np.zeros(len(steps))
    for name, part, (colour, hatch) in zip(AGES, parts, LOOKS, strict=True):
        axes.bar(steps, part, width=7, bottom=below, color=colour, hatch=hatch, edgecolor="white",
                 linewidth=0, label=name)
        below += part
    style.finish(axes, from_zero=True, xlabel="training step", ylabel="weights pruned",
                 title="DSR: age at death, in reallocations")
    figure.legend(loc="outside right upper", frameon=False)
epochs = (np.array(steps) - 1) // 100
shares = [f"{parts[0, epochs == e].sum() / parts[:, epochs == e].sum():.0%}" for e in range(5)]
print("newborns of what DSR pruned, epoch by epoch:", *shares)
show(figure, "11_ages", alt=f"""
    Bars over training steps, one for each of {len(steps)} reallocations of DSR: how many weights
    were pruned, stacked by their age. At first few are pruned: {parts[:, 0].sum()}, then
    {parts[:, 1].sum()}, soon some 500. At the bottom of each bar are the newborns. Epoch by epoch
    they are {', '.join(shares)}; the older ones above them vanish towards the end.""")

# %% [markdown]
# From the third epoch on nearly all that are pruned are newborns: a weight starts at 0, and ten
# steps later it is still smaller than most. So the number that is pruned is not how much the
# structure changes. How much does it?

# %%
for name, (history, _, births) in followed.items():
    start, end = moves.at_start(history.setup), [set(tensor) for tensor in births]
    both, either = (sum(len(way(set(a.tolist()), b)) for a, b in zip(start, end, strict=True))
                    for way in (set.intersection, set.union))
    changed = [compare.changed_tensor(record) for record in history.reallocations]
    print(f"{name:<5} start and end overlap by {both / either:.2f}; "
          f"{history.epochs[-1]['explored']:.0%} of all positions were tried; "
          f"{sum(changed[:5]):,} weights changed tensor up to the fifth time, then "
          f"{sum(changed[5:]):,}")

# %% [markdown]
# By Jaccard's index. DSR keeps half of its first positions, SET and RigL a bit more than a third.
#
# ### The structure, or the way there?
#
# Now `small-cnn` on CIFAR-10, ten epochs at sparsity 0.95: 3,454 sparse weights again, five seeds
# of everything. The structure that DSR ended with is given to a static run: from the values with
# which DSR began (a *lottery ticket*: Frankle & Carbin 2019), or from others, with other batches.
# And DSR may stop moving weights after 1, 2, 5 or 8 of 10 epochs.

# %%
origin, _ = compare.read([RESULTS / "cifar10-small" / "origin.tar.xz"])
KINDS = {"static, uniform": "static-0.95", "DSR's structure, its values": "ticket-static-0.95",
         "DSR's structure, other values": "fresh-static-0.95",
         **{f"DSR, {n} of 10 epochs": f"stop-dsr-0.95-stop_epoch_{n}" for n in (1, 2, 5, 8)}}


def accuracies(results, kind):
    """Test accuracies by seed of the runs whose folders are called so."""
    found = {r.config.seed % 100: r.last["test_accuracy"] for r in results
             if r.path.name.rpartition("-")[0] == kind}
    return [found[seed] for seed in range(5)]


def gain(results, one, other):
    """(Mean of the differences, half its interval) of two kinds of runs."""
    pairs = zip(accuracies(results, one), accuracies(results, other), strict=True)
    return compare.interval([a - b for a, b in pairs])


for label, kind in {"DSR": "dsr-0.95", **KINDS}.items():
    less = ["{:+.2f} ± {:.2f}".format(*gain(origin, kind, base)) if kind != base else ""
            for base in ("dsr-0.95", "static-0.95")]
    print(f"{label:<29} {fmean(accuracies(origin, kind)):.2f}   minus DSR {less[0]:<14} minus "
          f"uniform {less[1]}".rstrip())

# %%
gains = {label: gain(origin, kind, "dsr-0.95") for label, kind in KINDS.items()}
with style.own_style():
    figure = Figure(figsize=(8, 3.8), layout="constrained", dpi=100)
    axes = figure.subplots()
    for y, (mean, half) in enumerate(gains.values()):
        axes.errorbar([mean], [y], xerr=[half], fmt="o", capsize=4,
                      color=style.BLUE if y > 2 else style.VERMILLION)
    axes.axvline(0, color=style.BLACK, linestyle=style.DASHED, linewidth=1)
    axes.set_yticks(range(len(gains)), gains)
    axes.invert_yaxis()
    style.finish(axes, xlabel="test accuracy minus that of DSR, points",
                 title="mean of five pairs, 95 % interval")
said = [f"{label}: {mean:+.2f} ± {half:.2f}." for label, (mean, half) in gains.items()]
show(figure, "11_origin", alt=f"""
    Test accuracy minus that of DSR, mean of five pairs and 95 % interval, beside a broken line at
    0. {' '.join(said)}""")

# %% [markdown]
# With DSR's structure, a static network is 1.5 ± 0.6 above uniform positions, with other values 1.3
# ± 0.6: by the means 60 to 70 % of the advantage. It is not worth all: with other values it falls
# short of DSR; with its own that is not known. Moves in the second half add nothing that five seeds
# show. To stop after a tenth, with 49 of 368 reallocations done, costs 1.3 ± 0.4. The paper reports
# the same of large networks: the structure alone falls short, and moving may stop early.
#
# ### Does it always come to the same?
#
# The same 3,454 weights, at first uniform, by ERK (small tensors denser), or reversed (large ones);
# and where DSR has them in the end:

# %%
structure, _ = compare.read([RESULTS / "cifar10-small" / "structure.tar.xz"])
for start in ("uniform", "erk", "reversed"):
    kind = f"dsr-0.95-{start}"
    runs = [r for r in structure if r.path.name.startswith(kind)]
    first = [tensor["active"] for tensor in runs[0].history.setup["tensors"]]
    last = np.mean([r.last["active"] for r in runs], axis=0).round().astype(int).tolist()
    mean, half = gain(structure, kind, f"static-0.95-{start}")
    print(f"{start:<8} {first} to {last}: {fmean(accuracies(structure, kind)):.2f} %, minus static "
          f"{mean:+.2f} ± {half:.2f}")

# %% [markdown]
# All three went the same way, from large tensors to small ones, and came nearer to each other; in
# the first and the last tensor they have not met. DSR ends as high from each start, as far as five
# seeds show; static does not. And where the weights are? Two seeds overlap by 0.04, as if drawn
# anew; but channels have no order ([more](../results/structure.md)).
#
# ## Check

# %%
predict("percent of pruned weights that had been grown the time before")
for history, ages, births in followed.values():
    at_first = sum(tensor["active"] for tensor in history.setup["tensors"])
    more = sum(len(b) for ts in history.moves for _, b in ts) - sum(map(Counter.total, ages))
    assert at_first + more == sum(map(len, births)) == 3454
    assert [died[1] for died in ages][1:] == moves.newborns(history.moves)[1:]
for results, epochs in ((shapes, 5), (origin, 10), (structure, 10)):
    assert {(r.last["free_parameters"], r.config.epochs) for r in results} == {(4952, epochs)}

# %% [markdown]
# ## Read the code

# %%
for part in (moves.newborns, compare.changed_tensor, Exploration):
    print(inspect.getsource(part))

# %% [markdown]
# ## Notice
#
# - How many are pruned each time says little of how much changes: most are newborns.
# - Yet a third of DSR's weights at the end were grown, and came through a pruning.
# - An interval with 0 in it does not say that nothing differs: is a structure better with its first
#   values? Five seeds do not show. And a small network is not a large one.
#
# ## Exercises
#
# | name | | minutes, estimated | |
# |---|---|---|---|
# | `ages_at_death` | ★★ | 20 | how old weights become |
# | `moved` | ★ | 5 | how many changed their tensor |
# | `overlap` | ★ | 5 | how alike two structures are |
# | `ticket` | ★★ | 20 | the runs that ask where an advantage comes from |
#
# `python -m lessons.check 11` makes a file for them, judges them, and has hints.
#
# A project, 11.5, for an evening: the open question, or yours. Write down what you expect. Make a
# file such as `lessons/results/shapes-why/study.toml`, with three seeds or more; `python -m minidsr
# sweep FILE --out runs/mine`, `report` and `plot` do the rest. As [here](../results/origin.md).
#
# ## Open question
#
# Are newborns only re-dealt, or do they explore? Longer periods, a period's protection for newborns
# (`--protect-newborns`), fewer at a time (`--target-pruned`): what raises the share that survives,
# and does accuracy follow? [A first look](../results/exploration.md), by three seeds.
#
# ## Next
#
# [Lesson 12](12_fast_and_on_a_gpu.ipynb): when zeros save time.
