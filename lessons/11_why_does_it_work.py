# %% [markdown]
# # 11. Why does it work?
#
# *Needs no other lesson; [lesson 7](07_algorithm_1.ipynb) has Algorithm 1,
# [lesson 10](10_comparing_fairly.ipynb) the intervals. Reading 45 minutes, exercises 50 minutes,
# estimated. Runs 5 seconds.*
#
# ## Question
#
# On drawn shapes DSR ended 4.7 ± 4.5 points above uniform static positions, in five pairs (lesson
# 10 warns of this interval). If so: is it the structure that DSR found, or the way there? And what
# becomes of the weights that it grows?

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


results, _ = compare.read([RESULTS / "shapes-why" / "study.tar.xz"])
histories = {run.path.name: run.history for run in results}
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
# After the first epoch nearly all that are pruned are newborns: a weight starts at 0, and ten steps
# later it is still smaller than most. So the number that is pruned is not how much the structure
# changes. How much does it?

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
# DSR keeps half of its first positions, SET and RigL a little more than a third.
#
# ### The structure, or the way there?
#
# The structure that DSR ended with is given to a static run: from the values with which DSR began
# (a *lottery ticket*: Frankle & Carbin 2019), or from others, which come with batches of their own.
# And DSR may stop moving weights after 1, 2, 3 or 4 of 5 epochs. Five seeds each.

# %%
def accuracies(kind):
    """Test accuracies by seed of the runs whose folders are called so."""
    found = {r.config.seed % 100: r.last["test_accuracy"] for r in results
             if r.path.name.rpartition("-")[0] == kind}
    return [found[seed] for seed in range(5)]


KINDS = {"static, uniform": "static-0.95", "static, ERK": "start-static-0.95-erk",
         "DSR's structure, its values": "ticket-static-0.95",
         "DSR's structure, other values": "fresh-static-0.95",
         **{f"DSR, {n} of 5 epochs": f"stop-dsr-0.95-stop_epoch_{n}" for n in (1, 2, 3, 4)}}


def gain(one, other):
    """(Mean of the differences, half its interval) of two kinds of runs."""
    pairs = zip(accuracies(one), accuracies(other), strict=True)
    return compare.interval([a - b for a, b in pairs])


gains = {label: gain(kind, "dsr-0.95") for label, kind in KINDS.items()}
for label, kind in {"DSR": "dsr-0.95", **KINDS}.items():
    less = ["{:+.1f} ± {:.1f}".format(*gain(kind, base)) if kind != base else ""
            for base in ("dsr-0.95", "static-0.95")]
    print(f"{label:<29} {fmean(accuracies(kind)):.1f}   minus DSR {less[0]:<12} minus uniform "
          f"{less[1]}".rstrip())

# %%
with style.own_style():
    figure = Figure(figsize=(8, 3.8), layout="constrained", dpi=100)
    axes = figure.subplots()
    for y, (mean, half) in enumerate(gains.values()):
        axes.errorbar([mean], [y], xerr=[half], fmt="o", capsize=4,
                      color=style.BLUE if y > 3 else style.VERMILLION)
    axes.axvline(0, color=style.BLACK, linestyle=style.DASHED, linewidth=1)
    axes.set_yticks(range(len(gains)), gains)
    axes.invert_yaxis()
    style.finish(axes, xlabel="test accuracy minus that of DSR, points",
                 title="mean of five pairs, 95 % interval")
said = [f"{label}: {mean:+.1f} ± {half:.1f}." for label, (mean, half) in gains.items()]
show(figure, "11_origin", alt=f"""
    Test accuracy minus that of DSR, mean of five pairs and 95 % interval, beside a broken line at
    0. {' '.join(said)}""")

# %% [markdown]
# With its own first values, DSR's structure is 4.3 ± 3.7 above uniform positions; with others it is
# not known. Nor is it known whether either falls short of DSR, or DSR of itself when it stops after
# one epoch, with 9 of 47 reallocations done: two points could hide there. Intervals of late stops
# are narrow, as these runs share most of DSR's way. The paper reports of large networks that the
# structure falls short, from either values, and that moving may stop early. Five seeds of a small
# one neither show that nor speak against it.
#
# A structure is how many weights each tensor has, and where. ERK has many in small tensors, as DSR
# in the end. DSR's counts with positions drawn anew would tell the two apart; it is not here.
#
# ### Does it always come to the same?
#
# The same 3,454 weights, at first uniform, by ERK, or reversed; and where DSR has them in the end:

# %%
for kind in ("dsr-0.95", "start-dsr-0.95-erk", "start-dsr-0.95-reversed"):
    runs = [r for r in results if r.path.name.rpartition("-")[0] == kind]
    starts = [tensor["active"] for tensor in runs[0].history.setup["tensors"]]
    mean, half = gain(kind, kind.replace("dsr", "static"))
    print("from", *(f"{n:>5}" for n in starts), "  to", *(f"{n:>5.0f}" for n in np.mean(
        [r.last["active"] for r in runs], axis=0)), f"  {fmean(accuracies(kind)):.1f} %, minus "
        f"static {mean:+.1f} ± {half:.1f}")

# %% [markdown]
# All three went the same way, from large tensors to small ones. None has arrived where another did:
# after 500 steps it still matters where DSR begins.
#
# ## Check

# %%
predict("percent of pruned weights that had been grown the time before")
for history, ages, births in followed.values():
    at_first = sum(tensor["active"] for tensor in history.setup["tensors"])
    more = sum(len(b) for ts in history.moves for _, b in ts) - sum(map(Counter.total, ages))
    assert at_first + more == sum(map(len, births)) == 3454
    assert [died[1] for died in ages][1:] == moves.newborns(history.moves)[1:]
assert {(r.last["free_parameters"], r.config.epochs) for r in results} == {(4952, 5)}

# %% [markdown]
# ## Read the code

# %%
for part in (moves.newborns, compare.changed_tensor, Exploration):
    print(inspect.getsource(part))

# %% [markdown]
# ## Notice
#
# - How many are pruned each time says little of how much changes: most are newborns.
# - Yet a third of the weights at the end were grown, and came through a pruning.
# - An interval with 0 in it does not say that nothing differs: is a structure better with its first
#   values? Five seeds do not show.
# - What holds for 500 steps of a small network may not hold for 100,000 of a large one.
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
# sweep FILE --out runs/mine`, `report` and `plot` do the rest. Tell it as `lessons/results` does.
#
# ## Open question
#
# Are newborns only re-dealt, or do they explore? Longer periods, a period's protection for newborns
# (`--protect-newborns`), fewer at a time (`--target-pruned`): what raises the share that survives,
# and does accuracy follow?
#
# ## Next
#
# [Lesson 12](12_fast_and_on_a_gpu.ipynb): when zeros save time.
