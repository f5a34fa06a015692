"""Success is not claimed when it is not: numbers that are not finite, and faults of the program."""

import json
import re
import signal
import subprocess
import sys
import threading
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, HTTPServer

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tiny import write_cifar10

from minidsr import data
from minidsr.__main__ import main
from minidsr.nn.layers import BatchNorm
from minidsr.nn.models import wide_resnet
from minidsr.run import history
from minidsr.run.directory import load, write_json
from minidsr.run.evaluate import evaluate
from minidsr.run.train import TrainingError


@pytest.fixture(scope="module")
def data_dir(tmp_path_factory):
    return str(write_cifar10(tmp_path_factory.mktemp("data")))


def training(out, data_dir, *flags):
    return ["train", "--data", "cifar10", "--data-dir", data_dir, "--out", str(out), "--model",
            "wrn-10-0.25", "--batch", "50", "--device", "cpu", "--epochs", "2", "--engine",
            "blocked", *flags]


# --- numbers that are not finite

def network():
    return wide_resnet(10, 0.25, rng=np.random.default_rng(0))


PLACES = [name for name in network().state() if not name.endswith(".velocity")]


@pytest.fixture(scope="module")
def few(data_dir):
    whole = data.load("cifar10", data_dir)
    return replace(whole, test_x=whole.test_x[:4], test_y=whole.test_y[:4])


@given(st.sampled_from(PLACES), st.sampled_from([np.nan, np.inf, -np.inf]), st.data())
def test_evaluation_names_the_place(few, place, bad, draw):
    """Also where the logits are finite all the same, as behind a variance that is infinite."""
    model = network()
    state = model.state()
    array = state[place].reshape(-1)
    array[draw.draw(st.integers(0, array.size - 1))] = bad
    model.load(state)
    place = place.removesuffix(".value")
    with pytest.raises(TrainingError, match=f"not finite: first {re.escape(place)};"):
        evaluate(model, few, batch=3)


@given(st.sampled_from(["group1.block0.bn1", "group2.block0.bn2", "bn"]))
def test_evaluation_names_the_layer_whose_output_overflows(few, place):
    model = network()
    for key in ("weight", "bias"):
        model.named_params()[f"{place}.{key}"].value[:] = 3e38
    before = model.state()
    with pytest.raises(TrainingError, match=f"not finite: first the output of {place};"):
        evaluate(model, few, batch=3)
    for key, array in model.state().items():
        np.testing.assert_array_equal(array, before[key])


def test_evaluation_of_finite_numbers(few):
    loss, accuracy = evaluate(network(), few, batch=3)
    assert 0 < loss < 10 and 0 <= accuracy <= 100


@pytest.mark.slow
@pytest.mark.parametrize("lr", ["1e3", "1e6", "1e12"])
def test_divergence_never_ends_well(lr, tmp_path, data_dir, capsys):
    """The last checkpoint stays, finite; metrics.jsonl is JSON."""
    assert main(training(tmp_path, data_dir, "--lr", lr, "--epochs", "20")) == 1
    err = capsys.readouterr().err
    assert "not finite" in err and "first " in err and err.count("\n") == 1
    for line in (tmp_path / "metrics.jsonl").read_text(encoding="utf-8").splitlines():
        json.loads(line, parse_constant=pytest.fail)
    for key, array in load(tmp_path / "checkpoint.npz").items():
        assert not key.startswith("model/") or np.isfinite(array).all(), key


def test_statistics_that_overflow_stop_the_training(tmp_path, data_dir, capsys, monkeypatch):
    """In the second step, though weights and losses are finite all the time."""
    forward = BatchNorm.forward

    def overflowing(self, x, train=False):
        y = forward(self, x, train)
        if train:
            self.running_var = self.running_var * np.float32(1e30)
        return y

    monkeypatch.setattr(BatchNorm, "forward", overflowing)
    assert main(training(tmp_path / "run", data_dir, "--engine", "plain", "--method", "static",
                         "--lr", "0.001")) == 1
    assert "not finite at epoch 1, step 2: first group1.block0.bn1.running_var;" in (
        capsys.readouterr().err)


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_no_file_has_a_number_that_is_not_finite(bad, tmp_path):
    path = tmp_path / "metrics.jsonl"
    records = history.History(path)
    records.add("epoch", 1, loss=1.0)
    before = path.read_bytes()
    with pytest.raises(ValueError, match="not JSON compliant"):
        records.add("epoch", 2, loss=bad)
    with pytest.raises(ValueError, match="not JSON compliant"):
        records.rewrite()
    with pytest.raises(ValueError, match="not JSON compliant"):
        write_json(path, {"loss": bad})
    assert path.read_bytes() == before


# --- faults of the program

PLANTED = ["minidsr.run.train.Trainer.step", "minidsr.run.evaluate.evaluate",
           "minidsr.run.commands.report.compare", "minidsr.run.commands.report.by_tensor"]


@pytest.fixture
def planted(monkeypatch):
    """A function that has the function of this name raise ValueError."""
    def raises(*args, **options):
        raise ValueError("planted")

    return lambda name: monkeypatch.setattr(name, raises)


@pytest.mark.parametrize("name", PLANTED)
def test_a_fault_of_the_program_is_not_called_input(name, planted, tmp_path, data_dir, capsys):
    """It leaves the command line as an exception: a traceback, and exit code 1."""
    planted(name)
    with pytest.raises(RuntimeError, match="the program is wrong, not its input: planted"):
        main(training(tmp_path / "run", data_dir))
    assert "minidsr: planted" not in capsys.readouterr().err


@pytest.mark.slow
def test_nor_is_one_in_other_commands(planted, tmp_path, data_dir, monkeypatch):
    assert main(training(tmp_path / "run", data_dir)) == 0
    np.savez(tmp_path / "trace.npz", **{f"conv/{when}/{key}": np.ones(4, kind) for when in (
        "before", "after") for key, kind in (("mask", bool), ("value", float))})
    for name, argv in (("minidsr.run.commands_runs.evaluate", ["eval", tmp_path / "run"]),
                       ("minidsr.run.figures.plot", ["plot", tmp_path / "run"]),
                       ("minidsr.run.bench._median_seconds", ["bench", "--model", "small-cnn"]),
                       ("minidsr.run.verify.verify_trace", ["verify", tmp_path / "trace.npz"])):
        planted(name)
        with pytest.raises(RuntimeError, match="the program is wrong, not its input: planted"):
            main([str(a) for a in argv])


def test_a_mistake_is_still_input(tmp_path, data_dir, capsys):
    """What is found before training: in the flags, in files, where the method meets the network."""
    for flags in (["--epochs", "0"], ["--data", "mnist"], ["--target-pruned", "1000000"]):
        assert main(training(tmp_path / "run", data_dir, *flags)) == 2
        assert capsys.readouterr().err.count("\n") == 1


@pytest.mark.slow
def test_the_exit_code_of_a_fault(tmp_path, data_dir):
    code = ("import sys\nfrom minidsr.__main__ import main\nfrom minidsr.run.train import Trainer\n"
            "def step(self, x, y):\n    raise ValueError('planted')\n"
            f"Trainer.step = step\nsys.exit(main({training(tmp_path / 'run', data_dir)!r}))")
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 1
    assert "Traceback" in done.stderr
    assert done.stderr.endswith("the program is wrong, not its input: planted\n")


def test_a_loss_that_is_not_finite_is_not_measured(monkeypatch, capsys):
    monkeypatch.setattr("minidsr.run.bench.softmax_cross_entropy",
                        lambda logits, y: (np.float64(np.nan), np.zeros_like(logits)))
    assert main(["bench", "--model", "lenet-300-100", "--batch", "4", "--steps", "1"]) == 1
    assert capsys.readouterr().err == (
        "minidsr: the loss is not finite, so this is no training step to measure\n")


# --- Ctrl-C

@pytest.fixture
def interruptible():
    """Python's own handler, also where the shell has the signal ignored."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


def interrupt(*args, **options):
    signal.raise_signal(signal.SIGINT)


@pytest.mark.usefixtures("interruptible")
def test_an_interrupt_is_one_line(tmp_path, data_dir, monkeypatch, capsys):
    """Where `eval` evaluates, `plot` draws, and in a second one while training evaluates."""
    assert main(training(tmp_path / "run", data_dir)) == 0
    capsys.readouterr()
    for name, argv in (("minidsr.run.commands_runs.evaluate", ["eval", str(tmp_path / "run")]),
                       ("matplotlib.figure.Figure.savefig", ["plot", str(tmp_path / "run")]),
                       ("minidsr.run.evaluate.evaluate", training(tmp_path / "b", data_dir))):
        with monkeypatch.context() as patch:
            patch.setattr(name, lambda *args, **options: [interrupt(), interrupt()])
            assert main(argv) == 130
        assert capsys.readouterr().err == "minidsr: interrupted\n"


@pytest.mark.usefixtures("interruptible")
def test_an_interrupt_while_evaluating_saves_the_epoch(tmp_path, data_dir, monkeypatch, capsys):
    monkeypatch.setattr("minidsr.run.evaluate.evaluate",
                        lambda *args: [interrupt(), (1.0, 50.0)][1])
    assert main(training(tmp_path / "run", data_dir)) == 130
    assert "saved in" in capsys.readouterr().err
    assert len(history.History.load(tmp_path / "run" / "metrics.jsonl").epochs) == 1


@pytest.mark.skipif(not hasattr(signal, "pthread_kill"), reason="needs POSIX threads")
@pytest.mark.usefixtures("interruptible")
def test_an_interrupt_while_fetching(tmp_path, capsys):
    """In the midst of a file. Nothing is left in the folder."""
    class Server(BaseHTTPRequestHandler):
        def do_GET(self):
            self.send_response(200)
            self.send_header("Content-Length", "1000000")
            self.end_headers()
            self.wfile.write(bytes(1000))
            done.wait(0.5)  # till the client reads
            signal.pthread_kill(threading.main_thread().ident, signal.SIGINT)
            done.wait(60)

        def log_message(self, *args):
            pass

    done, server = threading.Event(), HTTPServer(("127.0.0.1", 0), Server)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        assert main(["data", "fetch", "mnist", "--data-dir", str(tmp_path / "data"), "--url",
                     f"http://127.0.0.1:{server.server_port}/"]) == 130
    finally:
        done.set()
        server.shutdown()
        server.server_close()
    assert "minidsr: interrupted\n" in capsys.readouterr().err
    assert not list((tmp_path / "data").iterdir())
