"""A trained run in use: what it predicts, and its weights elsewhere and back."""

import dataclasses
import json
from collections import OrderedDict
from functools import partial
from importlib.util import find_spec

import fuzz
import numpy as np
import pytest
from refusals import refused
from tiny import with_moves, write_cifar10

import minidsr
from minidsr.data.batches import normalise
from minidsr.methods import METHODS
from minidsr.nn import models
from minidsr.parameters import Dense, Sparse
from minidsr.run import directory, start
from minidsr.run.config import Config
from minidsr.run.directory import CheckpointError
from minidsr.run.history import History
from minidsr.run.progress import TrainingError
from minidsr.run.small_training import same
from minidsr.run.train import Trainer, train
from minidsr.run.weights import load_state_dict, state_dict

load = partial(minidsr.load, engine="blocked")
ENGINES = ["plain", "blocked", pytest.param("sparse", marks=pytest.mark.skipif(
    not find_spec("numba"), reason="Numba is not installed"))]
FILES = ("config.json", "checkpoint.npz", "metrics.jsonl")
IMAGES = np.random.default_rng(0).integers(0, 256, (30, 3, 32, 32), np.uint8)


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    """{name: folder of a run by this method}, five steps each; 'tied' is hashed's other variant.
    The data set is gone."""
    folder = tmp_path_factory.mktemp("runs")
    write_cifar10(folder / "data")
    config = Config(data="cifar10", data_dir=str(folder / "data"), model="small-cnn-0.1", batch=20,
                    epochs=1, lr=0.02, periods=(2,), period_milestones=(), device="cpu", threads=1,
                    engine="blocked")
    configs = {method: with_moves(config, method) for method in METHODS}
    configs["tied"] = dataclasses.replace(configs["hashed"], variant="balanced")
    for name, config in configs.items():
        train(config, out=folder / name)
    (folder / "data").rename(folder / "moved")
    return {name: folder / name for name in configs} | {"data": folder / "moved"}


RUNS = [*METHODS, "tied"]


def copied(run, folder):
    for name in FILES:
        (folder / name).write_bytes((run / name).read_bytes())
    return folder


def logits(run, images=IMAGES):
    return run.model.forward(normalise(images, dataclasses.make_dataclass(
        "Like", ["mean", "std"])(run.data["mean"], run.data["std"])))


# --- what it predicts


@pytest.mark.parametrize("name", RUNS)
def test_it_is_the_network_that_was_trained(runs, name):
    """Without the data set: predictions, weights and statistics are those of the Trainer."""
    run = load(runs[name])
    trainer = Trainer(dataclasses.replace(run.config, data_dir=str(runs["data"])), fresh=False)
    trainer.load(runs[name] / "checkpoint.npz")
    assert same(run.model.state(), trainer.model.state())
    assert run.step == trainer.t == 5
    dataset = trainer.dataset
    expected = trainer.model.forward(normalise(dataset.test_x, dataset)).argmax(1)
    classes = run.predict(dataset.test_x)
    np.testing.assert_array_equal(classes, expected)
    assert classes.dtype == int
    assert 100 * np.mean(classes == dataset.test_y) == run.history.test_accuracy


def test_it_comes_with_its_config_and_records(runs):
    run = load(runs["dsr"])
    assert run.config == directory.read_config(runs["dsr"])
    assert run.history.records == History.load(runs["dsr"] / "metrics.jsonl").records
    assert run.data["classes"] == [f"class {i}" for i in range(10)]
    assert load(str(runs["dsr"])).step == run.step


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("name", ["dense", "hashed", "dst", "dsr"])
def test_engines_agree(runs, name, engine):
    expected, found = (logits(load(runs[name], engine=e)) for e in ("plain", engine))
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-5)


def test_the_size_of_batches_does_not_matter(runs):
    run = load(runs["dsr"])
    for batch in (1, 7, 30, 31):
        np.testing.assert_array_equal(run.predict(IMAGES, batch=batch), run.predict(IMAGES))
    assert run.predict(IMAGES[:0]).shape == (0,)
    turned = np.ascontiguousarray(IMAGES.transpose(0, 2, 3, 1)).transpose(0, 3, 1, 2)
    np.testing.assert_array_equal(run.predict(turned), run.predict(IMAGES))


@pytest.mark.parametrize("images", [
    IMAGES[0], IMAGES[:, :2], IMAGES[:, :, 1:], IMAGES / 255, IMAGES.astype(np.int64),
    IMAGES.transpose(0, 2, 3, 1), IMAGES.tolist(), None])
def test_other_images_are_refused(runs, images):
    run = load(runs["static"])
    refused(lambda: run.predict(images), run.model, match=r"images must be .*uint8 \(N, 3, 32, 32")


def test_batches_have_a_size(runs):
    refused(lambda: load(runs["static"]).predict(IMAGES, batch=0), match="batch must be a whole")


def test_a_prediction_that_is_not_finite_is_none(runs):
    run = load(runs["static"])
    run.model.layers["conv1"].weight.value[:] = 3e38
    with pytest.raises(TrainingError, match="prediction is not finite: first the output of conv1"):
        run.predict(IMAGES)


# --- the folder


def test_a_training_that_goes_on_is_read_as_of_its_checkpoint(runs, tmp_path):
    """In the midst of an epoch; records behind the checkpoint, and a torn line, do not count."""
    config = dataclasses.replace(directory.read_config(runs["dsr"]), data_dir=str(runs["data"]),
                                 validation=20, periods=(1,))
    trainer = Trainer(config)
    history = start.begin(trainer, tmp_path, 1)
    for x, y in trainer.batches():
        moved = trainer.step(x, y)
        if moved:
            history.add_reallocation(trainer, moved)
        if trainer.t == 2:
            start.save(trainer, history, tmp_path)
            kept, weights = len(history.records), state_dict(trainer.model)
    with open(tmp_path / "metrics.jsonl", "a") as file:
        file.write('{"kind": "epo')
    run = load(tmp_path)
    assert run.step == 2
    assert not run.history.epochs
    assert run.history.records == history.records[:kept]
    assert kept < len(history.records)
    assert same(run.state_dict(), weights)
    assert (run.data["train"], run.data["validation"]) == (80, 20)


def test_nothing_is_written(runs, tmp_path):
    run = copied(runs["dsr"], tmp_path)
    with fuzz.left_alone(run):
        load(run).predict(IMAGES)


@pytest.mark.parametrize(("change", "said"), [
    (lambda run: (run / "config.json").unlink(), "not a run directory"),
    (lambda run: (run / "checkpoint.npz").unlink(), "no checkpoint there"),
    (lambda run: (run / "metrics.jsonl").unlink(), "metrics.jsonl: missing or empty"),
    (lambda run: (run / "metrics.jsonl").write_text(""), "metrics.jsonl: missing or empty"),
    (lambda run: cut(run / "metrics.jsonl", lambda lines: lines[:-1]), "the checkpoint counts on"),
    (lambda run: cut(run / "metrics.jsonl", lambda lines: lines[1:]), "a run has one setup"),
    (lambda run: said_of_data(run, classes=["a", "b"]), "does not fit"),
    (lambda run: said_of_data(run, image=[1, 32, 32], mean=[0], std=[1]), "does not fit"),
    (lambda run: said_of_data(run, train=400), "which is not what an epoch has seen"),
    (lambda run: said_of_data(run, validation=3), "'validation_accuracy' is missing"),
    (lambda run: (run / "config.json").write_text((run / "config.json").read_text().replace(
        directory.FORMAT, "minidsr-3")), "of an older version")])
def test_a_folder_that_is_not_whole_is_refused(runs, tmp_path, change, said):
    run = copied(runs["dsr"], tmp_path)
    change(run)
    with fuzz.left_alone(run), pytest.raises(CheckpointError) as error:
        load(run)
    assert said in str(error.value)
    assert fuzz.refusal(error.value) == "refused"


def cut(path, change):
    path.write_text("".join(change(path.read_text().splitlines(keepends=True))))


def said_of_data(run, **values):
    """The setup record says something else of the data set."""
    def changed(lines):
        setup = json.loads(lines[0])
        return [json.dumps(setup | {"data": setup["data"] | values}) + "\n", *lines[1:]]
    cut(run / "metrics.jsonl", changed)


@pytest.mark.parametrize("name", FILES)
def test_files_of_another_run_are_refused(runs, tmp_path, name):
    run = copied(runs["dsr"], tmp_path)
    (run / name).write_bytes((runs["gradual"] / name).read_bytes())
    with pytest.raises(CheckpointError) as error:
        load(run)
    assert fuzz.refusal(error.value) == "refused"


@pytest.mark.parametrize("name", FILES)
def test_damaged_files_are_refused_or_mean_the_same_weights(runs, tmp_path, name):
    run, outcomes = copied(runs["dsr"], tmp_path), []
    content, weights = (run / name).read_bytes(), load(run).state_dict()
    for seed in range(20):
        what, damaged = fuzz.damaged(np.random.default_rng(seed), content)
        (run / name).write_bytes(damaged)
        try:
            with fuzz.left_alone(run):
                equal = same(load(run, engine="plain").state_dict(), weights)
            outcomes.append("equal" if equal else what)
        except CheckpointError as error:
            outcomes.append(fuzz.refusal(error))
    assert set(outcomes) <= {"refused", "equal"}
    assert "refused" in outcomes


# --- weights elsewhere, and back


@pytest.mark.parametrize("name", RUNS)
def test_weights_go_into_a_dense_network(runs, name):
    """Which then computes the same, whatever the tensors were made of."""
    run = load(runs[name], engine="plain")
    state = run.state_dict()
    network = run.history.setup["network"]
    dense = models.build(network, image=(3, 32, 32), classes=10, rng=np.random.default_rng(1))
    for p in dense.params():
        p.velocity += 1
    load_state_dict(dense, state)
    assert same(state_dict(dense), state)
    assert all(array.dtype == np.float32 for array in state.values())
    assert not any(p.velocity.any() for p in dense.params())
    expected = logits(run)
    run.model = dense
    np.testing.assert_array_equal(logits(run), expected)


@pytest.mark.parametrize("name", RUNS)
def test_weights_come_back(runs, name):
    """Into the structure there is; or the line says why not, and nothing changes."""
    run = load(runs[name])
    state = {key: 2 * array for key, array in run.state_dict().items()}
    counted = state | {"bn1.num_batches_tracked": np.int64(5)}  # as PyTorch has it
    if not all(isinstance(p, (Dense, Sparse)) for p in run.model.params()):
        refused(lambda: run.load_state_dict(counted), run.model, match="which takes no values back")
        return
    before = run.model.state()
    run.load_state_dict(counted)
    assert same(run.state_dict(), state)
    for key, array in run.model.state().items():
        if key.endswith(".index"):
            np.testing.assert_array_equal(array, before[key])
        if key.endswith(".velocity"):
            assert not array.any()


def test_a_state_is_a_copy(runs):
    run = load(runs["dsr"])
    before = run.model.state()
    for array in run.state_dict().values():
        array += 1
    state = run.state_dict()
    run.load_state_dict(state)
    for array in state.values():
        array += 1
    after = run.model.state()
    assert all((before[key] == after[key]).all() for key in before if "velocity" not in key)


CONV, NORM = "conv2.weight", "bn1.running_var"


@pytest.mark.parametrize(("change", "match"), [
    (lambda s: s.pop(CONV), "'conv2.weight' is missing"),
    (lambda s: s.update(fc2=np.zeros(2)), "'fc2' is unknown"),
    (lambda s: s.clear(), "is missing, and 26 more differ"),
    (lambda s: s.update({3: np.zeros(2)}), "3 is unknown"),
    (lambda s: s.update({CONV: s[CONV][:-1]}), r"conv2.weight must be float16 or .*\(3, 2, 3, 3\)"),
    (lambda s: s.update({CONV: s[CONV].reshape(-1)}), "conv2.weight must be"),
    (lambda s: s.update({CONV: s[CONV].astype(int)}), "conv2.weight must be"),
    (lambda s: s.update({CONV: None}), "conv2.weight must be"),
    (lambda s: s.update({CONV: NoArray()}), "conv2.weight cannot be an array .*on a GPU"),
    (lambda s: s.update({CONV: s[CONV] + np.float64(1e300)}), "conv2.weight holds a number that"),
    (lambda s: s.update({CONV: s[CONV] * np.nan}), "conv2.weight holds a number that"),
    (lambda s: s.update({CONV: s[CONV] + 1}), "conv2.weight must be 0 where it has no weight"),
    (lambda s: s.update({NORM: -s[NORM]}), "bn1.running_var holds a variance below 0")])
def test_a_state_that_does_not_fit_is_refused(runs, change, match):
    run = load(runs["dsr"])
    state = OrderedDict(run.state_dict())
    change(state)
    refused(lambda: run.load_state_dict(state), run.model, match=match)


class NoArray:
    def __array__(self, *args, **options):
        raise TypeError("on a GPU;\ncopy it")


@pytest.mark.parametrize("state", [None, [], "weights.npz"])
def test_what_is_no_state_is_refused(runs, state):
    run = load(runs["dsr"])
    refused(lambda: run.load_state_dict(state), run.model, match="state must be a dict of arrays")


@pytest.mark.parametrize("dtype", [np.float16, np.float64])
def test_other_floats_are_rounded(runs, dtype):
    run = load(runs["dense"])
    state = {name: array.astype(dtype) for name, array in run.state_dict().items()}
    run.load_state_dict(state)
    assert same(run.state_dict(), {name: a.astype(np.float32) for name, a in state.items()})
