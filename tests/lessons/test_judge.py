"""The judge: the smallest case first, and a verdict on whatever comes."""

import math
import random

import numpy as np
import pytest
from hypothesis import strategies as st

from lessons.grader.exercise import Exercise, find
from lessons.grader.judge import (
    Failure,
    diagnose,
    digits,
    first_failure,
    judge,
    plain,
    small_cases,
)
from lessons.grader.words import bar, call, code, picture
from minidsr.parameters import Sparse
from minidsr.proof.remote import Answerless


def sums(g, numbers, extra):
    """the answer is the sum"""
    return g == sum(numbers) + extra or f"{g} for {sum(numbers) + extra}"


def same_again(f, numbers, extra):
    """the same numbers give the same answer"""
    return f(numbers, extra) == f(numbers, extra)


def forgets_extra(numbers, extra):
    """What is the second argument for?"""
    return sum(numbers)


def forgets_all(numbers, extra):
    """Is everything nothing?"""
    return 0


TOTAL = Exercise(
    name="total", stars=1, minutes=1,
    small=lambda: [([n] * m, x) for x in (1, 0) for m in (2, 1, 0) for n in (3, 2)],
    cases=st.tuples(st.lists(st.integers(0, 1000), max_size=9), st.integers(0, 9)),
    levels=("nothing is extra", "something is"), level=lambda numbers, extra: int(extra > 0),
    properties=(sums,), relations=(same_again,), mistakes=(forgets_extra, forgets_all),
    hints=("a", "b", "c"))


def total(numbers, extra):
    return sum(numbers) + extra


def test_small_cases_are_tried_by_level_and_size():
    cases = small_cases(TOTAL)
    assert [extra for _, extra in cases] == [0] * 6 + [1] * 6
    assert [len(numbers) for numbers, _ in cases[:6]] == [0, 0, 1, 1, 2, 2]
    assert cases[2] == ([2], 0)


def test_what_is_right():
    assert first_failure(TOTAL, total) == (None, 12 + 150)
    assert first_failure(TOTAL, total, examples=0, every=5) == (None, 3)
    judge(TOTAL, lambda *case: np.int64(total(*case)), ([1], 2))


def test_the_smallest_case_comes_first():
    failure, tried = first_failure(TOTAL, forgets_extra)
    assert (failure.case, failure.what, failure.answer, tried) == (([], 1), "sums", 0, 6)
    assert failure.words == "the answer is the sum" and failure.detail == "0 for 1"


def test_what_only_a_random_case_shows_is_shrunk():
    failure, tried = first_failure(TOTAL, lambda n, x: min(total(n, x), 100))
    assert tried == 12 and failure.case in [([], 101), ([101], 0), ([92], 9)]


def test_arguments_must_stay():
    def eats(numbers, extra):
        while numbers:
            extra += numbers.pop()
        return extra
    failure, _ = first_failure(TOTAL, eats)
    assert failure.what == "arguments_stay" and failure.case == ([2], 0)


@pytest.mark.parametrize("answer", [
    None, "7", [], [1], {}, float("nan"), object(), np.zeros(3), lambda: 3, True])
def test_whatever_comes_is_an_answer(answer):
    failure, _ = first_failure(TOTAL, lambda *case: answer)
    assert failure.what == "sums"


def test_random_cases_are_drawn_by_the_seed():
    def drawn(seed):
        cases = []
        first_failure(TOTAL, lambda *case: cases.append(case) or total(*case), seed=seed)
        return cases
    assert drawn(1) == drawn(1) != drawn(2) and drawn(None) == drawn(None)


def test_what_is_random_is_said_to_fail():
    """Also where hypothesis finds that the same case fails now and then."""
    for seed in range(5):
        often = random.Random(seed)
        failure, tried = first_failure(
            TOTAL, lambda n, x, often=often: total(n, x) + (len(n) > 2 and often.random() < 0.3))
        assert failure is not None and tried == 12


def test_no_answer_is_a_failure():
    def hangs(*case):
        raise Answerless("hangs", "no answer within 2 s")
    assert first_failure(TOTAL, hangs)[0].what == "hangs"
    failure, _ = first_failure(TOTAL, lambda numbers, extra: 1 / extra)
    assert failure.what == "raised" and failure.words == "ZeroDivisionError: division by zero"
    assert not failure.answered


def test_a_function_that_never_ends_is_not_asked_again_and_again():
    calls = []

    def hangs_now_and_then(numbers, extra):
        calls.append(1)
        if extra:
            raise Answerless("hangs", "no answer within 2 s")
        return total(numbers, extra)
    failure, _ = first_failure(TOTAL, hangs_now_and_then)
    calls.clear()
    assert diagnose(TOTAL, hangs_now_and_then, failure) is None
    assert len(calls) == 1


def test_a_mistake_is_told_by_what_it_does():
    for mistake in TOTAL.mistakes:
        failure, _ = first_failure(TOTAL, mistake)
        assert diagnose(TOTAL, lambda *case, f=mistake: float(f(*case)), failure) is mistake
    failure, _ = first_failure(TOTAL, lambda *case: total(*case) + 1)
    assert diagnose(TOTAL, lambda *case: total(*case) + 1, failure) is None


@pytest.mark.parametrize("wrong", [lambda *case: 0, lambda *case: [[1]] * len(case[0])])
def test_a_mistake_is_told_whatever_its_words(wrong):
    """By the gist of an answer; an answer of which there is none is none of them."""
    exercise, = find("8.1")
    tensor_by_tensor = exercise.mistakes[0]

    def in_other_words(*case):
        return [f"{text}, I say" for text in tensor_by_tensor(*case)]

    failure, _ = first_failure(exercise, in_other_words)
    assert diagnose(exercise, in_other_words, failure) is tensor_by_tensor
    failure, _ = first_failure(exercise, wrong)
    assert diagnose(exercise, wrong, failure) is None


def test_the_gist_of_sums_is_twelve_digits():
    third, nan = 1 / 3, float("nan")
    assert digits([third, [nan, 2, True]]) == digits([third + 1e-16, [-math.inf, 2.0, 1]])
    assert digits([third]) != digits([third * (1 + 1e-9)])


def test_plain():
    assert plain((np.arange(2), np.float32(0.5), [np.bool(True)], {"a": (1,)})) == [
        [0, 1], 0.5, [True], {"a": [1]}]


def test_a_call_as_code_makes_the_call():
    case = (np.array([1, 2]), np.array([0.5], np.float32), [1, (2,)], None, "x",
            np.random.default_rng(3), np.array([], int))
    text = call("tuple_", case)
    again = eval(text, {"np": np, "tuple_": lambda *case: case})
    assert [code(x) for x in again] == [code(x) for x in case]
    assert again[5].random() == np.random.default_rng(3).random()
    assert all(x.dtype == y.dtype for x, y in zip(again[:2], case[:2], strict=True))
    assert call("f", (list(range(500)),)) is None and call("f", (object(),)) is None
    W = Sparse((2, 2), np.array([1, 3]), np.array([0.5, -1], np.float32))
    assert code([W]) == "[<Sparse (2, 2): np.array([0.5, -1.0], np.float32) at np.array([1, 3])>]"
    assert call("f", ([W],)) is None
    W.index = "nonsense"
    assert "at 'nonsense'" in code(W)


def test_bars():
    assert [bar(n) for n in (0, 2, 10**6)] == ["0", "■■ 2", "■■■■■■■■.. 1,000,000"]


def test_a_failure_has_a_picture_also_when_the_exercise_cannot_draw_it():
    (apportion,) = find("apportion")
    failure = Failure((1, [1], [1]), "sum_is_K", "", answer="nonsense")
    assert "fair share" in picture(apportion, failure)
    failure = Failure((1, [1], [1, 1]), "sum_is_K", "", answer="nonsense" * 100)
    lines = picture(apportion, failure).splitlines()
    assert lines[0] == "K        1" and lines[-1].startswith("yours    'nonsense") and (
        len(lines[-1]) < 220)
