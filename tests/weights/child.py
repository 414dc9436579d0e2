"""Python processes that import what downloads and nothing else, to start in an instant."""

import os
import subprocess
import sys
from pathlib import Path

REPOSITORY = Path(__file__).parents[2]

# As on a machine without keras; the folder's own `__init__` would ask for it.
PREAMBLE = """
import sys, types
sys.modules["keras"] = None
weights = types.ModuleType("keras_bottleneck.weights")
weights.__path__ = ["keras_bottleneck/weights"]
sys.modules["keras_bottleneck.weights"] = weights
"""


def start(script, *arguments, **environment):
    """A process that runs `script`; what it prints is to be read from its `stdout`."""
    return subprocess.Popen(
        [sys.executable, "-c", PREAMBLE + script, *map(str, arguments)],
        env={**os.environ, "no_proxy": "*", **environment},
        stdout=subprocess.PIPE,
        text=True,
        cwd=REPOSITORY,
    )
