"""What crashes, hangs or swells is met by a process of its own, and told in one sentence."""

import os
import re
import struct
import sys

import numpy as np
import pytest

from keras_bottleneck.runtime import load, probing

from .test_manifest import listed

CRASHES = "import os; os.abort()"


@pytest.fixture
def runtime_that(tmp_path, monkeypatch):
    """Makes the runtimes of processes that are started from now on do something when they open."""
    pytest.importorskip("ai_edge_litert.interpreter")  # this process keeps the real one

    def make(body):
        package = tmp_path / "runtimes" / "ai_edge_litert"
        package.mkdir(parents=True)
        (package / "__init__.py").touch()
        (package / "interpreter.py").write_text(
            f"def Interpreter(path, num_threads):\n    {body}\n"
        )
        monkeypatch.setattr(sys, "path", [str(package.parent), *sys.path])
        monkeypatch.setattr(probing, "_came_through", set())

    return make


def refused(path):
    with pytest.raises(ValueError, match="^`path` must be a whole, readable ") as error:
        load(path)
    assert "\n" not in str(error.value)
    return str(error.value)


def test_a_crash_is_a_sentence(copied, runtime_that):
    runtime_that(CRASHES)
    message = refused(copied("tflite"))
    assert "TFLite file (opened on trial: Its process was killed by SIGABRT)" in message


@pytest.mark.skipif(sys.platform != "linux", reason="bounds memory as Linux does")
def test_memory_is_bounded(copied, runtime_that):
    runtime_that("return bytearray(2**30 + 2**28)")
    assert "MemoryError" in refused(copied("tflite"))


@pytest.mark.slow
def test_time_is_bounded(copied, runtime_that):
    runtime_that("while True: pass")
    message = refused(copied("tflite"))
    # The latter on a machine that is busy with other things.
    assert re.search("SIGXCPU, as happens where time runs out|did not come to an end", message)


def test_what_is_vouched_for_or_trusted_is_opened_at_once(copied, runtime_that):
    path = copied("tflite")
    runtime_that(CRASHES)
    load(path, trusted=True)
    refused(path)
    load(listed(path))


def test_a_file_is_tried_once_for_its_content(copied, runtime_that, tmp_path):
    path = copied("tflite")
    load(path)
    came_through = set(probing._came_through)
    runtime_that(CRASHES)
    probing._came_through.update(came_through)
    load(path)
    path.write_bytes(path.read_bytes() + b"\0")
    refused(path)


def test_the_sentence_of_a_damaged_file_is_that_of_its_runtime(copied):
    path = copied("onnx")
    path.write_bytes(path.read_bytes()[:300])
    with pytest.raises(ValueError) as trusting:
        load(path, trusted=True)
    assert refused(path) == str(trusting.value)


@pytest.mark.parametrize("kind", ["tflite", "onnx"])
def test_weights_that_are_no_numbers_are_refused(bare, tmp_path, kind):
    path = tmp_path / f"nan.{kind}"
    path.write_bytes(with_nan(bare()[kind].read_bytes()))
    assert "not finite" in refused(path)


def with_nan(content):
    """A file with NaN in the place of weights: numbers of usual size among others of usual size."""
    floats = [struct.unpack_from("<f", content, at)[0] for at in range(len(content) - 4)]
    usual = np.abs(np.nan_to_num(floats, nan=0, posinf=0, neginf=0))
    usual = (usual > 0.01) & (usual < 100)
    at = next(i for i in range(len(usual) - 64) if usual[i : i + 64 : 4].all())
    return content[:at] + struct.pack("<f", float("nan")) * 16 + content[at + 64 :]


def test_keras_weights_that_are_no_numbers_are_refused(tmp_path):
    keras = pytest.importorskip("keras")
    model = keras.Sequential([keras.Input((3,)), keras.layers.Dense(2, name="last")])
    model.set_weights([np.full((3, 2), np.inf), np.zeros(2)])
    model.save(tmp_path / "inf.keras")
    assert "last/kernel holds NaN or infinity" in refused(tmp_path / "inf.keras")


def test_trusted_is_a_boolean(copied):
    with pytest.raises(ValueError, match="^`trusted` must be True or False"):
        load(copied("tflite"), trusted=1)


def test_no_process_is_left_behind(copied):
    children = f"/proc/{os.getpid()}/task/{os.getpid()}/children"
    if not os.path.exists(children):
        pytest.skip("finds the process in Linux's /proc")
    load(copied("tflite"))
    with open(children) as file:
        assert not file.read().strip()
