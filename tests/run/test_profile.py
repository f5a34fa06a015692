"""bench --profile: whose time is whose, that the sum is the step, and that nothing is left over."""

import json
import time
from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from minidsr.__main__ import main
from minidsr.fast.engine import choose_engine, use
from minidsr.methods import METHODS
from minidsr.nn import models
from minidsr.nn.layers import Sequential, softmax_cross_entropy
from minidsr.nn.sgd import SGD
from minidsr.run.profile import Timers, _named_units, as_table, profile

trees = st.recursive(st.integers(0, 9).map(lambda n: [n]), lambda inner: st.tuples(
    st.integers(0, 9), st.lists(inner, max_size=3)).map(lambda t: [t[0], *t[1]]), max_leaves=9)


@given(trees)
def test_own_times_are_told_apart_and_lose_nothing(tree):
    """Calls within calls, on a clock that only they move; a wait belongs to what it waits for."""
    clock = SimpleNamespace(now=0, waits=0)
    timers, expected = Timers(lambda: setattr(clock, "waits", clock.waits + 1),
                              lambda: clock.now), {}

    def run(name, tree):
        def work():
            clock.now += tree[0]
            for i, inner in enumerate(tree[1:]):
                run(f"{name}.{i}", inner)

        expected[name] = {"whole": tree[0]}
        return timers.timed(name, "whole", work)()

    run("all", tree)
    assert timers.own == expected
    assert clock.now == sum(own["whole"] for own in timers.own.values())
    assert clock.waits == 2 * len(expected)


def test_a_call_that_raises_is_counted_too():
    timers = Timers(lambda: None)
    with pytest.raises(ZeroDivisionError):
        timers.timed("a", "whole", lambda: 1 / 0)()
    assert list(timers.own) == ["a"]
    assert len(timers.inside) == 1


def test_the_first_two_steps_do_not_count():
    calls = []

    def step(loss):
        time.sleep(0 if len(calls) > 1 else 0.1)
        calls.append(loss(2))

    result = profile(step, lambda x: x, model=Sequential(), method=SimpleNamespace(step=step),
                     sgd=SimpleNamespace(step=step), steps=3, wait=lambda: None)
    assert calls == [2] * 5
    assert [p["part"] for p in result["parts"]] == ["loss", "rest"]
    assert result["step_ms"] < 60


def begun(name, engine, method="dsr"):
    rng = np.random.default_rng(0)
    model = use(models.build(name, image=(3, 32, 32), classes=10, rng=rng),
                choose_engine(engine, "cpu"))
    method = METHODS[method](sparsity=0.9) if method != "dense" else METHODS[method]()
    method.setup(model, rng)
    sgd = SGD(model.params())
    sgd.lr = 0.01
    x, y = rng.normal(size=(4, 3, 32, 32)).astype(np.float32), rng.integers(0, 10, 4)

    def step(loss_of=softmax_cross_entropy):
        model.backward(loss_of(model.forward(x, train=True), y)[1])
        method.step(0, sgd)

    return model, method, sgd, step


@pytest.mark.slow
@pytest.mark.parametrize("engine", ["plain", "blocked", "sparse"])
@pytest.mark.parametrize("name", ["small-cnn", "wrn-10-1"])
def test_a_network_in_parts(name, engine):
    """Each layer with weights is there, in the order of the network. Training goes on as if nothing
    had been watched, and no timer is left."""
    if engine == "sparse":
        pytest.importorskip("numba", reason="Numba is not installed")
    model, method, sgd, step = begun(name, engine)
    result = profile(step, softmax_cross_entropy, model=model, method=method, sgd=sgd, steps=2,
                     wait=lambda: None)
    parts = {p["part"]: p for p in result["parts"]}
    assert len(parts) == len(result["parts"])
    assert list(parts)[-4:] == ["loss", "SGD", "method", "rest"]
    convolutions = [path for path, layer in model.walk() if hasattr(layer, "kernel")]
    assert [part for part in parts if part in convolutions] == convolutions
    blocks = ["group1.block0", "group2.block0", "group3.block0"]
    assert [part for part in parts if part in blocks] == (blocks if "wrn" in name else [])
    for part in list(parts.values())[:-4]:
        assert part["unit"]
        assert part["forward_ms"] > 0 < part["backward_ms"]
        assert part["ms"] == part["forward_ms"] + part["backward_ms"]
    assert sum(p["ms"] for p in parts.values()) == pytest.approx(result["step_ms"])
    assert sum(p["share"] for p in parts.values()) == pytest.approx(1)
    again, *_, unwatched = begun(name, engine)
    for _ in range(4):  # two that do not count
        unwatched()
    assert all((a.value == b.value).all() for a, b in zip(model.params(), again.params(),
                                                          strict=True))
    for _, unit in _named_units(model, {}):
        assert not {"forward", "backward"} & vars(unit).keys()
    assert "step" not in vars(method) and "step" not in vars(sgd)
    lines = as_table(result).splitlines()
    assert len(lines) == len(parts) + 3
    assert lines[-1].split()[-2:] == ["100.0", "%"]


@pytest.mark.slow
def test_on_the_command_line(capsys):
    argv = ["bench", "--model", "wrn-10-0.25", "--batch", "2", "--steps", "1", "--profile"]
    assert main(argv) == 0
    out = capsys.readouterr().out
    assert "Where a training step goes, the mean of 1; not watched, their median was " in out
    assert "\nrest  " in out and "GPU is waited" not in out and "profile  " not in out
    assert main([*argv, "--json", "--method", "static"]) == 0
    found = json.loads(capsys.readouterr().out)["profile"]
    assert found["steps"] == 1
    assert sum(p["ms"] for p in found["parts"]) == pytest.approx(found["step_ms"])
