"""Anyone's function that moves weights, judged by the rules of its method: `verify
MODULE:FUNCTION`."""

import re
import sys
from collections.abc import Callable
from contextlib import contextmanager, suppress
from copy import deepcopy
from functools import partial
from itertools import islice, repeat
from pathlib import Path

from ..checks import check_choice, check_range, nearest, shown
from ..proof.adapter import GIVEN, adapted, call, call_each, check_masks, refuses
from ..proof.invariants import InvariantError, grown_uniformly, rules_of
from ..proof.remote import Answerless, Remote
from .tally import Tally, in_one_line
from .verify import (
    SEEDS,
    extent,
    random_networks,
    small_networks,
    try_random_cases,
    try_seeds,
    try_small_cases,
)

SECONDS = 30  # that a call, or so many at a time, may take
COMPILING = 180  # the same for JAX, which compiles for each new shape
AT_A_TIME = 50


def check_reallocate(function: Callable | str, *, masks: str | None = None, method: str = "dsr",
                     cases: int = 2000, seed: int = 0, quick: bool = False,
                     progress: bool = False) -> Tally:
    """Try anyone's function that moves weights on every small network, then on random ones.

    function  with the signature that proof/adapter.py describes; or, as text, "my_module:function"
              or "path/to/file.py:function", for a process of its own, where it may hang or die
    masks     whose arrays it takes, if it takes dense arrays with masks: numpy, torch or jax
    method    what it does, and whose rules it keeps: dsr, set, set-magnitude, itop, rigl, itop-rigl
              or snfs
    cases     how many random networks, drawn by `seed`; they depend on the version of hypothesis
    quick     1,170 small networks of two tensors instead of 40,410 of three, 200 random ones at
              most
    progress  show a bar

    Returns the Tally, a table of what held; print() shows it. Raises InvariantError at the first
    network in which something is violated, one of the smallest, with a picture of it; ValueError
    for arguments that are none of the above.
    """
    __tracebackhide__ = True  # pytest shows the test that called it
    from tqdm import tqdm

    tally, tried = verify_function(
        function, masks, cases, seed, quick, partial(tqdm, leave=False, disable=not progress),
        method=method, first=True)
    if not tally.held:
        name = function if isinstance(function, str) else getattr(function, "__name__", "it")
        raise InvariantError("\n\n".join([
            f"{name} does not keep {'Algorithm 1' if method == 'dsr' else f'the rules of {method}'}"
            f", in network {sum(tried.values()):,} of those tried",
            *tally.shown()]))
    return tally


def verify_function(function, masks=None, cases=2000, seed=0, quick=False,
                    progress=lambda cases, **_: cases, *, method="dsr", first=False):
    """The Tally of anyone's function, and what was tried: {in words: number of cases}. Arguments
    are those of check_reallocate(); `first`: only up to the first violation.

    What hangs or dies ends it.
    """
    from ..proof.updates import networks_for

    check_choice("method of a function", method, GIVEN)
    check_range("cases", cases, 1, 10**7)
    check_range("seed", seed, 0, 2**32 - 1)
    most, cases = extent(cases, quick)
    tally, (turned, networks) = Tally(rules_of(method)), networks_for(method)

    def enough():
        return tally.gone or first and not tally.held

    with _ready(function, masks, method) as (reallocate, by):
        tried = {small_networks(most): try_small_cases(tally, progress, most, enough, by, turned)}
        if not enough():
            tried[random_networks(tally.rules)] = try_random_cases(
                tally, cases, progress, networks, seed, enough, reallocate=reallocate)
        if not enough() and grown_uniformly in tally.rules.runs:
            tried[SEEDS] = try_seeds(tally, by, turned)
    return tally, tried


def names_function(text):
    """Is it MODULE:FUNCTION, or FILE.py:FUNCTION, and no path?"""
    return re.fullmatch(r".+:[^\W\d]\w*", text) is not None and not Path(text).exists()


@contextmanager
def _ready(function, masks, method):
    """A function with our signature, and what yields each of many cases with one; ValueError where
    there is none."""
    what = {"masks": masks, "method": method}
    if not isinstance(function, str):
        if not callable(function):
            raise ValueError(f"function must be one, or MODULE:FUNCTION, not {shown(function)}")
        _check_call(getattr(function, "__name__", "function"), refuses(function, **what), masks)
        reallocate = adapted(function, **what)
        yield reallocate, lambda cases: zip(cases, repeat(reallocate))
        return
    check_masks(masks)
    if not names_function(function):
        raise ValueError(f"{function}: a function is named as MODULE:FUNCTION or FILE.py:FUNCTION")
    place, _, name = function.rpartition(":")
    if place.endswith(".py") and not Path(place).is_file():
        raise ValueError(f"{function}: no file {place}")
    if str(Path.cwd()) not in sys.path:  # where a module is looked for, as by --import
        sys.path.insert(0, str(Path.cwd()))
    with Remote(place, seconds=COMPILING if masks == "jax" else SECONDS) as remote:
        try:
            remote.start()
        except Answerless as error:
            raise ValueError(f"{place} cannot be loaded: {in_one_line(error)}") from None
        if name not in remote.names:
            raise ValueError(f"{place} has no function {shown(name)}; "
                             f"{nearest(name, remote.names)}it has {_some(remote.names)}")

        def through(ours):
            return partial(remote.call, name, through=f"{ours.__module__}:{ours.__name__}", **what)

        with suppress(Answerless):  # then calls will say what it is
            _check_call(name, through(refuses)(), masks)
        yield through(call), partial(_together, through(call), through(call_each))


def _some(names):
    names = [name for name in names if not name.startswith("_")]
    return ", ".join(names[:9]) + ", …" * (len(names) > 9) or "none"


def _check_call(name, refusal, masks):
    """ValueError where it refuses to be called."""
    if refusal:
        hint = "" if masks else "; one that takes masks needs --masks numpy, torch or jax"
        raise ValueError(f"{name} is no function to be judged, {refusal}{hint}")


def _together(one, many, cases):
    """Each case, and what reallocates as the function did; many are sent at a time, as else most of
    the time is spent waiting. Where an answer is missing, they are called `one` by one."""
    while batch := list(islice(cases, AT_A_TIME)):
        sent = [list(case.arguments([deepcopy(W) for W in case.tensors])) for case in batch]
        try:
            answers = many(sent)  # what it does to the tensors is in `sent` then
        except Answerless:
            yield from zip(batch, repeat(one))
        else:
            for case, ((tensors, *_), _), said in zip(batch, sent, answers, strict=True):
                yield case, partial(_repeated, tensors, said)


def _repeated(afterwards, said, tensors, *rest, **options):
    for W, theirs in zip(tensors, afterwards, strict=True):
        vars(W).update(vars(theirs))
    return said
