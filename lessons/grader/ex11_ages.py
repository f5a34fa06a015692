"""Lesson 11: ages_at_death."""

from itertools import combinations, product

from hypothesis import strategies as st

from lessons.solutions import ex11 as solved
from minidsr.run.report import table

from .exercise import Exercise

SIZE = 4  # positions of small tensors


def small():
    """Every history of one reallocation in three positions; of two in which as many are born as
    die, and of three in which one moves."""
    for start in _subsets(range(3)):
        for move in _moves(start, range(3)):
            yield start, [move]
    for start in ([0], [1, 2]):
        for first in _moves(start, range(3), conserved=True):
            then = _after(start, first)
            yield from ((start, [first, second])
                        for second in _moves(then, range(3), conserved=True))
    start = [0, 1]
    for places in product(range(SIZE), repeat=3):
        history, now = [], list(start)
        for place in places:
            died = now[:1]
            if place in now[1:]:
                break
            history.append((died, [place]))
            now = [*now[1:], place]
        else:
            yield start, history


def _subsets(positions):
    positions = list(positions)
    return [list(c) for n in range(len(positions) + 1) for c in combinations(positions, n)]


def _moves(active, positions, conserved=False):
    """Every (died, born) from these positions on."""
    for died in _subsets(active):
        free = [p for p in positions if p not in active or p in died]
        for born in _subsets(free):
            if not conserved or len(died) == len(born):
                yield died, born


def _after(active, move):
    died, born = move
    return sorted(set(active) - set(died) | set(born))


@st.composite
def cases(draw):
    """Up to 12 reallocations of a tensor of up to 20 positions."""
    size = draw(st.integers(1, 20))
    positions = st.sets(st.integers(0, size - 1))
    start = active = sorted(draw(positions))
    moves = []
    for _ in range(draw(st.integers(0, 12))):
        died = [p for p in active if p in draw(positions)]
        born = sorted(p for p in draw(positions) if p not in active or p in died)
        moves.append((died, born))
        active = _after(active, moves[-1])
    return start, moves


def level(start, moves):
    seen, again = set(start), False
    for died, born in moves:
        if set(died) & set(born):
            return 2
        again |= bool(set(born) & seen)
        seen |= set(born)
    return int(again)


def a_list_for_each(g, start, moves):
    """there is a list for each reallocation, with as many whole numbers as weights died in it"""
    return len(g) == len(moves) and all(
        len(ages) == len(died) and all(type(age) is int for age in ages)
        for ages, (died, _) in zip(g, moves, strict=True))


def of_possible_age(g, start, moves):
    """no weight is younger than 1, or older than the reallocations so far"""
    return all(1 <= age <= now for now, ages in enumerate(g, 1) for age in ages)


def in_order(g, start, moves):
    """each list is sorted"""
    return all(ages == sorted(ages) for ages in g)


def each_weight_once(g, start, moves):
    """who is followed from birth to death, pair by pair of position and birth, has these ages"""
    alive, expected = {(position, 0) for position in start}, []
    for now, (died, born) in enumerate(moves, 1):
        dead = {pair for pair in alive if pair[0] in died}
        expected.append(sorted(now - birth for _, birth in dead))
        alive = alive - dead | {(position, now) for position in born}
    return g == expected


def picture(g, start, moves):
    rows, active = [["at first", "", "", _said(start), ""]], list(start)
    for i, move in enumerate(moves):
        active = _after(active, move)
        yours = str(g[i]) if isinstance(g, list) and len(g) == len(moves) else "?"
        rows.append([str(i + 1), _said(move[0]), _said(move[1]), _said(active), yours])
    return table(rows, ["reallocation", "died", "born", "alive", "yours"], left=(0, 1, 2, 3, 4))


def _said(positions):
    return " ".join(map(str, positions)) or "none"


# --- mistakes


def reborn_is_the_same(start, moves):
    """A position that is used again counts on from its first birth. Is the weight that grows there
    the one that died?"""
    births, ages = dict.fromkeys(start, 0), []
    for now, (died, born) in enumerate(moves, 1):
        ages.append(sorted(now - births[position] for position in died))
        births = dict.fromkeys(born, now) | births
    return ages


def born_before_dying(start, moves):
    """All are born first, and then die: who dies and is born at one place is 0 old. Which does the
    docstring say comes first?"""
    births, ages = dict.fromkeys(start, 0), []
    for now, (died, born) in enumerate(moves, 1):
        births |= dict.fromkeys(born, now)
        ages.append(sorted(now - births[position] for position in died))
    return ages


def one_too_young(start, moves):
    """The first reallocation is number 0, and so are those that were there before it. How old is a
    weight that is there at the start, and dies in the first?"""
    births, ages = dict.fromkeys(start, 0), []
    for now, (died, born) in enumerate(moves):
        ages.append(sorted(now - births.pop(position) for position in died))
        births |= dict.fromkeys(born, now)
    return ages


def one_too_old(start, moves):
    """A weight that dies in the reallocation after its birth is 2 old here. How many did it live
    through?"""
    return [[age + 1 for age in ages] for ages in solved.ages_at_death(start, moves)]


def in_the_order_of_positions(start, moves):
    """The ages are in the order of positions. In which order does the docstring want them?"""
    births, ages = dict.fromkeys(start, 0), []
    for now, (died, born) in enumerate(moves, 1):
        ages.append([now - births.pop(position) for position in died])
        births |= dict.fromkeys(born, now)
    return ages


def without_the_first(start, moves):
    """Weights that were there at the start are left out. When were they born, for the docstring?"""
    births, ages = {}, []
    for now, (died, born) in enumerate(moves, 1):
        ages.append(sorted(now - births.pop(position) for position in died if position in births))
        births |= dict.fromkeys(born, now)
    return ages


ages_at_death = Exercise(
    name="ages_at_death", stars=2, minutes=20,
    small=small, cases=cases(),
    levels=("no position is used twice", "one is used again", "one dies and is born at once"),
    level=level,
    properties=(a_list_for_each, of_possible_age, in_order, each_weight_once),
    picture=picture,
    mistakes=(reborn_is_the_same, born_before_dying, one_too_young, one_too_old,
              in_the_order_of_positions, without_the_first),
    hints=(
        "Position 5 is pruned in reallocation 1, grown in 2, and pruned in 3. How many weights "
        "were there, and how old did each become?",
        "Keep a dict from positions to the reallocation in which the weight there was born, 0 for "
        "those at the start. Who dies is taken out, and its age is the difference.",
        "Let all die before anyone is born, and forget a position once its weight is dead. The "
        "ages of one reallocation are sorted in the end."))
