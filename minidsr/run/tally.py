"""What was judged, rule by rule, as a table, as text and as JSON: the Tally."""

from collections import Counter
from inspect import getdoc
from pathlib import Path
from textwrap import indent
from traceback import extract_tb

from ..proof.acted import ON, acted
from ..proof.invariants import RULES, Violation, judge
from ..proof.picture import Example
from ..proof.reallocation import NotCheckable
from ..proof.remote import Answerless
from ..reading import one_line
from .report import folded, table

PACKAGE = Path(__file__).parents[1]
COMPLETES = "Each reallocation comes to its end."


class Tally:
    """How often each invariant was checked and violated, with the smallest example of each.

    gone    the process in which a function was judged has ended, or had to be
    """

    def __init__(self, rules=RULES["dsr"]):
        self.rules = rules
        self.checked, self.violated, self.examples = Counter(), Counter(), {}
        self.acted, self.gone = Counter(), False
        self.unchecked = {i.__name__: why for invariants, why in (
            (rules.one, "no reallocation came to its end"), (rules.two, "no two in a row"),
            (rules.runs, "one run cannot show it")) for i in invariants}

    def add(self, example, invariants, *runs, size=0):
        """Judge Reallocations by these invariants. Returns the violations; of several, the one
        with the smallest `size` stays as the example."""
        found = []
        for invariant in invariants:
            try:
                found += judge(invariant, *runs)
                self.checked[invariant.__name__] += 1
                self.acted[invariant.__name__] += acted(invariant.__name__, runs[-1])
            except NotCheckable as reason:
                self.unchecked[invariant.__name__] = str(reason)
        return self._count(example, found, size)

    def fails(self, example, error, size=0):
        """A reallocation did not come to its end."""
        self.checked["completes"] += 1
        self.gone = isinstance(error, Answerless) and error.kind != "raised"
        found = [Violation("completes", _said(error))]
        return self._count(example, found, size)

    def _count(self, example, found, size):
        for v in found:
            if v.invariant not in self.examples or size < self.examples[v.invariant][0]:
                self.examples[v.invariant] = size, example, v
        self.violated.update({v.invariant for v in found})
        return found

    @property
    def held(self):
        return not self.violated

    @property
    def counts(self):
        """How many invariants are held, violated, not checkable: a dict."""
        checked = [i.__name__ for i in self.rules.all if self.checked[i.__name__]]
        return {"held": sum(not self.violated[name] for name in checked),
                "violated": len(self.violated),
                "not_checkable": len(self.rules.all) - len(checked)}

    @property
    def summary(self):
        """The counts() in words."""
        return "{held} invariants held, {violated} violated, {not_checkable} not checkable".format(
            **self.counts)

    def verdicts(self):
        """A dict for each rule, fit for JSON; lessons/notes/verify.md has the keys."""
        words = {i.__name__: getdoc(i) or i.__name__.replace("_", " ")  # -OO leaves no docstrings
                 for i in self.rules.all}
        if self.violated["completes"]:
            words = {"completes": COMPLETES} | words
        return [self._verdict(name, text.splitlines()[0]) for name, text in words.items()]

    def _verdict(self, name, must_hold):
        wrong, n = self.violated[name], self.checked[name]
        example, rests_on = None, None
        if wrong:
            _, where, v = self.examples[name]
            example = {"message": v.message, "in": str(where)}
        elif n and name in ON:
            count = self.acted[name]
            rests_on = {"what": ON[name][0].format(s="s" * (count != 1)), "count": count}
        return {"rule": name, "verdict": "violated" if wrong else "held" if n else "not checkable",
                "cases": n, "violations": wrong, "must_hold": must_hold, "rests_on": rests_on,
                "why_not": None if n else self.unchecked[name], "example": example}

    def __str__(self):
        """The table of verdicts, and an example of each violation."""
        rows = [[v["rule"],
                 f"VIOLATED {v['violations']:,} x" if v["violations"] else v["verdict"],
                 f"{v['cases']:,}", _in_words(v)] for v in self.verdicts()]
        text = table(rows, ["invariant", "verdict", "cases", "what must hold"], left=(0, 1, 3))
        return "\n\n".join([text, *self.shown()])

    def shown(self):
        """The violations, each with its example, small ones first; a picture is drawn once."""
        texts, drawn = [], []
        for _, example, v in sorted(self.examples.values(), key=lambda found: found[0]):
            again = isinstance(example, Example) and example in drawn
            drawn.append(example)
            text = "the same network" if again else str(example)
            texts.append(f"{folded(str(v), '  ')}\n  in " + indent(text, "     ").lstrip())
        return texts


def _in_words(v):
    """What must hold, and on what it rests that it does; or why it is not checkable."""
    if v["why_not"]:
        return f"({v['why_not']})"
    if not v["rests_on"]:
        return v["must_hold"]
    what, n = v["rests_on"].values()
    return v["must_hold"] + (f" ({n:,} {what})" if n else f" (but no {what} occurred)")


def _said(error):
    """An error in one line, and where it was raised, if that was not in the package."""
    if isinstance(error, Answerless):
        return in_one_line(error)
    frames = [f for f in extract_tb(error.__traceback__)
              if not Path(f.filename).is_relative_to(PACKAGE)]
    theirs = [f for f in frames if f.filename == frames[0].filename]
    place = f" ({Path(theirs[-1].filename).name}, line {theirs[-1].lineno})" if theirs else ""
    return f"{one_line(error)}{place}"


def in_one_line(answerless):
    """What was raised in another process, with its line there."""
    line = f" (line {answerless.line}: {answerless.code})" if answerless.line else ""
    return " ".join(str(answerless).split()) + line
