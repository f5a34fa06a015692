"""What the checks at each reallocation cost: python tests/benchmarks/check_cost.py

For each network the median time of a training step (DSR at 0.9, engine auto, batch 100: forward,
backward, update) and of one check with its snapshots; and its share of all training time, 10,000
steps with the default periods. Prints a Markdown table.
"""

import statistics
import time

import numpy as np

from minidsr.fast.engine import choose_engine, use
from minidsr.fast.parallel import threads
from minidsr.methods import DSR
from minidsr.nn import models
from minidsr.nn.layers import softmax_cross_entropy
from minidsr.nn.sgd import SGD
from minidsr.proof.invariants import violations
from minidsr.proof.reallocation import Reallocation, snapshot
from minidsr.run.environment import blas
from minidsr.schedules import reallocates

NETWORKS = {"small-cnn": (1, 28, 28), "lenet-300-100": (1, 28, 28), "wrn-16-1": (3, 32, 32),
            "wrn-28-2": (3, 32, 32)}
STEPS = 11


def median_seconds(work):
    """Of STEPS calls, after one that does not count. `work` may return its own seconds."""
    work()
    seconds = []
    for _ in range(STEPS):
        start = time.perf_counter()
        own = work()
        seconds.append(own or time.perf_counter() - start)
    return statistics.median(seconds)


def measure(name, image):
    """(seconds of a step, seconds of a check)"""
    rng = np.random.default_rng(0)
    model = use(models.build(name, image=image, classes=10, rng=rng), choose_engine("auto", "cpu"))
    method = DSR(sparsity=0.9)
    method.setup(model, rng)
    sgd = SGD(model.params())
    sgd.lr = 1e-3
    x = rng.normal(size=(100, *image)).astype(np.float32)
    y = rng.integers(0, 10, 100)

    def step():
        model.backward(softmax_cross_entropy(model.forward(x, train=True), y)[1])
        sgd.step()

    return median_seconds(step), median_seconds(lambda: check(model, method))


def check(model, method):
    """The work that --no-check saves; returns its seconds."""
    start = time.perf_counter()
    before = snapshot(model.named_params())
    seconds = time.perf_counter() - start
    report = method.reallocate(1)
    start = time.perf_counter()
    this = Reallocation(before, snapshot(model.named_params()), report)
    assert not violations(this, method.last)
    method.last = this
    return seconds + time.perf_counter() - start


def steps_of_a_reallocation(total=10_000):
    """With the default periods of so many steps."""
    dsr = DSR(epochs=1, steps_per_epoch=total)
    return total / sum(reallocates(t, total, dsr.period_milestones, dsr.periods, dsr.stop)
                       for t in range(total))


def main():
    print(f"{blas()}\n\n| network | a step | a check | share of one step | share of training |\n"
          "|---|---|---|---|---|")
    for name, image in NETWORKS.items():
        with threads(None):
            step, check = measure(name, image)
        print(f"| {name} | {1e3 * step:.1f} ms | {1e3 * check:.2f} ms | {100 * check / step:.2f} % "
              f"| {100 * check / step / steps_of_a_reallocation():.3f} % |")


if __name__ == "__main__":
    main()
