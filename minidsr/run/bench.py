"""Speed and memory of one model, measured on random images."""

import math
import statistics
import sys
import time
from functools import partial

import numpy as np

from ..backend import choose_device, device_bytes, to_device, use_tf32, wait_for
from ..fast.engine import choose_engine, use
from ..fast.parallel import threads
from ..nn import models
from ..nn.layers import softmax_cross_entropy
from ..nn.sgd import SGD
from .environment import blas, environment
from .profile import profile
from .progress import TrainingError, computing


def measure(config, steps, parts=False):
    """Medians over `steps` steps, after two that do not count; fit for JSON.

    A training step is forward, loss, backward and update on a batch that is already there.
    parts: add a profile() of as many more steps.
    """
    device, rng = choose_device(config.device), np.random.default_rng(config.seed)
    use_tf32(config.tf32, device)
    image, classes = _made_for(config.model)
    method = config.build_method(steps_per_epoch=500)
    network = method.model_name(config.model, image, classes)
    engine = choose_engine(config.engine, device)
    model = use(models.build(network, image=image, classes=classes, rng=rng).to(device), engine,
                input_grad=False)
    method.setup(model, rng)
    sgd = SGD(model.params(), weight_decay=config.weight_decay)
    sgd.lr = 1e-3
    x = to_device(rng.normal(size=(config.batch, *image)).astype(np.float32), device)
    y = to_device(rng.integers(0, classes, config.batch), device)

    def train_step(loss_of=softmax_cross_entropy):
        loss, dlogits = loss_of(model.forward(x, train=True), y)
        model.backward(dlogits)
        method.step(0, sgd)
        if not math.isfinite(loss):  # waits for a GPU
            raise TrainingError("the loss is not finite, so this is no training step to measure")

    facts = environment(device)
    with computing(), threads(config.threads) as count:
        forward = _median_seconds(lambda: float(model.forward(x).sum()), steps)
        train = _median_seconds(train_step, steps)
        result = {"model": network, "method": config.method, "batch": config.batch,
                  "forward_images_per_s": config.batch / forward,
                  "train_images_per_s": config.batch / train,
                  "peak_rss_bytes": peak_rss_bytes(), "gpu_bytes": device_bytes(device),
                  "tf32": config.tf32, "free_parameters": model.free_parameters(),
                  "engine": engine, "threads": count, "blas": blas(),
                  "device": facts["device"], "versions": facts["versions"]}
        if parts:
            result["profile"] = profile(
                train_step, softmax_cross_entropy, model=model, method=method, sgd=sgd,
                steps=steps, wait=partial(wait_for, device))
        return result


def _made_for(model):
    """(shape, number of classes) of the images that the network is made for: MNIST's, ImageNet's,
    else CIFAR-10's."""
    if model.startswith("lenet"):
        return (1, 28, 28), 10
    return ((3, 224, 224), 1000) if model.startswith("resnet50") else ((3, 32, 32), 10)


def peak_rss_bytes():
    """The most memory this process has held, in bytes; None where the system does not say."""
    try:
        import resource
    except ImportError:  # Windows
        return None
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024  # macOS counts bytes, Linux KiB


def _median_seconds(work, times):
    work()
    work()
    seconds = []
    for _ in range(times):
        start = time.perf_counter()
        work()
        seconds.append(time.perf_counter() - start)
    return statistics.median(seconds)
