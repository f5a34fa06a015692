"""What must hold whenever weights move: the invariants of each method, in one table.

    A, A'  positions of a tensor's free numbers before and after   N    positions in all
    w, v   value and velocity of a free number (w', v' after)      m    free numbers, |A|
    k, l   how many of m are pruned, and survive                   g    how many are grown
    K, L   the sums of k and of l over all tensors                 C    free room, N - m
    H, H'  the threshold that was used, and the next               N_p, δ  as in reparam.py

An invariant is one small function, in one of the files rules_of_*.py. It takes a Reallocation, and
yields a message for each tensor that breaks it. Its docstring says what must hold, in words and in
symbols. One that needs what is not known, or what did not occur, raises NotCheckable. Nothing here
calls what it judges: rules are derived a second time.

check() is for code at hand; training calls violations(); trace.load() reads what others recorded.
"""

from contextlib import suppress
from dataclasses import dataclass

from ..checks import check_choice
from ..reparam import Report
from .reallocation import NotCheckable, Reallocation, snapshot
from .rules_of_any import (
    balance,
    budget,
    capacity,
    dense_unchanged,
    finite,
    grown_at_rest,
    grown_at_zero,
    masked_are_zero,
    nothing_moves_between,
    positions,
    survivors_keep_value,
    survivors_keep_velocity,
)
from .rules_of_dsr import (
    grown_elsewhere,
    grown_uniformly,
    largest_kept,
    order_does_not_matter,
    overflow,
    pruned_below_threshold,
    same_seed_same_result,
    shares,
    threshold_between,
    threshold_rule,
)
from .rules_of_methods import (
    count_per_tensor,
    grown_by_gradient,
    grown_by_momentum,
    grown_elsewhere_in_tensor,
    nothing_grows,
    pruned_by_sign,
    same_share_pruned,
    same_share_pruned_by_sign,
    shares_by_momentum,
    shares_by_room,
    shrinks_by_the_cubic,
    shrinks_exponentially,
    signs_stay,
    smallest_pruned,
    smallest_pruned_by_sign,
    structure_stays,
)
from .rules_of_parameterizations import masks_by_threshold, ties_are_balanced, ties_hold, ties_stay


class InvariantError(RuntimeError):
    """A reallocation broke an invariant: the program is wrong."""


@dataclass(frozen=True)
class Violation:
    """An invariant by its name, and the numbers that break it."""

    invariant: str
    message: str

    def __str__(self):
        return f"{self.invariant}: {self.message}"


@dataclass(frozen=True)
class Rules:
    """Invariants of one reallocation, of two in a row, and of runs from the same tensors."""

    one: tuple
    two: tuple = (nothing_moves_between,)
    runs: tuple = ()

    @property
    def all(self):
        return self.one + self.two + self.runs


SOUND = (finite, positions, capacity)
ANY = (*SOUND, masked_are_zero, balance, survivors_keep_value, survivors_keep_velocity,
       grown_at_zero, grown_at_rest, dense_unchanged)
OF_ONE_REALLOCATION = (  # of Algorithm 1, on tensors that store their free numbers alone
    *SOUND, budget, balance, pruned_below_threshold, largest_kept, survivors_keep_value,
    survivors_keep_velocity, grown_at_zero, grown_at_rest, grown_elsewhere, shares, overflow,
    threshold_rule, dense_unchanged)
OF_TWO_IN_A_ROW = (nothing_moves_between, threshold_between)
OF_TWO_RUNS = (same_seed_same_result, order_does_not_matter)
OF_MANY_RUNS = (grown_uniformly,)
GROWN_AT_RANDOM = (same_seed_same_result, *OF_MANY_RUNS)  # of a method that says no more of it
THRESHOLD = (pruned_below_threshold, largest_kept, threshold_rule)

# {method: its rules}; None is any method that moves weights, "conserved" any with a fixed budget
RULES = {
    None: Rules(ANY),
    "conserved": Rules((*ANY, budget)),
    "dsr": Rules((*OF_ONE_REALLOCATION, masked_are_zero), OF_TWO_IN_A_ROW,
                 OF_TWO_RUNS + OF_MANY_RUNS),
    "dsr-room": Rules((*ANY, budget, *THRESHOLD, grown_elsewhere, shares_by_room),
                      OF_TWO_IN_A_ROW),
    "dsr-pruned": Rules((*ANY, count_per_tensor, *THRESHOLD, grown_elsewhere_in_tensor),
                        OF_TWO_IN_A_ROW),
    "dsr-slices": Rules((*ANY, budget, grown_elsewhere)),
    "set": Rules((*ANY, count_per_tensor, smallest_pruned_by_sign, same_share_pruned_by_sign),
                 runs=GROWN_AT_RANDOM),
    "set-magnitude": Rules((*ANY, count_per_tensor, smallest_pruned, same_share_pruned,
                            grown_elsewhere_in_tensor), runs=GROWN_AT_RANDOM),
    "rigl": Rules((*ANY, count_per_tensor, smallest_pruned, same_share_pruned, grown_by_gradient),
                  runs=(same_seed_same_result,)),
    "snfs": Rules((*ANY, budget, smallest_pruned, same_share_pruned, shares_by_momentum,
                   grown_by_momentum), runs=(same_seed_same_result,)),
    "itop": Rules((*ANY, count_per_tensor, smallest_pruned, same_share_pruned),
                  runs=GROWN_AT_RANDOM),
    "itop-rigl": Rules((*ANY, count_per_tensor, smallest_pruned, same_share_pruned,
                        grown_by_gradient), runs=(same_seed_same_result,)),
    "deepr": Rules((*ANY, budget, pruned_by_sign), (nothing_moves_between, signs_stay)),
    "deepr-per-tensor": Rules(
        (*ANY, count_per_tensor, pruned_by_sign, grown_elsewhere_in_tensor),
        (nothing_moves_between, signs_stay)),
    "gradual": Rules((*ANY, nothing_grows, smallest_pruned, shrinks_by_the_cubic)),
    "gradual-exponential": Rules((*ANY, nothing_grows, smallest_pruned, shrinks_exponentially)),
    "static": Rules((*SOUND, masked_are_zero, structure_stays)),
    "dst": Rules((*SOUND, masks_by_threshold), ()),
    "hashed": Rules((finite, ties_hold), (ties_stay,)),
    "hashed-balanced": Rules((finite, ties_hold, ties_are_balanced), (ties_stay,)),
}
RULED = tuple(name for name in RULES if name)


def rules_of(method):
    """The Rules of this method, by its name in the table. ValueError for another name."""
    if method is not None:
        check_choice("method", method, RULED)
    return RULES[method]


def check(before: list | dict, after: list | dict, report: Report | None = None,
          method: str | None = None, *, tolerance: float = 0.0) -> list[Violation]:
    """The violations of one reallocation, an empty list where all invariants hold.

    before, after  all tensors, Sparse and Dense, as a list or by name; `before` is a snapshot() or
                   a deep copy, as reallocation changes tensors in place
    report         reparam.Report; what it leaves out is not checked
    method         whose rules: a name of RULES, such as "dsr"; without, those that hold for any
    tolerance      numbers that differ by no more than this count as the same

    Raises ValueError where the tensors before and after are not the same ones, the report is of
    another number of tensors, or there is no such method.
    """
    return violations(Reallocation(snapshot(before), snapshot(after), report or Report(),
                                   tolerance=tolerance), rules=rules_of(method))


def violations(r, last=None, rules=RULES["dsr"]):
    """All violations of a Reallocation, and of it and the `last` one before it."""
    found = []
    for invariant in rules.one:
        with suppress(NotCheckable):
            found += judge(invariant, r)
    for invariant in rules.two if last else ():
        with suppress(NotCheckable):
            found += judge(invariant, last, r)
    return found


def judge(invariant, *runs):
    """The violations of one invariant. Raises NotCheckable, which says why, where none is found
    before something is not known."""
    found = []
    try:
        for message in invariant(*runs):
            found.append(Violation(invariant.__name__, message))
    except NotCheckable:
        if not found:
            raise
    return found
