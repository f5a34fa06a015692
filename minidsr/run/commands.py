"""The subcommands of the command line: the table of all, and those that train.

Each is a function. commands_runs.py has those for runs that are there, commands_machine.py those
about this machine, commands_verify.py the judge.
"""

import sys
from pathlib import Path
from textwrap import indent
from typing import Annotated, Any

import tyro
from tyro.conf import OmitArgPrefixes

from ..checks import check_folder
from ..methods import METHODS
from ..proof.invariants import InvariantError
from . import directory, estimate, figures, flags, report
from . import sweep as sweeping
from .cluster import Cluster
from .commands_machine import bench, data_, info
from .commands_runs import eval, export, plot, print_figures, report_
from .commands_verify import verify
from .config import TYPES, Config
from .flags import Out, Study
from .progress import computing, say_what_computes
from .study import FORMAT, plan
from .train import train as run_training

Flags: Any = flags.flags()
MethodOptions: Any = flags.options()  # command_line.py sets it again: users may bring more methods
StudyFlags: Any = flags.of_study(
    Flags, methods=flags.flag(tuple[str, ...], "Training methods, or all of them."),
    sparsities=flags.flag(tuple[float, ...], "Sparsities, for the methods that have one."),
    seeds=flags.flag(tuple[int, ...], "Seeds: each a run of each method at each sparsity."))
StudyOptions: Any = flags.of_study(MethodOptions)


def demo(out: Annotated[Path, tyro.conf.arg(metavar="DIR")] = Path("runs/demo"),
         methods: tuple[str, ...] = ("dense", "static", "dsr"), sparsity: float = 0.95,
         epochs: int = 5, seed: int = 0, device: str = "auto") -> None:
    """See it work: dense, static and DSR training on drawn shapes, a minute or two, no download.

    In batches of 50 images, with a reallocation every 10 to 20 steps.

    Args:
        out: Where the figures go; those of an earlier demo are replaced.
        methods: Which methods to compare, or `all` (a few minutes); `train --help` lists them.
        sparsity: Share of the sparsifiable weights that stay zero, for the sparse methods.
        epochs: Passes over the training images.
        seed: Seed of initial values, structure and data order.
        device: cpu, gpu or auto.
    """
    if not methods:
        raise ValueError("--methods needs one at least, or all")
    check_folder(out)
    methods = tuple(METHODS) if methods == ("all",) else methods
    config = Config(sparsity=sparsity, epochs=epochs, seed=seed, device=device, batch=50,
                    periods=(10, 10, 20, 20))
    configs = {method: config.for_method(method) for method in methods}
    histories = {}
    say_what_computes(config)
    for method, config in configs.items():
        print(f"{method}:")
        histories[method] = run_training(config, progress=True)
    with computing():
        print(f"\nThe last epoch of {epochs}, one run each (seed {seed}), from the same initial "
              "values on the same batches:\n")
        print(report.compare(histories))
        if "dsr" in histories:
            print("\nWhere DSR left its weights:\n")
            print(report.by_tensor(histories["dsr"]))
        _say_what_had_little_time(histories)
        print_figures(figures.plot(histories, out))
    _check_budgets(histories)


def train(training: OmitArgPrefixes[Flags], method: "OmitArgPrefixes[MethodOptions]",
          out: Out = None, resume: bool = False,
          extend_epochs: Annotated[int | None, tyro.conf.arg(
              metavar="INT", help_behavior_hint="")] = None, trace: Out = None) -> None:
    """Train one network by one method; for example on CIFAR-10:

    minidsr train --data cifar10 --model wrn-16-1 --sparsity 0.9 --epochs 8 --out runs/a

    With --import MODULE, what that module adds can be named, and the options of its methods are
    flags, too: lessons/notes/make_it_yours.md.

    Args:
        training: What to train, and how.
        method: What is left out is the method's default.
        out: Run directory, for checkpoints and metrics (default: runs/DATA-MODEL-METHOD-SEED).
        resume: Go on with the run in the run directory, or begin it. What is left out is then as
            the run has it; what is given must be, but for what does not change results.
        extend_epochs: With --resume, train a run on to so many epochs in all. Learning rate and
            reallocations follow the new length from there on, so the end is not that of a run
            which had this length from the start.
        trace: Folder for a trace of each reallocation, which `verify` judges; of a method without
            any, of each epoch. With --resume the trace in it is gone on with.
    """
    given = {**training, **{name: method[name] for name in method if name in TYPES}}
    own = {name: method[name] for name in method if name not in TYPES}
    if own:  # options of a method that is not ours
        given["options"] = own
    if out is None:
        names = ("data", "model", "method", "seed")
        c = Config(**{name: given[name] for name in names if name in given})
        out = Path("runs") / f"{c.data}-{c.model}-{c.method}-{c.seed}"
    directory.check_usable(out, resume=resume)
    config = _settled(out, given, resume, extend_epochs)
    if resume and not directory.has_run(out):
        print(f"{out}: no run there yet, begins one: {config.model} by {config.method} on "
              f"{config.data}, {config.epochs} epochs", file=sys.stderr)
    step, _ = directory.reached(out)
    say_what_computes(config)
    history = run_training(config, out=out, resume=resume, progress=True, trace=trace)
    if history.records[-1]["step"] == step:
        epochs = config.epochs
        print(f"{out}: complete, {epochs} of {epochs} epochs; nothing to train", file=sys.stderr)
    with computing():
        _sum_up(config, history, out)
    if trace is not None:
        rules = config.build_method(steps_per_epoch=1).rules
        print(f"trace: {trace}   judge it: minidsr verify {trace}"
              + f" --method {rules}" * bool(rules))


def _sum_up(config, history, out):
    """Print what came out of a training."""
    print()
    if history.setup["network"] != config.model:
        print(f"{config.method} trained {history.setup['network']}\n")
    print(report.compare({config.method: history}))
    _say_what_had_little_time({config.method: history})
    if history.sparsity:
        print()
        print(report.by_tensor(history))
    for epochs, step in zip(config.extended_from, config.extended_at, strict=True):
        print(f"\nextended from {epochs} epochs at step {step:,}: not comparable with a run of "
              f"{config.epochs} epochs from the start")
    print(f"\nrun directory: {out}   figures: minidsr plot {out}")
    _check_budgets({config.method: history})


def _settled(out, given, resume, extend_epochs):
    """The Config to train by in the folder `out`, where these flags are given."""
    begun = directory.has_run(out)
    if extend_epochs is not None and not (resume and begun):
        raise ValueError("--extend-epochs needs --resume, and a run in --out" if not resume else
                         f"{out}: no run there that --extend-epochs could extend")
    if not (resume and begun):
        return Config(**given)
    own = directory.own_config(out, **given)
    return own if extend_epochs is None else directory.extended(out, extend_epochs, own)


def sweep(training: OmitArgPrefixes[StudyFlags], method: "OmitArgPrefixes[StudyOptions]",
          file: Study = None, out: Out = None,
          jobs: Annotated[int | None, tyro.conf.arg(metavar="INT", help_behavior_hint="")] = None,
          dask: Annotated[str | None, tyro.conf.arg(
              metavar="ADDRESS", help_behavior_hint="")] = None,
          dry_run: bool = False, commands: bool = False) -> None:
    """Train many networks: methods × sparsities × seeds × what else varies; for example

    minidsr sweep --methods dsr static --sparsities 0.9 0.95 --seeds 0 1 2 --out runs/study

    Each run has a process and a directory of its own. Runs that are complete are left alone, others
    are begun or gone on with: after Ctrl-C, a kill or a failure the same command goes on. One that
    fails stops no other.

    Args:
        training: What to train, and how.
        method: What is left out is the method's default.
        out: Folder of the runs (default: runs/NAME for NAME.toml, runs/sweep without a file).
        jobs: How many runs at a time; they share the cores (default: one a core; on a GPU, one).
        dask: Train on the workers of this Dask scheduler, such as tcp://host:8786.
        dry_run: List the runs, and the hours they will take, from steps that are measured.
        commands: Print a command for each run that can begin now, one a line, and train nothing.
    """
    out = out or Path("runs") / (file.stem if file else "sweep")
    runs = plan(out, {**training, **method}, file)
    sweeping.check_runs(runs, out)
    here = sweeping.here(runs, jobs)
    if commands:
        for command in sweeping.commands(runs, out, None if jobs is None else here.threads):
            print(command)
    elif dry_run:
        print(estimate.estimate(runs, out, here))
    elif dask is not None:
        sweeping.sweep(runs, out, Cluster(dask, jobs))
    else:
        sweeping.check_data(runs)
        sweeping.sweep(runs, out, here)


sweep.__doc__ = (sweep.__doc__ or "").replace("    Args:", indent(FORMAT, "    ") + "\n    Args:")


COMMANDS = {"demo": demo, "train": train, "sweep": sweep, "report": report_, "plot": plot,
            "eval": eval, "export": export, "bench": bench, "info": info, "data": data_,
            "verify": verify}


def _say_what_had_little_time(histories):
    """Which methods of {name: History} hardly moved weights."""
    lines = {name: report.little_time(METHODS[name], h) for name, h in histories.items()}
    if any(lines.values()):
        print("\n" + "\n".join(f"{name} {line}" for name, line in lines.items() if line))


def _check_budgets(histories):
    """InvariantError where a run, of {method: History}, did not keep the budget its method has."""
    for method, history in histories.items():
        if history.broken:
            counts = [r["free_parameters"] for r in history.records]
            raise InvariantError(
                f"{method} broke its budget, which is {history.setup['budget']}: it began with "
                f"{counts[0]:,} free parameters, and had {min(counts):,} to {max(counts):,} later")
