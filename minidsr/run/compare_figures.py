"""Figures over many runs: what methods have in common and where they part, with intervals."""

from math import ceil
from pathlib import Path
from statistics import fmean

import numpy as np

from ..methods import METHODS
from . import compare, style
from .compare_tables import moved
from .figures import band, has_threshold, moments, watched

APART = 0.03  # by which points of equal budgets are moved apart, so that their bars are seen


@style.own_style()
def plot(groups, folder):
    """Draw the groups of compare.grouped() into `folder`; returns the paths of the figures, as PNG.

    accuracy: accuracy by epoch. budget: accuracy against free parameters. layers: density of each
    tensor at the end; density: over time. exploration: R_s over time. threshold: H and K.
    between: weights that changed tensor. age: weights pruned that had been grown only the time
    before. stop: accuracy against the stop epoch. Those that have nothing to show are left out.

    Where sparsities differ, each has a panel.
    """
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    sketch = Sketch(groups)
    moving = [g for g in groups if all(r.history.reallocations for r in g.results)]
    figures = {
        "accuracy": (_accuracy, groups), "budget": (_budget, groups),
        "layers": (_layers, [g for g in groups if 0 < fmean(densities(g, -1)) < 100]),
        "density": (_density, [g for g in groups if _changes(g)]),
        "exploration": (_exploration, moving),
        "threshold": (_threshold, [g for g in moving if has_threshold(g.results[0].history)]),
        "between": (_between, [g for g in moving if moved(g.results[0])["changed_tensor"]]),
        "age": (_age, [g for g in moving if all(len(r.ages) > 1 for r in g.results)]),
        "stop": (_stop, _with_stops(groups))}
    return [style.draw(folder / name, fill, sketch, some, size=sketch.size(name, some))
            for name, (fill, some) in figures.items() if some]


class Sketch:
    """What the figures of a study share: labels without the sparsity, looks, and panels."""

    def __init__(self, groups):
        names = compare.labels([g.results[0].settings for g in groups], without={"sparsity"})
        self.names = {g.label: name for g, name in zip(groups, names, strict=True)}
        order = sorted(dict.fromkeys(names), key=lambda name: len(name.split(", ")))
        self.looks = style.lines(order)

    def name(self, group):
        return self.names[group.label]

    def look(self, group):
        return self.looks[self.name(group)]

    def panels(self, groups):
        """{title: [group]}: one for each sparsity; what has none is in each of them."""
        sparsities = sorted({sparsity(g) for g in groups} - {None})
        if not sparsities:
            return {"": groups}
        return {f"sparsity {s:g}" if len(sparsities) > 1 else "":
                [g for g in groups if sparsity(g) in (None, s)] for s in sparsities}

    def size(self, name, groups):
        """Of a figure, in inches: wider and higher with more panels."""
        if name in ("budget", "stop"):
            return 7, 4.6
        if name == "density":
            tensors = len(groups[0].results[0].history.setup["tensors"])
            return 9, 0.6 + ceil(len(groups) / 2) * (1.0 + 0.16 * tensors)
        n = len(self.panels(groups))
        return 7, 0.4 + n * (3.6 if name != "threshold" else 5)

    def axes(self, figure, groups, title):
        """[(axes, groups)] of one panel below the other, with titles."""
        figure.suptitle(title, fontsize="medium")
        panels = self.panels(groups)
        column = figure.subplots(len(panels), squeeze=False, sharex=True)[:, 0]
        for axes, title in zip(column, panels, strict=True):
            axes.set_title(title, loc="left", fontsize="medium")
        return list(zip(column, panels.values(), strict=True))


def sparsity(group):
    """That the group was asked for; None for a method that is given none."""
    return group.results[0].settings.get("sparsity")


# --- accuracy


def _accuracy(figure, sketch, groups):
    """The mean over the seeds, by epoch, in a shade as wide as the seeds are."""
    kind = " and ".join(sorted({watched(r.history)[0] for g in groups for r in g.results}))
    said = [f"{kind.capitalize()} accuracy by epoch, mean over the seeds."]
    for axes, some in sketch.axes(figure, groups, "Mean and range over the seeds"):
        ends = []
        for g in some:
            curves = np.array([watched(r.history)[1] for r in g.results])
            epochs = np.arange(1, curves.shape[1] + 1)
            ends.append(_line(axes, sketch, g, epochs, curves))
            said.append(f"{g.label}: {ends[-1][2]:.1f} % after epoch {epochs[-1]}, the seeds from "
                        f"{curves[:, -1].min():.1f} to {curves[:, -1].max():.1f}.")
        style.finish(axes, ylabel=f"{kind} accuracy (%)")
        axes.xaxis.get_major_locator().set_params(integer=True)
        style.label_ends(axes, ends)
    axes.set_xlabel("epoch")
    return " ".join(dict.fromkeys(said))


def _line(axes, sketch, group, x, curves, **options):
    """Draw the mean of curves (seeds, points), and their range; returns the end for its label."""
    look = sketch.look(group)
    mean = curves.mean(0)
    axes.plot(x, mean, **look, markevery=style.few_marks(len(x)), **options)
    if len(curves) > 1:
        axes.fill_between(x, curves.min(0), curves.max(0), color=look["color"], alpha=0.08,
                          linewidth=0, step="post" if options else None)
    return sketch.name(group), x[-1], mean[-1], look["color"]


def _budget(figure, sketch, groups):
    return _against(figure, sketch, groups, "free parameters", lambda g: fmean(
        g.values("free_parameters")), "log")


def _stop(figure, sketch, groups):
    return _against(figure, sketch, groups, "stop epoch", _stop_epoch, "linear")


def _against(figure, sketch, groups, what, place, scale):
    """Test accuracy of each group against a number, with intervals; a line for each label that is
    left when that number is taken out of it."""
    axes, ends, said = figure.add_subplot(), [], []
    option = {"free parameters": "sparsity", "stop epoch": "stop_epoch"}[what]
    names = compare.labels([g.results[0].settings for g in groups], without={option})
    looks, series = style.lines(dict.fromkeys(names)), {}
    for g, name in zip(groups, names, strict=True):
        series.setdefault(name, []).append(g)
    places = [place(g) for g in groups]
    axes.set(xscale=scale, xlim=(min(places) / 1.3, max(places) * 1.3) if scale == "log" else
             (min(places) - 0.3, max(places) + 0.3))
    for i, (name, some) in enumerate(series.items()):
        points = sorted((place(g), *compare.interval(g.values("test_accuracy"))) for g in some)
        shift = i - (len(series) - 1) / 2
        x = [p * (1 + APART) ** shift if scale == "log" else p + 0.05 * shift for p, *_ in points]
        y, half = [p[1] for p in points], [p[2] or 0 for p in points]
        look = looks[name]
        axes.errorbar(x, y, yerr=half if any(half) else None, capsize=3, elinewidth=1, **look)
        ends.append((name, x[-1], y[-1], look["color"]))
        said += [f"{name}, {what} {_shown(p)}: {mean:.1f}" + (f" ± {h:.1f} %." if h else " %.")
                 for p, mean, h in points]
    _plain_ticks(axes, places)
    cut = _keep_in_sight(axes, groups)
    few = any(len(g.results) == 1 for g in groups)
    style.finish(axes, xlabel=what, ylabel="test accuracy (%)")
    axes.set_title("Mean over seeds, and its interval of 95 %" + "; without a bar: one seed" * few
                   + "; some bars go on beyond the frame" * cut, fontsize="medium")
    style.label_ends(axes, ends)
    return (f"Test accuracy against {what}, mean over the seeds and interval of 95 %; points of "
            "equal place stand a little apart. " + " ".join(said))


def _shown(place):
    return f"{place:,.0f}" if place >= 1000 else f"{place:g}"


def _plain_ticks(axes, places):
    """Ticks where the points are; those that would touch are left out."""
    kept, log = [], axes.get_xscale() == "log"
    for place in sorted(set(places)):
        if not kept or (place > 1.12 * kept[-1] if log else place > kept[-1]):
            kept.append(place)
    axes.set_xticks(kept, [_shown(place) for place in kept])
    axes.minorticks_off()


def _keep_in_sight(axes, groups):
    """An interval of two seeds may be longer than all accuracies: then it is cut, so that the
    means stay to be told apart. Returns if one is."""
    means = [fmean(g.values("test_accuracy")) for g in groups]
    room = max(5, max(means) - min(means))
    low, high = axes.get_ylim()
    seen = max(low, min(means) - room), min(high, max(means) + room)
    axes.set_ylim(seen)
    return seen != (low, high)


def _with_stops(groups):
    """The groups that have a like, but for the stop epoch."""
    some = [g for g in groups if "stop_epoch" in g.results[0].settings]
    names = compare.labels([g.results[0].settings for g in some], without={"stop_epoch"})
    return [g for g, name in zip(some, names, strict=True) if names.count(name) > 1]


def _stop_epoch(group):
    """After which nothing moves; that of the method where none is given."""
    config = group.results[0].config
    given = config.resolved()["stop_epoch"]
    return METHODS[config.method].default_stop * config.epochs if given is None else given


# --- where the weights are


def densities(group, at):
    """The density of each tensor, in percent, at the moment number `at`; mean over the seeds."""
    histories = [r.history for r in group.results]
    return [fmean(100 * moments(h)[at]["active"][i] / tensor["size"] for h in histories)
            for i, tensor in enumerate(histories[0].setup["tensors"])]


def _tensor_names(group):
    return [t["name"].removesuffix(".weight")
            for t in group.results[0].history.setup["tensors"]]


def _changes(group):
    return len({tuple(m["active"]) for m in moments(group.results[0].history)}) > 1


def _layers(figure, sketch, groups):
    said = ["The density of each tensor at the end, mean over the seeds, in %."]
    for axes, some in sketch.axes(figure, groups, "Density of each tensor, mean over the seeds"):
        ends = []
        for g in some:
            names, values = _tensor_names(g), densities(g, -1)
            places = np.linspace(0, 1, len(values))
            axes.plot(places, values, **sketch.look(g))
            ends.append((sketch.name(g), 1, values[-1], sketch.look(g)["color"]))
            said.append(f"{g.label}: " + ", ".join(
                f"{name} {value:.1f}" for name, value in zip(names, values, strict=True)) + ".")
        axes.set_xticks(places, names, rotation=90 if len(names) > 6 else 0,
                        fontsize="small" if len(names) > 6 else "medium")
        axes.tick_params(labelbottom=True)
        style.finish(axes, ylabel="density at the end (%)", from_zero=True)
        style.label_ends(axes, ends)
    return " ".join(dict.fromkeys(said))


def _density(figure, sketch, groups):
    """A map a group: tensors from the first to the last, time to the right."""
    rows = ceil(len(groups) / 2)
    maps = figure.subplots(rows, min(2, len(groups)), squeeze=False, sharex=True, sharey=True)
    from matplotlib.colors import LogNorm

    said = ["The density of each tensor over training, in %, of the first seed."]
    tables = [_over_time(g.results[0]) for g in groups]
    some = np.concatenate([table[table > 0] for _, table in tables])
    norm = LogNorm(some.min(), some.max(), clip=True)
    for axes, g, (steps, table) in zip(maps.flat, groups, tables, strict=False):
        names = _tensor_names(g)
        drawn = axes.pcolormesh(steps, np.arange(len(names) + 1), table, norm=norm,
                                cmap="viridis", rasterized=True)
        axes.set_title(f"{g.label}, seed {g.seeds[0]}", fontsize="small")
        axes.set_yticks(np.arange(len(names)) + 0.5, names, fontsize="small")
        axes.set_ylim(len(names), 0)
        said.append(f"{g.label}, seed {g.seeds[0]}: " + ", ".join(
            f"{name} from {row[0]:.1f} to {row[-1]:.1f}"
            for name, row in zip(names, table, strict=True)) + ".")
    for axes in maps.flat[len(groups):]:
        axes.axis("off")
    figure.supxlabel("training step", fontsize="medium")
    bar = figure.colorbar(drawn, ax=maps, label="density (%)")
    ticks = {f"{tick:.3g}": tick for tick in np.geomspace(norm.vmin, norm.vmax, 5)}
    bar.set_ticks(list(ticks.values()), labels=list(ticks))
    bar.ax.minorticks_off()
    return " ".join(dict.fromkeys(said))


def _over_time(result):
    """(edges of the moments, density of each tensor in each, in percent)."""
    times, tensors = moments(result.history), result.history.setup["tensors"]
    steps = [m["step"] for m in times]
    last = [i for i, step in enumerate(steps) if step not in steps[i + 1:]]  # of equal ones
    table = [[100 * times[i]["active"][j] / t["size"] for i in last[:-1]]
             for j, t in enumerate(tensors)]
    return [steps[i] for i in last], np.array(table)


# --- what moves


def _exploration(figure, sketch, groups):
    return _over_reallocations(
        figure, sketch, groups, lambda r: [x["explored"] for x in r.history.reallocations],
        "$R_s$, share of positions", "Share of positions that have ever held a weight")


def _between(figure, sketch, groups):
    return _over_reallocations(
        figure, sketch, groups, lambda r: [
            compare.changed_tensor(x) / max(1, x["K"]) for x in r.history.reallocations],
        "share of the pruned", "Share of the weights pruned that grow again in another tensor")


def _age(figure, sketch, groups):
    return _over_reallocations(
        figure, sketch, groups, lambda r: [young / max(1, pruned) for pruned, young in r.ages[1:]],
        "share of the pruned", "Share of the weights pruned that were grown only the time before")


def _over_reallocations(figure, sketch, groups, shares, ylabel, title):
    """A share at each reallocation: the mean over the seeds, and their range."""
    said = [f"{title}, by step, mean over the seeds, in %."]
    for axes, some in sketch.axes(figure, groups, title):
        ends = []
        for g in some:
            curves = np.array([shares(r) for r in g.results])  # of all, or but the first
            steps = [x["step"] for x in g.results[0].history.reallocations][-curves.shape[1]:]
            ends.append(_line(axes, sketch, g, steps, curves))
            mean = 100 * curves.mean(0)
            said.append(f"{g.label}: from {mean[0]:.1f} to {mean[-1]:.1f}, "
                        f"at most {mean.max():.1f}.")
        style.finish(axes, ylabel=ylabel, from_zero=True)
        style.label_ends(axes, ends)
    axes.set_xlabel("training step")
    return " ".join(dict.fromkeys(said))


def _threshold(figure, sketch, groups):
    """H above K, in each panel; a line a seed."""
    figure.suptitle("Threshold, and how many weights it prunes; a line a seed", fontsize="medium")
    panels = sketch.panels(groups)
    pairs = figure.subplots(2 * len(panels), squeeze=False, sharex=True)[:, 0]
    said = ["The threshold H and the number K of weights pruned at each reallocation, a line a "
            "seed, with the target N_p."]
    for (title, some), upper, lower in zip(panels.items(), pairs[::2], pairs[1::2], strict=True):
        ends_H, ends_K, targets = {}, {}, set()
        for g in some:
            name, look = sketch.name(g), sketch.look(g) | {"markersize": 3, "linewidth": 1}
            for r in g.results:
                steps, H, K = ([x[name] for x in r.history.reallocations]
                               for name in ("step", "H", "K"))
                first = r.history.reallocations[0]
                upper.plot(steps, H, drawstyle="steps-post", **look)
                lower.plot(steps, K, **look)
                ends_H[name] = name, steps[-1], H[-1], look["color"]
                ends_K[name] = name, steps[-1], K[-1], look["color"]
                said.append(f"{g.label}, seed {r.config.seed}: H from {H[0]:.3g} to {H[-1]:.3g}, K "
                            f"from {K[0]:,} to {K[-1]:,} of N_p = {first['N_p']:,}.")
            targets.add((first["N_p"], first["delta"]))
        upper.set_yscale("log", base=2)
        upper.set_title(title, loc="left", fontsize="medium")
        for N_p, delta in sorted(targets):
            band(lower, N_p, delta)
            ends_K[N_p] = f"N_p = {N_p:,}", steps[-1], N_p, style.BLACK
        style.finish(upper, ylabel="threshold H")
        style.finish(lower, ylabel="K, weights pruned", from_zero=True)
        style.label_ends(upper, list(ends_H.values()))
        style.label_ends(lower, list(ends_K.values()))
    lower.set_xlabel("training step")
    return " ".join(dict.fromkeys(said))
