"""Layers and bare operators in every float format: verified, or refused in one sentence."""

from pathlib import Path

import keras
import numpy as np
import pytest
from keras import layers, ops

import keras_bottleneck as kb
from keras_bottleneck.export import formats
from keras_bottleneck.export.inference import inference_model
from keras_bottleneck.export.limits import check_limits
from keras_bottleneck.export.source import Source

SIZE = (16, 16, 3)
CHANNELS = np.linspace(0.5, 2.0, 8, dtype=np.float32)
slow = pytest.mark.slow


def model_of(*middles, name="operators"):
    """A convolution, and `middles` of what it makes; all that they make, side by side."""
    image = keras.Input(SIZE)
    x = layers.Conv2D(8, 3, padding="same")(image)
    made = [layers.Flatten()(middle(x)) for middle in middles]
    return keras.Model(image, layers.Concatenate()(made) if len(made) > 1 else made[0], name=name)


@pytest.fixture(scope="module")
def images():
    # Their number is none of the sides: Keras would add along the wrong axis.
    return np.random.default_rng(0).normal(size=(5, *SIZE)).astype(np.float32)


def export(model, images, folder, rows=("saved_model", "tflite", "onnx")):
    for variable in model.variables:
        if variable.path.rsplit("/", 1)[-1] in ("gamma", "beta"):
            variable.assign(np.random.default_rng(1).uniform(0.5, 1.5, variable.shape))
    report = kb.export_model(model, folder, rows, verify=images)
    for artifact in report.artifacts:
        assert artifact.comparison.error <= 5e-6, artifact
    return report


def constants(shape):
    return np.random.default_rng(3).uniform(0.5, 2.0, shape).astype(np.float32)


def pooled(x):
    return layers.Conv2D(8, 1)(layers.GlobalAveragePooling2D(keepdims=True)(x))


VECTOR = CHANNELS.reshape(1, 1, 1, 8)
# Of a feature map `y`, that of a single pixel `p`.
MENDED_ARITHMETIC = (
    *(lambda y, p: y + 3.0, lambda y, p: y + VECTOR, lambda y, p: ops.add(p, p + 1.0)),
    *(lambda y, p: y + constants((1,)), lambda y, p: y + constants((1, 16, 16, 1))),
    *(lambda y, p: layers.Average()([y, p]), lambda y, p: y + np.float64(0.5)),
    lambda y, p: layers.Multiply()([y, layers.ReLU(6.0)(p + 3.0) * (1.0 / 6.0)]),
)
MORE_ARITHMETIC = (
    *(lambda y, p: 3.0 - y, lambda y, p: 2.0 * y, lambda y, p: 1.0 / (ops.abs(y) + 1.0)),
    *(lambda y, p: -y, lambda y, p: (y + 1.0) * 0.5 - 2, lambda y, p: y / 3.0),
    *(lambda y, p: y + CHANNELS, lambda y, p: y - VECTOR, lambda y, p: y * CHANNELS),
    *(lambda y, p: ops.multiply(CHANNELS, y), lambda y, p: ops.subtract(CHANNELS, y)),
    *(lambda y, p: y + ops.convert_to_tensor(CHANNELS), lambda y, p: y**2, lambda y, p: 2.0**y),
    *(lambda y, p: p * VECTOR, lambda y, p: y + p, lambda y, p: layers.Minimum()([y, p])),
    *(lambda y, p: ops.subtract(y, constants((1,))), lambda y, p: y * constants((1,))),
    *(lambda y, p: y - constants((1, 16, 16, 1)), lambda y, p: y * constants((1, 16, 16, 1))),
    *(lambda y, p: y + constants((16, 16, 8)), lambda y, p: y / constants((16, 16, 8))),
    *(lambda y, p: y + constants((1, 16, 1, 1)), lambda y, p: y + constants((1, 1, 16, 1))),
)


@pytest.mark.parametrize(
    ("operations", "biased"),
    [
        (MENDED_ARITHMETIC, False),
        pytest.param(MENDED_ARITHMETIC, True, marks=slow),
        pytest.param(MORE_ARITHMETIC, False, marks=slow),
        pytest.param(MORE_ARITHMETIC, True, marks=slow),
    ],
)
@pytest.mark.slow
def test_arithmetic_with_constants_behind_convolutions(operations, biased, images, tmp_path):
    """A bias of zeros goes, and what is added next stands in its place."""

    def middle(operation):
        # A convolution each: it is what constants are merged into.
        return lambda x: operation(layers.Conv2D(8, 3, padding="same")(x), pooled(x))

    model = model_of(*map(middle, operations))
    for variable in model.variables:
        if biased and variable.path.endswith("bias"):
            variable.assign(np.random.default_rng(2).normal(size=variable.shape))
    export(model, images, tmp_path)


@keras.saving.register_keras_serializable(package="tests")
class Shifted(layers.Layer):
    """A column of values added in a layer, one for each row, as many as there are channels."""

    def call(self, x):
        import tensorflow as tf

        return tf.add(x, np.arange(16, dtype=np.float32).reshape(1, 16, 1, 1))


def test_what_varies_along_rows_is_no_bias(images, tmp_path):
    def middle(x):
        return Shifted()(layers.Conv2D(16, 3, padding="same", use_bias=False)(x))

    export(model_of(middle), images, tmp_path, ["onnx"])


def test_a_factor_behind_a_large_kernel(images, tmp_path):
    def middle(x):
        return layers.Conv2D(64, 5, use_bias=False)(x) * np.linspace(0.5, 2, 64, dtype=np.float32)

    export(model_of(middle), images, tmp_path, ["onnx"])


# Those that a converter refused; the others of `keras.activations` behind them.
MENDED = ("gelu", "celu")
OTHERS = (
    *("elu", "exponential", "glu", "hard_shrink", "hard_sigmoid", "hard_silu", "hard_tanh"),
    *("leaky_relu", "log_sigmoid", "log_softmax", "mish", "relu", "relu6", "selu", "sigmoid"),
    *("silu", "soft_shrink", "softmax", "softplus", "softsign", "sparse_plus", "sparsemax"),
    *("sparse_sigmoid", "squareplus", "tanh", "tanh_shrink", "threshold"),
)


@pytest.mark.parametrize("names", [MENDED, pytest.param(OTHERS, marks=slow)], ids=len)
def test_activations(names, images, tmp_path):
    def threshold(x):
        return ops.threshold(x, 0.1, 0.0)

    kinds = [layers.Activation(name) if name != "threshold" else threshold for name in names]
    model = model_of(*kinds)
    export(model, images, tmp_path)


@pytest.mark.slow
def test_every_way_to_write_a_gelu(images, tmp_path):
    def of_its_own(way):
        return lambda x: way(layers.Conv2D(4, 3)(x))

    ways = (
        *(layers.Conv2D(4, 3, activation="gelu"), layers.Dense(4, activation="gelu")),
        *(lambda x: ops.gelu(x, approximate=True), lambda x: ops.gelu(x, approximate=False)),
        *(keras.activations.gelu, lambda x: 0.5 * x * (1.0 + ops.erf(x / np.sqrt(2.0)))),
    )
    export(model_of(*map(of_its_own, ways)), images, tmp_path)


@pytest.mark.slow
def test_functions_that_onnx_has_under_no_name(images, tmp_path):
    def middle(x):
        positive = ops.abs(x) + 0.5
        found = [ops.log1p(positive), ops.expm1(x), ops.cast(ops.argmax(x, -1), "float32")]
        found += [ops.cast(ops.argmin(x, 1, keepdims=True), "float32")]
        return layers.Concatenate()([layers.Flatten()(one) for one in found])

    export(model_of(middle), images, tmp_path)


@pytest.mark.parametrize(
    "middles",
    [
        pytest.param(
            (
                layers.UpSampling2D(2, interpolation="bicubic"),
                layers.Resizing(9, 11, interpolation="bicubic"),
                layers.Resizing(9, 11, antialias=True),
            ),
            id="mended",
        ),
        pytest.param(
            (
                *(layers.UpSampling2D((2, 3)), layers.UpSampling2D(2, interpolation="bilinear")),
                layers.UpSampling2D(2, interpolation="lanczos3"),
                layers.UpSampling2D((1, 2), interpolation="lanczos5"),
                layers.Resizing(33, 29),
                layers.Resizing(9, 11, interpolation="nearest"),
                layers.Resizing(9, 12, crop_to_aspect_ratio=True),
                layers.Resizing(9, 12, pad_to_aspect_ratio=True),
                *(layers.CenterCrop(9, 11), layers.CenterCrop(20, 11), layers.Cropping2D((1, 2))),
                *(layers.ZeroPadding2D((2, 1)), layers.Permute((3, 1, 2))),
            ),
            marks=slow,
            id="sizes",
        ),
        pytest.param(
            (
                *(layers.LayerNormalization(), layers.GroupNormalization(4)),
                *(layers.GroupNormalization(-1), layers.RMSNormalization()),
                *(layers.UnitNormalization(), layers.UnitNormalization(axis=(1, 2))),
                layers.SpectralNormalization(layers.Conv2D(6, 3)),
                layers.Normalization(mean=[0.1] * 8, variance=[2.0] * 8),
                *(layers.BatchNormalization(axis=1), layers.Rescaling(0.1, 0.2)),
            ),
            marks=slow,
            id="normalizations",
        ),
        pytest.param(
            (
                layers.Conv2D(8, 3, groups=4, activation="relu"),
                layers.Conv2D(8, 3, groups=2, dilation_rate=2, padding="same"),
                layers.Conv2D(6, 3, dilation_rate=(2, 3)),
                layers.DepthwiseConv2D(3, depth_multiplier=3),
                layers.DepthwiseConv2D(3, dilation_rate=2, depth_multiplier=2),
                layers.SeparableConv2D(6, 3, depth_multiplier=2, dilation_rate=2),
                layers.EinsumDense("bhwc,cd->bhwd", (None, 16, 6), bias_axes="d"),
            ),
            marks=slow,
            id="convolutions",
        ),
        pytest.param(
            (
                *(layers.AdaptiveAveragePooling2D((5, 3)), layers.AdaptiveMaxPooling2D((5, 3))),
                *(layers.MaxPooling2D(3, 2, "same"), layers.AveragePooling2D(3, 2, "same")),
                *(layers.GlobalMaxPooling2D(keepdims=True), layers.Softmax(axis=(1, 2))),
                *(layers.PReLU(), layers.ELU(0.5), layers.ReLU(3.0, 0.1, 0.2)),
                lambda x: layers.Dot(axes=(3, 3))([x, x]),
                lambda x: layers.Attention()([layers.Reshape((-1, 8))(x)] * 2),
                lambda x: layers.MultiHeadAttention(2, 4)(*[layers.Reshape((-1, 8))(x)] * 2),
            ),
            marks=slow,
            id="pooling and attention",
        ),
    ],
)
@pytest.mark.slow
def test_layers(middles, images, tmp_path):
    export(model_of(*middles), images, tmp_path)


TRANSPOSED = (
    *({"kernel_size": 2, "strides": 3}, {"kernel_size": 1, "strides": 2, "padding": "valid"}),
    {"kernel_size": 3, "dilation_rate": (2, 3), "padding": "valid"},
)
MORE_TRANSPOSED = (
    *({"kernel_size": (2, 3), "strides": (3, 2), "activation": "relu", "use_bias": False},),
    *({"kernel_size": 3, "strides": 2, "padding": "valid", "output_padding": (1, 0)},),
    *({"kernel_size": 3, "strides": 2, "output_padding": 1}, {"kernel_size": 5, "strides": (1, 2)}),
    *({"kernel_size": 2, "strides": 3, "padding": "valid", "output_padding": 2},),
    *({"kernel_size": 3, "dilation_rate": 2}, {"kernel_size": 4, "strides": 2}),
)


def transposed(settings):
    return [
        layers.Conv2DTranspose(4, bias_initializer="ones", **{"padding": "same", **one})
        for one in settings
    ]


@pytest.mark.parametrize("settings", [TRANSPOSED, pytest.param(MORE_TRANSPOSED, marks=slow)])
def test_transposed_convolutions(settings, images, tmp_path):
    export(model_of(*transposed(settings)), images, tmp_path)


@pytest.mark.parametrize("settings", [TRANSPOSED, pytest.param(MORE_TRANSPOSED, marks=slow)])
@pytest.mark.slow
@pytest.mark.full
def test_transposed_convolutions_in_int8(settings, tmp_path):
    many = np.random.default_rng(0).normal(size=(100, *SIZE)).astype(np.float32)
    quantized = kb.quantize(model_of(*transposed(settings)), many)
    for artifact in kb.export_model(quantized, tmp_path, verify=many).artifacts:
        assert artifact.comparison.error < 0.02, artifact


@pytest.mark.parametrize("work", [kb.quantize, lambda *x: kb.export_model(*x[:1], "never")])
def test_a_transposed_convolution_that_tensorflow_does_not_compute(work, images):
    layer = layers.Conv2DTranspose(
        4, 2, strides=3, padding="same", output_padding=(1, 0), name="cut"
    )
    with pytest.raises(ValueError, match="`model` must hold no transposed.* with layer 'cut'$"):
        work(model_of(layer), images)


def sequence(layer):
    return lambda x: layer(layers.Reshape((16, 128))(x))


def volume(layer):
    return lambda x: layer(layers.Reshape((8, 8, 4, 8))(x))


REFUSED = (
    ("tflite_int16", layers.LayerNormalization(name="it"), "no SquaredDifference with int16"),
    ("tflite_int16", layers.GroupNormalization(4, name="it"), "no SquaredDifference with int16"),
    ("tflite_int16", layers.RMSNormalization(name="it"), "no Square with int16"),
    ("tflite_int16", layers.UnitNormalization(name="it"), "no Square with int16"),
    ("tflite_int16", layers.Activation("hard_silu", name="it"), "no hard swish with int16"),
    ("tflite_int16", layers.Conv2D(4, 3, activation="elu", name="it"), "no Elu with int16"),
    ("tflite_int16", layers.PReLU(name="it"), "no Neg with int16"),
    ("tflite_int16", layers.Activation("softsign", name="it"), "no Softsign with int16"),
    ("tflite_int16", layers.ReLU(threshold=0.5, name="it"), "no Greater with int16"),
    ("tflite_int16", sequence(layers.LSTM(4, name="it")), "no loop"),
    ("tflite_int16", sequence(layers.GRU(4, name="it")), "no loop"),
    ("tflite_int16", volume(layers.Conv3D(4, 3, name="it")), "no Conv3D with int16"),
    ("tflite", volume(layers.AveragePooling3D(2, name="it")), "operator for AvgPool3D"),
    ("tflite_float16", volume(layers.MaxPooling3D(2, name="it")), "operator for MaxPool3D"),
    ("tflite", volume(layers.Conv3D(8, 3, groups=2, name="it")), "grouped .* three dimensions"),
    ("onnx", volume(layers.Conv3D(8, 3, groups=2, name="it")), "grouped .* three dimensions"),
    ("onnx", sequence(layers.Conv1D(8, 3, groups=2, name="it")), "grouped convolution in one"),
)


@pytest.mark.parametrize(
    ("row", "layer", "lack"), REFUSED, ids=[f"{row}-{lack}" for row, _, lack in REFUSED]
)
def test_limits_are_known_before_any_conversion(row, layer, lack):
    with pytest.raises(kb.export.ExportError, match=f"{lack}.* which layer 'it' needs; replace"):
        check_limits(source_of(layer), [row])


def test_limits_of_bare_operations_name_them():
    for operation, row in ((ops.arccos, "tflite"), (ops.sqrt, "tflite_int16")):
        name = operation.__name__
        with pytest.raises(kb.export.ExportError, match=f"which layer '{name}[_0-9]*' needs"):
            check_limits(source_of(lambda x, function=operation: function(ops.tanh(x))), [row])


def source_of(middle):
    exported, names = inference_model(model_of(middle), (1, *SIZE))
    return Source(exported, "features", Path("never"), names=names)


@pytest.mark.parametrize(
    "middle",
    [
        *(layers.Activation("gelu"), lambda x: ops.gelu(x, approximate=True), lambda x: x / 3.0),
        *(lambda x: x**2, layers.Normalization(mean=[0.1] * 8, variance=[2.0] * 8), ops.log2),
        lambda x: layers.Multiply()([x, layers.ReLU(6.0)(pooled(x) + 3.0) * (1.0 / 6.0)]),
    ],
)
def test_limits_leave_alone_what_converts(middle):
    check_limits(source_of(middle), ["tflite_int16", "tflite", "onnx"])


def test_nothing_is_written_before_all_formats_are_checked(images, tmp_path, monkeypatch):
    def never(source, path):
        raise AssertionError

    monkeypatch.setitem(formats.FORMATS, "tflite", formats.Format("{name}.tflite", never, 1e-4))
    model = model_of(layers.LayerNormalization(name="normal one"))
    with pytest.raises(kb.export.ExportError, match="which layer 'normal one' needs") as caught:
        kb.export_model(model, tmp_path / "files", ["tflite", "tflite_int16"], calibration=images)
    assert "\n" not in str(caught.value)
    assert list(tmp_path.iterdir()) == []


@slow
def test_int16_gelu_and_hard_sigmoid(images, tmp_path):
    model = model_of(layers.Activation("gelu"), layers.Activation("hard_sigmoid"))
    report = kb.export_model(model, tmp_path, ["tflite_int16"], calibration=images, verify=images)
    assert report["tflite_int16"].comparison.error < 0.01


@slow
@pytest.mark.full
@pytest.mark.parametrize("name", ["MobileNetV3Small", "MobileNetV3Large", "ConvNeXtTiny"])
def test_keras_applications(name, tmp_path):
    model = getattr(keras.applications, name)(weights=None, input_shape=(64, 64, 3), classes=10)
    images = np.random.default_rng(0).uniform(0, 255, (2, 64, 64, 3)).astype(np.float32)
    for artifact in kb.export_model(model, tmp_path, verify=images).artifacts:
        assert artifact.comparison.error < 1e-5
