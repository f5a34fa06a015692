"""Every lesson runs as a script, offline, and draws what it says."""

import runpy
from pathlib import Path

import pytest

LESSONS = sorted((Path(__file__).parents[2] / "lessons").glob("[0-9]*.py"))


@pytest.mark.parametrize("lesson", LESSONS, ids=lambda path: path.stem)
def test_lesson(lesson, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    runpy.run_path(str(lesson))
    assert (tmp_path / "runs" / "lessons" / f"{lesson.stem}.png").stat().st_size > 5000
    assert capsys.readouterr().out


def test_there_are_lessons():
    assert LESSONS
