"""Lesson 7: apportion."""

from fractions import Fraction
from itertools import product

from hypothesis import strategies as st

from minidsr.proof.sharing import fair_shares
from minidsr.run.report import table

from .exercise import Exercise, Plug
from .words import bar, column


@st.composite
def shares(draw):
    """(K, weights, room): full tensors, empty ones, equal ones."""
    n = draw(st.integers(1, 5))
    counts = st.integers(0, draw(st.sampled_from([1, 3, 20, 10**6])))
    weights, room = (draw(st.lists(counts, min_size=n, max_size=n)) for _ in range(2))
    return draw(st.integers(0, sum(room))), weights, room


def small():
    """Up to 3 tensors with weights and room up to 2."""
    for n in (1, 2, 3):
        for weights, room in product(product(range(3), repeat=n), repeat=2):
            yield from ((K, list(weights), list(room)) for K in range(sum(room) + 1))


def level(K, weights, room):
    if K and not any(w and r for w, r in zip(weights, room, strict=True)):
        return 2
    total = sum(weights)
    return int(not total or any(K * w > r * total for w, r in zip(weights, room, strict=True)))


def whole_numbers(g, K, weights, room):
    """there is one whole number a tensor, none negative"""
    return len(g) == len(room) and all(type(x) is int and x >= 0 for x in g)


def sum_is_K(g, K, weights, room):
    """the shares sum to K, exactly"""
    return sum(g) == K


def fits(g, K, weights, room):
    """no tensor gets more than its room"""
    return all(x <= r for x, r in zip(g, room, strict=True))


def within_one(g, *case):
    """each share is within one of the exact, fair one"""
    return all(abs(x - f) < 1 for x, f in zip(g, fair_shares(*case), strict=True))


def largest_remainder(g, *case):
    """the largest remainders are rounded up, the others down"""
    exact = [(x, f) for x, f in zip(g, fair_shares(*case), strict=True) if f.denominator > 1]
    up, down = [f % 1 for x, f in exact if x > f], [f % 1 for x, f in exact if x < f]
    return not up or not down or min(up) >= max(down)


def picture(g, K, weights, room):
    yours = column(g, len(room))
    rows = [[str(i), bar(w), bar(r), f"{float(f):.2f}", str(x)] for i, (w, r, f, x) in enumerate(
        zip(weights, room, fair_shares(K, weights, room), yours, strict=True))]
    total = str(sum(yours)) if "?" not in yours else "?"
    rows.append(["sum", "", "", str(K), total])
    return f"hand out K = {K}\n\n" + table(
        rows, ["tensor", "weight", "room", "fair share", "yours"], left=(1, 2))


# --- mistakes


def rounds_each_share(K, weights, room):
    """Each share is rounded by itself. Two tensors with 0.5 each: what do they get, and what is the
    sum? Round all of them down first, and count how many are missing. (The published code of the
    paper does this, too, and gives the difference to a random tensor.)"""
    weights = weights if any(w for w, r in zip(weights, room, strict=True) if r) else room
    return [round(K * w / max(sum(weights), 1)) for w in weights]


def forgets_the_room(K, weights, room):
    """Shares are right where there is room, but a full tensor gets one, too. Which tensors cannot
    take their share? Fill these first; the rest is the same problem again, with fewer tensors."""
    return by_remainders(K, weights if any(weights) else room)


def cuts_at_the_room(K, weights, room):
    """A share is cut to the room, and what is cut off is lost. Who could take it?"""
    g = forgets_the_room(K, weights, room)
    return [min(x, r) for x, r in zip(g, room, strict=True)]


def first_takes_the_rest(K, weights, room):
    """The parts before the point are right; what is missing all goes to the first tensors that have
    room. Who was rounded down by most?"""
    g = [int(f) for f in fair_shares(K, weights, room)]
    for i in range(len(g)):
        g[i] += min(K - sum(g), room[i] - g[i])
    return g


def nothing_without_weights(K, weights, room):
    """Where no tensor with room has a weight, nothing is handed out. The last sentence of the
    docstring says what counts then."""
    if not any(w and r for w, r in zip(weights, room, strict=True)):
        return [0] * len(room)
    return apportion.solution(K, weights, room)


def by_remainders(K, weights):
    """Whole shares of K by largest remainder, whatever the room; 0 each where the weights are."""
    total = sum(weights)
    exact = [Fraction(K * w, max(total, 1)) for w in weights]
    g = [int(x) for x in exact]
    for i in sorted(range(len(g)), key=lambda i: g[i] - exact[i])[:K - sum(g) if total else 0]:
        g[i] += 1
    return g


apportion = Exercise(
    name="apportion", stars=3, minutes=30,
    small=small, cases=shares(),
    levels=("there is room and there are weights", "some tensors are full",
            "no tensor with room has a weight"),
    level=level,
    properties=(whole_numbers, sum_is_K, fits, within_one, largest_remainder),
    picture=picture,
    mistakes=(rounds_each_share, forgets_the_room, cuts_at_the_room, first_takes_the_rest,
              nothing_without_weights),
    hints=(
        "Six seats, parties with 4, 2 and 1 votes: 3.43, 1.71, 0.86. Give each its whole part; who "
        "of the three has most reason to complain?",
        "Two steps. (1) Find the tensors whose exact share K w / Σ w is at least their room: fill "
        "them, take what they got from K, leave them out, and begin again. (2) When there is none: "
        "whole parts, then one more each for the largest remainders, until the sum is K.",
        "Whole numbers suffice: K * w // total is the whole part of a share, K * w % total its "
        "remainder, and nothing is rounded. Mind that sum(w) may be 0."),
    plug=Plug(("minidsr.reparam.apportion",)))
