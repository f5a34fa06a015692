"""How a run starts: its random streams, initial values, first records; another run's structure."""

import math
from contextlib import suppress
from pathlib import Path

import numpy as np

from .. import data
from ..checks import check_name
from ..data.batches import split
from ..density import free_counts, uniform
from ..methods import METHODS
from ..methods.dsr_slices import slice_size
from ..nn import models
from ..nn.layers import Conv2d
from ..parameters import Sparse
from . import directory, schema, tracing
from .directory import CheckpointError
from .environment import environment
from .history import History

# The streams of a seed: initial values; structure, at the start and later; data, one an epoch; the
# images trained on. They are separate, so methods compare on equal initial values and batches.
INITIAL_VALUES, STRUCTURE, DATA, SPLIT = range(4)


def generator(seed, stream, *which):
    """The numpy.random.Generator of a stream of this seed."""
    return np.random.default_rng(np.random.SeedSequence(seed, spawn_key=(stream, *which)))


def images(config):
    """The Dataset of the config, with the images to train on and those that it sets apart."""
    return split(data.load(config.data, config.data_dir), generator(config.seed, SPLIT),
                 validation=config.validation, train_images=config.train_images)


def initial_model(config, name, image, classes):
    """The model `name`, dense, with the initial values of the config's seed, at its scale.

    PyTorch draws a convolution's from U(±1/sqrt(k² C)), of standard deviation sqrt(1 / (3 k² C)).
    Here the paper's draws are given this scale, so both compare on equal signs and ranks.
    """
    rng = generator(config.seed, INITIAL_VALUES)
    model = models.build(name, image=image, classes=classes, rng=rng)
    for _, layer in model.walk() if config.init == "pytorch" else ():
        if isinstance(layer, Conv2d):
            F, C = layer.weight.shape[:2]
            layer.weight.value *= (F / (6 * C)) ** 0.5  # of sqrt(2 / (k² F))
    for tensor in model.named_params():  # of a network that is not ours
        check_name("the name of a tensor", tensor)
    return model


def begin(trainer, out, threads, trace=None):
    """Begin in the run directory, or go on from the checkpoint in it; returns the History.

    trace: a folder for a trace of it, or None.
    """
    if out is None:
        tracing.watch(trainer, trace)
        history = History()
    else:
        checkpoint, metrics = out / directory.CHECKPOINT, out / directory.METRICS
        if not checkpoint.exists() and History.load(metrics).epochs:
            raise CheckpointError(f"{out}: has metrics but no {checkpoint.name}; move it "
                                  "there, or choose another --out")
        counted = trainer.load(checkpoint) if checkpoint.exists() else 0
        history = History.load(metrics, first=counted)
        schema.check_count(history, counted)
        schema.check_history(history, trainer)
        tracing.watch(trainer, trace, resume=trainer.t if checkpoint.exists() else None)
        directory.write_config(out, trainer.config)
        directory.write_json(out / directory.ENVIRONMENT, _environment(trainer, out) | {
            "threads": threads, "engine": trainer.engine, "seed": trainer.config.seed})
        history.rewrite()
    if not history.records:
        history.add_setup(trainer)
        save(trainer, history, out)
    return history


def _environment(trainer, out):
    """What the run is trained with from now on, and by which other commits it was before."""
    now, before = environment(trainer.device), {}
    with suppress(CheckpointError):  # a damaged one is replaced
        before = directory.read_environment(out)
    commit = now.get("commit")
    commits = [*before.get("earlier_commits", []), before.get("commit", commit)]
    if commits[-1] == commit:
        commits.pop()
    return now | {"earlier_commits": commits}


def save(trainer, history, out):
    """Write the checkpoint, if there is a run directory, once the records are safe that it counts
    on."""
    if out is not None:
        history.sync()
        directory.save(out / directory.CHECKPOINT,
                       trainer.state() | {"records": len(history.records)})


def start_from(config, model, image, classes):
    """Where the run in config.structure_from has its free numbers: {tensor: flat positions}.

    `model`, dense so far, takes the values that config.values asks for:

    original  that run's initial ones
    random    `model` keeps its own, of another seed
    final     that run's trained ones, with all other parameters and the running statistics;
              `model` keeps its own where that run has none

    Raises ValueError where that is not possible; a tensor by another name or of another shape is an
    error.
    """
    run = Path(config.structure_from)
    other = directory.read_config(run)
    check_configs(run, config, other)
    path = run / directory.CHECKPOINT
    state = directory.part(directory.load_run(path, other, schema.most_bytes(model)), "model")
    structure = _structure(run, initial_model(other, other.model, image, classes), state)
    _check_budget(run, config, model, structure)
    if config.values in (None, "original"):
        source = initial_model(other, other.model, image, classes)
        for p, q in zip(model.params(), source.params(), strict=True):
            p.value = q.value
    elif config.values == "final":
        for name, p in model.named_params().items():
            value = state[f"{name}.value"]
            if f"{name}.index" in state:
                p.value.reshape(-1)[state[f"{name}.index"]] = value
            else:
                p.value = value
        for name, layer in model.walk():
            for key in layer.statistics:
                setattr(layer, key, state[f"{name}.{key}"])
    return structure


def check_configs(run, config, other):
    """CheckpointError where a run with `config` cannot start from `run`, with config `other`."""
    if other.model != config.model:
        raise CheckpointError(f"{run}: is of {other.model}, not of {config.model}")
    if config.values == "random" and config.seed == other.seed:
        raise CheckpointError(f"{run}: was begun with seed {other.seed} too; choose another --seed "
                              "for random values, or --values original")
    if config.values in (None, "original") and other.structure_from and other.values != "random":
        raise CheckpointError(f"{run}: did not start from initial values of its own, but from "
                              f"{other.structure_from}")


def check_state(trainer, state):
    """Raise ValueError unless `trainer` could have this state, with so many free parameters.

    It has set up its method and loaded nothing yet. A structure from another run may have
    more or fewer, see _structure_sizes(); what shrinks has lost some, and where the run was
    extended, it may have lost more.
    """
    schema.check_state(state, trainer)
    method, layers = trainer.method, trainer.model.sparsifiable_layers()
    begun = sum(layer.weight.value.size for layer in layers.values())
    count = sum(array.size for name, array in state.items()
                if name.startswith("model/") and name.endswith(".value"))
    sizes = {begun}
    if method.budget_rule == "shrinking":
        left = sum(method.left(state["t"]))
        sizes = range(sum(method.final) if trainer.config.extended_from else left, left + 1)
    elif trainer.config.structure_from is not None:
        sizes = _structure_sizes(trainer.config, layers)
    others = trainer.model.free_parameters() - begun
    if count - others not in sizes:
        raise ValueError(f"has {count:,} free parameters, not {others + max(sizes):,}")


def _structure_sizes(config, layers):
    """How many weights a structure from another run may have: all that the sparsity leaves, in
    whole slices too, which may be fewer."""
    begins_dense = METHODS[config.method].budget_rule == "shrinking"
    sparsity = 0.0 if begins_dense else config.resolved()["sparsity"]
    sizes = {sum(free_counts([layer.weight.shape for layer in layers.values()], sparsity,
                             "uniform"))}
    if len({math.prod(layer.weight.shape[2:]) for layer in layers.values()}) == 1:
        k = slice_size(layers)
        sizes.add(k * sum(uniform([layer.weight.size // k for layer in layers.values()], sparsity)))
    return sizes


def _check_budget(run, config, model, structure):
    """CheckpointError where that run has another number of weights than this one may begin with."""
    sizes = _structure_sizes(config, model.sparsifiable_layers())
    count = sum(len(index) for index in structure.values())
    if count not in sizes:
        raise CheckpointError(f"{run}: has {count:,} sparsifiable weights, {config.method} with "
                              f"sparsity {config.resolved()['sparsity']} begins with "
                              f"{max(sizes):,}")


def _structure(run, model, state):
    """{tensor: flat positions} of a dense `model` that takes over `state`, sparse where that is."""
    layers = model.sparsifiable_layers()
    for name, layer in layers.items():
        if f"{name}.weight.index" in state:
            layer.weight = Sparse.of(layer.weight.theta(), [])
    try:
        schema.check_like(state, model.state(), schema.of_any_length(model))
        model.load(state)
    except ValueError as error:
        raise CheckpointError(f"{run}: has no structure for this network ({error})") from None
    return {name: layer.weight.active() for name, layer in layers.items()}
