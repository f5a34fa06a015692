"""Lessons to read along with the package; README.md names the doors."""

from pathlib import Path

RESULTS = Path(__file__).parent / "results"  # records of runs
MINE = Path(__file__).parent / "mine"  # the learner's answers, predictions, figures; not in git
