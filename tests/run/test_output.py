"""What cannot be printed ends nothing: broken pipes, full disks, encodings that lack a letter."""

import ast
import errno
import io
import os
import subprocess
import sys
from contextlib import suppress

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from rooms import MODULES
from tiny import write_cifar10

from minidsr import Config, train
from minidsr.__main__ import main
from minidsr.run.commands import COMMANDS
from minidsr.run.directory import load
from minidsr.run.output import UNDELIVERED, Output, outputs

ENCODINGS = ["ascii", "cp1252", "cp437", "utf-8"]
PIPE, FULL, GONE = (OSError(number, os.strerror(number))
                    for number in (errno.EPIPE, errno.ENOSPC, errno.EIO))


class Broken(io.StringIO):
    """A terminal that takes some characters, and then raises an error at each write."""

    encoding = "utf-8"

    def __init__(self, room, error):
        super().__init__()
        self.room, self.error = room, error

    def isatty(self):
        return True

    def write(self, text):
        if self.tell() + len(text) > self.room:
            raise self.error
        return super().write(text)


@pytest.fixture(scope="module")
def data_dir(tmp_path_factory):
    return write_cifar10(tmp_path_factory.mktemp("data"))


def training(out, data_dir, *flags):
    """The arguments of a training of 20 steps."""
    return ["train", "--data", "cifar10", "--data-dir", str(data_dir), "--out", str(out), "--model",
            "lenet-300-100", "--batch", "10", "--device", "cpu", "--epochs", "2", "--lr", "0.01",
            "--periods", "2", "3", "4", "5", *flags]


def closed_pipe():
    """A text stream into a pipe whose reader has gone."""
    reader, writer = os.pipe()
    os.close(reader)
    return open(writer, "w", encoding="utf-8")


# --- streams that break

@given(st.lists(st.text("ab\n", min_size=1, max_size=9), max_size=20), st.integers(0, 60),
       st.sampled_from([PIPE, FULL, GONE]))
def test_what_was_written_before_the_fault_is_there(texts, room, error):
    stream = Broken(room, error)
    output = Output(stream)
    for text in texts:
        assert output.write(text) == len(text)
    written, whole = stream.getvalue(), "".join(texts)
    assert whole.startswith(written)
    assert (written == whole) == (output.fault is None)
    assert output.fault in (None, error)


@pytest.mark.slow
@pytest.mark.parametrize(("name", "error", "code"), [
    ("stdout", PIPE, 0), ("stdout", FULL, UNDELIVERED), ("stdout", GONE, UNDELIVERED),
    ("stderr", PIPE, 0), ("stderr", FULL, 0)])
def test_training_goes_on_to_its_end(name, error, code, tmp_path, data_dir, monkeypatch, capsys):
    """Whatever breaks, and it breaks at the first epoch's line, or in the bar."""
    stream = Broken(10, error)
    monkeypatch.setattr(sys, name, stream)
    assert main(training(tmp_path / "run", data_dir)) == code
    assert load(tmp_path / "run" / "checkpoint.npz")["t"] == 20
    assert len(stream.getvalue()) <= 10
    out, err = capsys.readouterr()
    full = f"minidsr: cannot write to standard output ({error.strerror})\n"
    assert err == (full if code else "")
    assert name == "stdout" or "conserved" in out


def test_train_from_python_goes_on_too(data_dir, monkeypatch):
    """Without a run directory, and without the command line's outputs."""
    monkeypatch.setattr(sys, "stdout", Broken(10, PIPE))
    config = Config(data="cifar10", data_dir=str(data_dir), model="lenet-300-100-0.1", epochs=2,
                    batch=50, device="cpu", method="dense", lr=0.01)
    assert len(train(config, progress=True).epochs) == 2


@pytest.mark.parametrize("name", ["stdout", "stderr"])
def test_a_stream_that_is_not_there(name, monkeypatch):
    """As Python has it where the shell closed it: `>&-`."""
    monkeypatch.setattr(sys, name, None)
    assert main(["train", "--epochs", "0"]) == 2
    assert main(["--version"]) == 0
    assert getattr(sys, name) is None


@pytest.fixture(scope="module")
def traces(tmp_path_factory):
    """A sound trace, and one in which a weight grows at 1."""
    folder = tmp_path_factory.mktemp("traces")
    for name, grown in (("sound", 0.0), ("broken", 1.0)):
        np.savez(folder / f"{name}.npz", **{
            "conv/before/mask": np.array([1, 1, 0, 0], bool),
            "conv/before/value": np.array([1.0, 0.1, 0.0, 0.0]),
            "conv/after/mask": np.array([1, 0, 1, 0], bool),
            "conv/after/value": np.array([1.0, 0.0, grown, 0.0]), "H": 0.5})
    return folder


@pytest.mark.parametrize(("argv", "codes"), [
    (["verify", "sound.npz"], (0, UNDELIVERED)), (["verify", "broken.npz"], (1, 1)),
    (["verify", "none.npz"], (2, 2)), (["--version"], (0, UNDELIVERED)),
    (["train", "--help"], (0, UNDELIVERED)), (["train", "--epochs", "0"], (2, 2))])
def test_the_exit_code_stays_that_of_what_was_found(argv, codes, traces, monkeypatch):
    """With a pipe that is closed, also when it is flushed at the end; with a full disk."""
    monkeypatch.chdir(traces)
    for stream, code in zip((closed_pipe(), Broken(0, FULL)), codes, strict=True):
        with stream, monkeypatch.context() as patch:
            patch.setattr(sys, "stdout", stream)
            try:
                found = main(argv)
            except SystemExit as stop:
                found = stop.code
            assert found == code


@pytest.mark.slow
@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="needs /dev/full")
def test_nothing_is_said_at_the_end_of_the_process(tmp_path, data_dir):
    """Two processes: the reader goes after one line; standard error is full, too."""
    command = [sys.executable, "-m", "minidsr"]
    process = subprocess.Popen([*command, *training(tmp_path / "run", data_dir)],
                               stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    assert process.stdout.readline().startswith("epoch 1/2")
    process.stdout.close()
    assert process.stderr.read() == ""
    process.stderr.close()
    assert process.wait(timeout=60) == 0
    assert load(tmp_path / "run" / "checkpoint.npz")["t"] == 20
    with open("/dev/full", "w") as full:
        done = subprocess.run([*command, "--version"], stdout=full, stderr=subprocess.PIPE)
    assert done.returncode == UNDELIVERED
    assert done.stderr.count(b"\n") == 1


# --- encodings

@given(st.text(), st.sampled_from([*ENCODINGS, "utf-16", "shift_jis"]))
def test_every_text_can_be_written(text, encoding):
    """What can be encoded is written as it is."""
    raw = io.BytesIO()
    stream = io.TextIOWrapper(raw, encoding=encoding, newline="")
    Output(stream).write(text)
    stream.flush()
    written = raw.getvalue().decode(encoding)
    try:
        assert written == text.encode(encoding).decode(encoding)
    except UnicodeEncodeError:
        assert written != text


def test_what_is_lacking_is_spelled():
    raw = io.BytesIO()
    stream = io.TextIOWrapper(raw, encoding="ascii")
    Output(stream).write("Erdős–Rényi, (1-δ) N_p, ½, 木, \udcff, e\u0301, 2 × 1 ± 0.5 − 1\n")
    assert raw.getvalue() == (
        b"Erdos-Renyi, (1-delta) N_p, \\xbd, \\u6728, \\udcff, e, 2 x 1 +- 0.5 - 1\n")


@pytest.mark.parametrize("encoding", ENCODINGS)
def test_help_is_shown_to_its_end(encoding, monkeypatch):
    """Of every subcommand, and no letter of it is an escape or a question mark."""
    for command in COMMANDS:
        raw = io.BytesIO()
        stream = io.TextIOWrapper(raw, encoding=encoding)
        monkeypatch.setattr(sys, "stdout", stream)
        with pytest.raises(SystemExit) as stop:
            main([command, "--help"])
        stream.flush()
        assert stop.value.code == 0
        text = raw.getvalue().decode(encoding)
        assert "--device" in text or command in (
                "report", "plot", "export", "data", "verify")
        assert "\\" not in text and "?" not in text
        if command == "train":
            assert "--no-keep-one" in text and "-Renyi" in text.replace("é", "e").replace("–", "-")


@pytest.mark.slow
@pytest.mark.parametrize("encoding", ["ascii", "cp1252"])
def test_a_training_is_summed_up(encoding, tmp_path, data_dir, monkeypatch):
    """In a folder whose name cannot be encoded."""
    raw = io.BytesIO()
    monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(raw, encoding=encoding))
    assert main(training(tmp_path / "Läufe δ", data_dir)) == 0
    text = raw.getvalue().decode(encoding)
    assert "conserved" in text
    assert f"L{'a' if encoding == 'ascii' else 'ä'}ufe delta   figures: " in text


@pytest.mark.parametrize("name", MODULES)
def test_text_files_state_their_encoding(name):
    """Not that of the machine."""
    for node in ast.walk(ast.parse(MODULES[name].read_text(encoding="utf-8"))):
        if isinstance(node, ast.Call):
            called = getattr(node.func, "attr", getattr(node.func, "id", ""))
            binary = any(isinstance(a, ast.Constant) and "b" in str(a.value) for a in node.args)
            text = called in ("read_text", "write_text") or called == "open" and (
                isinstance(node.func, ast.Name) and not binary)
            assert not text or "encoding" in [k.arg for k in node.keywords], node.lineno


def test_outputs_are_put_back(capsys):
    before = sys.stdout, sys.stderr
    with suppress(ZeroDivisionError), outputs():
        assert isinstance(sys.stdout, Output) and isinstance(sys.stderr, Output)
        print(1 / 0)
    assert (sys.stdout, sys.stderr) == before


def test_output_of_other_streams():
    """Also of one that has no encoding."""
    stream = io.StringIO()
    Output(stream).write("δ\n")
    assert stream.getvalue() == "δ\n"
