"""A training as the child of a sweep: it saves and ends when its parent is gone.

    python -m minidsr.run.child train ...   minidsr's command line, while standard input is open

Standard input is a pipe of which the parent holds the other end. The system closes it however the
parent ends, also by kill -9; the parent closes it to have the child save and end.
"""

import os
import runpy
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

from .directory import LOCK

POLL = 0.2  # seconds between looks at what has changed
TOLD_TO_END = 128 + signal.SIGTERM  # exit code of a training that saved and ended


def train_in_child(words, log, stop, cwd=None):
    """Run these words of the command line, `train` and its flags, in a child; returns its exit
    code.

    log   file to which its output is appended
    stop  a function: shall the child save and end?

    The last word is the run's directory. A process that works there is waited for: the child of a
    parent that was killed, which saves.
    """
    wait_for(Path(cwd or "", words[-1]), stop)
    if stop():
        return TOLD_TO_END
    with open(Path(cwd or "", log), "ab") as file:
        # In a process group of its own: Ctrl-C is the parent's alone, which then closes the pipe.
        # In the same session, so that `nice` of the sweep counts against other work.
        child = subprocess.Popen(
            [sys.executable, "-m", "minidsr.run.child", *words], cwd=cwd, stdin=subprocess.PIPE,
            stdout=file, stderr=subprocess.STDOUT, process_group=0,
            creationflags=getattr(subprocess, "CREATE_NEW_PROCESS_GROUP", 0))
    with child.stdin as pipe:
        while True:
            try:
                return child.wait(POLL)
            except subprocess.TimeoutExpired:
                if stop():
                    pipe.close()


def wait_for(run, stop):
    """Wait until no process works in the directory `run`, or until stop()."""
    from filelock import FileLock, Timeout

    while run.exists() and not stop():
        try:
            with FileLock(run / LOCK, blocking=False):
                return
        except Timeout:
            time.sleep(POLL)


def _end_with_parent():
    while os.read(0, 1):
        pass
    signal.raise_signal(signal.SIGTERM)


if __name__ == "__main__":
    threading.Thread(target=_end_with_parent, daemon=True).start()
    runpy.run_module("minidsr", run_name="__main__", alter_sys=True)
