"""check_method(): a method that is not ours is held to the contract, and each fault is named."""

import re
from dataclasses import dataclass
from functools import partial

import numpy as np
import pytest

from minidsr import METHODS, Dynamic, InvariantError, Method, Sparse, check_method, option
from minidsr.methods.magnitude import prune_smallest
from minidsr.reparam import grow_back
from minidsr.run import contract
from minidsr.run.contract import CONTRACT, OFTEN, broken_by
from minidsr.run.small_training import Training

NAMES = [clause.__name__ for clause in CONTRACT]
CHEAP = (contract.options_are_explained, contract.reports_say_what_happened,
         contract.nothing_moves_after_the_stop)


@dataclass(kw_only=True, eq=False)
class Mine(Dynamic):
    """Each tensor replaces a share of its weights."""

    share: float = option(0.3, "the share of its weights that a tensor replaces each time")
    lost = 0  # that are not grown again
    said = 0  # more than are pruned

    def rng_now(self):
        return self.rng

    def reallocate(self, t):
        pruned, grown = [], []
        for W in self.tensors:
            before = W.index
            pruned.append(prune_smallest(W, int(self.share * W.value.size)))
            grown.append(max(pruned[-1] - self.lost, 0))
            grow_back(W, grown[-1], self.rng_now(), avoid=before)
        return self.report(pruned=[k + self.said for k in pruned], grown=grown)


class Unchecked(Mine):
    """Training looks at no invariant, so that the contract must."""

    def __post_init__(self):
        super().__post_init__()
        self.check = False


class Loses(Unchecked):
    lost = 1


class DrawsFromItsOwn(Mine):
    def rng_now(self):
        return np.random.default_rng()


class Forgets(Mine):
    times = 0

    def reallocate(self, t):
        self.times += 1
        self.share = 0.1 * self.times
        return super().reallocate(t)


class SaysMore(Unchecked):
    said = 1


class WidensAll(Mine):
    def reallocate(self, t):
        for W in self.tensors:
            W.velocity = W.velocity.astype(np.float64)
        return super().reallocate(t)


class NeverStops(Mine):
    def due(self, t):
        return t % 2 == 0


class DoesNotLook(Mine):
    def checked_reallocation(self, t):
        return self.reallocate(t)


class StumblesOverEmpty(Mine):
    def reallocate(self, t):
        if any(not W.value.size for W in self.tensors if W.size > 1):
            raise IndexError("no weight")
        return super().reallocate(t)


class Doubled(Sparse):
    def pull(self, dtheta):
        super().pull(dtheta)
        self.grad = 2 * self.grad


class PullsTwice(Mine):
    def setup(self, model, rng):
        super().setup(model, rng)
        for layer in model.sparsifiable_layers().values():
            layer.weight.__class__ = Doubled


class Explodes(Unchecked):
    def reallocate(self, t):
        for W in self.tensors:
            if W.value.size == W.size > 1:
                W.value[0] = np.inf
        return super().reallocate(t)


class Rare(Mine):
    def due(self, t):
        return False


@dataclass(kw_only=True, eq=False)
class Unexplained(Mine):
    rate: float = 0.3


def broken(cls):
    """{clause: its messages}, as check_method() raises them."""
    with pytest.raises(InvariantError) as error:
        check_method(cls)
    title, *lines = str(error.value).splitlines()
    assert title == f"{cls.__name__} breaks the contract of methods"
    found = {}
    for line in lines:
        clauses, _, message = line.partition(": ")
        for name in clauses.split(", "):
            found.setdefault(name, []).append(message)
    return found


def breaks(clause, cls):
    """Has a clause a message about this class? The first is enough."""
    try:
        return any(clause(partial(Training, cls, OFTEN)))
    except Exception:
        return True


def test_a_method_that_keeps_it():
    assert check_method(Mine, share=0.2) == NAMES
    assert "mine" not in METHODS


@pytest.mark.parametrize(("cls", "named"), [
    (Unexplained, {"options_are_explained"}),
    (Loses, {"budget_is_as_declared", "full_and_empty_tensors", "reports_say_what_happened"}),
    (DrawsFromItsOwn, {"same_seed_same_result", "resumes_anywhere"}),
    (Forgets, {"resumes_anywhere"}),
    (SaysMore, {"reports_say_what_happened"}),
    (WidensAll, {"types_and_shapes_stay", "resumes_anywhere"}),
    (NeverStops, {"nothing_moves_after_the_stop"}),
    (DoesNotLook, {"explored_is_the_union"}),
    (Rare, {"something_moves"}),
    (StumblesOverEmpty, {"full_and_empty_tensors", "any_sparsity"}),
    (PullsTwice, {"gradients_are_right"}),
    (Explodes, {"any_sparsity"})])
@pytest.mark.filterwarnings("ignore:.* encountered in:RuntimeWarning")  # NumPy's, of inf
def test_a_fault_is_named(cls, named):
    """By each of these clauses. By no other: that is tried where it is cheap."""
    tried = [clause for clause in CONTRACT if clause.__name__ in named or clause in CHEAP]
    assert {clause.__name__ for clause in tried if breaks(clause, cls)} == named


def test_all_that_is_broken_is_raised():
    """Each clause once, with what it found; what several found is one line."""
    found = broken(Loses)
    assert found.keys() == {
        "budget_is_as_declared", "full_and_empty_tensors", "reports_say_what_happened"}
    message, = found["budget_is_as_declared"]
    assert re.fullmatch(r"conserved, and it was \d+ to \d+", message)


def test_each_clause_can_fail():
    """The faults above name all of them."""
    tried, = (mark.args[1] for mark in test_a_fault_is_named.pytestmark
              if mark.name == "parametrize")
    assert set().union(*(named for _, named in tried)) == set(NAMES)


def test_what_several_clauses_find_is_one_line(monkeypatch):
    def one(make):
        yield "the same"

    def two(make):
        yield from ("the same", "another")

    monkeypatch.setattr(contract, "CONTRACT", (one, two))
    with pytest.raises(InvariantError) as error:
        check_method(Mine)
    assert str(error.value).splitlines()[1:] == ["one, two: the same", "two: another"]
    monkeypatch.setattr(contract, "CONTRACT", (one, *[two] * 4))
    with pytest.raises(InvariantError, match="\none and 4 other clauses: the same\n"):
        check_method(Mine)


class Idle(Method):
    """Trains all weights, and does nothing else."""


@pytest.mark.parametrize(("cls", "options", "said"), [
    (Mine, {"shar": 0.1}, "unknown option of Mine 'shar'; did you mean share?"),
    (Mine, {"sparsity": 2}, "sparsity must be in"),
    ("mine", {}, "a method is a class derived from Method or Dynamic, not 'mine'"),
    (Sparse, {}, "a method is a class derived from Method or Dynamic, not <class")])
def test_the_users_mistakes(cls, options, said):
    with pytest.raises(ValueError, match=said.replace("?", r"\?")):
        check_method(cls, **options)


def test_a_method_without_reallocations():
    assert check_method(Idle) == NAMES


def test_what_is_raised_is_said():
    def clause(make):
        yield "first"
        raise KeyError("then")

    assert broken_by(clause, lambda: Training(Mine, {})) == ["first", "KeyError: 'then'"]
