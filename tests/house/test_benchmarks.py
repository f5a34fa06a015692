"""tests/benchmarks: the speed benchmark runs, small; nothing is asserted about time."""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

SPEED = Path(__file__).parents[1] / "benchmarks" / "speed.py"
sys.path.insert(0, str(SPEED.parent))
import cost  # noqa: E402


def run(*words):
    return subprocess.run([sys.executable, str(SPEED), *map(str, words)], capture_output=True,
                          text=True, timeout=500)


@pytest.mark.slow
def test_the_speed_benchmark_writes_its_tables(tmp_path):
    pytest.importorskip("numba", reason="Numba is not installed")
    done = run("--small", "--out", tmp_path)
    assert done.returncode == 0, done.stderr
    text, numbers = (tmp_path / "speed.md").read_text(), json.loads(
        (tmp_path / "speed.json").read_text())
    for heading in ("Whole networks", "Residual blocks", "against sparsity", "Single convolutions",
                    "With threads", "most memory", "training state", "reallocate", "Data loading"):
        assert heading in text
    assert (tmp_path / "speed.png").stat().st_size > 10_000
    assert all(seconds > 0 for times in numbers["networks/wrn-10-1"]["step"].values()
               for seconds in times)
    for library in ("numpy", "numba", "openblas", "threads"):
        assert library in text
    if "torch" not in numbers["facts"]["versions"]:
        assert "PyTorch is not installed" in done.stderr


def test_contenders_compute_the_same(monkeypatch):
    monkeypatch.syspath_prepend(SPEED.parent)
    from contenders import Ours

    nets = [Ours("wrn-10-1", 3, engine=engine) for engine in ("blocked", "plain")]
    for net in nets:
        net.step()
        net.forward()
    ours, plain = (net.model.named_params() for net in nets)
    for name, p in ours.items():
        np.testing.assert_allclose(plain[name].grad, p.grad, rtol=1e-3, atol=1e-4, err_msg=name)


def test_the_gpu_benchmark_says_where_there_is_no_gpu(tmp_path):
    done = subprocess.run([sys.executable, SPEED.with_name("gpu.py"), "--model", "wrn-10-1",
                           "--batches", "4", "--repeat", "1", "--out", tmp_path],
                          capture_output=True, text=True, timeout=500)
    if done.returncode:
        assert done.stderr.count("\n") == 1 and done.stderr.startswith("--device gpu: ")
    else:
        assert "training step" in (tmp_path / "gpu.md").read_text()


def test_an_unknown_section_is_refused(tmp_path):
    done = run("--sections", "speed", "--out", tmp_path)
    assert done.returncode
    assert "networks" in done.stderr


@pytest.mark.slow
def test_what_methods_cost(tmp_path):
    pytest.importorskip("numba", reason="Numba is not installed")
    done = subprocess.run([sys.executable, SPEED.with_name("cost.py"), "--model", "wrn-10-0.25",
                           "--batch", "4", "--rounds", "2", "--out", tmp_path],
                          capture_output=True, text=True, timeout=500)
    assert done.returncode == 0, done.stderr
    methods = json.loads((tmp_path / "cost.json").read_text())["methods"]
    assert all(f"| `{name}` |" in done.stdout for name in methods) and "dsr" in methods
    for times in methods.values():
        assert len(times["step"]) == 2 and len(times["moving"]) == 2 * (times["moves"] > 0)


def test_the_page_of_costs_has_the_table_of_its_record():
    results = SPEED.parents[2] / "lessons" / "results"
    found = json.loads((results / "cost" / "cost.json").read_text(encoding="utf-8"))["methods"]
    assert f"\n{cost.costs(found)}\n" in (results / "cost.md").read_text(encoding="utf-8")
