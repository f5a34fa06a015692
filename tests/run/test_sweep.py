"""Sweeps as a user starts them: killed, gone on with, with runs that fail; on Dask, too."""

import json
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest
from filelock import FileLock
from tiny import write_cifar10

from minidsr.__main__ import main
from minidsr.run import cluster, directory, estimate, sweep
from minidsr.run.child import train_in_child, wait_for
from minidsr.run.study import plan
from minidsr.run.train import train

pytestmark = pytest.mark.slow  # processes

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A folder with a data set."""
    folder = tmp_path_factory.mktemp("sweep")
    write_cifar10(folder / "data")
    return folder


def write(path, text):
    """A file of a study of tiny runs."""
    path.write_text(f"""
        data = "cifar10"
        data_dir = '{path.parent / "data"}'
        model = "lenet-300-100"
        batch = 20
        engine = "blocked"
        device = "cpu"
        lr = 0.02
        periods = [2]
        period_milestones = []
        {text}""", encoding="utf-8")
    return path


def begin(*argv):
    return subprocess.Popen([sys.executable, "-m", "minidsr", *map(str, argv)], cwd=ROOT,
                            stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def until(happened, seconds=120):
    """Wait until `happened`(), a function, is true."""
    end = time.monotonic() + seconds
    while not happened():
        assert time.monotonic() < end
        time.sleep(0.02)


def fails(capsys, argv, code=2):
    """The line on standard error with which the command ends."""
    capsys.readouterr()
    assert main([str(word) for word in argv]) == code
    return capsys.readouterr().err.splitlines()[-1]


def bytes_of(run):
    return (run / "checkpoint.npz").read_bytes()


def whole(run, out):
    """checkpoint.npz of a planned run that nothing interrupts."""
    train(run.config, out=out)
    return bytes_of(out)


@pytest.fixture(scope="module")
def killed(folder):
    """(file, folder) of a sweep that was killed twice in the middle of its first run, and then
    interrupted."""
    file, out = write(folder / "study.toml", """
        epochs = 30
        methods = ["dsr"]
        [[runs]]
        name = "broken"
        lr = 1e30
        [[runs]]
        name = "from"
        methods = ["static"]
        values = "final"
        structure_from = "dsr-0.9-{seed}"
        [[runs]]
        name = "after"
        methods = ["static"]
        structure_from = "broken-dsr-0.9-0"
        """), folder / "out"
    run = out / "dsr-0.9-0"
    for signum in (signal.SIGKILL, signal.SIGKILL, signal.SIGINT):
        before = sweep.epochs_done(run)
        process = begin("sweep", file, "--out", out, "--jobs", "1")
        until(lambda before=before: sweep.epochs_done(run) > before + 1)
        process.send_signal(signum)
        _, err = process.communicate(timeout=120)
        wait_for(run, lambda: False)  # the child saves, and ends
        assert before + 1 < sweep.epochs_done(run) < 30
    assert process.returncode == 130
    assert err.splitlines()[-1] == (f"minidsr: interrupted by SIGINT; saved in {out}, the same "
                                    "command goes on")
    return file, out


def test_killed_twice_and_gone_on_with(killed, tmp_path, capsys):
    """The end is that of runs without a break, to the byte; what failed is told, with why."""
    file, out = killed
    argv = ["sweep", str(file), "--out", str(out), "--jobs", "3"]
    log = (out / "logs" / "dsr-0.9-0.log").read_text()
    assert log.count("interrupted by SIGTERM; saved in ") == 3
    # what starts from a run is no command until that is complete
    assert main([*argv, "--commands"]) == 0
    command, broken = capsys.readouterr().out.splitlines()
    assert "--out " in command and "broken" in broken
    subprocess.run(command, shell=True, check=True, cwd=ROOT, capture_output=True)
    assert main([*argv, "--commands"]) == 0
    assert [line.split("/")[-1] for line in capsys.readouterr().out.splitlines()] == [
        "broken-dsr-0.9-0", "from-static-0.9-0"]
    assert main(argv) == 1
    said, err = capsys.readouterr()
    assert "4 runs in " in said and "1 complete" in said
    assert "from-static-0.9-0: done in " in said and "dsr-0.9-0: begins" in said
    err = err[err.index("failed:"):].splitlines()
    assert err[1].startswith("  broken-dsr-0.9-0: the loss is not finite at epoch 1")
    assert err[2:] == [
        "  after-static-0.9-0: starts from broken-dsr-0.9-0, which failed",
        f"minidsr: 2 of 4 runs failed; {out / 'logs'} has what they said, and the same command "
        "tries them again"]
    runs = {run.name: run for run in plan(out, {}, file)}
    for name in ("dsr-0.9-0", "from-static-0.9-0"):
        assert bytes_of(out / name) == whole(runs[name], tmp_path / name)
    assert [run["name"] for run in json.loads((out / "study.json").read_text())["runs"]] == [*runs]
    assert {path.name for path in out.iterdir()} == {
        "study.json", "logs", *runs.keys()} - {"after-static-0.9-0"}


@pytest.mark.parametrize(("saved", "said"), [
    (False, "begins"), (True, "goes on in the first epoch")])
def test_how_a_run_begins_is_said(saved, said, tmp_path, capsys):
    (run,) = plan(tmp_path, {"methods": ["static"]})
    (tmp_path / run.name).mkdir()
    if saved:
        (tmp_path / run.name / "checkpoint.npz").touch()
    board = sweep._Board([run], tmp_path)
    board.begin(run, None)
    board.close()
    assert f"static-0.9-0: {said}\n" in "".join(capsys.readouterr())


def test_another_study_in_the_same_folder(killed, capsys):
    file, out = killed
    before = bytes_of(out / "dsr-0.9-0")
    line = fails(capsys, ["sweep", file, "--out", out, "--epochs", "31"])
    assert "was begun with epochs 30, not 31" in line
    assert f"{out / 'dsr-0.9-0'}: is a run" in fails(capsys, [
        "sweep", file, "--out", out / "dsr-0.9-0"])
    assert bytes_of(out / "dsr-0.9-0") == before


def test_what_another_process_still_saves_is_waited_for(tmp_path):
    """Until then no child begins; nor does one when the sweep is told to end meanwhile."""
    looks = iter([False] * 5)
    with FileLock(tmp_path / directory.LOCK):
        code = train_in_child(["train", str(tmp_path)], tmp_path / "log", lambda: next(looks, True))
    assert code == 143 and next(looks, None) is None
    assert {path.name for path in tmp_path.iterdir()} <= {directory.LOCK}


def test_hours_from_steps_that_are_measured(folder, tmp_path, capsys, monkeypatch):
    """Once of each kind of run."""
    measured, seconds = [], estimate.seconds
    monkeypatch.setattr(estimate, "seconds", lambda *a: measured.append(a) or seconds(*a))
    file = write(folder / "dry.toml", "epochs = 3\nmethods = ['dsr', 'dense']\nseeds = [0, 1]")
    assert main(["sweep", str(file), "--out", str(tmp_path / "out"), "--dry-run", "--jobs",
                 "2"]) == 0
    header, _, *rows = capsys.readouterr().out.splitlines()
    assert [row.split()[:2] for row in rows[:4]] == [
        ["dsr-0.9-0", "0/3"], ["dense-0", "0/3"], ["dsr-0.9-1", "0/3"], ["dense-1", "0/3"]]
    assert header.split()[:2] == ["run", "epochs"]
    assert "4 runs, 0.00 hours left; with 2 at a time" in rows[5]
    assert "Measured: 2 kinds of run" in rows[6] and len(measured) == 2
    assert not (tmp_path / "out").exists()


def test_what_is_wrong_is_told_before_anything_starts(folder, tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(cluster, "CONNECT", 0.1)
    out = tmp_path / "out"
    for argv, said in (
            (["--methods", "dsr", "--lr", "-1"], "lr must be in"),
            (["--methods", "dsr", "--jobs", "0"], "jobs must be in"),
            (["--methods", "dsr", "--data", "mnist", "--data-dir", folder], "data fetch mnist"),
            (["--methods", "dsr", "--dask", "tcp://127.0.0.1:1"], "no scheduler answers there"),
            (["--epochs", "3"], "give one method at least"),
            ([folder / "none.toml"], f"{folder / 'none.toml'}: ")):
        if "--dask" in argv:
            pytest.importorskip("distributed")
        assert said in fails(capsys, ["sweep", *argv, "--out", out])
        assert not out.exists()


def test_on_dask_a_worker_is_killed(folder, tmp_path, capsys):
    """Its run is gone on with by the other one, and ends the same to the byte."""
    distributed = pytest.importorskip("distributed", reason="needs Dask: pip install minidsr[dask]")
    file, out = write(folder / "dask.toml", "epochs = 20\nmethods = ['dsr']"), tmp_path / "out"
    run, = plan(out, {}, file)
    with distributed.LocalCluster(n_workers=0, dashboard_address=None) as local:
        address = local.scheduler_address
        command = [sys.executable, "-m", "distributed.cli.dask_worker", address, "--no-nanny",
                   "--nthreads", "1", "--no-dashboard", "--local-directory", str(tmp_path)]
        workers = [subprocess.Popen(command, cwd=ROOT, stderr=subprocess.DEVNULL)
                   for _ in range(2)]
        client = distributed.Client(address)
        client.wait_for_workers(2)

        def kill():
            until(lambda: sweep.epochs_done(out / run.name) > 1)
            pids = client.run(os.getpid)
            os.kill(next(pids[worker] for worker, tasks in client.processing().items() if tasks),
                    signal.SIGKILL)

        killer = threading.Thread(target=kill)
        killer.start()
        assert main(["sweep", str(file), "--out", str(out), "--dask", address]) == 0
        killer.join()
        client.close()
        for worker in workers:
            worker.terminate()
        assert sorted(worker.wait() for worker in workers)[0] == -signal.SIGKILL
    assert "1 done" in capsys.readouterr().out
    log = (out / "logs" / f"{run.name}.log").read_text()
    assert log.count("interrupted by SIGTERM; saved in") == 1
    assert bytes_of(out / run.name) == whole(run, tmp_path / "whole")
    assert directory.read_config(out / run.name).threads == 1
