"""What the command line prints: if it cannot be delivered or encoded, nothing else ends by it."""

import codecs
import os
import sys
import unicodedata
from contextlib import ExitStack, contextmanager, suppress

UNDELIVERED = 74  # exit code: a failure of input or output, in sysexits.h
SIGNS = {"×": "x", "±": "+-", "−": "-"}
SPELLED = "minidsr.spelled"  # among the ways in which codecs handle errors


class Output:
    """A text stream in whose place nothing raises OSError, and every text can be encoded.

    A line is delivered when it ends. `fault` is the first OSError, or None; what is written after
    it goes nowhere, as does what is still in buffers.
    """

    def __init__(self, stream):
        self.stream, self.fault = stream, None

    def __getattr__(self, name):
        return getattr(self.stream, name)

    def write(self, text):
        encoding = getattr(self.stream, "encoding", None) or "utf-8"
        self._try(self.stream.write, text.encode(encoding, SPELLED).decode(encoding))
        if "\n" in text:
            self.flush()
        return len(text)

    def flush(self):
        self._try(self.stream.flush)

    def _try(self, act, *args):
        if self.fault is None:
            try:
                act(*args)
            except OSError as error:
                self.fault = error
                with suppress(OSError, AttributeError), open(os.devnull, "wb") as nowhere:
                    os.dup2(nowhere.fileno(), self.stream.fileno())  # Python flushes at its end


@contextmanager
def outputs():
    """In this context sys.stdout and sys.stderr are Outputs, also where there was no stream."""
    before = sys.stdout, sys.stderr
    with ExitStack() as stack:
        sys.stdout, sys.stderr = (
            Output(stack.enter_context(open(os.devnull, "w", encoding="utf-8"))
                   if stream is None else stream) for stream in before)
        try:
            yield
        finally:
            sys.stdout.flush()
            sys.stderr.flush()
            sys.stdout, sys.stderr = before


def delivered(code):
    """The exit code when all has been printed to outputs(): `code`, but UNDELIVERED instead of 0
    where standard output failed. A reader that has gone, as head does, has got what it wanted."""
    sys.stdout.flush()
    fault = sys.stdout.fault
    if fault is None or isinstance(fault, BrokenPipeError):
        return code
    print(f"minidsr: cannot write to standard output ({fault.strerror or fault})", file=sys.stderr)
    return code or UNDELIVERED


def spelled(error):
    """For codecs: of what an encoding lacks, δ becomes delta, ő o, × x, others an escape."""
    return "".join(map(_spell, error.object[error.start:error.end])), error.end


def _spell(character):
    parts, name = unicodedata.normalize("NFKD", character), unicodedata.name(character, "")
    plain = "".join(part for part in parts if not unicodedata.combining(part))
    if plain.isascii() or character in SIGNS:
        return SIGNS.get(character, plain)
    if name.startswith("GREEK SMALL LETTER "):
        return name.split()[-1].lower()
    return "-" if name.endswith(" DASH") else character.encode("ascii", "backslashreplace").decode()


codecs.register_error(SPELLED, spelled)
