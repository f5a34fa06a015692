"""Hostile files, by the thousand: each must be refused in one line, or mean what it meant.

    python tests/campaigns/fuzz.py [KIND ...] --count 2000 --seed 0      all kinds, or some
    python tests/campaigns/fuzz.py KIND --seed 0 --only 17               one case again

A kind of file is a module fuzz_KIND.py beside this one, with two functions:

    prepare(folder)        makes sound files in an empty folder; what it returns goes to attempt()
    attempt(rng, sound)    damages a copy and reads it as the program does; returns (what, outcome)

`what` says in words what was damaged. An outcome is "refused" (an error of the program's own, in
one line, the file left alone) or "equal" (accepted, and all that was read equals the sound file's
or what the damaged one says where that is allowed). Anything else is a fault: another outcome, an
exception, or more memory than LIMIT; so is a file that is changed by being read. Numbers are
drawn from (seed, case): a case does not depend on the count. Exit code 1 if there is a fault.
"""

import argparse
import copy
import json
import math
import resource
import sys
import traceback
from collections import Counter
from contextlib import contextmanager
from importlib import import_module
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np

HERE = Path(__file__).parent
KINDS = sorted(path.stem.removeprefix("fuzz_") for path in HERE.glob("fuzz_*.py"))
FINE = ("refused", "equal")
LIMIT = 1 << 30  # bytes that a campaign's memory may grow by


def campaign(kind, count, seed, *, only=None):
    """Try `count` cases of a kind; returns a Counter of outcomes, and [(case, what, outcome)] of
    all that are faults."""
    sys.path += [str(place) for place in (HERE, HERE.parent) if str(place) not in sys.path]
    module, outcomes, faults = import_module(f"fuzz_{kind}"), Counter(), []
    with TemporaryDirectory() as folder:
        sound = module.prepare(Path(folder))
        before = peak()
        for case in range(count) if only is None else [only]:
            try:
                what, outcome = module.attempt(np.random.default_rng([seed, case]), sound)
            except Exception as error:
                trace = traceback.extract_tb(error.__traceback__)[-1]
                what = f"in {Path(trace.filename).name}, line {trace.lineno}"
                outcome = f"{type(error).__name__}: {error}"
            outcomes[outcome if outcome in FINE else "fault"] += 1
            if outcome not in FINE:
                faults.append((case, what, outcome))
        if peak() - before > LIMIT:
            faults.append((None, "all cases", f"memory grew by {peak() - before:,} bytes"))
    return outcomes, faults


@contextmanager
def left_alone(path):
    """In this context the file at `path`, or all that is in the folder, must stay as it is."""
    before = contents(path)
    try:
        yield before
    finally:
        if contents(path) != before:
            raise AssertionError("a file is changed")


def contents(path):
    """{path: bytes} of the file at `path`, or of all in the folder."""
    files = [path] if path.is_file() else path.rglob("*")
    return {file: file.read_bytes() for file in files if file.is_file()}


def refusal(error):
    """The outcome where an error of the program's own was raised."""
    line = str(error)
    fine = len(line.splitlines()) == 1 and line.isprintable()
    return "refused" if fine else f"no line for people: {line!r}"


def peak():
    """The most memory that this process has had, in bytes."""
    return 1024 * resource.getrusage(resource.RUSAGE_SELF).ru_maxrss


def damaged(rng, content):
    """(what, bytes): `content` with one to three faults of the kinds that disks and people make."""
    done, content = [], bytearray(content)
    for _ in range(rng.integers(1, 4)):
        kind, n = rng.choice(["flip", "cut", "zeros", "insert", "repeat", "swap"]), len(content)
        i, j = sorted(rng.integers(0, n + 1, 2).tolist())
        j = min(j, i + int(rng.choice([1, 8, 512, n or 1])))
        if kind == "flip" and n:
            content[i % n] ^= 1 << int(rng.integers(8))
        elif kind == "cut":
            del content[i:j if rng.random() < 0.5 else None]
        elif kind == "zeros":
            content[i:j] = bytes(j - i)
        elif kind == "insert":
            content[i:i] = rng.bytes(int(rng.choice([1, 3, 64])))
        elif kind == "repeat":
            content[i:i] = content[i:j]
        elif kind == "swap":
            content[:] = content[j:] + content[i:j] + content[:i]
        done.append(f"{kind} at {i}..{j} of {n}")
    return ", ".join(done), bytes(content)


ODD = (None, True, False, 0, 1, -1, 3, 2**31, 2**63, 10**30, 0.0, 0.5, 1.5, -0.5, 1e300, math.nan,
       math.inf, -math.inf, "", "3", "x\ny", "\0", "\ud800", "\N{GREEK SMALL LETTER DELTA}", [],
       [1], [0.5, "a"], [[1]], {}, {"a": 1}, {"1": [None]})
TEXTS = ("[" * 100_000, '{"a":' * 100_000, "9" * 5000, "-" + "1" * 60, "1e999", "NaN", "-Infinity",
         "'a'", '{"a": 1, "a": 2}', "01", "tru", "\ufeff1", "[1,]", '"\\ud800"', "\x00", "")


def altered(rng, value):
    """(what, value): JSON with one value in it of another type, range, length or name."""
    value = copy.deepcopy(value)
    *place, last = _place(rng, value)
    inner = value
    for key in place:
        inner = inner[key]
    how = rng.choice(["odd", "near", "remove", "add"], p=[0.5, 0.3, 0.1, 0.1])
    old = inner[last]
    if how == "remove":
        del inner[last]
    elif how == "add" and isinstance(inner, list):
        inner.insert(last, old)
    elif how == "add":
        inner[f"{last}s"] = old
    elif how == "near" and isinstance(old, int | float) and math.isfinite(old):
        inner[last] = [old + 1, old - 1, -old, old * 2, old / 2, float(old), int(old), str(old),
                       [old]][rng.integers(9)]
    elif how == "near" and isinstance(old, list) and old:
        inner[last] = [old[:-1], old[::-1], old * 2, old[0]][rng.integers(4)]
    else:
        how, inner[last] = "odd", copy.deepcopy(ODD[rng.integers(len(ODD))])
    return f"{how} at {[*place, last]}, which was {old!r:.60}", value


def altered_text(rng, value):
    """(what, bytes): the JSON text of altered(), or one that is no JSON for one value in it."""
    if rng.random() < 0.8:
        what, value = altered(rng, value)
        return what, json.dumps(value).encode()
    value = copy.deepcopy(value)
    *place, last = _place(rng, value)
    inner = value
    for key in place:
        inner = inner[key]
    inner[last], text = "@", TEXTS[rng.integers(len(TEXTS))]
    return f"{text:.30} at {[*place, last]}", json.dumps(value).replace('"@"', text, 1).encode()


def _place(rng, value):
    """Keys and indexes to some value inside of `value`, which is a list or a dict, not empty."""
    place = []
    while isinstance(value, list | dict) and value and (not place or rng.random() < 0.7):
        keys = sorted(value) if isinstance(value, dict) else range(len(value))
        place.append(keys[rng.integers(len(keys))])
        value = value[place[-1]]
    return place


def main(argv=None):
    """Run the campaigns that the command line asks for; returns the exit code."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("kinds", nargs="*", metavar="KIND", help=f"of {', '.join(KINDS)}")
    parser.add_argument("--count", type=int, default=2000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--only", type=int, help="the number of one case")
    args = parser.parse_args(argv)
    failed = False
    for kind in args.kinds or KINDS:
        outcomes, faults = campaign(kind, args.count, args.seed, only=args.only)
        print(f"{kind}: " + ", ".join(f"{n:,} {outcome}" for outcome, n in outcomes.most_common())
              + f"; seed {args.seed}, peak {peak() >> 20:,} MiB", flush=True)
        for case, what, outcome in faults:
            print(f"  case {case}: {what}: {outcome}")
        failed |= bool(faults)
    return int(failed)


if __name__ == "__main__":
    sys.exit(main())
