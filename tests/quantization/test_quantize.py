"""`quantize`: what it reports, what it reads, what it leaves alone."""

import itertools
import warnings

import keras
import numpy as np
import pytest
from keras import layers

from keras_bottleneck.layers import BasicBlock
from keras_bottleneck.quantization import is_quantized, quantize
from keras_bottleneck.quantization.calibrators import CALIBRATORS
from keras_bottleneck.quantization.kernels import QuantizedKernel
from keras_bottleneck.quantization.quantizers import FakeQuantize

# In dB: what int8 leaves of small networks without training, whatever weights a backend draws.
LITTLE_NOISE = 20


def small(classes=5):
    image = keras.Input((6, 6, 3), name="image")
    x = layers.Conv2D(8, 3, activation="relu", name="conv")(image)
    x = layers.DepthwiseConv2D(3, padding="same", activation="relu", name="depth")(x)
    return keras.Model(
        image, layers.Dense(classes, name="top")(layers.GlobalAveragePooling2D()(x)), name="small"
    )


@pytest.fixture
def model(trained):
    return trained(small())


@pytest.fixture(scope="module")
def labels():
    return np.arange(100) % 5


def state(model):
    return [np.asarray(keras.ops.convert_to_numpy(one)) for one in model.variables]


def assert_equal(one, other):
    for left, right in zip(state(one), state(other), strict=True):
        np.testing.assert_array_equal(left, right)


def input_range(model):
    return model.quantization_report.ranges[0].low, model.quantization_report.ranges[0].high


def test_it_computes_nearly_what_the_model_does(model, photos, decibels):
    quantized = quantize(model, photos)
    assert is_quantized(quantized) and not is_quantized(model)
    assert quantized.name == "small"
    assert [tensor.name for tensor in quantized.inputs] == ["image"]
    assert quantized.output_shape == model.output_shape
    # Eight bits at each of four places: 6.02 dB each, less what ranges do not use.
    assert 30 < decibels(model(photos), quantized(photos)) < 60


def test_outputs_have_256_levels(model, photos, as_array):
    quantized = quantize(model, photos)
    last = quantized.quantization_report.ranges[-1]
    codes = as_array(quantized(photos)) / ((last.high - last.low) / 255)
    np.testing.assert_allclose(codes, np.rint(codes), atol=1e-3)
    assert np.rint(codes).max() - np.rint(codes).min() <= 255


def test_the_report_names_every_range_and_kernel(model, photos):
    report = quantize(model, photos).quantization_report
    assert report.images == 100
    assert [one.name for one in report.kernels] == ["conv", "depth", "top"]
    assert [one.channels for one in report.kernels] == [8, 8, 5]
    assert report.in_float == () and report.dead_channels == 0
    assert len(report.ranges) == 5
    for one in report.ranges:
        assert one.low <= 0 <= one.high and one.low < one.high
        assert 0 <= one.saturated < 0.02
    assert report.saturated == max(one.saturated for one in report.ranges)
    assert all(30 < one.sqnr < 60 for one in report.kernels)
    text = str(report)
    assert "3 kernels quantized on 100 images" in text.replace("\n", " ").replace("  ", " ")
    assert "noisiest layers" in text and "depth" in text


def test_the_ranges_in_the_report_are_those_of_the_model(model, photos, as_array):
    quantized = quantize(model, photos)
    found = {
        layer.name: (float(as_array(layer.low)), float(as_array(layer.high)))
        for layer in quantized.layers
        if isinstance(layer, FakeQuantize)
    }
    assert len(found) == 5
    for one in quantized.quantization_report.ranges:
        assert found[one.name] == pytest.approx((one.low, one.high), rel=1e-6)


def test_dead_channels_are_counted(model, photos):
    kernel, bias = model.get_layer("conv").get_weights()
    kernel[..., [1, 4, 6]] = [0.0, 1e-9, 1e-2]
    model.get_layer("conv").set_weights([kernel, bias])
    report = quantize(model, photos, equalize=False).quantization_report
    assert [one.dead for one in report.kernels] == [2, 0, 0]
    assert report.dead_channels == 2
    assert "2 of 8" in str(report)


def test_saturation_is_the_part_beyond_the_range(model, photos):
    assert quantize(model, photos, calibrator="minmax").quantization_report.saturated == 0.0
    # A sigmoid's range ends at 255 / 256: it is 1 on ten of the hundred images.
    image = keras.Input((6, 6, 3))
    gate = keras.Model(image, layers.Activation("sigmoid")(image))
    images = np.zeros((100, 6, 6, 3), "float32")
    images[:10] = 30.0
    report = quantize(gate, images).quantization_report
    assert [one.saturated for one in report.ranges] == [0.0, 0.1]
    assert report.saturated == 0.1 and "10.00%" in str(report)


@pytest.mark.slow
def test_few_images_are_warned_about_and_a_hundred_are_not(model, photos):
    with pytest.warns(UserWarning, match="quantize calibrates on 99 images") as found:
        quantize(model, photos[:99])
    assert [one.filename for one in found if one.category is UserWarning] == [__file__]
    with warnings.catch_warnings():
        warnings.simplefilter("error", UserWarning)
        quantize(model, photos)


@pytest.mark.parametrize("count", [1, 3, 7, 8, 9, 17])
@pytest.mark.filterwarnings("ignore:quantize calibrates on")
def test_any_number_of_images_will_do(model, photos, count):
    assert quantize(model, photos[:count]).quantization_report.images == count


@pytest.mark.slow
def test_the_model_stays_as_it_was(model, photos, max_difference):
    model.compile("sgd", "mse")
    expected, weights, config = model(photos), state(model), model.get_config()
    before = [(layer.name, len(layer._inbound_nodes)) for layer in model.layers]
    for rounding in ("nearest", "adaptive"):
        quantized = quantize(model, photos, rounding=rounding)
        quantized.set_weights([weight + 1 for weight in quantized.get_weights()])
    for old, new in zip(weights, state(model), strict=True):
        np.testing.assert_array_equal(new, old)
    assert max_difference(model(photos), expected) == 0.0
    assert model.get_config() == config
    assert [(layer.name, len(layer._inbound_nodes)) for layer in model.layers] == before
    assert model.compiled and not hasattr(model, "quantization_report")


@pytest.mark.slow
def test_two_runs_are_equal_to_the_last_bit(model, photos):
    for rounding in ("nearest", "adaptive"):
        one, other = (quantize(model, photos, rounding=rounding) for _ in range(2))
        assert_equal(one, other)
        assert one.quantization_report == other.quantization_report


@pytest.mark.parametrize(
    "make",
    [
        lambda x, y: (x, y),
        lambda x, y: (x, y, np.ones(100)),
        lambda x, y: (x, np.eye(5)[y]),
        lambda x, y: (x, y[:, None]),
        lambda x, y: [x[:50], x[50:]],
        lambda x, y: [(x[:30], y[:30]), (x[30:], y[30:])],
        lambda x, y: (part for part in np.split(x, 10)),
        lambda x, y: iter([(x, None)]),
        lambda x, y: x.astype("float64"),
    ],
    ids=[
        "labels",
        "weights",
        "one_hot",
        "column",
        "list",
        "pairs",
        "generator",
        "no_labels",
        "float64",
    ],
)
def test_images_may_come_in_many_ways(model, photos, labels, make):
    assert_equal(quantize(model, make(photos, labels)), quantize(model, photos))


@pytest.mark.slow
def test_a_dataset_of_tensorflow(model, photos, labels):
    tf = pytest.importorskip("tensorflow", reason="tf.data comes with TensorFlow")
    dataset = tf.data.Dataset.from_tensor_slices((photos, labels)).batch(32)
    assert_equal(quantize(model, dataset), quantize(model, photos))
    assert_equal(quantize(model, dataset.map(lambda x, y: x)), quantize(model, photos))


def test_a_dataset_of_keras(model, photos, labels):
    class Batches(keras.utils.PyDataset):
        def __len__(self):
            return 4

        def __getitem__(self, index):
            part = slice(25 * index, 25 * index + 25)
            return photos[part], labels[part]

    assert_equal(quantize(model, Batches()), quantize(model, photos))


@pytest.mark.slow
@pytest.mark.parametrize(
    "labels",
    [
        np.zeros((100, 6, 6, 1)),
        [np.zeros(100), np.zeros((100, 4))],
        {"boxes": np.zeros((100, 4))},
        np.array(["cat"] * 100),
    ],
    ids=["masks", "list", "dict", "strings"],
)
def test_labels_that_are_not_needed_may_be_anything(model, photos, labels):
    assert_equal(quantize(model, [(photos, labels)]), quantize(model, photos))


def test_an_endless_generator_is_read_no_further_than_needed(model, photos):
    read = []

    def generate():
        for number in itertools.count():
            read.append(number)
            yield photos[:40]

    report = quantize(model, generate(), images=110).quantization_report
    assert report.images == 110
    assert read == [0, 1, 2]


def test_pixels_get_their_whole_range():
    image = keras.Input((6, 6, 3))
    model = keras.Model(image, layers.Conv2D(4, 3)(layers.Rescaling(1 / 127.5, -1.0)(image)))
    pixels = np.random.default_rng(0).integers(10, 240, (100, 6, 6, 3))
    assert input_range(quantize(model, pixels.astype("uint8"))) == (0.0, 255.0)
    assert input_range(quantize(model, pixels.astype("float32"))) == (0.0, 255.0)


@pytest.mark.slow
def test_other_inputs_get_the_range_of_what_was_seen(model, photos):
    low, high = input_range(quantize(model, photos))
    step = (high - low) / 255
    assert low == pytest.approx(photos.min(), abs=step)
    assert high == pytest.approx(photos.max(), abs=step)
    assert -low / step == pytest.approx(round(-low / step), abs=1e-6)
    # Between 0 and 1, pixels that were divided already.
    shown = np.clip(photos, 0, 1)
    assert input_range(quantize(model, shown)) == pytest.approx((0.0, 1.0))


def test_an_integer_input_is_taken(decibels):
    image = keras.Input((6, 6, 3), dtype="uint8")
    model = keras.Model(image, layers.Conv2D(4, 3)(layers.Rescaling(1 / 127.5, -1.0)(image)))
    pixels = np.random.default_rng(0).integers(0, 256, (100, 6, 6, 3)).astype("uint8")
    quantized = quantize(model, pixels)
    assert decibels(model(pixels), quantized(pixels)) > 30


@pytest.mark.parametrize("policy", ["mixed_bfloat16", "mixed_float16", "float64"])
def test_the_result_computes_in_the_precision_of_the_model(
    policy, dtype_policy, photos, trained, decibels
):
    full = trained(small())
    dtype_policy(policy)
    model = small()
    dtype_policy("float32")
    model.set_weights(full.get_weights())
    quantized = quantize(model, photos)
    kernels = [layer for layer in quantized.layers if isinstance(layer, QuantizedKernel)]
    compute = keras.DTypePolicy(policy).compute_dtype
    assert {layer.compute_dtype for layer in kernels} == {compute}
    assert {layer.dtype_policy.name for layer in model.layers} == {policy}
    assert decibels(full(photos), quantized(photos)) > 25


@pytest.mark.parametrize("policy", ["mixed_bfloat16", "float64"])
def test_the_global_precision_does_not_matter(model, policy, dtype_policy, photos):
    expected = quantize(model, photos)
    dtype_policy(policy)
    found = quantize(model, photos)
    assert {layer.compute_dtype for layer in found.layers[1:]} == {"float32"}
    assert_equal(found, expected)


@pytest.mark.parametrize("calibrator", CALIBRATORS)
def test_each_calibrator_gives_a_working_model(model, photos, calibrator, decibels):
    quantized = quantize(model, photos, calibrator=calibrator)
    assert decibels(model(photos), quantized(photos)) > 25


def test_calibrators_differ_where_there_are_outliers(model, photos):
    # As many values as leave some outside of 99.99%.
    many = np.concatenate([scale * photos for scale in (1.0, 0.9, 0.8, 0.7)])
    ranges = [
        quantize(model, many, calibrator=one).quantization_report.ranges[1:] for one in CALIBRATORS
    ]
    assert all(one != other for one, other in itertools.combinations(ranges, 2))


def test_bias_correction_makes_means_equal(model, photos, as_array):
    # Its largest weight makes the others lose up to half a step, all of them downwards.
    kernel, bias = model.get_layer("top").get_weights()
    kernel[0, 0] = 127 * 0.5
    kernel[1:] = 0.24
    model.get_layer("top").set_weights([kernel, bias])
    exact = as_array(model(photos)).mean(0)
    errors = [
        np.abs(
            as_array(quantize(model, photos, bias_correction=one, equalize=False)(photos)).mean(0)
            - exact
        ).max()
        for one in (True, False)
    ]
    assert errors[0] < 0.5 * errors[1]


def broken(photos):
    """A classifier whose last kernel has a huge weight that no image needs: one step for all."""
    model = small()
    kernel, bias = model.get_layer("depth").get_weights()
    kernel[:, :, 0], bias[0] = 0.0, -1.0
    model.get_layer("depth").set_weights([kernel, bias])
    kernel, bias = model.get_layer("top").get_weights()
    kernel[0, 0] = 1e5
    model.get_layer("top").set_weights([kernel, bias])
    # Each class wins on some images.
    mean = np.asarray(keras.ops.convert_to_numpy(model(photos))).mean(0)
    model.get_layer("top").set_weights([kernel, bias - mean])
    return model


@pytest.mark.slow
@pytest.mark.parametrize("given", [True, False], ids=["labels", "own_answers"])
def test_keeping_accuracy_leaves_the_broken_layer_in_float(photos, as_array, given):
    model = broken(photos)
    answers = as_array(model(photos)).argmax(-1)
    assert len(np.unique(answers)) > 1
    lost = as_array(quantize(model, photos)(photos)).argmax(-1)
    assert np.mean(lost == answers) < 0.9
    kept = quantize(model, (photos, answers) if given else photos, keep_accuracy=0.05)
    assert kept.quantization_report.in_float == ("top",)
    assert np.mean(as_array(kept(photos)).argmax(-1) == answers) >= 0.95
    assert "float" in str(kept.quantization_report)


@pytest.mark.slow
def test_keeping_accuracy_keeps_a_good_model_whole(model, photos):
    kept = quantize(model, photos, keep_accuracy=0.3)
    assert kept.quantization_report.in_float == ()
    assert_equal(kept, quantize(model, photos))


def test_all_kernels_may_be_left_in_float(photos, max_difference):
    image = keras.Input((6, 6, 3))
    model = keras.Model(image, layers.Dense(3, name="d")(layers.Flatten()(image)))
    quantized = quantize(model, photos, skip=["d"])
    assert quantized.quantization_report.kernels == ()
    assert quantized.quantization_report.in_float == ("d",)


def test_a_network_that_is_skipped_whole_is_the_float_one(photos, max_difference):
    image = keras.Input((6, 6, 3))
    model = keras.Model(image, layers.Conv2D(4, 3, activation="relu", name="c")(image))
    quantized = quantize(model, photos, skip=["c"])
    assert max_difference(quantized(photos), model(photos)) <= 1e-6


def test_skipped_layers_compute_in_float(model, photos, max_difference):
    skipped = quantize(model, photos, skip=["depth", "top"])
    assert [one.name for one in skipped.quantization_report.kernels] == ["conv"]
    assert type(skipped.get_layer("top")) is layers.Dense


def test_a_sequential_model(photos, decibels):
    model = keras.Sequential([keras.Input((6, 6, 3)), layers.Conv2D(4, 3), layers.Dense(3)])
    assert decibels(model(photos), quantize(model, photos)(photos)) > 30


def test_two_outputs(photos, decibels):
    image = keras.Input((6, 6, 3))
    x = layers.Conv2D(4, 3, activation="relu")(image)
    outputs = {"map": x, "mean": layers.GlobalAveragePooling2D()(x)}
    model = keras.Model(image, outputs)
    found, exact = quantize(model, photos)(photos), model(photos)
    assert sorted(found) == ["map", "mean"]
    assert all(decibels(exact[key], found[key]) > 30 for key in found)


@pytest.mark.parametrize("rounding", ["nearest", "adaptive"])
@pytest.mark.parametrize("shared", ["conv", "fused", "relu", "scale", "block", "model"])
def test_what_is_called_twice(shared, rounding, photos, trained, decibels):
    image = keras.Input((6, 6, 3))
    conv = layers.Conv2D(3, 3, padding="same")
    if shared == "conv":
        out = conv(layers.ReLU()(conv(image)))
    elif shared == "fused":
        fused = layers.Conv2D(3, 3, padding="same", activation="relu")
        out = fused(fused(image))
    elif shared == "relu":
        relu = layers.ReLU()
        out = relu(layers.Conv2D(3, 3)(relu(conv(image))))
    elif shared == "scale":
        scale = layers.Rescaling(0.5, 1.0)
        out = scale(conv(scale(image)))
    elif shared == "block":
        block = BasicBlock(3)
        out = block(block(image))
    else:
        inner = keras.Sequential([keras.Input((6, 6, 3)), conv])
        out = layers.Add()([inner(image), inner(layers.ReLU()(inner(image)))])
    model = trained(keras.Model(image, out))
    assert decibels(model(photos), quantize(model, photos, rounding=rounding)(photos)) > 25


@pytest.mark.parametrize("batch", [1, 8, 32])
@pytest.mark.filterwarnings("ignore:quantize calibrates on")
def test_a_fixed_batch_size(batch, photos, decibels):
    image = keras.Input(batch_shape=(batch, 6, 6, 3))
    model = keras.Model(image, layers.Dense(3)(layers.Flatten()(layers.Conv2D(4, 3)(image))))
    quantized = quantize(model, photos[:20])
    assert quantized.input_shape == (batch, 6, 6, 3)
    assert decibels(model(photos[:batch]), quantized(photos[:batch])) > LITTLE_NOISE


def test_unknown_sides(photos, noise, decibels):
    image = keras.Input((None, None, 3))
    x = layers.Conv2D(8, 3, 2, "same", activation="swish")(image)
    model = keras.Model(image, layers.Dense(4)(layers.GlobalAveragePooling2D()(x)))
    others = noise(4, 9, 7, 3)
    assert decibels(model(others), quantize(model, photos)(others)) > LITTLE_NOISE


@pytest.mark.parametrize("given", ["dict", "list"])
def test_one_input_may_be_in_a_structure(given, photos, decibels):
    image = keras.Input((6, 6, 3), name="image")
    inputs = {"image": image} if given == "dict" else [image]
    x = {"image": photos} if given == "dict" else [photos]
    model = keras.Model(inputs, layers.Conv2D(4, 3)(image))
    quantized = quantize(model, photos)
    assert decibels(model(x), quantized(x)) > 30


def test_images_of_nothing_but_zeros(model):
    quantized = quantize(model, np.zeros((100, 6, 6, 3)))
    assert input_range(quantized) == (0.0, 1.0)
    found = np.asarray(keras.ops.convert_to_numpy(quantized(np.zeros((1, 6, 6, 3)))))
    assert np.isfinite(found).all()


def test_a_network_without_kernels(photos, decibels):
    image = keras.Input((6, 6, 3))
    model = keras.Model(image, layers.GlobalAveragePooling2D()(layers.ReLU()(image)))
    quantized = quantize(model, photos)
    assert quantized.quantization_report.kernels == ()
    assert "0 kernels" in str(quantized.quantization_report)
    assert decibels(model(photos), quantized(photos)) > 30
