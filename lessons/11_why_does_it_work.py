# %% [markdown]
# # 11. Why does it work?
#
# *Needs no other lesson; [lesson 7](07_algorithm_1.ipynb) has Algorithm 1,
# [lesson 10](10_comparing_fairly.ipynb) the intervals. Reading 45 minutes, exercises 50 minutes,
# estimated. Runs 5 seconds.*
#
# ## Question
#
# On drawn shapes DSR ends 4.7 points above static positions (lesson 10). Is that the structure that
# it has found, or the way there? And what becomes of the weights that it grows?

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
# RigL.


# %%
def follow(path):
    """(History, [{age: how many died so old} of each reallocation], births of those alive)."""
    history = History.load(RESULTS / path / "metrics.jsonl")
    births = [dict.fromkeys(start.tolist(), 0) for start in moves.at_start(history.setup)]
    ages = []
    for now, tensors in enumerate(history.moves, 1):
        ages.append(Counter())
        for alive, (died, born) in zip(births, tensors, strict=True):
            ages[-1].update(now - alive.pop(position) for position in died.tolist())
            alive.update(dict.fromkeys(born.tolist(), now))
    return history, ages, births


RUNS = {"DSR": "shapes-small-cnn/dsr-0.95-0", "SET": "shapes-why/recorded-set-0.95-0",
        "RigL": "shapes-why/recorded-rigl-0.95-0"}
followed = {name: follow(path) for name, path in RUNS.items()}
for name, (history, ages, births) in followed.items():
    pruned, young = sum(map(Counter.total, ages)), sum(moves.newborns(history.moves))
    alive = [birth for tensor in births for birth in tensor.values()]
    print(f"{name:<5} {pruned:>6,} pruned in {len(ages)} reallocations, {young:>6,} of them born "
          f"the time before: {young / pruned:.0%}; {np.count_nonzero(alive):,} of {len(alive):,} "
          "at the end were grown")

# %%
AGES = {"1 old": (1, 1), "2 to 5": (2, 5), "older": (6, 10**6)}
LOOKS = (style.VERMILLION, ""), (style.SKY, "//"), (style.BLUE, "..")
history, ages, _ = followed["DSR"]
steps = [record["step"] for record in history.reallocations]
parts = np.array([[sum(n for age, n in died.items() if low <= age <= high) for died in ages]
                  for low, high in AGES.values()])
with style.own_style():
    figure = Figure(figsize=(8, 3.6), layout="constrained", dpi=100)
    axes = figure.subplots()
    below = np.zeros(len(steps))
    for (name, part), (colour, hatch) in zip(zip(AGES, parts, strict=True), LOOKS, strict=True):
        axes.bar(steps, part, width=7, bottom=below, color=colour, hatch=hatch, edgecolor="white",
                 linewidth=0, label=name)
        below += part
    style.finish(axes, from_zero=True, xlabel="training step", ylabel="weights pruned",
                 title="DSR: age at death, in reallocations")
    figure.legend(loc="outside right upper", frameon=False)
late = parts[:, len(steps) // 2:].sum(axis=1)
show(figure, "11_ages", alt=f"""
    Bars over training steps, one for each of {len(steps)} reallocations of DSR: how many weights
    were pruned, stacked by their age. At first few are pruned: {parts[:, 0].sum()}, then
    {parts[:, 1].sum()}, soon some 500. In the second half of training
    {100 * late[0] / late.sum():.0f} percent of them are newborns, at the bottom of each bar;
    {late[1]} weights of 2 to 5 and {late[2]} older ones are pruned in all.""")

# %% [markdown]
# Those that are pruned are nearly all newborns: a weight starts at 0, and after ten steps it is
# still smaller than most. So K is not how much the structure changes. In the same time, how much
# does it?

# %%
for name, (history, _, births) in followed.items():
    sizes = [tensor["size"] for tensor in history.setup["tensors"]]
    start, end = moves.at_start(history.setup), [set(tensor) for tensor in births]
    both = sum(len(set(a.tolist()) & b) for a, b in zip(start, end, strict=True))
    either = sum(len(set(a.tolist()) | b) for a, b in zip(start, end, strict=True))
    changed = [compare.changed_tensor(record) for record in history.reallocations]
    print(f"{name:<5} start and end overlap by {both / either:.2f}; "
          f"{history.epochs[-1]['explored']:.0%} of all positions were tried; "
          f"{sum(changed[:5]):,} weights changed tensor up to the fifth time, then "
          f"{sum(changed[5:]):,}")

# %% [markdown]
# ### The structure, or the way there?
#
# The structure that DSR ended with is given to a static run: from the values with which DSR began
# (a *lottery ticket*, as Frankle & Carbin call it, 2019), or from others. And DSR may stop moving
# weights after 1, 2, 3 or 4 of 5 epochs. Five seeds each; the ones with other values have seeds of
# their own.

# %%
results, _ = compare.read([RESULTS / "shapes-why"])


def accuracies(kind):
    """Test accuracies by seed of the runs whose folders are called so."""
    found = {r.config.seed % 100: r.last["test_accuracy"] for r in results
             if r.path.name.rpartition("-")[0] == kind}
    return [found[seed] for seed in range(5)]


KINDS = {"static, drawn at random": "static-0.95",
         "DSR's structure, its values": "ticket-static-0.95",
         "DSR's structure, others": "fresh-static-0.95",
         **{f"DSR, {n} of 5 epochs": f"stop-dsr-0.95-stop_epoch_{n}" for n in (1, 2, 3, 4)}}
dsr = accuracies("dsr-0.95")
print(f"{'DSR':<30} {fmean(dsr):.2f}   ", *dsr)
gains = {}
for label, kind in KINDS.items():
    values = accuracies(kind)
    gains[label] = compare.interval([a - b for a, b in zip(values, dsr, strict=True)])
    mean, half = gains[label]
    print(f"{label:<30} {fmean(values):.2f}   ", *values, f"  minus DSR {mean:+.2f} ± {half:.2f}")

# %%
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
said = [f"{label}: {mean:+.1f} ± {half:.1f}." for label, (mean, half) in gains.items()]
show(figure, "11_origin", alt=f"""
    Test accuracy minus that of DSR, mean of five pairs and 95 % interval, beside a broken line at
    0. {' '.join(said)}""")

# %% [markdown]
# From DSR's own first values, its structure does as well as DSR, to within three points. From
# others it ends 2.8 points below, ± 6.6: not known. And who stops after one epoch of five, when 9
# of 47 reallocations are done, has all of it but half a point, ± 1.8.
#
# The paper reports of its large networks that the structure, from either values, falls short of
# DSR, and that to stop early does not hurt. The second is what we see. The first we do not, in 500
# steps of a small network; and behind five seeds a point or two would hide.
#
# ### Does it always come to the same?
#
# Three initial allocations of the same 3,454 weights, and where DSR has them in the end:

# %%
BEGINS = {"uniform": "dsr-0.95", "erk": "start-dsr-0.95-erk", "reversed": "start-dsr-0.95-reversed"}
ends = {}
for name, kind in BEGINS.items():
    runs = [r for r in results if r.path.name.rpartition("-")[0] == kind]
    starts = [tensor["active"] for tensor in runs[0].history.setup["tensors"]]
    ends[name] = np.mean([r.last["active"] for r in runs], axis=0)
    print(f"from {name:<9}", *(f"{n:>6}" for n in starts), "   to",
          *(f"{n:>7.1f}" for n in ends[name]), f"   {fmean(accuracies(kind)):.2f} %")

# %% [markdown]
# All three went the same way, from large tensors to small ones. None has arrived where another one
# ended: within 500 steps where DSR begins still matters. What it costs to begin badly, ten points,
# DSR does not win back.
#
# ## Check

# %%
predict("percent of pruned weights that had been grown the time before")
for history, ages, births in followed.values():
    at_first = sum(tensor["active"] for tensor in history.setup["tensors"])
    died = sum(map(Counter.total, ages))
    born = sum(len(b) for tensors in history.moves for _, b in tensors)
    assert at_first + born - died == sum(map(len, births)) == 3454
    assert [died[1] for died in ages][1:] == moves.newborns(history.moves)[1:]
    assert min(age for died in ages for age in died) >= 1
assert {r.last["free_parameters"] for r in results} == {4952}
assert {r.config.epochs for r in results} == {5} and len(results) == 62

# %% [markdown]
# ## Read the code

# %%
for part in (moves.newborns, compare.changed_tensor, Exploration):
    print(inspect.getsource(part))

# %% [markdown]
# ## Notice
#
# - K counts what is pruned. Most of that was newborn, and nothing of what the network had learned.
# - Yet half of the weights at the end were grown: the few that survive add up.
# - A structure and its first values belong together: whoever tests a structure tests both, or says
#   which.
# - Early moves matter most here. What holds for 500 steps may not hold for 100,000.
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
# A project, 11.5, for an evening: take the open question, or one of yours. Write down what you
# expect before you train. Make a file such as `lessons/results/shapes-why/study.toml`, with three
# seeds or more; `python -m minidsr sweep FILE --out runs/mine`, `report` and `plot` do the rest.
# Tell it as `lessons/results` does: question, prediction, command, table with n and intervals, what
# you see, and how sure you are.
#
# ## Open question
#
# Are newborns only re-dealt, or do they explore? Longer periods, a period's protection for newborns
# (`--protect-newborns`), a quarter of N_p: what raises the share that survives, and does accuracy
# follow?
#
# ## Next
#
# [Lesson 12](12_fast_and_on_a_gpu.ipynb): when zeros save time.
