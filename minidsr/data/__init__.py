"""The data sets, by the name that `--data` takes."""

from ..checks import check_choice
from .arrays import from_arrays as from_arrays
from .arrays import npz
from .batches import DataError
from .batches import Dataset as Dataset
from .batches import LazyImages as LazyImages
from .files import cifar10, cifar100, mnist
from .folder import image_folder, imagenet
from .synthetic import drawn_shapes

# Name -> function of data_dir that returns the Dataset, or raises DataError.
DATASETS = {"synthetic": drawn_shapes, "cifar10": cifar10, "cifar100": cifar100, "mnist": mnist,
            "npz": npz, "folder": image_folder, "imagenet": imagenet}
OWN = ("npz", "folder", "imagenet")  # of the user


def load(name, data_dir="data"):
    """The Dataset `name`, one of DATASETS, from the files under `data_dir`.

    Raises DataError for an unknown name and for data that is missing or damaged.
    """
    check_choice("data set", name, DATASETS, DataError)
    return DATASETS[name](data_dir)
