"""The interface of all methods, and what several of them share.

A method's options are its fields: each one's default and help stand there, once. run/config.py
takes them from there, and so do the flags of `train`.
"""

from dataclasses import dataclass, field, fields
from fractions import Fraction
from typing import ClassVar

from ..backend import on_the_host, to_host_together
from ..checks import check_range, check_rng_state
from ..density import check_density, free_counts
from ..parameters import Sparse
from ..proof.invariants import InvariantError, rules_of, violations
from ..proof.reallocation import Reallocation, snapshot
from ..reparam import Report
from ..schedules import check_periods, cosine, reallocates, scaled_periods
from .exploration import Exploration

TRAINING = ("epochs", "steps_per_epoch")  # fields that are no options: how long training is


def option(default, help):
    """A field with this default, and its text for `--help`."""
    return field(default=default, metadata={"help": help})


SPARSITY = 0.9, (
    "share of the sparsifiable positions without a weight, in [0, 1) (paper: 0.5 to 0.9)")
DISTRIBUTION = "uniform", (
    "how the tensors share the weights at first (gradual: in the end): uniform (the DSR paper's), "
    "er (Erdős–Rényi, SET's), erk (with kernels, RigL's and ITOP's) or reversed (the opposite of "
    "erk); all have the same total")


@dataclass(kw_only=True, eq=False)
class Method:
    """What every method does: everything happens in setup() and step()."""

    epochs: int = 200  # the length of training
    steps_per_epoch: int = 500

    # What becomes of the number of free parameters: conserved, shrinking; or learned, as a sparsity
    budget_rule: ClassVar[str] = "conserved"
    sparse: ClassVar[bool] = False     # are weights Sparse, so that a structure can be given?
    rules: ClassVar[str | None] = None  # what must hold at each reallocation: a row of RULES

    check: bool = field(default=True, init=False)         # are the invariants checked?
    last: Reallocation | None = field(default=None, init=False)  # the one before
    structure: dict | None = field(default=None, init=False)  # {tensor: positions}, or at random

    @classmethod
    def options(cls):
        """{name: field} of the options."""
        return {f.name: f for f in fields(cls) if f.init and f.name not in TRAINING}

    def model_name(self, name, image, classes):
        """The name of the network to train where `name` is asked for; see models.build()."""
        return name

    def setup(self, model, rng):
        """Choose the parameterization of each weight. `rng` draws structure, now and later.

        The weights are Dense before. Raises ValueError for what cannot be done with this model.
        """
        self.model, self.rng, self.explored = model, rng, Exploration(model)

    def step(self, t, sgd):
        """Act at step t (0, 1, ...), between backward() and the next forward().

        Returns a reparam.Report if tensors were reallocated, else None.
        """
        sgd.step()
        return self.checked_reallocation(t) if self.due(t) else None

    def due(self, t):
        """Are tensors reallocated at step t?"""
        return False

    def reallocate(self, t):
        """Move free numbers, which are on the host; returns a reparam.Report."""

    def checked_reallocation(self, t):
        """reallocate(), observed; InvariantError if what it did breaks an invariant.

        It happens on the host, also where a GPU trains: there it is hundreds of small kernels, and
        a wait for each number of positions. So equal values make equal structures on any device.
        """
        with on_the_host(self.model.params()):
            before = snapshot(self.model.named_params()) if self.check else None
            report = self.reallocate(t)
            self.explored.observe()
            if self.check:
                claims = self.claims(report)
                this = Reallocation(before, snapshot(self.model.named_params()), claims)
                broken = violations(this, self.last, rules_of(self.rules))
                if broken:
                    raise InvariantError("; ".join(map(str, broken)))
                self.last = Reallocation(this.after, this.after, claims)  # needed the next time
            return report

    def recorded(self, t):
        """What its rules need to know beside, by the keys of traces.md; of arrays a list."""
        return {}

    def claims(self, report):
        """What of a report the invariants can judge."""
        return report

    def state(self):
        """All that changes in training: {name: array on the host, or what is fit for JSON}."""
        seen = {f"explored/{name}": bits for name, bits in self.explored.seen.items()}
        return {"rng": self.rng.bit_generator.state, **seen}

    def load(self, state, t):
        """Take over a state() from before step t, after the model's; ValueError for a wrong one."""
        self.last, self.rng.bit_generator.state = None, check_rng_state(state["rng"])
        self.explored.load({name: state[f"explored/{name}"] for name in self.explored.seen})


@dataclass(kw_only=True, eq=False)
class Dynamic(Method):
    """A sparse method that moves free numbers from time to time."""

    sparsity: float = option(*SPARSITY)
    distribution: str = option(*DISTRIBUTION)
    periods: tuple[int, ...] | None = option(None, (
        "steps between reallocations, one for each phase of training (paper: 100 200 400 800, in "
        "100,000 steps; default: these in proportion to the length of training, none under 10)"))
    period_milestones: tuple[float, ...] = option((0.3, 0.6, 0.8), (
        "where the next period begins, as fractions of training (paper: 0.125 0.4 0.7)"))
    stop_epoch: int | None = option(None, (
        "nothing is reallocated after this epoch (paper: 190 of 200; default: after 95 % of "
        "training, gradual 80 %, itop at the end)"))

    sparse: ClassVar[bool] = True
    rules: ClassVar[str | None] = "conserved"
    default_stop: ClassVar[float] = 0.95  # where nothing moves any more, as a fraction of training
    few: ClassVar[int] = 10  # with fewer reallocations it had little time to explore

    def __post_init__(self):
        check_density(self.sparsity, self.distribution)
        self.total_steps, self.stop = self.epochs * self.steps_per_epoch, self.default_stop
        if self.periods is None:
            self.periods = scaled_periods(self.total_steps)
        check_periods(self.periods, self.period_milestones)
        if self.stop_epoch is not None:
            check_range("stop_epoch", self.stop_epoch, 0, self.epochs)
            self.stop = Fraction(self.stop_epoch, self.epochs)

    def setup(self, model, rng):
        super().setup(model, rng)
        self.tensors = make_sparse(model, self.sparsity, self.distribution, rng, self.structure)
        self.explored.observe()

    def moving(self, t):
        """Is step t before the stop?"""
        return t < self.stop * self.total_steps

    def needs_dense_grad(self, t):
        """Is the gradient of θ at every position needed at step t?"""
        return False

    def keep_dense_grad(self, keep):
        """Shall the tensors keep it, from the next backward on?"""
        for W in self.tensors:
            W.keep_dense_grad = keep
            W.dense_grad = W.dense_grad if keep else None  # it is as large as θ

    def dense_gradients(self):
        """The magnitude of the gradient of θ at every position, of each tensor, on the host."""
        return to_host_together([abs(W.dense_grad) for W in self.tensors])

    def load(self, state, t):
        super().load(state, t)
        self.keep_dense_grad(self.needs_dense_grad(t))

    def due(self, t):
        return reallocates(t, self.total_steps, self.period_milestones, self.periods, self.stop)

    def annealed(self, first, t, last=0.0):
        """From `first` at step 0 to `last` where nothing moves any more, along a cosine."""
        return cosine(t, float(self.stop * self.total_steps), first, last)

    def report(self, pruned, grown):
        """A Report of these numbers, one for each tensor."""
        return Report(K=sum(pruned), pruned=pruned, grown=grown,
                      active=[W.value.size for W in self.tensors])


def make_sparse(model, sparsity, distribution, rng, structure=None):
    """Make the sparsifiable weights sparse, at random, so many each as density.free_counts() says,
    or where `structure`, {name: flat positions}, says.

    The survivors keep their values. Returns the Sparse tensors.
    """
    layers = model.sparsifiable_layers()
    if structure is None:
        shapes = [layer.weight.shape for layer in layers.values()]
        counts = free_counts(shapes, sparsity, distribution)
    for i, (name, layer) in enumerate(layers.items()):
        theta = layer.weight.theta()
        layer.weight = (Sparse.random(theta, counts[i], rng) if structure is None else
                        Sparse.of(theta, structure[name]))
    return [layer.weight for layer in layers.values()]
