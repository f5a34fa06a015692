"""Checkpoints: same state, same bytes; whole or not at all; nothing of a stranger's is believed."""

import pickle
import resource
import subprocess
import sys

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from minidsr.run import directory
from minidsr.run.directory import CheckpointError

json_values = st.recursive(
    st.none() | st.booleans() | st.integers(-2**127, 2**127) | st.text()
    | st.floats(allow_nan=False, allow_infinity=False),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner), max_leaves=5)
names = st.text("abc./_", min_size=1).filter(lambda n: n not in ("header", "format", "file"))
arrays = hnp.arrays(st.sampled_from([np.float32, np.float64, np.int32]),
                    hnp.array_shapes(min_dims=0, max_dims=3, max_side=4))


@given(st.dictionaries(names.map(lambda n: "model/" + n), arrays, max_size=3),
       st.dictionaries(names, json_values, max_size=3))
def test_round_trip(tmp_path_factory, arrays, rest):
    folder = tmp_path_factory.mktemp("checkpoint")
    directory.save(folder / "a.npz", arrays | rest)
    back = directory.load(folder / "a.npz")
    assert back.keys() == (arrays | rest).keys()
    for key, array in arrays.items():
        assert back[key].dtype == array.dtype
        assert back[key].tobytes() == array.tobytes()
    assert {key: back[key] for key in rest} == rest
    directory.save(folder / "b.npz", back)
    assert (folder / "a.npz").read_bytes() == (folder / "b.npz").read_bytes()


def test_every_truncation_is_refused_in_one_line(tmp_path):
    path = tmp_path / "c.npz"
    directory.save(path, {"t": 3, "w": np.arange(5.0)})
    whole = path.read_bytes()
    for length in range(0, len(whole), 37):
        path.write_bytes(whole[:length])
        with pytest.raises(CheckpointError, match="not a whole minidsr checkpoint") as error:
            directory.load(path)
        assert "\n" not in str(error.value)
        assert path.read_bytes() == whole[:length]


class Bomb:
    def __reduce__(self):
        return (print, ("boom",))


def foreign(path):
    np.savez(path, weights=np.zeros(3))


def pickled(path):
    np.savez(path, header=np.array([Bomb()], object))


def other_format(path):
    np.savez(path, header=np.frombuffer(b'{"format": "minidsr-99"}', np.uint8))


def not_an_object(path):
    np.savez(path, header=np.frombuffer(b"[1, 2]", np.uint8))


def plain_pickle(path):
    path.write_bytes(pickle.dumps(Bomb()))


def garbage(path):
    path.write_bytes(np.random.default_rng(0).bytes(5000))


def single_array(path):
    with open(path, "wb") as file:
        np.save(file, np.zeros(3))


@pytest.mark.parametrize("write", [foreign, pickled, other_format, not_an_object, plain_pickle,
                                   garbage, single_array])
def test_foreign_files_are_refused(tmp_path, capsys, write):
    path = tmp_path / "c.npz"
    write(path)
    content = path.read_bytes()
    with pytest.raises(CheckpointError) as error:
        directory.load(path)
    assert "\n" not in str(error.value)
    assert str(path) in str(error.value)
    assert path.read_bytes() == content
    assert capsys.readouterr().out == ""


def test_missing_file(tmp_path):
    with pytest.raises(CheckpointError, match="no checkpoint there"):
        directory.load(tmp_path / "c.npz")


def test_full_disk_leaves_the_old_checkpoint(tmp_path):
    """A limit on the size of files stands for the disk: writing fails in the middle."""
    path = tmp_path / "c.npz"
    directory.save(path, {"t": 1})
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (10_000, limits[1]))
    try:
        with pytest.raises(OSError, match="[Ff]ile too large|No space"):
            directory.save(path, {"t": 2, "w": np.zeros(10_000)})
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert directory.load(path) == {"t": 1}
    assert [p.name for p in tmp_path.iterdir()] == ["c.npz"]


def test_a_run_directory_has_one_process(tmp_path):
    hold = ("import sys\nfrom minidsr.run.directory import claimed\n"
            "with claimed(sys.argv[1], resume=True): print('held', flush=True); input()")
    other = subprocess.Popen([sys.executable, "-c", hold, tmp_path], stdin=subprocess.PIPE,
                             stdout=subprocess.PIPE)
    try:
        assert other.stdout.readline() == b"held\n"
        with pytest.raises(CheckpointError, match="another process"), \
                directory.claimed(tmp_path, resume=True):
            pass
    finally:
        other.kill()
        other.communicate()
    with directory.claimed(tmp_path, resume=True):  # the lock went with the process
        pass


def test_a_directory_in_use_is_refused(tmp_path):
    (tmp_path / "thesis.txt").write_text("precious")
    for resume in (False, True):
        with pytest.raises(CheckpointError, match="no run is in it"), \
                directory.claimed(tmp_path, resume=resume):
            pass
    (tmp_path / "config.json").write_text("{}")
    with pytest.raises(CheckpointError, match="--resume"), \
            directory.claimed(tmp_path, resume=False):
        pass
    assert (tmp_path / "thesis.txt").read_text() == "precious"
