import json

import keras
import numpy as np
import pytest

import keras_bottleneck as kb
from keras_bottleneck.runtime import manifest, metadata

FLOAT32 = ("saved_model", "tflite", "onnx")


def test_every_format_computes_what_keras_computes(exported, network, samples):
    report, _ = exported
    reference = network.predict(samples[0], verbose=0)
    for artifact in report.artifacts:
        tolerance = kb.export.FORMATS[artifact.format].tolerance
        outputs = kb.runtime.load(artifact.path).run(samples[0])
        assert np.abs(outputs - reference).max() <= tolerance
        if artifact.format in FLOAT32:
            assert np.abs(outputs - reference).max() <= 1e-5
            np.testing.assert_array_equal(outputs.argmax(-1), reference.argmax(-1))


def test_the_report_holds_what_was_measured(exported, network, samples):
    report, _ = exported
    images, labels = samples
    reference = network.predict(images, verbose=0)
    assert report.samples == len(images)
    assert report.keras_accuracy == pytest.approx(np.mean(reference.argmax(-1) == labels))
    for artifact in report.artifacts:
        outputs = kb.runtime.load(artifact.path).run(images)
        seen = artifact.comparison
        assert seen.error == pytest.approx(np.abs(outputs - reference).max(), abs=1e-6)
        assert seen.agreement == np.mean(outputs.argmax(-1) == reference.argmax(-1))
        assert seen.accuracy == np.mean(outputs.argmax(-1) == labels)
        assert seen.latency_ms > 0


def test_printing_the_report_shows_every_file(exported):
    report, _ = exported
    text = str(report)
    for artifact in report.artifacts:
        assert artifact.path.name in text
    with pytest.raises(KeyError, match="this report has saved_model"):
        report["coreml"]


def test_files_are_named_after_the_model_and_the_precision(exported):
    _, folder = exported
    assert sorted(path.name for path in folder.iterdir()) == [
        "manifest.json",
        "small.onnx",
        "small.tflite",
        "small_dynamic.tflite",
        "small_float16.tflite",
        "small_saved_model",
    ]


def test_inputs_and_outputs_are_named_and_static(exported):
    report, _ = exported
    for row in FLOAT32:
        predictor = kb.runtime.load(report[row].path)
        assert predictor.input_name == "image"
        assert predictor.output_name == "probabilities"
        assert predictor.input_shape == (1, 32, 32, 3)


def test_onnx_and_saved_model_carry_the_names_themselves(exported):
    import onnx
    import tensorflow as tf

    report, _ = exported
    proto = onnx.load(report["onnx"].path)
    assert [one.name for one in proto.graph.input] == ["image"]
    assert [one.name for one in proto.graph.output] == ["probabilities"]
    loaded = tf.saved_model.load(str(report["saved_model"].path))
    signature = loaded.signatures["serving_default"]
    assert list(signature.structured_outputs) == ["probabilities"]
    assert list(signature.structured_input_signature[1]) == ["image"]


def test_labels_and_preprocessing_travel_inside_every_file(exported):
    report, _ = exported
    for artifact in report.artifacts:
        found = metadata.read(artifact.path)
        assert found.labels == tuple(f"class {index}" for index in range(5))
        assert found.preprocessing == kb.Preprocessing((32, 32))
        assert found.versions["keras"] == keras.__version__


def test_an_image_gets_the_same_labels_from_every_file(exported, network):
    report, _ = exported
    image = np.random.default_rng(2).integers(0, 256, (50, 41, 3)).astype(np.uint8)
    ready = kb.Preprocessing((32, 32))(image)
    expected = network.predict(ready[None], verbose=0)[0]
    for row in FLOAT32:
        predictions = kb.runtime.load(report[row].path)(image, top=5)
        order = np.argsort(expected)[::-1]
        assert [label for label, _ in predictions] == [f"class {index}" for index in order]
        np.testing.assert_allclose([p for _, p in predictions], expected[order], atol=1e-5)


def test_the_manifest_lists_every_file_with_its_hash(exported):
    report, folder = exported
    listed = json.loads((folder / "manifest.json").read_text())["artifacts"]
    assert sorted(listed) == sorted(artifact.path.name for artifact in report.artifacts)
    for name, entry in listed.items():
        assert entry["sha256"] == manifest.sha256_of(folder / name)
        assert entry["size"] == manifest.size_of(folder / name)
        assert entry["labels"] == [f"class {index}" for index in range(5)]
        assert kb.Preprocessing.from_dict(entry["preprocessing"]).image_size == (32, 32)
        assert entry["versions"]["keras-bottleneck"] == kb.__version__


def test_the_model_stays_untouched(build, samples, tmp_path):
    model = build()
    before = [np.array(weight) for weight in model.get_weights()]
    layers = [layer.name for layer in model.layers]
    kb.export_model(model, tmp_path, ["saved_model"], verify=samples)
    assert [layer.name for layer in model.layers] == layers
    for old, new in zip(before, model.get_weights(), strict=True):
        np.testing.assert_array_equal(old, new)


@pytest.mark.slow
@pytest.mark.full
def test_a_second_export_replaces_its_own_files_and_keeps_the_others(build, samples, tmp_path):
    first = build(name="first")
    kb.export_model(first, tmp_path, ["saved_model", "tflite"], verify=samples)
    kb.export_model(build(name="second"), tmp_path, ["tflite"], verify=samples)
    old = manifest.read(tmp_path)["first_saved_model"]["sha256"]
    first.layers[-1].set_weights([weight * 0.5 for weight in first.layers[-1].get_weights()])
    kb.export_model(first, tmp_path, ["saved_model"], verify=samples)
    listed = manifest.read(tmp_path)
    assert sorted(listed) == ["first.tflite", "first_saved_model", "second.tflite"]
    assert listed["first_saved_model"]["sha256"] != old
    for name, entry in listed.items():
        assert entry["sha256"] == manifest.sha256_of(tmp_path / name)
    assert {path.name for path in tmp_path.iterdir()} == {"manifest.json", *listed}


@pytest.mark.slow
def test_without_samples_noise_is_used_and_said(build, tmp_path):
    with pytest.warns(UserWarning, match="pass `verify=` with real samples"):
        report = kb.export_model(build(), tmp_path, ["tflite"])
    assert not report.real_samples
    assert "noise" in str(report)
    assert report["tflite"].comparison.error <= 1e-5


@pytest.mark.slow
def test_verify_takes_datasets_arrays_and_one_hot_labels(build, samples, tmp_path):
    import tensorflow as tf

    images, labels = samples
    model = build()
    one_hot = np.eye(5, dtype=np.float32)[labels]
    dataset = tf.data.Dataset.from_tensor_slices((images, one_hot)).batch(5)
    expected = np.mean(model.predict(images, verbose=0).argmax(-1) == labels)
    for verify in (dataset, (images, labels), [(images, labels[:, None])]):
        report = kb.export_model(model, tmp_path, ["tflite"], verify=verify)
        assert report.keras_accuracy == pytest.approx(expected)
        assert report.samples == 12
    endless = kb.export_model(model, tmp_path, ["tflite"], verify=dataset.repeat())
    assert endless.samples == 256
    weighted = dataset.map(lambda x, y: (x, y, tf.ones(tf.shape(x)[0])))
    assert kb.export_model(model, tmp_path, ["tflite"], verify=weighted).samples == 12
    with pytest.raises(ValueError, match="`verify` must hold one label for each image"):
        kb.export_model(model, tmp_path, ["tflite"], verify=(images, labels[:3]))
    unlabelled = kb.export_model(model, tmp_path, ["tflite"], verify=images)
    assert unlabelled.keras_accuracy is None
    assert unlabelled["tflite"].comparison.accuracy is None
    few = kb.export_model(model, tmp_path, ["tflite"], verify=dataset, verify_samples=7)
    assert few.samples == 7


@pytest.mark.slow
def test_a_dynamic_batch_is_exported_where_it_is_asked_for(build, samples, tmp_path):
    report = kb.export_model(build(), tmp_path, FLOAT32, verify=samples, batch_size=None)
    for artifact in report.artifacts:
        predictor = kb.runtime.load(artifact.path)
        assert predictor.input_shape == (None, 32, 32, 3)
        assert predictor.run(samples[0]).shape == (12, 5)
    assert kb.audit(report["tflite"].path).problems
    assert kb.audit(report["onnx"].path).problems
