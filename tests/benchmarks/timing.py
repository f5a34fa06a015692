"""Measuring by turns, and writing it down."""

import json
import statistics
import subprocess
import sys
import time

from tqdm import tqdm


def take_turns(contenders, rounds, title, warmup=1):
    """{name: [seconds of each round]} of {name: function}; each round begins with another one.

    In its turn a function is called twice, and the second call counts: the first finds caches and
    memory as another left them, which nobody meets who trains a network.
    """
    seconds = {name: [] for name in contenders}
    names = list(contenders)
    for r in tqdm(range(-warmup, rounds), title, leave=False):
        names.append(names.pop(0))
        for name in names:
            work = contenders[name]
            work()
            start = time.perf_counter()
            work()
            if r >= 0:
                seconds[name].append(time.perf_counter() - start)
    return seconds


def processes_take_turns(script, kind, names, rounds, title, *words, **flags):
    """{name: [what a process of its own found in each round]}: `script --child` of this kind, with
    the words and a name."""
    found, names = {name: [] for name in names}, list(names)
    for _ in tqdm(range(rounds), title, leave=False):
        names.append(names.pop(0))
        for name in names:
            found[name].append(in_a_process_of_its_own(script, kind, *words, name, **flags))
    return found


def seconds_of(work, least=0.5):
    """The median of several calls, as many as take `least` seconds, one or more, after three."""
    for _ in range(3):
        work()
    times, begun = [], time.perf_counter()
    while not times or time.perf_counter() - begun < least:
        start = time.perf_counter()
        work()
        times.append(time.perf_counter() - start)
    return statistics.median(times)


def milliseconds(seconds):
    low, middle, high = (1e3 * f(seconds) for f in (min, statistics.median, max))
    digits = 1 if middle < 100 else 0
    return f"{middle:.{digits}f} ({low:.{digits}f} to {high:.{digits}f})"


def ratio(seconds, name):
    """How often contender `name` is as fast as PyTorch's fastest form: median of the rounds."""
    torch = [seconds[key] for key in seconds if key.startswith("PyTorch")]
    if not torch:
        return "–"
    rounds = zip(*torch, seconds[name], strict=True)
    return f"{statistics.median(min(theirs) / own for *theirs, own in rounds):.2f}"


def table(header, rows):
    lines = [header, ["---"] * len(header), *rows]
    return "\n".join("| " + " | ".join(map(str, line)) + " |" for line in lines)


def crossover(xs, times, level):
    """Where the line through (x, time) first rises over `level`: text."""
    if level is None:
        return "–"
    for (a, s), (b, t) in zip(zip(xs, times, strict=True), zip(xs[1:], times[1:], strict=True),
                              strict=False):
        if s <= level < t:
            return f"{a + (b - a) * (level - s) / (t - s):.2f}"
    return "never" if times[0] > level else "always faster"


def in_a_process_of_its_own(script, *words, **flags):
    """What `script --child WORDS` prints, read as JSON."""
    command = [sys.executable, script, "--child", json.dumps(words)]
    for flag, value in flags.items():
        command += [f"--{flag}", str(value)]
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode:
        raise RuntimeError(f"{' '.join(command)}:\n{done.stderr}")
    return json.loads(done.stdout)
