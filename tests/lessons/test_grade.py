"""A class of seven, graded: each as it deserves, in the sandbox where it can be had."""

import csv
import inspect
import os
import shutil
import socket
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from lessons import check
from lessons.grader import find, grade, lessons
from lessons.grader.box import alone, pack, without
from lessons.grader.judge import small_cases

RIGHT = """
from fractions import Fraction


def apportion(K, weights, room):
    g = [0] * len(room)
    while K:
        left = [i for i in range(len(room)) if g[i] < room[i]]
        weights = weights if any(weights[i] for i in left) else room
        exact = {i: Fraction(K * weights[i], sum(weights[j] for j in left)) for i in left}
        full = [i for i in left if exact[i] >= room[i]]
        for i in full:
            g[i] = room[i]
        K -= sum(room[i] for i in full)
        if not full:
            g = [int(exact.get(i, x)) for i, x in enumerate(g)]
            K -= sum(g[i] for i in left)
            for i in sorted(left, key=lambda i: g[i] - exact[i])[:K]:
                g[i] += 1
            break
    return g
"""

CLASS = {
    "right": RIGHT,
    "wrong": """
        def apportion(K, weights, room):
            total = sum(weights) or 1
            return [round(K * w / total) for w in weights]""",
    # as the stub is, which says so by this error: it is judged as no answer, not as a wrong one
    "empty": """
        def apportion(K, weights, room):
            raise NotImplementedError""",
    "endless": """
        def apportion(K, weights, room):
            while True:
                pass""",
    "forging": """
        import json, os, sys
        import hypothesis
        hypothesis.given = lambda *a, **k: lambda f: lambda: None
        sys.modules["lessons.check"] = None
        def apportion(K, weights, room):
            print(json.dumps({"right": 1}))
            for stream in range(20):
                try:
                    os.write(stream, b'{"id": 2, "right": 1, "fault": "", "raised": null}')
                except OSError:
                    pass
            os._exit(0)""",
    "importing": """
        def apportion(K, weights, room):
            from minidsr.reparam import apportion as theirs
            return theirs(K, weights, room)""",
    "memorising": RIGHT.replace("    g = [0] * len(room)\n", """
    g = [0] * len(room)
    if max(weights + room) > 2:
        return g
""", 1),
}
FAULTS = {"right": "", "wrong": "sum_is_K", "empty": "stub", "endless": "hangs",
          "forging": "garbled", "importing": "raised", "memorising": "sum_is_K"}


def sandboxed():
    """Can bubblewrap start a program here?"""
    return shutil.which("bwrap") is not None and subprocess.run(
        ["bwrap", "--unshare-all", "--ro-bind", "/", "/", "true"], capture_output=True
    ).returncode == 0


SANDBOX = pytest.param([], id="bubblewrap", marks=pytest.mark.skipif(
    not sandboxed(), reason="bubblewrap is not installed, or may not make namespaces here"))


@pytest.fixture
def few(monkeypatch):
    """A tenth of the small cases, and little patience: a class in seconds."""
    monkeypatch.setattr(grade, "PATIENCE", 1)
    monkeypatch.setattr(grade, "first_failure", lambda *args, **kwargs: first(
        *args, every=10, examples=40, **kwargs))
    first = inspect.getmodule(small_cases).first_failure


@pytest.fixture
def school(tmp_path, capsys):
    """school({student: text of ex07.py}, words...) -> (exit code, rows, what is printed)."""
    def graded(students, *words):
        for name, text in students.items():
            (tmp_path / "class" / name).mkdir(parents=True, exist_ok=True)
            (tmp_path / "class" / name / "ex07.py").write_text(inspect.cleandoc(text) + "\n")
        out = tmp_path / "grades.csv"
        code = check.main(["grade", str(tmp_path / "class"), "apportion", "--out", str(out),
                           *words])
        return code, rows(out) if out.exists() else None, "".join(capsys.readouterr())
    graded.out = tmp_path / "grades.csv"
    return graded


def rows(path):
    with path.open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


@pytest.mark.slow
@pytest.mark.parametrize("words", [SANDBOX, pytest.param(["--trusted"], id="trusted")])
def test_each_is_judged_as_it_deserves_and_the_same_again(school, few, words):
    code, first, said = school(CLASS, "--seed", "7", *words)
    assert code == 0 and "ours, apportion: right, its stub: stub" in said
    assert {row["student"]: row["fault"] for row in first} == FAULTS
    assert [row["student"] for row in first if row["right"] == "1"] == ["right"]
    assert {row["exercise"] for row in first} == {"apportion"}
    by_name = {row["student"]: row for row in first}
    assert by_name["wrong"]["mistake"] == "rounds_each_share"
    assert by_name["wrong"]["case"] == "1, [2, 2], [2, 1]"
    assert by_name["wrong"]["answer"] == "[0, 0]"
    assert "apportion is yours to write" in by_name["importing"]["answer"]
    assert "7 of 7" in said and all(row["seed"] == "7" for row in first)
    if not words or not sandboxed():  # once is enough
        table = school.out.read_bytes()
        school.out.unlink()
        school({}, "--seed", "7", *words)
        assert school.out.read_bytes() == table


SPY = """
import os, socket
from pathlib import Path

def apportion(K, weights, room):
    found = [name for name in {paths!r} if Path(name).exists()]
    try:
        socket.create_connection(("127.0.0.1", {port}), timeout=1)
        found.append("network")
    except OSError:
        pass
    try:
        Path({work!r}).joinpath("left").write_text("")
        found.append("writing")
    except OSError:
        pass
    found += [p for p in os.listdir("/proc") if p.isdigit() and int(p) == {pid}]
    raise RuntimeError(f"found {{found}}")
"""


@pytest.mark.slow
@pytest.mark.parametrize("words", [SANDBOX])
def test_nothing_else_is_to_be_seen_in_the_sandbox(school, few, words, tmp_path):
    """Neither the answers, nor table and neighbours, nor the network; nothing can be left."""
    repository = Path(check.__file__).parents[1]
    paths = [str(path) for path in (
        tmp_path / "class" / "neighbour", school.out, repository / "minidsr",
        repository / "lessons" / "solutions", Path.home() / ".ssh", "/etc/passwd")]
    with socket.create_server(("127.0.0.1", 0)) as server:
        spy = SPY.format(paths=paths, port=server.getsockname()[1], pid=os.getpid(),
                         work=str(tmp_path / "class" / "spy"))
        _, table, _ = school({"spy": spy, "neighbour": "x = 1"}, *words)
    found = {row["student"]: row for row in table}
    assert found["spy"]["answer"] == "RuntimeError: found []"
    assert found["neighbour"]["fault"] == "missing"
    assert not (tmp_path / "class" / "spy" / "left").exists()


def test_without_a_sandbox_no_one_is_graded_who_is_not_trusted(school, monkeypatch):
    monkeypatch.setattr(grade.shutil, "which", lambda name: None)
    code, table, said = school(CLASS)
    assert code == 2 and "--trusted if you trust them all" in said and table is None


def test_a_sandbox_in_which_ours_is_not_right_grades_no_one(school, few):
    """One that cannot start Python would give everyone nothing."""
    code, table, said = school(CLASS, "--sandbox", "false {work}")
    assert code == 1 and table is None and "no one is graded" in said
    assert "its process ended without an answer" in said


@pytest.mark.slow
def test_a_container_is_named_by_its_command(school, few):
    """Both folders are put into its words."""
    words = f"env SEEN={{package}}:{{work}} {sys.executable}"
    tells = """
        import os
        def apportion(K, weights, room):
            raise RuntimeError(os.environ["SEEN"].split("/")[-1])"""
    _, table, _ = school({"tells": tells}, "--sandbox", words)
    assert table[0]["answer"] == "RuntimeError: tells"


@pytest.mark.slow
def test_what_was_broken_off_goes_on(school, few, monkeypatch):
    """By the same seed; what was judged is not judged again, half a row is no row."""
    three = {name: CLASS[name] for name in ("empty", "right", "wrong")}
    judged, asked = grade.judged, []

    def breaks(exercise, work, *rest):
        asked.append(work.name)
        if asked == ["ours", "stub", "empty", "right"]:
            raise KeyboardInterrupt
        return judged(exercise, work, *rest)

    monkeypatch.setattr(grade, "judged", breaks)
    code, table, _ = school(three, "--trusted")
    assert code == 130 and [row["student"] for row in table] == ["empty"]
    assert school({}, "--trusted")[0] == 2  # the table is there
    assert "was begun with seed" in school({}, "--trusted", "--resume", "--seed", "7")[2]
    with school.out.open("a") as file:
        file.write(school.out.read_text().splitlines()[1].replace("empty", "right")[:-3])
    asked[:] = ["again"]
    code, table, _ = school({}, "--trusted", "--resume")
    assert code == 0 and asked == ["again", "ours", "stub", "right", "wrong"]
    assert [row["student"] for row in table] == ["empty", "right", "wrong"]
    assert len({row["seed"] for row in table}) == 1


def test_what_cannot_be_judged_here_is_left_out(tmp_path, monkeypatch, capsys):
    (tmp_path / "class" / "empty").mkdir(parents=True)
    exercises = find("12")
    monkeypatch.setattr(grade, "_check_ourselves", lambda left, *rest: judged.extend(left))
    monkeypatch.setattr(exercises[-1], "needs", ("cuupy", "CuuPy: pip install cuupy"))
    judged = []
    words = "--out", str(tmp_path / "x.csv"), "--trusted"
    check.main(["grade", str(tmp_path / "class"), "12", *words])
    assert judged == exercises[:-1]
    assert "conv_anywhere is left out: to judge it takes CuuPy" in capsys.readouterr().out
    assert check.main(["grade", str(tmp_path / "class"), "12.4", *words]) == 2
    assert "there is nothing else to grade" in capsys.readouterr().err


def test_a_judge_that_fails_says_so_and_goes_on(tmp_path, monkeypatch):
    (tmp_path / "ex07.py").write_text("def apportion(*case): return 1\n")
    monkeypatch.setattr(grade, "_verdict", lambda *args: 1 / 0)
    row = grade.judged(find("apportion")[0], tmp_path, tmp_path, lambda *folders: ["false"], 0)
    assert row["right"] == "" and row["fault"] == "not judged" and "ZeroDivision" in row["answer"]
    row = grade.judged(find("below")[0], tmp_path, tmp_path, lambda *folders: ["false"], 0)
    assert row["right"] == "0" and row["fault"] == "no file"


@pytest.mark.parametrize(("text", "becomes"), [
    ("a\nb", "a b"), ("<f at 0x7f3a>", "<f>"), ("=1+cmd", "'=1+cmd"), ("@x", "'@x"), ("-3", "-3"),
    ("-inf", "-inf"), ("/box/minidsr", "package/minidsr"), ("x" * 400, "x" * 300 + " ...")])
def test_what_a_stranger_says_is_a_cell(text, becomes):
    assert grade._short(text, Path("/box")) == becomes


@pytest.mark.parametrize(("words", "said"), [
    (["nowhere"], "is no folder"), (["."], "has no folders"), ([".", "--trustd"], "--trusted")])
def test_wrong_words_are_one_line(words, said, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert check.main(["grade", *words, "--out", "x.csv"]) == 2
    error = capsys.readouterr().err
    assert error.count("\n") == 1 and said in error


# --- the copy of the package


@pytest.mark.parametrize("exercise", [
    pytest.param(exercise, id=exercise.address, marks=[
        pytest.mark.slow if exercise.address in ("apportion", "reallocate", "8.1")
        else pytest.mark.exhaustive,
        pytest.mark.skipif(exercise.lacks is not None, reason=f"needs {exercise.lacks}")])
    for lesson in lessons().values() for exercise in lesson.exercises])
def test_ours_is_right_with_the_copy_of_the_package(exercise, tmp_path, monkeypatch):
    """And the stub empty, and no solution in it. Grading asks this of each, too."""
    monkeypatch.setattr(grade, "first_failure", lambda exercise, function, *, seed: first(
        exercise, function, every=1 + len(small_cases(exercise)) // 5, examples=0, seed=seed))
    first = inspect.getmodule(small_cases).first_failure
    pack(exercise, tmp_path)
    table = [grade.judged(exercise, tmp_path / name, tmp_path, lambda *folders: [
        sys.executable], 0) for name in ("ours", "stub")]
    assert [row["fault"] for row in table] == ["", "stub"]
    texts = [path.read_text() for path in (tmp_path / "package").rglob("*.py")]
    assert not any(inspect.getsource(exercise.solution) in text for text in texts)


def test_a_function_taken_out_raises_and_what_only_it_used_goes():
    source = "def f():\n    return _g()\ndef _g():\n    return _h() + 1\ndef _h():\n    return 1\n"
    text, taken = without(source, ["f"])
    assert "_g" not in text and "_h" not in text
    module = {}
    exec(text, module)
    with pytest.raises(RuntimeError, match="f is yours to write"):
        module["f"]()
    exec(taken, module)
    assert module["f"]() == 2
    text, _ = without(source + "def k():\n    return _h()\n", ["f"])
    assert "_g" not in text and "_h" in text


def test_a_method_taken_out_raises():
    text, _ = without("class A:\n    def f(self):\n        return 1\n", ["A.f"])
    module = {"np": np}
    exec(text, module)
    with pytest.raises(RuntimeError, match="A.f is yours"):
        module["A"]().f()


def test_a_function_alone_has_what_it_needs():
    source = ("import os, sys\nfrom math import pi as p, e\nX = Y = 3\nZ = 4\n"
              "def f():\n    return g() + X\ndef g():\n    return p\n"
              "def h():\n    return sys, Z, e\n")
    text = alone(source, "f")
    module = {}
    exec(text, module)
    assert module["f"]() > 6 and not {"h", "Z", "os", "sys", "e"} & set(module)
