"""What was measured of speed: speed.md, as tests/benchmarks/speed.py wrote it, speed.json and its
figure beside it; and profile.json, which `python -m lessons.experiments.speed FOLDER` prints."""

import json
import re
import sys
from pathlib import Path
from statistics import median

from lessons import RESULTS

# The machine as it is, and held to AVX2.
RECORDS = {name: RESULTS / name for name in ("speed-avx512", "speed-avx2")}
FEW = {  # contenders of the short table: {name in the record: what it is}
    "plain, dense": "`--engine plain`, the textbook, dense",
    "blocked, dense": "`--engine blocked`, dense",
    "sparse, DSR 0.9": "`--engine sparse`, DSR, sparsity 0.9"}
PARTS = {  # rows of the profile: {in words: the kinds of unit, or of what is not layers}
    "convolutions, with the batch norm before them": ("Conv", "NormConv"),
    "other batch norm": ("Norm",),
    "sums of residual blocks": ("Sum",),
    "pooling, the last layer": ("GlobalAvgPool", "Linear"),
    "loss, SGD, method, the rest": ("loss", "SGD", "method", "rest"),
    "a step": ()}


def text(record):
    """speed.md of the record."""
    return (record / "speed.md").read_text(encoding="utf-8")


def networks(record):
    """The tables of all networks, as they are."""
    below = text(record).partition("## Whole networks")[2].partition("\n\n")[2]
    return below.partition("\n\n## ")[0].strip()


def rows(record, model):
    """{contender: [step, × PyTorch, forward, × PyTorch, images/s]} of a network, as text."""
    table = networks(record).partition(f"`{model}`, batch")[2].split("\n\n")[1]
    cells = [[cell.strip() for cell in line.strip("|").split("|")]
             for line in table.splitlines()[2:]]
    return {name: rest for name, *rest in cells}


def steps(record):
    """PyTorch's fastest form, and few of ours: medians, of wrn-28-2."""
    found = rows(record, "wrn-28-2")
    medians = {name: [cell.partition(" (")[0] for cell in cells] for name, cells in found.items()}
    best = min((name for name in found if name.startswith("PyTorch")),
               key=lambda name: float(medians[name][0]))
    version = re.search(r"torch (\d+\.\d+)", text(record))[1]
    lines = ["| | training step, ms | × PyTorch | forward, ms | × PyTorch |", "|---" * 5 + "|"]
    for name, words in ({best: best.replace("PyTorch", f"PyTorch {version}, dense")} | FEW).items():
        lines.append(f"| {words} | " + " | ".join(medians[name][:4]) + " |")
    return "\n".join(lines)


def crossings(record):
    """From which sparsities on sparse training is faster than (blocked, PyTorch). ValueError where
    the lines do not cross."""
    found = re.search(r"as blocked at density (0\.\d+), as PyTorch at density (0\.\d+)\.$",
                      text(record), re.MULTILINE)
    if not found:
        raise ValueError(f"{record}: no crossing with blocked and PyTorch")
    return tuple(1 - float(density) for density in found.groups())


def describe(record):
    """The figure in words."""
    blocked, torch = crossings(record)
    return (f"Time of a training step of wrn-28-2 against sparsity: the engine sparse passes "
            f"blocked at sparsity {blocked:.2f} and PyTorch at {torch:.2f}.")


def parts(record):
    """Where a training step goes, at two commits: medians of several profiles, each by itself."""
    found = json.loads((record / "profile.json").read_text(encoding="utf-8"))
    columns = [(when, sparsity) for sparsity in ("0.9", "0.99") for when in ("before", "after")]
    lines = ["| ms | " + " | ".join(f"{s}, {when}" for when, s in columns) + " |",
             "|---" * (1 + len(columns)) + "|"]
    for words, kinds in PARTS.items():
        medians = [median(sum(ms for kind, ms in run.items() if not kinds or kind in kinds)
                          for run in found[when][sparsity]) for when, sparsity in columns]
        lines.append(f"| {words} | " + " | ".join(f"{ms:.1f}" for ms in medians) + " |")
    return "\n".join(lines)


def by_kind(result):
    """{kind of unit, or what is not layers: ms}, of a result of `bench --profile --json`."""
    found = {}
    for part in result["profile"]["parts"]:
        kind = part["unit"] or part["part"]
        found[kind] = round(found.get(kind, 0) + part["ms"], 3)
    return found


def main():
    """Print profile.json, of files before-SPARSITY-ROUND.json and after-SPARSITY-ROUND.json of
    `bench --profile --json` in a folder."""
    if len(sys.argv) != 2:
        sys.exit("usage: python -m lessons.experiments.speed FOLDER")
    found = {}
    for path in sorted(Path(sys.argv[1]).glob("*.json")):
        when, sparsity, _ = path.stem.split("-")
        result = json.loads(path.read_text(encoding="utf-8"))
        found.setdefault(when, {}).setdefault(sparsity, []).append(by_kind(result))
    print(json.dumps(found, indent=1))


if __name__ == "__main__":
    main()
