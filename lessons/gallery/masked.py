"""Algorithm 1 as it is usually written, with masks on dense arrays. This one is correct.

Letters are those of minidsr/reparam.py, of which nothing is used here: it also shows that the
checker accepts an implementation that is not ours. The files beside it override one step each.
"""

import math
from fractions import Fraction

import numpy as np


class Layer:
    """One tensor, as flat dense arrays with an entry for each position.

    mask             True where a weight is in use
    pruned           True where a weight was in use before this reallocation, and is to go
    value, velocity  of no meaning where `mask` is False
    """

    def __init__(self, W):
        self.shape = W.shape
        self.mask, self.pruned = np.zeros(W.size, bool), np.zeros(W.size, bool)
        self.mask[W.index] = True
        self.value, self.velocity = np.zeros((2, W.size), W.value.dtype)
        self.value[self.mask] = W.value
        self.velocity[self.mask] = W.velocity

    def write(self, W):
        """Hand the weights in use back to a Sparse."""
        W.index = np.flatnonzero(self.mask).astype(np.int32)
        W.value, W.velocity = self.value[self.mask], self.velocity[self.mask]


class Masked:
    """One reallocation, in steps that can be overridden."""

    layer = Layer

    def __init__(self, rng, keep_one):
        self.rng, self.keep_one = rng, keep_one

    @classmethod
    def on_sparse(cls, tensors, H, N_p, delta, rng, *, keep_one=True):
        """Change a list of Sparse in place; returns (H for the next call, no Report)."""
        layers = [cls.layer(W) for W in tensors]
        next_H = cls(rng, keep_one).reallocate(layers, H, N_p, delta)
        for layer, W in zip(layers, tensors, strict=True):
            layer.write(W)
        return next_H, None

    def reallocate(self, layers, H, N_p, delta):
        """Prune all layers, then grow as many; returns H for the next call."""
        for layer in layers:
            layer.pruned = self.to_prune(layer, H)
            layer.mask &= ~layer.pruned
        K = sum(self.count_pruned(layer) for layer in layers)
        for layer, n in zip(layers, self.shares(layers, K), strict=True):
            places = self.places(layer, n)
            layer.mask[places] = True
            self.start(layer, places)
        return self.adjust(H, K, N_p, delta)

    # --- prune

    def to_prune(self, layer, H):
        """A mask of the weights below H, but for one where it would be all."""
        dead = layer.mask & (np.abs(layer.value) < H)
        if self.keep_one and dead.any() and (dead == layer.mask).all():
            dead[self.keeper(layer)] = False
        return dead

    def keeper(self, layer):
        """The position of the weight that stays where all would go: the largest."""
        return np.argmax(np.where(layer.mask, np.abs(layer.value), -1))

    def count_pruned(self, layer):
        """k."""
        return int(layer.pruned.sum())

    # --- share

    def shares(self, layers, K):
        """How many weights each layer grows: in empty positions first, then in just-pruned ones."""
        weights = self.weights(layers)
        pruned = [int(layer.pruned.sum()) for layer in layers]
        empty = empty_positions(layers)
        first = min(K, sum(empty))
        return [a + b for a, b in zip(self.rounded(quotas(first, weights, empty), empty),
                                      self.rounded(quotas(K - first, weights, pruned), pruned),
                                      strict=True)]

    def weights(self, layers):
        """What the shares are in proportion to: survivors."""
        return [int(layer.mask.sum()) for layer in layers]

    def rounded(self, exact, room):
        """Exact shares as whole numbers with the same sum: the largest remainders go up."""
        whole = [math.floor(x) for x in exact]
        up = sorted(range(len(exact)), key=lambda i: exact[i] % 1, reverse=True)
        for i in up[:int(sum(exact)) - sum(whole)]:
            whole[i] += 1
        return whole

    # --- grow

    def places(self, layer, n):
        """n positions to grow at, drawn uniformly: empty ones, or when these are used up others."""
        empty = np.flatnonzero(~layer.mask & ~layer.pruned)
        just_pruned = np.flatnonzero(layer.pruned)
        return np.concatenate([self.rng.permutation(empty), self.rng.permutation(just_pruned)])[:n]

    def start(self, layer, places):
        """Set what a grown weight starts with."""
        layer.value[places] = 0
        layer.velocity[places] = 0

    # --- adjust

    def adjust(self, H, K, N_p, delta):
        """H for the next call, within the range of normal float32."""
        delta = Fraction(str(delta))
        if K < (1 - delta) * N_p and 2 * H <= 2.0 ** 127:
            return 2 * H
        if K > (1 + delta) * N_p and H / 2 >= 2.0 ** -126:
            return H / 2
        return H


def empty_positions(layers):
    """How many positions of each layer were empty before pruning, and still are."""
    return [int((~layer.mask & ~layer.pruned).sum()) for layer in layers]


def quotas(K, weights, room):
    """Exact shares of K in proportion to weights, but none above its room.

    Whoever would get more than fits is filled, and all of it starts again with the others. Where
    none of them has a weight, room is the weight. K <= sum(room).
    """
    full, count = set(), len(room)
    while True:
        rest = K - sum(room[i] for i in full)
        w = [0 if i in full else weights[i] for i in range(count)]
        w = w if any(w) else [0 if i in full else room[i] for i in range(count)]
        exact = [Fraction(rest * x, sum(w) or 1) for x in w]
        over = {i for i in range(count) if exact[i] > room[i]}
        if not over:
            return [Fraction(room[i]) if i in full else exact[i] for i in range(count)]
        full |= over


reallocate = Masked.on_sparse
