"""Where the time of a training step goes: timers around what the engine executes, for a while."""

from collections import defaultdict
from contextlib import contextmanager
from functools import wraps
from os.path import commonprefix
from time import perf_counter

from ..nn.base import Layer, Sequential
from .report import table


def profile(step, loss, *, model, method, sgd, steps, wait):
    """Means over `steps` training steps, after two that do not count; fit for JSON.

    step  trains on a batch, with the function of the loss that it is given
    loss  that function
    wait  called where a time is taken, to have a GPU finish first

    {"step_ms", "steps", "parts": [{"part", "unit", "forward_ms", "backward_ms", "ms", "share"}]};
    parts are the units in the order of the network (fast/units.py says what each stands for), then
    loss, SGD, the method, and the rest. The sum of their ms is step_ms.
    """
    timers = Timers(wait)
    train_step = timers.timed("rest", "whole", step)
    with watched(timers, model, method, sgd):
        for i in range(2 + steps):
            if i == 2:
                timers.own.clear()
            train_step(timers.timed("loss", "whole", loss))
    total, parts = sum(map(sum, map(dict.values, timers.own.values()))), []
    for part, own in timers.own.items():
        ms = {way: 1000 * seconds / steps for way, seconds in own.items()}
        parts.append({"part": part, "unit": timers.kinds[part], "forward_ms": ms.get("forward"),
                      "backward_ms": ms.get("backward"), "ms": sum(ms.values()),
                      "share": sum(own.values()) / total})
    return {"step_ms": 1000 * total / steps, "steps": steps, "parts": parts}


def as_table(result):
    """The parts as a text table."""
    def row(part, unit, *ms, share):
        return [part, unit or "", *("" if n is None else f"{n:.2f}" for n in ms),
                f"{100 * share:.1f} %"]

    rows = [row(p["part"], p["unit"], p["forward_ms"], p["backward_ms"], p["ms"], share=p["share"])
            for p in result["parts"]]
    rows.append(row("a step", None, None, None, result["step_ms"], share=1))
    return table(rows, ["part", "unit", "forward ms", "backward ms", "ms", "share"], left=(0, 1))


class Timers:
    """The seconds that functions take, each without what timed functions inside of it take.

    own    {part: {way: seconds}}, parts in the order in which each first returned. Their sum is the
           time of the outermost functions
    kinds  {part: kind of the function that was last called for it}
    """

    def __init__(self, wait, clock=perf_counter):
        self.wait, self.clock, self.inside = wait, clock, [0.0]
        self.own, self.kinds = defaultdict(lambda: defaultdict(float)), {}

    def timed(self, part, way, function, kind=None):
        """`function`, which takes its time in own[part][way]."""
        @wraps(function)
        def call(*args, **options):
            self.kinds[part] = kind
            self.wait()
            start = self.clock()
            self.inside.append(0.0)
            try:
                return function(*args, **options)
            finally:
                self.wait()
                took = self.clock() - start
                self.own[part][way] += took - self.inside.pop()
                self.inside[-1] += took
        return call


@contextmanager
def watched(timers, model, method, sgd):
    """In this context each unit of `model`, the method and SGD are timed."""
    names = {id(layer): name for name, layer in model.walk()}
    places = [(method, "step", "method", "whole", None), (sgd, "step", "SGD", "whole", None)]
    for name, unit in _named_units(model, names):
        places += [(unit, way, name, way, type(unit).__name__) for way in ("forward", "backward")]
    for place, attribute, part, way, kind in places:
        timed = timers.timed(part, way, getattr(place, attribute), kind)
        setattr(place, attribute, timed)
    try:
        yield
    finally:
        for place, attribute, *_ in places:
            delattr(place, attribute)  # the method of its class is there again


def _named_units(unit, names):
    """(name, unit) of all that computes in `unit`, inner ones first.

    A unit is called as the layer that it stands for; batch norm and a convolution in one as the
    convolution; and one that only joins others by what their names have in common.
    """
    parts = unit.units if isinstance(unit, Sequential) else [
        part for name, part in vars(unit).items() if isinstance(part, Layer) and name != "layer"]
    inner = [pair for part in parts for pair in _named_units(part, names)]
    yield from inner
    if not isinstance(unit, Sequential):
        layer = getattr(getattr(unit, "conv", unit), "layer", unit)
        common = commonprefix([name.split(".") for name, _ in inner])
        yield names.get(id(layer), ".".join(common)), unit
