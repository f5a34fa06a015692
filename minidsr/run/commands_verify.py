"""The subcommand verify: the package, a function, or a trace is judged."""

from functools import partial
from pathlib import Path
from typing import Annotated

import tyro

from .. import reparam
from ..checks import check_range
from ..proof import trace
from ..proof.invariants import RULED, InvariantError, rules_of
from . import judge
from . import verify as verification
from .flags import Trace
from .progress import computing


def verify(path: Trace = None, masks: Annotated[str | None, tyro.conf.arg(
        metavar="NAME", help_behavior_hint="")] = None, cases: int = 2000, seed: int = 0,
        quick: bool = False, method: Annotated[str | None, tyro.conf.arg(
        metavar="NAME", help_behavior_hint="")] = None) -> None:
    """Check the invariants of Algorithm 1, of this package, of a trace, or of a function.

    Without TRACE, reallocations of many networks are tried on the installed package. With it, what
    another program has recorded is judged; lessons/notes/traces.md says how to record. A function,
    MODULE:FUNCTION or FILE.py:FUNCTION, is tried on networks as the package is, in a process of its
    own; lessons/notes/verify.md says what it is given. Exit code 0 if all hold, 1 if one is
    violated.

    Args:
        masks: Whose arrays the function takes, if it takes dense arrays with masks: numpy, torch or
            jax.
        cases: How many random networks to try, beside 40,410 small ones.
        seed: Draws the random networks.
        quick: Try 1,170 small networks, and 200 random ones at most.
        method: Whose rules the trace is judged by, such as dsr, set or rigl; without, those that
            hold for any method.
    """
    check_range("cases", cases, 1, 10**7)
    check_range("seed", seed, 0, 2**32 - 1)
    rules_of(method)
    function = path is not None and judge.names_function(str(path))
    if masks is not None and not function:
        raise ValueError("--masks is for a function, as in my_module:reallocate")
    if method and (path is None or function):
        raise ValueError("--method is for a trace; what reallocates is judged as dsr")
    if path is None or function:
        tally, tried = _tried(str(path) if function else None, masks, cases, seed, quick)
        print("\ntried:")
        for what, count in tried.items():
            print(f"  {count:6,} {what}")
    else:
        recorded = trace.load(path)
        print(f"{path}: {_count(recorded, 'reallocation')} of "
              f"{_count(recorded[0].sparse, 'sparse tensor')}")
        with computing():
            tally = verification.verify_trace(recorded, method=method)
        print(f"by the rules of {method}" if method else
              "by the rules that hold for any method that moves weights at some steps; --method "
              f"adds its own: {', '.join(RULED)}")
    print(f"\n{tally}\n\n{tally.summary}")
    if not tally.held:
        raise InvariantError(f"violated: {', '.join(tally.examples)}")


def _tried(function, masks, cases, seed, quick):
    """What verify_function(), or without one verify_package(), returns; under a progress bar."""
    from tqdm import tqdm

    bars = partial(tqdm, leave=False, disable=None)
    if function:
        print(f"{function}, in a process of its own")
        return judge.verify_function(function, masks, cases, seed, quick, bars)
    print(f"Algorithm 1 as installed in {Path(reparam.__file__).parent}")
    few = {"count": min(cases, 200), "small": 2} if quick else {"count": cases}
    with computing():
        return verification.verify_package(**few, progress=bars, seed=seed)


def _count(things, word):
    return f"{len(things):,} {word}{'' if len(things) == 1 else 's'}"
