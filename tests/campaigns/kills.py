"""Training killed, by the hundred, and resumed: it must end as if nothing had happened.

    python tests/campaigns/kills.py --count 120 --seed 0   so many runs, one to six kills each
    python tests/campaigns/kills.py --seed 0 --only 17     one run again

Each run trains a small network for six steps, by one method and engine after the other, in a
process that is forked. It is killed, resumed, killed again, and at last let through. A kill is one
of

    operation  SIGKILL before a file operation: mkdir, open, write, fsync, replace or unlink
    write      SIGKILL in the middle of a write, when half of its bytes are in the file
    crash      the machine stops before a file operation: what was not fsynced is lost
    tear       the same, but any part of it is lost: content and names, each or not
    moment     SIGKILL from outside, at any moment
    process    the same of a real `python -m minidsr train`

At the end checkpoint.npz must have the same bytes as that of a run without kills, so must
config.json, and metrics.jsonl the same records, but for times. After each kill the checkpoint must
be there that was written last. Anything else is a fault. Files are those of this machine, except
that fsync only notes what is safe, so that a crash can be played without one. Numbers are drawn
from (seed, case); moments depend on the machine, too. Exit code 1 if there is a fault.
"""

import argparse
import builtins
import io
import itertools
import json
import os
import pickle
import shutil
import signal
import stat
import subprocess
import sys
import time
import traceback
import warnings
from collections import Counter
from dataclasses import asdict, replace
from pathlib import Path
from tempfile import TemporaryDirectory
from types import SimpleNamespace

import numpy as np

sys.path.insert(0, str(Path(__file__).parents[1]))

from tiny import with_moves, write_cifar10  # noqa: E402

from minidsr.methods import METHODS  # noqa: E402
from minidsr.run import directory, start, train  # noqa: E402
from minidsr.run.config import Config  # noqa: E402

ENGINES = ("plain", "blocked", "sparse", "auto")
KINDS = ("operation", "write", "crash", "tear", "moment", "process")
SHARES = (0.25, 0.15, 0.25, 0.2, 0.1, 0.05)


# --- the disk


class Disk:
    """The folder of a run, in a process that will be killed: its file operations, one by one, and
    what of them is safe. What a killed one before it has left unsafe is not forgotten.

    done  the operations so far, as (what, name)
    """

    def __init__(self, folder, kind=None, at=None, rng=None):
        """kind: of the kill. at: before which operation, as ((what, name), how many of these)."""
        self.folder, self.kind, self.at, self.rng = folder, kind, at, rng
        self.done, self.files, self.numbers = [], {}, itertools.count(1)
        self.memory = folder.with_name("disk")
        if self.memory.exists():
            vars(self).update(pickle.loads(self.memory.read_bytes()))
            self.memory.unlink()
            return
        self.safe_folder = folder.exists()
        self.names = {}  # {name: number of the file}, as the process sees them
        for path in folder.iterdir() if self.safe_folder else ():
            self.names[path.name] = next(self.numbers)
        self.safe = {number: self.content(name) for name, number in self.names.items()}
        self.safe_names, self.pending = dict(self.names), []  # [(name, number or None)], in order

    def content(self, name):
        return (self.folder / name).read_bytes()

    def within(self, path):
        """The name of `path` if it is a file of the folder, else None."""
        if isinstance(path, int):
            return None
        path = os.path.abspath(path)
        return os.path.basename(path) if os.path.dirname(path) == str(self.folder) else None

    def before(self, what, name):
        """An operation is about to happen: here the process may end."""
        self.done.append((what, name))
        if self.at and (what, name) == self.at[0] and self.done.count(self.at[0]) == self.at[1]:
            if self.kind == "write":
                return True
            self.end()
        return False

    def end(self):
        """What a kill of this kind leaves, then SIGKILL."""
        if self.kind in ("crash", "tear"):
            self.crash()
        else:
            self.memory.write_bytes(pickle.dumps({name: getattr(self, name) for name in (
                "safe_folder", "safe_names", "safe", "names", "pending", "numbers")}))
        os.kill(os.getpid(), signal.SIGKILL)

    def crash(self):
        """Leave what outlasts a crash of the machine: of what is not safe, nothing or a part."""
        def kept():
            return self.kind == "tear" and self.rng.random() < 0.5

        if not self.safe_folder and not kept():
            shutil.rmtree(self.folder, ignore_errors=True)
            return
        names = dict(self.safe_names)
        for changes in self.pending:
            if kept():
                names |= changes
        left = {}
        for name, number in names.items():
            if number is not None:
                safe, now = self.safe.get(number, b""), self.now(number)
                left[name] = safe
                if kept() and now.startswith(safe):
                    cut = int(self.rng.integers(len(safe), len(now) + 1))
                    left[name] = now[:cut] + (b"" if kept() else bytes(len(now) - cut))
        for name in self.names:
            os.remove(self.folder / name)
        for name, content in left.items():
            (self.folder / name).write_bytes(content)

    def now(self, number):
        """The content of a file, also of one whose name has gone."""
        for name, other in self.names.items():
            if other == number:
                return self.content(name)
        return self.safe.get(number, b"")

    def rename(self, **changes):
        """Give these names to these files, or to none."""
        self.names |= changes
        self.names = {name: number for name, number in self.names.items() if number is not None}
        self.pending.append(changes)

    def created(self, name):
        if name not in self.names:
            self.rename(**{name: next(self.numbers)})

    def sync(self, fd):
        """fsync() of a file or folder: it is safe from now on."""
        found = os.fstat(fd)
        if not stat.S_ISDIR(found.st_mode):
            name = self.files[fd]
            self.before("fsync", name)
            self.safe[self.names[name]] = self.content(name)
        elif os.path.samestat(found, os.stat(self.folder)):
            self.before("fsync", "folder")
            self.safe_names, self.pending = dict(self.names), []
        elif os.path.samestat(found, os.stat(self.folder.parent)):
            self.before("fsync", "parent")
            self.safe_folder = True

    def watch(self):
        """From now on all file operations of this process in the folder are seen. For good."""
        real = SimpleNamespace(open=open, os_open=os.open, replace=os.replace, unlink=os.unlink,
                               mkdir=os.mkdir)

        def opened(path, mode="r", buffering=-1, encoding=None, errors=None, newline=None, **rest):
            name = self.within(path)
            if name is None or not set(mode) & set("wxa+"):
                return real.open(path, mode, buffering, encoding, errors, newline, **rest)
            self.before("open", name)
            file = io.BufferedWriter(Written(self, path, name, mode.replace("b", "")))
            self.created(name)
            return file if "b" in mode else io.TextIOWrapper(file, encoding, errors, newline)

        def os_opened(path, flags, *rest, **options):
            name = self.within(path)
            if name and flags & os.O_CREAT:
                self.before("open", name)
                self.created(name)
            return real.os_open(path, flags, *rest, **options)

        def replaced(source, target, **options):
            old, new = self.within(source), self.within(target)
            self.before("replace", new)
            real.replace(source, target, **options)
            self.rename(**{new: self.names[old], old: None})

        def unlinked(path, **options):
            name = self.within(path)
            if name:
                self.before("unlink", name)
            real.unlink(path, **options)
            if name:
                self.rename(**{name: None})

        def made(path, *rest, **options):
            if os.path.abspath(path) == str(self.folder):
                self.before("mkdir", "folder")
            real.mkdir(path, *rest, **options)

        builtins.open = io.open = opened
        os.open, os.replace, os.unlink, os.mkdir = os_opened, replaced, unlinked, made
        os.fsync = self.sync


class Written(io.FileIO):
    """A file that is written to, in the folder of a Disk."""

    def __init__(self, disk, path, name, mode):
        super().__init__(path, mode)
        self.disk, self.called = disk, name
        disk.files[self.fileno()] = name

    def write(self, content):
        if self.disk.before("write", self.called):
            super().write(bytes(content)[:len(content) // 2])
            self.disk.end()
        return super().write(content)


# --- one run


class Campaign:
    """Trainings in a folder: `configs` of all methods and engines, and what they come to."""

    def __init__(self, folder):
        self.folder = Path(folder).resolve()
        data = write_cifar10(self.folder / "data", images=10)
        tiny = Config(data="cifar10", data_dir=str(data), model="wrn-10-0.25", batch=20, epochs=2,
                      lr=0.02, periods=(1, 2), period_milestones=(0.5,), checkpoint_seconds=2.0,
                      device="cpu", threads=1)
        some = {"dst": {"alpha": 0.1}, "deepr": {"temperature": 1e-3}, "itop": {"interval": 2}}
        self.configs = {(method, engine): replace(with_moves(tiny, method), engine=engine,
                                                  **some.get(method, {}))
                        for method in METHODS for engine in ENGINES}
        self.whole = {}  # {(method, engine): (what the run leaves, its operations, its seconds)}
        for method in ("dsr", "dense"):  # imported and compiled before anything is forked
            train.train(self.configs[method, "sparse"], out=self.folder / method)

    def attempt(self, case, rng, most):
        """(method, engine, the kills, at most so many, "" or what is wrong) of a run."""
        methods = list(METHODS)
        q, r = divmod(case, len(methods))
        method, engine = methods[r], ENGINES[(q + r) % 4]
        config, run = self.configs[method, engine], self.folder / "run"
        if (method, engine) not in self.whole:
            begun = time.monotonic()
            self.train(config, run)
            seconds = time.monotonic() - begun
            operations = Counter(map(tuple, json.loads(self.note("done"))))
            self.whole[method, engine] = contents(run), operations, seconds
            self.clear(run)
        expected, operations, seconds = self.whole[method, engine]
        kills = []
        try:
            for _ in range(rng.integers(1, most + 1)):
                kind = str(rng.choice(KINDS, p=SHARES))
                often = rng.random() < 0.5  # what happens at each checkpoint, or while it begins
                choice = sorted(which for which, count in operations.items() if (count > 1) == often
                                and (kind != "write" or which[0] == "write"))
                which = choice[rng.integers(len(choice))]
                at = which, int(rng.integers(operations[which]) + 1) if rng.random() < 0.5 else 1
                delay = rng.random() * seconds
                if kind == "process":
                    killed = self.kill_process(config, run, delay)
                elif kind == "moment":
                    killed = self.train(config, run, delay=delay)
                else:
                    killed = self.train(config, run, kind, at, rng)
                if kind in ("moment", "process"):  # nothing is known of what is safe
                    (self.folder / "disk").unlink(missing_ok=True)
                if killed:
                    kills.append(kind if kind in ("moment", "process") else
                                 f"{kind} at {' '.join(at[0])} {at[1]}")
                self.check_promise(run)
            self.train(config, run)
            found = contents(run)
            odd = [name for name in found.keys() | expected.keys()
                   if found.get(name) != expected.get(name)]
            return method, engine, kills, f"{', '.join(sorted(odd))} differ" if odd else ""
        except (Fault, directory.CheckpointError) as fault:
            return method, engine, kills, str(fault)
        finally:
            self.clear(run)

    def train(self, config, run, kind=None, at=None, rng=None, *, delay=None):
        """Train in a process that is forked; was it killed? Raises Fault where it fails."""
        sys.stdout.flush()
        with warnings.catch_warnings():  # the child runs no thread of ours
            warnings.simplefilter("ignore", DeprecationWarning)
            pid = os.fork()
        if pid == 0:
            try:
                self._train(config, run, Disk(run, kind, at, rng))
                os._exit(0)
            except BaseException:
                (self.folder / "error").write_text(traceback.format_exc())
                os._exit(1)
        ends = None if delay is None else time.monotonic() + delay
        while ends:
            done, status = os.waitpid(pid, os.WNOHANG)
            if done:
                break
            if time.monotonic() > ends:
                os.kill(pid, signal.SIGKILL)
                ends = None
            time.sleep(0.002)
        else:
            _, status = os.waitpid(pid, 0)
        if os.WIFEXITED(status) and os.WEXITSTATUS(status):
            raise Fault(self.note("error").splitlines()[-1])
        return os.WIFSIGNALED(status)

    def _train(self, config, run, disk):
        ticks, save = itertools.count(), directory.save
        train.time = SimpleNamespace(monotonic=lambda: next(ticks), perf_counter=time.perf_counter)
        start.environment = lambda device: {}  # which asks git

        def promising(path, state):
            save(path, state)
            with real_open(self.folder / "promise", "w") as file:
                file.write(str(state["t"]))

        real_open, directory.save = open, promising
        disk.watch()
        train.train(config, out=run, resume=True)
        with real_open(self.folder / "done", "w") as file:
            file.write(json.dumps(disk.done))

    def kill_process(self, config, run, delay):
        """Train by the command line; kill that so long after it has begun. Was it killed?"""
        command = [sys.executable, "-m", "minidsr", "train", "--out", run, "--resume"]
        left_out = dict.fromkeys(("options", "extended_from", "extended_at"))
        for name, value in (asdict(config) | left_out).items():
            flag = f"--{name.replace('_', '-')}"
            if isinstance(value, bool):
                command += [flag if value else flag.replace("--", "--no-")]
            elif value is not None:
                command += [flag, *map(str, value if isinstance(value, tuple) else [value])]
        config_json = run / directory.CONFIG
        before = config_json.stat().st_ino if config_json.exists() else None
        process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        while process.poll() is None and not (
                config_json.exists() and config_json.stat().st_ino != before):
            time.sleep(0.002)
        try:
            process.wait(delay)
        except subprocess.TimeoutExpired:
            process.kill()
        _, errors = process.communicate()
        if process.returncode > 0:
            raise Fault(errors.decode().splitlines()[-1])
        return process.returncode < 0

    def check_promise(self, run):
        """Raises Fault where the checkpoint that was written last is gone."""
        promised = self.note("promise")
        path = run / directory.CHECKPOINT
        if promised and not (path.exists() and directory.load(path)["t"] >= int(promised)):
            raise Fault(f"the checkpoint of step {promised} was written, and is gone")

    def note(self, name):
        path = self.folder / name
        return path.read_text() if path.exists() else ""

    def clear(self, run):
        shutil.rmtree(run, ignore_errors=True)
        for name in ("promise", "done", "error", "disk"):
            (self.folder / name).unlink(missing_ok=True)


class Fault(Exception):
    """A run that was killed does not go on as it must."""


def contents(run):
    """{name: content} of the files of a run, without what measures time, and without the lock."""
    found = {path.name: path.read_bytes() for path in run.iterdir() if path.name != directory.LOCK}
    records = map(json.loads, found[directory.METRICS].splitlines())
    found[directory.METRICS] = [record | {"images_per_s": 0} for record in records]
    del found[directory.ENVIRONMENT]
    return found


def campaign(count, seed, *, only=None, most=6):
    """Try `count` runs, with one to `most` kills each; returns a Counter of kills by (method,
    engine, kind), and [(case, what, fault)] of all that are wrong."""
    kills, faults = Counter(), []
    with TemporaryDirectory() as folder:
        runs = Campaign(folder)
        for case in range(count) if only is None else [only]:
            rng = np.random.default_rng([seed, case])
            method, engine, done, fault = runs.attempt(case, rng, most)
            kills.update((method, engine, kill.split()[0]) for kill in done)
            if fault:
                faults.append((case, f"{method}, {engine}: {'; '.join(done)}", fault))
    return kills, faults


def main(argv=None):
    """Run the campaign that the command line asks for; returns the exit code."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--count", type=int, default=120)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--only", type=int, help="the number of one run")
    args = parser.parse_args(argv)
    begun = time.monotonic()
    kills, faults = campaign(args.count, args.seed, only=args.only)
    print(f"{'kills of':12}" + "".join(f"{engine:>9}" for engine in ENGINES))
    for method in METHODS:
        print(f"{method:12}" + "".join(f"{_of(kills, method, engine):9}" for engine in ENGINES))
    print(", ".join(f"{_of(kills, kind)} {kind}" for kind in KINDS)
          + f": {kills.total():,} kills, {len(faults)} different; seed {args.seed}, "
          f"{time.monotonic() - begun:.0f} s")
    for case, what, fault in faults:
        print(f"  case {case}: {what}: {fault}")
    return int(bool(faults))


def _of(kills, *what):
    return sum(n for key, n in kills.items() if set(what) <= set(key))


if __name__ == "__main__":
    sys.exit(main())
