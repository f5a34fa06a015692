"""Training: one Config, one loop for every method, nothing lost.

    t  step, counted from 0: how many batches have been trained on

The loop never names a method. Initial values, structure and data have separate random streams, so
methods compare on equal initial values and equal batches. Data order and augmentation are functions
of (seed, epoch).
"""

import math
import signal
import threading
import time
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, fields, replace

import numpy as np

from .. import data
from ..backend import choose_device, get_xp, to_device, to_host_together, use_tf32
from ..data.batches import batches, normalise
from ..fast.engine import choose_engine, use
from ..fast.parallel import threads
from ..methods import METHODS
from ..nn.layers import softmax_cross_entropy
from ..nn.sgd import SGD
from ..proof.invariants import InvariantError
from ..schedules import piecewise
from . import directory
from .config import Config, read_config
from .environment import environment
from .history import History
from .start import initial_model, start_from


class TrainingError(RuntimeError):
    """Training cannot go on: a loss or weight is not finite, or a checkpoint cannot be written."""


class Interrupted(Exception):
    """Ctrl-C or SIGTERM arrived; the run is saved, if it has a directory. `signum` says which."""

    def __init__(self, signum, out):
        saved = "nothing was kept" if out is None else f"saved in {out}, go on with --resume"
        super().__init__(f"interrupted by {signal.Signals(signum).name}; {saved}")
        self.signum = signum


class Trainer:
    """A model, its method and its data, at some step t of a training."""

    def __init__(self, config, *, fresh=True):
        """Raises ValueError (DataError, DeviceError) where the config cannot be met.

        fresh: False where load() follows; then the run to start from need not be there.
        """
        self.config, self.device = config, choose_device(config.device)
        use_tf32(config.tf32, self.device)
        self.dataset = _resident(data.load(config.data, config.data_dir), self.device)
        self.steps_per_epoch = -(-len(self.dataset.train_x) // config.batch)
        self.total_steps = config.epochs * self.steps_per_epoch
        image, classes = self.dataset.train_x.shape[1:], len(self.dataset.classes)
        self.method = METHODS[config.method].from_config(config, self.steps_per_epoch)
        self.method.check = config.check
        self.network = self.method.network(config.model, image, classes)
        self.model = initial_model(config, self.network, image, classes)
        if fresh and config.structure_from:
            self.method.structure = start_from(config, self.model, image, classes)
        self.engine = choose_engine(config.engine, self.device)
        use(self.model.to(self.device), self.engine)
        _, structure = np.random.SeedSequence(config.seed).spawn(2)  # batches() has key 2
        self.method.setup(self.model, np.random.default_rng(structure))
        self.sgd = SGD(self.model.params(), momentum=config.momentum, nesterov=config.nesterov,
                       weight_decay=config.weight_decay, l1=config.l1)
        self.t = 0
        self.loss_sum, self.correct, self.seen = 0.0, 0, 0  # over the current epoch
        self.finite = _all_finite(self.sgd.params)  # are the weights, after the last update?

    def batches(self):
        """The rest of the current epoch."""
        epoch, start = divmod(self.t, self.steps_per_epoch)
        augmented = self.dataset.augment if self.config.augment is None else self.config.augment
        rng = np.random.default_rng(np.random.SeedSequence(self.config.seed, spawn_key=(2, epoch)))
        return batches(self.dataset, self.config.batch, rng, start=start, augmented=augmented)

    def lr(self):
        """The learning rate at this step."""
        c = self.config
        rates = [c.lr * c.lr_factor ** i for i in range(len(c.lr_milestones) + 1)]
        return piecewise(self.t, self.total_steps, c.lr_milestones, rates)

    def step(self, x, y):
        """Train on one batch; returns the method's Report or None.

        A GPU is waited for once, between forward and backward. Raises TrainingError where the loss
        is not finite, before the update; where a weight was not after the last update, then too,
        or in check_weights().
        """
        logits = self.model.forward(x, train=True)
        loss, dlogits = softmax_cross_entropy(logits, y)
        loss, correct, finite = to_host_together([loss, (logits.argmax(1) == y).sum(), self.finite])
        if not finite:
            raise self._not_finite("a weight", self.t - 1)
        if not math.isfinite(loss):
            raise self._not_finite("the loss", self.t, x)
        self.model.backward(dlogits)
        self.sgd.lr = self.lr()
        try:
            report = self.method.step(self.t, self.sgd)
        except (InvariantError, ValueError, ArithmeticError) as error:
            if not _all_finite(self.sgd.params):  # which is why the method refuses it
                raise self._not_finite("a weight", self.t) from None
            if not isinstance(error, InvariantError):
                raise
            raise InvariantError(f"the reallocation at {self._where(self.t)} broke an invariant, "
                                 f"the program is wrong: {error}") from None
        self.finite = _all_finite(self.sgd.params)
        self.t += 1
        self.loss_sum += float(loss) * len(y)
        self.correct += int(correct)
        self.seen += len(y)
        return report

    def check_weights(self):
        """Raises TrainingError where a weight is not finite after the last update. To be called
        before weights are used otherwise than in step()."""
        if not self.finite:
            raise self._not_finite("a weight", self.t - 1)

    def state(self):
        """All that changes in training, for directory.save()."""
        return {"run": self._identity(), "t": self.t, "loss_sum": self.loss_sum,
                "correct": self.correct, "seen": self.seen,
                **{f"method/{key}": value for key, value in self.method.state().items()},
                **{f"model/{key}": array for key, array in self.model.state().items()}}

    def load(self, path):
        """Take over the checkpoint at `path`. CheckpointError where it is of another model."""
        state = directory.load(path)
        try:
            if state["run"] != self._identity():
                raise ValueError(f"it is of {' '.join(state['run'])}")
            model, method = ({key.removeprefix(part): value for key, value in state.items()
                              if key.startswith(part)} for part in ("model/", "method/"))
            self.model.load(model)
            self.model.to(self.device)
            self.finite = _all_finite(self.sgd.params)
            self.method.load(method)
            self.t, self.loss_sum = state["t"], state["loss_sum"]
            self.correct, self.seen = state["correct"], state["seen"]
        except (ValueError, KeyError, TypeError) as error:
            raise directory.CheckpointError(
                f"{path}: not a checkpoint of {' '.join(self._identity())} ({error})") from None

    def _identity(self):
        """What a checkpoint must agree in."""
        c = self.config
        return [c.model, c.method, c.data, f"{c.sparsity}"]

    def _not_finite(self, what, t, x=None):
        return TrainingError(f"{what} is not finite at {self._where(t)}: first "
                             f"{first_not_finite(self.model, x)}; try a lower learning rate")

    def _where(self, t):
        epoch, step = divmod(t, self.steps_per_epoch)
        return f"epoch {epoch + 1}, step {step + 1}"


def evaluate(model, dataset, *, batch=500):
    """(mean cross entropy, accuracy in percent) of `model` on the test images of `dataset`."""
    loss_sum, correct, n = 0.0, 0, len(dataset.test_y)
    for i in range(0, n, batch):
        x, y = dataset.test_x[i:i + batch], dataset.test_y[i:i + batch]
        logits = model.forward(normalise(x, dataset))
        loss_sum += softmax_cross_entropy(logits, y)[0] * len(y)
        correct += (logits.argmax(1) == y).sum()
    loss_sum, correct = to_host_together([loss_sum, correct])
    return float(loss_sum) / n, 100 * int(correct) / n


def train(config, *, out=None, resume=False, progress=False):
    """Train as `config` says; returns the History.

    out       run directory: config, environment, metrics and checkpoints go there (default: none)
    resume    go on with the run in `out`, to the same end as if it had not been interrupted
    progress  show a progress bar and a line an epoch

    Raises ValueError (CheckpointError, DataError, DeviceError) for what the user can mend;
    TrainingError where a number is not finite or a file cannot be written, InvariantError where a
    reallocation is wrong: the last checkpoint stays; Interrupted after Ctrl-C or SIGTERM, when all
    is saved.
    """
    with ExitStack() as stack:
        if out is not None:
            out = stack.enter_context(directory.claimed(out, resume=resume))
            config = _settle_config(config, out)
        stack.enter_context(np.errstate(all="ignore"))  # Trainer.step looks for what is not finite
        resumed = out is not None and (out / "checkpoint.npz").exists()
        trainer = Trainer(config, fresh=not resumed)
        count = stack.enter_context(threads(config.threads))
        stack.enter_context(_writing_to(out))
        history = _begin(trainer, out, count)
        signals = stack.enter_context(_signals())
        bar = stack.enter_context(_progress_bar(trainer, progress))
        saved = time.monotonic()
        while trainer.t < trainer.total_steps:
            start, images = time.perf_counter(), 0
            for x, y in trainer.batches():
                report = trainer.step(x, y)
                if report:
                    history.add("reallocation", trainer.t, **asdict(report), **_counts(trainer))
                images += len(y)
                pace = images / (time.perf_counter() - start)
                _show(bar, trainer, history, pace)
                ended = trainer.t % trainer.steps_per_epoch == 0
                if ended or signals or time.monotonic() - saved >= config.checkpoint_seconds:
                    trainer.check_weights()
                    if ended:
                        _end_epoch(bar, trainer, history, pace)
                    _save(trainer, out)
                    saved = time.monotonic()
                if signals:
                    raise Interrupted(signals[0], out)
        return history


def first_not_finite(model, x=None):
    """Where a number is first not finite: a weight of `model`, else a layer's output for x."""
    for name, p in model.named_params().items():
        if not _finite(p.value):
            return name
    found = []

    def watched(name, forward):
        def watch(*args):
            y = forward(*args)
            if not _finite(y):
                found.append(f"the output of {name}")
            return y
        return watch

    use(model, "im2col")  # one layer after another
    layers = dict(model.walk())
    for name, layer in layers.items():
        layer.forward = watched(name, layer.forward)
    model.forward(x, True)
    for layer in layers.values():
        del layer.forward  # what remains is the method of its class
    return found[0] if found else "the loss itself"


def _finite(x):
    return bool(get_xp(x).isfinite(x).all())


def _all_finite(params):
    """Is every value of these parameterizations finite? A 0-d array, not read from a GPU."""
    xp = get_xp(params[0].value)
    return xp.isfinite(xp.concatenate([p.value.reshape(-1) for p in params])).all()


def _settle_config(config, out):
    """The config of the run in `out`: its own if it was begun earlier.

    What `config` leaves at its default is the run's. What does not touch the results, except by
    rounding, may differ. Raises CheckpointError for any other difference.
    """
    path = out / "config.json"
    if path.exists():
        own, standard, changes = read_config(path), Config(), {}
        for name in (field.name for field in fields(Config)):
            asked = getattr(config, name)
            if asked not in (getattr(own, name), getattr(standard, name)):
                changes[name] = asked
        for name in changes.keys() - {"data_dir", "device", "tf32", "engine", "threads", "check",
                                      "checkpoint_seconds"}:
            raise directory.CheckpointError(f"{out}: was begun with {name} {getattr(own, name)}, "
                                             f"not {changes[name]}; resume it as it is")
        config, asked = replace(own, **changes), config
        if not asked.tf32 and choose_device(config.device) == "cpu":  # begun on a GPU
            config = replace(config, tf32=False)
    return config


def _begin(trainer, out, count):
    """Begin in the run directory, or go on from the checkpoint in it; returns the History."""
    if out is None:
        history = History()
    else:
        if not (out / "checkpoint.npz").exists() and History.load(out / "metrics.jsonl").epochs:
            raise directory.CheckpointError(f"{out}: has metrics but no checkpoint.npz; move it "
                                             "there, or choose another --out")
        directory.write_json(out / "config.json", asdict(trainer.config))
        directory.write_json(out / "env.json", environment(trainer.device) | {
            "threads": count, "engine": trainer.engine, "seed": trainer.config.seed})
        if (out / "checkpoint.npz").exists():
            trainer.load(out / "checkpoint.npz")
        history = History.load(out / "metrics.jsonl", up_to=trainer.t)
        history.rewrite()
    if not history.records:
        history.add("setup", 0, network=trainer.network, budget=trainer.method.budget,
                    **_counts(trainer), tensors=[
                        {"name": name, "size": layer.weight.size,
                         "active": len(layer.weight.active())}
                        for name, layer in trainer.model.sparsifiable_layers().items()])
        _save(trainer, out)
    return history


def _counts(trainer):
    """What every record has: the number of free parameters, and the exploration rate R_s."""
    return {"free_parameters": trainer.model.free_parameters(),
            "explored": trainer.method.explored.rate()}


def _save(trainer, out):
    if out is not None:
        directory.save(out / "checkpoint.npz", trainer.state())


def _end_epoch(bar, trainer, history, pace):
    """Evaluate and record, and begin the next epoch's sums."""
    test_loss, test_accuracy = evaluate(trainer.model, trainer.dataset)
    record = history.add(
        "epoch", trainer.t, epoch=trainer.t // trainer.steps_per_epoch,
        train_loss=trainer.loss_sum / trainer.seen,
        train_accuracy=100 * trainer.correct / trainer.seen,
        test_loss=test_loss, test_accuracy=test_accuracy, images_per_s=pace,
        active=[len(layer.weight.active())
                for layer in trainer.model.sparsifiable_layers().values()], **_counts(trainer))
    trainer.loss_sum, trainer.correct, trainer.seen = 0.0, 0, 0
    bar.write(f"epoch {record['epoch']}/{trainer.config.epochs}: "
              f"train loss {record['train_loss']:.3f}, accuracy {record['train_accuracy']:.2f} %; "
              f"test loss {test_loss:.3f}, accuracy {test_accuracy:.2f} %; "
              f"{pace:.0f} images/s")


def _progress_bar(trainer, progress):
    """A tqdm bar over all steps; write() prints a line above it. Silent without `progress`."""
    from tqdm import tqdm

    bar = tqdm(total=trainer.total_steps, initial=trainer.t, unit="step", mininterval=0.5,
               disable=None if progress else True)  # None: no bar where nobody watches
    if not progress:
        bar.write = lambda line: None
    return bar


def _show(bar, trainer, history, pace):
    if bar.disable:
        return
    H = history.reallocations[-1]["H"] if history.reallocations else None
    H = "" if H is None else f", H {H:.2g}"
    bar.set_postfix_str(
        f"loss {trainer.loss_sum / trainer.seen:.3f}, "
        f"accuracy {100 * trainer.correct / trainer.seen:.1f} %, "
        f"{pace:.0f} images/s, "
        f"{trainer.model.free_parameters():,} free parameters{H}", refresh=False)
    bar.update()


@contextmanager
def _writing_to(out):
    """Turn a failure to write, such as a full disk, into a TrainingError."""
    try:
        yield
    except OSError as error:
        raise TrainingError(f"cannot write to {out} ({error.strerror or error}); "
                            "the last checkpoint stays, go on with --resume") from error


@contextmanager
def _signals():
    """In this context Ctrl-C and SIGTERM are noted in the list given; a second one acts at once."""
    caught, previous = [], {}

    def note(signum, frame):
        caught.append(signum)
        signal.signal(signum, previous[signum])

    if threading.current_thread() is threading.main_thread():
        for signum in (signal.SIGINT, signal.SIGTERM):
            previous[signum] = signal.signal(signum, note)
    try:
        yield caught
    finally:
        for signum, handler in previous.items():
            signal.signal(signum, handler)


def _resident(dataset, device):
    """The data set with its arrays on `device`, mean and deviation, too."""
    arrays = {name: getattr(dataset, name) for name in ("train_x", "train_y", "test_x", "test_y")}
    arrays |= {name: np.float32(getattr(dataset, name)) for name in ("mean", "std")}
    return replace(dataset, **{name: to_device(a, device) for name, a in arrays.items()})
