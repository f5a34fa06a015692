"""Figures from the histories of runs."""

import os
import sys
from contextlib import contextmanager, suppress
from pathlib import Path


@contextmanager
def _own_style():
    """Matplotlib as it comes, whatever the user's matplotlibrc and MPLBACKEND say."""
    backend = None if "matplotlib" in sys.modules else os.environ.pop("MPLBACKEND", None)
    import matplotlib

    if backend is not None:  # as its import does it, but for an error where there is no such one
        os.environ["MPLBACKEND"] = backend
        with suppress(ValueError):
            matplotlib.rcParams["backend"] = backend
    with matplotlib.rc_context():
        matplotlib.rcdefaults()
        yield


@_own_style()
def plot(histories, folder):
    """Draw {label: History} into `folder`; returns the paths of the figures.

    accuracy.png: test accuracy by epoch. exploration.png, of runs that move weights: R_s over time.
    sparsity-LABEL.png, where it changes: the sparsity of each tensor over time.
    threshold-LABEL.png, where there is one: H and K over time.
    """
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    styles = _styles(histories)
    paths = [_draw(folder / "accuracy.png", _accuracy, histories, styles)]
    moving = {label: h for label, h in histories.items() if h.reallocations}
    if moving:
        paths.append(_draw(folder / "exploration.png", _exploration, moving, styles))
    for label, history in histories.items():
        if len({tuple(r["active"]) for r in _moments(history)}) > 1:
            paths.append(_draw(folder / f"sparsity-{label}.png", _sparsity, history))
        if history.reallocations and None not in [history.reallocations[0][name]
                                                  for name in ("H", "N_p")]:
            paths.append(_draw(folder / f"threshold-{label}.png", _threshold, history))
    return paths


def _moments(history):
    """{step, active} after the setup, each reallocation and each epoch, in order."""
    start = {"step": 0, "active": [t["active"] for t in history.setup["tensors"]]}
    return [start, *history.records[1:]]


def _draw(path, fill, *what):
    """A figure that fill(figure, *what) draws, saved at `path`. No window is opened."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(7, 4.2), layout="constrained", dpi=120)
    fill(figure, *what)
    figure.savefig(path)
    return path


def _accuracy(figure, histories, styles):
    axes = figure.add_subplot()
    for label, history in histories.items():
        axes.plot([e["epoch"] for e in history.epochs],
                  [e["test_accuracy"] for e in history.epochs], marker="o", markersize=3,
                  **styles[label],
                  label=f"{label}: {history.epochs[-1]['free_parameters']:,} free parameters")
    axes.set(xlabel="epoch", ylabel="test accuracy (%)", title="Test accuracy")
    axes.xaxis.get_major_locator().set_params(integer=True)
    axes.grid(alpha=0.3)
    _legend(axes, len(histories))


def _exploration(figure, histories, styles):
    axes = figure.add_subplot()
    for label, history in histories.items():
        axes.step([r["step"] for r in history.records], [r["explored"] for r in history.records],
                  where="post", label=label, **styles[label])
    axes.set(xlabel="training step", ylabel="$R_s$", ylim=(0, 1.02),
             title="Share of positions that have ever held a weight")
    axes.grid(alpha=0.3)
    _legend(axes, len(histories))


def _sparsity(figure, history):
    axes = figure.add_subplot()
    tensors, moments = history.setup["tensors"], _moments(history)
    between = "steps-post" if history.reallocations else "default"
    for i, (tensor, colour) in enumerate(zip(tensors, _colours(len(tensors)), strict=True)):
        axes.plot([r["step"] for r in moments],
                  [100 * (1 - r["active"][i] / tensor["size"]) for r in moments],
                  drawstyle=between, color=colour, label=tensor["name"].removesuffix(".weight"))
    axes.set(xlabel="training step", ylabel="sparsity (%)",
             title="Sparsity of each tensor: first layers dark, last layers bright")
    axes.grid(alpha=0.3)
    _legend(axes, len(tensors), many=0)


def _threshold(figure, history):
    upper, lower = figure.subplots(2, sharex=True)
    steps = [r["step"] for r in history.reallocations]
    upper.step(steps, [r["H"] for r in history.reallocations], where="post", marker=".")
    upper.set_yscale("log", base=2)
    upper.set(ylabel="threshold H", title="Threshold, and how many weights moved")
    lower.plot(steps, [r["K"] for r in history.reallocations], marker=".", label="K, moved")
    target = history.reallocations[0]["N_p"]
    lower.axhline(target, color="black", linestyle="--", linewidth=1,
                  label=f"N_p = {target:,}, the target")
    lower.set(xlabel="training step", ylabel="weights", ylim=(0, None))
    lower.legend()
    for axes in (upper, lower):
        axes.grid(alpha=0.3)


def _colours(n):
    from matplotlib import colormaps

    return [colormaps["viridis"](i / max(1, n - 1)) for i in range(n)]


def _styles(labels):
    """{label: how its lines look}; twenty can be told apart."""
    from matplotlib import colormaps

    return {label: {"color": colormaps["tab10"](i % 10), "linestyle": "-" if i % 20 < 10 else "--"}
            for i, label in enumerate(labels)}


def _legend(axes, entries, many=5):
    """Inside the axes, or beside them where it has more than `many` entries."""
    if entries > many:
        axes.legend(fontsize="x-small", loc="center left", bbox_to_anchor=(1, 0.5), handlelength=4,
                    ncols=1 + entries // 16)
    else:
        axes.legend()
