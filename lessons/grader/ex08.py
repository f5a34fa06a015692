"""What must always hold.

budget and grown_elsewhere: invariants over tensors before and after.
"""

import re
from contextlib import suppress
from copy import deepcopy
from itertools import product

import numpy as np
from hypothesis import strategies as st

from minidsr.parameters import Sparse
from minidsr.proof import invariants
from minidsr.proof.cases import cases
from minidsr.proof.reallocation import NotCheckable, Reallocation, snapshot
from minidsr.run.report import table

from .ex08_cases import my_cases
from .ex08_order import (
    PROGRAMS,
    always_speaks,
    are_messages,
    left_by,
    same_in_another_order,
    says_nothing,
)
from .ex08_record import record
from .exercise import Exercise

# --- (before, after), lists of Sparse

# What a position holds before and after: nothing, or a value and a velocity.
FREE, GROWN, GONE, STAYS, AGAIN = (
    (None, None), (None, (0, 0)), ((0.5, 1), None), ((0.5, 1), (0.5, 1)), ((0.5, 1), (0, 0)))
AT_REST, MOVING, STOPS, PASSES = (
    ((0, 0), (0, 0)), ((0, 1), (0, 1)), ((0, -1), (0, 0)), ((0.5, 1), (0, 1)))


def pair(*tensors):
    """(before, after) of tensors, each a tuple of such positions."""
    return tuple([_tensor([position[moment] for position in positions]) for positions in tensors]
                 for moment in (0, 1))


def _tensor(held):
    index = np.array([i for i, x in enumerate(held) if x], np.int32)
    numbers = np.array([x for x in held if x], np.float32).reshape(-1, 2)
    W = Sparse((len(held),), index, numbers[:, 0].copy())
    W.velocity = numbers[:, 1].copy()
    return W


@st.composite
def reallocations(draw):
    """What programs make of random networks, right ones and wrong ones."""
    case, program = draw(cases()), draw(st.sampled_from(PROGRAMS))
    return case.tensors, left_by(case.run(program))


def said(invariant, before, after):
    """What ours says: a list, empty where it cannot tell."""
    found = []
    with suppress(NotCheckable):
        found.extend(invariant(Reallocation(snapshot(before), snapshot(after))))
    return found


def picture(g, before, after):
    rows = []
    for i, (old, new) in enumerate(zip(before, after, strict=True)):
        for p in range(old.size):
            rows.append([str(i), str(p), _held(old, p), _held(new, p)])
    text = "weights: {} before, {} after".format(*_counts(before, after))
    if len(rows) <= 40:
        text += "; values, and velocities in brackets:\n\n" + table(
            rows, ["tensor", "position", "before", "after"], left=(2, 3))
    return text + ("" if g is None else f"\n\nyours: {g}")


def _held(W, position):
    at = np.flatnonzero(W.index == position)
    return f"{W.value[at[0]]:g} ({W.velocity[at[0]]:g})" if len(at) else "free"


# --- budget


def small_budgets():
    """One tensor of up to 3 positions, or two of up to 2."""
    kinds = FREE, GROWN, GONE, STAYS
    tensors = [x for n in (1, 2) for x in product(kinds, repeat=n)]
    for positions in [*tensors, *product(kinds, repeat=3)]:
        yield pair(positions)
    for two in product(tensors, repeat=2):
        yield pair(*two)


def budget_level(before, after):
    if not all(len(W.index) for W in before + after):
        return 3
    m, m_after = _counts(before, after)
    return 0 if len(before) == 1 else 1 if m == m_after else 2


def speaks_of_the_budget(g, before, after):
    """there is one message where the number of weights has changed, and else none"""
    return len(g) == len(said(invariants.budget, before, after))


def has_both_numbers(g, before, after):
    """the message has both numbers of weights in it"""
    numbers = {str(n) for n in _counts(before, after)}
    return all(numbers <= {*re.findall(r"\d+", text.replace(",", ""))} for text in g)


def tensor_by_tensor(before, after):
    """It speaks where one tensor has more weights than before, or fewer. May weights move between
    tensors?"""
    return [f"{len(a.index)} before, {len(b.index)} after"
            for a, b in zip(before, after, strict=True) if len(a.index) != len(b.index)]


def counts_values(before, after):
    """Weights are counted by their values. A weight that has just grown is 0: is it none?"""
    m, m_after = (sum(int(np.count_nonzero(W.value)) for W in x) for x in (before, after))
    return _message(m, m_after)


def only_losses(before, after):
    """It speaks where there are fewer weights. May there be more?"""
    m, m_after = _counts(before, after)
    return _message(m, m_after) if m > m_after else []


def only_gains(before, after):
    """It speaks where there are more weights. May there be fewer?"""
    m, m_after = _counts(before, after)
    return _message(m, m_after) if m < m_after else []


def first_tensor(before, after):
    """It counts the weights of the first tensor. There are others."""
    return _message(len(before[0].index), len(after[0].index))


def counts_positions(before, after):
    """It counts the positions that there are, W.size, not those in use, W.index."""
    return _message(sum(W.size for W in before), sum(W.size for W in after))


def _counts(before, after):
    return [sum(len(W.index) for W in tensors) for tensors in (before, after)]


def _message(m, m_after):
    return [] if m == m_after else [f"{m} before, {m_after} after"]


budget = Exercise(
    name="budget", stars=1, minutes=10,
    small=small_budgets, cases=reallocations(),
    levels=("one tensor", "several tensors, with as many weights as before in all",
            "several tensors, with more or fewer", "a tensor without weights"),
    level=budget_level,
    properties=(are_messages, speaks_of_the_budget, has_both_numbers),
    hidden=("minidsr.proof.invariants.budget",),
    picture=picture, gist=len,
    mistakes=(tensor_by_tensor, counts_values, only_losses, only_gains, first_tensor),
    lazy=(counts_positions, says_nothing, always_speaks),
    hints=(
        "What is conserved: the weights of each tensor, or those of all of them?",
        "Add up len(W.index) over the tensors, before and after. If the sums are equal, return [].",
        "Values say nothing: a weight may be 0, and each new one is. Whatever has a place in "
        "W.index is a weight."))


# --- grown_elsewhere


def small_growths():
    """One tensor of up to 2 positions, or two of 1 or 2, that hold whatever there is."""
    every = FREE, GROWN, GONE, STAYS, AGAIN, AT_REST, MOVING, STOPS, PASSES
    few = FREE, GROWN, STAYS, AGAIN
    for n in (1, 2):
        for positions in product(every, repeat=n):
            yield pair(positions)
    for two in product(every, repeat=2):
        yield pair(two[:1], two[1:])
    for three in product(few, repeat=3):
        yield pair(three[:2], three[2:])


def again(before, after):
    """For each tensor: (positions pruned and grown again, those free before and after)."""
    found = []
    for old, new in zip(before, after, strict=True):
        moving = {p for p, w, v in zip(old.index, old.value, old.velocity, strict=True) if w or v}
        still = {p for p, w, v in zip(new.index, new.value, new.velocity, strict=True)
                 if not w and not v}
        free = set(range(old.size)) - set(old.index.tolist()) - set(new.index.tolist())
        found.append((sorted(int(p) for p in moving & still), free))
    return found


def growth_level(before, after):
    found = again(before, after)
    if not any(positions for positions, _ in found):
        return 0
    if any(positions and free for positions, free in found):
        return 1
    return 2 if any(free for _, free in found) else 3


def speaks_where_ours_does(g, before, after):
    """there is a message where something was grown where it was pruned, and others stay free, and
    else none"""
    ours = said(invariants.grown_elsewhere, before, after)
    return bool(g) == bool(ours) or f"ours says {ours[0] if ours else 'nothing'}"


def one_a_tensor(g, before, after):
    """there is one message for each tensor that breaks it"""
    return len(g) == len(said(invariants.grown_elsewhere, before, after))


def names_a_position(g, before, after):
    """each message has the number of such a position in it"""
    wrong = [{str(p) for p in positions} for positions, _ in again(before, after) if positions]
    return not g or all(set(re.findall(r"\d+", text)) & numbers
                        for text, numbers in zip(g, wrong, strict=True))


def forbids_it_always(before, after):
    """It speaks wherever something is grown where it was pruned. And when nothing else is free?"""
    return _speak(again(before, after), 1)


def looks_in_the_same_tensor(before, after):
    """It asks whether the tensor itself has other positions left. May the weight have grown in
    another tensor?"""
    return _speak([x for x in again(before, after) if x[1]])


def takes_survivors_for_grown(before, after):
    """It takes each position that is in use before and after for one that was grown again. What
    would a grown weight hold?"""
    found = [(sorted(set(a.index.tolist()) & set(b.index.tolist())), free)
             for (_, free), a, b in zip(again(before, after), before, after, strict=True)]
    return _speak(found)


def looks_at_values_only(before, after):
    """It looks at values only. A weight may pass through 0 while it is moving, and one that was 0
    may have lost its velocity: what does W.velocity say?"""
    before, after = deepcopy((before, after))
    for W in before + after:
        W.velocity[:] = 0
    return _speak(again(before, after))


def forgets_what_was_at_rest(before, after):
    """It takes for grown whatever is 0 and at rest afterwards. What if it was so before?"""
    before = deepcopy(before)
    for W in before:
        W.velocity[:] = 1
    return _speak(again(before, after))


def _speak(found, free=None):
    free = sum(len(x) for _, x in found) if free is None else free
    return [f"position {positions[0]} of tensor {i}" for i, (positions, _) in enumerate(found)
            if positions and free]


grown_elsewhere = Exercise(
    name="grown_elsewhere", stars=2, minutes=20,
    small=small_growths, cases=reallocations(),
    levels=("nothing is grown where it was pruned", "something is, and its tensor has others left",
            "something is, and other tensors have others left", "something is, and none is left"),
    level=growth_level,
    properties=(are_messages, speaks_where_ours_does, one_a_tensor, names_a_position),
    hidden=("minidsr.proof.invariants.grown_elsewhere",),
    picture=picture, gist=len,
    mistakes=(forbids_it_always, looks_in_the_same_tensor, takes_survivors_for_grown,
              looks_at_values_only, forgets_what_was_at_rest),
    lazy=(says_nothing, always_speaks),
    hints=(
        "A weight of 0.5 is at position 3 before, and one of 0 with velocity 0 afterwards. What "
        "has happened?",
        "Two questions. Of each tensor: which positions are in use both times, hold 0 at rest now, "
        "and did not before? Of all tensors: how many positions are in use at neither time?",
        "Speak only after all tensors have been looked at: the position that is left may be in the "
        "last one. And 0 at rest, before and after, is a weight that has stayed."))

EXERCISES = [budget, grown_elsewhere, same_in_another_order, my_cases, record]
