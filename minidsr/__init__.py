"""minidsr: dynamic sparse reparameterization (Mostafa & Wang, ICML 2019) from scratch.

Start reading at reparam.py, which is Algorithm 1. Training is minidsr.train.train(Config(...)).
"""

from .methods import DSR, METHODS, Method, Static
from .models import lenet_300_100, small_cnn, wide_resnet
from .parameters import Dense, Sparse
from .reparam import reallocate

__version__ = "0.1.0"
__all__ = ["METHODS", "DSR", "Dense", "Method", "Sparse", "Static", "lenet_300_100", "reallocate",
           "small_cnn", "wide_resnet"]
