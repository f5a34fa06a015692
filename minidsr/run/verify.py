"""`minidsr verify`: do the invariants hold, in the installed package or in a recorded trace?"""

import time
from collections import Counter
from contextlib import suppress
from dataclasses import replace
from inspect import getdoc
from itertools import repeat
from pathlib import Path
from textwrap import indent
from traceback import extract_tb

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
    InvariantError,
    Violation,
    judge,
    order_does_not_matter,
    rules_of,
    same_seed_same_result,
)
from ..proof.picture import Example
from ..proof.reallocation import NotCheckable, Reallocation, snapshot
from ..proof.remote import Answerless
from .report import table

ALL = OF_ONE_REALLOCATION + OF_TWO_IN_A_ROW + OF_TWO_RUNS
PACKAGE = Path(__file__).parents[1]
SHRINKING = 10  # seconds for finding a smaller case
RANDOM_NETWORKS = ("random networks, each also with the same seed again and with the tensors in "
                   "another order")


class Tally:
    """How often each invariant was checked and violated, with the smallest example of each.

    gone    the process in which a function was judged has ended, or had to be
    """

    def __init__(self, rules=RULES["dsr"]):
        self.rules = rules
        self.checked, self.violated, self.examples = Counter(), Counter(), {}
        self.acted, self.gone = Counter(), False
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
        self.gone = isinstance(error, Answerless) and error.kind != "raised"
        found = [Violation("completes", _said(error))]
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
        return "\n\n".join([text, *self.shown()])

    def shown(self):
        """The violations, each with its example, small ones first; a picture is drawn once."""
        texts, drawn = [], []
        for _, example, v in sorted(self.examples.values(), key=lambda found: found[0]):
            again = isinstance(example, Example) and example in drawn
            drawn.append(example)
            text = "the same network" if again else str(example)
            texts.append(f"{v}\n  in " + indent(text, "     ").lstrip())
        return texts

    def _rests_on(self, name):
        """How often a rule was put to the test, in words."""
        if name not in ON:
            return ""
        what, n = ON[name][0], self.acted[name]
        return f" ({n:,} {what})" if n else f" (but no {what} occurred)"


def _said(error):
    """An error, and where it was raised, if that was not in the package."""
    if isinstance(error, Answerless):
        return f"{error} (line {error.line}: {error.code})" if error.line else str(error)
    frames = [f for f in extract_tb(error.__traceback__)
              if not Path(f.filename).is_relative_to(PACKAGE)]
    theirs = [f for f in frames if f.filename == frames[0].filename]
    place = f" ({Path(theirs[-1].filename).name}, line {theirs[-1].lineno})" if theirs else ""
    return f"{type(error).__name__}: {error}{place}"


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
        RANDOM_NETWORKS: try_random_cases(tally, count, progress, cases(), seed),
        "reallocations of a network in training, with dense tensors too":
            _try_training(tally, progress)}


def try_case(tally, case, *, reruns=True, **run):
    """Judge what comes out of a Case, and with `reruns` also what comes out with the same seed
    again, and with the tensors in another order. Returns the violations."""
    size, order = _size(case), list(range(len(case.tensors)))
    np.random.default_rng(case.seed).shuffle(order)
    try:
        one = case.run(**run)
        example = Example(case, one)
        found = tally.add(example, tally.rules.one, one, size=size)
        if reruns:
            again, permuted = case.run(**run), case.run(**run, order=order)
            found += tally.add(example, [same_seed_same_result], one, again, size=size)
            found += tally.add(example, [order_does_not_matter], one, permuted, size=size)
        return found
    except Exception as error:  # whatever it is, it is what we look for
        return tally.fails(Example(case), error, size)


def _size(case):
    return sum(W.size for W in case.tensors)


def small_networks(most):
    """What try_small_cases() tries, in words."""
    words = ["", " to two", " to three"][most - 1]
    return f"small networks: one{words} tensors of one to four positions, in one order of these"


def try_small_cases(tally, progress, most=3, enough=lambda: False, by=lambda cases: repeat(None)):
    """The small cases of up to so many tensors, the smallest first, until it is enough; how many.
    Of patterns that differ in their order only, one.

    by  yields what to reallocate with for each case; None: the package's
    """
    from ..proof import cases

    patterns = cases.distinct_patterns()
    cases = sorted((case for tensors in range(1, most + 1)
                    for case in cases.small_cases(tensors, patterns)), key=_size)
    bar = progress(cases, desc="small networks", unit=" cases")
    for n, (case, reallocate) in enumerate(zip(bar, by(cases), strict=False)):
        if enough():
            return n
        try_case(tally, case, reruns=False, reallocate=reallocate)
    return len(cases)


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
