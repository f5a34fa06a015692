"""A figure of a lesson: saved, and in a notebook displayed, with words for who does not see it."""

import sys
import textwrap

import lessons
from minidsr.run import style
from minidsr.run.output import SPELLED

if hasattr(sys.stdout, "reconfigure"):  # a script's: code that a lesson prints has δ and Σ in it
    sys.stdout.reconfigure(errors=SPELLED)


@style.own_style()
def show(figure, name, *, alt):
    """Save a figure, and display it in a notebook, or print where it is; print it in words.

    name  of lessons/mine/figures/NAME.png; the same as .svg, and in words, is beside it
    alt   what the picture shows, with the numbers that it is there for

    Raises ValueError where `alt` says nothing.
    """
    alt = " ".join(alt.split())
    if not alt:
        raise ValueError("alt must say what the picture shows")
    folder = lessons.MINE / "figures"
    folder.mkdir(parents=True, exist_ok=True)
    path = style.save(figure, folder / name, alt)
    if _in_notebook():
        from IPython.display import display

        display({"image/png": path.read_bytes(), "text/plain": path.name}, raw=True,
                metadata={"image/png": {"alt": alt}})
    else:
        print(f"figure: {path}")
    print(textwrap.fill(alt, 100))  # as well: not every front end hands on what metadata say


def _in_notebook():
    """Is this run in a kernel? A script, or IPython in a terminal, has none."""
    ipython = sys.modules.get("IPython")
    return ipython is not None and hasattr(ipython.get_ipython(), "kernel")
