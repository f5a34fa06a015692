"""Notebooks of the lessons, executed: `python -m lessons.build`, after `pip install -e .[lessons]`.

A lesson is lessons/NN_topic.py, in the percent format of jupytext. Its notebook has the same cells,
with what they print and show, and the digest of the source; nothing of time, of versions or of the
machine. A cell whose output depends on time or on a training has the tag `varies`.
"""

import hashlib
import json
import os
import re
import sys
import tempfile
import time
from pathlib import Path

import tyro

import lessons

FOLDER = Path(__file__).parent
SECONDS, BYTES = 60, 300_000  # that a lesson may take, and its notebook may have


def main(names: tyro.conf.Positional[tuple[str, ...]] = (), check: bool = False) -> None:
    """Build the notebooks of the lessons that have changed.

    Args:
        names: Numbers of lessons, such as 7: only these, whether they have changed or not.
        check: Run all of them, or those named, and compare with what is there; nothing is written.
            Exit code 1 where something differs, but for cells tagged `varies`.
    """
    faults = []
    for source in chosen(names):
        path, text = notebook_of(source), source.read_text(encoding="utf-8")
        if not check and not names and digest(text) == built_from(path):
            print(f"{source.stem}: not changed")
            continue
        began = time.monotonic()
        found = judge(text, path) if check else build(text, path)
        seconds = time.monotonic() - began
        found += [f"{seconds:.0f} s, and {SECONDS} are allowed"] * (seconds > SECONDS)
        print(f"{source.stem}: {seconds:.1f} s", *found, sep="\n  ", flush=True)
        faults += found
    sys.exit(1 if faults else 0)


def chosen(names=()):
    """The sources of all lessons, or of those with these numbers. Raises ValueError for others."""
    sources = {int(path.name[:2]): path for path in sorted(FOLDER.glob("[0-9][0-9]_*.py"))}
    for name in names:
        if not name.isdecimal() or int(name) not in sources:
            raise ValueError(f"there is no lesson {name}; there are {', '.join(map(str, sources))}")
    return [sources[int(name)] for name in names] or list(sources.values())


def notebook_of(source):
    """Where the notebook of a lesson is."""
    return FOLDER / "notebooks" / f"{source.stem}.ipynb"


def digest(text):
    """What tells a source from others."""
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def built_from(path):
    """The digest of the source that a notebook was built from; None where there is none."""
    if not path.exists():
        return None
    notebook = json.loads(path.read_text(encoding="utf-8"))
    return notebook["metadata"].get("lesson", {}).get("source")


def build(text, path):
    """Write the notebook of the lesson `text`; returns lines about what is wrong with it."""
    notebook, fault = executed(text)
    return [fault] if fault else write(notebook, path)


def write(notebook, path):
    """Write an executed notebook to `path`, or return lines about what is wrong with it."""
    import nbformat

    warned = {output.text for cell in notebook.cells for output in cell.get("outputs", [])
              if output.get("name") == "stderr"}
    written = nbformat.writes(notebook).encode() + b"\n"
    if warned:
        return [f"a cell warns: {text}" for text in warned]
    if len(written) > BYTES:
        return [f"{len(written):,} bytes, and {BYTES:,} are allowed"]
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(written)
    return []


def judge(text, path):
    """Lines about where the notebook at `path` is not what the lesson `text` gives now."""
    import nbformat

    if not path.exists():
        return ["there is no notebook; python -m lessons.build"]
    notebook, fault = executed(text)
    return [fault] if fault else differences(nbformat.read(path, as_version=4), notebook)


def executed(text):
    """(The notebook of the lesson `text`, None), or (None, what went wrong in a cell).

    It runs offline, in a folder of its own, with no predictions made.
    """
    from nbclient import NotebookClient
    from nbclient.exceptions import CellExecutionError, CellTimeoutError, DeadKernelError

    notebook = cells_of(text)
    there = os.pathsep.join([str(FOLDER.parent), *filter(None, [os.environ.get("PYTHONPATH")])])
    with tempfile.TemporaryDirectory() as folder:
        first = f"__import__('lessons.build').build.set_apart({folder!r})"  # leaves no name behind
        client = NotebookClient(
            notebook, timeout=2 * SECONDS, record_timing=False, kernel_name="python3",
            extra_arguments=["--log-level=ERROR", f"--IPKernelApp.exec_lines={first}"])
        with client.setup_kernel(cwd=folder, env=os.environ | {"PYTHONPATH": there}):
            for i, cell in enumerate(notebook.cells):
                try:
                    _join_texts(client.execute_cell(cell, i))
                except (CellExecutionError, CellTimeoutError, DeadKernelError) as error:
                    return None, re.sub(r"\x1b\[[\d;]*m", "", f"cell {i}: {error}")
    notebook.metadata = {
        "kernelspec": {"display_name": "Python 3", "language": "python", "name": "python3"},
        "language_info": {"name": "python"}, "lesson": {"source": digest(text)}}
    return notebook, None


def _join_texts(cell):
    """Make one text of those in a row: in how many a cell prints is chance."""
    outputs, joined = cell.get("outputs", []), []
    for output in outputs:
        if "name" in output and joined and joined[-1].get("name") == output.name:
            joined[-1].text += output.text
        else:
            joined.append(output)
    outputs[:] = joined


def set_apart(folder):
    """Have the lesson that runs in this process keep its files in `folder`, and use no network."""
    import socket

    def refuse(*args, **kwargs):
        raise OSError("a lesson runs offline")

    lessons.MINE = Path(folder)
    socket.socket.connect = socket.socket.connect_ex = socket.getaddrinfo = refuse


def cells_of(text):
    """The notebook of the lesson `text`, without outputs."""
    import jupytext

    notebook = jupytext.reads(text, fmt="py:percent")
    for i, cell in enumerate(notebook.cells):
        cell.id = f"cell-{i}"
    return notebook


def differences(committed, fresh):
    """Lines about the cells in which two notebooks differ."""
    if len(committed.cells) != len(fresh.cells):
        return [f"{len(committed.cells)} cells are committed, the lesson has {len(fresh.cells)}"]
    lines = []
    for i, (old, new) in enumerate(zip(committed.cells, fresh.cells, strict=True)):
        for what, value in (("text", _text), ("output", _output)):
            if value(old) != value(new):
                lines.append(f"cell {i}: its {what} was {value(old)!r}, and is {value(new)!r}")
    return lines


def _text(cell):
    return cell.cell_type, cell.source, cell.metadata.get("tags", [])


def _output(cell):
    """What a cell prints and shows, an image by its words; where it varies, of which kinds."""
    outputs = cell.get("outputs", [])
    if "varies" in cell.metadata.get("tags", []):
        return [sorted(output.get("data", ["text"])) for output in outputs
                if output.get("name") != "stderr"]  # such as that loops are being compiled
    return [output.get("text", output.get("data", {}).get("text/plain")) for output in outputs]


if __name__ == "__main__":
    try:
        tyro.cli(main)
    except (ValueError, ModuleNotFoundError) as error:  # jupytext and others are an extra
        more = "" if isinstance(error, ValueError) else '; pip install -e ".[lessons]"'
        print(f"lessons.build: {error}{more}", file=sys.stderr)
        sys.exit(2)
