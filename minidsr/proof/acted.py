"""What it rests on that a rule held: how often it was put to the test.

A rule that never acted has not been shown to hold: that weights equal to H survive is seen only
where there are some.
"""

from fractions import Fraction


def acted(name, r):
    """How much there was in a Reallocation for the rule of this name to act on, an int."""
    return int(ON[name][1](r)) if name in ON else 0


def _pruned(r):
    return sum(c.pruned.sum() for c in r.changes)


def _grown(r):
    return sum(len(c.grown("value")[0]) for c in r.changes)


def _survivors(r):
    return sum(c.survives.sum() for c in r.changes)


def _equal_to_H(r):
    return sum(c.equal.sum() for c in r.changes)


def _broken_shares(r):
    k, l, _ = r.counts()
    return sum(bool(sum(l)) and Fraction(sum(k) * m, sum(l)).denominator > 1 for m in l)


def _masked(r):
    return sum(len(t.masked) for _, t in r.moments() if t.masked is not None)


# {rule: (on what it acts, with an s where it is not one; how many of these there are)}
ON = {
    "masked_are_zero": ("masked value{s}", _masked),
    "budget": ("pruned weight{s}", _pruned),
    "count_per_tensor": ("pruned weight{s}", _pruned),
    "pruned_below_threshold": ("|w| equal to H", _equal_to_H),
    "survivors_keep_value": ("survivor{s}", _survivors),
    "survivors_keep_velocity": ("survivor{s}", _survivors),
    "grown_at_zero": ("grown weight{s}", _grown),
    "grown_at_rest": ("grown weight{s}", _grown),
    "grown_elsewhere": ("pruned weight{s}", _pruned),
    "grown_elsewhere_in_tensor": ("pruned weight{s}", _pruned),
    "shares": ("share{s} to be rounded", _broken_shares),
    "threshold_rule": ("change{s} of H", lambda r: r.report.H != r.report.next_H),
    "smallest_pruned": ("pruned weight{s}", _pruned),
    "smallest_pruned_by_sign": ("pruned weight{s}", _pruned),
    "pruned_by_sign": ("pruned weight{s}", _pruned),
    "grown_by_gradient": ("grown weight{s}", _grown),
    "grown_by_momentum": ("grown weight{s}", _grown),
}
