"""Fake quantizers go where int8 runtimes round, and nowhere else."""

import keras
import pytest
from keras import layers

from keras_bottleneck import keras_private
from keras_bottleneck.layers import BasicBlock
from keras_bottleneck.quantization.placement import Placement
from keras_bottleneck.quantization.primitive import primitive


@pytest.fixture
def image():
    return keras.Input((8, 8, 4), name="image")


def conv(name, **arguments):
    return layers.Conv2D(4, 3, padding="same", name=name, **arguments)


def placed(inputs, outputs, skip=()):
    return Placement(primitive(keras.Model(inputs, outputs)), skip)


def rounded(placement):
    """The names of what makes the tensors that are rounded, in order of the calls."""
    return [keras_private.maker(tensor).name for tensor in placement.rounded_tensors]


def groups(placement):
    """The names of what makes the tensors that share a range, where several do."""
    found = {}
    for tensor in placement.rounded_tensors:
        name = keras_private.maker(tensor).name
        found.setdefault(placement.group(tensor), []).append(name)
    return sorted(sorted(names) for names in found.values() if len(names) > 1)


def fixed(placement):
    """The names of what makes tensors with fixed ranges, and these."""
    found = {}
    for tensor in placement.rounded_tensors:
        given = placement.fixed_range(placement.group(tensor))
        if given is not None:
            found[keras_private.maker(tensor).name] = given
    return found


@pytest.mark.parametrize("activation", ["relu", "relu6"])
def test_a_convolution_and_its_relu_are_rounded_once(image, activation):
    placement = placed(image, conv("a", activation=activation)(image))
    assert rounded(placement) == ["image", "a_activation"]


@pytest.mark.parametrize(
    "make",
    [
        lambda: layers.Conv2D(4, 3, name="k"),
        lambda: layers.DepthwiseConv2D(3, name="k"),
        lambda: layers.Conv2DTranspose(4, 3, name="k"),
        lambda: layers.Dense(4, name="k"),
        lambda: layers.GlobalAveragePooling2D(name="k"),
        lambda: layers.LeakyReLU(name="k"),
        lambda: layers.ReLU(name="k"),
        lambda: layers.Activation("hard_swish", name="k"),
    ],
    ids=["conv", "depthwise", "transposed", "dense", "global", "leaky", "relu", "hard_swish"],
)
def test_an_operator_is_rounded_to_a_range_of_its_own(image, make):
    placement = placed(image, make()(image))
    assert rounded(placement) == ["image", "k"]
    assert groups(placement) == [] and fixed(placement) == {}


def test_a_relu_with_another_reader_of_its_input_is_rounded_apart(image):
    x = conv("a")(image)
    placement = placed(image, [layers.ReLU(name="r")(x), conv("b")(x)])
    assert sorted(rounded(placement)) == ["a", "b", "image", "r"]


def test_a_relu_of_an_output_is_rounded_apart(image):
    x = conv("a")(image)
    placement = placed(image, [x, layers.ReLU(name="r")(x)])
    assert rounded(placement) == ["image", "a", "r"]


@pytest.mark.parametrize("merge", [layers.Add, layers.Subtract, layers.Multiply])
def test_a_linear_convolution_before_a_sum_is_rounded_and_the_sum_once(image, merge):
    x = conv("a", activation="relu")(image)
    total = layers.ReLU(name="r")(merge(name="sum")([conv("b")(x), x]))
    assert rounded(placed(image, total)) == ["image", "a_activation", "b", "r"]


def test_a_concatenation_shares_a_range_also_through_pools(image):
    x = conv("a", activation="relu")(image)
    left = layers.MaxPooling2D(name="pool")(x)
    right = layers.Conv2D(4, 3, 2, "same", name="b")(x)
    out = conv("c")(layers.Concatenate(name="join")([left, layers.Dropout(0.5)(right)]))
    placement = placed(image, out)
    assert sorted(rounded(placement)) == ["a_activation", "b", "c", "image", "join"]
    assert groups(placement) == [["a_activation", "b", "join"]]


def test_a_chain_of_concatenations_shares_one_range(image):
    x = conv("a", activation="relu")(image)
    for name in "bcd":
        new = conv(name, activation="relu")(x)
        x = layers.Concatenate(name=f"join_{name}")([x, new])
    expected = ["a_activation"] + [f"{n}_activation" for n in "bcd"] + [f"join_{n}" for n in "bcd"]
    assert groups(placed(image, x)) == [sorted(expected)]


def test_a_concatenation_of_the_input_shares_its_range(image):
    placement = placed(image, layers.Concatenate(name="join")([image, conv("a")(image)]))
    assert groups(placement) == [["a", "image", "join"]]


def test_a_concatenation_of_a_sigmoid_leaves_it_its_range(image):
    gate = conv("g", activation="sigmoid")(image)
    placement = placed(image, layers.Concatenate(name="join")([conv("a")(image), gate]))
    assert groups(placement) == [["a", "join"]]
    assert fixed(placement) == {"g_activation": (0.0, 255 / 256)}


def test_a_sigmoid_in_two_concatenations_gives_them_one_range(image):
    gate = conv("g", activation="sigmoid")(image)
    joins = [layers.Concatenate(name=f"join_{n}")([conv(n)(image), gate]) for n in "ab"]
    placement = placed(image, joins)
    assert groups(placement) == [["a", "b", "join_a", "join_b"]]


def test_a_concatenation_of_sigmoids_has_theirs(image):
    gates = [conv(name, activation="sigmoid")(image) for name in "gh"]
    placement = placed(image, layers.Concatenate(name="join")(gates))
    assert groups(placement) == [["g_activation", "h_activation", "join"]]
    assert set(fixed(placement).values()) == {(0.0, 255 / 256)}


@pytest.mark.parametrize(
    "make",
    [
        lambda: layers.AveragePooling2D(2, name="k"),
        lambda: layers.UpSampling2D(2, None, "bilinear", name="k"),
    ],
    ids=["average", "bilinear"],
)
def test_an_average_is_rounded_to_the_range_of_its_input(image, make):
    placement = placed(image, conv("b")(make()(conv("a")(image))))
    assert rounded(placement) == ["image", "a", "k", "b"]
    assert groups(placement) == [["a", "k"]]


def test_components_of_unit_length_have_the_range_of_the_runtimes(image):
    x = layers.GlobalAveragePooling2D(name="pool")(conv("a")(image))
    placement = placed(image, layers.UnitNormalization(name="unit")(x))
    assert rounded(placement) == ["image", "a", "pool", "unit"]
    assert fixed(placement) == {"unit": (-1.0, 127 / 128)}


def test_unit_length_along_another_axis_is_refused(image):
    with pytest.raises(ValueError, match="`model` must consist of layers that int8 runtimes have"):
        placed(image, layers.UnitNormalization(axis=1)(conv("a")(image)))


@pytest.mark.parametrize(
    ("activation", "expected"),
    [("sigmoid", (0.0, 255 / 256)), ("softmax", (0.0, 255 / 256)), ("tanh", (-1.0, 127 / 128))],
)
def test_bounded_activations_have_the_ranges_of_the_runtimes(image, activation, expected):
    placement = placed(image, conv("a", activation=activation)(image))
    assert rounded(placement) == ["image", "a", "a_activation"]
    assert fixed(placement) == {"a_activation": expected}


def test_an_average_of_a_sigmoid_has_its_range(image):
    x = layers.AveragePooling2D(2, name="pool")(conv("a", activation="sigmoid")(image))
    assert set(fixed(placed(image, x))) == {"a_activation", "pool"}


def test_swish_is_rounded_before_in_the_middle_and_after(image):
    placement = placed(image, conv("a", activation="swish")(image))
    assert rounded(placement) == ["image", "a", "a_activation_sigmoid", "a_activation"]
    assert set(fixed(placement)) == {"a_activation_sigmoid"}


@pytest.mark.parametrize("activation", ["leaky_relu", "hard_swish"])
def test_other_activations_are_rounded_before_and_after(image, activation):
    placement = placed(image, conv("a", activation=activation)(image))
    assert rounded(placement) == ["image", "a", "a_activation"]


@pytest.mark.parametrize("kind", [layers.Maximum, layers.Minimum])
def test_extrema_share_a_range(image, kind):
    placement = placed(image, kind(name="k")([conv("a")(image), conv("b")(image)]))
    assert groups(placement) == [["a", "b", "k"]]


@pytest.mark.parametrize(
    "make",
    [
        lambda: layers.MaxPooling2D(),
        lambda: layers.GlobalMaxPooling2D(),
        lambda: layers.ZeroPadding2D(),
        lambda: layers.Cropping2D(),
        lambda: layers.Flatten(),
        lambda: layers.Reshape((64, 4)),
        lambda: layers.Permute((2, 1, 3)),
        lambda: layers.Dropout(0.5),
        lambda: layers.SpatialDropout2D(0.5),
        lambda: layers.UpSampling2D(2),
        lambda: layers.Activation("linear"),
    ],
    ids=lambda make: type(make()).__name__,
)
def test_what_passes_values_on_is_not_rounded(image, make):
    placement = placed(image, layers.Dense(3, name="d")(make()(conv("a")(image))))
    assert rounded(placement) == ["image", "a", "d"]


@pytest.mark.parametrize(
    "operation",
    [
        lambda x: keras.ops.reshape(x, (-1, 64, 4)),
        lambda x: keras.ops.transpose(x, (0, 2, 1, 3)),
        lambda x: keras.ops.squeeze(keras.ops.expand_dims(x, 1), 1),
        lambda x: x[:, 1:, ::2],
        lambda x: keras.ops.unstack(x, axis=1)[2],
        lambda x: keras.ops.max(x, axis=-1, keepdims=True),
    ],
    ids=["reshape", "transpose", "squeeze", "slice", "unstack", "max"],
)
def test_a_bare_operation_that_moves_values_is_not_rounded(image, operation):
    placement = placed(image, layers.Dense(3, name="d")(operation(conv("a")(image))))
    assert rounded(placement) == ["image", "a", "d"]


def test_other_bare_operations_are_refused_by_name(image):
    with pytest.raises(ValueError, match=r"skip='unsupported'. Received: 'sin.*' \(Sin\)$"):
        placed(image, keras.ops.sin(conv("a")(image)))


def test_a_pad_with_zeros_passes_values_on_and_with_others_it_does_not(image):
    widths = [[0, 0], [1, 1], [1, 1], [0, 0]]
    assert rounded(placed(image, keras.ops.pad(image, widths))) == ["image"]
    # A constant outside of the input's range would be on no grid.
    with pytest.raises(ValueError, match="skip='unsupported'"):
        placed(image, keras.ops.pad(image, widths, constant_values=50.0))


def test_a_skipped_layer_is_in_float(image):
    x = conv("b")(conv("a", activation="relu")(image))
    placement = placed(image, conv("c")(x), skip=["b"])
    assert rounded(placement) == ["image", "a_activation", "b", "c"]
    assert placement.names_in_float == ("b",)
    placement = placed(image, conv("e")(conv("d")(image)), skip=["d"])
    # The float layer reads the input as it is.
    assert rounded(placement) == ["d", "e"]
    placement = placed(image, conv("g")(conv("f")(image)), skip=["g"])
    assert rounded(placement) == ["image", "f"]


def test_a_skipped_layer_takes_its_activation_along(image):
    x = conv("b", activation="swish")(conv("a")(image))
    placement = placed(image, conv("c")(x), skip=["b"])
    assert placement.names_in_float == ("b", "b_activation_sigmoid", "b_activation")
    assert rounded(placement) == ["image", "a", "b_activation", "c"]


def test_a_block_is_skipped_by_its_name(image):
    x = BasicBlock(4, name="first")(image)
    model = keras.Model(image, BasicBlock(4, name="second")(x))
    placement = Placement(primitive(model), ["second"])
    assert placement.names_in_float
    assert all(name.startswith("second_") for name in placement.names_in_float)
    kinds = [type(call.operation) for call in placement.calls if placement.rule(call) is not None]
    assert kinds.count(layers.Conv2D) == 2


def test_skipping_a_layer_leaves_those_with_longer_names(image):
    # As Keras itself numbers them.
    x = conv("conv2d_2")(conv("conv2d_1")(conv("conv2d")(image)))
    assert placed(image, x, skip=["conv2d"]).names_in_float == ("conv2d",)


def test_everything_may_be_skipped(image):
    placement = placed(image, conv("a", activation="relu")(image), skip=["a"])
    assert rounded(placement) == []


UNSUPPORTED = {
    "LayerNormalization": lambda: layers.LayerNormalization(name="odd"),
    "Lambda": lambda: layers.Lambda(lambda x: x + 1, output_shape=(8, 8, 4), name="odd"),
    "GroupNormalization": lambda: layers.GroupNormalization(2, name="odd"),
    "ReLU": lambda: layers.ReLU(max_value=1.0, name="odd"),
    "Activation": lambda: layers.Activation("softplus", name="odd"),
    "Resizing": lambda: layers.Resizing(4, 4, name="odd"),
    "UpSampling2D": lambda: layers.UpSampling2D(2, None, "bicubic", name="odd"),
}


@pytest.mark.parametrize("kind", UNSUPPORTED)
def test_layers_without_int8_are_named(image, kind):
    x = conv("b")(UNSUPPORTED[kind]()(conv("a")(image)))
    with pytest.raises(ValueError) as error:
        placed(image, x)
    assert str(error.value).endswith(f"Received: 'odd' ({kind})")
    assert "\n" not in str(error.value)
    placement = placed(image, x, skip="unsupported")
    assert placement.names_in_float == ("odd",)
    assert rounded(placement) == ["image", "a", "odd", "b"]
    assert placed(image, x, skip=["odd"]).names_in_float == ("odd",)


class Branch(layers.Layer):
    """A layer of another package, made of those that int8 runtimes have."""

    def __init__(self, **arguments):
        super().__init__(**arguments)
        self.conv = conv("conv")
        self.norm = layers.BatchNormalization()

    def call(self, inputs):
        return inputs[0] + self.norm(self.conv(inputs[1])) * 0.2


def test_layers_made_of_others_are_quantized_inside_and_skipped_by_their_name(image):
    x = Branch(name="branch")([image, image])
    # The scale is a depthwise convolution, batch norm is folded.
    assert len(rounded(placed(image, x))) == 4
    kept = placed(image, x, skip=["branch"]).names_in_float
    assert len(kept) == 3
    assert all(name.startswith("branch_") for name in kept)


def test_all_of_them_are_named_in_one_error(image):
    x = image
    for number in range(7):
        x = layers.LayerNormalization(name=f"norm{number}")(x)
    with pytest.raises(ValueError) as error:
        placed(image, x)
    named = ", ".join(f"'norm{number}' (LayerNormalization)" for number in range(5))
    assert str(error.value).endswith(f"Received: {named} and 2 more")


def test_a_maximum_that_an_average_reads_beside_others_is_rounded_again(image):
    x = layers.MaxPooling2D(name="pool")(conv("stem")(image))
    average = layers.AveragePooling2D(3, 1, padding="same", name="average")(x)
    alone = placed(image, average)
    assert rounded(alone) == ["image", "stem", "average"]
    beside = placed(image, layers.Concatenate(name="joined")([conv("a")(x), conv("b")(average)]))
    assert rounded(beside) == ["image", "stem", "pool", "average", "a", "b", "joined"]
    assert ["average", "pool", "stem"] in groups(beside)


def test_what_reads_infinity_stays_in_float_too(image):
    """PyTorch's padding before a maximum, as ported networks have it."""
    widths = ((0, 0), (1, 1), (1, 1), (0, 0))
    x = keras.ops.pad(conv("first")(image), widths, constant_values=float("-inf"))
    x = conv("second")(layers.MaxPooling2D(3, 2, name="pool")(x))
    with pytest.raises(ValueError, match=r"Received: 'pad\w*' \(Pad\), 'pool' \(MaxPooling2D\)$"):
        placed(image, x)
    placement = placed(image, x, skip="unsupported")
    assert placement.names_in_float[1:] == ("pool",)
    assert rounded(placement) == ["image", "first", "pool", "second"]


def test_channels_first_is_not_supported(image):
    x = layers.Conv2D(4, 3, data_format="channels_first", name="odd")(image)
    with pytest.raises(ValueError, match=r"Received: 'odd' \(Conv2D\)"):
        placed(image, x)


def test_skipping_one_unsupported_layer_leaves_the_error_for_the_other(image):
    x = layers.LayerNormalization(name="two")(layers.LayerNormalization(name="one")(image))
    with pytest.raises(ValueError) as error:
        placed(image, x, skip=["one"])
    assert str(error.value).endswith("Received: 'two' (LayerNormalization)")


def test_an_unknown_name_suggests_a_near_one(image):
    x = conv("head")(conv("stem_conv")(image))
    with pytest.raises(ValueError) as error:
        placed(image, x, skip=["stem_con"])
    message = str(error.value)
    assert message.startswith("`skip` must be one of")
    assert "did you mean 'stem_conv'?" in message
    assert message.endswith("Received: skip='stem_con'")


@pytest.mark.parametrize("skip", ["stem", 3, None, [3], {"a": 1}, ("a", None)], ids=repr)
def test_skip_is_a_sequence_of_names(image, skip):
    with pytest.raises(ValueError) as error:
        placed(image, conv("a")(image), skip=skip)
    assert str(error.value).startswith(
        "`skip` must be a sequence of layer names, or 'unsupported'. Received: skip="
    )
