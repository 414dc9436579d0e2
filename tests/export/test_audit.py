"""What audit says of files that this package did not write."""

import keras
import numpy as np
import onnx
import pytest
import tensorflow as tf
from keras import layers
from onnx import TensorProto, helper

import keras_bottleneck as kb


class Arctangent(layers.Layer):
    def call(self, x):
        return tf.math.atan(x)


@pytest.fixture(scope="module")
def model():
    image = keras.Input((16, 16, 3), batch_size=1)
    # The converter quantizes the weights of layers with more than 1,024 of them.
    x = layers.Conv2D(64, 3, activation="relu")(image)
    x = layers.DepthwiseConv2D(3, activation="relu")(x)
    x = layers.GlobalAveragePooling2D()(x)
    return keras.Model(image, layers.Dense(4)(x))


def convert(model, path, **settings):
    model.export(path.with_suffix(""), format="tf_saved_model", verbose=False)
    converter = tf.lite.TFLiteConverter.from_saved_model(str(path.with_suffix("")))
    for name, value in settings.items():
        setattr(converter, name, value)
    path.write_bytes(converter.convert())
    return kb.audit(path)


def calibration():
    for _ in range(8):
        yield [np.random.default_rng(0).normal(size=(1, 16, 16, 3)).astype(np.float32)]


def test_a_fully_quantized_file_has_no_float_operator_but_the_edges(model, tmp_path):
    found = convert(
        model,
        tmp_path / "int8.tflite",
        optimizations=[tf.lite.Optimize.DEFAULT],
        representative_dataset=calibration,
    )
    assert found.float_operators == {}
    assert found.int8_problems == ()
    assert found.per_channel == (2, 2)
    assert found.tensor_types["INT8"] > 0


def test_int8_weights_alone_do_not_make_an_int8_file(model, tmp_path):
    found = convert(model, tmp_path / "dynamic.tflite", optimizations=[tf.lite.Optimize.DEFAULT])
    assert found.tensor_types["INT8"] > 0
    assert found.float_operators == {}
    assert found.int8_problems == ()


def test_flex_operators_are_foreign(tmp_path):
    image = keras.Input((16, 16, 3), batch_size=1)
    model = keras.Model(image, Arctangent()(image))
    found = convert(
        model,
        tmp_path / "flex.tflite",
        target_spec=tf.lite.TargetSpec(
            supported_ops=[tf.lite.OpsSet.TFLITE_BUILTINS, tf.lite.OpsSet.SELECT_TF_OPS]
        ),
    )
    assert found.foreign == ("FlexAtan",)
    assert "operator FlexAtan is not built into every runtime" in found.problems
    assert "FlexAtan" in str(found)


def test_custom_operators_and_free_dimensions_of_onnx_are_problems(tmp_path):
    node = helper.make_node("Strange", ["x"], ["y"], domain="elsewhere")
    sides = [helper.make_tensor_value_info(name, TensorProto.FLOAT, ["batch", 3]) for name in "xy"]
    graph = helper.make_graph([node], "graph", sides[:1], sides[1:])
    imports = [helper.make_opsetid("", 17), helper.make_opsetid("elsewhere", 1)]
    onnx.save(helper.make_model(graph, opset_imports=imports), tmp_path / "strange.onnx")
    found = kb.audit(tmp_path / "strange.onnx")
    assert found.foreign == ("Strange",)
    assert found.dynamic == ("x", "y")
    assert len(found.problems) == 3


def test_damaged_files_are_refused(tmp_path):
    for name, content in (
        ("empty.tflite", b""),
        ("noise.tflite", b"\x00" * 64),
        ("text.onnx", b"no model"),
        ("cut.tflite", b"\x1c\x00\x00\x00TFL3\xff\xff\xff\x7f"),
    ):
        (tmp_path / name).write_bytes(content)
        with pytest.raises(ValueError, match="`path` must be a whole .* file"):
            kb.audit(tmp_path / name)
