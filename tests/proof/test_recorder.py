"""The recorder for PyTorch that traces.md shows: what it records is judged as it should be.

Each case runs on a stand-in for PyTorch, and where PyTorch is installed, on that too.
"""

import importlib
import re
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest

from minidsr.proof import trace
from minidsr.proof.invariants import OF_ONE_REALLOCATION, OF_TWO_IN_A_ROW, RULES
from minidsr.reparam import Report
from minidsr.run.verify import verify_trace

SHOWN_IN = Path(__file__).parents[2] / "lessons" / "notes" / "traces.md"
H, DELTA, STEPS, SHARE = 0.01, 0.1, 3, 0.3
UNCHECKED = {"balance": "pruned is not known",
             "largest_kept": "no tensor was wholly below H",
             "overflow": "every share found room, see shares"}
CHECKED = {i.__name__ for i in RULES["dsr"].one + RULES["dsr"].two} - UNCHECKED.keys()


@pytest.fixture(params=["torch_stand_in", pytest.param("torch", marks=pytest.mark.skipif(
    not find_spec("torch"), reason="PyTorch is not installed"))])
def torch(request):
    return importlib.import_module(request.param)


@pytest.fixture
def path(tmp_path):
    return tmp_path / "trace.npz"


def text_of_the_recorder():
    blocks = re.findall(r"```python\n(.*?)```", SHOWN_IN.read_text(), re.DOTALL)
    text, = (block for block in blocks if "class Recorder" in block)
    return text


def recorder(*args, text=None):
    """A Recorder, from the text."""
    names = {}
    exec(text or text_of_the_recorder(), names)
    return names["Recorder"](*args)


# --- a mask-on-dense DSR; `fault` is a mistake to make


class Program:
    """Two sparse weights, of a convolution and of a linear layer, and two dense biases.

    `weights`, `biases` and `masks` are arrays in the memory of PyTorch's tensors: what is written
    to them is written to the network. So the rest is NumPy.
    """

    def __init__(self, torch, momentum=0.9):
        self.torch, self.rng = torch, np.random.default_rng(0)
        self.model = torch.nn.Sequential(torch.nn.Conv2d(4, 16, 3), torch.nn.Linear(128, 10))
        self.optimizer = torch.optim.SGD(self.model.parameters(), lr=0.05, momentum=momentum)
        arrays = {name: p.detach().numpy() for name, p in self.model.named_parameters()}
        for array in arrays.values():
            array[...] = self.rng.uniform(-0.1, 0.1, array.shape)
        self.weights = {name: a for name, a in arrays.items() if a.ndim > 1}
        self.biases = {name: a for name, a in arrays.items() if a.ndim == 1}
        self.mask_tensors = {
            name: torch.tensor((self.rng.random(w.shape) < SHARE).astype(np.float32))
            for name, w in self.weights.items()}
        self.masks = {name: mask.numpy() for name, mask in self.mask_tensors.items()}
        self.apply_masks()

    def recorder(self, **options):
        return recorder(self.model, self.mask_tensors, self.optimizer, **options)

    def apply_masks(self):
        for name, w in self.weights.items():
            w *= self.masks[name]

    def learn(self):
        """A step. Gradients are dense, so momentum gathers at masked positions."""
        for p in self.model.parameters():
            gradient = self.rng.normal(0, 0.1, p.detach().numpy().shape)
            p.grad = self.torch.tensor(gradient.astype(np.float32))
        self.optimizer.step()
        self.apply_masks()

    def momentum(self):
        """{name of a weight: array}, empty before the first step and without momentum."""
        buffers = {name: self.optimizer.state.get(p, {}).get("momentum_buffer")
                   for name, p in self.model.named_parameters()}
        return {name: b.numpy() for name, b in buffers.items() if b is not None}

    def reallocate(self, H, N_p, fault=None):
        """Algorithm 1. Returns the next H."""
        momentum = self.momentum()
        was = {name: mask.astype(bool) for name, mask in self.masks.items()}
        stay = {name: choose_survivors(w, was[name], H, fault) for name, w in self.weights.items()}
        K = sum(int((was[name] & ~stay[name]).sum()) for name in stay)
        shares = whole_shares(K, [int(s.sum()) for s in stay.values()], fault)
        for (name, w), g in zip(self.weights.items(), shares, strict=True):
            taken = stay[name] if fault == "grows where it pruned" else was[name]
            grown = self.rng.permutation(np.flatnonzero(~taken))[:g]
            self.masks[name][...] = stay[name]
            self.masks[name].reshape(-1)[grown] = 1
            w *= stay[name]
            if name in momentum and fault != "momentum stays":
                momentum[name] *= 0 if fault == "momentum of all is cleared" else stay[name]
            if fault == "grows at random":
                w.reshape(-1)[grown] = self.rng.normal(size=g)
            if fault == "scales survivors":
                w *= np.where(stay[name], np.float32(1.5), np.float32(1))
        if fault == "dense tensors change":
            self.biases["1.bias"] *= 0.5
        if fault == "threshold the wrong way":
            return H / 2 if K < (1 - DELTA) * N_p else H
        return 2 * H if K < (1 - DELTA) * N_p else H / 2 if K > (1 + DELTA) * N_p else H


def choose_survivors(w, active, H, fault):
    small = abs(w) <= np.float32(H) if fault == "prunes with <=" else abs(w) < np.float32(H)
    stays = active & ~small
    if not stays.any():
        by_size = np.where(active, abs(w), -1)
        stays.reshape(-1)[(active if fault == "keeps the first" else by_size).argmax()] = True
    return stays


def whole_shares(K, survivors, fault):
    if fault == "equal shares":
        survivors = [1] * len(survivors)
    exact = [K * l / sum(survivors) for l in survivors]
    if fault == "shares rounded up":
        return [int(np.ceil(share)) for share in exact]
    shares = [int(share) for share in exact]
    by_rest = sorted(range(len(exact)), key=lambda i: shares[i] - exact[i])
    for i in by_rest[:K - sum(shares)]:
        shares[i] += 1
    return shares


@dataclass
class Run:
    """Some reallocations, each after some steps, recorded in a file."""

    path: Path
    fault: str | None = None
    N_p: int = 40
    times: int = 4
    prepare: object = lambda program: None  # what to do before each reallocation
    text: str | None = None  # of another recorder

    def of(self, program):
        """The reallocations, as load() finds them in the file."""
        threshold, log = H, program.recorder(text=self.text)
        for t in range(self.times):
            for _ in range(STEPS):
                program.learn()
            self.prepare(program)
            if t == 2:
                threshold = self.move_unseen(program, threshold)
            log.record("before", H=threshold, N_p=self.N_p, delta=DELTA)
            threshold = program.reallocate(threshold, self.N_p, self.fault)
            log.record("after", next_H=threshold)
        log.save(self.path)
        return trace.load(self.path)

    def move_unseen(self, program, threshold):
        """Faults between two reallocations."""
        if self.fault == "a weight moves unseen":
            mask = program.masks["1.weight"].reshape(-1)
            used, unused = mask.argmax(), mask.argmin()
            mask[used], mask[unused] = 0, 1
        return threshold / 2 if self.fault == "threshold falls unseen" else threshold


def place_at_threshold(program):
    """One weight that is H, as a float32."""
    mask = program.masks["1.weight"].reshape(-1)
    program.weights["1.weight"].reshape(-1)[mask.argmax()] = H


def shrink_the_convolution(program):
    """All its weights are below any threshold."""
    program.weights["0.weight"] *= np.float32(1e-6)


# --- what is right holds, what is wrong is named


def test_a_correct_program_holds(torch, path):
    found = Run(path).of(Program(torch))
    assert len(found) == 4
    assert [t.name for t in found[0].before] == ["0.weight", "0.bias", "1.weight", "1.bias"]
    assert [t.name for t, _ in found[0].sparse] == ["0.weight", "1.weight"]
    assert all(k > 0 for r in found for k in r.counts()[0])
    tally = verify_trace(found, method="dsr")
    assert tally.held, str(tally)
    assert tally.checked.keys() == CHECKED
    assert all(tally.checked[i.__name__] == 4 for i in OF_ONE_REALLOCATION
               if i.__name__ in CHECKED)
    assert all(tally.checked[i.__name__] == 3 for i in OF_TWO_IN_A_ROW)
    assert {name: tally.unchecked[name] for name in UNCHECKED} == UNCHECKED


def test_without_momentum(torch, path):
    """Plain SGD has no buffer: what needs one is not checked, the rest holds."""
    tally = verify_trace(Run(path).of(Program(torch, momentum=0)), method="dsr")
    assert tally.held, str(tally)
    assert CHECKED - tally.checked.keys() == {"survivors_keep_velocity", "grown_at_rest"}
    assert tally.unchecked["grown_at_rest"] == "velocity is not known"


def test_a_tensor_below_the_threshold_keeps_its_largest(torch, path):
    tally = verify_trace(Run(path, prepare=shrink_the_convolution).of(Program(torch)), method="dsr")
    assert tally.held, str(tally)
    assert tally.checked["largest_kept"] == 4


FAULTS = {
    "momentum stays": {"grown_at_rest"},
    "momentum of all is cleared": {"survivors_keep_velocity"},
    "prunes with <=": {"pruned_below_threshold"},
    "keeps the first": {"largest_kept"},
    "scales survivors": {"survivors_keep_value"},
    "grows at random": {"grown_at_zero"},
    "grows where it pruned": {"grown_elsewhere"},
    "equal shares": {"shares"},
    "shares rounded up": {"budget"},
    "threshold the wrong way": {"threshold_rule"},
    "dense tensors change": {"dense_unchanged"},
    "a weight moves unseen": {"nothing_moves_between", "masked_are_zero"},
    "threshold falls unseen": {"threshold_between"}}
PREPARE = {"prunes with <=": place_at_threshold, "keeps the first": shrink_the_convolution}


@pytest.mark.parametrize("fault", FAULTS)
def test_a_fault_is_found(fault, torch, path):
    """Of all invariants, those are violated that it breaks, and no other."""
    run = Run(path, fault, prepare=PREPARE.get(fault, lambda program: None))
    tally = verify_trace(run.of(Program(torch)), method="dsr")
    assert tally.violated.keys() == FAULTS[fault], str(tally)


# --- the recorder itself


def test_recording_changes_nothing(torch, path):
    """Not the tensors, not the optimizer; and later steps do not change the record."""
    program = Program(torch)
    log = program.recorder()
    log.record("before")
    assert not program.optimizer.state
    log.record("after")
    program.learn()
    log.save(path)
    r, = trace.load(path)
    for x, y in zip(r.before, r.after, strict=True):
        assert x.value.tobytes() == y.value.tobytes()
        assert x.velocity is y.velocity is None


def test_what_is_recorded_is_what_is_there(torch, path):
    program = Program(torch)
    program.learn()
    log = program.recorder()
    log.record("before", H=0.5, N_p=3, delta=0.1, keep_one=True)
    log.record("after", next_H=0.25)
    log.save(path)
    r, = trace.load(path)
    assert r.report == Report(H=0.5, next_H=0.25, N_p=3, delta=0.1, keep_one=True)
    arrays, momentum = program.weights | program.biases, program.momentum()
    for t in r.before:
        kept = program.masks.get(t.name, np.ones_like(arrays[t.name])).astype(bool)
        assert t.size == arrays[t.name].size
        assert t.value.tobytes() == arrays[t.name][kept].tobytes()
        assert t.velocity.tobytes() == momentum[t.name][kept].tobytes()
        if t.name in program.masks:
            assert t.index.tolist() == np.flatnonzero(kept).tolist()


@pytest.mark.parametrize(("right", "wrong"), [
    (".copy()", ""),                                        # later steps change the record
    ("/{moment}/", "/{'before' if moment == 'after' else 'after'}/"),
    ('("value", p)', '("value", momentum)'),
    ("self.masks.get(name)", "None"),
    ('moment == "after"', "1"), ('moment == "after"', "0")])
def test_a_broken_recorder_is_noticed(right, wrong, torch, path):
    """The program is correct, so what is refused or violated is the recorder's doing."""
    text = text_of_the_recorder()
    assert text.count(right) == 1
    run = Run(path, text=text.replace(right, wrong))
    try:
        found = run.of(Program(torch))
    except trace.TraceError:
        return
    assert not verify_trace(found, method="dsr").held or len(found) != run.times


def test_a_mask_of_no_parameter_is_refused(torch):
    """As where one model is under DDP and the other is not."""
    program = Program(torch)
    masks = {f"module.{name}": mask for name, mask in program.mask_tensors.items()}
    with pytest.raises(KeyError, match="masks of no parameter, by these names: .*module.0.weight"):
        recorder(program.model, masks, program.optimizer)


def test_a_tensor_whose_mask_is_forgotten_is_not_taken_for_dense(torch, path):
    program = Program(torch)
    del program.mask_tensors["0.weight"]
    with pytest.raises(trace.TraceError, match=r"0\.weight: no mask or index, yet more of it is 0 "
                                               r"after than before; is its mask missing\?"):
        Run(path).of(program)


def test_every_key_is_in_the_table():
    """The page names the keys that load() knows, and no others."""
    keys = re.findall(r"`(n/[\w/]+)`", SHOWN_IN.read_text())
    arrays = ("value", "mask", "index", "velocity", *trace.RECORDED)
    known = [*(f"n/NAME/{moment}/{array}" for array in arrays for moment in ("before", "after")),
             *(f"n/NAME/{count}" for count in ("size", "pruned", "grown", "final")),
             *(f"n/{number}" for number in (*trace.SAID, *trace.NUMBERS))]
    assert sorted(keys) == sorted(known)
    for key in keys:
        key = key.replace("n/", "0/", 1)
        assert any(pattern.fullmatch(key) for pattern in (trace.ARRAY, trace.COUNT, trace.SCALAR))
