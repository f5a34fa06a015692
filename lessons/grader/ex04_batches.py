"""Lesson 4: batches. A program is judged by several of its answers, as order is what counts."""

from collections import Counter

import numpy as np
from hypothesis import strategies as st

from lessons.solutions import ex04 as solved

from .exercise import Exercise, Plug

MANY = 20  # so many images, or more, come in the same order twice by no chance
SEEDS = 600  # draws of 3 images
CHI = 35.9  # χ², 5 degrees of freedom: exceeded by chance once in a million


def inside(f, n, batch, seed, epoch, start):
    """What the function gives, and what it gives for other arguments, and again."""
    found = {"whole": f(n, batch, seed, epoch), "rest": f(n, batch, seed, epoch, start),
             "of many": f(MANY, MANY, seed, epoch), "once more": f(MANY, MANY, seed, epoch)}
    if n >= MANY:
        found |= {"next epoch": f(n, batch, seed, epoch + 1),
                  "next seed": f(n, batch, seed + 1, epoch)}
    if n == 3 and batch == 3:
        orders = Counter(tuple(map(int, f(3, 3, s, epoch)[0])) for s in range(SEEDS))
        found["orders"] = list(orders.values())
    return {name: _plain(parts) for name, parts in found.items()}


def _plain(x):
    return [_plain(y) for y in x] if isinstance(x, (list, tuple, np.ndarray)) else int(x)


def small():
    for n, batch in ((1, 1), (2, 1), (3, 3), (4, 2), (3, 2), (5, 4), (2, 3), (12, 4), (20, 5),
                     (21, 6)):
        yield from ((n, batch, 0, epoch, start) for epoch in (0, 1)
                    for start in range(-(-n // batch)))
    yield 40, 7, 5, 3, 2


@st.composite
def cases(draw):
    n, batch = draw(st.integers(1, 60)), draw(st.integers(1, 20))
    return (n, batch, draw(st.integers(0, 1000)), draw(st.integers(0, 100)),
            draw(st.integers(0, -(-n // batch))))


def level(n, batch, seed, epoch, start):
    if n >= MANY:
        return 3
    return 2 if start else int(n % batch > 0)


def sizes_of(g, n, batch, seed, epoch, start):
    """every batch has so many images, the last one what is left"""
    return [*map(len, g["whole"])] == [min(batch, n - i) for i in range(0, n, batch)]


def each_image_once(g, n, batch, seed, epoch, start):
    """each image comes once, counted from 0"""
    return sorted(sum(g["whole"], [])) == list(range(n))


def same_twice(g, n, batch, seed, epoch, start):
    """the same arguments give the same batches"""
    return g["of many"] == g["once more"]


def the_rest(g, n, batch, seed, epoch, start):
    """with `start`, so many of the same batches are left out"""
    return g["rest"] == g["whole"][start:]


def another_epoch(g, n, batch, seed, epoch, start):
    """another epoch has another order"""
    return n < MANY or g["whole"] != g["next epoch"]


def another_seed(g, n, batch, seed, epoch, start):
    """another seed has another order"""
    return n < MANY or g["whole"] != g["next seed"]


def no_sum(g, n, batch, seed, epoch, start):
    """the next epoch of a seed is no epoch of the next seed"""
    return n < MANY or g["next seed"] != g["next epoch"]


def likely(g, n, batch, seed, epoch, start):
    """all 6 orders of 3 images are about equally often there, over 600 seeds"""
    orders = g.get("orders")
    if orders is None:
        return True
    wish = SEEDS / 6
    chi = sum((count - wish) ** 2 / wish for count in [*orders, *[0] * (6 - len(orders))])
    return chi <= CHI or f"they come {', '.join(map(str, sorted(orders)))} times"


def picture(g, n, batch, seed, epoch, start):
    lines = [f"n = {n}, batch = {batch}, seed = {seed}, epoch = {epoch}, start = {start}", ""]
    for name, parts in (g or {}).items():
        lines.append(f"{name:<13}  " + ("  ".join(map(str, sorted(parts))) if name == "orders" else
                                        " | ".join(" ".join(map(str, p)) for p in parts)))
    return "\n".join(lines)


def gist(g):
    """What holds of an answer. In which order few images come is chance."""
    whole, rest = g["whole"], g["rest"]
    images = sorted(sum(whole, []))
    facts = [[*map(len, whole)], images, [*map(len, rest)], g["of many"] == g["once more"],
             len(g.get("orders", []))]
    if len(images) >= 10:
        facts += [sum(whole, []) == images, sorted(sum(rest, [])) == images,
                  rest == whole[len(whole) - len(rest):]]
    return [*facts, *(g.get(name) == g.get(other) for name, other in (
        ("whole", "next epoch"), ("whole", "next seed"), ("next seed", "next epoch")))]


# --- mistakes


def _of(order, batch, start=0):
    return [order[i:i + batch] for i in range(start * batch, len(order), batch)]


GOES_ON = np.random.default_rng(0)


def goes_on(n, batch, seed, epoch, start=0):
    """One generator goes on from call to call. Can you resume in the middle of epoch 7 without
    having drawn epochs 0 to 6?"""
    return _of(GOES_ON.permutation(n), batch, start)


def same_in_each_epoch(n, batch, seed, epoch, start=0):
    """Every epoch has the same order. What must the generator be made of, beside the seed?"""
    return solved.batches(n, batch, seed, 0, start)


def adds_the_epoch(n, batch, seed, epoch, start=0):
    """Epoch 1 of seed 0 is epoch 0 of seed 1: the two are added. So seeds share most of their
    epochs. A generator also takes a list of numbers as its seed."""
    return solved.batches(n, batch, seed + epoch, 0, start)


def without_the_seed(n, batch, seed, epoch, start=0):
    """All seeds have the same order. What is the seed for?"""
    return solved.batches(n, batch, 0, epoch, start)


def drops_the_last(n, batch, seed, epoch, start=0):
    """The last batch is left out where it is smaller. How often is each image seen in an epoch?"""
    return [part for part in solved.batches(n, batch, seed, epoch, start) if len(part) == batch]


def with_replacement(n, batch, seed, epoch, start=0):
    """Some images come twice, and some do not come. Which method of a generator shuffles?"""
    return _of(np.random.default_rng([seed, epoch]).integers(0, n, n), batch, start)


def in_order(n, batch, seed, epoch, start=0):
    """Nothing is shuffled. What should a seed change?"""
    return _of(np.arange(n), batch, start)


def from_the_start(n, batch, seed, epoch, start=0):
    """`start` changes nothing. What has a resumed training seen already?"""
    return solved.batches(n, batch, seed, epoch)


def shuffles_what_is_left(n, batch, seed, epoch, start=0):
    """Only the images of the batches that are left are shuffled, and others are left out than were
    trained on before the break. Draw the order of the whole epoch first; what then?"""
    rng = np.random.default_rng([seed, epoch])
    return _of(rng.permutation(np.arange(min(start * batch, n), n)), batch)


def starts_at_an_image(n, batch, seed, epoch, start=0):
    """`start` images are left out. What does it count?"""
    return _of(solved.batches(n, n, seed, epoch)[0][start:], batch)


def rolled(n, batch, seed, epoch, start=0):
    """Images stay in a circle that begins anywhere."""
    return _of(np.roll(np.arange(n), np.random.default_rng([seed, epoch]).integers(n)), batch,
               start)


def sorted_within(n, batch, seed, epoch, start=0):
    """Right, but in order within each batch: not every order is there."""
    return [np.sort(part) for part in solved.batches(n, batch, seed, epoch, start)]


def as_batches(f):
    def batches(trainer):
        from minidsr.data.batches import normalise

        data, config = trainer.dataset, trainer.config
        epoch, first = divmod(trainer.t, trainer.steps_per_epoch)
        for part in f(len(data.train_y), config.batch, config.seed, epoch, first):
            yield normalise(data.train_x[np.asarray(part)], data), data.train_y[np.asarray(part)]
    return batches


batches = Exercise(
    name="batches", stars=2, minutes=15,
    small=small, cases=cases(), inside=inside, gist=gist,
    levels=("the batch divides the images", "the last batch is smaller", "after a break",
            "other epochs and seeds"),
    level=level,
    properties=(sizes_of, each_image_once, same_twice, the_rest, another_epoch, another_seed,
                no_sum, likely),
    picture=picture,
    mistakes=(goes_on, same_in_each_epoch, adds_the_epoch, without_the_seed, drops_the_last,
              with_replacement, in_order, from_the_start, shuffles_what_is_left,
              starts_at_an_image),
    lazy=(rolled, sorted_within),
    hints=(
        "A training of 90 epochs is interrupted in epoch 7. What must be known to go on with the "
        "very next batch?",
        "Make a new generator in each call, from seed and epoch alone. It draws one order of all "
        "images; batches are slices of it.",
        "`start` leaves out batches of that order: draw all of it, then begin to cut at a later "
        "place. np.random.default_rng takes a list of two numbers."),
    plug=Plug(("minidsr.run.train.Trainer.batches",), as_batches), seconds=10.0,
    hidden=("minidsr.data.batches.batches",))
