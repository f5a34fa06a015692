"""Training: one Config, one loop for every method, nothing lost.

    t  step, counted from 0: how many batches have been trained on

The loop never names a method. Data order and augmentation are functions of (seed, epoch).
"""

import math
import time
from contextlib import ExitStack
from pathlib import Path

import numpy as np

from ..backend import choose_device, to_host_together, use_tf32
from ..data.batches import batches
from ..fast.engine import choose_engine, use
from ..fast.parallel import threads
from ..nn.layers import softmax_cross_entropy
from ..nn.sgd import SGD
from ..proof.finite import all_finite, first_not_finite
from ..proof.invariants import InvariantError
from ..schedules import SCHEDULES, warm_up
from . import directory, schema, start
from .config import Config
from .history import History
from .progress import Interrupted, TrainingError, computing, progress_bar, signals


def train(config: Config | None = None, *, out: str | Path | None = None, resume: bool = False,
          progress: bool = False, trace: str | Path | None = None) -> History:
    """Train as `config` says; returns the History.

    out       run directory: config, environment, metrics and checkpoints go there (default: none)
    resume    go on with the run in `out`, to the same end as without a break; config may be None
    progress  show a progress bar and a line an epoch
    trace     folder for a trace of what the method does, for `verify`; a resumed run goes on there

    Raises ValueError (CheckpointError, DataError, DeviceError) for what the user can mend;
    TrainingError where a number is not finite or a file cannot be written, InvariantError where a
    reallocation is wrong: the last checkpoint stays; Interrupted after Ctrl-C or SIGTERM, when all
    is saved. One training at a time in a process: in a second thread it is a ValueError, and the
    first goes on; a process that is forked meanwhile may train.
    """
    with ExitStack() as stack:
        run = None
        if out is not None:
            run = stack.enter_context(directory.claimed(out, resume=resume))
        config = directory.settled(run, config)
        count = stack.enter_context(threads(config.threads))
        stack.enter_context(np.errstate(all="ignore"))  # Trainer.step looks for what is not finite
        begun = run is not None and (run / directory.CHECKPOINT).exists()
        trainer = Trainer(config, fresh=not begun)
        stack.enter_context(directory.writing_to(run))
        history = start.begin(trainer, run, count, trace)
        stack.enter_context(computing())
        caught = stack.enter_context(signals())
        bar = stack.enter_context(progress_bar(trainer.total_steps, trainer.t, shown=progress))
        saved = time.monotonic()
        while trainer.t < trainer.total_steps:
            began, images = time.perf_counter(), 0
            for x, y in trainer.batches():
                report = trainer.step(x, y)
                if report:
                    history.add_reallocation(trainer, report)
                images += len(y)
                pace = images / (time.perf_counter() - began)
                bar.step(trainer, history, pace)
                ended = trainer.t % trainer.steps_per_epoch == 0
                if ended or caught or time.monotonic() - saved >= config.checkpoint_seconds:
                    if not trainer.finite:
                        raise trainer.not_finite("a weight or statistic", trainer.t - 1)
                    if ended:
                        bar.epoch(history.add_epoch(trainer, pace), config.epochs)
                        trainer.begin_epoch()
                    start.save(trainer, history, run)
                    saved = time.monotonic()
                if caught:
                    raise Interrupted(caught[0], run)
        return history


class Trainer:
    """A model, its method and its data, at some step t of a training."""

    def __init__(self, config, *, fresh=True, dataset=None):
        """Raises ValueError (DataError, DeviceError) where the config cannot be met.

        fresh: False where load() follows; then the run to start from need not be there.
        dataset: what to train on in the place of start.images(config).
        """
        self.config, self.device = config, choose_device(config.device)
        use_tf32(config.tf32, self.device)
        self.dataset = (dataset or start.images(config)).to(self.device)
        self.steps_per_epoch = -(-len(self.dataset.train_x) // config.batch)
        self.total_steps = config.epochs * self.steps_per_epoch
        image, classes = self.dataset.train_x.shape[1:], len(self.dataset.classes)
        self.method = config.build_method(self.steps_per_epoch)
        self.method.check = config.check
        self.model_name = self.method.model_name(config.model, image, classes)
        self.model = start.initial_model(config, self.model_name, image, classes)
        if fresh and config.structure_from:
            self.method.structure = start.start_from(config, self.model, image, classes)
        self.engine = choose_engine(config.engine, self.device)
        use(self.model.to(self.device), self.engine, input_grad=False)
        self.method.setup(self.model, start.generator(config.seed, start.STRUCTURE))
        self.sgd = SGD(self.model.params(), momentum=config.momentum, nesterov=config.nesterov,
                       weight_decay=config.weight_decay, l1=config.l1, l1_on=[
                           layer.weight for layer in self.model.sparsifiable_layers().values()])
        self.t = 0
        self.begin_epoch()
        self.finite = all_finite(self.model)  # weights and statistics, after the last update

    def batches(self):
        """The rest of the current epoch."""
        epoch, first = divmod(self.t, self.steps_per_epoch)
        augmented = self.dataset.augment if self.config.augment is None else self.config.augment
        rng = start.generator(self.config.seed, start.DATA, epoch)
        return batches(self.dataset, self.config.batch, rng, start=first, augmented=augmented)

    def lr(self):
        """The learning rate at this step."""
        rate = SCHEDULES[self.config.lr_schedule](self.t, self.total_steps, self.config)
        return rate * warm_up(self.t, self.config.warmup * self.steps_per_epoch)

    def step(self, x, y):
        """Train on one batch; returns the method's Report or None.

        A GPU is waited for once, between forward and backward. Raises TrainingError, before the
        update, where the loss is not finite, or a weight or statistic after the last update.
        """
        logits = self.model.forward(x, train=True)
        loss, dlogits = softmax_cross_entropy(logits, y)
        loss, correct, finite = to_host_together([loss, (logits.argmax(1) == y).sum(), self.finite])
        if not finite:
            raise self.not_finite("a weight or statistic", self.t - 1)
        if not math.isfinite(loss):
            raise self.not_finite("the loss", self.t, [x])
        self.model.backward(dlogits)
        self.sgd.lr = self.lr()
        try:
            report = self.method.step(self.t, self.sgd)
        except (InvariantError, ValueError, ArithmeticError) as error:
            if not all_finite(self.model):  # which is why the method refuses it
                raise self.not_finite("a weight or statistic", self.t) from None
            if not isinstance(error, InvariantError):
                raise
            raise InvariantError(f"the reallocation at {self._where(self.t)} broke an invariant, "
                                 f"the program is wrong: {error}") from None
        self.finite = all_finite(self.model)
        self.t += 1
        self.loss_sum += float(loss) * len(y)
        self.correct += int(correct)
        self.seen += len(y)
        return report

    def begin_epoch(self):
        """Begin the sums over an epoch; note which positions are in use."""
        self.method.explored.observe()
        self.loss_sum, self.correct, self.seen = 0.0, 0, 0

    def so_far(self):
        """Mean loss, and accuracy in percent, over the current epoch."""
        return self.loss_sum / self.seen, 100 * self.correct / self.seen

    def state(self):
        """All that changes in training, for directory.save()."""
        return {"run": directory.identity(self.config), "t": self.t, "loss_sum": self.loss_sum,
                "correct": self.correct, "seen": self.seen,
                **directory.joined(method=self.method.state(), model=self.model.state())}

    def load(self, path):
        """Take over this run's checkpoint, else CheckpointError; returns its number of records."""
        state = directory.load_run(path, self.config, schema.most_bytes(self.model))
        with directory.fitting(path):
            start.check_state(self, state)
            self.model.load(directory.part(state, "model"))
            self.model.to(self.device)
            self.finite = all_finite(self.model)
            self.method.load(directory.part(state, "method"), state["t"])
            self.t, self.loss_sum = state["t"], state["loss_sum"]
            self.correct, self.seen = state["correct"], state["seen"]
            return state["records"]

    def not_finite(self, what, t, batches=()):
        """The TrainingError of step `t`, which says where a number is first not finite."""
        where = first_not_finite(self.model, batches, train=True)
        return TrainingError(f"{what} is not finite at {self._where(t)}: first {where}; "
                             "try a lower learning rate")

    def _where(self, t):
        epoch, step = divmod(t, self.steps_per_epoch)
        return f"epoch {epoch + 1}, step {step + 1}"
