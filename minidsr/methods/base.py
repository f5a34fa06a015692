"""The interface of all methods, and what several of them share.

The fields of a method are its options, by the names that train.Config gives them.
"""

import math
from dataclasses import dataclass, fields
from fractions import Fraction

from ..backend import get_xp, to_host_together
from ..density import check_sparsity, free_counts
from ..parameters import Sparse, on_the_host
from ..proof.invariants import OF_ANY_METHOD, InvariantError, violations
from ..proof.reallocation import Reallocation, snapshot
from ..reparam import Report
from ..schedules import cosine, reallocates
from .exploration import Exploration


@dataclass(kw_only=True, eq=False)
class Method:
    """Dense training as it is. Everything a method does happens in setup() and step()."""

    # no annotations, so no options
    budget = "conserved"  # what becomes of the number of free parameters; or shrinking, learned
    sparse = False       # are weights Sparse, so that a structure can be given?
    invariants = ()      # what must hold at each reallocation
    check = True         # are they checked?
    last = None          # the last Reallocation that was
    structure = None     # {name of tensor: flat positions} to start with, instead of random ones

    @classmethod
    def options(cls):
        """The names of the options, which train.Config has too."""
        return [field.name for field in fields(cls)]

    @classmethod
    def from_config(cls, config, steps_per_epoch):
        """The method that a train.Config asks for; None there is the default here."""
        known = {"steps_per_epoch": steps_per_epoch}
        given = {name: known[name] if name in known else getattr(config, name)
                 for name in cls.options()}
        return cls(**{name: value for name, value in given.items() if value is not None})

    def network(self, name, image, classes):
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
                broken = violations(this, self.last, self.invariants)
                if broken:
                    raise InvariantError("; ".join(map(str, broken)))
                self.last = Reallocation(this.after, this.after, claims)  # needed the next time
            return report

    def claims(self, report):
        """What of a report the invariants can judge."""
        return report

    def state(self):
        """All that changes in training: {name: array on the host, or what is fit for JSON}."""
        seen = {f"explored/{name}": bits for name, bits in self.explored.seen.items()}
        return {"rng": self.rng.bit_generator.state, **seen}

    def load(self, state):
        """Take over a state()."""
        self.last = None
        self.rng.bit_generator.state = state["rng"]
        self.explored.seen = {name: state[f"explored/{name}"] for name in self.explored.seen}


@dataclass(kw_only=True, eq=False)
class Dynamic(Method):
    """A sparse method that moves free numbers from time to time.

    sparsity           share of the sparsifiable weights that stay zero
    distribution       how tensors share the free numbers at first, see density.free_counts()
    epochs, steps_per_epoch  the length of training
    periods            steps between reallocations, one for each phase of training
    period_milestones  where the next phase begins, as fractions of training
    stop_epoch         nothing moves from the end of this epoch on (default: `stop` of training)

    Defaults are the DSR paper's for WRN-28-2 on CIFAR-10.
    """

    sparsity: float = 0.9
    distribution: str = "uniform"
    epochs: int = 200
    steps_per_epoch: int = 500
    periods: tuple[int, ...] = (100, 200, 400, 800)
    period_milestones: tuple[float, ...] = (0.125, 0.4, 0.7)
    stop_epoch: int | None = None

    sparse = True
    invariants = OF_ANY_METHOD
    stop = 0.95

    def __post_init__(self):
        check_sparsity(self.sparsity)
        self.total_steps = self.epochs * self.steps_per_epoch
        if self.stop_epoch is not None:
            if not 0 <= self.stop_epoch <= self.epochs:
                raise ValueError(f"stop_epoch must be in 0..{self.epochs}, the number of epochs, "
                                 f"not {self.stop_epoch}")
            self.stop = Fraction(self.stop_epoch, self.epochs)

    def setup(self, model, rng):
        super().setup(model, rng)
        self.tensors = make_sparse(model, self.sparsity, self.distribution, rng, self.structure)
        self.explored.observe()

    def moving(self, t):
        """Is step t before the stop?"""
        return t < self.stop * self.total_steps

    def keep_dense_grad(self, keep):
        """Shall the tensors keep all of the gradient of θ, from the next backward on?"""
        for W in self.tensors:
            W.keep_dense_grad = keep
            W.dense_grad = W.dense_grad if keep else None  # it is as large as θ

    def dense_gradients(self):
        """The magnitude of the gradient of θ at every position, of each tensor, on the host."""
        return to_host_together([abs(W.dense_grad) for W in self.tensors])

    def state(self):
        kept = [W.keep_dense_grad for W in self.tensors]
        return {**super().state(), "keep_dense_grad": any(kept)}

    def load(self, state):
        super().load(state)
        self.keep_dense_grad(state["keep_dense_grad"])

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


def whole(fraction, count):
    """floor(fraction * count), the fraction taken as the decimal it is written as."""
    return math.floor(Fraction(str(fraction)) * count)


def prune_smallest(W, n):
    """Remove the n free numbers of smallest magnitude; of equals, the first. Returns how many."""
    xp = get_xp(W.value)
    dead = xp.zeros(W.value.size, bool)
    dead[xp.argsort(xp.abs(W.value), kind="stable")[:n]] = True
    return W.prune(dead)


def grow_largest(W, n, score):
    """Free the n positions with the largest score >= 0, of those not free; of equals, the first.

    score  array of W.shape
    """
    xp = get_xp(score)
    score = score.flatten()
    score[W.index] = -1  # below all others
    W.grow(xp.argsort(-score, kind="stable")[:n])


def check_choice(name, value, choices):
    """Raise ValueError, with the choices, where `value` is none of them."""
    if value not in choices:
        raise ValueError(f"unknown {name} {value!r}; choose one of: {', '.join(choices)}")


def check_not_negative(name, number):
    """Raise ValueError unless `number` is 0 or more, and finite."""
    if not 0 <= number < math.inf:
        raise ValueError(f"{name} must be 0 or more, and finite, not {number}")


def check_fraction(fraction):
    """Raise ValueError unless 0 <= fraction <= 1."""
    if not 0 <= fraction <= 1:
        raise ValueError(f"fraction must be in [0, 1], not {fraction}")
