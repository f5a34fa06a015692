"""Imports of the package point downward only, and heavy ones stay where they belong."""

import ast

import pytest
from rooms import MODULES, imported, outside

# A module may import from the rows above its own.
ORDER = [
    ["fast", "nn", "proof", "run"],  # rooms: what stands in their __init__.py
    ["backend"],
    ["fast.parallel", "parameters", "fast.norm", "fast.compiled"],
    ["fast.blocked", "fast.sparse_conv", "fast.norm_loops", "nn.base", "run.environment"],
    ["nn.layers", "nn.sgd", "reparam"],
    ["fast.units"],
    ["fast.engine"],
    ["proof.reallocation"],
    ["proof.trace", "proof.invariants", "methods.exploration", "nn.models", "density",
     "schedules", "proof.cases", "proof.gradcheck", "proof.naive"],
    ["methods.dsr_slices"],
    ["methods.base"],
    ["methods.deepr", "methods.dsr", "methods.dst", "methods.gradual", "methods.hashed",
     "methods.itop", "methods.rigl", "methods.set", "methods.snfs", "methods.static",
     "methods.thin_dense"],
    ["methods"],
    ["data.batches", "run.directory"],
    ["data.files", "data.synthetic", "run.history"],
    ["data"],
    ["data.fetch"],
    ["run.config"],
    ["run.start"],
    ["run.train"],
    ["run.report", "run.bench"],
    ["run.verify"],
    [""],  # minidsr itself
    ["__main__"],
]
LEVEL = {name: level for level, row in enumerate(ORDER) for name in row}


def test_every_module_has_its_place():
    assert sorted(MODULES) == sorted(LEVEL)


@pytest.mark.parametrize("name", MODULES)
def test_imports_point_downward(name):
    for other in imported(name):
        assert other in MODULES, f"{name} imports {other}, which is not there"
        assert LEVEL[other] < LEVEL[name], f"{name} imports {other}"


def test_there_is_no_circle():
    """Follows from the order; holds also while the order is being changed."""
    below = {name: set(imported(name)) for name in MODULES}
    while below:
        free = {name for name, others in below.items() if not others & below.keys()}
        assert free, f"in a circle: {sorted(below)}"
        below = {name: others for name, others in below.items() if name not in free}


def test_the_walk_finds_imports():
    assert {"fast.blocked", "fast.norm", "backend", "nn.base", "fast.parallel", "parameters",
            "fast.sparse_conv", "fast.norm_loops"} == set(imported("nn.layers"))
    assert {"backend", "reparam", "methods.base"} == set(imported("methods.set"))
    assert {"methods.base", "methods.dsr", "methods.static"} < set(imported("methods"))
    assert {"methods", "nn.models", "parameters", "reparam"} <= set(imported(""))


@pytest.mark.parametrize("name", MODULES)
def test_methods_do_not_import_each_other(name):
    if name.startswith("methods.") and name != "methods.base":
        others = {other for other in imported(name) if other.startswith("methods")}
        assert others <= {"methods.base", "methods.dsr_slices", "methods.exploration"}


@pytest.mark.parametrize("name", MODULES)
def test_cupy_is_imported_in_backend_alone_and_on_demand(name):
    assert "cupy" not in set(outside(name, top_level=True))
    assert ("cupy" in set(outside(name, top_level=False))) == (name == "backend")


@pytest.mark.parametrize("name", MODULES)
def test_numba_is_imported_in_compiled_alone(name):
    assert ("numba" in set(outside(name, top_level=False))) == (name == "fast.compiled")


@pytest.mark.parametrize("name", [name for name in MODULES
                                  if name not in ("__main__", "proof.cases", "fast.compiled")])
def test_the_core_needs_numpy_alone(name):
    """What only some commands need is imported where they need it."""
    heavy = {"matplotlib", "pooch", "requests", "scipy", "threadpoolctl", "tqdm", "tyro", "numba",
             "hypothesis"}
    assert not heavy & set(outside(name, top_level=True))


@pytest.mark.parametrize("name", MODULES)
def test_what_needs_an_extra_is_loaded_on_demand(name):
    """minidsr.proof.cases needs hypothesis, the compiled modules need Numba."""
    compiled = {"fast.compiled", "fast.sparse_conv", "fast.norm_loops"}
    special = {"proof.cases"} | (set() if name in compiled else compiled)
    top = [node for node in ast.parse(MODULES[name].read_text()).body
           if isinstance(node, ast.ImportFrom)]
    assert not any(alias.name in special or node.module in special
                   for node in top for alias in node.names)
