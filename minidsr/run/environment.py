"""What a number was measured with: versions, BLAS and its kernels, cores, device, commit."""

import platform
import subprocess
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from ..backend import describe_device
from ..fast.parallel import available_cores

LIBRARIES = ("minidsr", "numpy", "scipy", "threadpoolctl", "numba", "cupy-cuda12x", "cupy-cuda13x")


def environment(device="cpu"):
    """{name: value}, fit for JSON."""
    return {"python": platform.python_version(), "system": platform.platform(),
            "versions": {name: found for name in LIBRARIES if (found := _version(name))},
            "blas": blas(), "cores": available_cores(), "device": describe_device(device),
            "commit": _commit()}


def blas():
    """One line for each BLAS that is loaded: its name, version, kernels and threads."""
    try:
        from threadpoolctl import threadpool_info
    except ImportError:
        return ["unknown: threadpoolctl is not installed"]
    return [f"{i['internal_api']} {i['version']}, {i.get('architecture', 'unknown')} kernels, "
            f"{i['num_threads']} threads" for i in threadpool_info() if i["user_api"] == "blas"]


def _version(name):
    try:
        return version(name)
    except PackageNotFoundError:
        return None


def _commit():
    """The commit of the source tree that runs, or None for an installed package."""
    try:
        done = subprocess.run(["git", "rev-parse", "HEAD"], cwd=Path(__file__).parent, text=True,
                              capture_output=True, timeout=5)
    except (OSError, subprocess.SubprocessError):
        return None
    return done.stdout.strip() if done.returncode == 0 else None
