"""--import MODULE: modules of the user, which put their methods, networks, data sets and schedules
into the registries before the command line is read."""

import os
import sys
import traceback
from importlib import import_module, invalidate_caches
from pathlib import Path

from ..reading import one_line

FLAG = "--import"
imported: list[str] = []  # what it named on this command line, for the children of a sweep


def split(argv):
    """(argv without --import and its values, these values)."""
    rest, names, words = [], [], iter(argv)
    for word in words:
        flag, is_set, name = word.partition("=")
        if flag != FLAG:
            rest.append(word)
            continue
        name = name if is_set else next(words, "")
        if not name or name.startswith("-"):
            raise ValueError(f"{FLAG} needs a module: {FLAG} mine, or {FLAG} path/to/mine.py")
        names.append(name)
    return rest, names


def load(name):
    """Import the module `name`, from the current folder or Python's path, or the file `name`, if it
    ends in .py. ValueError, in one line, where there is none, or it fails."""
    folder, module, path = Path.cwd(), name, None
    if name.endswith(".py"):
        path = Path(name).absolute()
        folder, module = path.parent, path.stem
        if not os.path.isfile(path):
            raise ValueError(f"{FLAG} {name}: no file {path}")
    if str(folder) not in sys.path:
        sys.path.insert(0, str(folder))
    invalidate_caches()  # it may have been written just now
    try:
        found = import_module(module)
    except (Exception, SystemExit) as error:
        raise ValueError(f"{FLAG} {name}: {_fault(error, module, folder)}") from error
    if path and Path(found.__file__ or "").resolve() != path.resolve():
        raise ValueError(f"{FLAG} {name}: Python has another module {module} already; choose "
                         "another name for the file")


def _fault(error, module, folder):
    if isinstance(error, ModuleNotFoundError) and f"{module}.".startswith(f"{error.name}."):
        return f"no module of this name in {folder} or on Python's path"
    if isinstance(error, SyntaxError):
        return one_line(error)  # which says where
    last = traceback.extract_tb(error.__traceback__)[-1]
    return f"{one_line(error)} ({last.filename}, line {last.lineno})"
