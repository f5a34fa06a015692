"""The subcommands of the command line, one a function."""

import json
import sys
from dataclasses import replace
from functools import partial
from pathlib import Path
from textwrap import indent
from typing import Annotated, Any, Literal

import tyro
from tyro.conf import OmitArgPrefixes, Positional

from .. import data, reparam
from ..backend import choose_device, describe_device
from ..checks import check_folder, check_range
from ..data.fetch import fetch
from ..fast.engine import missed
from ..fast.parallel import threads
from ..methods import METHODS
from ..proof import trace as traces
from ..proof.invariants import RULED, InvariantError, rules_of
from . import bench as benchmark
from . import (
    compare,
    compare_figures,
    compare_tables,
    directory,
    estimate,
    figures,
    flags,
    judge,
    page,
    report,
    schema,
    weights,
)
from . import sweep as sweeping
from . import verify as verification
from .cluster import Cluster
from .config import TYPES, Config
from .environment import environment
from .evaluate import evaluate
from .flags import Out, Run, Runs, Study, Trace
from .history import History
from .load import load
from .profile import as_table
from .progress import computing
from .study import FORMAT, plan
from .train import Trainer
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
    _say_what_computes(config)
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
        _print_figures(figures.plot(histories, out))
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
    _say_what_computes(config)
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


def eval(run: Run, data_dir: str | None = None, engine: str = "auto",
         device: str = "auto") -> None:
    """Test the network of a run on its data set's test images.

    Args:
        data_dir: Folder of the data set, if it has moved.
        engine: plain, blocked, sparse, or auto: sparse where it is faster.
        device: cpu, gpu or auto.
    """
    config = replace(directory.read_config(run), engine=engine, device=device, tf32=False)
    _say_what_computes(config)
    trainer = Trainer(replace(config, data_dir=data_dir) if data_dir else config, fresh=False)
    trainer.load(run / directory.CHECKPOINT)
    with computing(), threads(config.threads):
        loss, accuracy = evaluate(trainer.model, trainer.dataset)
    print(f"{run}: {config.model} trained by {config.method}, step {trainer.t} of "
          f"{trainer.total_steps}: test loss {loss:.4f}, test accuracy {accuracy:.2f} % of "
          f"{len(trainer.dataset.test_y):,} images, "
          f"{trainer.model.free_parameters():,} free parameters")


def export(run: Run, out: Annotated[Path | None, tyro.conf.arg(
        metavar="FILE", help_behavior_hint="")] = None) -> None:
    """Write the trained network of a run for other programs: every tensor dense, under PyTorch's
    names, with classes, mean and standard deviation.

    Args:
        out: A new file, .npz or .safetensors (default: weights.npz in the run's directory).
    """
    out = run / "weights.npz" if out is None else out
    weights.export(load(run, engine="plain"), out)
    print(f"{run}: written to {out}")


def report_(runs: Runs, against: str | None = None, csv: Out = None) -> None:
    """Compare runs: a table of each kind over its seeds, differences over equal seeds, what moved.

    It prints Markdown. Runs that are not finished are left out, and those that must not be compared
    are not: it says which, and why.

    Args:
        against: The method or group that the others are compared with (default: each two).
        csv: Folder for the same as CSV: runs.csv, groups.csv, differences.csv and epochs.csv.
    """
    groups, left_out = _studied(runs)
    differences, reasons = compare.differences(groups, against)
    if csv is not None:
        check_folder(csv)
    with computing():
        print(compare_tables.markdown(groups, differences, reasons, left_out))
        if csv is not None:
            print("\nas CSV: " + ", ".join(map(str, compare_tables.write_csv(csv, groups,
                                                                          differences))))


def _studied(runs):
    """The groups of the finished runs at these paths, and lines about those that are left out."""
    if not runs:
        raise ValueError("give the directory of a run, or a folder that contains some")
    results, left_out = compare.read(runs)
    if not results:
        raise directory.CheckpointError("no finished run: " + "; ".join(left_out))
    groups, twice = compare.grouped(results)
    return groups, left_out + twice


def plot(runs: Runs, out: Out = None, html: bool = False) -> None:
    """Draw the figures of a run: accuracy, sparsity of each tensor over time, H and K over time;
    or, of several runs or a folder of them, those that compare them.

    Each figure is a PNG; beside it are the same as SVG, and in words, NAME.alt.txt.

    Args:
        out: Where the figures go (default: figures/ in the run or folder, or runs/figures).
        html: Write page.html instead, which shows a run over time in a browser, or two side by
            side. Where every weight is, train --record tells it.
    """
    if html:
        page.check_count(runs)
        for run in runs:
            if not directory.has_run(run):
                raise ValueError(f"{run}: not a run directory; a page shows one run, or two")
    single = len(runs) == 1 and directory.has_run(runs[0])
    if out is None:
        out = runs[0] / directory.FIGURES if len(runs) == 1 else Path("runs") / directory.FIGURES
    if html:
        return _write_page(runs, out)
    if not single:
        groups, left_out = _studied(runs)
        check_folder(out)
        for line in left_out:
            print(f"left out: {line}", file=sys.stderr)
        with computing():
            _print_figures(compare_figures.plot(groups, out))
        return
    run, = runs
    config, history = _with_epochs(run)
    check_folder(out)
    with computing():
        _print_figures(figures.plot({config.method: history}, out))


def _write_page(runs, folder):
    """Write the page of these runs into a folder, and say where it is."""
    shown = {str(run): _with_epochs(run) for run in runs}
    check_folder(folder)
    with computing():
        path = page.write(shown, folder / "page.html")
    print(f"{path}: {path.stat().st_size:,} bytes; open it in a browser")


def _with_epochs(run):
    """(Config, History) of a run that has ended an epoch."""
    config, history = directory.read_config(run), History.load(run / directory.METRICS)
    schema.check_count(history, directory.reached(run)[1])
    if not history.epochs:
        raise directory.CheckpointError(f"{run}: no epoch has ended yet, nothing to draw")
    return config, history


def bench(model: str = "wrn-28-2", batch: int = 100, steps: int = 10, method: str = "dense",
          sparsity: float = 0.9, engine: str = "auto", device: str = "auto", tf32: bool = False,
          threads: int | None = None, profile: bool = False,
          json_: Annotated[bool, tyro.conf.arg(name="json")] = False) -> None:
    """Measure speed and memory: images per second forward and for a whole training step.

    Args:
        model: Network to measure.
        batch: Images a step.
        steps: Steps to measure, after two that do not count; the median is reported.
        method: Training method.
        sparsity: For a sparse method.
        engine: plain, blocked, sparse, or auto: sparse where it is faster.
        device: cpu, gpu or auto.
        tf32: On a GPU, round the factors of products to TF32, 10 bits.
        threads: Threads on the CPU (default: all cores).
        profile: Add where the time of a training step goes, by layer. A GPU is waited for at each,
            so such a step takes longer there.
        json_: Print one JSON object.
    """
    check_range("steps", steps, 1, 10**5)
    config = Config(model=model, batch=batch, sparsity=sparsity, engine=engine, device=device,
                    tf32=tf32, threads=threads).for_method(method)
    _say_what_computes(config)
    result = benchmark.measure(config, steps, profile)
    if json_:
        print(json.dumps(result, allow_nan=False))
        return
    parts = result.pop("profile", None)
    for name, value in result.items():
        print(f"{name:>24}  {value:,.1f}" if isinstance(value, float)
              else f"{name:>24}  {value}")
    if parts:
        unwatched = 1000 * batch / result["train_images_per_s"]
        print(f"\nWhere a training step goes, the mean of {steps}; not watched, their median was "
              f"{unwatched:.2f} ms.\n" + "The GPU is waited for at each part, as training does not "
              "do.\n" * (result["gpu_bytes"] is not None))
        print(as_table(parts))


def info(data_dir: str = "data", device: str = "auto") -> None:
    """Show versions, BLAS and its kernels, cores, device, and which data sets are found.

    Args:
        data_dir: Folder to look for data sets in.
        device: cpu, gpu or auto.
    """
    for name, value in environment(choose_device(device)).items():
        if isinstance(value, dict):
            value = ", ".join(f"{key} {v}" for key, v in value.items())
        for line in value if isinstance(value, list) else [value or "none: not tracked by git"]:
            print(f"{name:>12}  {line}")
    found, missing = {}, {}
    for name in data.DATASETS:
        try:
            there = data.load(name, data_dir)
            found[name] = (f"{len(there.train_y):,} training images, "
                           f"{len(there.test_y):,} test images")
        except data.DataError as error:
            missing[name] = str(error).removeprefix(f"{name}: ")
    if not set(found) & set(data.OWN):  # images of the user's are no place for others
        found |= {name: fault for name, fault in missing.items() if name not in data.OWN}
    for name, state in found.items():
        print(f"{name:>12}  {state}")


def data_(action: Positional[Literal["fetch"]], name: Positional[str], data_dir: str = "data",
          url: str | None = None) -> None:
    """Download a data set: `minidsr data fetch cifar10`, cifar100 or mnist.

    Args:
        action: What to do.
        name: cifar10, cifar100 or mnist.
        data_dir: Folder to put it in.
        url: Another address of the published files, such as a mirror's.
    """
    print(f"{name}: {fetch(name, data_dir, url=url)}")


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
        recorded = traces.load(path)
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


COMMANDS = {"demo": demo, "train": train, "sweep": sweep, "report": report_, "plot": plot,
            "eval": eval, "export": export, "bench": bench, "info": info, "data": data_,
            "verify": verify}


def _say_what_computes(config):
    """Which GPU `auto` has found; what an engine that is missing costs."""
    device = choose_device(config.device)
    if device == "gpu":
        print(f"on {describe_device(device)}", file=sys.stderr)
    line = missed(config.engine, device)
    if line:
        print(line, file=sys.stderr)


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


def _count(things, word):
    return f"{len(things):,} {word}{'' if len(things) == 1 else 's'}"


def _print_figures(paths):
    print("\nfigures:")
    for path in paths:
        print(f"  {path}")
