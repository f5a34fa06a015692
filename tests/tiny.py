"""A CIFAR-10 of 100 training and 20 test images, and a CIFAR-100 of 200 and 100, in the published
python layouts; and arrays that are a data set of one's own."""

import pickle
from dataclasses import replace

import numpy as np


def write_cifar10(folder, seed=0, images=20):
    """Write folder/cifar-10-batches-py: images whose brightness tells the class."""
    folder = folder / "cifar-10-batches-py"
    folder.mkdir(parents=True)
    rng = np.random.default_rng(seed)
    names = [f"data_batch_{i}" for i in range(1, 6)] + ["test_batch"]
    for name in names:
        labels = rng.integers(0, 10, images)
        if name == "test_batch":
            labels = rng.permutation(np.arange(images) % 10)  # as many of each class
        pixels = rng.integers(0, 30, (images, 3072)) + 22 * labels[:, None]
        batch = {b"batch_label": name.encode(), b"labels": labels.tolist(),
                 b"data": pixels.astype(np.uint8),
                 b"filenames": [f"{name}_{i}.png".encode() for i in range(images)]}
        (folder / name).write_bytes(pickle.dumps(batch, protocol=2))
    classes = [f"class {i}".encode() for i in range(10)]
    meta = {b"num_cases_per_batch": images, b"label_names": classes, b"num_vis": 3072}
    (folder / "batches.meta").write_bytes(pickle.dumps(meta, protocol=2))
    return folder.parent


def write_cifar100(folder, seed=0):
    """Write folder/cifar-100-python: images whose brightness tells the class."""
    folder = folder / "cifar-100-python"
    folder.mkdir(parents=True)
    rng = np.random.default_rng(seed)
    for name, images, title in (("train", 200, "training"), ("test", 100, "testing")):
        labels = rng.permutation(images) % 100
        pixels = rng.integers(0, 30, (images, 3072)) + 2 * labels[:, None]
        batch = {b"batch_label": f"{title} batch 1 of 1".encode(), b"fine_labels": labels.tolist(),
                 b"coarse_labels": (labels // 5).tolist(), b"data": pixels.astype(np.uint8)}
        (folder / name).write_bytes(pickle.dumps(batch, protocol=2))
    meta = {b"fine_label_names": [f"class {i}".encode() for i in range(100)]}
    (folder / "meta").write_bytes(pickle.dumps(meta, protocol=2))
    return folder.parent


def arrays(n=12, shape=(3, 5, 7), seed=0):
    """Keywords of from_arrays(), with three classes."""
    rng = np.random.default_rng(seed)
    x, y = rng.integers(0, 256, (n, *shape), np.uint8), np.arange(n) % 3
    return {"train_x": x, "train_y": y, "test_x": x[:6], "test_y": y[:6]}


def with_moves(config, method):
    """The config for another method, which reallocates often if it can."""
    config = config.for_method(method)
    return replace(config, interval=3) if method == "itop" else config
