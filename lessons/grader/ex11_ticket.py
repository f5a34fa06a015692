"""Lesson 11: ticket."""

from itertools import product

from hypothesis import strategies as st

from lessons.solutions import ex11 as solved
from minidsr.methods import METHODS
from minidsr.run.config import Config

from .exercise import Exercise
from .words import code

OF_DSR = {"threshold": 0.01, "target_pruned": 40, "periods": (5, 10), "period_milestones": (0.5,),
          "stop_epoch": 2, "tolerance": 0.2, "keep_one": False, "growth": "room"}
OF_BOTH = {"sparsity": 0.9, "distribution": "erk"}  # of static, too
OF_ALL = {"seed": 3, "epochs": 4, "batch": 20, "model": "wrn-10-1", "lr": 0.05, "momentum": 0.8}


def small():
    """Nothing but the method; one setting more, and two."""
    options = [*OF_DSR.items(), *OF_BOTH.items(), *OF_ALL.items()]
    for folder in ("runs/a", "runs/dsr-0"):
        yield {"method": "dsr"}, folder
    for name, value in options:
        yield {"method": "dsr", name: value}, "runs/a"
    for (name, value), (another, also) in product(OF_ALL.items(), [*OF_DSR.items(),
                                                                   *OF_BOTH.items()]):
        yield {"method": "dsr", name: value, another: also, "period_milestones": (0.5,),
               "periods": (5, 10)}, "runs/a"


@st.composite
def cases(draw):
    chosen = draw(st.sets(st.sampled_from([*OF_DSR, *OF_BOTH, *OF_ALL])))
    settings = {name: value for name, value in (OF_ALL | OF_BOTH | OF_DSR).items()
                if name in chosen}
    if "seed" in settings:
        settings["seed"] = draw(st.integers(0, 10**6))
    return {"method": "dsr", **settings}, draw(st.sampled_from(("runs/a", "runs/b/dsr-0.95-1")))


def level(settings, folder):
    if "distribution" in settings:
        return 2
    return int(bool(settings.keys() & OF_DSR.keys()))


def two_static_runs(g, settings, folder):
    """there are two dicts, of static runs with the structure in the folder"""
    return len(g) == 2 and all(run["method"] == "static" and run["structure_from"] == folder
                               for run in g)


def values_of_each(g, settings, folder):
    """the first has the original values, the second random ones"""
    return [run["values"] for run in g] == ["original", "random"]


def seeds_of_each(g, settings, folder):
    """the first has the seed of the run, the second one that is 100 higher; a run without has 0"""
    seed = settings.get("seed", 0)
    return g[0].get("seed", 0) == seed and g[1].get("seed", 0) == seed + 100


def are_accepted(g, settings, folder):
    """both are settings of a run: Config takes them"""
    for run in g:
        try:
            Config(**run)
        except (TypeError, ValueError) as error:
            return str(error)
    return True


def nothing_else_changes(g, settings, folder):
    """everything else is as it was, sparsity too; the other options of DSR are gone"""
    of_dsr = METHODS["dsr"].options().keys() - {"sparsity"}
    new = {"method", "seed", "structure_from", "values"}
    kept = {name: value for name, value in settings.items() if name not in of_dsr | new}
    return all({name: _plain(run[name]) for name in run.keys() - new} == {
        name: _plain(value) for name, value in kept.items()} for run in g)


def _plain(value):
    return list(value) if isinstance(value, tuple) else value


def picture(g, settings, folder):
    lines = [f"settings  {code(settings)}", f"folder    {folder}"]
    if isinstance(g, list) and len(g) == 2:
        lines += [f"same      {code(g[0])}", f"other     {code(g[1])}"]
    return "\n".join(lines)


# --- mistakes


def keeps_all_options(settings, folder):
    """Options of DSR are handed on, and static has no threshold. Which of them does it know?"""
    same = {**settings, "method": "static", "structure_from": folder, "values": "original"}
    return same, {**same, "values": "random", "seed": settings.get("seed", 0) + 100}


def keeps_nothing(settings, folder):
    """The runs have default settings. With what would you compare a run of other epochs?"""
    seed = settings.get("seed", 0)
    same = {"method": "static", "seed": seed, "structure_from": folder, "values": "original"}
    return same, {**same, "values": "random", "seed": seed + 100}


def without_options(settings, folder):
    """All options of DSR are left out, sparsity too. How sparse is the run then said to be?"""
    kept = {name: value for name, value in settings.items()
            if name not in METHODS["dsr"].options()}
    return solved.ticket(kept, folder)


def keeps_the_distribution(settings, folder):
    """The initial distribution stays, and says where weights are; so does the structure. Who is
    right?"""
    same, other = solved.ticket(settings, folder)
    kept = {name: settings[name] for name in ("distribution",) if name in settings}
    return {**kept, **same}, {**kept, **other}


def the_same_seed(settings, folder):
    """Both have the same seed. Which values does it draw, and which does the run begin with?"""
    same, other = solved.ticket(settings, folder)
    return same, {**other, "seed": settings.get("seed", 0)}


def exchanged(settings, folder):
    """The first has random values, the second the original ones. Which is which?"""
    same, other = solved.ticket(settings, folder)
    return {**same, "values": "random"}, {**other, "values": "original"}


def still_dsr(settings, folder):
    """The runs still move weights. What is a structure tested by, that changes?"""
    return tuple({**settings, **run, "method": "dsr"} for run in solved.ticket(settings, folder))


def no_structure(settings, folder):
    """Nothing says where the structure is from. Where would static put its weights then?"""
    return tuple({name: value for name, value in run.items() if name != "structure_from"}
                 for run in solved.ticket(settings, folder))


ticket = Exercise(
    name="ticket", stars=2, minutes=20,
    small=small, cases=cases(),
    levels=("settings of any method", "options of DSR", "an initial distribution"),
    level=level,
    properties=(two_static_runs, values_of_each, seeds_of_each, are_accepted,
                nothing_else_changes),
    picture=picture,
    mistakes=(keeps_all_options, keeps_nothing, without_options, keeps_the_distribution,
              the_same_seed, exchanged, still_dsr, no_structure),
    gist=str,
    hints=(
        "Three runs are to differ in one thing: where the structure, and where the values come "
        "from. What must be equal in all of them?",
        "Take a copy of the settings without what only DSR has, and put in method, structure_from "
        "and values. The second is a copy of the first, with other values and another seed.",
        "METHODS['dsr'].options() is a dict: sparsity is one of its keys, and stays. A run without "
        "a seed has seed 0."))
