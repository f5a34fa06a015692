"""Why does it work?

How old weights become, where they go, how alike structures are, and what a ticket is.
"""

from itertools import product

from hypothesis import strategies as st

from minidsr.run.report import table

from .ex11_ages import ages_at_death
from .ex11_ticket import ticket
from .exercise import Exercise

# --- moved: (pruned, grown) -> int


def small_moves():
    """Up to three tensors, every way to lose and get up to three weights."""
    for n in (1, 2, 3):
        for pruned, grown in product(product(range(4), repeat=n), repeat=2):
            if sum(pruned) == sum(grown):
                yield list(pruned), list(grown)


@st.composite
def move_cases(draw):
    pruned = draw(st.lists(st.integers(0, 500), min_size=1, max_size=8))
    cuts = draw(st.lists(st.integers(0, sum(pruned)), min_size=len(pruned) - 1,
                         max_size=len(pruned) - 1))
    ends = [0, *sorted(cuts), sum(pruned)]
    return pruned, [b - a for a, b in zip(ends, ends[1:], strict=False)]


def move_level(pruned, grown):
    differ = sum(k != g for k, g in zip(pruned, grown, strict=True))
    return 2 if not differ else int(differ > 2)


def a_number_of_weights(g, pruned, grown):
    """there is one whole number, from 0 to the number of weights that are pruned"""
    return type(g) is int and 0 <= g <= sum(pruned)


def what_comes_in(g, pruned, grown):
    """it is what those tensors that get more than they lose get beyond it, and what the others lose
    beyond what they get"""
    gains = [b - a for a, b in zip(pruned, grown, strict=True)]
    return g == sum(x for x in gains if x > 0) == -sum(x for x in gains if x < 0)


def move_picture(g, pruned, grown):
    rows = [[str(i), str(k), str(n), f"{n - k:+d}" if n != k else "0"]
            for i, (k, n) in enumerate(zip(pruned, grown, strict=True))]
    return table(rows, ["tensor", "pruned", "grown", "net"]) + (
        "" if g is None else f"\n\nyours: {g}")


def both_sides(pruned, grown):
    """Each weight is counted where it comes from, and again where it goes. How many have moved?"""
    return sum(abs(g - k) for k, g in zip(pruned, grown, strict=True))


def all_that_grow(pruned, grown):
    """All weights that are grown are counted. Which of them may have stayed in their tensor?"""
    return sum(grown)


def what_may_stay(pruned, grown):
    """These are the weights that may have stayed in their tensor. Who is left?"""
    return sum(min(k, g) for k, g in zip(pruned, grown, strict=True))


def of_one_tensor(pruned, grown):
    """This is the largest gain of one tensor. And the others?"""
    return max(0, *(g - k for k, g in zip(pruned, grown, strict=True)))


def net_of_all(pruned, grown):
    """All gains and losses are added up, and that is 0, as no weight is lost. Which of them do you
    want?"""
    return sum(g - k for k, g in zip(pruned, grown, strict=True))


def tensors_that_gain(pruned, grown):
    """These are tensors, not weights. By how much does each gain?"""
    return sum(g > k for k, g in zip(pruned, grown, strict=True))


moved = Exercise(
    name="moved", stars=1, minutes=5,
    small=small_moves, cases=move_cases(),
    levels=("one gains, and one loses", "several do", "each tensor gets what it lost"),
    level=move_level,
    properties=(a_number_of_weights, what_comes_in),
    picture=move_picture,
    mistakes=(both_sides, all_that_grow, what_may_stay, of_one_tensor, net_of_all,
              tensors_that_gain),
    hints=(
        "A tensor loses 3 and gets 1: how many of its weights must have left? And one that loses 1 "
        "and gets 3?",
        "Look at g - k of each tensor. Those above 0 have come in; those below have gone out, and "
        "are the same weights.",
        "To add up all |g - k| counts each weight twice."),
    hidden=("minidsr.run.compare.changed_tensor",))


# --- overlap: (a, b) -> float


def small_structures():
    """Every two structures in up to four positions."""
    for n in range(5):
        subsets = [[i for i in range(n) if bits >> i & 1] for bits in range(2**n)]
        yield from ((a, b) for a, b in product(subsets, repeat=2)
                    if n == 0 or n - 1 in a + b)  # the others have come before


def structures(positions):
    return st.sets(st.integers(0, positions - 1)).map(sorted)


structure_cases = st.integers(1, 60).flatmap(lambda n: st.tuples(structures(n), structures(n)))


def structure_level(a, b):
    if not a and not b:
        return 2
    return 0 if set(a) & set(b) and a != b else 1


def a_share(g, a, b):
    """there is one number, from 0 to 1"""
    return type(g) in (int, float) and 0 <= g <= 1


def of_all_that_are_in_use(g, a, b):
    """times the number of positions that are in one of them or in both, it is how many are in both;
    of two empty ones it is 1"""
    both, either = len(set(a) & set(b)), len(set(a) | set(b))
    return abs(g * either - both) < 1e-9 if either else g == 1


def structure_picture(g, a, b):
    last = max([*a, *b], default=-1) + 1
    if last <= 40:
        lines = ["".join("#" if i in x else "." for i in range(last)) or "(none)" for x in (a, b)]
    else:
        lines = [str(x) for x in (a, b)]
    both, either = len(set(a) & set(b)), len(set(a) | set(b))
    return (f"a  {lines[0]}\nb  {lines[1]}\n\nin both {both}, in one or both {either}"
            + ("" if g is None else f"\nyours: {g}"))


def of_the_first(a, b):
    """It is the share of the first that is in the second, too. What comes out when you exchange
    them?"""
    return len(set(a) & set(b)) / len(a) if a else 1.0


def of_the_smaller(a, b):
    """A structure that lies within a larger one is called the same. Are all positions of the larger
    one in the smaller?"""
    return len(set(a) & set(b)) / min(len(a), len(b)) if a and b else float(a == b)


def of_their_mean(a, b):
    """This is the share of the mean number of weights, Dice's index. By what does Jaccard divide,
    and how often does that count what is in both?"""
    return 2 * len(set(a) & set(b)) / (len(a) + len(b)) if a or b else 1.0


def of_their_sum(a, b):
    """What is in both is counted twice below. How large is the union?"""
    return len(set(a) & set(b)) / (len(a) + len(b)) if a or b else 1.0


def empty_is_different(a, b):
    """Two structures without a weight are called different. Which position is in one of them alone?
    """
    return len(set(a) & set(b)) / len(set(a) | set(b)) if a or b else 0.0


def empty_divides(a, b):
    """Where there is no weight, it divides by 0. What does the docstring say of two empty ones?"""
    return len(set(a) & set(b)) / len(set(a) | set(b))


overlap = Exercise(
    name="overlap", stars=1, minutes=5,
    small=small_structures, cases=structure_cases,
    levels=("they share some positions", "they share none, or all", "both are empty"),
    level=structure_level,
    properties=(a_share, of_all_that_are_in_use),
    picture=structure_picture,
    mistakes=(of_the_first, of_the_smaller, of_their_mean, of_their_sum, empty_is_different,
              empty_divides),
    hints=(
        "Of 1 2 3 and 2 3 7: which positions are in both, and which are in at least one?",
        "Python's sets have & and |. The answer is the size of the one, divided by that of the "
        "other.",
        "Both may be empty. Then nothing sets them apart."))

EXERCISES = [ages_at_death, moved, overlap, ticket]
