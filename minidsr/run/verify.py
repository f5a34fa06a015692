"""`minidsr verify`: do the invariants hold, in the installed package or in a recorded trace?"""

from collections import Counter
from dataclasses import replace
from inspect import getdoc

import numpy as np

from ..methods import DSR
from ..nn.models import small_cnn
from ..nn.sgd import SGD
from ..proof.acted import ON, acted
from ..proof.invariants import (
    OF_ONE_REALLOCATION,
    OF_TWO_IN_A_ROW,
    OF_TWO_RUNS,
    RULES,
    Violation,
    judge,
    order_does_not_matter,
    rules_of,
    same_seed_same_result,
)
from ..proof.reallocation import NotCheckable, Reallocation, snapshot
from .report import table

ALL = OF_ONE_REALLOCATION + OF_TWO_IN_A_ROW + OF_TWO_RUNS


class Tally:
    """How often each invariant was checked and violated, with the smallest example of each."""

    def __init__(self, rules=RULES["dsr"]):
        self.rules = rules
        self.checked, self.violated, self.examples = Counter(), Counter(), {}
        self.acted = Counter()
        self.unchecked = dict.fromkeys((i.__name__ for i in rules.all), "one run cannot show it")

    def add(self, example, invariants, *runs, size=0):
        """Judge Reallocations by these invariants. Returns the violations; of several, the one
        with the smallest `size` stays as the example."""
        found = []
        for invariant in invariants:
            try:
                found += judge(invariant, *runs)
                self.checked[invariant.__name__] += 1
                self.acted[invariant.__name__] += acted(invariant.__name__, runs[-1])
            except NotCheckable as reason:
                self.unchecked[invariant.__name__] = str(reason)
        return self._count(example, found, size)

    def fails(self, example, error, size=0):
        """A reallocation did not come to its end."""
        self.checked["completes"] += 1
        found = [Violation("completes", f"{type(error).__name__}: {error}")]
        return self._count(example, found, size)

    def _count(self, example, found, size):
        for v in found:
            if v.invariant not in self.examples or size < self.examples[v.invariant][0]:
                self.examples[v.invariant] = size, example, v
        self.violated.update({v.invariant for v in found})
        return found

    @property
    def held(self):
        return not self.violated

    @property
    def summary(self):
        """How many invariants are held, violated, not checkable."""
        checked = [i.__name__ for i in self.rules.all if self.checked[i.__name__]]
        held = sum(not self.violated[name] for name in checked)
        return (f"{held} invariants held, {len(self.violated)} violated, "
                f"{len(self.rules.all) - len(checked)} not checkable")

    def __str__(self):
        """The table of verdicts, and an example of each violation."""
        rows = []
        for invariant in self.rules.all:
            name = invariant.__name__
            wrong, n = self.violated[name], self.checked[name]
            verdict = f"VIOLATED {wrong:,} x" if wrong else "held" if n else "not checkable"
            rule = getdoc(invariant) or name.replace("_", " ")  # python -OO has no docstrings
            words = rule.splitlines()[0] if n else f"({self.unchecked[name]})"
            if n and not wrong:
                words += self._rests_on(name)
            rows.append([name, verdict, f"{n:,}", words])
        text = table(rows, ["invariant", "verdict", "cases", "what must hold"], left=(0, 1, 3))
        for _, example, v in self.examples.values():
            text += f"\n\n{v}\n  in " + str(example).replace("\n", "\n     ")
        return text

    def _rests_on(self, name):
        """How often a rule was put to the test, in words."""
        if name not in ON:
            return ""
        what, n = ON[name][0], self.acted[name]
        return f" ({n:,} {what})" if n else f" (but no {what} occurred)"


def verify_trace(recorded, tally=None, *, method=None, tolerance=0.0):
    """The Tally of a list of Reallocations, each the next of the one before.

    method     whose rules: a name of proof.invariants.RULES; without, those that hold for any
    tolerance  numbers that differ by no more than this count as the same
    """
    tally, recorded = tally or Tally(rules_of(method)), [
        replace(r, tolerance=tolerance) for r in recorded]
    if not any(r.follows for r in recorded[1:]):
        tally.unchecked |= {i.__name__: "no two in a row" for i in tally.rules.two}
    for last, r in zip([None, *recorded], recorded, strict=False):
        size = sum(t.size for t, _ in r.sparse)
        tally.add(r.name, tally.rules.one, r, size=size)
        if last and r.follows:
            tally.add(r.name, tally.rules.two, last, r, size=size)
    return tally


def verify_package(count=2000, progress=lambda cases, **_: cases, *, small=True):
    """The Tally of the installed package, and what was tried: {in words: number of cases}.

    count     how many random networks
    progress  wraps iterables, as tqdm does
    small     try the 40,410 small networks, too
    """
    tally, tried = Tally(), {}
    if small:
        tried["small networks: one to three tensors of one to four positions, in one order of "
              "these"] = _try_small_cases(tally, progress)
    return tally, tried | {
        "random networks, each also with the same seed again and with the tensors in another order":
            _try_random_cases(tally, count, progress),
        "reallocations of a network in training, with dense tensors too":
            _try_training(tally, progress)}


def try_case(tally, case, *, reruns=True, **run):
    """Judge what comes out of a Case, and with `reruns` also what comes out with the same seed
    again, and with the tensors in another order. Returns the violations."""
    size, order = sum(W.size for W in case.tensors), list(range(len(case.tensors)))
    np.random.default_rng(case.seed).shuffle(order)
    try:
        one = case.run(**run)
        found = tally.add(case, tally.rules.one, one, size=size)
        if reruns:
            again, permuted = case.run(**run), case.run(**run, order=order)
            found += tally.add(case, [same_seed_same_result], one, again, size=size)
            found += tally.add(case, [order_does_not_matter], one, permuted, size=size)
        return found
    except Exception as error:  # whatever it is, it is what we look for
        return tally.fails(case, error, size)


def _try_small_cases(tally, progress):
    """Of patterns that differ in their order only, one."""
    from ..proof import cases

    patterns = cases.distinct_patterns()
    cases = [case for tensors in (1, 2, 3) for case in cases.small_cases(tensors, patterns)]
    for case in progress(cases, desc="small networks", unit=" cases"):
        try_case(tally, case, reruns=False)
    return len(cases)


def _try_random_cases(tally, count, progress):
    from hypothesis import HealthCheck, given, settings

    from ..proof.cases import cases

    bar = iter(progress(range(count), desc="random networks", unit=" cases"))

    @settings(max_examples=count, deadline=None, database=None, derandomize=True,
              suppress_health_check=list(HealthCheck))
    @given(cases())
    def each(case):
        try_case(tally, case)
        next(bar, None)

    each()
    next(bar, None)
    return count


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
