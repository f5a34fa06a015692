# %% [markdown]
# # 12. Fast, and on a GPU
#
# *Needs no other lesson; [lesson 1](01_convolution.ipynb) shows where the product comes from.
# Reading 40 minutes, exercises 70 minutes, estimated. Runs 10 seconds.*
#
# ## Question
#
# When do zeros save time?
#
# At sparsity 0.9 nine of ten multiplications are not needed, yet many sparse programs are slower
# than dense ones. Measure from where on zeros pay on your machine, and look for what limits them.
#
# | word | meaning |
# |---|---|
# | FLOP | one operation with a number; a product that is added to a sum is two |
# | intensity | FLOP for each byte that must be moved, at least |
# | CSR | compressed sparse rows: of each row the values, and their columns |

# %%
import inspect
import timeit
from functools import partial
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure
from scipy.sparse import csr_array

from lessons import RESULTS
from lessons.predict import predict
from lessons.show import show
from minidsr import backend, fast
from minidsr.fast.parallel import threads
from minidsr.nn import im2col
from minidsr.run import style

# %% [markdown]
# ## Predict
#
# A convolution of 64 channels to 64, as one product: weights (64, 576) times columns (576, 6400).
# With the weights as CSR, SciPy multiplies only those that are there. From which sparsity on is it
# faster than the dense product, on one thread? Write a number in place of the dots.

# %%
predict("sparsity from which on SciPy's product is faster than the dense one", ...)

# %% [markdown]
# ## Run
#
# ### Three ways to multiply
#
# Dense; by CSR; and one weight after another, in NumPy: each adds one row of the columns to one row
# of y. All numbers are small whole ones, so all three must agree to the bit.


# %%
def one_by_one(W, columns):
    y = np.zeros((len(W), columns.shape[1]), columns.dtype)
    for f, row in np.argwhere(W):
        y[f] += W[f, row] * columns[row]
    return y


def least(calls):
    """Seconds of each (function, *arguments). They take turns: of seven rounds the least counts."""
    return np.array([[timeit.timeit(partial(*call), number=1) for call in calls]
                     for _ in range(7)]).min(0)


SPARSITIES = [0.5, 0.8, 0.9, 0.95, 0.98, 0.99]
WAYS = {"dense": (style.BLACK, style.SOLID, "D"), "SciPy": (style.VERMILLION, style.DASHED, "o"),
        "one by one": (style.BLUE, style.DOTTED, "s")}
rng = np.random.default_rng(seed=0)
x = rng.integers(-9, 10, (25, 64, 16, 16)).astype(np.float32)  # N, C, H, W
columns = im2col.columns(x, 3, 1, 1)                            # (576, 6400)
calls, counts, agree = [], [], True
for sparsity in SPARSITIES:
    W = np.float32(rng.integers(1, 10, (64, 576)) * (rng.random((64, 576)) >= sparsity))
    ways = [(np.matmul, W, columns), (csr_array(W).dot, columns), (one_by_one, W, columns)]
    ys = [way(*args) for way, *args in ways]
    agree = agree and all(np.array_equal(ys[0], y) for y in ys)
    calls += ways
    counts.append(np.count_nonzero(W))
with threads(1):
    seconds = dict(zip(WAYS, least(calls).reshape(6, 3).T, strict=True))
work = {name: 2 * 6400 * np.array([W.size] * 6 if name == "dense" else counts) for name in WAYS}
print("weights that are there:", *counts, "  all agree:", agree)

# %% tags=["varies"]
speeds = {name: work[name] / seconds[name] / 1e9 for name in WAYS}
for i, sparsity in enumerate(SPARSITIES):
    print(f"sparsity {sparsity:<4g}", *(f"  {name} {1000 * seconds[name][i]:5.1f} ms, "
                                        f"{speeds[name][i]:4.1f} GFLOP/s" for name in WAYS))
for name in ("SciPy", "one by one"):
    faster = [s for i, s in enumerate(SPARSITIES) if seconds[name][i] < seconds["dense"][i]]
    print(f"{name} is faster than dense at", *faster or ["none of them"])
predict("sparsity from which on SciPy's product is faster than the dense one")

with style.own_style():
    figure = Figure(figsize=(8, 4), layout="constrained", dpi=100)
    axes = figure.subplots()
    density = [1 - s for s in SPARSITIES]
    for name, (colour, dashes, mark) in WAYS.items():
        axes.plot(density, 1000 * seconds[name], color=colour, linestyle=dashes, marker=mark)
    style.finish(axes, xscale="log", yscale="log", xlim=(0.55, 0.0095), xlabel="sparsity",
                 ylabel="ms", title="(64, 576) times (576, 6400), one thread")
    axes.set_xticks(density, SPARSITIES)
    axes.minorticks_off()
    style.label_ends(axes, [(name, density[-1], 1000 * seconds[name][-1], look[0])
                            for name, look in WAYS.items()])
ends = {name: f"{1000 * t[0]:.1f} to {1000 * t[-1]:.1f} ms" for name, t in seconds.items()}
show(figure, "12_crossing", alt=f"""Time of a product against sparsity, from 0.5 to 0.99, both axes
    logarithmic. Dense goes {ends['dense']}, much the same everywhere. Two lines fall: SciPy goes
    {ends['SciPy']}, one by one {ends['one by one']}. Where they meet the line of dense, zeros begin
    to save time.""")

# %% [markdown]
# The dense product does not see zeros. The others take about a tenth of the time at sparsity 0.95
# that they take at 0.5: a weight costs what it costs, many times as much as in the dense product.
#
# ### What a byte must bring
#
# Two things limit a program: how many operations the processor can do, and how many bytes memory
# can bring, each good for as many operations as the intensity: a *roof* (Williams et al. 2009).
# Dense weights, columns and y are moved once for 472 million operations; at sparsity 0.99 nearly as
# many bytes are moved, for a hundredth of them.

# %%
others = 4 * (columns.size + 64 * 6400)  # bytes of columns and y; CSR has 8 a weight
moved = {name: others + (4 * work[name] if name == "dense" else 8 * work[name]) / 12_800
         for name in WAYS}
intensity = {name: work[name] / moved[name] for name in WAYS}
for i, sparsity in enumerate(SPARSITIES):
    print(f"sparsity {sparsity:<4g}  MB moved {moved['SciPy'][i] / 1e6:5.1f}  FLOP a byte "
          f"{intensity['SciPy'][i]:5.2f}, dense {intensity['dense'][i]:.1f}")

# %% tags=["varies"]
square, copy = rng.random((1024, 1024), np.float32), np.empty_like(columns)
with threads(1):
    product, copying = least([(np.matmul, square, square), (np.copyto, copy, columns)])
most = max(2 * 1024 ** 3 / product / 1e9, *speeds["dense"])  # GFLOP/s
bring = 2 * columns.nbytes / copying / 1e9                   # GB/s
with style.own_style():
    figure = Figure(figsize=(8, 4), layout="constrained", dpi=100)
    axes = figure.subplots()
    roof = np.geomspace(0.1, 100, 200)
    axes.plot(roof, np.minimum(most, bring * roof), color="0.5", linewidth=2)
    axes.annotate(f"{bring:.0f} GB/s", (0.2, 0.2 * bring), (0.12, 0.55 * bring), color="0.3")
    for name, (colour, dashes, mark) in WAYS.items():
        axes.plot(intensity[name], speeds[name], color=colour, linestyle=dashes, marker=mark)
    style.finish(axes, xscale="log", yscale="log", ylim=(0.2, 2 * most), ylabel="GFLOP/s",
                 xlabel="intensity, FLOP a byte", title="Below the roof; sparser is further left")
    style.label_ends(axes, [("roof", 100, most, "#555555"), *(
        (name, intensity[name][0], speeds[name][0], look[0]) for name, look in WAYS.items())])
low, high = ({name: f"{of(s):.1f}" for name, s in speeds.items()} for of in (min, max))
show(figure, "12_roof", alt=f"""Speed against intensity, both axes logarithmic. The roof rises with
    {bring:.0f} GB/s and is flat at {most:.0f} GFLOP/s. Dense, at 28.5 FLOP a byte, has up to
    {high['dense']}. From sparsity 0.5 to 0.99 intensity falls from 14 to 0.3; there SciPy has
    {low['SciPy']} to {high['SciPy']}, one by one {low['one by one']} to {high['one by one']}.""")

# %% [markdown]
# The roof is of a copy as large as the columns; what is in a cache may pass above it. At sparsity
# 0.5 SciPy and one by one stay far below: for each product a number is read, which the dense
# product uses for many. Towards 0.99 the roof itself comes down.
#
# ### What the package does
#
# No columns: x alone, a ninth of the bytes. The engine `sparse` adds shifted images as `one by one`
# adds rows, in blocks that stay in the first cache, four weights in each pass; Numba compiles it.
# Measured on two cores, `lessons/results`; × PyTorch: as many times as fast as its better layout.

# %%
text = (RESULTS / "speed-avx512" / "speed.md").read_text(encoding="utf-8")
print(text[text.index("`wrn-28-2`"):text.index("`wrn-16-1`")])

# %% [markdown]
# ### On a GPU
#
# CuPy has NumPy's functions for arrays on a GPU. `get_xp(x)` is the module of an array, so one code
# runs on both. The host, where Python runs, hands over *kernels*, operations on whole arrays, and
# goes on until it asks for a number. What costs are many small kernels, waiting, and bytes sent.
# `strict_cupy`, which refuses what CuPy refuses, counts them; it needs CuPy, and no GPU.

# %% tags=["varies"]
try:
    from lessons.grader.strict_cupy import counted, in_the_place_of_cupy
except ImportError:
    print("CuPy is not installed here: pip install cupy-cuda13x (Linux, Windows)")
else:
    with in_the_place_of_cupy() as cupy:
        w = cupy.asarray(W.reshape(64, 64, 3, 3))
        for count in (1, 25):
            there = cupy.asarray(x[:count])
            with counted() as cost:
                im2col.forward(there, w, 1, 1)
            print(f"{count:>2} images: {cost.launches.total()} kernels, the host waits "
                  f"{cost.reads.total()} times, and sends {cost.uploads.total()} arrays")

# %% [markdown]
# A step of `wrn-28-2` with DSR is 1,115 kernels at least, its batch 24. The paper's 200 epochs of
# 500 steps in half an hour would leave 15.8 µs for each. On an H200 the GPU waited for the host,
# which took 38: nearly four times as long as the kernels (`tests/GPU.md`).
#
# ## Check

# %%
assert agree and W.size == 36_864
assert seconds["SciPy"][-1] < seconds["SciPy"][0]  # with a fiftieth of the weights
assert columns.nbytes == 9 * x.nbytes and round(intensity["dense"][0], 1) == 28.5
assert round(1800 / (200 * 500 * (1115 + 24)) * 1e6, 1) == 15.8  # µs a kernel

# %% [markdown]
# ## Read the code
#
# What chooses the module, and makes one kernel of many operations; the loop of the engine `sparse`.

# %%
for function in (backend.get_xp, backend.fuse):
    print(inspect.getsource(function))
source = Path(fast.__file__).with_name("sparse_conv.py").read_text(encoding="utf-8")
print(source[source.index("@jit\ndef _add_up"):source.index("@jit\ndef _dots")])

# %% [markdown]
# ## Notice
#
# - Fewer operations are not less time. Where lines cross depends on program, shapes and machine:
#   measure it. Zeros in a dense tensor save nothing; nor do masks in training.
# - What sparsity does not shrink stays: images, read and written. A GPU waits for a slow host.
# - All choices, such as where weights grow, are made on the host: the same on both devices.
#
# ## Exercises
#
# | name | | minutes, estimated | |
# |---|---|---|---|
# | `intensity` | ★ | 10 | what each byte must bring |
# | `crossing` | ★ | 10 | from where on sparse is faster: yours, for `seconds` above |
# | `shifted_conv` | ★★★ | 30 | a convolution with the weights that exist |
# | `conv_anywhere` | ★★ | 20 | NumPy on a CPU, CuPy on a GPU; judged with CuPy, without a GPU |
#
# `python -m lessons.check 12` makes a file for them, judges them, and has hints.
#
# ## Open question
#
# Some GPUs skip zeros in hardware if, of each four neighbours, two are zero. Write the invariant,
# and a `reallocate` for which it always holds. What may a weight that grows still choose?
#
# ## Next
#
# [The list of lessons](../README.md): which ones have you not seen?
