"""minidsr: dynamic sparse reparameterization (Mostafa & Wang, ICML 2019) from scratch.

Start reading at reparam.py, which is Algorithm 1. Training is minidsr.run.train.train(Config(...)).
"""

from .methods import DSR, METHODS, Method, Static
from .nn.models import lenet_300_100, resnet50, small_cnn, wide_resnet
from .parameters import Dense, Hashed, Sparse, Thresholded
from .reparam import reallocate

__version__ = "0.1.0"
__all__ = ["METHODS", "DSR", "Dense", "Hashed", "Method", "Sparse", "Static", "Thresholded",
           "lenet_300_100", "reallocate", "resnet50", "small_cnn", "wide_resnet"]
