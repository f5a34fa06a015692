"""A stranger's function in another process, where it may raise, print, hang, die or lie.

    with Remote("theirs.py") as theirs:
        theirs.call("apportion", 3, [1, 1], [2, 2])

It is called like one of our own: what it changes in its arguments is changed in ours. runner.py
is the other process, and says which data it understands.
"""

import json
import os
import queue
import subprocess
import sys
import threading
from contextlib import suppress

import numpy as np

from ..parameters import Sparse
from .runner import decode, encode

LINE = 20_000_000  # characters that an answer may have


class Answerless(Exception):
    """No value came back.

    kind    missing, raised, hangs, dies, or garbled: something else came where answers do
    error   the name of what was raised; line, code: where in the file, and what stands there
    """

    def __init__(self, kind, words, *, error="", line=None, code=""):
        super().__init__(words)
        self.kind, self.error, self.line, self.code = kind, error, line, code


class Remote:
    """The functions of a Python file, each call in a process that is killed when it takes too long,
    and started again for the next.

    path      a file.py, or the name of a module that can be imported here
    seconds   that a call may take
    to_load   that loading may take: the file, and what a call goes through
    python    the words that start Python there: those of a sandbox and its Python
    imports   the folder that it imports from; None: whence we do
    printed   what the last call that gave an answer has printed, from its beginning
    names     what can be called, when the file has been loaded
    """

    def __init__(self, path, *, seconds=2.0, to_load=60.0, python=(sys.executable,), imports=None):
        path = str(path)
        self.path = os.path.abspath(path) if path.endswith(".py") else path
        self.seconds, self.to_load = seconds, to_load
        self.python, self.imports = python, imports
        self.process, self.printed, self.names, self.id = None, "", [], 0

    def __enter__(self):
        return self

    def __exit__(self, *exception):
        self.close()

    def start(self):
        """Load the file, if it is not loaded. Answerless where it cannot be."""
        if self.process is None:
            command = [*self.python, "-P", "-X", "utf8", "-m", "minidsr.proof.runner", self.path]
            paths = {"PYTHONPATH": os.pathsep.join(path or os.getcwd() for path in sys.path)
                     if self.imports is None else str(self.imports)}
            self.process = subprocess.Popen(
                command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
                encoding="utf-8", errors="replace",
                env={**os.environ, **paths})
            self.lines = queue.Queue()
            self.reader = threading.Thread(target=_read, args=(self.process.stdout, self.lines),
                                           daemon=True)
            self.reader.start()
            self.ready = set()  # what calls may go through
            try:
                self.names = self._ask(self.to_load, name=None, through=None)["value"]
            except Answerless:
                self.close()
                raise

    def call(self, name, *args, through=None, seconds=None, **kwargs):
        """What the function `name` returns. Raises Answerless.

        through  "module:function" that is called instead, with the stranger's function first: what
                 it returns comes back. It takes what is no data, and is to be trusted.
        """
        self.start()
        if name not in self.names:
            raise Answerless("missing", f"there is no function {name}")
        if through and through not in self.ready:
            self._ask(self.to_load, name=None, through=through)
            self.ready.add(through)
        answer = self._ask(self.seconds if seconds is None else seconds, name=name, through=through,
                           args=encode(list(args)),
                           kwargs={key: encode(value) for key, value in kwargs.items()})
        try:
            for i, now in answer["changed"]:
                _take_over(args[i], decode(now))
            return decode(answer["value"])
        except (ValueError, KeyError, TypeError, IndexError, AttributeError, StopIteration,
                RecursionError):
            raise self._garbled() from None

    def close(self):
        """End the process."""
        if self.process:
            self.process.kill()
            self.process.wait()
            self.reader.join(1)
            with suppress(OSError):
                self.process.stdin.close()
        self.process = None

    def _ask(self, seconds, **call):
        self.id, self.printed = self.id + 1, ""
        try:
            self.process.stdin.write(json.dumps({"id": self.id, **call}) + "\n")
            self.process.stdin.flush()
            line = self.lines.get(timeout=seconds)
        except OSError:
            line = None
        except queue.Empty:
            self.close()
            raise Answerless("hangs", f"no answer within {seconds:g} s") from None
        if line is None:
            self.close()
            raise Answerless("dies", "its process ended without an answer")
        try:
            answer = json.loads(line)
            if answer["id"] != self.id:
                raise ValueError
            self.printed = str(answer["printed"])
            if "raised" not in answer:
                return answer
            kind = answer["raised"]
            raised = Answerless("raised", f"{kind}: {answer['text']}".removesuffix(": "),
                                error=kind, line=answer["line"], code=answer["code"])
        except (ValueError, TypeError, KeyError, RecursionError):
            raise self._garbled() from None
        raise raised

    def _garbled(self):
        self.close()
        return Answerless("garbled", "something else came where its answer should")


def _read(stream, lines):
    with stream:
        while line := stream.readline(LINE):
            lines.put(line)
    lines.put(None)


def _take_over(mine, theirs):
    """Change an argument as it was changed there."""
    if isinstance(mine, Sparse):
        vars(mine).update(vars(theirs))
    elif isinstance(mine, np.random.Generator):
        mine.bit_generator.state = theirs.bit_generator.state
    elif isinstance(mine, np.ndarray):
        if mine.shape != theirs.shape:
            mine.resize(theirs.shape, refcheck=False)
        mine[...] = theirs
    elif isinstance(mine, list):
        if len(mine) == len(theirs) and all(isinstance(x, Sparse) for x in mine):
            for x, y in zip(mine, theirs, strict=True):
                _take_over(x, y)
        else:
            mine[:] = theirs
    elif isinstance(mine, dict):
        mine.clear()
        mine.update(theirs)
