"""Nothing that matters rests on `assert`: also under -O and -OO a fault is found, and named."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest
from rooms import MODULES

ROOT = Path(__file__).parents[2]

FAULT = """
import numpy as np
from lessons.gallery import random_new_values
from minidsr.nn.base import Layer, Sequential
from minidsr.nn.layers import Linear, ReLU
from minidsr.parameters import Sparse
from minidsr.proof.cases import Case
from minidsr.proof.gradcheck import check_layer
from minidsr.reparam import reallocate
from minidsr.run.verify import Tally, try_case, verify_trace

rng = np.random.default_rng(0)
W = Sparse((3, 4), np.arange(8, dtype=np.int32), np.linspace(-1, 1, 8).astype(np.float32))
W.velocity = np.ones(8, np.float32)
case = Case([W], 0.5, 4, 0.1, 0)
sound, broken = verify_trace([case.run(reallocate)], method="dsr"), Tally()
assert not "stripped"
try_case(broken, case, reallocate=random_new_values.reallocate)
print(sound.held, broken.held, sorted(broken.violated))
print(sound)
print(broken)
linear = Linear(3, 2, rng=rng, dtype=np.float64)
check_layer(linear, rng.standard_normal((2, 3)), rng)

class Wrong(ReLU):
    def backward(self, dy):
        return 2 * super().backward(dy)

try:
    check_layer(Wrong(), rng.standard_normal((2, 3)), rng)
except ArithmeticError as error:
    print("wrong gradient:", error)
"""


@pytest.mark.parametrize("name", MODULES)
def test_no_assert_in_the_package(name):
    tree = ast.parse(MODULES[name].read_text())
    assert not [node.lineno for node in ast.walk(tree) if isinstance(node, ast.Assert)]


@pytest.mark.parametrize("option", ["-O", "-OO"])
def test_a_planted_fault_is_found(option):
    done = subprocess.run([sys.executable, option, "-c", FAULT], cwd=ROOT, capture_output=True,
                          text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith("True False ['grown_at_zero'")
    held, violated = done.stdout.split("invariant ")[1:]
    assert "VIOLATED" in violated and "VIOLATED" not in held
    rule = "grown at zero" if option == "-OO" else "A grown weight starts at value 0"
    assert rule in held
    assert "wrong gradient: input, " in violated
