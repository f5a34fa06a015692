# %% [markdown]
# # 0. See it move
#
# *Needs no other lesson. Reading 20 minutes, exercises 11 minutes, estimated. Runs 20 seconds.*
#
# ## Question
#
# Does a network know where its weights should be?
#
# A small network learns to tell ten drawn shapes apart. Four of its convolutions are sparse: of
# their 69,120 positions, 3,454 have a weight, drawn at random, 5 % in each. The others have none;
# nothing is stored or computed for them. Every ten steps, training takes the smallest weights away,
# and puts as many new ones elsewhere.
#
# | word | meaning |
# |---|---|
# | tensor | an array of numbers; here the weights of one layer |
# | convolution | a layer that slides small windows of weights, *kernels*, over an image |
# | position | a place in a tensor that may hold a weight |
# | step, epoch | one update of all weights, from 50 images; one pass over all images |
# | density, sparsity | the share of positions with a weight; the share without |
# | R_s | the share of positions that have ever held a weight |

# %%
import inspect
from functools import reduce

import numpy as np
from matplotlib.colors import ListedColormap
from matplotlib.figure import Figure

from lessons import MINE, RESULTS
from lessons.predict import predict
from lessons.show import show
from minidsr import Config, train
from minidsr.data import load
from minidsr.methods.dsr import DSR
from minidsr.run import directory, figures, moves, page, report, style
from minidsr.run.history import History

# %%
shapes = load("synthetic", None)
with style.own_style():
    figure = Figure(figsize=(8, 1.1), layout="constrained", dpi=100)
    for i, axes in enumerate(figure.subplots(1, 10)):
        first = np.flatnonzero(shapes.train_y == i)[0]
        axes.imshow(shapes.train_x[first].transpose(1, 2, 0))
        axes.set_title(shapes.classes[i], fontsize=9)
        axes.set_axis_off()
show(figure, "00_shapes", alt=f"""One image of 32 by 32 pixels of each class:
    {', '.join(shapes.classes)}. Each has a colour of its own on another, with strokes across the
    background, and noise.""")

# %% [markdown]
# ## Predict
#
# The sparse convolutions are conv2, conv3, conv4 and conv5, with 4,608, 9,216, 18,432 and 36,864
# positions. Whose density will have risen most? Write its name, "conv4" or another, in place of the
# dots.

# %%
predict("rises most", ...)

# %% [markdown]
# ## Run
#
# Three passes over 5,000 images, 50 a step: 300 steps. `record` keeps where every weight is.

# %% tags=["varies"]
config = Config(data="synthetic", model="small-cnn", method="dsr", sparsity=0.95, epochs=3,
                batch=50, record=True)
history = train(config)
print(report.by_tensor(history))
print(f"\ntest accuracy: {history.test_accuracy:.1f} %")

# %% [markdown]
# The last digits depend on the processor: sums are rounded in another order, a weight near the
# threshold stays or goes, and from then on nothing is the same.

# %% tags=["varies"]
tensors, records = history.setup["tensors"], history.reallocations
names = [t["name"] for t in tensors]
sizes = np.array([t["size"] for t in tensors])
moments = figures.moments(history)  # the start, each reallocation, the end of each epoch
steps, active = ([m[what] for m in moments] for what in ("step", "active"))
density = 100 * np.array(active) / sizes
with style.own_style():
    figure = Figure(figsize=(8, 3.6), layout="constrained", dpi=100)
    axes, ends, colours = figure.subplots(), [], style.shades(4)
    for i, name in enumerate(names):
        axes.plot(steps, density[:, i], drawstyle="steps-post", color=colours[i],
                  linestyle=style.DASHES[i])
        ends.append((name, steps[-1], density[-1, i], colours[i]))
    style.finish(axes, from_zero=True, xlabel="training step", ylabel="positions with a weight, %",
                 title="Density of each tensor")
    style.label_ends(axes, ends)
said = ", ".join(f"{name} at {density[-1, i]:.1f} %" for i, name in enumerate(names))
show(figure, "00_density", alt=f"""The density of four tensors over 300 steps, in {len(records)}
    reallocations. All begin at 5 %. At the end are {said}.""")

# %% [markdown]
# Where are they? Here is conv2, 16 × 32 kernels of 3 × 3: inputs from top to bottom, outputs from
# left to right, each of the 48 × 96 squares a position.

# %% tags=["varies"]
start = moves.at_start(history.setup)
end = reduce(lambda now, record: moves.after(now, record, sizes), records, start)
marks = np.zeros((2, 32 * 16 * 3 * 3))
marks[0, start[0]] = marks[1, np.intersect1d(start[0], end[0])] = 1
marks[1, np.setdiff1d(end[0], start[0])] = 2
with style.own_style():
    figure = Figure(figsize=(10, 2.9), layout="constrained", dpi=100)
    for axes, mark, when in zip(figure.subplots(1, 2), marks, ("start", "end"), strict=True):
        axes.imshow(mark.reshape(32, 16, 3, 3).transpose(1, 2, 0, 3).reshape(48, 96), vmin=0,
                    vmax=2, cmap=ListedColormap(["white", "black", style.ORANGE]))
        axes.set(title=f"conv2 at the {when}: {int((mark > 0).sum())} weights", xticks=[],
                 yticks=[])
        axes.spines[:].set_visible(True)
stayed = int((marks[1] == 1).sum())
show(figure, "00_conv2", alt=f"""The positions of conv2 that have a weight, at the start and at the
    end, as dots: {len(start[0])}, then {len(end[0])}. Of these, {stayed} black ones had one at the
    start, too, and {len(end[0]) - stayed} orange ones had none. No pattern is to be seen.""")

# %% [markdown]
# ### The page of a run
#
# A longer run, of 500 steps, is recorded in `lessons/results/shapes-small-cnn/dsr-0.95-0`. This
# writes its page. Open `lessons/mine/page.html` in a browser, and press play.

# %%
run = RESULTS / "shapes-small-cnn" / "dsr-0.95-0"
recorded = History.load(run / "metrics.jsonl")
page.write({"dsr": (directory.read_config(run), recorded)}, MINE / "page.html")
print(report.by_tensor(recorded))

# %% [markdown]
# ## Check

# %% tags=["varies"]
predict("rises most")
print("it is", names[int((density[-1] - density[0]).argmax())])

# %%
assert all(sum(counts) == 3454 for counts in active)  # at all times
assert active[-1][0] > active[0][0]  # conv2 has grown
assert recorded.conserved and [sum(r["active"]) for r in recorded.reallocations] == [3454] * 47
assert recorded.reallocations[-1]["active"] == [394, 657, 971, 1432]
young, pruned = sum(moves.newborns(recorded.moves)), sum(r["K"] for r in recorded.reallocations)
print(f"Of {pruned:,} weights pruned in the recorded run, {young:,} had been grown only the time "
      f"before: {100 * young / pruned:.0f} %")

# %% [markdown]
# ## Read the code
#
# `train` is a loop over batches. Now and then it comes by here; `move` is Algorithm 1, and lesson 7
# takes it apart.

# %%
print(inspect.getsource(DSR.reallocate))

# %% [markdown]
# ## Notice
#
# - The number of weights is the same at each step: 3,454. What one tensor gains, others lose
#   (Algorithm 1, section 3).
# - Nobody has said how dense conv2 should be. One threshold prunes all tensors, and those whose
#   weights are large lose few (section 3).
# - New weights begin at 0, and are pruned the next time unless training has made them large: so it
#   went with 87 % of the pruned ones. The paper does not count them.
# - One run tells little. Over [five seeds](../results/README.md#drawn-shapes-five-seeds-each), DSR
#   gains 4.7 points over weights that stay where they are, with an interval from 0.2 to 9.2.
#
# ## Exercises
#
# | name | | minutes, estimated | |
# |---|---|---|---|
# | `below` | ★ | 3 | how many weights are small |
# | `density` | ★ | 3 | the share of positions with a weight |
# | `gains` | ★ | 5 | what each tensor has gained or lost |
#
# `python -m lessons.check 0` makes a file for them, judges them, and has hints.
#
# ## Open question
#
# The threshold begins at 0.001. Begin with ten times as much, and with a tenth:
# `Config(threshold=…)`. What is different in the end, and what is not?
#
# ## Next
#
# [Lesson 7](07_algorithm_1.ipynb): how it decides, step by step. [Lesson
# 5](05_counting_parameters.ipynb): what a parameter is.
