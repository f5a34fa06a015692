"""Figures from the histories of runs, each with a description in words."""

from pathlib import Path

from . import style


@style.own_style()
def plot(histories, folder):
    """Draw {label: History} into `folder`; returns the paths of the figures, as PNG. Beside each
    are the same as SVG, and NAME.alt.txt, which says what it shows.

    accuracy: accuracy by epoch. exploration, of runs that move weights: R_s over time.
    sparsity-LABEL, where it changes: the sparsity of each tensor over time.
    threshold-LABEL, where there is one: H and K over time.
    """
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    looks = style.lines(histories)
    paths = [style.draw(folder / "accuracy", _accuracy, histories, looks)]
    moving = {label: h for label, h in histories.items() if h.reallocations}
    if moving:
        paths.append(style.draw(folder / "exploration", _exploration, moving, looks))
    for label, history in histories.items():
        if len({tuple(r["active"]) for r in moments(history)}) > 1:
            paths.append(style.draw(folder / f"sparsity-{label}", sparsity, history, label))
        if has_threshold(history):
            paths.append(style.draw(folder / f"threshold-{label}", threshold, history, label))
    return paths


def moments(history):
    """{step, active} after the setup, each reallocation and each epoch, in order."""
    start = {"step": 0, "active": [t["active"] for t in history.setup["tensors"]]}
    return [start, *history.records[1:]]


def has_threshold(history):
    """Has the run's method a threshold H and a target N_p?"""
    return bool(history.reallocations) and None not in [
        history.reallocations[0][name] for name in ("H", "N_p")]


def threshold(figure, history, label):
    """Fill a Figure with H and K at each reallocation; returns a description of it."""
    records = history.reallocations
    steps, H, K = ([r[name] for r in records] for name in ("step", "H", "K"))
    N_p, delta = records[0]["N_p"], records[0]["delta"]
    upper, lower = figure.subplots(2, sharex=True)
    look = style.lines([label])[label] | {"markersize": 3}
    upper.plot(steps, H, drawstyle="steps-post", **look)
    upper.set_yscale("log", base=2)
    style.finish(upper, ylabel="threshold H",
                 title=f"{label}: threshold, and how many weights it prunes")
    lower.plot(steps, K, **look)
    band(lower, N_p, delta)
    style.finish(lower, xlabel="training step", ylabel="weights pruned",
                 from_zero=True)
    style.label_ends(lower, [("K, pruned", steps[-1], K[-1], look["color"]),
                             (f"N_p = {N_p:,}", steps[-1], N_p, style.BLACK)])
    inside = sum(abs(k - N_p) <= delta * N_p for k in K)
    return (f"{label}: the threshold H and the number K of weights pruned at each of "
            f"{len(records)} reallocations. H begins at {H[0]:.3g} and ends at {H[-1]:.3g}. K goes "
            f"from {K[0]:,} to {K[-1]:,}, at most {max(K):,}; {inside} times it is within "
            f"{100 * delta:g} % of the target N_p = {N_p:,}.")


def watched(history):
    """("validation" or "test", [accuracy of each epoch]): of the images that each epoch was tested
    on."""
    name = "validation" if "validation_accuracy" in history.epochs[0] else "test"
    return name, [e[f"{name}_accuracy"] for e in history.epochs]


def _accuracy(figure, histories, looks):
    axes, ends, said = figure.add_subplot(), [], []
    kinds = {label: watched(h)[0] for label, h in histories.items()}
    for label, history in histories.items():
        epochs, (kind, values) = [e["epoch"] for e in history.epochs], watched(history)
        axes.plot(epochs, values, markevery=style.few_marks(len(epochs)), **looks[label])
        named = label if len(set(kinds.values())) == 1 else f"{label} ({kind})"
        count = f"{history.epochs[-1]['free_parameters']:,} free parameters"
        ends.append((f"{named}: {count}", epochs[-1], values[-1], looks[label]["color"]))
        said.append(f"{named}, {count}: {values[0]:.1f} % after epoch {epochs[0]}, "
                    f"{values[-1]:.1f} % after epoch {epochs[-1]}.")
    words = " and ".join(sorted(set(kinds.values())))
    style.finish(axes, xlabel="epoch", ylabel=f"{words} accuracy (%)",
                 title=f"{words.capitalize()} accuracy")
    axes.xaxis.get_major_locator().set_params(integer=True)
    style.label_ends(axes, ends)
    return f"{words.capitalize()} accuracy by epoch. " + " ".join(said)


def _exploration(figure, histories, looks):
    axes, ends, said = figure.add_subplot(), [], []
    for label, history in histories.items():
        steps, R_s = ([r[name] for r in history.records] for name in ("step", "explored"))
        axes.plot(steps, R_s, drawstyle="steps-post", markevery=style.few_marks(len(steps)),
                  **looks[label])
        ends.append((label, steps[-1], R_s[-1], looks[label]["color"]))
        said.append(f"{label}: from {R_s[0]:.2f} to {R_s[-1]:.2f}.")
    style.finish(axes, xlabel="training step", ylabel="$R_s$, share of positions", ylim=(0, 1.02),
                 title="Share of positions that have ever held a weight")
    style.label_ends(axes, ends)
    return ("The share of positions that have ever held a weight, R_s, over training. "
            + " ".join(said))


def sparsity(figure, history, label):
    """Fill a Figure with the sparsity of each tensor over time; returns a description of it."""
    axes = figure.add_subplot()
    tensors, times = history.setup["tensors"], moments(history)
    steps, ends, said = [r["step"] for r in times], [], []
    between = "steps-post" if history.reallocations else "default"
    for i, (tensor, colour) in enumerate(zip(tensors, style.shades(len(tensors)), strict=True)):
        name = tensor["name"].removesuffix(".weight")
        values = [100 * (1 - r["active"][i] / tensor["size"]) for r in times]
        axes.plot(steps, values, drawstyle=between, color=colour)
        ends.append((name, steps[-1], values[-1], colour))
        said.append(f"{name}: from {values[0]:.1f} to {values[-1]:.1f}.")
    style.finish(axes, xlabel="training step", ylabel="sparsity (%)",
                 title=f"{label}: sparsity of each tensor, first layers dark, last layers bright")
    style.label_ends(axes, ends, size=style.FONT if len(ends) <= 16 else 6)
    return f"{label}: the sparsity of each tensor over training, in %. " + " ".join(said)


def band(axes, N_p, delta):
    """The target N_p as a line, with the range in which H stays."""
    axes.axhline(N_p, color=style.BLACK, linestyle=style.DASHED, linewidth=1)
    axes.axhspan((1 - delta) * N_p, (1 + delta) * N_p, color="0.5", alpha=0.2, linewidth=0)
