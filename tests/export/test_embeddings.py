"""A network trained with ArcFace on its way into files of embeddings."""

import keras
import numpy as np
import pytest

import keras_bottleneck as kb


@pytest.fixture(scope="module")
def images():
    rng = np.random.default_rng(0)
    waves = rng.normal(size=(132, 8, 8, 3)).repeat(4, 1).repeat(4, 2)
    return (waves + 0.2 * rng.normal(size=(132, 32, 32, 3))).astype(np.float32)


@pytest.fixture(scope="module")
def model(build, images):
    network = build(include_top=False, pooling="avg")
    label = keras.Input((), dtype="int32", name="label")
    features = keras.layers.Dense(12)(network.output)
    scores = kb.layers.ArcFace(5)([features, label])
    trained = keras.Model([network.input, label], scores, name="faces")
    return kb.embedding_model(trained)


def cosines(one, other):
    return np.sum(one * other, axis=1)


@pytest.mark.slow
@pytest.mark.full
def test_files_of_embeddings_in_float(model, images, tmp_path):
    report = kb.export_model(model, tmp_path, verify=images[100:])
    expected = model.predict(images[100:], verbose=0)
    for artifact in report.artifacts:
        assert artifact.comparison.error <= 1e-5, artifact
        assert artifact.comparison.agreement is None
        predictor = kb.runtime.load(artifact.path)
        assert predictor.output_name == "features"
        assert cosines(predictor.run(images[100:]), expected).min() > 1 - 1e-5
    assert kb.audit(report["tflite"].path).operators["L2_NORMALIZATION"] == 1


@pytest.mark.slow
@pytest.mark.full
def test_files_of_embeddings_in_int8(model, images, tmp_path):
    quantized = kb.quantize(model, images[:100])
    report = kb.export_model(quantized, tmp_path, verify=images[100:])
    expected = model.predict(images[100:], verbose=0)
    for artifact in report.artifacts:
        assert kb.audit(artifact.path).int8_problems == ()
        found = kb.runtime.load(artifact.path).run(images[100:])
        np.testing.assert_allclose(np.linalg.norm(found, axis=1), 1, atol=0.02)
        assert cosines(found, expected).mean() > 0.98, artifact
    found = kb.audit(report["tflite_int8"].path)
    assert found.operators["L2_NORMALIZATION"] == 1
    assert found.tensor_types["FLOAT32"] == 2
