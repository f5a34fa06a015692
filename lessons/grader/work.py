"""The learner's folder: a copy of each stub to fill in, and how far one has come."""

import ast
import difflib
import json
import shutil
from itertools import count
from pathlib import Path

from minidsr.checks import check_folder

from .exercise import LESSONS

EXERCISES = LESSONS / "exercises"
FRESH = {"state": "open", "tries": 0, "hints": 0}


class Work:
    """lessons/mine, or another folder: exNN.py are the learner's, stubs/exNN.py what they were
    copied from, progress.json says how far they are. No grade is read from it."""

    def __init__(self, folder):
        self.folder = Path(folder)
        check_folder(self.folder)
        self.path = self.folder / "progress.json"

    def copy(self, file):
        """The learner's copy, and whether it is a new one."""
        path, new = self.folder / file, not (self.folder / file).exists()
        if new:
            (self.folder / "stubs").mkdir(parents=True, exist_ok=True)
            shutil.copyfile(EXERCISES / file, path)
            shutil.copyfile(EXERCISES / file, self.folder / "stubs" / file)
        return path, new

    def changes(self, file):
        """What has changed in the stub since it was copied, as a diff; empty if nothing has."""
        old = self.folder / "stubs" / file
        if not old.exists():
            return ""
        return "".join(difflib.unified_diff(
            _read(old).splitlines(keepends=True), _read(EXERCISES / file).splitlines(keepends=True),
            "the stub you have begun with", "the stub as it is now"))

    def reset(self, exercise):
        """Put the stub in the place of the learner's function, or at the end where there is none;
        the file as it was is kept, and its name returned. Of a file that cannot be read, all is
        replaced."""
        path, _ = self.copy(exercise.file)
        kept = next(name for n in count(1) if not (name := path.with_suffix(f".{n}.bak")).exists())
        shutil.copyfile(path, kept)
        stub = _read(EXERCISES / exercise.file)
        new = stub.splitlines(keepends=True)
        fresh = new[slice(*_lines(stub, exercise.name))]
        try:
            mine = _read(path)
            begin, end = _lines(mine, exercise.name)
            old = mine.splitlines(keepends=True)
            new = old[:begin] + fresh + old[end:]
        except StopIteration:
            new = [mine.rstrip(), "\n\n\n", *fresh]
        except (SyntaxError, ValueError):  # it is no Python, or no text
            pass
        path.write_text("".join(new), encoding="utf-8")
        (self.folder / "stubs").mkdir(exist_ok=True)
        shutil.copyfile(EXERCISES / exercise.file, self.folder / "stubs" / exercise.file)
        return kept

    def record(self, exercise):
        """{state, tries, hints} of an exercise; state is open, wrong, right or shown."""
        return FRESH | self._all().get(_key(exercise), {})

    def note(self, exercise, **changes):
        """Change the record of an exercise, and keep it."""
        records = self._all() | {_key(exercise): self.record(exercise) | changes}
        self.folder.mkdir(parents=True, exist_ok=True)
        self.path.write_text(json.dumps(records, indent=1), encoding="utf-8")

    def _all(self):
        try:
            return json.loads(_read(self.path))
        except (FileNotFoundError, ValueError):
            return {}


def _key(exercise):
    return f"{exercise.file[:-3]}.{exercise.name}"


def _read(path):
    return path.read_text(encoding="utf-8-sig")  # some editors begin a file with a mark


def _lines(source, name):
    """Where a function begins and ends, as a slice of lines."""
    node = next(node for node in ast.parse(source).body if getattr(node, "name", None) == name)
    return min([node.lineno, *(d.lineno for d in node.decorator_list)]) - 1, node.end_lineno
