"""Lesson 0, solved."""


def below(values, H):
    return sum(abs(w) < H for w in values)


def density(counts, sizes):
    return [m / n if n else 0 for m, n in zip(counts, sizes, strict=True)]


def gains(before, after):
    return [len(new) - len(old) for old, new in zip(before, after, strict=True)]
