"""The examples in the docstrings run."""

import doctest
import importlib
import pkgutil

import pytest

import keras_bottleneck

pytest.importorskip("tensorflow", reason="examples of data and export need TensorFlow")

MODULES = sorted(
    found.name
    for found in pkgutil.walk_packages(keras_bottleneck.__path__, "keras_bottleneck.")
    if not found.name.endswith("__main__")
)


@pytest.mark.parametrize("name", MODULES)
def test_examples(name, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    module = importlib.import_module(name)
    result = doctest.testmod(module, optionflags=doctest.NORMALIZE_WHITESPACE)
    assert result.failed == 0
