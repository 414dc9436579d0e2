"""Files with several inputs and outputs, as others make them: read by name, in any order."""

import shutil
from pathlib import Path

import keras
import numpy as np
import pytest

from keras_bottleneck import analysis, runtime
from keras_bottleneck.runtime import Metadata, metadata
from keras_bottleneck.runtime.ports import Input, Output

SIDE = 8
CLASSES = ("circle", "square", "triangle")


def network():
    """A photo and two numbers to a class, an age and an embedding; outputs not in order of name."""
    keras.utils.set_random_seed(0)
    photo = keras.Input((SIDE, SIDE, 3), name="photo")
    numbers = keras.Input((2,), name="numbers")
    seen = keras.layers.Conv2D(4, 3, activation="relu")(photo)
    embedding = keras.layers.GlobalAveragePooling2D(name="embedding")(seen)
    both = keras.layers.Concatenate()([embedding, numbers])
    kind = keras.layers.Dense(3, activation="softmax", name="kind")(both)
    age = keras.layers.Dense(1, name="age")(both)
    return keras.Model([photo, numbers], [kind, embedding, age], name="several")


@pytest.fixture(scope="module")
def batch():
    rng = np.random.default_rng(0)
    return {
        "photo": rng.random((5, SIDE, SIDE, 3), np.float32),
        "numbers": rng.random((5, 2), np.float32),
    }


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    """Artifact by suffix, none with metadata, each written by its own converter."""
    tf = pytest.importorskip("tensorflow")
    tf2onnx = pytest.importorskip("tf2onnx")
    folder, model = tmp_path_factory.mktemp("files"), network()
    names = ["kind", "embedding", "age"]

    def serve(photo, numbers):
        return dict(zip(names, model([photo, numbers], training=False), strict=True))

    specs = [
        tf.TensorSpec((None, SIDE, SIDE, 3), name="photo"),
        tf.TensorSpec((None, 2), name="numbers"),
    ]
    module = tf.Module()
    module.serve = tf.function(serve, input_signature=specs).get_concrete_function()
    module.weights = module.serve.variables
    tf.saved_model.save(module, folder / "saved", signatures=module.serve)
    converter = tf.lite.TFLiteConverter.from_saved_model(str(folder / "saved"))
    (folder / "several.tflite").write_bytes(converter.convert())
    tf2onnx.convert.from_function(
        tf.function(serve, input_signature=specs),
        specs,
        opset=17,
        output_path=str(folder / "several.onnx"),
    )
    model.save(folder / "several.keras")
    return {
        "saved": folder / "saved",
        **{suffix: folder / f"several.{suffix}" for suffix in ("tflite", "keras", "onnx")},
    }


def copied(path, folder):
    """A copy of an artifact, which a test may write to."""
    copy = shutil.copytree if path.is_dir() else shutil.copy
    return Path(copy(path, folder / path.name))


def described(path):
    """Metadata that describe the inputs and outputs of the file at `path`."""
    opened = runtime.load(path)
    meanings = {"kind": "probabilities", "age": "numbers", "embedding": "features"}
    return Metadata(
        name="several",
        labels=None,
        preprocessing=None,
        inputs=[Input(port.name, port.shape, image=len(port.shape) == 4) for port in opened.inputs],
        outputs=[
            Output(
                port.name,
                port.shape,
                meaning=meanings[port.name],
                task="regression" if port.name == "age" else "classification",
                labels=CLASSES if port.name == "kind" else None,
                unit="years" if port.name == "age" else None,
            )
            for port in sorted(opened.outputs, key=lambda port: port.name)
        ],
    )


@pytest.mark.parametrize("kind", ["keras", "saved", "tflite", "onnx"])
def test_outputs_come_by_name(files, batch, kind):
    expected = network()([batch["photo"], batch["numbers"]])
    if kind == "onnx":  # tf2onnx drops the names of outputs
        found = runtime.load(files[kind]).run(batch)
        values = sorted(found.values(), key=lambda array: array.shape[1])
        for got, wanted in zip(values, sorted(expected, key=lambda one: one.shape[1]), strict=True):
            np.testing.assert_allclose(got, wanted, atol=1e-5)
        return
    predictor = runtime.load(files[kind])
    assert {port.name for port in predictor.inputs} == {"photo", "numbers"}
    found = predictor.run(dict(reversed(batch.items())))
    for name, wanted in zip(("kind", "embedding", "age"), expected, strict=True):
        np.testing.assert_allclose(found[name], wanted, atol=1e-5)


@pytest.mark.parametrize("kind", ["keras", "saved", "tflite"])
def test_each_output_says_what_its_metadata_say(files, batch, kind, tmp_path):
    path = copied(files[kind], tmp_path)
    stated = described(path)
    assert Metadata.from_json(stated.to_json()) == stated
    metadata.write(path, stated)
    predictor = runtime.load(path)
    assert [port.name for port in predictor.outputs] == ["age", "embedding", "kind"]
    assert [port.unit for port in predictor.outputs] == ["years", None, None]
    raw = predictor.run(batch)
    answers = predictor({"photo": batch["photo"], "numbers": batch["numbers"]}, top=2)
    for index, answer in enumerate(answers):
        assert answer["age"] == pytest.approx(float(raw["age"][index, 0]))
        np.testing.assert_array_equal(answer["embedding"], raw["embedding"][index])
        best = int(raw["kind"][index].argmax())
        assert answer["kind"][0] == (CLASSES[best], pytest.approx(float(raw["kind"][index, best])))
        assert len(answer["kind"]) == 2
    one = predictor({"photo": batch["photo"][0], "numbers": [0.0, 1.0]})
    assert set(one) == {"age", "embedding", "kind"}
    assert set(predictor.probabilities(batch)) == {"kind"}
    flipped = runtime.load(path, tta="flip")
    both = [
        predictor.run({**batch, "photo": x}) for x in (batch["photo"], batch["photo"][:, :, ::-1])
    ]
    mean = (both[0]["age"] + both[1]["age"]) / 2
    np.testing.assert_allclose([one["age"] for one in flipped(batch)], mean[:, 0], atol=1e-5)


def test_what_does_not_fit_is_one_sentence(files, batch):
    predictor = runtime.load(files["tflite"])
    photo, numbers = batch["photo"], batch["numbers"]
    for given, sentence in (
        (photo, "a dict with the inputs"),
        ({"photo": photo}, "a dict with the inputs"),
        ({"photo": photo, "number": numbers}, "did you mean 'numbers'"),
        ({"photo": photo, "numbers": numbers[:2]}, "as many samples of each input"),
        ({"photo": photo, "numbers": numbers[:, :1]}, r"of shape \(any, 2\)"),
    ):
        with pytest.raises(ValueError, match=sentence) as error:
            predictor.run(given)
        assert "\n" not in str(error.value)
    with pytest.raises(ValueError, match="as many of each input"):
        predictor({"photo": photo, "numbers": numbers[:2]})
    with pytest.raises(ValueError, match="one input and one output"):
        analysis.evaluate(files["tflite"], (photo, np.zeros(5)))


def test_metadata_of_other_ports_are_refused(files, tmp_path):
    path = copied(files["saved"], tmp_path)
    stated = described(path)
    other = Metadata("several", None, None, inputs=stated.inputs, outputs=stated.outputs[:2])
    metadata.write(path, other)
    with pytest.raises(ValueError, match="age, embedding in the metadata"):
        runtime.load(path)
    with pytest.raises(ValueError, match="outputs of different names"):
        Metadata("several", None, None, outputs=(stated.outputs[0],) * 2)
