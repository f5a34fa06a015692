"""How a run starts: its random streams, initial values, first records; another run's structure."""

import math
from pathlib import Path

import numpy as np

from ..density import free_counts
from ..methods import METHODS
from ..nn import models
from . import directory
from .directory import CheckpointError
from .environment import environment
from .history import History

# The streams of a seed: initial values; structure, at the start and later; data, one an epoch.
# They are separate, so methods compare on equal initial values and equal batches.
INITIAL_VALUES, STRUCTURE, DATA = range(3)


def generator(seed, stream, *which):
    """The numpy.random.Generator of a stream of this seed."""
    return np.random.default_rng(np.random.SeedSequence(seed, spawn_key=(stream, *which)))


def initial_model(config, name, image, classes):
    """The model `name`, dense, with the initial values of the config's seed."""
    rng = generator(config.seed, INITIAL_VALUES)
    return models.build(name, image=image, classes=classes, rng=rng)


def begin(trainer, out, threads):
    """Begin in the run directory, or go on from the checkpoint in it; returns the History."""
    if out is None:
        history = History()
    else:
        checkpoint, metrics = out / directory.CHECKPOINT, out / directory.METRICS
        if not checkpoint.exists() and History.load(metrics).epochs:
            raise CheckpointError(f"{out}: has metrics but no {checkpoint.name}; move it "
                                            "there, or choose another --out")
        counted = trainer.load(checkpoint) if checkpoint.exists() else 0
        history = History.load(metrics, first=counted)
        if len(history.records) < counted:
            raise CheckpointError(f"{metrics}: has {len(history.records)} records, and "
                                  f"{checkpoint.name} counts on {counted}; put all of it back, or "
                                  "train again with another --out")
        directory.write_config(out, trainer.config)
        directory.write_json(out / directory.ENVIRONMENT, environment(trainer.device) | {
            "threads": threads, "engine": trainer.engine, "seed": trainer.config.seed})
        history.rewrite()
    if not history.records:
        history.add_setup(trainer)
        save(trainer, history, out)
    return history


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
    state = directory.part(directory.load(run / directory.CHECKPOINT), "model")
    _check_configs(run, config, other)
    structure = _structure(run, model, state)
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


def _check_configs(run, config, other):
    """CheckpointError where a run with `config` cannot start from `run`, with config `other`."""
    if other.model != config.model:
        raise CheckpointError(f"{run}: is of {other.model}, not of {config.model}")
    if config.values == "random" and config.seed == other.seed:
        raise CheckpointError(f"{run}: was begun with seed {other.seed} too; choose another --seed "
                              "for random values, or --values original")
    if config.values in (None, "original") and other.structure_from and other.values != "random":
        raise CheckpointError(f"{run}: did not start from initial values of its own, but from "
                              f"{other.structure_from}")


def _check_budget(run, config, model, structure):
    """CheckpointError where that run has another number of weights than this one may begin with.

    A structure of slices may have fewer than a slice for each tensor less.
    """
    layers = model.sparsifiable_layers().values()
    shapes = [layer.weight.shape for layer in layers]
    begins_dense = METHODS[config.method].budget_rule == "shrinking"
    sparsity = config.resolved()["sparsity"]
    budget = sum(free_counts(shapes, 0.0 if begins_dense else sparsity, "uniform"))
    count = sum(len(index) for index in structure.values())
    if not budget - sum(math.prod(shape[2:]) - 1 for shape in shapes) <= count <= budget:
        raise CheckpointError(f"{run}: has {count:,} sparsifiable weights, {config.method} with "
                              f"sparsity {sparsity} begins with {budget:,}")


def _structure(run, model, state):
    """{name: flat positions} of all tensors that may be sparse; all positions where it is dense."""
    structure, params = {}, model.named_params()
    may_be = model.sparsifiable_layers()
    others = {key.rpartition(".")[0] for key in state if key.endswith(".value")}
    if others ^ set(params):
        raise CheckpointError(f"{run}: tensors differ, such as {min(others ^ set(params))}")
    for name, p in params.items():
        layer, _, _ = name.rpartition(".")
        index, value = state.get(f"{name}.index"), state[f"{name}.value"]
        if index is None and value.shape == p.shape:
            index = np.arange(p.size)
        elif index is None or layer not in may_be:
            raise CheckpointError(f"{run}: {name} has no structure that fits {p.shape}")
        if len(index) and not 0 <= index[-1] < p.size:
            raise CheckpointError(f"{run}: {name} does not fit {p.shape}")
        if layer in may_be:
            structure[layer] = index
    return structure
