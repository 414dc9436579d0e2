"""Random blocks: their shape, their config, and what `flatten` and `fold` make of them."""

import keras
import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from keras_bottleneck import layers
from keras_bottleneck.graph import flatten, fold

ACTIVATIONS = {
    "none": lambda: None,
    "relu": lambda: "relu",
    "relu6": lambda: "relu6",
    "swish": lambda: "swish",
    "prelu": lambda: keras.layers.PReLU(shared_axes=[1, 2]),
    "callable": lambda: keras.activations.gelu,
}

common = st.fixed_dictionaries(
    {
        "stride": st.integers(1, 3),
        "padding": st.sampled_from(["symmetric", "same"]),
        "drop_path": st.sampled_from([0.0, 0.3]),
        "se_ratio": st.sampled_from([0.0, 0.25, 1.0]),
        "zero_init_residual": st.booleans(),
        "dilation": st.integers(1, 2),
        "antialias": st.booleans(),
    }
)
conv = st.fixed_dictionaries(
    {
        "conv": st.sampled_from(["standard", "separable", "factorized", "asymmetric"]),
    }
)
activation = st.sampled_from(sorted(ACTIVATIONS))
shortcut = st.sampled_from(["projection", "pad", "pool", "identity", "none"])
sizes = st.tuples(st.integers(1, 17), st.integers(1, 17))
quick = settings(
    deadline=None,
    derandomize=True,
    # jax compiles each operation for each new shape.
    max_examples=12 if keras.config.backend() == "tensorflow" else 4,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much],
)


def check(block, size, channels, helpers):
    noise, trained, max_difference = helpers
    image = keras.Input((*size, channels))
    output = block(image)
    assert tuple(output.shape) == tuple(block.compute_output_shape(image.shape))
    copy = type(block).from_config(block.get_config())
    assert copy.get_config() == block.get_config()

    model = trained(keras.Model(image, output))
    x = noise(2, *size, channels)
    y = model(x)
    assert tuple(y.shape) == (2, *output.shape[1:])
    assert max_difference(flatten(model)(x), y) == 0.0
    assert max_difference(fold(model)(x), y) <= 1e-4


def possible(kind, arguments, channels, out_channels):
    if arguments["stride"] > 1 and arguments["dilation"] > 1:
        return False
    if kind == "identity":
        return arguments["stride"] == 1 and channels == out_channels
    return kind != "pad" or out_channels >= channels


@pytest.mark.slow
def test_basic_blocks(noise, trained, max_difference):
    @quick
    @given(common, conv, activation, shortcut, sizes, st.integers(1, 9), st.integers(1, 9))
    def sweep(arguments, form, act, kind, size, channels, filters):
        assume(possible(kind, arguments, channels, filters))
        assume(form["conv"] == "standard" or not arguments["antialias"])
        block = layers.BasicBlock(
            filters, shortcut=kind, activation=ACTIVATIONS[act](), **arguments, **form
        )
        check(block, size, channels, (noise, trained, max_difference))

    sweep()


@pytest.mark.slow
def test_bottlenecks(noise, trained, max_difference):
    @quick
    @given(
        common,
        conv,
        activation,
        shortcut,
        sizes,
        st.sampled_from([1, 3, 8, 12]),
        st.sampled_from([1, 4, 6]),
        st.integers(1, 4),
        st.sampled_from([1, 2, 3]),
        st.sampled_from(["1x1", "3x3"]),
    )
    def sweep(arguments, form, act, kind, size, channels, filters, expansion, groups, stride_on):
        assume(possible(kind, arguments, channels, filters * expansion))
        assume(form["conv"] == "standard" or not arguments["antialias"])
        block = layers.Bottleneck(
            filters,
            expansion=expansion,
            groups=groups,
            stride_on=stride_on,
            shortcut=kind,
            activation=ACTIVATIONS[act](),
            **arguments,
            **form,
        )
        check(block, size, channels, (noise, trained, max_difference))

    sweep()


@pytest.mark.slow
def test_preactivated_blocks(noise, trained, max_difference):
    @quick
    @given(
        common,
        activation,
        shortcut,
        sizes,
        st.sampled_from([1, 3, 8]),
        st.sampled_from([1, 4, 6]),
        st.booleans(),
        st.booleans(),
    )
    def sweep(arguments, act, kind, size, channels, filters, basic, conv_bias):
        make = layers.PreactivationBasicBlock if basic else layers.PreactivationBottleneck
        out_channels = filters if basic else 4 * filters
        assume(possible(kind, arguments, channels, out_channels))
        arguments = {**arguments, "zero_init_residual": False, "conv_bias": conv_bias}
        block = make(filters, shortcut=kind, activation=ACTIVATIONS[act](), **arguments)
        check(block, size, channels, (noise, trained, max_difference))

    sweep()


@pytest.mark.slow
def test_inverted_residuals(noise, trained, max_difference):
    @quick
    @given(
        common, activation, sizes, st.integers(1, 6), st.integers(1, 6), st.sampled_from([1, 2, 6])
    )
    def sweep(arguments, act, size, channels, filters, expansion):
        assume(possible("projection", arguments, channels, filters))
        block = layers.InvertedResidual(
            filters, expansion=expansion, activation=ACTIVATIONS[act](), **arguments
        )
        check(block, size, channels, (noise, trained, max_difference))

    sweep()


@pytest.mark.slow
def test_convolutions(noise, trained, max_difference):
    @quick
    @given(
        st.one_of(st.none(), st.sampled_from([2, 4])),
        st.one_of(st.integers(1, 5), st.tuples(st.integers(1, 5), st.integers(1, 5))),
        st.integers(1, 3),
        st.integers(1, 2),
        st.sampled_from(["symmetric", "same"]),
        st.booleans(),
        st.booleans(),
        activation,
        sizes,
        st.sampled_from([2, 4]),
    )
    def sweep(
        filters, kernel_size, stride, dilation, padding, use_bias, antialias, act, size, channels
    ):
        layer = layers.ConvNormAct(
            filters,
            kernel_size,
            stride,
            groups=1 if filters is None else 2,
            dilation=1 if stride > 1 else dilation,
            padding=padding,
            use_bias=use_bias,
            antialias=antialias,
            activation=ACTIVATIONS[act](),
        )
        check(layer, size, channels, (noise, trained, max_difference))

    sweep()


@pytest.mark.slow
def test_parallel_branches(noise, trained, max_difference):
    @quick
    @given(
        st.sampled_from([layers.AsymmetricConv2D, layers.RepVGGBlock]),
        st.sampled_from([1, 3, 5]),
        st.integers(1, 3),
        st.integers(1, 2),
        st.sampled_from([1, 2]),
        st.sampled_from(["symmetric", "same"]),
        activation,
        sizes,
        st.sampled_from([2, 4]),
    )
    def sweep(block, kernel_size, stride, dilation, groups, padding, act, size, channels):
        layer = block(
            4,
            kernel_size=kernel_size,
            stride=stride,
            groups=groups,
            dilation=1 if stride > 1 else dilation,
            padding=padding,
            activation=ACTIVATIONS[act](),
        )
        check(layer, size, channels, (noise, trained, max_difference))
        folded = fold(keras.Sequential([keras.Input((*size, channels)), layer]))
        assert sum(type(one) is keras.layers.Conv2D for one in folded.layers) == 1

    sweep()
