"""Exact shares, derived a second time."""

from fractions import Fraction


def fair_shares(K, weights, room):
    """Exact shares of K as Fractions: in proportion to weights, none above its room.

    Tensors are filled in the order in which a rising level, room per weight, fills them. What is
    left when all with a weight are full goes to the others, in proportion to room. K <= Σ room.
    """
    shares, rest, total = [Fraction(0)] * len(room), K, sum(weights)
    weighted = [i for i, w in enumerate(weights) if w]
    for i in sorted(weighted, key=lambda i: Fraction(room[i], weights[i])):
        if rest * weights[i] < room[i] * total:
            shares[i] = Fraction(rest * weights[i], total)
        else:
            shares[i] = Fraction(room[i])
            rest, total = rest - room[i], total - weights[i]
    others = [i for i, w in enumerate(weights) if not w]
    if rest and not total:
        for i in others:
            shares[i] = Fraction(rest * room[i], sum(room[j] for j in others) or 1)
    return shares
