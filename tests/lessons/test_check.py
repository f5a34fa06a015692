"""`python -m lessons.check`, as a learner sees it: empty, wrong, endless and right answers."""

import inspect
import json
import sys

import pytest

from lessons import check
from lessons.exercises import ex07 as stubs
from lessons.grader import find, outputs, plug, report
from lessons.grader.exercise import LESSONS
from lessons.grader.words import MARKS, bar, say
from lessons.solutions import ex07 as solutions

WRONG = """
import time
import numpy as np

def prune(index, value, H, keep_one):
    print("H is", H)
    dead = value < H
    if keep_one and len(dead) and dead.all():
        dead[np.argmax(np.abs(value))] = False
    return index[~dead], value[~dead], dead.sum()

def next_threshold(H, K, N_p, delta):
    return 1 / 0

def apportion(K, weights, room):
    time.sleep(60)
"""


@pytest.fixture
def learner(tmp_path, capsys):
    """learner(arguments...) -> (exit code, what is printed), in a folder of one's own."""
    def run(*argv):
        code = check.main([*argv, "--work", str(tmp_path)])
        return code, "".join(capsys.readouterr())
    run.file, run.folder = tmp_path / "ex07.py", tmp_path
    return run


def test_an_empty_one(learner):
    code, said = learner("prune")
    assert code == 1 and "is new: yours to fill in" in said and "· prune: not written yet" in said
    assert learner.file.read_text() == inspect.getsource(stubs)
    code, said = learner("7")
    assert code == 1 and said.count("not written yet") == 5 and "is new" not in said


@pytest.mark.slow
def test_wrong_ones(learner):
    learner.file.write_text(WRONG)
    code, said = learner("prune")
    assert code == 1
    assert "✘ prune: this does not hold: no weight goes that" in said
    assert "✘ some weights stay" in said and "· a weight equals H" in said
    assert "1      -1       no  goes" in said and "It printed:" in said and "H is 0.5" in said
    assert "print(prune(np.array([1]), np.array([-1.0], np.float32), 0.5, False))" in said
    assert "A known mistake does the same. What is -3 compared with H = 1" in said
    _, said = learner("next_threshold")
    assert "ZeroDivisionError: division by zero\n  line 13: return 1 / 0" in said
    _, said = learner("apportion")
    assert "no answer within 2 s: it does not end" in said
    _, said = learner("grow")
    assert "grow: there is none in " in said and "grow --reset" in said
    assert learner("grow", "--here")[1] == said
    assert "1 ✘" not in said and "Stuck?" not in said
    learner("prune")
    assert "Stuck? There are 3 hints" in learner("prune")[1]
    _, said = learner()
    assert "✘ 7.1" in said and "· 7.4" in said and "0 of " in said


def test_what_judging_takes_is_said(learner, monkeypatch):
    monkeypatch.setattr(find("conv_anywhere")[0], "needs", ("cuupy", "CuuPy: pip install cuupy"))
    code, said = learner("conv_anywhere")
    assert code == 1
    assert "· conv_anywhere: cannot be judged here; it takes CuuPy: pip install cuupy" in said


@pytest.mark.slow
def test_a_right_one(learner):
    learner.file.write_text(inspect.getsource(solutions))
    code, said = learner("prune")
    assert code == 0 and "✔ prune: right in 320 cases, every small one among them" in said
    assert learner("7.1", "--solution")[0] == 0
    _, said = learner()
    assert "✔ 7.1" in said and "Next: python -m lessons.check below" in said


def test_one_that_is_judged_inside(learner):
    """Tensors go there and come back changed; the fixture is imported there."""
    learner.file.write_text(
        "from minidsr import reparam\n\n\n"
        "def reallocate(tensors, H, N_p, delta, rng, keep_one=True):\n"
        "    H, report = reparam.reallocate(tensors, H, N_p, delta, rng, keep_one=keep_one)\n"
        "    tensors[0].velocity += 1\n"
        "    return H, report.pruned, report.grown\n")
    code, said = learner("reallocate")
    assert code == 1 and "a weight that survives keeps its velocity, bit for bit" in said
    assert "  before  " in said and "  yours   " in said and "returned [" in said


def test_a_file_that_does_not_load_is_said_once(learner):
    learner.file.write_text("def prune(:\n")
    code, said = learner("7")
    assert code == 1 and said.count("cannot be loaded. SyntaxError: invalid syntax") == 1
    assert "line 1: def prune(:" in said
    assert learner("7", "--here")[1].count("cannot be loaded. SyntaxError") == 1


def test_here_is_the_same_verdict(learner):
    learner.file.write_text(WRONG, encoding="utf-8-sig")
    assert learner("prune") == learner("prune", "--here")


def test_hints_come_one_by_one(learner):
    hints = find("apportion")[0].hints
    for n in (1, 2, 3, 3):
        code, said = learner("apportion", "--hint")
        assert code == 0 and f"hint {n} of 3" in said
        assert " ".join(said.split()).find(hints[n - 1]) > 0
        assert ("--give-up" in said) == (n == 3)


def test_the_solution_is_shown_to_those_who_are_right_or_give_up(learner):
    code, said = learner("grow", "--solution")
    assert code == 2 and said.count("\n") == 1 and "grow is not right yet" in said
    code, said = learner("grow", "--solution", "--give-up")
    assert code == 0 and inspect.getsource(solutions.grow) in said
    assert json.loads((learner.folder / "progress.json").read_text())["ex07.grow"][
        "state"] == "shown"
    assert "~ 7.4" in learner()[1]


def test_reset_is_of_one_function_and_keeps_the_file(learner):
    learner("7", "--here")
    learner.file.write_text("# mine\n" + WRONG + "\n# the end\n")
    code, said = learner("next_threshold", "--reset")
    assert code == 0 and "ex07.1.bak" in said
    now = learner.file.read_text()
    assert now.startswith("# mine") and now.endswith("# the end\n") and "1 / 0" not in now
    assert inspect.getsource(stubs.next_threshold) in now and "dead = value < H" in now
    assert (learner.folder / "ex07.1.bak").read_text() == "# mine\n" + WRONG + "\n# the end\n"
    assert "ex07.2.bak" in learner("reallocate", "--reset")[1]  # it was not there
    assert learner.file.read_text() == now + "\n\n" + inspect.getsource(stubs.reallocate)
    learner.file.write_text(WRONG, encoding="utf-8-sig")
    learner("prune", "--reset")
    assert "1 / 0" in learner.file.read_text()


@pytest.mark.parametrize("text", [b"def prune(:\n", b"def prune(): return '\xe9'\n"])
def test_reset_of_what_is_no_python_is_of_all(learner, text):
    """Also where nobody has kept the stubs."""
    learner.file.write_bytes(text)
    assert learner("prune", "--reset")[0] == 0
    assert learner.file.read_text() == inspect.getsource(stubs)
    assert (learner.folder / "ex07.1.bak").read_bytes() == text


@pytest.mark.parametrize("name", ["density", "apportion"])
def test_what_the_page_of_outputs_says(name):
    """For right answers it takes long; `python -m lessons.grader.outputs` does that."""
    page = (LESSONS / "grader" / "outputs.md").read_text(encoding="utf-8")
    (exercise,) = find(name)
    section = page[page.index(f"### {exercise.number} {name}"):]
    for kind, text in outputs.answers(exercise).items():
        if kind == "empty" or kind.startswith("wrong"):
            said = outputs.said(exercise, text)
            assert f"{kind.capitalize()}:\n\n```text\n{said}\n```" in section


def test_what_has_changed_in_a_stub_is_said(learner):
    learner("prune", "--here")
    assert "is as it was when you began" in learner("prune", "--diff")[1]
    old = learner.folder / "stubs" / "ex07.py"
    old.write_text(old.read_text().replace("Remove the small weights", "Remove small weights"))
    assert "The exercises have changed" in learner("prune", "--here")[1]
    said = learner("prune", "--diff")[1]
    assert '-    """Remove small weights' in said and '+    """Remove the small weights' in said


def test_watch_judges_again_when_the_file_is_saved(learner, monkeypatch, capsys):
    naps = []

    def nap(seconds):
        naps.append(seconds)
        if len(naps) == 1:
            learner.file.unlink()  # as some editors do for a moment
        if len(naps) == 2:
            learner.file.write_text(WRONG)
        if len(naps) == 4:
            raise KeyboardInterrupt

    monkeypatch.setattr(check.time, "sleep", nap)
    code, said = learner("prune", "--watch", "--here")
    assert code == 130 and said.count("judges again") == 2
    assert "not written yet" in said and "✘ prune" in said


@pytest.mark.parametrize(("argv", "words"), [
    (["aportion"], "did you mean apportion?"), (["3.9"], "lessons are "),
    (["7", "--run"], "name one exercise: prune, next_threshold"), (["7", "--hnt"], "--hint"),
    (["prune", "--wrok=x"], "choose one of")])
def test_wrong_words_are_one_line_that_says_what_is_allowed(learner, argv, words):
    code, said = learner(*argv)
    assert code == 2 and said.count("\n") == 1 and words in said


def test_a_folder_that_cannot_be_one(tmp_path, capsys):
    (tmp_path / "file").write_text("")
    assert check.main(["prune", "--work", str(tmp_path / "file")]) == 2
    assert "is not a folder" in capsys.readouterr().err


def test_ascii_where_the_terminal_has_no_more(monkeypatch, tmp_path):
    class Terminal:
        encoding, text = "cp1252", ""

        def write(self, text):
            self.text += text

        def flush(self):
            pass

    monkeypatch.setattr(sys, "stdout", Terminal())
    say(f"{''.join(MARKS.values())} {bar(3)} Σ δ θ ψ ≤ ★ é — ←")
    assert sys.stdout.text == "okno.~ ### 3 sum delta theta psi <= * e - <--\n"
    check.main(["prune", "--work", str(tmp_path)])
    assert sys.stdout.text.isascii()


# --- the package with the learner's function in it


@pytest.mark.slow
def test_run_says_what_verify_says(learner, monkeypatch, shapes):
    """`--run` itself takes half a minute; here it runs in this process, and little."""
    shapes(40, 20)
    monkeypatch.setattr(plug, "CASES", 5)
    monkeypatch.setattr(plug, "TRAINING", {**plug.TRAINING, "train_images": 40, "batch": 10,
                                           "periods": (2,)})
    found = plug.run(solutions.apportion, "7.3")
    assert found["verify"]["violated"] == [] and found["ours"] == found["theirs"]
    assert found["calls"] > 0 and found["verify"]["calls"] > 0

    def first_of_all(K, weights, room):
        g = solutions.apportion(K, weights, room)
        return g if len(g) < 3 or not g[-1] else [g[0] + 1, *g[1:-1], g[-1] - 1]

    found = plug.run(first_of_all, "7.3")
    assert "Each tensor grows its share, by survivors, to within one." in [
        rule for rule, *_ in found["verify"]["violated"]]
    assert "InvariantError" in found["theirs"]["raised"]


@pytest.mark.slow
def test_run_of_a_part_of_a_network_compares_losses(learner, monkeypatch, shapes):
    """In this process: right, with another number in its place, and with a wrong shape."""
    shapes(200, 10)

    def said_of(function):
        monkeypatch.setattr(report.Remote, "call", lambda self, name, *args, **kwargs:
                            plug.run(function, args[0]))
        return learner("conv", "--run")

    conv = find("conv")[0].solution
    code, said = said_of(conv)
    assert code == 0 and "The losses of 20 steps are ours, to within " in said
    assert "by 100 calls of yours" in said and "ms a step" in said and "verify" not in said
    code, said = said_of(lambda x, w, s, p: conv(x, 1.001 * w, s, p))
    assert code == 1 and "the losses differ by " in said
    code, said = said_of(lambda x, w, s, p: conv(x, w, s, 0))
    assert code == 1 and "training, with your conv: ValueError" in said


def test_each_loss_of_a_run_is_of_one_step(shapes):
    shapes(200, 10)
    losses, (exercise,) = [], find("softmax_cross_entropy")

    def watched(logits, labels):
        loss, dlogits = exercise.solution(logits, labels)
        losses.append(float(loss))
        return loss, dlogits

    found = plug.run(watched, "2.2")
    assert len(losses) == found["calls"] == 20
    assert found["theirs"]["losses"] == pytest.approx(losses) == found["ours"]["losses"]
