"""Which fault breaks which rule, and where that is seen: the page of this folder.

    python -m lessons.gallery.page > lessons/gallery/README.md
"""

import sys
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np

from lessons.stranger import Program
from minidsr.parameters import Sparse
from minidsr.proof.invariants import RULES
from minidsr.proof.trace import load
from minidsr.run.verify import verify_trace

from . import faults, methods

TIMES = 11
TENSORS = ((6, 5, 3, 3), 90), ((12, 20), 80), ((4, 5), 15), ((5, 6), 8), ((3, 4), 0), *[
    ((3, 3), 4)] * 6
FULL = ((5, 6), 30), ((4, 5), 20)
TRAININGS = [  # (tensors and how many weights they have, H, N_p, delta)
    (TENSORS, 0.1, 20, 0.3), (FULL, 0.1, 20, 0.3),
    (TENSORS, 2.0 ** 118, 217, 0.01)]  # more than can be pruned, so H is doubled for good


def in_a_trace(fault):
    """What the checker names in traces of Algorithm 1 with this fault, a set; None where the
    program does not come to its end."""
    try:
        return set().union(*(_named(_trace(fault, *training)) for training in TRAININGS))
    except (ValueError, OverflowError):
        return None


def _trace(fault, tensors, H, N_p, delta):
    program = Program(_weights(tensors), H, N_p, delta, seed=0,
                      method=fault.reallocate.__self__)
    entries = {}
    for n in range(TIMES):
        program.train()
        _note(entries, program, n, "before")
        entries |= {f"{n}/{key}": getattr(program, key)
                    for key in ("H", "N_p", "delta", "keep_one")}
        program.reallocate()
        _note(entries, program, n, "after")
        entries[f"{n}/next_H"] = program.H
    return entries


def _weights(tensors):
    """Sparse tensors, of convolutions with whole kernel slices; those of (5, 6) die."""
    rng, made = np.random.default_rng(0), []
    for shape, count in tensors:
        kernel = np.prod(shape[2:], dtype=int)
        slots = np.sort(rng.choice(np.prod(shape) // kernel, count // kernel, replace=False))
        index = (slots[:, None] * kernel + np.arange(kernel)).reshape(-1)
        value = rng.normal(0, 0.003 if shape == (5, 6) else 0.3, count)
        made.append(Sparse(shape, index.astype(np.int32), value.astype(np.float32)))
    return made


def _note(entries, program, n, moment):
    for key, arrays in (("value", program.weights), ("mask", program.masks),
                        ("velocity", program.velocities)):
        entries |= {f"{n}/{name}/{moment}/{key}": x.copy() for name, x in arrays.items()}


def _named(entries):
    with TemporaryDirectory() as folder:
        np.savez(path := Path(folder) / "trace.npz", **entries)
        return verify_trace(load(path), method="dsr").violated


# --- the page


def rows(names=None):
    """(rules, fault, its name, where it was seen, by function, by trace) of each wrong program, or
    of some; None stands for what cannot be."""
    one = [("dsr", fault.FAULT, name, fault.SOURCE, fault.VIOLATES, in_a_trace(fault))
           for name, fault in faults().items() if names is None or name in names]
    return one + [(p.RULES, p.FAULT, name, p.SOURCE, p.BY_FUNCTION, p.VIOLATES)
                  for name, p in methods.programs().items()
                  if p.FAULT and (names is None or name in names)]


def by_fault(found):
    """A line for each of rows()."""
    return _table(["rules of", "fault", "seen in", "by function", "by trace"], [
        [f"`{rules}`", f"{fault} (`{name}`)", source, _words(function, rules), _words(trace, rules)]
        for rules, fault, name, source, function, trace in found])


def by_rule(found):
    """A line for each rule of any method."""
    every = dict.fromkeys(i.__name__ for row in RULES.values() for i in row.all)
    return _table(["rule", "by function", "by trace"], [
        [f"`{rule}`", *(", ".join(f"`{row[2]}`" for row in found if rule in (row[i] or ()))
                        for i in (4, 5))] for rule in every])


def page():
    """The page, in Markdown."""
    found = rows()
    right = {name: p for name, p in methods.programs().items() if not p.FAULT}
    functions = [name for name, p in right.items() if p.BY_FUNCTION is not None]
    return "\n\n".join([TOP, by_fault(found), RIGHT.format(_list(right), _list(functions)), BY_RULE,
                        by_rule(found)]) + "\n"


def _list(names):
    return ", ".join(f"`{name}`" for name in names)


def _words(names, rules):
    order = [i.__name__ for i in RULES[rules].all] + ["completes"]
    if names is None:
        return "–"
    return ", ".join(f"`{name}`" for name in order if name in names) or "nothing"


def _table(head, lines):
    return "\n".join(f"| {' | '.join(line)} |" for line in [head, ["---"] * len(head), *lines])


TOP = """# Wrong programs, and what the checker says of them

Written by `python -m lessons.gallery.page`. [Right programs](#right-programs) · [By
rule](#by-rule)

For those who ask whether the checker can be trusted: each program here has a fault, most of them
one of published code. *By function* is what `verify MODULE:FUNCTION` names, in 150 networks (60 for
methods other than `dsr`) and in one with 420 seeds, *by trace* what `verify TRACE` names in short
trainings. It names these rules and no others, as
[`test_gallery.py`](../../tests/proof/test_gallery.py) and
[`test_gallery_of_methods.py`](../../tests/proof/test_gallery_of_methods.py) show.

A dash: what is wrong is not in the function that moves weights, or the method has none that could
be judged alone; a program that stops leaves no trace.
"Nothing": a trace shows what has happened. That no weight was equal to H, or none was 0; that two
runs differ; in which order positions are kept, where masks are recorded: that is not in it.
"Authors" is the published code of the paper; what is called `Authors...` or by the name of another
program is a whole one, written anew in [`published.py`](methods/published.py)."""

RIGHT = """## Right programs

In these nothing is named: in [`masked.py`](masked.py) by function, by trace in
{},
and also by function in {}."""

BY_RULE = """## By rule

Who breaks it. There is no rule that nobody does."""


if __name__ == "__main__":
    sys.stdout.write(page())
