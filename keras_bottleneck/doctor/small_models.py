"""A model of two operators, a matrix product and a ReLU, for each library.

`doctor` runs this file as a script, in a process of its own for each library, so that a crash
there is a line in its report. It imports nothing of this package.
"""

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

MATRIX = [[1.0, -2.0], [3.0, 4.0]]
# relu(MATRIX @ MATRIX)
EXPECTED = [[0.0, 0.0], [15.0, 10.0]]


def check(output: Any) -> None:
    """Raises ArithmeticError unless `output` is `EXPECTED`."""
    rows = [[round(float(value), 2) for value in row] for row in output]
    if rows != EXPECTED:
        raise ArithmeticError(f"{rows} instead of {EXPECTED}")


def tensorflow_function() -> Any:
    """The model as a concrete function of TensorFlow."""
    import tensorflow as tf

    function = tf.function(lambda x: tf.nn.relu(tf.matmul(x, tf.constant(MATRIX))))
    return function.get_concrete_function(tf.TensorSpec((2, 2), tf.float32, name="x"))


def tensorflow(folder: Path) -> None:
    """TensorFlow, through a SavedModel."""
    import tensorflow as tf

    module = tf.Module()
    module.serve = tensorflow_function()
    tf.saved_model.save(module, str(folder), signatures={"serving_default": module.serve})
    loaded = tf.saved_model.load(str(folder))
    (output,) = loaded.signatures["serving_default"](x=tf.constant(MATRIX)).values()
    check(output.numpy())


def keras(folder: Path) -> None:
    """Keras, on the backend that it takes."""
    import keras
    import numpy as np

    layer = keras.layers.Dense(2, activation="relu", use_bias=False)
    model = keras.Sequential([keras.Input((2,)), layer])
    layer.set_weights([np.array(MATRIX)])
    model.save(folder / "model.keras")
    loaded = keras.models.load_model(folder / "model.keras")
    check(keras.ops.convert_to_numpy(loaded(np.array(MATRIX, "float32"))))


def tflite_converter(folder: Path) -> None:
    """TensorFlow's converter to TFLite."""
    import tensorflow as tf

    converter = tf.lite.TFLiteConverter.from_concrete_functions([tensorflow_function()])
    content = converter.convert()
    if content[4:8] != b"TFL3":
        raise ArithmeticError("what it has written is no TFLite file")


def tf2onnx(folder: Path) -> None:
    """tf2onnx."""
    import onnx
    import tensorflow as tf
    import tf2onnx

    spec = [tf.TensorSpec((2, 2), tf.float32, name="x")]
    function = tf.function(lambda x: tf.nn.relu(tf.matmul(x, tf.constant(MATRIX))))
    proto, _ = tf2onnx.convert.from_function(function, input_signature=spec, opset=17)
    onnx.checker.check_model(proto)


def litert(folder: Path) -> None:
    """LiteRT, on a file written with its own schema: TensorFlow is not needed."""
    import flatbuffers
    import numpy as np
    from ai_edge_litert import schema_py_generated as schema
    from ai_edge_litert.interpreter import Interpreter

    def tensor(name: str, buffer: int = 0) -> Any:
        made = schema.TensorT()
        made.shape, made.buffer, made.name = [2, 2], buffer, name
        return made

    def operator(code: int, inputs: list[int], output: int) -> Any:
        made = schema.OperatorT()
        made.opcodeIndex, made.inputs, made.outputs = code, inputs, [output]
        return made

    def opcode(builtin: int) -> Any:
        made = schema.OperatorCodeT()
        made.builtinCode = made.deprecatedBuiltinCode = builtin
        made.version = 1
        return made

    dense = operator(0, [0, 1, -1], 2)
    dense.builtinOptionsType = schema.BuiltinOptions.FullyConnectedOptions
    dense.builtinOptions = schema.FullyConnectedOptionsT()
    graph = schema.SubGraphT()
    graph.tensors = [tensor("x"), tensor("kernel", 1), tensor("product"), tensor("y")]
    graph.operators = [dense, operator(1, [2], 3)]
    graph.inputs, graph.outputs = [0], [3]
    weights = schema.BufferT()
    # A dense kernel is (outputs, inputs).
    weights.data = np.frombuffer(np.array(MATRIX, "<f4").T.tobytes(), np.uint8)
    model = schema.ModelT()
    model.version = 3
    builtins = schema.BuiltinOperator
    model.operatorCodes = [opcode(builtins.FULLY_CONNECTED), opcode(builtins.RELU)]
    model.subgraphs, model.buffers = [graph], [schema.BufferT(), weights]
    builder = flatbuffers.Builder(1024)
    builder.Finish(model.Pack(builder), b"TFL3")
    path = folder / "model.tflite"
    path.write_bytes(builder.Output())

    interpreter = Interpreter(str(path))
    interpreter.allocate_tensors()
    interpreter.set_tensor(0, np.array(MATRIX, "float32"))
    interpreter.invoke()
    check(interpreter.get_tensor(3))


def onnxruntime(folder: Path) -> None:
    """ONNX Runtime; where `onnx` is missing, on an example that it carries."""
    import numpy as np
    import onnxruntime

    try:
        from onnx import TensorProto, helper, save
    except ModuleNotFoundError:
        from onnxruntime.datasets import get_example

        path = get_example("sigmoid.onnx")
        onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
        return
    ends = [helper.make_tensor_value_info(name, TensorProto.FLOAT, (2, 2)) for name in "xy"]
    kernel = helper.make_tensor("kernel", TensorProto.FLOAT, (2, 2), np.ravel(MATRIX))
    nodes = [
        helper.make_node("MatMul", ["x", "kernel"], ["product"]),
        helper.make_node("Relu", ["product"], ["y"]),
    ]
    graph = helper.make_graph(nodes, "two", ends[:1], ends[1:], [kernel])
    # The version of the format that this `onnx` writes is left as it is: that is what is tried.
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)])
    save(model, str(folder / "model.onnx"))
    path = str(folder / "model.onnx")
    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    check(session.run(None, {"x": np.array(MATRIX, "float32")})[0])


def torch(folder: Path) -> None:
    """PyTorch."""
    import torch

    matrix = torch.tensor(MATRIX)
    check(torch.relu(matrix @ matrix).tolist())


def jax(folder: Path) -> None:
    """JAX."""
    import jax

    matrix = jax.numpy.array(MATRIX)
    check(jax.jit(lambda x: jax.nn.relu(x @ x))(matrix).tolist())


MODELS: dict[str, Callable[[Path], None]] = {
    "tensorflow": tensorflow,
    "keras": keras,
    "tflite_converter": tflite_converter,
    "tf2onnx": tf2onnx,
    "litert": litert,
    "onnxruntime": onnxruntime,
    "torch": torch,
    "jax": jax,
}

if __name__ == "__main__":
    MODELS[sys.argv[1]](Path(sys.argv[2]))
