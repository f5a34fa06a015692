"""`minidsr verify`: do the invariants hold, in the installed package or in a recorded trace?"""

import time
from contextlib import suppress
from dataclasses import replace
from heapq import merge
from itertools import repeat
from pathlib import Path

import numpy as np

from ..methods import DSR
from ..nn.models import small_cnn
from ..nn.sgd import SGD
from ..proof import trace
from ..proof.invariants import (
    OF_MANY_RUNS,
    InvariantError,
    order_does_not_matter,
    rules_of,
    same_seed_same_result,
)
from ..proof.picture import Example
from ..proof.reallocation import Reallocation, snapshot
from .tally import Tally

SHRINKING = 10  # seconds for finding a smaller case
SEEDS = "seeds for one network: where does it grow?"


def verify_trace(recorded, tally=None, *, method=None, tolerance=0.0):
    """The Tally of a list of Reallocations, each the next of the one before.

    method     whose rules: a name of proof.invariants.RULES; without, those that hold for any
    tolerance  numbers that differ by no more than this count as the same
    """
    tally, recorded = tally or Tally(rules_of(method)), [
        replace(r, tolerance=tolerance) for r in recorded]
    for last, r in zip([None, *recorded], recorded, strict=False):
        size = sum(t.size for t, _ in r.sparse)
        tally.add(r.name, tally.rules.one, r, size=size)
        if last and r.follows:
            tally.add(r.name, tally.rules.two, last, r, size=size)
    return tally


def check_trace(path: str | Path, *, method: str | None = None, tolerance: float = 0.0) -> Tally:
    """The Tally of a trace: an .npz file, or a folder of them. `method` and `tolerance` are those
    of verify_trace().

    Raises InvariantError where something is violated, with the first numbers that show it;
    ValueError for what is no trace, and for other arguments than these.
    """
    __tracebackhide__ = True  # pytest shows the test that called it
    tally = verify_trace(trace.load(path), method=method, tolerance=tolerance)
    if not tally.held:
        raise InvariantError("\n\n".join([f"{path} has violations", *tally.shown()]))
    return tally


def extent(cases, quick):
    """(of how many tensors small networks have at most, how many random networks): what is tried
    where so many random ones are asked for, or it should be quick."""
    return (2, min(cases, 200)) if quick else (3, cases)


def verify_package(count=2000, progress=lambda cases, **_: cases, *, small=3, seed=0):
    """The Tally of the installed package, and what was tried: {in words: number of cases}.

    count     how many random networks, drawn by `seed`
    progress  wraps iterables, as tqdm does
    small     small networks are tried of up to so many tensors: 3 makes 40,410 of them, 0 none
    """
    from ..proof.cases import cases

    tally, tried = Tally(), {}
    if small:
        tried[small_networks(small)] = try_small_cases(tally, progress, small)
    return tally, tried | {
        random_networks(tally.rules): try_random_cases(tally, count, progress, cases(), seed),
        SEEDS: try_seeds(tally),
        "reallocations of a network in training, with dense tensors too":
            _try_training(tally, progress)}


def try_case(tally, case, *, reruns=True, **run):
    """Judge what comes out of a case, and with `reruns` also what comes out with the same seed
    again, and with the tensors in another order, if there are rules for that. Returns the
    violations."""
    size = _size(case)
    try:
        one = case.run(**run)
        example = Example(case, one)
        found = tally.add(example, tally.rules.one, one, size=size)
        if reruns:
            order = np.random.default_rng(case.seed).permutation(len(case.tensors))
            for invariant, how, options in (
                    (same_seed_same_result, "the same seed again", {}),
                    (order_does_not_matter, "the tensors in another order", {"order": order})):
                if invariant in tally.rules.runs:
                    other = case.run(**run, **options)
                    two = Example(case, one, (how, other))
                    found += tally.add(two, [invariant], one, other, size=size)
        tally.checked["completes"] += 1
        return found
    except Exception as error:  # whatever it is, it is what we look for
        return tally.fails(Example(case), error, size)


def _size(case):
    return sum(W.size for W in case.tensors)


def small_networks(most):
    """What try_small_cases() tries, in words."""
    words = ["", " to two", " to three"][most - 1]
    return f"small networks: one{words} tensors of one to four positions, in one order of these"


def random_networks(rules):
    """What try_random_cases() tries, in words."""
    order = " and with the tensors in another order" if order_does_not_matter in rules.runs else ""
    return f"random networks, each also with the same seed again{order}"


def how_many_small(most):
    """And how many of them there are."""
    from ..proof.cases import count_small_cases, distinct_patterns

    patterns = distinct_patterns()
    return sum(count_small_cases(tensors, patterns) for tensors in range(1, most + 1))


def try_small_cases(tally, progress, most=3, enough=lambda: False,
                    by=lambda cases: zip(cases, repeat(None)), turned=lambda case: case):
    """The small cases of up to so many tensors, the smallest first, until it is enough; how many.
    Of patterns that differ in their order only, one.

    by      yields each case with what to reallocate with; None: the package's
    turned  makes of each Case what is to be tried
    """
    from ..proof import cases

    patterns = cases.distinct_patterns()
    each = merge(*(cases.small_cases(n, patterns) for n in range(1, most + 1)), key=_size)
    tried = 0
    for case, reallocate in progress(by(map(turned, each)), total=how_many_small(most),
                                     desc="small networks", unit=" cases"):
        if enough():
            break
        try_case(tally, case, reruns=False, reallocate=reallocate)
        tried += 1
    return tried


def try_random_cases(tally, count, progress, strategy, seed=0, enough=lambda: False, **run):
    """So many cases of a strategy, until it is enough, or one violates what none had violated
    before: then others like it, to find a smaller one. How many in all."""
    from hypothesis import HealthCheck, Phase, given, settings
    from hypothesis import seed as seeded
    from hypothesis.errors import Flaky

    bar = iter(progress(range(count), desc="random networks", unit=" cases"))
    known, tried, end = set(tally.violated), 0, None

    @seeded(seed)
    @settings(max_examples=count, deadline=None, database=None, report_multiple_bugs=False,
              suppress_health_check=list(HealthCheck), phases=[Phase.generate, Phase.shrink])
    @given(strategy)
    def each(case):
        nonlocal tried, end
        if enough() or end and time.monotonic() > end:
            raise _Enough
        found = try_case(tally, case, **run)
        tried += 1
        next(bar, None)
        if {v.invariant for v in found} - known:
            end = end or time.monotonic() + SHRINKING
            raise InvariantError

    with suppress(InvariantError, Flaky, _Enough):
        each()
    next(bar, None)
    return tried


class _Enough(BaseException):
    """Ends hypothesis, which would go on after an Exception."""


def try_seeds(tally, by=lambda cases: zip(cases, repeat(None)), turned=lambda case: case):
    """One network with many seeds; how many. `by` and `turned` as in try_small_cases()."""
    from ..proof.cases import growth_cases

    runs = []
    try:
        for case, reallocate in by(map(turned, growth_cases())):
            runs.append(case.run(reallocate=reallocate))
        tally.add(Example(case, runs[-1]), OF_MANY_RUNS, *runs, size=_size(case))
    except Exception as error:  # whatever it is, it is what we look for
        tally.fails(Example(case), error, _size(case))
    return len(runs)


def _try_training(tally, progress, steps=50):
    """The DSR method on a network that learns from random gradients."""
    rng = np.random.default_rng(0)
    model = small_cnn(rng=rng)
    method = DSR(epochs=1, steps_per_epoch=steps, threshold=0.01)
    method.setup(model, rng)
    sgd, recorded = SGD(model.params()), []
    sgd.lr = 0.01
    for _ in progress(range(steps), desc="training", unit=" steps"):
        for p in model.params():
            p.pull(rng.normal(size=p.shape).astype(np.float32))
        sgd.step()
        before = snapshot(model.named_params())
        try:
            report = method.reallocate(len(recorded))
        except Exception as error:  # whatever it is, it is what we look for
            tally.fails(f"reallocation {len(recorded)} of training", error, float("inf"))
            break
        recorded.append(Reallocation(before, snapshot(model.named_params()), report,
                                     f"reallocation {len(recorded)} of training"))
    verify_trace(recorded, tally)
    return len(recorded)
