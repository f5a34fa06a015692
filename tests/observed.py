"""Reallocations as they were seen, made by hand, and with one thing changed."""

from dataclasses import replace
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import HealthCheck, assume, settings
from hypothesis import strategies as st
from numpy import inf, nan

from minidsr.proof.cases import cases
from minidsr.proof.invariants import judge, violations
from minidsr.proof.reallocation import NotCheckable, Reallocation, Tensor
from minidsr.reparam import LARGEST_H, SMALLEST_H, Report

NEW = (0.0, 0.0)  # value and velocity of a weight just grown
TINY = float(np.float32(1e-45))  # the smallest float32


def tensor(name, size, numbers, velocity=True, dtype=np.float32):
    """From {position: value} or {position: (value, velocity)}; else the velocity is position + 1.

    None in place of the numbers: empty. A list in place of the dictionary: a dense tensor.
    """
    if isinstance(numbers, list):
        numbers = np.array(numbers, dtype)
        return Tensor(name, size, None, numbers, numbers + 1 if velocity else None)
    pairs = [w if isinstance(w, tuple) else (w, i + 1) for i, w in (numbers or {}).items()]
    value, speed = np.array(pairs, dtype).reshape(-1, 2).T
    return Tensor(name, size, np.array(list(numbers or {}), np.int32), value,
                  speed if velocity else None)


def seen(*tensors, velocity=True, dtype=np.float32, **said):
    """A Reallocation of tensors a, b, c ..., each (size, numbers before, numbers after)."""
    before, after = ([tensor(name, t[0], t[moment], velocity, dtype)
                      for name, t in zip("abcdefgh", tensors, strict=False)] for moment in (1, 2))
    return Reallocation(before, after, Report(**said))


def verdict(r):
    """What all invariants find, in words."""
    return [str(v) for v in violations(r)]


def names(r):
    return [v.invariant for v in violations(r)]


def reason(invariant, *runs):
    with pytest.raises(NotCheckable) as caught:
        judge(invariant, *runs)
    return str(caught.value)


# H = 1 prunes 2 and 1 weights, 2 and 2 survive; of K = 3 both get 1.5, rounded up or down
BEFORE = {"a": {0: 5, 1: -4, 2: 0.5, 3: -0.25}, "b": {0: 1, 1: 0.5, 2: -2}}
AFTER = {"a": {0: 5, 1: -4, 6: NEW, 7: NEW}, "b": {0: 1, 2: -2, 5: NEW}}
SAID = Report(H=1.0, next_H=1.0, N_p=3, delta=0.1, keep_one=True, K=3, pruned=[2, 1],
              grown=[2, 1], active=[4, 3])
UNKNOWN = dict.fromkeys(vars(SAID))


def example(a=(), b=(), velocity=True, dtype=np.float32, before=(), **said):
    """The reallocation above; `a` and `b` say what is different after it. None: not there."""
    def edit(numbers, changes):
        numbers = {**numbers, **dict(changes)}
        return {i: numbers[i] for i in sorted(numbers) if numbers[i] is not None}

    r = seen((10, edit(BEFORE["a"], before), edit(AFTER["a"], a)),
             (8, BEFORE["b"], edit(AFTER["b"], b)), velocity=velocity, dtype=dtype)
    return replace(r, report=replace(SAID, **said))


DENSE = tensor("c", 3, [1, -0.0, nan])


def with_dense(before, after):
    """example(), and a dense tensor."""
    r = example()
    return replace(r, before=[*r.before, before], after=[*r.after, after])


def sharing(*tensors, H=0.5, **said):
    """From (size, survivors, pruned, grown) of each tensor."""
    def numbers(size, l, k, g):
        survivors, slots = dict.fromkeys(range(l), 1.0), [*range(l + k, size), *range(l, l + k)]
        return (size, survivors | dict.fromkeys(range(l, l + k), 0.25),
                survivors | dict.fromkeys(sorted(slots[:g]), NEW))

    return seen(*(numbers(*t) for t in tensors), H=H, **said)


def water_filling(K, weights, room):
    """What fair_shares() should give: min(room, t * weight), at the level t where the sum is K."""
    pairs = [(w, Fraction(r)) for w, r in zip(weights, room, strict=True)]
    levels = sorted({Fraction(0), *(r / w for w, r in pairs if w)})

    def poured(t):
        return [min(r, t * w) for w, r in pairs]

    t = max(t for t in levels if sum(poured(t)) <= K)
    rising = sum(w for w, r in pairs if r > t * w)
    if rising:
        return poured(t + (K - sum(poured(t))) / rising)
    rest, spare = K - sum(poured(t)), sum(r for w, r in pairs if not w)
    return [r if w else rest * r / (spare or 1) for w, r in pairs]


# --- one thing changed


def pick(data, items):
    """One of them; a case without any is none."""
    items = list(items)
    assume(items)
    return data.draw(st.sampled_from(items))


seldom = settings(suppress_health_check=[HealthCheck.filter_too_much])  # many cases have none


def fruitful(mark):
    """Random cases in which `mark`, from a Reallocation to a bool, is mostly True: some are tried
    with other thresholds."""
    def with_some(case):
        sizes = np.abs(np.concatenate([W.value for W in case.tensors])).astype(float)
        inside = sizes[(sizes >= SMALLEST_H) & (sizes <= LARGEST_H)]
        tries = [case, *(replace(case, H=float(H)) for H in np.unique(inside))]
        return next((c for c in tries if mark(c.run())), case)

    return cases().map(with_some)


def places(r, mark):
    """(tensor, place) wherever `mark`, from a Change to a boolean array, is True."""
    return [(n, int(j)) for n, c in enumerate(r.changes) for j in np.flatnonzero(mark(c))]


def edited(r, n, **arrays):
    """With other arrays in tensor n afterwards."""
    after = list(r.after)
    after[n] = replace(after[n], **arrays)
    return replace(r, after=after)


def without(t, j):
    return {key: np.delete(getattr(t, key), j) for key in ("index", "value", "velocity")}


def with_one(t, i, value=0.0, velocity=0.0):
    j = np.searchsorted(t.index, i)
    return {"index": np.insert(t.index, j, i), "value": np.insert(t.value, j, value),
            "velocity": np.insert(t.velocity, j, velocity)}


def put(array, j, number):
    array = array.copy()
    array[j] = number
    return array


def free(r, n):
    """Positions of tensor n in use neither before nor after."""
    return sorted(set(range(r.after[n].size)) - set(r.before[n].index) - set(r.after[n].index))


def any_free(r):
    return [(n, i) for n in range(len(r.after)) for i in free(r, n)]


def near(data, number, dtype=np.float32):
    """A float next to it."""
    return np.nextafter(dtype(number), dtype(data.draw(st.sampled_from([-inf, inf]))))
