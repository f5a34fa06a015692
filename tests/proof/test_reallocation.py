"""minidsr.proof.reallocation: what was seen of a reallocation, and what each place became."""

from dataclasses import replace

import numpy as np
import pytest
from numpy import nan
from observed import NEW, TINY, example, seen

from minidsr.parameters import Dense, Sparse
from minidsr.proof.invariants import judge, positions
from minidsr.proof.reallocation import Change, NotCheckable, Reallocation, Tensor, snapshot
from minidsr.reparam import Report

# --- Tensor


def flat(index, value=None, velocity=None, size=5, dtype=np.int32):
    index = np.array(index, dtype)
    value = np.ones(len(index)) if value is None else np.array(value, float)
    return Tensor("t", size, index, value, velocity)


@pytest.mark.parametrize("t", [
    flat([]), flat([], size=0), flat([0]), flat([4]), flat([0], size=1), flat([0, 1, 2, 3, 4]),
    flat([0, 4], dtype=np.uint8), flat([0, 4], dtype=np.int64),
    flat([1, 3], velocity=np.ones(2)),
    Tensor("dense", 3, None, np.ones(3)), Tensor("dense", 3, None, np.ones(3), np.ones(3))])
def test_positions_that_are_right(t):
    assert t.wrong_positions() is None


@pytest.mark.parametrize(("t", "wrong"), [
    (flat([0, 1], dtype=float), "positions are float64, not whole numbers"),
    (flat([0, 1], dtype=bool), "positions are bool, not whole numbers"),
    (flat([0, 1], [1]), "2 positions, 1 value, or another number of velocities"),
    (flat([0], [1, 2]), "1 position, 2 values, or another number of velocities"),
    (flat([0], [1], np.ones(2)), "1 position, 1 value, or another number of velocities"),
    (flat([0, 2], velocity=np.ones(1)), "2 positions, 2 values, or another number of velocities"),
    (flat([0, 5, 6]), "position 5 is not in 0..4"),
    (flat([-1, 0]), "position -1 is not in 0..4"),
    (flat([0, -2, 9]), "position -2 is not in 0..4"),
    (flat([1, 9], size=9), "position 9 is not in 0..8"),
    (flat([0], size=0), "position 0 is not in 0..-1"),
    (flat([0, 1, 1]), "position 1 stands before 1"),
    (flat([0, 3, 2, 1]), "position 3 stands before 2"),
    (flat([4, 2], dtype=np.uint8), "position 4 stands before 2")])
def test_positions_that_are_wrong(t, wrong):
    assert t.wrong_positions() == wrong
    r = Reallocation([t], [flat([1], size=t.size)])
    assert [str(v) for v in judge(positions, r)][0] == f"positions: t: {wrong} before"


def test_a_tensor_is_never_changed():
    assert Tensor("t", 1, None, np.ones(1)).velocity is None
    with pytest.raises(AttributeError):
        flat([0]).name = "other"


# --- snapshot


def test_snapshot_copies_flat_arrays():
    W = Sparse((2, 3), np.array([1, 5], np.int32), np.array([2.0, 3]))
    W.velocity = np.array([7.0, 8])
    V = Dense(np.arange(6.0).reshape(2, 3))
    V.velocity = V.value + 1
    a, b = snapshot([W, V])
    assert (a.name, a.size, b.name, b.size) == ("tensor 0", 6, "tensor 1", 6)
    assert a.index.dtype == np.int32
    W.index[0] = W.value[0] = W.velocity[0] = V.value[0, 0] = V.velocity[0, 0] = 4
    assert (a.index.tolist(), a.value.tolist(), a.velocity.tolist()) == ([1, 5], [2, 3], [7, 8])
    assert b.index is None
    assert (b.value.tolist(), b.velocity.tolist()) == ([0, 1, 2, 3, 4, 5], [1, 2, 3, 4, 5, 6])


def test_snapshot_takes_names_from_a_dict():
    V, W = Dense(np.ones(2)), Sparse((3,), np.array([0], np.int32), np.ones(1))
    assert [(t.name, t.index is None) for t in snapshot({"bias": V, "weight": W})] == [
        ("bias", True), ("weight", False)]


def test_snapshot_of_a_snapshot_or_of_nothing():
    taken = [flat([1])]
    assert snapshot(taken) is taken
    assert snapshot([]) == snapshot({}) == []


def test_snapshot_without_velocity():
    W = Sparse((3,), np.array([0], np.int32), np.ones(1))
    W.velocity = None
    assert snapshot([W])[0].velocity is None


# --- Reallocation


@pytest.mark.parametrize(("after", "wrong"), [
    (flat([0], size=4), r"another tensor after than before: \('t', 4, 'sparse'\), "
                        r"\('t', 5, 'sparse'\)$"),
    (replace(flat([0]), name="u"), r"before: \('u', 5, 'sparse'\), \('t', 5, 'sparse'\)$"),
    (replace(flat([0]), index=None), r"before: \('t', 5, 'dense'\), \('t', 5, 'sparse'\)$")])
def test_another_tensor_after_than_before(after, wrong):
    with pytest.raises(ValueError, match=wrong):
        Reallocation([flat([0]), flat([0])], [flat([0]), after])


@pytest.mark.parametrize("after", [[], [flat([0]), flat([0])]])
def test_another_number_of_tensors_after_than_before(after):
    with pytest.raises(ValueError, match="argument 2 is"):
        Reallocation([flat([0])], after)


@pytest.mark.parametrize("said", [
    {"active": [4]}, {"active": [4, 3, 1]}, {"pruned": [2]}, {"grown": [2, 1, 0]}])
def test_counts_of_another_number_of_tensors_are_refused(said):
    (name, counts), = said.items()
    with pytest.raises(ValueError, match=f"{name} has {len(counts)} numbers, there are 2 sparse"):
        example(**said)


def test_a_reallocation_in_parts():
    r = seen((3, {0: 1}, {1: 1}), (2, [1, 2], [1, 2]), (4, {0: 1}, {2: NEW}), keep_one=False, H=2.0)
    assert [(when, t.name) for when, t in r.moments()] == [
        ("before", "a"), ("before", "b"), ("before", "c"),
        ("after", "a"), ("after", "b"), ("after", "c")]
    assert [(x is y, z is w) for (x, z), (y, w) in zip(
        r.sparse, zip(r.before[::2], r.after[::2], strict=True), strict=True)] == [(True, True)] * 2
    assert [(c.name, c.room) for c in r.changes] == [("a", 2), ("c", 3)]
    assert r.changes is r.changes
    assert r.said("H", "keep_one") == [2.0, False]
    assert r.counts() == ([1, 1], [0, 0], [1, 1])
    assert Reallocation([], []).report == Report()


def test_what_is_not_known_is_named():
    with pytest.raises(NotCheckable, match="^N_p is not known$"):
        seen(H=1.0).said("H", "N_p", "delta")
    with pytest.raises(NotCheckable, match="^pruned is not known, and a 0 stays$"):
        seen((3, {0: NEW}, {0: NEW})).counts()
    with pytest.raises(NotCheckable, match="^1 weight may have been changed, or pruned and grown"):
        seen((3, {0: 1}, {0: 2})).counts()


@pytest.mark.parametrize("where", ["before", "after"])
def test_no_change_where_positions_make_no_sense(where):
    wrong = {2: 1, 0: 1}
    r = seen((3, {0: 1}, {0: 1}), (3, wrong, {0: 1}) if where == "before" else (3, {0: 1}, wrong))
    with pytest.raises(NotCheckable, match="^positions make no sense$"):
        _ = r.changes


def test_counts_by_threshold_or_by_what_is_said():
    """H decides where it is known; else what is said to be pruned; else what is seen."""
    tensors = (4, {0: 1, 1: 0.1, 2: 0.2}, {0: 1, 3: NEW}), (2, {0: 2}, {0: 2, 1: NEW})
    assert seen(*tensors, H=0.5, pruned=[9, 9]).counts() == ([2, 0], [1, 1], [1, 1])
    assert seen(*tensors, pruned=[1, 1]).counts() == ([1, 1], [2, 0], [0, 2])
    assert seen(*tensors, pruned=[4, 0]).counts() == ([3, 0], [0, 1], [2, 1])  # 3 is all there is
    assert seen(*tensors).counts() == ([2, 0], [1, 1], [1, 1])  # nothing is said: what is seen
    regrown = seen((3, {0: 1, 1: 2}, {0: NEW, 1: 2}))
    assert regrown.counts() == ([1], [1], [1])


# --- Change


def change(size, before, after, H=1.0, keep_one=False, **how):
    (before, after), = seen((size, before, after), **how).sparse
    return Change(before, after, H, keep_one)


KINDS = ("stays", "below", "survives", "spared", "regrown")


def marks(c):
    """{position: what it is}, for all that was free before; and the new ones."""
    old = {int(i): " ".join(kind for kind in KINDS if getattr(c, kind)[j])
           for j, i in enumerate(c.before.index)}
    assert [getattr(c, kind).dtype for kind in KINDS] == [bool] * 5
    return old, c.after.index[c.new].tolist()


MOVING = (0.0, 9)  # at 0, but not at rest


@pytest.mark.parametrize(("before", "after", "large", "small"), [
    ((0.5, 1), None, "", ""),                            # is gone
    ((0.5, 1), (0.5, 1), "survives", "spared"),          # has the same number, not 0
    ((0.5, 1), (0.5, 9), "survives", "spared"),
    (MOVING, MOVING, "survives", "regrown"),             # has the same number, a 0
    (NEW, NEW, "survives", "regrown"),
    ((0.5, 1), NEW, "regrown", "regrown"),               # has another: 0, at rest
    (MOVING, NEW, "regrown", "regrown"),
    ((0.5, 1), MOVING, "survives", "regrown"),           # has another: anything else
    ((0.5, 1), (0.75, 0), "survives", "regrown"),
    (NEW, MOVING, "survives", "regrown")])
def test_the_table_of_what_became_of_a_place(before, after, large, small):
    """Row by row as in the docstring of Change."""
    def what(H):
        c = change(1, {0: before}, {} if after is None else {0: after}, H=H)
        assert c.survives[0] + c.spared[0] + c.pruned[0] + c.doubtful[0] == 1
        return " ".join(k for k in ("survives", "spared", "regrown", "doubtful")
                        if getattr(c, k)[0])

    other = (large, small) == ("survives", "regrown") and after != before
    assert what(H=None) == ("doubtful" if other else large)
    assert what(H=1.0) == small
    if before[0]:
        assert what(H=0.5) == large


@pytest.mark.parametrize(("before", "after", "old", "new"), [
    ({0: 1, 3: 0.5}, {0: 1, 2: NEW}, {0: "stays survives", 3: "below"}, [2]),
    ({0: 1, 3: 2}, {2: NEW, 3: 2}, {0: "", 3: "stays survives"}, [2]),  # 0 is gone, wrongly
    ({0: 1, 3: 0.5}, {0: 9, 3: 0.5}, {0: "stays survives", 3: "stays below spared"}, []),
    ({0: -1, 3: -0.5}, {0: -1, 3: 0.5}, {0: "stays survives", 3: "stays below regrown"}, []),
    ({0: 1, 3: 0.5}, {0: 1, 3: NEW}, {0: "stays survives", 3: "stays below regrown"}, []),
    ({0: 1, 3: 0.0}, {0: 1, 3: 0.0}, {0: "stays survives", 3: "stays below regrown"}, []),
    ({0: 1, 3: -0.0}, {0: 1, 3: -0.0}, {0: "stays survives", 3: "stays below regrown"}, []),
    ({0: 1, 3: TINY}, {0: 1, 3: TINY}, {0: "stays survives", 3: "stays below spared"}, []),
    ({0: 1, 3: 0.5}, {0: 1, 3: (0.5, 9)}, {0: "stays survives", 3: "stays below spared"}, []),
    ({}, {1: NEW}, {}, [1]),
    ({1: 2, 2: 0}, {}, {1: "", 2: "below"}, []),
    ({}, {}, {}, [])])
def test_what_a_change_tells_apart(before, after, old, new):
    c = change(5, before, after)
    assert marks(c) == (old, new)
    assert (c.m, c.m_after, c.room) == (len(before), len(after), 5 - len(before))
    assert c.keeper is None
    assert (~c.pruned).sum() == sum("survives" in what or "spared" in what for what in old.values())
    assert c.afterwards("value").shape == c.keeps("velocity").shape == (len(before),)


@pytest.mark.parametrize("keep_one", [True, None])
@pytest.mark.parametrize(("before", "after", "keeper"), [
    ({1: 0.5, 2: -0.75}, {2: -0.75}, 1),      # the largest
    ({1: 0.5, 2: -0.5}, {1: 0.5}, 0),         # either of equals
    ({1: 0.5, 2: -0.5}, {2: -0.5}, 1),
    ({1: 0.5, 2: -0.5}, {1: 0.5, 2: -0.5}, 0),
    ({1: 0.5, 2: 0.75}, {1: 0.5}, 0),         # the wrong one
    ({1: 0.5, 2: 0.75, 3: 0.25}, {1: 0.5, 3: 0.25}, 0),
    ({0: 0.0, 1: 0.5, 2: 0.75}, {0: 0.0, 1: 0.5}, 0),
    ({1: 0.5, 2: 0.75}, {3: NEW}, None),      # none
    ({1: 0.5, 2: 0.75}, {}, None),
    ({1: 0.5, 2: 0.75}, {2: NEW}, None),      # regrown
    ({1: 0.5, 2: 0.75}, {2: -0.75}, None),    # another value
    ({1: 0.0, 2: 0.75}, {1: 0.0}, 0),         # a 0 that keeps its velocity was there before
    ({1: 0.0, 2: 0.75}, {1: NEW}, None),      # one that does not is taken to be grown again
    ({1: NEW, 2: 0.75}, {1: NEW}, None),      # one without velocity may be either
    ({1: (0.5, 0), 2: 0.75}, {1: (0.5, 0)}, 0),
    ({1: 0.0, 2: -0.0}, {1: 0.0}, 0),
    ({1: 0.0, 2: -0.0}, {2: -0.0}, 1),
    ({1: 0.0}, {1: -0.0}, None),
    ({1: TINY}, {1: TINY}, 0),
    ({1: 0.5, 2: 1}, {1: 0.5}, None),         # not all are below
    ({}, {1: NEW}, None)])
def test_the_one_that_is_kept(before, after, keeper, keep_one):
    c = change(5, before, after, keep_one=keep_one)
    assert c.keeper == keeper
    large = np.isin(c.before.index, c.after.index) & (np.abs(c.before.value) >= 1)
    assert c.survives.sum() == large.sum() + (keeper is not None)
    if keeper is not None:
        assert type(c.keeper) is int
        assert not c.spared[keeper] and not c.regrown[keeper]
    assert change(5, before, after, keep_one=False).keeper is None


@pytest.mark.parametrize(("before", "after", "keeper"), [
    ({1: 0.0, 2: 0.75}, {1: 0.0}, None), ({1: 0.5, 2: 0.75}, {1: 0.5}, 0),
    ({1: 0.0, 2: 0.0}, {2: 0.0}, 1)])
def test_the_one_that_is_kept_without_velocity(before, after, keeper):
    assert change(5, before, after, keep_one=None, velocity=False).keeper == keeper


def test_without_a_threshold_a_new_zero_is_regrown():
    c = change(9, {0: 1, 1: 2, 2: -3, 4: 0.0, 5: -0.0, 6: 0.5},
               {0: 1, 1: NEW, 2: 3, 4: 0.0, 5: 0.0, 7: NEW}, H=None, keep_one=True)
    assert marks(c) == ({0: "stays survives", 1: "stays regrown", 2: "stays survives",
                         4: "stays survives", 5: "stays survives", 6: ""}, [7])
    assert c.keeper is None
    assert (~c.pruned).sum() == 4
    assert c.magnitude.tolist() == [1, 2, 3, 0, 0, 0.5]


def test_numbers_afterwards_and_grown():
    c = change(9, {0: 1, 2: 0.5, 4: -2}, {0: 1, 1: (0.25, 7), 2: (-0.0, 5), 4: -2, 8: (3, 0)})
    assert c.afterwards("value").tolist() == [1, -0.0, -2]
    assert c.afterwards("velocity").tolist() == [1, 5, 5]
    assert c.keeps("value").tolist() == [True, False, True]
    index, value = c.grown("value")
    assert (index.tolist(), value.tolist()) == ([1, 8, 2], [0.25, 3, 0])
    assert c.grown("velocity")[1].tolist() == [7, 0, 5]


@pytest.mark.parametrize(("w", "same"), [
    (0.0, True), (-0.0, False), (TINY, False), (nan, False)])
def test_the_same_number(w, same):
    assert change(1, {0: 0.0}, {0: w}).keeps("value").tolist() == [same]
    assert change(1, {0: (1, 0.0)}, {0: (1, w)}).keeps("velocity").tolist() == [same]
    assert change(1, {0: -0.0}, {0: -w}).keeps("value").tolist() == [same]
    assert change(1, {0: w}, {0: 0.0}).keeps("value").tolist() == [same]


def test_a_threshold_that_float16_cannot_hold():
    """A 0 in float16 is below the smallest H, and every value below one that is beyond it."""
    value = np.array([0.5, -0.0], np.float16)
    before = Tensor("W", 2, np.array([0, 1]), value, None)
    after = Tensor("W", 2, np.array([0, 1]), np.array([0.5, 0.0], np.float16), None)
    for H, below in ((2.0 ** -126, [False, True]), (1e6, [True, True]), (0.0, [False, False])):
        assert Change(before, after, H, None).below.tolist() == below
