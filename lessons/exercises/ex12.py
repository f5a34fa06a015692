"""Lesson 12, fast, and on a GPU: four functions to write.

`python -m lessons.check 12` judges your copy of this file, in lessons/mine.

    N images   C channels in   F channels out   H W size of an image   OH OW size of what comes out
    k rows and columns of a kernel   s stride   p pad
"""

import numpy as np

from minidsr.backend import get_xp  # noqa: F401


def intensity(N, C, F, k, OH, OW):
    """How many operations has a convolution for each byte that it must move?

    N, C, F, k, OH, OW  as above. The stride is 1, and images have OH rows and OW columns before as
                        well as after

    A product is one operation, and adding it to a sum is another one. Products with zeros of the
    pad count. What must be moved are x, the weights w and y, each once, as float32: 4 bytes a
    number.

    Returns operations divided by bytes.

    >>> intensity(1, 1, 1, 1, 1, 2)
    0.2
    """
    raise NotImplementedError


def crossing(x, dense, sparse):
    """From which sparsity on is a sparse product faster than a dense one?

    x       sparsities at which both were measured, rising
    dense   how long the dense one took at each of them
    sparse  how long the sparse one took

    Between two measurements both are thought to run along straight lines. As measurements shake,
    the lines may meet more than once: what counts is from where on sparse is faster up to the last
    x, which it is there, too.

    Returns the sparsity where they meet the last time; the first of x where sparse is faster at all
    of them; None where it is not faster at the last.

    >>> crossing([0.5, 0.75, 1], [4, 4, 4], [12, 6, 2])
    0.875
    """
    raise NotImplementedError


def shifted_conv(x, index, value, shape, p):
    """A convolution with the weights that exist; stride 1.

    x      (N, C, H, W) images
    index  (m,) where the weights are: flat positions in an array of `shape`, rising
    value  (m,) what they are
    shape  (F, C, k, k)
    p      the pad

    Each weight adds one image, shifted and multiplied by it, to one channel of y. Nothing is done
    for a position that has no weight: a pixel that meets no weight may even be nan, which times 0
    is nan.

    Returns an array (N, F, OH, OW), with OH = H + 2p - k + 1 and OW = W + 2p - k + 1.

    >>> x = np.array([[[[1., 2.], [3., 4.]]]])
    >>> shifted_conv(x, np.array([1]), np.array([10.]), (1, 1, 2, 2), 0)
    array([[[[20.]]]])
    """
    raise NotImplementedError


def conv_on_the_host(x, w, s, p):
    """A convolution in NumPy, which is right: y (N, F, OH, OW) of x (N, C, H, W), w (F, C, k, k).

    Nothing to do here; conv_anywhere begins with a copy of it.
    """
    F, _, k, _ = w.shape
    OH, OW = ((size + 2 * p - k) // s + 1 for size in x.shape[2:])
    padded = np.pad(x, ((0, 0), (0, 0), (p, p), (p, p)))
    y = np.zeros((len(x), F, OH, OW), x.dtype)
    for ky in range(k):
        for kx in range(k):
            weights = np.asarray(w[:, :, ky, kx])
            if weights.any():  # else there is nothing to add
                tap = padded[:, :, ky:ky + s * OH:s, kx:kx + s * OW:s]
                y += np.einsum("fc,nchw->nfhw", weights, tap)
    return y


def conv_anywhere(x, w, s, p):
    """The same convolution, where the arrays are: on the host or on a GPU.

    x, w  both of NumPy, or both of CuPy
    s, p  stride and pad

    get_xp(x) is the module of x, numpy or cupy: call its functions. On a GPU
    - nothing goes back to the host, and nothing comes from there;
    - the host waits for no number: not for an `if`, either;
    - there are as many kernels, that is, operations with arrays, for a large x as for a small one.

    It is judged without a GPU, by a stand-in for CuPy whose arrays refuse what CuPy refuses, and
    functions called by the name np.

    Returns an array (N, F, OH, OW) of the type of x, where x is.

    >>> conv_anywhere(np.array([[[[1., 2.], [3., 4.]]]]), np.array([[[[10., 1.], [0., 0.]]]]), 1, 0)
    array([[[[12.]]]])
    """
    raise NotImplementedError
