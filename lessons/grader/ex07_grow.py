"""Lesson 7: grow."""

import math
from collections import Counter
from itertools import combinations, product

import numpy as np
from hypothesis import strategies as st

from minidsr.proof.cases import seeds, sparse_tensors

from .exercise import Exercise, Plug

FREE, IN_USE, AVOIDED = range(3)
DRAWS, LIMIT = 600, 55.0  # chi-square with 14 degrees of freedom is above LIMIT in 1 of 10^6 tries


def small():
    """Up to 3 positions, each free, in use, or to be avoided; and two of 8 to be drawn from often.
    """
    for size in range(1, 4):
        for seed, kinds in enumerate(product((FREE, IN_USE, AVOIDED), repeat=size)):
            for n in range(size - kinds.count(IN_USE) + 1):
                yield _case(kinds, n, seed)
    yield _case((FREE, FREE, IN_USE, FREE, FREE, AVOIDED, FREE, FREE), 2, 0)
    yield _case((AVOIDED, AVOIDED, IN_USE, AVOIDED, AVOIDED, FREE, AVOIDED, AVOIDED), 3, 0)


@st.composite
def cases(draw):
    W = draw(sparse_tensors(20))
    kinds = np.array(draw(st.lists(st.sampled_from([FREE, AVOIDED]), min_size=W.size,
                                   max_size=W.size)))
    kinds[W.index] = IN_USE
    return _case(kinds, draw(st.integers(0, W.size - len(W.index))), draw(seeds))


def _case(kinds, n, seed):
    """What is in use now was in use before pruning, too."""
    kinds = np.array(kinds)
    return (np.flatnonzero(kinds == IN_USE), len(kinds), n, np.flatnonzero(kinds != FREE),
            np.random.default_rng(seed))


def _free(index, size, avoid):
    """(Positions that are free, and those of them to avoid)."""
    free = set(range(size)) - set(index.tolist())
    return free, free & set(avoid.tolist())


def _choices(index, size, n, avoid):
    """All choices that there are; only of the tensors with 8 positions and 15 choices."""
    free, again = _free(index, size, avoid)
    must, of = (free - again, again) if n > len(free - again) else (set(), free - again)
    if size != 8 or math.comb(len(of), n - len(must)) != 15:
        return []
    return [tuple(sorted({*must, *more})) for more in combinations(sorted(of), n - len(must))]


def level(index, size, n, avoid, rng):
    free, again = _free(index, size, avoid)
    return 2 if _choices(index, size, n, avoid) else int(n > len(free) - len(again))


def n_positions(g, index, size, n, avoid, rng):
    """there are n whole numbers, sorted"""
    return len(g) == n and all(type(i) is int for i in g) and g == sorted(g)


def each_once(g, index, size, n, avoid, rng):
    """no position is drawn twice"""
    return len(set(g)) == n


def are_free(g, index, size, n, avoid, rng):
    """each position is one of the tensor's that is not in use"""
    return set(g) <= _free(index, size, avoid)[0]


def avoids(g, index, size, n, avoid, rng):
    """what is to be avoided is drawn only when nothing else is free"""
    free, again = _free(index, size, avoid)
    return len(again & set(g)) == max(n - len(free - again), 0)


def by_rng(f, index, size, n, avoid, rng):
    """the same rng draws the same positions"""
    state = rng.bit_generator.state
    results = []
    for _ in range(3):
        same = np.random.default_rng(0)
        same.bit_generator.state = state
        results.append(f(index, size, n, avoid, same))
    return results[0] == results[1] == results[2]


def uniform(f, index, size, n, avoid, rng):
    """every choice of positions is as likely as any other"""
    choices = _choices(index, size, n, avoid)
    if not choices:  # few cases are enough
        return True
    drawn = Counter(tuple(sorted(f(index, size, n, avoid, np.random.default_rng(seed))))
                    for seed in range(DRAWS))
    expected = DRAWS / len(choices)
    rare, *_, often = sorted(choices, key=lambda choice: drawn[choice])
    return sum((drawn[c] - expected) ** 2 for c in choices) / expected < LIMIT or (
        f"of {DRAWS} draws {often} came {drawn[often]} times, {rare} {drawn[rare]} times")


def picture(g, index, size, n, avoid, rng):
    free, again = _free(index, size, avoid)
    kinds = ["avoid" if i in again else "free" if i in free else "in use" for i in range(size)]
    yours = "" if g is None else f"\nyours: {g}"
    return (f"draw n = {n} of\n" + "\n".join(f"  {i:>2}  {kind}" for i, kind in enumerate(kinds))
            + yours)


# --- mistakes


def with_replacement(index, size, n, avoid, rng):
    """A position can be drawn twice. What does rng.choice draw without replace=False?"""
    free, again = map(sorted, _free(index, size, avoid))
    first = sorted(set(free) - set(again))
    chosen = rng.choice(first, min(n, len(first))) if first else []
    return sorted([*chosen, *rng.choice(again, n - len(chosen))] if n > len(chosen) else chosen)


def unseeded(index, size, n, avoid, rng):
    """Positions come from somewhere else than rng. Can you repeat an experiment whose seed you
    know?"""
    return grow.solution(index, size, n, avoid, np.random.default_rng())


def avoids_nothing(index, size, n, avoid, rng):
    """All that is free is drawn from. Weights were just pruned from some of these positions: why
    would one give them back at once?"""
    return np.sort(rng.choice(sorted(_free(index, size, avoid)[0]), n, replace=False))


def never_again(index, size, n, avoid, rng):
    """What is to be avoided is never drawn, and then positions are missing. The weights of the
    network would become fewer."""
    free, again = _free(index, size, avoid)
    return np.sort(rng.permutation(sorted(free - again))[:n])


def in_a_row(index, size, n, avoid, rng):
    """Not all choices come equally often, as where positions lie beside each other, from one that
    is drawn. Which choices come too rarely with yours, or never?"""
    free, again = _free(index, size, avoid)
    first, again = np.array(sorted(free - again), int), sorted(again)
    rolled = np.roll(first, rng.integers(len(first))) if len(first) else first
    return sorted([*rolled[:n], *again[:max(n - len(first), 0)]])


def the_first(index, size, n, avoid, rng):
    """Nothing is drawn: the first that are free are taken. How would weights ever reach the end of
    a tensor?"""
    free, again = _free(index, size, avoid)
    return sorted([*sorted(free - again), *sorted(again)][:n])


def as_grow_back(f):
    def grow_back(W, n, rng, avoid=()):
        W.grow(np.array(f(W.index.copy(), W.size, n, np.array(avoid, int), rng), int))
    return grow_back


grow = Exercise(
    name="grow", stars=2, minutes=15,
    small=small, cases=cases(),
    levels=("enough is free", "what is to be avoided is needed",
            f"how often each choice comes, in {DRAWS} draws"),
    level=level,
    properties=(n_positions, each_once, are_free, avoids),
    relations=(by_rng, uniform),
    picture=picture,
    mistakes=(with_replacement, unseeded, avoids_nothing, never_again, in_a_row),
    lazy=(the_first,),
    hints=(
        "Which positions may a new weight have, if you can choose? And if these are too few?",
        "Two sets: what is free and not to be avoided, and what is free otherwise. Draw from the "
        "first, and from the second only what is missing.",
        "np.setdiff1d makes the sets, rng.choice(these, n, replace=False) draws from one. It draws "
        "0 of none without complaint, too."),
    plug=Plug(("minidsr.reparam.grow_back",), as_grow_back))
