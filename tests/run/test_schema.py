"""What a run's files may say: training could have left it, or it is refused in one line."""

import dataclasses
import json
import os

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tiny import write_cifar10

from minidsr.__main__ import main
from minidsr.checks import check_type
from minidsr.reading import ReadingError, parse_json
from minidsr.run import directory, report
from minidsr.run.config import Config
from minidsr.run.directory import CheckpointError
from minidsr.run.history import History
from minidsr.run.train import Trainer, train

METHODS = ("static", "gradual", "hashed", "deepr", "dsr")


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    """{method: folder of a run that was saved in the midst of its second epoch}"""
    folder = write_cifar10(tmp_path_factory.mktemp("data"))
    config = Config(data="cifar10", data_dir=str(folder), model="small-cnn-0.1", batch=20, epochs=2,
                    lr=0.02, periods=(2, 3, 4, 5), device="cpu", threads=1, engine="blocked")
    for method in METHODS:
        run = folder / method
        options = {"variant": "balanced"} if method == "hashed" else {}
        trainer = Trainer(dataclasses.replace(config.for_method(method), **options))
        run.mkdir()
        directory.write_config(run, trainer.config)
        history = History(run / "metrics.jsonl")
        history.add_setup(trainer)
        for _ in range(2):
            for x, y in trainer.batches():
                moved = trainer.step(x, y)
                if moved:
                    history.add_reallocation(trainer, moved)
                if trainer.t == 7:
                    break
            else:
                history.add_epoch(trainer, 1000.0)
                trainer.begin_epoch()
        directory.save(run / "checkpoint.npz",
                       trainer.state() | {"records": len(history.records)})
    return {method: folder / method for method in METHODS}


def copied(runs, method, folder):
    for name in ("config.json", "checkpoint.npz", "metrics.jsonl"):
        (folder / name).write_bytes((runs[method] / name).read_bytes())
    return folder


def refused(path, read, *said):
    """read() raises a CheckpointError of one line with these words; the file is left alone."""
    content = path.read_bytes()
    with pytest.raises(CheckpointError) as error:
        read()
    assert "\n" not in str(error.value)
    for words in said:
        assert words in str(error.value)
    assert path.read_bytes() == content


# --- checkpoint.npz


@pytest.mark.parametrize("method", METHODS)
def test_what_was_saved_is_loaded(runs, method):
    trainer = Trainer(directory.read_config(runs[method]), fresh=False)
    records = trainer.load(runs[method] / "checkpoint.npz")
    said = directory.load(runs[method] / "checkpoint.npz")
    written = History.load(runs[method] / "metrics.jsonl").records
    assert records == said.pop("records") == len(written)
    assert trainer.state().keys() == said.keys()
    for name, value in trainer.state().items():
        assert np.array_equal(value, said[name]), name


def one_less(name):
    return lambda state: {f"{name}.{part}": state[f"{name}.{part}"][1:]
                          for part in ("index", "value", "velocity")}


def also(name, **values):
    return lambda state: {name: state[name] | values}


def with_first(name, value):
    return lambda state: {name: np.concatenate([np.array([value], state[name].dtype),
                                                state[name][1:]])}


CONV = "model/conv3.weight"
WRONG = [
    ("dsr", lambda state: {"t": 11}, "t must be in 0..10, not 11"),
    ("dsr", lambda state: {"t": 7.0}, "t is not what it should be"),
    ("dsr", lambda state: {"t": True}, "t is not what it should be"),
    ("dsr", lambda state: {"t": 8}, "seen is 40, which is not what an epoch has seen by step 8"),
    ("dsr", lambda state: {"correct": 41}, "correct 41"),
    ("dsr", lambda state: {"records": 0}, "records must be at least 1"),
    ("dsr", lambda state: {"loss_sum": -1.0}, "loss_sum -1.0"),
    ("dsr", lambda state: {f"{CONV}.value": state[f"{CONV}.value"].tolist()}, "no array but list"),
    ("dsr", lambda state: {f"{CONV}.value": state[f"{CONV}.value"].astype(float)}, "float64"),
    ("dsr", with_first(f"{CONV}.value", np.nan), "is not finite"),
    ("dsr", with_first(f"{CONV}.index", 10**6), "index must be sorted"),
    ("dsr", with_first("model/bn1.running_var", -1), "a variance below 0"),
    ("dsr", one_less(CONV), "free parameters, not"),
    ("static", one_less(CONV), "free parameters, not"),
    ("gradual", one_less(CONV), "free parameters, not"),
    ("dsr", lambda state: {"method/H": 2.0**-127}, "threshold H must be in"),
    ("dsr", lambda state: {"method/N_p": 0}, "N_p must be in 1.."),
    ("dsr", also("method/rng", bit_generator="MT19937"), "rng must be a state of PCG64"),
    ("dsr", also("method/rng", state={"state": -1, "inc": 1}), "rng must be a state of PCG64"),
    ("dsr", also("method/rng", state={"state": 1, "inc": 2}), "rng must be a state of PCG64"),
    ("dsr", also("method/rng", uinteger=2**32), "rng must be a state of PCG64"),
    ("dsr", lambda state: {"method/explored/conv2": np.full(7, 255, np.uint8)},
     "explored/conv2 has more than the positions"),
    ("hashed", with_first("model/conv3.weight.bucket", 324), "bucket does not use all numbers"),
    ("deepr", lambda state: {"method/pruned": [1, 2, 3]}, "pruned is not what it should be"),
    ("deepr", lambda state: {"method/pruned": [-1, 0, 0, 0]}, "pruned must be in [0, "),
    ("deepr", lambda state: {"method/grown": [10**9, 0, 0, 0]}, "grown must be in [0, "),
    ("deepr", lambda state: {"method/negative/0": ~state["method/negative/0"]}, "the sign of its"),
    ("deepr", lambda state: {"more": 1}, "names differ: 'more'"),
    ("dsr", lambda state: {"run": [1, {}]}, "is of 1 {}, not of"),
    ("dsr", lambda state: {"run": np.zeros(4)}, "is of no run, not of"),
    ("dsr", lambda state: {"run": None}, "is of no run, not of")]


@pytest.mark.parametrize(("method", "change", "said"), WRONG)
def test_a_state_that_training_cannot_have_left_is_refused(runs, tmp_path, method, change, said):
    """As a file it is whole: only what it says is wrong."""
    run = copied(runs, method, tmp_path)
    state = directory.load(run / "checkpoint.npz")
    directory.save(run / "checkpoint.npz", state | change(state))
    trainer = Trainer(directory.read_config(run), fresh=False)
    refused(run / "checkpoint.npz", lambda: trainer.load(run / "checkpoint.npz"), said)


def test_a_checkpoint_with_compressed_members_is_refused(runs, tmp_path):
    """What is packed may grow a thousandfold; save() packs nothing."""
    run = copied(runs, "dsr", tmp_path)
    with np.load(run / "checkpoint.npz") as members:
        np.savez_compressed(run / "checkpoint.npz", **members)
    refused(run / "checkpoint.npz", lambda: directory.load(run / "checkpoint.npz"), "is compressed")


def test_a_checkpoint_that_is_too_large_is_not_read(runs, tmp_path):
    run = copied(runs, "dsr", tmp_path)
    state = directory.load(run / "checkpoint.npz")
    directory.save(run / "checkpoint.npz", state | {"more": np.zeros(10**6)})
    trainer = Trainer(directory.read_config(run), fresh=False)
    refused(run / "checkpoint.npz", lambda: trainer.load(run / "checkpoint.npz"), "more than")


def test_a_structure_with_a_weight_less_is_refused(runs, tmp_path):
    """Also where the tensors have kernels: slices could leave fewer, but not one fewer."""
    run = copied(runs, "dsr", tmp_path)
    config = dataclasses.replace(directory.read_config(run), structure_from=str(run))
    Trainer(config)
    state = directory.load(run / "checkpoint.npz")
    directory.save(run / "checkpoint.npz", state | one_less(CONV)(state))
    refused(run / "checkpoint.npz", lambda: Trainer(config), "begins with 61")


def test_a_checkpoint_of_another_config_gives_no_structure(runs, tmp_path):
    run = copied(runs, "static", tmp_path)
    config = dataclasses.replace(directory.read_config(run), structure_from=str(run))
    (run / "config.json").write_bytes((runs["dsr"] / "config.json").read_bytes())
    refused(run / "checkpoint.npz", lambda: Trainer(config), "is of small-cnn-0.1 static")


# --- config.json


KINDS = {str: st.text("ab é"), bool: st.booleans(), int: st.integers(),
         float: st.floats() | st.integers(),
         tuple[int, ...]: st.tuples(st.integers(0, 9)), type(None): st.none()}
OTHERS = st.one_of(*KINDS.values(), st.just(10**5000), st.just("a\nb"), st.just((2.5,)),
                   st.just([1]), st.just({}), st.just((True,)), st.just(("a",)))


@given(st.sampled_from(list(KINDS)), st.booleans(), st.data())
def test_values_of_a_kind_pass_and_no_others(kind, optional, data):
    """Also `kind | None`. A bool is no number, a whole number is a float."""
    check_type("it", data.draw(KINDS[kind]), kind | None if optional else kind)
    value = data.draw(OTHERS)
    try:
        check_type("it", value, kind)
    except ValueError as error:
        assert str(error).startswith("it must be ") and "\n" not in str(error)
        return
    name = getattr(kind, "__origin__", kind)
    assert isinstance(value, name) or kind is float and type(value) is int
    assert not isinstance(value, bool) or kind is bool


@pytest.mark.parametrize(("values", "said"), [
    ({"threads": 1.5}, "threads must be a whole number or None, not 1.5"),
    ({"nesterov": "3"}, "nesterov must be True or False, not '3'"),
    ({"epochs": True}, "epochs must be a whole number, not True"),
    ({"epochs": 2**128}, "epochs must be in [1, "),
    ({"lr": float("nan")}, "lr must be in ["),
    ({"lr": "0.1"}, "lr must be a number, not '0.1'"),
    ({"momentum": None}, "momentum must be a number, not None"),
    ({"periods": (2, 2.5)}, "periods must be a tuple, each of it a whole number or None, not"),
    ({"lr_milestones": [0.3]}, "lr_milestones must be a tuple, each of it a number, not"),
    ({"method": ["dsr"]}, "method must be one line of text, not ['dsr']"),
    ({"data_dir": "a\nb"}, "data_dir must be one line of text")])
def test_a_config_has_values_of_its_types(values, said):
    with pytest.raises(ValueError) as error:
        Config(**values)
    assert str(error.value).startswith(said)


@pytest.mark.parametrize(("old", "new", "said"), [
    ('"threads": 1', '"threads": 1.5', "threads must be a whole number or None, not 1.5"),
    ('"threads"', '"treads"', "no option treads; did you mean threads?"),
    ('"threads": 1,', "", "threads is missing"),
    ('"keep_one": true', '"keep_one": null', "keep_one is missing"),
    ('"threads": 1', '"threads": 1, "threads": 2', "'threads' is there twice"),
    ('"lr": 0.02', '"lr": NaN', "NaN is no finite number"),
    ('"lr": 0.02', '"lr": 1e999', "1e999 is no finite number"),
    ('"seed": 0', f'"seed": {"9" * 5000}', "a number of 5,000 digits"),
    ('"seed": 0', f'"seed": {"[" * 100_000}', "too deep"),
    ('"seed": 0', '"seed": 0, "options": {}', "dsr has no option options"),
    ('"seed": 0', f'"seed": 0, "x": "{"a" * 2**20}"', "more than 1,048,576")])
def test_a_config_file_is_refused_in_one_line(runs, tmp_path, old, new, said):
    path = copied(runs, "dsr", tmp_path) / "config.json"
    assert path.read_text().count(old) == 1
    path.write_text(path.read_text().replace(old, new))
    refused(path, lambda: directory.read_config(tmp_path), str(path), said)


@pytest.mark.parametrize("make", [os.mkdir, os.mkfifo])
@pytest.mark.parametrize("name", ["config.json", "checkpoint.npz", "metrics.jsonl"])
def test_what_is_no_regular_file_is_not_waited_for(runs, tmp_path, name, make):
    run = copied(runs, "dsr", tmp_path)
    (run / name).unlink()
    make(run / name)
    read = {"config.json": lambda path: directory.read_config(run),
            "checkpoint.npz": directory.load, "metrics.jsonl": History.load}[name]
    with pytest.raises(CheckpointError, match="not a regular file"):
        read(run / name)


@given(st.recursive(st.none() | st.booleans() | st.integers(-2**127, 2**127) | st.text()
                    | st.floats(allow_nan=False, allow_infinity=False),
                    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner)))
def test_json_is_what_was_written(value):
    assert parse_json(json.dumps(value).encode()) == value


@pytest.mark.parametrize("content", [b"", b"\xff", b"{", b'{"a": 1, "a": 1}', b"NaN", b"-Infinity",
                                     b"[1e400]", b"1" * 40, b"[" * 10**6])
def test_json_that_programs_read_differently_is_refused(content):
    with pytest.raises(ReadingError) as error:
        parse_json(content)
    assert "\n" not in str(error.value)


# --- metrics.jsonl


@pytest.mark.parametrize("method", METHODS)
def test_records_are_read_as_they_were_written_up_to_where_they_are_torn(runs, tmp_path, method):
    path, whole = tmp_path / "metrics.jsonl", (runs[method] / "metrics.jsonl").read_bytes()
    records = [json.loads(line) for line in whole.splitlines()]
    assert History.load(runs[method] / "metrics.jsonl").records == records
    for length in range(0, len(whole), 23):
        path.write_bytes(whole[:length])
        read = History.load(path).records
        assert read == records[:len(read)]
        assert len(read) - whole[:length].count(b"\n") in (0, 1)  # 1: all but its end of line


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize(("change", "said"), [
    (lambda lines: [lines[0], lines[1][:40], *lines[2:]], "line 2: "),
    (lambda lines: [lines[0], "", *lines[1:]], "line 2: "),
    (lambda lines: [lines[0], "[]", *lines[1:]], "line 2: is no record of"),
    (lambda lines: lines[1:], "line 1: a run has one setup"),
    (lambda lines: [*lines, lines[0]], ": a run has one setup")])
def test_a_bad_line_is_named_and_nothing_after_it_is_lost(runs, tmp_path, method, change, said):
    path = copied(runs, method, tmp_path) / "metrics.jsonl"
    path.write_text("".join(line + "\n" for line in change(path.read_text().splitlines())))
    refused(path, lambda: History.load(path), str(path), said)
    if "line " in said:  # one that the checkpoint counts on
        config = directory.read_config(tmp_path)
        refused(path, lambda: train(config, out=tmp_path, resume=True), said)


@pytest.mark.parametrize(("kind", "values", "said"), [
    ("setup", {"step": -1}, "step must be a whole number in 0.."),
    ("setup", {"budget": "free"}, "budget must be one of conserved, learned, shrinking"),
    ("setup", {"options": {"periods": [[2]]}}, "options must be an object of numbers, texts"),
    ("setup", {"options": {"H": {"a": 1}}}, "options must be an object of numbers, texts"),
    ("setup", {"options": [2]}, "options must be an object of numbers, texts"),
    ("setup", {"tensors": [{"name": "conv2", "size": 0, "active": 0}]}, "tensors must be"),
    ("epoch", {"epoch": 2}, "epoch must be 1, not 2"),
    ("epoch", {"step": 1}, "step must be a whole number in "),
    ("epoch", {"test_loss": -1.0}, "test_loss must be a number in [0, "),
    ("epoch", {"test_accuracy": "10"}, "test_accuracy must be a number in [0, 100], not '10'"),
    ("epoch", {"active": [1, 2, 3]}, "active must be a list of 4 whole numbers"),
    ("epoch", {"active": [10**6, 0, 0, 0]}, "active must be a list of 4 whole numbers"),
    ("epoch", {"explored": 1.01}, "explored must be a number in [0."),
    ("epoch", {"colour": 1}, "'colour' is unknown"),
    ("reallocation", {"K": 10**6}, "K must be "),
    ("reallocation", {"H": None}, "H must be "),
    ("reallocation", {"grown": 3}, "grown must be a list of 4 whole numbers"),
    ("reallocation", {"keep_one": 1}, "keep_one must be true or false")])
def test_a_value_out_of_range_is_named(runs, tmp_path, kind, values, said):
    path = copied(runs, "dsr", tmp_path) / "metrics.jsonl"
    records = [json.loads(line) for line in path.read_text().splitlines()]
    last = max(i for i, record in enumerate(records) if record["kind"] == kind)
    records[last] |= values
    path.write_text("".join(json.dumps(record) + "\n" for record in records))
    refused(path, lambda: History.load(path), f"line {last + 1}: {said}")


@pytest.mark.parametrize("change", [
    {"image": [3, 32]}, {"image": [3, 32, 0]}, {"image": [3, 32, 3.0]}, {"image": [3, 4096, 4096]},
    {"classes": ["one"]}, {"classes": ["a", "b\nc"]}, {"classes": ["a", ""]}, {"classes": "ab"},
    {"classes": ["a", "b" * 101]}, {"classes": ["a", 2]}, {"mean": [0.5]}, {"mean": [0.5, 0, "1"]},
    {"std": [1, 1, 0]}, {"std": [1, 1, -1]}, {"std": [1, 1, 1e39]}, {"train": 0}, {"train": 2**60},
    {"test": -1}, {"validation": None}, {"size": 1}])
def test_a_data_set_that_could_not_be_is_refused(runs, tmp_path, change):
    path = copied(runs, "dsr", tmp_path) / "metrics.jsonl"
    setup, *rest = path.read_text().splitlines(keepends=True)
    setup = json.loads(setup)
    assert setup["data"]["classes"] == [f"class {i}" for i in range(10)]
    assert np.float32(setup["data"]["std"]).tolist() == setup["data"]["std"]
    path.write_text("".join([json.dumps(setup | {"data": setup["data"] | change}) + "\n", *rest]))
    refused(path, lambda: History.load(path), "line 1: data must be what a data set is like")


@pytest.mark.parametrize(("name", "value"), [
    ("image", [3, 32, 16]), ("classes", [f"class {i}" for i in range(11)])])
def test_records_are_of_this_data_set(runs, tmp_path, name, value):
    run = copied(runs, "dsr", tmp_path)
    path, config = run / "metrics.jsonl", directory.read_config(run)
    setup, *rest = path.read_text().splitlines(keepends=True)
    setup = json.loads(setup)
    setup["data"][name] = value
    path.write_text("".join([json.dumps(setup) + "\n", *rest]))
    refused(path, lambda: train(config, out=run, resume=True), f"the {name} of its setup is not")


def test_records_and_checkpoint_are_of_one_run(runs, tmp_path):
    """Those of another method, or too few: nothing is trained on, nothing written."""
    run = copied(runs, "dsr", tmp_path)
    path, config = run / "metrics.jsonl", directory.read_config(run)
    for method, said in (("static", "has 2 records"), ("gradual", "the budget of its")):
        path.write_bytes((runs[method] / "metrics.jsonl").read_bytes())
        refused(path, lambda: train(config, out=run, resume=True), said)


# --- the budget


@pytest.mark.parametrize(("budget", "counts", "broken"), [
    ("conserved", [9, 9, 9], False), ("conserved", [9, 8, 9], True), ("learned", [9, 9, 8], True),
    ("shrinking", [9, 7, 7], False), ("shrinking", [9, 7, 8], True)])
def test_a_history_knows_whether_its_budget_is_broken(budget, counts, broken):
    history = History()
    for step, count in enumerate(counts):
        history.add("setup" if not step else "epoch", step, free_parameters=count, budget=budget)
    assert history.broken == broken
    assert report.budget(history) == ("BROKEN" if broken else budget)


@pytest.mark.parametrize("command", ["train", "demo"])
def test_a_broken_budget_does_not_exit_0(runs, tmp_path, capsys, monkeypatch, command, few_shapes):
    """A method that loses a weight, where nobody checks the invariants: said after the table."""
    monkeypatch.setattr("minidsr.run.train.History.conserved", False)
    flags = {"train": ["--model", "small-cnn-0.1", "--out", str(tmp_path / "run")],
             "demo": ["--methods", "static", "--out", str(tmp_path / "demo")]}[command]
    assert main([command, *flags, "--epochs", "1", "--device", "cpu"]) == 1
    out, err = capsys.readouterr()
    assert "BROKEN" in out
    assert err.count("broke its budget, which is conserved: it began with") == 1
    assert err.splitlines()[-1].startswith("minidsr: ")
