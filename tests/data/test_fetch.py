"""Downloads, from a server on this machine, and all that can go wrong: data/fetch.py."""

import gzip
import hashlib
import http.server
import io
import os
import stat
import sys
import tarfile
import threading
import time
from contextlib import suppress

import pytest
from published import (
    SMALL,
    TRAIN_IMAGES,
    assert_same,
    fake_mnist,
    write_binary,
    write_mnist,
    write_python,
    write_python100,
)

from minidsr import data
from minidsr.data import DataError, fetch, files


class Server(http.server.BaseHTTPRequestHandler):
    """Serves `files` (name: bytes); `fault` says what goes wrong."""

    files: dict = {}
    fault = None
    requests: list = []

    def do_GET(self):
        name = self.path.rsplit("/", 1)[-1]
        self.requests.append(name)
        body = self.files.get(name)
        last = name == list(self.files)[-1]
        if body is None or (self.fault == "500" and last):
            return self.send_error(404 if body is None else 500)
        if self.fault == "garbage" and last:
            body = b"<html>busy</html>"
        self.send_response(200)
        if self.fault in ("endless", "drip") and last:
            return self.send_for_ever()
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body[: len(body) // 2] if self.fault == "half" and last else body)

    def send_for_ever(self):
        self.end_headers()
        part, pause = (bytes(1 << 16), 0) if self.fault == "endless" else (b"x", 0.02)
        with suppress(OSError):
            for _ in range(5000):
                self.wfile.write(part)
                time.sleep(pause)

    def log_message(self, *_):
        pass


@pytest.fixture
def server(monkeypatch):
    """start(name, served, fault) -> the address; SOURCES[name] then expects `served`."""
    pytest.importorskip("pooch")
    monkeypatch.setattr(fetch, "RETRIES", 0)
    http_server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Server)
    thread = threading.Thread(target=http_server.serve_forever, args=(0.02,))
    thread.start()
    address = f"http://127.0.0.1:{http_server.server_port}/"

    def start(name, served, fault=None):
        monkeypatch.setattr(Server, "files", served)
        monkeypatch.setattr(Server, "fault", fault)
        monkeypatch.setattr(Server, "requests", [])
        md5 = {file: hashlib.md5(raw).hexdigest() for file, raw in served.items()}
        monkeypatch.setitem(fetch.SOURCES, name, (address, md5))
        return address

    yield start
    http_server.shutdown()
    thread.join()
    http_server.server_close()


def mnist_download():
    return {f"{name}.gz": gzip.compress(raw) for name, raw in fake_mnist().items()}


def cifar_download(root, leave_out=None):
    buffer = io.BytesIO()
    write_python(root)
    with tarfile.open(fileobj=buffer, mode="w:gz") as tar:
        for path in sorted((root / "cifar-10-batches-py").iterdir()):
            if path.name != leave_out:
                tar.add(path, f"cifar-10-batches-py/{path.name}")
        tar.addfile(tarfile.TarInfo("../escaped"), io.BytesIO())
    return {"cifar-10-python.tar.gz": buffer.getvalue()}


def files_under(root):
    return sorted(str(path.relative_to(root)) for path in root.rglob("*") if path.is_file())


def test_fetch_mnist(tmp_path, server):
    server("mnist", mnist_download())
    folder = fetch.fetch("mnist", tmp_path / "new")
    assert folder == tmp_path / "new" / "MNIST" / "raw"
    assert sorted(path.name for path in folder.iterdir()) == sorted(mnist_download())
    assert len(data.load("mnist", tmp_path / "new").train_y) == 12
    assert os.listdir(tmp_path / "new") == ["MNIST"]  # nothing temporary is left
    Server.requests.clear()
    assert fetch.fetch("mnist", tmp_path / "new") == folder
    assert Server.requests == []


@pytest.mark.parametrize("form", ["http://x/", "http://x", "http://x/file.tar.gz"])
def test_fetch_cifar10_from_a_mirror(tmp_path, server, monkeypatch, form):
    mirror = server("cifar10", cifar_download(tmp_path / "made"))
    _, md5 = fetch.SOURCES["cifar10"]
    monkeypatch.setitem(fetch.SOURCES, "cifar10", ("http://127.0.0.1:1/", md5))
    url = form.replace("http://x/", mirror).replace("http://x", mirror.rstrip("/"))
    url = url.replace("file.tar.gz", "cifar-10-python.tar.gz")
    root = tmp_path / "root"
    assert fetch.fetch("cifar10", root, url=url) == root / "cifar-10-batches-py"
    names = files.CIFAR10.python_files
    assert files_under(root) == sorted(f"cifar-10-batches-py/{name}" for name in names)
    assert_same(data.load("cifar10", root), data.load("cifar10", tmp_path / "made"))


def test_fetch_leaves_any_sound_layout_alone(tmp_path, server, monkeypatch):
    monkeypatch.setattr(files, "IMAGES", SMALL)
    folder = write_binary(tmp_path)
    server("cifar10", {})
    assert fetch.fetch("cifar10", tmp_path) == folder
    assert Server.requests == []


@pytest.mark.parametrize("suffix", ["", ".gz"])
@pytest.mark.parametrize("folder", ["MNIST/raw", "MNIST", "mnist", ""])
def test_fetch_mends_damaged_files(tmp_path, server, folder, suffix):
    server("mnist", mnist_download())
    write_mnist(tmp_path / folder, files.MNIST_FILES)
    (tmp_path / folder / f"{TRAIN_IMAGES}{suffix}").write_bytes(b"damaged")
    fetch.fetch("mnist", tmp_path)
    assert len(data.load("mnist", tmp_path).train_y) == 12


# pooch leaves the socket of a broken download to the garbage collector
@pytest.mark.filterwarnings("ignore::ResourceWarning")
@pytest.mark.parametrize("fault", ["500", "half", "garbage"])
@pytest.mark.parametrize("name", ["mnist", "cifar10"])
def test_fetch_failure_leaves_nothing(tmp_path, server, name, fault):
    served = mnist_download() if name == "mnist" else cifar_download(tmp_path / "made")
    server(name, served, fault)
    refuses_to_fetch(name, tmp_path / "root")


@pytest.mark.parametrize(("fault", "said"), [
    ("endless", "sends more than 1,000,000 bytes"), ("drip", "bytes in 0.3 seconds")])
def test_fetch_stops_where_a_download_does_not(tmp_path, server, monkeypatch, fault, said):
    server("mnist", mnist_download(), fault)
    monkeypatch.setattr(fetch, "MOST_BYTES", 1_000_000)
    monkeypatch.setattr(fetch, "PATIENCE", 0.3)
    start = time.monotonic()
    refuses_to_fetch("mnist", tmp_path / "root", said)
    assert time.monotonic() - start < 20


def test_fetch_uses_what_lies_there(tmp_path, server):
    """Three of MNIST's files are sound, one of them in the folder itself, one is not."""
    served = mnist_download()
    server("mnist", served)
    first, second, third, fourth = served
    raw = tmp_path / "MNIST" / "raw"
    raw.mkdir(parents=True)
    for place, name in ((raw, first), (raw, second), (tmp_path, third)):
        (place / name).write_bytes(served[name])
    (raw / fourth).write_bytes(b"damaged")
    assert fetch.fetch("mnist", tmp_path) == raw
    assert Server.requests == [fourth]
    assert (tmp_path / third).read_bytes() == served[third]


def test_fetch_uses_an_archive_that_lies_there(tmp_path, server):
    served = cifar_download(tmp_path / "made")
    server("cifar10", served)
    [(name, raw)] = served.items()
    (tmp_path / name).write_bytes(raw)
    assert fetch.fetch("cifar10", tmp_path) == tmp_path / "cifar-10-batches-py"
    assert Server.requests == []
    assert_same(data.load("cifar10", tmp_path), data.load("cifar10", tmp_path / "made"))
    (tmp_path / name).write_bytes(raw[:-1])
    (tmp_path / "cifar-10-batches-py" / "test_batch").unlink()
    fetch.fetch("cifar10", tmp_path)
    assert Server.requests == [name]


def test_fetch_cifar100(tmp_path, server):
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz") as tar:
        tar.add(write_python100(tmp_path / "made"), "cifar-100-python")
    server("cifar100", {"cifar-100-python.tar.gz": buffer.getvalue()})
    assert fetch.fetch("cifar100", tmp_path) == tmp_path / "cifar-100-python"
    assert_same(data.load("cifar100", tmp_path), data.load("cifar100", tmp_path / "made"))


@pytest.mark.parametrize("name", ["mnist", "cifar10"])
def test_fetched_files_obey_the_umask(tmp_path, server, name):
    server(name, mnist_download() if name == "mnist" else cifar_download(tmp_path / "made"))
    before = os.umask(0o027)
    try:
        folder = fetch.fetch(name, tmp_path)
    finally:
        os.umask(before)
    assert {stat.S_IMODE(path.stat().st_mode) for path in folder.iterdir()} == {0o640}


def test_fetch_clears_up_after_one_that_was_killed(tmp_path, server):
    """What another process still holds stays."""
    from filelock import FileLock

    server("mnist", mnist_download())
    for name in (".fetch-killed", ".fetch-older", ".fetch-alive"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "part").write_bytes(b"x")
    (tmp_path / ".fetch-killed" / "lock").touch()
    with FileLock(tmp_path / ".fetch-alive" / "lock"):
        fetch.fetch("mnist", tmp_path)
        assert sorted(os.listdir(tmp_path)) == [".fetch-alive", "MNIST"]


@pytest.mark.parametrize("member", ["link", "large"])
def test_fetch_of_an_archive_with_more_than_files(tmp_path, server, monkeypatch, member):
    buffer = io.BytesIO()
    write_python(tmp_path / "made")
    with tarfile.open(fileobj=buffer, mode="w:gz") as tar:
        for path in sorted((tmp_path / "made" / "cifar-10-batches-py").iterdir()):
            info = tar.gettarinfo(path, f"cifar-10-batches-py/{path.name}")
            if path.name == "test_batch" and member == "link":
                info.type, info.linkname, info.size = tarfile.SYMTYPE, "/etc/hostname", 0
            elif path.name == "test_batch":
                info.size = 1_000_000
            tar.addfile(info, io.BytesIO(path.read_bytes().ljust(info.size, b"0")))
    server("cifar10", {"cifar-10-python.tar.gz": buffer.getvalue()})
    monkeypatch.setattr(fetch, "MOST_BYTES", 900_000)
    refuses_to_fetch("cifar10", tmp_path / "root", "test_batch", "no file of a sensible size")


def test_fetch_connection_refused(tmp_path, server):
    server("mnist", mnist_download())
    refuses_to_fetch("mnist", tmp_path / "root", url="http://127.0.0.1:1/")
    refuses_to_fetch("mnist", tmp_path / "root", url="nonsense")


def test_fetch_archive_with_a_file_missing(tmp_path, server):
    server("cifar10", cifar_download(tmp_path / "made", leave_out="test_batch"))
    refuses_to_fetch("cifar10", tmp_path / "root", "test_batch")


def test_fetch_disk_error(tmp_path, server):
    server("mnist", mnist_download())
    (tmp_path / "file").write_text("x")
    refuses_to_fetch("mnist", tmp_path / "file" / "root")


def test_fetch_tries_again(tmp_path, server, monkeypatch):
    server("mnist", mnist_download(), "500")
    monkeypatch.setattr(fetch, "RETRIES", 2)
    monkeypatch.setattr(time, "sleep", lambda _: setattr(Server, "fault", None))
    fetch.fetch("mnist", tmp_path)
    assert len(Server.requests) == 5


def refuses_to_fetch(name, root, *words, **options):
    with pytest.raises(DataError) as caught:
        fetch.fetch(name, root, **options)
    line = str(caught.value)
    assert "\n" not in line and all(word in line for word in (name, *words)), line
    assert not root.exists() or list(root.iterdir()) == []


def test_fetch_without_pooch(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "pooch", None)
    with pytest.raises(DataError, match="pip install pooch"):
        fetch.fetch("mnist", tmp_path)


def test_fetch_unknown_name():
    with pytest.raises(DataError, match="'cifar' .*did you mean cifar10.*cifar10, cifar100, mnist"):
        fetch.fetch("cifar")


def test_fetch_synthetic_needs_no_download():
    with pytest.raises(DataError, match="'synthetic' needs no download"):
        fetch.fetch("synthetic")


def test_mnist_is_fetched_under_the_names_that_are_read():
    assert [*fetch.SOURCES["mnist"][1]] == [f"{name}.gz" for name in files.MNIST_FILES]
