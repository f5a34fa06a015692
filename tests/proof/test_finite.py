"""minidsr.proof.finite: where a number is first not finite."""

import numpy as np
import pytest

from minidsr.nn.models import wide_resnet
from minidsr.proof.finite import all_finite, first_not_finite


@pytest.fixture
def model(rng):
    return wide_resnet(10, 0.25, rng=rng, classes=5)


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_a_weight_is_named(model, bad):
    assert all_finite(model)
    model.layers["group2"].layers["block0"].body.layers["conv2"].weight.value[0, 0, 1, 1] = bad
    assert not all_finite(model)
    assert first_not_finite(model) == "group2.block0.conv2.weight"


@pytest.mark.filterwarnings("ignore::RuntimeWarning")
def test_the_first_layer_is_named_whose_output_is_not_finite(model, rng):
    x = rng.standard_normal((2, 3, 8, 8)).astype(np.float32)
    assert first_not_finite(model, [x], train=True) == "the loss itself"
    bad = x.copy()
    bad[0, 0, 0, 0] = np.nan
    assert first_not_finite(model, [bad], train=True) == "the output of conv1"
    model.layers["group1"].layers["block0"].body.layers["conv2"].weight.value *= 1e38
    model.layers["group1"].layers["block0"].body.layers["bn2"].weight.value *= 1e38
    assert first_not_finite(model, [x], train=True).startswith("the output of group1.block0.")


def test_the_model_computes_as_before(model, rng):
    """Nothing is put in the place of its layers; only the running statistics have moved."""
    x = rng.standard_normal((2, 3, 8, 8)).astype(np.float32)
    units, y = list(model.units), model.forward(x, train=True)
    first_not_finite(model, [x], train=True)
    assert model.units == units
    np.testing.assert_array_equal(model.forward(x, train=True), y)
