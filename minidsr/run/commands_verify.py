"""The subcommand verify: the package, a function, or a trace is judged."""

import io
import json
from contextlib import nullcontext, redirect_stdout
from functools import partial
from pathlib import Path
from typing import Annotated

import tyro

from .. import reparam
from ..checks import check_range, counted
from ..proof import trace
from ..proof.invariants import RULED, InvariantError, rules_of
from . import judge
from . import verify as verification
from .flags import Trace
from .progress import computing
from .report import folded

CASES = 2000  # random networks, if nothing else is asked for


def verify(path: Trace = None, masks: Annotated[str | None, tyro.conf.arg(
        metavar="NAME", help_behavior_hint="")] = None, cases: int = CASES,
        seed: int = 0, quick: bool = False, method: Annotated[str | None, tyro.conf.arg(
            metavar="NAME", help_behavior_hint="")] = None, tolerance: float = 0.0,
        json_: Annotated[bool, tyro.conf.arg(name="json")] = False) -> None:
    """Check the invariants of a method: of this package, of a function, or of a trace.

    Without an argument, reallocations of many networks by Algorithm 1 are tried on the installed
    package, for three minutes, or with --quick for some seconds. A function, MODULE:FUNCTION or
    FILE.py:FUNCTION, is tried on the same networks, in a process of its own; what it is given
    depends on --method, and lessons/notes/verify.md says it. With TRACE, what another program has
    recorded is judged; lessons/notes/traces.md says how to record. Exit code 0 if all hold, 1 if
    one is violated, 2 if an argument is wrong.

    Args:
        masks: Whose arrays the function takes, if it takes dense arrays with masks: numpy, torch or
            jax.
        cases: How many random networks to try, beside 40,410 small ones.
        seed: Draws the random networks.
        quick: Try 1,170 small networks, and 200 random ones at most.
        method: Whose rules a trace or a function is judged by, such as dsr, set or rigl; without, a
            trace by those that hold for any method, a function by those of dsr.
        tolerance: Numbers of a trace that differ by no more than this count as the same, as where
            values were rounded when they were recorded. 0 means bit for bit.
        json_: Print one JSON document, and nothing else; lessons/notes/verify.md has its keys.
    """
    check_range("cases", cases, 1, 10**7)
    check_range("seed", seed, 0, 2**32 - 1)
    check_range("tolerance", tolerance, 0, 1e30)
    function = path is not None and judge.names_function(str(path))
    if not function:
        rules_of(method)
    if path is not None and path.suffix == ".py" and not function:
        raise ValueError(f"{path}: which function of it? say {path}:reallocate, for example")
    if masks is not None and not function:
        raise ValueError("--masks is for a function, as in my_module:reallocate")
    for flag, given, right, why in [
            ("method", method, path is not None, "a function or a trace; the package is judged as "
             "dsr"),
            ("tolerance", tolerance, path is not None and not function, "a trace"),
            *((name, given, path is None or function, "the package or a function, not for a trace")
              for name, given in {"cases": cases != CASES, "seed": seed, "quick": quick}.items())]:
        if given and not right:
            raise ValueError(f"--{flag} is for {why}")
    with redirect_stdout(io.StringIO()) if json_ else nullcontext():
        if path is None or function:
            about, tally = _try(str(path) if function else None, masks, method or "dsr", cases,
                                seed, quick)
        else:
            about, tally = _judge(path, method, tolerance)
        print(f"\n{tally}\n\n{tally.summary}")
    if json_:
        print(json.dumps(about | tally.counts | {"rules": tally.verdicts()}, indent=1,
                         allow_nan=False))
    if not tally.held:
        raise InvariantError(f"violated: {', '.join(tally.examples)}")


def _try(function, masks, method, cases, seed, quick):
    """Try a function, or without one the package: (what --json says of it, Tally)."""
    from tqdm import tqdm

    small, count = verification.extent(cases, quick)
    name = function or str(Path(reparam.__file__).parent)
    bars = partial(tqdm, leave=False, disable=None)
    print(folded(_plan(name, function, small, count, quick)) + "\n")
    if function:
        tally, tried = judge.verify_function(function, masks, cases, seed, quick, bars,
                                             method=method)
    else:
        with computing():
            tally, tried = verification.verify_package(count, bars, small=small, seed=seed)
    left_out = {
        "small networks of three tensors":
            verification.how_many_small(3) - verification.how_many_small(small),
        "random networks": cases - count}
    left_out = {what: n for what, n in left_out.items() if n}
    for title, counts in (("tried", tried), ("left out by --quick", left_out)):
        if counts:
            print(f"{title}:")
        for what, n in counts.items():
            print(folded(f"  {n:6,} {what}", " " * 9))
    return {"judged": "function" if function else "package", "name": name, "rules_of": method,
            "seed": seed, "tried": _as_list(tried), "left_out": _as_list(left_out)}, tally


def _plan(name, function, small, count, quick):
    """What will be tried, and how long that takes, before it begins."""
    networks = (f"on {verification.how_many_small(small):,} small networks and {count:,} random "
                "ones")
    if function:
        how_long = "some seconds, if it is as fast as ours" if quick else (
            "some minutes, if it is as fast as ours; with --quick some seconds")
        return f"{name} is tried {networks}, in a process of its own: {how_long}."
    how_long = "some seconds" if quick else (
        "three minutes, more on a busy machine; with --quick some seconds")
    return (f"Algorithm 1, as installed in {name}, is tried {networks}, and in a training: "
            f"{how_long}.")


def _judge(path, method, tolerance):
    """Judge a trace: (what --json says of it, Tally)."""
    recorded = trace.load(path)
    tensors = counted(len(recorded[0].sparse), "sparse tensor")
    print(f"{path}: {counted(len(recorded), 'reallocation')} of {tensors}")
    with computing():
        tally = verification.verify_trace(recorded, method=method, tolerance=tolerance)
    print(f"by the rules of {method}" if method else folded(
        "by the rules that hold for any method that moves weights at some steps; --method adds its "
        f"own: {', '.join(RULED)}"))
    return {"judged": "trace", "name": str(path), "rules_of": method, "tolerance": tolerance,
            "tried": _as_list({f"reallocations of {tensors}": len(recorded)})}, tally


def _as_list(counts):
    return [{"what": what, "cases": n} for what, n in counts.items()]
