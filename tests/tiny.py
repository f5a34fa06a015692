"""A CIFAR-10 of 100 training and 20 test images, in the published python layout."""

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


def with_moves(config, method):
    """The config for another method, which reallocates often if it can."""
    config = config.for_method(method)
    return replace(config, interval=3) if method == "itop" else config
