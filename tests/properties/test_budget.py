"""The number of free parameters never changes.

A free parameter is a number that SGD trains. A sparse tensor stores its free parameters and nothing
else, so to count them is to take the length of an array: there is no counter that could be wrong.
What prunes must grow as many, whatever the network and whatever is rounded. Each test here counts
before, lets something happen, and counts again.
"""

import pytest
from hypothesis import given
from tiny import write_cifar10
from training import CASES, Training

from minidsr.proof.cases import all_patterns, cases, small_cases
from minidsr.run import directory
from minidsr.run.config import Config
from minidsr.run.train import Trainer


def count(tensors):
    return sum(t.value.size for t in tensors)


@given(cases())
def test_algorithm_1_on_random_networks(case):
    """Empty and full tensors, equal weights, zeros, huge and tiny ones; any H, N_p and δ."""
    r = case.run()
    assert count(r.after) == count(r.before)


@pytest.mark.exhaustive
@pytest.mark.parametrize("tensors", [1, 2])
def test_algorithm_1_on_every_small_network(tensors):
    """Each tensor has up to four positions; each is empty, or has a weight below H or not below.

    Of three tensors, test_reparam.py tries every invariant, and the budget is one.
    """
    for case in small_cases(tensors, all_patterns()):
        r = case.run()
        assert count(r.after) == count(r.before), str(case)


@pytest.mark.parametrize("case", CASES)
def test_each_method_in_training(case):
    """After each step. Three kinds of budget are declared, and this is what they mean:

    conserved  the number never changes
    shrinking  gradual pruning begins dense: the number falls to the budget, and never rises
    learned    dst promises no sparsity. It trains every weight and a threshold a row, and these
               stay as many; what changes is how many weights are above their threshold
    """
    training = Training(case)
    counts = [training.model.free_parameters()]
    for _ in range(20):
        training.step()
        counts.append(training.model.free_parameters())
    if training.method.budget_rule == "shrinking":
        assert counts == sorted(counts, reverse=True)
        assert counts[-1] == Training("static").model.free_parameters() < counts[0]
    else:
        assert training.method.budget_rule in ("conserved", "learned")
        assert set(counts) == {counts[0]}


@pytest.mark.parametrize("case", CASES)
def test_a_checkpoint_saved_and_loaded(case, tmp_path):
    """In the midst of training, into a network that began with other positions."""
    training, other = Training(case), Training(case, seed=1)
    training.run(7)
    directory.save(tmp_path / "checkpoint.npz", training.state())
    other.load(directory.load(tmp_path / "checkpoint.npz"), t=7)
    assert other.model.free_parameters() == training.model.free_parameters()
    assert [W.value.size for W in other.weights()] == [W.value.size for W in training.weights()]


@pytest.fixture(scope="module")
def images(tmp_path_factory):
    return str(write_cifar10(tmp_path_factory.mktemp("data"), images=10))


@pytest.mark.parametrize("model", [
    "small-cnn", pytest.param("wrn-10-1", marks=pytest.mark.slow)])
def test_dsr_on_whole_networks(model, images):
    """Weights move between tensors, by the hundred; batch norm and biases are counted, too."""
    trainer = Trainer(Config(data="cifar10", data_dir=images, model=model, batch=10, epochs=1,
                             periods=(2,), period_milestones=(), threshold=0.01, lr=0.02,
                             device="cpu", engine="blocked"))
    budget, sizes = trainer.model.free_parameters(), set()
    for x, y in trainer.batches():
        report = trainer.step(x, y)
        assert trainer.model.free_parameters() == count(trainer.model.params()) == budget
        if report:
            sizes.add(tuple(report.active))
    assert len(sizes) > 1  # how many weights each tensor has did change
