"""The data sets, by the name that `--data` takes."""

from ..checks import check_choice
from .files import DataError, cifar10, cifar100, mnist
from .synthetic import drawn_shapes

# Name -> function of data_dir that returns the Dataset, or raises DataError.
DATASETS = {"synthetic": drawn_shapes, "cifar10": cifar10, "cifar100": cifar100, "mnist": mnist}


def load(name, data_dir="data"):
    """The Dataset `name`, one of DATASETS, from the files under `data_dir`.

    Raises DataError for an unknown name and for data that is missing or damaged.
    """
    check_choice("data set", name, DATASETS, DataError)
    return DATASETS[name](data_dir)
