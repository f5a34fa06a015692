"""Layers for lesson 2, right and wrong. Each docstring says what it is."""

import numpy as np


class Linear:
    """y = x @ W.T"""

    def __init__(self, rng):
        self.W, self.dW = rng.standard_normal((4, 4)), None

    def forward(self, x):
        self.x = x.copy()
        return x @ self.W.T

    def backward(self, dy):
        self.dW = dy.T @ self.x
        return dy @ self.W


class Scale:
    """y = W * x, a weight a column"""

    def __init__(self, rng):
        self.W, self.dW = rng.standard_normal(4), None

    def forward(self, x):
        self.x = x.copy()
        return self.W * x

    def backward(self, dy):
        self.dW = (dy * self.x).sum(0)
        return self.W * dy


class Relu:
    """y = max(x, 0)"""

    W = dW = None

    def __init__(self, rng):
        pass

    def forward(self, x):
        self.x = x.copy()
        return np.maximum(x, 0)

    def backward(self, dy):
        return dy * (self.x > 0)


class Square(Relu):
    """y = x * x"""

    def forward(self, x):
        self.x = x.copy()
        return x * x

    def backward(self, dy):
        return 2 * self.x * dy


class Large(Relu):
    """y = 1,000,000 x"""

    def forward(self, x):
        return 1e6 * x

    def backward(self, dy):
        return 1e6 * dy


class Sign(Relu):
    """y = 1 where x is above 0, else -1; so dx is 0"""

    def forward(self, x):
        return np.where(x > 0, 1.0, -1.0)

    def backward(self, dy):
        return np.zeros(dy.shape)


# --- dx is wrong


class NotTransposed(Linear):
    """y = x @ W.T, and dx is dy @ W.T"""

    def backward(self, dy):
        super().backward(dy)
        return dy @ self.W.T


class Permuted(Linear):
    """y = x @ W.T, and dx has its rows in the wrong order"""

    def backward(self, dy):
        return super().backward(dy)[::-1]


class PassesAll(Relu):
    """y = max(x, 0), and dx is dy also where x is below 0"""

    def backward(self, dy):
        return dy


class HalfSquare(Square):
    """y = x * x, and dx is x * dy"""

    def backward(self, dy):
        return self.x * dy


# --- dW is wrong


class MeanOfImages(Linear):
    """y = x @ W.T, and dW is divided by the number of images"""

    def backward(self, dy):
        dx = super().backward(dy)
        self.dW = self.dW / len(dy)
        return dx


class FirstImage(Scale):
    """y = W * x, and dW is that of the first image"""

    def backward(self, dy):
        self.dW = dy[0] * self.x[0]
        return self.W * dy


# --- wrong by little


class OneColumn(Scale):
    """y = W * x, and the third column of dx is wrong"""

    def backward(self, dy):
        return super().backward(dy) * [1, 1, 1.5, 1]


class OneWeight(Linear):
    """y = x @ W.T, and one number of dW is 0"""

    def backward(self, dy):
        dx = super().backward(dy)
        self.dW[1, 2] = 0
        return dx


class OnePercent(Linear):
    """y = x @ W.T, and dx is 1 % too large"""

    def backward(self, dy):
        return 1.01 * super().backward(dy)


RIGHT = {layer.__name__: layer for layer in (Linear, Scale, Relu, Square, Large, Sign)}
WRONG_BY_X = {layer.__name__: layer for layer in (NotTransposed, Permuted, PassesAll, HalfSquare)}
WRONG_BY_W = {layer.__name__: layer for layer in (MeanOfImages, FirstImage)}
WRONG_A_LITTLE = {layer.__name__: layer for layer in (OneColumn, OneWeight, OnePercent)}
