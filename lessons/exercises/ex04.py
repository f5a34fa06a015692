"""Lesson 4, training it: four functions to write.

`python -m lessons.check 4` judges your copy of this file, in lessons/mine.
"""

import numpy as np  # noqa: F401


def sgd_step(w, v, g, lr, momentum, nesterov, weight_decay):
    """One step of gradient descent with momentum.

    w, v, g   arrays of one shape: weights, velocities, and the gradient by w
    lr        the learning rate, a number; momentum and weight_decay are numbers, too
    nesterov  True or False: is the step taken by Nesterov's rule?

    Weight decay adds weight_decay times w to the gradient; call the sum g from here on. The new
    velocity is momentum times the old one, plus g. The weights go down by lr times the velocity; by
    Nesterov's rule, by lr times what the velocity would be if g came once more.

    Returns (w, v), the new ones; the arguments stay as they are.

    >>> w, v, g = np.array([1.0]), np.array([2.0]), np.array([4.0])
    >>> sgd_step(w, v, g, 0.5, 0.5, False, 0.0)
    (array([-1.5]), array([5.]))
    >>> sgd_step(w, v, g, 0.5, 0.5, True, 0.0)
    (array([-2.25]), array([5.]))
    """
    raise NotImplementedError


def piecewise(t, total, milestones, values):
    """The value that is in force at a step of training.

    t           the step, a whole number, from 0 on
    total       how many steps there are
    milestones  fractions of training, as decimals with two digits: (0.3, 0.55). They increase
    values      one more than milestones

    The first value is in force from step 0 on, the next one from the step that is the first
    milestone times the total, that step included; and so on. Decimals count as they are written:
    0.55 of 100 steps are 55.

    >>> [piecewise(t, 10, (0.3, 0.55), (9, 8, 7)) for t in (0, 2, 3, 5, 6)]
    [9, 9, 8, 8, 7]
    """
    raise NotImplementedError


def batches(n, batch, seed, epoch, start=0):
    """The batches of one epoch: which images, in which order.

    n      how many images there are
    batch  how many of them a batch has; the last one has fewer, where there are no more
    seed   a whole number from 0 on: of the training
    epoch  a whole number from 0 on: another epoch, or another seed, has another order
    start  how many batches are left out at the beginning: they were trained on before a break

    Each image comes once, every order is equally likely, and the same arguments give the same
    batches.

    Returns a list of arrays of positions.

    >>> [len(part) for part in batches(10, 4, seed=0, epoch=7)]
    [4, 4, 2]
    >>> [len(part) for part in batches(10, 4, seed=0, epoch=7, start=1)]
    [4, 2]
    """
    raise NotImplementedError


def crop_and_flip(image, shift, flip):
    """Move an image by a few pixels, and mirror it.

    image  (C, H, W), with at least 5 rows and 5 columns
    shift  (row, column), each from 0 to 8: where, in the padded image, the crop begins
    flip   True or False

    The image gets 4 pixels more on each side, which mirror what is inside; the edge itself is not
    repeated. Of this H rows and W columns are cut out. Then, where `flip` says so, left and right
    are exchanged.

    Returns an array (C, H, W).

    >>> image = np.arange(5) * np.ones((1, 5, 1))
    >>> crop_and_flip(image, (4, 3), False)[0, 0], crop_and_flip(image, (4, 3), True)[0, 0]
    (array([1., 0., 1., 2., 3.]), array([3., 2., 1., 0., 1.]))
    """
    raise NotImplementedError
