"""The flags of `train` and `sweep`, from Config and the methods' options; what others share."""

from dataclasses import fields
from pathlib import Path
from types import UnionType
from typing import Annotated, TypedDict, get_args, get_origin

import tyro
from tyro.conf import Positional

from ..methods import METHODS
from .config import COMMON, OPTION_TYPES, TYPES, Config, types_of
from .study import PLURAL

Out = Annotated[Path | None, tyro.conf.arg(metavar="DIR", help_behavior_hint="")]
Study = Positional[Annotated[Path | None, tyro.conf.arg(
    metavar="[FILE]", help="TOML file that says what to train; flags count more than it does.")]]
Trace = Positional[Annotated[Path | None, tyro.conf.arg(
    metavar="[TRACE]", help="An .npz file, or a folder of them; or MODULE:FUNCTION.")]]
Run = Positional[Annotated[Path, tyro.conf.arg(metavar="RUN", help="Directory of a run.")]]
Runs = Positional[Annotated[tuple[Path, ...], tyro.conf.arg(
    metavar="RUN [RUN ...]", help="Directories of runs, or folders that contain such.")]]


def flags():
    """The flags of the fields of Config that all methods have: a dict of those that are given.
    Values are not checked yet: tyro would put a frame around what is wrong."""
    common = [f for f in fields(Config) if f.metadata]
    return TypedDict("Flags", {f.name: flag(f.type, f.metadata["help"] + _default(f))
                               for f in common}, total=False)


def options():
    """The same for each option of the methods. What is left out is the method's own default."""
    found, kinds = {}, {}
    for cls in METHODS.values():  # what cannot be a flag, Config refuses
        kinds |= {name: kind for name, kind in types_of(cls).items()
                  if name not in COMMON and kind in OPTION_TYPES}
    for name, kind in (kinds | TYPES).items():
        texts = {}  # help text: methods that have it
        for method, cls in METHODS.items():
            if name in cls.options():
                f = cls.options()[name]
                texts.setdefault(f.metadata.get("help", "") + _default(f), []).append(method)
        found[name] = flag(kind, "; ".join(f"{', '.join(methods)}: {text}"
                                           for text, methods in texts.items()) + ".")
    return TypedDict("MethodOptions", found, total=False)


def flag(kind, help):
    """A flag with values of this type; of bool a pair, --NAME and --no-NAME."""
    kind = next((k for k in get_args(kind) if isinstance(kind, UnionType)), kind)  # but for None
    pair = kind is bool
    return Annotated[kind, tyro.conf.arg(
        help=help, help_behavior_hint="", metavar=None if pair else _metavar(kind))]


def _default(f):
    value = {True: "yes", False: "no"}.get(f.default, f.default) if f.type is bool else f.default
    value = " ".join(map(str, value)) if isinstance(value, tuple) else value
    return "" if f.default is None else f" (default: {value})"


def _metavar(kind):
    """How the values of a flag look in --help."""
    words = {int: "INT", float: "FLOAT", str: "NAME"}
    of = next(k for k in (*get_args(kind), kind) if k in words)
    return f"{words[of]} [{words[of]} ...]" if get_origin(kind) is tuple else words[of]


def of_study(some, **lists):
    """These flags as `sweep` has them: but for those of which it has `lists`."""
    found = {name: kind for name, kind in some.__annotations__.items()
             if name not in PLURAL.values()}
    return TypedDict("StudyFlags", lists | found, total=False)
