"""minidsr.run.config: whatever the values, a Config is refused in one line, or can be trained."""

import json
import math
from dataclasses import fields, replace
from types import UnionType
from typing import get_args, get_origin

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from minidsr.checks import LARGEST
from minidsr.methods import METHODS
from minidsr.nn import models
from minidsr.run import directory
from minidsr.run.config import TYPES, Config
from minidsr.schedules import piecewise

HUGE = "9" * 5000
CHOICES = {"model": ["wrn-10-1", "lenet-300-100-0.5", "wrn-1000000000000000-1", f"wrn-28-{HUGE}",
                     "resnet50-1000000000", f"wrn-{HUGE}-1", "wrn-16-0.0001"],
           "method": list(METHODS), "data": ["synthetic", "mnist"], "values": ["final"],
           "device": ["cpu", "gpu"], "engine": ["plain"], "distribution": ["er", "erk"],
           "growth": ["room"], "granularity": ["slice"], "variant": ["sign", "global", "set"]}
integers = st.integers(-3, 300) | st.sampled_from([10**9, 10**12, 2**63, 10**400, -(10**5000)])
floats = st.floats() | st.floats(0, 1) | st.sampled_from([1e308, 5e-324, -0.0, 1e30])
ATOMS = {bool: st.booleans(), int: integers, float: floats}


def values_of(name, kind):
    """Any value of this type, at times one that is likely to be right."""
    kind = next((k for k in get_args(kind) if isinstance(kind, UnionType)), kind)  # but for None
    if kind is str:
        return st.text(max_size=20) | st.sampled_from(CHOICES.get(name, ["x"]))
    if get_origin(kind) is tuple:
        of = get_args(kind)[0]
        fine = {int: st.integers(1, 9), float: st.floats(0, 1)}[of]
        return st.lists(ATOMS[of], max_size=5).map(tuple) | st.just((of(1),) * 10**5) | st.lists(
            fine, max_size=3, unique=True).map(sorted).map(tuple)
    return ATOMS[kind]


TYPES_OF = {f.name: f.type for f in fields(Config) if f.name != "options"}


@st.composite
def settings(draw):
    """Values of some fields of Config, of their types."""
    names = draw(st.lists(st.sampled_from(list(TYPES_OF)), unique=True, min_size=1, max_size=4))
    method = draw(st.sampled_from(list(METHODS)))
    own = METHODS[method].options()
    chosen = {name: draw(values_of(name, TYPES_OF[name])) for name in names
              if name not in TYPES or name in own}
    return {"method": method} | chosen


@given(settings())
def test_a_config_is_refused_in_one_line_or_can_be_trained(values):
    try:
        config = Config(**values)
    except ValueError as error:
        said = str(error)
        assert 0 < len(said) < 400 and "\n" not in said
        return
    trained(config)


@pytest.mark.parametrize("name", TYPES_OF)
@given(data=st.data())
def test_each_field_alone(name, data):
    """Of some method that has it."""
    method = next((m for m in METHODS if name in METHODS[m].options()), "dsr")
    value = data.draw(values_of(name, TYPES_OF[name]))
    test_a_config_is_refused_in_one_line_or_can_be_trained.hypothesis.inner_test(
        {"method": method} | {name: value})


def trained(config):
    """What a training would ask of it is there, and it comes back from its file."""
    method = config.build_method(steps_per_epoch=500)
    total = 500 * config.epochs
    rates = [config.lr * config.lr_factor ** i for i in range(len(config.lr_milestones) + 1)]
    assert max(rates) <= LARGEST
    for t in (0, total // 2, total - 1):
        assert piecewise(t, total, config.lr_milestones, rates) >= 0
        method.due(t)
    models.check_name(config.model)
    back = json.loads(json.dumps(config.resolved(), allow_nan=False))
    assert {k: tuple(v) if isinstance(v, list) else v for k, v in back.items()} == config.resolved()
    assert len(directory.identity(config)) == 4


@given(st.sampled_from(["wrn", "small-cnn", "lenet-300-100", "resnet50"]), st.integers(0, 10**30),
       st.floats(0, 1e30))
def test_a_network_that_a_name_allows_can_be_built(kind, n, width):
    """It has at most 2^31 weights, roughly; and at most 2,000 layers."""
    name = (f"wrn-{6 * n + 4}" if kind == "wrn" else kind) + f"-{width:.3f}"
    try:
        models.check_name(name)
    except ValueError as error:
        assert "\n" not in str(error) and len(str(error)) < 250
        return
    channels = [round(c * width) for c in models.CHANNELS[kind]]
    depth = (6 * n - 2) / 3 if kind == "wrn" else 1
    largest = max(channels) ** 2 * 9 * depth if kind != "lenet-300-100" else math.prod(channels)
    assert largest < 2**32
    assert n <= 333 or kind != "wrn"


def test_the_number_of_weights_in_a_name_is_that_of_the_network(rng):
    """Within a third of it, for the networks of the paper and wider ones."""
    for name, image, classes in (("wrn-16-2", (3, 32, 32), 10), ("small-cnn-2", (3, 32, 32), 10),
                                 ("lenet-300-100", (1, 28, 28), 10)):
        count = models.build(name, image=image, classes=classes, rng=rng).free_parameters()
        kind, width = models.parts(name)
        kind, _, depth = kind.partition("wrn-")
        said = models.WEIGHTS[kind or "wrn"] * (int(depth) - 4 if depth else 1) * width ** 2
        assert 2 / 3 < said / count < 3 / 2


@given(st.integers(1, 200), st.lists(st.integers(1, 100), min_size=1, max_size=4, unique=True),
       st.integers(0, 10**6))
def test_extended_and_its_stages(epochs, longer, step):
    """Each stage leads to the next; all have another identity."""
    config = first = Config(epochs=epochs)
    stages = [first]
    for more in sorted(longer):
        if epochs + more > config.epochs:
            config = config.extended(epochs + more, step)
            stages.append(config)
    assume(len(stages) > 1)
    assert list(config.stages()) == stages[::-1]
    assert len({tuple(directory.identity(stage)) for stage in stages}) == len(stages)
    assert config.epochs == epochs + max(longer)
    with pytest.raises(ValueError, match="extend_epochs must be more than"):
        config.extended(config.epochs, step)
    with pytest.raises(ValueError, match="extend_epochs must be a whole number"):
        config.extended("12", step)
    with pytest.raises(ValueError, match="extended_from and extended_at"):
        replace(config, epochs=1)
