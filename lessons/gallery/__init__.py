"""Wrong implementations of Algorithm 1: faults of published code, one file each.

masked.py is the common implementation, and correct. Every other file overrides one step of it:

    FAULT       what is wrong, for a table
    SOURCE      where it was seen; "authors" is IntelAI/dynamic-reparameterization
    VIOLATES    what the checker names: first the fault itself, then what it drags along
    reallocate  as in minidsr.reparam, but that it returns no Report

tests/proof/test_gallery.py shows that the checker names just these. README.md, which page.py
writes, has a table of all faults, and of those of other methods.
"""

import pkgutil
from importlib import import_module


def faults():
    """The modules that define a FAULT, by name."""
    names = sorted(module.name for module in pkgutil.iter_modules(__path__))
    modules = {name: import_module(f"{__name__}.{name}") for name in names}
    return {name: module for name, module in modules.items() if hasattr(module, "FAULT")}
