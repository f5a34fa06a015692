"""Normalisation, augmentation, and an epoch in batches: data/batches.py."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from minidsr.data.batches import Dataset, augment, batches, normalise, split


def naive_augment(x, shift, flip):
    out = np.empty_like(x)
    for i, image in enumerate(x):
        padded = np.pad(image, ((0, 0), (4, 4), (4, 4)), mode="reflect")
        row, col = shift[i]
        crop = padded[:, row : row + x.shape[2], col : col + x.shape[3]]
        out[i] = crop[:, :, ::-1] if flip[i] else crop
    return out


@given(
    seed=st.integers(0, 2**32),
    n=st.integers(1, 6),
    c=st.sampled_from([1, 3]),
    h=st.integers(5, 12),
    w=st.integers(5, 12),
)
@settings(max_examples=60, deadline=None)
def test_augment_is_pad_crop_flip(seed, n, c, h, w):
    rng = np.random.default_rng(seed)
    x = rng.integers(0, 256, (n, c, h, w), dtype=np.uint8)
    shift, flip = rng.integers(0, 9, (n, 2)), rng.random(n) < 0.5
    before = x.copy()
    y = augment(x, shift, flip)
    assert y.dtype == np.uint8
    np.testing.assert_array_equal(y, naive_augment(x, shift, flip))
    np.testing.assert_array_equal(x, before)


def test_augment_without_shift_or_flip_changes_nothing():
    x = np.random.default_rng(0).integers(0, 256, (3, 3, 32, 32), dtype=np.uint8)
    same = augment(x, np.full((3, 2), 4), np.zeros(3, bool))
    np.testing.assert_array_equal(same, x)
    mirrored = augment(x, np.full((3, 2), 4), np.ones(3, bool))
    np.testing.assert_array_equal(mirrored, x[..., ::-1])


def test_augment_by_hand():
    x = np.arange(25, dtype=np.uint8).reshape(1, 1, 5, 5)
    left_top = augment(x, np.array([[0, 4]]), np.array([False]))  # up by four rows
    np.testing.assert_array_equal(left_top[0, 0], x[0, 0, ::-1])  # reflected about row 0
    right = augment(x, np.array([[4, 6]]), np.array([False]))
    assert right[0, 0, 0].tolist() == [2, 3, 4, 3, 2]  # the edge is not repeated


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_normalise(dtype):
    dataset = tiny(10)
    x = dataset.train_x
    mean, std = (np.reshape(v, (1, 3, 1, 1)) for v in (dataset.mean, dataset.std))
    y = normalise(x, dataset, dtype)
    assert y.dtype == dtype
    np.testing.assert_allclose(y, (x / 255 - mean) / std, rtol=1e-5, atol=1e-5)


def tiny(n, side=6):
    """A Dataset of n images; the first pixel and the label of image i tell i."""
    x = np.random.default_rng(n).integers(0, 256, (n, 3, side, side), dtype=np.uint8)
    y = np.arange(n, dtype=np.uint8)
    return Dataset("tiny", ("?",) * max(2, n), x, y, x, y, (0.4, 0.5, 0.6), (0.2, 0.25, 0.3), True)


def epoch_of(dataset, batch, seed=0, *, augmented=False, start=0):
    rng = np.random.default_rng(seed)
    return list(batches(dataset, batch, rng, augmented=augmented, start=start))


@given(data=st.data(), n=st.integers(1, 40), seed=st.integers(0, 9))
@settings(max_examples=60, deadline=None)
def test_a_split_takes_each_image_once_at_most(data, n, seed):
    """What is set apart depends on the seed alone, and fewer images to train on are among more."""
    whole = tiny(n)
    validation = data.draw(st.integers(0, n - 1))
    most = n - validation
    sizes = sorted(data.draw(st.tuples(*[st.integers(1, most)] * 2)))
    apart, kept = [], []
    for size in (*sizes, None):
        part = split(whole, np.random.default_rng(seed), validation=validation, train_images=size)
        for name in ("train", "validation") if validation else ("train",):
            x, y = part.part(name)
            assert (x == whole.train_x[y]).all()  # the label is the image's number
            assert (np.diff(y.astype(int)) > 0).all()
        apart.append(part.validation_y.tolist() if validation else [])
        kept.append(set(part.train_y.tolist()))
        assert len(kept[-1]) == (most if size is None else size)
        assert part.test_y is whole.test_y
    assert apart[0] == apart[1] == apart[2] and len(apart[0]) == validation
    assert kept[0] <= kept[1] <= kept[2] == set(range(n)) - set(apart[0])


def test_a_split_is_another_for_another_seed():
    apart = {tuple(split(tiny(40), np.random.default_rng(seed), validation=20).validation_y)
             for seed in range(10)}
    assert len(apart) == 10


@pytest.mark.parametrize(("sizes", "match"), [
    ({"validation": 10}, r"validation must be a whole number, in 0\.\.9, not 10"),
    ({"validation": 4, "train_images": 7}, r"train_images must be .* in 1\.\.6, not 7"),
    ({"train_images": 0}, "train_images must be"),
])
def test_a_split_of_more_than_there_are(sizes, match):
    with pytest.raises(ValueError, match=match):
        split(tiny(10), np.random.default_rng(0), **sizes)


@given(
    n=st.integers(1, 40),
    batch=st.integers(1, 50),
    seed=st.integers(0, 2**40),
    augmented=st.booleans(),
)
@settings(max_examples=40, deadline=None)
def test_an_epoch_has_each_image_once(n, batch, seed, augmented):
    parts = epoch_of(tiny(n), batch, seed, augmented=augmented)
    assert sorted(np.concatenate([y for _, y in parts])) == list(range(n))
    assert [len(y) for _, y in parts[:-1]] == [batch] * (len(parts) - 1)
    assert len(parts[-1][1]) == n - batch * (len(parts) - 1)
    assert all(x.dtype == np.float32 and len(x) == len(y) for x, y in parts)


@given(
    batch=st.integers(1, 20),
    start=st.integers(0, 12),
    seed=st.integers(0, 9),
    augmented=st.booleans(),
)
@settings(max_examples=40, deadline=None)
def test_starting_late_equals_skipping(batch, start, seed, augmented):
    dataset = tiny(23)
    whole = epoch_of(dataset, batch, seed, augmented=augmented)[start:]
    late = epoch_of(dataset, batch, seed, augmented=augmented, start=start)
    assert len(late) == len(whole)
    for (x, y), (other_x, other_y) in zip(late, whole, strict=True):
        np.testing.assert_array_equal(x, other_x)
        np.testing.assert_array_equal(y, other_y)


@pytest.mark.parametrize("augmented", [False, True])
def test_order_and_draws_do_not_depend_on_the_batch_size(augmented):
    dataset = tiny(30)
    expected_x, expected_y = epoch_of(dataset, 30, augmented=augmented)[0]
    for batch in (1, 7, 30, 100):
        parts = epoch_of(dataset, batch, augmented=augmented)
        np.testing.assert_array_equal(np.concatenate([y for _, y in parts]), expected_y)
        np.testing.assert_array_equal(np.concatenate([x for x, _ in parts]), expected_x)


def test_augmenting_changes_pixels_but_not_the_order():
    dataset = tiny(30)
    (plain, y), (moved, moved_y) = (epoch_of(dataset, 30, augmented=a)[0] for a in (False, True))
    np.testing.assert_array_equal(y, moved_y)
    np.testing.assert_array_equal(plain, normalise(dataset.train_x[y], dataset))
    assert (plain != moved).any()


def test_other_generators_give_other_orders():
    orders = [tuple(epoch_of(tiny(40), 40, seed)[0][1]) for seed in range(4)]
    assert len(set(orders)) == 4


def test_the_order_is_the_generator_s_first_draw():
    expected = np.random.default_rng(7).permutation(40)
    np.testing.assert_array_equal(epoch_of(tiny(40), 40, 7)[0][1], expected)


def test_shifts_and_flips_are_uniform():
    n = 4000
    row, column = np.indices((16, 16), np.uint8)
    x = np.broadcast_to(np.stack([row, column, column]), (n, 3, 16, 16))
    y = np.zeros(n, np.uint8)
    dataset = Dataset("ramp", ("?",) * 2, x, y, x, y, (0.0,) * 3, (1 / 255,) * 3, True)
    moved = epoch_of(dataset, n, augmented=True)[0][0].round().astype(int)
    flipped = moved[:, 1, 8, 8] < moved[:, 1, 8, 7]
    assert 0.45 < flipped.mean() < 0.55
    # Where pixel (8, 8) of the crop came from: 4 to 12, each as often, whatever the other draws.
    came = moved[:, 0, 8, 8], np.where(flipped, moved[:, 1, 8, 7], moved[:, 1, 8, 8])
    for pixel in came:
        share = np.bincount(pixel, minlength=13) / n
        assert len(share) == 13 and (abs(share[4:] - 1 / 9) < 0.03).all()
    assert abs(np.corrcoef([*came, flipped]) - np.eye(3)).max() < 0.08
