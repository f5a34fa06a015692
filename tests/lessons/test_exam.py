"""An exam: variants of Algorithm 1, dealt by a seed, solved and failed as they should be."""

import doctest
import inspect

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lessons import check
from lessons.grader import exam, grade, variants
from lessons.grader.exercise import find
from lessons.grader.judge import diagnose, first_failure, small_cases, through
from lessons.grader.paper import paper, rules
from lessons.grader.variants import Rules
from lessons.solutions import ex07 as solutions

SEEDS = (1, 2, 4)


def judged(exercise, function, examples=10):
    every = 1 + len(small_cases(exercise)) // 60
    return first_failure(exercise, through(exercise, function), every=every, examples=examples)[0]


EXERCISES = [pytest.param(exercise, id=f"{seed}-{exercise.name}")
             for seed in SEEDS for exercise in exam.find(seed)]


def test_three_exams_ask_for_all_that_can_be_asked():
    dealt = [rules(seed) for seed in SEEDS]
    assert len(set(dealt)) == 3
    assert {each.ties for each in dealt} == {"first", "last"}
    assert {each.power for each in dealt} == {1, 2, 3} and {each.keep for each in dealt} == {2, 3}


@given(st.integers())
def test_no_exam_asks_for_what_the_package_does(seed):
    dealt = rules(seed)
    assert dealt == rules(seed) and dealt.factor != 2 and dealt.keep > 1
    assert (dealt.power, dealt.ties) != (1, "first")


@pytest.mark.parametrize("name", ["prune", "next_threshold", "apportion"])
def test_by_the_rules_of_the_paper_the_reference_is_ours(name):
    """All parameters as they are in the package."""
    (exercise,), f = find(name), variants.functions(Rules())[name]

    def with_keep_one(index, value, H, keep_one):
        return f(index, value, H) if keep_one else exercise.solution(index, value, H, keep_one)
    function = with_keep_one if name == "prune" else f
    assert judged(exercise, function) is None
    for case in small_cases(exercise)[::7] if name != "prune" else []:
        assert f(*case) == exercise.solution(*case)  # of equals the first wins, too


def test_by_the_rules_of_the_paper_reallocate_is_ours():
    (exercise,) = find("reallocate")

    def function(tensors, H, N_p, delta, rng, keep_one=True):
        return variants.reallocate(Rules(keep=int(keep_one)), tensors, H, N_p, delta, rng)
    assert judged(exercise, function) is None


def test_each_parameter_does_what_its_name_says():
    index, value = np.arange(4), np.array([1, -1, 0.5, 1], np.float32)
    assert variants.prune(Rules(keep=2), index, value, 9)[0].tolist() == [0, 1]
    assert variants.prune(Rules(keep=2, ties="last"), index, value, 9)[0].tolist() == [1, 3]
    assert variants.prune(Rules(keep=5), index, value, 9)[2] == 0
    assert variants.next_threshold(Rules(factor=3), 1.0, 0, 10, 0.1) == 3
    assert variants.apportion(Rules(power=2), 5, [1, 2], [9, 9]) == [1, 4]
    assert variants.apportion(Rules(), 1, [1, 1], [1, 1]) == [1, 0]
    assert variants.apportion(Rules(ties="last"), 1, [1, 1], [1, 1]) == [0, 1]


@pytest.mark.slow
@pytest.mark.parametrize("exercise", EXERCISES)
def test_a_variant_is_solved_by_its_rules_and_by_no_others(exercise):
    """Neither the paper's nor those of another exam; the paper's are recognised."""
    assert judged(exercise, exercise.solution) is None
    theirs = through(exercise, exercise.mistakes[0])
    failure, _ = first_failure(exercise, theirs, examples=20)
    assert failure.what == "as_asked"
    assert diagnose(exercise, theirs, failure) is exercise.mistakes[0]
    here = rules(exercise.seed)
    for other in map(rules, SEEDS):
        same = {"next_threshold": other.factor == here.factor, "prune": (
            other.keep, other.ties) == (here.keep, here.ties), "apportion": (
            other.power, other.ties) == (here.power, here.ties)}.get(exercise.name, other == here)
        function = variants.functions(other)[exercise.name]
        assert (judged(exercise, function) is None) == same


def wrong(change):
    """A reallocate of exam 1 that changes tensors, or what is returned, in the end."""
    def reallocate(tensors, H, N_p, delta, rng):
        before = [W.index for W in tensors]
        said = variants.reallocate(rules(1), tensors, H, N_p, delta, rng)
        return change(tensors, before, rng, said) or said
    return reallocate


@wrong
def a_weight_more(tensors, before, rng, said):
    free = np.setdiff1d(np.arange(tensors[0].size), tensors[0].index)
    tensors[0].grow(free[:1])


@wrong
def new_weights_of_one(tensors, before, rng, said):
    for W in tensors:
        W.value[W.value == 0] = 1


@wrong
def a_velocity_lost(tensors, before, rng, said):
    for W in tensors:
        W.velocity[:] = 1


@wrong
def other_counts(tensors, before, rng, said):
    return said[0], said[1], said[2][::-1]


def the_first_free(tensors, H, N_p, delta, rng):
    class First:
        def choice(self, of, n, replace):
            return np.sort(of)[:n]
    return variants.reallocate(rules(1), tensors, H, N_p, delta, First())


def by_another_rng(tensors, H, N_p, delta, rng):
    return variants.reallocate(rules(1), tensors, H, N_p, delta, np.random.default_rng())


def where_it_was_pruned(tensors, H, N_p, delta, rng):
    dealt, k = rules(1), []
    room = [W.size - len(W.index) for W in tensors]
    for W in tensors:
        kept, _, gone = variants.prune(dealt, W.index, W.value, H)
        W.prune(~np.isin(W.index, kept))
        k.append(gone)
    l = [len(W.index) for W in tensors]
    first = variants.apportion(dealt, min(sum(k), sum(room)), l, room)
    again = variants.apportion(dealt, sum(k) - sum(first), l, k)
    g = [a + b for a, b in zip(first, again, strict=True)]
    for W, n in zip(tensors, g, strict=True):
        free = np.setdiff1d(np.arange(W.size), W.index)
        W.grow(np.sort(rng.choice(free, n, replace=False)))
    return variants.next_threshold(dealt, H, sum(k), N_p, delta), k, g


@pytest.mark.parametrize(("function", "what"), [
    (a_weight_more, "new_are_free"), (new_weights_of_one, "survivors_as_before"),
    (a_velocity_lost, "survivors_as_before"), (other_counts, "as_asked"),
    (the_first_free, "grows_everywhere"), (by_another_rng, "by_rng"),
    (where_it_was_pruned, "new_are_free")])
def test_a_wrong_reallocate_fails(function, what):
    *_, exercise = exam.find(1)
    assert first_failure(exercise, through(exercise, function), examples=20)[0].what == what


@pytest.mark.parametrize("exercise", EXERCISES)
def test_every_level_is_reached(exercise):
    reached = {exercise.level(*case) for case in small_cases(exercise)}
    assert reached == set(range(len(exercise.levels)))


@pytest.mark.parametrize("seed", SEEDS)
def test_the_stubs_say_what_the_rules_are(seed):
    """Examples in the docstrings are what the solution answers."""
    module, dealt = {"__name__": "exam"}, rules(seed)
    exec(paper(seed), module)
    for exercise in exam.find(seed):
        assert judged(exercise, module[exercise.name]).what == "stub"
        assert [*inspect.signature(module[exercise.name]).parameters] == [
            *inspect.signature(exercise.solution).parameters]
    examples = doctest.DocTestFinder().find(None, "exam", globs={})
    for name in ("prune", "next_threshold", "apportion"):
        for test in doctest.DocTestFinder().find(module[name], name, globs={
                "np": np, **variants.functions(dealt)}):
            examples += [test]
            assert doctest.DocTestRunner().run(test).failed == 0
    assert sum(len(test.examples) for test in examples) == 3
    text = paper(seed)
    assert all(len(line) <= 100 for line in text.splitlines())
    assert f"{dealt.factor} H if K <" in text and f"those of the {dealt.ties} tensors" in text
    assert ("squares of" in text) == (dealt.power == 2)


@pytest.fixture
def candidate(tmp_path, capsys):
    def run(*argv):
        code = check.main(["--exam", "1", "--here", "--work", str(tmp_path), *argv])
        return code, "".join(capsys.readouterr())
    run.file = tmp_path / "exam_1.py"
    return run


def test_an_exam_as_it_is_taken(candidate):
    """Levels, and nothing else, until it is given up."""
    code, said = candidate()
    assert code == 1 and "exam_1.py is the exam" in said and said.count("not written yet") == 4
    assert candidate.file.read_text() == paper(1)
    candidate.file.write_text(inspect.getsource(solutions).replace("keep_one", "_").replace(
        "value, H, _)", "value, H, _=True)"))
    code, said = candidate("prune")
    assert code == 1 and "✘ prune" in said and "✔ enough weights reach H" in said
    assert "[" not in said and "position" not in said
    code, said = candidate("prune", "--give-up")
    assert "it should be [[" in said
    candidate.file.write_text(exam.find(1)[0].ours())
    code, said = candidate("apportion")
    assert code == 0 and "✔ apportion: public properties held in" in said
    assert candidate("--hint")[0] == 2 and candidate("grow")[0] == 2


@pytest.mark.slow
def test_an_exam_is_graded(tmp_path, capsys, monkeypatch):
    """With a package of which nothing helps."""
    first = first_failure
    monkeypatch.setattr(grade, "first_failure", lambda exercise, function, *, seed: first(
        exercise, function, every=20, examples=10, seed=seed))
    for name, text in (("right", exam.find(1)[0].ours()), ("empty", paper(1)), (
            "importing", "from minidsr.reparam import reallocate as theirs\n\n\n"
            "def reallocate(tensors, H, N_p, delta, rng):\n"
            "    return theirs(tensors, H, N_p, delta, rng)\n")):
        (tmp_path / "class" / name).mkdir(parents=True)
        (tmp_path / "class" / name / "exam_1.py").write_text(text)
    out = tmp_path / "grades.csv"
    assert check.main(["grade", str(tmp_path / "class"), "reallocate", "--exam", "1", "--trusted",
                       "--out", str(out)]) == 0
    lines = out.read_text().splitlines()
    assert [line.split(",")[:4] for line in lines[1:]] == [
        ["empty", "reallocate", "0", "stub"], ["importing", "reallocate", "0", "raised"],
        ["right", "reallocate", "1", ""]]
