"""minidsr.run.compare: which runs repeat each other, which may be compared, and by how much they
differ."""

import json
from dataclasses import replace
from math import sqrt

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import ttest_ind_from_stats
from studies import COMMIT, made, write

from minidsr.methods import METHODS
from minidsr.run import compare, directory
from minidsr.run.directory import CheckpointError
from minidsr.run.moves import pack

ACCURACIES = st.lists(st.integers(0, 1000).map(lambda n: n / 10), min_size=2, max_size=6)


def group(method, accuracies, **fields):
    return compare.Group(method, tuple(made(method, seed, accuracy, **fields)
                                     for seed, accuracy in enumerate(accuracies)))


def difference(ones, others):
    """(mean, half) of dsr minus static, seeds 0, 1, ..."""
    found, reasons = compare.differences([group("static", others), group("dsr", ones)])
    assert not reasons
    return found[0].test


# --- statistics


def test_an_interval_by_hand():
    """Of 2, 4, 9: mean 5, deviations -3, -1, 4, so s = √13; t is 4.303 with two degrees."""
    mean, half = compare.interval([2.0, 4.0, 9.0])
    assert mean == 5
    assert half == pytest.approx(4.30265 * sqrt(13) / sqrt(3), rel=1e-5)


@pytest.mark.parametrize(("n", "t"), [(2, 12.70620), (5, 2.77645), (10, 2.26216), (30, 2.04523)])
def test_t_is_that_of_the_table(n, t):
    """With n - 1 degrees of freedom, 97.5 %."""
    values = list(range(n))
    half = t * np.std(values, ddof=1) / sqrt(n)
    assert compare.interval(values)[1] == pytest.approx(half, rel=1e-5)


def test_one_value_has_no_interval():
    assert compare.interval([7.0]) == (7.0, None)


def test_an_interval_of_means_that_no_seed_pairs_is_welchs():
    """Means that are half an interval apart have a p of 0.05, by SciPy; of equal groups it is
    Student's, by hand."""
    mean, half = compare.interval_apart((98.07, 0.05, 3), (98.14, 0.14, 5))
    assert mean == pytest.approx(-0.07)
    assert ttest_ind_from_stats(half, 0.05, 3, 0, 0.14, 5, equal_var=False).pvalue == (
        pytest.approx(0.05))
    assert compare.interval_apart((5.0, 2.0, 3), (1.0, 2.0, 3)) == (
        4.0, pytest.approx(2.77645 * 2 * sqrt(2 / 3), rel=1e-5))


def test_a_difference_by_hand():
    """71, 72, 76 against 70, 73, 72: 1, -1, 4; mean 4/3, s² = 19/3."""
    mean, half = difference([71.0, 72.0, 76.0], [70.0, 73.0, 72.0])
    assert mean == pytest.approx(4 / 3)
    assert half == pytest.approx(4.30265 * sqrt(19 / 3) / sqrt(3), rel=1e-5)


@given(ones=ACCURACIES, shifts=st.lists(st.integers(-500, 500), min_size=6, max_size=6))
def test_a_number_added_to_both_of_a_seed_changes_nothing(ones, shifts):
    """Such as a seed that is lucky for all methods."""
    others = ones[::-1]
    mean, half = difference(ones, others)
    shifted = [[a + s for a, s in zip(values, shifts, strict=False)] for values in (ones, others)]
    assert difference(*shifted) == pytest.approx((mean, half), abs=1e-9)


@given(ones=ACCURACIES)
def test_a_difference_changes_its_sign_with_its_order(ones):
    others = sorted(ones)
    mean, half = difference(ones, others)
    assert difference(others, ones) == pytest.approx((-mean, half), abs=1e-9)


def test_the_interval_covers_as_often_as_it_says():
    """The true mean in 95 % of 2,000 samples of five; 3.5 standard errors are 1.7 %."""
    rng = np.random.default_rng(0)
    inside = 0
    for sample in rng.normal(3.0, 2.0, (2000, 5)):
        mean, half = compare.interval(sample.tolist())
        inside += abs(mean - 3.0) <= half
    assert abs(inside / 2000 - compare.CONFIDENCE) < 0.017


# --- groups


def test_repetitions_are_one_group():
    """But for the seed and what does not touch results, they are the same."""
    runs = [made(seed=0), made(seed=2, threads=1, engine="plain"), made(seed=1, check=False)]
    found, lines = compare.grouped(runs)
    assert [(g.label, g.seeds) for g in found] == [("dsr", [0, 1, 2])]
    assert not lines


@pytest.mark.parametrize(("settings", "label"), [
    ({"sparsity": 0.8}, "sparsity 0.8"), ({"growth": "room"}, "growth room"),
    ({"lr": 0.05}, "lr 0.05"), ({"epochs": 3}, "epochs 3"), ({"keep_one": False}, "keep one no"),
    ({"periods": (5,), "period_milestones": ()}, "periods 5, period milestones never")])
def test_a_label_says_what_differs(settings, label):
    found, _ = compare.grouped([made(), made("static", seed=1), made(**settings)])
    assert f"dsr, {label}" in [g.label for g in found]
    shared = label.split()[0] in ("sparsity", "lr", "epochs")  # which all methods have
    assert ("static" in [g.label for g in found]) == (not shared)


def test_options_of_other_methods_do_not_matter_to_a_label():
    """DSR and SET, each with periods of its own: the method says it all."""
    runs = [made(periods=(5,), period_milestones=()), made("set")]
    assert [g.label for g in compare.grouped(runs)[0]] == ["set", "dsr"]


def test_other_commits_are_other_groups():
    found, _ = compare.grouped([made(), made(seed=1, commit="f" * 40 + " dirty"),
                              made(seed=2, commit=None)])
    assert [g.label for g in found] == ["dsr, commit 0123456", "dsr, commit fffffff dirty",
                                        "dsr, commit none, minidsr 0.1.0"]


def test_a_run_that_went_on_by_another_commit_is_of_both():
    early = replace(made(), environment={"commit": "f" * 40, "earlier_commits": ["e" * 40, None]})
    assert early.settings["commit"] == f"{'e' * 40} then none, minidsr unknown then {'f' * 40}"
    assert compare.in_words(early.settings["commit"]).startswith("eeeeeee then none")
    assert "commits differ" in compare.comparable(early, made())


def test_the_same_run_twice_counts_once():
    runs = [made(), made(path="copy/dsr-0"), made(seed=1)]
    found, lines = compare.grouped(runs)
    assert found[0].seeds == [0, 1] and found[0].results[0] is runs[0]
    assert lines == ["copy/dsr-0: the same run as runs/dsr-0"]


def test_a_run_on_other_data_is_left_out():
    found, lines = compare.grouped([made(), made(seed=1, images=900)])
    assert found[0].seeds == [0]
    assert lines == ["runs/dsr-1: its data are not those of runs/dsr-0"]


def test_groups_stand_in_the_order_of_methods():
    runs = [made("dsr", sparsity=0.9), made("dense"), made("static", sparsity=0.9),
            made("dsr", sparsity=0.8)]
    assert [g.label for g in compare.grouped(runs)[0]] == [
        "dense", "dsr, sparsity 0.8", "static, sparsity 0.9", "dsr, sparsity 0.9"]


def test_structures_of_runs_of_one_kind_are_of_one_kind(tmp_path):
    """A static run from the structure that the DSR run of its seed has found."""
    runs = []
    for seed in (0, 1):
        source = write(made(seed=seed, growth="room"), tmp_path)
        runs.append(made("static", seed, structure_from=str(source)))
    other = write(made(path="other"), tmp_path)
    runs += [made("static", 0, structure_from=str(other)), made("static", 0),
             made("static", 0, structure_from="gone")]
    found, _ = compare.grouped(runs)
    assert [g.seeds for g in found].count([0, 1]) == 1 and len(found) == 4
    assert sum("structure from dsr run" in g.label for g in found) == 2


# --- what may be compared

REASONS = [
    ({"model": "small-cnn-0.5"}, "models differ: small-cnn and small-cnn-0.5"),
    ({"data": "mnist"}, "data sets differ: synthetic and mnist"),
    ({"train_images": 500}, "numbers of training images differ: default and 500"),
    ({"validation": 100}, "validation splits differ: 0 and 100"),
    ({"augment": True}, "augmentations differ: default and yes"),
    ({"batch": 50}, "batch sizes differ: 100 and 50"),
    ({"epochs": 3}, "epochs differ: 2 and 3"),
    ({"commit": "f" * 40}, "commits differ: 0123456 and fffffff"),
    ({"commit": None}, "commits differ: 0123456 and none, minidsr 0.1.0"),
    ({"extended_from": (1,), "extended_at": (10,)}, "one of them was extended, and is not the run "
     "that has this length from the start"),
    ({"free": 102}, "free parameters differ: 100 and 102"),
    ({"method": "set", "stop_epoch": 1},
     "reallocations stop after different epochs: default and 1"),
    ({"method": "dense", "free": 1000},
     "free parameters differ: 100 and 1,000; dense is given no budget"),
    ({"method": "dst", "free": 1010},
     "free parameters differ: 100 and 1,010; dst is given no budget"),
    ({"method": "thin-dense", "network": "small-cnn-0.3", "sparsity": 0.5, "free": 200},
     "free parameters differ: 100 and 200"),
    ({"images": 900}, "data differ, which both call synthetic")]


@pytest.mark.parametrize(("fields", "reason"), REASONS, ids=lambda value: str(value)[:30])
def test_why_runs_are_not_compared(fields, reason):
    one, other = made(), made(**{"method": "static"} | fields)
    assert compare.comparable(one, other) == reason
    assert compare.comparable(other, one) is not None
    _, reasons = compare.differences(compare.grouped([one, other])[0])
    assert len(reasons) == 1


@pytest.mark.parametrize("fields", [
    {}, {"method": "static"}, {"method": "set"}, {"seed": 1}, {"threads": 2}, {"free": 101},
    {"growth": "room"}, {"lr": 0.05}, {"weight_decay": 0.0}, {"stop_epoch": 1},
    {"method": "thin-dense", "network": "small-cnn-0.3", "free": 110}])
def test_what_may_be_compared(fields):
    """What a study varies, and a network of whole channels nearest to the same budget."""
    assert compare.comparable(made(), made(**fields)) is None
    assert compare.comparable(made(**fields), made()) is None


def test_both_extended_at_the_same_step():
    stages = {"extended_from": (1,), "extended_at": (10,)}
    assert compare.comparable(made(**stages), made("static", **stages)) is None


# --- differences between groups


def test_differences_are_those_of_equal_seeds():
    runs = [made("static", s, a) for s, a in ((0, 50.0), (1, 60.0), (2, 10.0))]
    runs += [made("dsr", s, a) for s, a in ((1, 63.0), (0, 51.0), (5, 99.0))]
    found, reasons = compare.differences(compare.grouped(runs)[0])
    assert not reasons
    assert [(d.one.label, d.other.label, d.seeds) for d in found] == [("dsr", "static", [0, 1])]
    assert found[0].test[0] == 2.0
    assert found[0].validation == (None, None)


def test_validation_accuracies_are_compared_where_both_have_them():
    runs = [made(method, s, 50.0, last={"validation_accuracy": 40.0 + s * (method == "dsr")})
            for s in (1, 3) for method in ("static", "dsr")]
    found, _ = compare.differences(compare.grouped(runs)[0])
    assert found[0].validation[0] == 2.0 and found[0].test == (0.0, 0.0)


def test_without_an_equal_seed():
    _, reasons = compare.differences(compare.grouped([made(seed=0), made("static", seed=1)])[0])
    assert reasons == {"no seed is in both": [("dsr", "static")]}


def test_against_one_method():
    runs = [made(m, s, sparsity=p) for m in ("static", "set", "dsr") for s in (0, 1)
            for p in (0.8, 0.9)]
    groups, _ = compare.grouped(runs)
    found, _ = compare.differences(groups, "static")
    assert {(d.one.method, d.other.method) for d in found} == {("set", "static"), ("dsr", "static")}
    found, _ = compare.differences(groups, "dsr, sparsity 0.9")
    assert all(d.other.label == "dsr, sparsity 0.9" for d in found) and len(found) == 5
    with pytest.raises(ValueError, match="did you mean static"):
        compare.differences(groups, "statik")


# --- what is read


def test_runs_are_found_and_each_once(tmp_path):
    runs = [write(made(seed=0), tmp_path), write(made(seed=1), tmp_path / "deep"),
            write(made(seed=2), tmp_path / "deep" / "deeper")]
    found, lines = compare.read([runs[0], tmp_path, tmp_path / "deep"])
    assert [r.config.seed for r in found] == [0, 1, 2] and not lines
    assert found[0].history.records == made(seed=0).history.records
    assert found[0].settings == made(seed=0).settings


@pytest.mark.parametrize("path", ["none", "empty"])
def test_where_no_run_is(path, tmp_path):
    (tmp_path / "empty").mkdir()
    with pytest.raises(CheckpointError, match="not a run directory, and no run is in it"):
        compare.read([tmp_path / path])


def test_what_is_left_out_is_said(tmp_path):
    """Runs that are not finished, broke their budget, cannot be read, or are no runs."""
    fine = write(made(), tmp_path)
    unfinished = write(made(path="unfinished", epochs=3), tmp_path)
    lines = (unfinished / directory.METRICS).read_text().splitlines(keepends=True)
    (unfinished / directory.METRICS).write_text("".join(lines[:-1]))
    write(made(path="broken", last={"free_parameters": 99}), tmp_path)
    old, other, env = (write(made(path=name), tmp_path) for name in ("old", "other", "env"))
    (old / directory.CONFIG).write_text('{"format": "minidsr-1"}')
    (other / directory.CONFIG).write_text("{}")
    (env / directory.ENVIRONMENT).write_text("[]")
    found, lines = compare.read([tmp_path])
    assert [r.path for r in found] == [fine]
    said = dict(line.split(": ", 1) for line in lines)
    assert said[str(unfinished)] == "not finished, 2 of 3 epochs"
    assert said[str(tmp_path / "broken")] == "broke its budget, which is conserved"
    assert len(lines) == 5 and all("\n" not in line for line in lines)


def test_without_an_environment(tmp_path):
    run = write(made(), tmp_path)
    (run / directory.ENVIRONMENT).unlink()
    result, = compare.read([run])[0]
    assert result.settings["commit"] == "none, minidsr unknown"


# --- numbers of a run


def test_hours_and_speed():
    """Twenty steps of 100 images; two epochs at 100 and at 50 images a second: 30 seconds."""
    result = made()
    result.history.epochs[1]["images_per_s"] = 50.0
    assert result.hours == pytest.approx(30 / 3600)
    assert result.images_per_s == pytest.approx(2000 / 30)


def test_weights_that_change_tensor():
    record = {"pruned": [30, 70, 5], "grown": [50, 45, 10]}
    assert compare.changed_tensor(record) == 25


@given(st.lists(st.integers(0, 9), min_size=3, max_size=3),
       st.lists(st.integers(0, 9), min_size=3, max_size=3))
def test_as_many_come_to_a_tensor_as_leave_another(pruned, grown):
    grown[0] += max(0, sum(pruned) - sum(grown))
    pruned[0] += max(0, sum(grown) - sum(pruned))
    leave = sum(max(0, p - g) for p, g in zip(pruned, grown, strict=True))
    assert compare.changed_tensor({"pruned": pruned, "grown": grown}) == leave


def test_ages_by_hand():
    """Position 5 is born and dies the next time; 7 lives one time longer."""
    result = made(moved=())
    assert result.ages == []
    history = made(moved=()).history
    history.setup["start"] = None
    for died, born in (([1, 2], [5, 7]), ([5, 9], [2]), ([2, 7, 8], [1])):
        history.add("reallocation", 3, died=[pack(died), pack([0])], born=[pack(born), pack([])])
    assert replace(result, history=history).ages == [(3, 0), (3, 1), (4, 1)]


@pytest.mark.parametrize("method", METHODS)
def test_every_method_has_a_budget_or_is_given_none(method):
    assert compare.has_budget(made(method)) == (method not in ("dense", "dst"))


def test_settings_hold_the_commit_and_no_seed():
    settings = made(seed=3).settings
    assert settings["commit"] == COMMIT and "seed" not in settings and "threads" not in settings
    json.dumps(settings)
    assert replace(made(seed=3), environment={}).settings["commit"] == "none, minidsr unknown"
