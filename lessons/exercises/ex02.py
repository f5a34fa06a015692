"""Lesson 2, backward by hand: four functions to write.

`python -m lessons.check 2` judges your copy of this file, in lessons/mine.

    N images   C channels in   F channels out   H W size of an image   OH OW size of what comes out
    dx is the gradient of the loss by x: dx[i] is how much the loss grows where x[i] grows by a
    little, divided by that little. It has the shape of x
"""

import numpy as np  # noqa: F401


def linear_backward(x, W, dy):
    """The way back through y = x @ W.T.

    x   (N, C) what went in, a row an image
    W   (F, C) weights
    dy  (N, F) the gradient by y

    Returns (dx, dW), the gradients by x and by W. Whatever is to be divided by N has been, in dy.

    >>> linear_backward(np.array([[1., 2.]]), np.array([[1., 2.], [3., 4.]]), np.array([[1., -1.]]))
    (array([[-2., -2.]]), array([[ 1.,  2.],
           [-1., -2.]]))
    """
    raise NotImplementedError


def softmax_cross_entropy(logits, labels):
    """How wrong is a guess?

    logits  (N, classes) a number for each class of each image; any number up to 10,000
    labels  (N,) whole numbers: the class that is right

    The network gives class j of image i the probability p[i, j] = exp(logits[i, j]) / (the sum of
    exp(logits[i, k]) over all classes k). The loss is the mean of -log(p[i, labels[i]]) over the
    images.

    Returns (loss, dlogits): the loss, and its gradient by the logits, (N, classes).

    >>> loss, dlogits = softmax_cross_entropy(np.array([[2., 1., 0.]]), np.array([0]))
    >>> loss.round(4), dlogits.round(4)
    (np.float64(0.4076), array([[-0.3348,  0.2447,  0.09  ]]))
    """
    raise NotImplementedError


def conv_backward(x, w, dy, s, p):
    """The way back through a convolution: of y[n, f, i, j] = sum over c, ky and kx of
    w[f, c, ky, kx] * padded[n, c, s*i + ky, s*j + kx], where `padded` is x among p rows and columns
    of zeros on each side.

    x   (N, C, H, W) images
    w   (F, C, k, k) weights
    dy  (N, F, OH, OW) the gradient by y
    s   the stride
    p   the pad

    Returns (dx, dw), the gradients by x and by w.

    >>> conv_backward(np.array([[[[3., 4.]]]]), np.array([[[[10.]]]]), np.array([[[[1., 2.]]]]),
    ...               1, 0)
    (array([[[[10., 20.]]]]), array([[[[11.]]]]))
    """
    raise NotImplementedError


def exposes(layer_class):
    """A test of layers: is a gradient wrong?

    layer_class  layer_class() makes a layer, in float64. It has
                     forward(x)    takes x (N, 4), any N, and returns y (N, 4)
                     backward(dy)  takes the gradient by y, (N, 4), and returns that by x; after a
                                   forward(), of whose x it speaks
                     W             the weights, an array that forward() reads each time, or None
                     dW            after backward(): the gradient by W

    What forward() computes is right, each row by itself. Some layers have a kink or a step at 0, as
    max(x, 0) has; some give numbers of a million; the gradient of some is 0. If one is wrong, it is
    by 1 % at least, but maybe of one number only.

    Returns True where a gradient is wrong, by x or by W; False where both are right.
    """
    raise NotImplementedError
