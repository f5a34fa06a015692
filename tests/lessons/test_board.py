"""`python -m lessons.check board`: a learner's method beside those of the package."""

import inspect

import pytest

from lessons import check
from lessons.grader import board, find
from lessons.grader.judge import judge, small_cases, through
from lessons.solutions import ex09 as solutions
from minidsr.methods import METHODS
from minidsr.proof.remote import Answerless

SMALL = {**board.STUDY, "model": "small-cnn-0.25", "batch": 10, "validation": 20,
         "engine": "plain", "periods": (2,), "period_milestones": ()}


@pytest.fixture
def learner(tmp_path, capsys, monkeypatch):
    """learner(words...) -> (exit code, what is printed); the file is `learner.file`. Trainings are
    none: their accuracies are learner.accuracies[method](seed)."""
    def run(*words):
        code = check.main(["board", *words, "--work", str(tmp_path)])
        return code, "".join(capsys.readouterr())

    def train(remote, name, method, seed, epochs, *, through, seconds):
        run.asked.append((method, seed, epochs))
        return {"accuracy": run.accuracies[method](seed), "free": run.free.get(method, [100])}

    monkeypatch.setattr(board.report, "judged", lambda *args: 0)
    monkeypatch.setattr(board.Remote, "start", lambda remote: None)
    monkeypatch.setattr(board.Remote, "call", train)
    run.file, run.asked, run.free = tmp_path / "ex09.py", [], {}
    run.accuracies = {"mine": lambda seed: 70.0 + seed, "set": lambda seed: 60.0 + 3 * seed,
                      "dsr": lambda seed: 71.0 + seed}
    run.file.write_text(inspect.getsource(solutions), encoding="utf-8")
    return run


def test_the_best_is_first_and_differences_are_of_equal_seeds(learner):
    """By hand: mine - set is 10, 8, 6; its mean 8, its interval 8 ± 4.303 * 2 / √3."""
    code, said = learner("--methods", "set", "dsr")
    assert code == 0
    rows = [line.split() for line in said.splitlines() if line[:1] in ("1", "2", "3")]
    assert rows == [["1", "dsr", "71.0", "72.0", "73.0", "72.0", "-1.0", "-1.0", "to", "-1.0"],
                    ["2", "mine", "70.0", "71.0", "72.0", "71.0"],
                    ["3", "set", "60.0", "63.0", "66.0", "63.0", "+8.0", "+3.0", "to", "+13.0"]]
    assert "better than set.\n" in said and "worse than dsr.\n" in said
    assert "no difference is shown" not in said and "100 free parameters each" in said


def test_each_trains_with_each_seed(learner):
    learner("--methods", "set", "dsr", "--seeds", "4", "2", "--epochs", "7")
    assert learner.asked == [(name, seed, 7) for seed in (4, 2) for name in ("set", "dsr", "mine")]


def test_what_is_within_chance_is_not_shown(learner):
    learner.accuracies |= {"set": lambda seed: 70.0 + 5 * (seed - 1),
                           "dsr": lambda seed: 72.0 + 5 * (seed - 1)}
    _, said = learner("--methods", "set", "dsr")
    assert "where the interval has 0 in it, no difference is shown" in said.lower()
    assert "is shown to be" not in said
    _, said = learner("--methods", "set", "--seeds", "0")
    assert "One seed gives no interval" in said and " to " not in said.splitlines()[-4]


def test_unequal_budgets_are_not_compared(learner):
    for free in ([101], [100, 99]):
        learner.free["mine"] = free
        code, said = learner("--methods", "set")
        assert code == 1 and "have not the same number of free parameters: set 100, mine" in said


def test_a_training_that_fails_says_where(learner):
    def fails(seed):
        raise Answerless("raised", "ZeroDivisionError", line=7, code="1 / 0")

    learner.accuracies["mine"] = fails
    code, said = learner("--methods", "set")
    assert code == 1 and said.endswith("✘ ZeroDivisionError\n  line 7: 1 / 0\n")
    assert learner.asked == [("set", 0, 3), ("mine", 0, 3)]


def test_what_is_not_right_does_not_train(learner, monkeypatch):
    monkeypatch.setattr(board.report, "judged", lambda *args: 1)
    assert learner() == (1, "") and not learner.asked


@pytest.mark.parametrize(("words", "error"), [
    (["--methods", "sett"], "choose one of: static, deepr, set, snfs, rigl, itop, dsr"),
    (["--methods", "dense"], "did you mean deepr?"), (["--epochs", "0"], "epochs"),
    (["--methods", "set", "set"], "at least one method, and none twice"),
    (["--seeds", "1", "1"], "at least one seed, and none twice"), (["--seed", "1"], "--seeds")])
def test_wrong_words_are_one_line(learner, words, error):
    code, said = learner(*words)
    assert code == 2 and error in said and said.count("\n") == 1 and not learner.asked


@pytest.mark.slow
def test_a_method_that_is_another_trains_as_it_does(shapes, monkeypatch):
    """To the bit: so budget, values and batches are the same. "mine" is in METHODS no longer."""
    shapes(80, 10)
    monkeypatch.setattr(board, "STUDY", SMALL)
    theirs = board.trained(None, "set", 3, 1)
    assert board.trained(METHODS["set"], "mine", 3, 1) == theirs
    assert board.trained(solutions.Mine, "mine", 3, 1)["free"] == theirs["free"]
    assert len(theirs["free"]) == 1 and "mine" not in METHODS


@pytest.mark.parametrize("name", [name for name in board.BUDGETED if name != "static"])
def test_no_method_of_the_package_is_accused(name):
    """In networks of any kind; the contract's clauses are tried on each in test_contract.py."""
    (exercise,) = find("Mine")
    for case in small_cases(exercise):
        if exercise.level(*case) < 2:
            judge(exercise, through(exercise, METHODS[name]), case)


def test_the_way_to_the_board_is_said(learner, tmp_path, capsys):
    assert find("Mine")[0].method and not find("prune")[0].method
    assert check.main(["Mine", "--run", "--work", str(tmp_path)]) == 2
    assert "check board trains it" in capsys.readouterr().err
