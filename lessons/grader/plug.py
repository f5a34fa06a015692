"""The package with the learner's function in it: verified, and trained beside ours."""

import inspect
import statistics
import time
from contextlib import ExitStack, contextmanager
from itertools import islice
from unittest.mock import patch

from .exercise import find

SECONDS = 600  # that it may take
CASES = 200
TRAINING = {"model": "small-cnn", "sparsity": 0.95, "epochs": 2, "batch": 50, "train_images": 2000,
            "periods": (5,), "period_milestones": (), "threshold": 0.01, "engine": "plain",
            "device": "cpu"}
DENSE = {"method": "dense", **dict.fromkeys(("sparsity", "periods", "period_milestones",
                                             "threshold"))}
STEPS = {"model": "small-cnn-0.25", "epochs": 1, "batch": 10, "train_images": 200}  # loops are slow


def run(function, address):
    """What `minidsr verify` says of the package with this function, and two short trainings, ours
    and theirs: as data. Of the parts of a network, trainings of so many steps alone."""
    (exercise,) = find(address)
    calls, adapted = [], exercise.plug.adapt(function)
    trained = _train_steps if exercise.plug.steps else _train

    def counted(*args, **kwargs):
        calls.append(1)
        return adapted(*args, **kwargs)

    ours = trained(exercise.plug)
    with replaced(exercise.plug, counted):
        verdict = None if exercise.plug.steps else _verify(calls)
        calls.clear()
        theirs = trained(exercise.plug)
    return {"verify": verdict, "ours": ours, "theirs": theirs, "calls": len(calls)}


@contextmanager
def replaced(plug, function):
    """A context in which the package calls this function, which has the signature of its own."""
    with ExitStack() as stack:
        for target in plug.targets:
            stack.enter_context(patch(target, function))
        yield


def training(plug, **more):
    """The Config that a plug is trained with."""
    from minidsr.run.config import Config

    config = {**TRAINING, **more, **plug.config}
    method = config.pop("method", "dsr")
    return Config(**config).for_method(method)


def _verify(calls):
    """None where the function was not called: then there is nothing to be said of it."""
    from minidsr.run.verify import verify_package

    tally, tried = verify_package(CASES, small=False)
    found = [[_rule(v.invariant), str(v), str(example)]
             for _, example, v in tally.examples.values()]
    return {"summary": tally.summary, "tried": sum(tried.values()), "calls": len(calls),
            "violated": found} if calls else None


def _rule(name):
    """What an invariant says, in a sentence."""
    from minidsr.proof import invariants

    invariant = getattr(invariants, name, None)
    return inspect.getdoc(invariant).splitlines()[0] if invariant else "It comes to an end."


def _train(plug):
    """What comes out of a training: {network, counts, accuracy, ...}, or what went wrong."""
    from minidsr.run.train import train

    try:
        history = train(training(plug))
    except Exception as error:  # whatever it is, it is an answer
        return {"raised": f"{type(error).__name__}: {error}"}
    last = history.epochs[-1]
    return {"free": [r["free_parameters"] for r in history.records],
            "active": [r["active"] for r in history.reallocations],
            "loss": last["train_loss"], "accuracy": last["test_accuracy"]}


def _train_steps(plug):
    """{losses, one a step; seconds of a step, the median}, or what went wrong."""
    from minidsr.fast.parallel import threads
    from minidsr.run.train import Trainer

    losses, seconds = [], []
    try:
        trainer = Trainer(training(plug, **STEPS))
        with threads(1):
            for x, labels in islice(trainer.batches(), plug.steps):
                trainer.begin_epoch()  # whose mean loss is that of one step
                began = time.perf_counter()
                trainer.step(x, labels)
                seconds.append(time.perf_counter() - began)
                losses.append(trainer.so_far()[0])
    except Exception as error:  # whatever it is, it is an answer
        return {"raised": f"{type(error).__name__}: {error}"}
    return {"losses": losses, "seconds": statistics.median(seconds)}
