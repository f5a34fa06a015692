"""The leaderboard: `python -m lessons.check board` trains Mine of lesson 9 beside other methods.

All have the same budget, and by the same seed the same initial values, positions and batches. So
they are compared seed by seed, on images set apart from training: the test images are for once, at
the end.
"""

from pathlib import Path
from statistics import fmean
from unittest.mock import patch

from minidsr.checks import check_choice, check_range
from minidsr.methods import METHODS
from minidsr.proof.remote import Answerless, Remote
from minidsr.run.compare import interval
from minidsr.run.report import table

from .. import MINE
from . import find, report
from .words import MARKS, say
from .work import Work

STUDY = {"model": "small-cnn", "sparsity": 0.95, "batch": 50, "validation": 1000, "device": "cpu"}
SECONDS = 1200  # that a training may take
BUDGETED = [name for name, method in METHODS.items()
            if method.sparse and method.budget_rule == "conserved"]


def board(*, methods: tuple[str, ...] = ("static", "set", "rigl", "dsr"),
          seeds: tuple[int, ...] = (0, 1, 2), epochs: int = 3, work: Path = MINE) -> int:
    """Train your method, Mine of lesson 9, beside methods of the package, on drawn shapes.

    It must be right. Accuracy is on images set apart from training; differences are of equal seeds.
    Fifteen trainings take some three minutes on two cores.

    Args:
        methods: Of the package, with as many free parameters.
        seeds: Each method trains once with each.
        epochs: Passes over 4,000 images; 80 steps each.
        work: Folder of your work.
    """
    for name in methods:
        check_choice("method", name, BUDGETED)
    for name, values in (("method", methods), ("seed", seeds)):
        if not values or len(set(values)) < len(values):
            raise ValueError(f"name at least one {name}, and none twice")
    check_range("epochs", epochs, 1, 1000)
    (exercise,), mine = find("Mine"), Work(work)
    path, _ = mine.copy(exercise.file)
    with Remote(path) as remote:
        functions = report.functions([exercise], remote, here=False)
        if not functions or report.judged(exercise, functions[exercise], mine, remote):
            return 1
        try:
            found = _train_all(remote, (*methods, "mine"), seeds, epochs)
        except Answerless as error:
            say(f"{MARKS['wrong']} {error}{report.place(error)}")
            return 1
    return _say_board(found, seeds)


def trained(f, method, seed, epochs):
    """{accuracy, free: the numbers of free parameters} of a training. "mine" is by f, beside which
    it runs."""
    from minidsr.run.config import Config
    from minidsr.run.train import train

    with patch.dict(METHODS, {"mine": f}):
        history = train(Config(**STUDY, method=method, seed=seed, epochs=epochs))
    return {"accuracy": history.epochs[-1]["validation_accuracy"],
            "free": sorted({r["free_parameters"] for r in history.records
                            if "free_parameters" in r})}


def _train_all(remote, methods, seeds, epochs):
    """{method: [what trained() says, seed by seed]}."""
    found = {name: [] for name in methods}
    for i, seed in enumerate(seeds):
        for j, name in enumerate(methods, 1):
            one = remote.call("Mine", name, seed, epochs, through=f"{__name__}:trained",
                              seconds=SECONDS)
            found[name].append(one)
            say(f"{i * len(methods) + j:>4} of {len(seeds) * len(methods)}  {name}, seed {seed}: "
                f"{one['accuracy']:.1f} %")
    return found


def _say_board(found, seeds):
    """The table, the best first, and what it shows; 0, or 1 where budgets differ."""
    budgets = {free for runs in found.values() for one in runs for free in one["free"]}
    if len(budgets) > 1:
        counts = ", ".join(f"{name} {runs[0]['free'][-1]:,}" for name, runs in found.items())
        say(f"\n{MARKS['wrong']} These have not the same number of free parameters: {counts}.")
        return 1
    accuracy = {name: [one["accuracy"] for one in runs] for name, runs in found.items()}
    gains = {name: interval([a - b for a, b in zip(accuracy["mine"], values, strict=True)])
             for name, values in accuracy.items() if name != "mine"}
    order = sorted(accuracy, key=lambda name: -fmean(accuracy[name]))
    rows = [[str(i), name, "  ".join(f"{x:.1f}" for x in accuracy[name]),
             f"{fmean(accuracy[name]):.1f}", *_words(gains.get(name))]
            for i, name in enumerate(order, 1)]
    say("\n" + table(rows, ["", "method", f"seeds {', '.join(map(str, seeds))}", "mean",
                            "mine - it", "95 % interval"], left=(1, 2)))
    say(f"\nAccuracy in %, on {STUDY['validation']:,} images set apart; {budgets.pop():,} free "
        "parameters each. By the same\nseed all begin alike and see the same batches.\n")
    _say_what_is_shown(gains)
    return 0


def _words(gain):
    if gain is None:
        return ["", ""]
    mean, half = gain
    return [f"{mean:+.1f}", "" if half is None else f"{mean - half:+.1f} to {mean + half:+.1f}"]


def _say_what_is_shown(gains):
    """Which differences are larger than chance, as far as their intervals say."""
    if any(half is None for _, half in gains.values()):
        say("One seed gives no interval: nothing is shown. Name more seeds.")
        return
    better = [name for name, (mean, half) in gains.items() if mean > half]
    worse = [name for name, (mean, half) in gains.items() if mean < -half]
    for names, words in ((better, "better"), (worse, "worse")):
        if names:
            say(f"Mine is shown to be {words} than {', '.join(names)}.")
    if len(better) + len(worse) < len(gains):
        say("Where the interval has 0 in it, no difference is shown.")
    say("Each interval is right 95 times of 100, by itself: of many, some are wrong.")
