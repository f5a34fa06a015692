"""Runs that nobody trained: what a study reads of a run, with numbers that a test chooses."""

import json
from pathlib import Path

from minidsr.run import directory
from minidsr.run.compare import Result, source_of
from minidsr.run.config import Config
from minidsr.run.history import History

COMMIT = "0123456789abcdef0123456789abcdef01234567"
SIZES = {"conv1.weight": 400, "conv2.weight": 600}
MOVED = ([30, 70], [50, 50]), ([20, 40], [20, 40])  # (pruned, grown) of each reallocation
MOVING = ("dsr", "set", "rigl")


def made(method="dsr", seed=0, accuracy=50.0, *, free=100, moved=MOVED, commit=COMMIT, path=None,
         images=1000, network=None, last=(), **settings):
    """The Result of a run on so many images, whose accuracy rises to this one.

    last  further fields of the last epoch
    """
    config = Config(**{"model": "small-cnn", "epochs": 2} | settings, method=method, seed=seed)
    history = History()
    said = {"free_parameters": free, "explored": 0.1}
    active = list(SIZES.values()) if method == "dense" else [40, 60]
    history.add("setup", 0, network=network or config.model,
                data={"image": [3, 32, 32], "classes": ["a", "b"], "mean": [0.5] * 3,
                      "std": [0.2] * 3, "train": images, "validation": 0, "test": 100}, options={
                    "periods": [25, 50]} if method in MOVING else {},
                budget="learned, as a sparsity" if method == "dst" else "conserved",
                tensors=[{"name": name, "shape": [size // 10, 10], "size": size, "active": n}
                         for (name, size), n in zip(SIZES.items(), active, strict=True)], **said)
    for i, (pruned, grown) in enumerate(moved if method in MOVING else ()):
        active = [a - p + g for a, p, g in zip(active, pruned, grown, strict=True)]
        N_p = 100 if method == "dsr" else None
        history.add("reallocation", 3 + i, K=sum(pruned), pruned=pruned, grown=grown,
                    active=active, H=N_p and 0.5, next_H=N_p and 0.5, N_p=N_p,
                    delta=N_p and 0.1, keep_one=N_p and True, **said | {"explored": 0.2 + 0.1 * i})
    for epoch in range(1, config.epochs + 1):
        values = {"test_accuracy": accuracy * epoch / config.epochs, "test_loss": 1.0,
                  "train_accuracy": 60.0, "train_loss": 0.5, "images_per_s": 100.0}
        history.add("epoch", images // 100 * epoch, epoch=epoch, active=active, **values,
                    **said | {"explored": 0.4} | dict(last if epoch == config.epochs else ()))
    environment = {"commit": commit, "versions": {"minidsr": "0.1.0"}}
    path = Path(path or f"runs/{method}-{seed}")
    return Result(path, config, history, environment, source_of(config, path.parent))


def write(result, folder):
    """Write the Result as a run directory; returns its path."""
    run = folder / result.path.name
    run.mkdir(parents=True)
    directory.write_config(run, result.config)
    (run / directory.METRICS).write_text(
        "".join(json.dumps(record) + "\n" for record in result.history.records))
    directory.write_json(run / directory.ENVIRONMENT, result.environment)
    return run
