"""Checkpoints as files: whole or not there, the last two, damaged ones left out."""

import warnings

import numpy as np
import pytest

from keras_bottleneck.training import Checkpoints

ARRAYS = {
    "kernel": np.random.default_rng(0).normal(size=(3, 4)).astype("float32"),
    "step": np.array(7, "int64"),
    "seed": np.array([2**32 - 1, 5], "uint32"),
    "half": np.array([1.5, -2.0], "float16"),
}


@pytest.fixture
def checkpoints(tmp_path):
    return Checkpoints(tmp_path / "kept" / "checkpoints")


def files(checkpoints):
    return sorted(path.name for path in checkpoints.folder.iterdir())


def test_what_is_written_is_read_to_the_last_bit(checkpoints):
    assert checkpoints.newest() is None
    facts = {"done": 3, "loss": 0.1 + 0.2, "nothing": None, "worst": float("inf")}
    assert checkpoints.write(7, ARRAYS, facts)
    found = checkpoints.newest()
    assert found.facts == facts
    assert found.arrays.keys() == ARRAYS.keys()
    for name, value in ARRAYS.items():
        assert found.arrays[name].dtype == value.dtype
        np.testing.assert_array_equal(found.arrays[name], value)


def test_the_last_two_remain_and_the_newest_counts(checkpoints):
    for step in (1, 9, 10, 11):
        checkpoints.write(step, ARRAYS, {"step": step})
    assert files(checkpoints) == ["step_0000000010.safetensors", "step_0000000011.safetensors"]
    assert checkpoints.newest().facts == {"step": 11}
    checkpoints.clear()
    assert not checkpoints.folder.exists()


@pytest.mark.parametrize("damage", ["cut", "flipped", "emptied", "text", "fact"])
def test_a_damaged_one_is_left_out_with_a_warning(checkpoints, damage):
    checkpoints.write(1, ARRAYS, {"step": 1})
    checkpoints.write(2, ARRAYS, {"step": 2})
    path = checkpoints.folder / "step_0000000002.safetensors"
    content = bytearray(path.read_bytes())
    if damage == "flipped":
        content[-1] ^= 1
    damaged = {
        "cut": content[: len(content) // 2],
        "flipped": content,
        "emptied": b"",
        "text": b"{}" * 50,
        "fact": content.replace(b'\\"step\\": 2', b'\\"step\\": 3'),
    }[damage]
    assert bytes(damaged) != path.read_bytes()
    path.write_bytes(damaged)
    with pytest.warns(UserWarning, match="step_0000000002.safetensors' is damaged and left out"):
        assert checkpoints.newest().facts == {"step": 1}


def test_nothing_but_damaged_ones_are_refused(checkpoints):
    checkpoints.write(1, ARRAYS, {})
    (checkpoints.folder / "step_0000000001.safetensors").write_bytes(b"")
    with (
        pytest.warns(UserWarning, match="damaged"),
        pytest.raises(ValueError, match="^`checkpoints` must be a folder with a whole checkpoint"),
    ):
        checkpoints.newest()


def test_what_a_killed_process_leaves_is_removed(checkpoints):
    checkpoints.write(1, ARRAYS, {"step": 1})
    (checkpoints.folder / ".step_0000000002.safetensors.part").write_bytes(b"half")
    assert checkpoints.newest().facts == {"step": 1}
    assert files(checkpoints) == ["step_0000000001.safetensors"]


@pytest.fixture
def full_disk():
    """No file of more than a few bytes can be written."""
    resource = pytest.importorskip("resource", reason="Windows has no limit on files")
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100, before[1]))
    yield
    resource.setrlimit(resource.RLIMIT_FSIZE, before)


def test_a_full_disk_is_said_and_leaves_those_before(checkpoints, request):
    checkpoints.write(1, ARRAYS, {"step": 1})
    request.getfixturevalue("full_disk")
    with pytest.warns(UserWarning, match="was not written .*the training goes on"):
        assert not checkpoints.write(2, ARRAYS, {"step": 2})
    assert files(checkpoints) == ["step_0000000001.safetensors"]
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert checkpoints.newest().facts == {"step": 1}


@pytest.mark.parametrize(
    ("given", "name"),
    [({"folder": 3}, "checkpoints"), ({"folder": "here", "every_s": -1}, "every_s")],
)
def test_wrong_arguments_are_refused(given, name, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ValueError, match=f"^`{name}` must be .*Received: {name}="):
        Checkpoints(**given)
