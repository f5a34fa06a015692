"""Other methods as they are usually written, with masks on dense arrays, and wrong ones of each.

program.py has what they share. Each other file has a method and its faults, subclasses that
override one step:

    RULES       whose rules the program is judged by
    FAULT       what is wrong, for a table; a program without one is correct
    SOURCE      where it was seen; "authors" is IntelAI/dynamic-reparameterization
    VIOLATES    what the checker names in a trace of it

tests/proof/test_gallery_of_methods.py shows that the checker names just these.
"""

from . import deepr, dst, gradual, hashed, rigl, set, snfs, static
from .program import Program

FILES = (set, rigl, snfs, deepr, gradual, static, dst, hashed)


def programs():
    """All programs, by name: the correct ones and the faulty."""
    return {name: cls for file in FILES for name, cls in vars(file).items()
            if isinstance(cls, type) and issubclass(cls, Program)
            and cls.__module__ == file.__name__ and cls.RULES}


def table():
    """All faults as a table in Markdown."""
    lines = ["| rules of | fault | seen in | invariants named |", "|---|---|---|---|"]
    for name, cls in programs().items():
        if cls.FAULT:
            named = ", ".join(f"`{invariant}`" for invariant in cls.VIOLATES)
            lines.append(f"| `{cls.RULES}` | {cls.FAULT} (`{name}`) | {cls.SOURCE} | {named} |")
    return "\n".join(lines)
