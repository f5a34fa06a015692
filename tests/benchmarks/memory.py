"""Memory: of a process in training, and of the training state."""

from pathlib import Path

import numpy as np
from contenders import Ours, pytorch, torch_networks
from timing import in_a_process_of_its_own, table
from tqdm import tqdm

from minidsr.density import free_counts
from minidsr.fast import blocked
from minidsr.fast.parallel import threads
from minidsr.nn import models
from minidsr.nn.sgd import SGD
from minidsr.parameters import Dense, Sparse

SPEED = Path(__file__).with_name("speed.py")
SPARSITIES = (0.0, 0.5, 0.8, 0.9, 0.99)
MEMORY = {"PyTorch, NCHW": None, "PyTorch, channels-last": None,
          "blocked, dense": {}, "blocked, masks on dense, 0.9": {"masked": True},
          "blocked, DSR 0.9": {"method": "dsr"},
          "sparse, DSR 0.9": {"method": "dsr", "engine": "sparse"},
          "sparse, DSR 0.99": {"method": "dsr", "engine": "sparse", "sparsity": 0.99}}


def memory(options, results):
    """The most memory a process holds, three training steps long."""
    model, batch = ("wrn-10-1", 4) if options.small else ("wrn-28-2", 100)
    rows = []
    few = ("PyTorch, NCHW", "sparse, DSR 0.9")
    for name in tqdm(few if options.small else MEMORY, "memory", leave=False):
        if pytorch() is None and name.startswith("PyTorch"):
            continue
        before, peak = in_a_process_of_its_own(
            SPEED, "memory", model, batch, name, threads=options.threads)
        results[f"memory/{name}"] = [before, peak]
        rows.append([name, *(f"{b / 2 ** 20:.0f}" for b in (peak, before, peak - before))])
    return f"`{model}`, batch {batch}, three training steps, MiB of the process:\n\n" + table(
        ["contender", "peak", "of it, libraries and code", "the rest"], rows)


def child_memory(options, model, batch, name):
    """Bytes when a small network has been trained, and the most while this one is."""
    if name.startswith("PyTorch"):  # as it comes: without threads(), which tunes the allocator
        pytorch().torch.set_num_threads(options.threads)
        return _before_and_peak(lambda model, batch: torch_networks(model, batch)[name], model,
                                batch)
    with threads(options.threads):
        return _before_and_peak(lambda model, batch: Ours(model, batch, **MEMORY[name]), model,
                                batch)


def _before_and_peak(network, model, batch):
    network("wrn-10-1", 2).step()  # loads code, compiles
    Path("/proc/self/clear_refs").write_text("5")  # the peak is now what is held
    before, net = _of_process("VmRSS"), network(model, batch)
    for _ in range(3):
        net.step()
    return [before, _of_process("VmHWM")]


def _of_process(name):
    """A size of this process from /proc/self/status, in bytes."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) << 10 for line in lines if line.startswith(name + ":"))


def state(options, results):
    """Bytes of training state: what the sparsifiable tensors hold between two steps."""
    rows = []
    for model, image, classes in (("wrn-10-1", (3, 32, 32), 10),) if options.small else (
            ("wrn-28-2", (3, 32, 32), 10), ("resnet50", (3, 224, 224), 1000)):
        network = models.build(model, image=image, classes=classes, rng=np.random.default_rng(0))
        shapes = [layer.weight.shape for layer in network.sparsifiable_layers().values()]
        largest = max(layer.weight.size for layer in network.sparsifiable_layers().values())
        for case in ("masks on dense", SPARSITIES[-1]) if options.small else (
                "dense", "masks on dense", *SPARSITIES):
            held = in_a_process_of_its_own(SPEED, "state", shapes, case)
            results[f"state/{model}/{case}"] = held
            sparse = isinstance(case, float)
            own, with_theta = held["arrays"], held["arrays"] + 8 * largest * sparse
            columns = own, with_theta, own + held["indices"], held["process"]
            rows.append([f"`{model}`, {case}", *(f"{b / 2 ** 20:.1f}" for b in columns)])
    return ("MiB. Dense: value, gradient, velocity; masks add a byte for each position. Sparse: "
            "the same three and the position, of the free numbers. While a layer computes, blocked "
            "adds θ and its gradient; the sparse engine keeps its indices. Process: what it grew "
            "by, from before these arrays to after an update: indices and what making them took "
            "are included:\n\n" + table(
                ["network, sparsity", "arrays", "with blocked's θ and gradient",
                 "with the sparse engine's indices", "process"], rows))


def child_state(options, shapes, case):
    """The bytes that tensors of these shapes hold, `case` as in state()."""
    from minidsr.fast.sparse_conv import SparseConv

    rng, sizes, indices = np.random.default_rng(0), [int(np.prod(s)) for s in shapes], 0
    if isinstance(case, float):
        counts = free_counts(shapes, case, "uniform")
        positions = [np.sort(rng.choice(n, m, replace=False, shuffle=False)).astype(np.int32)
                     for n, m in zip(sizes, counts, strict=True)]
        held = sum(index.nbytes for index in positions)
    before, tensors, masks = _of_process("VmRSS"), [], []
    for i, (shape, size) in enumerate(zip(shapes, sizes, strict=True)):
        if isinstance(case, float):
            W = Sparse(shape, positions[i], np.ones(counts[i], np.float32))
            k = shape[2] if len(shape) == 4 else 1
            W.conv = SparseConv(W.index, (*shape, 1, 1)[:4],
                                blocked.Geometry.of(8, 8, k, 1, k // 2))
            indices += sum(a.nbytes for a in (W.conv.order, *W.conv.by_x, *W.conv.by_y))
        else:
            W = Dense(np.ones(shape, np.float32))
            masks += [np.ones(size, bool)] * (case != "dense")
        W.grad = np.ones_like(W.value)
        tensors.append(W)
    sgd = SGD(tensors)
    sgd.lr = 0.1
    sgd.step()
    arrays = sum(mask.nbytes for mask in masks) + sum(
        getattr(W, name).nbytes for W in tensors
        for name in ("value", "index", "grad", "velocity") if hasattr(W, name))
    grown = _of_process("VmRSS") - before + (held if isinstance(case, float) else 0)
    return {"arrays": arrays, "indices": indices, "process": grown}
