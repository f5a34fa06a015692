"""The subcommands about this machine: bench, info and data."""

import json
from typing import Annotated, Literal

import tyro
from tyro.conf import Positional

from .. import data
from ..backend import choose_device
from ..checks import check_range
from ..data.fetch import fetch
from . import bench as benchmark
from .config import Config
from .environment import environment
from .profile import as_table
from .progress import say_what_computes


def bench(model: str = "wrn-28-2", batch: int = 100, steps: int = 10, method: str = "dense",
          sparsity: float = 0.9, engine: str = "auto", device: str = "auto", tf32: bool = False,
          threads: int | None = None, profile: bool = False,
          json_: Annotated[bool, tyro.conf.arg(name="json")] = False) -> None:
    """Measure speed and memory: images per second forward and for a whole training step.

    Args:
        model: Network to measure.
        batch: Images a step.
        steps: Steps to measure, after two that do not count; the median is reported.
        method: Training method.
        sparsity: For a sparse method.
        engine: plain, blocked, sparse, or auto: sparse where it is faster.
        device: cpu, gpu or auto.
        tf32: On a GPU, round the factors of products to TF32, 10 bits.
        threads: Threads on the CPU (default: all cores).
        profile: Add where the time of a training step goes, by layer. A GPU is waited for at each,
            so such a step takes longer there.
        json_: Print one JSON object.
    """
    check_range("steps", steps, 1, 10**5)
    config = Config(model=model, batch=batch, sparsity=sparsity, engine=engine, device=device,
                    tf32=tf32, threads=threads).for_method(method)
    say_what_computes(config)
    result = benchmark.measure(config, steps, profile)
    if json_:
        print(json.dumps(result, allow_nan=False))
        return
    parts = result.pop("profile", None)
    for name, value in result.items():
        print(f"{name:>24}  {value:,.1f}" if isinstance(value, float)
              else f"{name:>24}  {value}")
    if parts:
        unwatched = 1000 * batch / result["train_images_per_s"]
        print(f"\nWhere a training step goes, the mean of {steps}; not watched, their median was "
              f"{unwatched:.2f} ms.\n" + "The GPU is waited for at each part, as training does not "
              "do.\n" * (result["gpu_bytes"] is not None))
        print(as_table(parts))


def info(data_dir: str = "data", device: str = "auto") -> None:
    """Show versions, BLAS and its kernels, cores, device, and which data sets are found.

    Args:
        data_dir: Folder to look for data sets in.
        device: cpu, gpu or auto.
    """
    for name, value in environment(choose_device(device)).items():
        if isinstance(value, dict):
            value = ", ".join(f"{key} {v}" for key, v in value.items())
        for line in value if isinstance(value, list) else [value or "none: not tracked by git"]:
            print(f"{name:>12}  {line}")
    found, missing = {}, {}
    for name in data.DATASETS:
        try:
            there = data.load(name, data_dir)
            found[name] = (f"{len(there.train_y):,} training images, "
                           f"{len(there.test_y):,} test images")
        except data.DataError as error:
            missing[name] = str(error).removeprefix(f"{name}: ")
    if not set(found) & set(data.OWN):  # images of the user's are no place for others
        found |= {name: fault for name, fault in missing.items() if name not in data.OWN}
    for name, state in found.items():
        print(f"{name:>12}  {state}")


def data_(action: Positional[Literal["fetch"]], name: Positional[str], data_dir: str = "data",
          url: str | None = None) -> None:
    """Download a data set: `minidsr data fetch cifar10`, cifar100 or mnist.

    Args:
        action: What to do.
        name: cifar10, cifar100 or mnist.
        data_dir: Folder to put it in.
        url: Another address of the published files, such as a mirror's.
    """
    print(f"{name}: {fetch(name, data_dir, url=url)}")
