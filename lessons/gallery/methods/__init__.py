"""Other methods as they are usually written, with masks on dense arrays, and wrong ones of each.

program.py has what they share. Each other file has a method and its faults, subclasses that
override one step:

    RULES       whose rules the program is judged by
    FAULT       what is wrong, for a table; a program without one is correct
    SOURCE      where it was seen; "authors" is IntelAI/dynamic-reparameterization
    VIOLATES    what the checker names in a trace of it
    BY_FUNCTION what it names where MASKED, or on_sparse(), which moves its weights, is judged as a
                function; None where that is not what is wrong with it

tests/proof/test_gallery_of_methods.py shows that the checker names just these.
"""

from . import deepr, dsr, dst, gradual, hashed, itop, published, rigl, set, snfs, static
from .program import Program

FILES = (dsr, set, rigl, itop, snfs, deepr, gradual, static, dst, hashed, published)


def programs():
    """All programs, by name: the correct ones and the faulty."""
    return {name: cls for file in FILES for name, cls in vars(file).items()
            if isinstance(cls, type) and issubclass(cls, Program)
            and cls.__module__ == file.__name__ and cls.RULES}
