"""Methods against their interface, and that the settings of a run reach what they set."""

import dataclasses
import json

import numpy as np
import pytest
from tiny import write_cifar10

from minidsr.data.batches import batches, normalise
from minidsr.methods import DSR, METHODS
from minidsr.methods.dst import Thresholded
from minidsr.methods.hashed import Hashed
from minidsr.nn.models import small_cnn, wide_resnet
from minidsr.parameters import Dense, Sparse
from minidsr.proof.invariants import InvariantError
from minidsr.reparam import adjust_pruning_threshold, reallocate
from minidsr.run import report
from minidsr.run.config import Config
from minidsr.run.evaluate import evaluate
from minidsr.run.history import History
from minidsr.run.train import Trainer, train
from minidsr.schedules import piecewise, reallocates

pytestmark = pytest.mark.slow  # nearly each trains a network


@pytest.fixture(scope="module")
def tiny(tmp_path_factory):
    folder = write_cifar10(tmp_path_factory.mktemp("data"))
    return Config(data="cifar10", data_dir=str(folder), model="wrn-10-1", batch=10, epochs=3,
                  lr=0.02, periods=(2, 3, 4, 5), device="cpu", threads=1)


@pytest.fixture(scope="module")
def history(tiny):
    return train(tiny)


def test_the_paper_s_target_is_the_default():
    model = wide_resnet(28, 2, rng=np.random.default_rng(0))
    method = DSR()
    method.setup(model, np.random.default_rng(1))
    assert method.target_pruned == 20_000
    assert model.free_parameters() == 161_229


KINDS = {"dense": Dense, "thin-dense": Dense, "hashed": Hashed, "dst": Thresholded}


@pytest.mark.parametrize("method", METHODS)
def test_only_sparsifiable_weights_are_parameterized(method, tiny):
    model = Trainer(tiny.for_method(method)).model
    may_be = {f"{name}.weight" for name in model.sparsifiable_layers()}
    for name, p in model.named_params().items():
        assert type(p) is (KINDS.get(method, Sparse) if name in may_be else Dense), name


def test_each_threshold_follows_from_the_call_before(tiny, history):
    records = history.reallocations
    assert records[0]["H"] == tiny.resolved()["threshold"]
    for r, following in zip(records, records[1:], strict=False):
        assert following["H"] == adjust_pruning_threshold(r["H"], r["K"], r["N_p"], 0.1)
    assert len({r["H"] for r in records}) > 2


def test_reallocations_come_when_the_periods_say(tiny, history):
    total = 3 * 10
    expected = [t for t in range(total) if reallocates(
        t, total, tiny.resolved()["period_milestones"], tiny.periods, DSR.default_stop)]
    assert [r["step"] - 1 for r in history.reallocations] == expected
    assert len(expected) >= 8


def test_weights_move_between_tensors(history):
    assert any(r["pruned"] != r["grown"] for r in history.reallocations)


@pytest.mark.parametrize("method", ["dense", "dsr", "hashed", "dst"])
def test_training_penalises_the_tensors_that_may_be_sparse(method, tiny):
    """And no others, as the DSR authors' code (main.py, line 579)."""
    trainer = Trainer(dataclasses.replace(
        tiny.for_method(method), momentum=0.0, l1=0.5, weight_decay=0.0))
    weights = {id(layer.weight) for layer in trainer.model.sparsifiable_layers().values()}
    trainer.sgd.lr = 2.0 ** -3
    for p in trainer.sgd.params:
        p.grad = np.zeros_like(p.value)
    before = [p.value.copy() for p in trainer.sgd.params]
    trainer.sgd.step()
    for p, old in zip(trainer.sgd.params, before, strict=True):
        expected = old - 2.0 ** -4 * np.sign(old) * (id(p) in weights)
        np.testing.assert_array_equal(p.value, expected.astype(old.dtype))


@pytest.mark.parametrize("nesterov", [True, False])
def test_the_optimizer_is_as_configured(tiny, nesterov):
    config = dataclasses.replace(tiny, momentum=0.7, nesterov=nesterov, weight_decay=0.03, l1=0.02)
    sgd = Trainer(config).sgd
    assert (sgd.momentum, sgd.nesterov, sgd.weight_decay, sgd.l1) == (0.7, nesterov, 0.03, 0.02)


def test_the_learning_rate_drops_at_the_milestones(tiny):
    trainer = Trainer(dataclasses.replace(tiny, lr_milestones=(0.1, 0.5), lr_factor=0.1))
    rates = []
    for x, y in trainer.batches():
        trainer.step(x, y)
        rates.append(trainer.sgd.lr)
    assert rates == pytest.approx([0.02] * 3 + [0.002] * 7)
    trainer.t = 15
    assert trainer.lr() == pytest.approx(0.0002)
    assert piecewise(14, 30, (0.1, 0.5), (3, 2, 1)) == 2


@pytest.mark.parametrize("augment", [None, True, False])
def test_augmentation_is_as_configured(tiny, augment):
    trainer = Trainer(dataclasses.replace(tiny, augment=augment))
    ours, _ = next(iter(trainer.batches()))
    rng = np.random.default_rng(np.random.SeedSequence(0, spawn_key=(2, 0)))
    theirs, _ = next(batches(trainer.dataset, 10, rng, augmented=augment is not False))
    assert (ours == theirs).all()


def test_each_seed_and_epoch_has_an_order_of_its_own(tiny):
    """That of the documented stream."""
    orders = set()
    for seed in (0, 1):
        trainer = Trainer(dataclasses.replace(tiny, seed=seed))
        for epoch in (0, 1):
            trainer.t = epoch * trainer.steps_per_epoch
            labels = np.concatenate([y for _, y in trainer.batches()])
            stream = np.random.SeedSequence(seed, spawn_key=(2, epoch))
            order = np.random.default_rng(stream).permutation(len(labels))
            assert (labels == trainer.dataset.train_y[order]).all()
            orders.add(tuple(order))
    assert len(orders) == 4


def test_evaluation_is_on_the_test_images(tiny):
    trainer = Trainer(tiny)
    dataset = trainer.dataset
    logits = trainer.model.forward(normalise(dataset.test_x, dataset))
    right = 100 * (logits.argmax(1) == dataset.test_y).mean()
    for batch in (7, 500):
        loss, accuracy = evaluate(trainer.model, dataset, batch=batch)
        assert accuracy == pytest.approx(right)
    wrong = dataclasses.replace(dataset, test_y=(logits.argmax(1) + 1).astype(np.uint8) % 10)
    assert evaluate(trainer.model, wrong)[1] == 0
    assert loss > 0


def losing_one(tensors, H, N_p, delta, rng, **options):
    """Algorithm 1, but a weight gets lost."""
    result = reallocate(tensors, H, N_p, delta, rng, **options)
    tensors[0].prune(np.arange(tensors[0].value.size) == 0)
    return result


def test_a_lost_weight_stops_training(tiny, tmp_path, monkeypatch):
    monkeypatch.setattr("minidsr.methods.dsr.reallocate", losing_one)
    with pytest.raises(InvariantError, match="epoch 1, step 3 .* budget: 7,370 .* 7,369 after"):
        train(tiny, out=tmp_path / "run")
    assert Trainer(tiny).load(tmp_path / "run" / "checkpoint.npz") == 1  # the first one stays
    assert not train(dataclasses.replace(tiny, check=False)).conserved


def test_checking_changes_nothing_else(tiny, history):
    unchecked = train(dataclasses.replace(tiny, check=False))
    records = [[{key: value for key, value in record.items() if key != "images_per_s"}
                for record in h.records] for h in (history, unchecked)]
    assert records[0] == records[1]


def test_what_changes_between_reallocations_is_seen(tiny):
    trainer = Trainer(tiny)
    method = trainer.method
    method.checked_reallocation(1)
    state = method.state()
    method.H *= 2
    with pytest.raises(InvariantError, match="threshold_between: H was set to"):
        method.checked_reallocation(1)
    method.load(state | {"H": 5.0}, 1)
    method.checked_reallocation(1)  # a resumed run knows of no reallocation before
    W = method.tensors[1]
    position = np.setdiff1d(np.arange(W.size), W.index)[0]
    W.prune(np.arange(W.value.size) == 3)
    W.grow([position])
    with pytest.raises(InvariantError, match="nothing_moves_between: .*: differs at 2 positions"):
        method.checked_reallocation(1)


def test_a_changed_dense_tensor_is_seen(tiny, monkeypatch):
    trainer = Trainer(tiny)

    def meddling(*arguments, **options):
        trainer.model.named_params()["fc.bias"].value[3] += 1
        return reallocate(*arguments, **options)

    monkeypatch.setattr("minidsr.methods.dsr.reallocate", meddling)
    with pytest.raises(InvariantError, match="^dense_unchanged: fc.bias"):
        trainer.method.checked_reallocation(1)


@pytest.fixture
def written(tmp_path):
    """A history in which a weight got lost and the accuracy fell, and a torn last line."""
    history = History(tmp_path / "metrics.jsonl")
    history.add("setup", 0, network="net", free_parameters=100, budget="conserved", explored=0.25,
                options={},
                tensors=[{"name": "conv", "shape": [20, 10], "size": 200, "active": 50}],
                data={"image": [1, 8, 8], "classes": ["a", "b"], "mean": [0.5], "std": [0.25],
                      "train": 20, "validation": 0, "test": 10})
    history.add("reallocation", 3, H=0.1, next_H=0.1, N_p=5, delta=0.1, keep_one=True, K=7,
                pruned=[7], grown=[6], active=[49], free_parameters=99, explored=0.25)
    for epoch, accuracy in ((1, 80.0), (2, 70.0)):
        history.add("epoch", 5 * epoch, epoch=epoch, train_loss=1.0, train_accuracy=75.0,
                    test_loss=1.0, test_accuracy=accuracy, images_per_s=100.0, free_parameters=99,
                    active=[49], explored=0.28)
    with open(tmp_path / "metrics.jsonl", "a") as file:
        file.write('{"kind": "epo')
    return History.load(tmp_path / "metrics.jsonl")


def test_a_lost_weight_is_seen(written):
    assert not written.conserved
    assert "BROKEN" in report.compare({"x": written})


def test_the_last_epoch_counts_not_the_best(written):
    assert written.test_accuracy == 70.0
    assert "70.00 %" in report.compare({"x": written})


def test_tables_say_what_the_records_say(written):
    assert report.compare({"x": written}).splitlines()[2].split() == [
        "x", "99", "75.5", "%", "70.00", "%", "7", "1", "0.280", "BROKEN"]
    assert report.by_tensor(written).splitlines()[2].split() == [
        "conv", "200", "50", "49", "25.0", "%", "24.5", "%"]


def test_the_first_records(written):
    assert History.load(written.path, first=3).records == written.records[:3]
    written.rewrite()
    assert [json.loads(line) for line in written.path.read_text().splitlines()] == written.records


def test_what_can_be_sparse_in_the_small_network():
    names = small_cnn(rng=np.random.default_rng(0)).sparsifiable_layers()
    assert list(names) == ["conv2", "conv3", "conv4", "conv5"]
