"""How fast, against what: python tests/benchmarks/speed.py

Contenders take turns, round after round, so that all meet the same weather on the machine. Of
whole networks each has a process of its own, anew in each round, and its time is the median of half
a second of calls or more; elsewhere a turn is two calls, of which the second counts. A table gives
the median and, in brackets, the least and the most. A ratio is the median over the rounds of
PyTorch's time, of its fastest form in that round, by the contender's; where a table has medians
only, it is their ratio. Without PyTorch, ours run alone. A training step is forward, loss, backward
and update; `loading` measures the data beside it.

Writes speed.md, speed.json and speed.png to --out.
"""

import os
import sys

if "--child" not in sys.argv:  # children get what is set here
    for pin in ("OPENBLAS_CORETYPE", "OPENBLAS_L2_SIZE"):
        os.environ.pop(pin, None)  # BLAS as it chooses itself; before NumPy loads it
if "--avx2" in sys.argv:  # of OpenBLAS; Numba; PyTorch, its oneDNN, its MKL, what it compiles
    os.environ |= {"OPENBLAS_CORETYPE": "Haswell", "NUMBA_CPU_NAME": "haswell",
                   "NUMBA_CPU_FEATURES": "", "ATEN_CPU_CAPABILITY": "avx2",
                   "ONEDNN_MAX_CPU_ISA": "AVX2", "MKL_ENABLE_INSTRUCTIONS": "AVX2",
                   "TORCHINDUCTOR_CPP_MARCH": "haswell"}

import json
import statistics
import time
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
import tyro
from contenders import OURS, THEIRS, Ours, contender, pytorch, torch_networks
from memory import child_memory, child_state, memory, state
from reallocation import reallocation
from timing import (
    crossover,
    in_a_process_of_its_own,
    milliseconds,
    processes_take_turns,
    ratio,
    seconds_of,
    table,
    take_turns,
)

from minidsr.data.batches import Dataset, batches
from minidsr.fast import norm_loops
from minidsr.fast.engine import use
from minidsr.fast.parallel import map_chunks, threads
from minidsr.methods.base import make_sparse
from minidsr.nn.base import Residual, Sequential
from minidsr.nn.layers import BatchNorm, Conv2d, ReLU
from minidsr.run.environment import environment


@dataclass
class Options:
    """What is measured, and how often."""

    sections: tuple[str, ...] = ()
    """Some of: machine, networks, blocks, sparsity, layers, scaling, memory, state, reallocation,
    loading (all)."""
    rounds: int = 7
    """Rounds that count; but for whole networks, after one that does not."""
    threads: int | None = None
    """Threads of every contender (default: all cores)."""
    out: Path = Path("runs/speed")
    """Where speed.md, speed.json and speed.png go."""
    avx2: bool = False
    """Hold what has a process of its own to the instructions of a processor with AVX2."""
    small: bool = False
    """Tiny networks and one round: does the benchmark itself work?"""
    child: str | None = None
    """One measurement in a process of its own: the benchmark uses it itself."""


def machine(options, results):
    """The machine: what its cores multiply and move."""
    n = 256 if options.small else 1024
    a, b = np.random.default_rng(0).random((2, 8, n, n), np.float32)

    def multiply(images):
        for i in range(images.start, images.stop, 12):  # of 96
            np.matmul(a[i // 12], b[i // 12])

    seconds = take_turns({"multiply": lambda: map_chunks(multiply, 96), "copy": _copy()},
                         3 * options.rounds, "machine")
    results["machine"] = seconds
    work = {"multiply": 8 * 2 * n ** 3, "copy": 2 * _BIG}
    rates = [[f"{work[name] / t / 1e9:.0f}" for t in (statistics.median(seconds[name]),
              max(seconds[name]), min(seconds[name]))] for name in work]
    return table(["", "median", "least", "most"], [
        ["large products, GFLOP/s", *rates[0]], ["copies, read and written, GB/s", *rates[1]]])


def networks(options, results):
    """Whole networks, training step and forward, each contender in a process of its own."""
    text, batch = [], 4 if options.small else 100
    few = ("PyTorch, NCHW", "blocked, dense", "sparse, DSR 0.9")
    theirs = _theirs(options)
    for model in ("wrn-10-1",) if options.small else (
            "wrn-28-2", "wrn-16-1", "small-cnn", "lenet-300-100"):
        names = [name for name in (*theirs, *OURS) if not options.small or name in few]
        found = processes_take_turns(__file__, "network", names, options.rounds, model, model,
                                     batch, threads=options.threads)
        step, forward = ({name: [one[what] for one in rounds] for name, rounds in found.items()}
                         for what in ("step", "forward"))
        results[f"networks/{model}"] = {"step": step, "forward": forward}
        text.append(f"`{model}`, batch {batch}, ms:\n\n" + table(
            ["contender", "training step", "× PyTorch", "forward", "× PyTorch", "images/s, step"],
            [[n, milliseconds(step[n]), ratio(step, n), milliseconds(forward[n]),
              ratio(forward, n), f"{batch / statistics.median(step[n]):.0f}"] for n in names]))
    return "\n\n".join(text)


def _theirs(options):
    """The contenders of PyTorch, if it is there; without torch.compile, where that fails."""
    names = list(THEIRS) if pytorch() else []
    if names and not options.small:
        try:
            in_a_process_of_its_own(__file__, "network", "wrn-10-1", 2, names[-1], threads=1)
        except RuntimeError as error:
            print(f"without {names.pop()}: {error}", file=sys.stderr)
    return names


def child_network(options, model, batch, name):
    """Seconds of a step and of a forward of this contender."""
    if name in THEIRS:
        pytorch().torch.set_num_threads(options.threads)
    # PyTorch as it comes: threads() tunes the allocator
    with nullcontext() if name in THEIRS else threads(options.threads):
        net = contender(name, model, batch)
        return {"step": seconds_of(net.step), "forward": seconds_of(net.forward)}


SHAPES = {"16, 32×32": (16, 16, 32, 3, 1), "32, 32×32": (32, 32, 32, 3, 1),
          "32 to 64, stride 2": (32, 64, 32, 3, 2), "64, 16×16": (64, 64, 16, 3, 1),
          "128, 8×8": (128, 128, 8, 3, 1), "256, 4×4": (256, 256, 4, 3, 1),
          "64 to 256, 1×1 kernel, 16×16": (64, 256, 16, 1, 1)}


def layers(options, results):
    """Single convolutions, forward and backward, by shape and density."""
    batch = 4 if options.small else 100
    densities = (0.1, 1.0) if options.small else (
        0.01, 0.05, 0.1, 0.2, 0.3, 0.4, 0.5, 0.7, 1.0)
    rows = []
    for name, (c_in, c_out, size, k, stride) in SHAPES.items():
        if options.small and size > 8:
            continue
        rng = np.random.default_rng(0)
        x = rng.normal(size=(batch, c_in, size, size)).astype(np.float32)

        def conv(engine, density, k=k, c_in=c_in, c_out=c_out, stride=stride, x=x, rng=rng):
            layer = Conv2d(c_in, c_out, k, stride=stride, pad=k // 2, rng=rng)
            model = use(Sequential(layer=layer), engine)
            if density:
                make_sparse(model, 1 - density, "uniform", rng)
            dy = rng.normal(size=model.forward(x).shape).astype(np.float32)

            def work():
                model.forward(x, train=True)
                model.backward(dy)

            return work

        contenders = {} if pytorch() is None else {
            f"PyTorch, {layout}": pytorch().Conv(x.shape, (c_out, c_in, k, k), stride, layout)
            for layout in pytorch().FORMATS}
        contenders["blocked"] = conv("blocked", None)
        contenders |= {d: conv("sparse", d) for d in densities}
        seconds = take_turns(contenders, options.rounds, name)
        results[f"layers/{name}"] = {str(n): s for n, s in seconds.items()}
        median = {n: statistics.median(s) for n, s in seconds.items()}
        torch = min((m for n, m in median.items() if str(n).startswith("PyTorch")), default=None)
        rows.append([name, "–" if torch is None else f"{1e3 * torch:.1f}",
                     f"{1e3 * median['blocked']:.1f}",
                     *(f"{1e3 * median[d]:.1f}" for d in densities),
                     *(crossover(densities, [median[d] for d in densities], m)
                       for m in (median["blocked"], torch))])
    return f"Batch {batch}, forward and backward, medians in ms; sparse engine by density:\n\n" + \
        table(["channels, images", "PyTorch", "blocked", *map(str, densities), "equals blocked at",
               "equals PyTorch at"], rows)


PASSES = {"forward": 7, "backward": 11}  # of a residual block, as fast/units.py counts them


def blocks(options, results):
    """Residual blocks that are 99 % sparse: how near to the speed of memory."""
    rows = []
    rate = 2 * _BIG / statistics.median(take_turns(
        {"copy": _copy()}, 3 * options.rounds, "memory")["copy"])
    for batch, channels, size in ((4, 8, 8),) if options.small else (
            (100, 32, 32), (200, 64, 16), (400, 128, 8)):  # as much memory each
        rng = np.random.default_rng(0)
        conv = partial(Conv2d, channels, channels, 3, pad=1, rng=rng)
        block = Residual(
            before=Sequential(norm1=BatchNorm(channels), relu1=ReLU()),
            body=Sequential(conv1=conv(), norm2=BatchNorm(channels), relu2=ReLU(), conv2=conv()))
        model = use(Sequential(block=block, norm=BatchNorm(channels)), "sparse")
        make_sparse(model, 0.99, "uniform", rng)
        x = rng.normal(size=(batch, channels, size, size)).astype(np.float32)
        block, times = model.units[0], {what: [] for what in PASSES}
        moments = map_chunks(lambda images, x=x: norm_loops.moments(
            x[images].reshape(*x[images].shape[:2], -1)), batch)
        for r in range(-2, 3 * options.rounds):
            block.known.keep(x, moments)  # as of what is before it in a network
            start = time.perf_counter()
            y = block.forward(x, train=True)
            middle = time.perf_counter()
            block.backward(y)
            if r >= 0:
                times["forward"].append(middle - start)
                times["backward"].append(time.perf_counter() - middle)
        results[f"blocks/{channels}"] = times
        for what, passes in PASSES.items():
            least, took = passes * x.nbytes / rate, statistics.median(times[what])
            rows.append([f"{batch} × {channels}, {size}×{size}", what, passes,
                         f"{1e3 * least:.1f}", milliseconds(times[what]), f"{least / took:.0%}"])
    return (f"{_BIG >> 20} MiB are copied at {rate / 1e9:.0f} GB/s, read and written:\n\n" + table(
        ["batch × channels, images", "", "passes", "at that speed, ms", "measured, ms", "share"],
        rows))


_BIG = 1 << 26  # bytes, more than caches hold


def _copy():
    """A function that copies so many bytes, over the threads."""
    x, y = np.ones((2, 96, _BIG // 96 // 4), np.float32)
    return lambda: map_chunks(lambda images: np.copyto(x[images], y[images]), 96)


def sparsity(options, results):
    """A training step against sparsity."""
    model, batch = ("wrn-10-1", 4) if options.small else ("wrn-28-2", 100)
    steps = (0.0, 0.9) if options.small else (0.0, 0.2, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 0.95, 0.99)
    contenders = {n: net.step for n, net in torch_networks(model, batch).items()}
    for s in steps:  # blocked takes as long at any sparsity
        contenders[f"sparse {s}"] = Ours(model, batch, "static", s, "sparse").step
    contenders["blocked"] = Ours(model, batch, "static", 0.9).step
    seconds = take_turns(contenders, options.rounds, "sparsity")
    results["sparsity"] = seconds
    median = {n: statistics.median(s) for n, s in seconds.items()}
    torch = min((m for n, m in median.items() if n.startswith("PyTorch")), default=None)
    sparse, blocked = [median[f"sparse {s}"] for s in steps], median["blocked"]
    draw(model, batch, steps, sparse, {"blocked": blocked, "PyTorch, dense": torch},
         options.out / "speed.png")
    rows = [[s, f"{1e3 * t:.0f}", f"{blocked / t:.2f}",
             "–" if torch is None else f"{torch / t:.2f}"]
            for s, t in zip(steps, sparse, strict=True)]
    density, down = [1 - s for s in reversed(steps)], list(reversed(sparse))
    cross = [crossover(density, down, level) for level in (blocked, torch)]
    return (f"`{model}`, batch {batch}, training step, medians in ms" +
            f"; blocked: {1e3 * blocked:.0f}" +
            ("" if torch is None else f"; PyTorch, dense: {1e3 * torch:.0f}") + ":\n\n" +
            table(["sparsity", "sparse", "× blocked", "× PyTorch"], rows) +
            f"\n\nThe sparse engine takes as long as blocked at density {cross[0]}, as PyTorch at "
            f"density {cross[1]}.\n\n![time against sparsity](speed.png)")


def draw(model, batch, steps, sparse, levels, path):
    """The figure: time against sparsity, with the crossovers marked."""
    from matplotlib.figure import Figure

    figure = Figure((7, 4.2), layout="constrained")
    axes = figure.subplots()
    axes.plot(steps, [1e3 * t for t in sparse], marker="o", label="sparse")
    for (name, level), line in zip(levels.items(), ("--", ":"), strict=True):
        if level is None:
            continue
        axes.axhline(1e3 * level, color="black", linestyle=line, label=name)
        for s, t, above, below in zip(steps, steps[1:], sparse, sparse[1:], strict=False):
            if above > level >= below:
                x = s + (t - s) * (above - level) / (above - below)
                axes.plot(x, 1e3 * level, "kx", markersize=10)
                axes.annotate(f"{x:.2f}", (x, 1e3 * level), (6, 6), textcoords="offset points")
    axes.set(xlabel="sparsity", ylabel="ms", ylim=(0, None),
             title=f"Training step of {model}, batch {batch}")
    axes.legend()
    axes.grid(alpha=0.3)
    figure.savefig(path, dpi=120)


def scaling(options, results):
    """With threads, batch and width."""
    cores = options.threads or len(os.sched_getaffinity(0))
    batches = (1, 2) if options.small else (1, 8, 32, 100, 256, 512)
    widths = (1,) if options.small else (1, 2, 4)
    base, text = ("wrn-10", []) if options.small else ("wrn-28", [])
    batch = 4 if options.small else 100

    def rates(model, batch, title):
        nets = torch_networks(model, batch) | {
            "blocked, dense": Ours(model, batch), "sparse, DSR 0.9": Ours(
                model, batch, "dsr", 0.9, "sparse")}
        seconds = take_turns({n: net.step for n, net in nets.items()},
                             max(1, options.rounds // 2), title)
        results[f"scaling/{title}"] = seconds
        rate = {n: batch / statistics.median(s) for n, s in seconds.items()}
        torch = max((r for n, r in rate.items() if n.startswith("PyTorch")), default=None)
        own = [rate["blocked, dense"], rate["sparse, DSR 0.9"]]
        return ["–" if torch is None else f"{torch:.0f}", *(f"{r:.0f}" for r in own),
                "–" if torch is None else f"{own[1] / torch:.2f}"]

    header = ["PyTorch", "blocked, dense", "sparse, DSR 0.9", "sparse × PyTorch"]
    width = 1 if options.small else 2
    rows = [[f"batch {b}", *rates(f"{base}-{width}", b, f"batch {b}")] for b in batches]
    rows += [[f"width {w}", *rates(f"{base}-{w}", batch, f"width {w}")] for w in widths]
    text.append(f"`{base}-{width}`, batch {batch} unless said, training step, images/s:\n\n"
                + table(["", *header], rows))
    rows = []
    for count in (1,) if options.small else sorted({1, cores}):
        rate = in_a_process_of_its_own(
            __file__, "threads", f"{base}-{width}", batch, threads=count,
            rounds=max(1, options.rounds // 2))
        results[f"scaling/threads {count}"] = rate
        rows.append([f"{count} thread{'s' * (count > 1)}",
                     *(f"{r:.0f}" if r else "–" for r in rate)])
    text.append(table(["", *header[:3]], rows))
    return "\n\n".join(text)


def loading(options, results):
    """Data loading: CIFAR-10's size, cropped, mirrored and normalised."""
    rng, batch = np.random.default_rng(0), 4 if options.small else 100
    n = 1000 if options.small else 50_000
    images = Dataset(
        name="random", classes=("0", "1"), train_x=rng.integers(0, 256, (n, 3, 32, 32), np.uint8),
        train_y=np.zeros(n, np.uint8), test_x=None, test_y=None, mean=(0.5,) * 3, std=(0.25,) * 3,
        augment=True)
    epoch = batches(images, batch, rng, augmented=True)
    next(epoch)  # draws for the whole epoch
    seconds = take_turns({"batch": lambda: next(epoch)}, 100, "loading")["batch"]
    results["loading"] = seconds
    text = f"A batch of {batch}: {milliseconds(seconds)} ms"
    for model in ("wrn-28-2", "wrn-16-1"):
        step = results.get(f"networks/{model}", {}).get("step")
        if step:
            shares = [100 * statistics.median(seconds) / statistics.median(
                step[f"sparse, DSR {s}"]) for s in (0.9, 0.99)]
            text += (f"; of a step of `{model}` with the sparse engine {shares[0]:.2f} % at "
                     f"sparsity 0.9, {shares[1]:.2f} % at 0.99")
    return text + "."


def child_threads(options, model, batch):
    """Images/s of PyTorch, blocked and sparse, as a process of its own with --threads."""
    with equal_threads(options.threads):
        nets = torch_networks(model, batch) | {
            "blocked": Ours(model, batch), "sparse": Ours(model, batch, "dsr", 0.9, "sparse")}
        seconds = take_turns({n: net.step for n, net in nets.items()}, options.rounds, "threads")
    rate = {n: batch / statistics.median(s) for n, s in seconds.items()}
    torch = max((r for n, r in rate.items() if n.startswith("PyTorch")), default=None)
    return [torch, rate["blocked"], rate["sparse"]]


SECTIONS = {section.__name__: section for section in (
    machine, networks, blocks, sparsity, layers, scaling, memory, state, reallocation, loading)}
CHILDREN = {"network": child_network, "threads": child_threads, "memory": child_memory,
            "state": child_state}


@contextmanager
def equal_threads(count):
    """The same number of threads for ours and, if it is there, for PyTorch."""
    with threads(count) as count:
        if pytorch():
            pytorch().torch.set_num_threads(count)
        yield count


def main(options: tyro.conf.OmitArgPrefixes[Options]):
    """Measure and write the tables."""
    if options.child:
        kind, *words = json.loads(options.child)
        print(json.dumps(CHILDREN[kind](options, *words)))
        return
    unknown = set(options.sections) - set(SECTIONS)
    if unknown:
        raise SystemExit(f"unknown section {unknown.pop()!r}; choose from: {', '.join(SECTIONS)}")
    options.out.mkdir(parents=True, exist_ok=True)
    if options.avx2:  # of NumPy, which has begun here, but not in the processes of the contenders
        found = np.show_config("dicts")["SIMD Extensions"]["found"]
        os.environ["NPY_DISABLE_CPU_FEATURES"] = " ".join(
            name for name in found if name == "X86_V4" or name.startswith("AVX512"))
    if options.small:
        options.rounds = 1
    results, parts = {}, []
    with equal_threads(options.threads) as options.threads:
        facts = environment() | {"threads": options.threads,
                                 "cpu": cpu() + ", held to AVX2" * options.avx2}
        if not pytorch():
            print("PyTorch is not installed: ours run alone", file=sys.stderr)
        else:
            facts["versions"]["torch"] = pytorch().torch.__version__
        for name in options.sections or SECTIONS:
            start = time.monotonic()
            parts.append(f"## {SECTIONS[name].__doc__}\n\n{SECTIONS[name](options, results)}")
            print(f"\n{parts[-1]}\n\n({time.monotonic() - start:.0f} s)", flush=True)
    head = f"# Speed and memory\n\n{facts['cpu']}, {options.threads} threads; " + ", ".join(
        f"{k} {v}" for k, v in facts["versions"].items()) + "; " + "; ".join(facts["blas"]) + \
        f". Python {facts['python']}, commit {facts['commit']}."
    (options.out / "speed.md").write_text("\n\n".join([head, *parts]) + "\n")
    (options.out / "speed.json").write_text(json.dumps({"facts": facts, **results}) + "\n")
    print(f"\nwritten to {options.out}")


def cpu():
    """The processor's name, and whether it has AVX-512."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return "unknown processor"
    name = next((line.split(":")[1].strip() for line in lines if line.startswith("model name")),
                "unknown processor")
    return name + " with AVX-512" * any("avx512f" in line for line in lines)


if __name__ == "__main__":
    main(tyro.cli(Options, description=__doc__))
