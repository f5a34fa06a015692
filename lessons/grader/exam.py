"""An exam: `python -m lessons.check --exam SEED` deals variants of lesson 7, drawn by the seed.

The package is the solution of the exercises, and public; so an exam asks for other rules. They are
parameters of variants.py, which is the solution; paper.py draws them and writes the stubs.
"""

import inspect
import math
from dataclasses import dataclass
from functools import cache, partial
from itertools import product
from pathlib import Path

import numpy as np

from minidsr.parameters import Sparse
from minidsr.proof.remote import Remote

from . import ex07, ex07_apportion, ex07_reallocate, report, variants
from .exercise import Exercise
from .judge import first_failure, plain
from .paper import paper, rules
from .variants import LARGEST_H, SMALLEST_H, Rules
from .words import MARKS, picture, say

PAPER = Rules()
HIDDEN = tuple(f"minidsr.reparam.{name}" for name in (
    "adjust_pruning_threshold", "apportion", "grow_back", "prune_by_threshold", "reallocate"))
LEVELS = {"prune": ("enough weights reach H, and none equals it", "a weight equals H",
                    "too few reach H")}


@dataclass(kw_only=True, eq=False)
class Variant(Exercise):
    """An exercise of the exam with this seed."""

    seed: int

    @property
    def solution(self):
        return variants.functions(rules(self.seed))[self.name]

    @property
    def file(self):
        return f"exam_{self.seed}.py"

    @property
    def parameters(self):
        f = self.inside or self.solution
        return list(inspect.signature(f).parameters)[bool(self.inside):]

    def ours(self):
        source = Path(variants.__file__).read_text(encoding="utf-8")
        return (f"exec({source!r}, room := {{'__name__': 'variants'}})\n"
                f"Rules = room['Rules']\nglobals().update(room['functions']({rules(self.seed)}))\n")

    def stub(self):
        return paper(self.seed)


def sit(seed, name, work, here, after):
    """Deal the exam into a folder, or judge what stands there; 0 if all is right, else 1.

    Says which levels stand, and with `after` the case that shows what is wrong.
    """
    exercises, path = find(seed, name), work.folder / f"exam_{seed}.py"
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(paper(seed), encoding="utf-8")
        say(f"{report.shown(path)} is the exam: yours to fill in\n")
    with Remote(path) as remote:
        functions = report.functions(exercises, remote, here)
        return max((_judged(exercise, f, after) for exercise, f in functions.items()), default=1)


def find(seed, name=""):
    """The exercises of an exam, or the one of this name."""
    found = [exercise for exercise in _exercises(seed) if name in ("", exercise.name)]
    if not found:
        raise ValueError(f"the exam has no {name}; it has "
                         f"{', '.join(exercise.name for exercise in _exercises(seed))}")
    return found


@cache
def _exercises(seed):
    f = variants.functions(rules(seed))
    made = [
        _variant(seed, ex07.prune, partial(prune_level, seed), (equals(f["prune"]),), 3,
                 more=small_tensors),
        _variant(seed, ex07.next_threshold, partial(threshold_level, seed),
                 (near(f["next_threshold"]),), 4),
        _variant(seed, ex07.apportion, partial(apportion_level, seed),
                 (equals(f["apportion"]),), 3),
        _variant(seed, ex07.reallocate, reallocate_level,
                 (same_counts(f["reallocate"]), survivors_stay(f["prune"]), new_are_free), 5,
                 more=small_networks, relations=(by_rng, grows_everywhere), inside=reallocated)]
    for i, exercise in enumerate(made, 1):
        exercise.number, exercise.address = f"exam_{seed}.{i}", exercise.name
    return made


def _variant(seed, base, level, properties, arguments, *, more=tuple, **fields):
    """The variant of an exercise; its cases are the first `arguments` of the base's, and more."""
    def small():
        return [*(case[:arguments] for case in base.small()), *more()]
    return Variant(
        seed=seed, name=base.name, stars=base.stars, minutes=base.minutes, small=small,
        cases=base.cases.map(lambda case: case[:arguments]),
        levels=LEVELS.get(base.name, base.levels), level=level, properties=properties,
        mistakes=(_as_the_paper(base.name),), hints=(), hidden=HIDDEN, **fields)


def _as_the_paper(name):
    def as_the_paper(*case):
        """It does what the paper says. The exam asks for something else: read its docstring."""
        return variants.functions(PAPER)[name](*case)
    return as_the_paper


def _judged(exercise, function, after):
    failure, tried = first_failure(exercise, function)
    if failure is None:
        say(f"{MARKS['right']} {exercise.name}: public properties held in {tried:,} cases")
        return 0
    if failure.what in ("stub", "missing"):
        say(f"{MARKS['open']} {exercise.name}: not written yet")
        return 1
    say(f"{MARKS['wrong']} {exercise.name}" + (
        "" if failure.answered else f": {failure.words.partition(':')[0]}"))
    at = exercise.level(*failure.case)
    for i, level in enumerate(exercise.levels):
        say(f"    {MARKS['right' if i < at else 'wrong' if i == at else 'open']} {level}")
    if after:
        say(f"\n  {failure.words} {failure.detail}\n\n{picture(exercise, failure)}\n")
    return 1


# --- levels and properties


def small_tensors():
    """Tensors of four weights, in case that three must stay."""
    for value in product((0.25, -0.5, 1), repeat=4):
        yield np.arange(1, 9, 2), np.array(value, np.float32), 0.5


def small_networks():
    """Networks in which weights go also where three must stay."""
    rng = np.random.default_rng(0)
    for seed in range(40):
        tensors = [Sparse((size,), np.sort(rng.choice(size, size - free, replace=False)),
                          rng.choice([0.25, -0.5, 1, -2, 4], size - free).astype(np.float32))
                   for size, free in zip(rng.integers(6, 12, 3).tolist(),
                                         rng.integers(0, 4, 3).tolist(), strict=True)]
        yield tensors, float(rng.choice([0.5, 1, 3])), 4, 0.25, np.random.default_rng(seed)


def prune_level(seed, index, value, H):
    if (np.abs(value) >= H).sum() < rules(seed).keep:
        return 2
    return int((np.abs(value) == H).any())


def threshold_level(seed, H, K, N_p, delta):
    factor = rules(seed).factor
    low, high = ex07.band(N_p, delta)
    new = H * factor if K < low else H / factor if K > high else H
    return 2 if not SMALLEST_H <= new <= LARGEST_H else int(K in (low, high))


def apportion_level(seed, K, weights, room):
    return ex07_apportion.level(K, [w ** rules(seed).power for w in weights], room)


def reallocate_level(*case):
    return ex07_reallocate.level(*case, True)


def equals(ours):
    def as_asked(g, *case):
        """the answer is what the docstring says"""
        return g == plain(ours(*case)) or f"it should be {plain(ours(*case))}"
    return as_asked


def near(ours):
    def as_asked(g, *case):
        """the answer is what the docstring says"""
        return math.isclose(g, ours(*case), rel_tol=1e-12) or f"it should be {ours(*case)}"
    return as_asked


def reallocated(f, tensors, H, N_p, delta, rng):
    """The tensors as f leaves them, and what it returns. It runs beside f, in its process."""
    said = f(tensors, H, N_p, delta, rng)
    return tensors, said


def same_counts(ours):
    def as_asked(g, tensors, *rest):
        """H for the next time, and how many each tensor loses and grows, are what is asked for"""
        _, (next_H, pruned, grown) = g
        expected = ours(_copies(tensors), *rest)
        return math.isclose(next_H, expected[0], rel_tol=1e-12) and (
            [pruned, grown] == [*expected[1:]]) or f"they should be {expected}"
    return as_asked


def survivors_stay(ours):
    def survivors_as_before(g, tensors, H, *rest):
        """what survives keeps its position, weight and velocity; what is new is 0, at rest"""
        for W, after in zip(tensors, g[0], strict=True):
            stay = {*ours(W.index, W.value, H)[0].tolist()}
            old = {p: (w, v) for p, w, v in _weights(W) if p in stay}
            new = {p: (w, v) for p, w, v in _weights(after)}
            if len(new) != len(after.index) or new != dict.fromkeys(new, (0, 0)) | old:
                return False
        return True
    return survivors_as_before


def new_are_free(g, tensors, *rest):
    """each tensor grows as many as it says, at what was free before pruning while there is any"""
    _, (_, pruned, grown) = g
    for W, after, k, n in zip(tensors, g[0], pruned, grown, strict=True):
        before, now = {*W.index.tolist()}, {*after.index.tolist()}
        if len(now - before) != min(n, W.size - len(before)) or (
                len(now) != len(before) - k + n or not now <= set(range(W.size))):
            return False
    return True


def by_rng(f, *case):
    """the same rng gives the same tensors"""
    (one, _), (other, _) = f(*case), f(*case)
    return [W.index.tolist() for W in one] == [W.index.tolist() for W in other]


def grows_everywhere(f, tensors, *rest):
    """every position that was free before pruning grows a weight with one seed or another"""
    if [W.index.tolist() for W in tensors] != [index for index, _ in ex07_reallocate.LESSON]:
        return True  # one case is enough
    never = [set(range(W.size)) - {*W.index.tolist()} for W in tensors]
    for seed in range(ex07_reallocate.RUNS):
        after, (_, _, grown) = f(tensors, *rest[:-1], np.random.default_rng(seed))
        for left, W in zip(never, after, strict=True):
            left -= {*W.index.tolist()}
    return not any(left for left, n in zip(never, grown, strict=True) if n)


def _copies(tensors):
    return [type(W)(W.shape, W.index.copy(), W.value.copy()) for W in tensors]


def _weights(W):
    return zip(W.index.tolist(), W.value.tolist(), W.velocity.tolist(), strict=True)
