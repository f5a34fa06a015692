"""Many trainings, each in a process of its own: how the runs of a study.plan() are carried out.

In the folder of a study, beside a directory for each run, are

    study.json   the runs: name, config, the run that each starts from
    logs/        what each training has printed

A run that is complete is left alone, any other is begun or gone on with. So a sweep that ended in
any way goes on when it is started again.
"""

import re
import shlex
import signal
import sys
import threading
import time
from concurrent.futures import FIRST_COMPLETED, ThreadPoolExecutor, wait
from pathlib import Path

from .. import data
from ..backend import choose_device
from ..checks import check_folder, check_range
from ..fast.parallel import available_cores
from . import directory
from .child import POLL, train_in_child
from .history import History
from .progress import Interrupted, TrainingError, signals
from .study import words

LOGS = "logs"
TAIL = 4096  # bytes at the end of a log in which its last line is looked for


class Here:
    """Where runs are trained: so many at a time on this machine, with so many threads each."""

    def __init__(self, jobs, threads):
        self.jobs, self.threads, self._stop = jobs, threads, threading.Event()

    def slots(self):
        """How many runs can be trained at a time."""
        return self.jobs

    def train(self, words, log):
        """Train in a child; returns its exit code."""
        return train_in_child(words, log, self._stop.is_set)

    def stop(self):
        """Have all children save and end; no other begins."""
        self._stop.set()


def here(runs, jobs=None):
    """Here for these runs: one on each core, or as many as `jobs`; with one GPU, one."""
    gpu = any(choose_device(run.config.device) == "gpu" for run in runs)
    cores = available_cores()
    if jobs is None:
        each = max(run.config.threads or 1 for run in runs)
        jobs = 1 if gpu else min(len(runs), max(1, cores // each))
    check_range("jobs", jobs, 1, 1024)
    return Here(jobs, max(1, cores // jobs))


def check_runs(runs, out):
    """Raise ValueError unless `out` may be the folder of this study: what is in it of its runs is
    of these."""
    check_folder(out)
    if directory.has_run(out):
        raise ValueError(f"{out}: is a run; choose another --out")
    for run in runs:
        directory.settled(Path(out) / run.name, run.config)


def check_data(runs):
    """Raise DataError unless the data sets of the runs are there."""
    for name, folder in {(run.config.data, run.config.data_dir): None for run in runs}:
        data.load(name, folder)


def commands(runs, out, threads=None):
    """The command lines of the runs that are not complete and can begin now, for a shell."""
    done = {run.name for run in runs if complete(Path(out) / run.name, run.config)}
    return [shlex.join([sys.executable, "-m", "minidsr", *words(run, out, threads)])
            for run in runs if run.name not in done and (run.after is None or run.after in done)]


def complete(run, config):
    """Is the training in the directory `run` at its end? Not if its files are damaged: `train` says
    what is wrong with them."""
    try:
        _, records = directory.reached(run)
        path = Path(run) / directory.METRICS
        last = History.load(path, first=records).records[-1] if records else {}
    except directory.CheckpointError:
        return False
    return last.get("epoch") == config.epochs


def epochs_done(run):
    """How many epochs of the run in the directory `run` have ended, perhaps one too many."""
    try:
        return (Path(run) / directory.METRICS).read_bytes().count(b'{"kind": "epoch"')
    except OSError:
        return 0


def sweep(runs, out, where):
    """Train the runs in the folder `out` that are not complete; `where` is Here or a Cluster.

    One that fails stops no other but those that start from it. Raises TrainingError at the end
    where some failed, and Interrupted after Ctrl-C or SIGTERM, when all is saved.
    """
    out = Path(out)
    (out / LOGS).mkdir(parents=True, exist_ok=True)
    directory.write_json(out / directory.STUDY, {"runs": [
        {"name": run.name, "after": run.after, "config": run.config.resolved()} for run in runs]})
    board = _Board(runs, out)
    try:
        with ThreadPoolExecutor(len(runs)) as pool, signals() as caught:
            try:
                while (board.waiting or board.running) and not caught:
                    _begin(board, pool, where)
                    ended, _ = wait(board.running, POLL, FIRST_COMPLETED)
                    for future in ended:
                        board.end(future)
                    board.show()
                    if not board.running:  # a cluster without workers
                        time.sleep(POLL)
            finally:
                where.stop()
    finally:
        board.close()
    if caught:
        raise Interrupted(caught[0], out, "the same command goes on")
    if board.failed:
        failed = "\n".join(f"  {name}: {said}" for name, said in board.failed.items())
        print(f"\nfailed:\n{failed}", file=sys.stderr)
        raise TrainingError(f"{len(board.failed)} of {len(runs)} runs failed; {out / LOGS} has "
                            "what they said, and the same command tries them again")


def _begin(board, pool, where):
    """Begin as many runs as may begin now."""
    for run in board.ready()[:max(0, where.slots() - len(board.running))] if board.waiting else []:
        board.begin(run, pool.submit(where.train, words(run, board.out, where.threads),
                                     board.log(run)))


class _Board:
    """Which runs are waiting, running, done, failed; and what is seen of it."""

    def __init__(self, runs, out):
        from tqdm import tqdm

        self.runs, self.out, self.running, self.failed = runs, out, {}, {}
        self.done = {run.name for run in runs if complete(out / run.name, run.config)}
        self.waiting = [run for run in runs if run.name not in self.done]
        self.epochs = {run.name: epochs_done(out / run.name) for run in runs}
        self.before = sum(self.epochs.values())
        self.began = {"": time.monotonic()}  # all, then each run
        self.bar = tqdm(total=sum(run.config.epochs for run in runs), disable=None, leave=False,
                        dynamic_ncols=True, bar_format="{percentage:3.0f} % |{bar:12}| {desc}")
        self.bar.write(f"{len(runs)} run{'s' * (len(runs) > 1)} in {out}, {len(self.done)} "
                       "complete")

    def log(self, run):
        return self.out / LOGS / f"{run.name}.log"

    def ready(self):
        """The runs that may begin. What starts from a run that failed has failed."""
        for run in [run for run in self.waiting if run.after in self.failed]:
            self.waiting.remove(run)
            self._fail(run, f"starts from {run.after}, which failed")
        return [run for run in self.waiting if run.after is None or run.after in self.done]

    def begin(self, run, future):
        self.waiting.remove(run)
        self.running[future], self.began[run.name] = run, time.monotonic()
        epochs = self.epochs[run.name]
        saved = (self.out / run.name / directory.CHECKPOINT).exists()
        self.bar.write(f"{run.name}: " + (
            f"goes on after epoch {epochs} of {run.config.epochs}" if epochs else
            "goes on in the first epoch" if saved else "begins"))

    def end(self, future):
        """A run has ended, well or not."""
        run = self.running.pop(future)
        self.epochs[run.name] = epochs_done(self.out / run.name)
        fault = _fault(future, self.log(run))
        if fault:
            self._fail(run, fault)
        elif not complete(self.out / run.name, run.config):
            self._fail(run, f"has ended, but is not complete in {self.out / run.name}")
        else:
            self.done.add(run.name)
            history = History.load(self.out / run.name / directory.METRICS)
            accuracies = {"validation": history.validation_accuracy, "test": history.test_accuracy}
            said = ", ".join(f"{part} accuracy {accuracy:.2f} %"
                             for part, accuracy in accuracies.items() if accuracy is not None)
            self.bar.write(f"{run.name}: done in {self._since(run.name)}, {said}; {self.state()}")

    def show(self):
        """Bring the bar up to date, if there is one."""
        if not self.bar.disable:
            for run in self.running.values():
                self.epochs[run.name] = epochs_done(self.out / run.name)
            self.bar.n = self.bar.total - self._left()
            at = ", ".join(f"{run.name} {self.epochs[run.name]}/{run.config.epochs}"
                           for run in self.running.values())
            self.bar.set_description_str(f"{self.state()}: {at}")

    def state(self):
        """How many runs are in which state, and how long it will take."""
        counts = (f"{len(self.done)} done, {len(self.running)} running, "
                  f"{len(self.failed)} failed")
        trained, left = sum(self.epochs.values()) - self.before, self._left()
        if trained <= 0 or not left:
            return counts
        seconds = (time.monotonic() - self.began[""]) * left / trained
        return f"{counts}, {self.bar.format_interval(seconds)} left"

    def close(self):
        self.bar.close()

    def _fail(self, run, fault):
        self.failed[run.name] = fault
        self.bar.write(f"{run.name}: FAILED, {fault}; {self.state()}")

    def _left(self):
        """How many epochs are to be trained."""
        return sum(run.config.epochs - self.epochs[run.name]
                   for run in (*self.waiting, *self.running.values()))

    def _since(self, name):
        return self.bar.format_interval(time.monotonic() - self.began[name])


def _fault(future, log):
    """What was wrong with a run, in one line, or None."""
    error = future.exception()
    if error is not None:
        kind = "" if isinstance(error, TrainingError) else f"{type(error).__name__}: "
        return f"{kind}{' '.join(str(error).split()):.300}"
    code = future.result()
    if code == 0:
        return None
    if code < 0:
        return f"ended by {signal.Signals(-code).name}"
    with open(log, "rb") as file:
        file.seek(max(0, log.stat().st_size - TAIL))
        lines = re.split(r"[\r\n]+", file.read().decode(errors="replace").strip())
    return lines[-1].removeprefix("minidsr: ") or f"exit code {code}"
