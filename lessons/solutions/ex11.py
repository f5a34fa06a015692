"""Lesson 11, solved. The package counts newborns alone, in run/moves.py, and has the second in
run/compare.py, as changed_tensor."""

from minidsr.methods import METHODS


def ages_at_death(start, moves):
    births, ages = dict.fromkeys(start, 0), []
    for now, (died, born) in enumerate(moves, 1):
        ages.append(sorted(now - births.pop(position) for position in died))
        births |= dict.fromkeys(born, now)
    return ages


def moved(pruned, grown):
    return sum(max(0, g - k) for k, g in zip(pruned, grown, strict=True))


def overlap(a, b):
    either = set(a) | set(b)
    return len(set(a) & set(b)) / len(either) if either else 1.0


def ticket(settings, folder):
    of_dsr = METHODS["dsr"].options().keys() - {"sparsity"}
    kept = {name: value for name, value in settings.items() if name not in of_dsr}
    same = {**kept, "method": "static", "structure_from": folder, "values": "original"}
    return same, {**same, "values": "random", "seed": settings.get("seed", 0) + 100}
