"""That an argument is refused: in one line, and with nothing changed."""

import numpy as np
import pytest


def refused(act, *things, match="must be"):
    """act() is a ValueError of one line, and leaves `things` as they were; returns the line."""
    before = everything(things)
    with pytest.raises(ValueError, match=match) as caught:
        act()
    assert everything(things) == before
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 200
    return str(caught.value)


def everything(thing):
    """All that layers and their parameters hold, as something to compare."""
    if isinstance(thing, np.ndarray):
        return thing.dtype, thing.shape, thing.tobytes()
    if isinstance(thing, (list, tuple)):
        return [everything(inner) for inner in thing]
    if isinstance(thing, dict):
        return {key: everything(inner) for key, inner in thing.items()}
    if hasattr(thing, "__dict__") and not callable(thing):
        return everything(vars(thing))
    return repr(thing)
