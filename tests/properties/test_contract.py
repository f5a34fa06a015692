"""The contract of all methods, tried on each of them and on each variant.

Its clauses are those of minidsr/run/contract.py, which check_method() tries on methods that are not
ours. Beside them stands what we promise of ours alone.
"""

import math
from dataclasses import dataclass
from functools import partial

import numpy as np
import pytest
from training import CASES, MOVING, SPARSE, Training

from minidsr.methods import METHODS
from minidsr.methods.base import Dynamic, Method
from minidsr.methods.hashed import Hashed
from minidsr.parameters import Sparse
from minidsr.run import directory, small_training
from minidsr.run.config import TYPES, Config
from minidsr.run.contract import CONTRACT, broken_by, full_and_empty_tensors
from minidsr.run.small_training import STEPS, same


@pytest.mark.slow
@pytest.mark.parametrize("clause", CONTRACT, ids=lambda clause: clause.__name__)
@pytest.mark.parametrize("case", CASES)
def test_contract(case, clause):
    name, options = CASES[case]
    if name == "dsr" and clause is full_and_empty_tensors:  # it refuses a larger target
        options = {**options, "target_pruned": 2}
    assert broken_by(clause, partial(small_training.Training, METHODS[name], options)) == []


@pytest.mark.parametrize("case", CASES)
def test_what_can_be_refused_is_not(case):
    """Which the contract would allow. At 0.999 no tensor has a weight; DSR has nothing to prune."""
    for sparsity in (0.0, 0.95, 0.999):
        if CASES[case][0] == "dsr" and sparsity == 0.999:
            with pytest.raises(ValueError, match="sparsity 0.999 leaves dsr no weight to move"):
                Training(case, sparsity=sparsity)
        else:
            Training(case, sparsity=sparsity)


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


@pytest.mark.parametrize("case", ["dsr", "set magnitude", "gradual"])
def test_nothing_grows_where_it_was_pruned_while_there_is_room(case):
    training, reports = Training(case), 0
    for _ in range(STEPS):
        before = [set(W.index.tolist()) for W in training.weights()]
        report = training.step()
        reports += report is not None
        for a, W, k, g in zip(before, training.weights(), report.pruned, report.grown,
                              strict=True) if report else ():
            assert k == len(a - set(W.index.tolist())) or len(a) + g > 64
    assert reports >= 4


@pytest.mark.parametrize("case", SPARSE)
def test_who_explores(case):
    training = Training(case)
    first = training.method.explored.rate()
    training.run()
    last = training.method.explored.rate()
    assert last > first + 0.02 if case in MOVING and "gradual" not in case else last == first


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
