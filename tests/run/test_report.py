"""Tables: when a run was so short that its method hardly moved weights; studies in Markdown and
CSV, and on the command line."""

import csv
import re
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from studies import MOVED, made, write

from minidsr.__main__ import main
from minidsr.methods import DSR, METHODS
from minidsr.reparam import adjust_pruning_threshold
from minidsr.run import compare, compare_tables, directory, report
from minidsr.run.history import History


def ended(Ks, **fields):
    """The history of a run whose reallocations moved so many weights each."""
    history = History()
    for K in Ks:
        history.add("reallocation", 0, **{"H": None, "next_H": None, "N_p": None} | fields, K=K)
    return history


# --- tables

ROWS = [["budget", "1,420", "What is said is what is seen, and more of it is said here."],
        ["two", "7", ""], ["survivors", "12", "Short."]]


def folded_table(monkeypatch, columns, left=(0, 2)):
    monkeypatch.setenv("COLUMNS", str(columns))
    return report.table(ROWS, ["rule", "cases", "what must hold"], left)


def test_without_a_terminal_a_row_is_a_line(monkeypatch):
    monkeypatch.delenv("COLUMNS", raising=False)
    lines = report.table(ROWS, ["rule", "cases", "what must hold"], (0, 2)).splitlines()
    assert len(lines) == 5
    assert lines[2] == ("budget     1,420  What is said is what is seen, and more of it is said "
                        "here.")
    assert report.folded("word " * 40) == "word " * 40


def test_words_wrap_below_each_other(monkeypatch):
    assert folded_table(monkeypatch, 44) == """\
rule       cases  what must hold
---------  -----  -----------------------
budget     1,420  What is said is what is
                  seen, and more of it is
                  said here.
two            7
survivors     12  Short."""


def test_words_stand_below_where_there_is_no_room(monkeypatch):
    assert folded_table(monkeypatch, 38) == """\
rule       cases
---------  -----
budget     1,420
    What is said is what is seen, and
    more of it is said here.
two            7
survivors     12
    Short."""


@given(st.integers(20, 100))
def test_no_line_is_wider_than_the_terminal(columns):
    with pytest.MonkeyPatch.context() as patch:
        text = folded_table(patch, columns)
        paragraph = report.folded(" ".join(ROWS[0]), "  ")
    assert max(map(len, [*text.splitlines(), *paragraph.splitlines()])) <= columns
    words = " ".join(word for word in re.findall(r"\S+", text) if not set(word) <= {"-"})
    assert all(row[0] in words for row in ROWS) and words.endswith("Short.")


def test_a_last_column_of_numbers_does_not_fold(monkeypatch):
    wide = folded_table(monkeypatch, 30, left=(0,))
    monkeypatch.delenv("COLUMNS")
    assert wide == report.table(ROWS, ["rule", "cases", "what must hold"])


# --- runs that were too short


@pytest.mark.parametrize(("method", "moved", "line"), [
    ("set", [], "has moved nothing: no period ended before the stop (--epochs, --periods, "
                "--stop-epoch)"),
    ("set", [4], "had little time to explore: 1 reallocation moved 4 weights (--epochs, "
                 "--periods)"),
    ("itop", [600] * 9, "had little time to explore: 9 reallocations moved 5,400 weights "
                        "(--epochs, --interval)"),
    ("itop", [600] * 10, None), ("gradual", [9], None), ("deepr", [0], None), ("static", [], None),
    ("dense", [], None)])
def test_a_method_with_little_time(method, moved, line):
    assert report.little_time(METHODS[method], ended(moved)) == line


def test_dsr_in_name_only():
    """Three reallocations, 30 weights of 300: K < 90 each time, so H was still doubling."""
    assert report.little_time(DSR, ended([4, 10, 16], H=0.5, next_H=1.0, N_p=100)) == (
        "had little time to explore: 3 reallocations moved 30 weights of 300 asked for, and H was "
        "still doubling (--epochs, --periods, --threshold)")


@given(Ks=st.lists(st.sampled_from([0, 89, 90, 100, 110, 111, 400]), max_size=14))
def test_when_dsr_had_little_time(Ks):
    """With fewer than ten reallocations, or if H doubles in each of the last three, or of all."""
    history, H = History(), 1.0
    for K in Ks:
        next_H = adjust_pruning_threshold(H, K, 100, 0.1)
        history.add("reallocation", 0, H=H, next_H=next_H, N_p=100, K=K)
        H = next_H
    line = report.little_time(DSR, history)
    doubling = bool(Ks) and max(Ks[-3:]) < 90
    assert (line is not None) == (len(Ks) < 10 or doubling)
    if line:
        assert ("--threshold" in line) == ("doubling" in line) == doubling


# --- a study


def told(*runs, left_out=()):
    """The lines of the report of these runs."""
    groups, twice = compare.grouped(runs)
    text = compare_tables.markdown(groups, *compare.differences(groups), [*left_out, *twice])
    return text.splitlines()


def cells(lines, label):
    """The cells of the rows whose first is this label."""
    rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]
    return [row for row in rows if row[0] == label and len(row) > 1]


def three_seeds():
    return [made(method, seed, accuracy) for method, accuracies in (
        ("static", (70.0, 73.0, 72.0)), ("dsr", (71.0, 72.0, 76.0)))
        for seed, accuracy in enumerate(accuracies)]


def test_a_table_by_hand():
    """71, 72, 76: mean 73, deviations -2, -1, 3, s = √7; at 100 images a second, 20 s each."""
    lines = told(*three_seeds())
    assert lines[0] == "# 6 runs in 2 groups"
    assert lines[2].startswith("All with model small-cnn, data synthetic, epochs 2, batch 100, com")
    assert cells(lines, "dsr")[0] == ["dsr", "73.00 ± 2.65", "3", "0 1 2", "100", "90.0", "0.40",
                                      "2", "100", "0.0056"]
    assert cells(lines, "dsr − static") == [["dsr − static", "+1.33 [-4.92, +7.58]", "3", "0 1 2"]]


def test_what_moved_by_hand():
    """100 and 60 weights of 100 were pruned, and 20 and none of these changed tensor."""
    assert MOVED == (([30, 70], [50, 50]), ([20, 40], [20, 40]))
    assert cells(told(made()), "dsr")[1] == ["dsr", "2", "160", "1.6", "12.5 %"]


def test_ages_where_births_were_recorded(monkeypatch):
    monkeypatch.setattr(compare.Result, "ages", property(lambda result: (
        [(100, 0), (60, 40)] if result.config.method == "dsr" else [])))
    lines = told(made(), made("set"))
    assert cells(lines, "dsr")[1][-1] == "25.0 %"
    assert cells(lines, "set")[1][-1] == "not recorded"


def test_one_seed_has_no_interval():
    lines = told(made("static", accuracy=50.0), made(accuracy=50.0))
    assert cells(lines, "dsr − static")[0][1:3] == ["+0.00", "1"]
    assert "From one seed there is no interval, and a difference that says little." in lines
    assert not any("±" in line for line in lines if "over n seeds" not in line)


def test_an_interval_without_width_is_said_to_be_none():
    lines = told(*(made(m, s, 50.0 + s + (m == "dsr")) for m in ("static", "dsr") for s in (0, 1)))
    assert cells(lines, "dsr − static")[0][1] == "+1.00 [+1.00, +1.00]"
    assert any(line.startswith("An interval without width") for line in lines)
    assert not any(line.startswith("An interval without width") for line in told(*three_seeds()))


def test_many_intervals_are_said_to_be_many():
    runs = [made(m, s, 50.0 + s) for m in ("static", "set", "rigl", "dsr") for s in (0, 1)]
    assert any("Of 6 such intervals about 0.3 miss the true one" in line for line in told(*runs))
    assert not any("miss the true one" in line for line in told(*three_seeds()))


def test_validation_accuracy_stands_before_test_accuracy():
    runs = [made(m, s, 50.0 + s, last={"validation_accuracy": 40.0 + (m == "dsr")})
            for m in ("static", "dsr") for s in (0, 1)]
    lines = told(*runs)
    assert cells(lines, "group")[0][1:3] == ["validation accuracy, %", "test accuracy, %"]
    assert cells(lines, "dsr")[0][1:3] == ["41.00 ± 0.00", "50.50 ± 0.71"]
    assert cells(lines, "dsr − static")[0][1:3] == ["+1.00 [+1.00, +1.00]", "+0.00 [+0.00, +0.00]"]


def test_reasons_are_listed_with_how_many_pairs():
    runs = [made(m, sparsity=s, free=f) for m in ("static", "dsr") for s, f in (
        (0.8, 200), (0.9, 100))]
    lines = told(*runs)
    assert ("- free parameters differ: 100 and 200: 4 pairs, such as static, sparsity 0.9 and "
            "static, sparsity 0.8") in lines


@pytest.mark.parametrize(("runs", "note"), [
    ([made("dense", free=1000)], "dense is given no budget, and has all parameters of the network"),
    ([made("dst")], "dst is given no budget: what it cuts off is learned; its free parameters are "
     "all that it trains"),
    ([made("thin-dense", network="small-cnn-0.3")], "thin-dense trained small-cnn-0.3, whose "
     "number of parameters is the nearest to the budget that whole channels give"),
    ([made("set")], "set had little time to explore: 2 reallocations moved 160 weights (--epochs, "
     "--periods)"),
    ([made("set", 0), made("set", 1, moved=())], "set (2 of 2 runs; seed 0) had little time to "
     "explore: 2 reallocations moved 160 weights (--epochs, --periods)"),
    ([made("static", commit="c" * 40 + " dirty")],
     "static: from a work tree with changes that its commit does not have"),
    ([made("static"), made("static", path="b")], "left out: b: the same run as runs/static-0")])
def test_what_a_reader_must_know(runs, note):
    assert f"- {note}" in told(*runs)


def test_nothing_to_note():
    assert "## Notes" not in told(made("static"))


@given(st.lists(st.lists(st.text("ab|√ ", max_size=9), min_size=3, max_size=3), max_size=5))
def test_a_table_in_markdown_has_its_cells(rows):
    """As many columns in each line, of the same width; a bar in a cell is no column."""
    lines = compare_tables.table(rows, ["x", "y", "z"]).splitlines()
    assert len({len(line) for line in lines}) == 1 and len(lines) == len(rows) + 2
    for line, row in zip(lines[2:], rows, strict=True):
        inner = line.replace("\\|", "\0").strip("|").split("|")
        assert [cell.replace("\0", "|").strip() for cell in inner] == [c.strip() for c in row]


def test_csv_has_the_same_numbers(tmp_path):
    runs = [*three_seeds(), made("dense", free=1000)]
    groups, _ = compare.grouped(runs)
    differences, _ = compare.differences(groups)
    rows = {}
    for path in compare_tables.write_csv(tmp_path / "new", groups, differences):
        with open(path, encoding="utf-8", newline="") as file:
            rows[path.name] = list(csv.DictReader(file))
            assert None not in {k for row in rows[path.name] for k in row}
    assert {name: len(found) for name, found in rows.items()} == {
        "runs.csv": 7, "groups.csv": 3, "differences.csv": 1, "epochs.csv": 14}
    accuracies = [float(row["test_accuracy"]) for row in rows["runs.csv"]
                  if row["group"] == "dsr"]
    assert accuracies == [71.0, 72.0, 76.0]
    dsr, = (row for row in rows["groups.csv"] if row["group"] == "dsr")
    assert float(dsr["test_accuracy"]) == np.mean(accuracies)
    assert float(dsr["test_accuracy_sd"]) == pytest.approx(np.std(accuracies, ddof=1))
    difference, = rows["differences.csv"]
    assert float(difference["test"]) == pytest.approx(4 / 3)
    assert float(difference["test_low"]) == pytest.approx(-4.918, abs=1e-3)
    assert rows["runs.csv"][-1]["periods"] == "25 50"
    assert [row["test_accuracy"] for row in rows["epochs.csv"][-2:]] == ["38.0", "76.0"]


# --- the command line


@pytest.fixture
def folder(tmp_path):
    """A study of six runs and one that is not finished."""
    for run in three_seeds():
        write(run, tmp_path / "study" / run.config.method)
    unfinished = write(made(path="unfinished", epochs=3), tmp_path / "study")
    lines = (unfinished / directory.METRICS).read_text().splitlines(keepends=True)
    (unfinished / directory.METRICS).write_text("".join(lines[:-1]))
    return tmp_path / "study"


def test_report(folder, capsys):
    assert main(["report", str(folder), "--csv", str(folder / "csv")]) == 0
    out = capsys.readouterr().out
    assert "| dsr − static | +1.33 [-4.92, +7.58] |" in out
    assert f"- left out: {folder / 'unfinished'}: not finished, 2 of 3 epochs\n" in out
    assert (folder / "csv" / "runs.csv").exists()


def test_report_names_runs_that_have_not_begun(folder, capsys):
    (folder / directory.STUDY).write_text('{"runs": [{"name": "unfinished"}, {"name": "set-7"}]}')
    for text, line in ((None, f"{folder / 'set-7'}: not begun"), ('{"runs": 1}', "not the list")):
        if text:
            (folder / directory.STUDY).write_text(text)
        assert main(["report", str(folder)]) == 0
        out = capsys.readouterr().out
        assert line in out and "unfinished: not begun" not in out


def test_report_against_a_method(folder, capsys):
    assert main(["report", str(folder), "--against", "dsr"]) == 0
    assert "| static − dsr | -1.33 [-7.58, +4.92] |" in capsys.readouterr().out


@pytest.mark.parametrize(("argv", "said"), [
    (["report"], "give the directory of a run, or a folder that contains some"),
    (["plot"], "give the directory of a run"),
    (["report", "none"], "none: not a run directory, and no run is in it"),
    (["report", "STUDY", "--against", "sdr"], "unknown group to compare with 'sdr'; did you mean "
     "dsr?"),
    (["report", "STUDY", "--csv", "STUDY/dsr/dsr-0/config.json"], "is not a folder"),
    (["report", "STUDY/unfinished"], "no finished run: "),
    (["plot", "STUDY/dsr", "--out", "STUDY/dsr/dsr-0/config.json"], "is not a folder")])
def test_what_cannot_be_reported(argv, said, folder, capsys):
    assert main([word.replace("STUDY", str(folder)) for word in argv]) == 2
    out, err = capsys.readouterr()
    assert said in err and err.count("\n") == 1 and not out


@pytest.mark.slow
@pytest.mark.parametrize(("needs", "made_of_it"), [
    ("minidsr.run", None), ("pandas", "epochs.csv"), ("tensorboardX", "events.out.*")])
def test_the_page_is_right(needs, made_of_it, tmp_path, monkeypatch):
    """Its blocks of Python run; pandas and tensorboardX are the reader's to install."""
    pytest.importorskip(needs)
    for run in three_seeds():
        write(run, tmp_path / "runs" / "study")
    run = write(made(path="a"), tmp_path / "runs")
    monkeypatch.chdir(tmp_path)
    page = (Path(__file__).parents[2] / "lessons/notes/report.md").read_text(encoding="utf-8")
    code, = (block for block in re.findall(r"^```python\n(.*?)^```", page, re.DOTALL | re.MULTILINE)
             if f"from {needs}" in block or f"import {needs}" in block)
    names = {}
    exec(code, names)
    if made_of_it is None:
        assert [d.test[0] for d in names["differences"]] == [pytest.approx(4 / 3)]
    else:
        made_file, = run.glob(made_of_it)
        assert made_file.stat().st_size > 100
    if needs == "pandas":
        assert list(names["epochs"].test_accuracy) == [25.0, 50.0]


@pytest.mark.slow
def test_plot_of_several_runs(folder, capsys):
    assert main(["plot", str(folder / "static"), str(folder / "unfinished"), "--out",
                 str(folder / "all")]) == 0
    out, err = capsys.readouterr()
    assert str(folder / "all" / "budget.png") in out
    assert err == f"left out: {folder / 'unfinished'}: not finished, 2 of 3 epochs\n"
