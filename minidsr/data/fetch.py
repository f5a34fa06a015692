"""Downloads of data sets, checked against published sums: all files arrive, or none.

pooch fetches them; it is loaded only here, when something is to be fetched.
"""

import logging
import os
import shutil
import tarfile
import time
from contextlib import suppress
from pathlib import Path
from tempfile import TemporaryDirectory

from ..checks import nearest, shown
from ..reading import CHUNK, one_line
from . import DATASETS, DataError, load
from .files import LAYOUTS, copies, locate

RETRIES = 2  # further attempts after a download fails
MOST_BYTES = 200_000_000  # of one file; CIFAR-10's has 170 million
PATIENCE, SLOWEST = 30, 1_000  # seconds, and bytes a second in them, before a download is given up

# Data set -> (published address, md5 of each file to download).
SOURCES = {
    "cifar10": ("https://www.cs.toronto.edu/~kriz/", {
        "cifar-10-python.tar.gz": "c58f30108f718f92721af3b95e74349a"}),
    "cifar100": ("https://www.cs.toronto.edu/~kriz/", {
        "cifar-100-python.tar.gz": "eb9058c3a382ffc7106e4002c42a8d85"}),
    "mnist": ("https://ossci-datasets.s3.amazonaws.com/mnist/", {
        "train-images-idx3-ubyte.gz": "f68b3c2dcbeaaa9fbdd348bbdeb94873",
        "train-labels-idx1-ubyte.gz": "d53e105ee54ea40749a09fcbcd1e9432",
        "t10k-images-idx3-ubyte.gz": "9fb629c4189551a2d022fa330f9573f3",
        "t10k-labels-idx1-ubyte.gz": "ec29112dd5afa0611ce80d1b7f02629c"}),
}


def fetch(name, data_dir="data", *, url=None):
    """Download data set `name` into `data_dir`, unless it is there and sound; return its folder.

    `url` replaces the published address: a folder that holds the published files, or the archive
    itself (.gz). A published file that lies in `data_dir` already is used instead of a download.
    What arrives must have the published md5, and takes its final name only when everything has
    arrived. Raises DataError for every failure.
    """
    if name not in SOURCES:
        fault = "needs no download" if name in DATASETS else "is not a known data set"
        raise DataError(f"{shown(name)} {fault}; {nearest(name, SOURCES)}data sets to fetch: "
                        f"{', '.join(SOURCES)}")
    with suppress(DataError):
        load(name, data_dir)
        return locate(name, data_dir)[0]
    root = Path(data_dir).absolute()
    folder = root / LAYOUTS[name][0][0]
    try:
        from filelock import FileLock

        os.makedirs(root, exist_ok=True)
        _clear(root)
        with TemporaryDirectory(prefix=".fetch-", dir=root) as temporary, \
                FileLock(Path(temporary, "lock")):
            _put(_download(name, url, Path(temporary), (root, folder)), folder)
    except ImportError:
        raise DataError("downloads need pooch, requests, tqdm and filelock: "
                        "pip install pooch requests tqdm filelock") from None
    except Exception as error:  # whatever the network, the server or the disk may do
        raise DataError(f"{name}: nothing fetched into {folder}: {one_line(error)}") from error
    load(name, data_dir)  # raises where damaged files elsewhere under data_dir come first
    return folder


def _clear(root):
    """Remove what a fetch that was killed has left: nobody holds its lock."""
    from filelock import FileLock

    for left in root.glob(".fetch-*"):
        with suppress(OSError):
            with FileLock(left / "lock", timeout=0):
                pass
            shutil.rmtree(left)


def _download(name, url, folder, places):
    """Bring the files of data set `name` into `folder`, from `places` where they lie there; return
    the paths that load() reads."""
    import pooch

    published, md5s = SOURCES[name]
    address = url or published
    pooch.get_logger().setLevel(logging.ERROR)
    store = pooch.create(
        path=folder, base_url=address.rstrip("/") + "/", retry_if_failed=RETRIES,
        registry={file: f"md5:{md5}" for file, md5 in md5s.items()},
        urls={file: address for file in md5s if address.endswith(".gz")})
    for file, md5 in md5s.items():
        for path in (place / file for place in places):
            if os.path.isfile(path) and pooch.file_hash(str(path), alg="md5") == md5:
                shutil.copyfile(path, folder / file)  # pooch downloads what is not there
    paths = [Path(store.fetch(file, downloader=_stream)) for file in md5s]
    return _unpack(name, paths[0]) if paths[0].name.endswith(".tar.gz") else paths


def _stream(url, path, _):
    """Write what comes from `url` to `path`, for pooch: neither without end, nor for ever.

    For these two it raises OSError, after which pooch does not try again.
    """
    import requests
    from tqdm import tqdm
    from urllib3.exceptions import HTTPError

    os.unlink(path)  # pooch made it for the user alone; a new file obeys the umask
    with open(path, "wb") as file, requests.get(
            url, stream=True, timeout=PATIENCE,
            headers={"Accept-Encoding": "identity"}) as answer:
        answer.raise_for_status()
        total = int(answer.headers.get("Content-Length", 0)) or None
        start, since = time.monotonic(), 0
        with tqdm(total=total, unit="B", unit_scale=True) as bar:
            try:
                while part := answer.raw.read1(CHUNK):  # what has arrived, be it one byte
                    bar.update(file.write(part))
                    since += len(part)
                    if file.tell() > MOST_BYTES:
                        raise OSError(f"{url} sends more than {MOST_BYTES:,} bytes")
                    if time.monotonic() - start > PATIENCE:
                        if since < SLOWEST * PATIENCE:
                            raise OSError(f"{url} sent {since:,} bytes in {PATIENCE} seconds")
                        start, since = time.monotonic(), 0
            except HTTPError as error:
                raise requests.ConnectionError(error) from error


def _unpack(name, archive):
    """Write the files of data set `name` beside `archive`: no others, so no path can escape."""
    inside, files = LAYOUTS[name][0]
    with tarfile.open(archive) as tar:
        for file in files:
            member = tar.getmember(f"{inside}/{file}")
            if not member.isreg() or member.size > MOST_BYTES:
                raise OSError(f"{member.name} in {archive.name} is no file of a sensible size")
            with open(archive.parent / file, "wb") as target:
                shutil.copyfileobj(tar.extractfile(member), target)
    return [archive.parent / file for file in files]


def _put(paths, folder):
    """Move the files at `paths` into `folder`, in place of any copies of them there."""
    folder.mkdir(parents=True, exist_ok=True)
    for path in paths:
        for old in copies(folder / path.name.removesuffix(".gz")):
            old.unlink()
        os.replace(path, folder / path.name)
