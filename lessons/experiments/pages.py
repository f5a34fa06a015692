"""Pages whose tables and figures are written from the records.

A page has lines such as `<!-- table: NAME -->`: what of BLOCKS or of figures.DRAWN, and of which of
STUDIES; what of SPEED, or `figure`, and of which of speed.RECORDS; or what of WHOLE, of `all`. What
stands between such a line and `<!-- end -->` is written anew; what is around is written by hand.
"""

import os
import re
from pathlib import Path

from lessons import RESULTS
from minidsr.run import style

from . import findings, speed, tables
from .figures import DRAWN
from .studies import STUDIES

PAGES = [RESULTS.parents[1] / "README.md", RESULTS.parent / "notes" / "speed.md",
         *sorted(RESULTS.glob("*.md"))]
FIGURES = RESULTS.parent / "figures"
BLOCK = re.compile(r"(<!-- (\w+): ([\w-]+) -->\n).*?(<!-- end -->)", re.DOTALL)
BLOCKS = {"table": tables.table, "published": tables.published, "left": tables.left,
          "counts": tables.counts, "overlap": tables.overlap, "ages": tables.ages,
          "filters": tables.filters, "hours": tables.hours, "summary": tables.summary}
WHOLE = {"findings": findings.table, "total": tables.total}
SPEED = {"steps": speed.steps, "networks": speed.networks, "parts": speed.parts}


def page(path):
    """The text of a page with its tables and figures as the records have them."""
    return BLOCK.sub(lambda match: f"{match[1]}{_block(match[2], match[3], path)}\n{match[4]}",
                     path.read_text(encoding="utf-8"))


def _block(what, name, path):
    if name == "all":
        return WHOLE[what]()
    if name in speed.RECORDS:
        record = speed.RECORDS[name]
        return (_image(speed.describe(record), record / "speed.png", path) if what == "figure"
                else SPEED[what](record))
    if what in DRAWN:
        describe, _ = DRAWN[what]
        return _image(describe(STUDIES[name]), FIGURES / f"{name}_{what}.png", path)
    return BLOCKS[what](STUDIES[name])


def _image(words, image, path):
    """An image in Markdown, on the page at `path`."""
    return f"![{words}]({Path(os.path.relpath(image, path.parent)).as_posix()})"


def main():
    """Write all pages, and the figures that are in them."""
    for path in PAGES:
        text = page(path)
        path.write_text(text, encoding="utf-8", newline="\n")
        for _, what, name, _ in BLOCK.findall(text):
            if what in DRAWN:
                _, draw = DRAWN[what]
                with style.own_style():
                    draw(STUDIES[name]).savefig(FIGURES / f"{name}_{what}.png",
                                                metadata={"Software": None})
            print(f"{path.name}: {what} {name}")
