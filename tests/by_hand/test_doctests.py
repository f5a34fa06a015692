"""The examples in the docstrings of reparam.py."""

import doctest

import numpy as np

from minidsr import reparam
from minidsr.parameters import Sparse


def test_the_examples_of_algorithm_1():
    found = doctest.testmod(reparam, extraglobs={"np": np, "Sparse": Sparse})
    assert found.attempted >= 7
    assert not found.failed
