"""The subcommands for runs that are there: eval, export, report and plot."""

import sys
from dataclasses import replace
from pathlib import Path
from typing import Annotated

import tyro

from ..checks import check_folder
from ..fast.parallel import threads
from . import (
    compare,
    compare_figures,
    compare_tables,
    directory,
    figures,
    page,
    records,
    schema,
    weights,
)
from .evaluate import evaluate
from .flags import Out, Run, Runs
from .history import History
from .load import load
from .progress import computing, say_what_computes
from .train import Trainer


def eval(run: Run, data_dir: str | None = None, engine: str = "auto",
         device: str = "auto") -> None:
    """Test the network of a run on its data set's test images.

    Args:
        data_dir: Folder of the data set, if it has moved.
        engine: plain, blocked, sparse, or auto: sparse where it is faster.
        device: cpu, gpu or auto.
    """
    config = replace(directory.read_config(run), engine=engine, device=device, tf32=False)
    say_what_computes(config)
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
        out: Where the figures go (default: figures/ in the one run or folder, or runs/figures).
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
        own = len(runs) == 1 and not records.are_packed(runs[0])
        out = (runs[0] if own else Path("runs")) / directory.FIGURES
    if html:
        return _write_page(runs, out)
    if not single:
        groups, left_out = _studied(runs)
        check_folder(out)
        for line in left_out:
            print(f"left out: {line}", file=sys.stderr)
        with computing():
            print_figures(compare_figures.plot(groups, out))
        return
    run, = runs
    config, history = _with_epochs(run)
    check_folder(out)
    with computing():
        print_figures(figures.plot({config.method: history}, out))


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


def print_figures(paths):
    """Say where the figures are."""
    print("\nfigures:")
    for path in paths:
        print(f"  {path}")
