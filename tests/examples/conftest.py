"""The scripts in `examples`, which are no package."""

import importlib.util
from pathlib import Path

import pytest

EXAMPLES = Path(__file__).parents[2] / "examples"


@pytest.fixture
def script():
    """A function: the module of an example."""

    def load(name):
        spec = importlib.util.spec_from_file_location(name, EXAMPLES / f"{name}.py")
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
        return module

    return load


@pytest.fixture
def run(script):
    """A function: runs an example with the words of its command line."""
    return lambda name, *words: script(name).main([str(word) for word in words])
