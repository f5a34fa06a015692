"""Memory of the training state of each method: python tests/benchmarks/state_memory.py

For wrn-28-2 and a budget of 145,139 weights (sparsity 0.9), in numbers of 4 bytes for each weight
of the budget: values, positions, gradients, velocities of the sparsifiable tensors, and what the
method itself keeps between two steps. Counted from the arrays. Prints a Markdown table.
"""

import numpy as np

from minidsr.methods import METHODS
from minidsr.methods.base import Dynamic
from minidsr.nn.models import build
from minidsr.nn.sgd import SGD

CASES = {method: (method, {}) for method in METHODS} | {
    "hashed, balanced": ("hashed", {"variant": "balanced"}),
    "itop, rigl": ("itop", {"variant": "rigl"})}
OF_TENSORS = ("value", "index", "bucket", "key", "grad", "dense_grad", "velocity")
OF_METHODS = ("V", "negative")
BUDGET = 145_139


def measure(case):
    """(numbers for each weight of the budget at the end of training, and at most)."""
    name, options = CASES[case]
    method = METHODS[name](**options)
    image, rng = (3, 32, 32), np.random.default_rng(0)
    model = build(method.model_name("wrn-28-2", image, 10), image=image, classes=10, rng=rng)
    method.setup(model, rng)
    method.check, sgd = False, SGD(model.params())
    sgd.lr, steps = 0.01, {0, 1}
    if isinstance(method, Dynamic):  # before the first reallocation, and around the last
        due = [t for t in range(method.total_steps) if method.due(t)]
        steps |= {due[0] - 1, due[-1] - 1, due[-1], due[-1] + 1}
    numbers = [_after_a_step(model, method, sgd, t, rng) for t in sorted(steps)]
    return numbers[-1], max(numbers)


def _after_a_step(model, method, sgd, t, rng):
    """With the gradients of the next step."""
    for after in (False, True):
        for p in model.params():
            p.pull(rng.standard_normal(p.shape, np.float32))
        if not after:
            method.step(t, sgd)
    weights = [layer.weight for layer in model.sparsifiable_layers().values()]
    arrays = [vars(W).get(name) for W in weights for name in OF_TENSORS]
    arrays += [array for name in OF_METHODS for array in getattr(method, name, ())]
    return sum(array.nbytes for array in arrays if array is not None) / 4 / BUDGET


def main():
    print("| method | at the end | at most |\n|---|---|---|")
    for case in CASES:
        print(f"| {case} | " + " | ".join(f"{n:.1f}" for n in measure(case)) + " |")


if __name__ == "__main__":
    main()
