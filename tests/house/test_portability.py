"""One code, two devices: what can be shown of CuPy without a GPU, and the same on one (-m gpu).

The source is held against the real CuPy; the program runs on lessons/grader/strict_cupy.py, arrays
that refuse what CuPy refuses. Cases marked `gpu` do the same on a GPU. What only a GPU can show is
in GPU.md.
"""

import dataclasses
import json
import re
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from tiny import with_moves, write_cifar10
from training import CASES, Training

from minidsr.proof.cases import windows

cupy = pytest.importorskip("cupy", reason="needs CuPy: pip install cupy-cuda13x; no GPU needed")

import portability  # noqa: E402
from rooms import MODULES  # noqa: E402

from lessons.grader import strict_cupy  # noqa: E402
from minidsr import backend, data  # noqa: E402
from minidsr.__main__ import main  # noqa: E402
from minidsr.backend import (  # noqa: E402
    DeviceError,
    choose_device,
    device_of,
    get_xp,
    to_device,
    to_host,
)
from minidsr.data.batches import LazyImages, batches, normalise  # noqa: E402
from minidsr.fast import blocked, parallel  # noqa: E402
from minidsr.methods import METHODS  # noqa: E402
from minidsr.nn.layers import MaxPool2d  # noqa: E402
from minidsr.parameters import Sparse  # noqa: E402
from minidsr.reparam import reallocate  # noqa: E402
from minidsr.run import directory  # noqa: E402
from minidsr.run.config import Config  # noqa: E402
from minidsr.run.evaluate import evaluate  # noqa: E402
from minidsr.run.load import load  # noqa: E402
from minidsr.run.small_training import STEPS  # noqa: E402
from minidsr.run.train import Trainer, train  # noqa: E402

# Modules whose arrays may be on a GPU; of data/batches.py, three functions. What moves weights, and
# what R_s looks at, is on the host, but for what methods do at every step.
ON_A_GPU = ["fast.blocked", "fast.norm", "fast.parallel", "fast.units", "nn.base", "nn.im2col",
            "nn.layers", "nn.sgd", "parameters", "proof.finite", "reparam", "run.bench",
            "run.train", *(name for name in MODULES
                           if name.startswith("methods.")
                           and name not in ("methods.exploration", "methods.newborns"))]


@pytest.fixture(params=["C", "F", pytest.param("gpu", marks=pytest.mark.gpu)])
def gpu(request, monkeypatch):
    """The device "gpu": the stand-in with results in one memory order or the other, or a real
    one."""
    if request.param == "gpu":
        try:
            return choose_device("gpu")
        except DeviceError as error:
            pytest.skip(f"no GPU here: {error}")
    stand_in(monkeypatch, request.param)
    return "gpu"


@pytest.fixture
def strict(monkeypatch):
    """The stand-in."""
    stand_in(monkeypatch, "C")
    return strict_cupy


def stand_in(monkeypatch, order):
    if shutil.which("g++") is None:
        pytest.skip("kernels run in C++ on the stand-in, and there is no g++ here")
    monkeypatch.setitem(sys.modules, "cupy", strict_cupy)
    monkeypatch.setattr(strict_cupy, "ORDER", order)
    monkeypatch.setattr(strict_cupy, "programs", set())


# --- the source


@pytest.mark.parametrize("name", MODULES)
def test_names_and_calls_are_cupys(name):
    checks = [portability.xp_names, portability.ufunc_where]
    if name in ON_A_GPU:
        checks.append(portability.direct_calls)
    assert not portability.faults(MODULES[name], checks)


def test_numpy_is_not_called_on_batches():
    text = MODULES["data.batches"].read_text()
    assert not list(portability.direct_calls(text, ["normalise", "augment", "batches"]))


@pytest.mark.parametrize(("mistake", "check", "message"), [
    ("xp.einsum_path('i,i', x, x)", portability.xp_names, "cupy has no einsum_path"),
    ("get_xp(x).vecdot(x, x)", portability.xp_names, "cupy has no vecdot"),
    ("xp.argsort(x, order='f')", portability.xp_names, "unexpected keyword argument 'order'"),
    ("xp.add(x, 1, subok=True)", portability.xp_names, "no subok"),
    ("np.multiply(x, 2, where=x > 0)", portability.ufunc_where, "multiply(where=)"),
    ("np.maximum(x, 0)", portability.direct_calls, "np.maximum in f"),
    ("np.linalg.norm(x)", portability.direct_calls, "np.linalg.norm in f"),
])
def test_a_mistake_is_found_with_its_line(mistake, check, message, tmp_path):
    path = tmp_path / "a.py"
    path.write_text(f"def f(x):\n    xp = get_xp(x)\n    return {mistake}\n"
                    "def g(x):\n    return np.maximum(x, 0) if get_xp(x) is np else abs(x)\n")
    found, = portability.faults(path, [check])
    assert found.startswith(f"{path}:3: ")
    assert message in found


# --- the stand-in


@pytest.mark.parametrize(("mistake", "error", "message"), [
    (lambda x, h: x + h, TypeError, "a ndarray: not on the device"),
    (lambda x, h: h + x, TypeError, "not on the device"),
    (lambda x, h: x.__iadd__(h), TypeError, "not on the device"),
    (lambda x, h: np.asarray(x), TypeError, "implicit conversion"),
    (lambda x, h: np.sum(x), TypeError, "np.sum of a device array"),
    (lambda x, h: x.__setitem__(slice(None), h), TypeError, "cannot put a ndarray"),
    (lambda x, h: x[h.astype(int)], TypeError, "on the host"),
    (lambda x, h: x[[0, 1]], TypeError, "on the host"),
    (lambda x, h: get_xp(x).add(x, 1, where=x > 0), TypeError, "no where"),
    (lambda x, h: get_xp(x).concatenate([x, h]), TypeError, "concatenate of a NumPy array"),
    (lambda x, h: get_xp(x).nditer(x), AttributeError, "nditer"),
    (lambda x, h: x.setflags(write=False), AttributeError, "no setflags"),
    (lambda x, h: x.sum(0, where=x > 0), TypeError, "where"),
    (lambda x, h: get_xp(x).argsort(x, stable=True), TypeError, "stable"),
    (lambda x, h: range(x.sum()), TypeError, "integer"),
    (lambda x, h: x[x], IndexError, "index of float64"),
    (lambda x, h: x[get_xp(x).asarray([9])], IndexError, "out of bounds"),
    (lambda x, h: get_xp(x).add.at(x, get_xp(x).asarray([-1]), 1.0), IndexError, "out of range"),
    (lambda x, h: x.__setitem__(get_xp(x).asarray([1, 1]), 0), ValueError, "twice"),
    (lambda x, h: get_xp(x).random.default_rng(0), AttributeError, "random"),
    (lambda x, h: get_xp(x).maximum.reduce(x), NotImplementedError, "no reduce"),
    (lambda x, h: x.astype(np.float32, casting="safe"), TypeError, "casting"),
    (lambda x, h: backend.elementwise("copy", "T a", "T b", "b = a;")(h, x), TypeError,
     "copy of a ndarray: it is not on the device"),
    (lambda x, h: backend.fuse(np.add)(x, h), TypeError, "CuPy does not fuse add"),
    (lambda x, h: get_xp(x).argsort(x, kind="quicksort"), TypeError, "kind"),
])
def test_the_stand_in_refuses(strict, mistake, error, message):
    x, h = to_device(np.arange(3.0), "gpu"), np.arange(3.0)
    with pytest.raises(error, match=message):
        mistake(x, h)


def test_the_real_cupy_refuses_the_same_reductions():
    """What looks like work left open in the stand-in is CuPy's own NotImplementedError."""
    with pytest.raises(NotImplementedError, match="reduce"):
        cupy.maximum.reduce(None)
    with pytest.raises(NotImplementedError, match="reduce"):
        strict_cupy.maximum.reduce(None)


@pytest.mark.parametrize(("work", "count"), [
    (lambda x: float(x.sum()), 1), (lambda x: bool((x > 0).all()), 1), (lambda x: x.get(), 1),
    (lambda x: x[x > 0], 1), (lambda x: get_xp(x).flatnonzero(x), 1), (lambda x: x.tolist(), 1),
    (lambda x: get_xp(x).bincount(x.astype(int)), 2), (lambda x: to_host(x), 1),
    (lambda x: backend.to_host_together([x, x.sum(), x > 0]), 1),
    (lambda x: get_xp(x).where(x > 1, 0, x).sum() <= 0.5 * x.size, 0),
    (lambda x: x[::2] * 2 + x.reshape(-1)[1:3], 0), (lambda x: x.__setitem__(x > 0, 0), 1)])
def test_the_stand_in_counts_reads(strict, work, count):
    x = to_device(np.arange(4.0), "gpu")
    with strict.counted() as found:
        work(x)
    assert found.reads.total() == count
    assert all(place.startswith(("tests/house/test_portability.py:", "minidsr/backend.py:"))
               for place in found.reads)


@pytest.mark.parametrize(("function", "message"), [
    (lambda x: x[1:] + x[:-1], "subscriptable"),
    (lambda x: x * 2 if x > 0 else x, "bool"),
    (lambda x: get_xp(x).sum(x * x, axis=0), "fused with a sum"),
    (lambda x: x - get_xp(x).sum(x, axis=0), "Shape mismatch"),
    (lambda x: get_xp(x).cumsum(x), "incorrect type"),
    (lambda x: np.maximum(x, 0), "CuPy does not fuse"),
    (lambda x: x.reshape(-1), "reshape")])
def test_what_cupy_does_not_fuse(strict, function, message):
    x, function.__name__ = to_device(np.arange(4.0), "gpu"), "function"
    with pytest.raises(TypeError, match=message):
        backend.fuse(function)(x)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_fused_functions(gpu, dtype):
    """Results of two types, one in place, broadcasting, numbers and None."""
    @backend.fuse
    def work(x, y, factor, least, nothing):
        x += factor
        get_xp(x).maximum(x, least, out=x)
        return x + y, (x - y if nothing is None else x).astype(np.float64), x > y

    results = []
    for device in ("cpu", gpu):
        x, y = (to_device(np.arange(6, dtype=dtype).reshape(shape), device)
                for shape in ((2, 3), (2, 3)))
        x = x.T
        found = [to_host(a) for a in (*work(x, y[:1, :2], 0.5, dtype(2), None), x)]
        results.append([(a.dtype, a.tolist()) for a in found])
    assert results[0] == results[1]


@pytest.mark.slow
@pytest.mark.parametrize(("operation", "error"), [
    ("out = x[at];", IndexError),
    ("ptrdiff_t before[] = {at[0] - 2}; out = x[before];", IndexError),
    ("out = y[at];", subprocess.CalledProcessError)])
def test_the_stand_in_refuses_in_kernels(strict, operation, error, capfd):
    kernel = backend.elementwise("shift", "raw T x", "T out", f"""
        ptrdiff_t at[] = {{_ind.get()[0] + 1}}; {operation}""")
    x, out = to_device(np.arange(3.0), "gpu"), to_device(np.zeros(3), "gpu")
    with pytest.raises(error):
        kernel(x, out)


def test_arrays_travel_together(gpu, rng):
    arrays = [rng.normal(size=(2, 3)), rng.random(5) < 0.5, np.arange(7, dtype=np.int32)[::2],
              np.zeros((0, 4), np.float32), np.float64(2.5), rng.normal(size=(3, 2)).T]
    there = [to_device(a, gpu) for a in arrays]
    arrays.append(arrays[2][::3])
    back = backend.to_host_together([*there, there[2][::3]])
    for a, b in zip(arrays, back, strict=True):
        assert a.dtype == b.dtype
        np.testing.assert_array_equal(a, b)
        assert b.flags.aligned and b.flags.writeable


# --- the program


@pytest.mark.slow
@pytest.mark.parametrize("gpu", ["F", pytest.param("gpu", marks=pytest.mark.gpu)], indirect=True)
@pytest.mark.parametrize("case", CASES)
def test_every_method_makes_the_choices_of_the_cpu(gpu, case):
    """In float64: the same structure after several reallocations, and values equal to rounding."""
    there, here = (Training(case, dtype=np.float64, device=device) for device in (gpu, "cpu"))
    assert there.run() == here.run()
    close(there.state(), here.state(), rtol=1e-9, atol=1e-11)


@pytest.mark.slow
@pytest.mark.parametrize("gpu", ["F", pytest.param("gpu", marks=pytest.mark.gpu)], indirect=True)
@pytest.mark.parametrize("case", CASES)
def test_a_training_goes_on_from_the_other_device(gpu, case):
    whole = Training(case, dtype=np.float64)
    whole.run()
    for first, second in ((gpu, "cpu"), ("cpu", gpu)):
        begun = Training(case, dtype=np.float64, device=first)
        begun.run(7)
        resumed = Training(case, seed=1, dtype=np.float64, device=second)
        resumed.load(begun.state(), 7)
        resumed.run(STEPS - 7)
        close(resumed.state(), whole.state(), rtol=1e-9, atol=1e-11)


@pytest.mark.slow
def test_a_reallocation_of_device_arrays(gpu, rng):
    """Algorithm 1 itself, called with tensors on a GPU; training calls it on the host."""
    theta = rng.normal(size=(8, 20))
    results = []
    for device in ("cpu", gpu):
        draw = np.random.default_rng(1)
        tensors = [Sparse.random(to_device(theta, device), n, draw) for n in (30, 150, 5)]
        results.append((reallocate(tensors, 0.5, 40, 0.1, draw),
                        [to_host(W.index).tolist() for W in tensors]))
    assert results[0] == results[1]


@pytest.fixture(scope="module")
def config(tmp_path_factory):
    """Five batches of images of CIFAR-10's size, for a small residual network."""
    data_dir = write_cifar10(tmp_path_factory.mktemp("data"), images=10)
    return Config(data="cifar10", data_dir=str(data_dir), model="wrn-10-0.25", epochs=1, batch=10,
                  periods=(2,), period_milestones=(), sparsity=0.8, lr=0.02, device="cpu",
                  engine="blocked", threads=1)


@pytest.mark.slow
@pytest.mark.parametrize("gpu", ["F", pytest.param("gpu", marks=pytest.mark.gpu)], indirect=True)
@pytest.mark.parametrize("method", METHODS)
def test_every_method_trains_a_residual_network(gpu, method, config, tmp_path):
    """Augmented batches, evaluation, reallocation, checkpoint: as on the CPU, to rounding."""
    config = with_moves(config, method)
    here = train(config)
    there = train(dataclasses.replace(config, device=gpu), out=tmp_path)
    assert [r["step"] for r in there.records] == [r["step"] for r in here.records]
    for a, b in zip(there.epochs, here.epochs, strict=True):
        assert a["train_loss"] == pytest.approx(b["train_loss"], rel=2e-3)
        assert a["test_loss"] == pytest.approx(b["test_loss"], rel=2e-3)
        assert a["free_parameters"] == b["free_parameters"]
    resumed = Trainer(dataclasses.replace(config, device=gpu))
    counted = {"records": resumed.load(tmp_path / "checkpoint.npz")}
    state = directory.load(tmp_path / "checkpoint.npz")
    close(resumed.state() | counted, state, rtol=0, atol=0)
    loss, _ = evaluate(resumed.model, resumed.dataset)
    assert loss == pytest.approx(there.epochs[-1]["test_loss"], rel=1e-4)
    run, images = load(tmp_path, device=gpu), to_host(resumed.dataset.test_x)
    classes = resumed.model.forward(normalise(resumed.dataset.test_x, resumed.dataset)).argmax(1)
    np.testing.assert_array_equal(run.predict(images, batch=7), to_host(classes))
    weights = run.state_dict()
    if method not in ("hashed", "dst"):
        run.load_state_dict(weights)
        close(run.state_dict(), weights, rtol=0, atol=0)
        assert {device_of(p.value) for p in run.model.params()} == {"gpu"}


@pytest.mark.slow
@pytest.mark.parametrize("gpu", ["C", pytest.param("gpu", marks=pytest.mark.gpu)], indirect=True)
@pytest.mark.parametrize("engine", ["blocked", "plain"])
def test_a_network_with_pools_and_linear_layers(gpu, config, engine):
    config = dataclasses.replace(config, model="small-cnn-0.1", engine=engine)
    here, there = train(config), train(dataclasses.replace(config, device=gpu))
    assert there.epochs[0]["test_loss"] == pytest.approx(here.epochs[0]["test_loss"], rel=1e-3)


@pytest.mark.slow
def test_lazy_images_go_to_the_device_batch_by_batch(strict, config):
    """As arrays do, to the bit: each batch is one upload, and asks the device for nothing."""
    whole = data.load("cifar10", config.data_dir)

    def lazy(x):
        return LazyImages(lambda at: x[at], x.shape[1:], np.arange(len(x)))

    there = dataclasses.replace(whole, train_x=lazy(whole.train_x), test_x=lazy(whole.test_x))
    there, expected = there.to("gpu"), whole.to("gpu")
    epoch, other = (batches(dataset, 7, np.random.default_rng(0), augmented=True)
                    for dataset in (there, expected))
    for i, (z, w) in enumerate(other):
        with strict.counted() as found:
            x, y = next(epoch)
        assert not found.reads and (i == 0 or found.uploads.total() == 1)
        np.testing.assert_array_equal(to_host(x), to_host(z))
        np.testing.assert_array_equal(to_host(y), to_host(w))
    x, z = (normalise(dataset.test_x[2:5], dataset) for dataset in (there, expected))
    np.testing.assert_array_equal(to_host(x), to_host(z))


@pytest.mark.slow
def test_pools_with_padding(gpu, rng):
    x = rng.integers(-3, 3, (2, 3, 7, 7)).astype(np.float32)  # equal ones: the first wins
    results = []
    for device in ("cpu", gpu):
        pool = MaxPool2d(3, stride=2, pad=1)
        y = pool.forward(to_device(x, device), train=True)
        results.append([to_host(y), to_host(pool.backward(y))])
    for a, b in zip(*results, strict=True):
        np.testing.assert_array_equal(a, b)


@pytest.mark.slow
@pytest.mark.parametrize(("method", "model"), [*((name, "small-cnn-0.1") for name in METHODS),
                                               ("dsr", "wrn-10-0.5")])
def test_the_read_budget(strict, method, model, config):
    """One read a step, the loss. One more where tensors are reallocated, two with dense gradients;
    DeepR reallocates at every step. One for an evaluation, and for an exploration rate; one for a
    checkpoint, and another one for SNFS's momentum."""
    config = dataclasses.replace(with_moves(config, method), model=model, device="gpu")
    trainer = Trainer(config)
    still = 2 if method == "deepr" else 1
    moving = 3 if method in ("rigl", "snfs") else 2
    for x, y in trainer.batches():
        with strict.counted() as found:
            report = trainer.step(x, y)
        assert found.reads.total() == (moving if report else still), found.reads
    budgets = [(lambda: evaluate(trainer.model, trainer.dataset), 1),
               (trainer.state, 2 if method == "snfs" else 1)]
    if method != "dst":  # where its weights are, is found by looking
        budgets.append((trainer.method.explored.rate, 1))
    for work, budget in budgets:
        with strict.counted() as found:
            work()
        assert found.reads.total() == budget, found.reads


@pytest.mark.slow
@pytest.mark.parametrize(("method", "launches"), [("dsr", 1115), ("dense", 995)])  # as GPU.md says
def test_uploads_and_launches_of_a_step(strict, config, method, launches):
    """Images and labels are on the device, and are augmented there; the order of an epoch goes up
    with its first batch. CuPy uploads where arrays are that it joins, to see if all are finite."""
    trainer = Trainer(dataclasses.replace(config.for_method(method), model="wrn-28-2", batch=2,
                                          device="gpu"))
    batches = trainer.batches()
    trainer.step(*next(batches))
    with strict.counted() as found:
        batch = next(batches)
    assert found.launches.total() == 24
    assert not found.uploads
    with strict.counted() as found:
        trainer.step(*batch)
    assert found.launches.total() == launches, found.launches
    assert found.uploads.total() == 3


@pytest.mark.slow
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(q=windows(images=(1, 5), size=12))
def test_a_convolution_is_that_of_the_cpu(gpu, q):
    """The kernels in CUDA against what they stand for: loops over taps, borders and sums."""
    (x, w, dy), g = q.arrays(), blocked.Geometry.of(q.H, q.W, q.k, q.s, q.p)
    x_there, w_there, dy_there = (to_device(a, gpu) for a in (x, w, dy))
    y = blocked.forward(x_there, w_there, g)
    dx, dw = blocked.backward(x_there, dy_there, w_there, g)
    for a, b in zip((y, dx, dw), (blocked.forward(x, w, g), *blocked.backward(x, dy, w, g)),
                    strict=True):
        np.testing.assert_allclose(to_host(a), b, rtol=1e-10, atol=1e-10)


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("nvcc") is None, reason="there is no nvcc, CUDA's compiler, here")
def test_kernels_compile(strict, config, tmp_path):
    """Those of a step, as CuPy writes them, with its headers. To run them takes a GPU."""
    trainer = Trainer(dataclasses.replace(config, device="gpu"))
    trainer.step(*next(trainer.batches()))
    assert len(strict.programs) >= 10
    headers = Path(cupy.__file__).parent / "_core" / "include"
    parts = [f"#include <cupy/{name}.cuh>\n" for name in ("complex", "carray")]
    for i, program in enumerate(sorted(strict.programs)):  # in one file: headers are read once
        parts.append(f"namespace program{i} {{{program}}}\n".replace('extern "C"', ""))
    path = tmp_path / "all.cu"
    path.write_text("".join(parts))
    done = subprocess.run(["nvcc", "-ptx", "-w", "-I", headers, "-o", path.with_suffix(".ptx"),
                           path], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.slow
def test_a_whole_batch_is_one_block(strict, monkeypatch):
    monkeypatch.setattr(blocked, "BLOCK_BYTES", 1)
    monkeypatch.setattr(parallel, "CHUNK_IMAGES", 1)
    x, w = np.ones((9, 2, 5, 5)), np.ones((3, 2, 3, 3))
    g = blocked.Geometry.of(5, 5, 3, 1, 1)
    with strict.counted() as found:
        blocked.forward(to_device(x, "gpu"), to_device(w, "gpu"), g)
    few = found.launches.total()
    with strict.counted() as found:
        blocked.forward(to_device(x[:1], "gpu"), to_device(w, "gpu"), g)
    assert found.launches.total() == few < 20


@pytest.mark.slow
def test_a_gpu_without_tf32(strict, config, monkeypatch):
    monkeypatch.setattr(strict.cuda.Device, "compute_capability", "75")
    with pytest.raises(DeviceError, match="needs compute capability 8.0, this GPU has 7.5"):
        Trainer(dataclasses.replace(config, device="gpu", tf32=True))


@pytest.mark.slow
def test_a_run_with_tf32_goes_on_on_a_cpu(strict, config, tmp_path):
    train(dataclasses.replace(config, device="gpu", tf32=True), out=tmp_path)
    longer = dataclasses.replace(config, device="cpu")
    assert train(longer, out=tmp_path, resume=True).epochs


@pytest.mark.slow
def test_tf32_is_said_either_way(strict, config, monkeypatch):
    monkeypatch.setenv("CUPY_TF32", "1")
    linalg = strict._core._routines_linalg
    for on, expected in ((True, linalg.COMPUTE_TYPE_TF32), (False, linalg.COMPUTE_TYPE_DEFAULT)):
        Trainer(dataclasses.replace(config, device="gpu", tf32=on))
        assert linalg.compute_types == {np.dtype(np.float32): expected}
    with pytest.raises(DeviceError, match="--tf32 is for a GPU"):
        Trainer(dataclasses.replace(config, tf32=True))


@pytest.mark.slow
@pytest.mark.parametrize("gpu", ["C", pytest.param("gpu", marks=pytest.mark.gpu)], indirect=True)
def test_the_command_line_says_which_gpu(gpu, capsys):
    name = backend.describe_device(gpu)
    assert re.fullmatch(r".+, \d+ GiB, compute capability \d+\.\d, driver for CUDA \d+\.\d+, "
                        r"CuPy for CUDA \d+\.\d+", name)
    assert main(["info", "--device", "gpu"]) == 0
    assert name in capsys.readouterr().out
    assert main(["bench", "--device", "auto", "--model", "wrn-10-0.25", "--batch", "2", "--steps",
                 "1", "--json", "--tf32", "--profile"]) == 0
    out, err = capsys.readouterr()
    assert err == f"on {name}\n"
    result = json.loads(out)
    assert result["engine"] == "blocked"
    assert result["tf32"] and result["gpu_bytes"] >= 0
    assert sum(p["ms"] for p in result["profile"]["parts"]) == pytest.approx(
        result["profile"]["step_ms"])


@pytest.mark.slow
def test_no_memory_left_is_one_line(capsys, monkeypatch):
    def measure(config, steps, parts):
        raise cupy.cuda.memory.OutOfMemoryError(2 ** 30, 2 ** 20)

    monkeypatch.setattr("minidsr.run.bench.measure", measure)
    assert main(["bench", "--device", "cpu", "--engine", "blocked"]) == 1
    _, err = capsys.readouterr()
    assert err.count("\n") == 1
    assert "1,073,741,824 bytes" in err and "--batch" in err


@pytest.mark.slow
@pytest.mark.gpu
def test_a_gpu_without_memory(config, capsys):
    try:
        choose_device("gpu")
    except DeviceError as error:
        pytest.skip(f"no GPU here: {error}")
    pool = cupy.get_default_memory_pool()
    pool.set_limit(size=2 ** 20)
    try:
        assert main(["bench", "--device", "gpu", "--model", "wrn-16-1", "--steps", "1"]) == 1
    finally:
        pool.set_limit(size=0)
    _, err = capsys.readouterr()
    assert "out of memory" in err and "--batch" in err


def close(a, b, **tolerance):
    """Two states: arrays of numbers to rounding, everything else the same."""
    assert a.keys() == b.keys()
    for key in a:
        if isinstance(a[key], np.ndarray) and a[key].dtype.kind == "f":
            np.testing.assert_allclose(a[key], b[key], err_msg=key, **tolerance)
        elif isinstance(a[key], np.ndarray):
            np.testing.assert_array_equal(a[key], b[key], err_msg=key)
        else:
            assert a[key] == b[key], key
