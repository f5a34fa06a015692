"""Downloads, from a server on this machine, and all that can go wrong: data/fetch.py."""

import gzip
import hashlib
import http.server
import io
import os
import sys
import tarfile
import threading
import time

import pytest
from published import (
    SMALL,
    TRAIN_IMAGES,
    assert_same,
    fake_mnist,
    write_binary,
    write_mnist,
    write_python,
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
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body[: len(body) // 2] if self.fault == "half" and last else body)

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
    with pytest.raises(DataError, match="'cifar'.*cifar10, cifar100, mnist"):
        fetch.fetch("cifar")


def test_fetch_synthetic_needs_no_download():
    with pytest.raises(DataError, match="'synthetic' needs no download"):
        fetch.fetch("synthetic")


def test_mnist_is_fetched_under_the_names_that_are_read():
    assert [*fetch.SOURCES["mnist"][1]] == [f"{name}.gz" for name in files.MNIST_FILES]
