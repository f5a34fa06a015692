"""How long a study will take, from steps that are measured."""

import statistics
import time
from itertools import islice

import numpy as np

from ..data.batches import normalise
from ..fast.parallel import threads
from .progress import computing
from .report import table
from .sweep import complete, epochs_done
from .train import Trainer

STEPS, WARM_UP, TEST_IMAGES = 5, 2, 500
# Of what a run's time depends on, which is what two runs must have in common to share a measurement
TIMED = ("data", "model", "method", "sparsity", "batch", "augment", "engine", "device", "tf32",
         "threads", "check", "granularity", "variant", "distribution")


def estimate(runs, out, here):
    """The runs of a plan() in the folder `out` as a text, and the hours that what is left of them
    will take `here`."""
    measured, rows, left = {}, [], []
    for run in runs:
        values = run.config.resolved()
        key = tuple(values.get(name) for name in TIMED)
        if key not in measured:
            measured[key] = seconds(run.config, run.config.threads or here.threads)
        step, epoch = measured[key]
        folder, epochs = out / run.name, run.config.epochs
        done = epochs if complete(folder, run.config) else min(epochs_done(folder), epochs)
        left.append((epochs - done) * epoch)
        rows.append([run.name, f"{done}/{epochs}", f"{1000 * step:,.0f}",
                     f"{epochs * epoch / 60:,.1f}", f"{left[-1] / 60:,.1f}", run.after or ""])
    hours, with_jobs = (s / 3600 for s in (sum(left), max(sum(left) / here.jobs, max(left))))
    return (
        table(rows, ["run", "epochs", "ms a step", "minutes", "left", "starts from"], left=(0, 5))
        + f"\n\n{len(runs)} runs, {hours:,.2f} hours left; with {here.jobs} at a time, "
          f"{here.threads} thread{'s' * (here.threads > 1)} each, {with_jobs:,.2f} hours.\n"
          f"Measured: {len(measured)} kind{'s' * (len(measured) > 1)} of run, one at a time, the "
          f"median of {STEPS} steps after {WARM_UP}, and the test of {TEST_IMAGES} images. Side by "
          "side they take longer; the first seconds of each run are left out.")


def seconds(config, count):
    """(of a training step, of an epoch with its test) for a run with this config and so many
    threads, in seconds."""
    trainer = Trainer(config, fresh=False)
    with computing(), threads(count), np.errstate(all="ignore"):
        times, begun = [], time.perf_counter()
        for x, y in islice(trainer.batches(), WARM_UP + STEPS):
            trainer.step(x, y)
            times.append(time.perf_counter() - begun)
            begun = time.perf_counter()
        step, dataset = statistics.median(times[WARM_UP:] or times), trainer.dataset
        images = dataset.test_x[:TEST_IMAGES]
        for _ in range(2):  # the first does not count
            begun = time.perf_counter()
            trainer.model.forward(normalise(images, dataset))
            test = time.perf_counter() - begun
    return step, trainer.steps_per_epoch * step + len(dataset.test_y) / len(images) * test
