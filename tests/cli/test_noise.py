"""The lines of native libraries: which are left out, and that the others come through."""

import os
import subprocess
import sys

import pytest

from keras_bottleneck.cli import noise

STARTING = (
    "WARNING: All log messages before absl::InitializeLog() is called are written to STDERR",
    "I0000 00:00:1795992049.637764   31126 port.cc:153] oneDNN custom operations are on. You may",
    "I0000 00:00:1795992049.677401 31126 cpu_feature_guard.cc:227] This TensorFlow binary is",
    "To enable the following instructions: AVX2 AVX512F, in other operations, rebuild TensorFlow",
    "W0000 00:00:1795992049.677401   31126 gpu_device.cc:2344] Cannot dlopen some GPU libraries.",
    "E0000 00:00:1795992057.454367   31126 cuda_platform.cc:52] failed call to cuInit: INTERNAL",
    "E0000 00:00:1795992057.454367   31126 cuda_dnn.cc:8310] Unable to register cuDNN factory: At",
    "E0000 00:00:1796065668.414486    9780 util.cc:131] oneDNN supports DT_UINT8 only on platforms",
    "2026-11-29 22:41:03.123456: I tensorflow/core/util/port.cc:153] oneDNN custom operations",
    "2026-11-29 22:41:03.123456: E external/local_xla/cuda_driver.cc:152] failed call to cuInit",
    "INFO: Created TensorFlow Lite XNNPACK delegate for CPU.",
    "\x1b[0;93m2026-11-29 22:41:03.123 [W:onnxruntime:Default, device_discovery.cc:164 Discover] "
    "GPU device discovery failed: device_discovery.cc:89",
)
REAL = (
    "E0000 00:00:1795992057.454367   31126 bfc_allocator.cc:500] OOM when allocating tensor",
    "F0000 00:00:1795992057.454367   31126 tensor.cc:100] Check failed: dtype() == expected_dtype",
    "2026-11-29 22:41:03.123456: E tensorflow/core/framework/op.cc:1] Invalid argument",
    "terminate called after throwing an instance of 'std::bad_alloc'",
    "Traceback (most recent call last):",
    "INFO: training has begun",
    "",
)
SCRIPT = """
import os, sys
from keras_bottleneck.cli import noise

noise.leave_out()
for line in sys.argv[1:]:
    os.write(2, line.encode() + b"\\n")
print("of Python", file=sys.stderr)
os.write(2, b"last words")
os.abort()
"""


@pytest.mark.parametrize("line", STARTING)
def test_how_a_library_has_started_is_left_out(line):
    assert noise.own(f"{line}\n".encode()) == b""


@pytest.mark.parametrize("line", REAL)
def test_errors_and_lines_of_others_are_shown(line):
    assert noise.own(f"{line}\n".encode()) == f"{line}\n".encode()


def crashed(**environment):
    """The lines on stderr of a process that crashes."""
    command = [sys.executable, "-c", SCRIPT, *STARTING, *REAL]
    environment = {**os.environ, **environment}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode < 0
    return done.stderr.splitlines()


def test_the_last_words_of_a_crash_come_through():
    lines = crashed(TF_CPP_MIN_LOG_LEVEL="2")
    assert [line for line in lines if line != "of Python"] == [*REAL, "last words"]
    assert "of Python" in lines


def test_who_asks_for_everything_gets_it():
    assert set(STARTING) < set(crashed(TF_CPP_MIN_LOG_LEVEL="0"))


def test_a_file_of_a_runtime_is_opened_without_its_greeting(exported, photos):
    environment = dict(os.environ)
    environment.pop("TF_CPP_MIN_LOG_LEVEL", None)
    words = ["predict", str(exported / "small.tflite"), str(photos / "one" / "00.png")]
    command = [sys.executable, "-m", "keras_bottleneck.cli", *words]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
    assert done.stderr == ""
    assert "probability" in done.stdout
