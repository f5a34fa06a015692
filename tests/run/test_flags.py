"""The flags of the command line: what is given counts, what is wrong is told in one line, and
nothing is written before all is checked."""

import json
import os
from dataclasses import fields

import pytest
from tiny import write_cifar10

from minidsr.__main__ import main
from minidsr.run import commands, directory
from minidsr.run.config import Config
from minidsr.run.history import History

pytestmark = pytest.mark.slow  # some train a network

HUGE = "9" * 400


@pytest.fixture(scope="module")
def data_dir(tmp_path_factory):
    return str(write_cifar10(tmp_path_factory.mktemp("data")))


@pytest.fixture(scope="module")
def begin(data_dir):
    """The words that begin a run of 2 epochs; --out is missing."""
    return ["train", "--data", "cifar10", "--data-dir", data_dir, "--model", "wrn-10-0.25",
            "--batch", "20", "--device", "cpu", "--epochs", "2", "--lr", "0.02", "--engine",
            "blocked", "--periods", "2", "--period-milestones", "--out"]


@pytest.fixture(autouse=True)
def elsewhere(tmp_path, monkeypatch):
    """The folder that commands run in; empty at first."""
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    return tmp_path / "here"


def refused(capsys, argv, *said):
    """The command ends with 2 and one line on standard error that says all of `said`."""
    assert main([str(word) for word in argv]) == 2
    out, err = capsys.readouterr()
    assert err.startswith("minidsr: ") and err.count("\n") == 1 and len(err) < 400
    assert not out
    for words in said:
        assert str(words) in err


# --- wrong words


@pytest.mark.parametrize(("argv", "said"), [
    ("trian", "unknown command 'trian'; did you mean train? choose one of: demo, train"),
    ("--out a", "unknown command '--out'; choose one of: demo"),
    ("train --epoch 3", "train has no flag '--epoch'; did you mean --epochs? minidsr train --help"),
    ("train --metod=dsr", "did you mean --method?"),
    ("train --no-nestrov", "did you mean --no-nesterov?"),
    ("train --periodes 3", "did you mean --periods?"),
    ("bench --jso", "did you mean --json?"),
    ("eval --run x", "eval has no flag '--run'; minidsr eval --help lists all"),
    ("train --method rgil", "did you mean rigl?"),
    ("train --periods 100 200", "--periods has 2, so --period-milestones needs 1, "),
    ("train --period-milestones 0.5", "--periods has 4, so --period-milestones needs 3, "),
    ("train --lr-factor 1000 --lr-milestones 0.1 0.2 0.3 0.4 0.5 0.6 0.7 0.8 0.81 0.82 0.83 0.84 "
     "0.85 0.86", "lr after all milestones must be in [0, 1e+38]"),
    ("train --out=", "--out: the value is empty"),
    ("train --extend-epochs 9 --out a", "--extend-epochs needs --resume"),
    ("train --extend-epochs 9 --resume --out a", "a: no run there that --extend-epochs could"),
    ("demo --methods", "--methods needs one at least"),
    ("demo --out none --methods dsr magic", "unknown method 'magic'")])
def test_near_misses_and_what_is_missing(argv, said, elsewhere, capsys):
    refused(capsys, argv.split(), said)
    assert not list(elsewhere.iterdir())


@pytest.mark.parametrize("flag", ["--out", "--data-dir", "--structure-from", "--model"])
def test_an_empty_value_is_refused(flag, capsys):
    refused(capsys, ["train", flag, ""], f"{flag}: the value is empty")


@pytest.mark.parametrize(("flag", "said"), [
    ("--epochs", "in [1, 1,000,000]"), ("--batch", "in [1, 100,000]"),
    ("--seed", "in [0, 18,446,744,073,709,551,615]"), ("--threads", "in [1, 1,024]"),
    ("--target-pruned", "in [1, 2,147,483,648]"), ("--stop-epoch", "in [0, 8]"),
    ("--lr", "in [1e-38, 1e+38]"), ("--lr-factor", "in [1e-38, 1,000]"),
    ("--checkpoint-seconds", "in [0, 1,000,000,000]"), ("--weight-decay", "in [0, 1e+38]"),
    ("--l1", "in [0, 1e+38]"), ("--momentum", "in [0, 1)"), ("--threshold", "in ["),
    ("--sparsity", "in [0, 1)"), ("--tolerance", "in [0, 1)"),
    ("--lr-milestones", "within [0, 1]"),
    ("--periods", "each of periods must be in [1, 1,000,000,000]")])
def test_numbers_beyond_all_bounds(flag, said, elsewhere, capsys):
    kind = commands.Flags.__annotations__ | commands.MethodOptions.__annotations__
    whole = "int" in str(kind[flag[2:].replace("-", "_")])
    for value in ("-1", HUGE) if whole else ("-1", "1e308", "nan", "inf", HUGE):
        refused(capsys, ["train", flag, value], said)
    assert not list(elsewhere.iterdir())


@pytest.mark.parametrize("argv", [
    ["train", "--model", "wrn-1000000000000000-1"], ["train", "--model", f"wrn-28-{HUGE}"],
    ["train", "--model", f"small-cnn-0.{HUGE}"], ["bench", "--model", "resnet50-1000000000"],
    ["train", "--periods", str(10**30), "--period-milestones"], ["bench", "--steps", HUGE],
    ["bench", "--batch", str(10**12), "--json"], ["demo", "--epochs", str(10**15)],
    ["verify", "--cases", str(10**15)], ["demo", "--sparsity", "nan"]])
def test_numbers_beyond_all_bounds_of_other_kinds(argv, capsys):
    refused(capsys, argv)


def test_every_flag_can_be_told_from_one_that_is_not_given():
    """What tyro hands over has the flags that are given, also at their defaults, and no others."""
    taken = []

    def train(training: commands.OmitArgPrefixes[commands.Flags],
              method: commands.OmitArgPrefixes[commands.MethodOptions]) -> None:
        taken.append({**training, **method})

    for argv, expected in (
            ([], {}), (["--epochs", "8"], {"epochs": 8}), (["--check"], {"check": True}),
            (["--no-nesterov"], {"nesterov": False}), (["--keep-one"], {"keep_one": True}),
            (["--no-bitmask", "--lr-milestones"], {"bitmask": False, "lr_milestones": ()})):
        commands.tyro.cli(train, args=argv)
        assert taken[-1] == expected
    names = {*commands.Flags.__annotations__, *commands.MethodOptions.__annotations__}
    assert {f.name for f in fields(Config)} - names == {"options", "extended_from", "extended_at"}


# --- nothing is written


@pytest.mark.parametrize("out", ["file", "file/inside", "full", "full/../full", "new/file",
                                 "x" * 300, "/proc/none"])
def test_a_refused_folder_is_as_it_was(out, elsewhere, capsys):
    (elsewhere / "file").write_text("a")
    (elsewhere / "full").mkdir()
    (elsewhere / "full" / "thesis.txt").write_text("precious")
    before = sorted(elsewhere.rglob("*"))
    wrong = ["--lr", "-1"] if out == "new/file" else []
    for flags in ([], ["--resume"])[:2 if out[0] in "fn" else 1]:
        refused(capsys, ["train", "--out", out, *flags, *wrong])
    assert sorted(elsewhere.rglob("*")) == before


def test_data_that_are_missing_leave_no_folder(elsewhere, capsys):
    refused(capsys, ["train", "--data", "cifar10", "--out", "a/b/c"], "data fetch cifar10")
    (elsewhere / "a").mkdir()
    refused(capsys, ["train", "--data", "cifar10", "--out", "a"], "data fetch cifar10")
    assert not list((elsewhere / "a").iterdir())


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write anywhere")
def test_a_folder_that_may_not_be_written_to(elsewhere, capsys):
    elsewhere.chmod(0o500)
    refused(capsys, ["train", "--out", "a"], "a: . may not be written to")


@pytest.mark.parametrize("argv", [["demo", "--out", "file"], ["demo", "--out", "file/a"]])
def test_demo_looks_at_its_folder_first(argv, elsewhere, capsys, monkeypatch):
    (elsewhere / "file").write_text("a")
    monkeypatch.setattr(commands, "run_training", lambda *_, **__: pytest.fail("it trains"))
    refused(capsys, argv, "file is not a folder")


# --- runs that exist


def test_resume_says_what_it_does(begin, elsewhere, capsys):
    """It begins, then there is nothing to do; what is given must be as the run has it."""
    assert main([*begin, "a", "--resume"]) == 0
    assert capsys.readouterr().err.startswith(
        "a: no run there yet, begins one: wrn-10-0.25 by dsr on cifar10, 2 epochs\n")
    before = (elsewhere / "a" / "checkpoint.npz").read_bytes()
    assert main(["train", "--resume", "--out", "a"]) == 0
    out, err = capsys.readouterr()
    assert "a: complete, 2 of 2 epochs; nothing to train\n" in err
    assert "conserved" in out
    assert main([*begin, "a", "--resume", "--threads", "2", "--no-check"]) == 0
    capsys.readouterr()
    resume = ["train", "--resume", "--out", "a"]
    for flags, said in (
            (["--epochs", "8"], "epochs 2, not 8; train --resume --extend-epochs 8 trains it"),
            (["--epochs", "1"], "begun with epochs 2, not 1; leave that out"),
            (["--nesterov", "--lr", "0.1"], "begun with lr 0.02, not 0.1; leave that out"),
            (["--no-nesterov"], "begun with nesterov True, not False"),
            (["--method", "dsr", "--seed", "1"], "begun with seed 0, not 1"),
            (["--method", "set"], "begun with method 'dsr', not 'set'"),
            (["--periods", "25", "32", "64", "128"], "begun with periods (2,), not (25, 32, 64, 1"),
            (["--no-keep-one"], "begun with keep_one True, not False"),
            (["--bitmask"], "dsr has no option bitmask, which is for thin-dense"),
            (["--threads", "0"], "threads must be in [1, 1,024], not 0"),
            (["--extend-epochs", "1"], "extend_epochs must be more than 2, ")):
        refused(capsys, [*resume, *flags], said)
    assert (elsewhere / "a" / "checkpoint.npz").read_bytes() == before


def test_a_run_is_extended(begin, elsewhere, capsys):
    """From the same checkpoint always to the same bytes, also with a kill in between."""
    for name in ("a", "b", "c"):
        assert main([*begin, name]) == 0
    capsys.readouterr()
    extend = ["train", "--resume", "--extend-epochs", "3", "--out"]
    assert main([*extend, "a"]) == 0
    out = capsys.readouterr().out
    assert "extended from 2 epochs at step 10: not comparable with a run of 3 epochs" in out
    config = json.loads((elsewhere / "a" / "config.json").read_text())
    assert [config[k] for k in ("epochs", "extended_from", "extended_at")] == [3, [2], [10]]
    assert [e["epoch"] for e in History.load(elsewhere / "a" / "metrics.jsonl").epochs] == [1, 2, 3]
    # killed between config.json and the next checkpoint: once resumed, once extended again
    for name, words in (("b", extend), ("c", ["train", "--resume", "--out"])):
        run = elsewhere / name
        directory.write_config(run, directory.extended(run, 3))
        assert main(["eval", name, "--engine", "blocked"]) == 0
        assert "step 10 of 15" in capsys.readouterr().out
        assert main([*words, name]) == 0
    contents = {(elsewhere / name / "checkpoint.npz").read_bytes() for name in ("a", "b", "c")}
    assert len(contents) == 1
    capsys.readouterr()
    assert main([*extend, "a"]) == 0  # the same command again
    assert "a: complete, 3 of 3 epochs; nothing to train" in capsys.readouterr().err
    assert main(["plot", "a"]) == 0
    assert main(["train", "--resume", "--out", "a", "--extend-epochs", "4"]) == 0
    assert "extended from 3 epochs at step 15" in capsys.readouterr().out
    refused(capsys, ["train", "--resume", "--out", "a", "--epochs", "3"], "with epochs 4, not 3")


def test_a_checkpoint_of_an_earlier_stage_is_taken_where_it_was_extended_only(begin, elsewhere):
    assert main([*begin, "a"]) == 0
    run, path = elsewhere / "a", elsewhere / "a" / "checkpoint.npz"
    own = directory.own_config(run)
    twice = own.extended(3, 10).extended(4, 10)  # with a kill after each
    assert directory.load_run(path, twice)["t"] == 10
    for other in (own.extended(3, 5), own.extended(3, 10).extended(4, 15)):
        with pytest.raises(directory.CheckpointError, match="is of .*, not of"):
            directory.load_run(path, other)


def test_a_figure_of_records_that_lack_some_is_not_drawn(begin, tmp_path, capsys):
    """The checkpoint says how many there were."""
    out = tmp_path / "run"
    assert main([*begin, str(out)]) == 0
    lines = (out / "metrics.jsonl").read_text().splitlines(keepends=True)
    for kept in ([*lines[:1], *lines[2:]], lines[:-1], []):
        (out / "metrics.jsonl").write_text("".join(kept))
        capsys.readouterr()
        assert main(["plot", str(out)]) == 2
        assert "records, and the checkpoint counts on" in capsys.readouterr().err


def test_what_a_crash_leaves_behind_does_not_matter_to_a_complete_run(begin, tmp_path, capsys):
    """Lines after those that the checkpoint counts on may be anything; they are dropped."""
    out = tmp_path / "run"
    assert main([*begin, str(out)]) == 0
    content = (out / "metrics.jsonl").read_bytes()
    (out / "metrics.jsonl").write_bytes(content + bytes(64) + b"\n\0\0\n")
    capsys.readouterr()
    assert main(["train", "--resume", "--out", str(out)]) == 0
    assert "complete" in capsys.readouterr().err
    assert (out / "metrics.jsonl").read_bytes() == content
