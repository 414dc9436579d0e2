"""A commit gives the same wheel wherever and whenever it is built."""

import os
import subprocess
import sys
import time
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
if not (ROOT / ".git").exists():
    pytest.skip("wheels are built of commits, in a checkout", allow_module_level=True)
pytest.importorskip("setuptools", "77", reason="setuptools>=77 is not installed")


def built(folder, out, umask):
    """The wheel that a clone of the last commit in `folder` builds into `out`."""
    subprocess.run(["git", "clone", "--quiet", ROOT, folder], check=True)
    # What an earlier build may have left.
    (folder / "build" / "lib" / "keras_bottleneck").mkdir(parents=True)
    (folder / "build" / "lib" / "keras_bottleneck" / f"old_{umask}.py").touch()
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
    subprocess.run(
        [folder / ".ci" / "wheel", out], check=True, umask=umask, env={**os.environ, "PATH": path}
    )
    (wheel,) = out.iterdir()
    return wheel


@pytest.mark.slow
def test_two_builds_are_equal(tmp_path):
    first = built(tmp_path / "a", tmp_path / "first", umask=0o022)
    # A zip file counts time in steps of two seconds.
    time.sleep(2.1)
    second = built(tmp_path / "another" / "folder", tmp_path / "second", umask=0o077)
    assert first.name == second.name
    assert first.read_bytes() == second.read_bytes()
    names = zipfile.ZipFile(first).namelist()
    tracked = subprocess.run(
        ["git", "-C", ROOT, "ls-tree", "-r", "--name-only", "HEAD", "keras_bottleneck"],
        capture_output=True,
        text=True,
        check=True,
    ).stdout.split()
    assert {name for name in names if ".dist-info/" not in name} == set(tracked)
