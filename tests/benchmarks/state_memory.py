"""Memory of the training state of each method: python tests/benchmarks/state_memory.py

In numbers of 4 bytes for each free parameter, of the sparsifiable tensors of wrn-28-2 at sparsity
0.9: values, positions, gradients, velocities, and what the method itself keeps between two steps.
Counted from the arrays. Prints a Markdown table.
"""

import numpy as np

from minidsr.methods import METHODS
from minidsr.models import build
from minidsr.sgd import SGD

CASES = {method: (method, {}) for method in METHODS} | {
    "hashed, balanced": ("hashed", {"variant": "balanced"}),
    "itop, rigl": ("itop", {"variant": "rigl"})}
OF_TENSORS = ("value", "index", "bucket", "key", "grad", "dense_grad", "velocity")
OF_METHODS = ("V", "negative")


def measure(case, model="wrn-28-2"):
    """(numbers for each free parameter between two steps, the same before a reallocation)."""
    name, options = CASES[case]
    method = METHODS[name](**options)
    image, rng = (3, 32, 32), np.random.default_rng(0)
    model = build(method.network(model, image, 10), image=image, classes=10, rng=rng)
    method.setup(model, rng)
    sgd, first = SGD(model.params()), next(t for t in range(1, 1600) if t == 1599 or method.due(t))
    sgd.lr = 0.01
    numbers = []
    for t in (0, first - 1):
        _pull(model, rng)
        method.step(t, sgd)
        _pull(model, rng)
        numbers.append(_numbers(model, method))
    return tuple(numbers)


def _pull(model, rng):
    for p in model.params():
        p.pull(rng.normal(size=p.shape).astype(np.float32))


def _numbers(model, method):
    weights = [layer.weight for layer in model.sparsifiable_layers().values()]
    arrays = [vars(W).get(name) for W in weights for name in OF_TENSORS]
    arrays += [array for name in OF_METHODS for array in getattr(method, name, ())]
    used = sum(array.nbytes for array in arrays if array is not None)
    return used / 4 / sum(W.value.size for W in weights)


def main():
    print("| method | between two steps | before a reallocation |\n|---|---|---|")
    for case in CASES:
        print(f"| {case} | " + " | ".join(f"{n:.2f}" for n in measure(case)) + " |")


if __name__ == "__main__":
    main()
