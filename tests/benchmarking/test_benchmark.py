"""Real files in real runtimes: what is measured, what is kept, what fails."""

import contextlib
import json
import os
import shutil
import signal
import threading
import time
from pathlib import Path

import keras
import numpy as np
import pytest

import keras_bottleneck as kb
from keras_bottleneck.benchmarking import ROWS, BenchmarkReport, benchmark

# Of the processes that measure; those that make files have another word in theirs.
MEASURING = "runtime.measuring"


@pytest.fixture
def small(noise):
    """A network of three classes and images for it."""
    model = kb.ResNet("basic", (1,), filters=(8,), stem="cifar", input_shape=(8, 8, 3), classes=3)
    return model, (noise(40, 8, 8, 3), np.arange(40) % 3)


def normalized(image):
    """A network with a layer that no int8 runtime has."""
    x = keras.layers.Conv2D(4, 3)(image)
    x = keras.layers.LayerNormalization(name="norm")(x)
    x = keras.layers.GlobalAveragePooling2D()(x)
    return keras.Model(image, keras.layers.Dense(3, activation="softmax")(x), name="normalized")


def times(folder):
    return {path: path.stat().st_mtime_ns for path in folder.rglob("*.json") if path.is_file()}


def changed(before, folder):
    """The slots that were written since `times` were taken."""
    after = times(folder)
    return {path.parent.name + "/" + path.name for path in after if after[path] != before.get(path)}


@pytest.mark.slow
@pytest.mark.full
def test_every_format_of_a_trained_network(run, scans, tmp_path):
    report = benchmark(run, scans, images=120)
    assert [cell.name for cell in report.cells] == list(ROWS)
    assert [cell.status for cell in report.cells] == ["ok"] * len(ROWS)
    assert report.images == 120
    assert report.calibrated_on == "512 training images"
    assert report["keras"].top1 > 0.8
    for cell in report.cells:
        exact = cell.precision == "float32"
        assert cell.top1 == pytest.approx(report["keras"].top1, abs=1e-9 if exact else 0.03)
        assert cell.top1 <= cell.top5 <= 1
        assert cell.agreement == 1 if exact else cell.agreement > 0.9
        assert cell.error < 1e-5 if exact else cell.error > 1e-5
        assert 0 < cell.p50_ms <= cell.p90_ms
        assert cell.load_ms > 0
        assert 0 < cell.images_per_s < 1500 / cell.p50_ms
    assert report["tflite_int8"].size < report["tflite_float16"].size < report["tflite"].size
    # A process of LiteRT or ONNX Runtime has no TensorFlow in it.
    for name in ("tflite", "onnx_int8"):
        assert 10e6 < report[name].peak_bytes < 250e6 < report["saved_model"].peak_bytes
    assert report["saved_model"].peak_bytes < report["keras"].peak_bytes
    kept = run / "benchmark" / "benchmark.json"
    assert BenchmarkReport.from_json(kept.read_text()) == report


@pytest.mark.slow
@pytest.mark.full
def test_a_second_run_redoes_only_what_has_changed(small, tmp_path):
    model, (images, labels) = small
    folder = tmp_path / "kept"

    def measure(labels=labels, threads=(1,), images=images):
        before = times(folder)
        report = benchmark(
            model, (images, labels), formats=["tflite"], threads=threads, directory=folder
        )
        return report, changed(before, folder) - {"kept/benchmark.json"}

    first, written = measure()
    assert first["tflite"].ok, first["tflite"].status
    assert written == {"tflite/artifact.json", "tflite/manifest.json", "tflite/threads-1.json"}
    second, written = measure()
    assert (second, written) == (first, set())
    both, written = measure(threads=(1, 2))
    assert both.cells[0] == first.cells[0]
    assert written == {"tflite/threads-2.json"}
    other, written = measure(labels=np.roll(labels, 1))
    assert written == {"tflite/threads-1.json"}
    assert other["tflite"].error == first["tflite"].error
    weights = model.get_weights()
    model.set_weights([weights[0] * 1.5, *weights[1:]])
    _, written = measure()
    assert written == {"tflite/artifact.json", "tflite/manifest.json", "tflite/threads-1.json"}


@pytest.mark.slow
@pytest.mark.full
def test_what_a_format_refuses_is_told_in_its_status(noise, tmp_path):
    model = normalized(keras.Input((8, 8, 3)))
    data = (noise(40, 8, 8, 3), np.arange(40) % 3)
    formats = ["tflite", "tflite_int8", "onnx_int8"]
    report = benchmark(model, data, formats=formats, threads=(1, 2), directory=tmp_path)
    assert [cell.ok for cell in report.cells] == [True] * 2 + [False] * 4
    for cell in report.cells[2:]:
        assert "'norm'" in cell.status and "LayerNormalization" in cell.status
        assert cell.p50_ms is None
    before = times(tmp_path)
    assert benchmark(model, data, formats=formats, threads=(1, 2), directory=tmp_path) == report
    assert changed(before, tmp_path) == {f"{tmp_path.name}/benchmark.json"}


def children():
    """Process ids and command lines of the processes that this one has started."""
    for task in Path("/proc/self/task").iterdir():
        # Threads and processes end between being listed and being read.
        with contextlib.suppress(OSError):
            for pid in (task / "children").read_text().split():
                yield int(pid), Path(f"/proc/{pid}/cmdline").read_text()


@pytest.mark.slow
@pytest.mark.skipif(
    not Path("/proc/self/task").is_dir(), reason="finds the process in Linux's /proc"
)
@pytest.mark.full
def test_a_cell_that_is_killed_ends_alone(small, tmp_path):
    model, data = small
    killed = []

    def kill_the_first():
        deadline = time.monotonic() + 120
        while not killed and time.monotonic() < deadline:
            found = [pid for pid, command in children() if MEASURING in command]
            for pid in found[:1]:
                os.kill(pid, signal.SIGKILL)
                killed.append(pid)
            time.sleep(0.002)

    killer = threading.Thread(target=kill_the_first)
    killer.start()
    arguments = {"formats": ["tflite"], "threads": (1, 2), "directory": tmp_path, "min_top1": 0.0}
    report = benchmark(model, data, **arguments)
    killer.join()
    first, second = report.cells
    assert "killed by SIGKILL" in first.status
    assert second.ok, second.status
    assert report.failed
    assert not list(tmp_path.rglob("threads-1.json"))
    before = times(tmp_path)
    again = benchmark(model, data, **arguments)
    assert again["tflite"].ok and not again.failed
    assert again.cells[1] == second
    assert "tflite/threads-2.json" not in changed(before, tmp_path)


def test_what_takes_too_long_is_told_and_not_kept(small, tmp_path):
    model, data = small
    report = benchmark(model, data, formats=["onnx"], timeout=0.05, directory=tmp_path)
    assert report["onnx"].status == "It took longer than `timeout`, 0.05 seconds."
    assert [path for path in tmp_path.rglob("*") if path.is_file()] == [tmp_path / "benchmark.json"]


@pytest.mark.slow
@pytest.mark.full
def test_a_quantized_model_has_its_own_rows(run, scans):
    model, _ = kb.export.load_model(run / "best.keras")
    quantized = kb.quantize(model, scans.train)
    report = benchmark(quantized, scans, images=60, formats=["onnx_int8"])
    assert report["onnx_int8"].ok, report["onnx_int8"].status
    assert report["onnx_int8"].agreement > 0.9
    assert report.calibrated_on is None
    rows = "`formats` must be one of 'keras_int8', 'tflite_int8', 'onnx_int8'[. ]"
    with pytest.raises(ValueError, match=rows):
        benchmark(quantized, scans, formats=["tflite"])


@pytest.mark.slow
@pytest.mark.full
def test_an_image_folder_is_split_as_training_split_it(tmp_path):
    from PIL import Image

    rng = np.random.default_rng(0)
    for index, name in enumerate(("dark", "light")):
        (tmp_path / "photos" / name).mkdir(parents=True)
        for number in range(20):
            pixels = rng.integers(index * 155, index * 155 + 100, (12, 12, 3), dtype=np.uint8)
            Image.fromarray(pixels).save(tmp_path / "photos" / name / f"{number}.png")
    preprocessing = kb.Preprocessing(8)
    model = kb.ResNet("basic", (1,), filters=(8,), stem="cifar", input_shape=(8, 8, 3), classes=2)
    (tmp_path / "run").mkdir()
    path = kb.export.save_model(
        model, tmp_path / "run" / "best.keras", ["dark", "light"], preprocessing
    )
    report = benchmark(path, tmp_path / "photos", formats=["tflite_int16"])
    assert report.images == 8
    assert report.calibrated_on == "32 training images"
    assert report["tflite_int16"].ok, report["tflite_int16"].status
    assert report["tflite_int16"].top5 is None
    (tmp_path / "photos" / "light").rename(tmp_path / "photos" / "bright")
    with pytest.raises(ValueError, match="`data` must be a folder with the classes of the model"):
        benchmark(path, tmp_path / "photos")
    assert (tmp_path / "run" / "benchmark" / "benchmark.json").is_file()
    assert (
        json.loads((tmp_path / "run" / "benchmark" / "benchmark.json").read_text())["images"] == 8
    )


def test_images_are_taken_from_every_class(run, scans):
    from keras_bottleneck.benchmarking import inputs, subject

    tested = subject.opened(run, run)
    found = inputs.collect(scans, None, tested, limit=60, seed=0, calibrates=False)
    assert len(found.images) == 60 and set(found.labels) == set(range(10))
    assert found.calibration is None


@pytest.mark.parametrize(
    ("changes", "named"),
    [
        ({"model": "missing.keras"}, "model"),
        ({"model": "empty"}, "model"),
        ({"model": "torn.keras"}, "model"),
        ({"model": 3}, "model"),
        ({"data": "photos"}, "data"),
        ({"data": np.zeros((4, 9, 9, 3))}, "data"),
        ({"data": {}}, "data"),
        ({"data": (np.zeros((4, 8, 8, 3)), np.arange(4))}, "data"),
        ({"formats": ["tflite_int4"]}, "formats"),
        ({"formats": "tflite"}, "formats"),
        ({"formats": []}, "formats"),
        ({"threads": (0,)}, "threads"),
        ({"threads": 2}, "threads"),
        ({"images": 0}, "images"),
        ({"seed": -1}, "seed"),
        ({"timeout": 0}, "timeout"),
        ({"calibration": np.zeros((4, 9, 9, 3)), "formats": ["onnx_int8"]}, "calibration"),
        ({"directory": "torn.keras"}, "directory"),
        ({"directory": 3}, "directory"),
        ({"min_top1": 80}, "min_top1"),
        ({"min_top1": 0.5, "data": np.zeros((4, 8, 8, 3))}, "min_top1"),
        ({"max_latency_ratio": 0}, "max_latency_ratio"),
        ({"max_latency_ratio": 2, "formats": ["onnx"]}, "max_latency_ratio"),
    ],
)
def test_a_wrong_call_is_one_sentence_and_runs_nothing(
    changes, named, small, tmp_path, monkeypatch
):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "empty").mkdir()
    (tmp_path / "photos").mkdir()
    (tmp_path / "torn.keras").write_text("torn")
    before = sorted(tmp_path.rglob("*"))
    model, data = small
    call = {"model": model, "data": data, "formats": ["tflite"], **changes}
    with pytest.raises(ValueError, match=f"^`{named}` must ") as caught:
        benchmark(**call)
    assert "\n" not in str(caught.value)
    assert sorted(tmp_path.rglob("*")) == before


def test_layers_of_the_running_script_are_refused(noise):
    layer = type("Own", (keras.layers.Layer,), {"__module__": "__main__", "call": lambda _, x: x})
    keras.saving.register_keras_serializable("tests")(layer)
    image = keras.Input((8, 8, 3))
    model = keras.Model(image, keras.layers.GlobalAveragePooling2D()(layer()(image)))
    with pytest.raises(ValueError, match="layers defined in the running script"):
        benchmark(model, noise(4, 8, 8, 3), formats=["tflite"])


def test_the_folder_of_another_process_is_not_needed(run, tmp_path):
    shutil.copytree(run, tmp_path / "copy", ignore=shutil.ignore_patterns("benchmark"))
    data = np.zeros((4, 16, 16, 1), np.float32)
    report = benchmark(tmp_path / "copy", data, formats=["tflite"], timeout=0.05)
    assert not report["tflite"].ok and not report.labelled
