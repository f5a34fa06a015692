"""Shares are rounded down, and the first layer with room takes all that is left.

A shortcut where largest remainders seem too much trouble. The first layer of the list gets up to
one weight for each other layer at each reallocation (shares, overflow).
"""

import math

from .masked import Masked

FAULT = "the first layer takes what rounding leaves over"
SOURCE = "a common shortcut"
VIOLATES = "order_does_not_matter", "shares", "overflow"


class FirstTakesTheRest(Masked):
    def rounded(self, exact, room):
        whole = [math.floor(x) for x in exact]
        for i, most in enumerate(room):
            whole[i] += min(int(sum(exact)) - sum(whole), most - whole[i])
        return whole


reallocate = FirstTakesTheRest.on_sparse
