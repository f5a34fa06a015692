"""minidsr.fast.parallel: batches are cut without loss, threaded, put together in order."""

import os
import signal
import threading
import time
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from threaded import all_at_work
from threadpoolctl import threadpool_info, threadpool_limits

from minidsr import data
from minidsr.fast import parallel
from minidsr.nn.layers import ReLU, Sequential
from minidsr.run.config import Config
from minidsr.run.train import Trainer, train

DEVICE = object()  # an array module that is not NumPy


@pytest.fixture(autouse=True)
def _small_chunks(monkeypatch):
    """As many chunks as there can be, also for a few images."""
    monkeypatch.setattr(parallel, "CHUNK_IMAGES", 1)


@given(st.integers(1, 5000))
def test_chunks_are_not_too_small(n):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(parallel, "CHUNK_IMAGES", 12)
        lengths = [piece.stop - piece.start for piece in parallel.chunks(n)]
    assert len(lengths) == max(1, min(parallel.CHUNKS, n // 12))
    assert min(lengths) >= min(n, 12)


@given(st.integers(1, 5000))
def test_chunks_cover_the_range_once(n):
    pieces = parallel.chunks(n)
    assert [i for piece in pieces for i in range(n)[piece]] == list(range(n))
    lengths = [piece.stop - piece.start for piece in pieces]
    assert len(lengths) == min(n, parallel.CHUNKS)
    assert min(lengths) >= 1
    assert max(lengths) - min(lengths) <= 1
    assert parallel.chunks(n, DEVICE) == [slice(0, n)]


@given(n=st.integers(1, 40), count=st.sampled_from([None, 1, 2, 3, 8]))
def test_results_come_in_the_order_of_the_chunks(n, count):
    def work(piece):
        time.sleep(1e-4 * (parallel.CHUNKS - piece.start % parallel.CHUNKS))  # the first one last
        return piece

    assert parallel.map_chunks(work, n) == parallel.chunks(n)
    with parallel.threads(count):
        assert parallel.map_chunks(work, n) == parallel.chunks(n)
        assert parallel.map_chunks(work, n, DEVICE) == [slice(0, n)]


def at_work():
    """The threads that work on chunks."""
    return set(parallel.map_chunks(lambda piece: threading.get_ident(), 8))


@pytest.mark.parametrize("count", [1, 2, 3])
def test_so_many_threads_work_at_once(count):
    with all_at_work(count) as given_count:
        names = at_work()
    assert given_count == len(names) == count
    assert threading.get_ident() in names  # the caller's works, too


def test_a_thread_that_is_slow_leaves_chunks_to_others():
    caller, others, done = threading.get_ident(), threading.Event(), []

    def work(piece):
        if threading.get_ident() == caller:
            assert others.wait(60)
        else:
            done.append(piece)
            if len(done) == 7:
                others.set()

    with parallel.threads(2):
        parallel.map_chunks(work, 8)
    assert len(done) >= 7


def test_without_a_context_the_caller_works():
    assert at_work() == {threading.get_ident()}


def test_all_cores_by_default():
    with parallel.threads() as count:
        assert count == parallel.available_cores() >= 1


def blas_threads():
    return {pool["num_threads"] for pool in threadpool_info() if pool["user_api"] == "blas"}


def test_blas_has_one_thread_inside_and_its_own_number_outside():
    with threadpool_limits(2):  # conftest.py has left it one
        before = blas_threads()
        with parallel.threads(2):
            assert blas_threads() <= {1}
        assert blas_threads() == before >= {2}


def test_errstate_reaches_the_threads():
    caller, elsewhere = threading.get_ident(), []

    def work(piece):
        if threading.get_ident() == caller:
            return np.inf
        elsewhere.append(piece)
        return np.ones(1) / np.zeros(1)

    with all_at_work(2):
        with np.errstate(divide="raise"), pytest.raises(FloatingPointError):
            parallel.map_chunks(work, 8)
        with np.errstate(divide="ignore"):
            assert parallel.map_chunks(work, 8) == [np.inf] * 8
        with pytest.raises(RuntimeWarning):
            parallel.map_chunks(work, 8)
    assert len(elsewhere) >= 3


@pytest.mark.parametrize("bad", [0, 5, 7])
def test_exceptions_come_out(bad):
    def work(piece):
        if piece.start == bad:
            raise KeyError(f"chunk {bad}")
        return piece.start

    with pytest.raises(KeyError, match=f"chunk {bad}"):
        parallel.map_chunks(work, 8)
    with parallel.threads(2):
        with pytest.raises(KeyError, match=f"chunk {bad}"):
            parallel.map_chunks(work, 8)
        assert parallel.map_chunks(lambda piece: piece.start, 8) == list(range(8))


@pytest.mark.parametrize("of_the_caller", [True, False])
def test_an_exception_waits_for_the_other_thread_and_no_chunk_is_begun_after_it(of_the_caller):
    caller, done = threading.get_ident(), []

    def work(piece):
        if (threading.get_ident() == caller) == of_the_caller:
            raise KeyError("here")
        time.sleep(0.2)
        done.append(piece)

    with all_at_work(2):
        with pytest.raises(KeyError, match="here"):
            parallel.map_chunks(work, 8)
        assert len(done) == 1  # at once: leaving the context waits, too


def test_contexts_do_not_nest():
    with all_at_work(2):
        with pytest.raises(ValueError, match="under way"), parallel.threads(1):
            pass
        assert len(at_work()) == 2  # the outer one goes on
    with parallel.threads(1) as count:
        assert count == 1


def test_a_context_ends_when_an_exception_leaves_it():
    with pytest.raises(KeyError), parallel.threads(2):
        raise KeyError
    test_without_a_context_the_caller_works()
    with parallel.threads(2):
        pass


@pytest.mark.parametrize("count", [0, -1])
def test_a_count_below_one_raises_and_leaves_nothing_behind(count):
    with threadpool_limits(2):
        before = blas_threads()
        with pytest.raises(ValueError), parallel.threads(count):
            pass
        assert blas_threads() == before
    with parallel.threads(1):
        pass


def test_another_thread_is_outside_of_the_context():
    """It computes by itself, and need not know when the context ends."""
    found = []
    with parallel.threads(2):
        other = threading.Thread(target=lambda: found.append(
            set(parallel.map_chunks(lambda piece: threading.get_ident(), 8))))
        other.start()
        other.join(60)
        assert found == [{other.ident}]


# --- one process, one training

SHORT = Config(epochs=1, batch=50, sparsity=0.9, engine="blocked", threads=2)


@pytest.fixture
def in_the_middle(few_shapes, monkeypatch):
    """A function: trains, with act() before the third step; returns what came out."""
    step, few = Trainer.step, data.load("synthetic", "data")
    few = replace(few, **{name: getattr(few, name)[:200]
                          for name in ("train_x", "train_y", "test_x", "test_y")})
    monkeypatch.setattr("minidsr.data.load", lambda name, folder: few)

    def run(act):
        monkeypatch.setattr(Trainer, "step", lambda self, x, y: (
            act() if self.t == 2 and threading.current_thread() is threading.main_thread()
            else None, step(self, x, y))[1])
        done = train(SHORT)
        monkeypatch.setattr(Trainer, "step", step)
        return [{key: value for key, value in record.items() if "per_s" not in key}
                for record in done.epochs]

    return run


def test_a_second_training_is_refused_and_the_first_goes_on(in_the_middle, tmp_path):
    said = []

    def second():
        try:
            train(replace(SHORT, seed=1))
        except BaseException as error:
            said.append(error)

    def act():
        thread = threading.Thread(target=second)
        thread.start()
        thread.join(60)

    alone = in_the_middle(lambda: None)
    assert in_the_middle(act) == alone
    error, = said
    assert type(error) is ValueError
    assert str(error).startswith("a training is under way in this process")
    assert "\n" not in str(error)
    assert in_the_middle(lambda: None) == alone  # a third one


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork on Windows")
@pytest.mark.filterwarnings("ignore:.*multi-threaded.*fork:DeprecationWarning")
def test_a_forked_process_computes_and_trains(in_the_middle):
    """Its parent's threads are not there to wait for; the parent goes on as if alone."""
    codes = []

    def child():
        x = np.ones((96, 2, 3, 3), np.float32)
        model = Sequential(relu=ReLU())
        assert parallel.map_chunks(lambda piece: os.getpid(), 96) == [os.getpid()] * 8
        assert (model.forward(x) == x).all()
        assert parallel._helpers.get() == (None, 0)
        with all_at_work(2):
            assert len(at_work()) == 2
        assert len(train(replace(SHORT, batch=100)).epochs) == 1

    def act():
        pid = os.fork()
        if not pid:
            signal.alarm(60)  # ends it where it waits for ever
            try:
                child()
            except BaseException:
                os._exit(1)
            os._exit(0)
        codes.append(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))

    alone = in_the_middle(lambda: None)
    assert in_the_middle(act) == alone
    assert codes == [0]
