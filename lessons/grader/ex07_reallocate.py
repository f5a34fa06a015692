"""Lesson 7: reallocate, judged by the invariants of `minidsr verify`."""

import inspect

import numpy as np

from minidsr.checks import counted
from minidsr.parameters import Sparse
from minidsr.proof.cases import Case, cases, distinct_patterns, small_cases
from minidsr.proof.invariants import OF_ONE_REALLOCATION, OF_TWO_RUNS, dense_unchanged
from minidsr.proof.reallocation import NotCheckable, Reallocation, snapshot
from minidsr.reparam import (
    Report,
    adjust_pruning_threshold,
    apportion,
    grow_back,
    prune_by_threshold,
)
from minidsr.reparam import reallocate as ours

from .exercise import Exercise, Plug

LAST = []  # an answer, and the Reallocation it tells of
LESSON = (([0, 2, 5, 7, 11], [5, -4, 0.5, 3, 2]), ([1, 4, 6, 9], [1, -0.1, 0.9, -2]),
          ([3, 4, 8, 10], [0.2, -0.3, 7, 0]))  # its three tensors: positions and weights
RUNS = 150  # a position that is one of eight is left out in all of them once in 10^8 tries


def arguments(case):
    """A Case of proof/cases.py as the arguments of reallocate()."""
    return (case.tensors, case.H, case.N_p, case.delta, np.random.default_rng(case.seed),
            case.keep_one)


def small():
    """One or two small tensors, and the three of the lesson."""
    tensors = [Sparse((12,), np.array(index, np.int32), np.array(value, np.float32))
               for index, value in LESSON]
    return map(arguments, [*small_cases(1, distinct_patterns(3)),
                           *small_cases(2, distinct_patterns(2)), Case(tensors, 1.0, 10, 0.1, 0)])


def level(tensors, H, N_p, delta, rng, keep_one):
    k = [int((np.abs(W.value) < H).sum()) for W in tensors]
    if any(n == len(W.value) for n, W in zip(k, tensors, strict=True)):
        return 2
    return int(sum(k) > sum(W.size - len(W.value) for W in tensors))


def reallocated(f, tensors, H, N_p, delta, rng, keep_one):
    """The tensors as f leaves them, and what it returns. It runs beside f, in its process."""
    said = f(tensors, H, N_p, delta, rng, keep_one)
    return tensors, said


def seen(g, tensors, H, N_p, delta, rng, keep_one, order=None):
    """The Reallocation that an answer tells of; `order`: in which the tensors were given."""
    after, (next_H, pruned, grown) = g
    names = [f"tensor {i}" for i in (range(len(after)) if order is None else order)]
    report = Report(H, next_H, N_p, delta, keep_one, sum(pruned), pruned, grown,
                    [len(W.value) for W in after])
    return Reallocation(snapshot(dict(zip(names, tensors, strict=True))),
                        snapshot(dict(zip(names, after, strict=True))), report)


def three_results(g, tensors, *rest):
    """there are a number for H, and two lists with a whole number a tensor"""
    _, (next_H, pruned, grown) = g
    return type(next_H) in (int, float) and all(
        len(counts) == len(tensors) and all(type(n) is int for n in counts)
        for counts in (pruned, grown))


def held(invariant):
    """The property that an invariant of one reallocation holds."""
    def holds(g, *case):
        if not LAST or LAST[0] is not g:  # the others have asked for the same one
            LAST[:] = g, seen(g, *case)
        return _said(invariant, LAST[1])
    return _named_as(holds, invariant)


def held_by_two(invariant, reorder):
    """The relation that an invariant of two runs holds; reorder: with the tensors turned round."""
    def holds(f, tensors, H, N_p, delta, rng, keep_one):
        order = range(len(tensors))[::-1 if reorder else 1]
        turned = [tensors[i] for i in order]
        rest = H, N_p, delta, rng, keep_one
        one, other = f(tensors, *rest), f(turned, *rest)
        return _said(invariant, seen(one, tensors, *rest), seen(other, turned, *rest, order=order))
    return _named_as(holds, invariant)


def grows_everywhere(f, tensors, *rest):
    """every position that was free before pruning grows a weight with one seed or another"""
    if [W.index.tolist() for W in tensors] != [index for index, _ in LESSON]:
        return True  # one case is enough
    H, N_p, delta, _, keep_one = rest
    never = [set(range(W.size)) - {*W.index.tolist()} for W in tensors]
    for seed in range(RUNS):
        after, _ = f(tensors, H, N_p, delta, np.random.default_rng(seed), keep_one)
        for left, W in zip(never, after, strict=True):
            left -= {*W.index.tolist()}
    return not any(never) or "; ".join(f"tensor {i} never grew at {sorted(left)} in {RUNS} runs"
                                       for i, left in enumerate(never) if left)


def _said(invariant, *runs):
    try:
        return next(invariant(*runs), True)
    except NotCheckable:
        return True


def _named_as(holds, invariant):
    words = inspect.getdoc(invariant).splitlines()[0].rstrip(".")
    holds.__name__, holds.__doc__ = invariant.__name__, words[0].lower() + words[1:]
    return holds


def picture(g, tensors, H, N_p, delta, rng, keep_one):
    after = g[0] if isinstance(g, list) else [None] * len(tensors)
    lines = [f"H = {H:g}, N_p = {N_p}, delta = {delta:g}, keep_one={keep_one}"]
    for i, (W, A) in enumerate(zip(tensors, after, strict=True)):
        lines += ["", f"tensor {i}, {counted(W.size, 'position')}", f"  before  {_cells(W)}"]
        lines += [f"  yours   {_cells(A)}"] if A is not None else []
    if isinstance(g, list):
        lines += ["", f"returned {g[1]}"]
    return "\n".join(lines)


def _cells(W):
    """Weights at their positions, a dot where there is none."""
    held_ = dict(zip(W.index.tolist(), W.value.tolist(), strict=True))
    if W.size > 12:
        return ", ".join(f"{w:g} at {i}" for i, w in held_.items()) or "empty"
    return " ".join(f"{held_[i]:g}" if i in held_ else "·" for i in range(W.size))


# --- mistakes: Algorithm 1 with one step that is wrong


def _with(tensors, H, N_p, delta, rng, keep_one, *, room_after=False, avoid=True, again=True):
    before = [W.index for W in tensors]
    k = [prune_by_threshold(W, H, keep_one=keep_one) for W in tensors]
    l = [W.value.size for W in tensors]
    room = [W.size - len(W.index if room_after else index)
            for W, index in zip(tensors, before, strict=True)]
    K = sum(k)
    g = apportion(min(K, sum(room)), l, room)
    if again:
        g = [a + b for a, b in zip(g, apportion(K - sum(g), l, k), strict=True)]
    for W, n, index in zip(tensors, g, before, strict=True):
        grow_back(W, n, rng, avoid=index if avoid else ())
    return adjust_pruning_threshold(H, K, N_p, delta), k, g


def room_after_pruning(tensors, H, N_p, delta, rng, keep_one=True):
    """Room is counted after pruning, so weights are handed to positions from which one has just
    been pruned, while others are free. Room for growth is what was free before."""
    return _with(tensors, H, N_p, delta, rng, keep_one, room_after=True, again=False)


def avoids_nothing(tensors, H, N_p, delta, rng, keep_one=True):
    """New weights are drawn from all free positions, also from those just pruned. What does grow()
    have its argument `avoid` for?"""
    return _with(tensors, H, N_p, delta, rng, keep_one, avoid=False)


def loses_what_finds_no_room(tensors, H, N_p, delta, rng, keep_one=True):
    """What finds no room among the positions that were free before pruning is not grown at all.
    Which other positions are free now?"""
    return _with(tensors, H, N_p, delta, rng, keep_one, again=False)


def grows_what_it_lost(tensors, H, N_p, delta, rng, keep_one=True):
    """Each tensor grows as many weights as it lost, so none ever moves to another tensor. By what
    does Algorithm 1 share?"""
    next_H, report = ours(tensors, H, N_p, delta, rng, keep_one=keep_one, growth="pruned")
    return next_H, report.pruned, report.grown


def does_nothing(tensors, H, N_p, delta, rng, keep_one=True):
    """All stays as it is, and that is said. Which weights are below H?"""
    return H, [0] * len(tensors), [0] * len(tensors)


def threshold_too_soon(tensors, H, N_p, delta, rng, keep_one=True):
    """The threshold is changed first, and then used. The new one is for the next time."""
    K = sum(int((np.abs(W.value) < H).sum()) for W in tensors)
    next_H = adjust_pruning_threshold(H, K, N_p, delta)
    return next_H, *_with(tensors, next_H, N_p, delta, rng, keep_one)[1:]


def as_reallocate(f):
    def reallocate(tensors, H, N_p, delta, rng, *, keep_one=True, growth="survivors"):
        next_H, k, g = f(tensors, H, N_p, delta, rng, keep_one)
        active = [W.value.size for W in tensors]
        return next_H, Report(H, next_H, N_p, delta, keep_one, sum(k), list(k), list(g), active)
    return reallocate


reallocate = Exercise(
    name="reallocate", stars=3, minutes=25,
    small=small, cases=cases().map(arguments),
    levels=("in each tensor weights survive, and there is room",
            "there is not room for all before pruning", "a tensor has none above H"),
    level=level,
    properties=(three_results, *(held(i) for i in OF_ONE_REALLOCATION if i != dense_unchanged)),
    relations=(*map(held_by_two, OF_TWO_RUNS, (False, True)), grows_everywhere),
    picture=picture, inside=reallocated,
    mistakes=(room_after_pruning, avoids_nothing, loses_what_finds_no_room, grows_what_it_lost,
              threshold_too_soon),
    lazy=(does_nothing,),
    hints=(
        "Which of your functions comes first? Which numbers does apportion() need, and from which "
        "moment is each: before or after pruning?",
        "Keep W.index of each tensor before anything changes. Prune all, count k and l, then K. "
        "Share, grow, and return the threshold for the next time.",
        "Share twice: first min(K, all the room) among what was free before pruning, then what is "
        "left among the k just pruned, by the same survivors. In prune(), which positions went is "
        "~np.isin(W.index, kept)."),
    plug=Plug(("minidsr.methods.dsr.reallocate", "minidsr.proof.cases.ours"), as_reallocate))
