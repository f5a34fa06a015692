"""Anyone's reallocate() is judged: by name in a process of its own, and as a function."""

import json
import re
import sys
import textwrap
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path

import numpy as np
import pytest
from hypothesis import Phase, settings
from hypothesis.strategies import integers
from masks import in_torch

from lessons.gallery import masked, rounds_up, stale_velocity, threshold_swapped
from minidsr import Sparse, check_reallocate
from minidsr.__main__ import main
from minidsr.methods.magnitude import grow_largest, prune_smallest
from minidsr.methods.set import prune_by_sign
from minidsr.proof import cases
from minidsr.proof.cases import Case
from minidsr.proof.invariants import InvariantError
from minidsr.reparam import Report, apportion, grow_back, reallocate
from minidsr.run import judge, verify
from minidsr.run.judge import verify_function
from minidsr.run.tally import Tally

THEIRS = """
    import os
    import numpy as np
    import beside

    def right(tensors, H, N_p, delta, rng, keep_one=True):
        return beside.reallocate(tensors, H, N_p, delta, rng, keep_one=keep_one)

    def masks(values, masks, velocities, H, N_p, delta, rng):
        return H

    def two_hang(tensors, H, N_p, delta, rng):
        while len(tensors) > 1:
            pass
        return right(tensors, H, N_p, delta, rng)[0]

    def two_die(tensors, H, N_p, delta, rng):
        if len(tensors) > 1:
            os._exit(1)
        return right(tensors, H, N_p, delta, rng)[0]

    def raises(tensors, H, N_p, delta, rng):
        1 / (len(tensors[0].index) - 1)
        return right(tensors, H, N_p, delta, rng)[0]
"""


@pytest.fixture
def few(monkeypatch):
    """Small networks of three patterns: 3 + 9 + 27 of them; quick: 12. Random ones that show what
    these do not are not made smaller."""
    monkeypatch.setattr(cases, "distinct_patterns", lambda: [(1,), (0, 1), (0, 0, 1, 2)])
    monkeypatch.setattr(verify, "SHRINKING", -1)


@pytest.fixture
def theirs(few, tmp_path, monkeypatch):
    """The folder in which theirs.py is, and what it imports."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", list(sys.path))
    (tmp_path / "theirs.py").write_text(textwrap.dedent(THEIRS))
    (tmp_path / "beside.py").write_text("from minidsr import reallocate\n")
    return tmp_path


def ended(capsys, *argv):
    """(exit code, standard output, standard error)."""
    return main(["verify", *map(str, argv)]), *capsys.readouterr()


def test_a_right_one_by_its_name(theirs, capsys):
    code, out, _ = ended(capsys, f"{theirs}/theirs.py:right", "--cases", 5)
    assert code == 0
    assert out.startswith(f"{theirs}/theirs.py:right is tried on 39 small networks and 5 random "
                          "ones, in a process of its own: ")
    assert re.findall(r"^ +(\d+) ", out.split("\n\n")[1], re.MULTILINE) == ["39", "5", "420"]
    assert "18 invariants held, 0 violated, 4 not checkable" in out


def test_many_at_a_time_are_as_one_by_one(theirs, monkeypatch):
    """Where one of them raises, its neighbours are judged all the same."""
    tallies = []
    for at_a_time in (1, 7):
        monkeypatch.setattr(judge, "AT_A_TIME", at_a_time)
        for function in ("right", "raises"):
            tally, tried = verify_function(f"theirs:{function}", cases=1)
            tallies.append((function, tally.checked, tally.violated, tried, str(tally)))
    assert tallies[:2] == tallies[2:]
    assert tallies[0] != tallies[1]


def test_quick(theirs, capsys):
    """And what does nothing is shown the smallest network in which there was something to do."""
    code, out, err = ended(capsys, "theirs:masks", "--masks", "numpy", "--quick", "--cases", 5)
    assert code == 1
    tried, left_out = out.split("\n\n")[1].split("left out by --quick:")
    assert re.findall(r"^ +(\d+) ", tried, re.MULTILINE)[0] == "12"
    assert left_out == "\n      27 small networks of three tensors"
    assert {"pruned_below_threshold", "threshold_rule"} <= set(re.findall(r"\w+", err))
    assert "tensor 0, 1 position" in out.split("what must hold")[1].split("\n\n")[1]


@pytest.mark.parametrize(("function", "said"), [
    ("two_hang", "completes: no answer within 0.5 s"),
    ("two_die", "completes: its process ended without an answer")])
def test_what_hangs_or_dies_ends_it(function, said, theirs, capsys, monkeypatch):
    """Two tensors of one position are the third network."""
    monkeypatch.setattr(judge, "SECONDS", 0.5)
    code, out, err = ended(capsys, f"theirs:{function}")
    assert (code, err.splitlines()[-1]) == (1, "minidsr: violated: completes")
    assert said in out
    assert re.search(r"\ncompletes +VIOLATED 1 x +3  Each reallocation comes to its end\.\n", out)
    assert "tensor 1, 1 position" in out.split(said)[1]
    assert "\n       3 small networks" in out and "random networks" not in out


def test_what_raises_is_shown_with_its_line(theirs, capsys):
    code, out, _ = ended(capsys, "theirs.py:raises", "--cases", 5)
    assert code == 1
    assert ("completes: ZeroDivisionError: division by zero (line 23: "
            "1 / (len(tensors[0].index) - 1))\n  in H = 0.5") in out
    assert re.search(r"\n +5 random networks", out)


@pytest.mark.parametrize(("argv", "said"), [
    (["theirs:write"], "theirs has no function 'write'; did you mean right? it has masks, "
     "raises, right, two_die, two_hang\n"),
    (["nowhere:right"], "nowhere cannot be loaded: ModuleNotFoundError: No module named 'nowhere'"),
    (["nowhere.py:right"], "nowhere.py:right: no file nowhere.py"),
    (["broken.py:f"], "broken.py cannot be loaded: SyntaxError: invalid syntax (line 1: def f(:)"),
    (["broken:f"], "broken cannot be loaded: SyntaxError: invalid syntax (broken.py, line 1)"),
    (["stops.py:f"], "stops.py cannot be loaded: SystemExit: an argument is missing"),
    (["theirs.py"], "theirs.py: which function of it? say theirs.py:reallocate, for example"),
    (["theirs:masks"], "masks is no function to be judged, it is called with (tensors, H, N_p, "
     "delta, rng): missing a required argument: 'delta'; one that takes masks needs --masks numpy"),
    (["theirs:right", "--masks", "numpy"],
     "with (values, masks, velocities, H, N_p, delta, rng): multiple values for argument"),
    (["theirs:right", "--method", "rigl"], "right is no function to be judged, it is called with "
     "(tensors, gradients, fraction, rng): missing a required argument: 'rng'; one that takes"),
    (["theirs:masks", "--method", "set", "--masks", "numpy"],
     "with (values, masks, velocities, fraction, rng): missing a required argument: 'delta'"),
    (["theirs:right", "--method", "RigL"], "method of a function 'RigL'; did you mean rigl? "),
    (["theirs:right", "--method", "deepr"], "unknown method of a function 'deepr'; choose one of: "
     "dsr, set, set-magnitude, itop, rigl, itop-rigl, snfs"),
    (["theirs:right", "--tolerance", "1"], "--tolerance is for a trace"),
    (["theirs:right", "--masks", "tf"], "unknown masks 'tf'; choose one of: numpy, torch, jax"),
    (["--masks", "numpy"], "--masks is for a function"),
    (["theirs:right", "--cases", "0"], "cases must be in [1, "),
    (["theirs:right", "--seed", "-1"], "seed must be in [0, ")])
def test_the_users_mistakes(argv, said, theirs, capsys):
    (theirs / "broken.py").write_text("def f(:\n")
    (theirs / "stops.py").write_text("import sys\nlen(sys.argv) > 1 or sys.exit('an\\nargument is "
                                     "missing')\n")
    code, out, err = ended(capsys, *argv)
    assert code == 2
    assert said in err
    assert err.startswith("minidsr: ") and err.count("\n") == 1


def test_a_function_at_hand(few):
    """All that holds is in the table that comes back."""
    for function in (reallocate, masked.reallocate):
        tally = check_reallocate(function, cases=10)
        assert tally.held and tally.checked["budget"] == 39 + 10
    assert "balance                  not checkable" in str(tally)


@pytest.mark.parametrize(("wrong", "named", "drawn"), [
    (rounds_up, "budget", r"tensor 1, "), (threshold_swapped, "threshold_rule", "next H = 0.25"),
    (stale_velocity, "grown_at_rest", r"velocity after +[\d.]+")])
def test_the_first_that_is_wrong_is_raised(wrong, named, drawn):
    with pytest.raises(InvariantError, match=rf"in network [\d,]+ of those tried\n\n{named}") as e:
        check_reallocate(wrong.reallocate, quick=True, cases=50)
    assert re.search(drawn, str(e.value))


def test_no_small_network_shows_it(few, monkeypatch):
    """A random one does."""
    def fixed(tensors, H, N_p, delta, rng, keep_one):
        return reallocate(tensors, H, N_p, 0.1, rng, keep_one=keep_one)

    with pytest.raises(InvariantError, match=r"fixed does not keep Algorithm 1, in network \d+ of "
                                             r"those tried\n\nthreshold_rule: "):
        check_reallocate(fixed, cases=300)


def test_a_random_network_is_made_smaller(monkeypatch):
    """Of one tensor with at least five positions, which is what is wrong, to the smallest."""
    def large(n):
        return Case([Sparse((n,), np.array([0], np.int32), np.ones(1, np.float32))], 0.5, 1, 0.1, 0)

    def wrong(tensors, H, N_p, delta, rng, keep_one):
        next_H, _ = reallocate(tensors, H, N_p, delta, rng, keep_one=keep_one)
        return next_H * (1 + (tensors[0].size >= 5)), None

    sizes = []
    for seconds in (-1, 60):
        monkeypatch.setattr(verify, "SHRINKING", seconds)
        tally = Tally()
        verify.try_random_cases(tally, 50, lambda cases, **_: cases, integers(1, 40).map(large),
                                reallocate=wrong)
        assert set(tally.violated) == {"threshold_rule"}
        sizes.append(tally.examples["threshold_rule"][0])
    assert sizes[0] > sizes[1] == 5


def test_the_seed_draws_the_random_networks(few):
    def drawn(seed):
        seen = []
        verify_function(lambda *args: seen.append(args[2]) or reallocate(*args), cases=5, seed=seed)
        return seen[39:]

    assert drawn(0) == drawn(0) != drawn(1)


class Ours:
    """What our own methods do at an update, as functions."""

    @staticmethod
    def set(tensors, fraction, rng):
        pruned = [prune_by_sign(W, fraction) for W in tensors]
        for W, n in zip(tensors, pruned, strict=True):
            grow_back(W, n, rng)
        return pruned, pruned

    @staticmethod
    def rigl(tensors, gradients, fraction, rng):
        for W, gradient in zip(tensors, gradients, strict=True):
            grow_largest(W, prune_smallest(W, int(fraction * W.value.size)), abs(gradient))

    @staticmethod
    def snfs(tensors, momenta, fraction, rng):
        V = [abs(momentum) for momentum in momenta]
        means = [float(a.reshape(-1)[W.index].mean()) if len(W.index) else 0.0
                 for a, W in zip(V, tensors, strict=True)]
        pruned = [prune_smallest(W, int(fraction * W.value.size)) for W in tensors]
        grown = apportion(sum(pruned), means, [W.size - W.value.size for W in tensors])
        for W, n, a in zip(tensors, grown, V, strict=True):
            grow_largest(W, n, a)
        return Report(pruned=pruned, grown=grown)


@pytest.mark.parametrize("method", ["set", "rigl", "snfs"])
def test_other_methods(method, few):
    """Ours keep their rules, all of which could be checked."""
    tally = check_reallocate(getattr(Ours, method), method=method, cases=100)
    assert tally.checked.keys() <= {i.__name__ for i in tally.rules.all} | {"completes"}
    silent = {"balance"} if method == "rigl" else set()
    assert {v["rule"] for v in tally.verdicts() if v["verdict"] == "not checkable"} == silent | {
        "masked_are_zero", "dense_unchanged", "nothing_moves_between"}


@pytest.mark.parametrize(("method", "judged_as", "named"), [
    ("set", "set-magnitude", "same_share_pruned"), ("set", "itop", "same_share_pruned"),
    ("rigl", "snfs", "shares_by_momentum"), ("snfs", "rigl", "count_per_tensor")])
def test_other_methods_by_the_rules_of_others(method, judged_as, named, few):
    with pytest.raises(InvariantError, match=f"{method} does not keep the rules of {judged_as}, in"
                                             f" network [0-9]+ of those tried\n\n{named}: "):
        check_reallocate(getattr(Ours, method), method=judged_as, cases=300)


def test_what_moves_nothing_is_named(few):
    """The judge knows the share that had to go."""
    with pytest.raises(InvariantError, match="same_share_pruned: tensor 0: 0 of 2 are pruned, the "
                                             "fraction is 0.66"):
        check_reallocate(lambda tensors, fraction, rng: None, method="itop", cases=20)


def test_momentum_that_stays_is_named_as_such(few):
    """Where a weight is pruned and grown again, with its velocity."""
    def update(values, masks, velocities, gradients, fraction, rng):
        for w, m, g in zip(values, masks, gradients, strict=True):
            used = np.flatnonzero(m)
            gone = used[np.argsort(abs(w.flat[used]))][:int(fraction * len(used))]
            w.flat[gone] = m.flat[gone] = 0
            empty = np.flatnonzero(~m)
            m.flat[empty[np.argsort(-abs(g.flat[empty]))][:len(gone)]] = True

    with pytest.raises(InvariantError, match="becomes 0, or it was pruned, and grown again with a "
                                             "velocity"):
        check_reallocate(update, masks="numpy", method="rigl", cases=300)


def test_another_method_by_its_name(theirs, capsys):
    """As it is at hand, verdict by verdict; the document says by whose rules."""
    (theirs / "sets.py").write_text(textwrap.dedent("""
        import numpy as np

        def evolve(values, masks, velocities, fraction, rng):
            for w, m, v in zip(values, masks, velocities):
                for sign in (1, -1):
                    used = np.flatnonzero(m & (sign * w > 0))
                    gone = used[np.argsort(abs(w.flat[used]))][:int(fraction * len(used))]
                    w.flat[gone] = v.flat[gone] = m.flat[gone] = 0
                    m.flat[np.flatnonzero(~m)[:len(gone)]] = True
    """))
    code, out, _ = ended(capsys, "sets.py:evolve", "--masks", "numpy", "--method", "set",
                         "--cases", 20, "--json")
    document = json.loads(out)
    assert (code, document["rules_of"]) == (1, "set")
    assert [t["cases"] for t in document["tried"]] == [39, 20, 420]
    assert {v["rule"] for v in document["rules"] if v["violations"]} == {"grown_uniformly"}
    with pytest.raises(InvariantError, match="position 1 grows in 420 of 420 runs"):
        check_reallocate("sets:evolve", masks="numpy", method="set", cases=20)


def test_a_function_by_name_from_python(theirs):
    with pytest.raises(InvariantError, match="(?s)in network 1 of those tried.*division by zero"):
        check_reallocate("theirs.py:raises", quick=True)
    for wrong in (3, "theirs", "theirs:", None):
        with pytest.raises(ValueError, match="MODULE:FUNCTION"):
            check_reallocate(wrong)


def test_pytorch(few):
    pytest.importorskip("torch", reason="PyTorch is not installed")
    assert check_reallocate(in_torch, masks="torch", cases=10).held

    def forgets_momentum(values, masks, velocities, *rest):
        next_H = in_torch(values, masks, velocities, *rest)
        for v in velocities:
            v.zero_()
        return next_H

    with pytest.raises(InvariantError, match="survivors_keep_velocity"):
        check_reallocate(forgets_momentum, masks="torch", cases=20)


def test_rigl_in_pytorch(few):
    """All that it is given are tensors, and its rules are kept."""
    torch = pytest.importorskip("torch", reason="PyTorch is not installed")

    def update(values, masks, velocities, gradients, fraction, rng):
        for w, m, v, g in zip(values, masks, velocities, gradients, strict=True):
            w, m, v, score = w.view(-1), m.view(-1), v.view(-1), g.abs().view(-1)
            n = int(fraction * m.sum())
            gone = torch.where(m, w.abs(), torch.inf).topk(n, largest=False).indices
            w[gone], v[gone], m[gone] = 0, 0, False
            m[torch.where(m, -1, score).topk(n).indices] = True

    assert check_reallocate(update, masks="torch", method="rigl", cases=100).held


@pytest.mark.slow
def test_what_the_page_shows(tmp_path, monkeypatch, capsys):
    """lessons/notes/verify.md: its function, what is said of it, and what pytest prints of each
    test that it has."""
    page = Path(__file__).parents[2] / "lessons" / "notes" / "verify.md"
    blocks = re.findall(r"^```(\w+)\n(.*?)^```", page.read_text(encoding="utf-8"),
                        re.DOTALL | re.MULTILINE)
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setattr(verify, "SHRINKING", -1)
    monkeypatch.setattr(judge, "extent", lambda cases, quick: (1, cases))  # one tensor shows it
    np.savez("trace.npz", **{f"a/{when}/{key}": [1.0, key == "mask" and when == "before"]
                             for when in ("before", "after") for key in ("value", "mask")})
    files = {match[1]: text for _, text in blocks if (match := re.match(r"# (\w+\.py)\n", text))}
    files["my_method.py"] = "from minidsr import Dynamic\n\n\nclass Mine(Dynamic):\n    pass\n"
    for name, text in files.items():
        Path(name).write_text(text, encoding="utf-8")
    commands = [text.split()[4:] for kind, text in blocks
                if kind == "sh" and "--masks numpy --quick" in text]
    for command, rule in zip(commands, ["grown_elsewhere", "grown_by_gradient"], strict=True):
        code, out, _ = ended(capsys, *command, "--cases", 5)
        assert code == 1
        shown, = (text for kind, text in blocks if kind == "text" and rule in text)
        assert shown in out
    said = {name: printed(name) for name in files if name.startswith("test_")}
    assert said.keys() == {"test_mine.py", "test_mine_by_hypothesis.py", "test_trace.py",
                           "test_method.py"}
    shown, = (text for kind, text in blocks if kind == "text" and text.startswith(">  "))
    assert shown in said["test_mine.py"]
    assert re.search(r"E +\S+InvariantError: (.+\n)+E +in H = .+\nE +tensor 0, \d+ positions",
                     said["test_mine_by_hypothesis.py"])
    assert re.search("InvariantError: trace.npz has violations\nE +\nE +budget: 2 free ",
                     said["test_trace.py"])
    assert re.search("InvariantError: Mine breaks the contract of methods\n",
                     said["test_method.py"])
    assert not re.findall(r"minidsr/(?:run|proof)/.*", "".join(said.values()))


def printed(name):
    """What pytest prints of the test in this file, which fails."""
    spec = spec_from_file_location(f"shown_{name.removesuffix('.py')}", name)
    module = module_from_spec(spec)
    spec.loader.exec_module(module)
    test, = (x for n, x in vars(module).items() if n.startswith("test_"))
    if hasattr(test, "hypothesis"):
        test = settings(phases=[Phase.generate], derandomize=True)(test)
    with pytest.raises(InvariantError) as caught:
        test()
    return str(caught.getrepr(style="long"))
