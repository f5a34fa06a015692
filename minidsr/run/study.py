"""The runs of a study: what `sweep` makes of its flags and of a TOML file in this FORMAT."""

import re
import tomllib
from dataclasses import dataclass, fields, replace
from itertools import product
from pathlib import Path
from types import UnionType
from typing import get_args, get_origin

from ..checks import check_choice, nearest, shown
from ..methods import METHODS
from ..reading import read_bytes
from . import directory, modules, start
from .config import COMMON, Config, types_of

FORMAT = """The file has methods, sparsities, seeds, and the other flags of `train`, with _ or -:

    data = "cifar10"
    epochs = 10                           # a plain value is for all runs
    methods = ["dense", "static", "dsr"]  # or "all"
    sparsities = [0.9, 0.95]              # a list varies: each value with each of the others
    seeds = [0, 1, 2]
    periods = [10, 10, 20, 20]            # a list by itself; a list of lists varies

    [method.static]                       # for one method, over what stands above
    weight_decay = 1e-4

    [[runs]]                              # more runs; what is left out is as above
    name = "ticket"                       # begins their names
    methods = ["static"]
    structure_from = "dsr-{sparsity}-{seed}"
    values = "original"

There may be any number of [[runs]], and without `methods` above them there are no other runs. What
a method does not have, as dense has no sparsity, is left out for it, unless it is written for that
method alone.

A run is called [name-]method[-sparsity][-what else varies]-seed, such as dsr-0.9-0 or
dsr-0.9-lr_0.05-0; so is its directory. `structure_from` is the name of a run of the study, which is
trained before, or the directory of any other. In it, {seed}, {sparsity} and other names of flags of
`train` stand for the run's own values, and {seed-100} for 100 less: values = "random" needs another
seed than that run had.
"""
PLURAL = {"methods": "method", "sparsities": "sparsity", "seeds": "seed"}
FILE_BYTES = 1 << 20  # that a study's file has at most
PLACE = re.compile(r"\{(\w+)([+-]\d+)?\}")


@dataclass(frozen=True)
class Planned:
    """A run of a study."""

    name: str            # of its directory
    given: dict          # {flag of train: value}; what is left out is the default
    config: Config
    after: str | None    # the run of the study whose structure it starts from


def plan(out, flags, file=None):
    """The runs of a study in the folder `out`: a list of Planned, in the order of training.

    flags  {flag of sweep: value or values}; they count for all runs, whatever the file says
    file   of TOML, or None

    All of one seed come before those of the next, and a run after the one whose structure it needs.
    Raises ValueError, in one line, for what is unknown, wrong, twice, or used by no method.
    """
    if file is None:
        return _planned(out, flags, {})
    try:
        study = tomllib.loads(read_bytes(file, FILE_BYTES, packed=False).decode())
        return _planned(out, flags, study)
    except ValueError as error:
        raise ValueError(f"{file}: {' '.join(str(error).split())}") from None


def words(run, out, threads=None):
    """The words of `train` for a Planned run in the folder `out`: begin it, or go on with it.

    threads  that it uses, unless the study says
    """
    given = run.given if threads is None else {"threads": threads} | run.given
    imports = [word for name in modules.imported for word in (modules.FLAG, name)]
    flags = [word for name, value in given.items() for word in _flag(name, value)]
    return ["train", *imports, *flags, "--resume", "--out", str(Path(out) / run.name)]


def _flag(name, value):
    dashed = name.replace("_", "-")
    if isinstance(value, bool):
        return [f"--{dashed}" if value else f"--no-{dashed}"]
    return [f"--{dashed}", *map(str, value if isinstance(value, tuple) else [value])]


def _planned(out, flags, study):
    top, groups = _levels(study, flags)
    found: dict[str, Planned] = {}
    for group in groups:
        runs = list(_expanded(top, group, flags))
        for run in _together(runs, lambda run: run.config.resolved().get("sparsity")):
            if found.setdefault(run.name, run).config != run.config:
                raise ValueError(f"two different runs are called {run.name}; give [[runs]] a name")
    found = {name: _linked(run, found, out) for name, run in found.items()}
    return _in_order(_together(list(found.values()), lambda run: run.config.seed), found)


# --- what is written


def _levels(study, flags):
    """(what is for all, [groups of runs]) in a study's file, with Python's names; all are known."""
    groups = study.get("runs", [])
    if not isinstance(groups, list) or not all(isinstance(group, dict) for group in groups):
        raise ValueError("runs are groups, each below a line [[runs]]")
    top = _level({key: value for key, value in study.items() if key != "runs"})
    groups = [_level(group, "name") for group in groups]
    if "methods" in top or not groups:
        groups.insert(0, _level({}))
    whole = [_methods(flags | top | group) for group in groups]
    _check_used(top | flags, {method for methods in whole for method in methods})
    for level, methods in zip([top, *groups], [sum(whole, []), *whole], strict=True):
        unused = [method for method in level["method"] if method not in methods]
        if unused and "methods" not in flags:
            raise ValueError(f"[method.{unused[0]}] is for no run: the methods are "
                             f"{', '.join(dict.fromkeys(methods))}")
    for group, methods in zip(groups, whole, strict=True):
        _check_used(group, methods)
        if not re.fullmatch(r"[\w.+-]*", str(group.setdefault("name", ""))):
            raise ValueError("a name of runs has letters, digits, - . + and _, and is not "
                             f"{shown(group['name'])}")
    return top, groups


def _level(written, *more):
    """The keys of a part of the file with _ for -. Raises ValueError for one that is unknown."""
    level = {key.replace("-", "_"): value for key, value in written.items()}
    known = [*(name for name in _flags() if name not in PLURAL.values()), *PLURAL, *more]
    own = level.pop("method", {})
    for key in level:
        if key not in known:
            raise ValueError(f"a study has no key {shown(key)}; {nearest(key, known)}"
                             "minidsr sweep --help lists all")
    if not isinstance(own, dict):
        raise ValueError("methods is the list; options for one of them stand below [method.NAME]")
    for method, table in own.items():
        check_choice("method", method, METHODS)
        if not isinstance(table, dict) or {"methods", "method"} & table.keys():
            raise ValueError(f"[method.{method}] has options of {method}, and nothing else")
    return level | {"method": {method: _level(table) for method, table in own.items()}}


def _flags():
    """The names of train's flags that make up its Config."""
    options = [name for kind in METHODS.values() for name in kind.options()]
    return dict.fromkeys(name for name in (*COMMON, *options) if not name.startswith("extended_"))


def _methods(level):
    methods = _values("method", level.get("methods", []))
    methods = list(METHODS) if methods == ["all"] else methods
    for method in methods:
        check_choice("method", method, METHODS)
    return methods


def _check_used(level, methods):
    """ValueError where an option of this level is one that none of the methods has."""
    for key in level:
        name = PLURAL.get(key, key)
        having = [method for method, kind in METHODS.items() if name in kind.options()]
        if having and not set(having) & set(methods):
            raise ValueError(f"{key} is for {', '.join(having)}, and not for "
                             f"{', '.join(sorted(methods))}")


# --- what follows


def _expanded(top, group, flags):
    """The runs of a group, by method, each with the names of runs in structure_from as written."""
    for method in _methods(top | group | flags):
        written = {}
        for level in (top, group, {**flags, "method": {}}):
            written |= {key: value for key, value in level.items()
                        if PLURAL.get(key, key) in (*COMMON, *METHODS[method].options())}
            written |= level["method"].get(method, {})
        written = {PLURAL.get(key, key): value for key, value in written.items()} | {
            "method": method}
        lists = {name: _values(name, value) for name, value in written.items()}
        named = [name for name, value in written.items()
                 if name not in PLURAL.values() and _varies(name, value)]
        for values in product(*lists.values()):
            given = dict(zip(lists, values, strict=True))
            config = _config(given)
            parts = [str(group["name"]), method, _text(config.resolved().get("sparsity")),
                     *(_part(name, given[name]) for name in named), str(config.seed)]
            name = re.sub(r"[^\w.+-]", "_", "-".join(part for part in parts if part))
            yield Planned(name, given, config, None)


def _values(name, value):
    """The values that a key of a study takes."""
    if not _varies(name, value):
        return [tuple(value) if isinstance(value, list) else value]
    if not value:
        raise ValueError(f"give one {name} at least")
    return [tuple(one) if isinstance(one, list) else one for one in value]


def _varies(name, value):
    """Is this a list of values, and not one that is a list itself?"""
    several = isinstance(value, (list, tuple))
    if several and _is_tuple(name):
        return bool(value) and all(isinstance(one, list) for one in value)
    return several


def _is_tuple(name):
    """Is a value of this flag a tuple?"""
    kinds = {f.name: f.type for f in fields(Config)}
    kind = next(found[name] for found in (kinds, *map(types_of, METHODS.values())) if name in found)
    return any(get_origin(one) is tuple
               for one in (get_args(kind) if isinstance(kind, UnionType) else [kind]))


def _config(given):
    """The Config with these values; options of a method that is not ours are `options`."""
    ours = {f.name for f in fields(Config)}
    return Config(**{name: value for name, value in given.items() if name in ours},
                  options={name: value for name, value in given.items() if name not in ours})


def _together(runs, key):
    """The runs with equal keys together, in the order of the first ones."""
    order = list(dict.fromkeys(map(key, runs)))
    return sorted(runs, key=lambda run: order.index(key(run)))


def _part(name, value):
    """What a value adds to the name of its run."""
    if isinstance(value, bool):
        return name if value else f"no_{name}"
    return value if isinstance(value, str) else f"{name}_{_text(value)}"


def _text(value):
    """A value in the name of a run: 0.9, 0 for 0.0, 10_20 for (10, 20)."""
    if isinstance(value, tuple):
        return "_".join(map(_text, value))
    return "" if value is None else str(value).removesuffix(".0")


def _linked(run, found, out):
    """The run with the directory of the run in structure_from, which must fit."""
    written = run.config.structure_from
    if written is None:
        return run
    source = PLACE.sub(lambda place: _filled(place, run.config), written)
    after = source if source in found else None
    folder = str(Path(out) / source) if after else source
    if not after and not directory.has_run(folder):
        raise ValueError(f"{run.name}: structure_from {shown(source)} is no run of this study, nor "
                         "the directory of a run")
    config = replace(run.config, structure_from=folder)
    other = found[after].config if after else directory.read_config(folder)
    start.check_configs(folder, config, other)
    return Planned(run.name, run.given | {"structure_from": folder}, config, after)


def _filled(place, config):
    """The value that stands for {name} or {name+1}."""
    name, more = place.groups()
    values = config.resolved()
    if name not in values:
        raise ValueError(f"structure_from: {place[0]}, but {config.method} has no {name}")
    value = values[name]
    if more and type(value) is not int:
        raise ValueError(f"structure_from: {place[0]}, but {name} is no whole number")
    return _text(value + int(more) if more else value)


def _in_order(runs, found):
    """The runs, each after the one whose structure it starts from. ValueError for a circle."""
    placed = {}

    def place(run, below=()):
        if run.name in below:
            raise ValueError(f"{run.name} starts from its own structure")
        if run.after:
            place(found[run.after], (*below, run.name))
        placed.setdefault(run.name, run)

    for run in runs:
        place(run)
    return list(placed.values())
