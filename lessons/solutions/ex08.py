"""Lesson 8, solved. What the package has is imported from there."""

from collections import Counter

import numpy as np

from minidsr.proof.cases import cases


def budget(before, after):
    m, m_after = (sum(len(W.index) for W in tensors) for tensors in (before, after))
    return [] if m == m_after else [f"{m} weights before, {m_after} after"]


def grown_elsewhere(before, after):
    pairs = list(zip(before, after, strict=True))
    if not any(len(set(old.index) | set(new.index)) < old.size for old, new in pairs):
        return []
    again = [sorted(_at_rest(new) & {*old.index.tolist()} - _at_rest(old)) for old, new in pairs]
    return [f"tensor {i}: {positions} were pruned and grown again, while others stay free"
            for i, positions in enumerate(again) if positions]


def _at_rest(W):
    return {int(p) for p, w, v in zip(W.index, W.value, W.velocity, strict=True) if w == v == 0}


def same_in_another_order(run, order):
    one, other = run(range(len(order))), run(order)
    messages, more = [], Counter()
    if one.next_H != other.next_H:
        messages.append(f"the next H is {one.next_H}, or {other.next_H}")
    for place, i in enumerate(order):
        if list(one.pruned[i]) != list(other.pruned[place]):
            messages.append(f"tensor {i} loses {one.pruned[i]}, or {other.pruned[place]}")
        grown, remainder = one.grown[i] - other.grown[place], one.fair[i] % 1
        if abs(grown) > (remainder > 0):
            messages.append(f"tensor {i} grows {one.grown[i]}, or {other.grown[place]}")
        more[remainder] += grown
    return messages + [f"those with remainder {remainder} grow {n} more in the first order"
                       for remainder, n in more.items() if remainder and n]


def my_cases():
    return cases()  # of minidsr/proof/cases.py, with networks(), thresholds() and deltas() there


def record(program, times, path):
    trace = {}
    for n in range(times):
        program.train()
        _put(trace, n, "before", program)
        for name in ("H", "N_p", "delta", "keep_one"):
            trace[f"{n}/{name}"] = getattr(program, name)
        program.reallocate()
        _put(trace, n, "after", program)
        trace[f"{n}/next_H"] = program.H
    np.savez(path, **trace)


def _put(trace, n, moment, program):
    for key, arrays in (("value", program.weights), ("mask", program.masks),
                        ("velocity", program.velocities)):
        for name, array in arrays.items():
            trace[f"{n}/{name}/{moment}/{key}"] = array.copy()
