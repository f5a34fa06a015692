"""Births and deaths of weights: what --record writes is what has happened, in texts that are safe
to read."""

import json
import signal
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from tiny import with_moves, write_cifar10

from minidsr.methods import METHODS
from minidsr.run import moves, schema
from minidsr.run.config import Config
from minidsr.run.directory import CheckpointError
from minidsr.run.history import History
from minidsr.run.progress import Interrupted, TrainingError
from minidsr.run.train import Trainer, train

SIZES = st.sampled_from([1, 100, 127, 128, 129, 20_000, 2**31, 2**63 - 1])
SPARSE = [name for name, method in METHODS.items() if method.sparse]

# --- texts


@given(SIZES.flatmap(lambda size: st.tuples(st.just(size), st.sets(st.integers(0, size - 1)))))
@example((2**63 - 1, {2**63 - 2}))
@example((300, set(range(300))))
def test_positions_come_back(case):
    size, positions = case
    text = moves.pack(sorted(positions))
    assert moves.unpack(text, size).tolist() == sorted(positions)
    assert len(text) <= 4 * len(positions) * -(-size.bit_length() // 7)
    if positions:
        with pytest.raises(ValueError, match="beyond the"):
            moves.unpack(text, max(positions))


@given(st.binary(max_size=40), SIZES)
@example(b"\xff" * 8 + b"\x7f", 2**63 - 1)            # 2^63 - 1, one too many
@example(b"\xff" * 9 + b"\x7f", 2**63 - 1)            # of 70 bits
@example((b"\xff" * 8 + b"\x7f") * 3, 2**63 - 1)      # sums that overflow, back to positive
@example(b"\xff" * 8 + b"\x7f\x00", 2**63 - 1)        # ... and to negative
@example(b"\xfe" + b"\xff" * 7 + b"\x7f\x00\x00", 100)
@example(b"\x80\x00", 100)                            # 0 in two bytes
@example(b"\x80", 100)                                # cut off
def test_any_bytes_are_positions_or_refused(data, size):
    text = moves.base64.b64encode(data).decode()
    try:
        positions = moves.unpack(text, size)
    except ValueError as error:
        assert len(str(error)) < 200 and "\n" not in str(error)
        return
    assert moves.pack(positions) == text
    assert len(positions) <= len(data)
    found = positions.tolist()
    assert found == sorted({*found}) and all(0 <= p < size for p in found)


@pytest.mark.parametrize("text", ["A", "AA", "AA=", "AA==\n", "AB==", "AA==AA==", "A*==", " AA==",
                                  "\N{GREEK SMALL LETTER DELTA}A==", "AA==" * 3, "\0"])
def test_what_is_not_the_text_of_positions_is_refused(text):
    with pytest.raises(ValueError, match="is not"):
        moves.unpack(text, 100)


# --- births and deaths


def test_births_and_deaths_by_hand():
    before, now = [np.array([1, 4, 6]), np.array([0])], [np.array([2, 4]), np.array([0, 5])]
    found = moves.between(before, now)
    assert [[p.tolist() for p in one] for one in found] == [[[1, 6], [2]], [[], [5]]]
    assert moves.newborns([]) == []
    assert moves.newborns([found, moves.between(now, before)]) == [0, 2]
    assert moves.newborns([found, found]) == [0, 0]


@pytest.fixture(scope="module")
def tiny(tmp_path_factory):
    """A config that trains a small network for ten steps, and records."""
    folder = write_cifar10(tmp_path_factory.mktemp("data"))
    return Config(data="cifar10", data_dir=str(folder), model="small-cnn-0.1", batch=20, epochs=2,
                  lr=0.02, periods=(1, 2), period_milestones=(0.5,), sparsity=0.5, device="cpu",
                  threads=1, engine="blocked", record=True, checkpoint_seconds=0.0)


def moving(config, method):
    """The same for another method, which moves weights within ten steps if it can."""
    config = with_moves(config, method)
    return replace(config, **{"deepr": {"temperature": 1e-3}, "dsr": {"threshold": 0.05}}.get(
        method, {}))


@pytest.fixture(scope="module")
def recorded(tiny):
    """{method: (the records of a run, where each weight was at each step)}"""
    found = {}
    for method in METHODS:
        seen, step = [], Trainer.step

        def watching(self, x, y, seen=seen, step=step):
            report = step(self, x, y)
            if report:
                seen.append([layer.weight.active().copy()
                             for layer in self.model.sparsifiable_layers().values()])
            return report

        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(Trainer, "step", watching)
            found[method] = train(moving(tiny, method)), seen
    return found


@pytest.mark.parametrize("method", SPARSE)
def test_replayed_moves_are_where_the_weights_were(recorded, method):
    history, seen = recorded[method]
    positions, sizes = moves.at_start(history.setup), [t["size"] for t in history.setup["tensors"]]
    assert len(history.moves) == len(history.reallocations) == len(seen)
    assert bool(seen) == (method != "static")
    for record, move, now in zip(history.reallocations, history.moves, seen, strict=True):
        before, positions = positions, moves.after(positions, record, sizes)
        for old, new, (died, born), there in zip(before, positions, move, now, strict=True):
            assert new.tolist() == there.tolist()
            assert {*died.tolist()} == {*old.tolist()} - {*there.tolist()}
            assert {*born.tolist()} == {*there.tolist()} - {*old.tolist()}
        assert [len(died) for died, _ in move] <= record["pruned"]
    assert not seen or any(len(died) for move in history.moves for died, _ in move)


@pytest.mark.parametrize("method", ["dsr", "deepr"])
def test_recording_changes_nothing_else(tiny, recorded, method):
    plain = train(replace(moving(tiny, method), record=False))
    assert not plain.recorded
    with pytest.raises(ValueError, match="were not recorded; that needs record=True"):
        plain.moves  # noqa: B018
    for record, other in zip(recorded[method][0].records, plain.records, strict=True):
        record = {k: v for k, v in record.items() if k not in ("start", "died", "born")}
        assert record | {"images_per_s": 0} == other | {"images_per_s": 0}


@pytest.mark.parametrize("method", [name for name in METHODS if name not in SPARSE])
def test_without_sparse_weights_there_is_nothing_to_record(recorded, method):
    history, seen = recorded[method]
    assert not (history.recorded or seen)


@pytest.mark.parametrize("method", ["dsr", "deepr"])
def test_a_resumed_run_has_the_same_records(tiny, recorded, tmp_path, monkeypatch, method):
    """Interrupted twice; in between its file ends in a line that no checkpoint counts on."""
    config, step = moving(tiny, method), Trainer.step

    def interrupting(self, x, y):
        report = step(self, x, y)
        if self.t in (3, 7):
            signal.raise_signal(signal.SIGINT)
        return report

    monkeypatch.setattr(Trainer, "step", interrupting)
    for _ in range(2):
        with pytest.raises(Interrupted):
            train(config, out=tmp_path / "run", resume=True)
        with open(tmp_path / "run" / "metrics.jsonl", "a") as file:
            file.write('{"kind": "realloc')
    train(config, out=tmp_path / "run", resume=True)
    records = History.load(tmp_path / "run" / "metrics.jsonl").records
    for record, other in zip(records, recorded[method][0].records, strict=True):
        assert record | {"images_per_s": 0} == other | {"images_per_s": 0}


def test_record_stays_as_it_was_begun(tiny, tmp_path):
    train(replace(tiny, epochs=1), out=tmp_path)
    with pytest.raises(CheckpointError, match="was begun with record True, not False"):
        train(replace(tiny, epochs=1, record=False), out=tmp_path, resume=True)


# --- what is read


def altered(records, kind, **changes):
    """Records with these changes in the first one of a kind."""
    records = json.loads(json.dumps(records))
    record = next(r for r in records if r["kind"] == kind)
    for name, change in changes.items():
        record[name] = change(record[name]) if callable(change) else change
    return records


def first(text):
    """A change of the text of the first tensor."""
    return lambda texts: [text(texts[0]) if callable(text) else text, *texts[1:]]


def other(texts):
    """A change of all but one of as many positions."""
    return moves.pack([*moves.unpack(texts, 10**6)[:-1], 10**6 - 1])


@pytest.mark.parametrize(("kind", "changes", "said"), [
    ("setup", {"start": []}, "start must be a list of 4 texts"),
    ("setup", {"start": first(3)}, "start must be a list of 4 texts"),
    ("setup", {"start": first("AAA=")}, "tensor 0 has"),
    ("setup", {"start": first(other)}, "has a position beyond"),
    ("setup", {"start": first("*")}, "is not base64"),
    ("reallocation", {"died": first("")}, "tensor 0 has"),
    ("reallocation", {"born": lambda texts: texts[::-1]}, "tensor"),
    ("reallocation", {"born": first(other)}, "has a position beyond"),
    ("reallocation", {"born": None}, "born must be a list of 4 texts"),
    ("setup", {"tensors": lambda tensors: [t | {"shape": [t["size"]] * 2} for t in tensors]},
     "tensors must be"),
    ("setup", {"tensors": lambda tensors: [t | {"shape": [1] * 40 + t["shape"]} for t in tensors]},
     "tensors must be")])
def test_what_no_run_could_have_recorded_is_refused(recorded, tmp_path, kind, changes, said):
    path = tmp_path / "metrics.jsonl"
    records = altered(recorded["dsr"][0].records, kind, **changes)
    path.write_text("".join(json.dumps(record) + "\n" for record in records))
    with pytest.raises(CheckpointError, match=r"line \d+: .*" + said):
        History.load(path)


@pytest.mark.parametrize(("which", "said"), [
    ("died", "died: tensor 0 had no weight"), ("born", "born: tensor 0 had a weight")])
def test_deaths_are_of_weights_and_births_where_none_were(recorded, which, said):
    history = recorded["dsr"][0]
    sizes = [t["size"] for t in history.setup["tensors"]]
    record, (died, born) = history.reallocations[0], history.moves[0][0]
    start = moves.at_start(history.setup)
    wrong = {"died": [*born[:1], *died[1:]], "born": [*died[:1], *born[1:]]}[which]
    texts = [moves.pack(sorted(wrong)), *record[which][1:]]
    with pytest.raises(ValueError, match=said):
        moves.after(start, record | {which: texts}, sizes)


@pytest.mark.parametrize("name", ["start", "died", "born"])
def test_births_and_deaths_are_recorded_always_or_never(recorded, name):
    records = [{k: v for k, v in record.items() if k != name}
               for record in recorded["dsr"][0].records[:2]]
    with pytest.raises(ValueError, match="'(start|died|born)' is (missing|unknown)"):
        list(map(schema.Records().add, records))


@pytest.mark.parametrize("limit", ["LINE_BYTES", "METRICS_BYTES"])
def test_nothing_is_written_that_could_not_be_read(tiny, tmp_path, monkeypatch, limit):
    """What is on the disk stays."""
    monkeypatch.setattr(schema, limit, 1500)
    with pytest.raises(TrainingError, match="would have .* train without record"):
        train(replace(tiny, model="small-cnn"), out=tmp_path)


def test_a_layout_that_moves_as_much_as_the_papers_is_read():
    """wrn-28-2 at sparsity 0.9, 20,000 weights at once; and its start, where it is dense."""
    rng, size = np.random.default_rng(0), 1_451_390
    moved = moves.pack(np.sort(rng.choice(size, 20_000, replace=False)))
    assert 2 * len(moved) < 75_000
    assert len(moves.pack(np.arange(size))) < schema.LINE_BYTES / 8
