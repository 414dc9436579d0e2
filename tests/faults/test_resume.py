"""Trainings that are killed end with the bits of undisturbed ones: see `resume.py` beside this.

Each case takes `KERAS_BOTTLENECK_KILLS` kills, by default 3; the figures in README.md are of 50.
"""

import importlib.util
import os
import subprocess
import sys
from pathlib import Path

import pytest

from ..marks import some_full

ROOT = Path(__file__).parents[2]
KILLS = os.environ.get("KERAS_BOTTLENECK_KILLS", "3")
CASES = (
    *("images", "augmented", "arrays", "generator", "shuffled", "half", "quantized", "phases"),
    *("train", "lengthened", "finetune", "lengthened_finetune"),
)
# A run that is lengthened has images, dropout, dropped paths, averages and decay, too.
FULL = [case for case in CASES if case not in ("generator", "augmented", "lengthened")]

pytestmark = [
    pytest.mark.slow,
    pytest.mark.timeout(3600),
    pytest.mark.skipif(not hasattr(os, "fork"), reason="killing copies of a process needs fork"),
]


def killed(case, backend):
    found = subprocess.run(
        [sys.executable, "-m", "tests.faults.resume", case, "--kills", KILLS],
        cwd=ROOT,
        env={**os.environ, "KERAS_BACKEND": backend},
        capture_output=True,
        text=True,
    )
    assert found.returncode == 0, found.stdout + found.stderr[-3000:]
    assert " 0 losses" in found.stdout


@pytest.mark.skipif(
    not importlib.util.find_spec("tensorflow"), reason="`tensorflow` is not installed"
)
@pytest.mark.parametrize("case", some_full(CASES, FULL))
def test_killed_training_ends_with_the_same_bits(case):
    killed(case, "tensorflow")


@pytest.mark.skipif(not importlib.util.find_spec("jax"), reason="`jax` is not installed")
@pytest.mark.parametrize("case", some_full(("arrays", "generator", "phases"), ("arrays", "phases")))
@pytest.mark.full
def test_killed_training_ends_with_the_same_bits_on_jax(case):
    killed(case, "jax")
