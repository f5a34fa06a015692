"""A trained run to use: its network on new images, without its data set; its weights elsewhere."""

from dataclasses import dataclass, replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np

from ..backend import choose_device, device_of, get_xp, to_device, to_host, use_tf32
from ..checks import check_whole
from ..data.batches import PARTS, Dataset, normalise
from ..fast.engine import choose_engine, use
from ..nn.base import Sequential
from ..proof.finite import first_not_finite
from ..shapes import check_array
from . import directory, schema, weights
from .config import Config
from .history import History
from .progress import TrainingError
from .train import Trainer


def load(run: str | Path, *, device: str = "cpu", engine: str = "auto") -> "Run":
    """The run in the folder `run`, as of its checkpoint, whether training has ended or not.

    device, engine  what the network computes with, as for train()

    Nothing is written, and the files of its data set need not be there. Raises CheckpointError, in
    one line, where a file is missing, damaged, or of another run; ValueError and DeviceError for
    `engine` and `device`.
    """
    run = Path(run)
    config, metrics = directory.read_config(run), run / directory.METRICS
    begun = History.load(metrics, first=1)
    if not begun.records:
        raise directory.CheckpointError(f"{metrics}: missing or empty; a run begins with a record "
                                        "of its network and data set")
    trainer = Trainer(replace(config, device="cpu", engine="plain", tf32=False), fresh=False,
                      dataset=_without_images(config.data, begun.setup["data"]))
    counted = trainer.load(run / directory.CHECKPOINT)
    history = History.load(metrics, first=counted)
    schema.check_count(history, counted)
    schema.check_history(history, trainer)
    device = choose_device(device)
    use_tf32(False, device)
    model = use(trainer.model.to(device), choose_engine(engine, device))
    return Run(model, config, history, trainer.t)


@dataclass(eq=False)
class Run:
    """What load() returns.

    model    the network, with the weights and running statistics of the checkpoint
    config   what it was trained by
    history  the records up to the checkpoint
    step     how many batches it has been trained on
    """

    model: Sequential
    config: Config
    history: History
    step: int

    @property
    def data(self) -> dict:
        """What the data set was like: image (C, H, W), classes, mean and std per channel of pixels
        in [0, 1], how many images in train, validation and test."""
        return self.history.setup["data"]

    @np.errstate(all="ignore")  # it looks for what is not finite
    def predict(self, images: np.ndarray, *, batch: int = 500) -> np.ndarray:
        """The class of each of the images, uint8 (N, C, H, W): (N,) int, positions in
        data["classes"].

        Raises ValueError for images of another type or size; TrainingError where a number is not
        finite.
        """
        check_whole("batch", batch, 1)
        check_array("images", images, ("N", *self.data["image"]), (np.dtype(np.uint8),))
        device, like = device_of(self.model.params()[0].value), SimpleNamespace(**self.data)
        classes = np.empty(len(images), int)
        for part in (slice(i, i + batch) for i in range(0, len(images), batch)):
            x = normalise(to_device(images[part], device), like)
            logits = self.model.forward(x)
            if not get_xp(logits).isfinite(logits).all():
                raise TrainingError("prediction is not finite: first "
                                    f"{first_not_finite(self.model, [x])}")
            classes[part] = to_host(logits.argmax(1))
        return classes

    def state_dict(self) -> dict[str, np.ndarray]:
        """{name: float32 array}, copies, as the same network in PyTorch has them: see
        weights.state_dict()."""
        return weights.state_dict(self.model)

    def load_state_dict(self, state) -> None:
        """The reverse, of arrays or of PyTorch's tensors: see weights.load_state_dict()."""
        weights.load_state_dict(self.model, state)


def _without_images(name, data):
    """A Dataset like the one that these `data` of a setup record tell of. Its images are one
    pixel, seen at every position, and take no memory."""
    shapes = {"x": tuple(data["image"]), "y": ()}
    arrays = {f"{part}_{axis}": np.broadcast_to(np.uint8(0), (data[part], *shape))
              for part in PARTS for axis, shape in shapes.items()}
    return Dataset(name, tuple(data["classes"]), mean=data["mean"], std=data["std"], augment=False,
                   **arrays)
