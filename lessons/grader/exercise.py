"""What an exercise is, and where all of them are."""

import importlib
import importlib.util
import inspect
import pkgutil
import re
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from minidsr.checks import nearest, shown

LESSONS = Path(__file__).parents[1]


@dataclass(frozen=True)
class Plug:
    """Where `check --run` puts the learner's function into the package.

    targets  what it replaces: "minidsr.reparam.apportion"; more than one where several modules
             have imported it by name
    adapt    makes of it a function with the signature that the package calls
    config   the training, where it is not DSR on the small network: fields of Config
    steps    of a part of a network: train so many steps, and compare each loss, no more
    """

    targets: tuple[str, ...]
    adapt: Callable = lambda f: f
    config: dict[str, Any] = field(default_factory=dict)
    steps: int = 0


@dataclass(kw_only=True, eq=False)
class Exercise:
    """One function to write. The package's docstring says what its functions are given."""

    name: str
    stars: int  # 1 to 3: how hard
    minutes: int  # estimated
    small: Callable[[], Iterable[tuple]]
    cases: Any  # a hypothesis strategy
    levels: tuple[str, ...]
    level: Callable[..., int]
    properties: tuple[Callable, ...]  # in the order in which they are tried, the simple ones first
    relations: tuple[Callable, ...] = ()
    picture: Callable[..., str] | None = None  # None: the arguments, and answers beside them
    mistakes: tuple[Callable, ...]
    lazy: tuple[Callable, ...] = ()
    hints: tuple[str, ...]
    plug: Plug | None = None
    inside: Callable | None = None
    gist: Callable | None = None  # of an answer: what tells mistakes apart, where its words do not
    hidden: tuple[str, ...] = ()  # what of the package is an answer, too, as the plug's targets
    needs: tuple[str, str] | None = None  # a module to judge it; what to install
    seconds: float = 2.0  # that a call may take
    number: str = ""  # 7.3, set by lessons(), as is the next
    address: str = ""  # how one asks for it: by name; where others have the same, by number

    @property
    def solution(self):
        """The right function."""
        return getattr(importlib.import_module(f"lessons.solutions.{self.file[:-3]}"), self.name)

    @property
    def method(self):
        """Is it no function, but a class: a method that trains?"""
        return isinstance(self.solution, type)

    @property
    def file(self):
        """The name of the file where it is written: ex07.py."""
        return f"ex{self.number.partition('.')[0]:0>2}.py"

    def ours(self):
        """The text of a file with the right function."""
        return (LESSONS / "solutions" / self.file).read_text(encoding="utf-8")

    def stub(self):
        """The text of a file with the stub."""
        return (LESSONS / "exercises" / self.file).read_text(encoding="utf-8")

    @property
    def lacks(self):
        """What is to be installed before it can be judged here, in words; None if nothing."""
        if self.needs is None or importlib.util.find_spec(self.needs[0]):
            return None
        return self.needs[1]

    @property
    def parameters(self):
        """What the parts of a case are called."""
        if self.inside:
            return list(inspect.signature(self.inside).parameters)[1:]
        return list(inspect.signature(self.solution).parameters)


@dataclass(frozen=True)
class Lesson:
    """A lesson's exercises, in order."""

    number: int
    title: str
    exercises: list[Exercise]


def lessons():
    """All Lessons that have exercises, by number."""
    found = {}
    for module in pkgutil.iter_modules([str(Path(__file__).parent)]):
        if re.fullmatch(r"ex\d\d", module.name):
            grader = importlib.import_module(f"lessons.grader.{module.name}")
            number = int(module.name[2:])
            for i, exercise in enumerate(grader.EXERCISES, 1):
                exercise.number = f"{number}.{i}"
            title = inspect.getdoc(grader).splitlines()[0].rstrip(".")
            found[number] = Lesson(number, title, list(grader.EXERCISES))
    every = [exercise for lesson in found.values() for exercise in lesson.exercises]
    names = Counter(exercise.name for exercise in every)
    for exercise in every:
        exercise.address = exercise.name if names[exercise.name] == 1 else exercise.number
    return found


def find(what):
    """The Exercises that `what` names: a lesson (7), one by its number (7.3) or by its name
    (apportion). ValueError with what there is."""
    course = lessons()
    if what in map(str, course):
        return course[int(what)].exercises
    every = [exercise for lesson in course.values() for exercise in lesson.exercises]
    found = [exercise for exercise in every if what in (exercise.name, exercise.number)]
    if len(found) > 1:
        numbers = " or ".join(exercise.number for exercise in found)
        raise ValueError(f"there is a {what} in several lessons: say {numbers}")
    if not found:
        near = nearest(what, [exercise.name for exercise in every])
        raise ValueError(f"there is no exercise {shown(what)}; {near}lessons are "
                         f"{', '.join(map(str, course))}, and python -m lessons.check lists all")
    return found
