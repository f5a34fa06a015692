"""The copy of the package that a submission is given: what its process loads, and no answers.

    package/   minidsr and lessons, as far as the runner and `inside` load them. What answers the
               exercises raises, and `inside` comes without the mistakes and solutions around it
    ours/      our own solution, which puts back what it takes from the package
    stub/      the stub
"""

import ast
import importlib
import inspect
import json
import os
import subprocess
import sys
from pathlib import Path
from pkgutil import resolve_name
from shutil import copytree, ignore_patterns

from .exercise import LESSONS

ROOT = LESSONS.parent
LOAD = """import json, pkgutil, sys
from importlib import import_module
for name in sys.argv[1:]:
    import_module(name)
gallery = sys.modules.get("lessons.gallery")  # loads its files only when it is asked for them
for module in pkgutil.iter_modules(gallery.__path__) if gallery else []:
    import_module(f"lessons.gallery.{module.name}")
modules = list(sys.modules.values())  # to look at some loads others
print(json.dumps([getattr(m, "__file__", None) for m in modules]))"""
LEFT_OUT = ignore_patterns("__pycache__", "mine", "notebooks", "results", "figures", "solutions")


def pack(exercise, folder):
    """Fill a new folder with package/, ours/ and stub/, for this exercise."""
    package = folder / "package"
    for name in ("minidsr", "lessons"):
        copytree(ROOT / name, package / name, ignore=LEFT_OUT)
    taken = {}
    for module, names in _answers(exercise).items():
        path = package / _path(module)
        text, taken[module] = without(path.read_text(encoding="utf-8"), names)
        path.write_text(text, encoding="utf-8")
    if exercise.inside:
        path = package / _path(exercise.inside.__module__)
        text = alone(path.read_text(encoding="utf-8"), exercise.inside.__name__)
        path.write_text(text, encoding="utf-8")
        (package / "lessons" / "grader" / "__init__.py").write_text("")
    _drop_what_is_not_loaded(package, exercise)
    back = [f"exec({text!r}, vars(sys.modules[{module!r}]))\n" for module, text in taken.items()
            if (package / _path(module)).exists()]
    loaded = [f"import {module}\n" for module in taken if (package / _path(module)).exists()]
    for name, text in (("ours", "".join(["import sys\n", *loaded, *back]) + exercise.ours()),
                       ("stub", exercise.stub())):
        (folder / name).mkdir()
        (folder / name / exercise.file).write_text(text, encoding="utf-8")


def without(source, names):
    """(A module in which these functions, "f" or "Class.f", raise; the functions as they were).
    Private functions that only they have used go, too."""
    tree, taken = ast.parse(source), []
    for name in names:
        node = tree
        for part in name.split("."):
            node = next(child for child in node.body if getattr(child, "name", None) == part)
        if "." not in name:
            taken.append(ast.unparse(node))
        node.body = ast.parse(f"raise RuntimeError('{name} is yours to write')").body
    while unused := [node for node in tree.body if _private(node) and not _used(tree, node)]:
        taken += map(ast.unparse, unused)
        tree.body = [node for node in tree.body if node not in unused]
    return ast.unparse(tree), "\n".join(taken)


def alone(source, name):
    """A module with nothing but this function, and what it needs."""
    tree, wanted, kept = ast.parse(source), {name}, []
    while more := [node for node in tree.body if node not in kept and wanted & _defined(node)]:
        kept += more
        wanted |= {x.id for node in more for x in ast.walk(node) if isinstance(x, ast.Name)}
    for node in kept:
        if isinstance(node, (ast.Import, ast.ImportFrom)):
            node.names = [a for a in node.names if _called(a) in wanted]
    tree.body = [node for node in tree.body if node in kept]
    return ast.unparse(tree)


def _answers(exercise):
    """{module: names of the package's functions that answer it}."""
    found = [resolve_name(target) for target in exercise.plug.targets] if exercise.plug else []
    answers = {}
    for f in {*found, exercise.solution, *map(resolve_name, exercise.hidden)}:
        f = inspect.unwrap(f)
        if f.__module__.startswith("minidsr."):
            answers.setdefault(f.__module__, []).append(f.__qualname__)
    return {module: sorted(names) for module, names in sorted(answers.items())}


def _path(module):
    """Where a module lies in the package."""
    return Path(inspect.getsourcefile(importlib.import_module(module))).relative_to(ROOT)


def _private(node):
    return isinstance(node, ast.FunctionDef) and node.name.startswith("_") and (
        not node.name.startswith("__"))


def _used(tree, function):
    return any(isinstance(x, ast.Name) and x.id == function.name
               for node in tree.body if node is not function for x in ast.walk(node))


def _defined(node):
    """The names that a statement of a module defines."""
    if isinstance(node, (ast.Import, ast.ImportFrom)):
        return set(map(_called, node.names))
    if isinstance(node, (ast.FunctionDef, ast.ClassDef)):
        return {node.name}
    return {x.id for x in ast.walk(node) if isinstance(x, ast.Name)
            and isinstance(x.ctx, ast.Store)}


def _imported(source, beginning):
    """The modules that so begin from which a source imports."""
    return [node.module for node in ast.walk(ast.parse(source))
            if isinstance(node, ast.ImportFrom) and (node.module or "").startswith(beginning)]


def _called(alias):
    return alias.asname or alias.name.partition(".")[0]


def _drop_what_is_not_loaded(package, exercise):
    """Keep what the runner loads, `inside`, and what our solution imports, and nothing else."""
    modules = _imported(exercise.ours(), "minidsr.")
    if exercise.inside:
        name = exercise.inside.__module__
        modules += [name, *_imported((package / _path(name)).read_text(encoding="utf-8"),
                                     "lessons.grader.")]  # within the function, when it is called
    done = subprocess.run([sys.executable, "-P", "-c", LOAD, "minidsr.proof.runner", *modules],
                          capture_output=True, text=True,
                          env={**os.environ, "PYTHONPATH": str(package)})
    if done.returncode:
        raise RuntimeError(f"the package for {exercise.address} does not load: {done.stderr}")
    loaded = set(json.loads(done.stdout))
    for path in package.rglob("*"):
        if path.is_file() and str(path) not in loaded:
            path.unlink()
