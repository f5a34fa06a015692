"""Lesson 5, counting parameters: five functions to write.

`python -m lessons.check 5` judges your copy of this file, in lessons/mine.
"""

import numpy as np  # noqa: F401


def theta(shape, index, value):
    """The dense tensor of a sparse one.

    shape  of the tensor, a tuple
    index  (m,) the flat positions of the free numbers, sorted. Positions count along the rows, as
           in dense.reshape(-1)
    value  (m,) the free numbers, float32

    Returns an array of `shape`: the free numbers at their positions, zeros elsewhere.

    >>> theta((2, 3), np.array([1, 5]), np.array([7, 8], np.float32))
    array([[0., 7., 0.],
           [0., 0., 8.]], dtype=float32)
    """
    raise NotImplementedError


def pull(index, dtheta):
    """The gradient of the free numbers of a sparse tensor.

    index   (m,) their flat positions, sorted
    dtheta  the gradient of the dense tensor, of its shape

    Returns an array (m,): how the loss changes with each free number.

    >>> pull(np.array([1, 5]), np.array([[1, 2, 3], [4, 5, 6]], np.float32))
    array([2., 6.], dtype=float32)
    """
    raise NotImplementedError


def hashed_pull(bucket, sign, m, dtheta):
    """The gradient of free numbers that positions share: θ_i = sign_i φ[bucket_i].

    bucket  (size,) which free number each flat position takes, in 0 ... m - 1
    sign    (size,) 1 or -1, for each position
    m       how many free numbers there are, at least 1
    dtheta  the gradient of the dense tensor, of its shape, with `size` entries

    Returns an array (m,).

    >>> hashed_pull(np.array([0, 1, 0]), np.array([1, 1, -1]), 3, np.array([5, 6, 7], np.float32))
    array([-2.,  6.,  0.])
    """
    raise NotImplementedError


def budget(shapes, sparsity):
    """How many free numbers tensors have that are equally sparse.

    shapes    a list of tuples
    sparsity  a decimal number in [0, 1), such as 0.9. It counts as it is written: 0.9 is nine
              tenths, exactly

    Returns a list of whole numbers, one a tensor: (1 - sparsity) times its number of positions,
    rounded down.

    >>> budget([(32, 16, 3, 3), (10, 100)], 0.95)
    [230, 50]
    """
    raise NotImplementedError


def bytes_kept(size, free, storage):
    """How many bytes training keeps of a tensor between two steps.

    size     how many positions it has
    free     how many of them hold a free number; they all do if it is dense
    storage  "dense"   an array of values, one of gradients, one of velocities; 4 bytes a number
             "masked"  the same three arrays of all positions, and a mask of one byte a position
             "sparse"  the three for the free numbers only, and the position of each, 4 bytes
             "hashed"  the three for the free numbers, and a key of 8 bytes

    >>> [bytes_kept(100, 10, storage) for storage in ("dense", "masked", "sparse", "hashed")]
    [1200, 1300, 160, 128]
    """
    raise NotImplementedError
