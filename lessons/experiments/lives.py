"""What becomes of weights: sums over runs whose own records and checkpoints are too large to keep.

    python -m lessons.experiments.lives ages RUNS      how old weights become, of runs with --record
    python -m lessons.experiments.lives overlap RUNS   how alike two runs' final structures are
    python -m lessons.experiments.lives filters RUNS   filters without a weight, the largest weights
    python -m lessons.experiments.lives brief RUNS     records without births and deaths, RUNS-brief

RUNS is the folder of a study; JSON goes to stdout, and from there into results/.
"""

import argparse
import json
import shutil
from collections import Counter
from itertools import combinations
from pathlib import Path

import numpy as np

from minidsr.run import compare, directory, modules, moves
from minidsr.run.history import History
from minidsr.run.load import load


def ages(history):
    """The lives of the weights of one run, counted in reallocations.

    grown     how many were grown
    faced     how many of these faced a pruning: all but those of the last reallocation
    survived  how many of these came through their first
    died      {age: how many were pruned so old}; a newborn is 1 old; one of the start counts from 0
    alive     how many there are at the end
    kept      how many of these were there at the start, all the time
    """
    births = [dict.fromkeys(start.tolist(), 0) for start in moves.at_start(history.setup)]
    moved = history.moves  # read once
    died, grown, faced = Counter(), 0, 0
    for now, tensors in enumerate(moved, 1):
        for alive, (dead, born) in zip(births, tensors, strict=True):
            died.update(now - alive.pop(position) for position in dead.tolist())
            alive.update(dict.fromkeys(born.tolist(), now))
            grown += len(born)
            faced += len(born) if now < len(moved) else 0
    alive = [birth for tensor in births for birth in tensor.values()]
    young = sum(moves.newborns(moved))
    return {"grown": grown, "faced": faced, "survived": faced - young,
            "died": dict(sorted(died.items())),
            "alive": len(alive), "kept": alive.count(0)}


def overlap(one, other):
    """(Jaccard's index of two structures, and what it would be between others of these densities at
    random): each {tensor: (index, size)}. Two without a weight are the same: 1."""
    both = by_chance = total = 0
    for name, (a, size) in one.items():
        b, _ = other[name]
        both += len(np.intersect1d(a, b, assume_unique=True))
        by_chance += len(a) * len(b) / size
        total += len(a) + len(b)
    if not total:
        return 1.0, 1.0
    return both / (total - both), by_chance / (total - by_chance)


def brief(results, out):
    """Write the run directories of these results in the folder `out`: settings, and records without
    births and deaths."""
    for result in results:
        run = out / result.path.name
        run.mkdir(parents=True)
        for name in (directory.CONFIG, directory.ENVIRONMENT):
            shutil.copy(result.path / name, run)
        history = History(run / directory.METRICS)
        history.records = [{key: value for key, value in record.items()
                            if key not in ("start", "died", "born")}
                           for record in result.history.records]
        history.rewrite()


def filters(weights):
    """[(filters without a weight, filters, the largest |w|)] of Sparse weights (F, ...)."""
    return [(W.shape[0] - len(np.unique(W.index // (W.size // W.shape[0]))), W.shape[0],
             round(float(abs(W.value).max(initial=0)), 2)) for W in weights]


def _weights(run):
    """{tensor: its weight} at the end of the run in this folder."""
    layers = load(run, engine="plain").model.sparsifiable_layers()
    return {name: layer.weight for name, layer in layers.items()}


def main(arguments=None):
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("what", choices=["ages", "overlap", "filters", "brief"])
    parser.add_argument("runs", type=Path)
    parser.add_argument("--import", dest="module", help="a module that adds methods")
    asked = parser.parse_args(arguments)
    if asked.module:
        modules.load(asked.module)
    results, left_out = compare.read([asked.runs])
    if left_out:
        parser.error(left_out[0])
    if asked.what == "brief":
        return brief(results, asked.runs.with_name(f"{asked.runs.name}-brief"))
    if asked.what == "ages":
        lines = {r.path.name: ages(r.history) for r in results}
    elif asked.what == "filters":
        lines = {r.path.name: filters(_weights(r.path).values()) for r in results}
    else:
        structures = {r.path.name: {name: (W.index, W.size) for name, W in _weights(r.path).items()}
                      for r in results if r.config.method != "dense"}
        lines = {f"{one} {other}": [round(x, 4) for x in overlap(
            structures[one], structures[other])] for one, other in combinations(structures, 2)}
    rows = (f" {json.dumps(key)}: {json.dumps(line)}" for key, line in lines.items())
    print("{\n" + ",\n".join(rows) + "\n}")


if __name__ == "__main__":
    main()
