"""What a person sees of a training, and what may end it early: faults, Ctrl-C and SIGTERM."""

import signal
import sys
import threading
from contextlib import contextmanager, suppress

from ..backend import choose_device, describe_device
from ..data import DataError
from ..data.batches import PARTS
from ..fast.engine import missed


class TrainingError(RuntimeError):
    """Training cannot go on: a loss or weight is not finite, or a checkpoint cannot be written."""


class Interrupted(Exception):
    """Ctrl-C or SIGTERM arrived; the run is saved, if it has a directory. `signum` says which."""

    def __init__(self, signum, out, how="go on with --resume"):
        saved = "nothing was kept" if out is None else f"saved in {out}, {how}"
        super().__init__(f"interrupted by {signal.Signals(signum).name}; {saved}")
        self.signum = signum


class ProgramError(RuntimeError):
    """The program is wrong, not its input."""


def say_what_computes(config):
    """Which GPU `auto` has found; what an engine that is missing costs."""
    device = choose_device(config.device)
    if device == "gpu":
        print(f"on {describe_device(device)}", file=sys.stderr)
    line = missed(config.engine, device)
    if line:
        print(line, file=sys.stderr)


@contextmanager
def computing():
    """In this context all input has been read and checked, but for images that stay on disk: a
    ValueError is a ProgramError, if it is no DataError."""
    try:
        yield
    except DataError:
        raise
    except ValueError as error:
        raise ProgramError(f"the program is wrong, not its input: {error}") from error


@contextmanager
def signals():
    """In this context Ctrl-C and SIGTERM are noted in the list given; a second one acts at once."""
    caught, previous = [], {}

    def note(signum, frame):
        caught.append(signum)
        signal.signal(signum, previous[signum])

    if threading.current_thread() is threading.main_thread():
        for signum in (signal.SIGINT, signal.SIGTERM):
            previous[signum] = signal.signal(signum, note)
    try:
        yield caught
    finally:
        for signum, handler in previous.items():
            signal.signal(signum, handler)


@contextmanager
def progress_bar(total, done, *, shown):
    """A ProgressBar of `total` steps, of which some are done."""
    from tqdm import tqdm

    watched = None if "ipykernel" not in sys.modules else False  # None: no bar without a terminal
    with tqdm(total=total, initial=done, unit="step", mininterval=0.5,
              disable=watched if shown else True) as bar:
        yield ProgressBar(bar, shown)


class ProgressBar:
    """A tqdm bar with the state of a training behind it, and a line above it for each epoch."""

    def __init__(self, bar, shown):
        self.bar, self.shown = bar, shown

    def step(self, trainer, history, pace):
        """One step more of a Trainer, at a pace in images a second, and a line about it every
        config.log_every steps. Costs nothing where neither is shown."""
        every = trainer.config.log_every
        logged = self.shown and every and trainer.t % every == 0
        if self.bar.disable and not logged:
            return
        loss, accuracy = trainer.so_far()
        H = "" if history.H is None else f", H {history.H:.2g}"
        state = (f"loss {loss:.3f}, accuracy {accuracy:.1f} %, {pace:.0f} images/s, "
                 f"{trainer.model.free_parameters():,} free parameters{H}")
        self.bar.set_postfix_str(state, refresh=False)
        self.bar.update()
        if logged:
            self._write(f"step {trainer.t:,}/{trainer.total_steps:,}: {state}")

    def epoch(self, record, epochs):
        """A line about the epoch's record in the History."""
        if self.shown:
            parts = [f"{part} loss {record[f'{part}_loss']:.3f}, "
                     f"accuracy {record[f'{part}_accuracy']:.2f} %"
                     for part in PARTS if f"{part}_loss" in record]
            self._write(f"epoch {record['epoch']}/{epochs}: {'; '.join(parts)}; "
                        f"{record['images_per_s']:.0f} images/s")

    def _write(self, line):
        with suppress(OSError):  # standard output that is broken ends no training
            self.bar.write(line)
