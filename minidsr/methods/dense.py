"""Dense training: the whole network, nothing moves.

    setup:  every weight is free
    step:   SGD on all weights

Source: the baseline "full dense" of Mostafa & Wang 2019. With DSR it shares the network, and the
first values of its weights.
"""

from dataclasses import dataclass

from .base import Method


@dataclass(kw_only=True, eq=False)
class FullDense(Method):
    """The interface as it is: no options, no reallocation."""
