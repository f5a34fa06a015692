"""Lesson 8: record. The stranger's program is no data: it runs beside the learner's function."""

import tempfile
from pathlib import Path

import numpy as np
from hypothesis import strategies as st

from lessons import gallery
from lessons.gallery.masked import Masked
from lessons.stranger import Program
from minidsr.parameters import Sparse
from minidsr.proof.cases import cases
from minidsr.proof.trace import TraceError, load
from minidsr.run.verify import verify_trace

from .exercise import Exercise

NUMBERS = "H", "next_H", "N_p", "delta", "keep_one"
METHODS = {"": Masked} | {  # the three that are left out cannot be seen in a trace of masks
    name: fault.reallocate.__self__ for name, fault in gallery.faults().items()
    if name not in ("appended", "empty_layer", "unseeded")}


# --- a case: (fault, times, tensors, numbers of Program)


def small():
    """Each fault, and none, once; some more often."""
    few = [("", 2), ("stale_velocity", 2), ("threshold_swapped", 3), ("slices_count_as_one", 3)]
    for fault, times in [*((fault, 1) for fault in METHODS), *few]:
        yield fault, times, _tensors(len(fault)), {
            "H": 0.5, "N_p": 4, "delta": 0.3, "seed": times, "keep_one": bool(len(fault) % 2)}


def _tensors(seed):
    rng, tensors = np.random.default_rng(seed), []
    for shape, count in (((2, 2, 2), 5), ((5,), 3)):
        index = np.sort(rng.choice(np.prod(shape), count, replace=False)).astype(np.int32)
        tensors.append(Sparse(shape, index, rng.normal(0, 0.6, count).astype(np.float32)))
        tensors[-1].velocity = rng.normal(size=count).astype(np.float32)
    return tensors


@st.composite
def random_cases(draw):
    case = draw(cases())
    return draw(st.sampled_from(list(METHODS))), draw(st.integers(1, 3)), case.tensors, {
        "H": case.H, "N_p": case.N_p, "delta": case.delta, "seed": case.seed,
        "keep_one": case.keep_one}


def level(fault, times, tensors, numbers):
    return 2 if times > 1 else int(fault != "")


def recorded(f, fault, times, tensors, numbers):
    """What is in the trace that f writes, and what `verify` says of it. It runs beside f."""
    program = Program(tensors, **numbers, method=METHODS[fault])
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "trace.npz"
        f(program, times, str(path))
        try:
            trace = load(path)
        except TraceError as error:
            return {"refused": str(error).replace(folder, "")}
    violations = [str(v) for _, _, v in verify_trace(trace, method="dsr").examples.values()]
    return {"records": [_record(r.before, r.after, vars(r.report)) for r in trace],
            "follow": all(r.follows for r in trace), "verify": violations}


def truth(fault, times, tensors, numbers):
    """The records that there should be."""
    program, records = Program(tensors, **numbers, method=METHODS[fault]), []
    for _ in range(times):
        program.train()
        before, told = _seen(program), {name: getattr(program, name, None) for name in NUMBERS}
        program.reallocate()
        records.append({"before": before, "after": _seen(program),
                        "numbers": told | {"next_H": program.H}})
    return records


def _seen(program):
    held = {}
    for name, w in program.weights.items():
        index = np.flatnonzero(program.masks[name]) if name in program.masks else None
        at = slice(None) if index is None else index
        held[name] = [None if index is None else index.tolist(), w.reshape(-1)[at].tolist(),
                      program.velocities[name].reshape(-1)[at].tolist()]
    return held


def _record(before, after, report):
    moments = [{t.name: [None if x is None else x.tolist() for x in (t.index, t.value, t.velocity)]
                for t in tensors} for tensors in (before, after)]
    return {"before": moments[0], "after": moments[1],
            "numbers": {name: report[name] for name in NUMBERS}}


def can_be_read(g, *case):
    """minidsr verify can read the trace"""
    return g.get("refused", True)


def each_reallocation(g, fault, times, tensors, numbers):
    """each reallocation is in it, one number after another"""
    return g["follow"] and len(g["records"]) == times


def what_each_tensor_holds(g, *case):
    """masks, values and velocities of each tensor are in it, as they were before and after"""
    for n, (record, true) in enumerate(zip(g["records"], truth(*case), strict=True)):
        for moment in ("before", "after"):
            for name, held in true[moment].items():
                seen = record[moment].get(name, [None] * 3)
                wrong = [key for key, x, y in zip(("mask", "value", "velocity"), held, seen,
                                                  strict=True) if x != y]
                if wrong:
                    return f"{n}/{name}/{moment}/{wrong[0]} is not what it was"
    return True


def numbers_are_there(g, *case):
    """H, next_H, N_p, delta and keep_one are in it"""
    for record, true in zip(g["records"], truth(*case), strict=True):
        for name, x in true["numbers"].items():
            said = record["numbers"][name]
            if said is None or np.float32(said) != np.float32(x):
                return f"{name} is {said}, and should be {x}"
    return True


def picture(g, fault, times, tensors, numbers):
    what = gallery.faults()[fault].FAULT if fault else "nothing is wrong with it"
    lines = [f"times = {times}, of the program it is known that {what}",
             "sparse tensors of shape " + ", ".join(str(W.shape) for W in tensors)
             + ", and a dense one, bias"]
    if isinstance(g, dict) and "verify" in g:
        lines += ["", "verify says of your trace:", *(g["verify"] or ["nothing is violated"])]
    return "\n".join(lines)


# --- mistakes


def _write(program, times, path, *, copy=True, velocities=True, numbers=True, number=True,
           masks=True, twice=False):
    trace = {}

    def add(n, moment):
        groups = {"value": program.weights, "mask": program.masks,
                  "velocity": program.velocities}
        for key, arrays in groups.items():
            if (key != "velocity" or velocities) and (key != "mask" or masks):
                trace.update({f"{n}/{name}/{moment}/{key}": x.copy() if copy else x
                              for name, x in arrays.items()})

    for i in range(times):
        n = i if number else 0
        program.train()
        if twice:
            program.reallocate()
        add(n, "before")
        if numbers:
            trace.update({f"{n}/{name}": getattr(program, name) for name in NUMBERS
                          if name != "next_H"})
        if not twice:
            program.reallocate()
        add(n, "after")
        if numbers:
            trace[f"{n}/next_H"] = program.H
    np.savez(path, **trace)


def without_copies(program, times, path):
    """The arrays are changed in place, and written at the end: what does an array that you have put
    aside before the reallocation hold by then?"""
    _write(program, times, path, copy=False)


def without_velocities(program, times, path):
    """There are no velocities in it, so nobody can tell whether momentum is left over, or lost."""
    _write(program, times, path, velocities=False)


def without_numbers(program, times, path):
    """There are no H, next_H, N_p, delta and keep_one in it. Which weights should have gone?"""
    _write(program, times, path, numbers=False)


def always_the_same_number(program, times, path):
    """All reallocations are written under the same number, and the last one is what is left."""
    _write(program, times, path, number=False)


def without_masks(program, times, path):
    """There are no masks in it, so all tensors are dense, and none may change."""
    _write(program, times, path, masks=False)


def only_afterwards(program, times, path):
    """What is said to be before is what is after: nothing has moved, so nothing is wrong."""
    _write(program, times, path, twice=True)


def all_but_the_verdict(g):
    return {key: x for key, x in g.items() if key != "verify"}


record = Exercise(
    name="record", stars=2, minutes=15,
    small=small, cases=random_cases(),
    levels=("one reallocation of a right program", "one of a program with a fault",
            "several reallocations"),
    level=level,
    properties=(can_be_read, each_reallocation, what_each_tensor_holds, numbers_are_there),
    picture=picture, inside=recorded, gist=all_but_the_verdict, seconds=10.0,
    mistakes=(without_copies, without_velocities, without_numbers, always_the_same_number,
              without_masks),
    lazy=(only_afterwards,),
    hints=(
        "What has to be looked at twice, and what once? When is H the old one, when the new one?",
        "Fill a dict: trace[f'{n}/{name}/before/value'] = ..., the same with mask and velocity; "
        "reallocate; the same with after. At the end np.savez writes the dict, as its keywords.",
        "The program changes its arrays in place: put copies aside. H changes too, so what it was "
        "before goes to '{n}/H', and what it is after to '{n}/next_H'."))
