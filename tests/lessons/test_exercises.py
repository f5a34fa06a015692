"""Every exercise of the course is one: its stub is a stub, its solution right, each typical mistake
wrong and recognised, each lazy answer wrong, its hints do not tell, its plug fits."""

import ast
import importlib
import inspect
from copy import deepcopy
from pkgutil import resolve_name

import numpy as np
import pytest

from lessons.grader import find, lessons, mutants, plug
from lessons.grader.exercise import LESSONS
from lessons.grader.judge import diagnose, digits, first_failure, plain, small_cases, through
from lessons.grader.words import picture
from minidsr.run.train import train

EXERCISES = [exercise for lesson in lessons().values() for exercise in lesson.exercises]


def judgeable(exercise):
    return pytest.mark.skipif(exercise.lacks is not None, reason=f"needs {exercise.lacks}")


def by_name(parameters):
    return pytest.mark.parametrize("exercise", [
        pytest.param(exercise, id=exercise.name, marks=judgeable(exercise))
        for exercise in parameters])


def judged(exercise, function, every=1, examples=10):
    return first_failure(exercise, through(exercise, function), every=every, examples=examples)[0]


def some(exercise, most=100):
    """One in how many small cases to try, where these are many."""
    return 1 + len(small_cases(exercise)) // most


@by_name(EXERCISES)
def test_the_form(exercise):
    assert len(exercise.levels) >= 2 and len(exercise.hints) >= 3 and len(exercise.mistakes) >= 2
    assert 1 <= exercise.stars <= 3 and exercise.minutes > 0
    reached = {exercise.level(*case) for case in small_cases(exercise)}
    assert reached == set(range(len(exercise.levels)))
    told = (*exercise.properties, *exercise.relations, *exercise.mistakes)
    assert all(inspect.getdoc(function) for function in told)
    assert len({function.__name__ for function in told}) == len(told)


@by_name(EXERCISES)
def test_a_stub_is_a_stub(exercise):
    stub = getattr(importlib.import_module(f"lessons.exercises.{exercise.file[:-3]}"),
                   exercise.name)
    assert judged(exercise, stub).what == "stub"
    assert inspect.getdoc(stub)
    assert without_annotations(stub) == without_annotations(exercise.solution)
    assert exercise.inside or len(exercise.parameters) == len(small_cases(exercise)[0])
    body = ast.parse(inspect.getsource(stub)).body[0].body
    assert len(body) == 2  # the docstring, and that it is not implemented


def without_annotations(function):
    signature = inspect.signature(function)
    return signature.replace(return_annotation=inspect.Signature.empty, parameters=[
        parameter.replace(annotation=inspect.Parameter.empty)
        for parameter in signature.parameters.values()])


@by_name(EXERCISES)
def test_the_solution_is_right(exercise):
    assert judged(exercise, exercise.solution, some(exercise), examples=5) is None


def in_numpy(answer):
    """An answer, of plain Python or of NumPy, with arrays for lists and NumPy's numbers."""
    if isinstance(answer, list) and answer and all(type(x) in (int, float) for x in answer):
        return np.array(answer)
    if isinstance(answer, (list, tuple)):
        return tuple(map(in_numpy, answer))
    return np.asarray(answer)[()] if type(answer) in (bool, int, float) else answer


@by_name([exercise for exercise in EXERCISES if not exercise.method])
@pytest.mark.parametrize("form", [plain, in_numpy])
def test_it_is_right_in_plain_python_and_in_numpy(exercise, form):
    def answer(*case):
        return form(plain(exercise.solution(*case)))
    assert judged(exercise, answer, some(exercise, 30), examples=0) is None


@pytest.mark.parametrize(("exercise", "mistake"), [
    pytest.param(exercise, mistake, id=f"{exercise.name}-{mistake.__name__}",
                 marks=judgeable(exercise))
    for exercise in EXERCISES for mistake in exercise.mistakes])
def test_a_mistake_is_recognised_as_itself(exercise, mistake):
    function = through(exercise, mistake)
    failure, _ = first_failure(exercise, function)
    assert failure is not None
    assert failure.answered or failure.what == "raised"
    assert diagnose(exercise, function, failure) is mistake
    assert picture(exercise, failure)


@by_name([exercise for exercise in EXERCISES if exercise.picture])
def test_a_picture_can_be_drawn(exercise):
    """Of the first case of each level, with an answer and without; else the command shows less."""
    first = {exercise.level(*case): case for case in reversed(small_cases(exercise))}
    for case in first.values():
        answer = plain(through(exercise, exercise.solution)(*deepcopy(case)))
        assert exercise.picture(answer, *case) and exercise.picture(None, *case)


# --- lazy answers


def of_numbers(change):
    """Change every list of numbers in an answer, and every number that is in none."""
    def changed(answer):
        if isinstance(answer, list) and not all(type(x) in (bool, int, float) for x in answer):
            return [changed(x) for x in answer]
        if isinstance(answer, list):
            return change(answer)
        return change([answer])[0] if type(answer) in (bool, int, float) else answer
    return changed


LAZY = {
    "zeros": of_numbers(lambda x: [type(y)(0) for y in x]),
    "ones": of_numbers(lambda x: [type(y)(1) for y in x]),
    "reversed": of_numbers(lambda x: x[::-1]),
    "negated": of_numbers(lambda x: [not y if type(y) is bool else -y for y in x]),
    "unshuffled": of_numbers(sorted),
    "right shape and sum": of_numbers(lambda x: [sum(x), *(type(y)(0) for y in x[1:])] if x else x),
}


# Where the answer is one number there is no order, and some answers are asked for in order.
ONE_NUMBER = {"below", "bytes_kept", "crossing", "intensity", "left", "moved", "multiplications",
              "nearest_width", "next_threshold", "noise_of_test_set", "out_size", "overlap",
              "piecewise", "runs_needed"}
SAME = {"reversed": ONE_NUMBER | {"exposes"}, "right shape and sum": ONE_NUMBER,
        "unshuffled": ONE_NUMBER | {"ages_at_death", "exposes", "keep_largest", "grow",
                                    "rigl_grow"}}


@by_name([exercise for exercise in EXERCISES if exercise.gist in (None, digits)])  # not words
@pytest.mark.parametrize("name", [*LAZY, "the first argument"])
def test_a_lazy_answer_is_wrong(exercise, name):
    changed = []

    def lazy(*case):
        first, right = plain(case[0]), plain(exercise.solution(*case))
        answer = LAZY[name](right) if name in LAZY else first
        changed.append(answer != right)
        return answer

    failure = judged(exercise, lazy, some(exercise, 50), examples=5)
    if exercise.name in SAME.get(name, ()):
        assert failure is None and not any(changed)
    else:
        assert failure is not None


@pytest.mark.parametrize(("exercise", "lazy"), [
    pytest.param(exercise, lazy, id=f"{exercise.name}-{lazy.__name__}", marks=judgeable(exercise))
    for exercise in EXERCISES for lazy in exercise.lazy])
def test_a_lazy_answer_of_its_own_is_wrong(exercise, lazy):
    assert judged(exercise, lazy) is not None


# --- hints and plugs


def lines_of_code(function):
    """What a hint must not say: whole lines, but for those of a word or two."""
    lines = map(str.strip, inspect.getsource(function).splitlines()[1:])
    return [line for line in lines if len(line) > 15]


@by_name(EXERCISES)
def test_no_hint_tells(exercise):
    told = [*exercise.hints, *map(inspect.getdoc, exercise.mistakes),
            inspect.getdoc(getattr(importlib.import_module(
                f"lessons.exercises.{exercise.file[:-3]}"), exercise.name))]
    doc = inspect.getdoc(exercise.solution) or ""  # the package's function says in words, too
    for line in lines_of_code(exercise.solution):
        assert line in doc or not any(line in " ".join(text.split()) for text in told), line


@by_name([exercise for exercise in EXERCISES if exercise.plug])
def test_a_plug_fits(exercise, shapes):
    """The package calls what is put into it, and is what it was afterwards."""
    shapes(20, 10)
    calls, adapted = [], exercise.plug.adapt(exercise.solution)

    def counted(*args, **kwargs):
        calls.append(1)
        return adapted(*args, **kwargs)

    before = [resolve_name(target) for target in exercise.plug.targets]
    with plug.replaced(exercise.plug, counted):
        train(plug.training(exercise.plug, train_images=20, epochs=1, batch=5, periods=(1,)))
    assert calls
    assert [resolve_name(target) for target in exercise.plug.targets] == before


# --- where they are


def test_an_exercise_is_found_by_lesson_number_and_name():
    assert find("7") == lessons()[7].exercises
    assert find("7.3") == find("apportion")
    with pytest.raises(ValueError, match="did you mean apportion"):
        find("aportion")
    with pytest.raises(ValueError, match=r"there is a budget in several lessons: say 5\.4 or 8\.1"):
        find("budget")
    assert all(find(exercise.address) == [exercise] for exercise in EXERCISES)
    assert find("7.3")[0].address == "apportion"


def test_every_file_of_a_lesson_is_there():
    for number in lessons():
        for folder in ("exercises", "solutions", "grader"):
            assert (LESSONS / folder / f"ex{number:02}.py").exists()
    stubs = {path.name for path in (LESSONS / "exercises").glob("ex*.py")}
    assert stubs == {f"ex{number:02}.py" for number in lessons()}


# --- are the properties complete?


@pytest.mark.slow
def test_no_mutant_of_a_solution_is_right():
    """Of one exercise; `python -m lessons.grader.mutants` has the others, tests/README.md a table.
    The one that survives does the same: where not all weights are dead, the largest is not."""
    (exercise,) = find("prune")
    assert len(mutants.mutants(exercise.solution)) >= 10
    assert mutants.survivors(exercise, examples=0) == ["dead.all  ->  dead.any"]
