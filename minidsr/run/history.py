"""What happened in a run: its records, in memory and as JSON lines in metrics.jsonl."""

import json
import os
from dataclasses import asdict
from functools import reduce
from pathlib import Path

from ..backend import to_host, to_host_together
from . import moves, schema
from .directory import replacing
from .evaluate import evaluations
from .progress import TrainingError


class History:
    """The records of a run in order, kept in `path` as JSON lines if there is one.

    setup         one record: the network, the data it is for, the tensors that may be sparse, their
                  shapes and how many positions are active, what the method does with its budget,
                  and its options as it settled them, such as default periods for this length of
                  training
    epochs        one record an epoch: losses, accuracies in percent, images per second, and how
                  many positions are active. With images set apart for validation there are losses
                  and accuracies of these, and of test images at the end only
    reallocations one record a reallocation: the fields of reparam.Report
    moves         births and deaths of weights, where the run was to record them

    Every record has its kind, its step (batches trained on), the free_parameters then, and the
    share of positions explored by then (R_s).
    """

    def __init__(self, path=None):
        self.records, self.path = [], path
        self._positions = None  # of each tensor, at the last reallocation, once it is asked for

    @classmethod
    def load(cls, path, *, first=None):
        """A run's records, or the `first` of them. The torn last line of a killed run is left out.

        Raises CheckpointError for anything else that a run could not have written.
        """
        history = cls(path)
        history.records = schema.read_records(Path(path), first)
        return history

    def add_setup(self, trainer):
        """Record what a Trainer begins with."""
        layers, positions = trainer.model.sparsifiable_layers(), _active(trainer)
        tensors = [{"name": name, "shape": list(layer.weight.shape), "size": layer.weight.size,
                    "active": len(active)}
                   for (name, layer), active in zip(layers.items(), positions, strict=True)]
        start = {}
        if moves.recorded_by(trainer):
            start["start"] = [moves.pack(p) for p in to_host_together(positions)]
        return self.add("setup", trainer.t, network=trainer.model_name, data=_data(trainer.dataset),
                        budget=trainer.method.budget_rule, options=_options(trainer),
                        tensors=tensors, **start, **_counts(trainer))

    def add_reallocation(self, trainer, report):
        """Record the Report of a reallocation."""
        found = self._moved(to_host_together(_active(trainer))) if self.recorded else {}
        return self.add("reallocation", trainer.t, **asdict(report), **found, **_counts(trainer))

    def _moved(self, now):
        """What a record says of births and deaths since the one before, where positions are `now`.
        """
        if self._positions is None:  # at the first one, and where a run is resumed
            self._positions = self._replayed()
        moved = moves.between(self._positions, now)
        self._positions = now
        return {"died": [moves.pack(died) for died, _ in moved],
                "born": [moves.pack(born) for _, born in moved]}

    def _replayed(self):
        """The positions of each tensor after all records."""
        sizes = [t["size"] for t in self.setup["tensors"]]
        return reduce(lambda positions, record: moves.after(positions, record, sizes),
                      self.reallocations, moves.at_start(self.setup))

    def add_epoch(self, trainer, images_per_s):
        """Record the epoch that a Trainer has just ended."""
        measured = {}
        for part, (loss, accuracy) in {"train": trainer.so_far(), **evaluations(trainer)}.items():
            measured |= {f"{part}_loss": loss, f"{part}_accuracy": accuracy}
        return self.add("epoch", trainer.t, epoch=trainer.t // trainer.steps_per_epoch, **measured,
                        images_per_s=images_per_s,
                        active=[len(p) for p in _active(trainer)], **_counts(trainer))

    def add(self, kind, step, **fields):
        """Keep and return the record {kind, step, **fields}. TrainingError where the file would be
        too large to be read again."""
        record = {"kind": kind, "step": step, **fields}
        self.records.append(record)
        if self.path:
            line = json.dumps(record, allow_nan=False) + "\n"
            with open(self.path, "a", encoding="utf-8") as file:
                if (len(line) > schema.LINE_BYTES
                        or file.tell() + len(line) > schema.METRICS_BYTES):
                    raise TrainingError(f"{self.path} would have a record of more than "
                                        f"{schema.LINE_BYTES:,} bytes, or more than "
                                        f"{schema.METRICS_BYTES:,} in all; train without record")
                file.write(line)
        return record

    def sync(self):
        """Have the records outlast a crash of the machine."""
        if self.path:
            with open(self.path, "a", encoding="utf-8") as file:
                os.fsync(file.fileno())

    def rewrite(self):
        """Replace the file by the records held."""
        if self.path:
            with replacing(self.path) as file:
                file.writelines((json.dumps(record, allow_nan=False) + "\n").encode()
                                for record in self.records)

    def _of(self, kind):
        return [record for record in self.records if record["kind"] == kind]

    @property
    def setup(self):
        return self._of("setup")[0]

    @property
    def epochs(self):
        return self._of("epoch")

    @property
    def reallocations(self):
        return self._of("reallocation")

    @property
    def recorded(self):
        """Are births and deaths of weights recorded?"""
        return "start" in self.setup

    @property
    def moves(self):
        """Births and deaths: for each reallocation, for each tensor, (died, born), the flat
        positions (int64, sorted) that lost or got their weight since the record before.

        Raises ValueError where the run did not record them.
        """
        if not self.recorded:
            raise ValueError("births and deaths were not recorded; that needs record=True, and a "
                             "method whose weights are sparse")
        sizes = [t["size"] for t in self.setup["tensors"]]
        return [moves.moved(record, sizes) for record in self.reallocations]

    @property
    def H(self):
        """The threshold of the last reallocation; None without one."""
        return self.reallocations[-1]["H"] if self.reallocations else None

    @property
    def test_accuracy(self):
        """Of the last epoch, in percent; None where test images are kept for the end."""
        return self.epochs[-1].get("test_accuracy")

    @property
    def validation_accuracy(self):
        """The same of the images set apart; None where there are none."""
        return self.epochs[-1].get("validation_accuracy")

    @property
    def conserved(self):
        """Was the number of free parameters the same after every reallocation and epoch?"""
        return len({r["free_parameters"] for r in self.records}) == 1

    @property
    def broken(self):
        """Did the number of free parameters not behave as the method says it does?"""
        counts = [r["free_parameters"] for r in self.records]
        shrinking = self.setup["budget"] == "shrinking"
        return counts != sorted(counts, reverse=True) if shrinking else not self.conserved

    @property
    def sparsity(self):
        """Share of the positions, of tensors that may be sparse, not active at the end."""
        size = sum(t["size"] for t in self.setup["tensors"])
        return 1 - sum(self.epochs[-1]["active"]) / size


def _data(dataset):
    """What a network needs to know of its data set: how images are, how they are normalised."""
    return {"image": list(dataset.train_x.shape[1:]), "classes": list(dataset.classes),
            "mean": to_host(dataset.mean).tolist(), "std": to_host(dataset.std).tolist(),
            **dataset.sizes()}


def _options(trainer):
    """The method's options as it settled them, as JSON has them."""
    values = {name: getattr(trainer.method, name) for name in trainer.method.options()}
    return {name: list(v) if isinstance(v, tuple) else v for name, v in values.items()}


def _active(trainer):
    """The active positions of each tensor that may be sparse, where they are kept."""
    return [layer.weight.active() for layer in trainer.model.sparsifiable_layers().values()]


def _counts(trainer):
    """What every record has: the number of free parameters, and the exploration rate R_s."""
    return {"free_parameters": trainer.model.free_parameters(),
            "explored": trainer.method.explored.rate()}
