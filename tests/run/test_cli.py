"""The command line as a user types it: what is printed, where, and the exit code."""

import contextlib
import json
import os
import shutil
import signal
import subprocess
import sys
import time

import numpy as np
import pytest
from tiny import write_cifar10

import minidsr
from minidsr import backend, build
from minidsr.__main__ import main
from minidsr.methods import METHODS
from minidsr.run import directory
from minidsr.run.commands import COMMANDS

pytestmark = pytest.mark.slow  # nearly each trains a network, or starts a process

TINY = ["--model", "wrn-10-1", "--batch", "10", "--device", "cpu"]


@pytest.fixture(scope="module")
def data_dir(tmp_path_factory):
    return str(write_cifar10(tmp_path_factory.mktemp("data")))


@pytest.fixture(scope="module")
def run(tmp_path_factory, data_dir):
    """A finished DSR run."""
    out = tmp_path_factory.mktemp("runs") / "a"
    assert train(out, data_dir) == 0
    return out


def train(out, data_dir, *flags):
    return main(["train", "--data", "cifar10", "--data-dir", data_dir, "--out", str(out), *TINY,
                 "--epochs", "2", "--lr", "0.02", "--periods", "2", "3", "4", "5", *flags])


def fails(capsys, argv, *said, code=2):
    """The command ends with `code` and one line on standard error that says all of `said`."""
    assert main([str(a) for a in argv]) == code
    out, err = capsys.readouterr()
    assert err.startswith("minidsr: ")
    assert err.count("\n") == 1
    assert "Traceback" not in out + err
    for words in said:
        assert str(words) in err


def files_of(folder):
    return {p.name: p.read_bytes() for p in folder.iterdir() if p.is_file()}


def test_train_writes_a_run_and_sums_it_up(run, data_dir, tmp_path, capsys):
    assert train(tmp_path / "b", data_dir) == 0
    out = capsys.readouterr().out
    assert "conserved" in out
    assert "group1.block0.conv1" in out
    assert {"config.json", "env.json", "metrics.jsonl", "checkpoint.npz"} <= files_of(run).keys()
    assert json.loads((run / "config.json").read_text())["periods"] == [2, 3, 4, 5]


def test_eval_agrees_with_training(run, capsys):
    assert main(["eval", str(run), "--device", "cpu"]) == 0
    last = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()][-1]
    out = capsys.readouterr().out
    assert f"test accuracy {last['test_accuracy']:.2f} %" in out
    assert f"{last['free_parameters']:,} free parameters" in out


def test_plot_draws_four_figures(run, capsys):
    assert main(["plot", str(run)]) == 0
    out = capsys.readouterr().out
    for name in ("accuracy.png", "exploration.png", "sparsity-dsr.png", "threshold-dsr.png"):
        assert str(run / "figures" / name) in out
        assert (run / "figures" / name).read_bytes().startswith(b"\x89PNG")
        assert (run / "figures" / name).with_suffix(".svg").read_text().startswith("<?xml")
        assert "dsr" in (run / "figures" / name).with_suffix(".alt.txt").read_text()


def test_resume_of_a_finished_run(run, data_dir, capsys):
    before = (run / "checkpoint.npz").read_bytes()
    assert train(run, data_dir, "--resume") == 0
    assert (run / "checkpoint.npz").read_bytes() == before


def test_demo(tmp_path, capsys, shapes):
    shapes(1000, 50)
    assert main(["demo", "--out", str(tmp_path), "--epochs", "1", "--device", "cpu"]) == 0
    out = capsys.readouterr().out
    for word in ("dense", "static", "dsr", "free parameters", "conserved", "accuracy.png",
                 "dsr had little time to explore"):
        assert word in out
    assert {p.name for p in tmp_path.iterdir()} == {
        f"{name}.{kind}" for name in ("accuracy", "exploration", "sparsity-dsr", "threshold-dsr")
        for kind in ("png", "svg", "alt.txt")}


def test_demo_of_all_methods(tmp_path, capsys, shapes, monkeypatch):
    """Figures are filled and described, and not rendered: test_demo has one of each kind."""
    def save(figure, path, description):
        assert description
        path = path.with_name(f"{path.name}.png")
        path.touch()
        return path

    monkeypatch.setattr("minidsr.run.style.save", save)
    shapes(1000, 50)
    assert main(["demo", "--methods", "all", "--out", str(tmp_path), "--epochs", "1", "--device",
                 "cpu"]) == 0
    out = capsys.readouterr().out
    table = out[out.index("method "):out.index("Where DSR left")]
    rows = {line.split()[0]: line.split() for line in table.splitlines()[2:] if line}
    assert list(rows) == list(METHODS)
    for method, row in rows.items():
        assert row[-1] == METHODS[method].budget_rule
        assert abs(int(row[1].replace(",", "")) - 4_952) < 200 or method in ("dense", "dst")
    assert {p.name for p in tmp_path.iterdir()} >= {
        "accuracy.png", "exploration.png", "sparsity-gradual.png", "sparsity-snfs.png",
        "sparsity-dst.png", "sparsity-dsr.png", "threshold-dsr.png"}


def test_demo_of_some_methods(tmp_path, capsys):
    fails(capsys, ["demo", "--methods", "dsr", "magic", "--out", tmp_path],
          "unknown method 'magic'; choose one of: dense, thin-dense")
    assert not list(tmp_path.iterdir())


def test_an_option_of_another_method_is_refused(tmp_path, capsys):
    fails(capsys, ["train", "--method", "rigl", "--growth", "room", "--out", tmp_path / "a"],
          "rigl has no option growth, which is for dsr")


def test_from_the_structure_of_another_run(run, data_dir, tmp_path, capsys):
    flags = ["--structure-from", str(run), "--values", "random", "--seed", "1"]
    assert train(tmp_path / "b", data_dir, *flags) == 0
    config = json.loads((tmp_path / "b" / "config.json").read_text())
    assert config["structure_from"] == str(run)
    assert main(["eval", str(tmp_path / "b"), "--device", "cpu"]) == 0
    fails(capsys, ["train", "--method", "hashed", "--structure-from", run, "--out", tmp_path / "c"],
          "hashed has no structure")


@pytest.mark.parametrize("method", ["thin-dense", "gradual", "deepr", "snfs", "dst"])
def test_bench_of_a_method(method, capsys):
    flags = ["--model", "wrn-10-1", "--batch", "4", "--steps", "1", "--method", method]
    assert main(["bench", *flags, "--json"]) == 0
    result = json.loads(capsys.readouterr().out)
    assert result["model"] == ("wrn-10-0.36" if method == "thin-dense" else "wrn-10-1")


def test_a_step_of_wrn_28_2_stays_under_a_gibibyte():
    """In a process of its own, batch 100: once forward, and one step."""
    code = ("import sys\nfrom minidsr.__main__ import main\nfrom minidsr.run import bench\n"
            "bench._median_seconds = lambda work, times: (work(), 1.0)[1]\n"
            "sys.exit(main(['bench', '--model', 'wrn-28-2', '--batch', '100', '--device', 'cpu', "
            "'--json']))")
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert json.loads(done.stdout)["peak_rss_bytes"] < 2**30


def test_a_method_that_moved_nothing_says_so(data_dir, tmp_path, capsys):
    flags = ["train", "--data", "cifar10", "--data-dir", data_dir, *TINY, "--epochs", "1"]
    assert main([*flags, "--method", "set", "--out", str(tmp_path / "a")]) == 0
    assert "set has moved nothing: no period ended before the stop" in capsys.readouterr().out
    assert main([*flags, "--method", "static", "--out", str(tmp_path / "b")]) == 0
    assert "moved nothing" not in capsys.readouterr().out
    assert main([*flags, "--periods", "1", "1", "1", "1", "--out", str(tmp_path / "c")]) == 0
    assert "\ndsr had little time to explore: 9 reallocations moved " in capsys.readouterr().out


def test_the_network_of_thin_dense_is_named(data_dir, tmp_path, capsys):
    assert main(["train", "--data", "cifar10", "--data-dir", data_dir, *TINY, "--epochs", "1",
                 "--method", "thin-dense", "--out", str(tmp_path / "a")]) == 0
    assert "thin-dense trained wrn-10-0.36" in capsys.readouterr().out


def test_bench_json(capsys):
    assert main(["bench", "--model", "wrn-10-1", "--batch", "4", "--steps", "1", "--json"]) == 0
    result = json.loads(capsys.readouterr().out)
    for key in ("forward_images_per_s", "train_images_per_s", "peak_rss_bytes"):
        assert result[key] > 0
    assert result["engine"] in ("blocked", "auto")  # without and with Numba
    assert {"threads", "blas", "versions"} <= result.keys()


def test_bench_for_people(capsys):
    assert main(["bench", "--model", "lenet-300-100", "--batch", "4", "--steps", "1"]) == 0
    assert "train_images_per_s" in capsys.readouterr().out


def test_bench_takes_the_images_that_a_network_is_made_for(capsys):
    """Of resnet50 those of ImageNet, with 1000 classes for 2048 channels, here a sixteenth."""
    assert main(["bench", "--model", "resnet50-0.0625", "--method", "dense", "--batch", "1",
                 "--steps", "1", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)["free_parameters"]
    network = build("resnet50-0.0625", image=(3, 224, 224), classes=1000,
                    rng=np.random.default_rng(0))
    assert found == network.free_parameters() > 128 * 1000


def test_info(data_dir, capsys):
    assert main(["info", "--data-dir", data_dir]) == 0
    out = capsys.readouterr().out
    for word in ("python", "numpy", "blas", "cores", "CPU", "synthetic", "100 training images",
                 "data fetch mnist"):
        assert word in out


def test_info_of_own_images_names_no_others(tmp_path, capsys):
    images, labels = np.arange(4 * 50, dtype=np.uint8).reshape(4, 2, 5, 5), np.arange(4) % 2
    np.savez(tmp_path / "mine.npz", train_x=images, train_y=labels, test_x=images, test_y=labels)
    assert main(["info", "--data-dir", str(tmp_path / "mine.npz")]) == 0
    out = capsys.readouterr().out
    assert "4 training images, 4 test images" in out
    assert "data fetch" not in out


@pytest.mark.parametrize("command", COMMANDS)
def test_help(command, capsys):
    with pytest.raises(SystemExit) as stop:
        main([command, "--help"])
    assert stop.value.code == 0
    assert len(capsys.readouterr().out) > 200


def test_help_names_the_paper_s_values(capsys):
    with pytest.raises(SystemExit):
        main(["train", "--help"])
    out = capsys.readouterr().out
    assert out.count("(paper:") >= 14


def test_without_data(tmp_path, capsys):
    fails(capsys, ["train", "--data", "cifar10", "--data-dir", tmp_path / "none", "--out",
                   tmp_path / "run"], tmp_path / "none", "data fetch cifar10")


def test_a_mistake_does_not_block_the_directory(tmp_path, data_dir, capsys):
    """The wrong folder first, then the right one: the run directory is still free."""
    out = tmp_path / "run"
    fails(capsys, ["train", "--data", "cifar10", "--data-dir", tmp_path, "--out", out], "fetch")
    assert train(out, data_dir) == 0


def test_truncated_data(tmp_path, capsys):
    folder = write_cifar10(tmp_path / "data") / "cifar-10-batches-py"
    batch = folder / "data_batch_3"
    batch.write_bytes(batch.read_bytes()[:-100])
    fails(capsys, ["train", "--data", "cifar10", "--data-dir", tmp_path / "data", "--out",
                   tmp_path / "run"], batch)


@pytest.mark.parametrize(("flags", "said"), [
    (["--sparsity", "1"], "sparsity must be in [0, 1)"),
    (["--target-pruned", "0"], "target_pruned must be in [1, "),
    (["--tolerance", "1"], "tolerance must be in [0, 1)"),
    (["--threshold", "0"], "threshold must be in"),
    (["--model", "vgg"], "small-cnn, lenet-300-100, resnet50, wrn-D-W"),
    (["--method", "magic"], "dense, thin-dense, static, gradual"),
    (["--data", "imagenette"], "synthetic, cifar10, cifar100, mnist"),
    (["--device", "tpu"], "cpu, gpu, auto"),
    (["--epochs", "0"], "epochs must be in [1, 1,000,000]")])
def test_settings_out_of_range(flags, said, tmp_path, capsys):
    fails(capsys, ["train", *flags, "--out", tmp_path / "run"], said)
    assert not (tmp_path / "run").exists()


def test_a_target_above_the_budget(tmp_path, data_dir, capsys):
    fails(capsys, ["train", "--data", "cifar10", "--data-dir", data_dir, *TINY, "--out",
                   tmp_path / "run", "--target-pruned", 10**6], "N_p must be in 1..")


def test_gpu_without_one(tmp_path, capsys, monkeypatch):
    monkeypatch.setattr("minidsr.backend._gpu_fault", lambda: "no usable GPU")
    fails(capsys, ["train", "--device", "gpu", "--out", tmp_path / "run"], "--device gpu",
          "no usable GPU", "--device cpu")


def test_a_directory_with_files_is_refused(tmp_path, data_dir, capsys):
    (tmp_path / "thesis.txt").write_text("precious")
    for flags in ([], ["--resume"]):
        fails(capsys, ["train", "--data-dir", data_dir, "--out", tmp_path, *flags],
              "not empty, and no run is in it")
    assert files_of(tmp_path).keys() <= {"thesis.txt", "lock"}


def test_a_run_is_not_overwritten(run, data_dir, capsys):
    before = files_of(run)
    fails(capsys, ["train", "--data", "cifar10", "--data-dir", data_dir, "--out", run], "--resume")
    assert files_of(run) == before


@pytest.mark.parametrize("content", [b"", b"garbage", None])
def test_eval_of_a_broken_checkpoint(run, tmp_path, content, capsys):
    for name, data in files_of(run).items():
        (tmp_path / name).write_bytes(data)
    path = tmp_path / "checkpoint.npz"
    content = path.read_bytes()[:-200] if content is None else content
    path.write_bytes(content)
    fails(capsys, ["eval", tmp_path], path)
    assert path.read_bytes() == content


@pytest.mark.parametrize("command", ["eval", "plot"])
def test_no_run_there(command, tmp_path, capsys):
    fails(capsys, [command, tmp_path], "not a run directory")


def test_a_broken_config(tmp_path, capsys):
    (tmp_path / "config.json").write_text('{"colour": "red"}')
    fails(capsys, ["eval", tmp_path], "of an older version")
    (tmp_path / "config.json").write_text(
        f'{{"format": "{directory.FORMAT}", "method": "dsr", "colour": "red"}}')
    fails(capsys, ["eval", tmp_path], "not the config of a run (dsr has no option colour)")


def test_fetch_of_something_unknown(capsys):
    fails(capsys, ["data", "fetch", "imagenet"], "cifar10, cifar100, mnist")


def test_divergence_is_one_line(tmp_path, data_dir, capsys):
    fails(capsys, ["train", "--data", "cifar10", "--data-dir", data_dir, *TINY, "--lr", "1e30",
                   "--out", tmp_path / "run"], "not finite at epoch 1", code=1)


@pytest.mark.parametrize(("signum", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_signals_save_and_exit(signum, code, tmp_path, data_dir):
    command = [sys.executable, "-m", "minidsr", "train", "--data", "cifar10", "--data-dir",
               data_dir, *TINY, "--epochs", "500", "--out", tmp_path / "run"]
    process = subprocess.Popen(command, stderr=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    metrics = tmp_path / "run" / "metrics.jsonl"
    while process.poll() is None and not (
            metrics.exists() and '"kind": "epoch"' in metrics.read_text()):
        time.sleep(0.02)
    os.kill(process.pid, signum)
    out, err = process.communicate(timeout=60)
    assert process.returncode == code, err
    assert f"saved in {tmp_path / 'run'}, go on with --resume" in err
    assert "Traceback" not in err
    assert (tmp_path / "run" / "checkpoint.npz").exists()


def test_version(capsys):
    assert main(["--version"]) == 0
    assert capsys.readouterr().out == f"minidsr {minidsr.__version__}\n"


@pytest.mark.parametrize("seconds", [0.0, 0.1, 0.2, 0.4])
def test_interrupted_in_the_first_second(seconds, tmp_path):
    """While modules are loaded, Ctrl-C is one line, too."""
    code = ("import signal, sys\nfrom minidsr.__main__ import main\n"
            "signal.signal(signal.SIGINT, signal.default_int_handler)  # behind & it is ignored\n"
            "class Watch:\n"
            "    def find_spec(self, name, *where):\n"
            "        if name == 'minidsr.run.command_line':\n"
            "            print('begun', flush=True)\n"
            "sys.meta_path.insert(0, Watch())\n"
            f"sys.exit(main(['train', '--out', {str(tmp_path / 'run')!r}]))")
    process = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE,
                               stderr=subprocess.PIPE, text=True)
    assert process.stdout.readline() == "begun\n"
    time.sleep(seconds)
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=60)
    assert process.returncode in (130, -signal.SIGINT)  # Python may end itself by the signal
    assert err == "minidsr: interrupted\n"


def test_ctrl_c_that_would_be_swallowed_waits_for_the_end():
    """CuPy's import has an `except:`; a second one, at once, gets through."""
    before, done = signal.signal(signal.SIGINT, signal.default_int_handler), []  # ignored behind &

    def swallow():
        with contextlib.suppress(BaseException):
            signal.raise_signal(signal.SIGINT)
            done.append("was not stopped")
            signal.raise_signal(signal.SIGINT)
            done.append("never")

    try:
        with pytest.raises(KeyboardInterrupt), backend.interrupts_wait():
            swallow()
        assert done == ["was not stopped"]
        assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
    finally:
        signal.signal(signal.SIGINT, before)


def test_what_was_called_otherwise_is_refused_and_told(run, tmp_path, capsys):
    """The engine that was im2col, and runs of a version that had no format in config.json."""
    fails(capsys, ["train", "--engine", "im2col", "--out", tmp_path / "a"],
          "engine im2col is called blocked now")
    fails(capsys, ["bench", "--engine", "im2col"], "engine im2col is called blocked now")
    old = tmp_path / "old"
    shutil.copytree(run, old)
    config = json.loads((old / "config.json").read_text())
    del config["format"]
    (old / "config.json").write_text(json.dumps(config | {"engine": "im2col", "network": 1}))
    for command in (["eval", old], ["plot", old], ["train", "--out", old, "--resume"]):
        fails(capsys, command, "of an older version", "train the run again")


def test_resume_goes_by_the_run_s_own_method_and_options(data_dir, tmp_path, capsys):
    """Flags that are left out are the run's; one that only its method has is no fault."""
    out = tmp_path / "run"
    begin = ["train", "--data", "cifar10", "--data-dir", data_dir, "--out", str(out), *TINY,
             "--epochs", "1", "--lr", "0.02"]
    assert main([*begin, "--method", "deepr", "--temperature", "1e-7"]) == 0
    capsys.readouterr()
    assert main(["train", "--resume", "--out", str(out), "--temperature", "1e-7"]) == 0
    said = capsys.readouterr().out
    assert "deepr" in said and "dsr" not in said.replace("minidsr", "")
    fails(capsys, ["train", "--resume", "--out", out, "--temperature", "1e-6"],
          "was begun with temperature 1e-07")
    fails(capsys, ["train", "--resume", "--out", out, "--threshold", "0.1"],
          "deepr has no option threshold")
