"""Training, reallocation, checkpoints and device moves in any order: the invariants after each."""

import math
import tempfile
from pathlib import Path

import numpy as np
import pytest
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from minidsr.backend import DeviceError, choose_device, to_device, to_host
from minidsr.methods import DSR
from minidsr.nn.layers import BatchNorm, Conv2d, Flatten, Linear, ReLU, Sequential
from minidsr.nn.sgd import SGD
from minidsr.parameters import Sparse
from minidsr.proof.cases import seeds
from minidsr.proof.invariants import check
from minidsr.proof.reallocation import snapshot
from minidsr.run import directory


def devices():
    try:
        return ["cpu", choose_device("gpu")]
    except DeviceError:
        return ["cpu"]


def network(seed):
    rng = np.random.default_rng(seed)
    return Sequential(
        first=Conv2d(2, 3, 3, pad=1, rng=rng, sparsifiable=False), norm=BatchNorm(3), relu=ReLU(),
        conv=Conv2d(3, 4, 3, rng=rng), slices=Conv2d(4, 2, 3, rng=rng), flat=Flatten(),
        fc=Linear(8, 5, rng=rng))


class Training(RuleBasedStateMachine):
    """A small network with dense and sparse tensors, whatever happens to it."""

    device = "cpu"

    @initialize(seed=seeds, sparsity=st.sampled_from([0, 0.5, 0.9]),
                threshold=st.sampled_from([1e-3, 0.1, 2.0]))
    def begin(self, seed, sparsity, threshold):
        self.arguments = {"sparsity": sparsity, "threshold": threshold}
        self.model, self.method = network(seed), DSR(**self.arguments)
        self.method.setup(self.model, np.random.default_rng(seed))
        self.budget, self.first_H = self.model.free_parameters(), threshold
        self.seen = self.positions()

    def positions(self):
        return [to_host(W.index).tolist() for W in self.method.tensors]

    @rule(seed=seeds, lr=st.sampled_from([1e-3, 0.1]), momentum=st.sampled_from([0, 0.9]),
          decay=st.sampled_from([0, 0.1]), l1=st.sampled_from([0, 0.1]), nesterov=st.booleans())
    def train(self, seed, lr, momentum, decay, l1, nesterov):
        rng = np.random.default_rng(seed)
        for p in self.model.params():
            p.pull(to_device(rng.normal(size=p.shape).astype(np.float32), self.device))
        sgd = SGD(self.model.params(), momentum=momentum, nesterov=nesterov, weight_decay=decay,
                  l1=l1)
        sgd.lr = lr
        sgd.step()

    @rule(share=st.floats(0, 1))
    def make_some_small(self, share):
        """So that whole tensors can fall below H."""
        for W in self.method.tensors[::2]:
            W.value[:math.ceil(share * W.value.size)] *= np.float32(2.0 ** -20)

    @rule()
    def reallocate(self):
        before = snapshot(self.model.named_params())
        report = self.method.checked_reallocation(1)  # raises where an invariant is broken
        assert check(before, self.model.named_params(), report, "dsr") == []
        self.seen = self.positions()

    @rule(seed=seeds)
    def save_and_load_into_another(self, seed):
        old = self.model.state()
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "checkpoint.npz"
            directory.save(path, self.method.state() | {f"model/{k}": a for k, a in old.items()})
            state = directory.load(path)
        self.model, self.method = network(seed), DSR(**self.arguments)
        self.method.setup(self.model, np.random.default_rng(seed))
        self.model.load({name: state[f"model/{name}"] for name in old})
        self.method.load(state, 1)
        self.device = "cpu"
        for name, array in self.model.state().items():
            assert array.dtype == old[name].dtype
            assert array.tobytes() == old[name].tobytes()

    @precondition(lambda self: len(devices()) > 1)
    @rule(device=st.sampled_from(devices()))
    def move(self, device):
        old = self.model.state()
        self.model.to(device)
        self.device = device
        for name, array in self.model.state().items():
            assert array.tobytes() == old[name].tobytes()

    @invariant()
    def the_budget_holds(self):
        assert self.model.free_parameters() == self.budget

    @invariant()
    def only_reallocation_moves_weights(self):
        assert self.positions() == self.seen

    @invariant()
    def every_tensor_is_sound(self):
        for name, p in self.model.named_params().items():
            assert p.velocity.shape == p.value.shape
            assert p.velocity.dtype == p.value.dtype == np.float32
            theta = to_host(p.theta())
            assert theta.shape == p.shape
            if isinstance(p, Sparse):
                index = to_host(p.index)
                assert index.tolist() == sorted(set(index.tolist())), name
                assert len(index) == p.value.size <= p.size
                theta = theta.reshape(-1).copy()
                assert theta[index].tobytes() == to_host(p.value).tobytes()
                theta[index] = 0
                assert not theta.any()
            else:
                assert p.value.shape == p.shape

    @invariant()
    def the_threshold_moves_by_powers_of_two(self):
        assert math.frexp(self.method.H)[0] == math.frexp(self.first_H)[0]


TestTraining = pytest.mark.slow(Training.TestCase)
