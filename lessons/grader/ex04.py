"""Training it.

A step of gradient descent, the learning rate in force, batches, and images moved and mirrored.
"""

import math
from fractions import Fraction
from itertools import product

import numpy as np
from hypothesis import strategies as st

from lessons.solutions import ex04 as solved
from minidsr.proof.cases import seeds
from minidsr.run.report import table

from .ex04_batches import batches
from .ex04_crop import crop_and_flip
from .exercise import Exercise, Plug
from .plug import DENSE

# --- sgd_step: (w, v, g, lr, momentum, nesterov, weight_decay) -> (w, v)
#
# All numbers are fractions of 2, 4, 8 ..., which floats add and multiply exactly, in any order.

RATES = 0.5, 0.125
MOMENTA = 0.5, 0.75, 0.0


def small_steps():
    for seed, (n, lr, momentum, nesterov, decay) in enumerate(product(
            (1, 2, 3), RATES, MOMENTA, (False, True), (0.0, 0.25))):
        yield _numbers(seed, n, 4, 1), lr, momentum, nesterov, decay


def step_cases():
    return st.tuples(seeds.map(lambda seed: _numbers(seed, 1 + seed % 6, 99, 4)),
                     st.sampled_from(RATES), st.sampled_from(MOMENTA), st.booleans(),
                     st.sampled_from((0.0, 0.25)))


def _numbers(seed, n, most, parts):
    rng = np.random.default_rng(seed)
    return rng.integers(-most, most + 1, (3, n)) / parts


def flat(case):
    """A case has the three arrays one by one."""
    arrays, *rest = case
    return *arrays, *rest


def step_level(w, v, g, lr, momentum, nesterov, weight_decay):
    return 2 if weight_decay else int(nesterov)


def two_arrays(g, w, *case):
    """there are new weights and new velocities, as many as old ones"""
    return len(g) == 2 and np.shape(g[0]) == np.shape(g[1]) == w.shape


def velocities(answer, w, v, g, lr, momentum, nesterov, weight_decay):
    """the velocity is momentum times the old one, plus the gradient with its decay"""
    return _as_wanted(answer[1], momentum * v + g + weight_decay * w)


def weights(answer, w, v, g, lr, momentum, nesterov, weight_decay):
    """the weights have gone down by lr times the velocity, by Nesterov's rule by that of the
    gradient once more"""
    g = g + weight_decay * w
    down = momentum * v + g
    return _as_wanted(answer[0], w - lr * (momentum * down + g if nesterov else down))


def _as_wanted(given, wanted):
    wrong = np.flatnonzero(np.array(given) != wanted)
    return not len(wrong) or (f"at position {wrong[0]} it should be {wanted[wrong[0]]:g}, yours is "
                              f"{given[wrong[0]]:g}")


def step_picture(answer, w, v, g, lr, momentum, nesterov, weight_decay):
    new = answer if answer is not None else (["?"] * len(w),) * 2
    rows = [[f"{x:g}" if x != "?" else x for x in row] for row in zip(w, v, g, *new, strict=True)]
    return (f"lr = {lr:g}, momentum = {momentum:g}, nesterov = {nesterov}, weight_decay = "
            f"{weight_decay:g}\n\n" + table(rows, ["w", "v", "g", "your w", "your v"]))


def in_place(w, v, g, lr, momentum, nesterov, weight_decay):
    """What comes out is right, but arrays that came in are changed. What do w -= ... and g += ...
    do, that w = w - ... and g = g + ... do not?"""
    w[...], v[...] = solved.sgd_step(w, v, g, lr, momentum, nesterov, weight_decay)
    return w, v


def old_velocity(w, v, g, lr, momentum, nesterov, weight_decay):
    """In Nesterov's rule the old velocity is used. Which velocity is there when the weights move?
    """
    new, velocity = solved.sgd_step(w, v, g, lr, momentum, nesterov, weight_decay)
    g = g + weight_decay * w
    return (w - lr * (momentum * v + g) if nesterov else w - lr * v), velocity


def decays_apart(w, v, g, lr, momentum, nesterov, weight_decay):
    """The weights decay, but the velocity does not know of it. Decay belongs to the gradient: when
    would it have to be added?"""
    new, velocity = solved.sgd_step(w, v, g, lr, momentum, nesterov, 0.0)
    return new - lr * weight_decay * w, velocity


def decays_velocity(w, v, g, lr, momentum, nesterov, weight_decay):
    """It is the velocity that decays. Decay belongs to the gradient: of what is it a multiple?"""
    return solved.sgd_step(w, v, g + weight_decay * v, lr, momentum, nesterov, 0.0)


def averages(w, v, g, lr, momentum, nesterov, weight_decay):
    """The velocity is a mean: the gradient counts by 1 - momentum. What is its factor in the
    docstring?"""
    g = (1 - momentum) * (g + weight_decay * w)
    return solved.sgd_step(w, v, g, lr, momentum, nesterov, 0.0)


def rate_in_velocity(w, v, g, lr, momentum, nesterov, weight_decay):
    """The velocity holds steps, with the learning rate in them. What becomes of it when the rate is
    divided by five? Where does the docstring have lr?"""
    new, velocity = solved.sgd_step(w, v / lr, g, lr, momentum, nesterov, weight_decay)
    return new, lr * velocity


def uphill(w, v, g, lr, momentum, nesterov, weight_decay):
    """The weights go up. Where does the gradient point: to where the loss falls, or rises?"""
    new, velocity = solved.sgd_step(w, v, g, lr, momentum, nesterov, weight_decay)
    return 2 * w - new, velocity


def never_nesterov(w, v, g, lr, momentum, nesterov, weight_decay):
    """The weights go down by lr times the velocity, always. What does `nesterov` change?"""
    return solved.sgd_step(w, v, g, lr, momentum, False, weight_decay)


def as_step(f):
    def step(sgd):
        for p in sgd.params:
            w, v = f(p.value, p.velocity, p.grad, sgd.lr, sgd.momentum, sgd.nesterov,
                     sgd.weight_decay)
            p.value[...] = w
            p.velocity = np.asarray(v, p.value.dtype)
    return step


sgd_step = Exercise(
    name="sgd_step", stars=1, minutes=10,
    small=lambda: map(flat, small_steps()), cases=step_cases().map(flat),
    levels=("momentum", "Nesterov's rule", "weight decay"), level=step_level,
    properties=(two_arrays, velocities, weights),
    picture=step_picture,
    mistakes=(in_place, old_velocity, decays_apart, decays_velocity, averages, rate_in_velocity,
              uphill, never_nesterov),
    hints=(
        "Without momentum, Nesterov and decay: what is the new w? Then add one after the other.",
        "Write three lines in the order of the docstring: g with its decay, then v, then w. Each "
        "line may use what the line before has made.",
        "Nesterov's rule is the second line applied twice: what comes out of it once is the new v; "
        "what w moves by is what would come out of it again, with the same g. And w -= ... would "
        "change the array that you were given."),
    plug=Plug(("minidsr.nn.sgd.SGD.step",), as_step, DENSE, 20),
    hidden=("minidsr.nn.sgd._update",))


# --- piecewise: (t, total, milestones, values) -> a value

VALUES = 8, 4, 2, 1
PHASES = (10, ()), (10, (0.1,)), (10, (0.3,)), (10, (0.25, 0.55)), (7, (0.5,)), (100, (0.55,)), (
    100, (0.07, 0.28)), (20, (0.0, 0.35, 0.95)), (3, (1.0,))


def small_phases():
    """Each step of a short training, of a long one those beside its milestones."""
    for total, milestones in PHASES:
        for t in range(total):
            if total <= 10 or min(abs(t - begin) for begin in _begins(total, milestones)) <= 1:
                yield t, total, milestones, VALUES[:len(milestones) + 1]


@st.composite
def phase_cases(draw):
    total = draw(st.integers(1, 1000) | st.integers(1, 50).map(lambda n: 100 * n))
    hundredths = sorted(draw(st.sets(st.integers(0, 100), max_size=3)))
    ends = [e for e in (-(-n * total // 100) + d for n in hundredths for d in (-1, 0))
            if 0 <= e < total]
    t = draw(st.integers(0, total - 1) | st.sampled_from(ends or [0]))
    return t, total, tuple(n / 100 for n in hundredths), VALUES[:len(hundredths) + 1]


def _begins(total, milestones):
    """Where each next value begins: exact."""
    return [round(100 * m) * Fraction(total, 100) for m in milestones]


def phase_level(t, total, milestones, values):
    if any(t == begin and t < m * total
           for begin, m in zip(_begins(total, milestones), milestones, strict=True)):
        return 2
    return int(t in _begins(total, milestones))


def one_of_the_values(g, t, total, milestones, values):
    """it is one of the values"""
    return type(g) is int and g in values


def not_too_early(g, t, total, milestones, values):
    """the value is not in force before its milestone"""
    i = values.index(g)
    return i == 0 or _begins(total, milestones)[i - 1] <= t


def not_too_late(g, t, total, milestones, values):
    """the value after it begins at a later step"""
    i = values.index(g)
    return i == len(milestones) or t < _begins(total, milestones)[i]


def phase_picture(g, t, total, milestones, values):
    begins = [0, *_begins(total, milestones)]
    rows = [[str(m), f"{float(begin):g}", str(v)]
            for m, begin, v in zip(("", *milestones), begins, values, strict=True)]
    return (f"step {t} of {total}\n\n" + table(rows, ["milestone", "begins at step", "value"])
            + f"\n\nyours  {'?' if g is None else g}")


def in_floats(t, total, milestones, values):
    """0.55 * 100 is 55.00000000000001: is step 55 before it? Print it. What does
    Fraction(str(0.55)) do?"""
    return values[sum(t >= m * total for m in milestones)]


def of_the_float(t, total, milestones, values):
    """The fraction is that of the float, which is not 0.1 but a hair more or less. Print
    Fraction(0.1), and Fraction("0.1")."""
    return values[sum(t >= Fraction(m) * total for m in milestones)]


def one_step_late(t, total, milestones, values):
    """At the milestone's own step the old value is still in force. Is that step included?"""
    return values[sum(t > begin for begin in _begins(total, milestones))]


def rounded_down(t, total, milestones, values):
    """A milestone between two steps is taken for the one before it. Half of 7 steps is 3.5: has
    step 3 reached it?"""
    return values[sum(t >= math.floor(begin) for begin in _begins(total, milestones))]


def as_if_steps(t, total, milestones, values):
    """Milestones are compared with t itself. Are they steps, or fractions of training?"""
    return values[sum(t >= m for m in milestones)]


def only_the_first(t, total, milestones, values):
    """After the second milestone there is still the second value. How many milestones are behind t?
    """
    return values[int(any(t >= begin for begin in _begins(total, milestones)))]


piecewise = Exercise(
    name="piecewise", stars=2, minutes=10,
    small=small_phases, cases=phase_cases(),
    levels=("between two milestones", "a milestone's own step", "one that floats find too late"),
    level=phase_level,
    properties=(one_of_the_values, not_too_early, not_too_late),
    picture=phase_picture,
    mistakes=(in_floats, of_the_float, one_step_late, rounded_down, as_if_steps, only_the_first),
    hints=(
        "Ten steps, a milestone at 0.3: which step is the first of the second value?",
        "Count how many milestones are behind t, or are t itself: that is the place in values.",
        "m * total is rounded, and may come out a hair too large. fractions.Fraction(str(m)) is "
        "the decimal as it is written, and its products are exact. Or compare t / total with m: "
        "why is that right?"),
    plug=Plug(("minidsr.schedules.piecewise",), config=DENSE, steps=20))

EXERCISES = [sgd_step, piecewise, batches, crop_and_flip]
