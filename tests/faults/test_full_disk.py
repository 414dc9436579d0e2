"""A disk that is full in the middle of an export or a save: one sentence, and what was there stays.

Files that may grow to so many bytes and no more stand for it: writing fails in the same places.
"""

import subprocess
import sys
from pathlib import Path

import pytest

pytest.importorskip("tensorflow", reason="exports")
pytest.importorskip("resource", reason="Windows bounds no files")

CODE = """
import resource, signal, sys
from pathlib import Path
import keras_bottleneck as kb
from tests.faults.kill import images, network

signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
home = Path(sys.argv[1])

def bounded(most):
    resource.setrlimit(resource.RLIMIT_FSIZE, (most, resource.RLIM_INFINITY))

def contents():
    return {path: path.read_bytes() for path in home.rglob("*") if path.is_file()}

def fails(job, error):
    try:
        job()
    except error as caught:
        print(str(caught))
        assert "\\n" not in str(caught)
    else:
        raise AssertionError("it was written")

def export(formats, version=1):
    kb.export_model(network(version), home / "files", formats, verify=images())

export(["tflite"], 0)
kb.export.save_model(network(0), home / "small.keras")
before = contents()
for formats, most in ((["saved_model"], 20), (["onnx", "tflite"], 2000)):
    bounded(most)
    fails(lambda: export(formats), kb.export.ExportError)
    bounded(resource.RLIM_INFINITY)
    assert contents() == before
for most in (0, 1000, 30000):
    bounded(most)
    fails(lambda: kb.export.save_model(network(1), home / "small.keras"), ValueError)
    bounded(resource.RLIM_INFINITY)
    assert contents() == before
export(["tflite"])
assert not [path for path in home.rglob("*") if path.name.startswith(".")]
print("whole")
"""


@pytest.mark.slow
@pytest.mark.full
def test_a_full_disk(tmp_path):
    root = Path(__file__).parents[2]
    command = [sys.executable, "-c", CODE, str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True, cwd=root)
    assert done.returncode == 0, done.stdout + done.stderr
    *said, last = done.stdout.splitlines()
    assert last == "whole"
    assert len(said) == 5
