"""What tests of several folders share. Keras is imported by the fixtures, not by this file:
the tests of `runtime` also run where it is not installed."""

import ctypes
import gc
import re
import sys
import time
from collections import defaultdict

import numpy as np
import pytest

# Seconds of a test that may have built something large.
LONG = 5.0


def pytest_addoption(parser):
    parser.addoption(
        "--all-cases",
        action="store_true",
        help="run every case of each test; else those between its first and its last are slow",
    )
    parser.addoption(
        "--renew",
        action="store_true",
        help="write what the blocks of the documentation print into its pages",
    )


@pytest.hookimpl(tryfirst=True)  # before the marks are looked at
def pytest_collection_modifyitems(config, items):
    if config.getoption("--all-cases"):
        return
    cases = defaultdict(list)
    for item in items:
        if not item.get_closest_marker("slow"):
            cases[item.nodeid.split("[")[0]].append(item)
    for several in cases.values():
        for item in several[1:-1]:
            item.add_marker("slow")


@pytest.fixture(autouse=True)
def seeded():
    """The same random numbers for a test whether it runs alone or among others."""
    if "keras" in sys.modules:
        sys.modules["keras"].utils.set_random_seed(0)


@pytest.fixture(autouse=True)
def memory_given_back():
    """Long tests build large networks, which refer to themselves: nothing else frees them soon.

    What is free has to be given back too: two workers that keep what each once needed for
    converting a large network do not fit into the memory of a small machine.
    """
    began = time.monotonic()
    yield
    if time.monotonic() - began > LONG:
        gc.collect()
        if sys.platform == "linux":
            ctypes.CDLL(None).malloc_trim(0)


@pytest.fixture(scope="session")
def as_array():
    """A function: any backend's tensor as a float64 array."""

    def convert(tensor):
        import keras

        return np.asarray(keras.ops.convert_to_numpy(tensor), "float64")

    return convert


@pytest.fixture(scope="session")
def noise():
    """A function: a float32 array of standard normal numbers."""

    def draw(*shape, seed=0):
        return np.random.default_rng(seed).normal(size=shape).astype("float32")

    return draw


@pytest.fixture(scope="session")
def max_difference(as_array):
    """A function: the largest difference of two structures of tensors; inf where shapes differ."""

    def compare(left, right):
        import keras

        pairs = zip(keras.tree.flatten(left), keras.tree.flatten(right), strict=True)
        differences = [0.0]
        for one, other in ((as_array(a), as_array(b)) for a, b in pairs):
            same_shape = one.shape == other.shape
            differences.append(float(np.abs(one - other).max()) if same_shape else np.inf)
        return max(differences)

    return compare


@pytest.fixture(scope="session")
def trained():
    """A function: gives a model or layer the batch norms and biases that training leaves."""

    def randomize(layer, seed=0):
        from keras_bottleneck import keras_private

        generator = np.random.default_rng(seed)
        for sublayer in [layer, *keras_private.sublayers(layer)]:
            for variable in sublayer.variables:
                if variable.name in ("moving_variance", "gamma"):
                    variable.assign(generator.uniform(0.5, 1.5, variable.shape))
                elif variable.name in ("moving_mean", "beta", "bias"):
                    variable.assign(0.1 * generator.normal(size=variable.shape))
        return layer

    return randomize


@pytest.fixture
def dtype_policy():
    """A function that sets the global dtype policy for one test."""
    import keras

    before = keras.config.dtype_policy()
    yield keras.config.set_dtype_policy
    keras.config.set_dtype_policy(before)


@pytest.fixture
def flowers(tmp_path, monkeypatch):
    """A working folder with `flowers/`: 3 classes of coloured noise that can be told apart."""
    from PIL import Image

    rng = np.random.default_rng(0)
    for index, name in enumerate(("daisy", "rose", "tulip")):
        folder = tmp_path / "flowers" / name
        folder.mkdir(parents=True)
        for number in range(12):
            pixels = rng.integers(0, 120, (40, 50, 3))
            pixels[..., index] += 120
            Image.fromarray(pixels.astype(np.uint8)).save(folder / f"{number}.jpg")
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture(scope="session")
def code_blocks():
    """A function: the code blocks of a Markdown file in one language."""

    def find(path, language):
        return re.findall(rf"```{language}\n(.*?)```", path.read_text("utf-8"), re.DOTALL)

    return find


@pytest.fixture
def run_python_blocks(code_blocks):
    """A function: runs the Python blocks of a Markdown file in order, as one program."""

    def run(path):
        namespace = {}
        for block in code_blocks(path, "python"):
            exec(compile(block, path.name, "exec"), namespace)

    return run
