"""Pages whose tables and figures are written from the records.

A page has lines such as `<!-- table: NAME -->`: what of BLOCKS or of figures.DRAWN, and of which of
STUDIES; or what of WHOLE, of `all`. What stands between such a line and `<!-- end -->` is written
anew; what is around is written by hand.
"""

import re

from lessons import RESULTS
from minidsr.run import style

from . import findings, tables
from .figures import DRAWN
from .studies import STUDIES

PAGES = [RESULTS.parents[1] / "README.md", *sorted(RESULTS.glob("*.md"))]
FIGURES = RESULTS.parent / "figures"
BLOCK = re.compile(r"(<!-- (\w+): ([\w-]+) -->\n).*?(<!-- end -->)", re.DOTALL)
BLOCKS = {"table": tables.table, "published": tables.published, "left": tables.left,
          "counts": tables.counts, "overlap": tables.overlap, "ages": tables.ages,
          "filters": tables.filters, "hours": tables.hours, "summary": tables.summary}
WHOLE = {"findings": findings.table, "total": tables.total}


def page(text):
    """A page with its tables and figures as the records have them."""
    return BLOCK.sub(lambda match: f"{match[1]}{_block(match[2], match[3])}\n{match[4]}", text)


def _block(what, name):
    if name == "all":
        return WHOLE[what]()
    if what in DRAWN:
        describe, _ = DRAWN[what]
        return f"![{describe(STUDIES[name])}](../figures/{name}_{what}.png)"
    return BLOCKS[what](STUDIES[name])


def main():
    """Write all pages, and the figures that are in them."""
    for path in PAGES:
        text = path.read_text(encoding="utf-8")
        path.write_text(page(text), encoding="utf-8", newline="\n")
        for _, what, name, _ in BLOCK.findall(text):
            if what in DRAWN:
                _, draw = DRAWN[what]
                with style.own_style():
                    draw(STUDIES[name]).savefig(FIGURES / f"{name}_{what}.png",
                                                metadata={"Software": None})
            print(f"{path.name}: {what} {name}")
