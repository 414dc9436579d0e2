"""`primitive` computes what the model computes, in one operator each layer."""

import keras
import numpy as np
import pytest
from keras import layers

from keras_bottleneck.layers import BasicBlock, ConvNormAct, InvertedResidual, SqueezeExcite
from keras_bottleneck.quantization.placement import rule_of
from keras_bottleneck.quantization.primitive import primitive

SHAPE = (6, 6, 4)


def image():
    return keras.Input(SHAPE, name="image")


def chain(*parts):
    return keras.Sequential([image(), *parts])


def wired(function):
    x = image()
    return keras.Model(x, function(x))


def adapted(**arguments):
    layer = layers.Normalization(**arguments)
    layer.adapt(3 * np.random.default_rng(0).normal(size=(50, *SHAPE)) + [0, 1, 2, 3])
    return layer


def called_twice():
    x = image()
    conv = layers.Conv2D(4, 3, padding="same", activation="swish")
    return keras.Model(x, conv(conv(x)))


def scaled_twice():
    x = image()
    scale, conv = layers.Rescaling(0.5, 1.0), layers.Conv2D(4, 1)
    return keras.Model(x, scale(conv(scale(x))))


def nested():
    x = image()
    inner = chain(layers.Conv2D(4, 3, padding="same", activation="relu"))
    return keras.Model(x, layers.Add()([inner(x), keras.ops.sigmoid(inner(inner(x)))]))


def many(kind):
    def merge(x):
        parts = [layers.Conv2D(4, 1, name=name)(x) for name in "abc"]
        return kind(name="merged")(parts)

    return wired(merge)


def squeezed(x):
    gate = layers.GlobalAveragePooling2D(keepdims=True)(x)
    gate = layers.Conv2D(4, 1, activation="hard_sigmoid")(gate)
    return layers.Multiply()([x, gate])


FUSED = {
    name: lambda name=name: chain(layers.Conv2D(5, 3, activation=name))
    for name in (
        "relu",
        "relu6",
        "softmax",
        "sigmoid",
        "tanh",
        "swish",
        "hard_swish",
        "hard_sigmoid",
        "leaky_relu",
        "elu",
        "gelu",
        "exponential",
    )
}
BARE = {
    f"ops_{name}": lambda name=name: wired(lambda x: getattr(keras.ops, name)(3 * x - 1))
    for name in (
        "relu",
        "relu6",
        "sigmoid",
        "silu",
        "hard_sigmoid",
        "hard_silu",
        "tanh",
        "softmax",
        "elu",
        "exp",
        "hard_tanh",
        "leaky_relu",
        "negative",
        "square",
    )
}
CASES = {
    **FUSED,
    **BARE,
    "relu_layer_inside": lambda: chain(layers.Conv2D(5, 3, activation=layers.ReLU(6.0))),
    "leaky_layer_inside": lambda: chain(layers.Conv2D(5, 3, activation=layers.LeakyReLU(0.1))),
    "swish_layer_inside": lambda: chain(layers.Conv2D(5, 3, activation=layers.Activation("swish"))),
    "sloped_relu_inside": lambda: chain(
        layers.Conv2D(5, 3, activation=layers.ReLU(negative_slope=0.2))
    ),
    "sloped_relu": lambda: chain(layers.ReLU(negative_slope=0.2)),
    "no_bias": lambda: chain(layers.Conv2D(5, 3, use_bias=False, activation="relu")),
    "depthwise_no_bias": lambda: chain(layers.DepthwiseConv2D(3, use_bias=False)),
    "transposed_no_bias": lambda: chain(
        layers.Conv2DTranspose(5, 3, 2, output_padding=1, padding="same", use_bias=False)
    ),
    "dense_no_bias": lambda: chain(layers.Dense(5, use_bias=False, activation="softmax")),
    "multiplier": lambda: chain(layers.DepthwiseConv2D(3, depth_multiplier=2)),
    "multiplier_strided": lambda: chain(
        layers.DepthwiseConv2D(3, 2, "same", depth_multiplier=3, use_bias=False, activation="relu")
    ),
    "separable": lambda: chain(layers.SeparableConv2D(5, 3)),
    "separable_all": lambda: chain(
        layers.SeparableConv2D(5, 3, 2, "same", depth_multiplier=2, activation="swish")
    ),
    "separable_no_bias": lambda: chain(layers.SeparableConv2D(5, 3, use_bias=False)),
    "separable_dilated": lambda: chain(layers.SeparableConv2D(5, 2, dilation_rate=2)),
    "rescaling": lambda: chain(layers.Rescaling(1 / 127.5, -1.0)),
    "rescaling_lists": lambda: chain(layers.Rescaling([1.0, 2.0, 3.0, 4.0], [4.0, 3.0, 2.0, 1.0])),
    "normalization": lambda: chain(
        layers.Normalization(mean=[0.4, 0.5, 0.6, 0.7], variance=[0.1, 0.2, 0.3, 0.4])
    ),
    "adapted": lambda: chain(adapted()),
    "adapted_as_one": lambda: chain(adapted(axis=None)),
    "inverted": lambda: chain(adapted(invert=True)),
    "arithmetic": lambda: wired(lambda x: (x * 2 + 1) / 127.5 - 1),
    "reversed": lambda: wired(lambda x: 1 - x),
    "three_added": lambda: many(layers.Add),
    "three_multiplied": lambda: many(layers.Multiply),
    "largest_of_three": lambda: many(layers.Maximum),
    "average_of_three": lambda: many(layers.Average),
    "elu_layer": lambda: chain(layers.ELU(0.7)),
    "dense_on_map": lambda: chain(layers.Dense(3, activation="swish")),
    "dense_without_bias": lambda: chain(layers.Dense(3, use_bias=False)),
    "dense_on_positions": lambda: chain(layers.Reshape((36, 4)), layers.Dense(3, "softmax")),
    "mean_of_pixels": lambda: wired(lambda x: keras.ops.mean(x, axis=(1, 2))),
    "mean_kept": lambda: wired(lambda x: keras.ops.mean(x, axis=(-2, -3), keepdims=True)),
    "largest_pixel": lambda: wired(lambda x: keras.ops.max(x, axis=(1, 2))),
    "clips": lambda: wired(lambda x: keras.ops.clip(x, 0, 6) + keras.ops.clip(x, -1, 1)),
    "extrema": lambda: wired(lambda x: keras.ops.maximum(x, keras.ops.minimum(-x, 0.5))),
    "operators": lambda: wired(lambda x: x * keras.ops.sigmoid(x) + keras.ops.relu(x) - x),
    "concatenated": lambda: wired(lambda x: keras.ops.concatenate([x, keras.ops.relu(x)], axis=-1)),
    "squeeze_excite": lambda: wired(squeezed),
    "called_twice": called_twice,
    "scaled_twice": scaled_twice,
    "nested": nested,
    "basic_block": lambda: chain(BasicBlock(6, 2, se_ratio=0.5)),
    "inverted_residual": lambda: chain(InvertedResidual(4), InvertedResidual(6, 2, se_ratio=0.25)),
    "conv_norm_act": lambda: chain(ConvNormAct(5, 3, activation="hard_swish")),
    "own_squeeze": lambda: chain(SqueezeExcite(0.5)),
    "dropout": lambda: chain(
        layers.Dropout(0.5), layers.Conv2D(3, 1), layers.SpatialDropout2D(0.5)
    ),
    "batch_norm_behind": lambda: chain(layers.Conv2D(5, 3), layers.BatchNormalization()),
    "batch_norm_before": lambda: chain(layers.BatchNormalization(), layers.Conv2D(5, 3)),
    "call_by_name": lambda: wired(lambda x: layers.Conv2D(3, 3)(inputs=x)),
    "sum_of_one": lambda: wired(lambda x: layers.Add()([x])),
}


@pytest.mark.parametrize("case", CASES)
def test_the_function_stays_and_every_operator_has_a_rule(case, trained, noise, max_difference):
    model = trained(CASES[case]())
    made = primitive(model)
    x = noise(2, *SHAPE)
    assert max_difference(made(x), model(x)) <= 1e-5
    for layer in made.layers[1:]:
        assert rule_of(layer) is not None, layer.name
        linear = getattr(layer, "activation", None) in (None, keras.activations.linear)
        assert linear or isinstance(layer, layers.Activation)
        assert getattr(layer, "use_bias", True)


@pytest.mark.parametrize("name", ["relu", "relu6", "softmax", "sigmoid", "swish", "leaky_relu"])
def test_an_activation_becomes_a_layer_named_after_its_own(name):
    made = primitive(chain(layers.Conv2D(5, 3, activation=name, name="c")))
    expected = ["c", "c_activation"]
    if name == "swish":
        expected.insert(1, "c_activation_sigmoid")
    assert [layer.name for layer in made.layers[1:]] == expected


@pytest.mark.parametrize(
    ("make", "kind"),
    [
        (lambda x: keras.ops.mean(x, axis=(1, 2)), "GlobalAveragePooling2D"),
        (lambda x: keras.ops.max(x, axis=(-3, -2), keepdims=True), "GlobalMaxPooling2D"),
        (lambda x: keras.ops.clip(x, 0.0, 6.0), "ReLU"),
        (lambda x: keras.ops.leaky_relu(x), "LeakyReLU"),
        (lambda x: layers.Dense(3)(x), "Conv2D"),
        (lambda x: -x, "DepthwiseConv2D"),
        (lambda x: keras.ops.square(x), "Multiply"),
    ],
    ids=["mean", "max", "clip", "leaky_relu", "dense", "negative", "square"],
)
def test_what_means_the_same_becomes_the_same_layer(make, kind, kinds):
    assert kinds(primitive(wired(make))) == [kind]


def test_swish_is_a_sigmoid_and_a_product(kinds):
    made = primitive(chain(layers.Activation("silu")))
    assert kinds(made) == ["Activation", "Multiply"]


def test_a_depthwise_convolution_with_a_multiplier_is_a_grouped_one():
    layer = primitive(CASES["multiplier"]()).layers[1]
    assert type(layer) is layers.Conv2D
    assert (layer.filters, layer.groups) == (8, 4)


@pytest.mark.parametrize(
    "make",
    [
        lambda x: (x * 2 + 1) / 127.5 - 1,
        lambda x: layers.Normalization(mean=0.5, variance=0.04)(layers.Rescaling(1 / 255)(x)),
        lambda x: layers.Rescaling([1.0, 2.0, 3.0, 4.0])(1 - x) / 3.0,
        lambda x: keras.ops.subtract(keras.ops.multiply(x, 3.0), np.float32([1, 2, 3, 4])),
    ],
    ids=["operators", "layers", "both", "functions"],
)
def test_scales_and_shifts_in_a_row_become_one_convolution(make, kinds, noise, max_difference):
    model = wired(lambda x: layers.Conv2D(3, 1)(make(x)))
    made, x = primitive(model), noise(2, *SHAPE)
    assert kinds(made) == ["DepthwiseConv2D", "Conv2D"]
    assert max_difference(made(x), model(x)) <= 1e-5


def test_a_scale_with_two_readers_is_merged_for_each(kinds, noise, max_difference):
    x = image()
    half = x / 2.0
    model = keras.Model(x, [layers.Conv2D(3, 1)(half), half - 1.0, half * 3.0])
    made, x = primitive(model), noise(2, *SHAPE)
    assert sorted(kinds(made)) == [
        "Conv2D",
        "DepthwiseConv2D",
        "DepthwiseConv2D",
        "DepthwiseConv2D",
    ]
    assert max_difference(made(x), model(x)) <= 1e-5


def test_statistics_of_pixels_keep_their_precision(max_difference):
    model = chain(
        layers.Normalization(
            mean=[123.675, 116.28, 103.53, 0.485], variance=[3409.9, 3262.0, 3291.9, 0.0524]
        )
    )
    x = np.random.default_rng(0).uniform(0, 255, (2, *SHAPE)).astype("float32")
    expected = (x - [123.675, 116.28, 103.53, 0.485]) / np.sqrt([3409.9, 3262.0, 3291.9, 0.0524])
    found = primitive(model)(x)
    assert max_difference(found, expected) <= 3e-6 * np.abs(expected).max()


@pytest.mark.parametrize(
    ("make", "kind"),
    [
        (lambda x: 3.0 / x, "Divide"),
        (lambda x: keras.ops.divide(np.float32([0, 1, 2, 3]), x), "Divide"),
        (lambda x: x + np.arange(6, dtype="float32").reshape(6, 1, 1), "Add"),
        (lambda x: x[..., :1] * np.float32([1, 2, 3]), "Multiply"),
        (lambda x: keras.ops.sqrt(x), "Sqrt"),
    ],
    ids=["quotient", "quotients", "each_row", "more_channels", "root"],
)
def test_what_is_no_scale_and_shift_stays(make, kind, kinds):
    x = image()
    made = kinds(primitive(keras.Model(x, make(x))))
    assert made[-1] in (kind, f"True{kind}")


def test_dropout_is_kept_for_training():
    names = [layer.name for layer in primitive(chain(layers.Dropout(0.3, name="drop"))).layers]
    assert names == ["image", "drop"]


def test_batch_norm_goes_into_the_convolution(trained, kinds):
    model = trained(
        chain(layers.Conv2D(5, 3), layers.BatchNormalization(), layers.Activation("relu"))
    )
    assert kinds(primitive(model)) == ["Conv2D", "ReLU"]


def test_a_layer_called_twice_stays_one(kinds):
    made = primitive(called_twice())
    assert kinds(made) == ["Conv2D", "Activation", "Multiply"] * 2
    assert sum(isinstance(layer, layers.Conv2D) for layer in made.layers) == 1


def test_a_name_that_is_taken_is_left_to_its_owner(noise, max_difference):
    model = wired(
        lambda x: layers.ReLU(name="c_activation")(
            layers.Dense(3)(layers.Conv2D(4, 3, activation="relu", name="c")(x))
        )
    )
    made, x = primitive(model), noise(2, *SHAPE)
    assert made.get_layer("c_activation").output is made.outputs[0]
    assert max_difference(made(x), model(x)) <= 1e-5


@pytest.mark.parametrize("policy", ["mixed_bfloat16", "float64"])
def test_the_global_precision_does_not_matter(policy, dtype_policy, noise, max_difference):
    model = wired(lambda x: layers.Conv2D(3, 1, activation="relu")(layers.Rescaling(0.5, 9.0)(x)))
    dtype_policy(policy)
    made, x = primitive(model), noise(2, *SHAPE)
    assert {layer.compute_dtype for layer in made.layers[1:]} == {"float32"}
    assert max_difference(made(x), model(x)) <= 1e-5


def test_the_model_stays_as_it_was(noise, max_difference):
    model = CASES["separable_all"]()
    x = noise(2, *SHAPE)
    expected, config = model(x), model.get_config()
    made = primitive(model)
    made.set_weights([weight + 1 for weight in made.get_weights()])
    assert max_difference(model(x), expected) == 0.0
    assert model.get_config() == config


def test_weights_of_an_activation_go_along(noise, max_difference):
    def inside():
        return layers.PReLU("uniform", shared_axes=(1, 2))

    model = chain(
        layers.Conv2D(5, 3, activation=inside()),
        layers.SeparableConv2D(5, 3, use_bias=False, activation=inside()),
    )
    x = noise(2, *SHAPE)
    expected = model(x)  # Keras makes the activations' weights in the first call
    assert max_difference(primitive(model)(x), expected) <= 1e-5
