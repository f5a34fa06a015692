"""How every figure looks, and how it is saved: as PNG, as SVG, and in words.

Colours are those of Okabe and Ito, which people tell apart who see few hues. Each line differs from
the others in dashes and mark, too, so that it is told apart in grey; its label stands at its end.
"""

import os
import sys
from contextlib import contextmanager, suppress
from pathlib import Path

from ..methods import METHODS

BLACK, ORANGE, SKY, GREEN, BLUE, VERMILLION, PURPLE = (
    "#000000", "#E69F00", "#56B4E9", "#009E73", "#0072B2", "#D55E00", "#CC79A7")
SOLID, DASHED, DOTTED, DASH_DOT, LONG = "-", (0, (5, 2)), (0, (1, 1.5)), (0, (6, 2, 1, 2)), (
    0, (10, 3))
OWN = {  # method: colour, dashes, mark; the same in every figure
    "dense": (BLACK, SOLID, "D"), "thin-dense": (BLACK, DOTTED, "d"),
    "static": (BLUE, DASHED, "s"), "gradual": (SKY, SOLID, "h"), "hashed": (BLUE, DOTTED, "*"),
    "deepr": (ORANGE, DASH_DOT, "<"), "set": (GREEN, DASH_DOT, "^"), "snfs": (SKY, DASHED, "P"),
    "rigl": (PURPLE, LONG, "v"), "itop": (ORANGE, SOLID, "X"), "dst": (GREEN, DOTTED, ">"),
    "dsr": (VERMILLION, SOLID, "o")}
MARKS, DASHES = "p8H1234|_x+", (LONG, DASH_DOT, SOLID, DASHED, DOTTED)
FURTHER = [(colour, DASHES[i % 5], MARKS[i % 11])  # of methods that are not ours
           for i, colour in enumerate([PURPLE, GREEN, BLUE, VERMILLION, SKY, ORANGE, BLACK] * 10)]
SIZE = 7, 4.2  # inches
FONT = 9       # points, of labels


@contextmanager
def own_style():
    """Matplotlib as it comes, whatever the user's matplotlibrc and MPLBACKEND say."""
    backend = None if "matplotlib" in sys.modules else os.environ.pop("MPLBACKEND", None)
    import matplotlib

    if backend is not None:  # as its import does it, but for an error where there is no such one
        os.environ["MPLBACKEND"] = backend
        with suppress(ValueError):
            matplotlib.rcParams["backend"] = backend
    with matplotlib.rc_context():
        matplotlib.rcdefaults()
        matplotlib.rcParams |= {"svg.hashsalt": "minidsr", "axes.spines.top": False,
                                "axes.spines.right": False}
        yield


def draw(path, fill, *what, size=SIZE):
    """A figure that fill(figure, *what) draws and describes: `path`.png, .svg, and .alt.txt with
    the description. No window is opened. Returns the path of the PNG."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=size, layout="constrained", dpi=120)
    return save(figure, path, fill(figure, *what))


def save(figure, path, description):
    """Write `path`.png, `path`.svg and `path`.alt.txt; returns the path of the PNG."""
    path = Path(path)
    png = path.with_name(f"{path.name}.png")
    figure.savefig(png)
    figure.set_layout_engine("none")  # it is laid out, which takes most of the time
    figure.savefig(path.with_name(f"{path.name}.svg"), metadata={"Date": None})
    words = " ".join(description.split()) + "\n"
    path.with_name(f"{path.name}.alt.txt").write_text(words, encoding="utf-8")
    return png


def lines(labels):
    """{label: how its line looks}, each another; a label begins with the name of its method.

    The first label of a method looks as the method does in every figure; further ones share its
    colour.
    """
    found, taken = {}, set()
    for label in labels:
        colour, *own = _of_method(label.partition(",")[0])
        free = [own, *([DASHES[(i + j) % 5], mark] for j in range(5)
                       for i, mark in enumerate("s^vD<>PXhd*o" + MARKS))]
        dashes, mark = next(look for look in free if (colour, *look) not in taken)
        taken.add((colour, dashes, mark))
        found[label] = {"color": colour, "linestyle": dashes, "marker": mark, "markersize": 6,
                        "markeredgecolor": "white" if mark not in "1234|_x+" else colour,
                        "markeredgewidth": 0.4 if mark not in "1234|_x+" else 1.5}
    return found


def _of_method(method):
    if method in OWN:
        return OWN[method]
    others = [name for name in METHODS if name not in OWN]
    return FURTHER[others.index(method) % len(FURTHER) if method in others else -1]


def few_marks(points, most=12):
    """Where to put marks on a line of so many points: on all, or on `most` or less."""
    return max(1, -(-points // most))


def label_ends(axes, ends, size=FONT):
    """Write labels right of the axes, each at the height where its line ends, as near as the
    others let it; a thin dotted line leads there. The last thing to do with the axes.

    ends  [(label, x, y, colour)], in data coordinates
    """
    axes.get_xlim(), axes.get_ylim()  # has the limits computed, which the transform does not
    gap = 1.25 * size / (72 * _inches(axes))
    to_axes = axes.transData + axes.transAxes.inverted()
    points = [(*to_axes.transform((x, y)), label, colour) for label, x, y, colour in ends]
    points.sort(key=lambda point: point[1])
    heights = spread([y for _, y, *_ in points], gap)
    for (x, y, label, colour), height in zip(points, heights, strict=True):
        axes.plot([x, 1.025], [y, height], transform=axes.transAxes, color="0.5", linewidth=0.6,
                  linestyle=":", clip_on=False, scalex=False, scaley=False)  # no part of the line
        axes.text(1.03, height, label, transform=axes.transAxes, color=_readable(colour),
                  fontsize=size, va="center")


def spread(heights, gap):
    """Sorted heights, moved as little as need be so that neighbours are `gap` apart."""
    blocks = []  # [sum of wished bases, count]: those that touch move together
    for i, height in enumerate(heights):
        blocks.append([height - i * gap, 1])
        while len(blocks) > 1 and blocks[-2][0] / blocks[-2][1] >= blocks[-1][0] / blocks[-1][1]:
            total, count = blocks.pop()
            blocks[-1] = [blocks[-1][0] + total, blocks[-1][1] + count]
    bases = [total / count for total, count in blocks for _ in range(count)]
    return [base + i * gap for i, base in enumerate(bases)]


def _inches(axes):
    """About how high the axes will be."""
    rows = axes.get_gridspec().nrows if axes.get_subplotspec() else 1
    return (axes.figure.get_size_inches()[1] - 1) / rows


def _readable(colour):
    """A colour for text: the light ones darker, so that they stand out from white."""
    from matplotlib.colors import to_rgb

    red, green, blue = to_rgb(colour)
    light = 0.2126 * red + 0.7152 * green + 0.0722 * blue
    factor = min(1, 0.45 / light) if light else 1
    return red * factor, green * factor, blue * factor


def shades(n):
    """n colours from dark to bright, which tell an order, also in grey."""
    from matplotlib import colormaps

    return [colormaps["viridis"](0.8 * i / max(1, n - 1)) for i in range(n)]


def finish(axes, *, from_zero=False, **names):
    """Set labels, title and limits, those of y from zero if asked; a grid that stands back."""
    if from_zero:
        axes.set_ylim(0, 1.05 * max(axes.get_ylim()[1], 1e-9))
    axes.set(**names)
    axes.grid(alpha=0.25, linewidth=0.6)
