"""Quantized models on their way into TFLite and ONNX files that compute in integers."""

import keras
import numpy as np
import onnx
import pytest
import tensorflow as tf
from ai_edge_litert.interpreter import Interpreter
from keras import layers
from onnx import numpy_helper

import keras_bottleneck as kb

SIDE = 24
CLASSES = 5


@pytest.fixture(scope="module")
def images():
    rng = np.random.default_rng(0)
    waves = rng.normal(size=(132, SIDE // 4, SIDE // 4, 3)).repeat(4, 1).repeat(4, 2)
    return (waves + 0.2 * rng.normal(size=(132, SIDE, SIDE, 3))).astype(np.float32)


@pytest.fixture(scope="module")
def pixels(images):
    return np.clip(np.rint(64 * images + 128), 0, 255).astype(np.float32)


def settled(model, images):
    """`model` with the batch norm statistics of real inputs: others make int8 chaotic."""
    for layer in model._flatten_layers():
        if isinstance(layer, layers.BatchNormalization):
            layer.momentum = 0.0
    model(images[:64], training=True)
    return model


def network(images, front=(), activation="relu6", head="linear"):
    image = x = keras.Input((SIDE, SIDE, 3))
    for layer in front:
        x = layer(x)
    x = kb.layers.ConvNormAct(8, 3, stride=2, activation=activation, name="stem")(x)
    x = kb.layers.InvertedResidual(8, activation=activation, name="inverted")(x)
    x = kb.layers.Bottleneck(4, stride=2, se_ratio=0.5, name="bottleneck")(x)
    x = layers.GlobalAveragePooling2D()(x)
    x = layers.Dense(CLASSES, activation=head)(x)
    return settled(keras.Model(image, x, name="small"), images)


@pytest.fixture(scope="module")
def model(images):
    return network(images)


@pytest.fixture(scope="module")
def quantized(model, images):
    return kb.quantize(model, images[:100])


@pytest.fixture(scope="module")
def exported(quantized, images, tmp_path_factory):
    folder = tmp_path_factory.mktemp("int8")
    kb.export_model(quantized, folder, labels=list("abcde"), verify=images[100:])
    return folder


def test_a_quantized_model_becomes_two_int8_files(exported):
    names = sorted(path.name for path in exported.iterdir())
    assert names == ["manifest.json", "small_int8.onnx", "small_int8.tflite"]


def test_the_tflite_file_has_no_float_operator(exported):
    found = kb.audit(exported / "small_int8.tflite")
    assert found.int8_problems == ()
    assert dict(found.operators) == {
        "QUANTIZE": 1,
        "CONV_2D": 9,
        "DEPTHWISE_CONV_2D": 1,
        "ADD": 2,
        "MEAN": 2,
        "LOGISTIC": 1,
        "MUL": 1,
        "PAD": 2,
        "FULLY_CONNECTED": 1,
        "DEQUANTIZE": 1,
    }
    assert found.per_channel == (10, 10)
    # The input and the output, for the caller's sake.
    assert found.tensor_types["FLOAT32"] == 2


def test_the_onnx_file_has_int8_kernels_and_int32_biases(exported):
    found = kb.audit(exported / "small_int8.onnx")
    assert found.int8_problems == ()
    assert found.operators["Conv"] == 10
    assert found.operators["Gemm"] == 1
    assert found.per_channel == (10, 10)
    assert found.tensor_types["INT32"] >= 11


@pytest.mark.slow
@pytest.mark.full
def test_what_runs_in_float_is_refused_unless_asked_for(model, images, tmp_path):
    partly = kb.quantize(model, images[:100], skip=["inverted_project"])
    assert partly.quantization_report.in_float == ("inverted_project_conv",)
    for form, operator in (("tflite_int8", "CONV_2D"), ("onnx_int8", "Conv")):
        with pytest.raises(kb.export.ExportError, match=f"1 x {operator} in float.*allow_float"):
            kb.export_model(partly, tmp_path / "files", [form], verify=images[100:])
    assert list(tmp_path.iterdir()) == []
    kb.export_model(partly, tmp_path / "files", verify=images[100:], allow_float=True)
    found = kb.audit(tmp_path / "files" / "small_int8.tflite")
    assert found.float_operators["CONV_2D"] == 1
    assert found.problems


@pytest.mark.slow
@pytest.mark.full
@pytest.mark.parametrize("io_type", ["float32", "int8", "uint8"])
def test_inputs_and_outputs_of_the_tflite_file(quantized, exported, images, tmp_path, io_type):
    kb.export_model(quantized, tmp_path, ["tflite_int8"], verify=images[100:], io_type=io_type)
    path = tmp_path / "small_int8.tflite"
    interpreter = Interpreter(str(path))
    ends = (*interpreter.get_input_details(), *interpreter.get_output_details())
    assert [np.dtype(end["dtype"]).name for end in ends] == [io_type, io_type]
    reference = kb.runtime.load(exported / "small_int8.tflite").run(images[100:])
    np.testing.assert_array_equal(kb.runtime.load(path).run(images[100:]), reference)


@pytest.mark.slow
@pytest.mark.full
def test_raw_pixels_are_the_quantized_input(pixels, tmp_path):
    front = [
        layers.Rescaling(1 / 255),
        layers.Normalization(mean=(0.5, 0.4, 0.3), variance=(0.04, 0.05, 0.06)),
    ]
    model = network(pixels, front)
    quantized = kb.quantize(model, pixels[:100])
    kb.export_model(quantized, tmp_path, verify=pixels[100:], io_type="uint8")
    path = tmp_path / "small_int8.tflite"
    (first,) = Interpreter(str(path)).get_input_details()
    assert first["quantization"] == (1.0, 0)
    found = kb.audit(path)
    assert found.int8_problems == ()
    # One 1x1 depthwise convolution for both layers.
    assert found.operators["DEPTHWISE_CONV_2D"] == 2


@pytest.mark.slow
def test_a_layer_that_is_called_twice_is_int8_both_times(images, tmp_path):
    image = keras.Input((SIDE, SIDE, 3))
    shared = layers.Conv2D(3, 3, padding="same", activation="relu")
    x = layers.GlobalAveragePooling2D()(shared(shared(image)))
    model = keras.Model(image, layers.Dense(4)(x), name="shared")
    quantized = kb.quantize(model, images[:100])
    kb.export_model(quantized, tmp_path, verify=images[100:])
    assert kb.audit(tmp_path / "shared_int8.tflite").operators["CONV_2D"] == 2
    assert kb.audit(tmp_path / "shared_int8.onnx").operators["Conv"] == 2


def alike(image, given):
    """Two layers with the weights of one, behind a third."""
    x = layers.Conv2D(8, 3, name="first")(image)
    twins = [layers.Conv2D(8, 3, padding="same", name=name, **given) for name in ("left", "right")]
    left, right = (twin(x) for twin in twins)
    twins[1].set_weights(twins[0].get_weights())
    return layers.Add()([layers.ReLU()(left), right])


EQUAL = {
    "kernels_of_zeros": {"kernel_initializer": "zeros", "bias_initializer": "random_normal"},
    "nothing_but_zeros": {"kernel_initializer": "zeros"},
    "kernels_and_biases": {"bias_initializer": "random_normal"},
    "grouped": {"groups": 2},
}


@pytest.mark.parametrize("given", EQUAL.values(), ids=EQUAL)
def test_layers_with_equal_weights_are_told_apart(given, images, tmp_path):
    keras.utils.set_random_seed(0)
    image = keras.Input((SIDE, SIDE, 3))
    x = layers.GlobalAveragePooling2D()(alike(image, given))
    model = keras.Model(image, layers.Dense(4)(x), name="equal")
    quantized = kb.quantize(model, images[:100])
    # In training the one's grid has become another than the other's.
    quantized.get_layer("right").reach.assign(1.5 * quantized.get_layer("right").reach)
    report = kb.export_model(quantized, tmp_path, verify=images[100:])
    assert max(one.comparison.error for one in report.artifacts) < 0.03
    stored = {
        one.name: numpy_helper.to_array(one)
        for one in onnx.load(str(tmp_path / "equal_int8.onnx")).graph.initializer
    }
    for name in ("first", "left", "right"):
        steps = keras.ops.convert_to_numpy(quantized.get_layer(name).kernel_step)
        np.testing.assert_array_equal(stored[f"{name}_kernel_steps"], steps)


def attention(x):
    x = layers.Reshape((-1, 8))(layers.MaxPooling2D(4)(x))
    return layers.Reshape((6, 6, 8))(layers.MultiHeadAttention(2, 4)(x, x))


IN_FLOAT = {
    "group_normalization": lambda: layers.GroupNormalization(4),
    "layer_normalization": lambda: layers.LayerNormalization(),
    "unit_normalization": lambda: layers.UnitNormalization(axis=1),
    "selu": lambda: layers.Activation("selu"),
    "variance": lambda: lambda x: x - keras.ops.var(x, (1, 2), keepdims=True),
    "resizing": lambda: layers.Resizing(12, 12),
    "attention": lambda: attention,
}


@pytest.mark.parametrize("name", IN_FLOAT)
@pytest.mark.full
def test_what_stays_in_float_computes_in_float(name, images, tmp_path):
    keras.utils.set_random_seed(0)
    image = keras.Input((SIDE, SIDE, 3))
    x = IN_FLOAT[name]()(layers.Conv2D(8, 3, padding="same")(image))
    x = layers.Conv2D(8, 3, activation="relu")(x)
    model = keras.Model(image, layers.Dense(4)(layers.GlobalAveragePooling2D()(x)))
    quantized = kb.quantize(model, images[:100], skip="unsupported")
    assert quantized.quantization_report.in_float
    report = kb.export_model(quantized, tmp_path, verify=images[100:], allow_float=True)
    tflite, onnx_int8 = (one.comparison.error for one in report.artifacts)
    # Of what is computed in float, the two runtimes make the same; they round the rest alike.
    assert tflite < 0.02
    assert tflite < 2 * onnx_int8 + 1e-3


@pytest.mark.parametrize("form", ["tflite", "onnx", "saved_model", "tflite_int16"])
def test_a_quantized_model_is_not_written_as_a_float_file(quantized, form, tmp_path):
    with pytest.raises(ValueError, match=r"`formats` must be one of tflite_int8, onnx_int8 for"):
        kb.export_model(quantized, tmp_path, [form])


def test_a_float_model_is_not_written_as_an_int8_file(model, tmp_path):
    with pytest.raises(ValueError, match=r"for a float model. Received: formats='onnx_int8'"):
        kb.export_model(model, tmp_path, ["onnx_int8"])


@pytest.mark.slow
def test_int16_activations(model, images, tmp_path):
    kb.export_model(
        model, tmp_path, ["tflite_int16"], calibration=images[:100], verify=images[100:]
    )
    found = kb.audit(tmp_path / "small_int16.tflite")
    assert found.int8_problems == ()
    assert found.tensor_types["INT16"] > 10


def test_int16_activations_need_calibration(model, tmp_path):
    with pytest.raises(ValueError, match="`calibration` must be given for format 'tflite_int16'"):
        kb.export_model(model, tmp_path, ["tflite_int16"])


def test_int16_activations_do_not_go_with_hard_swish(images, tmp_path):
    model = network(images, activation="hard_swish")
    with pytest.raises(kb.export.ExportError, match="no hard swish with int16.*'stem_act'"):
        kb.export_model(model, tmp_path / "files", ["tflite_int16"], calibration=images[:100])
    assert list(tmp_path.iterdir()) == []


@pytest.mark.slow
def test_depthwise_kernels_with_one_scale_are_a_problem(model, images, tmp_path):
    kb.fold(model).export(tmp_path / "saved", format="tf_saved_model", verbose=False)
    converter = tf.lite.TFLiteConverter.from_saved_model(str(tmp_path / "saved"))
    converter.optimizations = [tf.lite.Optimize.DEFAULT]
    converter.representative_dataset = lambda: ([image[None]] for image in images[:8])
    converter._experimental_disable_per_channel = True
    (tmp_path / "tensor.tflite").write_bytes(converter.convert())
    found = kb.audit(tmp_path / "tensor.tflite")
    assert len(found.per_tensor) == 1
    assert "one scale for all its channels" in found.int8_problems[0]


def test_labels_travel_in_int8_files(exported, images):
    for name in ("small_int8.tflite", "small_int8.onnx"):
        predictor = kb.runtime.load(exported / name)
        assert predictor.metadata.labels == tuple("abcde")
        assert predictor.metadata.output_name == "logits"


def test_wrong_int8_arguments(quantized, tmp_path):
    with pytest.raises(ValueError, match="`io_type` must be one of 'float32', 'int8', 'uint8'"):
        kb.export_model(quantized, tmp_path, io_type="int4")
    with pytest.raises(ValueError, match="`allow_float` must be True or False"):
        kb.export_model(quantized, tmp_path, allow_float="no")
