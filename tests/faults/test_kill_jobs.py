"""A few kills of real jobs; `python -m tests.faults.kill JOB --trials 50` has more of them."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

pytest.importorskip("tensorflow", reason="the jobs export")
REPOSITORY = Path(__file__).parents[2]
TRIALS = os.environ.get("KERAS_BOTTLENECK_KILLS", "4")


@pytest.mark.slow
@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no fork")
@pytest.mark.parametrize(
    "job",
    [
        "export",
        pytest.param("quantize", marks=pytest.mark.full),
        pytest.param("benchmark", marks=pytest.mark.full),
    ],
)
def test_nothing_torn_is_taken_for_an_artifact(job):
    command = [sys.executable, "-m", "tests.faults.kill", job, "--trials", TRIALS]
    done = subprocess.run(command, cwd=REPOSITORY, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    assert ", 0 losses" in done.stdout.splitlines()[-1]
