"""What timing gives back is what the artifact computes."""

import json

import numpy as np
import pytest

from keras_bottleneck import runtime
from keras_bottleneck.runtime import measuring
from keras_bottleneck.runtime.timing import timed


@pytest.mark.parametrize("least_runs", [1, 12])
def test_outputs_are_those_of_every_sample_once(artifacts, least_runs, noise):
    predictor = runtime.load(artifacts["tflite"])
    inputs = noise(5, *predictor.input_shape[1:])
    outputs, seconds = timed(predictor, inputs, least_runs)
    np.testing.assert_allclose(outputs, predictor.run(inputs), atol=1e-6)
    size = predictor.input_shape[0] or 1
    assert len(seconds) == max(-(-5 // size), least_runs)
    assert min(seconds) > 0


@pytest.mark.parametrize("kind", ["tflite", "onnx"])
def test_a_job_leaves_figures_and_outputs(artifacts, kind, noise, tmp_path):
    predictor = runtime.load(artifacts[kind])
    inputs = noise(5, *predictor.input_shape[1:])
    np.save(tmp_path / "inputs.npy", inputs)
    job = {"artifact": str(artifacts[kind]), "threads": 1, "inputs": str(tmp_path / "inputs.npy")}
    job |= {"outputs": str(tmp_path / "outputs.npy"), "result": str(tmp_path / "result.json")}
    (tmp_path / "job.json").write_text(json.dumps(job))
    measuring.main(str(tmp_path / "job.json"))
    figures = json.loads((tmp_path / "result.json").read_text())
    assert 0 < figures["p50_ms"] <= figures["p90_ms"]
    assert figures["load_ms"] > 0 and figures["images_per_s"] > 0
    found = np.load(tmp_path / "outputs.npy")
    np.testing.assert_allclose(found, predictor.run(inputs), atol=1e-6)


def test_a_file_that_is_none_is_a_problem_in_words(tmp_path):
    (tmp_path / "torn.tflite").write_bytes(b"torn")
    np.save(tmp_path / "inputs.npy", np.zeros((1, 2, 2, 3), np.float32))
    job = {"artifact": str(tmp_path / "torn.tflite"), "threads": 1}
    job |= {"inputs": str(tmp_path / "inputs.npy"), "result": str(tmp_path / "result.json")}
    (tmp_path / "job.json").write_text(json.dumps(job))
    measuring.main(str(tmp_path / "job.json"))
    assert json.loads((tmp_path / "result.json").read_text())["problem"].startswith("`path` must")
