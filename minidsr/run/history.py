"""What happened in a run: its records, in memory and as JSON lines in metrics.jsonl."""

import json
import os
from dataclasses import asdict
from pathlib import Path

from . import schema
from .directory import replacing


class History:
    """The records of a run in order, kept in `path` as JSON lines if there is one.

    setup         one record: the network, the tensors that may be sparse, their sizes and how many
                  positions are active, what the method does with its budget, and its options as it
                  settled them, such as default periods for this length of training
    epochs        one record an epoch: losses, accuracies in percent, images per second, and how
                  many positions are active
    reallocations one record a reallocation: the fields of reparam.Report

    Every record has its kind, its step (batches trained on), the free_parameters then, and the
    share of positions explored by then (R_s).
    """

    def __init__(self, path=None):
        self.records, self.path = [], path

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
        layers = trainer.model.sparsifiable_layers()
        return self.add("setup", trainer.t, network=trainer.model_name,
                        budget=trainer.method.budget_rule, options=_options(trainer), tensors=[
                            {"name": name, "size": layer.weight.size, "active": active}
                            for (name, layer), active in zip(layers.items(), _active(trainer),
                                                             strict=True)], **_counts(trainer))

    def add_reallocation(self, trainer, report):
        """Record the Report of a reallocation."""
        return self.add("reallocation", trainer.t, **asdict(report), **_counts(trainer))

    def add_epoch(self, trainer, test_loss, test_accuracy, images_per_s):
        """Record the epoch that a Trainer has just ended."""
        train_loss, train_accuracy = trainer.so_far()
        return self.add("epoch", trainer.t, epoch=trainer.t // trainer.steps_per_epoch,
                        train_loss=train_loss, train_accuracy=train_accuracy,
                        test_loss=test_loss, test_accuracy=test_accuracy,
                        images_per_s=images_per_s, active=_active(trainer), **_counts(trainer))

    def add(self, kind, step, **fields):
        """Keep and return the record {kind, step, **fields}."""
        record = {"kind": kind, "step": step, **fields}
        self.records.append(record)
        if self.path:
            with open(self.path, "a", encoding="utf-8") as file:
                file.write(json.dumps(record, allow_nan=False) + "\n")
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
    def H(self):
        """The threshold of the last reallocation; None without one."""
        return self.reallocations[-1]["H"] if self.reallocations else None

    @property
    def test_accuracy(self):
        """Of the last epoch, in percent."""
        return self.epochs[-1]["test_accuracy"]

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


def _options(trainer):
    """The method's options as it settled them, as JSON has them."""
    values = {name: getattr(trainer.method, name) for name in trainer.method.options()}
    return {name: list(v) if isinstance(v, tuple) else v for name, v in values.items()}


def _active(trainer):
    """How many positions of each tensor that may be sparse are active."""
    return [len(layer.weight.active()) for layer in trainer.model.sparsifiable_layers().values()]


def _counts(trainer):
    """What every record has: the number of free parameters, and the exploration rate R_s."""
    return {"free_parameters": trainer.model.free_parameters(),
            "explored": trainer.method.explored.rate()}
