"""Lesson 3, a residual network from parts: four functions to write.

`python -m lessons.check 3` judges your copy of this file, in lessons/mine.
"""

import numpy as np  # noqa: F401


def batch_norm(x, weight, bias, eps):
    """Batch normalisation, as in training.

    x             (N, C), or (N, C, H, W): N images, C channels
    weight, bias  (C,)
    eps           a small positive number

    The numbers of a channel, of all images and pixels, have a mean and a variance, the mean of the
    squared differences from it. The mean is taken from each number, what is left is divided by the
    square root of the variance plus eps, multiplied by the channel's weight, and its bias is added.

    Returns an array of the shape of x.

    >>> x = np.array([[1.0], [3.0]])
    >>> batch_norm(x, np.array([2.0]), np.array([5.0]), 3.0)
    array([[4.],
           [6.]])
    """
    raise NotImplementedError


def running(old, batch, count, momentum, is_var):
    """The mean, or the variance, that a network keeps for when it is not trained.

    old       (C,): what it has kept so far
    batch     (C,): the mean, or the variance, of a batch
    count     of how many numbers a channel, at least 1
    momentum  the share of the way to go, such as 0.1
    is_var    True or False: is it the variance?

    What is kept goes that share of the way from the old numbers to those of the batch. The variance
    of a few numbers is too small on average; it is first multiplied by count / (count - 1), unless
    there is one number only.

    Returns an array (C,).

    >>> old, batch = np.array([1.0]), np.array([2.0])
    >>> running(old, batch, 2, 0.5, False), running(old, batch, 2, 0.5, True)
    (array([1.5]), array([2.5]))
    """
    raise NotImplementedError


def batch_norm_backward(x, weight, dy, eps):
    """The way back through batch_norm.

    x       (N, C), or (N, C, H, W)
    weight  (C,)
    dy      the gradient of a loss by y = batch_norm(x, weight, bias, eps), of the shape of x
    eps     as it was on the way there

    Each number of x moves its channel's mean and variance, too, and so all numbers of the channel.

    Returns (dx, dweight, dbias), the gradients by x, weight and bias.

    >>> x, dy = np.array([[1.0], [3.0]]), np.array([[1.0], [0.0]])
    >>> batch_norm_backward(x, np.array([2.0]), dy, 3.0)
    (array([[ 0.375],
           [-0.375]]), array([-0.5]), array([1.]))
    """
    raise NotImplementedError


def parameters(depth, width):
    """How many parameters a wide residual network has, and how many of them may be sparse.

    depth  6 n + 4: the network has three groups of n blocks
    width  a whole number: the groups have 16, 32 and 64 times so many channels

    In order: a 3 × 3 convolution of 3 channels to 16; the groups; batch norm; a linear layer with
    bias, from the channels of the last group to 10 classes. A block is batch norm, 3 × 3
    convolution to the group's channels, batch norm, 3 × 3 convolution. Where the number of channels
    changes, the block's input goes through a shortcut, a 1 × 1 convolution; else it is added as it
    is. Convolutions have no bias; batch norm has a weight and a bias for each channel that goes in.

    The 3 × 3 convolutions of the blocks may be sparse, all else stays dense.

    Returns (how many there are in all, how many may be sparse).

    >>> parameters(16, 1)
    (175066, 170496)
    """
    raise NotImplementedError
