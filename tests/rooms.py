"""The modules of the package, by room, and what each imports."""

import ast
from pathlib import Path

PACKAGE = Path(__file__).parents[1] / "minidsr"


def module_name(path):
    """methods/dsr.py -> methods.dsr, methods/__init__.py -> methods, __init__.py -> ''."""
    parts = path.relative_to(PACKAGE).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


MODULES = {module_name(path): path for path in sorted(PACKAGE.rglob("*.py"))}


def imported(name, tree=None):
    """The modules of the package that module `name` imports, anywhere in its text, or in `tree`, a
    part of it."""
    path = MODULES[name]
    package = name.split(".") if path.name == "__init__.py" else name.split(".")[:-1]
    package = [part for part in package if part]
    for node in ast.walk(tree or ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            for alias in node.names:
                assert alias.name.split(".")[0] != "minidsr", f"{name}: import {alias.name}"
        if not isinstance(node, ast.ImportFrom):
            continue
        if node.level == 0:
            assert node.module.split(".")[0] != "minidsr", f"{name}: from {node.module}"
            continue
        base = package[:len(package) - node.level + 1]
        base = ".".join(base + (node.module.split(".") if node.module else []))
        for alias in node.names:
            inner = f"{base}.{alias.name}".lstrip(".")
            yield inner if inner in MODULES else base


def outside(name, top_level):
    """Packages that module `name` imports from outside; only those at its top level, if asked."""
    tree = ast.parse(MODULES[name].read_text())
    for node in tree.body if top_level else ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name.split(".")[0] for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.level == 0:
            yield node.module.split(".")[0]
