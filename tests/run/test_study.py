"""Which runs a study has: by flags, by a file, and what is refused in one line."""

import json
import textwrap
from itertools import product

import pytest
from hypothesis import given
from hypothesis import strategies as st

from minidsr.methods import METHODS
from minidsr.run import commands, directory
from minidsr.run.config import Config
from minidsr.run.study import FORMAT, plan, words


@pytest.fixture
def study(tmp_path):
    """A function: plan() by the text of a file, in the folder `out`."""
    def planned(text, **flags):
        path = tmp_path / "study.toml"
        path.write_text(textwrap.dedent(text), encoding="utf-8")
        return plan(tmp_path / "out", flags, path)
    return planned


def names(runs):
    return [run.name for run in runs]


def several(values):
    return st.lists(values, min_size=1, max_size=2, unique=True)


@given(methods=several(st.sampled_from(list(METHODS))),
       sparsities=several(st.sampled_from([0.0, 0.5, 0.9, 0.975])),
       seeds=several(st.integers(0, 2**64 - 1)), more=st.fixed_dictionaries({}, optional={
           "lr": several(st.floats(1e-3, 1.0)), "nesterov": several(st.booleans()),
           "lr_milestones": st.just([[0.5], [], [0.2, 0.8]]), "batch": st.integers(1, 99),
           "engine": several(st.sampled_from(["plain", "blocked", "sparse"]))}))
def test_each_value_with_each_other_in_order(methods, sparsities, seeds, more, tmp_path_factory):
    """A run for each combination, once; all of a seed together; Config is what was asked for."""
    if all("sparsity" not in METHODS[method].options() for method in methods):
        sparsities = None
    lists = {"methods": methods, "seeds": seeds} | more | (
        {} if sparsities is None else {"sparsities": sparsities})
    path = tmp_path_factory.mktemp("study") / "a.toml"
    path.write_text("".join(f"{name} = {json.dumps(value)}\n" for name, value in lists.items()))
    runs = plan(path.parent, {}, path)
    expected = set()
    for method in methods:
        options = {"sparsity": sparsities} if "sparsity" in METHODS[method].options() else {}
        free = {"seed": seeds} | options | {
            name: value if isinstance(value, list) else [value] for name, value in more.items()}
        for values in product(*free.values()):
            one = {name: tuple(v) if isinstance(v, list) else v
                   for name, v in zip(free, values, strict=True)}
            expected.add(repr(Config(method=method, **one)))
    assert {repr(run.config) for run in runs} == expected and len(runs) == len(expected)
    assert len(set(names(runs))) == len(runs)
    assert [seed for i, seed in enumerate(run.config.seed for run in runs)
            if i == 0 or seed != runs[i - 1].config.seed] == seeds
    for run in runs:
        first, *_, last = run.name.removeprefix("thin-").split("-")
        assert first in run.config.method and last == str(run.config.seed)


def test_names_have_what_varies_and_no_more(study):
    runs = study("""
        methods = ["dense", "dsr"]
        seeds = [0, 1]
        lr = [0.1, 1]
        engine = "plain"
        """)
    assert names(runs) == ["dense-lr_0.1-0", "dense-lr_1-0", "dsr-0.9-lr_0.1-0", "dsr-0.9-lr_1-0",
                           "dense-lr_0.1-1", "dense-lr_1-1", "dsr-0.9-lr_0.1-1", "dsr-0.9-lr_1-1"]
    assert names(study("""
        methods = "dsr"
        periods = [[10, 20], [30, 40]]
        period-milestones = [0.5]
        nesterov = [true, false]
        growth = ["room", "pruned"]
        """, sparsities=(0.5,))) == [
        f"dsr-0.5-periods_{periods}-{nesterov}-{growth}-0" for periods, nesterov, growth in product(
            ("10_20", "30_40"), ("nesterov", "no_nesterov"), ("room", "pruned"))]


def test_what_stands_for_one_method_or_group_or_on_the_command_line(study):
    """The nearer counts: all, a method of all, a group, a method of a group, the flags."""
    text = """
        methods = ["dsr", "static"]
        lr = 0.1
        weight_decay = 0
        [method.static]
        weight_decay = 1e-4
        lr = 0.2
        [[runs]]
        name = "b"
        lr = 0.3
        [runs.method.static]
        lr = 0.4
        """
    assert {run.name: (run.config.lr, run.config.weight_decay) for run in study(text)} == {
        "dsr-0.9-0": (0.1, 0), "static-0.9-0": (0.2, 1e-4),
        "b-dsr-0.9-0": (0.3, 0), "b-static-0.9-0": (0.4, 1e-4)}
    runs = study(text, lr=0.5, seeds=(3,), methods=("static",))
    assert {run.name: (run.config.lr, run.config.weight_decay) for run in runs} == {
        "static-0.9-3": (0.5, 1e-4), "b-static-0.9-3": (0.5, 1e-4)}
    assert "methods" not in text.partition("[[runs]]")[2]  # which are those above, too


def test_the_format_by_its_own_example(study, tmp_path):
    example = "\n".join(line for line in FORMAT.splitlines() if line.startswith("    "))
    runs = study(example)
    assert len(runs) == 3 * (1 + 2 + 2 + 2) and names(runs)[:7] == [
        "dense-0", "static-0.9-0", "dsr-0.9-0", "static-0.95-0", "dsr-0.95-0",
        "ticket-static-0.9-0", "ticket-static-0.95-0"]
    found = {run.name: run for run in runs}
    assert found["static-0.9-0"].config.weight_decay == 1e-4
    assert found["dsr-0.9-0"].config.periods == (10, 10, 20, 20)
    ticket = found["ticket-static-0.95-2"]
    assert ticket.after == "dsr-0.95-2"
    assert ticket.config.structure_from == str(tmp_path / "out" / "dsr-0.95-2")
    for run in runs:
        assert run.after is None or names(runs).index(run.after) < names(runs).index(run.name)


def test_a_run_comes_after_the_one_that_it_starts_from(study):
    """Also where it is written before it, and over several."""
    runs = study("""
        seeds = [100, 101]
        [[runs]]
        name = "c"
        methods = ["static"]
        structure_from = "b-static-0.9-{seed}"
        values = "final"
        [[runs]]
        name = "b"
        methods = ["static"]
        structure_from = "dsr-0.9-{seed-100}"
        values = "random"
        [[runs]]
        methods = ["dsr"]
        seeds = [0, 1]
        """)
    assert names(runs) == ["dsr-0.9-0", "b-static-0.9-100", "c-static-0.9-100",
                           "dsr-0.9-1", "b-static-0.9-101", "c-static-0.9-101"]
    assert [run.after for run in runs] == [None, *names(runs)[:2], None, *names(runs)[3:5]]


def test_from_the_directory_of_another_run(study, tmp_path):
    (tmp_path / "old").mkdir()
    config = Config(sparsity=0.5)
    directory.write_config(tmp_path / "old", config)
    run, = study(f"""
        methods = "dsr"
        sparsities = 0.5
        structure_from = '{tmp_path / "old"}'
        """)
    assert run.after is None and run.config.structure_from == str(tmp_path / "old")


def test_train_is_given_what_the_study_says(study):
    """The words, parsed as the command line parses them, make the same Config."""
    taken = []

    def train(training: commands.OmitArgPrefixes[commands.Flags],
              method: commands.OmitArgPrefixes[commands.MethodOptions],
              out: commands.Out = None, resume: bool = False) -> None:
        taken.append((Config(**training, **method), str(out), resume))

    for run in study("""
            methods = "dsr"
            lr = [1, 1e-7]
            nesterov = false
            lr-milestones = []
            keep_one = false
            periods = [3]
            period_milestones = []
            """):
        argv = words(run, "a folder")
        commands.tyro.cli(train, args=argv[1:])
        assert argv[0] == "train" and taken[-1] == (run.config, f"a folder/{run.name}", True)
    assert words(run, "out", threads=3)[1:3] == ["--threads", "3"]
    run, = study("methods = 'dense'\nthreads = 2")
    assert words(run, "out", threads=3)[1:3] == ["--threads", "2"]


@pytest.mark.parametrize(("text", "said"), [
    ("methods = [", "(at end of document)"),
    ("methods = ['dsr']\nepoch = 1", "no key 'epoch'; did you mean epochs?"),
    ("methods = ['dsr']\nsparsity = 0.9", "no key 'sparsity'; did you mean sparsities?"),
    ("methods = ['dsr']\nresume = true", "no key 'resume'"),
    ("methods = ['dsr']\nextended_at = [1]", "no key 'extended_at'"),
    ("method = ['dsr']", "methods is the list"),
    ("epochs = 1", "give one method at least"),
    ("methods = []", "give one method at least"),
    ("methods = ['dsr', 'rgil']", "unknown method 'rgil'; did you mean rigl?"),
    ("methods = [3]", "unknown method 3"),
    ("methods = ['dsr']\nseeds = []", "give one seed at least"),
    ("methods = ['dsr']\nseeds = [-1]", "seed must be in [0, "),
    ("methods = ['dsr']\nlr = 'fast'", "lr must be a number, not 'fast'"),
    ("methods = ['dsr']\nlr = [[0.1]]", "lr must be a number, not (0.1,)"),
    ("methods = ['dsr']\nlr = {a = 1}", "lr must be a number"),
    ("methods = ['dsr']\nperiods = [[10], 20]", "periods must be a tuple"),
    ("methods = ['dsr']\nperiods = 10", "periods must be a tuple"),
    ("methods = ['dense', 'static']\nthreshold = 0.1", "threshold is for dsr, and not for dense"),
    ("methods = ['dsr']\n[[runs]]\nmethods = ['set']\ngrowth = 'room'", "growth is for dsr, and"),
    ("methods = ['dense']\nsparsities = [0.9]", "sparsities is for thin-dense, "),
    ("methods = ['static']\n[method.static]\ntolerance = 0.1", "static has no option tolerance"),
    ("methods = ['static']\n[method.statik]\nlr = 1", "unknown method 'statik'"),
    ("methods = ['static']\n[method.dsr]\nlr = 1", "[method.dsr] is for no run: the methods"),
    ("methods = ['static']\n[method.static]\nlrr = 1", "no key 'lrr'"),
    ("methods = ['static']\n[method.static]\nmethods = ['dsr']", "[method.static] has options of"),
    ("methods = ['static']\n[method]\nstatic = 3", "[method.static] has options of"),
    ("runs = 3", "runs are groups, each below a line [[runs]]"),
    ("[[runs]]\nname = 'a/b'\nmethods = ['dsr']", "a name of runs has letters"),
    ("methods = ['dsr']\nlr = 0.2\n[[runs]]\nlr = 0.3", "two different runs are called dsr-0.9-0"),
    ("methods = ['dsr']\nstructure_from = 'none'", "structure_from 'none' is no run of this"),
    ("methods = ['dsr']\nstructure_from = '{sed}'", "{sed}, but dsr has no sed"),
    ("methods = ['dsr']\nstructure_from = '{lr-1}'", "{lr-1}, but lr is no whole number"),
    ("methods = ['dsr']\nstructure_from = 'dsr-0.9-0'\nvalues = 'final'",
     "dsr-0.9-0 starts from its own"),
    ("methods = ['dsr']\n[[runs]]\nname = 'a'\nmethods = ['static']\nvalues = 'random'\n"
     "structure_from = 'dsr-0.9-{seed}'", "was begun with seed 0 too"),
    ("methods = ['dsr']\n[[runs]]\nname = 'a'\nmodel = 'wrn-10-1'\n"
     "structure_from = 'dsr-0.9-{seed}'", "is of small-cnn, not of wrn-10-1")])
def test_what_is_wrong_is_told_in_one_line(text, said, study, tmp_path):
    with pytest.raises(ValueError) as caught:
        study(text)
    line = str(caught.value)
    assert line.startswith(f"{tmp_path / 'study.toml'}: ") and said in line
    assert "\n" not in line and len(line.removeprefix(str(tmp_path))) < 250
    assert not (tmp_path / "out").exists()


def test_a_file_that_is_none(tmp_path):
    for path, content in ((tmp_path / "none", None), (tmp_path, None), (tmp_path / "a", b"\xff")):
        if content:
            path.write_bytes(content)
        with pytest.raises(ValueError, match=f"{path}: "):
            plan(tmp_path / "out", {}, path)
