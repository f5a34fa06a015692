"""Right programs, by the thousand: the checker must accuse none.

    python tests/campaigns/accusations.py [ROW ...] --count 10000 --seed 0      all rows, or some
    python tests/campaigns/accusations.py ROW --seed 0 --only 17                one case again

A row is one of proof.invariants.RULES. A case is one or two reallocations, or steps, of a network
of up to four small tensors, by a method of that row: empty and full tensors, of one weight, of no
position; equal weights, zeros of both signs, huge and tiny ones; float16, float32 and float64. Now
and then velocities, masked values, what the program says, or some of it, are not recorded, and
positions are protected where the method protects some. One in a hundred is a trace of a right
program of lessons/gallery/methods, from a seed of its own. All of it is judged by the rules of its
row, which has those of any method that moves weights. Exit code 1 if one is violated.
"""

import argparse
import sys
import time
from collections import Counter
from dataclasses import replace
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np

sys.path[:0] = [str(Path(__file__).parents[i]) for i in (1, 2)]

from recorded import observed  # noqa: E402
from training import CASES  # noqa: E402

from lessons.gallery import methods as gallery  # noqa: E402
from minidsr.methods import METHODS  # noqa: E402
from minidsr.methods.dst import Thresholded  # noqa: E402
from minidsr.methods.hashed import Hashed, Tied  # noqa: E402
from minidsr.parameters import Sparse  # noqa: E402
from minidsr.proof.cases import VALUES  # noqa: E402
from minidsr.proof.invariants import RULES  # noqa: E402
from minidsr.proof.reallocation import Tensor  # noqa: E402
from minidsr.proof.trace import load  # noqa: E402
from minidsr.reparam import LARGEST_H, SMALLEST_H, Report  # noqa: E402
from minidsr.run.verify import verify_trace  # noqa: E402

ROWS = [row for row in RULES if row not in (None, "conserved")]
STILL = {"static": Sparse, "dst": Thresholded, "hashed": Hashed, "hashed-balanced": Tied}
PROGRAMS = {p.RULES: p for p in gallery.programs().values() if not p.FAULT}
KINDS = {**VALUES, "steps": lambda rng, m: rng.integers(-4, 5, m) / 4}


def campaign(row, count, seed, *, only=None):
    """Judge so many right cases of a row; returns (how often each rule was checked, faults), the
    latter as [(case, violation)]."""
    checked, faults = Counter(), []
    for case in range(count) if only is None else [only]:
        rng = np.random.default_rng([seed, ROWS.index(row), case])
        found = program(row, rng) if rng.random() < 0.01 else attempt(row, rng)
        tally = verify_trace(found, method=row)
        checked += tally.checked
        faults += [(case, str(v)) for _, _, v in tally.examples.values()]
    return checked, faults


def attempt(row, rng):
    """The Reallocations of a case."""
    dtype = rng.choice([np.float16, np.float32, np.float32, np.float64])
    found = (still if row in STILL else moving)(row, rng, dtype)
    told = forgetting(rng)
    return [told(r, dtype) for r in found]


def program(row, rng):
    """The same of the right program of the gallery."""
    with TemporaryDirectory() as folder:
        path = Path(folder) / "trace.npz"
        np.savez(path, **PROGRAMS[row](int(rng.integers(2**32))).trace())
        return load(path)


# --- methods that move weights


def moving(row, rng, dtype):
    name, options = _cases(row)[rng.integers(len(_cases(row)))]
    if name == "dsr":
        options = {**options, "keep_one": bool(rng.random() < 0.7),
                   "tolerance": float(rng.choice([0, 0.1, 0.3, 0.7]))}
    method = METHODS[name](epochs=1, steps_per_epoch=20, **options)
    method.slice = int(rng.choice([1, 4, 9])) if row == "dsr-slices" else 1
    least = int(rng.random() < 0.9 or name != "dsr" or method.slice > 1)
    tensors = [_sparse(rng, method.slice, least) for _ in range(rng.integers(1, 5))]
    budget = sum(W.value.size for W in tensors)
    if name == "dsr" and not budget:
        return moving(row, rng, dtype)
    _equip(method, tensors, budget, rng)
    found, t = [], 0
    for _ in range(rng.integers(1, 3)):
        _train(tensors, rng, dtype)
        t = int(rng.integers(t + 1, 19)) if t < 18 else 18
        method.V = [rng.integers(-9, 9, W.shape) * rng.choice([0.5, 0.1]) for W in tensors]
        found.append(observed(method, t))
    return found


@cache
def _cases(row):
    if row == "dsr-slices":
        return [("dsr", {"granularity": "slice"})]
    return [(name, options) for name, options in CASES.values()
            if METHODS[name](**options).rules == row]


def _equip(method, tensors, budget, rng):
    """What setup() and training would have given it."""
    method.tensors, method.rng = tensors, rng
    method.dense_gradients = lambda: [abs(score) for score in method.V]
    method.negative = [np.packbits(rng.random(W.size) < 0.5) for W in tensors]
    method.H = float(rng.choice([SMALLEST_H, 1e-3, 0.25, 0.5, 1, 3, LARGEST_H, rng.uniform(0, 2)]))
    method.target_pruned = int(rng.integers(1, max(1, budget) + 1))
    method.t_end = 18
    method.final = [int(rng.integers(W.value.size + 1)) for W in tensors]
    if getattr(method, "protect_newborns", False):
        for W in tensors:
            W.protected = W.index[rng.random(len(W.index)) < 0.3]


def _sparse(rng, kernel, least):
    """Empty, of one weight, full or in between, of whole kernel slices, so many at least."""
    slices = int(rng.integers(least, 1 + 40 // kernel))
    count = int(rng.choice([0, min(1, slices), slices, *rng.integers(slices + 1, size=4)]))
    slots = np.sort(rng.choice(slices, count, replace=False))
    index = (slots[:, None] * kernel + np.arange(kernel)).reshape(-1).astype(np.int32)
    return Sparse((slices, kernel), index, np.zeros(len(index), np.float32))


def _train(tensors, rng, dtype):
    """Other values and velocities, of this type; some weights stay as they are."""
    for W in tensors:
        stay = rng.random(W.value.size) < rng.choice([0, 0.3])
        kind = KINDS[rng.choice(list(KINDS))]
        values = _of_type(kind(rng, W.value.size), dtype)
        W.value = np.where(stay, W.value, values).astype(W.value.dtype)
        W.velocity = _of_type(rng.choice([0, 1, 1]) * rng.normal(size=W.value.size), dtype)


def _of_type(numbers, dtype):
    """As float32 or float64, but numbers that this type has."""
    most = min(float(np.finfo(dtype).max), 1e37)  # 9 of them have a mean
    with np.errstate(over="ignore", under="ignore"):
        numbers = np.clip(numbers, -most, most).astype(dtype)
    return numbers.astype(np.float64 if dtype == np.float64 else np.float32)


# --- those that move none


def still(row, rng, dtype):
    """Steps of training."""
    params = [_parameterized(STILL[row], rng) for _ in range(rng.integers(1, 5))]
    for p in params:
        p.value = _of_type(p.value, dtype).astype(p.value.dtype)
    found = []
    for _ in range(rng.integers(1, 3)):
        _train(params, rng, dtype)
        r = observed(params, lambda: _train(params, rng, dtype))
        found.append(r)
    return found


def _parameterized(kind, rng):
    theta = rng.normal(size=(int(rng.integers(1, 6)), int(rng.integers(1, 9)))).astype(np.float32)
    if kind is Thresholded:
        return Thresholded(theta)
    return kind.random(theta, int(rng.integers(0 if kind is Sparse else 1, theta.size + 1)), rng)


# --- what is recorded of it


def forgetting(rng):
    """A function that makes of a Reallocation what one who records less would have seen."""
    less = {name for name in ("velocity", "masked", "H", "next_H", "N_p", "keep_one", "pruned",
                              "grown", "active", "K") if rng.random() < 0.3}
    if rng.random() < 0.5:
        less = set()
    dense, unrounded = rng.random() < 0.3, rng.random() < 0.5  # H is said as it was before rounding

    def told(r, dtype):
        kept = {name: None if name in less else x for name, x in vars(r.report).items()}
        H = r.report.H or 0
        if unrounded and dtype == np.float16 and 1e-3 < H < 1e4 and float(np.float16(H)) == H:
            kept |= {name: kept[name] and kept[name] * (1 + 2.0 ** -13) for name in ("H", "next_H")}
        bias = [Tensor("bias", 2, None, np.array([-0.0, 3.0], dtype))] * dense
        return replace(r, before=[_told(t, less, dtype) for t in r.before] + bias,
                       after=[_told(t, less, dtype) for t in r.after] + bias,
                       report=Report(**kept))
    return told


def _told(t, less, dtype):
    def typed(array):
        return None if array is None else array.astype(dtype)

    recorded = {key: x if key in ("bucket", "gradient", "momentum") else x.astype(dtype)
                for key, x in t.recorded.items()}
    masked = None if "masked" in less and "threshold" not in t.recorded else typed(t.masked)
    return replace(t, value=typed(t.value), masked=masked, recorded=recorded,
                   velocity=None if "velocity" in less else typed(t.velocity))


def main(argv=None):
    """Exit code 1 if one is accused."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("rows", nargs="*", metavar="ROW", help=f"some of {', '.join(ROWS)}")
    parser.add_argument("--count", type=int, default=10_000, help="cases of each row")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--only", type=int, help="one case")
    args, wrong = parser.parse_args(argv), 0
    for row in args.rows or ROWS:
        begin = time.perf_counter()
        checked, faults = campaign(row, args.count, args.seed, only=args.only)
        wrong += len(faults)
        print(f"{row}: {args.count:,} cases, {sum(checked.values()):,} verdicts on {len(checked)} "
              f"rules, {len(faults)} accusations, {time.perf_counter() - begin:.0f} s", flush=True)
        never = {i.__name__ for i in RULES[row].all} - checked.keys()
        for line in [*(f"case {case}: {what}" for case, what in faults[:10]),
                     *(f"never checked: {name}" for name in sorted(never))]:
            print(f"    {line}")
    return int(bool(wrong))


if __name__ == "__main__":
    sys.exit(main())
