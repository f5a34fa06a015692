"""The command line: what it says is checked and carried out; commands.py has the subcommands."""

import sys
from inspect import signature
from typing import get_args, is_typeddict

import tyro
from tyro.conf import Positional

from ..checks import check_choice, nearest, shown
from ..proof.invariants import InvariantError
from . import commands, flags, modules
from .progress import Interrupted, TrainingError


def run(argv):
    """Run the command line `argv`; returns the exit code."""
    try:
        argv, modules.imported[:] = modules.split(argv)
        for name in modules.imported:
            modules.load(name)
        commands.MethodOptions = flags.options()  # by these names train() and sweep() have them
        commands.StudyOptions = flags.of_study(commands.MethodOptions)
        _check_words(argv)
        tyro.extras.subcommand_cli_from_dict(
            commands.COMMANDS, prog="minidsr", args=argv or ["demo"],
            description="Dynamic sparse reparameterization (Mostafa & Wang, ICML 2019) from "
                        "scratch. Without arguments: demo. --version says which this is. "
                        "--import MODULE, with any command, imports methods, networks, data sets "
                        "and schedules of yours first.")
    except (ValueError, TrainingError, InvariantError, OSError) as error:
        print(f"minidsr: {error}", file=sys.stderr)
        return 2 if isinstance(error, ValueError) else 1  # DataError and others are ValueErrors
    except MemoryError as error:  # NumPy's and CuPy's say how much was asked for
        print(f"minidsr: out of memory ({' '.join(str(error).split())}); choose a smaller --batch "
              "or --model, or --device cpu", file=sys.stderr)
        return 1
    except Interrupted as stop:
        print(f"minidsr: {stop}", file=sys.stderr)
        return 128 + stop.signum
    return 0


def _check_words(argv):
    """ValueError where argv names a subcommand or a flag that is not there, or an empty value."""
    command, *words = argv or ["demo"]
    if command in ("-h", "--help"):
        return
    check_choice("command", command, commands.COMMANDS)
    known, before = _flags_of(command), command
    for word in words:
        name, is_set, value = word.partition("=")
        if not word or (name.startswith("--") and is_set and not value):
            raise ValueError(f"{name or before}: the value is empty")
        if name.startswith("--") and name.replace("_", "-") not in known:
            raise ValueError(f"{command} has no flag {shown(name)}; {nearest(name, known)}"
                             f"minidsr {command} --help lists all")
        before = name


def _flags_of(command):
    """The flags of a subcommand."""
    kinds = {}
    for name, parameter in signature(commands.COMMANDS[command], eval_str=True).parameters.items():
        kind = parameter.annotation
        group, *markers = get_args(kind) or [None]
        if get_args(Positional[int])[1] not in markers:
            kinds |= group.__annotations__ if is_typeddict(group) else {name.strip("_"): kind}
    pairs = [f"no-{name}" for name, kind in kinds.items() if bool in (kind, *get_args(kind))]
    return ["--help", modules.FLAG, *(f"--{name.replace('_', '-')}" for name in [*kinds, *pairs])]
