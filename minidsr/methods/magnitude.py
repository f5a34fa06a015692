"""What several methods do in one tensor: drop the smallest, grow where a score is largest."""

from ..backend import get_xp


def prune_smallest(W, n):
    """Remove the n free numbers of smallest magnitude; of equals, the first. Returns how many."""
    xp = get_xp(W.value)
    dead = xp.zeros(W.value.size, bool)
    dead[xp.argsort(xp.abs(W.value), kind="stable")[:n]] = True
    return W.prune(dead)


def grow_largest(W, n, score):
    """Free the n positions with the largest score >= 0, of those not free; of equals, the first.

    score  array of W.shape
    """
    xp = get_xp(score)
    score = score.flatten()
    score[W.index] = -1  # below all others
    W.grow(xp.argsort(-score, kind="stable")[:n])
