# %% [markdown]
# # 10. Comparing fairly
#
# *Needs no other lesson; [lesson 6](06_sparse_from_the_start.ipynb) has the methods. Reading 40
# minutes, exercises 55 minutes, estimated. Runs 5 seconds.*
#
# ## Question
#
# On CIFAR-10, `wrn-28-2` with a tenth of its weights got 80.11 % of the test images right after six
# epochs with DSR, and 79.35 % with static positions: each the mean of three runs. Is DSR better?

# %%
import inspect
import math
from dataclasses import replace
from statistics import fmean, stdev

import numpy as np
from matplotlib.figure import Figure
from scipy import special

from lessons import RESULTS
from lessons.predict import predict
from lessons.show import show
from minidsr.run import compare, style

# %% [markdown]
# ## Predict
#
# Write yes, no or not known in place of the dots. And below: how many pairs of runs would it take,
# to see one point of difference in 80 of 100 studies?

# %%
predict("80.11 % is better than 79.35 %, three runs each", ...)
predict("pairs of runs that show one point of difference", ...)

# %% [markdown]
# ## Run
#
# ### Pairs
#
# Two runs of one seed begin with the same values, and see the same images in the same order. So
# they are compared with each other, by *paired differences*.


# %%
def read(path):
    """{label: the Group of runs}, as `report` groups them."""
    results, _ = compare.read([RESULTS / path])
    return {group.label: group for group in compare.grouped(results)[0]}


wide = {group.method: group.values("test_accuracy")
        for group in read("cifar10-wrn-28-2/short.tar.xz").values()}
gains = [a - b for a, b in zip(wide["dsr"], wide["static"], strict=True)]
mean, half = compare.interval(gains)
print("differences", *(f"{gain:.2f}" for gain in gains),
      f"mean {mean:.2f}, 95 % interval {mean - half:.2f} to {mean + half:.2f}")

# %% [markdown]
# DSR was better in each pair. But the interval is the mean ± t s / √n, and of three pairs, with two
# degrees of freedom, t is 4.3: they hardly say how far numbers scatter. 0 lies within: not known.
#
# ### Five seeds
#
# Drawn shapes, `small-cnn`, sparsity 0.95, five seeds for each method:

# %%
groups = read("shapes-small-cnn")
for label, group in groups.items():
    values = group.values("test_accuracy")
    print(f"{label:<32} {fmean(values):.2f} ± {stdev(values):.2f}   ", *values)
found, refused = compare.differences(list(groups.values()))
assert not refused
print()
for d in found:
    mean, half = d.test
    print(f"{d.one.label:>32} - {d.other.label:<32} {mean:+.2f}, {mean - half:+.2f} to "
          f"{mean + half:+.2f}", "" if abs(mean) > half else "  not known")

# %%
dsr, static = (groups[label].values("test_accuracy")
               for label in ("dsr", "static, distribution uniform"))
gains = [a - b for a, b in zip(dsr, static, strict=True)]
mean, half = compare.interval(gains)
with style.own_style():
    figure = Figure(figsize=(8, 3.8), layout="constrained", dpi=100)
    left, right = figure.subplots(1, 2, width_ratios=(3, 2))
    left.plot([0, 1], [static, dsr], color=style.BLACK, marker="o", linewidth=1)
    left.set_xticks([0, 1], ["static", "DSR"])
    style.finish(left, xlim=(-0.3, 1.1), ylabel="test accuracy, %", title="runs, in pairs")
    style.label_ends(left, [(f"seed {i}", 1, a, style.BLACK) for i, a in enumerate(dsr)])
    right.plot([0] * 5, gains, "o", color=style.BLACK, fillstyle="none")
    right.errorbar([0.5], [mean], yerr=[half], fmt="D", color=style.VERMILLION, capsize=6)
    right.axhline(0, color=style.BLACK, linestyle=style.DASHED, linewidth=1)
    right.set_xticks([0, 0.5], ["pairs", "mean, 95 %"])
    style.finish(right, xlim=(-0.4, 0.9), ylabel="DSR minus static, points", title="differences")
show(figure, "10_pairs", alt=f"""
    Left: the test accuracy of static and of DSR, five lines that join the two runs of a seed; all
    of them rise. Right: the differences {', '.join(f'{gain:+.1f}' for gain in gains)} as
    rings, and beside them their mean {mean:.2f} with an interval from {mean - half:.2f} to
    {mean + half:.2f}, which ends just above 0, a broken line.""")

# %% [markdown]
# Of ten intervals one leaves out 0, by little; by chance one in twenty does. To look at many
# differences, and to tell of the one that stands out, is how wrong results are made.
#
# Does it help to pair? Only if the runs of one seed have something in common:

# %%
apart = math.sqrt((stdev(dsr) ** 2 + stdev(static) ** 2) / 5) * special.stdtrit(8, 0.975)
print(f"correlation of DSR and static over seeds: {np.corrcoef(dsr, static)[0, 1]:+.2f}")
print(f"half an interval: {half:.2f} in pairs, {apart:.2f} as if they were strangers")

# %% [markdown]
# As far as five seeds can tell, they have not; and of pairs t is larger, with 4 degrees of freedom
# for 8. Choose the one or the other before you see what comes out.
#
# ### Which images?
#
# The test set is a sample, too. Of 1,000 drawn shapes at 75 % the accuracy moves by 1.4 points (one
# standard deviation) with the choice of images, of CIFAR-10's 10,000 by 0.43. Of a difference
# that is not the noise: both methods see the same images, and agree on most of them.

# %%
print(*(f"{n:,} images: {100 * math.sqrt(0.75 * 0.25 / n):.2f} points" for n in (1000, 10_000)))

# %% [markdown]
# And the demo of this package, with seed 0, by [five versions or
# machines](../results/README.md#the-demo): DSR minus static is +2.9, +3.0, +0.8, +3.8, +7.8. Sums
# are rounded in another order, and 500 steps later the networks are others. One run is one draw.
#
# ### How many runs?
#
# If differences of pairs have a standard deviation of s = 3.6 points, as above, how wide is the
# interval of n pairs? s is itself from five pairs, so it may as well be 2.2, or 10.4.

# %%
s, n = stdev(gains), np.arange(2, 41)
by_t, by_normal = special.stdtrit(n - 1, 0.975) * s / np.sqrt(n), 1.96 * s / np.sqrt(n)
with style.own_style():
    figure = Figure(figsize=(8, 3.6), layout="constrained", dpi=100)
    axes = figure.subplots()
    axes.plot(n, by_t, color=style.BLUE)
    axes.plot(n, by_normal, color=style.VERMILLION, linestyle=style.DASHED)
    style.finish(axes, xlim=(2, 40), ylim=(0, 12), xlabel="pairs of runs, n",
                 ylabel="half an interval, points", title=f"95 % interval, s = {s:.1f} points")
    style.label_ends(axes, [("Student's t", 40, by_t[-1], style.BLUE),
                            ("1.96 s / √n", 40, by_normal[-1], style.VERMILLION)])
show(figure, "10_width", alt=f"""
    Half the width of a 95 % interval against the number of pairs, for s = {s:.1f} points. By
    Student's t it is {by_t[0]:.1f} for two pairs, beyond the picture, {by_t[1]:.1f} for three,
    {by_t[3]:.1f} for five, {by_t[8]:.1f} for ten and {by_t[-1]:.1f} for forty. The dashed line of
    1.96 s / √n is below it, at three pairs at {by_normal[1]:.1f}, and meets it on the right.""")


# %%
def power(pairs, difference):
    """How often an interval of so many pairs lies above 0."""
    t = special.stdtrit(pairs - 1, 0.975)
    return 1 - special.nctdtr(pairs - 1, difference * np.sqrt(pairs) / s, t)


needed = {d: int(next(k for k in range(2, 1000) if power(k, d) >= 0.8)) for d in (1, 2, 5)}
for d, pairs in needed.items():
    print(f"to see {d} point{'s' * (d > 1)} in 80 of 100 studies: {pairs} pairs")
low, high = np.sqrt(4 / special.chdtri(4, [0.025, 0.975]))  # of s, as a share of it, 95 %
print(f"s may be {low * s:.1f} to {high * s:.1f}, and so the first {low**2 * needed[1]:.0f} to "
      f"{high**2 * needed[1]:.0f}")
predict("80.11 % is better than 79.35 %, three runs each")
predict("pairs of runs that show one point of difference")

# %% [markdown]
# ### The best of many
#
# Twenty settings that are all alike, each trained once, and the best is published:

# %%
rng = np.random.default_rng(0)
best = rng.normal(0, stdev(static), (10_000, 20)).max(axis=1)
print(f"better than the truth by {best.mean():.1f} points, on average")

# %% [markdown]
# So settings are chosen by *validation* images, `--validation 5000`, taken from those for training;
# test images are looked at once. And each method gets as many tries as the others.
#
# ### Apples and pears
#
# `python -m minidsr report` compares what may be compared. Two runs, and what it says of the
# second when something is different:

# %%
one, other = groups["dsr"].results[0], groups["static, distribution uniform"].results[0]
print("as they are: ", compare.comparable(one, other))
for change in {"batch": 100}, {"epochs": 8}, {"augment": True}, {"model": "wrn-10-1"}:
    print(change, compare.comparable(one, replace(other, config=replace(other.config, **change))))

# %% [markdown]
# ## Check

# %%
assert [f"{fmean(wide[method]):.2f}" for method in ("dsr", "static")] == ["80.11", "79.35"]
for group in groups.values():
    for run, base in zip(group.results, groups["dsr"].results, strict=True):
        assert compare.comparable(run, base) is None
        assert run.last["free_parameters"] == 4952 and run.config.batch == 50
        assert run.config.seed == base.config.seed
pairs = rng.normal(1, 2, (2000, 5))  # the truth is 1: how often does an interval hold it?
held = np.mean([abs(m - 1) <= h for m, h in map(compare.interval, pairs.tolist())])
assert 0.93 < held < 0.97
assert power(needed[1], 1) >= 0.8 > power(needed[1] - 1, 1)

# %% [markdown]
# ## Read the code

# %%
for part in (compare.interval, compare.differences, compare.comparable):
    print(inspect.getsource(part))

# %% [markdown]
# ## Notice
#
# - Not known is a result.
# - An interval needs its n: two pairs make t 12.7, three 4.3, many 1.96.
# - Noise comes from seeds, from the choice of test images, from rounding. A second seed shows all
#   but that of the images.
# - Who makes many comparisons finds something. Say what you will compare before you look.
# - Equal budgets count all parameters, those of biases and of dense layers as well.
#
# ## Exercises
#
# | name | | minutes, estimated | |
# |---|---|---|---|
# | `paired_interval` | ★★ | 15 | mean, and how sure |
# | `noise_of_test_set` | ★ | 5 | which images happened to be there |
# | `runs_needed` | ★★ | 15 | before you train, how many |
# | `comparable` | ★★ | 20 | what must be equal |
#
# `python -m lessons.check 10` makes a file for them, judges them, and has hints.
#
# ## Open question
#
# Each method has a number that its authors chose: N_p, ζ, α. Choose them by validation images, with
# as many tries for each method. Does the ranking stay?
#
# ## Next
#
# [Lesson 0](00_see_it_move.ipynb) again, with other eyes: which of its sentences would you still
# sign?
