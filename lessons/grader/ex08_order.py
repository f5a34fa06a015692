"""Lesson 8: same_in_another_order. Its function `run` is no data, so the fixture makes it."""

from collections import Counter
from itertools import product
from types import SimpleNamespace

import numpy as np
from hypothesis import assume
from hypothesis import strategies as st

from lessons import gallery
from minidsr.parameters import Sparse
from minidsr.proof.cases import cases
from minidsr.proof.reallocation import Reallocation, snapshot
from minidsr.proof.rules_of_dsr import expected_growth, order_does_not_matter
from minidsr.reparam import Report
from minidsr.run.report import table

from .exercise import Exercise

H, SIZE = 0.5, 6
PROGRAMS = [None] * 4 + [  # None is the package's
    fault.reallocate for name, fault in gallery.faults().items()
    if name not in ("empty_layer", "appended")]  # these do not end well, with positions sorted


# --- a case: (told, before, one, other); `other` is in the order told["order"]


def small():
    """Two or three tensors with room for all that grows, and any numbers of weights grown."""
    near = list(product(range(3), repeat=2))
    for (l, k), first in product([((1, 1), (1, 0)), ((1, 3), (2, 0)), ((1, 2), (1, 0))], near):
        for second in near:
            yield _case(l, k, first, second, [1, 0])
    for counts in product(range(4), repeat=2):
        yield _case((1, 2), (2, 1), (1, 2), counts, [1, 0])  # the shares are 1 and 2
        yield _case((1, 2), (2, 1), counts, (1, 2), [1, 0])
    for counts in product(range(3), repeat=3):
        yield _case((1, 1, 2), (1, 0, 1), (1, 0, 1), counts, [1, 2, 0])
        yield _case((1, 1, 1), (1, 1, 0), (1, 1, 0), counts, [2, 0, 1])
    for l, k, g in (((1, 2), (2, 1), (1, 2)), ((1, 1), (1, 1), (1, 1)), ((1, 2), (1, 1), (1, 1))):
        yield _case(l, k, g, g, [1, 0], next_H=2 * H)
        yield _case(l, k, g, g, [1, 0], odd=True)


def _case(l, k, first, second, order, *, next_H=H, odd=False):
    """Tensors with l weights that survive and k that go. `first` and `second` are grown, by tensor;
    odd: in the second run the first tensor loses another weight than the small one."""
    before = [_tensor(range(a + b), [1] * a + [0.25] * b) for a, b in zip(l, k, strict=True)]
    one, other = ([_tensor([*range(odd_ and i == 0, a + (odd_ and i == 0)),
                            *range(SIZE - n, SIZE)], [*[1] * a, *[0] * n])
                   for i, (a, n) in enumerate(zip(l, grown, strict=True))]
                  for grown, odd_ in ((first, False), (second, odd)))
    if odd:
        other[0].value[l[0] - 1] = 0.25
    told = {"H": H, "keep_one": True, "next_H": [H, next_H], "order": order}
    return told, before, one, [other[i] for i in order]


def _tensor(index, value):
    return Sparse((SIZE,), np.array(index, np.int32), np.array(value, np.float32))


@st.composite
def random_cases(draw):
    case, program = draw(cases()), draw(st.sampled_from(PROGRAMS))
    n = len(case.tensors)
    assume(n > 1)
    order = draw(st.permutations(range(n)).filter(lambda order: order != list(range(n))))
    one, other = case.run(program), case.run(program, order=order)
    told = {"H": case.H, "keep_one": case.keep_one, "order": order,
            "next_H": [one.report.next_H, other.report.next_H]}
    return told, case.tensors, left_by(one), left_by(other)


def left_by(r):
    """The tensors of a Reallocation, as they are after it."""
    tensors = []
    for t in r.after:
        W = Sparse((t.size,), t.index, t.value)
        W.velocity = t.velocity
        tensors.append(W)
    return tensors


def seen(told, before, one, other):
    """Both Reallocations."""
    runs = []
    for after, order, next_H in zip((one, other), (range(len(before)), told["order"]),
                                    told["next_H"], strict=True):
        named = {f"tensor {i}": before[i] for i in order}
        report = Report(told["H"], next_H, keep_one=told["keep_one"])
        runs.append(Reallocation(snapshot(named), snapshot(dict(zip(named, after, strict=True))),
                                 report))
    return runs


def outcome(r):
    """What the learner's function is told of a Reallocation."""
    return SimpleNamespace(pruned=[c.before.index[c.pruned].tolist() for c in r.changes],
                           grown=r.counts()[2], fair=expected_growth(r), next_H=r.report.next_H)


def with_two_runs(f, told, *tensors):
    """What f says of run() and an order. It runs beside f, in its process."""
    runs = {tuple(range(len(tensors[0]))): 0, tuple(told["order"]): 1}
    outcomes = [outcome(r) for r in seen(told, *tensors)]

    def run(order):
        key = tuple(int(i) for i in order)
        if key not in runs:
            raise ValueError(f"run() takes range({len(key)}) or {told['order']}, not {[*key]}")
        return outcomes[runs[key]]

    return f(run, list(told["order"]))


def level(told, *tensors):
    remainders = Counter(fair % 1 for fair in expected_growth(seen(told, *tensors)[0]))
    del remainders[0]
    return 0 if not remainders else 2 if max(remainders.values()) > 1 else 1


def are_messages(g, *case):
    """there is a list of texts"""
    return isinstance(g, list) and all(type(x) is str for x in g)


def speaks_where_ours_does(g, *case):
    """there is a message where the order matters, and none where it does not"""
    ours = list(order_does_not_matter(*seen(*case)))
    return bool(g) == bool(ours) or f"ours says {ours[0] if ours else 'nothing'}"


def picture(g, told, *tensors):
    one, other = map(outcome, seen(told, *tensors))
    place = {i: at for at, i in enumerate(told["order"])}
    rows = [[str(i), str(one.fair[i]), str(one.pruned[i]), str(other.pruned[place[i]]),
             str(one.grown[i]), str(other.grown[place[i]])] for i in range(len(place))]
    return (f"range({len(place)}) and order = {told['order']}; next_H = {one.next_H:g} and "
            f"{other.next_H:g}\n\n"
            + table(rows, ["tensor", "fair share", "pruned, range", "order", "grown, range",
                           "order"])
            + ("" if g is None else f"\n\nyours: {g}"))


# --- mistakes


def _compare(run, order, *, back=True, threshold=True, pruned=True, grown=True, one_off=None):
    """Messages, by the parts that are asked for. one_off: how far counts may differ, if not by the
    rule."""
    one, other, messages, more = run(range(len(order))), run(order), [], Counter()
    if threshold and one.next_H != other.next_H:
        messages.append("next_H")
    for place, i in enumerate(order if back else range(len(order))):
        if pruned and one.pruned[i] != other.pruned[place]:
            messages.append("pruned")
        difference, remainder = one.grown[i] - other.grown[place], one.fair[i] % 1
        most = (1 if remainder else 0) if one_off is None else one_off
        if grown and abs(difference) > most:
            messages.append("grown")
        more[remainder] += difference
    if grown and one_off is None:
        messages += ["remainder" for remainder, n in more.items() if n and remainder]
    return messages


def does_not_turn_back(run, order):
    """It compares place by place. In the second run tensor order[0] stands at place 0."""
    return _compare(run, order, back=False)


def demands_equal_counts(run, order):
    """It demands that each tensor grows the same number both times. Of two tensors with remainder
    ½, who gets the weight that is left, and who in the other order?"""
    return _compare(run, order, one_off=0)


def allows_one_always(run, order):
    """It allows a difference of one, always. Which shares may be rounded up or down, and what must
    another tensor do then?"""
    return _compare(run, order, one_off=1)


def forgets_the_threshold(run, order):
    """It does not compare next_H."""
    return _compare(run, order, threshold=False)


def forgets_what_is_pruned(run, order):
    """It does not compare which positions are pruned."""
    return _compare(run, order, pruned=False)


def compares_sums(run, order):
    """It compares sums over all tensors. Could two tensors have exchanged a weight that neither
    should have got?"""
    one, other = run(range(len(order))), run(order)
    return ["sum"] * (sum(one.grown) != sum(other.grown) or one.next_H != other.next_H
                      or sum(map(len, one.pruned)) != sum(map(len, other.pruned)))


def says_nothing(*case):
    """All is right, always."""
    return []


def always_speaks(*case):
    """Something is wrong, always."""
    return ["2 weights before, 1 after"]


same_in_another_order = Exercise(
    name="same_in_another_order", stars=2, minutes=20,
    small=small, cases=random_cases(),
    levels=("all shares are whole numbers", "shares have remainders",
            "shares have equal remainders"),
    level=level,
    properties=(are_messages, speaks_where_ours_does),
    picture=picture, inside=with_two_runs, gist=bool,
    mistakes=(does_not_turn_back, demands_equal_counts, allows_one_always, forgets_the_threshold,
              forgets_what_is_pruned, compares_sums),
    lazy=(says_nothing, always_speaks),
    hints=(
        "You do not know what is right. But of two runs of the same tensors, what must agree?",
        "Tensor order[place] stands at `place` in the second run: compare one.pruned[order[place]] "
        "with other.pruned[place], and so on. First demand that all is equal, then think of ties.",
        "Of each remainder but 0, count how many weights more its tensors grow in the first run: "
        "fair % 1 is the key of a Counter. The count must be 0, and each tensor may differ by 1. "
        "With remainder 0 nothing may differ."))
