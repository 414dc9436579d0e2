"""Single operators between convolutions: what becomes of each in an int8 file of TFLite.

Each row: a function of one feature map, the operators of the file that it becomes, and the
percentage of their integers that equalled those of LiteRT's built-in kernels when it was measured;
where it is fused into a convolution, there are none.
"""

import keras
from keras import layers, ops

SIDE, CHANNELS = 12, 8


def prelu(x):
    slopes = keras.initializers.RandomUniform(-0.2, 0.5, seed=1)
    return layers.PReLU(slopes, shared_axes=(1, 2), name="operator")(x)


def merged(merge):
    """A function of two feature maps: the one given, and one more."""

    def middle(x):
        other = layers.Conv2D(CHANNELS, 3, padding="same", activation="relu")
        return merge([x, other(x)])

    return middle


def with_fixed(activation):
    """A concatenation of what has a fixed range with what has not."""

    def middle(x):
        score = layers.Conv2D(2, 1, activation=activation)(x)
        return layers.Concatenate()([score, layers.Conv2D(4, 1)(x)])

    return middle


def nested(x):
    fixed = [layers.Conv2D(2, 1, activation=name)(x) for name in ("sigmoid", "tanh")]
    return layers.Concatenate()([layers.Concatenate()(fixed), x])


def in_two(x):
    score = layers.Conv2D(2, 1, activation="sigmoid")(x)
    first, second = layers.Conv2D(4, 1)(x), layers.Conv2D(4, 3, padding="same")(x)
    left = layers.Concatenate()([score, first])
    return layers.Add()([left, layers.Concatenate()([second, score])])


def squeezed(x):
    return x * ops.mean(x, axis=-1, keepdims=True)


def halves(x):
    return layers.Add()(ops.split(x, 2, axis=-1))


def rows(x):
    return ops.stack(ops.unstack(x, axis=1)[::-1], axis=1)


def inception(x):
    """Convolutions and an average that read the same maximum."""
    x = layers.MaxPooling2D(2, 1, padding="same")(layers.ReLU()(x))
    average = layers.Conv2D(4, 1)(layers.AveragePooling2D(3, 1, padding="same")(x))
    return layers.Concatenate()([layers.Conv2D(4, 1)(x), average])


def equal_activations(x):
    """Two ReLUs of one tensor, one of which shares its range with an average, as in NASNet."""
    x = layers.Concatenate()([x, layers.Conv2D(4, 1)(x)])
    average = layers.AveragePooling2D(3, 1, padding="same")(layers.Activation("relu")(x))
    return layers.Concatenate()(
        [layers.Conv2D(4, 1)(layers.ReLU()(x)), layers.Conv2D(4, 1)(average)]
    )


OPERATORS = {
    "elu": (layers.Activation("elu"), {"MINIMUM", "EXP", "DEPTHWISE_CONV_2D", "RELU", "ADD"}, 99.4),
    "elu_operation": (lambda x: ops.elu(x, 0.7), {"EXP"}, 100),
    "gelu": (lambda x: ops.gelu(x, approximate=True), {"GELU"}, 100),
    "prelu": (prelu, {"PRELU"}, 99.9),
    "leaky_relu": (lambda x: ops.leaky_relu(x, 0.1), {"LEAKY_RELU"}, 100),
    "clip_as_relu6": (lambda x: ops.clip(x, 0.0, 6.0), set(), 100),
    "clip": (lambda x: ops.clip(x, -0.5, 0.7), {"MINIMUM", "MAXIMUM"}, 100),
    "hard_tanh": (lambda x: ops.hard_tanh(x), set(), 100),
    "exp": (lambda x: ops.exp(x), {"EXP"}, 100),
    "absolute": (lambda x: ops.abs(x), {"ABS"}, 100),
    "square": (lambda x: ops.square(x), {"MUL"}, 99.9),
    "power": (lambda x: x**2, {"MUL"}, 99.9),
    "negative": (lambda x: -x, {"DEPTHWISE_CONV_2D"}, 99.4),
    "maximum_constant": (lambda x: ops.maximum(x, 0.1), {"MAXIMUM"}, 100),
    "mean_kept": (lambda x: x * ops.mean(x, (1, 2), keepdims=True), {"MEAN", "MUL"}, 99.3),
    "mean_of_channels": (squeezed, {"MEAN", "MUL"}, 99.3),
    "sum_of_channels": (lambda x: x * ops.sum(x, -1, keepdims=True), {"SUM", "MUL"}, 99.1),
    "largest_channel": (lambda x: x * ops.max(x, -1, keepdims=True), {"REDUCE_MAX"}, 99.1),
    "maximum": (merged(layers.Maximum()), {"MAXIMUM"}, 100),
    "minimum": (merged(lambda pair: ops.minimum(*pair)), {"MINIMUM"}, 100),
    "average": (merged(layers.Average()), {"ADD", "DEPTHWISE_CONV_2D"}, 99.2),
    "subtract": (merged(lambda pair: pair[0] - pair[1]), {"SUB"}, 99.8),
    "slice": (lambda x: x[:, 1:, ::2], {"STRIDED_SLICE"}, 100),
    "split": (halves, {"SPLIT", "ADD"}, 100),
    "unstack_and_stack": (rows, {"UNPACK", "PACK"}, 100),
    "flip": (lambda x: ops.flip(x, 1), {"REVERSE_V2"}, 100),
    "roll": (lambda x: ops.roll(x, 1, 1), {"CONCATENATION"}, 100),
    "reflect": (
        lambda x: ops.pad(x, ((0, 0), (1, 1), (1, 1), (0, 0)), mode="reflect"),
        {"MIRROR_PAD"},
        100,
    ),
    "take": (lambda x: ops.take(x, [0, 3, 1], -1), {"GATHER"}, 100),
    "depth_to_space": (lambda x: ops.depth_to_space(x, 2), {"DEPTH_TO_SPACE"}, 100),
    "space_to_depth": (lambda x: ops.space_to_depth(x, 2), {"SPACE_TO_DEPTH"}, 100),
    "dense_on_map": (layers.Dense(6, activation="relu"), set(), 100),
    "sigmoid_beside_linear": (with_fixed("sigmoid"), {"RELU_N1_TO_1", "CONCATENATION"}, 99.6),
    "tanh_beside_linear": (with_fixed("tanh"), {"RELU_N1_TO_1", "CONCATENATION"}, 99.6),
    "softmax_beside_linear": (with_fixed("softmax"), {"RELU_N1_TO_1", "CONCATENATION"}, 99.0),
    "nested_concatenations": (nested, {"RELU_N1_TO_1", "CONCATENATION"}, 99.6),
    "equal_activations": (equal_activations, {"RELU", "AVERAGE_POOL_2D"}, 99.0),
    "average_beside_convolutions": (inception, {"MAX_POOL_2D", "AVERAGE_POOL_2D"}, 99.0),
    "in_two_concatenations": (in_two, {"RELU_N1_TO_1", "CONCATENATION"}, 99.6),
}


def network(name):
    """The operator between two convolutions."""
    keras.utils.set_random_seed(0)
    image = keras.Input((SIDE, SIDE, 3))
    x = layers.Conv2D(CHANNELS, 3, padding="same")(image)
    x = OPERATORS[name][0](x)
    x = layers.Conv2D(CHANNELS, 3, padding="same")(x)
    return keras.Model(image, layers.Dense(4)(layers.Flatten()(x)), name=name)
