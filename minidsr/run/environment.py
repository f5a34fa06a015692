"""What a number was measured with: versions, BLAS and its kernels, cores, device, commit."""

import os
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
            "commit": commit(Path(__file__).resolve())}


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


def commit(path):
    """The commit that a file of this package is of, with "dirty" where a file of the package that
    git tracks differs. None where git does not track it, as after an installation, or fails."""
    # Variables such as GIT_DIR, which hooks have set, would name another repository.
    names = {name: value for name, value in os.environ.items() if not name.startswith("GIT_")}

    def git(*words):
        return subprocess.run(["git", "--no-optional-locks", *words], cwd=path.parent, env=names,
                              check=True, capture_output=True, timeout=5, text=True,
                              encoding="utf-8", errors="replace").stdout.strip()

    try:
        git("ls-files", "--error-unmatch", path.name)
        changed = git("status", "--porcelain", "--untracked-files=no", "..")
        return git("rev-parse", "HEAD") + (" dirty" if changed else "")
    except (OSError, subprocess.SubprocessError):
        return None
