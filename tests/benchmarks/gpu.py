"""How fast on a GPU, against PyTorch: python tests/benchmarks/gpu.py

Times are between CUDA events around a call, after calls that do not count. Numbers are float32;
products of TF32 are named so, and PyTorch then has TF32 in cuDNN, too. A training step is forward,
loss, backward and update. Appended to tests/GPU.md by hand, with what --out has.
"""

import json
import statistics
import sys
from dataclasses import dataclass
from pathlib import Path

import tyro
from contenders import Ours, pytorch, torch_networks
from timing import table

from minidsr.backend import DeviceError, choose_device, use_tf32
from minidsr.run.environment import environment


@dataclass
class Options:
    """What is measured, and how often."""

    model: str = "wrn-28-2"
    """A wide residual network."""
    batches: tuple[int, ...] = (100, 512)
    """Images a step."""
    repeat: int = 30
    """Calls that count, after ten that do not."""
    out: Path = Path("runs/gpu")
    """Where gpu.md and gpu.json go."""


def measure(work, repeat):
    """Milliseconds on the GPU of each call."""
    from cupyx.profiler import benchmark

    return (1e3 * benchmark(work, n_warmup=10, n_repeat=repeat).gpu_times[0]).tolist()


def compare(options, batch, tf32):
    """{contender: {"step": [ms], "forward": [ms]}}"""
    use_tf32(tf32, "gpu")
    if pytorch():
        backends = pytorch().torch.backends
        backends.cuda.matmul.allow_tf32 = backends.cudnn.allow_tf32 = tf32
    nets = torch_networks(options.model, batch, "gpu", masked=False)
    nets["ours, dense"] = Ours(options.model, batch, device="gpu")
    nets["ours, DSR 0.9"] = Ours(options.model, batch, "dsr", device="gpu")
    return {name: {"step": measure(net.step, options.repeat),
                   "forward": measure(net.forward, options.repeat)} for name, net in nets.items()}


def row(batch, found, name):
    """A line of the table; ratios to PyTorch's better layout."""
    cells = [name]
    for kind in ("step", "forward"):
        median = {n: statistics.median(times[kind]) for n, times in found.items()}
        torch = min((m for n, m in median.items() if n.startswith("PyTorch")), default=None)
        low, high = min(found[name][kind]), max(found[name][kind])
        cells += [f"{median[name]:.2f} ({low:.2f} to {high:.2f})",
                  "–" if torch is None else f"{torch / median[name]:.2f}"]
    return [*cells, f"{1e3 * batch / statistics.median(found[name]['step']):.0f}"]


def main(options: tyro.conf.OmitArgPrefixes[Options]):
    """Measure and write the tables."""
    try:
        device = choose_device("gpu")
    except DeviceError as error:
        sys.exit(str(error))
    facts, results, parts = environment(device), {}, []
    if pytorch():
        facts["versions"]["torch"] = pytorch().torch.__version__
    for batch in options.batches:
        for tf32 in (False, True):
            title = f"{options.model}, batch {batch}, {'TF32' if tf32 else 'float32'}"
            found = results[title] = compare(options, batch, tf32)
            parts.append(f"{title}, ms:\n\n" + table(
                ["contender", "training step", "× PyTorch", "forward", "× PyTorch",
                 "images/s, step"], [row(batch, found, name) for name in found]))
            print(f"\n{parts[-1]}", flush=True)
    head = f"{facts['device']}; " + ", ".join(
        f"{name} {version}" for name, version in facts["versions"].items()) + \
        f"; Python {facts['python']}, commit {facts['commit']}."
    options.out.mkdir(parents=True, exist_ok=True)
    (options.out / "gpu.md").write_text("\n\n".join([head, *parts]) + "\n")
    (options.out / "gpu.json").write_text(json.dumps({"facts": facts, **results}) + "\n")
    print(f"\nwritten to {options.out}")


if __name__ == "__main__":
    main(tyro.cli(Options, description=__doc__))
