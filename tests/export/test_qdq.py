"""Small graphs whose constants lie on integer grids, as tf2onnx leaves them, made integer."""

from collections import Counter
from dataclasses import replace

import keras
import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import TensorProto, numpy_helper

from keras_bottleneck.export.qdq import FIRST_MARK, Kernel, rewrite

tf = pytest.importorskip("tensorflow")
tf2onnx = pytest.importorskip("tf2onnx")

# Whole networks are exported by the default tests of int8 files.
pytestmark = pytest.mark.slow

IMAGE = (1, 8, 8, 3)
LOW, HIGH = -4.0, 6.0
STEP = (HIGH - LOW) / 255
RELU_HIGH = 5.3
RELU_STEP = RELU_HIGH / 255
SIGMOID_HIGH = 255 / 256


def on_grid(x, low=LOW, high=HIGH):
    return tf.quantization.fake_quant_with_min_max_vars(x, tf.constant(low), tf.constant(high))


def rectified(x):
    return on_grid(tf.nn.relu(x), 0.0, RELU_HIGH)


class Layers:
    """TensorFlow operators with random kernels on grids of their own, which it remembers.

    Where it is `marked`, the operators have the kernels' marks in place of kernels and biases.
    """

    def __init__(self, marked=False):
        self.random = np.random.default_rng(0)
        self.marked = marked
        self.kernels = []

    def constants(self, shape, axis, input_step, to_onnx, bias_axis=-1):
        """A kernel with one step for each index of an axis, or for all, and a bias."""
        others = tuple(one for one in range(len(shape)) if one != axis and axis is not None)
        values = self.random.normal(scale=0.3, size=shape)
        steps = np.abs(values).max(axis=others or None, keepdims=True).astype("float32") / 127
        values = (np.rint(values / steps) * steps).astype("float32")
        steps = steps.ravel() if others else steps.reshape(())
        channels = steps.size if others else shape[bias_axis]
        grid = steps * input_step
        bias = np.rint(self.random.normal(size=channels) / grid) * grid
        return self.remembered(values, steps, bias, to_onnx)

    def remembered(self, values, steps, bias, to_onnx=(3, 2, 0, 1)):
        """A kernel and a bias as constants."""
        number = len(self.kernels)
        stored = np.ascontiguousarray(values.transpose(to_onnx))
        kernel = Kernel(f"layer{number}", FIRST_MARK + number, stored, steps, bias)
        self.kernels.append(kernel)
        if self.marked:
            values, bias = (np.full(one.shape, kernel.mark) for one in (values, bias))
        return tf.constant(values, "float32"), tf.constant(bias, "float32")

    def conv(self, x, filters=8, size=1, step=STEP, stride=1, dilation=1, groups=1, padding="SAME"):
        shape = (size, size, x.shape[-1] // groups, filters)
        kernel, bias = self.constants(shape, 3, step, (3, 2, 0, 1))
        return tf.nn.conv2d(x, kernel, stride, padding, dilations=dilation) + bias

    def depthwise(self, x, step=STEP, stride=1, padding="SAME"):
        shape = (3, 3, x.shape[-1], 1)
        kernel, bias = self.constants(shape, 2, step, (2, 3, 0, 1))
        return tf.nn.depthwise_conv2d(x, kernel, [1, stride, stride, 1], padding) + bias

    def dense(self, x, units=5, step=STEP):
        kernel, bias = self.constants((x.shape[-1], units), None, step, (0, 1))
        return tf.matmul(x, kernel) + bias

    def transposed(self, x, step=STEP):
        shape = (3, 3, 8, x.shape[-1])
        kernel, bias = self.constants(shape, None, step, (3, 2, 0, 1), bias_axis=2)
        return tf.nn.conv2d_transpose(x, kernel, (1, 16, 16, 8), 2) + bias


def padded(x):
    return tf.pad(x, [[0, 0], [1, 1], [1, 1], [0, 0]])


def relu6(net, x):
    return net.conv(on_grid(tf.nn.relu6(net.conv(x, size=3)), 0.0, 6.0), step=6 / 255)


def relu_inside_range(net, x):
    # As in front of a concatenation, where a ReLU's range is that of a linear neighbour.
    return net.conv(on_grid(tf.nn.relu6(net.conv(x, size=3)), -4.0, 6.2), step=10.2 / 255)


def strided(net, x):
    return net.conv(padded(x), size=3, stride=2, padding="VALID")


def depthwise(net, x):
    x = rectified(net.depthwise(x))
    return net.depthwise(padded(x), RELU_STEP, stride=2, padding="VALID")


def grouped(net, x):
    return net.conv(on_grid(net.conv(x)), size=3, groups=2)


def dilated(net, x):
    return net.conv(x, size=3, dilation=2)


def residual(net, x):
    x = rectified(net.conv(x))
    x = rectified(x + on_grid(net.conv(x, size=3, step=RELU_STEP)))
    return net.conv(x, step=RELU_STEP)


def padded_shortcut(net, x):
    x = rectified(net.conv(x))
    short = tf.pad(x[:, ::2, ::2], [[0, 0], [0, 0], [0, 0], [2, 2]])
    return short + on_grid(net.conv(x, 12, size=3, step=RELU_STEP, stride=2))


def concatenated(net, x):
    branches = [on_grid(net.conv(x, 4)), on_grid(tf.nn.relu(net.conv(x, 4, size=3)))]
    return net.conv(tf.concat(branches, -1))


def max_pooled(net, x):
    x = rectified(net.conv(x))
    return net.conv(tf.nn.max_pool2d(padded(x), 3, 2, "VALID"), step=RELU_STEP)


def average_pooled(net, x):
    return net.conv(on_grid(tf.nn.avg_pool2d(on_grid(net.conv(x)), 2, 2, "VALID")))


def global_average(net, x):
    return net.dense(on_grid(tf.reduce_mean(on_grid(net.conv(x)), [1, 2])))


def global_average_kept(net, x):
    return net.conv(on_grid(tf.reduce_mean(on_grid(net.conv(x)), [1, 2], keepdims=True)))


def global_max(net, x):
    return net.dense(tf.reduce_max(on_grid(net.conv(x)), [1, 2]))


def flattened(net, x):
    return net.dense(tf.reshape(on_grid(net.conv(x)), [1, -1]))


def dense_on_pixels(net, x):
    return net.dense(tf.reshape(on_grid(net.conv(x)), [1, 64, 8]))


def repeated(net, x):
    return net.conv(keras.layers.UpSampling2D(2)(on_grid(net.conv(x))))


def resized(net, x):
    return net.conv(tf.image.resize(on_grid(net.conv(x)), (16, 16), "nearest"))


def bilinear(net, x):
    layer = keras.layers.UpSampling2D(2, interpolation="bilinear")
    return net.conv(on_grid(layer(on_grid(net.conv(x)))))


def cropped(net, x):
    return net.conv(on_grid(net.conv(x))[:, 1:-1, 1:-1])


def squeeze_excite(net, x):
    x = on_grid(net.conv(x))
    gate = on_grid(tf.reduce_mean(x, [1, 2], keepdims=True))
    gate = on_grid(net.conv(rectified(net.conv(gate, 4)), step=RELU_STEP))
    return x * on_grid(tf.sigmoid(gate), 0.0, SIGMOID_HIGH)


def softmax(net, x):
    return tf.nn.softmax(on_grid(net.dense(tf.reshape(x, [1, -1]))))


def hard_swish(net, x):
    x = on_grid(net.conv(x))
    return net.conv(on_grid(x * tf.nn.relu6(x + 3.0) / 6.0))


def leaky_relu(net, x):
    return net.conv(on_grid(tf.nn.leaky_relu(on_grid(net.conv(x)))))


def up_convolution(net, x):
    return net.conv(on_grid(net.transposed(x)))


# What ONNX Runtime's optimizer makes of them: operators on integers, and those left in float.
CASES = {
    relu6: ({"QLinearConv": 2}, {}),
    relu_inside_range: ({"QLinearConv": 2}, {"Clip": 1}),
    strided: ({"QLinearConv": 1}, {}),
    depthwise: ({"QLinearConv": 2, "Pad": 1}, {}),
    grouped: ({"QLinearConv": 2}, {}),
    dilated: ({"QLinearConv": 1}, {}),
    residual: ({"QLinearConv": 3, "QLinearAdd": 1}, {}),
    padded_shortcut: ({"QLinearConv": 2, "QLinearAdd": 1, "Slice": 1, "Pad": 1}, {}),
    concatenated: ({"QLinearConv": 3, "QLinearConcat": 1}, {"Relu": 1}),
    max_pooled: ({"QLinearConv": 2, "NhwcMaxPool": 1, "Pad": 1}, {}),
    average_pooled: ({"QLinearConv": 2, "QLinearAveragePool": 1}, {}),
    global_average: ({"QLinearConv": 1, "QLinearGlobalAveragePool": 1, "QGemm": 1}, {}),
    global_average_kept: ({"QLinearConv": 2, "QLinearGlobalAveragePool": 1}, {}),
    global_max: ({"QLinearConv": 1, "QGemm": 1}, {"GlobalMaxPool": 1}),
    flattened: ({"QLinearConv": 1, "QGemm": 1}, {}),
    dense_on_pixels: ({"QLinearConv": 1, "QGemm": 1}, {}),
    repeated: ({"QLinearConv": 2, "Tile": 2}, {}),
    resized: ({"QLinearConv": 2, "Resize": 1}, {}),
    bilinear: ({"QLinearConv": 2}, {"Resize": 1}),
    cropped: ({"QLinearConv": 2, "Slice": 1}, {}),
    squeeze_excite: ({"QLinearConv": 3, "QLinearSigmoid": 1, "QLinearMul": 1}, {}),
    softmax: ({"QGemm": 1, "QLinearSoftmax": 1}, {}),
    hard_swish: ({"QLinearConv": 2}, {"Add": 1, "Clip": 1, "Mul": 2}),
    leaky_relu: ({"QLinearConv": 2, "QLinearLeakyRelu": 1}, {}),
    up_convolution: ({"QLinearConv": 1}, {"ConvTranspose": 1, "Add": 1}),
}


def convert(network, high=HIGH, low=LOW):
    """(tf2onnx's graph of a quantized image through a network, that with marks, the kernels)."""
    protos = []
    for marked in (False, True):
        net = Layers(marked)
        signature = [tf.TensorSpec(IMAGE, tf.float32, name="image")]

        def compute(image, net=net):
            return tf.identity(on_grid(network(net, on_grid(image)), low, high), "output")

        function = tf.function(compute, input_signature=signature)
        protos.append(tf2onnx.convert.from_function(function, signature, opset=17)[0])
    return *protos, net.kernels


def session(proto, optimized=None):
    """Plain, or with all optimizations and the optimized graph written to a file."""
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    # Kernels of CPUs without VNNI would otherwise saturate sums of two products.
    options.add_session_config_entry("session.x64quantprecision", "1")
    if optimized is None:
        options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    else:
        options.optimized_model_filepath = str(optimized)
    content = proto.SerializeToString()
    return onnxruntime.InferenceSession(content, options, providers=["CPUExecutionProvider"])


def steps_apart(proto, reference, optimized=None, step=STEP):
    """Differences of the outputs for random images, in steps."""
    one, other = session(proto, optimized), session(reference)
    random = np.random.default_rng(1)
    images = [random.normal(scale=2, size=IMAGE).astype("float32") for _ in range(8)]
    outputs = [(one.run(None, {"image": x})[0], other.run(None, {"image": x})[0]) for x in images]
    return np.abs(np.subtract(*zip(*outputs, strict=True))) / step


def operators(path):
    """Operators of an optimized graph: (those on integers, those on floats)."""
    graph = onnx.load(str(path)).graph
    real = {one.name for one in graph.input}
    kinds = Counter(), Counter()
    for node in graph.node:
        if node.op_type == "QuantizeLinear":
            continue
        in_float = not real.isdisjoint(node.input)
        if in_float or node.op_type == "DequantizeLinear":
            real.update(node.output)
        if node.op_type not in ("DequantizeLinear", "Transpose", "Reshape"):
            kinds[in_float][node.op_type] += 1
    return kinds


def types(proto):
    return Counter(one.data_type for one in proto.graph.initializer if np.prod(one.dims) > 1)


@pytest.mark.parametrize("network", CASES, ids=lambda network: network.__name__)
def test_onnx_runtime_computes_in_integers(network, tmp_path):
    output = (SIGMOID_HIGH, 0.0) if network is softmax else (HIGH, LOW)
    proto, marked, kernels = convert(network, *output)
    untouched = marked.SerializeToString()
    rewritten = rewrite(marked, kernels)
    assert marked.SerializeToString() == untouched
    onnx.checker.check_model(rewritten, full_check=True)

    step = (output[0] - output[1]) / 255
    plain = steps_apart(rewritten, proto, step=step)
    fused = steps_apart(rewritten, proto, tmp_path / "optimized.onnx", step)
    assert plain.max() < 1.01 and np.mean(plain > 0.5) < 0.002
    # An average of four codes is often half-way between two codes, and rounded either way.
    assert fused.max() < 1.01 and np.mean(fused > 0.5) < (
        0.15 if network is average_pooled else 0.03
    )

    integers, floats = operators(tmp_path / "optimized.onnx")
    wanted_integers, wanted_floats = CASES[network]
    assert {name: integers[name] for name in wanted_integers} == wanted_integers
    assert floats == wanted_floats


@pytest.mark.parametrize("network", CASES, ids=lambda network: network.__name__)
def test_kernels_and_biases_are_stored_as_integers(network):
    _, marked, kernels = convert(network)
    rewritten = rewrite(marked, kernels)
    stored = {one.name: numpy_helper.to_array(one) for one in rewritten.graph.initializer}
    for kernel in kernels:
        codes, steps = stored[f"{kernel.name}_kernel_codes"], stored[f"{kernel.name}_kernel_steps"]
        assert codes.dtype == np.int8
        values = codes * (steps.reshape(-1, 1, 1, 1) if steps.ndim else steps)
        np.testing.assert_allclose(values, kernel.values, rtol=1e-6, atol=0)
    biases = [codes for name, codes in stored.items() if name.endswith("_bias_codes")]
    assert len(biases) == len(kernels) and all(codes.dtype == np.int32 for codes in biases)
    for name, array in stored.items():
        assert array.dtype != np.float32 or array.size <= 4 or name.endswith("_steps"), name


def test_equal_kernels_are_told_apart(tmp_path):
    # Blocks that start as the identity, folded: their steps are as small as int32 biases allow.
    biases = np.array([0.5, -1.25, 2.0]), np.array([1.5, 0.75, -0.25]), np.zeros(3)
    steps = [np.abs(bias).astype("float32") / (2**31 - 200) / STEP for bias in biases[:2]]
    steps.append(np.full(3, 1e-9, "float32"))

    def network(net, x):
        for bias, step in zip(biases, steps, strict=True):
            zeros, bias = net.remembered(np.zeros((3, 3, 3, 3), "float32"), step, bias)
            x = on_grid(tf.nn.conv2d(x, zeros, 1, "SAME") + bias)
        return x

    proto, marked, kernels = convert(network)
    rewritten = rewrite(marked, kernels)
    assert steps_apart(rewritten, proto, tmp_path / "optimized.onnx").max() < 1.01
    stored = {one.name: numpy_helper.to_array(one) for one in rewritten.graph.initializer}
    for number, step in enumerate(steps):
        np.testing.assert_array_equal(stored[f"layer{number}_kernel_steps"], step)
    codes = [one for name, one in stored.items() if name.endswith("_bias_codes")]
    assert sorted(int(np.abs(one.astype("int64")).min()) > 2**30 for one in codes) == [0, 1, 1]


def test_a_layer_that_is_used_twice_opens_everywhere(tmp_path):
    """Where ONNX Runtime rewrites codes, for want of VNNI, two operators must not share them."""

    def network(net, x):
        kernel, bias = net.constants((3, 3, 3, 3), 3, STEP, (3, 2, 0, 1))
        for _ in range(2):
            x = on_grid(tf.nn.conv2d(x, kernel, 1, "SAME") + bias)
        return x

    proto, marked, kernels = convert(network)
    rewritten = rewrite(marked, kernels)
    # For each use: codes, and zero points for the channels.
    assert types(rewritten)[TensorProto.INT8] == 4
    assert steps_apart(rewritten, proto, tmp_path / "optimized.onnx").max() < 1.01
    assert operators(tmp_path / "optimized.onnx") == ({"QLinearConv": 2}, {})


def test_a_layer_without_bias_is_named():
    def network(net, x):
        kernel, _ = net.constants((3, 3, 3, 8), 3, STEP, (3, 2, 0, 1))
        return tf.nn.conv2d(x, kernel, 1, "SAME")

    _, marked, kernels = convert(network)
    with pytest.raises(ValueError, match="the bias of 'layer0' is not in the graph"):
        rewrite(marked, kernels)


def test_all_layers_that_do_not_match_are_named():
    def network(net, x):
        return net.dense(tf.reshape(net.conv(on_grid(net.conv(x))), [1, -1]))

    _, marked, (first, second, last) = convert(network)
    coarse = replace(second, name="coarse", steps=second.steps * 1.5)
    absent = replace(first, name="absent", mark=first.mark - 1)
    with pytest.raises(ValueError) as caught:
        rewrite(marked, [coarse, absent, last])
    message = str(caught.value)
    assert "'coarse' is not on the grid" in message
    assert "'absent' is not in the graph" in message
    assert f"the input of {last.name!r} is not quantized" in message
