"""metrics.jsonl: read as `plot` and --resume read it, and put into tables and figures.

Lines are damaged, removed, swapped, repeated, and values in them altered. What is accepted must be
what the file says, but for a last line that a kill has torn.
"""

import copy
import json
from dataclasses import replace

import fuzz
from tiny import with_moves, write_cifar10

from minidsr.methods import METHODS
from minidsr.run import figures, report
from minidsr.run.config import Config
from minidsr.run.directory import CheckpointError
from minidsr.run.history import History
from minidsr.run.moves import newborns
from minidsr.run.train import train


def prepare(folder):
    """(folder, the records of a run of each kind of method)."""
    write_cifar10(folder)
    config = Config(data="cifar10", data_dir=str(folder), model="small-cnn-0.1", batch=20, epochs=3,
                    lr=0.02, periods=(2, 3, 4, 5), device="cpu", threads=1, engine="blocked")
    return folder, [train(replace(with_moves(config, method), record=record)).records
                    for record in (False, True) for method in METHODS]


def attempt(rng, sound):
    folder, runs = sound
    records = runs[rng.integers(len(runs))]
    how = rng.choice([_bytes, _value, _line, _text], p=[0.2, 0.5, 0.2, 0.1])
    what, content = how(rng, [json.dumps(record).encode() for record in records], records)
    path = folder / "metrics.jsonl"
    path.write_bytes(content)
    try:
        with fuzz.left_alone(path):
            history = History.load(path)
    except CheckpointError as error:
        return what, fuzz.refusal(error)
    lines = content.split(b"\n")
    while lines and not lines[-1]:
        lines.pop()
    if len(lines) not in (len(history.records), len(history.records) + (content[-1:] != b"\n")):
        return what, f"{len(history.records)} of {len(lines)} lines are read"
    said = [json.loads(line) for line in lines[:len(history.records)]]
    if said != history.records:
        return what, "other records"
    if history.records and history.recorded:
        newborns(history.moves)
    if history.epochs:
        report.compare({"run": history}), report.by_tensor(history)
        if rng.random() < 0.01:
            figures.plot({"run": history}, folder)
    return what, "equal"


def _bytes(rng, lines, records):
    return fuzz.damaged(rng, b"\n".join(lines) + b"\n")


def _value(rng, lines, records):
    i = int(rng.integers(len(lines)))
    what, lines[i] = fuzz.altered_text(rng, records[i])
    return f"line {i + 1} of {len(lines)}: {what}", b"\n".join(lines) + b"\n"


def _text(rng, lines, records):
    """One tensor's positions are those of another text, or with a letter changed, or fewer."""
    texts = [(i, name, j) for i, record in enumerate(records) for name in ("start", "died", "born")
             for j in range(len(record.get(name, ())))]
    if not texts:
        return _value(rng, lines, records)
    i, name, j = texts[rng.integers(len(texts))]
    k, other, m = texts[rng.integers(len(texts))]
    record = copy.deepcopy(records[i])
    old, at = record[name][j], int(rng.integers(1 + len(record[name][j])))
    letters = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/="
    record[name][j] = [records[k][other][m], old[:at] + rng.choice([*letters]) + old[at + 1:],
                       old[:at // 4 * 4], old + old][rng.integers(4)]
    lines[i] = json.dumps(record).encode()
    return f"line {i + 1}: {name} of tensor {j}, {old!r:.60}", b"\n".join(lines) + b"\n"


def _line(rng, lines, records):
    """A line is gone, twice, at another place, cut, or there is one that is no record."""
    how, (i, j) = rng.choice(["gone", "twice", "swapped", "cut", "more", "torn"]), sorted(
        rng.integers(len(lines), size=2).tolist())
    if how == "gone":
        del lines[i:j + 1]
    elif how == "twice":
        lines.insert(j, lines[i])
    elif how == "swapped":
        lines[i], lines[j] = lines[j], lines[i]
    elif how == "cut":
        lines[i] = lines[i][:rng.integers(len(lines[i]))]
    elif how == "more":
        lines.insert(i, rng.choice([b"", b"{}", b"[]", b"null", b" ", b"\xff", b"\x00" * 9]))
    else:
        whole = b"\n".join(lines)
        cut = int(rng.integers(len(whole)))
        return f"torn at {cut} of {len(whole)}", whole[:cut]
    return f"line {i + 1} (and {j + 1}) of {len(lines)} {how}", b"\n".join(lines) + b"\n"
