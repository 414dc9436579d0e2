"""Every known failure is recognised: by what is really raised here, or as users have quoted it."""

import tempfile

import numpy as np
import pytest

from keras_bottleneck import failures
from keras_bottleneck.failures import FAILURES, explain

# What cannot be brought about here, in the words of the issue that each row links to.
QUOTED = {
    "keras2_attribute": "'Functional' object has no attribute '_get_save_spec'",
    "two_gigabytes": "Message onnx.ModelProto exceeds maximum protobuf size of 2GB: 2215158447",
    "numpy_names_removed": "np.bool_: module 'numpy' has no attribute 'object'.",
    "onnx_mapping_removed": "module 'onnx' has no attribute 'mapping'",
    "protobuf_versions": "cannot import name 'runtime_version' from 'google.protobuf' (/usr/lib)",
    "numpy_binary": "A module that was compiled using NumPy 1.x cannot be run in\nNumPy 2.1.2",
    "edge_tpu": "Encountered unresolved custom op: edgetpu-custom-op.\nNode number 0 "
    "(edgetpu-custom-op) failed to prepare.",
    "delegate_of_fixed_sizes": "Attempting to use a delegate that only supports static-sized "
    "tensors with a graph that has dynamic-sized tensors (tensor#187 is a dynamic-sized tensor).",
    "failed_to_prepare": "tensorflow/lite/kernels/pad.cc:79 SizeOfDimension(op_context->paddings, "
    "0) != op_context->dims (3 != 4)Node number 21 (PAD) failed to prepare.",
    "select_operators": "Select TensorFlow op(s), included in the given model, is(are) not "
    "supported by this interpreter.\nNode number 13 (FlexTensorArrayV3) failed to prepare.",
    "grouped_convolution": "Fused conv implementation does not support grouped convolutions for "
    "now.\n\t [[node sequential_2/sequential/conv2d/BiasAdd]]",
}

PROVOKED = {}


def provoked(function):
    """Registers a function that raises the failure of its name, given the `tools` of the test."""
    PROVOKED[function.__name__] = function
    return function


class Tools:
    """Small models and the ways into each converter and runtime."""

    def __init__(self):
        self.tf = pytest.importorskip("tensorflow", reason="its converter is provoked")
        import keras

        self.keras = keras
        self.fake = keras.quantizers.fake_quant_with_min_max_vars

    def layer(self, call):
        """A layer that computes `call(x)` when it is traced, and passes `x` on symbolically."""

        class Own(self.keras.layers.Layer):
            def call(self, x):
                return call(x)

            def compute_output_spec(self, x):
                return type(x)(x.shape, x.dtype)

        return Own()

    def model(self, *stack):
        image = x = self.keras.Input((8, 8, 3))
        for layer in stack:
            x = layer(x)
        return self.keras.Model(image, x)

    def small(self):
        return self.model(self.keras.layers.Conv2D(2, 3), self.keras.layers.Flatten())

    def traced(self, model, batch=1):
        spec = self.tf.TensorSpec((batch, 8, 8, 3), self.tf.float32, name="image")
        function = self.tf.function(lambda image: model(image, training=False))
        return function.get_concrete_function(spec)

    def tflite(self, model, batch=1, **options):
        function = self.traced(model, batch)
        converter = self.tf.lite.TFLiteConverter.from_concrete_functions([function], model)
        for name, value in options.items():
            setattr(converter, name, value)
        return converter.convert()

    def run_tflite(self, content, batch):
        from ai_edge_litert.interpreter import Interpreter

        interpreter = Interpreter(model_content=content)
        interpreter.allocate_tensors()
        interpreter.set_tensor(interpreter.get_input_details()[0]["index"], batch)

    def run_onnx(self, change=lambda proto: None, kind="FLOAT", batch=None):
        import onnx
        import onnxruntime

        helper, element = onnx.helper, getattr(onnx.TensorProto, kind)
        ends = [helper.make_tensor_value_info(name, element, (1, 3)) for name in "xy"]
        node = helper.make_node("Relu", ["x"], ["y"], name="relu")
        graph = helper.make_graph([node], "graph", ends[:1], ends[1:])
        opset = [helper.make_opsetid("", 17)]
        proto = helper.make_model(graph, opset_imports=opset, ir_version=9)
        change(proto)
        content = proto.SerializeToString()
        session = onnxruntime.InferenceSession(content, providers=["CPUExecutionProvider"])
        if batch is not None:
            session.run(None, {"x": batch})


@pytest.fixture(scope="module")
def tools():
    return Tools()


@provoked
def operator_without_tflite(tools):
    tools.tflite(tools.model(tools.layer(lambda x: tools.tf.math.betainc(x, x, x))))


@provoked
def operator_without_int16(tools):
    converter = tools.tf.lite.TFLiteConverter.from_concrete_functions(
        [tools.traced(tools.model(tools.layer(tools.tf.nn.elu)))]
    )
    converter.optimizations = [tools.tf.lite.Optimize.DEFAULT]
    converter.target_spec.supported_ops = [
        tools.tf.lite.OpsSet.EXPERIMENTAL_TFLITE_BUILTINS_ACTIVATIONS_INT16_WEIGHTS_INT8
    ]
    converter.representative_dataset = lambda: [[np.ones((1, 8, 8, 3), np.float32)]]
    converter.convert()


@provoked
def representative_dataset(tools):
    converter = tools.tf.lite.TFLiteConverter.from_concrete_functions([tools.traced(tools.small())])
    converter.optimizations = [tools.tf.lite.Optimize.DEFAULT]
    converter.target_spec.supported_ops = [tools.tf.lite.OpsSet.TFLITE_BUILTINS_INT8]
    converter.convert()


@provoked
def integer_interface_of_float(tools):
    tools.tflite(tools.small(), inference_input_type=tools.tf.int8)


@provoked
def dense_per_channel(tools):
    class Dense(tools.keras.layers.Dense):
        def call(self, x):
            bound = np.ones(self.units, "float32")
            kernel = tools.fake(self.kernel, -bound, bound, narrow_range=True, axis=-1)
            return tools.keras.ops.matmul(x, kernel) + self.bias

    quantize = tools.layer(lambda x: tools.fake(x, -1.0, 1.0))
    after = tools.layer(lambda x: tools.fake(x, -1.0, 1.0))
    model = tools.model(quantize, tools.keras.layers.Flatten(), Dense(4), after)
    tools.tflite(model, optimizations=[tools.tf.lite.Optimize.DEFAULT])


@provoked
def scales_that_differ(tools):
    def call(x):
        pooled = tools.tf.nn.max_pool2d(tools.fake(x, -1.0, 1.0), 2, 1, "SAME")
        both = tools.tf.concat([tools.fake(x, -1.0, 1.0), tools.fake(pooled, -3.0, 2.0)], -1)
        return tools.fake(both, -5.0, 4.0)

    model = tools.model(tools.layer(call))
    tools.tflite(model, optimizations=[tools.tf.lite.Optimize.DEFAULT])


@provoked
def recurrent_of_any_size(tools):
    layers = tools.keras.layers
    tools.tflite(tools.model(layers.Reshape((8, 24)), layers.GRU(2)), batch=None)


@provoked
def numpy_in_a_layer(tools):
    tools.traced(tools.model(tools.layer(lambda x: x * np.mean(x.__array__()))))


@provoked
def python_condition(tools):
    tools.traced(tools.model(tools.layer(lambda x: x if x[0, 0, 0, 0] > 0 else -x)))


@provoked
def untracked_variable(tools):
    hidden = tools.tf.Variable(2.0)
    module = tools.tf.Module()
    module.serve = tools.traced(tools.model(tools.layer(lambda x: x * hidden)))
    with tempfile.TemporaryDirectory() as folder:
        tools.tf.saved_model.save(module, folder, signatures={"serve": module.serve})


@provoked
def operator_without_onnx(tools):
    def change(proto):
        proto.graph.node[0].op_type = "Betainc"

    tools.run_onnx(change)


@provoked
def numpy_names_removed(tools):
    np.cast  # noqa: B018


@provoked
def onnx_mapping_removed(tools):
    import onnx.mapping  # noqa: F401


@provoked
def protobuf_versions(tools):
    from google.protobuf import runtime_version as version

    version.ValidateProtobufRuntimeVersion(version.Domain.PUBLIC, 99, 0, 0, "", "some.proto")


@provoked
def custom_operator(tools):
    model = tools.model(tools.layer(lambda x: tools.tf.math.betainc(x, x, x)))
    content = tools.tflite(model, allow_custom_ops=True)
    tools.run_tflite(content, np.zeros((1, 8, 8, 3), "float32"))


@provoked
def operator_too_new(tools):
    import flatbuffers
    from tensorflow.lite.python import schema_py_generated as schema

    content = bytearray(tools.tflite(tools.model(tools.keras.layers.ReLU())))
    model = schema.ModelT.InitFromObj(schema.Model.GetRootAs(content, 0))
    model.operatorCodes[0].version = 99
    builder = flatbuffers.Builder(1024)
    builder.Finish(model.Pack(builder), b"TFL3")
    tools.run_tflite(bytes(builder.Output()), None)


@provoked
def no_flatbuffer(tools):
    tools.run_tflite(b"version https://git-lfs.github.com/spec/v1\n", None)


@provoked
def tflite_shape(tools):
    content = tools.tflite(tools.model(tools.keras.layers.ReLU()))
    tools.run_tflite(content, np.zeros((4, 8, 8, 3), "float32"))


@provoked
def tflite_type(tools):
    content = tools.tflite(tools.model(tools.keras.layers.ReLU()))
    tools.run_tflite(content, np.zeros((1, 8, 8, 3), "uint8"))


@provoked
def ir_version(tools):
    tools.run_onnx(lambda proto: setattr(proto, "ir_version", 99))


@provoked
def opset(tools):
    tools.run_onnx(lambda proto: setattr(proto.opset_import[0], "version", 99))


@provoked
def operator_not_implemented(tools):
    tools.run_onnx(kind="INT16")


@provoked
def no_onnx_file(tools):
    import onnxruntime

    onnxruntime.InferenceSession(b"version https://git-lfs.github.com/spec/v1\n" * 3)


@provoked
def onnx_shape(tools):
    tools.run_onnx(batch=np.zeros((4, 3), "float32"))


@provoked
def onnx_type(tools):
    tools.run_onnx(batch=np.zeros((1, 3)))


@provoked
def unknown_class(tools):
    tools.keras.saving.deserialize_keras_object(
        {"module": None, "class_name": "Mine", "config": {}, "registered_name": "Mine"}
    )


@provoked
def lambda_layer(tools):
    model = tools.model(tools.keras.layers.Lambda(lambda x: 2 * x))
    tools.keras.models.model_from_json(model.to_json())


@provoked
def memory(tools):
    np.zeros(1 << 50)


@pytest.mark.parametrize("name", PROVOKED)
def test_what_is_really_raised_is_recognised(name, tools):
    with pytest.raises(Exception) as caught:  # noqa: PT011, B017 (each library has its own)
        PROVOKED[name](tools)
    explanation = explain(caught.value)
    assert explanation is not None, str(caught.value)
    assert explanation.failure.name == name


@pytest.mark.parametrize("name", QUOTED)
def test_what_users_have_quoted_is_recognised(name):
    assert explain(QUOTED[name]).failure.name == name


def test_every_row_is_tested_and_whole():
    names = [failure.name for failure in FAILURES]
    assert len(set(names)) == len(names)
    assert set(names) == set(PROVOKED) | set(QUOTED)
    for failure in FAILURES:
        assert failure.link.startswith("https://github.com/")
        assert not failure.sentence.endswith(".")
        assert not failure.remedy.endswith(".")
        assert len(failure.sentence) + len(failure.remedy) < 240


def test_what_the_text_names_is_in_the_sentence():
    text = "ERROR: Didn't find op for builtin opcode 'CONV_2D' version '6'. An older version of"
    assert "version 6 of operator CONV_2D" in str(explain(text))
    several = "error: 'tf.B' op is neither a custom op\n'tf.A' op is neither a custom op nor flex"
    assert "operator for B, A" in explain(several).sentence


def test_what_led_to_an_error_is_looked_at_too():
    try:
        try:
            raise RuntimeError(QUOTED["delegate_of_fixed_sizes"])
        except RuntimeError:
            raise ValueError("no luck") from None
    except ValueError as error:
        assert explain(error).failure.name == "delegate_of_fixed_sizes"


def test_unknown_failures_are_quoted_in_one_line():
    assert explain("something else") is None
    assert failures.reason(ValueError("one\ntwo")) == "one"
    text = (
        "in user code:\n\n    File ...\n    ValueError: Exception encountered when calling "
        "Mine.call().\n    \n    \x1b[1mNo such thing.\x1b[0m\n    \n    Arguments received"
    )
    assert failures.reason(ValueError(text)) == "Mine.call(): No such thing"
