"""Downloads of data sets, checked against published sums: all files arrive, or none.

pooch fetches them; it is loaded only here, when something is to be fetched.
"""

import logging
import os
import tarfile
from contextlib import suppress
from pathlib import Path
from tempfile import TemporaryDirectory

from . import DATASETS, DataError, load
from .files import LAYOUTS, locate, one_line

RETRIES = 2  # further attempts after a download fails

# Data set -> (published address, md5 of each file to download).
SOURCES = {
    "cifar10": ("https://www.cs.toronto.edu/~kriz/", {
        "cifar-10-python.tar.gz": "c58f30108f718f92721af3b95e74349a"}),
    "mnist": ("https://ossci-datasets.s3.amazonaws.com/mnist/", {
        "train-images-idx3-ubyte.gz": "f68b3c2dcbeaaa9fbdd348bbdeb94873",
        "train-labels-idx1-ubyte.gz": "d53e105ee54ea40749a09fcbcd1e9432",
        "t10k-images-idx3-ubyte.gz": "9fb629c4189551a2d022fa330f9573f3",
        "t10k-labels-idx1-ubyte.gz": "ec29112dd5afa0611ce80d1b7f02629c"}),
}


def fetch(name, data_dir="data", *, url=None):
    """Download data set `name` into `data_dir`, unless it is there and sound; return its folder.

    `url` replaces the published address: a folder that holds the published files, or the archive
    itself (.gz). What arrives must have the published md5, and takes its final name only when
    everything has arrived. Raises DataError for every failure.
    """
    if name not in SOURCES:
        fault = "needs no download" if name in DATASETS else "is not a known data set"
        raise DataError(f"{name!r} {fault}; data sets to fetch: {', '.join(SOURCES)}")
    with suppress(DataError):
        load(name, data_dir)
        return locate(name, data_dir)[0]
    folder = Path(data_dir).absolute() / LAYOUTS[name][0][0]
    try:
        os.makedirs(data_dir, exist_ok=True)
        with TemporaryDirectory(prefix=".fetch-", dir=data_dir) as temporary:
            _put(_download(name, url, Path(temporary)), folder)
    except ImportError:
        raise DataError("downloads need pooch and tqdm: pip install pooch tqdm") from None
    except Exception as error:  # whatever the network, the server or the disk may do
        raise DataError(f"{name}: nothing fetched into {folder}: {one_line(error)}") from error
    load(name, data_dir)  # raises where damaged files elsewhere under data_dir come first
    return folder


def _download(name, url, folder):
    """Bring the files of data set `name` into `folder`; return the paths that load() reads."""
    import pooch

    published, md5s = SOURCES[name]
    address = url or published
    pooch.get_logger().setLevel(logging.ERROR)
    store = pooch.create(
        path=folder, base_url=address.rstrip("/") + "/", retry_if_failed=RETRIES,
        registry={file: f"md5:{md5}" for file, md5 in md5s.items()},
        urls={file: address for file in md5s if address.endswith(".gz")})
    progress = pooch.HTTPDownloader(progressbar=True)
    paths = [Path(store.fetch(file, downloader=progress)) for file in md5s]
    return _unpack(name, paths[0]) if paths[0].name.endswith(".tar.gz") else paths


def _unpack(name, archive):
    """Write the files of data set `name` beside `archive`: no others, so no path can escape."""
    inside, files = LAYOUTS[name][0]
    with tarfile.open(archive) as tar:
        for file in files:
            (archive.parent / file).write_bytes(tar.extractfile(f"{inside}/{file}").read())
    return [archive.parent / file for file in files]


def _put(paths, folder):
    """Move the files at `paths` into `folder`."""
    folder.mkdir(parents=True, exist_ok=True)
    for path in paths:
        os.replace(path, folder / path.name)
        if path.suffix == ".gz":  # an unpacked twin would be read first
            (folder / path.stem).unlink(missing_ok=True)
