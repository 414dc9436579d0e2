"""One tiny real network, exported once per session to every kind of artifact."""

import shutil
import sys

import numpy as np
import pytest

from keras_bottleneck.preprocessing import Preprocessing
from keras_bottleneck.runtime import metadata

HEIGHT, WIDTH, CLASSES = 12, 10, 4
LABELS = ("ant", "bee", "cat", "dögs")
NAMES = {
    "tflite": "tiny.tflite",
    "onnx": "tiny.onnx",
    "saved_model": "tiny_saved_model",
    "keras": "tiny.keras",
}


@pytest.fixture(scope="session")
def preprocessing():
    return Preprocessing((HEIGHT, WIDTH), mean=(0.4, 0.5, 0.6), std=(0.2, 0.25, 0.3))


@pytest.fixture(scope="session")
def about(preprocessing):
    return metadata.Metadata(
        "tiny", LABELS, preprocessing, "image", "probabilities", {"numpy": "2"}
    )


@pytest.fixture(scope="session")
def images():
    """Images of several sizes as uint8 arrays."""
    generator = np.random.default_rng(1)
    sizes = [(30, 20), (12, 10), (9, 31), (5, 5), (64, 48)]
    return [generator.integers(0, 256, (*size, 3)).astype(np.uint8) for size in sizes]


def build(output, batch_size):
    keras = pytest.importorskip("keras")
    keras.utils.set_random_seed(0)
    image = keras.Input((HEIGHT, WIDTH, 3), batch_size=batch_size, name="image")
    x = keras.layers.Conv2D(8, 3, activation="relu", padding="same")(image)
    x = keras.layers.GlobalAveragePooling2D()(x)
    activation = "softmax" if output == "probabilities" else None
    x = keras.layers.Dense(CLASSES, activation=activation, name=output)(x)
    model = keras.Model(image, x, name="tiny")
    # Large weights set the classes apart, so that orders and tolerances mean something.
    model.set_weights([8 * weight for weight in model.get_weights()])
    return model


def export(model, output, folder):
    """Every kind of artifact of `model` in `folder`, without metadata: kind -> path."""
    import keras
    import tensorflow as tf
    import tf2onnx

    def call(image):
        return {output: model(image, training=False)}

    paths = {kind: folder / name for kind, name in NAMES.items()}
    spec = tf.TensorSpec(model.inputs[0].shape, tf.float32, name="image")
    # A plain tf.Module would leave READ_VARIABLE in the .tflite file, which then computes garbage.
    archive = keras.export.ExportArchive()
    archive.track(model)
    archive.add_endpoint("serve", call, input_signature=[spec])
    archive.write_out(str(paths["saved_model"]), verbose=False)
    model.save(paths["keras"])
    converter = tf.lite.TFLiteConverter.from_saved_model(str(paths["saved_model"]))
    paths["tflite"].write_bytes(converter.convert())
    serve = tf.function(call, input_signature=[spec])
    tf2onnx.convert.from_function(serve, [spec], opset=17, output_path=str(paths["onnx"]))
    return paths


@pytest.fixture(scope="session")
def bare(tmp_path_factory):
    """(output name, batch size) -> {kind: path} of artifacts without metadata; do not write."""
    made = {}

    def get(output="probabilities", batch_size=1):
        key = (output, batch_size)
        if key not in made:
            folder = tmp_path_factory.mktemp("bare")
            made[key] = export(build(output, batch_size), output, folder)
        return made[key]

    return get


def copy_artifact(source, folder):
    """A copy of an artifact in `folder`, free to be written to."""
    target = folder / source.name
    if source.is_dir():
        shutil.copytree(source, target)
    else:
        shutil.copyfile(source, target)
    return target


@pytest.fixture
def copied(bare, tmp_path):
    """kind -> a copy of that artifact of its own."""
    return lambda kind: copy_artifact(bare()[kind], tmp_path)


@pytest.fixture(scope="session")
def artifacts(bare, about, tmp_path_factory):
    """kind -> path of an artifact with metadata."""
    folder = tmp_path_factory.mktemp("artifacts")
    paths = {kind: copy_artifact(path, folder) for kind, path in bare().items()}
    for path in paths.values():
        metadata.write(path, about)
    return paths


@pytest.fixture(scope="session")
def int8_file(bare, images, preprocessing, about, tmp_path_factory):
    """The network as a .tflite file with int8 weights, activations, input and output."""
    import tensorflow as tf

    converter = tf.lite.TFLiteConverter.from_saved_model(str(bare()["saved_model"]))
    converter.optimizations = [tf.lite.Optimize.DEFAULT]
    converter.representative_dataset = lambda: ([preprocessing(i)[None]] for i in images)
    converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS_INT8]
    converter.inference_input_type = tf.int8
    converter.inference_output_type = tf.int8
    path = tmp_path_factory.mktemp("int8") / "tiny_int8.tflite"
    path.write_bytes(converter.convert())
    metadata.write(path, about)
    return path


@pytest.fixture
def restless_threads():
    """Lets Python switch threads so often that unguarded calls do run into each other."""
    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    yield
    sys.setswitchinterval(interval)
