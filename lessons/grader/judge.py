"""Judging a function: what does not hold, in which smallest case, and which mistake it is."""

import math
import random
import time
from copy import deepcopy
from functools import cache

import numpy as np
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import seed as seeded
from hypothesis.errors import Flaky

from minidsr.parameters import Sparse
from minidsr.proof.remote import Answerless
from minidsr.proof.runner import encode

SHRINKING = 10  # seconds


class Failure(Exception):
    """A case in which something does not hold.

    what    the name of the property, or why there is no answer: Answerless.kind, or stub
    words   what should hold, or what happened; `detail`, if known, says more
    answer  what came back, if something did
    """

    def __init__(self, case, what, words, *, answer=None, detail="", where=""):
        super().__init__(what, words)
        self.case, self.what, self.words = case, what, words
        self.answer, self.detail, self.where = answer, detail, where

    @property
    def answered(self):
        """Is it an answer that is wrong?"""
        return self.what not in ("stub", "missing", "raised", "hangs", "dies", "garbled")


def judge(exercise, function, case):
    """Raise Failure unless all properties hold of what function(*case) returns."""
    answer, after = _ask(function, case, case)
    for holds in exercise.properties:
        _check(holds, answer, case, answer)
    if exercise.inside is None and _data(after) != _data(case):
        raise Failure(case, "arguments_stay", "the arguments are afterwards what they were",
                      answer=answer)
    for holds in exercise.relations:
        _check(holds, lambda *args: _ask(function, args, case)[0], case, answer)


def first_failure(exercise, function, *, examples=150, every=1, seed=None):
    """(Failure or None, how many cases were right before): every small case by level and size, then
    so many random ones, shrunk.

    every  only each so-manieth of the small cases, in tests
    seed   of the random cases, a number; None: they are the same for everyone
    """
    tried = 0
    for case in small_cases(exercise)[::every]:
        try:
            judge(exercise, function, case)
        except Failure as failure:
            return failure, tried
        tried += 1
    if not examples:
        return None, tried
    found, ends = [], []

    @settings(max_examples=examples, deadline=None, database=None, derandomize=seed is None,
              suppress_health_check=list(HealthCheck), report_multiple_bugs=False,
              phases=[Phase.generate, Phase.shrink])
    @given(exercise.cases)
    def each(case):
        if ends and time.monotonic() > ends[0]:
            raise _Enough
        try:
            judge(exercise, function, case)
        except Failure as failure:
            found.append(failure)
            ends.append(time.monotonic() + SHRINKING)
            raise

    try:
        (each if seed is None else seeded(seed)(each))()
    except (Failure, Flaky, _Enough):
        return min(found, key=lambda failure: _order(exercise, failure.case)), tried
    return None, tried + examples


def diagnose(exercise, function, failure, count=60):
    """The mistake that does the same as the function, in the case that fails and in others of its
    level or below; None if none does.

    The same: gives the same answers. Of what is random, violates the same properties.
    """
    level = exercise.level(*failure.case)
    alike = [case for case in small_cases(exercise) if exercise.level(*case) <= level]
    tried = [failure.case, *random.Random(0).sample(alike, min(count, len(alike)))]
    seen = _behaviour(exercise, function, tried)
    for mistake in exercise.mistakes:
        if _behaviour(exercise, through(exercise, mistake), tried) == seen:
            return mistake
    return None


def through(exercise, function):
    """The function as it is judged: by way of `inside`, if there is one."""
    if exercise.inside is None:
        return function
    return lambda *case: exercise.inside(function, *case)


@cache
def small_cases(exercise):
    """Every small case, by level and size."""
    return sorted(exercise.small(), key=lambda case: _order(exercise, case))


def plain(answer):
    """An answer with lists for arrays and tuples, and Python's numbers for NumPy's."""
    if isinstance(answer, (np.ndarray, np.generic)):
        return answer.tolist()
    if isinstance(answer, (list, tuple)):
        return [plain(x) for x in answer]
    if isinstance(answer, dict):
        return {key: plain(x) for key, x in answer.items()}
    return answer


def digits(answer):
    """The gist of an answer whose sums may be added up in any order: twelve digits of each number.
    What is not finite is not told apart."""
    if isinstance(answer, list):
        return [digits(x) for x in answer]
    if isinstance(answer, float):
        return float(f"{answer:.12g}") if math.isfinite(answer) else "not finite"
    return answer


class _Enough(BaseException):
    """Ends hypothesis, which would go on after an Exception."""


def _ask(function, args, case):
    """(The answer, the arguments afterwards); Failure in `case` where no answer comes."""
    after = deepcopy(args)
    try:
        return plain(function(*after)), after
    except Answerless as error:
        kind = "stub" if error.error == "NotImplementedError" else error.kind
        where = f"line {error.line}: {error.code}" if error.line else ""
        raise Failure(case, kind, str(error), where=where) from None
    except Exception as error:  # of a function in this process
        kind = "stub" if isinstance(error, NotImplementedError) else "raised"
        raise Failure(case, kind, f"{type(error).__name__}: {error}") from error


def _check(holds, given, case, answer):
    try:
        found = holds(given, *case)
    except Failure:
        raise
    except Exception:  # the answer is nothing that the property understands
        found = False
    if isinstance(found, str) or not found:
        raise Failure(case, holds.__name__, " ".join(holds.__doc__.split()), answer=answer,
                      detail=found if isinstance(found, str) else "")


def _behaviour(exercise, function, cases):
    """What a function does in these cases, up to the first in which it does not end."""
    random_ = any(isinstance(x, np.random.Generator) for case in cases for x in case)
    seen = []
    for case in cases:
        try:
            if random_:
                judge(exercise, function, case)
            else:
                seen.append(encode(_gist(exercise, _ask(function, case, case)[0])))
        except Failure as failure:
            seen.append(failure.what)
            if failure.what == "hangs":
                break
    return set(seen) if random_ else seen


def _gist(exercise, answer):
    try:
        return exercise.gist(answer) if exercise.gist else answer
    except Exception:  # the answer is nothing that it understands
        return answer


def _data(case):
    """Arguments to compare with; what a random generator has drawn is no change."""
    return [encode(x) for x in case if not isinstance(x, np.random.Generator)]


def _order(exercise, case):
    return (exercise.level(*case), *_size(case))


def _size(x):
    """(How many numbers, how large in all)."""
    if isinstance(x, (list, tuple)):
        sizes = [_size(y) for y in x]
        return len(x) + sum(n for n, _ in sizes), sum(total for _, total in sizes)
    if isinstance(x, Sparse):
        return x.size + len(x.value), 0
    if isinstance(x, np.ndarray):
        return x.size, float(np.abs(x).sum()) if x.dtype.kind in "biuf" else 0
    return 1, abs(x) if isinstance(x, (int, float)) else 0
