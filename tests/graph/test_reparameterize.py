"""`fold` merges parallel convolutions that are one, and no others."""

import keras
import pytest
from hypothesis import Phase, given, settings
from hypothesis import strategies as st
from keras.layers import Add, Conv2D, DepthwiseConv2D, ReLU, ZeroPadding2D

from keras_bottleneck import graph, keras_private, layers, models
from keras_bottleneck.graph import fold

BN = keras.layers.BatchNormalization
IMAGE = (9, 8, 6)


def wired(function, shape=IMAGE):
    """The model that `function` makes of an image."""
    image = keras.Input(shape)
    return keras.Model(image, function(image))


def norm_conv(x, *args, kind=Conv2D, **arguments):
    return BN()(kind(*args, use_bias=False, **arguments)(x))


def counts(model):
    """How many calls there are of convolutions, and of sums."""
    kinds = [type(call.operation).__name__ for call in keras_private.calls(graph.flatten(model))]
    sums = ("Add", "Subtract")
    return sum("Conv2D" in kind for kind in kinds), sum(kind in sums for kind in kinds)


def acnet(x, stride=1):
    """ACNet's block in stock layers, with an `Add` of three."""
    sides = (3, (1, 3), (3, 1))
    return Add()([norm_conv(x, 6, side, strides=stride, padding="same") for side in sides])


def repvgg(x):
    """RepVGG's block in stock layers, summed by `+`, which is a sum of a sum."""
    return norm_conv(x, 6, 3, padding="same") + norm_conv(x, 6, 1) + BN()(x)


def padded(x):
    """PyTorch's stride: each kernel behind a padding of its own."""
    square = norm_conv(ZeroPadding2D(1)(x), 4, 3, strides=2)
    column = norm_conv(ZeroPadding2D((1, 0))(x), 4, (3, 1), strides=2)
    return keras.ops.add(square, keras.ops.add(column, norm_conv(x, 4, 1, strides=2)))


def biased(x):
    return Add()([Conv2D(4, 3, padding="same")(x), Conv2D(4, 3, padding="same")(x)])


def dilated(x):
    wide = {"padding": "same", "dilation_rate": 2}
    return Add()([norm_conv(x, 6, 5, **wide), norm_conv(x, 6, 3, **wide), BN()(x)])


def grouped(x):
    twice = {"padding": "same", "groups": 2}
    return Add()([norm_conv(x, 6, 3, **twice), norm_conv(x, 6, 1, groups=2), BN()(x)])


def depthwise(x):
    terms = [norm_conv(x, 5, padding="same", kind=DepthwiseConv2D) for _ in range(2)]
    return Add()([*terms, norm_conv(x, 3, padding="same", kind=DepthwiseConv2D), BN()(x)])


def depthwise_multiplier(x):
    wide = {"padding": "same", "depth_multiplier": 2, "kind": DepthwiseConv2D}
    return Add()([norm_conv(x, 3, **wide), norm_conv(x, 1, **wide)])


def depthwise_in_a_conv(x):
    depthwise = norm_conv(x, 3, padding="same", kind=DepthwiseConv2D)
    return Add()([depthwise, norm_conv(x, 6, 3, padding="same")])


def corner(x):
    """A valid kernel whose first tap the other kernel has, not its centre."""
    after = norm_conv(ZeroPadding2D(((0, 2), (0, 2)))(x), 4, 3)
    return Add()([after, norm_conv(x, 4, 1)])


def padded_same(x):
    """What "same" adds depends on the zeros that are there already."""
    wide = Conv2D(4, 3, strides=3, padding="same")(ZeroPadding2D(((0, 0), (0, 1)))(x))
    return Add()([wide, Conv2D(4, 1, strides=3)(x)])


def two_sums(x):
    return Add()([ReLU()(repvgg(x)), keras.layers.MaxPooling2D(1)(acnet(x))])


MERGED = {
    "asymmetric": (lambda: wired(layers.AsymmetricConv2D(4)), 1),
    "asymmetric_stride": (lambda: wired(layers.AsymmetricConv2D(4, 5, 2, activation="relu")), 1),
    "asymmetric_groups": (lambda: wired(layers.AsymmetricConv2D(4, groups=2)), 1),
    "repvgg_identity": (lambda: wired(layers.RepVGGBlock(6)), 1),
    "repvgg_groups": (lambda: wired(layers.RepVGGBlock(6, groups=3)), 1),
    "repvgg_dilation": (lambda: wired(layers.RepVGGBlock(6, dilation=2, padding="same")), 1),
    "repvgg_stride": (lambda: wired(layers.RepVGGBlock(4, 2)), 1),
    "repvgg_stride_same": (lambda: wired(layers.RepVGGBlock(4, 2, padding="same")), 1),
    "repvgg_unknown_size": (lambda: wired(layers.RepVGGBlock(4, 2), (None, None, 6)), 1),
    "own_acnet": (lambda: wired(acnet), 1),
    "own_acnet_stride": (lambda: wired(lambda x: acnet(x, 2)), 1),
    "own_repvgg": (lambda: wired(repvgg), 1),
    "padded": (lambda: wired(padded), 1),
    "padded_unknown_size": (lambda: wired(padded, (None, None, 6)), 1),
    "biased": (lambda: wired(biased), 1),
    "dilated": (lambda: wired(dilated), 1),
    "grouped": (lambda: wired(grouped), 1),
    "depthwise": (lambda: wired(depthwise), 1),
    "depthwise_multiplier": (lambda: wired(depthwise_multiplier), 1),
    "depthwise_in_a_conv": (lambda: wired(depthwise_in_a_conv), 1),
    "corner": (lambda: wired(corner), 1),
    "padded_same": (lambda: wired(padded_same), 1),
    "nested_models": (lambda: wired(lambda x: wired(acnet)(x)), 1),
    "two_sums": (lambda: wired(two_sums), 2),
}


@pytest.mark.parametrize(("make", "convolutions"), MERGED.values(), ids=MERGED.keys())
def test_parallel_convolutions_become_one(make, convolutions, noise, trained, max_difference):
    model = trained(make())
    folded, x = fold(model), noise(2, *IMAGE)
    assert counts(folded) == (convolutions, convolutions - 1)
    assert max_difference(folded(x), model(x)) <= 1e-5


def residual(x):
    """One convolution and the identity: a sum that int8 runtimes have an operator for."""
    return Add()([Conv2D(6, 3, padding="same")(x), x])


def other_input(x):
    return Add()([Conv2D(6, 3, padding="same")(x), Conv2D(6, 1)(ReLU()(x))])


def called_twice(x):
    conv = Conv2D(6, 1)
    return Add()([conv(x), Conv2D(6, 3, padding="same")(conv(x))])


def one_conv_twice(x):
    conv = Conv2D(6, 1)
    return Add()([conv(x), conv(x)])


def one_tensor_twice(x):
    y = Conv2D(6, 1)(x)
    return Add()([y, y])


def one_norm_twice(x):
    norm = BN()
    return Add()([norm(x), norm(x)])


def also_an_output(x):
    y = Conv2D(6, 1)(x)
    return [Add()([Conv2D(6, 3, padding="same")(x), y]), y]


def inner_sum_also_an_output(x):
    inner = Conv2D(6, 1)(x) + ReLU()(x)
    return [inner + Conv2D(6, 1)(x), inner]


def with_activation(x):
    return Add()([Conv2D(6, 3, padding="same", activation="relu")(x), Conv2D(6, 1)(x)])


def activation_between(x):
    return Add()([ReLU()(Conv2D(6, 3, padding="same")(x)), Conv2D(6, 1)(x)])


def other_groups(x):
    return Add()([Conv2D(6, 3, padding="same", groups=2)(x), Conv2D(6, 1)(x)])


def other_stride(x):
    return Add()([Conv2D(6, 3, 2, padding="same")(x), Conv2D(6, 1)(x)])


def other_dilation(x):
    wide = Conv2D(6, 3, padding="same", dilation_rate=2)(x)
    return Add()([wide, Conv2D(6, 3, padding="same")(x)])


def between_taps(x):
    """A single tap where the dilated kernel has none."""
    wide = Conv2D(6, 2, padding="same", dilation_rate=2)(x)
    return Add()([wide, Conv2D(6, 1)(x)])


def other_precision(x):
    half = Conv2D(6, 3, padding="same", dtype="mixed_bfloat16")(x)
    return Add()([half, Conv2D(6, 1)(x)])


def broadcast(x):
    """A single pixel, added to all."""
    return Add()([Conv2D(6, 1)(x), Conv2D(6, (9, 8))(x)])


def rows_and_columns(x):
    """Neither kernel covers the other: a 3x3 would compute more than the two."""
    terms = [Conv2D(6, side, padding="same")(x) for side in ((1, 3), (3, 1))]
    return Add()(terms)


def large_depthwise(x):
    """Kernels that mix no channels are cheap; on the diagonal of others they are not."""
    return Add()([DepthwiseConv2D(5, padding="same")(x), Conv2D(6, 1)(x)])


def other_corners(x):
    before = Conv2D(6, 3)(ZeroPadding2D(((2, 0), (2, 0)))(x))
    return Add()([before, Conv2D(6, 3)(ZeroPadding2D(((0, 2), (0, 2)))(x))])


def three_of_two_inputs(x):
    y = ReLU()(x)
    return Conv2D(6, 1)(x) + (Conv2D(6, 1)(x) + Conv2D(6, 1)(y))


def difference(x):
    return keras.layers.Subtract()([Conv2D(6, 3, padding="same")(x), Conv2D(6, 1)(x)])


STAYS = {
    "residual": (lambda: wired(residual), 1),
    "other_input": (lambda: wired(other_input), 2),
    "called_twice": (lambda: wired(called_twice), 3),
    "one_conv_twice": (lambda: wired(one_conv_twice), 2),
    "one_tensor_twice": (lambda: wired(one_tensor_twice), 1),
    "one_norm_twice": (lambda: wired(one_norm_twice), 2),
    "also_an_output": (lambda: wired(also_an_output), 2),
    "with_activation": (lambda: wired(with_activation), 2),
    "activation_between": (lambda: wired(activation_between), 2),
    "other_groups": (lambda: wired(other_groups), 2),
    "other_stride": (lambda: wired(other_stride, (1, 1, 6)), 2),
    "other_dilation": (lambda: wired(other_dilation), 2),
    "between_taps": (lambda: wired(between_taps), 2),
    "other_precision": (lambda: wired(other_precision), 2),
    "broadcast": (lambda: wired(broadcast), 2),
    "rows_and_columns": (lambda: wired(rows_and_columns), 2),
    "large_depthwise": (lambda: wired(large_depthwise), 2),
    "other_corners": (lambda: wired(other_corners), 2),
    "difference": (lambda: wired(difference), 2),
    # What the first tap reads depends on whether the size is even.
    "unknown_size": (lambda: wired(lambda x: acnet(x, 2), (None, None, 6)), 3),
    "basic_block": (lambda: wired(layers.BasicBlock(8, 2)), 3),
    "bottleneck": (lambda: wired(layers.Bottleneck(2)), 4),
    "inverted": (lambda: wired(layers.InvertedResidual(6)), 3),
}


@pytest.mark.parametrize(("make", "convolutions"), STAYS.values(), ids=STAYS.keys())
def test_anything_else_stays(make, convolutions, noise, trained, max_difference):
    model = trained(make())
    folded, x = fold(model), noise(2, *(side or 9 for side in model.input_shape[1:]))
    assert counts(folded) == (convolutions, 1)
    assert max_difference(folded(x), model(x)) <= 1e-5


@pytest.mark.parametrize("make", [three_of_two_inputs, inner_sum_also_an_output])
def test_the_sums_of_a_sum_stay(make, noise, trained, max_difference):
    model, x = trained(wired(make)), noise(2, *IMAGE)
    folded = fold(model)
    assert counts(folded) == counts(model)
    assert max_difference(folded(x), model(x)) <= 1e-5


def test_a_sum_inside_another_is_merged_alone(noise, trained, max_difference):
    model, x = trained(wired(lambda x: repvgg(x) + ReLU()(x))), noise(2, *IMAGE)
    folded = fold(model)
    # The sum of all four is none of convolutions alone: (3x3 + 1x1) + identity is.
    assert counts(folded) == (1, 1)
    assert max_difference(folded(x), model(x)) <= 1e-5


def test_resnets_keep_their_convolutions(noise, trained, max_difference):
    small = {"filters": (6, 8), "stem": "cifar", "input_shape": (9, 9, 3), "classes": 4}
    for block, convolutions in (("basic", 2 * 2 + 1), ("bottleneck", 2 * 3 + 2)):
        model = trained(models.ResNet(block, (1, 1), **small))
        folded, x = fold(model), noise(2, 9, 9, 3)
        assert counts(folded) == (1 + convolutions, 2)
        assert max_difference(folded(x), model(x)) <= 1e-5


def test_the_merged_layer_has_the_name_of_the_largest_kernel():
    folded = fold(wired(layers.RepVGGBlock(6, name="stage1_block1")))
    names = [layer.name for layer in folded.layers[1:]]
    assert names == ["stage1_block1_spatial_conv", "stage1_block1_act"]


def test_the_model_is_untouched_and_the_result_folds_again(noise, trained, max_difference):
    model, x = trained(wired(repvgg)), noise(2, *IMAGE)
    expected = model(x)
    folded = fold(model)
    again = fold(folded)
    folded.set_weights([weight + 1 for weight in folded.get_weights()])
    assert max_difference(model(x), expected) == 0.0
    assert counts(again) == (1, 0)
    assert max_difference(again(x), expected) <= 1e-5


side = st.integers(1, 4)
kernel = st.fixed_dictionaries(
    {
        "kernel_size": st.tuples(side, side),
        "padding": st.sampled_from(["same", "valid"]),
        "dilation": st.integers(1, 2),
        "shares": st.tuples(st.sampled_from([0, 0.5, 1]), st.sampled_from([0, 0.5, 1])),
    }
)


def padded_conv(x, stride, kernel_size, padding, dilation, shares):
    """A convolution behind as many zeros as keep the size; `shares` of them come first."""
    dilation = dilation if stride == 1 else 1
    if padding == "valid":
        totals = [(one - 1) * dilation for one in kernel_size]
        before = [int(share * total) for share, total in zip(shares, totals, strict=True)]
        pads = [(one, total - one) for one, total in zip(before, totals, strict=True)]
        x = ZeroPadding2D(pads)(x)
    return Conv2D(2, kernel_size, stride, padding, dilation_rate=dilation)(x)


@pytest.mark.slow
@pytest.mark.full
def test_random_kernels_strides_and_paddings(noise, trained, max_difference):
    merged = []

    @settings(
        deadline=None,
        derandomize=True,
        max_examples=40 if keras.config.backend() == "tensorflow" else 8,
        phases=[Phase.explicit, Phase.generate],  # to shrink takes minutes
    )
    @given(kernel, kernel, st.integers(1, 3), st.tuples(side, side), st.booleans())
    def sweep(first, second, stride, size, known):
        image, x = keras.Input((*size, 2) if known else (None, None, 2)), noise(1, *size, 2)
        terms = [padded_conv(image, stride, **one) for one in (first, second)]
        model = trained(keras.Model(image, Add()(terms)))
        folded = fold(model)
        merged.append(counts(folded) == (1, 0))
        assert max_difference(folded(x), model(x)) <= 1e-5

    sweep()
    assert any(merged)
    assert not all(merged)
