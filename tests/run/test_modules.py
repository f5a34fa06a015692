"""--import, and what it registers: methods, networks, data sets and schedules of the user."""

import json
import signal
from dataclasses import dataclass, replace

import pytest
from tiny import arrays

from minidsr import Config, Dynamic, Method, option, train
from minidsr.__main__ import main
from minidsr.data import DATASETS, from_arrays
from minidsr.methods import METHODS
from minidsr.methods.magnitude import prune_smallest
from minidsr.nn import models
from minidsr.reparam import grow_back
from minidsr.run import commands, directory, modules
from minidsr.run.directory import CheckpointError
from minidsr.run.history import History
from minidsr.run.progress import Interrupted
from minidsr.run.train import Trainer
from minidsr.schedules import SCHEDULES

pytestmark = pytest.mark.usefixtures("registries")


@dataclass(kw_only=True, eq=False)
class Mine(Dynamic):
    """Replaces a share of the weights, and keeps a count."""

    share: float = option(0.25, "a share")
    names: tuple[str, ...] = option(("a",), "some names")
    limit: int | None = None
    loud: bool = False

    def setup(self, model, rng):
        super().setup(model, rng)
        self.count = 0

    def reallocate(self, t):
        self.count += 1
        moved = [prune_smallest(W, int(self.share * W.value.size)) for W in self.tensors]
        for W, n in zip(self.tensors, moved, strict=True):
            grow_back(W, n, self.rng)
        return self.report(moved, moved)

    def state(self):
        return super().state() | {"count": self.count}

    def load(self, state, t):
        super().load(state, t)
        self.count = state["count"]


def build(*, image, classes, rng, dtype):
    """The small network, with 5, 10 and 19 channels."""
    return models.small_cnn(0.3, rng=rng, channels=image[0], classes=classes, dtype=dtype)


@pytest.fixture
def config():
    """Of a run in which all is the user's: four batches, two epochs."""
    METHODS["mine"], models.MODELS["my.net"] = Mine, build
    DATASETS["my-data"] = lambda folder: from_arrays("my-data", **arrays(36, (1, 8, 8)))
    SCHEDULES["mine"] = lambda t, total, config: config.lr * (total - t) / total
    return Config(method="mine", model="my.net", data="my-data", lr_schedule="mine", batch=9,
                  epochs=2, lr=0.02, periods=(2,), period_milestones=(), device="cpu",
                  options={"share": 0.5, "names": ("b", "c")})


def refused(capsys, argv, *said):
    assert main([str(word) for word in argv]) == 2
    out, err = capsys.readouterr()
    assert err.startswith("minidsr: ") and err.count("\n") == 1 and len(err) < 500, err
    assert not out
    for words in said:
        assert str(words) in err


# --- what is registered


@pytest.mark.slow
def test_a_run_in_which_all_is_the_user_s(config, tmp_path, monkeypatch, capsys):
    """It keeps its budget; interrupted at some steps it ends the same, to the byte; its config
    comes back; eval takes it."""
    history = train(config, out=tmp_path / "whole")
    assert history.conserved and [r["step"] for r in history.reallocations] == [3, 5, 7]
    step = Trainer.step

    def interrupting(self, x, y):
        report = step(self, x, y)
        if self.t in (1, 3, 4, 6, 7):
            signal.raise_signal(signal.SIGINT)
        return report

    with monkeypatch.context() as m:
        m.setattr(Trainer, "step", interrupting)
        for _ in range(5):
            with pytest.raises(Interrupted):
                train(config, out=tmp_path / "parts", resume=True)
    train(config, out=tmp_path / "parts", resume=True)
    whole, parts = (directory.load(tmp_path / name / "checkpoint.npz")
                    for name in ("whole", "parts"))
    assert whole["method/count"] == parts["method/count"] == 3
    assert ((tmp_path / "whole" / "checkpoint.npz").read_bytes()
            == (tmp_path / "parts" / "checkpoint.npz").read_bytes())
    written = json.loads((tmp_path / "whole" / "config.json").read_text())
    assert [written[name] for name in ("share", "names", "limit", "loud", "model")] == [
        0.5, ["b", "c"], None, False, "my.net"]
    assert directory.read_config(tmp_path / "whole").resolved() == config.resolved()
    assert main(["eval", str(tmp_path / "whole")]) == 0
    assert "my.net trained by mine" in capsys.readouterr().out


@pytest.mark.slow
@pytest.mark.parametrize(("registry", "name", "what"), [
    (METHODS, "mine", "method 'mine'"), (models.MODELS, "my.net", "model 'my.net'"),
    (DATASETS, "my-data", "data 'my-data'"), (SCHEDULES, "mine", "lr_schedule 'mine'")])
def test_a_run_without_the_module(registry, name, what, config, tmp_path, capsys):
    directory.write_config(tmp_path, config)
    del registry[name]
    for argv in (["eval", tmp_path], ["plot", tmp_path], ["train", "--resume", "--out", tmp_path]):
        refused(capsys, argv, f"the {what} is not known; if it is yours, add --import")
    with pytest.raises(CheckpointError, match="is not known"):
        directory.read_config(tmp_path)


@pytest.mark.slow
def test_the_schedule_and_the_warm_up_reach_sgd(config):
    for warmup, expected in ((0.0, [8, 7, 6]), (0.5, [4, 7, 6]), (2.0, [1, 7 / 4, 18 / 8])):
        trainer = Trainer(replace(config, warmup=warmup))
        rates = []
        for x, y in trainer.batches():
            trainer.step(x, y)
            rates.append(trainer.sgd.lr)
        assert rates[:3] == pytest.approx([0.02 * n / 8 for n in expected])


def test_what_is_built_is_the_user_s(config):
    trainer = Trainer(config)
    assert trainer.model_name == "my.net" and isinstance(trainer.method, Mine)
    assert trainer.model.named_params()["conv1.weight"].shape == (5, 1, 3, 3)
    assert trainer.dataset.name == "my-data"
    with pytest.raises(ValueError, match="my.net has no width in its name that could be changed"):
        Trainer(replace(config.for_method("thin-dense"), model="my.net"))


@pytest.mark.parametrize(("changes", "said"), [
    ({"lr_schedule": "cosin"}, "did you mean cosine"), ({"data": "nzp"}, "did you mean npz"),
    ({"model": "their.net"}, "unknown model 'their.net'; choose one of: my.net, small-cnn"),
    ({"warmup": 3.0}, r"warmup must be in \[0, 2\], not 3"),
    ({"options": {"share": "x"}}, "share must be a number, not 'x'"),
    ({"options": {"names": (1,)}}, "names must be a tuple, each of it one line of text"),
    ({"options": {"shar": 1.0}}, "mine has no option shar; did you mean share")])
def test_what_is_refused(config, changes, said):
    with pytest.raises(ValueError, match=said) as caught:
        replace(config, **changes)
    assert "\n" not in str(caught.value)


@dataclass(kw_only=True, eq=False)
class ListOption(Method):
    sizes: list[int] = option((), "not as a list")


@dataclass(kw_only=True, eq=False)
class NoDefault(Method):
    size: int


@dataclass(kw_only=True, eq=False)
class WrongDefault(Method):
    size: int = option(0.5, "no whole number")


@dataclass(kw_only=True, eq=False)
class Clash(Method):
    batch: int = option(3, "what all have")


class NoDataclass(Method):
    size: int = option(3, "left out")


@pytest.mark.parametrize(("cls", "said"), [
    (ListOption, "theirs: option sizes must be annotated as bool, int"),
    (NoDefault, "theirs: option size needs a default"),
    (WrongDefault, "theirs: the default of size must be a whole number, not 0.5"),
    (Clash, "theirs: no option can be called batch, which all methods have"),
    (NoDataclass, r"write @dataclass\(kw_only=True, eq=False\) above class NoDataclass")])
def test_a_class_that_is_no_method_is_refused(cls, said, capsys):
    METHODS["theirs"] = cls
    with pytest.raises(ValueError, match=said) as caught:
        Config(method="theirs")
    refused(capsys, ["train", "--method", "theirs"], str(caught.value))


@pytest.mark.parametrize("registry", [METHODS, models.MODELS, DATASETS, SCHEDULES])
def test_a_name_that_no_file_can_have_is_refused(registry, config):
    field, value = next((f, v) for f, v in (("method", Mine), ("model", build), (
        "data", DATASETS["my-data"]), ("lr_schedule", SCHEDULES["step"])) if v in registry.values())
    registry["a b/c"] = value
    with pytest.raises(ValueError, match=f"the name of {field} must be letters, digits"):
        replace(config, **{field: "a b/c"})


def test_a_tensor_whose_name_no_record_can_have_is_refused(config):
    models.MODELS["my.net"] = lambda **k: models.Sequential(**{"a/b": build(**k), "c": build(**k)})
    with pytest.raises(ValueError, match="the name of a tensor must be .*, not 'a/b.conv1.weight'"):
        Trainer(config)


def test_a_budget_rule_of_the_user_s_can_be_read(config, tmp_path):
    """And names that begin with a digit, as PyTorch has them."""
    METHODS["mine"] = type("Other", (Mine,), {"budget_rule": "other", "__annotations__": {}})
    models.MODELS["my.net"] = lambda **k: models.Sequential(**{"0": build(**k)})
    train(replace(config, epochs=1), out=tmp_path)
    history = History.load(tmp_path / "metrics.jsonl")
    assert history.setup["budget"] == "other"
    assert history.setup["tensors"][0]["name"].startswith("0.")


@pytest.mark.slow
def test_resuming_with_other_images_is_refused(config, tmp_path):
    """Where their number, classes, mean or deviation differ."""
    train(config, out=tmp_path)
    same = DATASETS["my-data"]
    for other, what in (({"n": 35}, "train"), ({"seed": 1}, "mean")):
        DATASETS["my-data"] = lambda folder, given=other: from_arrays(
            "my-data", **arrays(**{"n": 36, "shape": (1, 8, 8)} | given))
        with pytest.raises(CheckpointError, match=f"the {what} of its setup is not that of this"):
            train(config, out=tmp_path, resume=True)
    DATASETS["my-data"] = same
    train(config, out=tmp_path, resume=True)


# --- --import


def test_where_the_flag_stands():
    for argv in (["--import", "a", "train", "--import=b.py", "--epochs", "1"],
                 ["train", "--epochs", "1", "--import", "a", "--import", "b.py"]):
        assert modules.split(argv) == (["train", "--epochs", "1"], ["a", "b.py"])
    for argv in (["--import"], ["train", "--import="], ["train", "--import", "--epochs", "1"]):
        with pytest.raises(ValueError, match="--import needs a module: --import mine, or"):
            modules.split(argv)


MODULE = """from dataclasses import dataclass
from minidsr import METHODS, Dynamic, option

@dataclass(kw_only=True, eq=False)
class Theirs(Dynamic):
    how_many: int | None = option(None, "how many there are")
    quick: bool = option(False, "whether it is quick")
    sparsity: float = option(0.5, "another default")

METHODS["{name}"] = Theirs
"""


@pytest.mark.parametrize("how", ["{0}", "{0}.py", "./{0}.py", "{1}/{0}.py", "pack.{0}"])
def test_a_module_is_found(how, tmp_path, monkeypatch, capsys):
    """Its options are flags of train, with their help, and only then."""
    name = f"mod{abs(hash(how))}"
    monkeypatch.chdir(tmp_path)
    path = tmp_path / "pack" / f"{name}.py" if "pack" in how else tmp_path / f"{name}.py"
    path.parent.mkdir(exist_ok=True)
    path.write_text(MODULE.format(name="theirs"))
    flags, taken = ["train", "--method", "theirs", "--how-many", "3", "--no-quick"], []
    refused(capsys, flags, "train has no flag '--how-many'")
    monkeypatch.setattr(commands, "run_training", lambda config, **_: taken.append(config) or 1 / 0)
    chosen = how.format(name, tmp_path)
    with pytest.raises(ZeroDivisionError):
        main([*flags, "--import", chosen])
    assert modules.imported == [chosen]
    assert taken[0].method == "theirs"
    assert taken[0].options == {"how_many": 3, "quick": False}
    with pytest.raises(SystemExit):
        main(["train", "--help", "--import", chosen])
    out = " ".join(capsys.readouterr().out.replace("│", " ").split())
    assert "--how-many INT theirs: how many there are." in out
    assert "another default (default: 0.5)" in out


@pytest.mark.parametrize(("text", "said"), [
    ("1 +\n", "SyntaxError: invalid syntax"),
    ("x = 1\n\nnone.thing\n", "NameError: name 'none' is not defined ({path}, line 3)"),
    ("import minidsr_and_more\n", "ModuleNotFoundError: No module named 'minidsr_and_more' ("),
    ("raise ValueError('a\\nb')\n", "ValueError: a b ({path}, line 1)"),
    ("import sys\nsys.exit(3)\n", "SystemExit: 3 ({path}, line 2)")])
def test_a_module_that_fails(text, said, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    path = tmp_path / "failing.py"
    path.write_text(text)
    for name in ("failing", "failing.py"):
        refused(capsys, ["info", "--import", name], f"--import {name}: {said.format(path=path)}")


def test_a_module_that_is_not_there(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    for name in ("nowhere", "nowhere.at_all"):
        refused(capsys, ["info", "--import", name], f"--import {name}: no module of this name in "
                f"{tmp_path} or on Python's path")
    refused(capsys, ["info", "--import", "no/where.py"], f"no file {tmp_path / 'no' / 'where.py'}")
    (tmp_path / "json.py").write_text("")
    refused(capsys, ["info", "--import", "json.py"], "Python has another module json already")


@pytest.mark.slow
def test_resume_takes_options_of_the_user_s(config, tmp_path, capsys):
    train(config, out=tmp_path)
    again = ["train", "--resume", "--out", str(tmp_path)]
    for flags in (["--share", "0.5", "--names", "b", "c"], ["--share", "0.5"]):
        assert main([*again, *flags]) == 0
        assert "complete" in capsys.readouterr().err
    with pytest.raises(CheckpointError, match="begun with share 0.5, not 0.4"):
        directory.own_config(tmp_path, options={"share": 0.4})
    refused(capsys, [*again, "--share", "0.4"], "begun with share 0.5, not 0.4; leave that out")
    refused(capsys, [*again, "--loud"], "begun with loud False, not True")
    refused(capsys, [*again, "--lr-schedule", "step"], "begun with lr_schedule 'mine', not 'step'")
    METHODS["other"] = type("Other", (Mine,), {"__annotations__": {}})
    refused(capsys, [*again, "--tolerance", "0.2"], "mine has no option tolerance, which is for ds")
