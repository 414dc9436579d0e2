"""`sensitivity` finds the layer that is to blame."""

import keras
import numpy as np
import pytest
from keras import layers

from keras_bottleneck.quantization import Sensitivity, quantize, sensitivity


def network():
    image = keras.Input((6, 6, 3))
    x = layers.Conv2D(8, 3, activation="relu", name="first")(image)
    x = layers.DepthwiseConv2D(3, padding="same", activation="relu", name="middle")(x)
    x = layers.Conv2D(8, 1, activation="swish", name="last")(x)
    return keras.Model(image, layers.Dense(5, name="top")(layers.GlobalAveragePooling2D()(x)))


@pytest.fixture
def model(trained):
    return trained(network())


def with_a_dead_input(model, before, layer, weight):
    """`model` with a channel that is always zero, and a huge weight that reads it."""
    kernel, bias = model.get_layer(before).get_weights()
    depthwise = kernel.shape[-1] == 1
    kernel[(slice(None), slice(None), 0) if depthwise else (..., 0)] = 0.0
    bias[0] = 0.0
    model.get_layer(before).set_weights([kernel, bias])
    kernel, bias = model.get_layer(layer).get_weights()
    kernel[..., 0, :] = weight
    model.get_layer(layer).set_weights([kernel, bias])
    return model


@pytest.mark.parametrize(("before", "layer"), [("last", "top"), ("middle", "last")])
def test_a_huge_weight_makes_its_layer_the_first(model, photos, before, layer):
    found = sensitivity(with_a_dead_input(model, before, layer, 1e3), photos)
    assert found.layers[0][0] == layer
    assert found.layers[0][1] < found.layers[1][1] - 6
    assert found.worst(1) == (layer,)
    assert found.whole == pytest.approx(found.layers[0][1], abs=1)


def test_a_sound_network_has_no_such_layer(model, photos):
    found = sensitivity(model, photos)
    assert sorted(name for name, _ in found.layers) == ["first", "last", "middle", "top"]
    ratios = [ratio for _, ratio in found.layers]
    assert ratios == sorted(ratios)
    assert all(30 < ratio < 70 for ratio in ratios)
    # All together make more noise than any, and about as much as their sum and that of the input.
    noise = sum(10 ** (-ratio / 10) for ratio in ratios)
    assert -10 * np.log10(noise) - 6 < found.whole < ratios[0] + 1


@pytest.mark.slow
def test_leaving_the_worst_layer_in_float_helps_most(model, photos, decibels):
    model = with_a_dead_input(model, "last", "top", 1e3)
    exact, names = model(photos), ("first", "middle", "last", "top")
    ratios = {name: decibels(exact, quantize(model, photos, skip=[name])(photos)) for name in names}
    assert max(ratios, key=ratios.get) == sensitivity(model, photos).worst(1)[0]


def test_the_model_stays_as_it_was(model, photos, max_difference):
    expected, config = model(photos), model.get_config()
    sensitivity(model, photos)
    assert max_difference(model(photos), expected) == 0.0
    assert model.get_config() == config


def test_two_runs_are_equal(model, photos):
    assert sensitivity(model, photos) == sensitivity(model, photos)


@pytest.mark.parametrize("count", [1, 5, 16, 20])
def test_as_many_images_are_used_as_asked_for(model, photos, count):
    assert sensitivity(model, photos, images=count).images == count


@pytest.mark.slow
def test_it_takes_what_quantize_takes(model, photos):
    expected = sensitivity(model, photos, images=16)
    assert sensitivity(model, (photos, np.zeros(100)), images=16) == expected
    assert sensitivity(model, (part for part in np.split(photos, 10)), images=16) == expected


def test_half_precision_is_measured_in_full(photos, dtype_policy, trained):
    full = trained(network())
    dtype_policy("mixed_bfloat16")
    half = network()
    dtype_policy("float32")
    half.set_weights(full.get_weights())
    expected = dict(sensitivity(full, photos).layers)
    for name, ratio in sensitivity(half, photos).layers:
        assert ratio == pytest.approx(expected[name], abs=0.5)


def test_two_outputs_and_a_layer_called_twice(photos):
    image = keras.Input((6, 6, 3))
    conv = layers.Conv2D(3, 3, padding="same", name="conv")
    x = conv(layers.ReLU()(conv(image)))
    model = keras.Model(image, {"map": x, "mean": layers.GlobalAveragePooling2D()(x)})
    found = sensitivity(model, photos)
    assert [name for name, _ in found.layers] == ["conv"]
    assert 25 < found.whole < 60


@pytest.fixture(scope="module")
def three():
    return Sensitivity(images=16, layers=(("a", 20.0), ("b", 30.0), ("c", 40.0)), whole=19.5)


@pytest.mark.parametrize(
    ("wanted", "expected"),
    [
        (0.0, ()),
        (19.5, ()),
        # 10**-2 + 10**-3 + 10**-4 is -19.5 dB; 10**-3 + 10**-4 is -29.6 dB.
        (19.6, ("a",)),
        (29.5, ("a",)),
        (29.6, ("a", "b")),
        (40.0, ("a", "b")),
        (40.1, ("a", "b", "c")),
        (1e6, ("a", "b", "c")),
    ],
)
def test_the_layers_to_keep_are_the_fewest(three, wanted, expected):
    assert three.layers_to_keep(wanted) == expected


def test_more_decibels_never_need_fewer_layers(model, photos):
    found = sensitivity(model, photos)
    counts = [len(found.layers_to_keep(wanted)) for wanted in range(0, 100, 3)]
    assert counts == sorted(counts)
    assert counts[0] == 0 and counts[-1] == 4


@pytest.mark.parametrize("count", [0, 1, 3, 9])
def test_the_worst_layers(three, count):
    assert three.worst(count) == ("a", "b", "c")[:count]


@pytest.mark.parametrize("wrong", [-1, 1.5, "a", None, True])
def test_a_wrong_count_or_ratio_is_an_error(three, wrong):
    with pytest.raises(ValueError, match="^`count` must be an integer of at least 0. Received: "):
        three.worst(wrong)
    if wrong != 1.5:
        with pytest.raises(ValueError, match="^`wanted` must be a number of at least 0. Received"):
            three.layers_to_keep(wrong)


def test_it_is_drawn(three, tmp_path):
    pytest.importorskip("matplotlib", reason="the picture is drawn by matplotlib")
    path = three.plot(tmp_path / "layers.png")
    assert path == tmp_path / "layers.png"
    assert path.read_bytes()[:4] == b"\x89PNG"
    assert path.stat().st_size > 5000
    assert three.plot(str(tmp_path / "again.png")).read_bytes() == path.read_bytes()


def test_it_is_printed(three):
    text = str(three)
    assert "16 images" in text
    lines = [line for line in text.splitlines() if "dB" in line]
    assert ["20.0" in lines[0], "30.0" in lines[1], "40.0" in lines[2]] == [True] * 3
    assert "all layers" in lines[-1] and "19.5 dB" in lines[-1]


def test_a_long_table_is_cut():
    many = Sensitivity(4, tuple((f"layer{number}", 1.0 * number) for number in range(30)), 0.5)
    text = str(many)
    assert "layer19" in text and "layer20" not in text and "10 more" in text


def test_layers_without_int8_are_named_or_left_in_float(photos):
    image = keras.Input((6, 6, 3))
    x = layers.LayerNormalization(name="odd")(layers.Conv2D(4, 3, name="c")(image))
    model = keras.Model(image, x)
    with pytest.raises(ValueError, match="'odd'.*LayerNormalization"):
        sensitivity(model, photos)
    found = sensitivity(model, photos, skip="unsupported")
    assert [name for name, _ in found.layers] == ["c"]


def test_a_fixed_batch_is_no_hindrance(photos):
    image = keras.Input((6, 6, 3), batch_size=1)
    model = keras.Model(image, layers.Conv2D(4, 3, name="c")(image))
    assert [name for name, _ in sensitivity(model, photos).layers] == ["c"]
