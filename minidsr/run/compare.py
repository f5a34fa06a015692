"""Runs as one study: which repeat each other, which may be compared, and by how much they differ.

    result      a finished run, as its files tell it
    group       the results that are the same but for the seed, and what does not touch results
    difference  of two groups, seed by seed: equal seeds share initial values and batches
"""

import hashlib
import json
import re
from contextlib import ExitStack
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import combinations
from pathlib import Path
from statistics import fmean, stdev

from ..checks import check_choice
from ..methods import METHODS
from ..reading import parse_json, read_bytes
from . import directory, moves, records, schema
from .config import COMMON, Config
from .directory import CheckpointError
from .history import History

NOT_RESULTS = directory.MAY_DIFFER | {"seed", "record"}  # may differ within a group
CONFIDENCE = 0.95   # of intervals
STUDY_BYTES = 1 << 26  # that the list of a study's runs has at most
TOLERANCE = 0.01    # by which budgets that are called equal may differ
AGREE = {           # what runs that are compared have in common, whatever their methods
    "model": "models", "data": "data sets", "train_images": "numbers of training images",
    "validation": "validation splits", "augment": "augmentations", "batch": "batch sizes",
    "epochs": "epochs", "commit": "commits"}


@dataclass(frozen=True)
class Result:
    """A finished run: its folder, and what config.json, metrics.jsonl and env.json say.

    source  a name for the run that its structure is from, the same for runs that differ in their
            seeds
    """

    path: Path
    config: Config
    history: History
    environment: dict
    source: str | None = None

    @cached_property
    def settings(self):
        """{name: value} of all that determines the results but the seed; and the commit."""
        values = {k: v for k, v in self.config.resolved().items() if k not in NOT_RESULTS}
        version = self.environment.get("versions", {}).get("minidsr", "unknown")
        commits = [*self.environment.get("earlier_commits", []), self.environment.get("commit")]
        return values | {"structure_from": self.source,
                         "commit": " then ".join(commit or f"none, minidsr {version}"
                                                 for commit in commits)}

    @cached_property
    def ages(self):
        """[(pruned, young)], one for each reallocation: how many weights were pruned, and how many
        of these had been grown only the time before. Nothing where births were not recorded."""
        if not self.history.recorded:
            return []
        moved = self.history.moves
        pruned = [sum(len(died) for died, _ in tensors) for tensors in moved]
        return list(zip(pruned, moves.newborns(moved), strict=True))

    @property
    def data(self):
        """What can be told of a data set: images, their shape, classes."""
        about = self.history.setup["data"]
        return {name: about[name] for name in ("image", "classes", "train", "validation", "test")}

    @property
    def last(self):
        """The record of the last epoch."""
        return self.history.epochs[-1]

    @property
    def images_per_s(self):
        """Of training, over all epochs."""
        epochs = self.history.epochs
        return len(epochs) / sum(1 / max(e["images_per_s"], 1e-9) for e in epochs)

    @property
    def hours(self):
        """Of training, at the speed measured; tests and breaks do not count."""
        return self.last["step"] * self.config.batch / self.images_per_s / 3600


@dataclass(frozen=True)
class Group:
    """Results of one kind, in the order of their seeds; the label says what sets them apart."""

    label: str
    results: tuple[Result, ...]

    @property
    def method(self):
        return self.results[0].config.method

    @property
    def seeds(self):
        return [result.config.seed for result in self.results]

    def values(self, name):
        """What the last epoch of each says under `name`; nothing where some do not say it."""
        found = [result.last.get(name) for result in self.results]
        return [] if None in found else found


@dataclass(frozen=True)
class Difference:
    """`one` minus `other`, in points of accuracy, over the seeds that both have.

    test, validation  (mean, half of the interval): (None, None) where there is no such accuracy,
                      and (mean, None) where one seed gives no interval
    """

    one: Group
    other: Group
    seeds: list
    test: tuple
    validation: tuple


# --- which runs


def read(paths):
    """([Result], [line]): the finished runs at these paths, in the folders there, or in a file that
    has the records of a study (records.py), and one line about each run that is left out. Raises
    CheckpointError for a path where there is no run."""
    results, lines = [], []
    with ExitStack() as stack:
        folders = {}  # {where it is now: where it was said to be}
        for path in map(Path, paths):
            packed = records.are_packed(path)
            folders[stack.enter_context(records.unpacked(path)) if packed else path] = path
        for run in _found(folders):
            try:
                results.append(_read(run))
            except CheckpointError as error:
                lines.append(f"{error}" if str(run) in str(error) else f"{run}: {error}")
        lines += [line for folder in folders for line in _not_begun(folder)]
    for folder, path in folders.items():
        lines = [line.replace(str(folder), str(path)) for line in lines]
        results = [replace(r, path=path / r.path.relative_to(folder))
                   if r.path.is_relative_to(folder) else r for r in results]
    return results, lines


def _not_begun(folder):
    """A line about each run of the study in a folder that has not begun."""
    path = folder / directory.STUDY
    if not path.exists():
        return []
    try:
        study = parse_json(read_bytes(path, STUDY_BYTES, packed=False))
        names = [str(run["name"]) for run in study["runs"]]
    except (ValueError, LookupError, TypeError):
        return [f"{path}: not the list of a study's runs"]
    return [f"{folder / name}: not begun" for name in names if not directory.has_run(folder / name)]


def _found(paths):
    """The run directories at these paths, and up to two levels below; each once."""
    found = {}
    for path in map(Path, paths):
        runs = [path] if directory.has_run(path) else sorted(
            config.parent for depth in ("*", "*/*") for config in
            path.glob(f"{depth}/{directory.CONFIG}"))
        if not runs:
            raise CheckpointError(f"{path}: not a run directory, and no run is in it")
        found |= {run.resolve(): run for run in runs if run.resolve() not in found}
    return found.values()


def _read(run):
    """The Result in the folder `run`. Raises CheckpointError where it is not finished or sound."""
    config, (_, counted) = directory.read_config(run), directory.reached(run)
    history = History.load(run / directory.METRICS, first=counted or None)
    schema.check_count(history, counted)
    if len(history.epochs) < config.epochs:
        raise CheckpointError(f"not finished, {len(history.epochs)} of {config.epochs} epochs")
    if history.broken:
        raise CheckpointError(f"broke its budget, which is {history.setup['budget']}")
    return Result(run, config, history, directory.read_environment(run),
                  source_of(config, run.parent))


def source_of(config, folder):
    """Result.source of a run in this folder. A study may have been moved: then it is beside it."""
    run = config.structure_from
    if run is None:
        return None
    beside = folder / Path(run).name
    try:
        config = directory.read_config(beside if directory.has_run(beside) else run)
    except CheckpointError:
        return run
    values = {k: v for k, v in config.resolved().items()
              if k not in NOT_RESULTS | {"structure_from"}}
    digest = hashlib.sha256(json.dumps(values, sort_keys=True).encode()).hexdigest()
    return f"{config.method} run {digest[:4]}"


# --- which belong together


def grouped(results):
    """([Group], [line]): by sparsity, then in the order of METHODS; and a line about each run that
    is left out: another one has the same settings and seed, or other data had the same name."""
    kinds, lines = {}, []
    for result in results:
        seeds = kinds.setdefault(json.dumps(result.settings, sort_keys=True), {})
        first = next(iter(seeds.values()), result)
        if result.data != first.data:
            lines.append(f"{result.path}: its data are not those of {first.path}")
        elif result.config.seed in seeds:
            lines.append(f"{result.path}: the same run as {seeds[result.config.seed].path}")
        else:
            seeds[result.config.seed] = result
    groups = [[seeds[seed] for seed in sorted(seeds)] for seeds in kinds.values()]
    names = labels([group[0].settings for group in groups])
    groups = [Group(name, tuple(group)) for name, group in zip(names, groups, strict=True)]
    return sorted(groups, key=_place), lines


def _place(group):
    settings = group.results[0].settings
    methods = list(METHODS)
    return settings.get("sparsity", -1), methods.index(group.method), group.label


def labels(settings, without=()):
    """A label for each: the method, and what differs among them. `without`: names left out.

    What every method has, and the sparsity, counts as different if any two differ; an option of a
    method if it differs among those of that method.
    """
    shared = {*COMMON, "sparsity", "commit"} - {"method", *without}

    def differs(name, own):
        like = [s[name] for s in settings if name in s and (
            name in shared or s["method"] == own["method"])]
        return any(value != like[0] for value in like)

    return [", ".join([own["method"], *(f"{name.replace('_', ' ')} {in_words(own[name])}"
                                        for name in own if name not in ("method", *without)
                                        and differs(name, own))]) for own in settings]


def in_words(value):
    """A setting in a label or a table."""
    if isinstance(value, (list, tuple)):
        return " ".join(map(in_words, value)) or "never"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float):
        return f"{value:g}"
    words = "default" if value is None else str(value)
    return re.sub(r"\b[0-9a-f]{40}\b", lambda commit: commit[0][:7], words)


# --- which may be compared


def comparable(one, other):
    """None, or the reason, in a line, why two Results must not be compared as methods.

    What a study varies on purpose is no reason: an option of a method, a learning rate.
    """
    a, b = one.settings, other.settings
    extended = [s["extended_from"] for s in (a, b)], [s["extended_at"] for s in (a, b)]
    if any(x != y for x, y in extended):
        return "one of them was extended, and is not the run that has this length from the start"
    for name, words in AGREE.items():
        if a.get(name) != b.get(name):
            return f"{words} differ: {in_words(a.get(name))} and {in_words(b.get(name))}"
    if one.data != other.data:
        return f"data differ, which both call {a['data']}"
    if a["method"] != b["method"] and "stop_epoch" in a.keys() & b.keys() and (
            a["stop_epoch"] != b["stop_epoch"]):
        return (f"reallocations stop after different epochs: {in_words(a['stop_epoch'])} and "
                f"{in_words(b['stop_epoch'])}")
    return _budgets(one, other)


def _budgets(one, other):
    """Why the budgets of two Results are not equal, or None.

    A network of fewer channels, thin-dense, has the nearest number of parameters that whole
    channels give: it is compared with those whose sparsity it was made for.
    """
    counts = [run.last["free_parameters"] for run in (one, other)]
    if is_thin(one) != is_thin(other) and (
            one.settings.get("sparsity") == other.settings.get("sparsity")):
        return None
    if max(counts) <= (1 + TOLERANCE) * min(counts):
        return None
    without = sorted({run.config.method for run in (one, other) if not has_budget(run)})
    return (f"free parameters differ: {counts[0]:,} and {counts[1]:,}"
            + "".join(f"; {method} is given no budget" for method in without))


def is_thin(result):
    """Did the method train another network, as thin-dense does?"""
    return result.history.setup["network"] != result.config.model


def has_budget(result):
    """Is the number of free parameters asked for, by a sparsity?"""
    return "sparsity" in result.settings


# --- by how much they differ


def interval(values):
    """(mean, half of its t interval of 95 %); None for the half where one value gives none."""
    from scipy.special import stdtrit  # Student's t; scipy.stats takes two seconds to load

    n = len(values)
    if n < 2:
        return fmean(values), None
    return fmean(values), float(stdtrit(n - 1, (1 + CONFIDENCE) / 2)) * stdev(values) / n ** 0.5


def interval_apart(one, other):
    """As interval(), of the difference of two means that no seed pairs, one minus other, each
    (mean, standard deviation, n), n at least 2; by Welch."""
    from scipy.special import stdtrit

    (mean_a, sd_a, n_a), (mean_b, sd_b, n_b) = one, other
    a, b = sd_a ** 2 / n_a, sd_b ** 2 / n_b
    freedom = (a + b) ** 2 / (a ** 2 / (n_a - 1) + b ** 2 / (n_b - 1))
    return mean_a - mean_b, float(stdtrit(freedom, (1 + CONFIDENCE) / 2)) * (a + b) ** 0.5


def differences(groups, against=None):
    """([Difference], {reason: [(label, label)]}): of each two groups, the later minus the earlier;
    or, where `against` is a label or a method, of each group minus those. Where two cannot be
    compared, the reason, and which."""
    pairs = [(b, a) for a, b in combinations(groups, 2)]
    if against is not None:
        check_choice("group to compare with", against,
                     dict.fromkeys([g.label for g in groups] + [g.method for g in groups]))
        base = [g for g in groups if against in (g.label, g.method)]
        pairs = [(g, b) for b in base for g in groups if g not in base]
    found, reasons = [], {}
    for one, other in pairs:
        twins = _twins(one, other)
        reason = next(filter(None, (comparable(*two) for two in twins)), None) if twins else (
            comparable(one.results[0], other.results[0]) or "no seed is in both")
        if reason:
            reasons.setdefault(reason, []).append((one.label, other.label))
        else:
            found.append(_difference(one, other, twins))
    return found, reasons


def _twins(one, other):
    """The results of both, in pairs of equal seeds."""
    by_seed = {result.config.seed: result for result in other.results}
    return [(result, by_seed[result.config.seed]) for result in one.results
            if result.config.seed in by_seed]


def _difference(one, other, twins):
    def paired(name):
        pairs = [(a.last.get(name), b.last.get(name)) for a, b in twins]
        known = all(None not in pair for pair in pairs)
        return interval([a - b for a, b in pairs]) if known else (None, None)

    return Difference(one, other, [a.config.seed for a, _ in twins], paired("test_accuracy"),
                      paired("validation_accuracy"))


# --- what moved


def changed_tensor(record):
    """How many weights changed tensor in a reallocation: what tensors grew beyond their losses."""
    return sum(max(0, g - p) for g, p in zip(record["grown"], record["pruned"], strict=True))
