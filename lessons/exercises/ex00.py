"""Lesson 0, See it move: three functions to write.

`python -m lessons.check 0` judges your copy of this file, in lessons/mine.
"""


def below(values, H):
    """How many weights are small?

    values  a list of numbers, the weights of a tensor
    H       the threshold, above 0

    Returns how many of them have a magnitude below H: |w| < H, strictly.

    >>> below([0.5, -2.0, 1.0, -0.1], 1.0)
    2
    """
    raise NotImplementedError


def density(counts, sizes):
    """The share of positions that have a weight, tensor by tensor.

    counts  how many weights each tensor has, a list of whole numbers
    sizes   how many positions each tensor has; it may be 0, then the density is 0

    Returns a list of numbers from 0 to 1, one a tensor.

    >>> density([1, 3, 0], [4, 3, 0])
    [0.25, 1.0, 0]
    """
    raise NotImplementedError


def gains(before, after):
    """How many weights has each tensor gained?

    before, after  for each tensor the list of the positions that had a weight before, and that have
                   one afterwards

    Returns a list of whole numbers, one a tensor: how many more it has; less than 0 where it has
    lost some.

    >>> gains([[0, 2, 5], [1]], [[0, 3], [1, 4]])
    [-1, 1]
    """
    raise NotImplementedError
