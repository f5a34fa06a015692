"""lessons.experiments.lives: what becomes of weights, against a replay that follows each."""

import json
from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lessons.experiments import lives
from minidsr import Sparse
from minidsr.__main__ import main
from minidsr.proof.cases import seeds
from minidsr.run import compare, moves


@st.composite
def histories(draw):
    """A History in so far as ages() reads it, and all weights that ever were: [tensor, [birth,
    death or None]]."""
    rng = np.random.default_rng(draw(seeds))
    sizes = rng.integers(1, 12, rng.integers(1, 4)).tolist()
    now = [np.flatnonzero(rng.random(size) < 0.5) for size in sizes]
    setup = {"start": [moves.pack(p) for p in now],
             "tensors": [{"size": n, "active": len(p)} for n, p in zip(sizes, now, strict=True)]}
    weights = {(i, p): [0, None] for i, here in enumerate(now) for p in here.tolist()}
    ended, moved = [], []
    for t in range(1, 1 + draw(st.integers(1, 8))):
        after = [np.flatnonzero(rng.random(size) < 0.5) for size in sizes]
        moved.append(moves.between(now, after))
        for i, (died, born) in enumerate(moved[-1]):
            for p in died.tolist():
                ended.append([*weights.pop((i, p))[:1], t])
            weights.update({(i, p): [t, None] for p in born.tolist()})
        now = after
    return SimpleNamespace(setup=setup, moves=moved), ended + list(weights.values())


@given(histories())
def test_ages_are_a_replays(drawn):
    history, weights = drawn
    last, found = len(history.moves), lives.ages(history)
    died = [death - birth for birth, death in weights if death]
    assert sum(found["died"].values()) == len(died)
    assert all(n == died.count(age) for age, n in found["died"].items())
    assert found["alive"] == sum(death is None for _, death in weights)
    assert found["kept"] == sum(birth == 0 and death is None for birth, death in weights)
    assert found["grown"] == sum(birth > 0 for birth, _ in weights)
    faced = [(birth, death) for birth, death in weights if 0 < birth < last]
    assert found["faced"] == len(faced)
    assert found["survived"] == sum(death is None or death - birth > 1 for birth, death in faced)


@given(st.lists(st.tuples(st.sets(st.integers(0, 19)), st.sets(st.integers(0, 19))), min_size=1,
                max_size=3).filter(lambda pairs: any(a | b for a, b in pairs)))
def test_overlap_is_jaccards(pairs):
    one, other = ({f"conv{i}": (np.array(sorted(pair[k]), np.int64), 20)
                   for i, pair in enumerate(pairs)} for k in (0, 1))
    found, by_chance = lives.overlap(one, other)
    assert found == pytest.approx(sum(len(a & b) for a, b in pairs)
                                  / sum(len(a | b) for a, b in pairs))
    assert 0 <= by_chance <= 1
    assert lives.overlap(one, one)[0] == 1


def test_by_chance_is_the_mean_of_many_draws():
    rng = np.random.default_rng(0)
    structures = [{"a": (np.sort(rng.choice(100, 30, replace=False)), 100),
                   "b": (np.sort(rng.choice(1000, 20, replace=False)), 1000)} for _ in range(200)]
    found = [lives.overlap(one, other) for one, other in zip(structures, structures[1:],
                                                             strict=False)]
    mean = np.mean([a for a, _ in found])
    assert mean == pytest.approx(found[0][1], rel=0.05)


def test_filters_without_a_weight():
    """Of four filters of two positions the second and the last have none."""
    some = Sparse((4, 1, 2, 1), np.array([0, 1, 5]), np.array([1.0, -3.0, 2.0]))
    every = Sparse((2, 3), np.array([0, 5]), np.array([0.0, 0.5]))
    assert lives.filters([some, every]) == [(2, 4, 3.0), (0, 2, 0.5)]


def test_commands(tmp_path, capsys):
    """Of two short runs that begin alike: as many weights alive as they have, and the overlap."""
    flags = ["--epochs", "1", "--train-images", "200", "--batch", "10", "--periods", "2",
             "--period-milestones", "--model", "small-cnn-0.25", "--record"]
    for method in ("dsr", "set"):
        out = str(tmp_path / "study" / method)
        assert main(["train", "--method", method, *flags, "--out", out]) in (0, None)
    capsys.readouterr()
    lives.main(["ages", str(tmp_path / "study")])
    found = json.loads(capsys.readouterr().out)
    results, _ = compare.read([tmp_path / "study"])
    assert {run: lines["alive"] for run, lines in found.items()} == {
        r.path.name: sum(r.last["active"]) for r in results}
    assert all(lines["faced"] > lines["survived"] > 0 for lines in found.values())
    lives.main(["overlap", str(tmp_path / "study")])
    (names, (share, by_chance)), = json.loads(capsys.readouterr().out).items()
    assert names == "dsr set"
    assert 1 > share > by_chance > 0
    lives.main(["filters", str(tmp_path / "study")])
    found = json.loads(capsys.readouterr().out)
    assert all(0 <= empty <= of for run in found.values() for empty, of, _ in run)
    lives.main(["brief", str(tmp_path / "study")])
    whole, short = (compare.read([tmp_path / name])[0] for name in ("study", "study-brief"))
    assert [(r.path.name, r.config, r.last) for r in whole] == [
        (r.path.name, r.config, r.last) for r in short]
    assert all(r.history.recorded for r in whole) and not any(r.history.recorded for r in short)
    assert [len(r.history.records) for r in whole] == [len(r.history.records) for r in short]
