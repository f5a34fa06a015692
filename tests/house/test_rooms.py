"""The rooms of the package: who may import whom, what is loaded when, and how long the way is."""

import ast
import subprocess
import sys

import pytest
from rooms import MODULES, imported, outside

CORE = ("checks", "shapes", "reading", "backend", "schedules", "parameters", "reparam", "density")
IMPORTS = {name: set(imported(name)) for name in MODULES}

# What a room may import, beside its own modules; a module's own row comes before its room's.
MAY_IMPORT = {
    "core": CORE,
    "nn": CORE,
    "proof": CORE,
    "proof.naive": (*CORE, "nn"),
    "proof.gradcheck": (*CORE, "nn"),
    "fast": (*CORE, "nn"),
    "methods": (*CORE, "proof", "nn.models"),
    "data": ("checks", "shapes", "reading", "backend"),
    "run": (*CORE, "nn", "proof", "fast", "methods", "data"),
    "face": (*CORE, "nn", "proof", "methods", "data", "run"),  # minidsr/__init__.py
    "__main__": ("face", "run", "backend"),
}


def room(name):
    """The room of a module: methods.dsr is in methods, reparam in core."""
    return "face" if name == "" else "core" if name in CORE else name.split(".")[0]


def within(name, places):
    """Is a module one of these places, or in one of them? To import a room is to import all."""
    return any(name == place or name.startswith(f"{place}.") or room(name) == place
               for place in places)


def rooms(imports):
    """A room imports only what the table says."""
    return [(name, other) for name, others in imports.items() for other in others
            if room(other) != room(name)
            and not within(other, MAY_IMPORT.get(name, MAY_IMPORT[room(name)]))]


def core_downward(imports):
    """In the core each imports only those that stand before it in CORE."""
    return [(name, other) for name in CORE for other in imports[name]
            if other in CORE and CORE.index(other) >= CORE.index(name)]


def run_is_at_the_top(imports):
    """Nothing imports run but the face and __main__."""
    return [(name, other) for name, others in imports.items() for other in others
            if room(other) == "run" and room(name) not in ("run", "face", "__main__")]


def methods_stand_alone(imports):
    """A method imports of its room base.py and magnitude.py only; dsr also dsr_slices and newborns,
    and base, like newborns, exploration."""
    allowed = {"methods.dsr": {"methods.base", "methods.dsr_slices", "methods.newborns"},
               **dict.fromkeys(("methods.base", "methods.newborns"), {"methods.exploration"})}
    return [(name, other) for name, others in imports.items() for other in others
            if room(name) == room(other) == "methods" and name != "methods"
            and other not in allowed.get(name, {"methods.base", "methods.magnitude"})]


def no_circle(imports):
    """No module imports itself by way of others; a room's __init__.py counts as a module."""
    below = {name: others & imports.keys() for name, others in imports.items()}
    while below:
        free = {name for name, others in below.items() if not others & below.keys()}
        if not free:
            return sorted((name, other) for name in below for other in below[name] & below.keys())
        below = {name: others for name, others in below.items() if name not in free}
    return []


RULES = (rooms, core_downward, run_is_at_the_top, methods_stand_alone, no_circle)


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.__name__)
def test_imports(rule):
    assert not rule(IMPORTS), rule.__doc__


@pytest.mark.parametrize(("rule", "name", "other"), [
    (rooms, "nn.layers", "fast.engine"),
    (rooms, "nn.base", "methods.base"),
    (rooms, "data.files", "parameters"),
    (rooms, "methods.set", "fast.parallel"),
    (rooms, "methods.set", "nn.layers"),
    (rooms, "proof.invariants", "nn.layers"),
    (rooms, "fast.units", "methods.base"),
    (rooms, "reparam", "nn.sgd"),
    (core_downward, "parameters", "reparam"),
    (core_downward, "backend", "density"),
    (run_is_at_the_top, "methods.base", "run.config"),
    (run_is_at_the_top, "proof.trace", "run.report"),
    (methods_stand_alone, "methods.rigl", "methods.set"),
    (methods_stand_alone, "methods.set", "methods.exploration"),
    (methods_stand_alone, "methods.base", "methods.dsr"),
    (no_circle, "run.history", "run.train"),
    (no_circle, "nn.base", "nn.layers")])
def test_an_offender_is_named(rule, name, other):
    """The rules can fail: with one import more, this one is found, and no other but in a circle."""
    found = rule(IMPORTS | {name: IMPORTS[name] | {other}})
    assert (name, other) in found
    assert rule is no_circle or found == [(name, other)]


def test_the_walk_finds_imports():
    assert IMPORTS["nn.layers"] == {
        "backend", "checks", "shapes", "nn.base", "nn.im2col", "parameters"}
    assert IMPORTS["methods.set"] == {"backend", "checks", "reparam", "methods.base",
                                      "methods.magnitude"}
    assert "run.command_line" in IMPORTS["__main__"]  # also inside of functions


# --- what is loaded when


@pytest.mark.parametrize("name", MODULES)
def test_cupy_is_imported_in_backend_alone_and_on_demand(name):
    assert "cupy" not in set(outside(name, top_level=True))
    assert ("cupy" in set(outside(name, top_level=False))) == (name == "backend")


@pytest.mark.parametrize("name", MODULES)
def test_numba_is_imported_in_compiled_alone(name):
    assert ("numba" in set(outside(name, top_level=False))) == (name == "fast.compiled")


@pytest.mark.parametrize("name", MODULES)
def test_scipy_is_imported_for_the_intervals_of_report_alone(name):
    assert ("scipy" in set(outside(name, top_level=False))) == (name == "run.compare")


@pytest.mark.parametrize("name", [name for name in MODULES if name not in (
    "run.command_line", "run.commands", "run.commands_machine", "run.commands_runs",
    "run.commands_verify", "run.flags", "proof.cases", "proof.updates", "fast.compiled")])
def test_numpy_alone_is_needed(name):
    """What only some commands need is imported where they need it."""
    heavy = {"matplotlib", "pooch", "requests", "scipy", "threadpoolctl", "tqdm", "tyro", "numba",
             "hypothesis", "PIL", "distributed"}
    assert not heavy & set(outside(name, top_level=True))


@pytest.mark.parametrize("name", MODULES)
def test_what_needs_an_extra_is_loaded_on_demand(name):
    """minidsr.proof.cases and updates need hypothesis, the compiled modules need Numba."""
    compiled = {"fast.compiled", "fast.sparse_conv", "fast.norm_loops", "fast.pool_loops"}
    special = {"proof.cases"} if name != "proof.updates" else set()
    special |= set() if name in compiled else compiled
    top = ast.Module([node for node in ast.parse(MODULES[name].read_text()).body
                      if isinstance(node, ast.ImportFrom)], [])
    assert not special & set(imported(name, top))


def test_the_face_is_lazy():
    """`import minidsr` loads nothing; each name of the face is there when it is asked for."""
    code = ("import sys, minidsr\n"
            "assert 'numpy' not in sys.modules\n"
            "for name in minidsr.__all__:\n"
            "    assert getattr(minidsr, name) is not None, name\n"
            "assert set(minidsr.__all__) <= set(dir(minidsr))\n"
            "assert callable(minidsr.train) and 'reallocate' in dir(minidsr)\n"
            "heavy = {'matplotlib', 'numba', 'tyro', 'hypothesis', 'pooch', 'PIL'}\n"
            "heavy &= set(sys.modules)\n"
            "assert not heavy, heavy\n"
            "try:\n"
            "    minidsr.retrain\n"
            "except AttributeError as error:\n"
            "    print(error)\n")
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout == "module 'minidsr' has no attribute 'retrain'\n"


# --- how long the way is


def lines(name):
    return len(MODULES[name].read_text().splitlines())


def test_the_reading_path_is_short(capsys):
    """README's order of reading. The size of the whole is printed, room by room."""
    path = ["reparam", "parameters", "density", *(name for name in MODULES if room(name) == "nn"),
            "methods.base", "methods.dsr", "run.train"]
    with capsys.disabled():
        whole = {}
        for name in MODULES:
            whole[room(name)] = whole.get(room(name), 0) + lines(name)
        print(f"\nlines: reading path {sum(map(lines, path)):,}, all {sum(whole.values()):,}:",
              ", ".join(f"{name} {count:,}" for name, count in whole.items()))
    assert sum(map(lines, path)) < 1600
