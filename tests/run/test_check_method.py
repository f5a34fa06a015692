"""check_method(): a method that is not ours is held to the contract, and each fault is named."""

from dataclasses import dataclass

import numpy as np
import pytest

from minidsr import METHODS, Dynamic, InvariantError, Method, Sparse, check_method, option
from minidsr.methods.magnitude import prune_smallest
from minidsr.reparam import grow_back
from minidsr.run.contract import CONTRACT, broken_by
from minidsr.run.small_training import Training

NAMES = [clause.__name__ for clause in CONTRACT]


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


class Loses(Mine):
    invariants = ()
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


class SaysMore(Mine):
    invariants = ()
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


class Explodes(Mine):
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


def broken(cls, **options):
    with pytest.raises(InvariantError) as error:
        check_method(cls, **options)
    title, *lines = str(error.value).splitlines()
    assert title == f"{cls.__name__} breaks the contract of methods"
    return {line.partition(":")[0] for line in lines}


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
    (Explodes, {"full_and_empty_tensors", "any_sparsity"})])
@pytest.mark.slow
def test_a_fault_is_named(cls, named):
    assert broken(cls) == named


def test_each_clause_can_fail():
    """The faults above name all of them."""
    tried, = (mark.args[1] for mark in test_a_fault_is_named.pytestmark
              if mark.name == "parametrize")
    assert set().union(*(named for _, named in tried)) == set(NAMES)


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
