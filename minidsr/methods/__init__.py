"""The methods, by the name that `--method` takes."""

from .base import Method
from .deepr import DeepR
from .dense import FullDense
from .dsr import DSR
from .dst import DST
from .gradual import Gradual
from .hashed import HashedNet
from .itop import ITOP
from .rigl import RigL
from .set import SET
from .snfs import SNFS
from .static import Static
from .thin_dense import ThinDense

METHODS: dict[str, type[Method]] = {
    "dense": FullDense, "thin-dense": ThinDense, "static": Static, "gradual": Gradual,
    "hashed": HashedNet, "deepr": DeepR, "set": SET, "snfs": SNFS, "rigl": RigL,
    "itop": ITOP, "dst": DST, "dsr": DSR}
