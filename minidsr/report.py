"""Tables and figures from the histories of runs."""

from pathlib import Path


def table(rows, header, left=(0,)):
    """Text table; every cell is a string. `left`: the columns that are aligned on the left."""
    widths = [max(len(row[i]) for row in (header, *rows)) for i in range(len(header))]

    def line(row):
        return "  ".join(cell.ljust(w) if i in left else cell.rjust(w)
                         for i, (cell, w) in enumerate(zip(row, widths, strict=True))).rstrip()

    return "\n".join([line(header), "  ".join("-" * w for w in widths), *map(line, rows)])


def compare(histories):
    """A table of {label: History}: what each run trained with, and what came out."""
    rows = []
    for label, history in histories.items():
        moved = [r["K"] for r in history.reallocations]
        average = f"{sum(moved) / len(moved):,.0f}" if moved else "0"
        rows.append([label, f"{history.setup['free_parameters']:,}",
                     f"{history.test_accuracy:.2f} %", average, f"{len(moved)}",
                     "yes" if history.conserved else "NO"])
    return table(rows, ["method", "free parameters", "test accuracy", "moved each time",
                        "reallocations", "conserved"])


def by_tensor(history):
    """A table of the tensors that may be sparse: density at the start and at the end."""
    start = [t["active"] for t in history.setup["tensors"]]
    end = history.reallocations[-1]["active"] if history.reallocations else start
    rows = [[t["name"], f"{t['size']:,}", f"{a:,}", f"{b:,}", f"{100 * a / t['size']:.1f} %",
             f"{100 * b / t['size']:.1f} %"]
            for t, a, b in zip(history.setup["tensors"], start, end, strict=True)]
    return table(rows, ["tensor", "positions", "free, start", "free, end", "density, start",
                        "density, end"])


def plot(histories, folder):
    """Draw {label: History} into `folder`; returns the paths of the figures.

    accuracy.png: test accuracy by epoch. For each run that reallocates also sparsity-LABEL.png, the
    sparsity of each tensor over time, and threshold-LABEL.png, H and K over time.
    """
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    paths = [_draw(folder / "accuracy.png", _accuracy, histories)]
    for label, history in histories.items():
        if history.reallocations:
            paths.append(_draw(folder / f"sparsity-{label}.png", _sparsity, history))
            paths.append(_draw(folder / f"threshold-{label}.png", _threshold, history))
    return paths


def _draw(path, fill, *what):
    """A figure that fill(figure, *what) draws, saved at `path`. No window is opened."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(7, 4.2), layout="constrained", dpi=120)
    fill(figure, *what)
    figure.savefig(path)
    return path


def _accuracy(figure, histories):
    axes = figure.add_subplot()
    for label, history in histories.items():
        axes.plot([e["epoch"] for e in history.epochs],
                  [e["test_accuracy"] for e in history.epochs], marker="o", markersize=3,
                  label=f"{label}: {history.setup['free_parameters']:,} free parameters")
    axes.set(xlabel="epoch", ylabel="test accuracy (%)", title="Test accuracy")
    axes.xaxis.get_major_locator().set_params(integer=True)
    axes.grid(alpha=0.3)
    axes.legend()


def _sparsity(figure, history):
    axes = figure.add_subplot()
    tensors, moves = history.setup["tensors"], history.reallocations
    steps = [0] + [r["step"] for r in moves]
    colours = _colours(len(tensors))
    for i, tensor in enumerate(tensors):
        active = [tensor["active"]] + [r["active"][i] for r in moves]
        axes.step(steps, [100 * (1 - a / tensor["size"]) for a in active], where="post",
                  color=colours[i], label=tensor["name"].removesuffix(".weight"))
    axes.set(xlabel="training step", ylabel="sparsity (%)",
             title="Sparsity of each tensor: first layers dark, last layers bright")
    axes.grid(alpha=0.3)
    axes.legend(fontsize="x-small", loc="center left", bbox_to_anchor=(1, 0.5),
                ncols=1 + len(tensors) // 16)


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
