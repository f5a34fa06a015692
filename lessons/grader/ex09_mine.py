"""Lesson 9: Mine. A method is no data: it is tried in its process, and what it broke comes back."""

import inspect
from functools import lru_cache, partial

import numpy as np
from hypothesis import strategies as st

from minidsr.methods.base import Dynamic
from minidsr.methods.magnitude import prune_smallest
from minidsr.nn.layers import Linear, Sequential
from minidsr.nn.sgd import SGD
from minidsr.proof.cases import seeds
from minidsr.proof.invariants import rules_of, violations
from minidsr.proof.reallocation import Reallocation, snapshot
from minidsr.reparam import Report, grow_back
from minidsr.run import contract
from minidsr.run.small_training import Training

from .exercise import Exercise

NETWORK = "a network"  # any other case is a clause of the contract of all methods
TRAINED = ("something_moves", "budget_is_as_declared", "reports_say_what_happened",
           "same_seed_same_result", "nothing_moves_after_the_stop", "explored_is_the_union")
RESUMED = ("resumes_anywhere", "types_and_shapes_stay", "full_and_empty_tensors", "any_sparsity",
           "gradients_are_right", "options_are_explained")
LARGE = [(40, 12), (40, 12)]  # in which something must move
STEPS = 8
METHODS = tuple(f"minidsr.methods.{name}.reallocate" for name in (
    "set.SET", "snfs.SNFS", "rigl.RigL", "itop.ITOP", "deepr.DeepR", "dsr.DSR"))


def tried(f, what, tensors, seed):
    """{broken: [(rule, message)], moved: did any weight?} of a method. It runs beside f."""
    if not (isinstance(f, type) and issubclass(f, Dynamic)):
        return {"broken": [("a_method", "it is no class derived from Dynamic")], "moved": True}
    if what == NETWORK:
        return _in_a_network(f, tuple(tensors), seed)
    return {"broken": _of_a_clause(f, what), "moved": True}


@lru_cache
def _of_a_clause(f, name):
    messages = contract.broken_by(getattr(contract, name), partial(_training, f))
    return [(name, message) for message in messages]


def _training(f, **begins):
    """A Training in which nothing is checked, so that what is wrong is named by its own clause."""
    training = Training(f, _often(f), **begins)
    training.method.check = False
    return training


def _often(f):
    return contract.OFTEN if "periods" in f.options() else {}


@lru_cache
def _in_a_network(f, tensors, seed):
    """The rules of any method with a fixed budget, tried where it reallocates."""
    rng, broken, seen = np.random.default_rng(seed), [], []
    try:
        method = _begun(f, tensors, rng)
    except ValueError:  # it may refuse a network, such as one without weights
        return {"broken": [], "moved": True}
    for W in method.tensors:  # some so small, and for so long, that a low threshold finds them
        W.value[...] = rng.normal(size=W.value.shape) * rng.choice([1e-4, 1, 1], W.value.shape)
    sgd = SGD(method.model.params())
    sgd.lr = 1e-5
    method.reallocate = _watched(method, broken)
    for t in range(STEPS):
        seen.append([W.index.tolist() for W in method.tensors])
        for p in method.model.params():
            p.pull(rng.normal(size=p.shape).astype(np.float32))
        method.step(t, sgd)
    return {"broken": broken, "moved": any(positions != seen[0] for positions in seen)}


def _begun(f, tensors, rng):
    """The method, set up on a network of these tensors and a dense one."""
    layers = {f"tensor {i}": Linear(size, 1, bias=False, rng=rng)
              for i, (size, _) in enumerate(tensors)}
    model = Sequential(out=Linear(2, 2, rng=rng, sparsifiable=False), **layers)
    method = f(epochs=1, steps_per_epoch=2 * STEPS, **_often(f))
    method.check, method.structure = False, {
        name: np.sort(rng.choice(size, m, replace=False))
        for name, (size, m) in zip(layers, tensors, strict=True)}
    method.setup(model, np.random.default_rng(rng.integers(2**32)))
    return method


def _watched(method, broken):
    """Its reallocate(), which notes what it breaks."""
    reallocate, last = method.reallocate, []

    def watched(t):
        before = snapshot(method.model.named_params())
        report = reallocate(t)
        if not isinstance(report, Report):
            broken.append(("reports", f"reallocate() returns {report!r:.50}, no self.report()"))
        this = Reallocation(before, snapshot(method.model.named_params()),
                            report if isinstance(report, Report) else Report())
        broken.extend((v.invariant, v.message)
                      for v in violations(this, *last, rules=rules_of("conserved")))
        last[:] = [this]
        return report
    return watched


def small():
    for seed in range(2):
        for tensors in ([(9, 3)], [(12, 5), (12, 4)], LARGE, [(30, 8), (60, 8), (9, 2)]):
            yield NETWORK, tensors, seed
        for tensors in ([(6, 0), (6, 3)], [(6, 6), (9, 3)], [(1, 1), (4, 2)], [(5, 5), (5, 5)],
                        [(4, 0), (4, 0)], [(8, 7), (3, 0), (5, 5)]):
            yield NETWORK, tensors, seed
    yield from ((clause, [], 0) for clause in TRAINED + RESUMED)


def cases():
    tensor = st.integers(1, 20).flatmap(lambda size: st.tuples(st.just(size),
                                                               st.integers(0, size)))
    return st.tuples(st.just(NETWORK), st.lists(tensor, min_size=1, max_size=4), seeds)


def level(what, tensors, seed):
    if what == NETWORK:
        return int(any(m in (0, size) for size, m in tensors))
    return 3 if what in RESUMED else 2


def weights_move(g, what, tensors, seed):
    """in a few reallocations of 24 weights some move"""
    return tensors != LARGE or g["moved"]


def rules_hold(g, what, tensors, seed):
    """it keeps what all methods keep"""
    return not g["broken"] or ": ".join(g["broken"][0])


def picture(g, what, tensors, seed):
    if what == NETWORK:
        lines = [f"{STEPS} steps, weights drawn by seed {seed}", *(
            f"tensor {i}  {size} positions, {m} weights" for i, (size, m) in enumerate(tensors))]
    else:
        lines = ["a small network in training; what must hold:",
                 " ".join(inspect.getdoc(getattr(contract, what)).split())]
    broken = dict.fromkeys(map(": ".join, g["broken"] if g else []))
    return "\n".join([*lines, *["", "what does not hold:"] * bool(broken), *broken])


# --- mistakes: each replaces a share of each tensor, and does one thing wrong


class _Replaces(Dynamic):
    lost, said = 0, 0

    def rng_now(self):
        return self.rng

    def reallocate(self, t):
        pruned = [prune_smallest(W, len(W.value) // 3) for W in self.tensors]
        grown = [max(n - self.lost, 0) for n in pruned]
        for W, n in zip(self.tensors, grown, strict=True):
            grow_back(W, n, self.rng_now())
        return self.report([n + self.said for n in pruned], grown)


class Forgets(_Replaces):
    """It counts its reallocations, and the count is in no checkpoint. A run that is resumed begins
    at 0 again: what should state() and load() do?"""
    times = 0

    def reallocate(self, t):
        self.times += 1
        pruned = [prune_smallest(W, len(W.value) // (2 + self.times)) for W in self.tensors]
        for W, n in zip(self.tensors, pruned, strict=True):
            grow_back(W, n, self.rng)
        return self.report(pruned, pruned)


class DrawsFromItsOwn(_Replaces):
    """Positions come from a generator of its own. Can you repeat a run whose seed you know? And one
    that goes on from a checkpoint?"""
    def rng_now(self):
        return np.random.default_rng()


class DividesByNone(_Replaces):
    """A tensor without weights has no mean, and no largest one. What does yours do with it?"""

    def reallocate(self, t):
        if not all(len(W.value) for W in self.tensors):
            raise ZeroDivisionError("no weights")
        return super().reallocate(t)


class Loses(_Replaces):
    """Fewer weights grow than go, so that the network becomes smaller with each reallocation. Add
    up both before you prune."""
    lost = 1


class SaysMore(_Replaces):
    """The report is of other numbers than what happened. What does W.prune() return?"""
    said = 1


class RoundsEachShare(Dynamic):
    """Shares are rounded one by one, so their sum is not what was pruned. apportion() of lesson 7
    knows how to settle that, and minds the room."""

    def reallocate(self, t):
        pruned = [prune_smallest(W, len(W.value) // 3) for W in self.tensors]
        left = [len(W.value) for W in self.tensors]
        grown = [min(round(sum(pruned) * n / max(sum(left), 1)), W.size - len(W.value))
                 for n, W in zip(left, self.tensors, strict=True)]
        for W, n in zip(self.tensors, grown, strict=True):
            grow_back(W, n, self.rng)
        return self.report(pruned, grown)


class BeginsAtRandom(_Replaces):
    """New weights begin with random values, and the network computes something else than before.
    What does a weight do that begins at 0?"""

    def reallocate(self, t):
        before = [W.index for W in self.tensors]
        report = super().reallocate(t)
        for W, index in zip(self.tensors, before, strict=True):
            new = ~np.isin(W.index, index)
            W.value[new] = self.rng.normal(size=new.sum())
        return report


class SaysNothing(_Replaces):
    """reallocate() returns nothing. How does training know what happened?"""

    def reallocate(self, t):
        super().reallocate(t)


class Nothing(Dynamic):
    """Nothing moves."""

    def reallocate(self, t):
        return self.report(none := [0] * len(self.tensors), none)


Mine = Exercise(
    name="Mine", stars=3, minutes=45,
    small=small, cases=cases(),
    levels=("networks with weights and room", "tensors that are empty, or full",
            "in training: the same again by the same seed, honest reports, an end",
            "in training: resumed at any step, of any sparsity"),
    level=level,
    properties=(weights_move, rules_hold),
    picture=picture, inside=tried, seconds=30.0,
    gist=lambda g: sorted({rule for rule, _ in g["broken"]}),
    mistakes=(Forgets, DrawsFromItsOwn, DividesByNone, Loses, SaysMore, RoundsEachShare,
              BeginsAtRandom, SaysNothing),
    lazy=(Nothing,),
    hints=(
        "What would you do by hand, if a thousand weights had to move tonight? Which would you "
        "give up, and where would you look for better places?",
        "Three parts, each from a relative: which go (set.py, rigl.py, or one order for all "
        "tensors); how many come back where (as many as went there, or apportion() by a number for "
        "each tensor); at which positions (grow_back() or grow_largest()). Begin with one that "
        "works, then change one part.",
        "Count what room is left after pruning, and give apportion() that. prune_smallest(W, n) of "
        "minidsr.methods.magnitude returns how many went. A tensor may have no weights: np.mean "
        "and max do not like that."),
    hidden=(*METHODS, "minidsr.reparam.reallocate"))
