"""What each method costs beside static sparse training: python tests/benchmarks/cost.py

Of wrn-28-2 at sparsity 0.9, batch 100, with the engine auto: a training step; one that moves
weights; what moving takes of 200 epochs of 500 steps, as often as is the default; and the numbers
that the training state keeps for each weight, always of wrn-28-2. Prints a Markdown table; the
times go to cost.json in the folder --out.
"""

import json
import statistics
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import state_memory
import tyro
from timing import milliseconds, table
from tqdm import tqdm

from minidsr.fast.engine import choose_engine, use
from minidsr.fast.parallel import threads
from minidsr.methods import METHODS
from minidsr.nn import models
from minidsr.nn.layers import softmax_cross_entropy
from minidsr.nn.sgd import SGD
from minidsr.run.environment import environment
from minidsr.run.progress import computing

EPOCHS, STEPS = 200, 500  # the paper's, of 100 images


@dataclass
class Options:
    """What is measured, and how often."""

    model: str = "wrn-28-2"
    """A wide residual network."""
    batch: int = 100
    """Images a step."""
    rounds: int = 5
    """Steps of each kind that count, by turns, after one that does not."""
    out: Path = Path("cost")
    """Where cost.json goes."""


class Trained:
    """A network in training by a method, at any step."""

    def __init__(self, name, options):
        rng = np.random.default_rng(0)
        given = {"sparsity": 0.9} if "sparsity" in METHODS[name].options() else {}
        self.method = METHODS[name](epochs=EPOCHS, steps_per_epoch=STEPS, **given)
        image = (3, 32, 32)
        network = self.method.model_name(options.model, image, 10)
        self.model = use(models.build(network, image=image, classes=10, rng=rng),
                         choose_engine("auto", "cpu"), input_grad=False)
        self.method.setup(self.model, rng)
        self.sgd = SGD(self.model.params(), weight_decay=5e-4)
        self.sgd.lr = 1e-3
        self.x = rng.standard_normal((options.batch, *image)).astype(np.float32)
        self.y = rng.integers(0, 10, options.batch)
        self.due = [t for t in range(EPOCHS * STEPS) if self.method.due(t)]

    def seconds(self, t):
        """Of the training step t."""
        start = time.perf_counter()
        _, dlogits = softmax_cross_entropy(self.model.forward(self.x, train=True), self.y)
        self.model.backward(dlogits)
        self.method.step(t, self.sgd)
        return time.perf_counter() - start

    def measured(self):
        """(seconds of a step that moves nothing, of one that moves weights, or None)."""
        t = self.due[1] if self.due else 3
        self.seconds(t - 3)
        quiet = self.seconds(t - 2)
        self.seconds(t - 1)  # tells a method that it will need all gradients
        return quiet, self.seconds(t) if self.due else None


def measure(options):
    """{method: {"step": [seconds], "moving": [seconds], "moves": how many in training, "numbers":
    for a weight at the end, and at most}}"""
    networks = {name: Trained(name, options) for name in METHODS}
    found = {name: {"step": [], "moving": [], "moves": len(net.due),
                    "numbers": state_memory.measure(name)} for name, net in networks.items()}
    names = list(networks)
    for r in tqdm(range(-1, options.rounds), "methods", leave=False):
        names.append(names.pop(0))
        for name in names:
            quiet, moving = networks[name].measured()
            if r >= 0:
                found[name]["step"].append(quiet)
                found[name]["moving"] += [moving] if moving else []
    return found


def rows(found):
    for name, times in found.items():
        step, moves = statistics.median(times["step"]), times["moves"]
        ratio = statistics.median(a / b for a, b in zip(
            times["step"], found["static"]["step"], strict=True))
        cells = [f"`{name}`", milliseconds(times["step"]), f"{ratio:.2f}", "", "", ""]
        if moves:
            extra = (statistics.median(times["moving"]) - step) * moves
            cells[3:] = [f"{moves:,}", milliseconds(times["moving"]),
                         f"{100 * extra / (EPOCHS * STEPS * step + extra):.2f} %"]
        yield [*cells, *(f"{numbers:.1f}" for numbers in times["numbers"])]


def costs(found):
    """The table, in Markdown."""
    return table(["method", "step, ms", "× static", "moves", "step that moves, ms",
                  "of training", "numbers for a weight", "at most"], rows(found))


def main(options: Options):
    """Measure, and print the table."""
    with computing(), threads():
        found = measure(options)
        facts = environment("cpu")
    options.out.mkdir(parents=True, exist_ok=True)
    (options.out / "cost.json").write_text(json.dumps({"facts": facts, "methods": found}, indent=1))
    print(costs(found))


if __name__ == "__main__":
    main(tyro.cli(Options, description=__doc__))
