"""For each method one example, worked by hand from the formulas of its paper.

The tensors are small enough to follow on paper: one linear layer, or two.
"""

from types import SimpleNamespace

import numpy as np
import pytest

from minidsr.methods import DSR, DST, ITOP, METHODS, SET, SNFS, DeepR, Gradual, RigL, ThinDense
from minidsr.methods.dst import Thresholded, surrogate
from minidsr.methods.hashed import Hashed
from minidsr.nn import models
from minidsr.nn.layers import Conv2d, Linear, Sequential
from minidsr.nn.models import wide_resnet
from minidsr.nn.sgd import SGD
from minidsr.reparam import shares
from minidsr.schedules import cosine, cubic, exponential

SOMETIMES = {"epochs": 1, "steps_per_epoch": 100, "periods": (1,), "period_milestones": ()}


def network(*weights):
    """Linear layers with these weights: not one that computes, but enough for a method."""
    layers = {}
    for i, values in enumerate(weights):
        values = np.atleast_2d(np.array(values, np.float32))
        layers[f"fc{i}"] = Linear(*values.shape[::-1], bias=False, rng=np.random.default_rng(0))
        layers[f"fc{i}"].weight.value = values
    return Sequential(**layers)


def begin(method, *weights):
    """Set `method` up so that all weights which are not 0 are free."""
    model = network(*weights)
    method.structure = {f"fc{i}": np.flatnonzero(values) for i, values in enumerate(weights)}
    method.setup(model, np.random.default_rng(0))
    return method.tensors


def test_thin_dense():
    """Widths of the paper (ICLR submission, table of thin networks) for WRN-28-2.

    At 0.8 the nearest is 0.91 (305,346); theirs, 0.90, has 303,053; the budget is 306,384.
    """
    widths = {0.9: (0.66, 161_506), 0.8: (0.91, 305_346), 0.7: (1.11, 457_747),
              0.6: (1.27, 592_612), 0.5: (1.42, 741_513)}
    for sparsity, (width, count) in widths.items():
        name = ThinDense(sparsity=sparsity).model_name("wrn-28-2", (3, 32, 32), 10)
        assert name == f"wrn-28-{width}"
        model = models.build(name, image=(3, 32, 32), classes=10, rng=np.random.default_rng(0))
        assert model.free_parameters() == count


def test_thin_dense_with_a_bitmask():
    """The ICML version's width at 0.9; at 0.8 to 0.5 theirs are 0.98, 1.15, 1.33 and 1.47."""
    names = [ThinDense(sparsity=s, bitmask=True).model_name("wrn-28-2", (3, 32, 32), 10)
             for s in (0.9, 0.8, 0.7, 0.6, 0.5)]
    assert names == [f"wrn-28-{width}" for width in (0.75, 0.97, 1.16, 1.32, 1.46)]


@pytest.mark.slow
def test_thin_resnet50():
    """The paper's width at 0.9; its others, too, are found: 0.54 at 0.8, and without the memory of
    the mask its submission's 0.52 and 0.42."""
    method = ThinDense(sparsity=0.9, bitmask=True)
    assert method.model_name("resnet50", (3, 224, 224), 1000) == "resnet50-0.46"


@pytest.mark.parametrize(("name", "image", "sparsity", "budget"), [
    ("lenet-300-100", (1, 28, 28), 0.9, 27_440), ("small-cnn", (1, 28, 28), 0.9, 8_120)])
def test_thin_dense_is_the_nearest(name, image, sparsity, budget):
    def distance(name):
        return abs(models.build(name, image=image, classes=10,
                                rng=np.random.default_rng(0)).free_parameters() - budget)

    chosen = ThinDense(sparsity=sparsity).model_name(name, image, 10)
    assert distance(chosen) == min(distance(f"{name}-{i / 100}") for i in range(4, 60))


def test_static():
    """⌊(1 - s) N⌋ of 10 and of 7 positions, with the values of the dense network."""
    model = network(range(1, 11), range(1, 8))
    METHODS["static"](sparsity=0.7).setup(model, np.random.default_rng(0))
    for W, count in zip(model.params(), (3, 2), strict=True):
        assert W.value.tolist() == (W.index + 1).tolist()
        assert len(W.index) == count


def test_gradual():
    """Ten weights to two, in prunings at t = 1, 2, 3, 4, 5:  2 + ⌊8 (1 - t/5)³⌋ are left.

    8 (4/5)³ = 4.096,  8 (3/5)³ = 1.728,  8 (2/5)³ = 0.512,  0.064,  0
    """
    method = Gradual(sparsity=0.8, **{**SOMETIMES, "steps_per_epoch": 6}, stop_epoch=1)
    model = network([[5, -1, 9, 2, -8, 3, 10, -4, 7, 6]])
    method.setup(model, np.random.default_rng(0))
    W, left = method.tensors[0], []
    for t in range(6):
        if method.due(t):
            method.checked_reallocation(t)
            left.append(sorted(abs(W.value).tolist()))
    assert left == [[5, 6, 7, 8, 9, 10], [8, 9, 10], [9, 10], [9, 10], [9, 10]]


def test_gradual_exponential():
    """Sixteen weights to one at t = 4, by 16^(1/4) = 2 each time: 8, 4, 2 and 1 are left."""
    method = Gradual(sparsity=0.9375, schedule="exponential",
                     **{**SOMETIMES, "steps_per_epoch": 5}, stop_epoch=1)
    model = network(range(1, 17))
    method.setup(model, np.random.default_rng(0))
    left = []
    for t in range(1, 5):
        assert method.left(t) == [2 ** (5 - t)]
        method.checked_reallocation(t)
        left.append(method.tensors[0].value.tolist())
    assert left == [list(range(n, 17)) for n in (9, 13, 15, 16)]


def test_set():
    """ζ = 0.4: of five positive weights the two smallest, of three negative ones the one nearest 0;
    the DSR authors' form: of eight weights the three smallest |w|."""
    values = [0.5, -3, 0.1, 0, 2, -0.2, 0, 0.3, -1, 4, 0, 0]
    for variant, gone in (("sign", {0.1, 0.3, -0.2}), ("magnitude", {0.1, -0.2, 0.3})):
        W, = begin(method := SET(fraction=0.4, variant=variant, **SOMETIMES), values)
        report = method.checked_reallocation(1)
        assert (report.pruned, report.grown, report.active) == ([3], [3], [8])
        kept = {value for value in values if value} - gone
        assert set(np.round(W.value[W.value != 0].astype(float), 3).tolist()) == kept
        assert (W.value == 0).sum() == 3


def test_set_and_its_variant_differ():
    """ζ = 0.5: by sign a 1 and a -8 go, by magnitude the two positive ones."""
    for variant, left in (("sign", [-9, 2]), ("magnitude", [-9, -8])):
        W, = begin(method := SET(fraction=0.5, variant=variant, **SOMETIMES), [1, 2, -8, -9, 0, 0])
        method.checked_reallocation(1)
        assert sorted(W.value[W.value != 0].tolist()) == left


def test_set_counts_zeros_as_positive():
    """ζ = 0.5 of three positive ones, 0 among them, and of one negative: the 0 goes, no other."""
    W, = begin(method := SET(fraction=0.5, **SOMETIMES), [1, 2, 3, -4, 0, 0])
    W.value[1] = 0
    method.checked_reallocation(1)
    assert sorted(W.value[W.value != 0].tolist()) == [-4, 1, 3]


def test_deepr():
    """η = 0.5, α = 0.2, T = 0:  w - η g - η α s.

     0.30 - 0.05 - 0.1 =  0.15    lives
    -0.20 - 0.05 + 0.1 = -0.15    lives
     0.10 - 0.05 - 0.1 = -0.05    was positive: dies, and one is born at 0
    """
    method = DeepR(alpha=0.2, temperature=0.0, **SOMETIMES)
    W, = begin(method, [0.3, 0, -0.2, 0.1, 0, 0])
    W.pull(np.full((1, 6), 0.1, np.float32))
    sgd = SimpleNamespace(lr=0.5, step=lambda: setattr(W, "value", W.value - 0.5 * W.grad))
    report = method.step(1, sgd)
    assert (report.pruned, report.grown) == ([1], [1])
    theta = dict(zip(W.index.tolist(), W.value.tolist(), strict=True))
    assert theta[0] == pytest.approx(0.15)
    assert theta[2] == pytest.approx(-0.15)
    assert sorted(theta.values())[1] == 0


def test_deepr_lets_a_weight_at_0_live():
    """It has not changed its sign; so a newborn one has a step to leave 0."""
    method = DeepR(alpha=0.0, temperature=0.0, **SOMETIMES)
    W, = begin(method, [0.3, -0.2, 0, 0])
    W.value[:] = [0.0, -0.1]
    assert method.checked_reallocation(1).pruned == [0]
    assert W.index.tolist() == [0, 1]


def test_deepr_s_noise(rng):
    """√(2 η T) ν: with η = 0.5 and T = 0.01 its standard deviation is 0.1. Drift and gradient 0."""
    method = DeepR(alpha=0.0, temperature=0.01, **SOMETIMES)
    W, = begin(method, np.full(10_000, 5.0))
    W.pull(np.zeros((1, 10_000), np.float32))
    method.step(1, SimpleNamespace(lr=0.5, step=lambda: None))
    noise = W.value - 5
    assert noise.mean() == pytest.approx(0, abs=0.005)
    assert noise.std() == pytest.approx(0.1, rel=0.05)


def test_deepr_s_noise_through_the_gradient():
    """The DSR authors': with η = 0.01 and T = 0.5, ν has √(2 η T) = 0.1 in the gradient. With a
    learning rate of 0.1 and Nesterov's momentum of 0.9 it moves a weight by 0.1 * 1.9 * 0.1 = 0.019
    in the step itself, and by 0.1 * 0.9² * 0.1 = 0.0081 in the next.

    The paper's moves it by √(2 * 0.1 * 0.5) = 0.316, 16.6 times as far, at once.
    """
    def moves(**noise):
        method = DeepR(alpha=0.0, temperature=0.5, **noise, **SOMETIMES)
        W, = begin(method, np.full(10_000, 50.0))
        W.pull(gradient := np.zeros((1, 10_000), np.float32))
        sgd, places = SGD([W], momentum=0.9), [W.value.copy()]
        sgd.lr = 0.1
        for t in (1, 2):
            W.pull(gradient)
            method.step(t, sgd)
            places.append(W.value.copy())
        return np.diff(places, axis=0).std(axis=1)

    assert moves(noise_rate=0.01) == pytest.approx([0.019, np.hypot(0.019, 0.0081)], rel=0.05)
    assert moves() == pytest.approx([0.316, 0.316], rel=0.05)


def test_deepr_s_signs_are_fixed():
    """A weight born where the initial value was negative may be negative, and dies if positive."""
    values = [0.3, 0.1, -0.2]
    method = DeepR(alpha=0.0, temperature=0.0, **SOMETIMES)
    model = network(values)
    method.structure = {"fc0": np.array([0])}
    method.setup(model, np.random.default_rng(0))
    W, = method.tensors
    W.grow([1, 2])
    assert method.signs()[0].tolist() == [1, 1, -1]
    W.value[:] = [0.1, -0.1, -0.1]
    assert W.prune(method.signs()[0] * W.value < 0) == 1
    assert W.index.tolist() == [0, 2]


def test_hashed():
    """Three numbers in six positions; ∂L/∂φ_k = Σ over h(i) = k of ξ(i) ∂L/∂θ_i (Chen, eq. 7)."""
    W = Hashed((2, 3), np.array([10.0, 20.0, 30.0]), np.zeros(2, np.uint32))
    bucket, sign = [2, 0, 1, 0, 2, 2], [1, -1, 1, 1, -1, 1]
    W = type("ByHand", (Hashed,), {"bucket": np.array(bucket), "sign": np.array(sign)})(
        (2, 3), W.value, W.key)
    assert W.theta().tolist() == [[30, -10, 20], [10, -30, 30]]
    W.pull(np.array([[1.0, 2, 3], [4, 5, 6]]))
    assert W.grad.tolist() == [-2 + 4, 3, 1 - 5 + 6]


def test_snfs():
    """Of 4 and 4 weights a half goes; mean |V| at the weights is 3 and 1, so 3 and 1 of 4 grow.

    They grow where |V| is largest among the places that are empty then.
    """
    method = SNFS(fraction=0.5, **SOMETIMES)
    A, B = begin(method, [1, 2, 3, 4, 0, 0, 0, 0], [5, 6, 7, 8, 0, 0, 0, 0])
    method.V = [np.array([[6, 3, 1, -2, 0, 4, -5, 1.0]]), np.array([[0, -2, 1, 1, 3, 0, 0, 0.0]])]
    report = method.checked_reallocation(0)
    assert (report.pruned, report.grown) == ([2, 2], [3, 1])
    assert A.index.tolist() == [0, 2, 3, 5, 6]    # 0 came back: |V| = 6
    assert A.value.tolist() == [0, 3, 4, 0, 0]
    assert B.index.tolist() == [2, 3, 4]


def test_snfs_s_momentum():
    """V <- 0.9 V + g at all positions."""
    method = SNFS(**SOMETIMES)
    W, = begin(method, [1, 0, 2, 0])
    for g in (1.0, 2.0):
        W.pull(np.full((1, 4), g, np.float32))
        method.step(0, SimpleNamespace(momentum=0.9, step=lambda: None))
    assert method.V[0].tolist() == [pytest.approx([2.9] * 4)]


def test_snfs_s_momentum_with_weight_decay():
    """V <- 0.9 V + g + 0.5 w, with w = 0 where no weight is: w = (1, 0, 2, 0) stays, g = 1, then 2.

    V = (1.5, 1, 2, 1), and then (1.35 + 2.5, 0.9 + 2, 1.8 + 3, 0.9 + 2)
    """
    method = SNFS(decay_in_momentum=True, **SOMETIMES)
    W, = begin(method, [1, 0, 2, 0])
    sgd = SimpleNamespace(momentum=0.9, weight_decay=0.5, step=lambda: None)
    for g, V in ((1.0, [1.5, 1, 2, 1]), (2.0, [3.85, 2.9, 4.8, 2.9])):
        W.pull(np.full((1, 4), g, np.float32))
        method.step(0, sgd)
        assert method.V[0].tolist() == [pytest.approx(V)]


@pytest.mark.parametrize(("kind", "end", "default"), [(SNFS, 95, 0), (ITOP, 100, 1)])
def test_the_last_fraction(kind, end, default):
    """From a half of 200 weights to a quarter; not to more than at first; by default SNFS ends at
    0 and ITOP at 0.005. Half of the way is the mean: (0.5 + 0.25) / 2 = 0.375."""
    options = {k: v for k, v in SOMETIMES.items() if kind is SNFS or "period" not in k}
    for asked, t, pruned in (({"last_fraction": 0.25}, end, 50), ({}, end, default),
                             ({"last_fraction": 0.25}, end / 2, 75),
                             ({"fraction": 0.1, "last_fraction": 0.25}, end, 20)):
        W, = begin(method := kind(**{"fraction": 0.5} | asked, **options), [1.0] * 200 + [0] * 200)
        W.dense_grad = np.ones(W.shape)
        assert method.checked_reallocation(t).pruned == [pruned]


def test_rigl():
    """f = 0.4 at t = 0, of five weights: the two smallest go; two grow where |g| is largest among
    the positions that do not hold one of the other three."""
    method = RigL(fraction=0.4, **SOMETIMES)
    W, = begin(method, [0.1, -5, 3, 0.2, 4, 0, 0, 0])
    W.keep_dense_grad = True
    W.pull(np.array([[-7, 9, 9, 0, 9, 1, -3, 8.0]], np.float32))
    report = method.checked_reallocation(0)
    assert (report.pruned, report.grown) == ([2], [2])
    assert W.index.tolist() == [0, 1, 2, 4, 7]    # 0 came back, at 0
    assert W.value.tolist() == [0, -5, 3, 4, 0]


def test_rigl_s_fraction():
    """f_t = α / 2 (1 + cos(π t / T_end)), here T_end = 95: a third of the way is 3/4 of α."""
    method = RigL(fraction=0.4, **SOMETIMES)
    assert method.annealed(0.4, 0) == 0.4
    assert method.annealed(0.4, 95 / 3) == pytest.approx(0.3)
    assert method.annealed(0.4, 95) == pytest.approx(0)


def test_itop():
    """Two of ten positions at first; at each update half of the two, one, moves: R_s = 0.2 and at
    most 0.1 more each time, and in the end the fraction is 0.005."""
    method = ITOP(interval=10, **{k: v for k, v in SOMETIMES.items() if "period" not in k})
    W, = begin(method, [3, 4, 0, 0, 0, 0, 0, 0, 0, 0])
    assert [t for t in range(101) if method.due(t)] == list(range(10, 100, 10))
    assert method.explored.rate() == 0.2
    seen = set(W.index.tolist())
    for t in (10, 20, 30):
        method.fraction = 1.0
        method.checked_reallocation(t)
        seen |= set(W.index.tolist())
        assert method.explored.rate() == len(seen) / 10
    assert method.annealed(0.5, 100, last=0.005) == pytest.approx(0.005)
    assert ITOP(epochs=250, steps_per_epoch=391).interval == 1503  # the paper's 1,500


def test_dst():
    """One row, W = (0.5, -0.2, 1), t = 0.3, dθ = (1, 2, -1).

    Q = |W| - t = (0.2, -0.1, 0.7):  M = (1, 0, 1),  S(Q) = (2 - 0.8, 2 - 0.4, 0.4)
    dW = dθ M + dθ |W| S = (1 + 0.6, 0.64, -1 - 0.4)
    dt = -Σ dθ W S = -(0.6 - 0.64 - 0.4) = 0.44
    """
    W = Thresholded(np.array([[0.5, -0.2, 1.0]]))
    W.rows(W.value)[1][:] = 0.3
    assert W.theta().tolist() == [[0.5, 0, 1]]
    W.pull(np.array([[1.0, 2.0, -1.0]]))
    assert W.grad == pytest.approx([1.6, 0.64, -1.4, 0.44])
    assert surrogate(np.array([0, 0.4, -0.4, 0.41, 1, -1.01])) == pytest.approx(
        [2, 0.4, 0.4, 0.4, 0.4, 0])


def test_dst_s_penalty_and_reset():
    """The gradient of α exp(-t) is -α exp(-t). With all weights cut off, thresholds start anew."""
    method = DST(alpha=0.1)
    model = network([[1, 2], [3, 4]])
    method.setup(model, np.random.default_rng(0))
    W, = method.tensors
    W.rows(W.value)[1][:] = [0, 9]
    W.grad = np.zeros(6, np.float32)
    sgd = SimpleNamespace(step=lambda: None, weight_decay=0.0, l1=0.0)
    method.step(0, sgd)
    assert W.grad == pytest.approx([0, 0, 0, 0, -0.1, -0.1 * np.exp(-9)])
    assert W.active().tolist() == [0, 1]
    W.rows(W.value)[1][:] = 9
    W.velocity[:] = 1
    method.step(0, sgd)
    assert W.rows(W.value)[1].tolist() == W.rows(W.velocity)[1].tolist() == [0, 0]
    assert W.active().tolist() == [0, 1, 2, 3]


def test_dst_s_thresholds_do_not_decay():
    """Weights do: 1 - 0.5 (0.1 + 0.01 * 1) = 0.945; t = 0.5 stays, as α and dt are 0."""
    method = DST(alpha=0.0)
    model = network([[1, 2], [3, 4]])
    method.setup(model, np.random.default_rng(0))
    W, = method.tensors
    W.rows(W.value)[1][:] = 0.5
    W.grad = np.zeros(6, np.float32)
    sgd = SGD([W], momentum=0.0, nesterov=False, weight_decay=0.1, l1=0.01)
    sgd.lr = 0.5
    method.step(0, sgd)
    assert W.value[0] == pytest.approx(0.945)
    assert W.rows(W.value)[1] == pytest.approx(0.5)


def test_dsr_s_growth_rules():
    """Three tensors prune k = (4, 2, 0); l = (2, 2, 6) survive; 4, 14 and 6 were free before.

    survivors  6 * (2, 2, 6) / 10 = (1.2, 1.2, 3.6)
    room       6 * (8, 16, 6) / 30 = (1.6, 3.2, 1.2)
    pruned     (4, 2, 0)
    """
    k, l, room = [4, 2, 0], [2, 2, 6], [4, 14, 6]
    assert shares(k, l, room) == [1, 1, 4]
    assert shares(k, l, room, "room") == [2, 3, 1]
    assert shares(k, l, room, "pruned") == k
    assert shares([3], [0], [0], "pruned") == [3]


def test_dsr_protects_newborns():
    """H = 4 prunes 1 and 2 of (1, 2, 5, 6); two grow at 0. They stay the next time, though H is
    still 4, where 5, now at 3, goes and one more grows; the time after that they go.

    Unless they are protected, they go at once.
    """
    for protect, pruned in ((True, [2, 1, 2]), (False, [2, 3, 3])):
        method = DSR(threshold=4.0, target_pruned=2, tolerance=0.6, protect_newborns=protect,
                     **SOMETIMES)
        W, = begin(method, [1, 2, 5, 6, *[0] * 8])
        for t, left in enumerate(([0, 0, 5, 6], [0, 0, 0, 6], [0, 0, 0, 6])):
            before = W.index
            assert method.checked_reallocation(t).pruned == [pruned[t]]
            assert sorted(W.value.tolist()) == left
            if protect:
                assert W.protected.tolist() == np.setdiff1d(W.index, before).tolist()
            W.value[W.value == 5] = 3


def test_dsr_with_slices():
    """2x2 slices with mean |w| 1, 3 and 2, and one that is empty. H = 2: the first goes whole, the
    empty one comes, and the mean of the last is not below 2, though two of its weights are."""
    method = DSR(threshold=2.0, target_pruned=4, granularity="slice", **SOMETIMES)
    model = Sequential(conv=Conv2d(2, 2, 2, rng=np.random.default_rng(0)))
    slices = [[0, 1, 2, -1], [9, 9, 9, 9], [3, 3, 3, -3], [5, 0, 3, 0]]
    model.layers["conv"].weight.value = np.array(slices, np.float32).reshape(2, 2, 2, 2)
    method.structure = {"conv": np.r_[0:4, 8:16]}
    method.setup(model, np.random.default_rng(0))
    report = method.checked_reallocation(1)
    assert (report.pruned, report.grown, report.active, report.K) == ([4], [4], [12], 4)
    assert (report.H, report.next_H, report.N_p) == (2, 2, 4)
    assert method.tensors[0].theta().reshape(4, 4).tolist() == [[0] * 4, [0] * 4, *slices[2:]]
    assert method.tensors[0].index.tolist() == list(range(4, 16))


def test_a_slice_of_zeros_that_is_kept_is_not_new():
    """The only slice is kept, though it is 0; nothing was pruned, so nothing grows."""
    method = DSR(threshold=1.0, target_pruned=1, granularity="slice", **SOMETIMES)
    model = Sequential(conv=Conv2d(2, 2, 2, rng=np.random.default_rng(0)))
    model.layers["conv"].weight.value[...] = 0
    method.structure = {"conv": np.arange(4, 8)}
    method.setup(model, np.random.default_rng(0))
    method.tensors[0].velocity[:] = 3
    assert method.checked_reallocation(1).K == 0
    assert method.tensors[0].index.tolist() == [4, 5, 6, 7]
    assert method.tensors[0].velocity.tolist() == [3, 3, 3, 3]


def test_slices_of_a_network():
    """Half of the slices, and they stay whole; the number of weights does not change."""
    model = wide_resnet(10, 1, rng=np.random.default_rng(0))
    method = DSR(sparsity=0.5, granularity="slice", threshold=0.05, target_pruned=9_000)
    method.setup(model, np.random.default_rng(0))
    budget = model.free_parameters()
    for t in range(4):
        report = method.checked_reallocation(t)
        assert report.K > 0
        assert report.K % 9 == 0
        assert model.free_parameters() == budget
        for W in method.tensors:
            assert len(W.index) % 9 == 0
            assert (W.index.reshape(-1, 9) == W.index[::9, None] + np.arange(9)).all()
            assert (W.index[::9] % 9 == 0).all()


@pytest.mark.parametrize("index", [range(8), range(1, 10), [*range(8), 9], range(4)])
def test_parts_of_slices_are_refused(index):
    model = Sequential(conv=Conv2d(2, 2, 3, rng=np.random.default_rng(0)))
    method = DSR(granularity="slice", target_pruned=1)
    method.structure = {"conv": np.array(index)}
    with pytest.raises(ValueError, match="structure of whole slices"):
        method.setup(model, np.random.default_rng(0))


def test_slices_of_one_weight_are_weights():
    """With 1x1 kernels, or none, both are the same."""
    states = []
    for granularity in ("weight", "slice"):
        model = network(np.arange(1, 41) / 10, np.arange(1, 21) / 10)
        method = DSR(sparsity=0.5, granularity=granularity, threshold=0.7, target_pruned=3)
        method.setup(model, np.random.default_rng(0))
        for t in range(3):
            method.checked_reallocation(t)
        states.append([W.index.tolist() for W in method.tensors])
    assert states[0] == states[1]


def test_schedules():
    assert cubic(25, 100, 74, 10) == 10 + 27  # 64 (3/4)³
    assert [cubic(t, 4, 9, 2) for t in range(6)] == [9, 4, 2, 2, 2, 2]  # 2.95, 0.875, 0.11 more
    assert [exponential(t, 4, 80, 5) for t in range(6)] == [80, 40, 20, 10, 5, 5]
    assert [exponential(t, 2, 10, 3) for t in range(3)] == [10, 5, 3]  # √30 = 5.48
    assert [exponential(t, 3, 8, 0) for t in range(4)] == [8, 4, 2, 0]  # as if to 1
    assert cosine(0, 10, 0.5, 0.1) == 0.5
    assert cosine(5, 10, 0.5, 0.1) == pytest.approx(0.3)
    assert cosine(10, 10, 0.5, 0.1) == pytest.approx(0.1)


def test_dsr_keeps_one_or_none():
    """A tensor wholly below H: its largest stays, or, in the paper, none."""
    for keep_one, pruned in ((True, 2), (False, 3)):
        method = DSR(threshold=4.0, target_pruned=2, keep_one=keep_one, **SOMETIMES)
        begin(method, [1, -3, 2, 0], [5, 6, 0, 0])
        assert method.checked_reallocation(1).pruned == [pruned, 0]
