"""The recorder for PyTorch that README shows: what it records is judged as it should be."""

import re
from pathlib import Path

import numpy as np
import pytest

from minidsr.proof import trace
from minidsr.proof.invariants import OF_ONE, OF_TWO_IN_A_ROW
from minidsr.reparam import Report
from minidsr.run.verify import verify_trace

torch = pytest.importorskip("torch", reason="the recorder is for PyTorch, which is not installed")

torch.set_num_threads(1)
SHOWN_IN = Path(__file__).parents[2] / "README.md"
H, DELTA, STEPS = 0.01, 0.1, 3
UNCHECKED = {"balance": "pruned is not known",
             "largest_kept": "no tensor was wholly below H",
             "overflow": "every share found room, see shares"}
CHECKED = {i.__name__ for i in OF_ONE + OF_TWO_IN_A_ROW} - UNCHECKED.keys()


def recorder(*args):
    """A Recorder, from the text."""
    blocks = re.findall(r"```python\n(.*?)```", SHOWN_IN.read_text(), re.DOTALL)
    code, = (block for block in blocks if "class Recorder" in block)
    names = {}
    exec(code, names)
    return names["Recorder"](*args)


# --- a mask-on-dense DSR, as one would write it in PyTorch; `fault` is a mistake to make


def network():
    """Two sparse tensors, of the convolution and of the last layer, and two dense biases."""
    torch.manual_seed(0)
    return torch.nn.Sequential(torch.nn.Conv2d(2, 8, 3), torch.nn.ReLU(), torch.nn.Flatten(),
                               torch.nn.Linear(128, 10))


def random_masks(model, share=0.3):
    masks = {name: (torch.rand(p.shape) < share).float()
             for name, p in model.named_parameters() if p.ndim > 1}
    apply_masks(model, masks)
    return masks


@torch.no_grad()
def apply_masks(model, masks):
    for name, mask in masks.items():
        model.get_parameter(name).mul_(mask)


def learn(model, masks, optimizer):
    """A step on random images. Gradients are dense, so momentum gathers at masked positions."""
    x, y = torch.randn(8, 2, 6, 6), torch.randint(10, (8,))
    optimizer.zero_grad()
    torch.nn.functional.cross_entropy(model(x), y).backward()
    optimizer.step()
    apply_masks(model, masks)


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


def choose_survivors(w, mask, H, fault):
    active = mask.bool()
    small = w.abs() <= H if fault == "prunes with <=" else w.abs() < H
    stays = active & ~small
    if not stays.any():
        by_size = torch.where(active, w.abs(), -1).flatten()
        chosen = active.flatten().int().argmax() if fault == "keeps the first" else by_size.argmax()
        stays.view(-1)[chosen] = True
    return stays


@torch.no_grad()
def reallocate(model, masks, optimizer, H, N_p, fault=None):
    """Algorithm 1. Returns the next H."""
    weights = [model.get_parameter(name) for name in masks]
    old = [mask.bool() for mask in masks.values()]
    stay = [choose_survivors(w, mask, H, fault) for w, mask in zip(weights, old, strict=True)]
    K = sum(int((a & ~b).sum()) for a, b in zip(old, stay, strict=True))
    shares = whole_shares(K, [int(s.sum()) for s in stay], fault)
    for w, mask, was, stays, g in zip(weights, masks.values(), old, stay, shares, strict=True):
        taken = stays if fault == "grows where it pruned" else was
        free = (~taken).flatten().nonzero().flatten()
        free = free[torch.randperm(len(free))]
        mask.copy_(stays)
        mask.view(-1)[free[:g]] = 1
        w.mul_(stays)
        momentum = optimizer.state[w].get("momentum_buffer")
        if momentum is not None and fault != "momentum stays":
            momentum.mul_(0 if fault == "momentum of all is cleared" else stays)
        if fault == "grows at random":
            w.view(-1)[free[:g]] = torch.randn(g)
        if fault == "scales survivors":
            w.mul_(torch.where(stays, 1.5, 1))
    if fault == "dense tensors change":
        model.get_parameter("3.bias").mul_(0.5)
    if fault == "threshold the wrong way":
        return H / 2 if K < (1 - DELTA) * N_p else H
    return 2 * H if K < (1 - DELTA) * N_p else H / 2 if K > (1 + DELTA) * N_p else H


def recorded(path, fault=None, *, momentum=0.9, N_p=40, times=4, prepare=lambda *_: None):
    """The reallocations of a run, through the recorder, a file and load()."""
    model = network()
    masks = random_masks(model)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.05, momentum=momentum)
    threshold, log = H, recorder(model, masks, optimizer)
    for t in range(times):
        for _ in range(STEPS):
            learn(model, masks, optimizer)
        prepare(model, masks)
        if fault == "a weight moves unseen" and t == 2:
            mask = masks["3.weight"].view(-1)
            used, unused = mask.argmax(), mask.argmin()
            mask[used], mask[unused] = 0, 1
        if fault == "threshold falls unseen" and t == 2:
            threshold /= 2
        log.record("before", H=threshold, N_p=N_p, delta=DELTA)
        threshold = reallocate(model, masks, optimizer, threshold, N_p, fault)
        log.record("after", next_H=threshold)
    log.save(path)
    return trace.load(path)


@torch.no_grad()
def _place_at_threshold(model, masks):
    """One weight that is H, as a float32."""
    w, mask = model.get_parameter("3.weight").view(-1), masks["3.weight"].view(-1)
    w[mask.argmax()] = H


@torch.no_grad()
def _shrink_the_convolution(model, masks):
    """All its weights are below any threshold."""
    model.get_parameter("0.weight").mul_(1e-6)


PREPARE = {"prunes with <=": _place_at_threshold, "keeps the first": _shrink_the_convolution}


@pytest.fixture
def path(tmp_path):
    return tmp_path / "trace.npz"


def test_a_correct_program_holds(path):
    found = recorded(path)
    assert len(found) == 4
    assert [t.name for t in found[0].before] == ["0.weight", "0.bias", "3.weight", "3.bias"]
    assert [t.name for t, _ in found[0].sparse] == ["0.weight", "3.weight"]
    assert all(k > 0 for r in found for k in r.counts()[0])
    tally = verify_trace(found)
    assert tally.held, str(tally)
    assert tally.checked.keys() == CHECKED
    assert all(tally.checked[i.__name__] == 4 for i in OF_ONE if i.__name__ in CHECKED)
    assert all(tally.checked[i.__name__] == 3 for i in OF_TWO_IN_A_ROW)
    assert {name: tally.unchecked[name] for name in UNCHECKED} == UNCHECKED


def test_without_momentum(path):
    """Plain SGD has no buffer: what needs one is not checked, the rest holds."""
    tally = verify_trace(recorded(path, momentum=0))
    assert tally.held, str(tally)
    assert CHECKED - tally.checked.keys() == {"survivors_keep_velocity", "grown_at_rest"}
    assert tally.unchecked["grown_at_rest"] == "velocity is not known"


def test_a_tensor_below_the_threshold_keeps_its_largest(path):
    tally = verify_trace(recorded(path, prepare=_shrink_the_convolution))
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
    "a weight moves unseen": {"nothing_moves_between"},
    "threshold falls unseen": {"threshold_between"}}


@pytest.mark.parametrize("fault", FAULTS)
def test_a_fault_is_found(fault, path):
    """Of all invariants, those are violated that it breaks, and no other."""
    tally = verify_trace(recorded(path, fault, prepare=PREPARE.get(fault, lambda *_: None)))
    assert tally.violated.keys() == FAULTS[fault], str(tally)


def test_recording_changes_nothing(path):
    """Not the tensors, not the optimizer; and later steps do not change the record."""
    model = network()
    masks = random_masks(model)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.05, momentum=0.9)
    log = recorder(model, masks, optimizer)
    log.record("before")
    assert not optimizer.state_dict()["state"]
    log.record("after")
    learn(model, masks, optimizer)
    log.save(path)
    (a, b), = ((r.before, r.after) for r in trace.load(path))
    for x, y in zip(a, b, strict=True):
        assert x.value.tobytes() == y.value.tobytes()
        assert x.velocity is y.velocity is None


def test_what_is_recorded_is_what_is_there(path):
    model = network()
    masks = random_masks(model)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.05, momentum=0.9)
    learn(model, masks, optimizer)
    log = recorder(model, masks, optimizer)
    log.record("before", H=0.5, N_p=3, delta=0.1, keep_one=True)
    log.record("after", next_H=0.25)
    log.save(path)
    r, = trace.load(path)
    assert r.report == Report(H=0.5, next_H=0.25, N_p=3, delta=0.1, keep_one=True)
    for t in r.before:
        p = model.get_parameter(t.name)
        kept = masks.get(t.name, torch.ones_like(p)).bool()
        assert t.size == p.numel()
        assert t.value.tobytes() == p[kept].detach().numpy().tobytes()
        assert t.velocity.tobytes() == optimizer.state[p]["momentum_buffer"][kept].numpy().tobytes()
        if t.name in masks:
            assert t.index.tolist() == kept.flatten().nonzero().flatten().tolist()
