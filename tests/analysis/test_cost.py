"""`cost` counts what the layers multiply, and what the runtimes hold in memory."""

import json

import keras
import numpy as np
import pytest
from keras import layers

import keras_bottleneck as kb
from keras_bottleneck.analysis import cost
from keras_bottleneck.analysis.macs import MACS

IMAGE = (9, 8, 4)
ONES = {"kernel_initializer": "ones"}
DEPTHWISE = {"depthwise_initializer": "ones"}


def alone(layer, shape=IMAGE):
    return keras.Sequential([keras.Input(shape), layer])


def small(stem="cifar", **changes):
    return kb.ResNet("basic", (1,), filters=(8,), stem=stem, classes=3, name="small", **changes)


# Without padding, a kernel of ones over a tensor of ones: each output is the number of products
# that it sums up, and all outputs together are the layer's multiply-accumulates.
SUMMING = {
    "conv": (layers.Conv2D(6, (3, 2), **ONES), IMAGE),
    "strided": (layers.Conv2D(6, 3, strides=2, **ONES), IMAGE),
    "dilated": (layers.Conv2D(6, 3, dilation_rate=2, **ONES), IMAGE),
    "grouped": (layers.Conv2D(6, 3, groups=2, **ONES), IMAGE),
    "depthwise": (layers.DepthwiseConv2D(3, **DEPTHWISE), IMAGE),
    "depthwise of two": (layers.DepthwiseConv2D(3, depth_multiplier=2, **DEPTHWISE), IMAGE),
    "depthwise dilated": (layers.DepthwiseConv2D(3, dilation_rate=2, **DEPTHWISE), IMAGE),
    "transposed": (layers.Conv2DTranspose(6, 3, strides=2, **ONES), IMAGE),
    "transposed 1d": (layers.Conv1DTranspose(6, 3, **ONES), (9, 4)),
    "conv 1d": (layers.Conv1D(6, 3, **ONES), (9, 4)),
    "conv 3d": (layers.Conv3D(6, 2, **ONES), (5, 4, 3, 2)),
    "dense": (layers.Dense(6, **ONES), (5,)),
    "dense on pixels": (layers.Dense(6, **ONES), IMAGE),
    "inside a block": (layers.Conv2D(6, 1, activation="relu", use_bias=False, **ONES), IMAGE),
}


@pytest.mark.parametrize("case", SUMMING)
def test_macs_are_the_products_that_are_summed(case, as_array):
    layer, shape = SUMMING[case]
    sums = layer(np.ones((1, *shape), np.float32))
    assert cost(alone(layer, shape)).macs == as_array(sums).sum()


def test_padding_counts_as_if_it_were_pixels():
    assert cost(alone(layers.Conv2D(6, 3, padding="same"))).macs == 9 * 8 * 9 * 4 * 6


def test_separable_convolution_is_two():
    separable = layers.SeparableConv2D(6, 3, strides=2, depth_multiplier=2)
    assert cost(alone(separable)).macs == 4 * 3 * (9 * 8 + 8 * 6)
    assert cost(alone(layers.SeparableConv1D(6, 3), (9, 4))).macs == 7 * (3 * 4 + 4 * 6)


def test_channels_first_counts_the_same_pixels():
    convolution = layers.Conv2D(6, 3, data_format="channels_first")
    assert cost(alone(convolution, (4, 9, 8))).macs == 7 * 6 * 9 * 4 * 6


def test_every_kind_of_convolution_of_keras_has_a_row():
    kinds = {getattr(layers, name) for name in dir(layers) if "Conv" in name}
    recurrent = {kind for kind in kinds if "LSTM" in kind.__name__}
    assert kinds - recurrent <= set(MACS)


@pytest.mark.slow
@pytest.mark.full
@pytest.mark.parametrize(
    ("build", "parameters", "macs", "peak"),
    [
        (kb.ResNet50, 25_557_032, 4_089_184_256, 2_408_448),
        (kb.MobileNetV2, 3_504_872, 300_774_272, 1_505_280),
        (
            lambda: keras.applications.MobileNetV2(weights=None),
            *(3_504_872, 300_774_272, 1_505_280),
        ),
    ],
    ids=["ResNet50", "MobileNetV2", "MobileNetV2 of Keras"],
)
def test_published_figures(build, parameters, macs, peak):
    report = cost(build(), (224, 224, 3))
    assert report.trainable_parameters == parameters
    assert report.macs == macs
    assert report.peak_bytes("int8") == peak
    assert report.peak_bytes("float32") == 4 * peak
    assert report.uncounted == ()


def test_networks_of_keras_are_counted():
    # Howard et al. 2017, table 4: 569 million.
    report = cost(keras.applications.MobileNet(weights=None))
    assert report.macs == 568_740_352
    assert report.trainable_parameters == 4_231_976


@pytest.mark.slow
@pytest.mark.parametrize("name", ["DenseNet121", "EfficientNetB0", "MobileNetV3Small", "Xception"])
def test_no_layer_of_keras_applications_is_left_out(name):
    model = getattr(keras.applications, name)(weights=None)
    report = cost(model, (224, 224, 3))
    assert report.uncounted == ()
    assert report.parameters == model.count_params()


def test_blocks_are_counted_by_their_layers():
    report = cost(small(input_shape=(16, 16, 3)))
    convolution = report["stage1_block1_first_conv"]
    assert convolution.kind == "Conv2D"
    assert convolution.output_shape == (16, 16, 8)
    assert convolution.parameters == 9 * 8 * 8
    assert convolution.macs == 16 * 16 * 9 * 8 * 8
    assert report["stage1_block1_first_bn"].parameters == 4 * 8
    assert report["stage1_block1_first_bn"].trainable == 2 * 8
    with pytest.raises(KeyError, match="small has no such layer"):
        report["conv99"]


def test_frozen_layers_are_not_trainable():
    model = small(input_shape=(16, 16, 3))
    model.trainable = False
    report = cost(model)
    assert report.trainable_parameters == 0
    assert report.parameters == model.count_params()


def test_a_shared_layer_works_twice_and_is_stored_once():
    image = keras.Input((8, 8, 4))
    shared = layers.Conv2D(4, 3, padding="same", use_bias=False, name="shared")
    half = layers.AveragePooling2D(2)(shared(image))
    report = cost(keras.Model(image, shared(half)))
    rows = [layer for layer in report.layers if layer.name == "shared"]
    assert [row.parameters for row in rows] == [144, 0]
    assert [row.macs for row in rows] == [64 * 144, 16 * 144]
    assert report.parameters == 144


@pytest.mark.parametrize("stem", ["cifar", "imagenet"])
def test_a_quantized_network_costs_what_the_folded_one_does(noise, stem):
    model = small(input_shape=(16, 16, 3), stem=stem)
    quantized = cost(kb.quantize(model, noise(100, 16, 16, 3)))
    assert quantized.macs == cost(model).macs
    assert quantized.uncounted == ()
    # The step of a tensor is read later than the tensor, behind a pooling: it is no activation.
    assert quantized.peak_bytes() == cost(kb.fold(model)).peak_bytes()


def test_what_cannot_be_counted_is_named():
    image = keras.Input((4, 8))
    attended = layers.MultiHeadAttention(2, 4, name="attention")(image, image)
    product = layers.Dot(axes=-1, name="product")([attended, image])
    bare = keras.ops.matmul(product, image)
    report = cost(keras.Model(image, layers.LSTM(3, name="recurrent")(bare)))
    assert report.uncounted[:2] == ("attention", "product")
    assert report.uncounted[-1] == "recurrent"
    assert len(report.uncounted) == 4
    assert "attention" in str(report)


# Memory


def test_everything_that_is_read_later_stays_in_memory():
    image = keras.Input((8, 8, 2))
    wide = layers.Conv2D(16, 1, name="wide")(image)
    narrow = layers.Conv2D(2, 1, name="narrow")(wide)
    total = layers.Add(name="sum")([image, narrow])
    report = cost(keras.Model(image, layers.Flatten(name="flat")(total)))
    assert [layer.live for layer in report.layers] == [
        64 * (2 + 16),
        64 * (2 + 16 + 2),
        64 * (2 + 2 + 2),
        64 * (2 + 2),  # nothing in place: the reshaped tensor is another one
    ]
    assert report.peak.name == "narrow"
    assert report.activations == 64 * (16 + 2 + 2 + 2)


def test_outputs_stay_to_the_end():
    image = keras.Input((8, 8, 2))
    first = layers.Conv2D(4, 1)(image)
    second = layers.Conv2D(2, 1)(first)
    assert cost(keras.Model(image, [first, second])).layers[-1].live == 64 * (4 + 2)
    assert cost(keras.Model(image, second)).peak.live == 64 * (4 + 2)


@pytest.mark.parametrize(
    "chain",
    [
        [layers.Activation("swish")],
        [layers.ReLU(6.0)],
        [layers.BatchNormalization(), layers.ReLU()],
        [layers.Dropout(0.5), layers.LeakyReLU(), layers.SpatialDropout2D(0.1)],
        [kb.layers.DropPath(0.5), layers.Identity()],
    ],
    ids=["swish", "relu6", "norm", "dropout", "drop path"],
)
def test_what_follows_a_kernel_alone_is_fused_into_it(chain):
    model = keras.Sequential([keras.Input(IMAGE), layers.Conv2D(6, 1), *chain])
    report = cost(model)
    assert report.activations == 9 * 8 * 6
    assert report.peak.live == 9 * 8 * (4 + 6)


def test_an_activation_is_a_tensor_of_its_own_where_others_read_what_it_reads():
    image = keras.Input((8, 8, 2))
    linear = layers.Dropout(0.5)(layers.Conv2D(4, 1)(image))
    activated = layers.ReLU(name="relu")(linear)
    report = cost(keras.Model(image, layers.Add()([linear, activated])))
    assert report["relu"].activations == 64 * 4
    on_input = cost(keras.Model(image, layers.ReLU(name="relu")(image)))
    assert on_input["relu"].activations == 64 * 2


def test_a_batch_norm_without_a_kernel_before_it_is_a_tensor_of_its_own():
    image = keras.Input((8, 8, 2))
    total = layers.Add()([layers.Conv2D(2, 1)(image), image])
    normalized = layers.BatchNormalization(name="norm")(total)
    assert cost(keras.Model(image, normalized))["norm"].activations == 64 * 2


@pytest.mark.parametrize(("padding", "own"), [(((0, 1), (0, 1)), 0), (1, 10 * 10 * 2)])
def test_padding_is_a_tensor_unless_the_convolution_can_pad_so_itself(padding, own):
    image = keras.Input((8, 8, 2))
    padded = layers.ZeroPadding2D(padding, name="pad")(image)
    report = cost(keras.Model(image, layers.Conv2D(4, 3, strides=2, name="conv")(padded)))
    assert report["pad"].activations == own
    assert report["conv"].live == (own or 8 * 8 * 2) + 4 * 4 * 4


@pytest.mark.slow
@pytest.mark.full
@pytest.mark.parametrize(
    "build",
    [
        lambda: kb.MobileNetV2(alpha=0.35, input_shape=(64, 64, 3), classes=5),
        lambda: kb.ResNet("bottleneck", (2, 2), filters=(8, 16), input_shape=(64, 64, 3)),
        lambda: keras.applications.MobileNetV2((64, 64, 3), 0.35, weights=None, classes=5),
    ],
    ids=["mobilenet", "resnet", "keras"],
)
def test_peak_memory_is_that_of_the_file(build, trained, noise, tmp_path, peak_of_file):
    pytest.importorskip("tensorflow", reason="files are written by TensorFlow")
    model = trained(build())
    files = kb.export_model(model, tmp_path, ["tflite"], verify=noise(2, 64, 64, 3))
    assert cost(model).peak_bytes("float32") == peak_of_file(files["tflite"].path)


# Shapes


def test_any_size_can_be_given():
    open_size = small(input_shape=(None, None, 3))
    assert cost(open_size, (16, 16, 3)).macs == cost(small(input_shape=(16, 16, 3))).macs
    # A size of its own is no obstacle either, where the layers take others.
    assert cost(small(input_shape=(32, 32, 3)), (16, 16, 3)).input_shapes == ((16, 16, 3),)


def test_several_inputs():
    left, right = keras.Input((None, 4), name="left"), keras.Input((6, 4), name="right")
    merged = layers.Concatenate(axis=1)([layers.Dense(3)(left), layers.Dense(3)(right)])
    report = cost(keras.Model([left, right], merged), [(2, 4), (6, 4)])
    assert report.macs == (2 + 6) * 4 * 3
    assert report.layers[-1].output_shape == (8, 3)


@pytest.mark.parametrize(
    "shape",
    [None, (16, 16), (16, 16, 4), (16, 16, 3, 1), (0, 16, 3), "16", 16, [(16, 16, 3)] * 2, [None]],
)
def test_a_wrong_shape_is_refused(shape):
    with pytest.raises(ValueError, match=r"^`input_shape` must be .*'small'.*Received: input_shap"):
        cost(small(input_shape=(None, None, 3)), shape)


def test_a_shape_that_the_layers_refuse():
    model = keras.Sequential(
        [keras.Input((4, 4, 2)), layers.Flatten(), layers.Dense(3)], name="fixed"
    )
    with pytest.raises(ValueError, match=r"^`input_shape` must be a shape that model 'fixed' can"):
        cost(model, (5, 4, 2))


# The report


def test_json_holds_every_figure():
    report = cost(small(input_shape=(16, 16, 3)))
    found = json.loads(report.to_json())
    assert found == report.to_dict()
    assert found["macs"] == sum(layer["macs"] for layer in found["layers"]) == report.macs
    assert found["peak_bytes"] == {
        "int8": report.peak.live,
        "int16": 2 * report.peak.live,
        "float16": 2 * report.peak.live,
        "float32": 4 * report.peak.live,
    }
    assert found["layers"][0]["output_shape"] == [16, 16, 8]


def test_the_table_adds_up():
    report = cost(small(input_shape=(16, 16, 3)))
    text = str(report)
    assert "stage1_block1_first_conv" in text
    assert f"{report.macs:,}" in text
    figures = [line.split("│")[3].strip() for line in text.splitlines() if line.count("│") == 7]
    parameters = [int(figure.replace(",", "")) for figure in figures if figure]
    assert sum(parameters[:-1]) == parameters[-1] == report.parameters


def test_the_model_stays_as_it_was(max_difference, noise):
    model = small(input_shape=(16, 16, 3))
    image = noise(2, 16, 16, 3)
    expected, config, output = model(image), model.get_config(), model.layers[-1].output
    cost(model, (8, 8, 3))
    assert max_difference(model(image), expected) == 0.0
    assert model.get_config() == config
    assert model.layers[-1].output is output
