"""Lesson 1, a convolution is a matrix product: four functions to write.

`python -m lessons.check 1` judges your copy of this file, in lessons/mine.

    N images   C channels in   F channels out   H W size of an image   OH OW size of what comes out
    k rows and columns of a kernel   s stride   p pad
"""

import numpy as np  # noqa: F401


def out_size(size, k, s, p):
    """How many windows fit into a row of pixels?

    size  how many pixels the row has
    k     how many pixels a window has
    s     the stride: each window begins s pixels after the one before it
    p     the pad: so many zeros are put before the row, and as many after it

    The first window begins at the first zero, or pixel; a window that reaches beyond the last one
    does not count. At least one fits.

    Returns a whole number.

    >>> out_size(5, 3, 1, 0), out_size(5, 3, 1, 1), out_size(5, 3, 2, 1)
    (3, 5, 3)
    """
    raise NotImplementedError


def columns(x, k):
    """Each window of an image as a column; stride 1, no pad.

    x  (C, H, W) an image
    k  the kernel has k rows and k columns, and fits

    Returns an array (C*k*k, OH*OW), with OH = H-k+1 and OW = W-k+1. It is such that for any weights
    w (F, C, k, k)

        w.reshape(F, C*k*k) @ columns(x, k)

    is the convolution y (F, OH*OW), its pixels row by row:

        y[f, i*OW + j] = sum of w[f, c, ky, kx] * x[c, i + ky, j + kx] over c, ky and kx

    >>> columns(np.array([[[1, 2, 3], [4, 5, 6]]]), 2)
    array([[1, 2],
           [2, 3],
           [4, 5],
           [5, 6]])
    """
    raise NotImplementedError


def conv(x, w, s, p):
    """A convolution.

    x  (N, C, H, W) images
    w  (F, C, k, k) weights
    s  the stride
    p  the pad: images are surrounded by so many rows and columns of zeros, on all four sides

    Returns an array (N, F, OH, OW). With `padded` for the images with their zeros,

        y[n, f, i, j] = sum of w[f, c, ky, kx] * padded[n, c, s*i + ky, s*j + kx] over c, ky and kx

    OH and OW are as many as fit: the out_size of H and of W.

    >>> conv(np.array([[[[1., 2.], [3., 4.]]]]), np.array([[[[10., 1.], [0., 0.]]]]), 1, 0)
    array([[[[12.]]]])
    """
    raise NotImplementedError


def multiplications(N, C, F, k, OH, OW, free=None):
    """How often does a convolution multiply a weight with a pixel, or with a zero of the pad?

    N, C, F, k, OH, OW  as above
    free                how many weights there are in all; None: every position of w has one

    A position without a weight costs nothing, as where w is sparse.

    Returns a whole number.

    >>> multiplications(1, 1, 1, 3, 4, 4), multiplications(1, 1, 1, 3, 4, 4, free=2)
    (144, 32)
    """
    raise NotImplementedError
