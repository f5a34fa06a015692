"""What judges the exercises: `python -m lessons.check`. How to write those of lesson 7:

    lessons/exercises/ex07.py   the stubs: signature, docstring, `raise NotImplementedError`
    lessons/solutions/ex07.py   what is right; `from minidsr... import f` where the package has it
    lessons/grader/ex07.py      `EXERCISES`, a list of Exercise in the order of the lesson; its
                                docstring begins with the lesson's title

An Exercise (exercise.py explains its fields) is made of small functions with the names of the
arguments. A case is a tuple of these; each call gets a copy. A Generator in it is not used up.

    small()            every small case. They are tried by level, then by size, and the first that
                       fails is what the learner sees
    cases              a strategy of cases, from minidsr/proof/cases.py where that has one
    level(*case)       which of `levels` it is: what the paper says is 0, odd ends come later
    holds(g, *case)    a property of the answer g: True, or False, or words that say what is wrong.
                       Its docstring, half a sentence, says what holds. Check no types: an exception
                       is a False. In g, arrays and tuples are lists, NumPy's numbers are Python's
    holds(f, *case)    a relation of several answers: it calls f as often as it likes
    picture(g, *case)  case and answer as text; g is anything, None where there was no answer
    mistake(*case)     a typical wrong program. Its docstring is the hint, at best a question
    lazy(*case)        a silly answer that must fail, too, if the list in the tests lacks it
    inside(f, *case)   is called instead of f, in f's process, where what f takes or returns is no
                       data (encode() in minidsr/proof/runner.py); a case is what inside takes
    hidden             what of the package answers it, too: raises in grading, as the plug's targets
                       do, and `solution` where the package has it
    needs              what judging it takes, and not everyone has: a module, and what to install
    gist(answer)       of an answer that is words or no data, that by which mistakes are told apart;
                       lazy answers of the tests' list are left out for it, but for judge.digits
    hints              three rungs at least: a question, the idea, the pitfall

Properties must be complete: `python -m lessons.grader.mutants 7` changes each solution in every
small way, and says what no property sees. tests/lessons/test_exercises.py asks for all the rest.
"""

from .exercise import Exercise, Plug, find, lessons

__all__ = ["Exercise", "Plug", "find", "lessons"]
