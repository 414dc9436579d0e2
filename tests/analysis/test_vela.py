"""Arm's compiler puts our int8 files on the NPU, and counts what `cost` counts."""

import re
import subprocess

import keras
import numpy as np
import pytest
from keras import layers

import keras_bottleneck as kb
from keras_bottleneck.analysis import check, cost, vela

# Slow, for CI installs the compiler with what other slow tests need.
pytestmark = pytest.mark.slow

pytest.importorskip("tensorflow", reason="files are written by TensorFlow")
pytest.importorskip("ethosu.vela", reason="ethos-u-vela is not installed")

KERNELS = ("Conv2D", "DepthwiseConv2D", "FullyConnected")
NPUS = (
    ("ethos-u55-128", "Ethos_U55_High_End_Embedded", "Shared_Sram"),
    ("ethos-u85-256", "Ethos_U85_SYS_DRAM_Mid", "Dedicated_Sram"),
)


def exported(model, folder, side):
    """The quantized model and its int8 file, which takes and returns int8."""
    images = np.random.default_rng(0).normal(size=(100, side, side, 3)).astype(np.float32)
    kb.training.recalibrate_batch_norm(model, images)
    quantized = kb.quantize(model, images)
    arguments = {"formats": ["tflite_int8"], "io_type": "int8", "verify": images[:8]}
    return quantized, kb.export_model(quantized, folder, **arguments)["tflite_int8"].path


@pytest.fixture(scope="module")
def small(tmp_path_factory):
    image = keras.Input((16, 16, 3))
    x = layers.Conv2D(16, 3, activation="relu")(image)
    x = layers.GlobalAveragePooling2D(name="mean")(x)
    model = keras.Model(image, layers.Dense(3)(x), name="small")
    return exported(model, tmp_path_factory.mktemp("small"), 16)


def test_the_compiler_has_every_operator_of_its_row(tmp_path):
    subprocess.run(["vela", "--supported-ops-report"], cwd=tmp_path, check=True)
    report = (tmp_path / "SUPPORTED_OPS.md").read_text()
    table = report.split("## Ethos-U55 and Ethos-U65 TFLite Summary Table")[1].split("\n## ")[0]
    listed = set(re.findall(r"^\| ([A-Z0-9_]+) \|", table, re.MULTILINE))
    assert kb.analysis.TARGETS["ethos-u"].operators - {""} <= listed


def test_a_small_file(small):
    quantized, path = small
    report = vela(path)
    assert report.on_cpu == ()
    assert report.macs["Conv2D"] == 14 * 14 * 16 * 27
    assert report.macs["FullyConnected"] == 16 * 3
    assert report.cycles > 0
    assert report.milliseconds == pytest.approx(report.cycles / 500e6 * 1e3, rel=0.01)
    assert report.memory["sram"] >= cost(quantized).peak_bytes("int8")
    assert report.memory["off_chip_flash"] >= cost(quantized).parameters / 2
    assert "all operators on the NPU" in str(report)
    assert vela(path, memory_mode="Sram_Only").memory["off_chip_flash"] == 0


def test_a_file_in_float_stays_on_the_cpu(tmp_path):
    """The compiler exits with 0 all the same."""
    model = keras.Sequential([keras.Input((8, 8, 3)), layers.Conv2D(4, 3)], name="float")
    verify = np.ones((2, 8, 8, 3), np.float32)
    path = kb.export_model(model, tmp_path, ["tflite"], verify=verify)["tflite"].path
    report = vela(path)
    assert any(name.startswith("Conv2D") for name in report.on_cpu)
    assert report.macs.get("Conv2D", 0) == 0
    assert "on the CPU" in str(report)


def test_wrong_arguments(small, tmp_path):
    _, path = small
    with pytest.raises(ValueError, match=r"^`accelerator` must be one of .*Received: "):
        vela(path, "ethos-u55")
    with pytest.raises(ValueError, match=r"^`system_config` must be one of .*Received: "):
        vela(path, system_config="Ethos_U55")
    with pytest.raises(ValueError, match=r"^`memory_mode` must be one of .*Received: "):
        vela(path, memory_mode="Sram")
    with pytest.raises(ValueError, match=r"^`path` must be an existing .tflite file"):
        vela(tmp_path / "missing.tflite")
    (tmp_path / "text.tflite").write_text("no file of TFLite's")
    with pytest.raises(ValueError, match=r"^`path` must be a file that vela compiles .*Received: "):
        vela(tmp_path / "text.tflite")


NETWORKS = {
    "resnet18": (lambda: kb.ResNet18(input_shape=(64, 64, 3), classes=10), 64),
    "resnet20": (
        lambda: kb.ResNet(
            "basic",
            (3, 3, 3),
            filters=(16, 32, 64),
            stem="cifar",
            shortcut="pad",
            input_shape=(32, 32, 3),
            classes=10,
            name="resnet20",
        ),
        32,
    ),
    "mobilenet_v2": (lambda: kb.MobileNetV2(input_shape=(64, 64, 3), classes=10), 64),
}


@pytest.mark.full
@pytest.mark.parametrize("name", NETWORKS)
def test_whole_networks_run_on_the_npu(name, tmp_path, peak_of_file):
    build, side = NETWORKS[name]
    model = build()
    assert check(model, "ethos-u").problems == ()
    quantized, path = exported(model, tmp_path, side)
    assert peak_of_file(path) == cost(quantized).peak_bytes("int8")
    for accelerator, system_config, memory_mode in NPUS:
        report = vela(path, accelerator, system_config, memory_mode)
        print(report)
        assert report.on_cpu == ()
        assert sum(report.macs.get(kind, 0) for kind in KERNELS) == cost(model).macs
        # The mean is a depthwise convolution there.
        read = next(one for one in kb.graph.flatten(model).layers if one.name == "avg_pool").input
        assert report.macs["Mean"] == np.prod(read.shape[1:])
        assert report.cycles > 0
