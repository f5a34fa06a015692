"""What becomes of weights: sums over runs whose own records and checkpoints are too large to keep.

    python -m lessons.lives ages RUNS      how old weights become, of runs with --record
    python -m lessons.lives overlap RUNS   how alike two runs' final structures are

RUNS is the folder of a study; JSON goes to stdout, and from there into results/.
"""

import argparse
import json
from collections import Counter
from itertools import combinations
from pathlib import Path

import numpy as np

from minidsr.run import compare, moves
from minidsr.run.load import load


def ages(history):
    """The lives of the weights of one run, counted in reallocations.

    grown     how many were grown before the last reallocation: each faces at least one pruning
    survived  how many of these came through the first
    died      {age: how many were pruned so old}; a newborn is 1 old; one of the start counts from 0
    alive     how many there are at the end
    kept      how many of these were there at the start, all the time
    """
    births = [dict.fromkeys(start.tolist(), 0) for start in moves.at_start(history.setup)]
    died, grown = Counter(), 0
    for now, tensors in enumerate(history.moves, 1):
        for alive, (dead, born) in zip(births, tensors, strict=True):
            died.update(now - alive.pop(position) for position in dead.tolist())
            alive.update(dict.fromkeys(born.tolist(), now))
            grown += len(born) if now < len(history.moves) else 0
    alive = [birth for tensor in births for birth in tensor.values()]
    young = sum(moves.newborns(history.moves))
    return {"grown": grown, "survived": grown - young, "died": dict(sorted(died.items())),
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


def _structure(run):
    """{tensor: (index, size)} at the end of the run in this folder."""
    layers = load(run, engine="plain").model.sparsifiable_layers()
    return {name: (layer.weight.index, layer.weight.size) for name, layer in layers.items()}


def main(arguments=None):
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("what", choices=["ages", "overlap"])
    parser.add_argument("runs", type=Path)
    asked = parser.parse_args(arguments)
    results, left_out = compare.read([asked.runs])
    if left_out:
        parser.error(left_out[0])
    if asked.what == "ages":
        lines = {r.path.name: {**ages(r.history), "explored": round(r.last["explored"], 4),
                               "test_accuracy": r.last["test_accuracy"]} for r in results}
    else:
        structures = {r.path.name: _structure(r.path) for r in results
                      if r.config.method != "dense"}
        lines = {f"{one} {other}": [round(x, 4) for x in overlap(
            structures[one], structures[other])] for one, other in combinations(structures, 2)}
    rows = (f" {json.dumps(key)}: {json.dumps(line)}" for key, line in lines.items())
    print("{\n" + ",\n".join(rows) + "\n}")


if __name__ == "__main__":
    main()
