"""The small network of minidsr/run/small_training.py, by each variant of each method."""

from minidsr.methods import METHODS
from minidsr.methods.base import Dynamic
from minidsr.run import small_training
from minidsr.run.contract import OFTEN

CASES = {
    "dense": ("dense", {}),
    "thin-dense": ("thin-dense", {}),
    "static": ("static", {}),
    "static er": ("static", {"distribution": "er"}),
    "static reversed": ("static", {"distribution": "reversed"}),
    "gradual": ("gradual", OFTEN),
    "gradual erk": ("gradual", {**OFTEN, "distribution": "erk"}),
    "gradual exponential": ("gradual", {**OFTEN, "schedule": "exponential"}),
    "hashed": ("hashed", {}),
    "hashed balanced": ("hashed", {"variant": "balanced"}),
    "deepr": ("deepr", {**OFTEN, "temperature": 1e-3}),
    "deepr per-tensor": ("deepr", {**OFTEN, "temperature": 1e-3, "variant": "per-tensor"}),
    "set": ("set", OFTEN),
    "set magnitude": ("set", {**OFTEN, "variant": "magnitude"}),
    "snfs": ("snfs", OFTEN),
    "rigl": ("rigl", OFTEN),
    "rigl erk": ("rigl", {**OFTEN, "distribution": "erk"}),
    "itop": ("itop", {"interval": 3}),
    "itop rigl": ("itop", {"interval": 3, "variant": "rigl"}),
    "dst": ("dst", {"alpha": 0.01}),
    "dsr": ("dsr", {**OFTEN, "threshold": 0.1}),
    "dsr room": ("dsr", {**OFTEN, "threshold": 0.1, "growth": "room"}),
    "dsr pruned": ("dsr", {**OFTEN, "threshold": 0.1, "growth": "pruned"}),
    "dsr without keep-one": ("dsr", {**OFTEN, "threshold": 0.1, "keep_one": False}),
    "dsr protecting newborns": ("dsr", {**OFTEN, "threshold": 0.1, "protect_newborns": True}),
}
SPARSE = [case for case, (method, _) in CASES.items() if METHODS[method].sparse]
MOVING = [case for case, (method, _) in CASES.items() if issubclass(METHODS[method], Dynamic)]


class Training(small_training.Training):
    """The small network, in training by one of CASES."""

    def __init__(self, case, **begins):
        name, options = CASES[case]
        super().__init__(METHODS[name], options, **begins)
