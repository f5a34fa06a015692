"""The recorder: what it records is judged as it should be, whatever the arrays are.

Each case of a program runs on a stand-in for PyTorch, and where PyTorch is installed, on that too.
"""

import importlib
import re
import shutil
import subprocess
import sys
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from minidsr.proof import recorder, trace
from minidsr.proof.invariants import OF_ONE_REALLOCATION, OF_TWO_IN_A_ROW, RULES
from minidsr.proof.recorder import Recorder
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
    return tmp_path / "trace"


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
    """Some reallocations, each after some steps, recorded in a folder."""

    path: Path
    fault: str | None = None
    N_p: int = 40
    times: int = 4
    prepare: object = lambda program: None  # what to do before each reallocation
    recorder: type = Recorder

    def of(self, program):
        """The reallocations, as load() finds them in the folder."""
        threshold = H
        log = self.recorder(self.path, program.model, program.mask_tensors, program.optimizer)
        for t in range(self.times):
            for _ in range(STEPS):
                program.learn()
            self.prepare(program)
            if t == 2:
                threshold = self.move_unseen(program, threshold)
            with log.reallocation(H=threshold, N_p=self.N_p, delta=DELTA) as r:
                threshold = program.reallocate(threshold, self.N_p, self.fault)
                r.said(next_H=threshold)
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
    log = Recorder(path, program.model, program.mask_tensors, program.optimizer)
    with log.reallocation():
        assert not program.optimizer.state
    program.learn()
    r, = trace.load(path)
    for x, y in zip(r.before, r.after, strict=True):
        assert x.value.tobytes() == y.value.tobytes()
        assert x.velocity is y.velocity is None


def test_what_is_recorded_is_what_is_there(torch, path):
    program = Program(torch)
    program.learn()
    log = Recorder(path, program.model, program.mask_tensors, program.optimizer)
    with log.reallocation(H=0.5, N_p=3, delta=0.1, keep_one=True) as r:
        r.said(next_H=0.25, pruned=[1, 2], grown={"1.weight": 0, "0.weight": 3})
    r, = trace.load(path)
    assert r.report == Report(H=0.5, next_H=0.25, N_p=3, delta=0.1, keep_one=True, pruned=[1, 2],
                              grown=[3, 0])
    arrays, momentum = program.weights | program.biases, program.momentum()
    for t in r.before:
        kept = program.masks.get(t.name, np.ones_like(arrays[t.name])).astype(bool)
        assert t.size == arrays[t.name].size
        assert t.value.tobytes() == arrays[t.name][kept].tobytes()
        assert t.velocity.tobytes() == momentum[t.name][kept].tobytes()
        if t.name in program.masks:
            assert t.index.tolist() == np.flatnonzero(kept).tolist()


@pytest.mark.parametrize(("right", "wrong"), [
    ("        before = self._look()\n        yield said\n",
     "        yield said\n        before = self._look()\n"),
    ("flat[key][free] for key", "flat[key][:free.sum()] for key"),
    ("flat[\"value\"][~free]", "flat[\"value\"][free]"),
    ('np.setdiff1d(a["index"], index', 'np.setdiff1d(index, a["index"]'),
    ('"changed": index[changed]', '"changed": index[~changed]'),
    ("self.number += 1", "pass")])
def test_a_broken_recorder_is_noticed(right, wrong, path):
    """The program is correct, so what is refused or violated is the recorder's doing."""
    text, names = Path(recorder.__file__).read_text(), {}
    assert text.count(right) == 1
    exec(text.replace(right, wrong), names)
    run = Run(path, recorder=names["Recorder"])
    try:
        found = run.of(Program(importlib.import_module("torch_stand_in")))
    except ValueError:
        return
    assert not verify_trace(found, method="dsr").held or len(found) != run.times


ALONE = """
import sys

class NumPyAlone:
    def find_spec(name, path=None, target=None):
        if name.partition(".")[0] not in {*sys.stdlib_module_names, "numpy", "recorder"}:
            raise ImportError(name)

sys.meta_path.insert(0, NumPyAlone)
import numpy as np
from recorder import Recorder

weights, masks = {"w": np.float32([1, 0.1, 0])}, {"w": np.array([1, 1, 0])}
with Recorder("trace", weights, masks).reallocation(H=0.5):
    weights["w"][1], masks["w"][1:] = 0, [0, 1]
"""


def test_the_file_is_enough(tmp_path):
    """Copied to elsewhere, it needs NumPy, and nothing of this package."""
    shutil.copy(recorder.__file__, tmp_path / "recorder.py")
    subprocess.run([sys.executable, "-c", ALONE], cwd=tmp_path, check=True)
    tally = verify_trace(trace.load(tmp_path / "trace"), method="dsr")
    assert tally.held and tally.checked["shares"]


# --- arrays of any library


def weights(**changes):
    """A weight of four positions and a bias; (values, masks), which a test may change."""
    return ({"w": np.float32([[3, 0.1], [0, 2]]), "b": np.ones(2)} | changes,
            {"w": np.array([[1, 1], [0, 1]])})


def loaded(path, *sources, **options):
    """The one reallocation of a program that does nothing."""
    with Recorder(path, *sources, **options).reallocation():
        pass
    r, = trace.load(path)
    return r


def test_dicts_in_dicts_and_functions(path):
    """As JAX has them: what a name means at the time counts, and arrays are made anew."""
    params, masks = weights()
    params = {"layer": params}
    with Recorder(path, lambda: params, lambda: {"layer": masks}).reallocation():
        params = {"layer": params["layer"] | {"w": np.float32([[3, 0], [0, 2]])}}
        masks = {"w": np.array([[1, 0], [1, 1]])}
    r, = trace.load(path)
    assert [t.name for t in r.after] == ["layer/w", "layer/b"]
    assert r.before[0].index.tolist() == [0, 1, 3] and r.after[0].index.tolist() == [0, 2, 3]
    assert r.after[0].value.tolist() == [3, 0, 2]


@pytest.mark.skipif(not find_spec("torch"), reason="PyTorch is not installed")
@pytest.mark.parametrize("kind", ["bfloat16", "float8_e4m3fn", "float8_e5m2", "float16"])
def test_narrow_floats_of_pytorch(kind, path):
    """They are exact in float32, and H is what weights are compared with."""
    import torch

    dtype = getattr(torch, kind)
    w = torch.linspace(-1, 1, 12).to(dtype)
    mask = (w != 0).to(dtype)
    with Recorder(path, {"w": w}, {"w": mask}).reallocation(H=0.3, next_H=torch.tensor(0.6)):
        pass
    r, = trace.load(path)
    assert r.before[0].value.tolist() == w[w != 0].float().tolist()
    assert r.report.H == torch.tensor(0.3).to(dtype).item() != 0.3
    assert r.report.next_H == torch.tensor(0.6).to(dtype).item()


@pytest.mark.skipif(not find_spec("ml_dtypes"), reason="ml_dtypes is not installed")
@pytest.mark.parametrize("kind", ["bfloat16", "float8_e4m3fn"])
def test_narrow_floats_of_jax(kind, path):
    import ml_dtypes

    w = np.linspace(-1, 1, 12).astype(getattr(ml_dtypes, kind))
    with Recorder(path, {"w": w}, {"w": np.ones(12)}).reallocation(H=0.3):
        pass
    r, = trace.load(path)
    assert r.before[0].value.dtype == np.float32
    assert r.before[0].value.tolist() == w.astype(np.float32).tolist()
    assert r.report.H == float(np.float32(0.3).astype(w.dtype)) != 0.3


def test_cupy_by_its_interface():
    array = SimpleNamespace(__cuda_array_interface__={}, get=lambda: np.arange(3))
    assert recorder.to_numpy(array).tolist() == [0, 1, 2]


class Model:
    """As a torch.nn.Module: `_orig_mod.` and `module.` are before the names, masks are buffers."""

    def __init__(self, parameters, buffers):
        self.parameters, self.buffers = parameters, buffers

    def named_parameters(self):
        return self.parameters.items()

    def named_buffers(self):
        return self.buffers.items()


def test_buffers_and_prefixes(path):
    w, b = np.float32([3, 0.1, 5, 2]), np.float32([1])
    model = Model({"_orig_mod.module.fc.weight": w, "_orig_mod.module.fc.bias": b,
                   "_orig_mod.module.out.weight_orig": w},
                  {"_orig_mod.module.fc.mask": np.array([1, 1, 1, 0]),
                   "_orig_mod.module.out.weight_mask": np.array([1, 1, 0, 1]),
                   "_orig_mod.module.attention.mask": np.ones(9)})
    r = loaded(path, model)
    assert [(t.name, t.index is None) for t in r.before] == [
        ("fc.weight", False), ("fc.bias", True), ("out.weight", False)]
    assert r.before[0].masked.tolist() == [2]  # in use, whatever the mask says
    assert r.before[2].masked.tolist() == [0]  # weight_orig is multiplied by its mask


def test_a_mask_in_the_forward_pass(path):
    values, masks = weights()
    values["w"][1, 0] = 7
    assert loaded(path / "a", values, masks).before[0].masked.tolist() == [7]
    assert loaded(path / "b", values, masks, in_forward=True).before[0].masked.tolist() == [0]


def test_parts(path):
    """All that is known of a tensor is cut."""
    whole, mask = np.arange(12.0).reshape(4, 3), np.ones((4, 3))
    r = loaded(path, {"qkv": whole}, {"qkv": mask}, {"qkv": -whole},
               parts={"qkv": {"q": np.s_[:1], "k": np.s_[1:]}})
    assert [(t.name, t.value.tolist()) for t in r.before] == [
        ("qkv/q", [0, 1, 2]), ("qkv/k", [3, 4, 5, 6, 7, 8, 9, 10, 11])]
    assert r.before[0].velocity.tolist() == [0, -1, -2]


# --- what other rules need


def test_gradient_and_momentum(torch, path):
    program = Program(torch)
    program.learn()
    log = Recorder(path, program.model, program.mask_tensors, program.optimizer,
                   gradient=program.model, momentum=program.optimizer)
    with log.reallocation(fraction=0.3, progress=0.5, final=[1, 2]):
        pass
    r, = trace.load(path)
    p = dict(program.model.named_parameters())["0.weight"]
    momentum = program.momentum()["0.weight"]
    assert r.before[0].recorded["gradient"].tolist() == p.grad.numpy().reshape(-1).tolist()
    assert r.before[0].recorded["momentum"].tolist() == momentum.reshape(-1).tolist()
    assert not r.after[0].recorded and not r.before[1].recorded  # nothing needs these
    assert r.numbers == {"fraction": 0.3, "progress": 0.5, "final": [1, 2]}


def test_a_hashed_net_has_no_masks(path):
    r = loaded(path, {"w": np.float32([1, -1, 2])}, bucket={"w": np.array([0, 0, 1])})
    assert r.after[0].recorded["bucket"].tolist() == [0, 0, 1]


# --- what cannot be recorded is said in a line


@pytest.mark.parametrize(("options", "message"), [
    ({"masks": {"ww": np.ones((2, 2))}}, "mask of ww, which is no tensor; is it w?"),
    ({"masks": {"fc.w": np.ones((2, 2))}}, "mask of fc.w, which is no tensor; is it w?"),
    ({"masks": {"w": np.ones(4)}}, r"w: mask has shape \(4,\), value \(2, 2\)"),
    ({"masks": {"w": np.full((2, 2), 0.5)}}, "w: mask has entries other than 0 and 1"),
    ({"masks": {}}, "no tensor has a mask"),
    ({"velocities": {"v": np.ones(2)}}, "velocity of v, which is no tensor"),
    ({"velocities": {"w": np.ones(2)}}, r"w: velocity has shape \(2,\), value \(2, 2\)"),
    ({"gradients": {}}, "gradients is not recorded; choose from: .*; is it gradient?"),
    ({"parts": {"ww": {}}}, "parts of ww, which is no tensor; is it w?"),
    ({"numbers": {"h": 1}}, "h is not recorded; choose from: H, .*"),
    ({"numbers": {"pruned": [1, 2]}}, "pruned must have a number for each sparse tensor: w"),
    ({"numbers": {"pruned": {"b": 1}}}, "pruned must have a number for each sparse tensor: w")])
def test_refused(options, message, path):
    numbers, (values, masks) = options.pop("numbers", {}), weights()
    options = {"masks": masks, **options}
    with pytest.raises(ValueError, match=f"^{message.replace('?', '[?]')}$"):
        with Recorder(path, values, **options).reallocation(**numbers):
            pass
    assert not any(path.glob("*"))


def test_a_tensor_whose_mask_is_forgotten_is_not_taken_for_dense(torch, path):
    program = Program(torch)
    del program.mask_tensors["0.weight"]
    with pytest.raises(ValueError, match=r"^0\.weight: has no mask, yet more of it is 0 after than "
                                         r"before; is its mask missing\?$"):
        Run(path).of(program)


# --- files


def test_an_exception_leaves_what_was_recorded(torch, path):
    program = Program(torch)
    log = Recorder(path, program.model, program.mask_tensors, program.optimizer)
    with log.reallocation(H=H):
        program.reallocate(H, 40)
    with pytest.raises(ZeroDivisionError), log.reallocation(H=H):
        program.reallocate(H / 0, 40)
    assert [file.name for file in path.iterdir()] == ["r0.npz"]
    assert len(trace.load(path)) == 1


def test_a_file_is_whole_or_not_there(path, monkeypatch):
    """Whatever happens while it is written."""
    log = Recorder(path, *weights())
    with log.reallocation():
        pass

    def broken(file, **entries):
        file.write(b"half")
        raise OSError("no space")

    monkeypatch.setattr(np, "savez_compressed", broken)
    with pytest.raises(OSError, match="no space"), log.reallocation():
        pass
    assert [file.name for file in path.iterdir()] == ["r0.npz"]


def test_a_trace_is_not_written_over(path):
    loaded(path, *weights())
    with pytest.raises(ValueError, match="has a trace already; choose another folder, or say from "
                                         "which step to resume it$"):
        Recorder(path, *weights())
    with pytest.raises(ValueError, match="r0.npz: has no step"):
        Recorder(path, *weights(), resume=3)


def test_going_on(path):
    """From a checkpoint of step 30: what was recorded then and later is removed."""
    def record(steps, **options):
        log = Recorder(path, *weights(), **options)
        for step in steps:
            with log.reallocation(step=step):
                pass
        return log.removed

    assert record([10, 20, 30, 40]) == 0
    assert record([30, 40, 50], resume=30) == 2
    found = trace.load(path)
    assert [r.numbers["step"] for r in found] == [10, 20, 30, 40, 50]
    assert all(r.follows for r in found)
    assert record([5], resume=0) == 5


def test_it_is_small(path):
    """Of what is in place, structure and changes: of masks and velocities at all positions there
    would be 16 MB."""
    rng = np.random.default_rng(0)
    mask = rng.random((500, 1000)) < 0.1
    values, velocity = ({"w": rng.normal(size=mask.shape).astype(np.float32)} for _ in range(2))
    values["w"] *= mask
    with Recorder(path, values, {"w": mask}, velocity).reallocation():
        i, j = np.flatnonzero(mask)[::20], np.flatnonzero(~mask)[:2500]
        values["w"].flat[i], mask.flat[i], mask.flat[j] = 0, False, True
    assert (path / "r0.npz").stat().st_size < 1.3 * 4 * 2 * 50_000


# --- the page


def blocks():
    return re.findall(r"```python\n(.*?)```", SHOWN_IN.read_text(), re.DOTALL)


def test_the_page_for_pytorch(torch, tmp_path, monkeypatch):
    """Its lines run, and what they record of a correct program holds."""
    monkeypatch.chdir(tmp_path)
    program = Program(torch)
    program.learn()
    names = {"model": program.model, "masks": program.mask_tensors, "optimizer": program.optimizer,
             "H": H, "N_p": 40, "delta": DELTA,
             "reallocate": lambda model, masks, optimizer, *numbers: program.reallocate(
                 *numbers[:2])}
    begin, around = blocks()[:2]
    exec(begin, names)
    for _ in range(2):
        exec(around, names)
    assert names["H"] != H
    assert verify_trace(trace.load("trace"), method="dsr").held


@pytest.mark.parametrize("which", [2, 3], ids=["NumPy", "JAX"])
def test_the_page_for_others(which, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    values, masks = weights()
    names = {"weights": values, "params": values, "masks": masks, "velocities": {},
             "opt_state": [SimpleNamespace(trace={"w": np.zeros((2, 2))})]}
    exec("from minidsr.proof.recorder import Recorder\n" + blocks()[which], names)
    with names["recorder"].reallocation(H=0.5):
        values["w"][0, 1], masks["w"][:] = 0, [[1, 0], [1, 1]]
    assert verify_trace(trace.load("trace"), method="dsr").held


def test_every_key_is_in_the_table():
    """The page names the keys that load() knows, and no others."""
    keys = re.findall(r"`(n/[\w/]+)`", SHOWN_IN.read_text())
    arrays = ("value", "mask", "index", "velocity", "masked", *recorder.OTHERS)
    known = [*(f"n/NAME/{moment}/{array}" for array in arrays for moment in ("before", "after")),
             "n/NAME/after/gone", "n/NAME/after/changed",
             *(f"n/NAME/{count}" for count in ("size", *recorder.COUNTS)),
             *(f"n/{number}" for number in recorder.NUMBERS)]
    assert sorted(keys) == sorted(known)
    assert all(trace.parsed(key.removeprefix("n/")) for key in keys)
