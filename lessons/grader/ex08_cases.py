"""Lesson 8: my_cases. A strategy is no data, so it is drawn from beside it, in its process."""

from contextlib import suppress
from functools import lru_cache

import numpy as np
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from lessons import gallery
from minidsr.parameters import Sparse
from minidsr.proof.cases import Case
from minidsr.proof.invariants import (
    OF_ONE_REALLOCATION,
    Rules,
    judge,
    same_seed_same_result,
    violations,
)
from minidsr.run.verify import Tally, try_case

from .exercise import Exercise

DRAWN = 200
MEDALS = {15: "bronze", 20: "silver", 24: "gold"}
NEEDS = {  # what a case needs to show the fault
    "all_momentum_lost": "a weight that survives and has velocity",
    "any_free_place": "weights that go, beside few positions that were free",
    "appended": "a weight that grows before one that stays",
    "bernoulli_growth": "free positions, more than weights grow",
    "counts_values": "a weight that is 0, and goes",
    "empty_layer": "a tensor without weights",
    "endless_loop": "a full tensor",
    "first_takes_the_rest": "several tensors, and shares that are far from whole",
    "fixed_tolerance": "a delta other than 0.1",
    "fraction_per_layer": "a tensor that loses many weights, or none",
    "grows_what_it_lost": "one tensor that loses many weights, and one that loses few",
    "keeps_the_first": "a tensor wholly below H, whose first weight is not its largest",
    "not_strict": "a weight that equals H in size",
    "old_value_comes_back": "a tensor so full that weights grow where some were pruned",
    "random_layer": "several tensors, and shares that are not whole",
    "random_new_values": "a weight that grows",
    "rounds_up": "several tensors, and shares that are not whole",
    "slices_count_as_one": "tensors of whole kernels: shape (n, k, k), all k² of a kernel in use",
    "stale_velocity": "velocity, and a tensor so full that weights grow where some were pruned",
    "threshold_overflows": "the largest H there is, and fewer weights below it than N_p",
    "threshold_swapped": "an N_p that is far from how many weights are below H",
    "threshold_too_soon": "weights between H and twice of it, or half of it",
    "unseeded": "more free positions than weights grow",
    "with_replacement": "several weights that grow in one tensor",
    "without_abs": "a negative weight that is not below H"}


def exposes(f, needed):
    """What cases drawn from f() show: as data. It runs beside f, in its process."""
    return _exposed(f)


@lru_cache
def _exposed(f):
    """Draws until there is gold, or 200 are drawn, or one is refused."""
    hidden, exposed, refused = dict(gallery.faults()), [], []

    @settings(max_examples=DRAWN, derandomize=True, database=None, deadline=None,
              phases=[Phase.generate], suppress_health_check=list(HealthCheck))
    @given(f())
    def each(case):
        if not (isinstance(case, Case) and all(isinstance(W, Sparse) for W in case.tensors)):
            refused.append(f"drawn was {case!r:.100}, no Case of Sparse tensors")
            raise _Enough
        refused.extend(f"{v} in\n{case}" for v in try_case(Tally(), case, reruns=False))
        for name in [name for name, fault in hidden.items() if _shows(case, fault)]:
            exposed.append(name)
            del hidden[name]
        if refused or len(exposed) >= max(MEDALS):
            raise _Enough

    with suppress(_Enough):
        each()
    return {"exposed": sorted(exposed), "refused": refused[:1]}


def _shows(case, fault):
    """Is the fault named in this case, or what it drags along?"""
    try:
        one = case.run(fault.reallocate)
        if "same_seed_same_result" in fault.VIOLATES:
            return bool(judge(same_seed_same_result, one, case.run(fault.reallocate)))
    except Exception:  # whatever it is
        return "completes" in fault.VIOLATES
    return bool(violations(one, rules=Rules(tuple(
        invariant for invariant in OF_ONE_REALLOCATION
        if invariant.__name__ in fault.VIOLATES))))


class _Enough(BaseException):
    """Ends hypothesis, which would go on after an Exception."""


def draws_cases(g, needed):
    """each Case that is drawn is one with which a right program has no trouble"""
    return g["refused"][0] if g["refused"] else True


def exposes_as_many(g, needed):
    """200 of them expose enough of the 25 faults"""
    return len(g["exposed"]) >= needed


def picture(g, needed):
    if g is None or g["refused"]:
        return f"{needed} faults are asked for"
    hidden = [name for name in NEEDS if name not in g["exposed"]]
    lines = [f"{len(g['exposed'])} faults are exposed, {needed} are asked for. Hidden, and what "
             "would show them:", ""]
    return "\n".join(lines + [f"{name:<21} {NEEDS[name]}" for name in hidden])


# --- mistakes


@st.composite
def _plain(draw, tensors=(1, 4), fill=(0, 1, 2, 3, 5, 8)):
    """Cases of tensors with 8 positions."""
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    chosen = []
    for _ in range(draw(st.integers(*tensors))):
        index = np.sort(rng.choice(8, draw(st.sampled_from(fill)), replace=False))
        W = Sparse((8,), index, rng.choice([-2, -1, 0, 0.5, 1], len(index)).astype(np.float32))
        W.velocity = rng.normal(size=len(index)).astype(np.float32)
        chosen.append(W)
    budget = sum(len(W.index) for W in chosen)
    if not budget:
        chosen[0] = Sparse((8,), np.array([3]), np.array([1], np.float32))
    return Case(chosen, draw(st.sampled_from([0.5, 1.0])), max(1, budget // 2),
                draw(st.sampled_from([0.0, 0.1, 0.3])), int(rng.integers(1000)),
                keep_one=bool(rng.random() < 0.8))


def one_tensor():
    """Every network has one tensor. What can go wrong between two?"""
    return _plain(tensors=(1, 1))


def half_full():
    """Every tensor is half full. What of one that is empty, and of one that is full?"""
    return _plain(fill=(4,))


def one_weight():
    """What the stub draws."""
    W = Sparse((2,), np.array([0]), np.array([1.0]))
    return st.builds(Case, st.just([W]), H=st.sampled_from([0.5, 2.0]), N_p=st.just(1),
                     delta=st.just(0.1), seed=st.integers(0, 10))


my_cases = Exercise(
    name="my_cases", stars=3, minutes=30,
    small=lambda: zip(MEDALS), cases=st.sampled_from(list(zip(MEDALS))),
    levels=tuple(f"{medal}: {needed} of the 25 faults" for needed, medal in MEDALS.items()),
    level=list(MEDALS).index,
    properties=(draws_cases, exposes_as_many),
    picture=picture, inside=exposes, gist=lambda g: g["exposed"], seconds=30.0,
    mistakes=(one_tensor, half_full),
    lazy=(one_weight,),
    hints=(
        "Begin with the stub's strategy, and draw more: the tensors, and the numbers. What is the "
        "simplest network in which a weight goes, and another grows?",
        "Write a function with @st.composite: draw(st.integers(0, 8)) is a number. Draw how many "
        "tensors there are; of each how many positions and weights, none and all among them; the "
        "values, the velocities, H, N_p, delta and seed.",
        "Arrays are best drawn from a seed, with np.random.default_rng(draw(st.integers(0, 999))). "
        "Let values be equal, 0, negative, and just H now and then. Some faults need tensors of "
        "shape (n, 3, 3) and (n, 1, 1) whose kernels are in use as a whole."))


