"""config.json: read as `eval`, `plot` and --resume read it. What is accepted must be written as it
was read."""

import json
import math
from dataclasses import asdict

import fuzz

from minidsr.methods import METHODS
from minidsr.run import directory
from minidsr.run.config import TYPES, Config
from minidsr.run.directory import CheckpointError


def prepare(folder):
    """(folder, the JSON of each method's config)."""
    configs = [Config(), *(Config().for_method(method) for method in METHODS)]
    return folder, [{"format": directory.FORMAT, **json.loads(json.dumps(config.resolved()))}
                    for config in configs]


def attempt(rng, sound):
    folder, configs = sound
    values = configs[rng.integers(len(configs))]
    how = rng.choice(["bytes", "text", "api"], p=[0.15, 0.65, 0.2])
    if how == "api":
        return _by_hand(rng, values)
    path = folder / directory.CONFIG
    what, content = fuzz.damaged(rng, json.dumps(values, indent=1).encode()) if how == "bytes" \
        else fuzz.altered_text(rng, values)
    path.write_bytes(content)
    try:
        with fuzz.left_alone(path):
            config = directory.read_config(folder)
    except CheckpointError as error:
        return what, fuzz.refusal(error)
    said = json.loads(content)
    directory.identity(config)
    directory.write_config(folder, config)
    return what, _equal(json.loads(path.read_text()), said)


def _by_hand(rng, values):
    """One argument of Config is of another type or range; lists are no tuples."""
    what, arguments = fuzz.altered(rng, {k: v for k, v in values.items() if k != "format"})
    if rng.random() < 0.8:
        arguments = {k: tuple(v) if isinstance(v, list) else v for k, v in arguments.items()}
    if any(name not in asdict(Config()) for name in arguments):
        return what, "refused"  # by Python: it is no argument
    try:
        config = Config(**arguments)
    except ValueError as error:
        return what, fuzz.refusal(error)
    given = {k: v for k, v in arguments.items() if v is not None or k not in TYPES}  # else left out
    return what, _equal(config.resolved(), config.resolved() | given)


def _equal(a, b):
    """Are they, with the types of all values? A bool is no number here."""
    same = json.dumps(a, sort_keys=True) == json.dumps(b, sort_keys=True)
    finite = not any(isinstance(v, float) and not math.isfinite(v) for v in a.values())
    return "equal" if same and finite else f"says {a}, not {b}"
