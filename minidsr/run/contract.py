"""The contract of all methods, tried on a small network in training: check_method().

A clause takes `make`, which begins a Training, and yields a message where it does not hold. Its
docstring says what must.
"""

import tempfile
from functools import partial
from pathlib import Path

import numpy as np

from ..checks import check_choice
from ..methods.base import Dynamic, Method
from ..methods.dst import Thresholded
from ..proof.gradcheck import GradientError, check_model
from ..proof.invariants import InvariantError
from . import directory
from .small_training import STEPS, Training, same

OFTEN = {"periods": (2,), "period_milestones": ()}


def check_method(cls: type[Method], **options) -> list[str]:
    """Hold a method to the contract of all methods, in a second or two.

    cls      derived from Method or Dynamic; it need not be in METHODS
    options  what it is built with, where its defaults are not to be tried. A Dynamic method with
             periods reallocates every other step, if they are not given.

    Returns the names of the clauses, CONTRACT in this module. Raises InvariantError with each that
    does not hold; ValueError for options that it has not, or refuses.
    """
    __tracebackhide__ = True  # pytest shows the test that called it
    if not (isinstance(cls, type) and issubclass(cls, Method)):
        raise ValueError(f"a method is a class derived from Method or Dynamic, not {cls!r}")
    for name in options:
        check_choice(f"option of {cls.__name__}", name, cls.options())
    often = OFTEN if issubclass(cls, Dynamic) and "periods" in cls.options() else {}
    make = partial(Training, cls, often | options)
    make()  # what it refuses now is the user's mistake, not the method's
    broken: dict[str, list[str]] = {}  # message: the clauses in which it came up
    for clause in CONTRACT:
        for message in broken_by(clause, make):
            broken.setdefault(message, []).append(clause.__name__)
    if broken:
        raise InvariantError("\n".join([
            f"{cls.__name__} breaks the contract of methods",
            *(f"{_in_words(clauses)}: {message}" for message, clauses in broken.items())]))
    return [clause.__name__ for clause in CONTRACT]


def broken_by(clause, make):
    """The messages of a clause; what is raised is one."""
    messages = []
    try:
        messages.extend(clause(make))
    except Exception as error:  # whatever it is, the method did it
        messages.append(f"{type(error).__name__}: {error}")
    return messages


# --- the clauses


def options_are_explained(make):
    """Each option has a text for --help."""
    for name, field in make().method.options().items():
        if len(field.metadata.get("help", "")) <= 10:
            yield f"{name} has none; declare it as {name}: TYPE = option(default, text)"


def something_moves(make):
    """A Dynamic method reallocates now and then."""
    training = make()
    if not any(training.run()) and isinstance(training.method, Dynamic):
        yield f"nothing does in {STEPS} steps, so nothing can be said; try it with other options"


def budget_is_as_declared(make):
    """The number of free parameters is conserved, exactly, or never rises where budget_rule says
    that it is shrinking. Learned: all are trained, and their number stays."""
    training = make()
    counts = [training.model.free_parameters()]
    for _ in range(20):
        training.step()
        counts.append(training.model.free_parameters())
    rule = training.method.budget_rule
    if rule not in ("conserved", "shrinking", "learned"):
        yield f"budget_rule is {rule!r}, none of conserved, shrinking and learned"
    elif rule == "shrinking" and counts != sorted(counts, reverse=True):
        yield f"shrinking, and it rises: {counts}"
    elif rule != "shrinking" and len(set(counts)) > 1:
        yield f"{rule}, and it was {min(counts)} to {max(counts)}"


def same_seed_same_result(make):
    """The same seed gives the same result, bit for bit."""
    a, b = make(), make()
    if a.run() != b.run() or not same(a.state(), b.state()):
        yield "two runs from one seed differ; draw from the method's rng only"


def resumes_anywhere(make):
    """From a checkpoint of any step, in a run begun with another seed, all goes on the same."""
    whole = make()
    expected = whole.run()
    for t in (0, 2, 5, 6, 9):
        parts, resumed = make(), make(seed=1)
        reports = parts.run(t)
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder, "checkpoint.npz")
            directory.save(path, parts.state())
            resumed.load(directory.load(path), t)
        if reports + resumed.run(STEPS - t) != expected or not same(whole.state(), resumed.state()):
            yield f"resumed at step {t}, it ends differently; is all in state() and load()?"


def full_and_empty_tensors(make):
    """Full and empty tensors and single weights are fine, if the weights are Sparse; each begins
    where it is told. What the method refuses, by ValueError, is not tried."""
    for conv2, fc, one in ((range(108), [], [0]), ([], range(64), []), ([107], [3], []),
                           (range(108), range(64), [0])):
        structure = {"conv2": conv2, "a.fc": fc, "b.one": one}
        structure = {name: np.array(index, np.int64) for name, index in structure.items()}
        training = _unless_refused(make, structure=structure)
        if training is None or not training.method.sparse:
            continue
        counts = [len(index) for index in structure.values()]
        if any(not np.array_equal(W.index, index)
               for W, index in zip(training.weights(), structure.values(), strict=True)):
            yield f"of {counts} weights, some lie elsewhere"
        training.run()
        after = [W.value.size for W in training.weights()]
        if training.method.budget_rule == "conserved" and sum(after) != sum(counts):
            yield f"{counts} weights become {after}"


def any_sparsity(make):
    """From all weights free to almost none, all numbers stay finite, if there is a sparsity. What
    the method refuses, by ValueError, is not tried."""
    for sparsity in (0.0, 0.95, 0.999):
        training = _unless_refused(make, sparsity=sparsity)
        if training is None:
            continue
        training.run()
        for name, p in training.model.named_params().items():
            if not (np.isfinite(p.value).all() and np.isfinite(p.theta()).all()):
                yield f"at sparsity {sparsity}, {name} is not finite"


def types_and_shapes_stay(make):
    """float32 stays float32, float64 stays float64, and tensors keep their shapes."""
    for dtype in (np.float32, np.float64):
        training = make(dtype=dtype)
        training.run()
        arrays = {name: array for name, array in training.state().items()
                  if isinstance(array, np.ndarray) and array.dtype.kind == "f"}
        for name, p in training.model.named_params().items():
            arrays |= {f"{name}, θ": p.theta(), f"{name}, velocity": p.velocity}
            if p.theta().shape != p.shape:
                yield f"{name}: θ has shape {p.theta().shape}, not {p.shape}"
        for name, array in arrays.items():
            if array.dtype != dtype:
                yield f"{name} is {array.dtype}, of a network of {np.dtype(dtype)}"


def gradients_are_right(make):
    """Gradients of the free numbers, through θ = g(φ; ψ), agree with differences.

    All numbers are moved away from 0 before, where a channel of newborn weights would stand at the
    kink of ReLU.
    """
    training, rng = make(dtype=np.float64), np.random.default_rng(0)
    training.run(6)
    for W in training.weights():
        W.value += rng.uniform(0.1, 0.2, W.value.shape)
        if isinstance(W, Thresholded):  # where |W| is far from t, the surrogate is 0
            W.rows(W.value)[0][...] += 3 * np.sign(W.rows(W.value)[0])
    try:
        check_model(training.model, *training.batch(), rng)
    except GradientError as error:
        yield str(error)


def reports_say_what_happened(make):
    """A reallocation's report has as many pruned, grown and active weights as are seen."""
    training = make()
    method, moves, wrong = training.method, [], []
    if not isinstance(method, Dynamic):
        return
    reallocate = method.reallocate

    def watched(t):
        before = [set(W.index.tolist()) for W in method.tensors]
        report = reallocate(t)
        after = [set(W.index.tolist()) for W in method.tensors]
        moves.append((report.pruned, report.grown))
        wrong.extend(_misreported(report, before, after))
        return report

    method.reallocate = watched
    reports = [report for report in training.run() if report]
    yield from wrong[:1]
    if not reports:
        return
    if method.budget_rule == "conserved" and any(sum(r.grown) != r.K for r in reports):
        yield "another number is grown than is pruned"
    for i, key in enumerate(("pruned", "grown")):  # deepr sums up what it did since the last one
        said = np.sum([getattr(report, key) for report in reports], 0)
        if said.tolist() != np.sum([move[i] for move in moves], 0).tolist():
            yield f"step() reports other numbers of {key} than reallocate()"


def explored_is_the_union(make):
    """R_s is the share of all positions that were ever active. To ask for it changes nothing."""
    training, seen = make(), set()
    positions = sum(W.size for W in training.weights())
    for t in range(STEPS):
        for i, W in enumerate(training.weights()):
            seen |= {(i, j) for j in W.active().tolist()}
        noted = training.state()
        rate = training.method.explored.rate()
        if rate != len(seen) / positions:
            yield f"at step {t} it is {rate:.4f}, and {len(seen)} of {positions} were active"
        if not same(training.state(), noted):
            yield "to ask for it changes the state"
        if not isinstance(training.method, Dynamic):  # as training does each epoch, see Trainer
            training.method.explored.observe()
        training.step()


def nothing_moves_after_the_stop(make):
    """After stop_epoch, if there is one, weights stay where they are."""
    method = make().method
    if not isinstance(method, Dynamic) or "stop_epoch" not in method.options():
        return
    training = make(stop_epoch=2)
    training.run(10)
    before = [W.index for W in training.weights()]
    moved = any(training.run(10))
    if moved or any(not np.array_equal(a, W.index)
                    for a, W in zip(before, training.weights(), strict=True)):
        yield "after epoch 2 of 4, where it was to stop, some move"


CONTRACT = (
    options_are_explained, something_moves, budget_is_as_declared, same_seed_same_result,
    resumes_anywhere, full_and_empty_tensors, any_sparsity, types_and_shapes_stay,
    gradients_are_right, reports_say_what_happened, explored_is_the_union,
    nothing_moves_after_the_stop)


def _in_words(clauses):
    """Where something came up; what stands in the way of nearly all clauses, in a few words."""
    first, *more = clauses
    return ", ".join(clauses) if len(clauses) < 5 else f"{first} and {len(more)} other clauses"


def _unless_refused(make, **begins):
    try:
        return make(**begins)
    except ValueError:
        return None


def _misreported(report, before, after):
    """Messages about a report, of positions before and after, as sets."""
    counts = [len(a) for a in after]
    if report.active != counts:
        yield f"active is {report.active}, and {counts} are"
    if report.K != sum(report.pruned):
        yield f"K is {report.K}, and {sum(report.pruned)} are said to be pruned"
    for a, b, k, g in zip(before, after, report.pruned, report.grown, strict=True):
        again = k - len(a - b)  # pruned, and grown again at the same position
        if again < 0 or again != g - len(b - a):
            yield f"{k} pruned and {g} grown; {len(a - b)} positions go and {len(b - a)} come"
