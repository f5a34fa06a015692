# %% [markdown]
# # 1. A convolution is a matrix product
#
# *Needs no other lesson. Reading 35 minutes, exercises 60 minutes, estimated. Runs 5 seconds.*
#
# ## Question
#
# How can one matrix product slide a window over an image?
#
# A network looks at an image through a small window of weights, a *kernel*. It lies on the image,
# each weight is multiplied with the pixel below it, and the sum is one number of the output. Then
# the window moves on. That is a convolution: seven loops, and nearly all multiplications of a
# network.
#
# | letter | meaning |
# |---|---|
# | N | images that are trained on together, a batch |
# | C, F | channels of the input (three colours, say), and of the output, one a filter |
# | H, W and OH, OW | rows and columns of the input, and of the output |
# | k | rows and columns of the kernel |
# | s | stride: by how many pixels the window moves on |
# | p | pad: how many rows and columns of zeros surround the image |
# | tap | one weight of a kernel, in row ky and column kx |

# %%
import inspect
import time

import numpy as np
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from lessons.predict import predict
from lessons.show import show
from minidsr.nn import im2col
from minidsr.proof import naive
from minidsr.run import style

# %% [markdown]
# ## Predict
#
# A layer in the middle of a small network: 3 × 3 kernels, 64 channels to 64, images of 16 × 16
# pixels, pad 1, a batch of 100. How many multiplications is that? And if each window is copied out
# into a column of a matrix, how many times as large as the images is the matrix? Write two numbers.

# %%
predict("multiplications of a convolution, and how much larger its columns are than x", ...)

# %% [markdown]
# ## Run
#
# ### One window after another
#
# An image of 4 × 4 pixels, 0 to 15, and a kernel that subtracts what is right from what is left.
# `naive.conv2d` is the definition in loops; below, under *Read the code*.

# %%
image = np.arange(16.0).reshape(1, 1, 4, 4)  # N, C, H, W
kernel = np.array([[1.0, 0, -1], [2, 0, -2], [1, 0, -1]]).reshape(1, 1, 3, 3)  # F, C, k, k
y = naive.conv2d(image, kernel, 1, 1)
print(image[0, 0], y[0, 0], sep="\n\n")
print("\nwithout a pad only four windows fit:", *naive.conv2d(image, kernel, 1, 0).reshape(-1))

# %% [markdown]
# Away from the edge all are −8. The image is a ramp: each pixel is 1 more than the one left of it.
# Left and right of the window are 2 apart, and the weights of a side have the sum 4: 4 · −2 = −8.
# At the edge the window sees zeros, as if the image ended in a cliff.
#
# ### Each window a column
#
# A window and a kernel are nine numbers each. Written as a row of weights and a column of pixels,
# their sum of products is a product of matrices. And there is nothing to keep sixteen columns from
# standing side by side:

# %%
columns = im2col.columns(image, 3, 1, 1)
weights = kernel.reshape(1, 9)
print("weights", weights.shape, "times columns", columns.shape, "is", (weights @ columns).shape)
print((weights @ columns).reshape(4, 4))


# %%
def cells(axes, numbers, left, top, colours):
    """A matrix as squares; {(row, column): colour}, the others are white."""
    for (i, j), number in np.ndenumerate(numbers):
        axes.add_patch(Rectangle((left + j, top + i), 1, 1, edgecolor="0.6", linewidth=0.6,
                                 facecolor=colours.get((i, j), "white")))
        axes.text(left + j + 0.5, top + i + 0.5, f"{number:g}", ha="center", va="center",
                  fontsize=8, color="black")


with style.own_style():
    figure = Figure(figsize=(11, 4.9), layout="constrained", dpi=100)
    axes = figure.subplots()
    of_row = [style.SKY, "0.88", style.ORANGE]
    cells(axes, np.pad(image[0, 0], 1), 0, 1, {(i, j): of_row[i] for i in range(3)
                                               for j in range(3)})
    axes.add_patch(Rectangle((1, 2), 4, 4, fill=False, linewidth=1.5, linestyle="--"))
    cells(axes, columns, 12, 0, {(i, 0): of_row[i // 3] for i in range(9)})
    cells(axes, weights, 2, 10, {(0, i): of_row[i // 3] for i in range(9)})
    cells(axes, weights @ columns, 12, 10, {(0, 0): "0.75"})
    for i in range(3):
        axes.add_patch(Rectangle((0, 1 + i), 3, 1, fill=False, linewidth=2))
        axes.add_patch(Rectangle((12, 3 * i), 1, 3, fill=False, linewidth=2))
        axes.annotate("", (11.9, 3 * i + 1.5), (3.1, i + 1.5),
                      arrowprops={"arrowstyle": "->", "linewidth": 1.2})
    for x, height, words in ((0, 7.7, "the image, dashed, among zeros; its first window"),
                             (12, -0.4, "columns: one for each of 16 windows"),
                             (2, 11.8, "weights: one row a filter"), (12, 11.8, "y: 4 rows of 4")):
        axes.text(x, height, words, fontsize=9)
    axes.set(xlim=(-0.2, 28.2), ylim=(12.2, -1), aspect="equal")
    axes.set_axis_off()
show(figure, "01_columns", alt="""The image of 4 by 4 pixels in a frame of zeros. Arrows lead from
    the three rows of its first window, 0 0 0, 0 0 1 and 0 4 5, to the first of 16 columns, which
    has them one below another. Under the columns is y, and left of it the row of nine weights:
    1 0 -1 2 0 -2 1 0 -1. The weights times the first column are the first number of y, -7.""")

# %% [markdown]
# Take it by rows. The fifth row is for the tap in the middle: what it sees while the window slides
# is the image itself, 0 to 15. The other rows are the image, shifted by a pixel. So no window need
# be cut out: nine shifted copies are the columns. And more channels are more rows, more images more
# columns, more filters more rows of weights:
#
# > (F, N · OH · OW) = (F, C · k · k) · (C · k · k, N · OH · OW)
#
# This is called *im2col*, image to columns. In whole numbers all three must be equal, to the bit:

# %%
rng = np.random.default_rng(seed=0)
x = rng.integers(-9, 10, (2, 3, 9, 8)).astype(float)  # N, C, H, W
w = rng.integers(-9, 10, (4, 3, 3, 3)).astype(float)  # F, C, k, k
s, p = 2, 1
loops = naive.conv2d(x, w, s, p)
rows = w.reshape(4, 27) @ im2col.columns(x, 3, s, p)  # F, N * OH * OW
by_columns = rows.reshape(4, 2, *loops.shape[2:]).transpose(1, 0, 2, 3)
package = im2col.forward(x, w, s, p)
print("y has the shape", loops.shape)
print("columns as loops:", (by_columns == loops).all(), "  package:", (package == loops).all())

# %% tags=["varies"]
for name, convolve in ("loops", naive.conv2d), ("package", im2col.forward):
    began = time.perf_counter()
    convolve(x, w, s, p)
    print(f"{name:<7}  {1000 * (time.perf_counter() - began):8.3f} ms")

# %% [markdown]
# ### What it costs
#
# The layer of the prediction. Each number of y is a sum of 9 · 64 products, and there are 100 · 64
# · 16 · 16 of them. The columns hold each pixel nine times, once for each tap that meets it.

# %%
N, C, F, k, OH, OW = 100, 64, 64, 3, 16, 16
multiplications = N * OH * OW * F * C * k * k
x_bytes = N * C * OH * OW * 4  # float32
columns_bytes = im2col.columns(np.zeros((1, C, OH, OW), np.float32), k, 1, 1).nbytes * N
print(f"{multiplications:,} multiplications")
print(f"x {x_bytes / 1e6:.1f} MB, columns {columns_bytes / 1e6:.1f} MB: "
      f"{columns_bytes // x_bytes} times as large")
predict("multiplications of a convolution, and how much larger its columns are than x")

# %% [markdown]
# Why nine copies, if so much is said twice? The engine `blocked`, which the package takes for dense
# layers, copies the image for the three columns of a kernel only, and shifts by rows afterwards;
# the product then has three times the rows, at a third of the depth. Here are the three kinds of
# layers of `wrn-28-2`, a network of the paper, for 100 images.

# %%
groups = {"32 channels, 32 × 32": (32, 32), "64 channels, 16 × 16": (64, 16),
          "128 channels, 8 × 8": (128, 8)}
words = []
with style.own_style():
    figure = Figure(figsize=(8, 3.6), layout="constrained", dpi=100)
    axes = figure.subplots()
    for i, (name, (channels, size)) in enumerate(groups.items()):
        images = 100 * channels * size * size * 4 / 1e6
        for j, (copies, colour, hatch) in enumerate(
                ((1, "0.75", ""), (3, style.ORANGE, "//"), (9, style.SKY, ".."))):
            place = i + 0.28 * (j - 1)
            axes.bar(place, copies * images, 0.26, color=colour, hatch=hatch, edgecolor="black")
            axes.text(place, 1.06 * copies * images, f"{copies * images:.1f}", ha="center",
                      fontsize=8)
            if i == 0:
                axes.text(place, 4.3, ("x", "3 copies", "9 copies")[j], ha="center", fontsize=8,
                          rotation=90, va="bottom",
                          bbox={"facecolor": "white", "edgecolor": "none", "pad": 1})
        words.append(f"{name}: {images:.1f}, {3 * images:.1f} and {9 * images:.1f}.")
    style.finish(axes, yscale="log", ylim=(2.5, 250), ylabel="MB", title="100 images in memory",
                 xticks=range(3), xticklabels=groups)
    axes.set_yticks(ticks := [3, 10, 30, 100], ticks)
    axes.minorticks_off()
show(figure, "01_bytes", alt=f"""Bars of megabytes for three layers: the images x, three copies, as
    of the engine blocked, and nine, as of im2col. {' '.join(words)} Each next layer is half as
    large as the one before.""")

# %% [markdown]
# ## Check

# %%
assert y[0, 0].tolist() == [[-7, -6, -6, 10], [-20, -8, -8, 24], [-36, -8, -8, 40],
                            [-35, -6, -6, 38]]
assert (naive.conv2d(image, kernel, 1, 0) == -8).all()
assert ((weights @ columns).reshape(4, 4) == y).all()
assert columns[4].tolist() == list(range(16))  # what the middle tap sees
assert (by_columns == loops).all() and (package == loops).all() and loops.shape == (2, 4, 5, 4)
assert multiplications == 943_718_400 and columns_bytes == 9 * x_bytes == 58_982_400

# %% [markdown]
# ## Read the code
#
# The definition in loops; then the columns, and the convolution by one product. The last two are
# the engine `plain` of the package, by which every faster one is tested.

# %%
for function in (naive.conv2d, im2col.columns, im2col.forward):
    print(inspect.getsource(function))

# %% [markdown]
# ## Notice
#
# - The same weights act at every place. So a layer has F · C · k · k of them, however large the
#   image is: 36,864 here, each used 25,600 times in a step.
# - In signal processing the kernel is flipped, and what networks do is called correlation. Weights
#   are learned, so it makes no difference; to a test it does.
# - `columns` loops over k² taps, not over pixels: NumPy is fast where one call does much.
# - Columns are large, and needed again on the way back ([lesson 2](02_backward_by_hand.ipynb)). The
#   package builds them twice, and keeps x.
# - A weight that is 0 costs as much as any other here. What a sparse layer could save, the engine
#   `sparse` does save.
#
# ## Exercises
#
# | name | | minutes, estimated | |
# |---|---|---|---|
# | `out_size` | ★ | 5 | how many windows fit |
# | `columns` | ★★ | 20 | windows as columns, in the right order |
# | `conv` | ★★★ | 30 | all of it: images, channels, pad and stride |
# | `multiplications` | ★ | 5 | what it costs, dense and sparse |
#
# `python -m lessons.check 1` makes a file for them, judges them, and has hints.
#
# ## Open question
#
# Three copies in place of nine: what does `blocked` pay for it, and for how many channels would you
# do otherwise? Measure: `python -m minidsr bench --engine plain`, and `blocked`.
#
# ## Next
#
# [Lesson 2](02_backward_by_hand.ipynb): the way back, and how to know that it is right.
