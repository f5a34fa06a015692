"""The cost of Algorithm 1."""

import statistics
import time

import numpy as np
from timing import milliseconds, table
from tqdm import tqdm

from minidsr.methods import DSR
from minidsr.nn import models
from minidsr.parameters import Sparse
from minidsr.reparam import reallocate


def reallocation(options, results):
    """The cost of one reallocate()."""
    rng = np.random.default_rng(0)
    cases = {}
    for model in ("wrn-28-2",) if options.small else ("wrn-28-2", "resnet50"):
        network = models.build(model, image=(3, 224, 224), classes=1000, rng=rng)
        cases[model] = [layer.weight.size for layer in network.sparsifiable_layers().values()]
    cases |= {f"{n} M positions": [n * 10 ** 5] * 10 for n in (
        (1,) if options.small else (1, 10, 100, 500, 1000))}
    rows, periods = [], steps_of_a_reallocation()
    for name, sizes in cases.items():
        tensors = [random_tensor(size, rng) for size in sizes]
        N_p = round(0.138 * sum(W.value.size for W in tensors))
        H = float(np.quantile(np.abs(tensors[0].value), 0.138))
        seconds = []
        for _ in tqdm(range(2 if options.small else 5), name, leave=False):
            start = time.perf_counter()
            reallocate(tensors, H, N_p, 0.1, rng)
            seconds.append(time.perf_counter() - start)
            for W in tensors:
                W.value = rng.standard_normal(W.value.size, np.float32)
        results[f"reallocation/{name}"] = seconds
        rows.append([name, f"{sum(sizes):,}", f"{N_p:,}", milliseconds(seconds),
                     f"{1e9 * statistics.median(seconds) / sum(sizes):.1f}"])
        del tensors
    text = "Sparsity 0.9, 13.8 % of the weights moved:\n\n" + table(
        ["", "positions", "moved", "ms", "ns a position"], rows)
    step = results.get("networks/wrn-28-2", {}).get("step")
    if step:
        own = statistics.median(results["reallocation/wrn-28-2"])
        shares = [100 * own / n / statistics.median(step["sparse, DSR 0.9"]) for n in periods]
        text += (f"\n\n`wrn-28-2`, sparse engine: {shares[0]:.2f} % of training time at the "
                 f"paper's periods, one reallocation in {periods[0]:.0f} steps; {shares[1]:.2f} % "
                 f"in a training of 10,000 steps with the default ones, one in {periods[1]:.0f}.")
    return text


def random_tensor(size, rng):
    """A tenth of the positions, more or less, with random values."""
    index = np.flatnonzero(rng.random(size, np.float32) < 0.1).astype(np.int32)
    return Sparse((size,), index, rng.standard_normal(len(index), np.float32))


def steps_of_a_reallocation():
    """By the paper's schedule, of 100,000 steps, and by the default one of 10,000."""
    paper = DSR(periods=(100, 200, 400, 800), period_milestones=(0.125, 0.4, 0.7))
    return [dsr.total_steps / sum(map(dsr.due, range(dsr.total_steps)))
            for dsr in (paper, DSR(epochs=20, steps_per_epoch=500))]
