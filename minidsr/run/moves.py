"""Births and deaths: which positions of each sparse tensor came and went, as texts in the records.

With --record, the setup has `start`, the positions with a weight at the beginning; each
reallocation has `died` and `born`, those without and with one that had one, or none, at the record
before. A weight that was pruned and has grown back at its place is neither. Each is a list of
texts, one a tensor:

    text   base64 of bytes   bytes  varints of the gaps, seven bits a byte, the lowest first; a byte
    gap    p[i] - p[i-1] - 1        of 128 or more has another one behind it   p  sorted positions

One set of positions has one text. A moved weight takes one to three letters of it.
"""

import base64

import numpy as np

GROUPS = 9  # of seven bits, at most: a position has 63


def pack(positions):
    """The text of sorted flat positions, an array of whole numbers."""
    gaps = np.diff(np.asarray(positions, np.int64), prepend=-1) - 1
    groups = -(-int(gaps.max(initial=1)).bit_length() // 7)
    rest = gaps[:, None] >> 7 * np.arange(groups)
    there = rest > 0
    there[:, 0] = True
    more = np.roll(there, -1, axis=1)
    more[:, -1] = False
    varints = (rest & 127 | more << 7)[there]
    return base64.b64encode(varints.astype(np.uint8).tobytes()).decode()


def unpack(text, size):
    """The flat positions (m,) int64 that a text says; of a tensor with `size` positions.

    Takes memory for as many as the text is long. ValueError where pack() makes no such text.
    """
    try:
        data = np.frombuffer(base64.b64decode(text, validate=True), np.uint8)
    except ValueError:
        raise ValueError(f"{text!r:.40} is not base64") from None
    begins = np.concatenate([[0], np.flatnonzero(data < 128) + 1])
    lengths = np.diff(begins)
    if begins[-1] != len(data) or lengths.max(initial=0) > GROUPS:
        raise ValueError(f"{text!r:.40} is cut off, or has a number of more than 63 bits")
    gaps = (data[begins[:-1]] & 127).astype(np.int64)
    for i in range(1, lengths.max(initial=0)):
        long = lengths > i
        gaps[long] += (data[begins[:-1][long] + i] & 127).astype(np.int64) << 7 * i
    positions = np.cumsum(gaps + 1) - 1
    overflow = (positions[1:] <= positions[:-1]).any()
    if overflow or len(positions) and positions[-1] >= size:
        raise ValueError(f"{text!r:.40} has a position beyond the {size:,} of its tensor")
    if pack(positions) != text:
        raise ValueError(f"{text!r:.40} is not how these positions are written")
    return positions


def between(before, now):
    """(died, born) of each tensor: the positions in `before` alone, and in `now` alone; lists of
    sorted arrays."""
    return [(np.setdiff1d(old, new, assume_unique=True), np.setdiff1d(new, old, assume_unique=True))
            for old, new in zip(before, now, strict=True)]


def recorded_by(trainer):
    """Does a Trainer record births and deaths? Of weights that are not sparse there are none."""
    return trainer.config.record and trainer.method.sparse


def at_start(setup):
    """The positions of each tensor that a setup record says; ValueError where they do not fit."""
    tensors = setup["tensors"]
    positions = [unpack(text, t["size"]) for text, t in zip(setup["start"], tensors, strict=True)]
    _check_counts(positions, [t["active"] for t in tensors])
    return positions


def moved(record, sizes):
    """(died, born) of each tensor, of these sizes, that the record of a reallocation says."""
    return [(unpack(died, size), unpack(born, size)) for died, born, size in zip(
        record["died"], record["born"], sizes, strict=True)]


def after(positions, record, sizes):
    """The positions of each tensor after a reallocation, which its record says, of those before;
    ValueError where a weight dies that is not there, or is born that is."""
    left = []
    for i, (old, (died, born)) in enumerate(zip(positions, moved(record, sizes), strict=True)):
        survivors = np.setdiff1d(old, died, assume_unique=True)
        if len(survivors) != len(old) - len(died):
            raise ValueError(f"died: tensor {i} had no weight at one of the positions")
        new = np.union1d(survivors, born)
        if len(new) != len(survivors) + len(born) or np.isin(born, old).any():
            raise ValueError(f"born: tensor {i} had a weight at one of the positions")
        left.append(new)
    _check_counts(left, record["active"])
    return left


def newborns(moves):
    """For each reallocation of History.moves, how many of the died had been born the time before.
    """
    counts, births = [], None
    for move in moves:
        counts.append(0 if births is None else sum(
            int(np.isin(died, born, assume_unique=True).sum())
            for (died, _), born in zip(move, births, strict=True)))
        births = [born for _, born in move]
    return counts


def _check_counts(positions, active):
    for i, (p, count) in enumerate(zip(positions, active, strict=True)):
        if len(p) != count:
            raise ValueError(f"tensor {i} has {count:,} active positions, not {len(p):,}")
