"""Lesson 10: comparable."""

from itertools import combinations

from hypothesis import strategies as st

from minidsr.run.report import table

from .exercise import Exercise

RUN = {"method": "dsr", "model": "small-cnn", "data": "cifar10", "seed": 0, "batch": 100,
       "epochs": 10, "sparse": 9000, "dense": 1000, "stop": None, "chosen": "validation"}
SETTINGS = ("data", "seed", "batch", "epochs")
WORDS = {*SETTINGS, "model", "stop", "budget", "test"}
OTHER = [{"method": "static", "stop": "static"}, {"method": "set"}, {"method": "set", "stop": 5},
         {"method": "set", "stop": 0}, {"model": "wrn-16-1"}, {"data": "mnist"}, {"seed": 1},
         {"batch": 50}, {"epochs": 20}, {"stop": 0}, {"stop": 5}, {"chosen": "test"},
         {"sparse": 9100}, {"sparse": 9101}, {"sparse": 8901}, {"sparse": 8900}, {"dense": 2000},
         {"dense": 900}, {"sparse": 8000, "dense": 2000}, {"method": "thin-dense"},
         {"method": "thin-dense", "model": "small-cnn-0.27"}]


def small():
    """A run beside itself; with one thing other, and with two."""
    yield RUN, dict(RUN)
    for changes in ([change] for change in OTHER):
        yield from _pairs(changes)
    for changes in combinations(OTHER, 2):
        if not set.intersection(*map(set, changes)):
            yield from _pairs(changes)


def _pairs(changes):
    changed = {**RUN}
    for change in changes:
        changed |= change
    yield RUN, changed
    yield changed, RUN
    yield {**RUN, **changes[0]}, {**RUN, **changes[-1]}


@st.composite
def cases(draw):
    def run():
        few = {key: [RUN[key], *(change[key] for change in OTHER if key in change)] for key in RUN}
        return {key: draw(st.sampled_from(values)) for key, values in few.items()}
    one = run()
    if draw(st.booleans()):  # nearly the same
        return one, {**one, **draw(st.sampled_from(OTHER))}
    return one, run()


def level(one, other):
    if _excused(one, other):
        return 2
    return int(len(_differ(one, other)) > 1)


def _differ(one, other):
    return [key for key in RUN if key != "method" and one[key] != other[key]]


def _excused(one, other):
    """Is something different that does not count?"""
    return (one["model"] != other["model"] and _thin(one, other)
            or one["stop"] != other["stop"] and not _stops_differ(one, other)
            or one["sparse"] != other["sparse"] and not _over(one, other))


def _thin(one, other):
    return "thin-dense" in (one["method"], other["method"])


def _stops_differ(one, other):
    return (one["method"] != other["method"] and one["stop"] != other["stop"]
            and "static" not in (one["stop"], other["stop"]))


def _over(one, other):
    """Has one of them more than 1 % above the other?"""
    a, b = (run["sparse"] + run["dense"] for run in (one, other))
    return abs(a - b) * 100 > min(a, b)


def sorted_reasons(g, one, other):
    """there is a sorted list of reasons, of those in the docstring, each once"""
    return g == sorted(set(g)) and set(g) <= WORDS


def equal_settings(g, one, other):
    """data, seed, batch and epochs are named where they differ, and nowhere else"""
    return all((key in g) == (one[key] != other[key]) for key in SETTINGS)


def same_network(g, one, other):
    """the model is named where it differs, but not where one of them is thin-dense"""
    return ("model" in g) == (one["model"] != other["model"] and not _thin(one, other))


def same_stop(g, one, other):
    """the stop is named where two methods that move weights stop after different epochs"""
    return ("stop" in g) == _stops_differ(one, other)


def equal_budgets(g, one, other):
    """the budget is named where one of them has over 1 % more free numbers, all tensors together"""
    return ("budget" in g) == _over(one, other)


def no_test_images(g, one, other):
    """test is named where either of them was chosen by test images"""
    return ("test" in g) == ("test" in {one["chosen"], other["chosen"]})


def picture(g, one, other):
    rows = [[key, str(one[key]), str(other[key]), "differ" if one[key] != other[key] else ""]
            for key in RUN]
    free = [f"{run['sparse'] + run['dense']:,}" for run in (one, other)]
    rows.append(["all free numbers", *free, ""])
    return table(rows, ["", "one", "other", ""], left=(0, 3)) + (
        "" if g is None else f"\n\nyours: {g}")


# --- mistakes


def _reasons(one, other, **rules):
    """All reasons, with other rules in place of some: {word: does it hold?}."""
    found = {key: one[key] != other[key] for key in SETTINGS}
    found |= {"model": one["model"] != other["model"] and not _thin(one, other),
              "stop": _stops_differ(one, other), "budget": _over(one, other),
              "test": "test" in (one["chosen"], other["chosen"])}
    return sorted(word for word, holds in (found | rules).items() if holds)


def sparse_alone(one, other):
    """Free numbers outside of the sparse tensors are not counted. Who has more dense ones has a
    larger network: where are its biases, its first and last layer?"""
    a, b = one["sparse"], other["sparse"]
    return _reasons(one, other, budget=abs(a - b) * 100 > min(a, b))


def to_the_last_number(one, other):
    """Budgets must be equal to the last number here. A thin network has whole channels: how near
    can it come?"""
    return _reasons(one, other, budget=_differs(one, other, "sparse", "dense"))


def one_way_only(one, other):
    """Only the other one may have too many. What if it is the first that has?"""
    a, b = (run["sparse"] + run["dense"] for run in (one, other))
    return _reasons(one, other, budget=(b - a) * 100 > a)


def of_the_larger(one, other):
    """1 % is taken of the larger one. Of 10,000 and 10,101, who has over 1 % more?"""
    a, b = (run["sparse"] + run["dense"] for run in (one, other))
    return _reasons(one, other, budget=abs(a - b) * 100 > max(a, b))


def thin_is_another_model(one, other):
    """thin-dense is refused, as its network has another name. With which network could it compare
    at all?"""
    return _reasons(one, other, model=one["model"] != other["model"])


def any_stop(one, other):
    """Stops are compared with one method, too. What if a study asks when that should stop?"""
    static = "static" in (one["stop"], other["stop"])
    return _reasons(one, other, stop=one["stop"] != other["stop"] and not static)


def static_stops(one, other):
    """A method that moves nothing is taken for one that stops. With which could it compare?"""
    return _reasons(one, other, stop=one["stop"] != other["stop"]
                    and one["method"] != other["method"])


def no_stop_is_zero(one, other):
    """A stop after epoch 0 is taken for none. Is 0 None?"""
    same = (one["stop"] or None) == (other["stop"] or None)
    return _reasons(one, other, stop=not same and _stops_differ(one, other))


def both_by_test(one, other):
    """It takes both to be chosen by test images. What if one of them was?"""
    return _reasons(one, other, test=one["chosen"] == other["chosen"] == "test")


def the_seed_is_free(one, other):
    """Seeds may differ here. A pair of runs shares its first values and its batches: by what?"""
    return _reasons(one, other, seed=False)


def the_first_reason(one, other):
    """One reason is enough, and the others are left out. What would you do with a run whose batch
    you have mended, and whose budget is wrong, too?"""
    return _reasons(one, other)[:1]


def in_the_docstrings_order(one, other):
    """The reasons are right, in another order. Which one does the docstring ask for?"""
    order = ["model", "data", "seed", "batch", "epochs", "stop", "budget", "test"]
    return sorted(_reasons(one, other), key=order.index)


def _differs(one, other, *keys):
    return sum(one[key] for key in keys) != sum(other[key] for key in keys)


comparable = Exercise(
    name="comparable", stars=2, minutes=20,
    small=small, cases=cases(),
    levels=("one thing differs, or nothing does", "several things differ",
            "something differs that does not count"),
    level=level,
    properties=(sorted_reasons, equal_settings, same_network, same_stop, equal_budgets,
                no_test_images),
    picture=picture,
    mistakes=(sparse_alone, to_the_last_number, one_way_only, of_the_larger, thin_is_another_model,
              any_stop, static_stops, no_stop_is_zero, both_by_test, the_seed_is_free,
              the_first_reason, in_the_docstrings_order),
    hints=(
        "Two runs, and one is 2 points better. Name everything, other than its method, that could "
        "have done that.",
        "Most keys are compared as they are. Three have a rule of their own: the budget is a sum, "
        "with room for 1 %; a thin network has another name; and a stop counts between two "
        "methods only, if both move weights.",
        "Whole numbers make no rounding error: compare 100 times the larger sum with 101 times the "
        "smaller. And read again whose images may not be used."),
    gist=", ".join,
    hidden=("minidsr.run.compare.comparable",))
