"""Predictions: what a learner expects, written down before a lesson shows it."""

import json

import lessons


def predict(what, *answers):
    """Keep an answer in lessons/mine/predictions.json; without one, show what is kept.

    what     a few words, the same in all of the course for one prediction only
    answers  a number or a text, or several; ... where the learner is yet to write one

    Raises ValueError for another kind of answer, and where the file is damaged.
    """
    path = lessons.MINE / "predictions.json"
    kept = _kept(path)
    if answers and answers[0] is not ...:
        answer = answers[0] if len(answers) == 1 else list(answers)
        try:
            text = json.dumps(kept | {what: answer}, indent=1, ensure_ascii=False, allow_nan=False)
        except (TypeError, ValueError):
            raise ValueError("a prediction is a number or a text, or several, not "
                             f"{answer!r}") from None
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text + "\n", encoding="utf-8")
        kept = json.loads(text)
    said = f"you said {kept[what]}" if what in kept else "you have not predicted it"
    print(f"{what}: {said}")


def _kept(path):
    """{what: answer} of all predictions so far."""
    if not path.exists():
        return {}
    try:
        kept = json.loads(path.read_text(encoding="utf-8"))
    except ValueError:
        kept = None
    if not isinstance(kept, dict):
        raise ValueError(f"{path} is damaged; delete it, and predict again")
    return kept
