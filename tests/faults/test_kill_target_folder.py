"""Killed before any of its steps, an export into a folder is all there or not at all."""

import json
import os
import signal
import threading
from functools import partial
from pathlib import Path

import pytest

from keras_bottleneck.export import ExportError, target_folder
from keras_bottleneck.runtime import manifest

from .killing import finished, killed_at_step

NAMES = ("a.tflite", "b_saved_model", "c.onnx")
fcntl = pytest.importorskip("fcntl", reason="Windows has no fork")
resource = pytest.importorskip("resource", reason="Windows has no fork")


def write(folder, version):
    """The artifacts of one version in a folder."""
    for name in NAMES:
        if name == "c.onnx" and version == "old":
            continue  # it is new
        path = folder / name
        if name.endswith("model"):
            (path / "variables").mkdir(parents=True)
            (path / "saved_model.pb").write_text(version * 100)
            path = path / "variables" / "variables.data"
        path.write_text(version * 1000)


def place(directory, version, *others):
    """What `export_model` does once it has a model."""
    with target_folder.scratch_folder(directory) as scratch:
        write(scratch, version)
        for name in others:
            (scratch / name).write_text(version)
        names = [path.name for path in scratch.iterdir()]
        entries = {
            name: {
                "version": version,
                "size": manifest.size_of(scratch / name),
                "sha256": manifest.sha256_of(scratch / name),
            }
            for name in names
        }
        target_folder.commit(scratch, directory, entries)


def trusted(directory):
    """Name to version of what a reader takes for an artifact; what it refuses is left out."""
    found = {}
    for name, entry in manifest.read(directory).items():
        try:
            assert manifest.vouches_for(directory / name)
        except ValueError as error:
            assert "lists, and has another sha256" in str(error)
        else:
            found[name] = entry["version"]
    return found


def contents(directory):
    return {
        path.relative_to(directory): path.read_text()
        for path in directory.rglob("*")
        if path.is_file() and path.name != manifest.MANIFEST
    }


def expected(tmp_path, version):
    folder = tmp_path / f"expected_{version}"
    folder.mkdir()
    write(folder, version)
    return contents(folder)


@pytest.mark.parametrize(
    "before", ["older artifacts", pytest.param("nothing", marks=pytest.mark.slow)]
)
def test_killed_before_every_step(tmp_path, before):
    whole = {version: expected(tmp_path, version) for version in ("old", "new")}
    ended = {"old": 0, "new": 0}
    step = 1
    while True:
        directory = tmp_path / f"{step}" / "files"
        if before == "older artifacts":
            place(directory, "old")
        if not killed_at_step(partial(place, directory, "new"), step):
            break
        # What readers trust is whole, whatever it is.
        assert set(trusted(directory).values()) <= {"old", "new"}
        # The next export, of another file, puts the folder right: all of one version or the other.
        place_other(directory)
        found = contents(directory)
        assert found.pop(Path("other.tflite")) == "x"
        version = "new" if found == whole["new"] else "old"
        ended[version] += 1
        assert found == (whole[version] if found or before == "older artifacts" else {})
        names = {path.name for path in directory.iterdir()}
        assert names == {manifest.MANIFEST, *manifest.read(directory)}
        assert len(trusted(directory)) == len(manifest.read(directory))
        step += 1
    assert step > 20
    assert min(ended.values()) > 3
    assert set(trusted(directory).values()) == {"new"}


def place_other(directory):
    with target_folder.scratch_folder(directory) as scratch:
        path = scratch / "other.tflite"
        path.write_text("x")
        entry = {"version": "other", "size": 1, "sha256": manifest.sha256_of(path)}
        target_folder.commit(scratch, directory, {path.name: entry})


def test_one_that_is_at_work_is_waited_for_and_left_alone(tmp_path):
    """Until it is killed: then its lock is free and its scratch folder goes."""
    ready, told = os.pipe()
    pid = os.fork()
    if pid == 0:
        with target_folder.scratch_folder(tmp_path) as scratch:
            (scratch / "half").write_text("half")
            os.write(told, b"x")
            signal.pause()
    os.read(ready, 1)
    second = threading.Thread(target=place, args=(tmp_path, "new"))
    second.start()
    second.join(0.5)
    assert second.is_alive()
    assert [path.read_text() for path in tmp_path.glob(".export-*/half")] == ["half"]
    assert not (tmp_path / manifest.MANIFEST).exists()
    os.kill(pid, signal.SIGKILL)
    os.waitpid(pid, 0)
    second.join(10)
    assert not second.is_alive()
    assert contents(tmp_path).keys() == expected(tmp_path, "new").keys()


def test_two_at_once_are_one_after_the_other(tmp_path):
    directory = tmp_path / "files"
    threads = [
        threading.Thread(target=place, args=(directory, version, f"{version}.tflite"))
        for version in ("first", "second", "third")
    ]
    for one in threads:
        one.start()
    for one in threads:
        one.join()
    assert {"first.tflite", "second.tflite", "third.tflite"} < set(trusted(directory))
    assert len({trusted(directory)[name] for name in NAMES}) == 1
    assert not list(directory.glob(".*"))


def test_a_full_disk_is_one_sentence_and_harms_nothing(tmp_path):
    place(tmp_path, "old")
    before = contents(tmp_path), (tmp_path / manifest.MANIFEST).read_bytes()

    def full():
        resource.setrlimit(resource.RLIMIT_FSIZE, (2000, 2000))
        with pytest.raises(ExportError) as error:
            place(tmp_path, "newer" * 100)
        assert str(error.value) == (
            f"Files cannot be written into {tmp_path} (File too large); it is as it was."
        )

    finished(full)
    assert (contents(tmp_path), (tmp_path / manifest.MANIFEST).read_bytes()) == before
    assert not list(tmp_path.glob(".*"))


@pytest.mark.parametrize(
    "name", ["../climbed", "/tmp/climbed", "a/../../climbed", "..", "", "manifest.json", "a\\b"]
)
def test_a_left_over_manifest_with_names_that_lead_elsewhere_moves_nothing(tmp_path, name):
    hostile = tmp_path / "files" / ".export-hostile"
    (hostile / "old").mkdir(parents=True)
    (hostile / "climbed").write_text("x")
    content = {"format": 1, "artifacts": {name: {"sha256": "0", "size": 1}}}
    (hostile / manifest.MANIFEST).write_text(json.dumps(content))
    place_other(tmp_path / "files")
    assert {path.name for path in tmp_path.rglob("*")} == {"files", "manifest.json", "other.tflite"}


def test_locks_are_those_of_the_system(tmp_path):
    """The lock file of a process that is gone locks nobody out; that of a live one does."""
    (tmp_path / target_folder.LOCK).touch()
    place(tmp_path, "old")
    with (tmp_path / target_folder.LOCK).open("ab") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        waiting = threading.Thread(target=place, args=(tmp_path, "new"))
        waiting.start()
        waiting.join(0.3)
        assert waiting.is_alive()
    waiting.join(10)
    assert set(trusted(tmp_path).values()) == {"new"}
