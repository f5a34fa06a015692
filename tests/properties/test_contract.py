"""The contract of all methods, tried on each of them and on each variant.

Each test trains a small network with a convolution, a linear layer and a tensor of a single weight
by real gradients, on random images.
"""

import math
from dataclasses import dataclass

import numpy as np
import pytest
from training import CASES, MOVING, SPARSE, STEPS, Training, same

from minidsr.methods import METHODS
from minidsr.methods.base import Dynamic, Method
from minidsr.methods.dst import Thresholded
from minidsr.methods.hashed import Hashed
from minidsr.parameters import Sparse
from minidsr.proof.gradcheck import check_model
from minidsr.run import directory
from minidsr.run.config import TYPES, Config


@pytest.mark.slow
@pytest.mark.parametrize("case", [c for c in CASES if c not in ("dense", "thin-dense", "dst")])
def test_all_have_the_same_budget(case):
    """But thin-dense, which chooses another network, see test_examples.py."""
    training = Training(case)
    training.run()
    assert training.model.free_parameters() == Training("static").model.free_parameters()


@pytest.mark.parametrize("case", MOVING)
def test_weights_move(case):
    training = Training(case)
    before = [W.index for W in training.weights()]
    reports = [report for report in training.run() if report]
    assert len(reports) >= 4
    assert any(not np.array_equal(a, W.index)
               for a, W in zip(before, training.weights(), strict=True))


@pytest.mark.slow
@pytest.mark.parametrize("case", CASES)
def test_the_same_seed_gives_the_same_result(case):
    runs = [Training(case) for _ in range(2)]
    for training in runs:
        training.run()
    assert same(*(training.state() for training in runs))


@pytest.mark.slow
@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("t", [0, 2, 5, 6, 9])
def test_resumed_anywhere(case, t, tmp_path):
    """From a file, into a training that began with another seed."""
    whole, parts, resumed = Training(case), Training(case), Training(case, seed=1)
    expected = whole.run()
    reports = parts.run(t)
    directory.save(tmp_path / "a.npz", parts.state())
    resumed.load(directory.load(tmp_path / "a.npz"), t)
    assert reports + resumed.run(STEPS - t) == expected
    assert same(whole.state(), resumed.state())


@pytest.mark.slow
@pytest.mark.parametrize("case", SPARSE)
@pytest.mark.parametrize("structure", [
    {"conv2": range(108), "a.fc": [], "b.one": [0]},
    {"conv2": [], "a.fc": range(64), "b.one": []},
    {"conv2": [107], "a.fc": [3], "b.one": []},
    {"conv2": range(108), "a.fc": range(64), "b.one": [0]}])
def test_full_and_empty_tensors_and_single_weights(case, structure):
    """The invariants are checked at each reallocation."""
    structure = {name: np.array(index, np.int64) for name, index in structure.items()}
    if CASES[case][0] == "dsr":  # which refuses a target above the number of weights
        CASES[case][1]["target_pruned"] = 2
    training = Training(case, structure=structure)
    for W, index in zip(training.weights(), structure.values(), strict=True):
        assert np.array_equal(W.index, index)
    training.run()
    CASES[case][1].pop("target_pruned", None)
    total = sum(len(index) for index in structure.values())
    if training.method.budget_rule == "conserved":
        assert sum(W.value.size for W in training.weights()) == total


@pytest.mark.slow
@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("sparsity", [0.0, 0.95, 0.999])
def test_from_all_free_to_almost_nothing(case, sparsity):
    """At 0.999 no tensor has a weight; DSR refuses that, having nothing to prune."""
    if CASES[case][0] == "dsr" and sparsity == 0.999:
        with pytest.raises(ValueError, match="sparsity 0.999 leaves dsr no weight to move"):
            Training(case, sparsity=sparsity)
        return
    training = Training(case, sparsity=sparsity)
    training.run()
    for p in training.model.params():
        assert np.isfinite(p.value).all()
        assert np.isfinite(p.theta()).all()


@pytest.mark.slow
@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_the_type_of_all_numbers_stays(case, dtype):
    training = Training(case, dtype=dtype)
    training.run()
    for name, array in training.state().items():
        if isinstance(array, np.ndarray) and array.dtype.kind == "f":
            assert array.dtype == dtype, name
    for name, p in training.model.named_params().items():
        assert p.theta().dtype == p.value.dtype == p.velocity.dtype == dtype, name
        assert p.theta().shape == p.shape


@pytest.mark.slow
@pytest.mark.parametrize("case", CASES)
def test_gradients_of_the_free_numbers(case, rng):
    """By finite differences, through θ = g(φ; ψ). All numbers are moved away from 0 before, where a
    channel of newborn weights would stand at the kink of ReLU."""
    training = Training(case, dtype=np.float64)
    training.run(6)
    for W in training.weights():
        W.value += rng.uniform(0.1, 0.2, W.value.shape)
        if isinstance(W, Thresholded):  # where |W| is far from t, the surrogate is 0
            W.rows(W.value)[0][...] += 3 * np.sign(W.rows(W.value)[0])
    check_model(training.model, *training.batch(), rng)


@pytest.mark.parametrize("case", MOVING)
def test_reports_say_what_happened(case):
    training = Training(case)
    method, moves = training.method, []
    reallocate = method.reallocate

    def watched(t):
        before = [set(W.index.tolist()) for W in method.tensors]
        report = reallocate(t)
        after = [set(W.index.tolist()) for W in method.tensors]
        assert report.active == [len(a) for a in after]
        assert report.K == sum(report.pruned)
        for a, b, k, g in zip(before, after, report.pruned, report.grown, strict=True):
            again = k - len(a - b)  # pruned, and grown again at the same position
            assert again == g - len(b - a) >= 0
            if case in ("dsr", "set magnitude", "gradual"):
                assert again == 0 or len(a) + g > 64
        moves.append((report.pruned, report.grown))
        return report

    method.reallocate = watched
    reports = [report for report in training.run() if report]
    if method.budget_rule == "conserved":
        assert all(sum(r.grown) == r.K for r in reports)
    for i, key in enumerate(("pruned", "grown")):  # deepr sums up what it did since the last one
        said = np.sum([getattr(report, key) for report in reports], 0)
        assert said.tolist() == np.sum([move[i] for move in moves], 0).tolist()


@pytest.mark.slow
@pytest.mark.parametrize("case", CASES)
def test_the_exploration_rate(case):
    """R_s is the share of all positions that were ever active: here a union of sets. To ask for it
    notes nothing; dst, which has no reallocations, is observed from outside."""
    training, seen = Training(case), set()
    rates = []
    for t in range(STEPS):
        for i, W in enumerate(training.weights()):
            seen |= {(i, j) for j in W.active().tolist()}
        noted = training.state()
        rates.append(training.method.explored.rate())
        assert rates[-1] == len(seen) / 173
        assert same(training.state(), noted)
        training.method.explored.observe()
        if t + 1 < STEPS:
            training.step()
    assert rates == sorted(rates)
    if case in MOVING and "gradual" not in case:
        assert rates[-1] > rates[0] + 0.02
    elif case in SPARSE:
        assert rates[-1] == rates[0]


@pytest.mark.parametrize("case", SPARSE)
def test_only_reallocation_moves_weights(case):
    training = Training(case)
    for _ in range(STEPS):
        before = [W.index for W in training.weights()]
        if not training.step() and "deepr" not in case:
            for a, W in zip(before, training.weights(), strict=True):
                assert a is W.index


def test_protection_is_resumed():
    """Between the reallocations at steps 2 and 4: what was grown first is spared then. ValueError
    for what holds no weight, or is no position."""
    begun, resumed = (Training("dsr protecting newborns", seed=seed) for seed in (0, 1))
    begun.run(3)
    state = begun.state()
    resumed.load(state, 3)
    protected = [W.protected for W in begun.weights()]
    assert sum(map(len, protected)) > 3
    for W, index in zip(resumed.weights(), protected, strict=True):
        assert W.protected.tolist() == index.tolist()
    assert begun.run(2) == resumed.run(2)
    assert same(begun.state(), resumed.state())
    for i, bits, said in ((0, [255] * 14, "more than the positions"), (2, [1], "more than the pos"),
                          (1, [255] * 8, "protected/1 has a position without a weight")):
        wrong = state | {f"method/protected/{i}": np.array(bits, np.uint8)}
        with pytest.raises(ValueError, match=said):
            resumed.load(wrong, 3)


def test_rigl_takes_no_sgd_step_where_it_reallocates():
    for case, moved in (("rigl", False), ("set", True)):
        training = Training(case)
        training.run(2)
        before = training.model.named_params()["out.weight"].value.copy()
        assert training.step()
        assert (training.model.named_params()["out.weight"].value != before).any() == moved


@pytest.mark.parametrize("case", SPARSE)
def test_who_keeps_the_dense_gradient(case):
    """It is asked for where the next step needs it, and gone when it has been used."""
    training = Training(case)
    asked, kept = [], []
    for _ in range(STEPS):
        training.step()
        asked.append(any(W.keep_dense_grad for W in training.weights()))
        kept.append(any(W.dense_grad is not None for W in training.weights()))
    method = CASES[case][0]
    due = [training.method.due(t + 1) for t in range(STEPS)]
    assert asked == ([True] * STEPS if method == "snfs" else
                     due if method == "rigl" or case == "itop rigl" else [False] * STEPS)
    assert kept == [method == "snfs"] * STEPS


@pytest.mark.parametrize("case", MOVING)
def test_nothing_moves_after_the_stop(case):
    name, options = CASES[case]
    training = Training(case)
    training.method = METHODS[name](**{**options, "epochs": 4, "steps_per_epoch": 5,
                                       "stop_epoch": 2})
    training.method.setup(Training("dense").model, np.random.default_rng(0))
    training.model, training.sgd.params = training.method.model, training.method.model.params()
    training.run(10)
    before = [W.index for W in training.weights()]
    assert not any(training.run(10))
    assert all(a is W.index for a, W in zip(before, training.weights(), strict=True))


def test_hashed_tensors_share_numbers_evenly():
    for case, kind in (("hashed", Hashed), ("hashed balanced", Hashed)):
        W = Training(case).weights()[0]
        assert isinstance(W, kind)
        assert W.value.size == 32 == math.floor(0.3 * 108)
        uses = np.bincount(W.bucket, minlength=32)
        assert (uses.min() >= 3 and uses.max() <= 4) == (case == "hashed balanced")


# --- options


@pytest.mark.parametrize("method", METHODS)
def test_every_option_stands_once(method):
    """Its default and its help stand in the method; the Config has a field for it, and no more."""
    for name, field in METHODS[method].options().items():
        assert len(field.metadata["help"]) > 10, name
        assert getattr(Config(), name) is None, name
    assert set(METHODS[method].options()) <= set(TYPES)


@pytest.mark.parametrize("kind", [*METHODS.values(), Method, Dynamic])
def test_no_attribute_of_a_method_lacks_its_annotation(kind):
    """Without one it would be no field, and so no option, without a word."""
    for name, value in vars(kind).items():
        if not name.startswith("_") and not callable(value) and \
                not isinstance(value, (classmethod, property)):
            assert name in kind.__annotations__, name


@dataclass(kw_only=True, eq=False)
class Mine(Dynamic):
    """A method that is not ours, with an option that no other has."""

    rate: float = 0.3

    def __post_init__(self):
        super().__post_init__()
        if not 0 <= self.rate <= 1:
            raise ValueError(f"rate must be in [0, 1], not {self.rate}")


def test_options_of_a_method_that_is_not_ours(monkeypatch, tmp_path):
    monkeypatch.setitem(METHODS, "mine", Mine)
    config = Config(method="mine", sparsity=0.8, options={"rate": 0.5})
    assert config.build_method(50).rate == 0.5
    assert config.resolved()["rate"] == 0.5
    directory.write_config(tmp_path, config)
    assert directory.read_config(tmp_path).resolved() == config.resolved()
    for options, said in (({"rate": 2}, "rate must be in"), ({"sparsity": 0.5}, "given twice"),
                          ({"rat": 0.5}, "mine has no option rat")):
        with pytest.raises(ValueError, match=said):
            Config(method="mine", sparsity=0.8, options=options)


@pytest.mark.parametrize("method", METHODS)
def test_defaults_are_fine_for_every_method(method):
    assert Config().for_method(method) == Config(method=method)
    built = Config(method=method).build_method(50)
    assert all(hasattr(built, name) for name in METHODS[method].options())


@pytest.mark.parametrize(("method", "options", "said"), [
    ("dense", {"sparsity": 0.5}, "dense has no option sparsity, which is for thin-dense, static"),
    ("dst", {"sparsity": 0.5}, "dst has no option sparsity"),
    ("static", {"growth": "room"}, "static has no option growth, which is for dsr"),
    ("rigl", {"variant": "set"}, "rigl has no option variant, which is for .*hashed.*itop"),
    ("itop", {"periods": (5,), "period_milestones": ()}, "itop has no option period_milestones"),
    ("dsr", {"alpha": 0.1}, "dsr has no option alpha, which is for deepr, dst"),
    ("static", {"stop_epoch": 3}, "static has no option stop_epoch"),
    ("set", {"variant": "global"}, "unknown variant of set 'global'; choose one of: sign, magnitu"),
    ("deepr", {"variant": "sign"}, "choose one of: global, per-tensor"),
    ("hashed", {"variant": "sha"}, "choose one of: hash, balanced"),
    ("itop", {"variant": "snfs"}, "choose one of: set, rigl"),
    ("dsr", {"growth": "all"}, "choose one of: survivors, pruned, room"),
    ("dsr", {"granularity": "filter"}, "choose one of: weight, slice"),
    ("dsr", {"granularity": "slice", "distribution": "erk"}, "slice needs distribution uniform"),
    ("dsr", {"granularity": "slice", "protect_newborns": True}, "protect_newborns needs granular"),
    ("set", {"protect_newborns": True}, "set has no option protect_newborns, which is for dsr"),
    ("gradual", {"schedule": "linear"}, "schedule of gradual 'linear'; choose one of: cubic, exp"),
    ("static", {"schedule": "cubic"}, "static has no option schedule, which is for gradual"),
    ("static", {"distribution": "reverse"}, "did you mean reversed"),
    ("dense", {"init": "torch"}, "unknown init 'torch'; did you mean pytorch"),
    ("dsr", {"periods": (5, 6)}, "--periods has 2, so --period-milestones needs 1, .* not 3"),
    ("dsr", {"period_milestones": (0.5,)}, "--periods has 4, so --period-milestones needs 3, "),
    ("set", {"fraction": 1.5}, r"fraction must be in \[0, 1\], not 1.5"),
    ("itop", {"interval": 0}, r"interval must be in \[1, "),
    ("deepr", {"temperature": -1.0}, r"temperature must be in \[0, 1e\+38\]"),
    ("deepr", {"alpha": math.nan}, "alpha must be in"),
    ("dst", {"alpha": math.inf}, "alpha must be in"),
    ("dsr", {"stop_epoch": 99}, r"stop_epoch must be in \[0, 8\], not 99"),
    ("static", {"values": "final"}, "values needs structure_from"),
    ("static", {"structure_from": "x", "values": "best"}, "choose one of: original, random, final"),
    ("hashed", {"structure_from": "x"}, "hashed has no structure; structure_from is for static"),
    ("dsr", {"structure_from": "x", "distribution": "er"}, "choose one")])
def test_combinations_that_make_no_sense(method, options, said):
    with pytest.raises(ValueError, match=said) as error:
        Config(method=method, **options)
    assert "\n" not in str(error.value)


def test_kernels_of_several_sizes_have_no_slices():
    method = METHODS["dsr"](granularity="slice")
    with pytest.raises(ValueError, match="kernels of one size, this model has 1, 9 weights"):
        method.setup(Training("dense").model, np.random.default_rng(0))


def test_gradual_needs_a_step_that_is_due():
    method = METHODS["gradual"](epochs=1, steps_per_epoch=10)
    with pytest.raises(ValueError, match="gradual never prunes"):
        method.setup(Training("dense").model, np.random.default_rng(0))


@pytest.mark.parametrize("case", SPARSE)
def test_the_free_numbers_are_stored_alone(case):
    for W in Training(case).weights():
        assert isinstance(W, Sparse)
        assert W.value.shape == W.index.shape == W.velocity.shape
