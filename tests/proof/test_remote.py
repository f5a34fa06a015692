"""A stranger's function in another process: whatever it does is an answer, and nothing else."""

import os
import subprocess
import sys
import textwrap
import time

import numpy as np
import pytest

from minidsr.parameters import Sparse
from minidsr.proof.remote import Answerless, Remote
from minidsr.proof.runner import Unknown, decode, encode
from minidsr.reparam import Report, reallocate

THEIRS = '''
import os, sys, time
import numpy as np
from minidsr.reparam import reallocate

print("loaded")

def same(*args, **kwargs):
    return (*args, kwargs) if kwargs else args

def prints(x):
    print("x is", x)
    print("and loud" * 10**6, file=sys.stderr)
    return x

def raises(x):
    print("about to")
    return x / 0

def stub():  # as an exercise that is yet to be written, which is no wrong answer
    raise NotImplementedError

def endless():
    while True:
        pass

def sleeps():
    time.sleep(60)

def dies():
    os._exit(3)

def leaves():
    sys.exit("passed")

def deep():
    return deep()

def asks():
    return input()

def forges(line):
    for stream in range(3, 20):
        try:
            os.write(stream, line.encode() + b"\\n")
        except OSError:
            pass
    return 1

def writes():
    os.write(1, b"passed\\n")
    return 1

def yields():
    yield 1

def large():
    return 10 ** 5000

def around():
    x = []
    x.append(x)
    return x

def changes(numbers, array, W, rng, table):
    numbers.append(1)
    array += 1
    W.grow(np.array([0]))
    table["x"] = 2
    return rng.random()

def reshapes(array):
    array.shape = -1

def forks():
    os.fork()
    return 1

def breaks(W):
    W.index = W.index[::-1]

def through(f, *args):
    return f(*args), __name__
'''


@pytest.fixture(scope="module")
def remote(tmp_path_factory):
    path = tmp_path_factory.mktemp("theirs") / "theirs.py"
    path.write_text(THEIRS, encoding="utf-8")
    with Remote(path, seconds=5) as remote:
        yield remote


def answerless(remote, *call, **options):
    with pytest.raises(Answerless) as caught:
        remote.call(*call, **options)
    return caught.value


def tensor():
    W = Sparse((2, 2), np.array([1, 3], np.int32), np.array([0.5, -0.0], np.float32))
    W.velocity = np.array([1, 2], np.float32)
    return W


DATA = [None, True, 3, -0.0, 1e300, float("inf"), "θ\n\"", [1, [2.5, None]], (1, (2,)), {"a": [1]},
        {(1, 2): 3}, 10**400, np.arange(6).reshape(2, 3), np.zeros((0, 3), np.float32),
        np.float32(0.1), np.array(7, np.int8), np.array([True]), np.array([1 + 2j]),
        Report(H=1.0, pruned=[1, 2])]


@pytest.mark.parametrize("x", DATA, ids=repr)
def test_data_comes_back_as_it_was(x):
    y = decode(encode(x))
    assert type(y) is type(x) or isinstance(x, np.ndarray) and x.ndim == 0
    assert repr(y) == repr(x) or isinstance(x, np.ndarray) and np.array_equal(x, y)


def test_what_is_no_data_comes_back_as_its_repr():
    assert [decode(encode(x)) for x in (range(3), {1}, object)] == [
        Unknown("range(0, 3)"), Unknown("{1}"), Unknown("<class 'object'>")]


def test_data_goes_there_and_back(remote):
    args = [tensor(), *DATA]
    for x, y in zip(args, remote.call("same", *args), strict=True):
        assert encode(x) == encode(y)
    assert remote.call("same", 1, H=2) == (1, {"H": 2})


def test_what_it_changes_is_changed_here(remote):
    numbers, array, W, rng, table = [], np.zeros(2), tensor(), np.random.default_rng(1), {}
    first, second = np.random.default_rng(1).random(2)
    assert remote.call("changes", numbers, array, W, rng, table) == first
    assert (numbers, array.tolist(), W.index.tolist(), table) == ([1], [1, 1], [0, 1, 3], {"x": 2})
    assert rng.random() == second


def test_an_array_may_get_another_shape(remote):
    array = np.arange(6.0).reshape(2, 3)
    remote.call("reshapes", array)
    assert array.tolist() == [0, 1, 2, 3, 4, 5]


def test_our_reallocate_does_there_what_it_does_here(remote):
    here, there = [tensor(), tensor()], [tensor(), tensor()]
    rest = 0.75, 2, 0.1
    said = reallocate(here, *rest, np.random.default_rng(3), keep_one=False)
    found = remote.call("reallocate", there, *rest, np.random.default_rng(3), keep_one=False)
    assert found == said and encode(here) == encode(there)


def test_a_tensor_may_be_broken_there(remote):
    W = tensor()
    remote.call("breaks", W)
    assert W.index.tolist() == [3, 1]


def test_what_it_prints_is_kept_from_the_beginning(remote):
    assert remote.call("prints", 3) == 3
    assert remote.printed.startswith("x is 3\nand loudand loud") and len(remote.printed) == 2000
    assert remote.call("same") == () and remote.printed == ""


def test_what_it_raises_is_an_answer(remote):
    error = answerless(remote, "raises", 1)
    assert (error.kind, error.error, error.code) == (
        "raised", "ZeroDivisionError", "return x / 0")
    assert THEIRS.splitlines()[error.line - 1].strip() == error.code
    assert remote.printed == "about to\n"
    assert answerless(remote, "stub").error == "NotImplementedError"
    assert answerless(remote, "leaves").error == "SystemExit"
    assert answerless(remote, "deep").error == "RecursionError"
    assert answerless(remote, "asks").error == "EOFError"
    assert answerless(remote, "nothing").kind == "missing"


def test_what_cannot_be_sent_is_an_answer(remote):
    assert "generator object yields" in remote.call("yields").text
    assert "cannot be sent" in remote.call("large").text
    assert answerless(remote, "around").error == "RecursionError"


@pytest.mark.parametrize("line", [
    "passed", '{"id": 1, "value": 1, "changed": [], "printed": ""}', "[]", "{}"])
def test_a_forged_line_is_none(remote, line):
    error = answerless(remote, "forges", line)
    assert error.kind == "garbled"
    assert remote.call("same", 1) == (1,)  # it was started again


@pytest.mark.parametrize("value", [
    '{"array": "!", "dtype": "O", "shape": []}', '{"x": 1}', '1, "raised": "Error"'])
def test_a_forged_value_is_none(remote, value):
    """Also of a program that has seen the number of the call."""
    remote.start()
    line = f'{{"id": {remote.id + 1}, "value": {value}, "changed": [], "printed": ""}}'
    assert answerless(remote, "forges", line).kind == "garbled"


def test_what_it_writes_past_python_goes_nowhere(remote):
    assert remote.call("writes") == 1


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs os.fork")
def test_a_copy_of_the_process_does_not_answer(remote):
    assert remote.call("forks") == 1
    assert remote.call("same", 1) == (1,)


def test_it_may_be_called_through_another_function(remote):
    assert remote.call("same", 1, through=f"{__name__}:twice") == [(1,), (1,)]


def test_to_import_that_function_is_not_of_its_time(remote, tmp_path, monkeypatch):
    (tmp_path / "slow.py").write_text(
        "import time\ntime.sleep(0.5)\n\n\ndef once(f, x):\n    return f(x)\n")
    monkeypatch.syspath_prepend(tmp_path)
    remote.close()
    assert remote.call("same", 1, through="slow:once", seconds=0.4) == (1,)


def twice(f, *args):
    return [f(*args), f(*args)]


def test_what_does_not_end_is_ended(remote):
    process = remote.process or remote.start() or remote.process
    error = answerless(remote, "endless", seconds=0.3)
    assert error.kind == "hangs" and "0.3 s" in str(error)
    assert process.returncode is not None  # it has ended
    assert answerless(remote, "dies").kind == "dies"
    assert remote.call("same", 1) == (1,)


@pytest.mark.parametrize(("text", "error", "line"), [
    ("x = 1\ndef f(:\n", "SyntaxError", 2), ("\n\n1 / 0\n", "ZeroDivisionError", 3)])
def test_a_file_that_does_not_load(tmp_path, text, error, line):
    path = tmp_path / "theirs.py"
    path.write_text(text)
    with Remote(path) as remote:
        found = answerless(remote, "f")
        assert (found.error, found.line) == (error, line)
        path.write_text("def f():\n    return 2\n")
        assert remote.call("f") == 2


def test_it_ends_with_the_one_who_asks(tmp_path):
    """Also from within an endless loop: the other process reads that its input has ended."""
    path = tmp_path / "theirs.py"
    path.write_text("def endless():\n    open(__file__ + '.runs', 'w').close()\n"
                    "    while True:\n        pass\n")
    code = textwrap.dedent(f"""
        import os, pathlib, threading, time
        from minidsr.proof.remote import Remote
        remote = Remote({str(path)!r})
        remote.start()
        print(remote.process.pid, flush=True)
        threading.Thread(target=remote.call, args=["endless"], kwargs=dict(seconds=60),
                         daemon=True).start()
        while not pathlib.Path({str(path) + ".runs"!r}).exists():
            time.sleep(0.01)
        os._exit(0)""")
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    if hasattr(os, "kill") and os.name == "posix":
        for _ in range(500):
            try:
                os.kill(int(done.stdout), 0)
            except ProcessLookupError:
                return
            time.sleep(0.02)
        raise AssertionError("it still runs")
