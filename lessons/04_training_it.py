# %% [markdown]
# # 4. Training it
#
# *Needs no other lesson. Reading 35 minutes, exercises 50 minutes, estimated. Runs 15 seconds.*
#
# ## Question
#
# What happens between two batches?
#
# A network has said what it sees in a batch of images, the loss says how wrong that is, and
# backward has given every weight its gradient: where the loss would rise. Now each weight takes a
# step the other way. How large a step, and which batch comes next?
#
# w is a weight, g its gradient, v its velocity; lr is the learning rate, t the step, from 0 on.

# %%
import inspect

import numpy as np
from matplotlib.figure import Figure

from lessons.predict import predict
from lessons.show import show
from minidsr.data.batches import augment, batches
from minidsr.fast.parallel import threads
from minidsr.nn.sgd import SGD, _update
from minidsr.parameters import Dense
from minidsr.run import style
from minidsr.run.config import Config
from minidsr.run.train import Trainer
from minidsr.schedules import SCHEDULES, piecewise

# %% [markdown]
# ## Predict
#
# A weight is 1, at rest; its gradient is 1 at each of three steps, lr 0.1, momentum 0.9. Where is
# it then? Without momentum it would be at 0.7. Write a number in place of the dots.

# %%
predict("three steps of momentum 0.9 lead from 1 to", ...)

# %% [markdown]
# ## Run
#
# ### A step
#
# With momentum a weight is a ball that rolls: the gradient does not move it, but pushes it.
#
# > v ← momentum · v + g, w ← w − lr · v
#
# Nesterov's rule looks one push ahead: w ← w − lr · (momentum · v + g), with the new v.


# %%
def pushed(steps, **rule):
    """[(velocity, weight)] of a weight that begins at 1, with gradients of 1."""
    weight, path = Dense(np.ones(1)), []
    sgd = SGD([weight], **rule)
    for _ in range(steps):
        weight.grad, sgd.lr = np.ones(1), 0.1
        sgd.step()
        path.append((float(weight.velocity[0]), float(weight.value[0])))
    return path


plain, nesterov = (pushed(3, momentum=0.9, nesterov=rule) for rule in (False, True))
print("step  velocity  w, plain  w, Nesterov")
for t, ((v, w), (_, ahead)) in enumerate(zip(plain, nesterov, strict=True), 1):
    print(f"{t:>4}{v:>10.2f}{w:>10.4f}{ahead:>13.4f}")
predict("three steps of momentum 0.9 lead from 1 to")

# %% [markdown]
# The velocity grows to 1 / (1 − 0.9) = 10: a long slope is gone down ten times as fast as without
# momentum. Gradients that point to and fro cancel.
#
# *Weight decay* adds a small part of w to its gradient, 0.0005 in the paper: what no image asks for
# goes back towards 0.
#
# ### The learning rate
#
# Large steps at first, then smaller ones: by a factor of 0.2 at 30, 60 and 80 % of training, as in
# the paper. From which step on is that?

# %%
print("0.55 * 100 =", 0.55 * 100, "  is step 55 there?", 55 >= 0.55 * 100)
at_milestone = [piecewise(t, 100, (0.55,), (0.1, 0.02)) for t in (54, 55)]
print("piecewise, at steps 54 and 55 of 100:", *at_milestone)

# %% [markdown]
# ### The batches
#
# An epoch is all images once, in an order of its own. The order is a function of the seed and of
# the number of the epoch, of nothing else. So a training that broke off in the middle of epoch 7
# goes on with the very next batch: nobody needs to know what was drawn before.

# %% tags=["varies"]
config = Config(model="small-cnn-0.25", method="dense", sparsity=None, threshold=None, periods=None,
                period_milestones=None, train_images=2000, epochs=3, batch=20, device="cpu")
trainer = Trainer(config)
print(f"{len(trainer.dataset.train_y):,} images, {trainer.steps_per_epoch} steps an epoch, "
      f"{trainer.total_steps} in all")

# %%
first = [labels for _, labels in trainer.batches()]
again = [labels for _, labels in trainer.batches()]
trainer.t = 60
rest = [labels for _, labels in trainer.batches()]
trainer.t = trainer.steps_per_epoch
second = [labels for _, labels in trainer.batches()]
print("labels of epoch 0:", *first[0][:12])
print("labels of epoch 1:", *second[0][:12])

# %% [markdown]
# Photographs, such as CIFAR-10's, are moved by up to 4 pixels each time, and mirrored half of the
# time: a cat that looks the other way is a cat. Outside of an image is its mirror image.

# %%
image = trainer.dataset.train_x[:1]
moves = [((4, 4), False), ((0, 8), False), ((4, 4), True), ((0, 8), True)]
words = "as it is", "cut from above, right", "mirrored", "cut, then mirrored"
with style.own_style():
    figure = Figure(figsize=(8, 2.3), layout="constrained", dpi=100)
    for axes, (shift, flip), title in zip(figure.subplots(1, 4), moves, words, strict=True):
        moved = augment(image, np.array([shift]), np.array([flip]))
        axes.imshow(moved[0].transpose(1, 2, 0))
        axes.set(title=title, xticks=[], yticks=[])
show(figure, "04_moved", alt="""A drawn shape, four times: as it is; cut from the upper right corner
    of the padded image, so that the shape has moved down and left by 4 pixels; mirrored, right for
    left; and cut, then mirrored: down and right.""")

# %% [markdown]
# ### All together
#
# `small-cnn`, of a quarter of its width, dense: 300 steps with the drops of the rate, and without.


# %%
def losses(config):
    """The loss of each step, and the learning rates."""
    trainer, found, rates = Trainer(config), [], []
    while trainer.t < trainer.total_steps:
        for x, labels in trainer.batches():
            trainer.begin_epoch()  # whose mean loss is that of one step
            rates.append(trainer.lr())
            trainer.step(x, labels)
            found.append(trainer.so_far()[0])
    return np.array(found), rates


# %% tags=["varies"]
runs = {"with drops": config, "without": Config(**{**vars(config), "lr_milestones": ()})}
with threads(1):  # more have nothing to share in so small a network
    found = {name: losses(each) for name, each in runs.items()}
ends = {name: loss[-50:].mean() for name, (loss, _) in found.items()}
for name, end in ends.items():
    print(f"{name:<10}  mean loss of the last 50 steps {end:.3f}")

with style.own_style():
    figure = Figure(figsize=(8, 4.6), layout="constrained", dpi=100)
    upper, lower = figure.subplots(2, 1, sharex=True, height_ratios=(2, 1))
    looks = {"with drops": (style.VERMILLION, style.SOLID), "without": (style.BLUE, style.DASHED)}
    for name, (loss, rates) in found.items():
        colour, dashes = looks[name]
        smooth = np.convolve(loss, np.full(10, 0.1), "valid")
        upper.plot(range(10, 301), smooth, color=colour, linestyle=dashes)
        lower.step(range(300), rates, where="post", color=colour, linestyle=dashes)
    style.finish(upper, yscale="log", ylabel="loss, mean of 10 steps")
    low, high = upper.get_ylim()
    upper.set_yticks(ticks := [x / 5 for x in range(1, 16) if low < x / 5 < high], ticks)
    upper.minorticks_off()
    style.finish(lower, yscale="log", xlabel="training step", ylabel="learning rate")
    style.label_ends(upper, [(name, 300, np.mean(loss[-10:]), looks[name][0])
                             for name, (loss, _) in found.items()])
    style.label_ends(lower, [(name, 299, rates[-1], looks[name][0])
                             for name, (_, rates) in found.items()])
show(figure, "04_losses", alt=f"""Above, the loss of two trainings against the step, below their
    learning rates: one stays at 0.1, the other falls in three stairs, at steps 90, 180 and 240,
    to 0.0008. Both losses begin at about 2.3, and have {ends['with drops']:.2f} on average of the
    last 50 steps with drops, and {ends['without']:.2f} without.""")

# %% [markdown]
# Guessing among ten classes has a loss of log 10, 2.30. The paper's three drops are for 100,000
# steps. What would you change for 300? One seed is no comparison (lesson 10 makes some).
#
# ## Check
#
# The same seed gives the same numbers, to the bit. A training that breaks off goes on as if it had
# not: a step depends on t, and on the state of the model.


# %%
def go_on(trainer, steps):
    """So many steps more; all numbers of the model."""
    for (x, labels), _ in zip(trainer.batches(), range(steps), strict=False):
        trainer.step(x, labels)
    return trainer.model.state()


def equal(one, other):
    return all(np.array_equal(one[name], other[name]) for name in one)


whole = go_on(Trainer(config), 6)
assert equal(whole, go_on(Trainer(config), 6))
half = go_on(Trainer(config), 3)
resumed = Trainer(config)
resumed.model.load(half)
resumed.t = 3
assert not equal(half, whole) and equal(go_on(resumed, 3), whole)

assert np.allclose(plain, [(1, 0.9), (1.9, 0.71), (2.71, 0.439)])
assert np.allclose([w for _, w in nesterov], [0.81, 0.539, 0.1951])
assert at_milestone == [0.1, 0.02]
assert all(map(np.array_equal, first, again)) and all(map(np.array_equal, rest, first[60:]))
assert not np.array_equal(first, second) and (np.sort(first, None) == np.sort(second, None)).all()

# %% [markdown]
# ## Read the code

# %%
for part in (_update, piecewise, SCHEDULES["step"], augment, batches, Trainer.lr, Trainer.step):
    print(inspect.getsource(part))

# %% [markdown]
# ## Notice
#
# - `Trainer.step` is all of training: forward, loss, backward, rate, update. Where weights move
#   (lesson 7), the update is the method's.
# - Velocities belong to weights. A weight that is pruned loses its velocity, too.
# - The order of batches is a function of seed and epoch: no state to save, nothing to get wrong.
# - Decay acts on weights that exist (section 3 of the paper); a zero has nothing to decay.
#
# ## Exercises
#
# | name | | minutes, estimated | |
# |---|---|---|---|
# | `sgd_step` | ★ | 10 | momentum, Nesterov's rule, weight decay |
# | `piecewise` | ★★ | 10 | the learning rate in force, exactly |
# | `batches` | ★★ | 15 | an order for each epoch, to resume anywhere |
# | `crop_and_flip` | ★★ | 15 | images moved and mirrored |
#
# `python -m lessons.check 4` makes a file for them, judges them, and has hints.
#
# ## Open question
#
# Find the largest learning rate with which `small-cnn` trains; then with half as many trials.
#
# ## Next
#
# [Lesson 5](05_counting_parameters.ipynb): what a parameter is, when most weights do not exist.
