"""Figures of the experiments: what each shows in words, and how it is drawn, of a Study."""

from statistics import fmean

import numpy as np

from minidsr.run import compare, figures, style

from .tables import against


def describe_differences(study):
    """In words: differences of accuracy, of each kind of run."""
    shown = "; ".join(f"{study.rows[kind]} {against(study, kind).strip()}"
                      for kind in study.rows if kind != study.base)
    return (f"Test accuracy of each seed minus that of {study.rows[study.base]}, in points, with "
            f"means and their 95 % intervals. {shown}.")


def draw_differences(study):
    """Differences of accuracy, of each kind of run."""
    kinds = [kind for kind in study.rows if kind != study.base]
    figure, axes = _axes(0.8 + 0.32 * len(kinds))
    axes.axvline(0, color=style.BLACK, linewidth=0.8)
    for y, kind in enumerate(kinds):
        mean, half = compare.interval(values := study.differences(kind))
        axes.errorbar(mean, y, xerr=half, color=style.VERMILLION, marker="D", capsize=4)
        axes.plot(values, [y + 0.25] * len(values), "o", color=style.BLUE, markersize=3, alpha=0.7)
    if np.ptp(axes.get_xlim()) > 50:  # some collapse: the others are near 0
        axes.set_xscale("symlog", linthresh=5, linscale=2)
        ticks = [-50, -20, -5, -2, 0, 2, 5, 20]
        axes.set_xticks(ticks, [str(tick) for tick in ticks])
    axes.set_yticks(range(len(kinds)), [study.rows[kind] for kind in kinds])
    axes.invert_yaxis()
    style.finish(axes, xlabel=f"test accuracy minus {study.rows[study.base]}, points",
                 ylabel="", title="Each seed (dots), mean and 95 % interval")
    return figure


def describe_errors(study):
    """In words: test errors beside those published."""
    shown = "; ".join(
        f"{study.rows[kind]} {100 - study.summary(kind)[0]:.2f} here, {100 - mean:.2f} published"
        for kind, (mean, *_) in study.papers.items())
    return f"Test errors in %, on a logarithmic axis, here and as published. {shown}."


def draw_errors(study):
    """Test errors of methods against sparsity, each seed, beside the published means."""
    figure, axes = _axes(4.2)
    methods = {kind.rpartition("-")[0]: kind for kind in study.papers}
    sparsities = sorted({float(kind.rpartition("-")[2]) for kind in study.papers})
    for i, (method, kind) in enumerate(methods.items()):
        words = study.rows[kind].partition(",")[0]
        colour, dashes, mark = style.OWN[method.rpartition("-")[2]]
        found = [[100 - a for a in study.accuracies(f"{method}-{s}").values()] for s in sparsities]
        axes.plot(range(len(sparsities)), [fmean(each) for each in found], color=colour,
                  linestyle=dashes, label=f"{words}, here")
        for x, each in enumerate(found):
            axes.plot([x] * len(each), each, mark, color=colour, markersize=4)
        means, sds, _ = zip(*(study.papers[f"{method}-{s}"] for s in sparsities), strict=True)
        axes.errorbar([x + 0.07 * (i + 1) for x in range(len(sparsities))],
                      [100 - mean for mean in means], sds, color=colour, marker=mark,
                      markerfacecolor="white", linestyle="", capsize=3, label=f"{words}, published")
    axes.set_yscale("log")
    ticks = [1.5, 2, 3, 5, 10, 20, 50]
    axes.set_yticks(ticks, [str(tick) for tick in ticks])
    axes.set_yticks([], minor=True)
    axes.set_xticks(range(len(sparsities)), [str(s) for s in sparsities])
    style.finish(axes, xlabel="sparsity", ylabel="test error, %",
                 title="Each seed here, mean and standard deviation as published")
    axes.legend(frameon=False)
    return figure


def describe_densities(study):
    """In words: the density of each tensor at the start and in the end."""
    kinds = study.of_dsr()
    shown = []
    for kind in kinds:
        changes = (f"{start:.1f} to {fmean(end):.1f} %"
                   for start, end in zip(*_densities(study, kind), strict=True))
        shown.append(f"{study.rows[kind]}: {', '.join(changes)}")
    return ("Density of each tensor in the order of the network, at the start (broken lines) and "
            f"in the end (solid; dots are seeds). {'; '.join(shown)}.")


def draw_densities(study):
    """Where the weights are, of each of DSR's kinds of run."""
    kinds = study.of_dsr()
    tensors = study.of(kinds[0])[0].history.setup["tensors"]
    many = len(tensors) > 8
    figure, axes = _axes(5.2 if many else 3.6)
    colours = (style.BLUE, style.VERMILLION, style.GREEN, style.ORANGE)
    for kind, colour in zip(kinds, colours[:len(kinds)], strict=True):
        start, end = _densities(study, kind)
        axes.plot(start, color=colour, linestyle=style.DASHED, linewidth=1)
        axes.plot([fmean(values) for values in end], color=colour, label=study.rows[kind])
        for x, values in enumerate(end):
            axes.plot([x] * len(values), values, "o", color=colour, markersize=3, alpha=0.7)
    form, more = ("{name} ({size:,})", {"rotation": "vertical", "fontsize": 8}) if many else (
        "{name}\n{size:,}", {})
    axes.set_xticks(range(len(tensors)), [form.format(**t) for t in tensors], **more)
    style.finish(axes, from_zero=True, xlabel="", ylabel="density, %",
                 title="Density at the start (broken) and in the end (solid; dots are seeds)")
    axes.legend(frameon=False)
    return figure


def _densities(study, kind):
    """In percent: of each tensor at the start, and of each tensor a list over seeds in the end."""
    weights = study.weights(kind)
    return ([100 * start / size for size, start, _ in weights],
            [[100 * n / size for n in end] for size, _, end in weights])


def describe_explored(study):
    """In words: accuracy against the share of positions explored."""
    shown = "; ".join(f"{words}: R_s {study.explored(kind):.2f}, {study.summary(kind)[0]:.2f} %"
                      for kind, words in study.rows.items())
    return ("Test accuracy against R_s, the share of positions that have ever held a weight; small "
            f"marks are seeds, lines join means of one method. {shown}.")


def draw_explored(study):
    """Accuracy against R_s: methods at several periods as lines, others as points."""
    figure, axes = _axes(5)
    sides = {"fewer": ((0, 9), "center"), "protected": ((6, -11), "left")}  # else labels collide
    groups = {}
    for kind in study.rows:
        name, _, varied = kind.partition("-periods")
        groups.setdefault(name if varied else kind, []).append(kind)
    for name, kinds in groups.items():
        method = study.of(kinds[0])[0].config.method
        colour, dashes, mark = style.OWN[method]
        alike = [kind for kind in kinds if "periods" in kind] or kinds
        axes.plot([study.explored(kind) for kind in alike],
                  [study.summary(kind)[0] for kind in alike], color=colour,
                  linestyle=dashes if name == f"{method}-0.95" else style.DOTTED, linewidth=1)
        for kind in kinds:
            at = study.explored(kind), study.summary(kind)[0]
            axes.plot(*at, mark, color=colour, markersize=7)
            axes.plot([run.last["explored"] for run in study.of(kind)],
                      study.accuracies(kind).values(), mark, color=colour, markersize=3, alpha=0.5)
            text = study.rows[kind].rpartition("every ")[2]
            offset, side = sides.get(kind.partition("-")[0],
                                     ((6, 4), "left") if "periods" in kind else ((0, 9), "center"))
            axes.annotate(text, at, offset, textcoords="offset points", color=colour, fontsize=8,
                          horizontalalignment=side)
    axes.set_xlim(-0.02, 1.1)
    style.finish(axes, xlabel="R_s, share of positions that have ever held a weight",
                 ylabel="test accuracy, %",
                 title="Each seed (small), means (large); numbers are steps between reallocations")
    return figure


def describe_sparsity(study):
    """In words: the sparsity of each tensor over the first run of the base."""
    return figures.sparsity(_figure(5), study.of(study.base)[0].history, study.rows[study.base])


def draw_sparsity(study):
    """How the sparsity of each tensor goes, in the first run of the base."""
    figure = _figure(5)
    figures.sparsity(figure, study.of(study.base)[0].history, study.rows[study.base])
    return figure


def _axes(height):
    figure = _figure(height)
    return figure, figure.subplots()


def _figure(height):
    from matplotlib.figure import Figure

    return Figure(figsize=(8, height), layout="constrained", dpi=100)


DRAWN = {"differences": (describe_differences, draw_differences),
         "errors": (describe_errors, draw_errors),
         "densities": (describe_densities, draw_densities),
         "explored": (describe_explored, draw_explored),
         "sparsity": (describe_sparsity, draw_sparsity)}
